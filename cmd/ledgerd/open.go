package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/vault"
)

// ledgerFlags say which ledger a command works on.
type ledgerFlags struct {
	Data    string `required:"" env:"LEDGERD_DATA" placeholder:"DIR" help:"The ledger's directory."`
	RootKey string `env:"LEDGERD_ROOT_KEY" placeholder:"PATH" help:"The file of the vault's root key, if it is not DIR/root.key."`

	Memory memory `default:"1GiB" env:"LEDGERD_MEMORY" placeholder:"SIZE" help:"About how much memory to use, such as 512MiB: at least 128MiB. Less makes caches smaller, and what one request may hold. Default: ${default}."`

	// Whoever opens the ledger finishes an erasure that a crash interrupted, and
	// a key backup is part of it.
	BackupTarget string `env:"LEDGERD_BACKUP_TARGET" placeholder:"DIR" help:"An existing directory for key backups, on another disk than --data."`
	BackupKey    string `env:"LEDGERD_BACKUP_KEY" placeholder:"FILE" help:"The identity that opens the newest key backup: made here, destroyed at every erasure, on a medium that neither --data nor --backup-target is on. Never copy it."`
}

// Validate refuses flags that do not go together.
func (f *ledgerFlags) Validate() error {
	if (f.BackupTarget == "") != (f.BackupKey == "") {
		return errors.New("--backup-target and --backup-key go together")
	}
	return nil
}

func (f *ledgerFlags) options(logger *slog.Logger) service.Options {
	opt := service.Options{Dir: f.Data, RootKeyPath: f.RootKey, Logger: logger, Memory: int64(f.Memory)}
	if f.BackupTarget != "" {
		opt.KeyBackup = &vault.KeyBackup{Target: f.BackupTarget, IdentityPath: f.BackupKey}
	}
	return opt
}

// apiKeys is the file of a ledger's API keys.
func apiKeys(dir string) string { return filepath.Join(dir, "apikeys") }

// onStopped opens a ledger that no server has open, hands it to use and closes
// it. use changes nothing.
func onStopped(ctx context.Context, opt service.Options, use func(*service.Service) error) error {
	return untilInterrupted(ctx, func() error {
		svc, err := service.Open(opt)
		if err != nil {
			return service.Remedied(err)
		}
		return errors.Join(use(svc), svc.Close())
	})
}

// untilInterrupted does what may end at any moment. An interrupt leaves at once,
// without closing anything: whoever opens the ledger next treats it as after a
// crash.
func untilInterrupted(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}
