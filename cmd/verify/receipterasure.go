package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/plaintext"
	"github.com/consentledger/consentledger/ledger"
)

// erasureReport is the report of an erasure receipt, with that of the log that it
// was held against.
type erasureReport struct {
	*ledger.ErasureReport
	Log *ledger.LogReport `json:"log,omitempty"`
}

func newErasureReport() *erasureReport {
	return &erasureReport{ErasureReport: &ledger.ErasureReport{Format: "consent-ledger/verify-erasure/v1", Entries: []ledger.ErasureEntry{},
		Consents: []ledger.ConsentID{}, Checked: []string{}, NotChecked: []string{}, CannotProve: []string{}}}
}

func (r *erasureReport) verify(ctx context.Context, std *streams, receipt []byte, t *trusted) error {
	var checkpoints [][]byte
	if parsed, err := ledger.ParseErasureReceipt(receipt); err == nil {
		for _, s := range parsed.Sections {
			checkpoints = append(checkpoints, s.Receipt.Checkpoint)
		}
	}
	unsatisfied, err := t.judge(checkpoints, func(p *ledger.Policy) (err error) {
		r.ErasureReport, err = ledger.VerifyErasureReceipt(receipt, p, t.keys)
		return err
	})
	if err != nil || t.log == nil {
		return err
	}
	if r.Log, err = t.history(ctx, std, checkpoints); err != nil {
		return t.contradicted(unsatisfied, err)
	}
	r.Checked, r.NotChecked = append(r.Checked, inHistory), covered(r.NotChecked, unsatisfied)
	last := r.Entries[len(r.Entries)-1]
	r.Anchors = t.anchors(r.Witnesses, r.Log, last.Index)
	for i := range r.Entries {
		r.Entries[i].Bounds = r.Log.Bounds(r.Entries[i].Index)
	}
	return nil
}

func (r *erasureReport) conclude(err error) {
	r.Verdict, r.Reason = ledger.VerdictOf(err).String(), reason(err)
}

func (r *erasureReport) print(w io.Writer) error {
	p := printer{plaintext.New(w)}
	p.verdict(r.Verdict, r.Reason)
	if r.Origin != "" {
		p.Line("")
		p.Line("log         %s", r.Origin)
		if r.Verdict == ledger.Verified.String() {
			for _, line := range erasure(r.ErasureReport) {
				p.Line("%s", line)
			}
		}
		p.Line("anchors     %s", r.Anchors)
		p.signers(r.Witnesses)
	}
	p.List("Consents erased", numbers(r.Consents))
	var entries []string
	for _, e := range r.Entries {
		line := fmt.Sprintf("%d of %d, leaf hash %s", e.Index, e.Size, e.LeafHash)
		if e.Kind != "" {
			line += fmt.Sprintf(": %s, recorded %s", e.Kind, e.Time.Format(time.RFC3339))
		}
		entries = append(entries, line)
		for _, more := range moments(e.Bounds, e.Cosigned) {
			entries = append(entries, "  "+more)
		}
	}
	p.List("Entries", entries)
	p.held(r.Log)
	p.List("Checked", r.Checked)
	p.List("Not checked", r.NotChecked)
	p.List("Not proven by this receipt", r.CannotProve)
	return p.Flush()
}

// erasure says what is recorded of an erasure.
func erasure(rep *ledger.ErasureReport) []string {
	lines := []string{fmt.Sprintf("erased      recorded %s by the operator's clock, for the reason %s", rep.Recorded.Format(time.RFC3339), rep.ErasureReason)}
	if rep.ContentsDestroyed.IsZero() {
		return append(lines, "contents    not recorded as destroyed")
	}
	lines = append(lines, fmt.Sprintf("contents    recorded as destroyed %s: since then nobody shall be able to read the erased data", rep.ContentsDestroyed.Format(time.RFC3339)))
	due := rep.ExistenceDue.Format(time.RFC3339)
	if rep.ExistenceDestroyed.IsZero() {
		lines = append(lines, fmt.Sprintf("existence   promised to be destroyed by %s: until then whoever runs the ledger can test a guessed address", due))
	} else {
		lines = append(lines, fmt.Sprintf("existence   recorded as destroyed %s, due by %s: since then nobody shall be able to test a guessed address", rep.ExistenceDestroyed.Format(time.RFC3339), due))
	}
	return append(lines, fmt.Sprintf("root key    generation %d replaced the destroyed one; medium: %s", rep.Generation, rep.Medium))
}

// numbers gives ids or indexes in lines of a readable length.
func numbers[N ledger.ConsentID | ledger.Index](ids []N) []string {
	var lines []string
	for some := range slices.Chunk(ids, 10) {
		lines = append(lines, strings.Trim(fmt.Sprint(some), "[]"))
	}
	return lines
}
