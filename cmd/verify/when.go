package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// moments says when an entry came into the log by the clocks of time-stamping
// authorities and of the witnesses of a checkpoint with it.
func moments(b *ledger.Interval, seen []ledger.Cosigned) []string {
	var lines []string
	if b != nil && b.NotInLogAt != nil {
		lines = append(lines, "not in the log at  "+stamped(b.NotInLogAt))
	}
	if b != nil && b.InLogAt != nil {
		lines = append(lines, "in the log at      "+stamped(b.InLogAt))
	}
	for _, c := range seen {
		lines = append(lines, fmt.Sprintf("in the log at      %s, WITNESSED by %s", c.Time.Format(time.RFC3339), c.Witness))
	}
	return lines
}

// stamped says when a stamp was made and by whom.
func stamped(a *ledger.Anchored) string {
	return fmt.Sprintf("%s, %s by %s with entry %d", clock(a), a.Word(), a.Authority, a.Index)
}

// clock says when a stamp was made.
func clock(a *ledger.Anchored) string {
	text := a.Time.Format(time.RFC3339Nano)
	if a.Accuracy > 0 {
		text += fmt.Sprintf(" ±%gs", a.Accuracy)
	}
	return text
}

// between says when an entry was recorded, in the line that names it.
func between(b *ledger.Interval) string {
	switch {
	case b == nil:
		return ""
	case b.NotInLogAt == nil:
		return ", in the log by " + clock(b.InLogAt)
	case b.InLogAt == nil:
		return ", in the log after " + clock(b.NotInLogAt)
	}
	return ", in the log after " + clock(b.NotInLogAt) + " and by " + clock(b.InLogAt)
}

// maxReasons is how many reasons are listed for which time stamps do not count.
const maxReasons = 5

// stamps lists whose time stamps a log has, and what is wrong with the others.
func stamps(log *ledger.LogReport) []string {
	var lines []string
	type authority struct {
		qualified bool
		name      string
	}
	var order []authority
	by := map[authority][]ledger.Anchored{}
	for _, s := range log.Stamps {
		a := authority{s.Qualified, s.Authority}
		if by[a] == nil {
			order = append(order, a)
		}
		by[a] = append(by[a], s)
	}
	for _, a := range order {
		first, last := by[a][0], by[a][len(by[a])-1]
		line := fmt.Sprintf("%d %s by %s: %s over %d entries", len(by[a]), first.Word(), a.name, clock(&first), first.Size)
		if len(by[a]) > 1 {
			line += fmt.Sprintf(" to %s over %d entries", clock(&last), last.Size)
		}
		lines = append(lines, line)
	}
	reasons := map[string][]ledger.Index{}
	var said []string
	for _, s := range log.StampsNotCounted {
		if reasons[s.Reason] == nil {
			said = append(said, s.Reason)
		}
		reasons[s.Reason] = append(reasons[s.Reason], s.Index)
	}
	for i, why := range said {
		if i == maxReasons {
			lines = append(lines, fmt.Sprintf("and %d more reasons for which others do not count", len(said)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("%d not counted, the first with entry %d: %s", len(reasons[why]), reasons[why][0], why))
	}
	return lines
}

// signers names the witnesses that signed, each with the time of its clock.
func signers(witnesses []string, seen []ledger.Cosigned) []string {
	var lines []string
	for _, name := range witnesses {
		line := name
		if i := slices.IndexFunc(seen, func(c ledger.Cosigned) bool { return c.Witness == name }); i >= 0 {
			line += " at " + seen[i].Time.Format(time.RFC3339) + " by its clock"
		}
		lines = append(lines, line)
	}
	return lines
}
