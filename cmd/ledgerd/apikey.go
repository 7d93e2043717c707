package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/ledger/store"
)

// apikeyCommand is `ledgerd apikey`.
type apikeyCommand struct {
	Add    apikeyAdd    `cmd:"" help:"Make a key and show it once."`
	List   apikeyList   `cmd:"" help:"List all keys ever made, without the keys themselves."`
	Revoke apikeyRevoke `cmd:"" help:"End a key."`
}

// keysFlags say whose API keys. The file is edited whether or not the server
// runs, so only the directory is needed.
type keysFlags struct {
	Data string `required:"" env:"LEDGERD_DATA" placeholder:"DIR" help:"The ledger's directory."`
}

// path gives the file of the keys.
func (f *keysFlags) path() (string, error) {
	if !store.IsLedger(f.Data) {
		return "", fmt.Errorf("there is no ledger in %s; make one with `ledgerd init`", f.Data)
	}
	return apiKeys(f.Data), nil
}

type apikeyAdd struct {
	keysFlags
	Role   string `required:"" enum:"app,auditor,legal,admin" placeholder:"ROLE" help:"What the key may call: app (record and check), auditor (read the log), legal (evidence), admin (purposes, notices, status)."`
	Name   string `required:"" help:"Stands in the log as the source of entries, for ever, so it must not be personal."`
	Insist bool   `help:"Take a name that looks personal, because it is not."`
}

// Help is printed by --help below the one sentence.
func (*apikeyAdd) Help() string {
	return `The key is the only thing on the standard output. It is kept nowhere and cannot be shown again.

Example:

    ledgerd apikey add --data /srv/consent --role app --name shop-frontend`
}

func (c *apikeyAdd) run(_ context.Context, std *streams) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	key, err := authn.Add(path, c.Name, authn.Role(c.Role), c.Insist)
	if err != nil {
		return explainKeys(err)
	}
	fmt.Fprintf(std.err, "The key %q of role %s; it is shown this once and works within a second:\n", c.Name, c.Role)
	_, err = fmt.Fprintln(std.out, key)
	return err
}

// explainKeys says what to do about a missing file.
func explainKeys(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; it belongs to the ledger: restore it from a backup", err)
	}
	return err
}

type apikeyList struct{ keysFlags }

// Help is printed by --help below the one sentence.
func (*apikeyList) Help() string {
	return `Example:

    ledgerd apikey list --data /srv/consent`
}

func (c *apikeyList) run(_ context.Context, std *streams) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	keys, err := authn.List(path)
	if err != nil {
		return explainKeys(err)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tMADE\tREVOKED")
	for _, k := range keys {
		revoked := "-"
		if !k.Revoked.IsZero() {
			revoked = k.Revoked.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Name, k.Role, k.Created.Format(time.RFC3339), revoked)
	}
	return w.Flush()
}

type apikeyRevoke struct {
	keysFlags
	Name string `required:"" help:"The key's name."`
}

// Help is printed by --help below the one sentence.
func (*apikeyRevoke) Help() string {
	return `The name stays taken: a new key may have it again only in the same role.

Example:

    ledgerd apikey revoke --data /srv/consent --name shop-frontend`
}

func (c *apikeyRevoke) run(_ context.Context, std *streams) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	if err := authn.Revoke(path, c.Name); err != nil {
		return explainKeys(err)
	}
	_, err = fmt.Fprintf(std.out, "The key %q is revoked; a running server refuses it within a second.\n", c.Name)
	return err
}
