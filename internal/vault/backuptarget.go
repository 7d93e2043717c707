package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/keyfile"
)

// newKeyBackup checks what the options say, without a look into the vault; nil
// is without a target.
func newKeyBackup(opt Options) (*keyBackup, error) {
	if opt.KeyBackup == nil {
		return nil, nil
	}
	o := *opt.KeyBackup
	if o.Target == "" || o.IdentityPath == "" {
		return nil, fmt.Errorf("%w: Target and IdentityPath are both required", ErrBackupTarget)
	}
	b := &keyBackup{target: o.Target, identity: keyfile.New(o.IdentityPath, "identity", opt.testOnlyStep)}
	if err := writableDirectory(o.Target); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackupTarget, err)
	}
	if err := writableDirectory(filepath.Dir(o.IdentityPath)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackupIdentity, err)
	}
	for _, path := range []string{b.identity.Path(), b.identity.Next()} {
		if path == opt.RootKeyPath || path == opt.RootKeyPath+".next" {
			return nil, fmt.Errorf("%w: %s is the root key's file", ErrBackupIdentity, path)
		}
		if err := destroyable(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	b.status.Target = true
	return b, b.checkPlaces(opt.Dir)
}

// writableDirectory refuses what is no directory in which files can be made,
// removed and synced.
func writableDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	}
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%s is not writable: %w", dir, err)
	}
	return keyfile.SyncDir(dir)
}

// destroyable refuses an identity's file that cannot be overwritten in place.
func destroyable(path string) error {
	mode, err := privateFile(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = f.Close()
	}
	// Root may write nevertheless; the permissions say that it should not.
	if err == nil && mode&0o200 == 0 {
		err = fmt.Errorf("permissions %#o", mode)
	}
	if err != nil {
		return fmt.Errorf("%w: this program must be able to destroy %s, and may not write it: %w", ErrBackupIdentity, path, err)
	}
	return nil
}

// checkPlaces refuses an identity among the data or the backups, and backups
// in the vault's directory; it notes what shares a device with the identity.
func (b *keyBackup) checkPlaces(vaultDir string) error {
	identity, identityDevice, err := place(filepath.Dir(b.identity.Path()))
	if err != nil {
		return err
	}
	data, dataDevice, err := place(filepath.Dir(vaultDir))
	if err != nil {
		return err
	}
	target, targetDevice, err := place(b.target)
	if err != nil {
		return err
	}
	switch {
	case within(identity, data):
		return fmt.Errorf("%w: %s lies in the ledger's directory %s, and would be copied with it", ErrBackupIdentity, b.identity.Path(), data)
	case within(identity, target):
		return fmt.Errorf("%w: %s lies among the backups in %s, and would be copied with them", ErrBackupIdentity, b.identity.Path(), target)
	case within(target, filepath.Join(data, filepath.Base(vaultDir))):
		return fmt.Errorf("%w: %s lies in the vault's own directory", ErrBackupTarget, b.target)
	}
	if identityDevice == dataDevice {
		b.status.Notes = append(b.status.Notes, "the backup identity is on the same device as the data: one copy of the device holds both")
	}
	if identityDevice == targetDevice {
		b.status.Notes = append(b.status.Notes, "the backup identity is on the same device as the key backups: one copy of the device holds both")
	}
	if targetDevice == dataDevice {
		b.status.Notes = append(b.status.Notes, "the key backups are on the same device as the data: one failure takes both")
	}
	return nil
}

// place gives where a directory really lies.
func place(dir string) (path string, device uint64, err error) {
	if path, err = filepath.Abs(dir); err != nil {
		return "", 0, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", 0, err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", 0, fmt.Errorf("asking for the device of %s: %w", path, err)
	}
	return path, uint64(st.Dev), nil
}

// within tells whether a directory is another or lies below it.
func within(dir, other string) bool {
	rel, err := filepath.Rel(other, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
