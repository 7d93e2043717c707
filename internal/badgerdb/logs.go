package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4/y"
)

// logSpan is what a write-ahead log holds: the versions of its first and its last
// whole transaction, both 0 when it holds none, and where that one ends.
type logSpan struct {
	name        string
	first, last uint64
	end         int
}

func (s logSpan) covers(version uint64) bool { return s.first <= version && version <= s.last }

// checkLogs reads the write-ahead logs of a database, oldest first. Badger cuts one
// at the first byte that is wrong and says nothing, for a torn tail is what a crash
// leaves. A tail that a crash has torn ends in the one transaction that was being
// written, because each is synced before the next one begins. So a log in which a
// later one follows, or behind which another log goes on with a later one, has lost
// what was acknowledged.
//
// Limits: damage in the newest transaction, and a newest log that was cut, look as
// after a crash. The caller must know from elsewhere which transaction was the last.
func checkLogs(names []string) (spans []logSpan, findings []error) {
	slices.Sort(names) // the numbers in the names have leading zeros
	var last uint64    // of the logs so far
	for _, name := range names {
		data, err := dataOf(name)
		if err != nil {
			findings = append(findings, fmt.Errorf("reading a write-ahead log: %w", err))
			continue
		}
		span, err := checkLog(data)
		if err == nil && last != 0 && span.first > last+1 {
			err = fmt.Errorf("it begins with transaction %d, and the log before it ends with %d", span.first, last)
		}
		if err != nil {
			findings = append(findings, damaged("write-ahead log %s is damaged: %w", name, err))
		}
		last = max(last, span.last)
		span.name = name
		spans = append(spans, span)
	}
	return spans, findings
}

// dataOf reads a file up to the hole at its end.
func dataOf(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	last := int64(0)
	for off := int64(0); off < info.Size(); {
		start, end, err := nextData(f, off, info.Size())
		if err != nil {
			return nil, fmt.Errorf("looking for data in %s: %w", name, err)
		}
		if end > start {
			last = end
		}
		off = end
	}
	data := make([]byte, last)
	_, err = f.ReadAt(data, 0)
	return data, err
}

// Badger's marks of an entry that belongs to a transaction, that ends one, and that
// deletes a key.
const (
	bitDelete = 1 << 0
	bitTxn    = 1 << 6
	bitFinTxn = 1 << 7
)

// logHeader is the length of what stands before a log's first entry: the number of
// an encryption key (8 bytes, 0 here) and 12 bytes that encryption would use.
const logHeader = 20

// checkLog reads a write-ahead log as Badger v4 does when it replays it.
func checkLog(data []byte) (span logSpan, err error) {
	if len(data) < logHeader {
		return span, nil // Badger takes it for a new one
	}
	if binary.BigEndian.Uint64(data) != 0 {
		return span, errors.New("bytes 0 to 7 name an encryption key, and there is none")
	}
	span.end = logHeader
	open := uint64(0) // the transaction that has begun, 0 between two
read:
	for at := span.end; ; {
		e, ok := readLogEntry(data[at:])
		if !ok || e.keyLen == 0 {
			break
		}
		at += e.size
		switch {
		case e.meta&bitTxn != 0:
			if open != 0 && open != e.version {
				break read
			}
			open = e.version
			continue
		case e.meta&bitFinTxn != 0 && open != e.version, e.meta&bitFinTxn == 0 && open != 0:
			break read
		}
		if span.first == 0 {
			span.first = e.version
		}
		span.last, open, span.end = e.version, 0, at
	}
	// What follows may be the rest of the transaction after the last whole one.
	torn := uint64(0)
	if span.last != 0 {
		torn = span.last + 1
	}
	for at := span.end; at < len(data); {
		if data[at]&(bitTxn|bitFinTxn) == 0 || data[at]&^(bitTxn|bitFinTxn|bitDelete) != 0 {
			at++
			continue
		}
		e, ok := readLogEntry(data[at:])
		if !ok || e.version == 0 {
			at++
			continue
		}
		if torn == 0 {
			torn = e.version
		}
		if e.version != torn {
			return span, fmt.Errorf("from byte %d on: transaction %d is not whole, and at byte %d stands one that was written after it (%d)",
				span.end, min(torn, e.version), at, max(torn, e.version))
		}
		at += e.size
	}
	return span, nil
}

// logEntry is an entry of a write-ahead log:
//
//	meta | meta of the user | length of the key | length of the value | expiry | key | value | CRC-32C
//
// The first two are a byte each, the next three are varints. A key ends in its
// version; that of the entry that ends a transaction does so, too.
type logEntry struct {
	meta    byte
	keyLen  int
	version uint64
	size    int
}

// readLogEntry reads the entry at the beginning of b, if there is a whole one.
func readLogEntry(b []byte) (e logEntry, ok bool) {
	if len(b) < 2 {
		return e, false
	}
	e.meta, e.size = b[0], 2
	var sizes [3]uint64
	for i := range sizes {
		v, n := binary.Uvarint(b[e.size:])
		if n <= 0 {
			return e, false
		}
		sizes[i], e.size = v, e.size+n
	}
	// Badger takes these two for 32-bit numbers.
	key, value := uint64(uint32(sizes[0])), uint64(uint32(sizes[1]))
	if key > 1<<16 || key+value+crc32.Size > uint64(len(b)-e.size) {
		return e, false
	}
	e.keyLen = int(key)
	e.version = y.ParseTs(b[e.size : e.size+e.keyLen])
	e.size += int(key + value)
	sum := crc32.Checksum(b[:e.size], y.CastagnoliCrcTable)
	ok = sum == binary.BigEndian.Uint32(b[e.size:])
	e.size += crc32.Size
	return e, ok
}

// logNames lists the write-ahead logs of a database; empty ones hold nothing.
func logNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the database's directory: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == ".mem" && !isEmptyLog(info) {
			names = append(names, filepath.Join(dir, e.Name()))
		} else if err != nil {
			return nil, fmt.Errorf("reading the database's directory: %w", err)
		}
	}
	return names, nil
}
