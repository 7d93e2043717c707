// Package wire puts everything that the ledger answers over HTTP on one handler.
//
// Start with [Handler]. Keys are read in front of it, by internal/authn;
// what a role may call is the table of internal/server.
package wire

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/consentledger/consentledger/internal/api/admin"
	"github.com/consentledger/consentledger/internal/api/app"
	"github.com/consentledger/consentledger/internal/api/audit"
	"github.com/consentledger/consentledger/internal/api/evidence"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger/store"
)

// Options say who helps the ledger, and what it says of itself. Logger is required.
type Options struct {
	// Witnesses cosign the log; auditors then see it as they have. nil for none.
	Witnesses *tlog.Collector
	// Stamper has the log and the proof bundles stamped; nil for nobody.
	Stamper *tlog.Stamper
	// Zone is where the controller is: bundles give every time in UTC and in it. nil is
	// UTC.
	Zone *time.Location
	// Version is that of the running program.
	Version string
	Logger  *slog.Logger
}

// tool names the program that makes bundles.
func (o *Options) tool() string { return "ledgerd " + o.Version }

// Handler serves the API's services and, below /log/, the log as C2SP tiles.
func Handler(s *service.Service, o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(app.Handler(s, o.Logger))
	mux.Handle(admin.Handler(s, o.Witnesses, o.Stamper, o.Logger, o.Version))
	bundles := evidence.Bundles{Zone: o.Zone, Tool: o.tool()}
	if o.Stamper != nil {
		bundles.Token = o.Stamper.Token
	}
	mux.Handle(evidence.Handler(s, bundles, o.Logger))
	Log(mux, s.Log(), o)
	return quiet(mux)
}

// Log puts on the mux what auditors read: their service, whose path it gives, and
// the tiles.
func Log(mux *http.ServeMux, log *store.Store, o Options) (path string) {
	var seen interface {
		audit.Log
		tlog.Log
	} = log
	if o.Witnesses != nil {
		seen = o.Witnesses.Over(log)
	}
	path, auditor := audit.Handler(seen, log, audit.Bundles{Zone: o.Zone, Tool: o.tool()}, o.Logger)
	mux.Handle(path, auditor)
	mux.Handle(tlog.Prefix, tlog.New(seen, o.Logger))
	return path
}
