package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// checkCommand is `ledgerd check`.
type checkCommand struct{ ledgerFlags }

// Help is printed by --help below the one sentence.
func (*checkCommand) Help() string {
	return `Reads every entry and derives from them alone what the database should hold: hash chain, tree, signatures, rules,
the state of every consent, purposes, notices. Then it opens everything in the vault that the log commits to, and
finds out that what was erased does not open. It changes nothing that a start would not change, and needs a
stopped ledger.

Example:

    ledgerd check --data /srv/consent`
}

func (c *checkCommand) run(ctx context.Context, std *streams) error {
	logger := slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	bar := newProgress(std.err, "checking", entriesFrom)
	return onStopped(ctx, c.options(logger), func(svc *service.Service) error {
		report, err := svc.Check(func(done, total ledger.Size) { bar.report(int64(done), int64(total)) })
		bar.finish()
		if err != nil {
			return err
		}
		return printCheck(std.out, c.Data, report)
	})
}

func printCheck(out io.Writer, dir string, r *service.CheckReport) error {
	w := bufio.NewWriter(out)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("The ledger in %s is sound.", dir)
	line("")
	line("The log of %s:", r.Origin)
	line("  %s with the root %v: the hash chain, the tree and the checkpoint's two signatures agree", count(r.Size, "entry", "entries"), r.Root)
	line("  %s: the rules allow every step, and the stored states are those that the entries lead to", count(r.Consents, "consent", "consents"))
	line("  %s, %s and %s: stored as the entries declare them", count(r.Purposes, "purpose", "purposes"),
		count(r.Notices, "notice", "notices"), count(r.Sources, "source", "sources"))
	line("")
	line("The vault against the log:")
	line("  %s, found by each of their addresses, with the keys of %s", count(r.People, "person", "people"), count(r.Held, "consent", "consents"))
	line("  %s opened and matched with the commitment in the log", count(r.Claims, "personal value", "personal values"))
	line("  %s read and matched with the hash in its value", count(r.Attachments, "attachment or mail", "attachments and mails"))
	line("  %s erased: no person and no key is there any more, %s cannot be opened", count(r.Erased, "consent", "consents"),
		count(r.Destroyed, "commitment", "commitments"))
	if r.Fenced > 0 {
		line("  %s whose erasure is recorded and whose keys are still to be destroyed", count(r.Fenced, "consent", "consents"))
	}
	line("")
	line("Not checked: whether this is the history that others were shown. For that, compare with a checkpoint kept")
	line("elsewhere: verify log … --since CHECKPOINT.")
	return w.Flush()
}

// count writes a number with its noun.
func count[N ~int | ~int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
