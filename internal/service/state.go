package service

import (
	"context"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// CommitState has the log commit the state of its consents, unless none of these has
// changed since it did so last, and gives the index of the newest state.committed.
// [store.Store.ConsentState] then proves each of them as it is. It fails for a consent
// that there is not.
func (s *Service) CommitState(ctx context.Context, ids ...ledger.ConsentID) (at ledger.Index, err error) {
	return s.commitStateAfter(ctx, -1, ids)
}

// commitStateAfter is [Service.CommitState], and commits the state also where it was
// committed before this entry.
func (s *Service) commitStateAfter(ctx context.Context, after ledger.Index, ids []ledger.ConsentID) (at ledger.Index, err error) {
	err = s.do(ctx, Source{Name: ledger.SourceLedger}, func(t *turn) error {
		newest, committed := t.log.Committed()
		due := newest < after
		for _, id := range ids {
			c, ok, err := t.log.Consent(id) // also of somebody who was erased
			if err != nil {
				return err
			} else if !ok {
				return refusal.NotFound("consent_ids", "there is no such consent")
			}
			due = due || !committed || c.Last >= newest
		}
		if due {
			if err := t.log.CommitState(t.now); err != nil {
				return err
			}
			newest, _ = t.log.Committed()
		}
		at = newest
		return nil
	})
	return at, err
}
