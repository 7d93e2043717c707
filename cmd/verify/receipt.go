package main

import (
	"github.com/consentledger/consentledger/ledger"
)

// receiptCommand is `verify receipt`.
type receiptCommand struct {
	Receipt string `arg:"" name:"file" help:"The receipt (C2SP tlog-proof); - reads the standard input."`
	trustFlags
	Entry string `required:"" placeholder:"FILE" help:"The entry's exact bytes."`
}

// Help is printed by --help below the one sentence.
func (*receiptCommand) Help() string {
	return `Checks the signatures of the receipt's checkpoint and that the entry is in that log at its index. It says
nothing about what came after the entry.

Example:

    verify receipt receipt.txt --policy trust.policy --entry entry.txt`
}

// run verifies a receipt and prints its report. The error is about printing.
func (c *receiptCommand) run(std *streams) (ledger.Verdict, error) {
	report, err := c.verify(std)
	if report == nil {
		report = &ledger.ReceiptReport{Format: "consent-ledger/verify-receipt/v1", Checked: []string{}, NotChecked: []string{},
			CannotProve: []string{}}
	}
	verdict := ledger.VerdictOf(err)
	report.Verdict = verdict.String()
	if err != nil {
		report.Reason = err.Error()
	}
	if c.JSON {
		return verdict, printJSON(std.out, report)
	}
	return verdict, printReceipt(std.out, report)
}

// verify gives no report when it cannot begin.
func (c *receiptCommand) verify(std *streams) (*ledger.ReceiptReport, error) {
	policy, keys, err := c.load(std)
	if err != nil {
		return nil, err
	}
	receipt, err := readInput("receipt", c.Receipt, ledger.MaxReceiptSize, std)
	if err != nil {
		return nil, err
	}
	entry, err := readInput("entry", c.Entry, maxEntryInput, std)
	if err != nil {
		return nil, err
	}
	return ledger.VerifyReceipt(receipt, entry, policy, keys)
}

// maxEntryInput is more than an entry can have, so that one that is too long is
// read and found invalid.
const maxEntryInput = 2 * ledger.MaxEntrySize
