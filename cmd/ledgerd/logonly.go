package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/audit"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// logOnlyReason is what callers of the other services are told.
const logOnlyReason = "only the log is served: the vault's keys are not here. With the newest key backup run `ledgerd restore`, " +
	"then `ledgerd serve` without --log-only"

// startLogOnly opens a ledger's log, not its vault, and listens for auditors.
func startLogOnly(opt service.Options, listen string, plainHTTP bool) (*serving, error) {
	log, err := openLog(opt.Dir, opt.Logger)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	path, auditor := audit.Handler(log, opt.Logger)
	mux.Handle(path, auditor)
	mux.Handle(tlog.Prefix, tlog.New(log, opt.Logger))
	srv, err := listenFor(opt, server.Options{
		Handler:                      onlyBelow(mux, path, tlog.Prefix),
		Ready:                        func() server.Readiness { return server.Readiness{Fault: logOnlyReason} },
		Listen:                       listen,
		AllowPlainHTTPBeyondLoopback: plainHTTP,
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &serving{"the log of " + log.Origin() + ", and nothing else,", srv, log}, nil
}

// onlyBelow lets requests below the prefixes through and refuses all others as
// unavailable, for now.
func onlyBelow(next http.Handler, prefixes ...string) http.Handler {
	refuse := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(r.URL.Path, prefix) {
				next.ServeHTTP(w, r)
				return
			}
		}
		// Nothing can be done about a caller who has gone.
		_ = refuse.Write(w, r, connect.NewError(connect.CodeUnavailable, errors.New(logOnlyReason)))
	})
}

// openLog opens a ledger's log without its vault.
func openLog(dir string, logger *slog.Logger) (*store.Store, error) {
	signer, err := readSigner(dir)
	if err != nil {
		return nil, err
	}
	return store.Open(store.Options{Dir: dir, Signer: signer, Logger: logger})
}

// readSigner reads signing.keys, the file that internal/service writes and that
// it reads itself whenever the vault is opened, too: a magic line, the origin and
// the two seeds.
func readSigner(dir string) (*ledger.Signer, error) {
	path := filepath.Join(dir, "signing.keys")
	if !store.IsLedger(dir) {
		return nil, fmt.Errorf("there is no ledger in %s; make one with `ledgerd init`", dir)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read %s; run `chmod 600 %s`, and make a new ledger if somebody did", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) != 5 || lines[0] != "consent-ledger/signing-keys/v1" {
		return nil, fmt.Errorf("%s is not a file of signing keys of this version, or damaged", path)
	}
	ed, err1 := ledger.ParseHash(lines[2])
	ml, err2 := ledger.ParseHash(lines[3])
	if errors.Join(err1, err2) != nil {
		return nil, fmt.Errorf("%s is damaged", path) // the reason could hold a seed
	}
	return ledger.NewSigner(lines[1], ed, ml)
}
