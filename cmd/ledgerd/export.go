package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/service"
)

// exportCommand is `ledgerd export`.
type exportCommand struct {
	ledgerFlags
	Out string `required:"" placeholder:"DIR" help:"The directory to write; it must not exist or be empty."`
}

// Help is printed by --help below the one sentence.
func (*exportCommand) Help() string {
	return `Writes the signed checkpoint, all entries, the hash tiles, the notices' texts and the key entries as plain files,
in the layout that any static web server can serve (C2SP tlog-tiles). The ledger must not be running; an auditor
can also read a running one at its /log/.

Example:

    ledgerd export --data /srv/consent --out copy-for-auditor`
}

func (c *exportCommand) run(ctx context.Context, std *streams) error {
	logger := slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return onStopped(ctx, c.options(logger), func(svc *service.Service) error {
		return c.export(svc, std.out)
	})
}

func (c *exportCommand) export(svc *service.Service, out io.Writer) error {
	snap := svc.Log().Snapshot()
	defer snap.Release()
	if err := snap.Export(c.Out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `%d entries of %s are in %s, without personal data. To check the copy:

    verify log %s --policy %s

An auditor takes the policy from you by another way than the copy.
`, snap.Size(), svc.Log().Origin(), c.Out, shellQuote(c.Out), shellQuote(filepath.Join(c.Data, "trust.policy")))
	return err
}
