package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// trustFlags are what every command needs that demands a quorum: whom to trust,
// and how to answer.
type trustFlags struct {
	Policy string `required:"" placeholder:"FILE" help:"Trust policy: the log's two keys and the witnesses that must have signed. Take it from another way than the log's own."`
	keyFlags
	JSON bool `name:"json" help:"Print the report as JSON and nothing else."`
}

// keyFlags tell which keys the log signs with after those of the policy.
type keyFlags struct {
	Keys string `placeholder:"FILE" help:"The log's key entries (trust.keys): with them the policy holds for what the log signed after its keys were rotated, too."`
}

// load reads the policy and the keys file. Its errors say nothing against a log.
func (t *trustFlags) load(std *streams) (*ledger.Policy, []byte, error) {
	return logfiles.Trust(t.Policy, t.Keys, std.in)
}

// stampFlags say whose time stamps count.
type stampFlags struct {
	TSA          []string `name:"tsa" sep:"none" placeholder:"PEM" help:"Certificate of a time-stamping authority, or of the CA that issued it: its time stamps count. Can be given several times."`
	QualifiedTSA []string `name:"qualified-tsa" sep:"none" placeholder:"PEM" help:"The same of a qualified trust service (eIDAS Art. 42), which you have found in a trusted list."`
}

// maxPins is the largest file of certificates in bytes.
const maxPins = 1 << 20

// judge gives what says which time stamps count; nil if nobody's do. Its errors
// say nothing against a log.
func (f *stampFlags) judge(std *streams) (func(token []byte, imprint ledger.Hash) (ledger.Stamp, error), error) {
	var trust timestamp.Trust
	for _, flag := range []struct {
		files     []string
		qualified bool
	}{{f.TSA, false}, {f.QualifiedTSA, true}} {
		for _, name := range flag.files {
			text, err := logfiles.ReadInput("certificate", name, maxPins, std.in)
			if err != nil {
				return nil, err
			}
			pins, err := timestamp.ParsePins(text)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ledger.ErrMissing, name, err)
			}
			trust = append(trust, timestamp.Authority{Pins: pins, Qualified: flag.qualified})
		}
	}
	if trust == nil {
		return nil, nil
	}
	return trust.Stamp, nil
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
