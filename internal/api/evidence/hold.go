package evidence

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// SetHold keeps evidence from being shredded.
func (h *handler) SetHold(ctx context.Context, req *evidencev1.SetHoldRequest) (*evidencev1.SetHoldResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.HoldRequest{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if r.Subject, err = convert.OptionalSubject("subject", req.GetSubject()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	held, err := h.service.SetHold(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &evidencev1.SetHoldResponse{HoldId: int64(held.Hold), Consents: int64(held.Consents), Entry: convert.Entry(&held.Entry)}, nil
}

// LiftHold lifts a hold.
func (h *handler) LiftHold(ctx context.Context, req *evidencev1.LiftHoldRequest) (*evidencev1.LiftHoldResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	if req.GetHoldId() < 1 {
		return nil, refusal.Invalid("hold_id", "is not the number of a hold")
	}
	r := service.HoldRelease{Hold: ledger.Index(req.GetHoldId()), Claims: req.GetClaims(), IdempotencyKey: req.GetIdempotencyKey()}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	held, err := h.service.LiftHold(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &evidencev1.LiftHoldResponse{HoldId: int64(held.Hold), Consents: int64(held.Consents), Entry: convert.Entry(&held.Entry)}, nil
}
