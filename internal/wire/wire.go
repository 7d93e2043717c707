// Package wire puts everything that the ledger answers over HTTP on one handler.
//
// [Handler] is the only function. Keys are read in front of it, by internal/authn;
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
)

// Handler serves the API's services and, below /log/, the log as C2SP tiles.
// version is what GetStatus says of the running program.
func Handler(s *service.Service, logger *slog.Logger, version string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(app.Handler(s, logger))
	mux.Handle(admin.Handler(s, logger, version))
	mux.Handle(evidence.Handler(s, logger))
	mux.Handle(audit.Handler(s.Log(), logger))
	mux.Handle(tlog.Prefix, tlog.New(s.Log(), logger))
	return quiet(mux)
}
