package main

import (
	"context"
	"io"
	"time"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/internal/plaintext"
	"github.com/consentledger/consentledger/ledger"
)

// maxEntryInput is more than an entry can have, so that one that is too long is
// read and found invalid.
const maxEntryInput = 2 * ledger.MaxEntrySize

// entryReport is the report of an entry's receipt, with that of the log that it
// was held against.
type entryReport struct {
	*ledger.ReceiptReport
	Log *ledger.LogReport `json:"log,omitempty"`

	file string // the entry
}

func newEntryReport(file string) *entryReport {
	return &entryReport{file: file, ReceiptReport: &ledger.ReceiptReport{Format: "consent-ledger/verify-receipt/v1",
		Checked: []string{}, NotChecked: []string{}, CannotProve: []string{}}}
}

func (r *entryReport) verify(ctx context.Context, std *streams, receipt []byte, t *trusted) error {
	entry, err := logfiles.ReadInput("entry", r.file, maxEntryInput, std.in)
	if err != nil {
		return err
	}
	var checkpoints [][]byte
	if parsed, err := ledger.ParseReceipt(receipt); err == nil {
		checkpoints = [][]byte{parsed.Checkpoint}
	}
	unsatisfied, err := t.judge(checkpoints, func(p *ledger.Policy) (err error) {
		r.ReceiptReport, err = ledger.VerifyReceipt(receipt, entry, p, t.keys)
		return err
	})
	if err != nil || t.log == nil {
		return err
	}
	if r.Log, err = t.history(ctx, std, checkpoints); err != nil {
		return t.contradicted(unsatisfied, err)
	}
	r.Checked, r.NotChecked = append(r.Checked, inHistory), covered(r.NotChecked, unsatisfied)
	r.Bounds, r.Anchors = r.Log.Bounds(r.Index), t.anchors(r.Witnesses, r.Log, r.Index)
	return nil
}

func (r *entryReport) conclude(err error) {
	r.Verdict, r.Reason = ledger.VerdictOf(err).String(), reason(err)
}

func (r *entryReport) print(w io.Writer) error {
	p := printer{plaintext.New(w)}
	p.verdict(r.Verdict, r.Reason)
	if r.Origin != "" {
		p.Line("")
		p.Line("log         %s", r.Origin)
		p.Line("entry       %d of %d", r.Index, r.Size)
		if r.Kind != "" {
			p.Line("kind        %s", r.Kind)
			p.Line("recorded    %s by the operator's clock", r.Time.Format(time.RFC3339))
		}
		p.Line("leaf hash   %s", r.LeafHash)
		p.Line("root        %s", r.Root)
		p.Line("anchors     %s", r.Anchors)
		p.signers(r.Witnesses)
	}
	p.List("When it came into the log, by others' clocks", moments(r.Bounds, r.Cosigned))
	p.held(r.Log)
	p.List("Checked", r.Checked)
	p.List("Not checked", r.NotChecked)
	if r.Origin != "" {
		p.List("Cannot be proven by any receipt", r.CannotProve)
	}
	return p.Flush()
}
