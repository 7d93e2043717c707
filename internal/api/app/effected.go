package app

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// RecordWithdrawalEffected records that what ended has taken effect in one system.
func (h *handler) RecordWithdrawalEffected(ctx context.Context, req *appv1.RecordWithdrawalEffectedRequest) (*appv1.RecordWithdrawalEffectedResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	e := service.Effected{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		System:         req.GetSystem(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if e.At, err = convert.Time("at", req.GetAt()); err != nil {
		return nil, err
	}
	if e.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.RecordWithdrawalEffected(ctx, src, e)
	if err != nil {
		return nil, err
	}
	rsp := &appv1.RecordWithdrawalEffectedResponse{Entry: convert.Entry(&done.Entry), Delays: make([]*appv1.EffectDelay, len(done.Delays))}
	for i, d := range done.Delays {
		rsp.Delays[i] = &appv1.EffectDelay{ConsentId: int64(d.ConsentID), Delay: durationpb.New(d.Delay)}
	}
	return rsp, nil
}
