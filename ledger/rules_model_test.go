package ledger

import (
	"slices"
	"time"
)

// model is a naive second reading of DESIGN § 4: it knows consents by number,
// keeps everything for ever and looks nothing up in the code's tables.
type model struct {
	consents map[int]*modelConsent
	requests []*modelRequest
	holds    map[int][]ConsentID // hold.set entries that are open
	erasures map[int]*modelErasure
}

func newModel() *model {
	return &model{consents: map[int]*modelConsent{}, holds: map[int][]ConsentID{}, erasures: map[int]*modelErasure{}}
}

type modelConsent struct {
	state      string
	restricted bool
	locked     bool
	erased     bool
	ground     string // of the restriction that is in force
	last       int
	request    *modelRequest
	purpose    string
}

type modelRequest struct {
	token   int
	expires time.Time
	closed  bool
	newest  int // index of its newest consent
	channel string
	size    int
}

type modelErasure struct {
	contents, existence bool // whether they are destroyed
	due                 time.Time
}

// newest gives the newest request with the token's lock, if it was not closed.
func (m *model) newest(token int) *modelRequest {
	for _, r := range slices.Backward(m.requests) {
		if r.token == token {
			if r.closed {
				return nil
			}
			return r
		}
	}
	return nil
}

// request gives the rule that an opening entry violates, and records it.
func (m *model) request(index, token int, purpose, channel string, now, expires time.Time) string {
	switch {
	case purpose != "newsletter" && purpose != "email.open_tracking" && purpose != "survey":
		return "purpose"
	case channel == "any":
		return "channel"
	case purpose == "survey":
		return "notice_coverage"
	case !expires.After(now):
		return "expires"
	}
	r := m.newest(token)
	switch {
	case r == nil || now.After(r.expires):
		r = &modelRequest{token: token, expires: expires, channel: channel}
		m.requests = append(m.requests, r)
	case r.newest != index-1 || r.channel != channel || !r.expires.Equal(expires):
		return "lock_used"
	case r.size == 32:
		return "request_size"
	}
	r.newest, r.size = index, r.size+1
	m.consents[index] = &modelConsent{state: "requested", last: index, request: r, purpose: purpose}
	return ""
}

// closes gives the request that the entry closes, or the rule that it violates.
func (m *model) closes(kind Kind, token int, now time.Time) (*modelRequest, string) {
	reveals := kind == ConsentConfirmed || kind == ConfirmationRejected
	if !reveals && kind != RequestExpired {
		return nil, ""
	}
	r := m.newest(token)
	switch {
	case r == nil:
		return nil, "token"
	case reveals && now.After(r.expires):
		return nil, "token_expired"
	case !reveals && !now.After(r.expires):
		return nil, "not_expired"
	}
	return r, ""
}

// allows gives the rule that forbids a kind for a consent.
func (m *model) allows(kind Kind, id ConsentID) string {
	c := m.consents[int(id)]
	ended := c.state == "withdrawn" || c.state == "objected"
	switch {
	case c.erased:
		return "erased"
	case kind == ConsentConfirmed && c.locked:
		return "locked"
	case (kind == ConsentConfirmed || kind == ConfirmationRejected || kind == RequestExpired) && c.state != "requested",
		kind == ConsentExpired && c.state != "confirmed",
		kind == ConsentWithdrawn && c.state == "withdrawn",
		kind == ConsentRevoked && ended:
		return "transition"
	case kind == RestrictionSet && c.restricted, kind == RestrictionLifted && !c.restricted, kind == SubjectLocked && c.locked:
		return "overlay"
	case kind == SubjectErased && (c.restricted && (c.ground == "art18_1_b" || c.ground == "art18_1_c") || m.held(id) > 0):
		return "held"
	}
	return ""
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
func (m *model) change(index int, kind Kind, token int, e *Entry, now time.Time) string {
	r, rule := m.closes(kind, token, now)
	if rule != "" {
		return rule
	}
	for _, l := range e.Consents {
		c := m.consents[int(l.Consent)]
		switch {
		case c == nil:
			return "consent"
		case c.last != int(l.After):
			return "after"
		case r != nil && c.request != r:
			return "token"
		}
		if rule := m.allows(kind, l.Consent); rule != "" {
			return rule
		}
	}
	if r != nil {
		r.closed = true
	}
	for _, l := range e.Consents {
		m.consents[int(l.Consent)].move(index, kind, e.Ground)
	}
	if kind == SubjectErased {
		m.erasures[index] = &modelErasure{}
	}
	return ""
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
	case ObjectionRecorded:
		c.state = "objected"
	case RestrictionSet:
		c.restricted, c.ground = true, ground
	case RestrictionLifted:
		c.restricted = false
	case SubjectLocked:
		c.locked = true
	case SubjectErased:
		c.erased = true
	}
}

// mention gives the rule that a mentioning entry violates, and the irregular
// facts it makes.
func (m *model) mention(index int, e *Entry) (rule string, irregular []string) {
	for _, id := range e.About {
		c := m.consents[int(id)]
		if c == nil {
			return "consent", nil
		}
		if e.Kind == HoldLifted && m.held(id) == 0 {
			return "refers", nil
		}
		if name := c.irregular(e.Kind); name != "" {
			irregular = append(irregular, string(e.Kind)+"."+name)
		}
	}
	switch e.Kind {
	case HoldSet:
		m.holds[index] = e.About
	case HoldLifted:
		if about, ok := m.holds[int(e.Refers[0])]; !ok || !slices.Equal(about, e.About) {
			return "refers", nil
		}
		delete(m.holds, int(e.Refers[0]))
	}
	return "", irregular
}

// irregular says what is wrong with mentioning the consent, if anything.
func (c *modelConsent) irregular(kind Kind) string {
	uses := kind == ConsentUsed
	switch {
	case c.erased:
		return "erased"
	case uses && c.state != "confirmed", kind == ConfirmationSent && c.state != "requested":
		return c.state
	case (uses || kind == ConfirmationSent) && c.locked:
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
