package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// OpenLog opens a ledger's log without its vault: for those who serve the log
// alone, and for a restore of the vault.
func OpenLog(dir string, logger *slog.Logger) (*store.Store, error) {
	log, err := newSigningKeys(dir, nil).open(store.Options{Dir: dir, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("opening the log in %s: %w", dir, err)
	}
	return log, nil
}

// goneReason is why the log says that people are erased who were in a restored
// copy and of whom no key backup has the keys.
const goneReason = "other"

// RecordGone records as erased what the log of a restored copy still holds and
// what no key opens any more, because the person was erased after the copy was
// made, or is lost. Without it the log would promise evidence that is not there.
// It answers when the log says that the keys are gone, and gives the number of
// consents. It is called once, after [vault.Restore]; in any other vault what it
// would record is damage.
func (s *Service) RecordGone(ctx context.Context) (int, error) {
	gone, err := s.gone()
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	// What the copy's log keeps under a hold or a restriction, the rules do not
	// let it record as erased.
	var kept error
	if i := slices.IndexFunc(gone, pinned); i >= 0 {
		kept = refusal.Precondition("held", "the keys of consent %d are gone, and this log keeps it under a hold or a restriction: "+
			"it cannot record that, and `ledgerd check` will name it", gone[i].ID)
		gone = slices.DeleteFunc(gone, pinned)
	}
	for chunk := range slices.Chunk(gone, 16*consentsPerEntry) {
		err := s.do(ctx, Source{Name: ledger.SourceLedger}, func(t *turn) error {
			_, err := t.write(splitConsents(ledger.Entry{Kind: ledger.SubjectErased, Reason: goneReason}, chunk)...)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return len(gone), errors.Join(s.eraser.wait(ctx), kept)
}

// gone lists the consents that are not recorded as erased and whose person is
// not there.
func (s *Service) gone() (gone []ledger.Consent, err error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	err = s.vault.View(func(w vault.View) error {
		return snap.Consents(0, ledger.ConsentID(snap.Size()), func(c ledger.Consent) error {
			if c.Overlays.Has(ledger.Erased) {
				return nil
			}
			_, ok, err := w.SubjectOf(c.ID)
			if err == nil && !ok {
				gone = append(gone, c)
			}
			return err
		})
	})
	return gone, err
}
