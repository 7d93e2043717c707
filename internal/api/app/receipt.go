package app

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/evidence"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// GetConsentReceipt answers what the person keeps of a consent.
func (h *handler) GetConsentReceipt(ctx context.Context, req *appv1.GetConsentReceiptRequest) (*appv1.GetConsentReceiptResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	id, err := convert.ConsentID(req.GetConsentId())
	if err != nil {
		return nil, err
	}
	facts, err := h.service.ConsentReceipt(ctx, src, id)
	if err != nil {
		return nil, err
	}
	receipt, err := evidence.ConsentReceipt(facts)
	if err != nil {
		return nil, err
	}
	return &appv1.GetConsentReceiptResponse{Receipt: string(receipt)}, nil
}
