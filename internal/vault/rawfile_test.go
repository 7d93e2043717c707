package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

// archive keeps all files of a vault as they lay at several moments: the
// database, the root key and the one staged beside it. A file that only grew
// between two moments is kept once, so that a copy after every step of a pass
// costs what the step wrote; each copy can still be had exactly.
type archive struct {
	contents []*content
	copies   []rawCopy
	last     map[string]*content // by name, the newest
	buffer   []byte
}

// content is what a file held, up to its trailing zeros: Badger's logs are
// files of twice their size in data, with a hole behind.
type content struct {
	name  string
	bytes []byte
}

// rawCopy says what each file held at one moment: the first size bytes of a
// content, then zeros.
type rawCopy struct {
	moment string
	files  map[*content]int64
}

// take copies all files beside and in the vault's directory as they lie.
func (a *archive) take(t tb, opt Options, moment string) {
	t.Helper()
	if a.last == nil {
		a.last = make(map[string]*content)
	}
	c := rawCopy{moment, make(map[*content]int64)}
	// Badger writes a table and removes its log in the background: what
	// vanishes is followed by what takes its place.
	for again := true; again; {
		again = false
		err := filepath.WalkDir(filepath.Dir(opt.Dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || e.Name() == "LOCK" {
				return err
			}
			return a.add(c, path, e.Name())
		})
		if errors.Is(err, fs.ErrNotExist) {
			again = true
			continue
		}
		check(t, err)
	}
	a.copies = append(a.copies, c)
}

// add reads a file. It gives fs.ErrNotExist if the file is taken away meanwhile.
func (a *archive) add(c rawCopy, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := dataEnd(f)
	if err != nil {
		return err
	}
	if a.buffer = slices.Grow(a.buffer[:0], int(size))[:size]; size > 0 {
		if _, err := f.ReadAt(a.buffer, 0); err == io.EOF {
			return fs.ErrNotExist // Badger empties a file before it removes it
		} else if err != nil {
			return err
		}
	}
	now := a.buffer
	if filepath.Ext(name) == ".mem" {
		now = bytes.TrimRight(now, "\x00")
	}
	old := a.last[name]
	if old != nil && bytes.HasPrefix(now, old.bytes) {
		old.bytes = append(old.bytes, now[len(old.bytes):]...)
	} else {
		old = &content{name: name, bytes: bytes.Clone(now)}
		a.last[name] = old
		a.contents = append(a.contents, old)
	}
	c.files[old] = int64(len(now))
	return nil
}

// dataEnd gives where the last data of a file with holes end.
func dataEnd(f *os.File) (end int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	for {
		start, err := unix.Seek(int(f.Fd()), end, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO):
			return end, nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
			return info.Size(), nil // a file system without holes
		case err != nil:
			return 0, err
		}
		if end, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE); err != nil {
			return 0, err
		}
		if end >= info.Size() {
			return info.Size(), nil
		}
	}
}

// at gives the copy that was taken first at the named moment.
func (a *archive) at(t tb, moment string) rawCopy {
	t.Helper()
	for _, c := range a.copies {
		if c.moment == moment {
			return c
		}
	}
	t.Fatalf("no copy was taken at %q", moment)
	panic("unreachable")
}

// roots gives the root keys that lay in a copy.
func (c rawCopy) roots(t tb) (roots []rootKey) {
	t.Helper()
	for f, size := range c.files {
		if strings.HasPrefix(f.name, "root.key") {
			if k, err := parseRoot(f.bytes[:size]); err == nil {
				roots = append(roots, k)
			}
		}
	}
	if len(roots) == 0 || len(roots) > 2 {
		t.Fatalf("%d root keys lie in the copy at %q", len(roots), c.moment)
	}
	return roots
}

// rawRow is one version of one row as it lies in Badger's files: superseded
// ones, deleted ones and those of transactions that never ended, too.
type rawRow struct {
	key, value []byte
	ts         uint64 // of the transaction
	n          int    // its number in a hoard
	deleted    bool
	places     []spot
}

// spot is where a version of a row lies: it is in every copy that holds at
// least end bytes of the content.
type spot struct {
	in  *content
	end int64
}

// in tells whether a row lies in a copy.
func (r *rawRow) in(c rawCopy) bool {
	for _, p := range r.places {
		if size, ok := c.files[p.in]; ok && p.end <= size {
			return true
		}
	}
	return false
}

// rows parses all versions of all rows out of everything in the archive.
func (a *archive) rows(t tb) (rows []*rawRow) {
	t.Helper()
	known := make(map[string][]*rawRow)
	complete := make(map[string]bool) // tables, by name
	for _, c := range a.contents {
		add := func(key, value []byte, deleted bool, end int64) {
			at := len(key) - 8
			r := &rawRow{key: key[:at:at], value: value, ts: ^binary.BigEndian.Uint64(key[at:]), deleted: deleted}
			for _, same := range known[string(key)] {
				if bytes.Equal(same.value, value) && same.deleted == deleted {
					same.places = append(same.places, spot{c, end})
					return
				}
			}
			r.places = []spot{{c, end}}
			known[string(key)] = append(known[string(key)], r)
			rows = append(rows, r)
		}
		switch filepath.Ext(c.name) {
		case ".mem", ".vlog":
			parseLog(c.bytes, add)
		case ".sst":
			err := parseTable(c.bytes, add)
			complete[c.name] = complete[c.name] || err == nil
		}
	}
	// A table may be copied while Badger writes it, but not for good.
	for name, ok := range complete {
		if !ok {
			t.Fatalf("%s never became a whole table", name)
		}
	}
	return rows
}

const (
	logHeaderSize = 20   // of a log: key id, initialisation vector
	logDelete     = 1    // of an entry's meta byte
	logTxnEnd     = 0x80 // the entry only ends a transaction
)

// parseLog reads the entries of a write-ahead log of Badger's: meta u8, user
// meta u8, uvarints: length of the key, of the value, expiry; key, value, CRC-32C
// of all that. Bytes that are no entry are stepped over one by one, so that
// entries behind a torn one are found, too.
func parseLog(b []byte, add func(key, value []byte, deleted bool, end int64)) {
	for at := logHeaderSize; at < len(b); {
		key, value, meta, size := parseEntry(b[at:])
		if size == 0 {
			at++
			continue
		}
		at += size
		if meta&logTxnEnd == 0 && len(key) > 8 {
			add(key, value, meta&logDelete != 0, int64(at))
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseEntry reads the entry that b begins with; its size is 0 if there is none.
func parseEntry(b []byte) (key, value []byte, meta byte, size int) {
	if len(b) < 5 {
		return nil, nil, 0, 0
	}
	at := 2
	var lengths [3]uint64
	for i := range lengths {
		n, used := binary.Uvarint(b[at:])
		if used <= 0 || n > uint64(len(b)) {
			return nil, nil, 0, 0
		}
		lengths[i] = n
		at += used
	}
	end := uint64(at) + lengths[0] + lengths[1]
	if lengths[0] == 0 || end+4 > uint64(len(b)) ||
		crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return nil, nil, 0, 0
	}
	middle := uint64(at) + lengths[0]
	return b[at:middle], b[middle:end], b[0], int(end) + 4
}

// parseTable reads a table by Badger's own reader.
func parseTable(b []byte, add func(key, value []byte, deleted bool, end int64)) error {
	if !wholeTable(b) {
		return errors.New("the table is not whole")
	}
	tab, err := table.OpenInMemoryTable(b, 1, &table.Options{ChkMode: options.OnTableAndBlockRead})
	if err != nil {
		return err
	}
	it := tab.NewIterator(table.NOCACHE)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		v := it.ValueCopy()
		add(bytes.Clone(it.Key()), bytes.Clone(v.Value), v.Meta&logDelete != 0, int64(len(b)))
	}
	return nil
}

// wholeTable tells whether a table ends as it must: index, its length u32, its
// checksum, the length of that u32. Badger's reader ends the program if not.
func wholeTable(b []byte) bool {
	last := func() []byte { // what stands before its length, at the end
		if len(b) < 4 {
			return nil
		}
		n := int(binary.BigEndian.Uint32(b[len(b)-4:]))
		b = b[:len(b)-4]
		if n > len(b) {
			return nil
		}
		part := b[len(b)-n:]
		b = b[:len(b)-n]
		return part
	}
	var sum pb.Checksum
	if err := proto.Unmarshal(last(), &sum); err != nil {
		return false
	}
	index := last()
	return len(index) > 0 && y.VerifyChecksum(index, &sum) == nil
}

// contains gives which of the patterns, of 8 bytes at least, stand anywhere in
// the files of the database, however they are parsed.
func (a *archive) contains(patterns [][]byte) (found [][]byte) {
	const bits = 24
	seen := make([]uint64, 1<<bits/64)
	slot := func(b []byte) uint64 { return binary.LittleEndian.Uint64(b) * 0x9E3779B97F4A7C15 >> (64 - bits) }
	byHead := make(map[uint64][][]byte)
	for _, p := range patterns {
		s := slot(p)
		seen[s/64] |= 1 << (s % 64)
		byHead[binary.LittleEndian.Uint64(p)] = append(byHead[binary.LittleEndian.Uint64(p)], p)
	}
	for _, c := range a.contents {
		if strings.HasPrefix(c.name, "root.key") {
			continue
		}
		for i := 0; i+8 <= len(c.bytes); i++ {
			if s := slot(c.bytes[i:]); seen[s/64]>>(s%64)&1 == 0 {
				continue
			}
			for _, p := range byHead[binary.LittleEndian.Uint64(c.bytes[i:])] {
				if bytes.HasPrefix(c.bytes[i:], p) {
					found = append(found, p)
				}
			}
		}
	}
	return found
}

// size counts the bytes that the archive holds.
func (a *archive) size() (n int) {
	for _, c := range a.contents {
		n += len(c.bytes)
	}
	return n
}

// cloneFiles copies a directory, and leaves out the holes in its files.
func cloneFiles(t tb, from, to string) {
	t.Helper()
	check(t, filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, must[string](t)(filepath.Rel(from, path)))
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return cloneFile(path, target)
	}))
}

func cloneFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	end, err := dataEnd(in)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err = in.Seek(0, io.SeekStart); err == nil {
		_, err = io.CopyN(out, in, end)
	}
	return errors.Join(err, out.Truncate(info.Size()), out.Close())
}
