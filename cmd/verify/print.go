package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/plaintext"
	"github.com/consentledger/consentledger/ledger"
)

// printer writes a report as text.
type printer struct{ *plaintext.Printer }

func (p printer) verdict(verdict, reason string) {
	if reason != "" {
		verdict += ": " + reason
	}
	p.Line("%s", verdict)
}

// printLog writes the report of a log as text: the verdict first, what cannot
// be proven last.
func printLog(w io.Writer, rep *ledger.LogReport) error {
	p := printer{plaintext.New(w)}
	p.verdict(rep.Verdict, rep.Reason)
	if rep.Origin != "" {
		p.Line("")
		p.Line("log         %s", rep.Origin)
		if rep.Controller != "" {
			p.Line("controller  %s", rep.Controller)
		}
		p.Line("entries     %d%s", rep.Size, span(rep.First, rep.Last))
		p.Line("root        %s", rep.Root)
		p.Line("anchors     %s", rep.Anchors)
		p.signers(signers(rep.Witnesses, rep.Cosigned))
		if rep.Since != "" {
			p.Line("history     %s", rep.Since)
		}
	}
	p.List("Checked", rep.Checked)
	p.List("Not checked", rep.NotChecked)
	if rep.Verdict == ledger.Verified.String() {
		p.List("Findings", findings(rep))
		p.List("Time stamps", stamps(rep))
		p.List("When its first entry came into the log, by others' clocks", moments(rep.FirstBounds, nil))
		p.List("When its last entry came into the log, by others' clocks", moments(rep.LastBounds, rep.Cosigned))
		p.List("Consents by state", counts(rep.States))
		p.List("Consents ever granted, by grade of evidence", counts(rep.Grades))
		p.List("Entries by kind", counts(rep.Kinds))
	} else {
		p.List("Findings before the check stopped", irregular(rep))
	}
	if rep.Origin != "" {
		p.List("Cannot be proven by any check of this log", rep.CannotProve)
	}
	return p.Flush()
}

// signers writes by whom the log is signed besides the operator.
func (p printer) signers(lines []string) {
	for i, line := range lines {
		title := "signed by"
		if i > 0 {
			title = ""
		}
		p.Line("%-11s %s", title, line)
	}
}

func span(first, last time.Time) string {
	if first.IsZero() {
		return ""
	}
	return fmt.Sprintf(", recorded %s to %s", first.Format(time.RFC3339), last.Format(time.RFC3339))
}

// findings are what a reader should know although the log verified.
func findings(rep *ledger.LogReport) []string {
	lines := irregular(rep)
	if len(lines) == 0 {
		lines = append(lines, "no irregular facts")
	}
	switch n := rep.PendingErasures; n {
	case 0:
		lines = append(lines, "every erasure's keys are recorded as shredded")
	case 1:
		lines = append(lines, "1 erasure whose keys are not yet recorded as shredded")
	default:
		lines = append(lines, fmt.Sprintf("%d erasures whose keys are not yet recorded as shredded", n))
	}
	if rep.RightsOpen == 0 {
		return append(lines, "no request of a person under Art. 15 to 22 GDPR waits for its answer")
	}
	return append(lines, fmt.Sprintf("requests of persons under Art. 15 to 22 GDPR that wait for their answer: %d, of them overdue: %d",
		rep.RightsOpen, rep.RightsOverdue))
}

// irregular lists the irregular facts, those of one name together.
func irregular(rep *ledger.LogReport) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(rep.Irregular)) {
		lines = append(lines, fmt.Sprintf("%d irregular: %s", rep.Irregular[name], name))
		listed := int64(0)
		for _, fact := range rep.IrregularFirst {
			if fact.Name != name {
				continue
			}
			listed++
			if fact.Consent < 0 {
				lines = append(lines, fmt.Sprintf("  entry %d%s", fact.Index, between(fact.Bounds)))
			} else {
				lines = append(lines, fmt.Sprintf("  entry %d about consent %d%s", fact.Index, fact.Consent, between(fact.Bounds)))
			}
		}
		if more := rep.Irregular[name] - listed; more > 0 {
			lines = append(lines, fmt.Sprintf("  and %d more", more))
		}
	}
	return lines
}

func counts[N int | int64](n map[string]N) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		lines = append(lines, fmt.Sprintf("%-24s %d", name, n[name]))
	}
	return lines
}

// held says what became of the log that a receipt was held against.
func (p printer) held(log *ledger.LogReport) {
	if log == nil {
		return
	}
	lines := []string{fmt.Sprintf("%s, %d entries%s", log.Verdict, log.Size, span(log.First, log.Last))}
	if log.Verdict == ledger.Verified.String() {
		lines = append(append(lines, log.Anchors), stamps(log)...)
	}
	p.List("The log that it was held against", lines)
}

// printJSON writes a report as JSON.
func printJSON(w io.Writer, report any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
