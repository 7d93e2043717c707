package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// initCommand is `ledgerd init`.
type initCommand struct {
	Data       string `required:"" env:"LEDGERD_DATA" placeholder:"DIR" help:"The directory to make. An existing ledger is never touched."`
	Origin     string `required:"" placeholder:"NAME" help:"The log's name for ever: a host and, if you like, a path, such as ledger.example.com/shop."`
	Controller string `placeholder:"ID" help:"An identifier of the company responsible; the origin's host if left out."`
}

// Help is printed by --help below the one sentence.
func (*initCommand) Help() string {
	return `Makes the directory with an empty log, its two signing keys, the vault with its root key, and the first API
key. That key is shown once and kept nowhere.

Example:

    ledgerd init --data /srv/consent --origin ledger.example.com`
}

func (c *initCommand) run(_ context.Context, std *streams) error {
	admin, err := createLedger(c.Data, c.Origin, c.Controller)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(c.Data, "trust.policy"))
	if err != nil {
		return fmt.Errorf("the ledger is made; reading its policy: %w", err)
	}
	policy, err := ledger.ParsePolicy(text)
	if err != nil {
		return fmt.Errorf("the ledger is made; reading its policy: %w", err)
	}
	keys := policy.Keys()
	_, err = fmt.Fprintf(std.out, `A new ledger is in %s. Its log is named %s.

The log's two verifier keys, Ed25519 and ML-DSA-44; a checkpoint counts only with both signatures:

    %s

    %s

Give them to your auditors by another way than the log's own; this file holds them:

    %s

The API key of the administrator, named "admin". It is shown this once:

    %s

Next:

    %[7]s serve --data %[8]s
    %[7]s apikey add --data %[8]s --role app --name shop-frontend
`, c.Data, keys.Ed25519.Name, keys.Ed25519, keys.MLDSA44, filepath.Join(c.Data, "trust.policy"), admin, programName(), shellQuote(c.Data))
	return err
}

// createLedger makes a ledger and its first API key, which it gives.
func createLedger(dir, origin, controller string) (admin string, err error) {
	err = service.Create(dir, origin, controller, func(making string) error {
		if err := authn.Create(apiKeys(making)); err != nil {
			return err
		}
		admin, err = authn.Add(apiKeys(making), "admin", authn.Admin, authn.Options{})
		return err
	})
	return admin, err
}
