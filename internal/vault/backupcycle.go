package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/consentledger/consentledger/internal/keyfile"
)

// keyBackup makes key backups and replaces their identity. Its methods but the
// status's are called by one goroutine at a time: that of Open, or who holds
// Vault.passing.
type keyBackup struct {
	target   string
	identity keyfile.File
	origin   string // set by Open

	// data is held while a data backup is read: one at a time goes to a target.
	data sync.Mutex

	mu     sync.Mutex // guards status
	status KeyBackupStatus
}

// renew writes the backup of the generation in force.
func (b *keyBackup) renew(w View) (people int, err error) {
	switch id, err := readBackupIdentity(b.identity.Path()); {
	case errors.Is(err, fs.ErrNotExist):
		people, err := b.stage(w)
		if err != nil {
			return 0, err
		}
		return people, b.promote()
	case err != nil:
		return 0, err
	case id.origin != b.origin || id.generation != w.tree.generation:
		return 0, b.mismatch(id, w.tree.generation)
	}
	return b.write(b.identity.Path(), w)
}

// stage writes the backup of w's generation to the identity of that generation,
// which it draws and stages if that was not done yet. It may be called again
// after it was interrupted.
func (b *keyBackup) stage(w View) (people int, err error) {
	generation := w.tree.generation
	staged, err := readBackupIdentity(b.identity.Next())
	if err != nil || staged.origin != b.origin || staged.generation != generation {
		// Only what was staged before may have left half an identity there:
		// another file is not this program's to destroy.
		old, err := readBackupIdentity(b.identity.Path())
		switch {
		case err == nil && (old.origin != b.origin || old.generation >= generation):
			return 0, b.mismatch(old, generation)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return 0, err
		}
		if err := b.identity.DropStaged(); err != nil {
			return 0, err
		}
		id, err := newBackupIdentity(b.origin, generation)
		if err != nil {
			return 0, err
		}
		if err := b.identity.Stage(id.encode()); err != nil {
			return 0, fmt.Errorf("storing the next backup identity: %w", err)
		}
	}
	return b.write(b.identity.Next(), w)
}

// promote destroys the identity in force, with the backup that it opens, and
// puts the staged one in its place. It may be called again after it was
// interrupted.
func (b *keyBackup) promote() error {
	if _, err := readBackupIdentity(b.identity.Next()); err != nil {
		return err
	}
	if old, err := readBackupIdentity(b.identity.Path()); err == nil {
		if err := b.remove(old); err != nil {
			return err
		}
	}
	return b.identity.Promote()
}

func (b *keyBackup) settle(w View) error {
	if err := b.settleStaged(w); err != nil {
		return err
	}
	id, err := readBackupIdentity(b.identity.Path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // there is no backup yet
	case err != nil:
		return fmt.Errorf("%w. No key of the vault is lost: destroy the file and start again, and back up the keys", err)
	case id.origin != b.origin || id.generation != w.tree.generation:
		return b.mismatch(id, w.tree.generation)
	}
	h, err := b.own(b.file(id.generation), id)
	if h != nil {
		b.note(h)
	}
	return err
}

// settleStaged ends what left a staged identity behind.
func (b *keyBackup) settleStaged(w View) error {
	staged, err := readBackupIdentity(b.identity.Next())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && staged.origin == b.origin && staged.generation == w.tree.generation:
		// The backup is there since before ROOT was replaced, or it is the first
		// one, which may be unfinished.
		if _, err := b.stage(w); err != nil {
			return err
		}
		return b.promote()
	case err == nil:
		return b.mismatch(staged, w.tree.generation)
	}
	return b.identity.DropStaged() // nothing was sealed to half an identity
}

// remove removes the backup that an identity opens, while it can be told from a
// stranger's.
func (b *keyBackup) remove(id *backupIdentity) error {
	file := b.file(id.generation)
	if h, err := b.own(file, id); err != nil || h == nil {
		return err
	}
	if err := errors.Join(os.Remove(file), keyfile.SyncDir(b.target)); err != nil {
		return fmt.Errorf("removing a key backup: %w", err)
	}
	return b.identity.Step("old backup removed")
}

// mismatch says why an identity does not belong to a vault, and what to do.
func (b *keyBackup) mismatch(id *backupIdentity, generation uint32) error {
	switch {
	case id.origin != b.origin:
		return fmt.Errorf("%w: the backup identity is of the ledger %s; name another file", ErrBackupMismatch, id.origin)
	case id.generation < generation:
		return fmt.Errorf("%w: the backup identity has generation %d, the vault %d: root keys were replaced without key backups. "+
			"Whoever has this identity and keys-%[2]d.age opens what was erased since: destroy the identity's file and remove that backup, "+
			"then start again", ErrBackupMismatch, id.generation, generation)
	}
	return fmt.Errorf("%w: the backup identity has generation %d, the vault %d: vault and root key were put back from a copy, and with "+
		"them people who were erased since. Restore from the key backup of generation %[2]d", ErrBackupMismatch, id.generation, generation)
}
