// Package wire puts everything that the ledger answers over HTTP on one handler.
//
// Start with [Handler]. Keys are read in front of it, by internal/authn;
// what a role may call is the table of internal/server.
package wire

import (
	"log/slog"
	"net/http"

	"github.com/consentledger/consentledger/internal/api/admin"
	"github.com/consentledger/consentledger/internal/api/app"
	"github.com/consentledger/consentledger/internal/api/audit"
	"github.com/consentledger/consentledger/internal/api/evidence"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger/store"
)

// Handler serves the API's services and, below /log/, the log as C2SP tiles.
// Auditors see it as the witnesses have cosigned it, where they are not nil; the
// stamper may be nil, too. version is what GetStatus says of the running program.
func Handler(s *service.Service, witnesses *tlog.Collector, stamper *tlog.Stamper, logger *slog.Logger, version string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(app.Handler(s, logger))
	mux.Handle(admin.Handler(s, witnesses, stamper, logger, version))
	mux.Handle(evidence.Handler(s, logger))
	Log(mux, s.Log(), witnesses, logger)
	return quiet(mux)
}

// Log puts on the mux what auditors read: their service, whose path it gives, and
// the tiles. witnesses may be nil, as for [Handler].
func Log(mux *http.ServeMux, log *store.Store, witnesses *tlog.Collector, logger *slog.Logger) (path string) {
	var seen interface {
		audit.Log
		tlog.Log
	} = log
	if witnesses != nil {
		seen = witnesses.Over(log)
	}
	path, auditor := audit.Handler(seen, log, logger)
	mux.Handle(path, auditor)
	mux.Handle(tlog.Prefix, tlog.New(seen, logger))
	return path
}
