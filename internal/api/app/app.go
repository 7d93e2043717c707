// Package app answers consent.app.v1.ConsentService: what applications post, and
// their question "may I send?".
//
// Start with [Handler]. Methods are thin: who calls, the message in the words of
// internal/service, the use case, the answer in the words of the message. What is
// not exactly right is refused with its field's path, never repaired. All methods
// are safe for concurrent use.
package app

import (
	"log/slog"
	"net/http"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// maxRequest is the largest request in bytes: 10 MiB of attachments in base64,
// and room for claims.
const maxRequest = 16 << 20

// handler implements appv1connect.ConsentServiceHandler.
type handler struct {
	service *service.Service
	logger  *slog.Logger // gets the faults of single items
}

// Handler gives the path below which the service answers, and the handler. Keys
// of role app may call it. Faults are written to logger.
func Handler(s *service.Service, logger *slog.Logger) (string, http.Handler) {
	options := append(calls.Options(authn.App, maxRequest), calls.Refusals(logger),
		connect.WithInterceptors(&unknownTokens{authn.NewLimiter(unknownTokensPerMinute)}))
	return appv1connect.NewConsentServiceHandler(&handler{s, logger}, options...)
}
