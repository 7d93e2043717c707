package service

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Files in a ledger's directory, besides those of the log and the vault.
const (
	signingKeysName = "signing.keys"
	trustPolicy     = "trust.policy"
	trustKeys       = "trust.keys"
)

// Create makes a new ledger in dir, which must not exist or be empty. controller
// names the company responsible; "" means the origin's host. finish, if not
// nil, may add files before the ledger can be opened. An error of any step
// leaves dir as it was; a crash may leave files that no program takes for a
// ledger, because the head file comes last.
func Create(dir, origin, controller string, finish func(dir string) error) (err error) {
	if err := ledger.ValidOrigin(origin); err != nil {
		return err
	}
	if controller == "" {
		controller, _, _ = strings.Cut(origin, "/")
		controller, _, _ = strings.Cut(controller, ":")
	}
	if !ledger.IsIdentifier(controller) {
		return errors.New("the controller must be an identifier: lower-case letters, digits, . _ - ; at most 64 characters")
	}
	list, err := os.ReadDir(dir)
	existed := err == nil
	if len(list) > 0 {
		return fmt.Errorf("%s is not empty; a ledger is made in a new directory and an existing one is never touched", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making a ledger: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a ledger: %w", err)
	}
	// Made inside dir and moved up, because dir may be a mount point.
	making := filepath.Join(dir, ".init")
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("making a ledger: %w", errors.Join(err, os.RemoveAll(making)))
		if !existed {
			err = errors.Join(err, os.Remove(dir))
		}
	}()
	if err := os.Mkdir(making, 0o700); err != nil {
		return err
	}
	if err := create(making, origin, controller); err != nil {
		return err
	}
	if finish != nil {
		if err := finish(making); err != nil {
			return err
		}
	}
	return moveUp(making, dir)
}

// moveUp moves what is in from into its parent, the head file last.
func moveUp(from, to string) error {
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int {
		return cmp.Compare(present(a.Name() == store.HeadName), present(b.Name() == store.HeadName))
	})
	var moved []string
	for _, f := range list {
		target := filepath.Join(to, f.Name())
		if err := os.Rename(filepath.Join(from, f.Name()), target); err != nil {
			for _, m := range moved {
				err = errors.Join(err, os.RemoveAll(m))
			}
			return err
		}
		moved = append(moved, target)
	}
	return errors.Join(os.Remove(from), syncDir(to))
}

func present(b bool) int {
	if b {
		return 1
	}
	return 0
}

func create(dir, origin, controller string) error {
	signer, seeds, err := newSigner(origin)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, signingKeysName), 0o600, seeds); err != nil {
		return err
	}
	opt := Options{Dir: dir, Memory: MinMemory} // what it writes is little
	if err := vault.Create(opt.vault(), origin); err != nil {
		return err
	}
	if err := store.Create(opt.store(signer), controller, time.Now()); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, trustPolicy), 0o644, ledger.NewPolicy(signer.Keys())); err != nil {
		return err
	}
	log, err := newSigningKeys(dir, nil).open(opt.store(nil)) // writes trust.keys
	if err != nil {
		return err
	}
	return errors.Join(log.Close(), syncDir(dir))
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
