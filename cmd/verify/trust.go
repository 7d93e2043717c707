package main

import (
	"fmt"
	"io"
	"os"

	"github.com/consentledger/consentledger/ledger"
)

// trustFlags are what every command needs: whom to trust, and how to answer.
type trustFlags struct {
	Policy string `required:"" placeholder:"FILE" help:"Trust policy: the log's two keys and the witnesses that must have signed. Take it from another way than the log's own."`
	Keys   string `placeholder:"FILE" help:"The log's key entries (trust.keys), if you hold them."`
	JSON   bool   `name:"json" help:"Print the report as JSON and nothing else."`
}

// maxKeysSize is the largest keys file in bytes.
const maxKeysSize = 1 << 20

// load reads the policy and the keys file.
// Its errors say nothing against a log: they mean that there is no verdict.
func (t *trustFlags) load(std *streams) (policy *ledger.Policy, keys []byte, err error) {
	text, err := readInput("policy", t.Policy, ledger.MaxPolicySize, std)
	if err != nil {
		return nil, nil, err
	}
	if policy, err = ledger.ParsePolicy(text); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.Policy, err)
	}
	if t.Keys == "" {
		return policy, nil, nil
	}
	keys, err = readInput("keys", t.Keys, maxKeysSize, std)
	return policy, keys, err
}

// readInput reads a file that the user named, at most limit bytes; the name -
// stands for the standard input. Every error wraps [ledger.ErrMissing].
func readInput(what, name string, limit int64, std *streams) ([]byte, error) {
	in := std.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: reading the %s: %w", ledger.ErrMissing, what, err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: reading the %s: %w", ledger.ErrMissing, what, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: the %s %s has more than %d bytes", ledger.ErrMissing, what, name, limit)
	}
	return b, nil
}
