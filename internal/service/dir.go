package service

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Files in a ledger's directory, besides those of the log and the vault.
const (
	signingKeys = "signing.keys"
	trustPolicy = "trust.policy"
	trustKeys   = "trust.keys"
)

// Create makes a new ledger in dir, which must not exist or be empty. controller
// names the company responsible; "" means the origin's host. finish, if not
// nil, may add files before the directory appears under its name; an error of
// any step leaves nothing behind.
func Create(dir, origin, controller string, finish func(dir string) error) (err error) {
	if controller == "" {
		controller, _, _ = strings.Cut(origin, "/")
		controller, _, _ = strings.Cut(controller, ":")
	}
	if !ledger.IsIdentifier(controller) {
		return errors.New("the controller must be an identifier: lower-case letters, digits, . _ - ; at most 64 characters")
	}
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fmt.Errorf("%s is not empty; a ledger is made in a new directory and an existing one is never touched", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making a ledger: %w", err)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("making a ledger: %w", err)
	}
	making, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".init-")
	if err != nil {
		return fmt.Errorf("making a ledger: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(making))
		}
	}()
	if err := create(making, origin, controller); err != nil {
		return fmt.Errorf("making a ledger: %w", err)
	}
	if finish != nil {
		if err := finish(making); err != nil {
			return fmt.Errorf("making a ledger: %w", err)
		}
	}
	if err := os.Rename(making, dir); err != nil {
		return fmt.Errorf("making a ledger: %w", err)
	}
	return syncDir(parent)
}

func create(dir, origin, controller string) error {
	signer, err := newSigner(dir, origin)
	if err != nil {
		return err
	}
	opt := Options{Dir: dir}
	if err := vault.Create(opt.vault(), origin); err != nil {
		return err
	}
	if err := store.Create(opt.store(signer), controller, time.Now()); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, trustPolicy), 0o644, ledger.NewPolicy(signer.Keys())); err != nil {
		return err
	}
	log, err := store.Open(opt.store(signer))
	if err != nil {
		return err
	}
	snap := log.Snapshot()
	keys, err := snap.Keys()
	snap.Release()
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	return errors.Join(writeNew(filepath.Join(dir, trustKeys), 0o644, keys), syncDir(dir))
}

// The file of the signing keys: a magic line, the origin, and the two 32-byte
// seeds in one row each, Ed25519 then ML-DSA-44.
const seedsMagic = "consent-ledger/signing-keys/v1"

func newSigner(dir, origin string) (*ledger.Signer, error) {
	if err := ledger.ValidOrigin(origin); err != nil {
		return nil, err
	}
	var ed, ml [32]byte
	rand.Read(ed[:]) // never fails, crypto/rand
	rand.Read(ml[:])
	signer, err := ledger.NewSigner(origin, ed, ml)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s\n%s\n%v\n%v\n", seedsMagic, origin, ledger.Hash(ed), ledger.Hash(ml))
	return signer, writeNew(filepath.Join(dir, signingKeys), 0o600, []byte(text))
}

// readSigner reads the signing keys of a ledger.
func readSigner(dir string) (*ledger.Signer, error) {
	if !store.IsLedger(dir) {
		return nil, errors.New("there is no ledger; make one with `ledgerd init`")
	}
	path := filepath.Join(dir, signingKeys)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read %s; run `chmod 600 %s`, and make a new ledger if somebody did", path, path)
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
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%s is damaged", path) // the reason could hold a seed
	}
	return ledger.NewSigner(lines[1], ed, ml)
}

// writeNew writes a file that must not exist, durably.
func writeNew(path string, mode fs.FileMode, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
