package evidence

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// CorrectEntry notes that an entry is wrong.
func (h *handler) CorrectEntry(ctx context.Context, req *evidencev1.CorrectEntryRequest) (*evidencev1.CorrectEntryResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	c := service.Correction{
		Claims:         req.GetClaims(),
		Attachments:    convert.Attachments(req.GetAttachments()),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if c.Index, err = number("index", req.GetIndex()); err != nil {
		return nil, err
	}
	if c.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	entry, err := h.service.CorrectEntry(ctx, src, c)
	if err != nil {
		return nil, err
	}
	return &evidencev1.CorrectEntryResponse{Entry: convert.Entry(entry)}, nil
}
