package evidence

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// SetRestriction restricts the processing of a person's data.
func (h *handler) SetRestriction(ctx context.Context, req *evidencev1.SetRestrictionRequest) (*evidencev1.SetRestrictionResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r, err := convert.Restriction(req)
	if err != nil {
		return nil, err
	}
	r.Ground = req.GetGround()
	consents, err := h.service.SetRestriction(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &evidencev1.SetRestrictionResponse{Consents: convert.Consents(consents)}, nil
}

// LiftRestriction ends a restriction.
func (h *handler) LiftRestriction(ctx context.Context, req *evidencev1.LiftRestrictionRequest) (*evidencev1.LiftRestrictionResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	informed, err := convert.Time("informed_at", req.GetInformedAt())
	if err != nil {
		return nil, err
	}
	r, err := convert.Restriction(req)
	if err != nil {
		return nil, err
	}
	r.InformedAt = informed
	consents, err := h.service.LiftRestriction(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &evidencev1.LiftRestrictionResponse{Consents: convert.Consents(consents)}, nil
}
