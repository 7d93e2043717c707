package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// SetTrackingMode switches what may be measured about a person.
func (h *handler) SetTrackingMode(ctx context.Context, req *appv1.SetTrackingModeRequest) (*appv1.SetTrackingModeResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	c := service.TrackingChange{
		ManageToken:    req.GetManageToken(),
		Purpose:        req.GetPurpose(),
		Mode:           req.GetMode(),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if c.Subject, err = convert.OptionalSubject("subject", req.GetSubject()); err != nil {
		return nil, err
	}
	if c.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if c.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	consents, entry, err := h.service.SetTrackingMode(ctx, src, c)
	if err != nil {
		return nil, err
	}
	return &appv1.SetTrackingModeResponse{Consents: convert.Consents(consents), Entry: convert.Entry(entry)}, nil
}
