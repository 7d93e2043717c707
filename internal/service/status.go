package service

import (
	"time"

	"github.com/consentledger/consentledger/internal/backup"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Status is how the ledger stands.
type Status struct {
	Origin, Controller string
	Size               ledger.Size
	Root               ledger.Hash
	LastEntry          time.Time
	Normalisation      int   // the NormalisationVersion by which people are found
	Fault              error // why nothing is recorded, as administrators are told, or nil
	// Watch is what was due when somebody looked last, see [Service.Watch]; nil if
	// nobody has looked since the ledger was opened.
	Watch *Watch
	// Vault and KeyBackup are how far erasures are; the rest says [Service.ErasureStatus].
	Vault     vault.Status
	KeyBackup vault.KeyBackupStatus
	// Backup is the head of the newest data backup; nil if there is no target, nothing in
	// it, or nothing that could be read at the start.
	Backup *backup.Head
}

// Status tells how the ledger stands. It looks at nothing anew.
func (s *Service) Status() (*Status, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	_, first, err := readEntry(snap, 0)
	if err != nil {
		return nil, err
	}
	chain := snap.Chain()
	return &Status{s.log.Origin(), first.Controller, snap.Size(), snap.Root(), chain.Last(), NormalisationVersion, s.explained(), s.watching.newest(),
		s.vault.Status(), s.vault.KeyBackup(), s.backedUp.Load()}, nil
}
