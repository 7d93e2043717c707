package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// WithdrawConsent ends consents, or records an objection.
func (h *handler) WithdrawConsent(ctx context.Context, req *appv1.WithdrawConsentRequest) (*appv1.WithdrawConsentResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	who, err := convert.OptionalSubject("subject", req.GetSubject())
	if err != nil {
		return nil, err
	}
	w := service.Withdrawal{
		Subject:        who,
		ManageToken:    req.GetManageToken(),
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Purposes:       req.GetPurposes(),
		Channel:        req.GetChannel(),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if w.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if w.Proof, err = convert.Proof(req.GetProof(), true); err != nil {
		return nil, err
	}
	ended, err := h.service.WithdrawConsent(ctx, src, w)
	if err != nil {
		return nil, err
	}
	rsp := &appv1.WithdrawConsentResponse{Withdrawn: convert.Consents(ended.Consents), Remaining: make([]int64, len(ended.Remaining))}
	for i, id := range ended.Remaining {
		rsp.Remaining[i] = int64(id)
	}
	return rsp, nil
}

// SetRestriction restricts the processing of a person's data.
func (h *handler) SetRestriction(ctx context.Context, req *appv1.SetRestrictionRequest) (*appv1.SetRestrictionResponse, error) {
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
	return &appv1.SetRestrictionResponse{Consents: convert.Consents(consents)}, nil
}

// LiftRestriction ends a restriction.
func (h *handler) LiftRestriction(ctx context.Context, req *appv1.LiftRestrictionRequest) (*appv1.LiftRestrictionResponse, error) {
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
	return &appv1.LiftRestrictionResponse{Consents: convert.Consents(consents)}, nil
}
