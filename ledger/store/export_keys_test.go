package store

import (
	"errors"

	"github.com/consentledger/consentledger/ledger"
)

// KeyEntryKey is the key of the row of a key.rotated entry.
func KeyEntryKey(i ledger.Index) []byte { return indexKey(keyRow, int64(i)) }

// WriteHead makes a checkpoint the newest one of the head file in dir.
func WriteHead(dir string, checkpoint []byte) error {
	h, _, err := openHead(dir)
	if err != nil {
		return err
	}
	return errors.Join(h.write(checkpoint), h.close())
}
