package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// AuthoriseGuardian records that a guardian authorised what a child consented to.
func (h *handler) AuthoriseGuardian(ctx context.Context, req *appv1.AuthoriseGuardianRequest) (*appv1.AuthoriseGuardianResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	g := service.Guardian{
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Method:         req.GetMethod(),
		Claims:         req.GetClaims(),
		Attachments:    convert.Attachments(req.GetAttachments()),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if g.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if g.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	entry, irregular, err := h.service.AuthoriseGuardian(ctx, src, g)
	if err != nil {
		return nil, err
	}
	return &appv1.AuthoriseGuardianResponse{Entry: convert.Entry(entry), Irregular: convert.Irregular(irregular)}, nil
}
