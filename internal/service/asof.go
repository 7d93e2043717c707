package service

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// past reads histories as the log had them when it was of a size.
type past struct {
	*store.Snapshot
	size ledger.Size
}

func (p past) entry(i ledger.Index) (*ledger.Entry, error) {
	if ledger.Size(i) >= p.size {
		return nil, fmt.Errorf("%w: entry %d is not among the first %d", store.ErrNotFound, i, p.size)
	}
	return published{p.Snapshot}.entry(i)
}

func (p past) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	return p.Snapshot.Mentions(id, min(before, ledger.Index(p.size)), yield)
}

func (p past) LastUse(id ledger.ConsentID) (use ledger.Index, ok bool, err error) {
	err = p.Mentions(id, math.MaxInt64, func(i ledger.Index, kind ledger.Kind) bool {
		use, ok = i, kind == ledger.ConsentUsed
		return !ok
	})
	return use, ok, err
}

func (p past) Purpose(id string) (ledger.Purpose, bool, error) { return p.PurposeAt(id, p.size) }

// decideAt answers how it was at a moment. Then is the decision that the log of that
// moment leads to, with the purposes as they were defined: the records are put
// together anew from the entries about them up to then. Hindsight is the same answer
// less what is known now: what stops and was recorded later although it had happened
// by then (its source says so: `occurred`), and what was found to have been invalid
// all the time.
//
// Limits. Who is erased or locked by now is a stranger here, also about earlier
// times, and so is a record of theirs that retention has locked. The suppression
// list is not asked: it keeps months only. Whose address it was then is not known;
// asked about are the records of whoever has it now. An objection that was recorded
// late stops everything that was opened until it was recorded, as it does now.
func decideAt(snap *store.Snapshot, consents []ledger.Consent, q Question, d *Decision) error {
	size, err := snap.SizeAt(q.At)
	if err != nil {
		return err
	}
	p := past{snap, size}
	var then, known []record
	for _, c := range consents {
		entries, err := entriesOf(published{snap}, c)
		if err != nil {
			return err
		}
		was, is := p.rebuild(c, entries, q.At)
		if ledger.Size(c.ID) < size {
			then = append(then, was)
		}
		if ledger.Size(c.ID) < size || is.State != ledger.NoState && !is.State.Live() {
			known = append(known, is)
		}
	}
	v, _, err := decideBy(p, p, then, q, q.At, nil)
	if err != nil {
		return err
	}
	hindsight := v
	if v.allowed {
		if hindsight, _, err = decideBy(p, p, known, q, q.At, nil); err != nil {
			return err
		}
	}
	d.Then, d.Hindsight = &v.allowed, &hindsight.allowed
	return nil
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

// entriesOf gives the entries that say what a record is, ascending: those that
// opened and changed it, and of those that mention it the ones that bear on a
// decision.
func entriesOf(r records, c ledger.Consent) (entries []*ledger.Entry, err error) {
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
	for i := c.Last; i >= 0; {
		e, err := r.entry(i)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
		i = previous(e, c.ID)
	}
	for _, i := range at {
		e, err := r.entry(i)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *ledger.Entry) int { return cmp.Compare(a.Index, b.Index) })
	return entries, nil
}
