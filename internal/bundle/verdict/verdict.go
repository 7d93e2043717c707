// Package verdict verifies a proof bundle: everything in it is derived anew from its
// evidence, and what it says of itself must agree. Start with [Verify]; [Report] is what
// it finds.
//
// The package opens no file and no network, and knows no clock. The report inside a
// bundle (docs/) is its maker's rendering: the signatures cover it, and nobody reads it
// here.
package verdict

import (
	"context"
	"fmt"
	"io"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// Options says how to verify a bundle. Policy is required.
type Options struct {
	// Policy holds the keys that are trusted.
	Policy *ledger.Policy
	// Keys is the content of a trust.keys file from elsewhere. Empty means the bundle's
	// own, which goes on from the policy's pair; see [ledger.VerifyOptions.Keys].
	Keys []byte
	// Stamps verifies a time-stamp token, as [ledger.VerifyOptions.Stamps] does. Nil: no
	// token counts.
	Stamps func(token []byte, imprint ledger.Hash) (ledger.Stamp, error)
	// Verify, if set, verifies a whole copy of the log with [ledger.VerifyLog] under the
	// options given; it may add Progress and Workers. The bundle is then held against it:
	// the log contains the bundle's checkpoint, and no entry that belongs in the bundle
	// was left out. A bundle that alone does not satisfy the policy, because witnesses
	// had not cosigned yet or its keys were replaced since, is then judged by the log's
	// own signatures: what the history of a log contains that satisfies the policy
	// satisfies it, too. The report may be nil where there is an error.
	Verify func(ctx context.Context, opt ledger.VerifyOptions) (*ledger.LogReport, error)
}

// Verify verifies the bundle of size bytes in f. The error says why the verdict is not
// VERIFIED; [ledger.VerdictOf] gives its class: INVALID for whatever contradicts itself,
// the evidence or the rules; CANNOT TELL where f fails, the bundle needs a newer
// verifier, or the policy does not decide; DIVERGED where the log that it is held
// against says so. The report is never nil; what the entries show is in it only when the
// verdict is VERIFIED.
//
// Memory: the entries of the bundle, parsed, and one file besides.
func Verify(ctx context.Context, f io.ReaderAt, size int64, opt Options) (*Report, error) {
	v := &verifier{ctx: ctx, opt: opt, rep: &Report{Format: Format, Checked: []string{}, NotChecked: []string{}, CannotProve: []string{}}}
	err := v.run(f, size)
	v.rep.Verdict = ledger.VerdictOf(err).String()
	if err != nil {
		v.rep.Reason, v.rep.Range, v.rep.Irregular = err.Error(), nil, nil
	}
	return v.rep, err
}

type verifier struct {
	ctx context.Context
	opt Options
	rep *Report

	c       *bundle.Container
	index   *bundle.Index
	custody *bundle.Custody
	keys    []byte         // the bundle's trust.keys
	policy  *ledger.Policy // under which the bundle is read, with its key entries
	// unsatisfied says why the bundle alone does not satisfy the policy, if the log's own
	// signatures stand in for it.
	unsatisfied error
	head        *ledger.OpenedCheckpoint

	order   []*entry // ascending
	entries map[ledger.Index]*entry
	newer   error // the first entry that needs a newer verifier
	records []*record
	byID    map[ledger.ConsentID]*record
	history *history

	told  map[string]string   // what the bundle's own bundle.exported commits to
	named map[string]bool     // the files that disclosed values name, by the hex of their SHA-256
	sizes []ledger.Checkpoint // that were stamped
	// stamps are those that count, of the bundle or, if it is there, of the whole log.
	stamps   *ledger.LogReport
	answered []Answered
}

func (v *verifier) run(f io.ReaderAt, size int64) error {
	if err := v.open(f, size); err != nil {
		return err
	}
	for _, check := range []func() error{v.readEntries, v.chain, v.keyEntries, v.ofRecords, v.ofRange, v.states, v.rules,
		v.disclosures, v.files, v.notices, v.export, v.anchors, v.consistency, v.manifestStamp, v.wholeLog, v.questions} {
		if err := check(); err != nil {
			return err
		}
		if err := v.ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", ledger.ErrMissing, err)
		}
	}
	v.tell()
	return nil
}

func (v *verifier) checked(format string, args ...any) {
	v.rep.Checked = append(v.rep.Checked, fmt.Sprintf(format, args...))
}

func (v *verifier) notChecked(format string, args ...any) {
	v.rep.NotChecked = append(v.rep.NotChecked, fmt.Sprintf(format, args...))
}

// irregular takes down facts that should not have happened, as many as a report lists.
func (v *verifier) irregular(list ...ledger.Irregularity) {
	room := max(0, ledger.MaxIrregular-len(v.rep.Irregular))
	v.rep.Irregular = append(v.rep.Irregular, list[:min(room, len(list))]...)
}

// unlessLog says what is not checked without a copy of the log.
func (v *verifier) unlessLog(format string, args ...any) {
	if v.opt.Verify == nil {
		v.notChecked(format+" (no copy of the log was given)", args...)
	}
}

// must gives the content of a file that every bundle of its sort has.
func (v *verifier) must(name string) ([]byte, error) {
	if _, ok := v.c.Lookup(name); !ok {
		return nil, fmt.Errorf("file %q is missing", name)
	}
	return v.c.File(name)
}

// of gives the files of a kind, in the container's order.
func (v *verifier) of(kind bundle.Kind) (list []bundle.FileInfo) {
	for _, f := range v.c.Files() {
		if f.Kind == kind {
			list = append(list, f)
		}
	}
	return list
}
