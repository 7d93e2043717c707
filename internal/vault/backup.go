package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"filippo.io/age"
)

// KeyBackup says where key backups go. Both fields are required.
//
// A key backup holds everything that opens the vault but ROOT, sealed to an
// identity of its generation. Whatever replaces ROOT writes the backup of the
// next generation, reads it back, and destroys the identity of the one before:
// copies of older backups open nothing any more, wherever they are. See [Restore].
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

// keyBackup makes key backups and replaces their identity. Its methods but the
// status's are called by one goroutine at a time: that of Open, or who holds
// Vault.passing.
type keyBackup struct {
	target   string
	identity keyFile
	origin   string // set by Open

	mu     sync.Mutex // guards status
	status KeyBackupStatus
}

// file gives the path of a generation's backup.
func (b *keyBackup) file(generation uint32) string {
	return filepath.Join(b.target, fmt.Sprintf("keys-%d.age", generation))
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
// meanwhile, passes wait. Cost: all rows but claims are read once, and twice the
// size of the backup, which is some 600 bytes per person.
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

func (b *keyBackup) settle(w View) error {
	if err := b.settleStaged(w); err != nil {
		return err
	}
	id, err := readBackupIdentity(b.identity.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // there is no backup yet
	case err != nil:
		return fmt.Errorf("%w. No key of the vault is lost: destroy the file and start again, and back up the keys", err)
	case id.origin != b.origin || id.generation != w.tree.generation:
		return b.mismatch(id, w.tree.generation)
	}
	if there, err := b.owns(b.file(id.generation), id); err != nil || !there {
		return err
	}
	h, err := readSealedHead(b.file(id.generation), id)
	if err == nil {
		b.note(h)
	}
	return err
}

// settleStaged ends what left a staged identity behind.
func (b *keyBackup) settleStaged(w View) error {
	staged, err := readBackupIdentity(b.identity.next())
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
	case err == nil && (staged.origin != b.origin || staged.generation != w.tree.generation+1):
		return b.mismatch(staged, w.tree.generation)
	case err == nil:
		// Its pass was taken back.
		if err := b.remove(staged); err != nil {
			return err
		}
	}
	return b.identity.dropStaged()
}

// remove removes the backup that an identity opens, while it can be told from a
// stranger's.
func (b *keyBackup) remove(id *backupIdentity) error {
	file := b.file(id.generation)
	if there, err := b.owns(file, id); err != nil || !there {
		return err
	}
	if err := errors.Join(os.Remove(file), syncDirectory(b.target)); err != nil {
		return fmt.Errorf("removing a key backup: %w", err)
	}
	return b.identity.step("old backup removed")
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

// renew writes the backup of the generation in force.
func (b *keyBackup) renew(w View) (people int, err error) {
	switch id, err := readBackupIdentity(b.identity.path); {
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
	return b.write(b.identity.path, w)
}

// stage writes the backup of w's generation to the identity of that generation,
// which it draws and stages if that was not done yet. It may be called again
// after it was interrupted.
func (b *keyBackup) stage(w View) (people int, err error) {
	generation := w.tree.generation
	old, err := readBackupIdentity(b.identity.path)
	if err == nil && (old.origin != b.origin || old.generation > generation) {
		return 0, b.mismatch(old, generation)
	}
	staged, err := readBackupIdentity(b.identity.next())
	if err != nil || staged.origin != b.origin || staged.generation != generation {
		if err := b.identity.dropStaged(); err != nil {
			return 0, err
		}
		id, err := newBackupIdentity(b.origin, generation)
		if err != nil {
			return 0, err
		}
		if err := b.identity.stage(id.encode()); err != nil {
			return 0, fmt.Errorf("storing the next backup identity: %w", err)
		}
	}
	return b.write(b.identity.next(), w)
}

// promote destroys the identity in force, with the backup that it opens, and
// puts the staged one in its place. It may be called again after it was
// interrupted.
func (b *keyBackup) promote() error {
	if _, err := readBackupIdentity(b.identity.next()); err != nil {
		return err
	}
	if old, err := readBackupIdentity(b.identity.path); err == nil {
		if err := b.remove(old); err != nil {
			return err
		}
	}
	return b.identity.promote()
}

// write writes and reads back the backup of w's generation, to the identity in
// the file identityPath.
func (b *keyBackup) write(identityPath string, w View) (people int, err error) {
	id, err := readBackupIdentity(identityPath)
	if err != nil {
		return 0, err
	}
	file := b.file(w.tree.generation)
	if _, err := b.owns(file, id); err != nil {
		return 0, err
	}
	scratch := filepath.Join(b.target, "keys.age.tmp")
	totals, err := writeSealed(scratch, b.origin, id, w)
	if err != nil {
		return 0, fmt.Errorf("writing a key backup: %w", err)
	}
	if err := b.identity.step("backup written"); err != nil {
		return 0, err
	}
	h, err := readBack(scratch, identityPath, totals)
	if err != nil {
		return 0, fmt.Errorf("reading back a key backup: %w", err)
	}
	if err := errors.Join(os.Rename(scratch, file), syncDirectory(b.target)); err != nil {
		return 0, fmt.Errorf("putting a key backup in place: %w", err)
	}
	b.note(h)
	return int(totals.people), b.identity.step("backup in place")
}

// readBack reads a backup as a restore would, with the identity as it lies in
// its file.
func readBack(path, identityPath string, want backupTotals) (*backupHead, error) {
	id, err := readBackupIdentity(identityPath)
	if err != nil {
		return nil, err
	}
	h, totals, err := readSealed(path, id, nil)
	if err == nil && totals != want {
		err = fmt.Errorf("%w: it reads back differently", ErrBackupContent)
	}
	return h, err
}

// note remembers the newest backup for the status.
func (b *keyBackup) note(h *backupHead) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Generation, b.status.At = h.generation, h.at
}

// owns tells whether a backup is there, and refuses one that the identity does
// not open: it would be overwritten or removed next.
func (b *keyBackup) owns(file string, id *backupIdentity) (there bool, err error) {
	h, err := readSealedHead(file, id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && h.origin != b.origin:
		err = fmt.Errorf("%w: it is one of %s", ErrBackupMismatch, h.origin)
	}
	if err != nil {
		return false, fmt.Errorf("%s is not a key backup of this ledger and generation: move it away, and give each ledger "+
			"a directory of its own: %w", file, err)
	}
	return true, nil
}

// writeSealed writes a file with a key backup, synced.
func writeSealed(path, origin string, id *backupIdentity, w View) (totals backupTotals, err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return totals, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sealed, err := age.Encrypt(out, id.key.Recipient())
	if err != nil {
		return totals, err
	}
	if totals, err = writeBackup(sealed, origin, w); err != nil {
		return totals, err
	}
	if err := sealed.Close(); err != nil {
		return totals, err
	}
	return totals, out.Sync()
}

// readSealed reads a file with a key backup to its end, see readBackup.
func readSealed(path string, id *backupIdentity, each func(h *backupHead, key, value []byte) error) (h *backupHead, totals backupTotals, err error) {
	err = unseal(path, id, func(from io.Reader) (err error) {
		h, totals, err = readBackup(from, each)
		return err
	})
	return h, totals, err
}

// readSealedHead reads what stands before the rows, of a file that may be cut or
// damaged after it.
func readSealedHead(path string, id *backupIdentity) (h *backupHead, err error) {
	err = unseal(path, id, func(from io.Reader) (err error) {
		h, err = readBackupHead(from)
		return err
	})
	return h, err
}

func unseal(path string, id *backupIdentity, fn func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	from, err := age.Decrypt(f, id.key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackupContent, err)
	}
	return fn(from)
}
