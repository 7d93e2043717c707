package main

import (
	"errors"
	"fmt"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

// receiptCommand is `verify receipt`, for both kinds of receipt.
type receiptCommand struct {
	Receipt string `arg:"" name:"file" help:"The receipt of an entry (C2SP tlog-proof), or an erasure receipt; - reads the standard input."`
	trustFlags
	Entry string `placeholder:"FILE" help:"The entry's exact bytes. An erasure receipt holds its entries: leave it out."`
}

// Help is printed by --help below the one sentence.
func (*receiptCommand) Help() string {
	return `Checks the signatures of the receipt's checkpoint and that the entry is in that log at its index. It says
nothing about what came after the entry.

An erasure receipt is what somebody is given whose data were erased. Of each entry in it the same is checked, and that
together they record one whole erasure; the report says when the data were destroyed, and what a receipt cannot show.

Examples:

    verify receipt receipt.txt --policy trust.policy --entry entry.txt
    verify receipt erasure-receipt.txt --policy trust.policy`
}

// run verifies a receipt and prints its report. The error is about printing, or
// a [usageError].
func (c *receiptCommand) run(std *streams) (ledger.Verdict, error) {
	receipt, err := c.read(std)
	if usage := usageError(""); errors.As(err, &usage) {
		return ledger.CannotTell, usage
	}
	var policy *ledger.Policy
	var keys []byte
	if err == nil {
		policy, keys, err = c.load(std)
	}
	if c.Entry == "" {
		report := &ledger.ErasureReport{Format: "consent-ledger/verify-erasure/v1", Entries: []ledger.ErasureEntry{},
			Consents: []ledger.ConsentID{}, Checked: []string{}, NotChecked: []string{}, CannotProve: []string{}}
		if err == nil {
			report, err = ledger.VerifyErasureReceipt(receipt, policy, keys)
		}
		report.Verdict, report.Reason = ledger.VerdictOf(err).String(), reason(err)
		if c.JSON {
			return ledger.VerdictOf(err), printJSON(std.out, report)
		}
		return ledger.VerdictOf(err), printErasure(std.out, report)
	}
	report := &ledger.ReceiptReport{Format: "consent-ledger/verify-receipt/v1", Checked: []string{}, NotChecked: []string{},
		CannotProve: []string{}}
	var entry []byte
	if err == nil {
		entry, err = logfiles.ReadInput("entry", c.Entry, maxEntryInput, std.in)
	}
	if err == nil {
		report, err = ledger.VerifyReceipt(receipt, entry, policy, keys)
	}
	report.Verdict, report.Reason = ledger.VerdictOf(err).String(), reason(err)
	if c.JSON {
		return ledger.VerdictOf(err), printJSON(std.out, report)
	}
	return ledger.VerdictOf(err), printReceipt(std.out, report)
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

// maxEntryInput is more than an entry can have, so that one that is too long is
// read and found invalid.
const maxEntryInput = 2 * ledger.MaxEntrySize
