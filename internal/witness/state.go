package witness

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/ledger"
)

// The record of what was cosigned is one file, replaced as a whole:
//
//	consent-ledger/witness/v1
//	<name of the witness>
//	<base64 of the SHA-256 of everything after this line>
//	                           for each log, ascending by origin, a blank line and
//	<signed checkpoint>        with the log's signatures and then ours
//
// One file, because a missing one must never be taken for a log that is new.
const stateMagic = "consent-ledger/witness/v1"

// encodeState gives the bytes of the record.
func encodeState(name string, latest map[string]*record) []byte {
	var notes [][]byte
	for _, origin := range slices.Sorted(maps.Keys(latest)) {
		notes = append(notes, latest[origin].note)
	}
	body := ledger.JoinNotes(nil, notes...)
	head := fmt.Sprintf("%s\n%s\n%v\n", stateMagic, name, ledger.Hash(sha256.Sum256(body)))
	return append([]byte(head), body...)
}

// parseState takes the record apart. Our signatures tell that it is ours; those of
// the logs were verified when they came, and their keys may have changed since.
func parseState(b []byte, keys ledger.CosignerKeys) (map[string]*record, error) {
	parts := strings.SplitN(string(b), "\n", 4)
	if parts[0] != stateMagic {
		return nil, errors.New("it is not the record of a witness of this version")
	}
	if len(parts) != 4 {
		return nil, errors.New("its head is not whole")
	}
	if parts[1] != keys.Ed25519.Name {
		return nil, fmt.Errorf("it is the record of %q, the keys are those of %q", parts[1], keys.Ed25519.Name)
	}
	if sum, err := ledger.ParseHash(parts[2]); err != nil || sum != sha256.Sum256([]byte(parts[3])) {
		return nil, errors.New("its checksum does not fit")
	}
	notes, err := ledger.SplitNotes([]byte(parts[3]))
	if err != nil {
		return nil, err
	}
	latest := make(map[string]*record)
	for i, signed := range notes {
		r, err := parseRecord(signed, keys)
		if err != nil {
			return nil, fmt.Errorf("note %d: %w", i+1, err)
		}
		latest[r.checkpoint.Origin] = r
	}
	if !bytes.Equal(encodeState(keys.Ed25519.Name, latest), b) {
		return nil, errors.New("it is not in its one spelling")
	}
	return latest, nil
}

func parseRecord(signed []byte, keys ledger.CosignerKeys) (*record, error) {
	n, err := ledger.ParseSignedNote(signed)
	if err != nil {
		return nil, err
	}
	c, err := ledger.ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	lines, stamp, err := keys.Verify(c, n)
	if err != nil {
		return nil, err
	}
	return &record{c, stamp, lines, signed}, nil
}

// readState reads the record. Whatever is wrong with it, the witness must not
// start.
func readState(dir string, keys ledger.CosignerKeys) (map[string]*record, error) {
	b, err := os.ReadFile(path(dir, stateName))
	if err != nil {
		return nil, fmt.Errorf("reading what was cosigned: %w. %s", err, lostAdvice)
	}
	latest, err := parseState(b, keys)
	if err != nil {
		return nil, fmt.Errorf("the record of what was cosigned, %s, is damaged: %w. %s", path(dir, stateName), err, lostAdvice)
	}
	return latest, nil
}

// writeState replaces the record, durably: when it returns nil, the new one is
// what a start after a power cut finds. After an error either is.
func writeState(dir, name string, latest map[string]*record, step func(string) error) error {
	next := path(dir, stateName+".next")
	if err := step("write"); err != nil {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(encodeState(name, latest))
	if err == nil {
		err = step("sync file")
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := step("rename"); err != nil {
		return err
	}
	if err := os.Rename(next, path(dir, stateName)); err != nil {
		return err
	}
	if err := step("sync directory"); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeNew writes a file that must not exist, durably.
func writeNew(name string, mode os.FileMode, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
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

// lockDir keeps a second process out, which would not see what this one cosigns.
// The lock ends with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(path(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("it is in use by another process; stop it first (%w)", err), f.Close())
	}
	return f, nil
}
