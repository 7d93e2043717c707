package service

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/consentledger/consentledger/internal/keyfile"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// signingKeys are the files of the log's signing keys: signing.keys with the seeds
// of the pair in force and, while it is being replaced, signing.keys.next with those
// of the pair that follows. Which of the two counts, the log says: from the group on
// that has the key.rotated it is the next one, and only then the seeds of the old
// are destroyed. trust.keys follows the log.
type signingKeys struct {
	dir  string
	file keyfile.File

	mu sync.Mutex // held while the pair is replaced
}

func newSigningKeys(dir string, step func(string) error) *signingKeys {
	return &signingKeys{dir: dir, file: keyfile.New(filepath.Join(dir, signingKeysName), signingKeysName, step)}
}

// open opens the log with the pair that is in force, and finishes or drops what a
// crash left of a rotation.
func (k *signingKeys) open(opt store.Options) (_ *store.Store, err error) {
	if opt.Signer, opt.Next, err = k.read(); err != nil {
		return nil, err
	}
	log, err := store.Open(opt)
	if err != nil {
		return nil, err
	}
	if err := k.settle(log); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// read gives the pairs that the files hold: one, or during a rotation two.
func (k *signingKeys) read() (signer, next *ledger.Signer, err error) {
	if err := isThere(k.dir); err != nil {
		return nil, nil, err
	}
	signer, err = readSigner(k.file.Path())
	next, nextErr := readSigner(k.file.Next())
	switch {
	case errors.Is(err, errKeysMode):
		return nil, nil, err
	case errors.Is(nextErr, errKeysMode):
		return nil, nil, nextErr
	case err == nil && nextErr == nil:
		return signer, next, nil
	case err == nil: // half a pair that never came into force
		return signer, nil, nil
	case nextErr == nil: // the old pair is destroyed already
		return next, nil, nil
	}
	return nil, nil, fmt.Errorf("%w: %w", errSigningKeys, err)
}

// stage draws the next pair and stores its seeds durably.
func (k *signingKeys) stage(origin string) (*ledger.Signer, error) {
	signer, seeds, err := newSigner(origin)
	if err == nil {
		err = k.file.Stage(seeds)
	}
	if err != nil {
		return nil, fmt.Errorf("storing the next signing keys: %w", err)
	}
	return signer, nil
}

// settle makes the files follow the log. It may be called again after it was
// interrupted.
func (k *signingKeys) settle(log *store.Store) error {
	snap := log.Snapshot()
	defer snap.Release()
	inForce, err := snap.KeyEntry()
	if err != nil {
		return err
	}
	next, err := readSigner(k.file.Next())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err == nil && isPair(next, inForce.Keys):
		if err := k.file.Promote(); err != nil {
			return fmt.Errorf("replacing the signing keys: %w", err)
		}
	default:
		if err := k.drop(inForce.Keys); err != nil {
			return fmt.Errorf("destroying signing keys that never came into force: %w", err)
		}
	}
	keys, err := snap.Keys()
	if err != nil {
		return err
	}
	return k.writeTrustKeys(keys)
}

// drop destroys a staged pair that is not in force, unless nothing else would be left.
func (k *signingKeys) drop(inForce ledger.KeyPair) error {
	current, err := readSigner(k.file.Path())
	if err == nil && !isPair(current, inForce) {
		err = fmt.Errorf("%s does not hold the pair in force either", k.file.Path())
	}
	if err != nil {
		return err
	}
	return k.file.DropStaged()
}

// writeTrustKeys makes trust.keys hold the log's key entries.
func (k *signingKeys) writeTrustKeys(keys []byte) error {
	path := filepath.Join(k.dir, trustKeys)
	before, err := os.ReadFile(path)
	if err == nil && bytes.Equal(before, keys) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading trust.keys: %w", err)
	}
	scratch := path + ".next"
	err = os.Remove(scratch) // left by a crash
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = writeNew(scratch, 0o644, keys)
	}
	if err == nil {
		err = errors.Join(os.Rename(scratch, path), keyfile.SyncDir(k.dir))
	}
	if err != nil {
		return fmt.Errorf("writing trust.keys: %w", err)
	}
	return k.file.Step("trust.keys written")
}

// isPair reports whether a signer has these keys.
func isPair(s *ledger.Signer, keys ledger.KeyPair) bool {
	own := s.Keys()
	return own.Ed25519.String() == keys.Ed25519.String() && own.MLDSA44.String() == keys.MLDSA44.String()
}

// A file of signing keys: a magic line, the origin, and the two 32-byte seeds in one
// row each, Ed25519 then ML-DSA-44.
const seedsMagic = "consent-ledger/signing-keys/v1"

// newSigner draws a pair of keys and gives what its file holds.
func newSigner(origin string) (*ledger.Signer, []byte, error) {
	var ed, ml [32]byte
	rand.Read(ed[:]) // never fails, crypto/rand
	rand.Read(ml[:])
	signer, err := ledger.NewSigner(origin, ed, ml)
	if err != nil {
		return nil, nil, err
	}
	return signer, fmt.Appendf(nil, "%s\n%s\n%v\n%v\n", seedsMagic, origin, ledger.Hash(ed), ledger.Hash(ml)), nil
}

// errKeysMode: nobody knows whose keys they are then.
var errKeysMode = errors.New("others may read")

// readSigner reads a file of signing keys. Its errors hold nothing of them.
func readSigner(path string) (*ledger.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w %s; run `chmod 600 %s` and, if somebody did, `ledgerd rotate-key` once the ledger is served",
			errKeysMode, path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	if lines[0] != seedsMagic {
		return nil, fmt.Errorf("%s is not a file of signing keys of this version", path)
	}
	if len(lines) != 5 || lines[4] != "" {
		return nil, fmt.Errorf("%s is damaged", path)
	}
	ed, err1 := ledger.ParseHash(lines[2])
	ml, err2 := ledger.ParseHash(lines[3])
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%s is damaged", path) // the reason could hold a seed
	}
	return ledger.NewSigner(lines[1], ed, ml)
}
