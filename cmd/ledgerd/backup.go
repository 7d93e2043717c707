package main

import (
	"context"
	"fmt"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// backupCommand is `ledgerd backup`.
type backupCommand struct {
	Keys backupKeys `cmd:"" help:"Write a key backup now; every erasure writes one by itself."`
}

type backupKeys struct{ serverFlags }

// Help is printed by --help below the one sentence.
func (*backupKeys) Help() string {
	return `A copy of the ledger's directory opens nothing after the next erasure, unless there is a key backup: the keys of
everybody who is not erased, sealed to an identity that the next erasure destroys. The server writes it to its
--backup-target as keys-<generation>.age and reads it back. Do this after many people were added and nobody was
erased: without it they are lost with the disk. ` + keyHelp + `

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
