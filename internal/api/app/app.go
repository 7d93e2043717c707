// Package app answers consent.app.v1.ConsentService: what applications post, and
// their question "may I send?".
//
// Start with [Handler]. Methods are thin: who calls, the message in the words of
// internal/service, the use case, the answer in the words of the message. What is
// not exactly right is refused with its field's path, never repaired. All methods
// are safe for concurrent use.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// maxRequest is the largest request in bytes: 10 MiB of attachments in base64,
// and room for claims.
const maxRequest = 16 << 20

// unknownTokensPerMinute is how many unknown tokens an address may present
// within a minute.
const unknownTokensPerMinute = 100

// handler implements appv1connect.ConsentServiceHandler.
type handler struct {
	service *service.Service
	unknown *authn.Limiter // counts unknown tokens
	logger  *slog.Logger   // gets the faults of single items
}

// Handler gives the path below which the service answers, and the handler. Keys
// of role app may call it. Faults are written to logger.
func Handler(s *service.Service, logger *slog.Logger) (string, http.Handler) {
	h := &handler{s, authn.NewLimiter(unknownTokensPerMinute), logger}
	options := append(calls.Options(authn.App, maxRequest), calls.Refusals(logger))
	return appv1connect.NewConsentServiceHandler(h, options...)
}

// limitUnknown counts err against the caller's address if it says that the token
// in the field is unknown, and refuses when that address has guessed too often.
// A token that is known is never limited: people behind one proxy must not be
// kept from their links by a stranger.
func (h *handler) limitUnknown(ctx context.Context, field string, err error) error {
	var r *refusal.Error
	if !errors.As(err, &r) || r.Code != refusal.NotFoundCode || r.At != field {
		return err
	}
	addr := ""
	if info, ok := connect.CallInfoForHandlerContext(ctx); ok {
		addr = info.Peer().Addr
	}
	if wait := h.unknown.Fail(addr); wait > 0 {
		return &refusal.Error{Code: refusal.ResourceExhausted, At: field, Wait: wait,
			Reason: "too many unknown tokens from this address; wait a minute"}
	}
	return err
}
