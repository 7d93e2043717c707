package audit

import (
	"log/slog"
	"net/http"

	"github.com/consentledger/consentledger/internal/api/limits"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// maxRequest is the largest request in bytes: numbers and one hash.
const maxRequest = 64 << 10

// Handler gives the path below which the service answers, and the handler. Who
// may call it is for those around it to decide.
func Handler(log Log, logger *slog.Logger) (string, http.Handler) {
	return auditv1connect.NewAuditServiceHandler(New(log, logger), limits.Options(maxRequest)...)
}
