package ledger

import (
	"fmt"
	"slices"
	"time"
)

// Step checks one entry against the rules and the history before it, and gives
// its effects. It is the one state machine: the server runs it before it
// records, the verifier over every log. A violation is a *[RuleError]; any
// other error comes from h. What [Chain] and [CheckRefers] check is not checked
// again.
func Step(e *Entry, h History) (*Effects, error) {
	s := step{e: e, h: h, eff: new(Effects)}
	for _, check := range []func() error{s.source, s.occurred, s.registry, s.opens, s.closes, s.changes, s.mentions} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return s.eff, nil
}

type step struct {
	e   *Entry
	h   History
	eff *Effects
	// request is the open request that the entry closes.
	request *OpenRequest
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
	if !slices.Contains(kindTable[s.e.Kind].writers, role) {
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
	s.eff.Irregular = append(s.eff.Irregular, Irregularity{name, s.e.Index, id})
}

// registry: purposes, notices and sources are declared before they are used,
// and versions count up.
func (s *step) registry() error {
	e := s.e
	switch e.Kind {
	case SourceDeclared:
		if _, ok, err := s.h.Source(e.Name); err != nil {
			return err
		} else if ok {
			return s.violates("source", -1, "the source is declared already")
		}
		s.eff.Source = &Source{e.Name, e.Role}
	case PurposeDefined:
		if e.Purpose == AllMarketing {
			return s.violates("purpose", -1, "%s is reserved", AllMarketing)
		}
		before, _, err := s.h.Purpose(e.Purpose)
		if err != nil {
			return err
		} else if e.Version != before.Version+1 {
			return s.violates("version", -1, "version is %d, want %d", e.Version, before.Version+1)
		}
		s.eff.Purpose = &Purpose{e.Purpose, e.Version, e.Index, e.Marketing == "yes", e.DoubleOptIn == "yes",
			e.DOIChannels, time.Duration(e.Lifetime) * time.Second,
			e.LockDays, e.LapsedDays, e.UnusedDays, e.UnusedMeasure, e.EvidenceDays}
	case NoticePublished:
		before, _, err := s.h.Notice(e.Notice.ID, 0)
		if err != nil {
			return err
		} else if e.Notice.Version != before.Version+1 {
			return s.violates("version", -1, "version is %d, want %d", e.Notice.Version, before.Version+1)
		}
		for _, p := range e.Covers {
			if _, ok, err := s.h.Purpose(p); err != nil {
				return err
			} else if !ok {
				return s.violates("purpose", -1, "covers a purpose that is not defined")
			}
		}
		s.eff.Notice = &Notice{e.Notice, e.Index, e.Language, e.Covers}
	case SuppressionAdded, SuppressionRemoved:
		if _, ok, err := s.h.Purpose(e.Purpose); err != nil {
			return err
		} else if !ok && e.Purpose != AllMarketing {
			return s.violates("purpose", -1, "the purpose is not defined")
		}
	}
	return nil
}

// opens: an opening entry names a purpose that is defined and, when words were
// shown, a notice that covers it.
func (s *step) opens() error {
	e, row := s.e, kindTable[s.e.Kind]
	if row.effect != opens && (row.effect != opensOrChanges || len(e.Consents) > 0) {
		return nil
	}
	objection := e.Kind == ObjectionRecorded
	if _, ok, err := s.h.Purpose(e.Purpose); err != nil {
		return err
	} else if !ok && !(objection && e.Purpose == AllMarketing) {
		return s.violates("purpose", -1, "the purpose is not defined")
	}
	if e.Channel == AnyChannel && !objection {
		return s.violates("channel", -1, "%s is reserved for objections", AnyChannel)
	}
	if e.Notice.ID != "" {
		n, ok, err := s.h.Notice(e.Notice.ID, e.Notice.Version)
		switch {
		case err != nil:
			return err
		case !ok || n.SHA256 != e.Notice.SHA256:
			return s.violates("notice", -1, "the notice is not published with this hash")
		case !slices.Contains(n.Covers, e.Purpose):
			return s.violates("notice_coverage", -1, "the notice does not cover the purpose")
		}
	}
	c := Consent{ID: ConsentID(e.Index), Last: e.Index, State: transitionOf(e.Kind).to,
		Purpose: e.Purpose, Channel: e.Channel, Request: ConsentID(e.Index)}
	if e.Kind == ConsentRequested {
		if err := s.joinRequest(&c); err != nil {
			return err
		}
	}
	s.eff.Opened = &c
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
		s.eff.Open = &OpenRequest{e.Lock, c.ID, e.Expires}
		return nil
	}
	before, ok, err := s.h.Consent(c.ID - 1)
	if err != nil {
		return err
	}
	if !ok || before.Request != open.Request || before.Channel != c.Channel || !open.Expires.Equal(e.Expires) {
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
	case !expired && e.Token == "":
		return s.violates("not_expired", -1, "the token is good until %s", open.Expires.UTC().Format(secondsLayout))
	}
	s.request, s.eff.Closed = &open, &lock
	return nil
}

// changes: each consent exists, was last changed by the entry named, and may go
// where the kind leads.
func (s *step) changes() error {
	if len(s.e.Consents) == 0 {
		return nil
	}
	t := transitionOf(s.e.Kind)
	s.eff.Changed = make([]Consent, 0, len(s.e.Consents))
	for _, l := range s.e.Consents {
		c, ok, err := s.h.Consent(l.Consent)
		switch {
		case err != nil:
			return err
		case !ok:
			return s.violates("consent", l.Consent, "no entry opened it")
		case c.Last != l.After:
			return s.violates("after", l.Consent, "was last changed by entry %d, not %d", c.Last, l.After)
		case s.request != nil && c.Request != s.request.Request:
			return s.violates("token", l.Consent, "the token or lock belongs to another request")
		}
		next, rule := t.apply(s.e.Kind, c)
		if rule != "" {
			return s.violates(rule, l.Consent, "%s may not follow %s", s.e.Kind, describe(c))
		}
		switch s.e.Kind {
		case RestrictionSet:
			next.Kept = KeepsData(s.e.Ground)
		case RestrictionLifted:
			next.Kept = false
		}
		next.Last = s.e.Index
		s.eff.Changed = append(s.eff.Changed, next)
	}
	return nil
}

// mentions: each consent exists; what should not have happened to it is noted.
func (s *step) mentions() error {
	if len(s.e.About) == 0 {
		return nil
	}
	t := transitionOf(s.e.Kind)
	for _, id := range s.e.About {
		c, ok, err := s.h.Consent(id)
		if err != nil {
			return err
		} else if !ok {
			return s.violates("consent", id, "no entry opened it")
		}
		if name := t.irregular(s.e.Kind, c); name != "" {
			s.irregular(name, id)
		}
		if err := s.holds(c); err != nil {
			return err
		}
	}
	return nil
}

// holds counts the holds on a consent. Which hold is lifted is up to [CheckRefers].
func (s *step) holds(c Consent) error {
	switch s.e.Kind {
	case HoldSet:
		if c.Holds == MaxHolds {
			return s.violates("holds", c.ID, "%d holds lie on it already", MaxHolds)
		}
		c.Holds++
	case HoldLifted:
		if c.Holds == 0 {
			return s.violates("refers", c.ID, "no hold lies on it")
		}
		c.Holds--
	default:
		return nil
	}
	s.eff.Held = append(s.eff.Held, c)
	return nil
}

func describe(c Consent) string {
	text := c.State.String()
	for _, n := range c.Overlays.Names() {
		text += " " + n
	}
	return text
}
