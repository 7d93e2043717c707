package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

// receiptCommand is `verify receipt`, for both kinds of receipt.
type receiptCommand struct {
	Receipt string `arg:"" name:"file" help:"The receipt of an entry (C2SP tlog-proof), or an erasure receipt; - reads the standard input."`
	trustFlags
	Entry string `placeholder:"FILE" help:"The entry's exact bytes. An erasure receipt holds its entries: leave it out."`
	Log   string `placeholder:"PATH|URL" help:"A copy of the log, or its URL: the whole of it is checked, too, and that it contains what the receipt is of."`
	stampFlags
}

// Help is printed by --help below the one sentence.
func (*receiptCommand) Help() string {
	return `Checks the signatures of the receipt's checkpoint and that the entry is in that log at its index. It says
nothing about what came after the entry. When a witness cosigned the checkpoint, the entry was in the log.

An erasure receipt is what somebody is given whose data were erased. Of each entry in it the same is checked, and that
together they record one whole erasure; the report says when the data were destroyed, and what a receipt cannot show.

With --log the whole log is checked, as "verify log" does, and that the receipt's checkpoint is in its history: if not,
somebody was shown another history (exit code 3). A receipt that alone does not satisfy the policy, because witnesses
had not cosigned yet or the keys were rotated since, does so by a log that does. With --tsa the report says between
which time stamps the entry came into the log.

Examples:

    verify receipt receipt.txt --policy trust.policy --entry entry.txt
    verify receipt erasure-receipt.txt --policy trust.policy
    verify receipt receipt.txt --policy trust.policy --entry entry.txt --log copy-of-the-log --tsa authority.pem`
}

// receiptReport is the report of one kind of receipt.
type receiptReport interface {
	// verify holds the receipt against what is trusted.
	verify(ctx context.Context, std *streams, receipt []byte, t *trusted) error
	// conclude notes the verdict and what it rests on.
	conclude(err error)
	print(w io.Writer) error
}

// run verifies a receipt and prints its report. The error is about printing, or
// a [usageError].
func (c *receiptCommand) run(ctx context.Context, std *streams) (ledger.Verdict, error) {
	receipt, err := c.read(std)
	if usage := usageError(""); errors.As(err, &usage) {
		return ledger.CannotTell, usage
	}
	var report receiptReport
	if c.Entry == "" {
		report = newErasureReport()
	} else {
		report = newEntryReport(c.Entry)
	}
	var t *trusted
	if err == nil {
		t, err = open(ctx, std, &c.trustFlags, &c.stampFlags, c.Log)
	}
	if err == nil {
		defer t.close()
		err = report.verify(ctx, std, receipt, t)
	}
	report.conclude(err)
	if c.JSON {
		return ledger.VerdictOf(err), printJSON(std.out, report)
	}
	return ledger.VerdictOf(err), report.print(std.out)
}

// reason gives the words of a report that go with its verdict.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// read reads the receipt. Of a receipt that was read, --entry says which of the
// two kinds it is.
func (c *receiptCommand) read(std *streams) ([]byte, error) {
	if c.Log == "" && len(c.TSA)+len(c.QualifiedTSA) > 0 {
		return nil, usageError("--tsa and --qualified-tsa want --log: the time stamps are in the log")
	}
	receipt, err := logfiles.ReadInput("receipt", c.Receipt, ledger.MaxErasureReceiptSize, std.in)
	switch erasure := ledger.IsErasureReceipt(receipt); {
	case err != nil:
		return nil, err
	case erasure && c.Entry != "":
		return nil, usageError("--entry does not go with an erasure receipt, which holds its entries")
	case !erasure && c.Entry == "":
		return nil, usageError("missing flags: --entry=FILE")
	case !erasure && len(receipt) > ledger.MaxReceiptSize:
		return nil, fmt.Errorf("%w: the receipt %s has more than %d bytes", ledger.ErrMissing, c.Receipt, ledger.MaxReceiptSize)
	}
	return receipt, nil
}
