package service

import (
	"context"
	"errors"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// KeyRotation asks for a new pair of signing keys.
type KeyRotation struct {
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// RotatedKeys is a rotation of the log's signing keys.
type RotatedKeys struct {
	Entry Entry          // the key.rotated
	Keys  ledger.KeyPair // which it brought in
	// TrustKeys is the log's key entries as they stand now: who follows them from a
	// pair that they trust comes to this one.
	TrustKeys []byte
	// Policy is the text of the policy that trusts this pair, for tools that do not
	// follow key entries.
	Policy []byte
}

// RotateKey replaces the pair that signs the log's checkpoints. The entry that says
// so is signed by both pairs. The next checkpoint is signed by the new one, and the
// seeds of the old are overwritten and unlinked before the answer. What the old pair
// signed stays valid: it was in force then.
//
// The seeds are what protects the log from its own past: somebody who has copied
// retired ones can still sign a history without the rotation, which only a witness,
// a time stamp or a kept checkpoint shows to be false.
func (s *Service) RotateKey(ctx context.Context, src Source, r KeyRotation) (*RotatedKeys, error) {
	once, err := s.once(src, r.IdempotencyKey, []any{"RotateKey"})
	if err != nil {
		return nil, err
	}
	s.signing.mu.Lock()
	defer s.signing.mu.Unlock()
	if err := s.Fault(); err != nil {
		return nil, err
	}
	// What an earlier call could not finish.
	if err := s.signing.settle(s.log); err != nil {
		return nil, s.unsettled(err)
	}
	next, err := s.signing.stage(s.log.Origin())
	if err != nil {
		return nil, errors.Join(err, s.signing.settle(s.log))
	}
	// Which pair is in force must be known afterwards, however long it takes.
	at, err := s.recordRotation(context.WithoutCancel(ctx), src, once, next)
	if err != nil && s.recorder.fault() != nil {
		return nil, err // which pair is in force, only the next start can tell
	}
	if settleErr := s.signing.settle(s.log); settleErr != nil {
		return nil, errors.Join(err, s.unsettled(settleErr))
	}
	if err != nil {
		return nil, err
	}
	return s.rotatedKeys(at, r.Proof)
}

// recordRotation records that next signs from here on, and gives the entry's index.
func (s *Service) recordRotation(ctx context.Context, src Source, once once, next *ledger.Signer) (ledger.Index, error) {
	var out *outcome
	err := s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		at, err := t.next()
		if err != nil {
			return err
		}
		out = &outcome{Entries: []ledger.Index{at}}
		if err := once.remember(t, s.vault.LedgerSubject(), out); err != nil {
			return err
		}
		_, err = t.keep(func(declare []*ledger.Entry) ([]store.Recorded, error) {
			return t.log.Rotate(t.now, t.source.Name, next, declare...)
		})
		if errors.Is(err, store.ErrKeyEntries) {
			err = refusal.Precondition("keys", "the keys were rotated as often as a log can tell; begin a new ledger")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return out.Entries[0], nil
}

// unsettled says that the files of the keys are not what the log says they are.
func (s *Service) unsettled(err error) error {
	s.logger.Error("the files of the signing keys do not follow the log; restart ledgerd, it finishes that", "error", err.Error())
	return refusal.Unavailable("the signing keys on disk could not be replaced; the pair that the log names signs, but seeds that should be " +
		"destroyed may still be there. Look at the disk and the server's log, then restart ledgerd, which finishes it")
}

// rotatedKeys answers with what the key entry at an index says.
func (s *Service) rotatedKeys(at ledger.Index, proof bool) (*RotatedKeys, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, e, err := s.entry(snap, at, proof)
	if err != nil {
		return nil, err
	}
	keys, err := ledger.ParseKeyPair(e.Add[0], e.Add[1])
	if err != nil {
		return nil, err
	}
	file, err := snap.Keys()
	return &RotatedKeys{Entry: entry, Keys: keys, TrustKeys: file, Policy: ledger.NewPolicy(keys)}, err
}
