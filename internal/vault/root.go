package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/consentledger/consentledger/internal/keyfile"
)

// The root key's file, 48 bytes: magic (8), version u32, generation u32 (from
// 1), key (32). Numbers are big-endian.
const (
	rootMagic    = "CLroot\r\n"
	rootVersion  = 1
	rootFileSize = 8 + 4 + 4 + 32
)

// Errors about the root key's file, each with a remedy of its own.
var (
	ErrRootMissing = errors.New("the root key is missing")
	ErrRootMode    = errors.New("others may read the root key")
	ErrRootMagic   = errors.New("not the file of a root key")
	ErrRootVersion = errors.New("a root key of another version")
	ErrRootContent = errors.New("the file of the root key is damaged")
	// ErrRootMismatch: the file is well-formed and does not open the vault.
	ErrRootMismatch = errors.New("the root key does not belong to this state of the vault")
)

// rootKey is ROOT of one generation.
type rootKey struct {
	generation uint32
	key        secret
}

func newRootKey(generation uint32) rootKey { return rootKey{generation, newSecret()} }

// rootState is what the medium of the root key holds: the current root and,
// during an erasure, the next one. Either has an error in its place.
type rootState struct {
	current, staged       rootKey
	currentErr, stagedErr error
}

// rootKeeper keeps ROOT. A file does in this version; the interface is narrow
// so that a key service or a TPM can stand in its place.
type rootKeeper interface {
	// Read gives what is there.
	Read() rootState
	// StageNext stores k durably beside the current root.
	StageNext(k rootKey) error
	// Promote destroys the current root and puts the staged one in its place.
	// It may be called again after it was interrupted.
	Promote() error
	// DropStaged destroys the staged root.
	DropStaged() error
}

// usable refuses what no look into the vault can mend.
func (s rootState) usable(path string) error {
	for _, err := range []error{s.currentErr, s.stagedErr} {
		if errors.Is(err, ErrRootMode) {
			return err
		}
	}
	if s.currentErr == nil || s.stagedErr == nil {
		return nil
	}
	if errors.Is(s.currentErr, fs.ErrNotExist) && errors.Is(s.stagedErr, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no file %s. Put it back where it was, or name its place; if it is lost, "+
			"no personal data in this vault can ever be read again", ErrRootMissing, path)
	}
	if errors.Is(s.currentErr, fs.ErrNotExist) {
		return s.stagedErr
	}
	return s.currentErr
}

// fileRoot keeps ROOT in a file.
type fileRoot struct{ file keyfile.File }

func newFileRoot(path string, step func(string) error) *fileRoot {
	return &fileRoot{keyfile.New(path, "root", step)}
}

func (f *fileRoot) Read() (s rootState) {
	s.current, s.currentErr = readRoot(f.file.Path())
	s.staged, s.stagedErr = readRoot(f.file.Next())
	return s
}

// readRoot reads one file: kind and permissions, magic, version, content.
func readRoot(path string) (k rootKey, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return k, fmt.Errorf("reading the root key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return k, fmt.Errorf("%w: %s is no regular file; name the file itself", ErrRootMagic, path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return k, fmt.Errorf("%w: %s has permissions %#o, want 0600. Find out who read it, then: chmod 600 %s",
			ErrRootMode, path, mode, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return k, fmt.Errorf("reading the root key: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, rootFileSize+1))
	if err != nil {
		return k, fmt.Errorf("reading the root key: %w", err)
	}
	k, err = parseRoot(b)
	if err != nil {
		return k, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func parseRoot(b []byte) (k rootKey, err error) {
	if !bytes.HasPrefix(b, []byte(rootMagic)) {
		return k, fmt.Errorf("%w: it does not begin as one", ErrRootMagic)
	}
	b = b[len(rootMagic):]
	if len(b) < 4 {
		return k, fmt.Errorf("%w: it ends early", ErrRootContent)
	}
	if version := binary.BigEndian.Uint32(b); version != rootVersion {
		return k, fmt.Errorf("%w: version %d, this program knows %d", ErrRootVersion, version, rootVersion)
	}
	b = b[4:]
	if len(b) != 4+32 {
		return k, fmt.Errorf("%w: it has %d bytes, want %d", ErrRootContent, len(rootMagic)+4+len(b), rootFileSize)
	}
	k.generation = binary.BigEndian.Uint32(b)
	copy(k.key[:], b[4:])
	if k.generation == 0 || k.key == (secret{}) {
		return rootKey{}, fmt.Errorf("%w: generation or key is zero", ErrRootContent)
	}
	return k, nil
}

func (k rootKey) encode() []byte {
	b := make([]byte, 0, rootFileSize)
	b = append(b, rootMagic...)
	b = binary.BigEndian.AppendUint32(b, rootVersion)
	b = binary.BigEndian.AppendUint32(b, k.generation)
	return append(b, k.key[:]...)
}

func (f *fileRoot) StageNext(k rootKey) error {
	if err := f.file.Stage(k.encode()); err != nil {
		return fmt.Errorf("staging root key %d: %w", k.generation, err)
	}
	switch read, err := readRoot(f.file.Next()); {
	case err != nil:
		return fmt.Errorf("staging root key %d: %w", k.generation, err)
	case read != k:
		return fmt.Errorf("staging root key %d: %w: %s reads back differently", k.generation, ErrRootContent, f.file.Next())
	}
	return nil
}

func (f *fileRoot) Promote() error {
	if err := f.file.Promote(); err != nil {
		return fmt.Errorf("replacing the root key: %w", err)
	}
	return nil
}

func (f *fileRoot) DropStaged() error {
	if err := f.file.DropStaged(); err != nil {
		return fmt.Errorf("dropping the staged root key: %w", err)
	}
	return nil
}
