// Package verdict verifies a proof bundle: everything in it is derived anew from its
// evidence, and what it says of itself must agree. Start with [Verify]; [Report] is what
// it finds.
//
// The package opens no file, no network, and knows no clock. The report inside a bundle
// (docs/) is its maker's rendering: it is covered by the signatures, and never read.
package verdict

import (
	"context"
	"errors"
	"io"

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
	// options given, which it must not change but for Progress and Workers. The bundle is
	// then held against it: the log contains the bundle's checkpoint, and no entry that
	// belongs in the bundle was left out.
	Verify func(ctx context.Context, opt ledger.VerifyOptions) (*ledger.LogReport, error)
}

// Verify verifies the bundle of size bytes in f. The error says why the verdict is not
// VERIFIED; [ledger.VerdictOf] gives its class. The report is never nil.
//
// Memory: the entries and proofs of the bundle, at most the container's limits, and one
// file besides.
func Verify(ctx context.Context, f io.ReaderAt, size int64, opt Options) (*Report, error) {
	rep := &Report{Format: Format, Checked: []string{}, NotChecked: []string{}, CannotProve: []string{}}
	err := errors.New("not written yet")
	rep.Verdict = ledger.VerdictOf(err).String()
	rep.Reason = err.Error()
	return rep, err
}
