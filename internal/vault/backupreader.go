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
	"math"
	"slices"
	"time"
)

// readBackup reads the content of a key backup to its end and calls each, if it
// is not nil, with every row, which it must copy to keep. What each did is void
// unless the error is nil: the counts and the sum stand last.
func readBackup(from io.Reader, each func(h *backupHead, key, value []byte) error) (*backupHead, backupTotals, error) {
	r := &backupReader{from: bufio.NewReaderSize(from, 64<<10), hash: sha256.New()}
	h := r.head()
	for r.err == nil && r.row(h, each) {
	}
	r.end()
	if r.err != nil {
		return nil, backupTotals{}, r.err
	}
	return h, r.totals, nil
}

// readBackupHead reads what stands before the rows.
func readBackupHead(from io.Reader) (*backupHead, error) {
	r := &backupReader{from: bufio.NewReaderSize(from, 64<<10), hash: sha256.New()}
	h := r.head()
	return h, r.err
}

// backupReader keeps the first error, after which it reads zeros.
type backupReader struct {
	from       *bufio.Reader
	hash       hash.Hash
	key, value []byte // of the row being read
	before     []byte // key of the row before it
	totals     backupTotals
	err        error
}

func (r *backupReader) read(b []byte) []byte {
	clear(b)
	if r.err == nil {
		if _, err := io.ReadFull(r.from, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			r.err = fmt.Errorf("%w: it ends early", ErrBackupContent)
		} else if err != nil {
			r.err = fmt.Errorf("%w: %w", ErrBackupContent, err)
		}
		r.hash.Write(b)
	}
	return b
}

func (r *backupReader) uint8() uint8   { return r.read(make([]byte, 1))[0] }
func (r *backupReader) uint32() uint32 { return binary.BigEndian.Uint32(r.read(make([]byte, 4))) }
func (r *backupReader) uint64() uint64 { return binary.BigEndian.Uint64(r.read(make([]byte, 8))) }
func (r *backupReader) secret() secret { return secret(r.read(make([]byte, 32))) }

func (r *backupReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrBackupContent}, args...)...)
	}
}

func (r *backupReader) head() *backupHead {
	h := &backupHead{tree: new(tree)}
	if string(r.read(make([]byte, len(backupMagic)))) != backupMagic {
		r.fail("it does not begin as one")
	}
	if version := r.uint32(); version != backupVersion {
		r.fail("version %d, this program knows %d", version, backupVersion)
	}
	h.generation = r.uint32()
	h.tree.generation = h.generation
	at := r.uint64()
	h.at = time.UnixMicro(int64(at)).UTC()
	h.origin = string(r.read(make([]byte, binary.BigEndian.Uint16(r.read(make([]byte, 2))))))
	if h.generation == 0 || at > math.MaxInt64 {
		r.fail("generation %d, time %d", h.generation, at)
	}
	h.group = r.group()
	for i := range h.tree.shards {
		s := shard{generation: r.uint32(), key: r.secret()}
		s.aead = newAEAD(s.key)
		h.tree.shards[i] = s
	}
	h.tree.suppression = r.secret()
	n := r.uint8()
	if n != 1 && n != 2 {
		r.fail("%d index keys", n)
	}
	for range n {
		h.tree.index = append(h.tree.index, indexKey{epoch: r.uint32(), key: r.secret()})
	}
	return h
}

func (r *backupReader) group() groupRow {
	b := r.read(make([]byte, groupRecordSize+1))
	if b[groupRecordSize] == 1 {
		b = append(b, r.read(make([]byte, groupRecordSize))...)
	}
	g, err := parseGroup(b)
	if err != nil {
		r.fail("the group record does not parse")
	}
	return g
}

// row reads one row; false means that there is none any more. A shard row is
// opened: that is what it is there for.
func (r *backupReader) row(h *backupHead, each func(h *backupHead, key, value []byte) error) bool {
	size := r.uint8()
	if size == 0 {
		return false
	}
	r.key = r.read(slices.Grow(r.key[:0], int(size))[:size])
	length := r.uint32()
	if length > backupMaxValue {
		r.fail("a row of %d bytes", length)
		return false
	}
	r.value = r.read(slices.Grow(r.value[:0], int(length))[:length])
	switch {
	case r.err != nil:
	case bytes.Compare(r.before, r.key) >= 0:
		r.fail("the rows are not in order")
	case !h.admits(r.key):
		r.fail("a row of kind %q that does not belong there", r.key[0])
	case r.key[0] == rowShard:
		_, r.err = h.tree.openShardRow(nil, binary.BigEndian.Uint16(r.key[1:]), r.key, r.value)
	}
	if r.err != nil {
		return false
	}
	r.totals.count(r.key)
	r.before = append(r.before[:0], r.key...)
	if each != nil {
		r.err = each(h, r.key, r.value)
	}
	return r.err == nil
}

// admits refuses rows that a key backup does not have, and shard rows that do
// not lie where they belong.
func (h *backupHead) admits(key []byte) bool {
	if key[0] != rowShard {
		return h.tree.backedUp(key)
	}
	if len(key) < minShardRow {
		return false
	}
	typ, id := key[shardKeySize], key[shardKeySize+1:]
	switch {
	case (typ == rowSubject || typ == rowPlan) && len(id) == 8:
	case typ == rowIndex && len(id) == indexIDSize:
	case typ == rowLegal && len(id) == indexIDSize+markSize:
	default:
		return false
	}
	return bytes.Equal(key, h.tree.shardRowKey(typ, id))
}

// end reads what stands after the rows.
func (r *backupReader) end() {
	people, rows := r.uint64(), r.uint64()
	sum := r.hash.Sum(nil)
	r.read(r.totals.sum[:])
	if people != r.totals.people || rows != r.totals.rows {
		r.fail("it counts %d people and %d rows, and has %d and %d", people, rows, r.totals.people, r.totals.rows)
	}
	if !bytes.Equal(sum, r.totals.sum[:]) {
		r.fail("its sum is another")
	}
	if r.err == nil {
		if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
			r.fail("its end is followed by something, or damaged (%v)", err)
		}
	}
}
