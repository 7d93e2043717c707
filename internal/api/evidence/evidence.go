// Package evidence answers consent.evidence.v1.EvidenceService: people's rights,
// corrections, holds, and what is kept for legal claims.
//
// Start with [Handler]. Methods are thin, as in internal/api/app; all of them are
// safe for concurrent use.
package evidence

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// maxRequest is the largest request in bytes: attachments of 10 MiB, which base64
// lengthens by a third.
const maxRequest = 16 << 20

// handler implements evidencev1connect.EvidenceServiceHandler.
type handler struct {
	service *service.Service
	bundles Bundles
}

// Handler gives the path below which the service answers, and the handler. Keys
// of role legal may call it. Faults are written to logger.
func Handler(s *service.Service, bundles Bundles, logger *slog.Logger) (string, http.Handler) {
	options := append(calls.Options(authn.Legal, maxRequest), calls.Refusals(logger))
	return evidencev1connect.NewEvidenceServiceHandler(&handler{s, bundles}, options...)
}

// RectifySubject corrects a person's identifiers.
func (h *handler) RectifySubject(ctx context.Context, req *evidencev1.RectifySubjectRequest) (*evidencev1.RectifySubjectResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.Rectification{
		Subject:        convert.Subject(req.GetSubject()),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if r.Remove, err = convert.OptionalSubject("remove", req.GetRemove()); err != nil {
		return nil, err
	}
	if r.Add, err = convert.OptionalSubject("add", req.GetAdd()); err != nil {
		return nil, err
	}
	if r.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.RectifySubject(calls.Unlimited(ctx), src, r)
	if err != nil {
		return nil, err
	}
	return &evidencev1.RectifySubjectResponse{Entry: convert.Entry(&done.Entry), Ended: convert.Consents(done.Ended)}, nil
}

// ListConsents lists everything held about a person, locked or not.
func (h *handler) ListConsents(ctx context.Context, req *evidencev1.ListConsentsRequest) (*evidencev1.ListConsentsResponse, error) {
	records, err := h.service.ListAll(ctx, convert.Subject(req.GetSubject()))
	if err != nil {
		return nil, err
	}
	rsp := &evidencev1.ListConsentsResponse{Records: make([]*evidencev1.Record, len(records))}
	for i, r := range records {
		rsp.Records[i] = &evidencev1.Record{
			Consent:       convert.Consent(r.Consent),
			LockedUntil:   convert.ShowTime(r.LockedUntil),
			Holds:         int64(r.Holds),
			EvidenceUntil: convert.ShowTime(r.EvidenceUntil),
			Identifiers:   masked(r.Identifiers),
			VerifiedUntil: convert.ShowTime(r.VerifiedUntil),
		}
	}
	return rsp, nil
}
