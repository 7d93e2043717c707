package vault

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// KeyBackup says where key backups go. Both fields are required.
//
// A key backup holds everything that opens the vault but ROOT, sealed to an
// identity of its generation. Whatever replaces ROOT writes the backup of the
// next generation, reads it back, and destroys the identity of the one before:
// copies of older backups open nothing any more, wherever they are. See [Restore].
//
// Limits: what is read back may come from memory, so a target that loses what it
// has synced is not found out. Each pass writes everybody's keys anew, some 450
// bytes per person: with many people, let erasures share passes.
type KeyBackup struct {
	// Target is a directory for the files "keys-<generation>.age", of this
	// vault alone. It must exist and be writable. They may be copied and kept.
	Target string
	// IdentityPath is the file of the age identity that opens the newest of
	// them. This program makes it, and destroys it at every erasure, so it must
	// be able to; "<IdentityPath>.next" appears beside it meanwhile. It must lie
	// outside Target and the directory that contains the vault's, by custom on a
	// medium that neither of them is on. Keep it from every backup.
	IdentityPath string
}

// Errors about key backups.
var (
	// ErrBackupTarget: key backups cannot be made as Options say.
	ErrBackupTarget = errors.New("key backups cannot be written there")
	// ErrBackupIdentity: the file of the identity is not as it must be.
	ErrBackupIdentity = errors.New("the identity of key backups cannot be used")
	// ErrBackupMismatch: backup, identity or data are well-formed and do not
	// belong together.
	ErrBackupMismatch = errors.New("it does not belong to this state of the vault")
	// ErrBackupContent: a key backup that does not open or does not parse.
	ErrBackupContent = errors.New("the key backup is damaged, or is none that this identity opens")
)

// KeyBackupStatus says what is known of the newest key backup.
type KeyBackupStatus struct {
	// Target tells whether there is a target; without one the rest is zero.
	Target bool
	// Generation is that of the newest backup, 0 if there is none yet.
	Generation uint32
	// At is when the vault was read for it, in UTC.
	At time.Time
	// Notes are sentences about what weakens the backups, in English.
	Notes []string
}

// KeyBackup tells what is known of the newest key backup.
func (v *Vault) KeyBackup() KeyBackupStatus {
	if v.backup == nil {
		return KeyBackupStatus{}
	}
	v.backup.mu.Lock()
	defer v.backup.mu.Unlock()
	s := v.backup.status
	s.Notes = slices.Clone(s.Notes)
	return s
}

// BackupKeys writes the key backup of the present generation anew, with
// everybody added since, and reads it back. It needs a target. Writers go on
// meanwhile, passes wait. Cost: all rows but claims are read once, the backup is
// written once and read once: some 450 bytes and 5 µs per person.
func (v *Vault) BackupKeys() (generation uint32, people int, err error) {
	if v.backup == nil {
		return 0, 0, fmt.Errorf("backing up the keys: %w: no target is configured", ErrBackupTarget)
	}
	v.passing.Lock()
	defer v.passing.Unlock()
	if err := v.stopped(); err != nil {
		return 0, 0, err
	}
	err = v.View(func(w View) (err error) {
		generation = w.tree.generation
		people, err = v.backup.renew(w)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("backing up the keys: %w", err)
	}
	return generation, people, nil
}

// The three calls by which whatever replaces ROOT, and Open, replace the backup.
// Without a target they do nothing.

// stageKeyBackup writes the backup of the tree in force, before the ROOT of the
// generation before is destroyed.
func (v *Vault) stageKeyBackup() error {
	if v.backup == nil {
		return nil
	}
	err := v.View(func(w View) (err error) { _, err = v.backup.stage(w); return err })
	if err != nil {
		return fmt.Errorf("backing up the keys: %w", err)
	}
	return nil
}

// promoteKeyBackup destroys the identity of the generation before, after its
// ROOT was destroyed.
func (v *Vault) promoteKeyBackup() error {
	if v.backup == nil {
		return nil
	}
	if err := v.backup.promote(); err != nil {
		return fmt.Errorf("replacing the backup identity: %w", err)
	}
	return nil
}

// settleKeyBackup finishes or takes back what was interrupted, when ROOT is
// settled, and refuses an identity of another generation.
func (v *Vault) settleKeyBackup() error {
	if v.backup == nil {
		return nil
	}
	if err := v.View(v.backup.settle); err != nil {
		return fmt.Errorf("looking at the key backups: %w", err)
	}
	return nil
}
