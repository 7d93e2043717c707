package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
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

	Expires *span `placeholder:"TIME" help:"How long the key works, such as 90d; without it, until it is revoked."`
	Rate    rate  `placeholder:"N/s" help:"How many calls per second it may make, such as 50/s; without it, any number."`
	Replace bool  `help:"Take the place of the key that works under this name; that one is revoked."`
	Overlap span  `placeholder:"TIME" help:"With --replace: let the key before work for that long, such as 1h, until all who use it have the new one. At most 30d."`
}

// Validate refuses what only looks like a limit.
func (c *apikeyAdd) Validate() error {
	if c.Overlap != 0 && !c.Replace {
		return errors.New("--overlap goes with --replace")
	}
	if c.Expires != nil && time.Duration(*c.Expires) < time.Minute {
		return errors.New("--expires must be at least 1m")
	}
	return nil
}

// rate is a number of calls per second on the command line.
type rate int

// UnmarshalText reads "50/s".
func (r *rate) UnmarshalText(text []byte) error {
	n, ok := strings.CutSuffix(string(text), "/s")
	calls, err := strconv.ParseUint(n, 10, 32)
	if !ok || err != nil || calls == 0 || calls > authn.MaxRate {
		return fmt.Errorf("must be a number of calls per second, from 1/s to %d/s", authn.MaxRate)
	}
	*r = rate(calls)
	return nil
}

// Help is printed by --help below the one sentence.
func (*apikeyAdd) Help() string {
	return `The key is the only thing on the standard output. It is kept nowhere and cannot be shown again.

A key with --expires is refused from then on like one that does not exist; its name may then have a new key of the same
role. One that calls more often than its --rate is answered resource_exhausted, with Retry-After; after a pause of a
second it may make the calls of a second at once, and a stream or a batch is one call.

To renew a key, give --replace with its name and role; --expires and --rate are those of the new one. With --overlap both
work for a while, so that nobody is locked out between; "ledgerd apikey revoke" then ends both.

Examples:

    ledgerd apikey add --data /srv/consent --role app --name shop-frontend
    ledgerd apikey add --data /srv/consent --role auditor --name auditor-2027 --expires 90d --rate 50/s
    ledgerd apikey add --data /srv/consent --role app --name shop-frontend --expires 90d --replace --overlap 1h`
}

func (c *apikeyAdd) run(_ context.Context, std *streams) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	opt := authn.Options{Insist: c.Insist, Rate: int(c.Rate), Replace: c.Replace, Overlap: time.Duration(c.Overlap)}
	until := ""
	if c.Expires != nil {
		opt.Expires = time.Now().UTC().Add(time.Duration(*c.Expires)).Truncate(time.Second)
		until = ", until " + opt.Expires.Format(time.RFC3339)
	}
	key, err := authn.Add(path, c.Name, authn.Role(c.Role), opt)
	if err != nil {
		return explainKeys(err)
	}
	fmt.Fprintf(std.err, "The key %q of role %s%s; it is shown this once and works within a second:\n", c.Name, c.Role, until)
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
	return `USED is when a key was last accepted: up to a minute behind a running server, and after a crash of the server what it
said before. It stands in DIR/apikeys.used, which nothing needs. All times are UTC.

Example:

    ledgerd apikey list --data /srv/consent`
}

func (c *apikeyList) run(_ context.Context, std *streams) error {
	path, err := c.path()
	if err != nil {
		return err
	}
	keys, unread, err := authn.List(path)
	if err != nil {
		return explainKeys(err)
	}
	when := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.Format(time.RFC3339)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tMADE\tUSED\tEXPIRES\tRATE\tREVOKED")
	for _, k := range keys {
		used, rate := when(k.LastUsed), "-"
		if unread != nil {
			used = "?"
		}
		if k.Rate != 0 {
			rate = strconv.Itoa(k.Rate) + "/s"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, k.Role, when(k.Created), used, when(k.Expires), rate, when(k.Revoked))
	}
	if unread != nil {
		fmt.Fprintf(std.err, "ledgerd: when the keys were used last cannot be read: %v\n", unread)
	}
	return w.Flush()
}

type apikeyRevoke struct {
	keysFlags
	Name string `required:"" help:"The key's name."`
}

// Help is printed by --help below the one sentence.
func (*apikeyRevoke) Help() string {
	return `Ends every key of the name, also one that was replaced and still works. The name stays taken: a new key may have it again only in the same role.

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
