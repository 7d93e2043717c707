package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// RotateKey replaces the keys that sign the log.
func (h *handler) RotateKey(ctx context.Context, req *adminv1.RotateKeyRequest) (*adminv1.RotateKeyResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	rotation := service.KeyRotation{IdempotencyKey: req.GetIdempotencyKey()}
	if rotation.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	keys, err := h.service.RotateKey(ctx, src, rotation)
	if err != nil {
		return nil, err
	}
	return &adminv1.RotateKeyResponse{
		Entry:      convert.Entry(&keys.Entry),
		Ed25519Key: keys.Keys.Ed25519.String(),
		Mldsa44Key: keys.Keys.MLDSA44.String(),
		TrustKeys:  keys.TrustKeys,
		Policy:     string(keys.Policy),
	}, nil
}
