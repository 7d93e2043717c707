package service

import (
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// The terms of a purpose count in days of 24 hours from a moment: 365 days from 29
// February 2028 end on 28 February 2029, at the same time of day by UTC. What holds
// until a moment still holds at it. Clocks that disagree are settled against the
// sender: validity counts from the grant as the source dates it, but never from a
// later moment than the ledger's.

// validUntil gives until when a grant counts; the zero time is for ever.
func validUntil(p ledger.Purpose, grant stamp) time.Time {
	if p.ValidityDays == 0 {
		return time.Time{}
	}
	return grant.earliest().Add(days(p.ValidityDays))
}

// restsUntil gives until when a consent may go unused before its purpose blocks it
// or lets it expire; the zero time is for ever.
func restsUntil(p ledger.Purpose, grant, used stamp) time.Time {
	if p.UnusedDays == 0 || p.UnusedMeasure != measureBlock && p.UnusedMeasure != measureExpire {
		return time.Time{}
	}
	return lively(grant, used).Add(days(p.UnusedDays))
}

// warnedFrom gives from when on whoever uses a consent is warned that it was not
// used for long; the zero time is never.
func warnedFrom(p ledger.Purpose, grant, used stamp) time.Time {
	var at time.Time
	if p.UnusedWarnDays > 0 {
		at = lively(grant, used).Add(days(p.UnusedWarnDays))
	}
	if p.UnusedDays > 0 && p.UnusedMeasure == measureWarn {
		at = sooner(at, lively(grant, used).Add(days(p.UnusedDays)))
	}
	return at
}

// hasTerms reports whether what a purpose says about its consents counts from
// their grant or their use.
func hasTerms(p ledger.Purpose) bool { return p.ValidityDays > 0 || rests(p) }

// rests reports whether a purpose says what becomes of consents that nobody uses.
func rests(p ledger.Purpose) bool { return p.UnusedDays > 0 || p.UnusedWarnDays > 0 }

// lively is from when on a consent counts as unused: the newest use as its source
// dates it, but not before the grant was recorded here. Uses of before an import
// are not known, so what is imported begins anew.
func lively(grant, used stamp) time.Time { return latest(grant.recorded, used.earliest()) }

// stamp is when something happened: by the ledger's clock, and as the source dates
// it, which is the zero time if it does not.
type stamp struct{ recorded, claimed time.Time }

func stampOf(e *ledger.Entry) stamp { return stamp{e.Time, e.Occurred} }

// earliest is for what ends by itself: never counted from too late a moment.
func (s stamp) earliest() time.Time {
	if s.claimed.IsZero() || s.recorded.Before(s.claimed) {
		return s.recorded
	}
	return s.claimed
}

// latest is for what must be kept: never counted from too early a moment.
func (s stamp) latest() time.Time { return latest(s.recorded, s.claimed) }

func days(n int64) time.Duration { return time.Duration(n) * 24 * time.Hour }

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// sooner gives the earlier of two moments of which the zero time never comes.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// isOver reports whether a moment has passed; the zero time never comes.
func isOver(until, at time.Time) bool { return !until.IsZero() && at.After(until) }
