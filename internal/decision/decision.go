// Package decision makes the send decision: may this person be reached for this
// purpose on this channel at this moment?
//
// Start with [Decide], which answers how it is from the records of a person, and
// [AsOf], which answers how it was at a moment. The table above judge says how both
// decide.
//
// Promises: a decision depends on nothing but its arguments: the package reads no
// clock, no disk and no vault, and imports ledger alone. So whoever checks a proof
// bundle makes the decision that the ledger made. Everything here is safe for
// concurrent use if what it reads from is.
package decision

import (
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Purposes gives a purpose as it is, or was, in force.
type Purposes interface {
	Purpose(id string) (ledger.Purpose, bool, error)
}

// Log is what a decision reads: the log as it is, or as it was.
type Log interface {
	Purposes
	Entry(ledger.Index) (*ledger.Entry, error)
	// LastUse gives the newest consent.used that is about a consent.
	LastUse(ledger.ConsentID) (ledger.Index, bool, error)
}

// Question is what is asked about a person.
type Question struct {
	Purpose string
	Channel string
	At      time.Time
}

// Decide puts together what a decision rests on, and makes it: about the purpose
// asked for, and about what may be measured. consents are what the asker may see
// about the person, listed the purposes for which the person is on the suppression
// list. A request whose token has expired is pending like any other.
//
// The mode is, for a tracking purpose, its own, for another the lowest of the tracking
// purposes of the channel; NoMode if there are none.
func Decide(l Log, consents []ledger.Consent, q Question, listed []string) (Verdict, ledger.Mode, error) {
	about := make([]record, len(consents))
	for i, c := range consents {
		about[i].Consent = c
	}
	return decide(l, about, q, listed)
}

func decide(l Log, about []record, q Question, listed []string) (v Verdict, mode ledger.Mode, err error) {
	fill := func(p ledger.Purpose) (facts, error) {
		d := facts{purpose: p, channel: q.Channel, at: q.At, records: about}
		err := d.complete(l)
		d.suppressed = slices.ContainsFunc(d.stops, func(name string) bool { return slices.Contains(listed, name) })
		return d, err
	}
	p, ok, err := l.Purpose(q.Purpose)
	if err != nil {
		return v, mode, err
	}
	if !ok {
		v.Reason = ReasonUnknownPurpose
		return v, mode, nil
	}
	d, err := fill(p)
	if err != nil {
		return v, mode, err
	}
	if ledger.IsTracking(p.ID) {
		v, mode = judgeTracking(d)
		return v, mode, nil
	}
	mode, err = lowestMode(l, q.Channel, func(p ledger.Purpose) (ledger.Mode, error) {
		d, err := fill(p)
		if err != nil {
			return ledger.NoMode, err
		}
		m, _ := d.modeOf(judge(d))
		return m, nil
	})
	return judge(d), mode, err
}

// complete reads what a decision about their purpose needs besides the
// records themselves.
func (d *facts) complete(l Log) (err error) {
	if d.stops, err = StopsOf(l, d.purpose); err != nil {
		return err
	}
	stopped := false // one restriction of the whole person is enough
	for i := range d.records {
		c := &d.records[i]
		if !stopped && c.restricts == noRestriction {
			if c.restricts, err = restrictionOf(l, c.Consent); err != nil {
				return err
			}
		}
		stopped = stopped || c.restricts == wholePerson
		if !d.concerns(*c) || !c.State.Allows() || c.State == ledger.Asserted || !HasTerms(d.purpose) {
			continue
		}
		if c.grant, c.used, err = LifeOf(l, c.Consent, Rests(d.purpose)); err != nil {
			return err
		}
	}
	return nil
}

// restrictionOf gives what the restriction of a record stops. Only of who is
// restricted an entry is read.
func restrictionOf(l Log, c ledger.Consent) (restricts, error) {
	if !c.Overlays.Has(ledger.Restricted) {
		return noRestriction, nil
	} else if c.Kept {
		return wholePerson, nil
	}
	ground, err := GroundOf(l, c)
	return restrictsOn(ground), err
}
