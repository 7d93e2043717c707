package badgerdb

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// filesForFuzz makes a database and gives one of its files: a write-ahead log as a
// crash leaves it, or what a database has that was closed.
func filesForFuzz(f *testing.F, compress bool, pattern string) []byte {
	opt := smallOptions(filepath.Join(f.TempDir(), "log"))
	opt.Compress = compress
	db, err := Create(opt)
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	for i := range 8 {
		if err := put(db, i); err != nil {
			f.Fatal(err)
		}
	}
	if pattern != "*.mem" {
		if err := db.Close(); err != nil {
			f.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(opt.Dir, pattern))
	if err != nil || len(names) != 1 {
		f.Fatalf("%s: %v, %v", pattern, names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		f.Fatal(err)
	}
	if pattern == "*.mem" {
		data = append(bytes.TrimRight(data, "\x00"), 0)
	}
	return data
}

// FuzzTable: whatever a table holds, it is judged without a panic, and one that
// passes is accounted for to its last byte. The index is tried with the checksum that
// it has, and with the one that it should have.
func FuzzTable(f *testing.F) {
	for _, compress := range []bool{false, true} {
		good := filesForFuzz(f, compress, "*.sst")
		c := options.None
		if compress {
			c = options.Snappy
		}
		if version, err := checkBytes(good, c); err != nil || version != 8 {
			f.Fatalf("a new table: version %d, %v", version, err)
		}
		f.Add(good, compress)
		f.Add(good[:len(good)-1], compress)
		f.Add(make([]byte, 64), compress)
		f.Add(append(bytes.Clone(good), make([]byte, 8)...), compress)
	}
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		c := options.None
		if compress {
			c = options.Snappy
		}
		for _, data := range [][]byte{data, resealed(t, data)} {
			_, err := checkBytes(data, c)
			if err != nil {
				continue
			}
			// One byte more or less is another table.
			if _, err := checkBytes(data[1:], c); err == nil {
				t.Error("a table without its first byte passes")
			}
			if _, err := checkBytes(append([]byte{0}, data...), c); err == nil {
				t.Error("a table with a byte before it passes")
			}
			end, _, _, err := tableIndex(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			more := append(append(bytes.Clone(data[:end]), 0), data[end:]...)
			if _, err := checkBytes(more, c); err == nil {
				t.Error("a table with a byte behind its blocks passes")
			}
		}
	})
}

// checkBytes is checkTable of what a file holds.
func checkBytes(data []byte, c options.CompressionType) (version uint64, err error) {
	return checkTable(bytes.NewReader(data), int64(len(data)), c)
}

// resealed gives a table with the right checksum of its index, if it has one.
func resealed(t *testing.T, data []byte) []byte {
	rest, _, err := cutTail(data)
	if err != nil {
		return nil
	}
	_, index, err := cutTail(rest)
	if err != nil {
		return nil
	}
	sum, err := proto.Marshal(&pb.Checksum{Algo: pb.Checksum_CRC32C, Sum: uint64(crc32.Checksum(index, y.CastagnoliCrcTable))})
	if err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.AppendUint32(append(bytes.Clone(rest), sum...), uint32(len(sum)))
}

// FuzzLog: of a write-ahead log are read the whole transactions at its beginning, and
// a sound one stays so when it is cut between two.
func FuzzLog(f *testing.F) {
	good := filesForFuzz(f, true, "*.mem")
	if span, err := checkLog(good); err != nil || span.first != 1 || span.last != 8 {
		f.Fatalf("a new log: %v, %v", span, err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(append(bytes.Clone(good[:len(good)/2]), good[logHeader:]...))
	f.Add(append(bytes.Clone(good[:len(good)/3]), good[len(good)/3+1:]...))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		span, err := checkLog(data)
		if span.first > span.last || (span.first == 0) != (span.last == 0) && err == nil {
			t.Errorf("it holds %v", span)
		}
		if err != nil {
			return
		}
		// Badger maps more than it writes.
		if again, err := checkLog(append(bytes.Clone(data), make([]byte, 100)...)); err != nil || again != span {
			t.Errorf("%v with a hole behind it is %v, %v", span, again, err)
		}
	})
}

// FuzzManifest: whatever a manifest holds, the tables that it names are looked for
// without a panic.
func FuzzManifest(f *testing.F) {
	good := filesForFuzz(f, true, badger.ManifestFilename)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[:9])
	f.Add(append(bytes.Clone(good), 0, 0, 0, 1, 0))
	f.Add([]byte(nil))
	path := filepath.Join(f.TempDir(), badger.ManifestFilename)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		newest, highest, findings := checkTables(filepath.Dir(path))
		if newest != 0 {
			t.Errorf("there is no table, and one holds version %d", newest)
		}
		if len(findings) > 0 || len(data) == 0 {
			return
		}
		if err := os.WriteFile(path, data[:len(data)-1], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, shorter, findings := checkTables(filepath.Dir(path)); len(findings) == 0 && shorter > highest {
			t.Errorf("it names table %d, and without its last byte table %d", highest, shorter)
		}
	})
}

// FuzzIdle: of the files that hold nothing each is as Badger writes it, or it is named.
func FuzzIdle(f *testing.F) {
	registry, log := filesForFuzz(f, true, badger.KeyRegistryFileName), filesForFuzz(f, true, "*.vlog")
	log = log[:min(len(log), 64)]
	f.Add(registry, log)
	f.Add(registry[:len(registry)-1], log)
	f.Add(append(bytes.Clone(registry), 1), log)
	f.Add(registry, append([]byte{1}, log...))
	f.Add([]byte{1}, []byte{1})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, registry, log []byte) {
		for name, data := range map[string][]byte{badger.KeyRegistryFileName: registry, "000001.vlog": log} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := 0
		if len(registry) != 28 || !bytes.HasSuffix(registry, []byte("Hello Badger")) {
			want++
		}
		if len(log) >= 8 && !bytes.HasPrefix(log, make([]byte, 8)) {
			want++
		}
		if findings := checkIdle(dir); len(findings) != want {
			t.Errorf("%x and %x: %v, want %d findings", registry, log, findings, want)
		}
	})
}
