package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/internal/report"
	"github.com/consentledger/consentledger/ledger"
)

// reportCommand is `ledgerd report`.
type reportCommand struct {
	Population  populationReport  `cmd:"" help:"Of what the log consists, reconciled with its size."`
	Erasures    erasuresReport    `cmd:"" help:"What was asked to be erased, what was, how long it took, who was told."`
	Access      accessReport      `cmd:"" help:"Who had personal values shown, and on what occasion."`
	Withdrawals withdrawalsReport `cmd:"" help:"What ended, when that took effect elsewhere, what was used after its end."`
}

// reportFlags are what every report needs.
type reportFlags struct {
	Log    string `arg:"" name:"path|url" help:"A directory that \"ledgerd export\" wrote, or the URL of a log, such as https://ledger.example.com/log."`
	Policy string `required:"" placeholder:"FILE" help:"Trust policy: the log's two keys and the witnesses that must have signed."`
	Keys   string `placeholder:"FILE" help:"The log's key entries (trust.keys), if you hold them."`
	From   date   `placeholder:"DATE" help:"Count what was recorded from this day on, such as 2027-01-01 (or a time, RFC 3339); UTC."`
	To     date   `placeholder:"DATE" help:"Count what was recorded before this day."`
	JSON   bool   `name:"json" help:"Print the report as JSON and nothing else."`
}

// Each report is a command of its own.
type (
	populationReport  struct{ reportFlags }
	erasuresReport    struct{ reportFlags }
	accessReport      struct{ reportFlags }
	withdrawalsReport struct{ reportFlags }
)

func (c *populationReport) run(ctx context.Context, std *streams) error {
	return c.make(ctx, "population", std)
}
func (c *erasuresReport) run(ctx context.Context, std *streams) error {
	return c.make(ctx, "erasures", std)
}
func (c *accessReport) run(ctx context.Context, std *streams) error {
	return c.make(ctx, "access", std)
}
func (c *withdrawalsReport) run(ctx context.Context, std *streams) error {
	return c.make(ctx, "withdrawals", std)
}

// The help of each is printed by its --help below the one sentence.
func (*populationReport) Help() string {
	return `Counts entries by kind and source, the records that were opened, and all records as they stood at the end of the
period: by purpose, channel, notice shown, state and grade of evidence. Every index of the tree is accounted for.` + reportHelp("population", "--from 2027-01-01 --to 2028-01-01")
}

func (*erasuresReport) Help() string {
	return `Counts requests under Art. 17 GDPR, refusals with their reasons, and erasures; measures the time from the request to the
erasure, to the destruction of the contents and of the last trace; says which recipients were told (Art. 19 GDPR).` + reportHelp("erasures", "--json")
}

func (*accessReport) Help() string {
	return `Counts disclosures of personal values by who asked, by occasion and by claim shown, and the files that left the house.` +
		reportHelp("access", "--from 2027-01-01")
}

func (*withdrawalsReport) Help() string {
	return `Counts withdrawals, objections and other ends by purpose, channel and kind; measures the time until they took effect in
each system; lists uses after an end, and ends that were not heard of in time.` + reportHelp("withdrawals", "--from 2027-01-01")
}

func reportHelp(name, flags string) string {
	return fmt.Sprintf(`

The log is verified first, like "verify log" does it: no figures without that. The exit code is verify's: 0 verified, 1
invalid, 2 cannot tell. The figures come from the log alone, which holds no personal data. Of a server the key in the
environment variable LEDGERD_KEY (role auditor) is needed.

Examples:

    ledgerd report %s copy-for-auditor --policy trust.policy
    LEDGERD_KEY=clk_... ledgerd report %s https://ledger.example.com/log --policy trust.policy %s`, name, name, flags)
}

// Validate refuses a period that is none.
func (c *reportFlags) Validate() error {
	_, err := report.New("population", c.period())
	return err
}

func (c *reportFlags) period() report.Period {
	return report.Period{From: time.Time(c.From), To: time.Time(c.To)}
}

// make verifies the log, and prints the report that its entries gave meanwhile.
func (c *reportFlags) make(ctx context.Context, name string, std *streams) error {
	maker, err := report.New(name, c.period())
	if err != nil {
		return err
	}
	found, err := c.verify(ctx, maker, std)
	verdict := ledger.VerdictOf(err)
	if found == nil {
		found = &ledger.LogReport{}
	}
	if found.Verdict = verdict.String(); err != nil {
		found.Reason = err.Error()
	}
	made := maker.Report(found)
	write := made.WriteText
	if c.JSON {
		write = made.WriteJSON
	}
	if err := write(std.out); err != nil {
		fmt.Fprintf(std.err, "ledgerd: writing the report: %v\n", err)
		if verdict == ledger.Verified {
			verdict = ledger.CannotTell // a report that nobody could read is no good one
		}
	}
	if verdict == ledger.Verified {
		return nil
	}
	return exitCode(verdict)
}

// verify gives no report when it cannot begin.
func (c *reportFlags) verify(ctx context.Context, maker *report.Maker, std *streams) (*ledger.LogReport, error) {
	policy, keys, err := logfiles.Trust(c.Policy, c.Keys, strings.NewReader(""))
	if err != nil {
		return nil, err
	}
	bar := newProgress(std.err, "checking entries", entriesFrom)
	defer bar.finish()
	source := logfiles.Source{Where: c.Log, Key: os.Getenv("LEDGERD_KEY"),
		Warn: func(text string) { fmt.Fprintln(std.err, "ledgerd: warning:", text) }}
	return source.Verify(ctx, ledger.VerifyOptions{Policy: policy, Keys: keys, Each: maker.Each,
		Progress: func(done, total ledger.Size) { bar.report(int64(done), int64(total)) }})
}

// date is a day or a moment, by UTC.
type date time.Time

// UnmarshalText reads "2027-01-31", or a time as of RFC 3339.
func (d *date) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			*d = date(at.UTC())
			return nil
		}
	}
	return errors.New("must be a day such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z")
}
