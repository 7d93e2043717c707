// Package report turns a verified log into the reports that auditors ask for:
// population, erasures, access and withdrawals.
//
// Start with [New]: its [Maker.Each] goes into [ledger.VerifyOptions], so that one
// pass verifies the log and counts, and [Maker.Report] gives the report with the
// verdict. A log that does not verify gives no figures.
//
// A report holds no personal data, because the log holds none. The names and
// meanings of the fields stay what they are in later versions of a format.
//
// Memory beside the verifier's: population keeps 16 bytes per consent; erasures about
// 40 per consent of which data were passed to a processor and that is not erased, and
// 100 per subject.erased and per request under Art. 17; withdrawals about 120 per
// consent that ended, and 16 per system in which that took effect; access nothing that
// grows. A duration that is measured takes 8. Go's collector may need as much again.
package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Period bounds what is counted, by the ledger's time of the entries: From is
// within it, To is not. A zero time is no bound.
type Period struct{ From, To time.Time }

// contains reports whether a moment is within the period.
func (p Period) contains(at time.Time) bool { return !at.Before(p.From) && !p.isOver(at) }

func (p Period) isOver(at time.Time) bool { return !p.To.IsZero() && !at.Before(p.To) }

// Report is a report. Its JSON is versioned by Format.
type Report struct {
	Format  string `json:"format"` // consent-ledger/report-<name>/v1
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"` // why the verdict is not VERIFIED
	// The checkpoint of the log that was read, and whose word it rests on.
	Origin     string      `json:"origin,omitempty"`
	Controller string      `json:"controller,omitempty"`
	Size       ledger.Size `json:"size"`
	Root       string      `json:"root,omitempty"`
	Anchors    string      `json:"anchors,omitempty"`
	Witnesses  []string    `json:"witnesses,omitempty"`
	First      time.Time   `json:"first_entry_time,omitzero"`
	Last       time.Time   `json:"last_entry_time,omitzero"`
	// From and To bound the period; absent where it is not bounded.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Figures is a *Population, *Erasures, *Access or *Withdrawals; nil unless the
	// verdict is VERIFIED.
	Figures    Figures  `json:"figures,omitempty"`
	NotChecked []string `json:"not_checked"`
	CannotShow []string `json:"cannot_show"`
}

// Figures is what one sort of report counts.
type Figures interface {
	// each takes the next entry. within says whether the period contains it.
	each(e *ledger.Entry, eff *ledger.Effects, h ledger.History, within bool) error
	// finish sums up. last is the time of the newest entry.
	finish(size ledger.Size, last time.Time)
	text(p *printer)
	// cannotShow says what this report cannot show, beside what no verification can.
	cannotShow() []string
}

// Names lists the reports that there are.
func Names() []string { return []string{"population", "erasures", "access", "withdrawals"} }

// Maker makes one report. It is not safe for concurrent use, and used once.
type Maker struct {
	name    string
	period  Period
	figures Figures
	last    time.Time
}

// New begins a report, one of [Names].
func New(name string, period Period) (*Maker, error) {
	if !period.From.IsZero() && !period.To.IsZero() && !period.From.Before(period.To) {
		return nil, fmt.Errorf("the period ends before it begins, or as it begins")
	}
	m := &Maker{name: name, period: period}
	switch name {
	case "population":
		m.figures = newPopulation(period)
	case "erasures":
		m.figures = newErasures()
	case "access":
		m.figures = newAccess()
	case "withdrawals":
		m.figures = newWithdrawals()
	default:
		return nil, fmt.Errorf("there is no report %q", name)
	}
	return m, nil
}

// Each counts one entry; it is for [ledger.VerifyOptions].
func (m *Maker) Each(e *ledger.Entry, eff *ledger.Effects, h ledger.History) error {
	m.last = e.Time
	return m.figures.each(e, eff, h, m.period.contains(e.Time))
}

// Report gives the report on the log that was verified.
func (m *Maker) Report(v *ledger.LogReport) *Report {
	r := &Report{Format: "consent-ledger/report-" + m.name + "/v1", Verdict: v.Verdict, Reason: v.Reason,
		Origin: v.Origin, Controller: v.Controller, Size: v.Size, Root: v.Root, Anchors: v.Anchors, Witnesses: v.Witnesses,
		First: v.First, Last: v.Last, From: m.period.From, To: m.period.To,
		NotChecked: append([]string{}, v.NotChecked...), CannotShow: slices.Concat(m.figures.cannotShow(), v.CannotProve)}
	if v.Verdict == ledger.Verified.String() {
		m.figures.finish(v.Size, m.last)
		r.Figures = m.figures
	}
	return r
}

// happened is when something happened as its source dates it, else as the ledger
// recorded it.
func happened(e *ledger.Entry) time.Time {
	if e.Occurred.IsZero() {
		return e.Time
	}
	return e.Occurred
}

// isFirst reports whether an entry is the only one of its list, or the first part.
func isFirst(e *ledger.Entry) bool { return e.Part <= 1 }
