package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/ledger"
)

// Files that a ledger keeps beside its log, each a checkpoint that others have.
const (
	CosignedName = "cosigned.checkpoint" // the newest that the quorum of witnesses cosigned
	AnchoredName = "anchored.checkpoint" // the newest that a time-stamping authority stamped
)

// CheckDir is [CheckFile] for the files that a ledger's directory keeps by itself. Of
// several reasons it gives one.
func CheckDir(log Log, dir string) (reason, err error) {
	for _, name := range []string{CosignedName, AnchoredName} {
		if reason, err = CheckFile(log, filepath.Join(dir, name)); reason != nil || err != nil {
			break
		}
	}
	return reason, err
}

// CheckFile holds a log to the checkpoint in a file of its own directory, and gives
// the reason why it must not sign any more, or nil. A file that is not there is no
// reason, and neither is one that is damaged. One that keys signed, in the log's name,
// which the log does not know is: the copy is from before they were rotated.
func CheckFile(log Log, path string) (reason, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading a checkpoint that was kept: %w", err)
	}
	kept, err := Open(log, text)
	switch {
	case errors.Is(err, ErrLog):
		return nil, err
	case errors.Is(err, ErrKeys):
		return fmt.Errorf("%s: %w", filepath.Base(path), err), nil
	case err != nil:
		return nil, nil
	}
	f, err := Find(log, kept.Checkpoint)
	if err != nil {
		return nil, err
	}
	if found := f.Err(); found != nil {
		return fmt.Errorf("the checkpoint in %s proves it: %w", filepath.Base(path), found), nil
	}
	return nil, nil
}

// Unreadable says what is wrong with the file of a checkpoint that a ledger keeps, by
// the ledger's key entries, the content of trust.keys. It protects from being set back only while it can be read.
// Nothing is wrong with one that is not there, or that other keys signed; see [CheckFile].
func Unreadable(path string, keys []byte) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var kept *ledger.Kept
	if err == nil {
		kept, err = ledger.ParseKept(text)
	}
	if err == nil {
		var policy *ledger.Policy
		if _, policy, err = trusting(keys); err == nil {
			err = kept.Verify(policy)
		}
	}
	if err == nil || errors.Is(err, ledger.ErrPolicy) {
		return nil
	}
	return fmt.Errorf("%s is damaged; remove it, the next checkpoint that others confirm takes its place: %w", path, err)
}
