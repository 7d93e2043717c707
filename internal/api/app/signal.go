package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// RecordSignal records what the person's browser says of being tracked.
func (h *handler) RecordSignal(ctx context.Context, req *appv1.RecordSignalRequest) (*appv1.RecordSignalResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	p := service.PreferenceSignal{
		Subject:        convert.Subject(req.GetSubject()),
		Signal:         req.GetSignal(),
		Value:          req.GetValue(),
		Purposes:       req.GetPurposes(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if p.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if p.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	received, err := h.service.RecordSignal(ctx, src, p)
	if err != nil {
		return nil, err
	}
	rsp := &appv1.RecordSignalResponse{Says: received.Says, Consents: convert.Consents(received.Consents)}
	if received.Entry.Size > 0 { // else nothing was recorded
		rsp.Entry = convert.Entry(&received.Entry)
	}
	return rsp, nil
}
