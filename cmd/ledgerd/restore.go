package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// restoreCommand is `ledgerd restore`.
type restoreCommand struct {
	ledgerFlags
	KeyBackup string `required:"" placeholder:"FILE" help:"The newest key backup, keys-<generation>.age."`
	Key       string `required:"" placeholder:"FILE" help:"The identity that opens it: the file that was --backup-key of the lost ledger."`
}

// Help is printed by --help below the one sentence.
func (*restoreCommand) Help() string {
	return `Put the copy where the ledger shall be, without a root key, then run this: a new root key is drawn, everybody who is in
the copy and in the key backup opens again, and whoever was erased since does not. What is lost is counted in the report.
The log goes on from where it was copied, with a record of whose keys are gone: what was recorded since, withdrawals too, is
not in it. Put the newest cosigned.checkpoint and anchored.checkpoint that you have into the copy before: when they show
more than it holds, nothing is changed. Nor is it before the key backup was read and found to belong to the copy; an
interrupted run is begun again. Room for a second vault is needed.

Name --backup-target and --backup-key, too, as for "ledgerd serve": then the next key backup is written, and the identity
is destroyed that could bring back whoever is erased from now on.

Example:

    ledgerd restore --data /srv/consent --key-backup /backup/consent/keys-7.age --key /media/usb/consent.identity \
        --backup-target /backup/consent --backup-key /media/usb/consent.identity`
}

func (c *restoreCommand) run(ctx context.Context, std *streams) error {
	return untilInterrupted(ctx, func() error {
		report, size, err := c.restore(slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			return err
		}
		if err := c.print(std.out, report, size); err != nil {
			return err
		}
		return c.recordGone(ctx, std)
	})
}

// recordGone makes the log say whose keys are gone.
func (c *restoreCommand) recordGone(ctx context.Context, std *streams) error {
	svc, err := service.Open(c.options(slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	if err != nil {
		return fmt.Errorf("the vault is restored: %w", err)
	}
	gone, err := svc.RecordGone(ctx)
	if err = errors.Join(err, svc.Close()); err != nil {
		return fmt.Errorf("the vault is restored; recording whose keys are gone: %w", err)
	}
	if gone > 0 {
		_, err = fmt.Fprintf(std.out, "\nThe log now says of %s that the keys are gone.\n", count(gone, "consent", "consents"))
	}
	return err
}

// restore restores the vault beside the log, which no server may have open.
func (c *restoreCommand) restore(logger *slog.Logger) (report vault.RestoreReport, size ledger.Size, err error) {
	log, err := service.OpenLog(c.Data, logger)
	if err != nil {
		return report, 0, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	// A restore destroys what opens the key backup, which a newer copy would need.
	if reason, err := history.CheckDir(log, c.Data); reason != nil || err != nil {
		return report, 0, errors.Join(err, tooOld(reason))
	}
	snap := log.Snapshot()
	defer snap.Release()
	opt := c.options(logger)
	root := opt.RootKeyPath
	if root == "" {
		root = filepath.Join(c.Data, "root.key")
	}
	report, err = vault.Restore(vault.RestoreOptions{
		Vault:  vault.Options{Dir: filepath.Join(c.Data, "vault"), RootKeyPath: root, KeyBackup: opt.KeyBackup, Logger: logger},
		Backup: c.KeyBackup, Identity: c.Key, LogSize: snap.Size(),
		Leaf: func(i ledger.Index) (ledger.Hash, error) { return leafHash(snap, i) },
	})
	return report, snap.Size(), err
}

// tooOld refuses to go on with a copy of which others hold more; nil for no reason.
func tooOld(reason error) error {
	if reason == nil {
		return nil
	}
	return fmt.Errorf("%w. This copy is too old, or has gone on by itself: take a newer one. Nothing was changed. If there is none, move the file "+
		"away and restore again, to read what the copy holds; then begin a new ledger under another origin, because what this one "+
		"recorded would contradict what others hold", reason)
}

func leafHash(snap *store.Snapshot, i ledger.Index) (ledger.Hash, error) {
	text, err := snap.Entry(i)
	if err != nil {
		return ledger.Hash{}, err
	}
	return ledger.LeafHash(text), nil
}

func (c *restoreCommand) print(out io.Writer, r vault.RestoreReport, size ledger.Size) error {
	w := bufio.NewWriter(out)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("The vault in %s is restored, under a new root key of generation %d.", c.Data, r.Generation)
	line("")
	line("Opens again, with the keys as of %s:", r.BackupAt.Format(time.RFC3339))
	line("  %s with %s", count(r.People, "person", "people"), count(r.Consents, "consent", "consents"))
	for _, row := range []struct {
		n               int
		one, many, what string
	}{
		{r.PeopleErased, "person", "people", "erased since the copy was made, and erased for good"},
		{r.PeopleAddedSince, "person", "people", "lost: added after the copy was made"},
		{r.ConsentsAddedSince, "consent", "consents", "lost: added after the copy was made, of people who were known before"},
		{r.PeopleNotBackedUp, "person", "people", "lost: added after the key backup was made"},
		{r.PeopleDamaged, "person", "people", "lost: damaged in the key backup"},
		{r.ConsentsWithoutClaims, "consent", "consents", "without all of the evidence: some is not in the copy, or damaged there"},
		{r.IdentifiersAddedSince, "identifier", "identifiers", "added or corrected after the copy was made, and kept: what a correction ended is in force again"},
	} {
		if row.n > 0 {
			line("  %s %s", count(row.n, row.one, row.many), row.what)
		}
	}
	line("")
	line("The log ends with its %s as it was copied: what was recorded since is not in it, and whoever holds a newer", count(size, "entry", "entries"))
	line("checkpoint sees that it was set back. Record again what you know of, withdrawals before anything is sent.")
	line("")
	line("Next:")
	line("")
	if r.IdentityLeft != "" {
		line("    destroy %s and %s: no erasure", r.IdentityLeft, c.KeyBackup)
		line("    destroys what these two bring back. Then `ledgerd backup keys` makes the next key backup")
	}
	data := shellQuote(c.Data)
	line("    %s check --data %s", programName(), data)
	line("    %s serve --data %s", programName(), data)
	line("    rm -r %s    # the old vault, once all is well", shellQuote(r.SetAside))
	return w.Flush()
}
