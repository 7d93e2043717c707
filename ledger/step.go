package ledger

import (
	"fmt"
	"slices"
)

// Step checks one entry against the rules and the history before it, and gives
// its effects. It is the one state machine: the server runs it before it
// records, the verifier over every log. A violation is a *[RuleError]; any
// other error comes from h. What [Chain] and [CheckRefers] check is not checked
// again.
func Step(e *Entry, h History) (*Effects, error) {
	s := new(step)
	if err := s.run(e, knownKinds[e.Kind], h); err != nil {
		return nil, err
	}
	return &s.eff, nil
}

// step is one entry on its way through the rules.
type step struct {
	e    *Entry
	kind *knownKind // of e
	h    History
	eff  Effects
	// request is the open request that the entry closes, if it closes one: lock is its
	// lock then.
	request OpenRequest
	lock    Hash
	covers  []string // what the notice that the entry names covers
	// What eff points to.
	opened       Consent
	open, former OpenRequest
}

var checks = [...]func(*step) error{(*step).source, (*step).occurred, (*step).keys, (*step).anchor, (*step).claims, (*step).registry,
	(*step).processors, (*step).system, (*step).notice, (*step).opens, (*step).closes, (*step).changes, (*step).mentions, (*step).resends}

// run checks an entry. What the step has found of another one before is overwritten.
func (s *step) run(e *Entry, kind *knownKind, h History) error {
	changed, noted := s.eff.Changed[:0], s.eff.Noted[:0]
	*s = step{e: e, kind: kind, h: h}
	s.eff.Changed, s.eff.Noted = changed, noted
	for _, check := range checks {
		if err := check(s); err != nil {
			return err
		}
	}
	return nil
}

func (s *step) violates(rule string, consent ConsentID, format string, args ...any) error {
	return &RuleError{rule, s.e.Index, consent, fmt.Sprintf(format, args...)}
}

// source: the entry's source is the ledger or a declared key whose role may
// write the kind.
func (s *step) source() error {
	role := SourceLedger
	if s.e.Source != SourceLedger {
		src, ok, err := s.h.Source(s.e.Source)
		if err != nil {
			return err
		} else if !ok {
			return s.violates("source", -1, "the source is not declared")
		}
		role = src.Role
	}
	if !slices.Contains(s.kind.writers, role) {
		return s.violates("role", -1, "a source of role %s may not write %s", role, s.e.Kind)
	}
	return nil
}

func (s *step) occurred() error {
	if s.e.Occurred.IsZero() || !s.e.Occurred.After(s.e.Time.Add(MaxClockAhead)) {
		return nil
	}
	switch s.e.Kind {
	case ConsentWithdrawn, ObjectionRecorded, RestrictionSet:
		s.irregular("occurred_ahead", -1)
		return nil
	}
	return s.violates("occurred", -1, "occurred lies more than %v after the ledger's time", MaxClockAhead)
}

func (s *step) irregular(name string, id ConsentID) {
	s.eff.Irregular = append(s.eff.Irregular, Irregularity{Name: name, Index: s.e.Index, Consent: id})
}

// keys: the pair that an entry names signed it and, if it follows another one, was
// brought in by that.
func (s *step) keys() error {
	var keys KeyPair
	var err error
	switch s.e.Kind {
	case LedgerCreated:
		keys, err = EntryKeys(s.e)
	case KeyRotated:
		var before KeyEntry
		if before, err = s.h.KeyEntry(); err != nil {
			return err
		}
		keys, err = VerifyRotation(s.e, before)
	default:
		return nil
	}
	if err != nil {
		return s.violates("keys", -1, "%v", err)
	}
	s.eff.KeyEntry = &KeyEntry{s.e.Index, keys}
	return nil
}

// anchor: what was stamped is an earlier state of this log.
func (s *step) anchor() error {
	if s.e.Kind == CheckpointAnchored && s.e.Size > Size(s.e.Index) {
		return s.violates("size", -1, "a checkpoint of %d entries in a log that has %d", s.e.Size, s.e.Index)
	}
	return nil
}

// notice: words that were shown are published with this hash and were made for
// what they are used for. Whether they cover the purpose, opens asks.
func (s *step) notice() error {
	e := s.e
	if e.Notice.ID == "" || e.Kind == NoticePublished {
		return nil
	}
	n, ok, err := s.h.Notice(e.Notice.ID, e.Notice.Version)
	switch {
	case err != nil:
		return err
	case !ok || n.SHA256 != e.Notice.SHA256:
		return s.violates("notice", -1, "the notice is not published with this hash")
	}
	s.covers = n.Covers
	use := useWording
	switch e.Kind {
	case ConfirmationSent:
		use = useMail
	case BasisAsserted:
		return nil // a privacy notice informs of it as well as a wording does
	}
	if n.Use != use {
		return s.violates("notice_use", -1, "the notice is a %s, want a %s", n.Use, use)
	}
	return nil
}

// covered: the notice of the entry, if it has one, covers the purpose.
func (s *step) covered(id ConsentID, purpose string) error {
	if s.e.Notice.ID != "" && !slices.Contains(s.covers, purpose) {
		return s.violates("notice_coverage", id, "the notice does not cover the purpose")
	}
	return nil
}

// opens: an opening entry names a purpose that is defined, satisfies what the
// purpose demands and, when words were shown, a notice that covers it.
func (s *step) opens() error {
	e, row := s.e, s.kind
	if row.effect != opens && (row.effect != opensOrChanges || len(e.Consents) > 0) {
		return nil
	}
	objection := e.Kind == ObjectionRecorded
	p, ok, err := s.h.Purpose(e.Purpose)
	if err != nil {
		return err
	} else if !ok && !(objection && e.Purpose == AllMarketing) {
		return s.violates("purpose", -1, "the purpose is not defined")
	}
	if e.Channel == AnyChannel && !objection {
		return s.violates("channel", -1, "%s is reserved for objections", AnyChannel)
	}
	if err := s.covered(-1, e.Purpose); err != nil {
		return err
	}
	if !objection {
		if err := s.terms(&p); err != nil {
			return err
		}
	}
	s.opened = s.kind.moves.apply(Consent{ID: ConsentID(e.Index), Purpose: e.Purpose, Channel: e.Channel, Request: ConsentID(e.Index)}, e)
	s.eff.Opened = &s.opened
	if e.Kind == ConsentRequested {
		return s.joinRequest(&s.opened)
	}
	return nil
}

// terms: the entry satisfies what its purpose demands of a record.
func (s *step) terms(p *Purpose) error {
	e := s.e
	basis := e.basis()
	grants := e.Kind == ConsentRequested || e.Kind == ConsentGiven || e.Kind == ConsentImported
	switch {
	case basis != NoBasis && !p.Allows(basis):
		return s.violates("basis", -1, "the purpose does not rest on %s", basis)
	case basis.Forbids(p, e.Channel):
		return s.violates("basis_channel", -1, "%s does not carry the purpose on this channel", basis)
	case (basis == ExistingCustomer) != (len(e.Conditions) > 0), basis == ExistingCustomer && len(e.Conditions) < len(conditions):
		return s.violates("conditions", -1, "existing customers need the four conditions of § 7(3) UWG, and nothing else has them")
	case basis == LegitimateInterest && !p.Balanced && !e.commits("document"):
		return s.violates("balancing", -1, "neither the entry nor the purpose commits to a document that balances the interests")
	case p.Explicit && grants && e.Explicit == "":
		return s.violates("explicit", -1, "the purpose needs consent that is declared explicitly")
	case p.MinimumAge > 0 && grants && e.Age == "":
		return s.violates("age", -1, "the purpose has a minimum age, and nothing is said about the person's")
	case e.Kind == ConsentRequested && !slices.ContainsFunc(e.Commits, func(c Commitment) bool {
		return IsIdentifierClaim(c.Claim) && Proves(c.Claim, e.Channel)
	}):
		return s.violates("channel_proof", -1, "no identifier of the person is one that a confirmation could prove for the channel")
	}
	return s.ipPolicy(-1, p)
}

// ipPolicy: no more of an IP address is kept than the purpose allows.
func (s *step) ipPolicy(id ConsentID, p *Purpose) error {
	if s.e.IPPolicy == "" {
		return nil
	}
	if StrictestIPPolicy(s.e.IPPolicy, p.IPPolicy) != s.e.IPPolicy {
		return s.violates("ip_policy", id, "the purpose allows no more than %s", p.IPPolicy)
	}
	if _, ok := s.e.Commit("ip"); ok && s.e.IPPolicy == ipPolicies[0] {
		return s.violates("ip_policy", id, "an address is kept although the policy is %s", s.e.IPPolicy)
	}
	return nil
}

// joinRequest finds the request of a consent: entries of one request carry one
// lock and stand one behind the other; any other use of an open request's lock
// is forbidden.
func (s *step) joinRequest(c *Consent) error {
	e := s.e
	if !e.Expires.After(e.Time) {
		return s.violates("expires", -1, "expires before it begins")
	}
	open, ok, err := s.h.OpenRequest(e.Lock)
	if err != nil {
		return err
	}
	// Once it has expired anybody may take its lock, whether or not the ledger
	// has recorded that yet.
	if !ok || e.Time.After(open.Expires) {
		s.open = OpenRequest{Lock: e.Lock, Request: c.ID, Expires: e.Expires}
		s.eff.Open = &s.open
		return nil
	}
	before, ok, err := s.h.Consent(c.ID - 1)
	if err != nil {
		return err
	}
	if !ok || open.Superseded || before.Request != open.Request || before.Channel != c.Channel || !open.Expires.Equal(e.Expires) {
		return s.violates("lock_used", -1, "the lock was used before")
	}
	if c.ID-open.Request >= MaxPurposes {
		return s.violates("request_size", -1, "a request opens at most %d consents", MaxPurposes)
	}
	c.Request = open.Request
	return nil
}

// closes: a revealed token opens the unexpired lock of an open request, once;
// the ledger records the expiry of an open request, once.
func (s *step) closes() error {
	e := s.e
	if e.Token == "" && e.Kind != RequestExpired {
		return nil
	}
	lock := e.Lock
	if e.Token != "" {
		lock = Lock(e.Token)
	}
	open, ok, err := s.h.OpenRequest(lock)
	expired := e.Time.After(open.Expires)
	switch {
	case err != nil:
		return err
	case !ok:
		return s.violates("token", -1, "no open request has this lock, or a lock for this token")
	case expired && e.Token != "":
		return s.violates("token_expired", -1, "the token expired at %s", open.Expires.UTC().Format(secondsLayout))
	case e.Token == "" && open.Superseded:
		return s.violates("not_expired", -1, "the request has a newer lock")
	case !expired && e.Token == "":
		return s.violates("not_expired", -1, "the token is good until %s", open.Expires.UTC().Format(secondsLayout))
	}
	s.request, s.lock = open, lock
	s.eff.Closed = &s.lock
	return nil
}

// changes: each consent exists, was last changed by the entry named, and may go
// where the kind leads.
func (s *step) changes() error {
	if len(s.e.Consents) == 0 {
		return nil
	}
	if s.e.Informed.After(s.e.Time) {
		return s.violates("informed", -1, "the person was informed after the entry's time")
	}
	s.eff.Changed = slices.Grow(s.eff.Changed, len(s.e.Consents))
	for _, l := range s.e.Consents {
		c, ok, err := s.h.Consent(l.Consent)
		switch {
		case err != nil:
			return err
		case !ok:
			return s.violates("consent", l.Consent, "no entry opened it")
		case c.Last != l.After:
			return s.violates("after", l.Consent, "was last changed by entry %d, not %d", c.Last, l.After)
		case s.eff.Closed != nil && c.Request != s.request.Request:
			return s.violates("token", l.Consent, "the token or lock belongs to another request")
		}
		if rule := s.kind.moves.forbids(c); rule != "" {
			return s.violates(rule, l.Consent, "%s may not follow %s", s.e.Kind, describe(c))
		}
		if s.e.Kind == ConsentRenewed {
			if err := s.renews(c); err != nil {
				return err
			}
		}
		s.eff.Changed = append(s.eff.Changed, s.kind.moves.apply(c, s.e))
	}
	return nil
}

// renews: a renewal is the person's own act, under words that cover the purpose.
func (s *step) renews(c Consent) error {
	if s.e.Method == "api" || s.e.Method == "import" {
		return s.violates("method", c.ID, "only the person renews a consent, not another system")
	}
	p, _, err := s.h.Purpose(c.Purpose)
	if err != nil {
		return err
	}
	if err := s.ipPolicy(c.ID, &p); err != nil {
		return err
	}
	return s.covered(c.ID, c.Purpose)
}

// mentions: each consent exists; what should not have happened to it is noted.
func (s *step) mentions() error {
	for _, id := range s.e.About {
		c, ok, err := s.h.Consent(id)
		if err != nil {
			return err
		} else if !ok {
			return s.violates("consent", id, "no entry opened it")
		}
		if name := s.kind.moves.irregular(s.e.Kind, c); name != "" {
			s.irregular(name, id)
		}
		if err := s.notes(c); err != nil {
			return err
		}
	}
	return nil
}

// notes follows what a mention changes of a consent besides its state. Which hold
// is lifted is up to [CheckRefers].
func (s *step) notes(c Consent) error {
	switch e := s.e; {
	case e.Kind == HoldSet && c.Holds == MaxHolds:
		return s.violates("holds", c.ID, "%d holds lie on it already", MaxHolds)
	case e.Kind == HoldLifted && c.Holds == 0:
		return s.violates("refers", c.ID, "no hold lies on it")
	case e.Kind == TrackingChanged && e.Purpose != c.Purpose, (e.Kind == TrackingChanged || e.Kind == SignalReceived) && !IsTracking(c.Purpose):
		return s.violates("tracking", c.ID, "it is not about this purpose, or the purpose is none of tracking")
	case e.Kind == ConfirmationSent:
		if err := s.covered(c.ID, c.Purpose); err != nil {
			return err
		}
	}
	if next := s.kind.moves.apply(c, s.e); next != c {
		s.eff.Noted = append(s.eff.Noted, next)
	}
	return nil
}

// resends: a resend may give an open request a new lock, which succeeds its newest
// one. The consents are all of that request and wait to be confirmed.
func (s *step) resends() error {
	e := s.e
	if e.Kind != ConfirmationResent || e.Lock == (Hash{}) {
		return nil
	}
	former, ok, err := s.h.OpenRequest(e.Former)
	if err != nil {
		return err
	} else if !ok || former.Superseded {
		return s.violates("former", -1, "it is not the newest lock of an open request")
	} else if e.Time.After(former.Expires) {
		return s.violates("token_expired", -1, "the request expired at %s", former.Expires.UTC().Format(secondsLayout))
	}
	if !e.Expires.After(e.Time) || e.Expires.Before(former.Expires) {
		return s.violates("expires", -1, "expires before it begins, or before the lock that it succeeds")
	}
	if before, used, err := s.h.OpenRequest(e.Lock); err != nil {
		return err
	} else if used && !e.Time.After(before.Expires) {
		return s.violates("lock_used", -1, "the lock was used before")
	}
	for _, id := range e.About {
		c, _, err := s.h.Consent(id)
		if err != nil {
			return err
		}
		if c.Request != former.Request || c.State != Requested {
			return s.violates("former", id, "it does not wait for this lock")
		}
	}
	former.Superseded = true
	s.former, s.open = former, OpenRequest{Lock: e.Lock, Request: former.Request, Expires: e.Expires}
	s.eff.Former, s.eff.Open = &s.former, &s.open
	return nil
}

func describe(c Consent) string {
	text := c.State.String()
	for _, n := range c.Overlays.Names() {
		text += " " + n
	}
	return text
}
