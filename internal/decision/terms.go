package decision

import (
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// The terms of a purpose count in days of 24 hours from a moment: 365 days from 29
// February 2028 end on 28 February 2029, at the same time of day by UTC. What holds
// until a moment still holds at it. Clocks that disagree are settled against the
// sender: validity counts from the grant as the source dates it, but never from a
// later moment than the ledger's.

// What becomes of consents that nobody uses, as a purpose says it.
const (
	MeasureWarn   = "warn"
	MeasureBlock  = "block"
	MeasureExpire = "expire"
)

// ValidUntil gives until when a grant counts; the zero time is for ever.
func ValidUntil(p ledger.Purpose, grant Stamp) time.Time {
	if p.ValidityDays == 0 {
		return time.Time{}
	}
	return grant.Earliest().Add(Days(p.ValidityDays))
}

// RestsUntil gives until when a consent may go unused before its purpose blocks it
// or lets it expire; the zero time is for ever.
func RestsUntil(p ledger.Purpose, grant, used Stamp) time.Time {
	if p.UnusedDays == 0 || p.UnusedMeasure != MeasureBlock && p.UnusedMeasure != MeasureExpire {
		return time.Time{}
	}
	return Lively(grant, used).Add(Days(p.UnusedDays))
}

// WarnedFrom gives from when on whoever uses a consent is warned that it was not
// used for long; the zero time is never.
func WarnedFrom(p ledger.Purpose, grant, used Stamp) time.Time {
	var at time.Time
	if p.UnusedWarnDays > 0 {
		at = Lively(grant, used).Add(Days(p.UnusedWarnDays))
	}
	if p.UnusedDays > 0 && p.UnusedMeasure == MeasureWarn {
		at = Sooner(at, Lively(grant, used).Add(Days(p.UnusedDays)))
	}
	return at
}

// HasTerms reports whether what a purpose says about its consents counts from
// their grant or their use.
func HasTerms(p ledger.Purpose) bool { return p.ValidityDays > 0 || Rests(p) }

// Rests reports whether a purpose says what becomes of consents that nobody uses.
func Rests(p ledger.Purpose) bool { return p.UnusedDays > 0 || p.UnusedWarnDays > 0 }

// Lively is from when on a consent counts as unused: the newest use as its source
// dates it, but not before the grant was recorded here. Uses of before an import
// are not known, so what is imported begins anew.
func Lively(grant, used Stamp) time.Time { return Later(grant.Recorded, used.Earliest()) }

// Stamp is when something happened: by the ledger's clock, and as the source dates
// it, which is the zero time if it does not.
type Stamp struct{ Recorded, Claimed time.Time }

// StampOf gives when an entry says that it happened.
func StampOf(e *ledger.Entry) Stamp { return Stamp{e.Time, e.Occurred} }

// Earliest is for what ends by itself: never counted from too late a moment.
func (s Stamp) Earliest() time.Time {
	if s.Claimed.IsZero() || s.Recorded.Before(s.Claimed) {
		return s.Recorded
	}
	return s.Claimed
}

// Latest is for what must be kept: never counted from too early a moment.
func (s Stamp) Latest() time.Time { return Later(s.Recorded, s.Claimed) }

// maxDays is the longest term, 292 years: what a [time.Duration] holds. A longer one,
// which the rules of the log allow, counts as so long.
const maxDays = 106_751

// Days gives so many days of 24 hours, at most 106,751.
func Days(n int64) time.Duration { return time.Duration(min(n, maxDays)) * 24 * time.Hour }

// Later gives the later of two moments.
func Later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Sooner gives the earlier of two moments of which the zero time never comes.
func Sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// IsOver reports whether a moment has passed; the zero time never comes.
func IsOver(until, at time.Time) bool { return !until.IsZero() && at.After(until) }
