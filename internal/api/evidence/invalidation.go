package evidence

import (
	"context"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// InvalidateConsents ends consents that were never valid. By notice it takes the longer the more
// there are.
func (h *handler) InvalidateConsents(ctx context.Context, req *evidencev1.InvalidateConsentsRequest) (*evidencev1.InvalidateConsentsResponse, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	e := service.Ending{
		Kind:           ledger.ConsentInvalidated,
		ConsentIDs:     convert.ConsentIDs(req.GetConsentIds()),
		Notice:         req.GetNotice(),
		Cause:          req.GetCause(),
		Claims:         req.GetClaims(),
		IdempotencyKey: req.GetIdempotencyKey(),
	}
	if e.OccurredAt, err = convert.OccurredAt(req.GetOccurredAt()); err != nil {
		return nil, err
	}
	if e.Proof, err = convert.Proof(req.GetProof(), false); err != nil {
		return nil, err
	}
	done, err := h.service.EndConsents(calls.Unlimited(ctx), src, e)
	if err != nil {
		return nil, err
	}
	return &evidencev1.InvalidateConsentsResponse{Consents: int64(done.Consents), Entries: convert.Entries(done.Entries)}, nil
}
