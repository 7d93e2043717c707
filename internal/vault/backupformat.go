package vault

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// A key backup is an age file (age-encryption.org/v1) to one hybrid recipient
// (ML-KEM-768 with X25519). Its content, version 3; numbers are big-endian:
//
//	magic "CLkeys\r\n"                 8
//	version                            u32
//	generation of ROOT                 u32
//	time, µs since 1970-01-01 UTC      u64
//	origin                             its length u16, then its bytes
//	newest group record                52, see group.go; then 1 and the 52 of the record before it, or 0
//	shard keys                         4096 × {generation of the shard's rows u32, key 32}
//	suppression key                    32
//	index keys, the one in force first their number u8, 1 or 2; each: epoch u32, key 32
//	rows                               each: length of the key u8, key, length of the value u32, value
//	end of the rows                    0 u8
//	people, without the ledger's slot  u64
//	rows                               u64
//	SHA-256 of everything before       32
//
// The rows are those of the vault as they are stored, in ascending order of
// their keys: all of the kinds 'k', 'p' and 's', and of the shard rows of
// the generations that the shard keys name those of the types 'i', 'j', 'k' and
// 'q'. The ledger's own slot is one of them. Not in it: ROOT, the keys of the
// day, claims, and what follows from the rest (consent → slot, manage tokens).
const (
	backupMagic    = "CLkeys\r\n"
	backupVersion  = 3
	backupMaxValue = 1 << 20 // what Badger stores inline
)

// backupHead is what stands before the rows.
type backupHead struct {
	generation uint32
	at         time.Time
	origin     string
	group      groupRow // without the keys of its rows
	tree       *tree    // without the keys of the day
}

// backupTotals is what stands after them.
type backupTotals struct {
	people, rows uint64
	sum          [sha256.Size]byte
}

// count counts a row.
func (t *backupTotals) count(key []byte) {
	t.rows++
	if key[0] == rowShard && key[shardKeySize] == rowSubject && slotOf(key) != 0 {
		t.people++
	}
}

// backedUp tells whether a row belongs into a key backup with this tree.
func (t *tree) backedUp(key []byte) bool {
	switch key[0] {
	case rowWrapped, rowIdentity, rowSuppression:
		return true
	case rowShard:
		if len(key) < minShardRow {
			return false
		}
		s := binary.BigEndian.Uint16(key[1:])
		switch {
		case !bytes.HasPrefix(key, t.shardPrefix(s&shardMask)):
			return false
		case key[shardKeySize] == rowSubject, key[shardKeySize] == rowPlan:
			return true
		}
		return key[shardKeySize] == rowIndex || key[shardKeySize] == rowLegal
	}
	return false
}

// writeBackup writes the content of a key backup: what w sees.
func writeBackup(to io.Writer, origin string, w View) (backupTotals, error) {
	value, ok, err := w.get(keyGroup())
	if err != nil || !ok {
		return backupTotals{}, errors.Join(fmt.Errorf("%w: the group record is missing", ErrDamaged), err)
	}
	group, err := parseGroup(value)
	if err != nil {
		return backupTotals{}, err
	}
	group.keys = nil
	out := newBackupWriter(to)
	out.head(&backupHead{w.tree.generation, time.Now(), origin, group, w.tree})
	for _, kind := range []byte{rowWrapped, rowIdentity, rowShard, rowSuppression} {
		err := eachRow(w.txn, []byte{kind}, func(key, value []byte) error {
			if !w.tree.backedUp(key) {
				return nil
			}
			return out.row(key, value)
		})
		if err != nil {
			return backupTotals{}, err
		}
	}
	return out.end()
}

// backupWriter leaves errors to its bufio.Writer, which keeps the first one.
type backupWriter struct {
	to     *bufio.Writer
	hash   hash.Hash
	totals backupTotals
}

func newBackupWriter(to io.Writer) *backupWriter {
	h := sha256.New()
	return &backupWriter{to: bufio.NewWriterSize(io.MultiWriter(to, h), 64<<10), hash: h}
}

func (w *backupWriter) head(h *backupHead) {
	w.to.WriteString(backupMagic)
	w.to.Write(u32(backupVersion))
	w.to.Write(u32(h.generation))
	w.to.Write(u64(uint64(h.at.UnixMicro())))
	w.to.Write(u16(uint16(len(h.origin))))
	w.to.WriteString(h.origin)
	w.to.Write(h.group.encode())
	for i := range h.tree.shards {
		w.to.Write(u32(h.tree.shards[i].generation))
		w.to.Write(h.tree.shards[i].key[:])
	}
	w.to.Write(h.tree.suppression[:])
	w.to.WriteByte(byte(len(h.tree.index)))
	for _, k := range h.tree.index {
		w.to.Write(u32(k.epoch))
		w.to.Write(k.key[:])
	}
}

func (w *backupWriter) row(key, value []byte) error {
	w.totals.count(key)
	w.to.WriteByte(byte(len(key)))
	w.to.Write(key)
	w.to.Write(u32(uint32(len(value))))
	_, err := w.to.Write(value)
	return err
}

func (w *backupWriter) end() (backupTotals, error) {
	w.to.WriteByte(0)
	w.to.Write(u64(w.totals.people))
	w.to.Write(u64(w.totals.rows))
	if err := w.to.Flush(); err != nil {
		return backupTotals{}, err
	}
	w.hash.Sum(w.totals.sum[:0])
	w.to.Write(w.totals.sum[:])
	return w.totals, w.to.Flush()
}
