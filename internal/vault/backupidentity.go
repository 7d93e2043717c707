package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"filippo.io/age"
)

// backupIdentity is the key that opens the key backups of one generation. Its
// file is age's own text format, so that the public tool opens a backup too:
//
//	# consent ledger: opens the key backup of one generation, destroyed with it
//	# origin consent.example.org/ledger
//	# generation 3
//	AGE-SECRET-KEY-PQ-1…
//
// Each line ends with LF; another spelling is refused.
type backupIdentity struct {
	origin     string
	generation uint32
	key        *age.HybridIdentity
}

const (
	backupIdentityTitle      = "# consent ledger: opens the key backup of one generation, destroyed with it\n"
	backupIdentityMaxBytes   = 4 << 10
	backupIdentityOrigin     = "# origin "
	backupIdentityGeneration = "# generation "
)

func newBackupIdentity(origin string, generation uint32) (*backupIdentity, error) {
	key, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("drawing a backup identity: %w", err)
	}
	return &backupIdentity{origin, generation, key}, nil
}

func (i *backupIdentity) encode() []byte {
	return fmt.Appendf(nil, "%s%s%s\n%s%d\n%s\n", backupIdentityTitle, backupIdentityOrigin, i.origin, backupIdentityGeneration, i.generation, i.key)
}

// String keeps the key out of whatever is printed.
func (i *backupIdentity) String() string { return "backup identity" }

func parseBackupIdentity(b []byte) (*backupIdentity, error) {
	bad := fmt.Errorf("%w: it is not the file of a backup identity, or damaged", ErrBackupIdentity)
	rest, ok := bytes.CutPrefix(b, []byte(backupIdentityTitle))
	lines := strings.Split(string(rest), "\n")
	if !ok || len(lines) != 4 {
		return nil, bad
	}
	generation, err := strconv.ParseUint(strings.TrimPrefix(lines[1], backupIdentityGeneration), 10, 32)
	if err != nil || generation == 0 {
		return nil, bad
	}
	// The cause would quote characters of the key.
	key, err := age.ParseHybridIdentity(lines[2])
	if err != nil {
		return nil, bad
	}
	i := &backupIdentity{strings.TrimPrefix(lines[0], backupIdentityOrigin), uint32(generation), key}
	if !bytes.Equal(i.encode(), b) {
		return nil, bad
	}
	return i, nil
}

// readBackupIdentity reads a file; the chain of its error has fs.ErrNotExist if
// there is none, otherwise [ErrBackupIdentity].
func readBackupIdentity(path string) (*backupIdentity, error) {
	if _, err := privateFile(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackupIdentity, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, backupIdentityMaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackupIdentity, err)
	}
	i, err := parseBackupIdentity(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return i, nil
}

// privateFile refuses an identity's file that others may read.
func privateFile(path string) (mode fs.FileMode, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("reading the backup identity: %w", err)
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrBackupIdentity, err)
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%w: %s is no regular file; name the file itself", ErrBackupIdentity, path)
	}
	if mode = info.Mode().Perm(); mode&0o077 != 0 {
		return 0, fmt.Errorf("%w: others may read %s, permissions %#o, want 0600. Find out who read it, then: chmod 600 %s",
			ErrBackupIdentity, path, mode, path)
	}
	return mode, nil
}
