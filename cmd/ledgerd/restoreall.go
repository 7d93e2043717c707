package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/service"
)

// fromBackup makes a ledger anew, or a copy of its log.
func (c *restoreCommand) fromBackup(ctx context.Context, std *streams, logger *slog.Logger) error {
	held := func(log history.Log) error { return (&othersFlags{Since: c.Since}).checkSince(log) }
	var bar *progress
	doing := ""
	show := func(now string, done, total int64) {
		if now != doing {
			if bar != nil {
				bar.finish()
			}
			doing, bar = now, newProgress(std.err, now, entriesFrom)
		}
		bar.report(done, total)
	}
	defer func() {
		if bar != nil {
			bar.finish()
		}
	}()
	if c.Copy {
		r, err := service.RestoreCopy(ctx, c.From, c.Data, held, show)
		if err != nil {
			return err
		}
		return c.printCopy(std.out, r)
	}
	opt := service.RestoreOptions{Options: c.options(logger), From: c.From, SigningKeys: c.SigningKeys, KeyFile: c.KeyBackup, Identity: c.Key,
		Held: held, DespiteCheck: c.DespiteCheck, Progress: show}
	r, err := service.RestoreAll(ctx, opt)
	if err != nil {
		return err
	}
	return c.printAll(std.out, r)
}

// printer prints lines.
func printer(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
}

func (c *restoreCommand) printCopy(out io.Writer, r *service.RestoredLedger) error {
	w := bufio.NewWriter(out)
	line := printer(w)
	line("%s of %s are in %s, as backed up at %s. To check the copy:", count(r.Size, "entry", "entries"), r.Origin, c.Data, r.At.Format(time.RFC3339))
	line("")
	line("    verify log %s --policy trust.policy    # the policy that you gave your auditors", shellQuote(c.Data))
	return w.Flush()
}

func (c *restoreCommand) printAll(out io.Writer, r *service.RestoredLedger) error {
	w := bufio.NewWriter(out)
	line := printer(w)
	line("The ledger %s is restored in %s, as backed up at %s in %s.", r.Origin, c.Data, r.At.Format(time.RFC3339), count(r.Files, "file", "files"))
	line("Its log of %s was made anew from the entries and verified.", count(r.Size, "entry", "entries"))
	line("")
	if r.Vault != nil {
		printVault(line, *r.Vault)
		what := "came after the key backup, and are lost"
		if r.Erased {
			what = "were erased since the data backup, and for good, or came after it"
		}
		if r.Gone > 0 {
			line("  %s of people who %s: the log now says that the keys are gone", count(r.Gone, "consent", "consents"), what)
		}
		if r.Kept != nil {
			line("  %v", r.Kept)
		}
		if r.CheckErr != nil {
			line("")
			line("The check found: %v", r.CheckErr)
		}
		line("")
	}
	line("What was recorded since the backup is not in the log, and whoever holds a newer checkpoint sees that it was set back.")
	line("Record again what you know of, withdrawals before anything is sent. API keys are those of the backup: revoke again")
	line("what was revoked since.")
	line("")
	line("Next:")
	line("")
	data := shellQuote(c.Data)
	if r.Vault == nil {
		line("    %s serve --data %s --log-only", programName(), data)
		return w.Flush()
	}
	if r.Vault.IdentityLeft != "" {
		line("    destroy %s and %s: no erasure", r.Vault.IdentityLeft, c.KeyBackup)
		line("    destroys what these two bring back. Then `ledgerd backup keys` makes the next key backup")
	}
	line("    %s serve --data %s", programName(), data)
	line("    %s backup --full    # into an empty target: this vault goes on from no earlier file", programName())
	return w.Flush()
}
