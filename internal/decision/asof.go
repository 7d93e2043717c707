package decision

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Records is a log, or what somebody has of one, such as a proof bundle.
type Records interface {
	Entry(i ledger.Index) (*ledger.Entry, error)
	// Mentions calls yield for the entries before an index that are about a consent
	// without changing it, the newest first, until it says false.
	Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error
	// PurposeAt gives the version that a log of this size has.
	PurposeAt(id string, size ledger.Size) (ledger.Purpose, bool, error)
}

// Answer is how it was at a moment.
type Answer struct {
	Allowed bool
	Reason  string           // of the vocabulary of CheckConsent
	Consent ledger.ConsentID // the record that decided; 0 if none did
	// Hindsight is Allowed less what is known now.
	Hindsight bool
}

// past reads records as a log had them when it was of a size.
type past struct {
	Records
	size ledger.Size
}

func (p past) Entry(i ledger.Index) (*ledger.Entry, error) {
	if ledger.Size(i) >= p.size {
		return nil, fmt.Errorf("entry %d is not among the first %d", i, p.size)
	}
	return p.Records.Entry(i)
}

func (p past) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	return p.Records.Mentions(id, min(before, ledger.Index(p.size)), yield)
}

func (p past) LastUse(id ledger.ConsentID) (use ledger.Index, ok bool, err error) {
	err = p.Mentions(id, math.MaxInt64, func(i ledger.Index, kind ledger.Kind) bool {
		use, ok = i, kind == ledger.ConsentUsed
		return !ok
	})
	return use, ok, err
}

func (p past) Purpose(id string) (ledger.Purpose, bool, error) { return p.PurposeAt(id, p.size) }

// AsOf answers how it was at q.At by what a log of this size knew: size is the number
// of entries whose time is not after q.At. Allowed and what explains it is the decision
// that the log of that moment leads to, with the purposes as they were defined: the
// records are put together anew from the entries about them up to then. Hindsight is
// the same answer less what is known now: what stops and was recorded later although
// it had happened by then (its source says so: `occurred`), and what was found to have
// been invalid all the time.
//
// Of consents only ID, Purpose, Channel, Request and Last are looked at, and of what
// came after size only what hindsight makes necessary. Entries that are needed and not
// there, or that do not lead from the newest to the one that opened the record, are an
// error.
//
// Limits. Asked about are the records that are given: whose they were then is not
// known. Those that were locked or erased by then are left out, as whoever asked was
// not shown them. The suppression list is not asked: it keeps months only. An
// objection that was recorded late stops everything that was opened until it was
// recorded, as it does now.
func AsOf(r Records, size ledger.Size, consents []ledger.Consent, q Question) (Answer, error) {
	p := past{r, size}
	var then, known []record
	for _, c := range consents {
		entries, err := entriesOf(r, c)
		if err != nil {
			return Answer{}, err
		}
		was, is := p.rebuild(c, entries, q.At)
		if was.Overlays.Has(ledger.Locked) || was.Overlays.Has(ledger.Erased) {
			continue
		}
		if ledger.Size(c.ID) < size {
			then = append(then, was)
		}
		if ledger.Size(c.ID) < size || is.State != ledger.NoState && !is.State.Live() {
			known = append(known, is)
		}
	}
	v, _, err := decide(p, then, q, nil)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Allowed: v.Allowed, Reason: v.Reason, Consent: v.Record.ID}
	if v.Reason == ReasonPending {
		expires, err := p.expires(v.Record)
		if err != nil {
			return Answer{}, err
		}
		if IsOver(expires, q.At) {
			a.Reason = ledger.Lapsed.String()
		}
	}
	if v.Allowed {
		hindsight, _, err := decide(p, known, q, nil)
		if err != nil {
			return Answer{}, err
		}
		a.Hindsight = hindsight.Allowed
	}
	return a, nil
}

// rebuild puts a record together as the log of that size had it, and as it would
// have been had everything been recorded at once that had happened by a moment.
// Neither has a state that had none.
func (p past) rebuild(c ledger.Consent, entries []*ledger.Entry, at time.Time) (was, is record) {
	was.Consent = ledger.Consent{ID: c.ID, Purpose: c.Purpose, Channel: c.Channel, Request: c.Request}
	for _, e := range entries {
		if ledger.Size(e.Index) < p.size {
			was.Consent = ledger.Apply(was.Consent, e)
		}
	}
	is = was
	for _, e := range entries {
		happened := e.Kind == ledger.ConsentInvalidated || !e.Occurred.IsZero() && !e.Occurred.After(at)
		if ledger.Size(e.Index) < p.size || !happened || is.State == ledger.NoState && e.Index != ledger.Index(c.ID) {
			continue
		}
		is.Consent = ledger.Apply(is.Consent, e)
		// Its entry is not among those of then, where the others are read.
		is.Last = was.Last
		if e.Kind == ledger.RestrictionSet || e.Kind == ledger.RestrictionLifted {
			is.restricts = restrictsOn(e.Ground)
		}
	}
	return was, is
}

// expires gives when the newest link of a request ends: that of the newest resend that
// has one of its own, or the request's.
func (p past) expires(c ledger.Consent) (at time.Time, err error) {
	var failed error
	err = p.Mentions(c.ID, math.MaxInt64, func(i ledger.Index, kind ledger.Kind) bool {
		if kind == ledger.ConfirmationResent {
			var e *ledger.Entry
			if e, failed = p.Entry(i); failed == nil {
				at = e.Expires
			}
		}
		return at.IsZero() && failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil || !at.IsZero() {
		return at, err
	}
	opened, err := p.Entry(ledger.Index(c.ID))
	if err != nil {
		return at, err
	}
	return opened.Expires, nil
}

// entriesOf gives the entries that say what a record is, ascending: those that
// opened and changed it, and of those that mention it the ones that bear on a
// decision.
func entriesOf(r Records, c ledger.Consent) (entries []*ledger.Entry, err error) {
	var at []ledger.Index
	err = r.Mentions(c.ID, math.MaxInt64, func(i ledger.Index, kind ledger.Kind) bool {
		switch kind {
		case ledger.ConfirmationSent, ledger.ConfirmationAttached, ledger.TrackingChanged, ledger.GuardianAuthorised, ledger.SignalReceived:
			at = append(at, i)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for i := c.Last; ; {
		e, err := r.Entry(i)
		if err != nil {
			return nil, err
		}
		if entries = append(entries, e); i == ledger.Index(c.ID) {
			break
		}
		before := Previous(e, c.ID)
		if before < 0 || before >= i {
			return nil, fmt.Errorf("entry %d does not lead to the one that opened consent %d", i, c.ID)
		}
		i = before
	}
	for _, i := range at {
		e, err := r.Entry(i)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *ledger.Entry) int { return cmp.Compare(a.Index, b.Index) })
	return entries, nil
}
