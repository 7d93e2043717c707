package service

import (
	"context"
	"time"

	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// RecordAnchor records a time stamp over a checkpoint of this log, with the token and
// what it is about, and gives the entry's index. Whoever calls it has verified the
// token: see [tlog.Stamper].
func (s *Service) RecordAnchor(ctx context.Context, a tlog.Anchor) (at ledger.Index, err error) {
	err = s.do(ctx, Source{Name: ledger.SourceLedger}, func(t *turn) error {
		recorded, err := t.write(&ledger.Entry{Kind: ledger.CheckpointAnchored, Size: a.Size, Checkpoint: ledger.TextHash(a.Checkpoint),
			Stamp: ledger.TextHash(a.Token), Stamped: a.Stamped.UTC().Truncate(time.Microsecond)})
		if err != nil {
			return err
		}
		t.log.PutAnchor(a.Checkpoint, a.Token)
		at = recorded[0].Entry.Index
		return nil
	})
	return at, err
}
