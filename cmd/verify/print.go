package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
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
		if len(rep.Witnesses) > 0 {
			p.Line("signed by   %s", strings.Join(rep.Witnesses, ", "))
		}
		if rep.Since != "" {
			p.Line("history     %s", rep.Since)
		}
	}
	p.List("Checked", rep.Checked)
	p.List("Not checked", rep.NotChecked)
	if rep.Verdict == ledger.Verified.String() {
		p.List("Findings", findings(rep))
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
				lines = append(lines, fmt.Sprintf("  entry %d", fact.Index))
			} else {
				lines = append(lines, fmt.Sprintf("  entry %d about consent %d", fact.Index, fact.Consent))
			}
		}
		if more := rep.Irregular[name] - listed; more > 0 {
			lines = append(lines, fmt.Sprintf("  and %d more", more))
		}
	}
	return lines
}

func counts(n map[string]int64) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		lines = append(lines, fmt.Sprintf("%-24s %d", name, n[name]))
	}
	return lines
}

// printReceipt writes the report of a receipt as text.
func printReceipt(w io.Writer, rep *ledger.ReceiptReport) error {
	p := printer{plaintext.New(w)}
	p.verdict(rep.Verdict, rep.Reason)
	if rep.Origin != "" {
		p.Line("")
		p.Line("log         %s", rep.Origin)
		p.Line("entry       %d of %d", rep.Index, rep.Size)
		if rep.Kind != "" {
			p.Line("kind        %s", rep.Kind)
			p.Line("recorded    %s by the operator's clock", rep.Time.Format(time.RFC3339))
		}
		p.Line("leaf hash   %s", rep.LeafHash)
		p.Line("root        %s", rep.Root)
		p.Line("anchors     %s", rep.Anchors)
		if len(rep.Witnesses) > 0 {
			p.Line("signed by   %s", strings.Join(rep.Witnesses, ", "))
		}
	}
	p.List("Checked", rep.Checked)
	p.List("Not checked", rep.NotChecked)
	if rep.Origin != "" {
		p.List("Cannot be proven by any receipt", rep.CannotProve)
	}
	return p.Flush()
}

// printErasure writes the report of an erasure receipt as text.
func printErasure(w io.Writer, rep *ledger.ErasureReport) error {
	p := printer{plaintext.New(w)}
	p.verdict(rep.Verdict, rep.Reason)
	if rep.Origin != "" {
		p.Line("")
		p.Line("log         %s", rep.Origin)
		if rep.Verdict == ledger.Verified.String() {
			p.erasure(rep)
		}
		p.Line("anchors     %s", rep.Anchors)
		if len(rep.Witnesses) > 0 {
			p.Line("signed by   %s", strings.Join(rep.Witnesses, ", "))
		}
	}
	p.List("Consents erased", numbers(rep.Consents))
	var entries []string
	for _, e := range rep.Entries {
		line := fmt.Sprintf("%d of %d, leaf hash %s", e.Index, e.Size, e.LeafHash)
		if e.Kind != "" {
			line += fmt.Sprintf(": %s, recorded %s", e.Kind, e.Time.Format(time.RFC3339))
		}
		entries = append(entries, line)
	}
	p.List("Entries", entries)
	p.List("Checked", rep.Checked)
	p.List("Not checked", rep.NotChecked)
	p.List("Not proven by this receipt", rep.CannotProve)
	return p.Flush()
}

// erasure writes what the receipt says of the erasure.
func (p printer) erasure(rep *ledger.ErasureReport) {
	p.Line("erased      recorded %s by the operator's clock, for the reason %s", rep.Recorded.Format(time.RFC3339), rep.ErasureReason)
	p.Line("contents    recorded as destroyed %s: since then nobody shall be able to read the erased data", rep.ContentsDestroyed.Format(time.RFC3339))
	due := rep.ExistenceDue.Format(time.RFC3339)
	if rep.ExistenceDestroyed.IsZero() {
		p.Line("existence   promised to be destroyed by %s: until then whoever runs the ledger can test a guessed address", due)
	} else {
		p.Line("existence   recorded as destroyed %s, due by %s: since then nobody shall be able to test a guessed address", rep.ExistenceDestroyed.Format(time.RFC3339), due)
	}
	p.Line("root key    generation %d replaced the destroyed one; medium: %s", rep.Generation, rep.Medium)
}

// numbers gives ids in lines of a readable length.
func numbers(ids []ledger.ConsentID) []string {
	var lines []string
	for some := range slices.Chunk(ids, 10) {
		lines = append(lines, strings.Trim(fmt.Sprint(some), "[]"))
	}
	return lines
}

// printJSON writes a report as JSON.
func printJSON(w io.Writer, report any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
