package evidence

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// VerifyIdentity records that somebody made sure who asks.
func (h *handler) VerifyIdentity(ctx context.Context, req *evidencev1.VerifyIdentityRequest) (*evidencev1.VerifyIdentityResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.IdentityCheck{
		Subject:        convert.Subject(req.GetSubject()),
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Means:          req.GetMeans(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if r.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if r.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	verified, err := h.service.VerifyIdentity(ctx, src, r)
	if err != nil {
		return nil, err
	}
	return &evidencev1.VerifyIdentityResponse{
		Entry:    convert.Entry(&verified.Entry),
		Consents: int64(verified.Consents),
		Until:    convert.ShowTime(verified.Until),
	}, nil
}
