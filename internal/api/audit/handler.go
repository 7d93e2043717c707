package audit

import (
	"log/slog"
	"net/http"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// maxRequest is the largest request in bytes: a checkpoint, with the lines of some
// witnesses. Nobody needs to send more of them than the log's own two.
const maxRequest = 64 << 10

// Handler gives the path below which the service answers, and the handler. Keys
// of role auditor may call it.
func Handler(log Log, whole Whole, bundles Bundles, logger *slog.Logger) (string, http.Handler) {
	return auditv1connect.NewAuditServiceHandler(New(log, whole, bundles, logger), calls.Options(authn.Auditor, maxRequest)...)
}
