package store

import "github.com/consentledger/consentledger/ledger"

// KeyEntryKey is the key of the row of a key.rotated entry.
func KeyEntryKey(i ledger.Index) []byte { return indexKey(keyRow, int64(i)) }
