package service

import (
	"context"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Periods of a purpose that says nothing else, in days.
const (
	defaultLockDays   = 30 // from the end of a consent to the lock
	defaultLapsedDays = 30 // from the lapse of a request to the shredding
)

// What becomes due, and what is then done. They stand in retention.applied,
// except that nothing is recorded of a warning and of a request that expires,
// which has a kind of its own.
const (
	ruleWithdrawn = "withdrawn" // ended by whatever: locked
	ruleLapsed    = "lapsed"    // expired, then shredded: strangers' addresses do not stay
	ruleUnused    = "unused"
	ruleValidity  = "validity" // a grant counts no longer
	ruleEvidence  = "evidence" // the lock is over: shredded

	measureWarn   = decision.MeasureWarn
	measureExpire = decision.MeasureExpire
	measureLock   = "lock"
	measureShred  = "shred"
)

// due is what becomes of one consent, and when.
type due struct {
	consent ledger.Consent
	rule    string
	measure string
	at      time.Time
	until   time.Time   // of a lock
	lock    ledger.Hash // of a request that expires
}

// duesOf says what becomes due of a consent next: one measure at most, and a
// warning. Objections stay: they are what keeps a person from being written to. So
// do the records that keep tracking off.
func duesOf(r records, c ledger.Consent) ([]due, error) {
	locked := c.Overlays.Has(ledger.Locked)
	if c.Overlays.Has(ledger.Erased) || !locked && (c.State == ledger.Objected || keepsTrackingOff(c)) {
		return nil, nil
	}
	p, _, err := r.Purpose(c.Purpose)
	if err != nil {
		return nil, err
	}
	if !locked && c.State.Allows() && (c.State == ledger.Asserted || p.ValidityDays == 0 && p.UnusedDays == 0) {
		return nil, nil // spares reading the history of most consents there are
	}
	h, err := historyOf(r, c)
	if err != nil {
		return nil, err
	}
	d := due{consent: c}
	switch {
	case locked:
		d.rule, d.measure, d.at = ruleEvidence, measureShred, h.lockedUntil
	case c.State == ledger.Requested:
		waits, err := newestLock(r, c, h.opened)
		if err != nil {
			return nil, err
		}
		d.rule, d.measure, d.at, d.lock = ruleLapsed, measureExpire, waits.Expires, waits.Lock
	case c.State == ledger.Lapsed:
		lapsed, err := lapsedAt(r, c, h)
		if err != nil {
			return nil, err
		}
		d.rule, d.measure, d.at = ruleLapsed, measureShred, lapsed.Add(decision.Days(orDefault(p.LapsedDays, defaultLapsedDays)))
	case c.State.Allows():
		return termsDue(c, p, h), nil
	default:
		d.rule, d.measure, d.at = ruleWithdrawn, measureLock, h.ended.Add(decision.Days(orDefault(p.LockDays, defaultLockDays)))
		d.until = wholeSecond(decision.Later(h.evidenceUntil(c, p), d.at))
	}
	return []due{d}, nil
}

// termsDue says what becomes due of a consent that allows by the terms of its
// purpose: it expires when the first of them ends.
func termsDue(c ledger.Consent, p ledger.Purpose, h history) (list []due) {
	valid, resting := decision.ValidUntil(p, h.grant), time.Time{}
	if p.UnusedMeasure == measureExpire {
		resting = decision.RestsUntil(p, h.grant, h.used)
	}
	switch first := decision.Sooner(valid, resting); {
	case first.IsZero():
	case first.Equal(valid):
		list = append(list, due{consent: c, rule: ruleValidity, measure: measureExpire, at: valid})
	default:
		list = append(list, due{consent: c, rule: ruleUnused, measure: measureExpire, at: resting})
	}
	if p.UnusedDays > 0 && p.UnusedMeasure == measureWarn {
		list = append(list, due{consent: c, rule: ruleUnused, measure: measureWarn, at: decision.Lively(h.grant, h.used).Add(decision.Days(p.UnusedDays))})
	}
	return list
}

// keepsTrackingOff reports whether a record says that its person chose not to be
// tracked, or that the newest signal of their browser said no. Without it the purpose's default would count again.
func keepsTrackingOff(c ledger.Consent) bool {
	return ledger.IsTracking(c.Purpose) && !c.State.Live() &&
		(c.State == ledger.Refused || c.Mode == ledger.ModeNone || c.Mode == ledger.Anonymous || c.Evidence&ledger.EvSignalNo != 0)
}

// lapsedAt is when a request lapsed: rejected before its newest link expired, or
// then.
func lapsedAt(r records, c ledger.Consent, h history) (time.Time, error) {
	waited, err := newestLock(r, c, h.opened)
	return decision.Sooner(h.ended, waited.Expires), err
}

func orDefault(n, otherwise int64) int64 {
	if n == 0 {
		return otherwise
	}
	return n
}

// isPast reports whether the moment has come. A link is good up to and
// including its last moment.
func (d *due) isPast(now time.Time) bool { return now.After(d.at) }

// kept reports whether something forbids what is due.
func (d *due) kept() bool { return d.measure == measureShred && pinned(d.consent) }

// dueUntil goes through all consents there are and gives what is due at a moment.
// It reads every consent's row and the history of those that may be due.
func dueUntil(ctx context.Context, snap *store.Snapshot, at time.Time, yield func(due)) error {
	return snap.Consents(0, ledger.ConsentID(snap.Size()), func(c ledger.Consent) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		list, err := duesOf(published{snap}, c)
		for _, d := range list {
			if d.isPast(at) {
				yield(d)
			}
		}
		return err
	})
}

// RetentionItem is what is due, or was done, for one purpose.
type RetentionItem struct {
	Rule, Measure, Purpose string
	Consents               int
	FirstDue               time.Time
}

// RetentionReport says what a run did, or what a dry run would do.
type RetentionReport struct {
	At    time.Time
	Items []RetentionItem
	// Kept counts consents whose shredding is due and forbidden by a hold or a
	// restriction.
	Kept    int
	Applied bool
}
