package service

import (
	"time"

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
	ruleEvidence  = "evidence" // the lock is over: shredded

	measureWarn   = "warn"
	measureExpire = "expire"
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

// dueOf says what becomes due of a consent next; false if nothing ever does.
// Objections stay: they are what keeps a person from being written to.
func dueOf(r records, c ledger.Consent) (d due, ok bool, err error) {
	if c.Overlays.Has(ledger.Erased) || c.State == ledger.Objected && !c.Overlays.Has(ledger.Locked) {
		return d, false, nil
	}
	p, _, err := r.Purpose(c.Purpose)
	if err != nil {
		return d, false, err
	}
	if c.State.Allows() && p.UnusedDays == 0 && !c.Overlays.Has(ledger.Locked) {
		return d, false, nil // spares reading the history of most consents there are
	}
	h, err := historyOf(r, c)
	if err != nil {
		return d, false, err
	}
	d.consent = c
	switch {
	case c.Overlays.Has(ledger.Locked):
		d.rule, d.measure, d.at = ruleEvidence, measureShred, h.lockedUntil
	case c.State == ledger.Requested:
		d.rule, d.measure, d.at, d.lock = ruleLapsed, measureExpire, h.opened.Expires, h.opened.Lock
	case c.State == ledger.Lapsed:
		d.rule, d.measure, d.at = ruleLapsed, measureShred, h.lapsed().Add(days(orDefault(p.LapsedDays, defaultLapsedDays)))
	case c.State.Allows():
		d.rule, d.measure, d.at = ruleUnused, p.UnusedMeasure, latest(h.granted, h.used).Add(days(p.UnusedDays))
	default:
		d.rule, d.measure, d.at = ruleWithdrawn, measureLock, h.ended.Add(days(orDefault(p.LockDays, defaultLockDays)))
		d.until = wholeSecond(latest(h.evidenceUntil(c, p), d.at))
	}
	return d, true, nil
}

// lapsed is when a request lapsed: rejected before its link expired, or then.
func (h history) lapsed() time.Time {
	if h.opened.Expires.Before(h.ended) {
		return h.opened.Expires
	}
	return h.ended
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
func dueUntil(snap *store.Snapshot, at time.Time, yield func(due)) error {
	return snap.Consents(0, ledger.ConsentID(snap.Size()), func(c ledger.Consent) error {
		d, ok, err := dueOf(published{snap}, c)
		if ok && err == nil && d.isPast(at) {
			yield(d)
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
