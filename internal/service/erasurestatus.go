package service

import (
	"context"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// ErasureStatus says how surely and how far erasures are done.
type ErasureStatus struct {
	Generation int    // of the root key in force
	Medium     string // where the root key lies
	Guarantee  string // what that medium honestly guarantees

	Pending          int // erasures recorded, keys not yet destroyed
	Locked           int // consents kept for legal claims only
	NextUnlock       time.Time
	ExistencePending int       // erasures whose traces in the blind index are still to go
	ExistenceDue     time.Time // by when the first of them must be gone

	IndexEpoch            int
	Rekeying              bool
	RekeyDone, RekeyTotal int
	IndexReplacedAt       time.Time // zero for the first key

	BackupTarget     bool
	BackupGeneration int
	BackupAt         time.Time
	BackupNote       string

	LastRetention time.Time // by this process; zero if it was not
}

// guarantees says what destroying a root key on a medium is worth.
var guarantees = map[string]string{
	"file": "The file of the root key is overwritten in place, synced and replaced at every erasure. On a disk that writes in place " +
		"that destroys it. An SSD may keep a spare copy of the old 48 bytes out of reach of software, and a snapshot or a copy of the " +
		"volume made before opens everything that was erased since. Keep root.key on a volume of its own that nobody snapshots or backs up.",
}

// ErasureStatus tells how surely and how far erasures are done. It goes through
// all consents.
func (s *Service) ErasureStatus(ctx context.Context) (*ErasureStatus, error) {
	v := s.vault.Status()
	st := &ErasureStatus{Generation: int(v.Generation), Medium: v.Medium, Guarantee: guarantees[v.Medium],
		IndexEpoch: int(v.Index.Epoch), Rekeying: v.Reindexing, IndexReplacedAt: v.IndexSince}
	b := s.vault.KeyBackup()
	st.BackupTarget, st.BackupGeneration, st.BackupAt = b.Target, int(b.Generation), b.At
	if st.BackupNote = strings.Join(b.Notes, "; "); !b.Target {
		st.BackupNote = "No key backup is configured: every erasure ends the usefulness of every earlier copy of this ledger's vault."
	}
	u := s.upkeep
	u.mu.Lock()
	if u.rekeying != nil {
		st.Rekeying, st.RekeyDone, st.RekeyTotal = true, u.rekeying.done, u.rekeying.total
	}
	u.mu.Unlock()
	s.retention.mu.Lock()
	st.LastRetention = s.retention.last
	s.retention.mu.Unlock()
	snap := s.log.Snapshot()
	defer snap.Release()
	if err := st.countErasures(snap); err != nil {
		return nil, err
	}
	return st, snap.Consents(0, ledger.ConsentID(snap.Size()), func(c ledger.Consent) error {
		if !c.Overlays.Has(ledger.Locked) || c.Overlays.Has(ledger.Erased) {
			return ctx.Err()
		}
		h, err := historyOf(published{snap}, c)
		if st.Locked++; st.NextUnlock.IsZero() || h.lockedUntil.Before(st.NextUnlock) {
			st.NextUnlock = h.lockedUntil
		}
		return err
	})
}

func (st *ErasureStatus) countErasures(snap *store.Snapshot) error {
	pending, _, err := snap.PendingErasures()
	if err != nil {
		return err
	}
	st.Pending = len(pending)
	return eachWaiting(snap, func(_ ledger.Index, shredded *ledger.Entry) {
		st.ExistencePending++
		if st.ExistenceDue.IsZero() || shredded.ExistenceDue.Before(st.ExistenceDue) {
			st.ExistenceDue = shredded.ExistenceDue
		}
	})
}

// BackupKeys writes a key backup of the present generation and reads it back. It
// gives the generation and how many people are in it.
func (s *Service) BackupKeys(context.Context) (generation, people int, err error) {
	if !s.vault.KeyBackup().Target {
		return 0, 0, refusal.Precondition("backup_target", "no target for key backups is configured; start ledgerd serve with --backup-target and --backup-key")
	}
	if err := s.recorder.fault(); err != nil {
		return 0, 0, err // the newest key backup may be what a newer copy needs
	}
	number, people, err := s.vault.BackupKeys()
	return int(number), people, err
}
