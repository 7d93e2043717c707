// Package ledger is the pure core of the consent ledger: bytes in, verdict out.
//
// It parses and encodes entries, checks the hash chain, the rules of consent,
// the state tree, checkpoints, receipts and disclosures. It touches no disk, no
// network and no clock. Start with [VerifyLog], which checks a whole log, and
// [VerifyReceipt], which checks that one entry is in it. FORMAT.md beside this
// file specifies every byte.
//
// All functions are safe for concurrent use; values of the types are not,
// unless they say so. Bytes that verify today verify in every later version.
package ledger

import "golang.org/x/mod/sumdb/tlog"

// Index is the position of an entry in the log, from 0.
type Index int64

// Size is a count of entries: a log of size n holds the indexes 0 to n-1.
type Size int64

// ConsentID names a consent, or another record of the same shape, by the index
// of the entry that opened it.
type ConsentID int64

// Hash is a SHA-256 value: a leaf hash, a tree root, a lock or a commitment.
// Its String method gives padded standard base64, its spelling in entries.
type Hash = tlog.Hash
