package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/plaintext"
	"github.com/consentledger/consentledger/ledger"
)

// printBundle writes the report of a bundle as text: the verdict and whose word it
// rests on, then the answers, then what they come from. A report of what is not verified
// has no answers.
func printBundle(w io.Writer, rep *verdict.Report, checks []handCheck) error {
	p := printer{plaintext.New(w)}
	p.Line("%s", headline(rep))
	if rep.Origin != "" {
		p.Line("This verdict is computed from the evidence in the bundle. The report in it (docs/) is the operator's rendering: nothing here is taken from it.")
		p.bundle(rep)
	}
	for i, q := range rep.Questions {
		p.List(fmt.Sprintf("Question %d, might this person be reached for %s, on the channel %s, at %s", i+1, q.Purpose, q.Channel, q.At.Format(time.RFC3339)), answer(&q))
	}
	p.List("Records", records(rep.Consents))
	if r := rep.Range; r != nil {
		p.List(fmt.Sprintf("Entries %d to %d, by kind", r.Start, r.End-1), counts(r.Kinds))
	}
	p.List("Irregular facts", irregular(irregularities(rep.Irregular)))
	p.List("Time stamps", append(stamps(&ledger.LogReport{Stamps: rep.Stamps, StampsNotCounted: rep.StampsNotCounted}), manifestStamp(rep.ManifestStamp)...))
	p.held(rep.Log)
	p.List("Checked", rep.Checked)
	p.List("Not checked", rep.NotChecked)
	if rep.Origin != "" {
		p.List("Cannot be proven by any check of this bundle", rep.CannotProve)
	}
	p.byHand(checks)
	return p.Flush()
}

// headline gives the verdict with the word for what it rests on, or why there is none.
func headline(rep *verdict.Report) string {
	switch {
	case rep.Reason != "":
		return rep.Verdict + ": " + rep.Reason
	case rep.Anchors != "":
		return rep.Verdict + ", " + anchors(rep.Anchors)
	}
	return rep.Verdict
}

// anchors gives the words of the verdict without what they mean.
func anchors(words string) string {
	words, _, _ = strings.Cut(words, ":")
	return words
}

// bundle writes what is verified, in a line each.
func (p printer) bundle(rep *verdict.Report) {
	p.Line("")
	p.Line("log         %s", rep.Origin)
	if rep.Controller != "" {
		p.Line("controller  %s", rep.Controller)
	}
	if !rep.Made.IsZero() {
		recorded := "which no entry records"
		if rep.Exported != nil {
			recorded = fmt.Sprintf("recorded as entry %d", *rep.Exported)
		}
		p.Line("made        %s by the operator's clock, %s", rep.Made.Format(time.RFC3339), recorded)
	}
	p.Line("holds       %d files; of the %d entries of the log %d", rep.Files, rep.Size, rep.Entries)
	p.Line("values      %d disclosed; %d more are committed to and not disclosed", rep.Disclosed, rep.Undisclosed)
	p.Line("root        %s", rep.Root)
	if rep.Anchors != "" {
		p.Line("anchors     %s", rep.Anchors)
	}
	p.signers(signers(rep.Witnesses, rep.Cosigned))
}

// answer gives the answer to a question and what it rests on.
func answer(q *verdict.Answered) []string {
	line := yes(q.Allowed) + ": " + q.Reason
	if q.Consent != nil {
		line += fmt.Sprintf(", by consent %d", *q.Consent)
	}
	if q.Grade != "" {
		line += ", grade " + q.Grade
	}
	lines := []string{line}
	if q.Hindsight != q.Allowed {
		lines = append(lines, yes(q.Hindsight)+" by what was recorded later and bears on that moment")
	}
	lines = append(lines, "anchors: "+anchors(q.Anchors), "evidence:")
	for _, e := range q.Evidence {
		lines = append(lines, fmt.Sprintf("  entry %d, %s, recorded %s by the operator's clock", e.Entry, e.Kind, e.Time.Format(time.RFC3339)), "    "+e.Says)
		for _, m := range moments(e.Bounds, nil) {
			lines = append(lines, "    "+m)
		}
		if len(e.Disclosed) > 0 {
			lines = append(lines, "    discloses "+strings.Join(e.Disclosed, ", "))
		}
	}
	for i, m := range q.Missing {
		if i == 0 {
			lines = append(lines, "missing:")
		}
		lines = append(lines, "  "+m)
	}
	return lines
}

func yes(allowed bool) string {
	if allowed {
		return "YES"
	}
	return "NO"
}

// records says how the records stand that the bundle is about.
func records(consents []verdict.ConsentReport) []string {
	var lines []string
	for _, c := range consents {
		line := fmt.Sprintf("consent %d, %s, %s: %s", c.Consent, c.Purpose, c.Channel, strings.Join(append([]string{c.State}, c.Overlays...), ", "))
		if c.Grade != "" {
			line += ", grade " + c.Grade
		}
		if c.Notice != "" {
			line += ", notice " + c.Notice
		}
		lines = append(lines, line, fmt.Sprintf("  changed last by entry %d: the state committed with entry %d shows that no later change before it is left out", c.Last, c.Committed))
		for _, some := range numbers(c.Entries) {
			lines = append(lines, "  entries "+some)
		}
		if e := c.Erased; e != nil {
			lines = append(lines, fmt.Sprintf("  erased with entry %d, so that nothing can be disclosed", e.Entry))
			for _, said := range erasure(&ledger.ErasureReport{Recorded: e.Time, ErasureReason: e.Reason, ContentsDestroyed: e.ContentsDestroyed,
				ExistenceDue: e.ExistenceDue, ExistenceDestroyed: e.ExistenceDestroyed, Generation: e.Generation, Medium: e.Medium}) {
				lines = append(lines, "    "+said)
			}
		}
	}
	return lines
}

// irregularities gives these facts as the report of a log has them.
func irregularities(facts []ledger.Irregularity) *ledger.LogReport {
	rep := &ledger.LogReport{Irregular: map[string]int64{}, IrregularFirst: facts}
	for _, f := range facts {
		rep.Irregular[f.Name]++
	}
	return rep
}

// manifestStamp says what the time stamp over the whole bundle shows.
func manifestStamp(s *verdict.ManifestStamp) []string {
	switch {
	case s == nil:
		return nil
	case s.NotCounted != "":
		return []string{"over the whole bundle: not counted: " + s.NotCounted}
	}
	a := &ledger.Anchored{Time: s.Time, Accuracy: s.Accuracy, Authority: s.Authority, Qualified: s.Qualified}
	return []string{fmt.Sprintf("over the whole bundle, as it is: %s by %s: %s", a.Word(), a.Authority, clock(a))}
}
