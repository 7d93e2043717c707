package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/consentledger/consentledger/internal/keyfile"
)

// backupName is what a generation's backup is called.
const backupName = "keys-%d.age"

func (b *keyBackup) file(generation uint32) string {
	return filepath.Join(b.target, fmt.Sprintf(backupName, generation))
}

// write writes and reads back the backup of w's generation, to the identity in
// the file identityPath.
func (b *keyBackup) write(identityPath string, w View) (people int, err error) {
	id, err := readBackupIdentity(identityPath)
	if err != nil {
		return 0, err
	}
	file := b.file(w.tree.generation)
	if _, err := b.own(file, id); err != nil {
		return 0, err
	}
	scratch := filepath.Join(b.target, "keys.age.tmp")
	totals, err := writeSealed(scratch, b.origin, id, w)
	if err != nil {
		return 0, fmt.Errorf("writing a key backup: %w", err)
	}
	if err := b.identity.Step("backup written"); err != nil {
		return 0, err
	}
	h, err := readBack(scratch, identityPath, totals)
	if err != nil {
		return 0, fmt.Errorf("reading back a key backup: %w", err)
	}
	if err := errors.Join(os.Rename(scratch, file), keyfile.SyncDir(b.target)); err != nil {
		return 0, fmt.Errorf("putting a key backup in place: %w", err)
	}
	b.note(h)
	return int(totals.people), b.identity.Step("backup in place")
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

// own gives the head of a backup, nil if there is none, and refuses one that the
// identity does not open: it would be overwritten or removed next.
func (b *keyBackup) own(file string, id *backupIdentity) (*backupHead, error) {
	h, err := readSealedHead(file, id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err == nil && h.origin != b.origin:
		err = fmt.Errorf("%w: it is one of %s", ErrBackupMismatch, h.origin)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not a key backup of this ledger and generation: move it away, and give each ledger "+
			"a directory of its own: %w", file, err)
	}
	return h, nil
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
