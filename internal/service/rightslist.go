package service

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// OpenRight is a person's request that waits for its answer.
type OpenRight struct {
	RequestID     ledger.Index
	Article       string
	Received, Due time.Time
	Extended      bool
	Overdue       bool // by the ledger's clock
	// ConsentIDs are those that it names and that are not erased, ascending: none
	// for a stranger's.
	ConsentIDs []ledger.ConsentID
}

// ListRequests lists the requests that wait for their answer; what is due first
// stands first. It is for the legal role: consents that are locked are named, too.
func (s *Service) ListRequests(ctx context.Context) ([]OpenRight, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	now := s.now().UTC().Truncate(time.Second)
	var list []OpenRight
	err := snap.OpenRights(func(r ledger.RightsRequest) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		right := OpenRight{RequestID: r.Index, Received: r.Received, Due: r.Due, Extended: r.Extended, Overdue: now.After(r.Due)}
		err := right.read(snap)
		list = append(list, right)
		return err
	})
	slices.SortStableFunc(list, func(a, b OpenRight) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.RequestID, b.RequestID))
	})
	return list, err
}

// read adds what the request's entries say.
func (r *OpenRight) read(snap *store.Snapshot) error {
	for i, parts := r.RequestID, 1; parts > 0; i, parts = i+1, parts-1 {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return err
		}
		if e.Part == 1 {
			parts = e.Parts
		}
		r.Article = e.Article
		for _, id := range e.About {
			c, _, err := snap.Consent(id)
			if err != nil {
				return err
			}
			if !c.Overlays.Has(ledger.Erased) {
				r.ConsentIDs = append(r.ConsentIDs, id)
			}
		}
	}
	return nil
}
