package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/service"
)

// ledgerFlags say which ledger a command works on.
type ledgerFlags struct {
	Data    string `required:"" env:"LEDGERD_DATA" placeholder:"DIR" help:"The ledger's directory."`
	RootKey string `env:"LEDGERD_ROOT_KEY" placeholder:"PATH" help:"The file of the vault's root key, if it is not DIR/root.key."`
}

func (f *ledgerFlags) options(logger *slog.Logger) service.Options {
	return service.Options{Dir: f.Data, RootKeyPath: f.RootKey, Logger: logger}
}

// apiKeys is the file of a ledger's API keys.
func apiKeys(dir string) string { return filepath.Join(dir, "apikeys") }

// onStopped opens a ledger that no server has open, hands it to use and closes
// it. An interrupt leaves at once, without closing: the next start treats the
// ledger as it does after a crash, and use has changed nothing.
func onStopped(ctx context.Context, opt service.Options, use func(*service.Service) error) error {
	done := make(chan error, 1)
	go func() {
		svc, err := service.Open(opt)
		if err != nil {
			done <- err
			return
		}
		done <- errors.Join(use(svc), svc.Close())
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}
