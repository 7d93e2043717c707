package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// DeclareClaim declares a further name under which personal values are kept.
func (h *handler) DeclareClaim(ctx context.Context, req *adminv1.DeclareClaimRequest) (*adminv1.DeclareClaimResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := convert.Proof(req.GetProof(), false)
	if err != nil {
		return nil, err
	}
	claim, entry, err := h.service.DeclareClaim(ctx, src, service.ClaimDeclaration{
		ID:             req.GetId(),
		Insist:         req.GetInsist(),
		Title:          req.GetTitle(),
		IdempotencyKey: req.GetIdempotencyKey(),
		Proof:          proof,
	})
	if err != nil {
		return nil, err
	}
	return &adminv1.DeclareClaimResponse{Claim: showClaim(claim), Entry: convert.Entry(entry)}, nil
}

// ListClaims lists the claims that were declared.
func (h *handler) ListClaims(context.Context, *adminv1.ListClaimsRequest) (*adminv1.ListClaimsResponse, error) {
	list, err := h.service.ListClaims()
	if err != nil {
		return nil, err
	}
	rsp := &adminv1.ListClaimsResponse{Claims: make([]*adminv1.Claim, len(list))}
	for i, c := range list {
		rsp.Claims[i] = showClaim(c)
	}
	return rsp, nil
}

func showClaim(c *service.DeclaredClaim) *adminv1.Claim {
	return &adminv1.Claim{Id: c.ID, Title: c.Title, Index: int64(c.Index)}
}
