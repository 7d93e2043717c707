package main

import (
	"context"
	"fmt"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// backupCommand is `ledgerd backup`.
type backupCommand struct {
	All  backupAll  `cmd:"" default:"withargs" help:"Back up what is new in the log and the vault, then the keys."`
	Keys backupKeys `cmd:"" help:"Write a key backup now; every erasure writes one by itself."`
}

// Help is printed by --help below the one sentence.
func (*backupCommand) Help() string { return (*backupAll)(nil).Help() }

type backupAll struct {
	serverFlags
	Full bool `help:"Begin a new chain with everything, in a target that has no data backup."`
}

// Help is printed by --help below the one sentence.
func (*backupAll) Help() string {
	return `The server goes on recording and writes to its --backup-target: data-<number>.backup with the entries and the sealed rows
that are new since the file before, and then keys-<generation>.age. The files never change; copy them where you like, and keep all
of them: each goes on from the one before, which its head names by its hash. No key opens anything in them but through the newest
key backup, so whoever is erased later is gone from all of them.

Begin once with --full. Without it a target in which there is nothing is refused, because its disk may not be mounted.
Not in any backup: root.key, which the next erasure destroys, and signing.keys, of which you keep a copy offline, anew
after each "ledgerd rotate-key". ` + keyHelp + `

Examples:

    ledgerd backup --full
    ledgerd backup`
}

func (c *backupAll) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	done, err := client.Backup(ctx, &adminv1.BackupRequest{Full: c.Full})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s in the server's backup target holds %s from %d on and %s of the vault, %d KiB.\n"+
		"keys-%d.age holds the keys of %s.\n", done.File, count(done.Size-done.From, "entry", "entries"), done.From,
		count(done.Rows, "row", "rows"), (done.Bytes+1023)>>10, done.KeyGeneration, count(done.People, "person", "people"))
	return err
}

type backupKeys struct{ serverFlags }

// Help is printed by --help below the one sentence.
func (*backupKeys) Help() string {
	return `A data backup and a copy of the ledger's directory open nothing after the next erasure, unless there is a key backup: the
keys of everybody who is not erased, sealed to an identity that the next erasure destroys. The server writes it to its
--backup-target as keys-<generation>.age and reads it back. Do this after many people were added and nobody was
erased: without it they are lost with the disk. "ledgerd backup" does it, too. ` + keyHelp + `

Example:

    ledgerd backup keys`
}

func (c *backupKeys) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	done, err := client.BackupKeys(ctx, &adminv1.BackupKeysRequest{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "keys-%d.age in the server's backup target holds the keys of %s.\n", done.Generation,
		count(done.People, "person", "people"))
	return err
}
