// Package admin answers consent.admin.v1.AdminService: the purposes, the notices,
// further claims, processors, the suppression list, retention, and how the ledger and
// its erasures are.
//
// Start with [Handler]. Methods are thin, as in internal/api/app; all of them are
// safe for concurrent use.
package admin

import (
	"log/slog"
	"net/http"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/proto/consent/admin/v1/adminv1connect"
)

// maxRequest is the largest request in bytes: a document of 10 MiB in base64, and
// room for claims. A notice of 256 KiB, whose characters JSON may spell with up to
// six bytes each where they are not letters, is smaller.
const maxRequest = 16 << 20

// handler implements adminv1connect.AdminServiceHandler.
type handler struct {
	service   *service.Service
	witnesses *tlog.Collector // nil when none are asked
	stamper   *tlog.Stamper   // nil without time-stamping authorities
	version   string
}

// Handler gives the path below which the service answers, and the handler. Keys
// of role admin may call it. version is what GetStatus says of the running
// program, and witnesses and stamper, which may be nil, what it says of those who
// cosign and stamp the log; faults are written to logger.
func Handler(s *service.Service, witnesses *tlog.Collector, stamper *tlog.Stamper, logger *slog.Logger, version string) (string, http.Handler) {
	options := append(calls.Options(authn.Admin, maxRequest), calls.Refusals(logger))
	return adminv1connect.NewAdminServiceHandler(&handler{s, witnesses, stamper, version}, options...)
}
