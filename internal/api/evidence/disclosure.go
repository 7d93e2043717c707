package evidence

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// DiscloseClaims shows personal values of one consent.
func (h *handler) DiscloseClaims(ctx context.Context, req *evidencev1.DiscloseClaimsRequest) (*evidencev1.DiscloseClaimsResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	d := service.Disclosing{
		Claims:         req.GetClaims(),
		Reason:         req.GetReason(),
		Recipient:      req.GetRecipient(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if d.ConsentID, err = convert.ConsentID(req.GetConsentId()); err != nil {
		return nil, err
	}
	if d.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.DiscloseClaims(ctx, src, d)
	if err != nil {
		return nil, err
	}
	rsp := &evidencev1.DiscloseClaimsResponse{
		Entry:       convert.Entry(&done.Entry),
		Disclosures: make([]*evidencev1.Disclosure, len(done.Disclosures)),
	}
	for i, d := range done.Disclosures {
		rsp.Disclosures[i] = &evidencev1.Disclosure{
			Index:     int64(d.Index),
			Claim:     d.Claim,
			Value:     d.Value,
			Text:      d.Text,
			FileName:  d.FileName,
			MediaType: d.MediaType,
			Bytes:     d.Bytes,
		}
	}
	return rsp, nil
}
