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
	KeyBackup    string   `placeholder:"FILE" help:"The newest key backup, keys-<generation>.age."`
	Key          string   `placeholder:"FILE" help:"The identity that opens it: the file that was --backup-key of the lost ledger."`
	From         string   `placeholder:"DIR" help:"The directory of the data backups, data-<number>.backup."`
	SigningKeys  string   `placeholder:"FILE" help:"Your copy of signing.keys, from after the newest rotation in the backup."`
	LogOnly      bool     `help:"Restore the log and not the vault, because there is no key backup."`
	Copy         bool     `help:"Only write a static copy of the log into --data, as \"ledgerd export\" does; needs no keys."`
	DespiteCheck bool     `help:"Put the ledger in its place although the check found something."`
	Since        []string `sep:"none" placeholder:"FILE" help:"A checkpoint that somebody kept of this log: a backup that does not contain it is refused. Can be given several times."`
}

// Help is printed by --help below the one sentence.
func (*restoreCommand) Help() string {
	return `With --from the ledger is made anew from its data backups in a new directory. All files are read to their end, the log
is made from its entries under the rules that recorded them and verified as auditors verify it, and held to --since and to the
cosigned and stamped checkpoints in the backup; the vault is made with the newest key backup, under a new root key; the log then
records whose keys are gone, and everything is checked. Only then is the ledger put in its place; when anything is wrong, nothing is.
Whoever was erased stays erased, whoever came after the backup is lost. An interrupted restore is begun again.

Without signing.keys nobody can sign this log any more: --copy saves the log for auditors, and everything else is over.

Without --from: put a copy of the ledger's directory where the ledger shall be, without a root key, then run this: a new root key is
drawn, and everybody who is in the copy and in the key backup opens again. Put the newest cosigned.checkpoint and
anchored.checkpoint that you have into the copy before: when they show more than it holds, nothing is changed. Room for a second
vault is needed.

Either way the log goes on from where it was backed up: what was recorded since, withdrawals too, is not in it. Name --backup-target
and --backup-key, too, as for "ledgerd serve": then the next key backup is written, and the identity is destroyed that could
bring back whoever is erased from now on.

Examples:

    ledgerd restore --data /srv/consent --from /backup/consent --signing-keys /safe/signing.keys \
        --key-backup /backup/consent/keys-7.age --key /media/usb/consent.identity --since /safe/kept.checkpoint \
        --backup-target /backup/consent --backup-key /media/usb/consent.identity
    ledgerd restore --data /srv/consent --from /backup/consent --signing-keys /safe/signing.keys --log-only
    ledgerd restore --data copy-for-auditor --from /backup/consent --copy
    ledgerd restore --data /srv/consent --key-backup /backup/consent/keys-7.age --key /media/usb/consent.identity \
        --backup-target /backup/consent --backup-key /media/usb/consent.identity`
}

// Validate refuses flags that do not go together.
func (c *restoreCommand) Validate() error {
	keys := c.KeyBackup != "" && c.Key != ""
	switch {
	case c.Copy && (c.From == "" || c.Key != "" || c.KeyBackup != "" || c.SigningKeys != "" || c.LogOnly):
		return errors.New("--copy takes --from, and --since, and no keys")
	case c.Copy:
		return nil
	case c.From == "" && (c.SigningKeys != "" || c.LogOnly || c.DespiteCheck || len(c.Since) > 0):
		return errors.New("--signing-keys, --log-only, --despite-check and --since go with --from")
	case c.From != "" && c.SigningKeys == "":
		return errors.New("missing flags: --signing-keys=FILE. Without them nobody can sign the log any more; --copy saves it for auditors")
	case c.LogOnly == keys || (c.KeyBackup != "") != (c.Key != ""):
		return errors.New("missing flags: --key-backup=FILE and --key=FILE, or with --from --log-only")
	}
	return c.ledgerFlags.Validate()
}

func (c *restoreCommand) run(ctx context.Context, std *streams) error {
	logger := slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if c.From != "" {
		return untilInterrupted(ctx, func() error { return c.fromBackup(ctx, std, logger) })
	}
	return untilInterrupted(ctx, func() error {
		report, size, err := c.restore(logger)
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
	line := printer(w)
	line("The vault in %s is restored, under a new root key of generation %d.", c.Data, r.Generation)
	line("")
	printVault(line, r)
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

// printVault prints what opens again and what does not.
func printVault(line func(format string, args ...any), r vault.RestoreReport) {
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
}
