package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/internal/plaintext"
	"github.com/consentledger/consentledger/ledger"
)

// forkCommand is `verify fork`.
type forkCommand struct {
	First  string `arg:"" name:"checkpoint" help:"A signed checkpoint, whole or in one line as mails carry it, or the one file of a witness that holds two; - reads the standard input."`
	Second string `arg:"" optional:"" name:"other" help:"The other checkpoint; leave it out for a file that holds two."`
	Policy string `required:"" placeholder:"FILE" help:"Trust policy: the log's two keys. Its quorum does not count here. Take it from another way than the log's own."`
	keyFlags
	Log  string `placeholder:"PATH|URL" help:"A copy of the log, or its URL: then checkpoints of different sizes can be compared, too."`
	JSON bool   `name:"json" help:"Print the report as JSON and nothing else."`
}

// Help is printed by --help below the one sentence.
func (*forkCommand) Help() string {
	return `A log that shows different people different histories has signed two checkpoints that contradict each other: a
fork. This checks the log's signatures on both checkpoints, and then

- 3: they are a fork. Either they have one size and two roots, or a copy of the log (--log) does not lead to both.
- 0: they fit together, as far as can be told: they say the same, or the copy of the log leads to both.
- 2: it cannot be told. Checkpoints of different sizes say nothing about each other without a copy of the log.
- 1: one of them is not signed by the log with both of its keys, so it shows nothing.

Either can be the one line that mails carry in the header Consent-Ledger-Checkpoint, which the Ed25519 key alone signed.

A witness ("ledgerd witness") keeps what it refused as one file with both checkpoints, in its directory forks.

Examples:

    verify fork kept.checkpoint their.checkpoint --policy trust.policy
    verify fork forks/fork-0a1b2c3d4e5f6071-120-9a8b7c6d.txt --policy trust.policy
    verify fork monday.checkpoint friday.checkpoint --policy trust.policy --log copy-of-the-log`
}

// run compares two checkpoints and prints the report. The error is about printing,
// or a [usageError].
func (c *forkCommand) run(ctx context.Context, std *streams) (ledger.Verdict, error) {
	report, err := c.verify(ctx, std)
	if usage := usageError(""); errors.As(err, &usage) {
		return ledger.CannotTell, usage
	}
	if report == nil {
		report = &ledger.ForkReport{Format: "consent-ledger/verify-fork/v1", Meaning: []string{}, Checked: []string{}, NotChecked: []string{},
			CannotProve: []string{}}
	}
	verdict := ledger.VerdictOf(err)
	report.Verdict, report.Reason = verdict.String(), reason(err)
	if c.JSON {
		return verdict, printJSON(std.out, report)
	}
	return verdict, printFork(std.out, report)
}

// verify gives no report when it cannot begin.
func (c *forkCommand) verify(ctx context.Context, std *streams) (*ledger.ForkReport, error) {
	policy, keys, err := logfiles.Trust(c.Policy, c.Keys, std.in)
	if err != nil {
		return nil, err
	}
	pair, err := c.read(std)
	if err != nil {
		return nil, err
	}
	var log ledger.LogReader
	if c.Log != "" {
		var done func()
		if log, done, err = source(c.Log, std).Open(); err != nil {
			return nil, err
		}
		defer done()
		keys = follow(ctx, log, policy, keys)
	}
	if policy, err = policy.WithKeys(keys); err != nil {
		return nil, err
	}
	return ledger.VerifyFork(ctx, *pair, policy, log)
}

// read reads the two checkpoints, from one file or two.
func (c *forkCommand) read(std *streams) (*ledger.ForkProof, error) {
	first, err := logfiles.ReadInput("checkpoint", c.First, ledger.MaxForkProofSize, std.in)
	if err != nil {
		return nil, err
	}
	switch proof := ledger.IsForkProof(first); {
	case proof && c.Second != "":
		return nil, usageError(c.First + " holds two checkpoints; give no other file beside it")
	case proof:
		return ledger.ParseForkProof(first)
	case len(first) > ledger.MaxNoteSize:
		return nil, fmt.Errorf("%w: the checkpoint %s has more than %d bytes", ledger.ErrMissing, c.First, ledger.MaxNoteSize)
	case c.Second == "":
		return nil, usageError(c.First + " holds one checkpoint; give the other one, too")
	}
	second, err := logfiles.ReadInput("checkpoint", c.Second, ledger.MaxNoteSize, std.in)
	if err != nil {
		return nil, err
	}
	if ledger.IsForkProof(second) {
		return nil, usageError(c.Second + " holds two checkpoints; give no other file beside it")
	}
	return &ledger.ForkProof{First: first, Second: second}, nil
}

// printFork writes the report as text.
func printFork(w io.Writer, rep *ledger.ForkReport) error {
	p := printer{plaintext.New(w)}
	p.verdict(rep.Verdict, rep.Reason)
	if rep.Origin != "" {
		p.Line("")
		p.Line("log         %s", rep.Origin)
		p.candidate("first ", rep.First)
		p.candidate("second", rep.Second)
		if rep.LogSize > 0 {
			p.Line("copy        of the log, %d entries", rep.LogSize)
		}
	}
	p.List("What this means", rep.Meaning)
	p.List("Checked", rep.Checked)
	p.List("Not checked", rep.NotChecked)
	p.List("Cannot be proven by two checkpoints", rep.CannotProve)
	return p.Flush()
}

func (p printer) candidate(name string, c *ledger.ForkCandidate) {
	signed := "at a time that cannot be"
	switch {
	case c.Line:
		signed = "with the Ed25519 key; its one-line form holds nothing else"
	case !c.Signed.IsZero():
		signed = c.Signed.Format(time.RFC3339) + " by the operator's clock"
	}
	p.Line("%s      %d entries, root %s", name, c.Size, c.Root)
	p.Line("            signed %s", signed)
	if len(c.Witnesses) > 0 {
		p.Line("            cosigned by %s", strings.Join(c.Witnesses, ", "))
	}
}
