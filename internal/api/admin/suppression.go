package admin

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// AddSuppression puts an identifier on the suppression list.
func (h *handler) AddSuppression(ctx context.Context, req *adminv1.AddSuppressionRequest) (*adminv1.AddSuppressionResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	x, err := suppression(req)
	if err != nil {
		return nil, err
	}
	entry, added, err := h.service.AddSuppression(ctx, src, x)
	if err != nil {
		return nil, err
	}
	return &adminv1.AddSuppressionResponse{Added: added, Entry: convert.Entry(entry)}, nil
}

// RemoveSuppression takes an identifier off the suppression list.
func (h *handler) RemoveSuppression(ctx context.Context, req *adminv1.RemoveSuppressionRequest) (*adminv1.RemoveSuppressionResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	x, err := suppression(req)
	if err != nil {
		return nil, err
	}
	entry, removed, err := h.service.RemoveSuppression(ctx, src, x)
	if err != nil {
		return nil, err
	}
	return &adminv1.RemoveSuppressionResponse{Removed: removed, Entry: convert.Entry(entry)}, nil
}

// suppression reads the fields that both requests have.
func suppression(req interface {
	GetSubject() *appv1.Subject
	GetPurpose() string
	GetIdempotencyKey() string
	GetProof() string
}) (service.Suppression, error) {
	proof, err := convert.Proof(req.GetProof(), false)
	return service.Suppression{
		Subject:        convert.Subject(req.GetSubject()),
		Purpose:        req.GetPurpose(),
		IdempotencyKey: req.GetIdempotencyKey(),
		Proof:          proof,
	}, err
}
