package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// checkCommand is `ledgerd check`.
type checkCommand struct{ ledgerFlags }

// Help is printed by --help below the one sentence.
func (*checkCommand) Help() string {
	return `Reads every entry and derives from them alone what the database should hold: hash chain, tree, signatures, rules,
the state of every consent, purposes, notices. Then it opens everything in the vault that the log commits to, and
finds out that what was erased does not open. It looks at every other file in the directory, too, goes on behind
what it finds wrong, and names all of it, also of a ledger that does not start. It changes nothing that a start
would not change, nothing at all if the ledger does not start, and needs a stopped ledger.

Example:

    ledgerd check --data /srv/consent`
}

func (c *checkCommand) run(ctx context.Context, std *streams) error {
	logger := slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	bar := newProgress(std.err, "checking", entriesFrom)
	return untilInterrupted(ctx, func() error {
		found, err := service.Inspect(c.options(logger), func(done, total ledger.Size) { bar.report(int64(done), int64(total)) })
		bar.finish()
		if err != nil {
			return service.Remedied(err)
		}
		all := new(store.Findings)
		all.Add(found.Found)
		_, unread, err := authn.List(apiKeys(c.Data))
		if err != nil {
			all.Add(fmt.Errorf("%w. Without it nobody is let in: put back a copy of the file", err))
		}
		if unread != nil {
			all.Add(fmt.Errorf("when API keys were used last is not known; the file may be removed: %w", unread))
		}
		if err := all.Err(); err != nil || found.Start != nil {
			return unsound(c.Data, err, found.Start)
		}
		return printCheck(std.out, c.Data, found.Report)
	})
}

// unsound says what is wrong with a ledger, and what to do.
func unsound(dir string, found, start error) error {
	var b strings.Builder
	fmt.Fprintf(&b, "the ledger in %s is not sound", dir)
	if found != nil {
		fmt.Fprintf(&b, ":\n  - %s", strings.ReplaceAll(found.Error(), "\n", "\n  - "))
	}
	if start == nil {
		b.WriteString("\nIt opens all the same. Keep a copy of the directory. What no line above says how to mend, bring back from a backup: " +
			"see `ledgerd restore --help`")
	} else {
		fmt.Fprintf(&b, "\nIt does not open: %v", service.Remedied(start))
	}
	return errors.New(b.String())
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
