package main

import (
	"context"
	"fmt"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

// logCommand is `verify log`.
type logCommand struct {
	Log string `arg:"" name:"path|url" help:"A directory that \"ledgerd export\" wrote, or the URL of a log, such as https://ledger.example.com/log."`
	trustFlags
	Since string `placeholder:"CHECKPOINT" help:"A checkpoint that you kept, whole or in one line as mails carry it: the log must contain it."`
	stampFlags
}

// Help is printed by --help below the one sentence.
func (*logCommand) Help() string {
	return `Checks the checkpoint's signatures, every entry, the hash chain, every hash tile, the rules over the whole
history, every committed state tree and every notice, and says what it could not check.

Keep the file "checkpoint" after each check and give it as --since the next time: only then can a rewritten
history be told from a longer one. A file with the one line that mails carry in the header Consent-Ledger-Checkpoint
does, too.

With the certificate of a time-stamping authority (--tsa, --qualified-tsa) the log's time stamps by it are checked.
The report then says between which of them the first, the last and each irregular entry was recorded, whatever the
operator's clock says.

A URL is the only way to make this program use the network. It then sends the key in the environment variable
LEDGERD_KEY (role auditor), follows no redirect and asks for nothing twice.

Examples:

    verify log export --policy trust.policy
    verify log export --policy trust.policy --since kept/checkpoint --json
    verify log export --policy trust.policy --tsa authority.pem
    LEDGERD_KEY=clk_... verify log https://ledger.example.com/log --policy trust.policy`
}

// run verifies a log and prints its report. The error is about printing.
func (c *logCommand) run(ctx context.Context, std *streams) (ledger.Verdict, error) {
	report, err := c.verify(ctx, std)
	if report == nil {
		report = &ledger.LogReport{Format: "consent-ledger/verify-log/v1", Checked: []string{}, NotChecked: []string{},
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
	return verdict, printLog(std.out, report)
}

// verify gives no report when it cannot begin.
func (c *logCommand) verify(ctx context.Context, std *streams) (*ledger.LogReport, error) {
	policy, keys, err := c.load(std)
	if err != nil {
		return nil, err
	}
	opt := ledger.VerifyOptions{Policy: policy, Keys: keys}
	if opt.Stamps, err = c.judge(std); err != nil {
		return nil, err
	}
	if c.Since != "" {
		if opt.Since, err = logfiles.ReadInput("checkpoint that you hold", c.Since, ledger.MaxNoteSize, std.in); err != nil {
			return nil, err
		}
		if len(opt.Since) == 0 {
			return nil, fmt.Errorf("%w: the checkpoint that you hold, %s, is empty", ledger.ErrMissing, c.Since)
		}
	}
	bar := newProgress(std.err)
	defer bar.finish()
	opt.Progress = bar.report
	return source(c.Log, std).Verify(ctx, opt)
}
