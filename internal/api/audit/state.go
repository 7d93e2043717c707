package audit

import (
	"context"
	"errors"

	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// GetConsentState proves the state of a consent.
func (s *Service) GetConsentState(_ context.Context, req *auditv1.GetConsentStateRequest) (*auditv1.GetConsentStateResponse, error) {
	rsp, err := s.state(ledger.ConsentID(req.GetConsentId()))
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	return rsp, nil
}

func (s *Service) state(id ledger.ConsentID) (*auditv1.GetConsentStateResponse, error) {
	if id < 1 { // entry 0 opens nothing
		return nil, refusal.Invalid("consent_id", "is below 1")
	}
	state, err := s.whole.ConsentState(id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, refusal.NotFound("consent_id", "no entry opened such a consent")
	case errors.Is(err, store.ErrNotCommitted):
		return nil, refusal.Precondition("not_committed", "the consent is newer than the newest state.committed; ask again after the next one")
	case err != nil:
		return nil, err
	}
	receipt, proof := state.Receipt, state.Proof
	// What has been cosigned is worth more, if it reaches far enough.
	if _, newest := s.log.Checkpoint(); ledger.Size(receipt.Index) < newest {
		if receipt, _, err = s.log.Receipt(receipt.Index, newest); err != nil {
			return nil, err
		}
	}
	return &auditv1.GetConsentStateResponse{Size: int64(proof.Size), Last: int64(proof.Last), State: proof.State.String(),
		Overlays: proof.Overlays.Names(), Proof: string(proof.Text()), Committed: state.Committed, Receipt: string(receipt.Text()),
		Newest: int64(state.Newest)}, nil
}
