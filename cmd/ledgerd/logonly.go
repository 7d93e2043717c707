package main

import (
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/audit"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
)

// logOnlyReason is what callers of the other services are told.
const logOnlyReason = "only the log is served: the vault's keys are not here. With the newest key backup run `ledgerd restore`, " +
	"then `ledgerd serve` without --log-only"

// startLogOnly opens a ledger's log, not its vault, and listens for auditors as
// srv says.
func startLogOnly(opt service.Options, srv server.Options) (*serving, error) {
	log, err := service.OpenLog(opt.Dir, opt.Logger)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	path, auditor := audit.Handler(log, opt.Logger)
	mux.Handle(path, auditor)
	mux.Handle(tlog.Prefix, tlog.New(log, opt.Logger))
	srv.Handler = onlyBelow(mux, path, tlog.Prefix)
	srv.Ready = func() server.Readiness { return server.Readiness{Fault: logOnlyReason} }
	listening, err := listenFor(opt, srv)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &serving{"the log of " + log.Origin() + ", and nothing else,", listening, log}, nil
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
