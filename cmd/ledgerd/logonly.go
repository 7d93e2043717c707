package main

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/metrics"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/internal/wire"
)

// logOnlyReason is what callers of the other services are told.
const logOnlyReason = "only the log is served: the vault's keys are not here. With the newest key backup run `ledgerd restore`, " +
	"then `ledgerd serve` without --log-only"

// startLogOnly opens a ledger's log, not its vault, and listens for auditors as
// srv says. Nothing is recorded, and so nothing stamped.
func startLogOnly(opt service.Options, others othersFlags, zone *time.Location, srv server.Options) (*serving, error) {
	log, err := service.OpenLog(opt.Dir, opt.Logger)
	if err != nil {
		return nil, service.Remedied(err)
	}
	s := &serving{what: "the log of " + log.Origin() + ", and nothing else,", ledger: log}
	if err := others.checkSince(log); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	if s.witnesses, err = others.collector(log, opt.Dir, nil, opt.Logger); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	s.measure = func() (metrics.Ledger, error) { return s.measureLog(log), nil }
	mux := http.NewServeMux()
	path := wire.Log(mux, log, wire.Options{Witnesses: s.witnesses, Zone: zone, Logger: opt.Logger, Version: version()})
	srv.Handler = onlyBelow(mux, path, tlog.Prefix)
	srv.Ready = func() server.Readiness { return server.Readiness{LogOnly: true, Fault: logOnlyReason} }
	if s.server, err = listenFor(opt, srv); err != nil {
		return nil, errors.Join(err, s.closeLedger())
	}
	return s, nil
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
