package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger/store"
)

// Errors about what [Open] needs beside the databases.
var (
	errNoHead = fmt.Errorf("%w: its head file is missing, which says what was acknowledged", store.ErrDamaged)
	// errSigningKeys is in the chain of every error about the files of signing keys.
	errSigningKeys = errors.New("the signing keys cannot be used")
	// errApart: log and vault are from different times, or from different ledgers.
	errApart = errors.New("the vault and the log do not belong together")
)

const (
	restoreAdvice = "Nothing was changed. Keep a copy of the directory, let `ledgerd check` name all that is wrong, " +
		"then bring back the newest backup: see `ledgerd restore --help`"
	rootAdvice = "With a key backup: see `ledgerd restore --help`. Without one, `ledgerd serve --log-only` still serves the log"
)

// remedies say what an operator does about a ledger that does not open, by what is in
// the chain of the error; the first that fits. Errors that say so themselves have none.
var remedies = []struct {
	err  error
	what string
}{
	{syscall.EROFS, "A ledger writes as soon as it is opened: find out why the file system is read-only, and mount it so that it can be written"},
	{fs.ErrPermission, "Run it as the user that the directory and all files in it belong to, or give them to this one: chown -R USER DIR"},
	{vault.ErrRootMissing, rootAdvice},
	{vault.ErrRootMismatch, rootAdvice},
	{vault.ErrRootMagic, rootAdvice},
	{vault.ErrRootVersion, rootAdvice},
	{vault.ErrRootContent, rootAdvice},
	{errSigningKeys, "Put back your own copy of signing.keys, with the permissions 0600. Without it nothing can be signed, " +
		"and the log that is there can only be read by `verify` from an export"},
	{store.ErrKeys, "Nothing was changed. Put back the signing.keys that belong to this directory, with the permissions 0600; if they do, " +
		"the head file is not this ledger's: then bring back the newest backup, see `ledgerd restore --help`"},
	{errApart, restoreAdvice + ". If only one of the two was put back from a copy, put back the other one of the same time"},
	{store.ErrDamaged, restoreAdvice},
	{badgerdb.ErrDamaged, restoreAdvice},
	{vault.ErrDamaged, restoreAdvice},
}

// Remedied adds to the error of [Open] or [OpenLog] what an operator does about it,
// where that is not in it already.
func Remedied(err error) error {
	for _, r := range remedies {
		if errors.Is(err, r.err) {
			return fmt.Errorf("%w. %s", err, r.what)
		}
	}
	return err
}

// isThere refuses a directory that holds no ledger, or a ledger without its head file.
func isThere(dir string) error {
	_, err := os.Stat(filepath.Join(dir, store.HeadName))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "log")); err == nil {
		return errNoHead
	}
	return errors.New("there is no ledger; make one with `ledgerd init`")
}
