package ledger

import (
	"slices"
	"time"
)

// model is a naive second reading of DESIGN § 4: it knows consents by number,
// keeps everything for ever and looks nothing up in the code's tables.
type model struct {
	consents map[int]*modelConsent
	locks    []*modelLock        // all that there ever were, the newest last
	holds    map[int][]ConsentID // hold.set entries that are open
	erasures map[int]*modelErasure
	purposes map[string]*modelPurpose
	notices  map[string]*modelNotice // by name, as in newsletter-de@1

	claims     map[string]bool
	processors map[string]*modelProcessor
	rights     map[int]*modelRights // all that there ever were
	notified   map[int]bool         // recipient.notified entries, and whether they wait

	keyEntry, pair int // the newest key entry, and which pair it names
}

type modelConsent struct {
	state      string
	restricted bool
	locked     bool
	erased     bool
	grounds    []string // of the restriction that is in force
	last       int
	request    int // the lowest consent of its request
	purpose    string
	channel    string
	basis      string
	mode       string          // of tracking
	has        map[string]bool // evidence, under the names of grade_test.go
}

type modelLock struct {
	token     int
	expires   time.Time
	request   int
	closed    bool
	succeeded bool // a resend gave the request a newer one
}

type modelErasure struct {
	contents, existence bool // whether they are destroyed
	due                 time.Time
}

// open gives the newest lock with the token, if it was not closed.
func (m *model) open(token int) *modelLock {
	for _, l := range slices.Backward(m.locks) {
		if l.token == token {
			if l.closed {
				return nil
			}
			return l
		}
	}
	return nil
}

// of gives the consents of a request, ascending.
func (m *model) of(request int) (ids []int) {
	for id, c := range m.consents {
		if c.request == request {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// request gives the rule that the lock of an opening entry violates, and the
// lowest consent of the request that it opens or joins.
func (m *model) request(index, token int, e *Entry) (rule string, request int) {
	if !e.Expires.After(e.Time) {
		return "expires", 0
	}
	l := m.open(token)
	if l == nil || e.Time.After(l.expires) {
		m.locks = append(m.locks, &modelLock{token: token, expires: e.Expires, request: index})
		return "", index
	}
	ids := m.of(l.request)
	switch {
	case ids[len(ids)-1] != index-1, m.consents[l.request].channel != e.Channel, !l.expires.Equal(e.Expires):
		return "lock_used", 0
	case len(ids) == 32:
		return "request_size", 0
	}
	return "", l.request
}

// closes gives the lock that the entry closes, or the rule that it violates.
func (m *model) closes(kind Kind, token int, now time.Time) (*modelLock, string) {
	reveals := kind == ConsentConfirmed || kind == ConfirmationRejected
	if !reveals && kind != RequestExpired {
		return nil, ""
	}
	l := m.open(token)
	switch {
	case l == nil:
		return nil, "token"
	case reveals && now.After(l.expires):
		return nil, "token_expired"
	case !reveals && (l.succeeded || !now.After(l.expires)):
		return nil, "not_expired"
	}
	return l, ""
}

// resend gives the rule that a new lock for the request of an old one violates,
// and records it.
func (m *model) resend(token, former int, e *Entry) string {
	old := m.open(former)
	switch {
	case old == nil || old.succeeded:
		return "former"
	case e.Time.After(old.expires):
		return "token_expired"
	case !e.Expires.After(e.Time), e.Expires.Before(old.expires):
		return "expires"
	}
	if l := m.open(token); l != nil && !e.Time.After(l.expires) {
		return "lock_used"
	}
	for _, id := range e.About {
		if c := m.consents[int(id)]; c.request != old.request || c.state != "requested" {
			return "former"
		}
	}
	old.succeeded = true
	m.locks = append(m.locks, &modelLock{token: token, expires: e.Expires, request: old.request})
	return ""
}

// allows gives the rule that forbids a kind for a consent.
func (m *model) allows(kind Kind, id ConsentID) string {
	c := m.consents[int(id)]
	ended := c.state == "withdrawn" || c.state == "objected"
	granted := c.state == "confirmed" || c.state == "given" || c.state == "renewed" || c.state == "imported"
	switch {
	case c.erased:
		return "erased"
	case (kind == ConsentConfirmed || kind == ConsentRenewed) && c.locked:
		return "locked"
	case (kind == ConsentConfirmed || kind == ConfirmationRejected || kind == RequestExpired) && c.state != "requested",
		(kind == ConsentExpired || kind == ConsentRenewed) && !granted,
		kind == ConsentWithdrawn && c.state == "withdrawn",
		(kind == ConsentRevoked || kind == ConsentInvalidated) && ended:
		return "transition"
	case kind == RestrictionLifted && !c.restricted, kind == SubjectLocked && c.locked:
		return "overlay"
	case kind == SubjectErased && (c.kept() || m.held(id) > 0):
		return "held"
	}
	return ""
}

// kept reports whether a ground of the restriction forbids an erasure.
func (c *modelConsent) kept() bool {
	return slices.Contains(c.grounds, "art18_1_b") || slices.Contains(c.grounds, "art18_1_c")
}

// held counts the open holds on a consent.
func (m *model) held(id ConsentID) (n int) {
	for _, about := range m.holds {
		if slices.Contains(about, id) {
			n++
		}
	}
	return n
}

// change gives the rule that a changing entry violates, and records it.
func (m *model) change(index int, token int, e *Entry) string {
	l, rule := m.closes(e.Kind, token, e.Time)
	if rule != "" {
		return rule
	}
	if e.Kind == RestrictionLifted && e.Informed.After(e.Time) {
		return "informed"
	}
	for _, link := range e.Consents {
		c := m.consents[int(link.Consent)]
		switch {
		case c == nil:
			return "consent"
		case c.last != int(link.After):
			return "after"
		case l != nil && c.request != l.request:
			return "token"
		}
		if rule := m.allows(e.Kind, link.Consent); rule != "" {
			return rule
		}
		if e.Kind == ConsentRenewed {
			if rule := m.renews(c, e); rule != "" {
				return rule
			}
		}
	}
	if l != nil {
		l.closed = true
	}
	for _, link := range e.Consents {
		c := m.consents[int(link.Consent)]
		c.move(index, e.Kind, e.Ground)
		c.learn(e)
	}
	if e.Kind == SubjectErased {
		m.erasures[index] = &modelErasure{}
	}
	return ""
}

// learn adds to the evidence what an entry about the consent shows.
func (c *modelConsent) learn(e *Entry) {
	commits := func(name string, claims ...string) {
		for _, commit := range e.Commits {
			if slices.Contains(claims, commit.Claim) {
				c.has[name] = true
			}
		}
	}
	switch e.Kind {
	case ConsentRequested:
		commits("form", "form_snapshot")
		commits("trace", "ip", "user_agent")
	case ConfirmationSent:
		if c.state == "requested" {
			c.has["sent"] = true
			c.has["mail"] = c.has["mail"] || e.Mail == "kept"
		}
	case ConfirmationAttached:
		c.has["mail"] = true
	case ConsentConfirmed:
		c.has["confirmed"] = true
		c.has["button"] = c.has["button"] || e.Click == "button"
		commits("clickTrace", "ip", "user_agent")
		commits("scanner", "scanner")
	case ConsentGiven, ConsentRenewed:
		c.has["given"] = true
		commits("document", "document", "recording")
		commits("givenForm", "form_snapshot")
		commits("givenTrace", "ip", "user_agent")
	case ConsentImported:
		c.has["imported"] = true
		c.has["import"+e.Grade] = true
	case GuardianAuthorised:
		c.has["guardian"] = true
	case SignalReceived:
		c.has["signal no"] = e.Says == "no"
	}
	if e.Age == "child" {
		c.has["child"] = true
	}
}

func (c *modelConsent) move(index int, kind Kind, ground string) {
	c.last = index
	switch kind {
	case ConsentConfirmed:
		c.state = "confirmed"
	case ConfirmationRejected, RequestExpired:
		c.state = "lapsed"
	case ConsentExpired:
		c.state = "expired"
	case ConsentWithdrawn:
		c.state = "withdrawn"
	case ConsentRevoked:
		c.state = "revoked"
	case ConsentRenewed:
		c.state = "renewed"
	case ConsentInvalidated:
		c.state = "invalidated"
	case ObjectionRecorded:
		c.state = "objected"
	case RestrictionSet:
		c.restricted, c.grounds = true, append(c.grounds, ground)
	case RestrictionLifted:
		c.restricted, c.grounds = false, nil
	case SubjectLocked:
		c.locked = true
	case SubjectErased:
		c.erased = true
	}
}

// mention gives the rule that a mentioning entry violates, and the irregular
// facts it makes. token and former are those of a resend.
func (m *model) mention(index, token, former int, e *Entry) (rule string, irregular []string) {
	if rule := m.names(e); rule != "" {
		return rule, nil
	}
	for _, id := range e.About {
		c := m.consents[int(id)]
		switch {
		case c == nil:
			return "consent", nil
		case e.Kind == HoldLifted && m.held(id) == 0:
			return "refers", nil
		case e.Kind == TrackingChanged && (c.purpose != e.Purpose || e.Purpose != "email.open_tracking"),
			e.Kind == SignalReceived && c.purpose != "email.open_tracking":
			return "tracking", nil
		case e.Kind == ConfirmationSent && !m.covers(e, c.purpose):
			return "notice_coverage", nil
		}
		if name := c.irregular(e.Kind); name != "" {
			irregular = append(irregular, string(e.Kind)+"."+name)
		}
	}
	switch {
	case e.Kind == HoldSet:
		m.holds[index] = e.About
	case e.Kind == HoldLifted:
		if about, ok := m.holds[int(e.Refers[0])]; !ok || !slices.Equal(about, e.About) {
			return "refers", nil
		}
		delete(m.holds, int(e.Refers[0]))
	case e.Kind == ConfirmationResent && former != 0:
		if rule := m.resend(token, former, e); rule != "" {
			return rule, nil
		}
	}
	for _, id := range e.About {
		c := m.consents[int(id)]
		c.learn(e)
		if e.Kind == TrackingChanged {
			c.mode = e.Mode
		}
	}
	return "", irregular
}

// irregular says what is wrong with mentioning the consent, if anything.
func (c *modelConsent) irregular(kind Kind) string {
	uses, guards := kind == ConsentUsed, kind == GuardianAuthorised
	allows := slices.Contains([]string{"confirmed", "given", "renewed", "imported", "asserted"}, c.state)
	mails := kind == ConfirmationSent || kind == ConfirmationResent || kind == ConfirmationFailed || kind == ConfirmationOpened
	switch {
	case c.erased && kind != BundleExported:
		return "erased"
	case uses && !allows, mails && c.state != "requested", guards && !allows && c.state != "requested":
		return c.state
	case (uses || mails || guards) && c.locked:
		return "locked"
	case uses && c.restricted:
		return "restricted"
	}
	return ""
}

// shred gives the rule that an evidence.shredded violates, and records it.
func (m *model) shred(e *Entry) string {
	for _, i := range e.Refers {
		erasure := m.erasures[int(i)]
		if erasure == nil || erasure.existence || erasure.contents == e.Existence.IsZero() {
			return "refers"
		}
	}
	for _, i := range e.Refers {
		erasure := m.erasures[int(i)]
		erasure.existence, erasure.contents = erasure.contents, true
		if !erasure.existence {
			erasure.due = e.ExistenceDue
		}
	}
	return ""
}

// overdue lists the erasures whose existence is overdue at a moment.
func (m *model) overdue(now time.Time) (list []Index) {
	for i, e := range m.erasures {
		if e.contents && !e.existence && now.After(e.due) {
			list = append(list, Index(i))
		}
	}
	slices.Sort(list)
	return list
}

// condition is the end of the consent's leaf in the state tree as DESIGN § 5
// spells it.
func (c *modelConsent) condition() string {
	text := c.state
	if c.restricted {
		text += " restricted"
	}
	if c.locked {
		text += " locked"
	}
	if c.erased {
		text += " erased"
	}
	return text
}
