package main

import (
	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/ledger"
)

// trustFlags are what every command needs: whom to trust, and how to answer.
type trustFlags struct {
	Policy string `required:"" placeholder:"FILE" help:"Trust policy: the log's two keys and the witnesses that must have signed. Take it from another way than the log's own."`
	Keys   string `placeholder:"FILE" help:"The log's key entries (trust.keys), if you hold them."`
	JSON   bool   `name:"json" help:"Print the report as JSON and nothing else."`
}

// load reads the policy and the keys file. Its errors say nothing against a log.
func (t *trustFlags) load(std *streams) (*ledger.Policy, []byte, error) {
	return logfiles.Trust(t.Policy, t.Keys, std.in)
}
