package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger/store"
)

// exportCommand is `ledgerd export`.
type exportCommand struct {
	ledgerFlags
	Out                  string `required:"" placeholder:"DIR" help:"The directory to write; it must not exist or be empty."`
	TimestampAuthorities string `placeholder:"FILE" help:"Have the log stamped before, if it got something new since the last time; see \"ledgerd serve --help\"."`
}

// Help is printed by --help below the one sentence.
func (*exportCommand) Help() string {
	return `Writes the signed checkpoint, all entries, the hash tiles, the notices' texts, time stamps and the key entries as
plain files, in the layout that any static web server can serve (C2SP tlog-tiles). The ledger must not be running; an auditor
can also read a running one at its /log/. If witnesses have cosigned all of the log, the checkpoint carries their lines.

With --timestamp-authorities nothing is exported unless at least one of them stamps, so that the copy's last entry is
no older than what others say.

Examples:

    ledgerd export --data /srv/consent --out copy-for-auditor
    ledgerd export --data /srv/consent --out copy-for-auditor --timestamp-authorities /etc/consent/authorities`
}

func (c *exportCommand) run(ctx context.Context, std *streams) error {
	logger := slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return onStopped(ctx, c.options(logger), func(svc *service.Service) error {
		if err := c.stamp(ctx, svc, std.err); err != nil {
			return err
		}
		return c.export(svc, std.out)
	})
}

// stamp has what is new stamped, and says who has not.
func (c *exportCommand) stamp(ctx context.Context, svc *service.Service, stderr io.Writer) error {
	if c.TimestampAuthorities == "" {
		return nil
	}
	s, err := newStamper(svc, c.Data, c.TimestampAuthorities, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	outcomes, err := s.StampChanged(ctx)
	if err = errors.Join(err, s.Close()); err != nil || len(outcomes) == 0 {
		return err
	}
	missing := 0
	for _, o := range outcomes {
		if o.Why != "" {
			missing++
			fmt.Fprintf(stderr, "ledgerd: %s has not stamped: it %s\n", o.Authority, whyNotStamped(o.Why, o.Detail))
		}
	}
	if missing == len(outcomes) {
		return fmt.Errorf("%w, so nothing was exported; try again, or leave out --timestamp-authorities", errNotStamped)
	}
	return nil
}

func (c *exportCommand) export(svc *service.Service, out io.Writer) error {
	snap := svc.Log().Snapshot()
	defer snap.Release()
	if err := snap.Export(c.Out); err != nil {
		return err
	}
	if err := c.cosigned(svc.Log(), snap, out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `%d entries of %s are in %s, without personal data. To check the copy:

    verify log %s --policy %s

An auditor takes the policy from you by another way than the copy.
`, snap.Size(), svc.Log().Origin(), c.Out, shellQuote(c.Out), shellQuote(filepath.Join(c.Data, "trust.policy")))
	return err
}

// cosigned puts the checkpoint that the witnesses have cosigned in the copy's place of
// the one that the log alone signed, if it is the same, and says so if it is older.
func (c *exportCommand) cosigned(log *store.Store, snap *store.Snapshot, out io.Writer) error {
	signed, err := os.ReadFile(filepath.Join(c.Data, history.CosignedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	kept, err := history.Open(log, signed)
	if errors.Is(err, history.ErrLog) {
		return err
	} else if err != nil {
		_, err := fmt.Fprintf(out, "What the witnesses cosigned is left out: %s is not a checkpoint of this log.\n", history.CosignedName)
		return err
	}
	if kept.Size == snap.Size() && kept.Root == snap.Root() {
		return os.WriteFile(filepath.Join(c.Out, "checkpoint"), signed, 0o644)
	}
	if kept.Size < snap.Size() {
		_, err := fmt.Fprintf(out, "The witnesses have cosigned the first %d entries only: a policy that demands them is not satisfied by this copy.\n", kept.Size)
		return err
	}
	// A log that was set back can still be exported; every reader who holds what was
	// cosigned finds out.
	return nil
}
