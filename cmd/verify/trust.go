package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

// trustFlags are what every command needs that demands a quorum: whom to trust,
// and how to answer.
type trustFlags struct {
	Policy string `required:"" placeholder:"FILE" help:"Trust policy: the log's two keys and the witnesses that must have signed. Take it from another way than the log's own."`
	keyFlags
	JSON bool `name:"json" help:"Print the report as JSON and nothing else."`
}

// keyFlags tell which keys the log signed with before and after those of the
// policy.
type keyFlags struct {
	Keys string `placeholder:"FILE" help:"The log's key entries (trust.keys): with them the policy holds for what the log signed before and after its keys were rotated."`
}

// load reads the policy and the keys file. Its errors say nothing against a log.
func (t *trustFlags) load(std *streams) (*ledger.Policy, []byte, error) {
	return logfiles.Trust(t.Policy, t.Keys, std.in)
}

// source is the log that lies there. Warnings go to standard error.
func source(where string, std *streams) logfiles.Source {
	warn := func(text string) { fmt.Fprintln(std.err, "verify: warning:", text) }
	return logfiles.Source{Where: where, Key: os.Getenv("LEDGERD_KEY"), Warn: warn}
}

// follow gives the log's own key entries if they go on from those that were given,
// as [ledger.VerifyLog] does: each pair of keys signed what replaced it.
func follow(ctx context.Context, log ledger.LogReader, policy *ledger.Policy, keys []byte) []byte {
	shipped, err := log.ReadPath(ctx, "trust.keys")
	if err != nil || !bytes.HasPrefix(shipped, keys) {
		return keys
	}
	if _, err := policy.WithKeys(shipped); err != nil {
		return keys
	}
	return shipped
}
