package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/ledger"
)

// bundleCommand is `verify bundle`.
type bundleCommand struct {
	Bundle string `arg:"" name:"file" help:"The bundle (.asice); - reads the standard input."`
	trustFlags
	Log string `placeholder:"PATH|URL" help:"A copy of the log, or its URL: the whole of it is checked, too, and that it has the bundle's history and nothing that the bundle leaves out."`
	stampFlags
	Explain bool `help:"Print also how to check by hand what can be, with the names in this bundle and what each command must print."`
}

// Help is printed by --help below the one sentence.
func (*bundleCommand) Help() string {
	return `Checks the bundle's container, both signatures over it, that each of its entries is in the log, that every disclosure
and notice is what an entry committed to, the rules over each record's history, the state proofs, by which no later
withdrawal was left out, the time stamps, and the policy. Then it answers the questions that the bundle was made for
from the entries alone. The report in the bundle is the operator's rendering: it is covered by the signatures, and not
read.

With --tsa and --qualified-tsa the time stamps of these authorities count. The certificates that come with a bundle
count for nothing.

With --log the whole log is checked, as "verify log" does, and the bundle is held against it: if its checkpoint is not in
that history, somebody was shown another one (exit code 3).

The answers never hold personal data; what the bundle discloses is in its files, to be read with any zip program.

Examples:

    verify bundle case.asice --policy trust.policy
    verify bundle case.asice --policy trust.policy --tsa authority.pem --explain
    verify bundle case.asice --policy trust.policy --qualified-tsa qualified.pem --log copy-of-the-log --json`
}

// run verifies a bundle and prints its report. The error is about printing, or a
// [usageError].
func (c *bundleCommand) run(ctx context.Context, std *streams) (ledger.Verdict, error) {
	switch {
	case c.Explain && c.JSON:
		return ledger.CannotTell, usageError("--explain is for people: it does not go with --json")
	case c.Explain && slices.Contains(slices.Concat([]string{c.Bundle, c.Policy, c.Keys}, c.TSA, c.QualifiedTSA), "-"):
		return ledger.CannotTell, usageError("--explain names files: it does not go with the standard input")
	}
	report := &verdict.Report{Format: verdict.Format, Checked: []string{}, NotChecked: []string{}, CannotProve: []string{}}
	var t *trusted
	file, err := openBundle(c.Bundle, std.in)
	if err == nil {
		defer file.close()
		t, err = open(ctx, std, &c.trustFlags, &c.stampFlags, c.Log)
	}
	if err == nil {
		defer t.close()
		report, err = verdict.Verify(ctx, file, file.size, t.options(std))
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: interrupted before the check was complete", ledger.ErrMissing)
		}
	}
	v := ledger.VerdictOf(err)
	report.Verdict, report.Reason = v.String(), reason(err)
	if c.JSON {
		return v, printJSON(std.out, report)
	}
	var checks []handCheck
	if c.Explain && v != ledger.Invalid && report.Origin != "" {
		checks = c.explain(file, report, t)
	}
	return v, printBundle(std.out, report, checks)
}

// options gives what a bundle is judged by.
func (t *trusted) options(std *streams) verdict.Options {
	opt := verdict.Options{Policy: t.policy, Keys: t.given, Stamps: t.stamps}
	if t.log == nil {
		return opt
	}
	opt.Verify = func(ctx context.Context, opt ledger.VerifyOptions) (*ledger.LogReport, error) {
		report, err := verifyCopy(ctx, std, t.source, opt)
		policy, unknown := t.policy.WithKeys(t.keys)
		if err == nil || unknown != nil {
			return report, err
		}
		t.ownPolicy([][]byte{opt.Since}) // tells whether its keys are retired
		if _, unsatisfied := ledger.OpenCheckpoint(opt.Since, policy); errors.Is(unsatisfied, ledger.ErrPolicy) {
			return report, t.contradicted(unsatisfied, err)
		}
		return report, t.contradicted(nil, err)
	}
	return opt
}

// bundleFile is a bundle that can be read in any order.
type bundleFile struct {
	*os.File
	size  int64
	close func()
}

// openBundle opens the bundle of that name; - stands for stdin. What is no regular
// file is copied to one first, as far as a bundle may reach. Every error wraps
// [ledger.ErrMissing].
func openBundle(name string, stdin io.Reader) (*bundleFile, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: reading the bundle: %w", ledger.ErrMissing, err)
		}
		switch info, err := f.Stat(); {
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("%w: reading the bundle: %w", ledger.ErrMissing, err)
		case info.Mode().IsRegular():
			return &bundleFile{f, info.Size(), func() { f.Close() }}, nil
		case info.IsDir():
			f.Close()
			return nil, fmt.Errorf("%w: reading the bundle: %s is a directory", ledger.ErrMissing, name)
		}
		defer f.Close()
		in = f
	}
	f, err := os.CreateTemp("", "verify-*.asice")
	if err != nil {
		return nil, fmt.Errorf("%w: copying the bundle: %w", ledger.ErrMissing, err)
	}
	b := &bundleFile{File: f, close: func() { f.Close() }}
	if os.Remove(f.Name()) != nil { // at once where an open file may be removed: it holds personal data
		b.close = func() { f.Close(); os.Remove(f.Name()) }
	}
	if b.size, err = io.Copy(f, io.LimitReader(in, bundle.MaxPacked+1)); err != nil {
		b.close()
		return nil, fmt.Errorf("%w: reading the bundle: %w", ledger.ErrMissing, err)
	}
	return b, nil
}
