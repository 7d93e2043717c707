package decision

import (
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// How far a person may be tracked (§ 25 TDDDG) is up to, in this order:
//
//	the person's own choice, if there is one: the mode of their newest record of the
//	  tracking purpose that has one; a newer consent that allows is no choice, and
//	  takes an earlier one off;
//	nothing, if no consent allows it and the newest signal of the person's browser
//	  said no;
//	the purpose's default;
//	what consent allows: everything, or nothing without.
//
// Without a consent that allows it is never more than anonymous, and a choice of
// more than that, which rested on such a consent, has ended with it.

// trackingOn are the tracking purposes of each channel that has any.
var trackingOn = map[string][]string{
	"email": {"email.open_tracking", "email.click_tracking"},
	"web":   {"web.tracking"},
	"app":   {"web.tracking"},
}

// TrackingOn gives the tracking purposes of a channel; none for most. The list is not
// to be changed.
func TrackingOn(channel string) []string { return trackingOn[channel] }

// modeOf gives the mode that holds, of the facts about a tracking purpose about
// which judge has said v, and the record that has the person's choice (ID 0: none).
func (d *facts) modeOf(v Verdict) (ledger.Mode, ledger.Consent) {
	var chosen ledger.Consent
	objection := d.objection()
	for _, r := range d.records {
		if r.Purpose != d.purpose.ID || r.ID < chosen.ID {
			continue
		}
		allows := false
		if v.Allowed && d.concerns(r) && d.admits(r) {
			own, _ := d.judgeRecord(r, objection)
			allows = own.Allowed
		}
		if r.Mode != ledger.NoMode || allows {
			chosen = r.Consent
		}
	}
	usual := d.purpose.TrackingMode
	switch {
	case chosen.Mode != ledger.NoMode && (v.Allowed || chosen.Mode <= ledger.Anonymous):
		return chosen.Mode, chosen
	case v.Allowed && usual == ledger.NoMode:
		return ledger.Personal, ledger.Consent{}
	case v.Allowed:
		return usual, ledger.Consent{}
	case d.signalled():
		return ledger.ModeNone, ledger.Consent{}
	}
	return max(ledger.ModeNone, min(usual, ledger.Anonymous)), ledger.Consent{}
}

// signalled reports whether the newest signal about a tracking purpose said no. A
// signal lies on all records of the purpose that the person had when it came.
func (d *facts) signalled() bool {
	return slices.ContainsFunc(d.records, func(r record) bool { return r.Purpose == d.purpose.ID && r.Evidence&ledger.EvSignalNo != 0 })
}

// judgeTracking is judge for a tracking purpose: tracking that leads to a person is
// allowed if consent allows it and the mode does. Where the person chose less the
// reason is refused, where only the default is less it is no_consent.
func judgeTracking(d facts) (Verdict, ledger.Mode) {
	v := judge(d)
	v.Consented = v.Allowed
	mode, chosen := d.modeOf(v)
	if !v.Allowed || mode > ledger.Anonymous {
		return v, mode
	}
	if chosen.ID != 0 {
		return Verdict{Reason: ledger.Refused.String(), Record: chosen, Consented: true}, mode
	}
	return Verdict{Reason: ReasonNoConsent, Consented: true}, mode
}

// lowestMode gives the lowest mode of the tracking purposes of a channel, NoMode if
// none is defined.
func lowestMode(in Purposes, channel string, mode func(ledger.Purpose) (ledger.Mode, error)) (lowest ledger.Mode, err error) {
	for _, name := range trackingOn[channel] {
		p, ok, err := in.Purpose(name)
		if err != nil {
			return lowest, err
		} else if !ok {
			continue
		}
		m, err := mode(p)
		if err != nil {
			return lowest, err
		}
		if lowest == ledger.NoMode || m < lowest {
			lowest = m
		}
	}
	return lowest, nil
}

// ClosedMode is the mode of somebody of whom nothing is known for certain.
func ClosedMode(in Purposes, channel string) (ledger.Mode, error) {
	return lowestMode(in, channel, func(ledger.Purpose) (ledger.Mode, error) { return ledger.ModeNone, nil })
}
