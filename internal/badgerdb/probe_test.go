package badgerdb

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// hashes returns the SHA-256 of every file below dir.
func hashes(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = sha256.Sum256(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// probe counts the entries that Probe shows and fails the test when Probe
// changes anything in the database or leaves anything beside it.
func probe(t *testing.T, opt Options) (n int, err error) {
	t.Helper()
	parent := filepath.Dir(opt.Dir)
	before := hashes(t, parent)
	err = Probe(opt, func(db *badger.DB) (err error) {
		n, err = count(db)
		return err
	})
	if after := hashes(t, parent); !maps.Equal(before, after) {
		t.Errorf("Probe changed files: before %d, after %d", len(before), len(after))
	}
	if left, _ := filepath.Glob(opt.Dir + ".probe-*"); len(left) > 0 {
		t.Errorf("Probe left %v", left)
	}
	return n, err
}

func mustProbe(t *testing.T, opt Options) int {
	t.Helper()
	n, err := probe(t, opt)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// crashedLog makes a database of n entries that all stand in the write-ahead
// log, and returns its options, the log's name and where its data end.
func crashedLog(t *testing.T, n int) (opt Options, name string, end int64) {
	t.Helper()
	dir := t.TempDir()
	live := smallOptions(filepath.Join(dir, "live"))
	mustCreate(t, live, n)
	opt = smallOptions(filepath.Join(dir, "crashed", "log"))
	copyDir(t, live.Dir, opt.Dir)
	data, err := os.ReadFile(only(t, opt.Dir, ".mem"))
	if err != nil {
		t.Fatal(err)
	}
	return opt, filepath.Base(only(t, opt.Dir, ".mem")), int64(len(bytes.TrimRight(data, "\x00")))
}

func TestProbeOfADamagedLog(t *testing.T) {
	const entries, steps = 40, 60
	opt, log, end := crashedLog(t, entries)
	if n := mustProbe(t, opt); n != entries {
		t.Fatalf("undamaged: Probe shows %d entries, want %d", n, entries)
	}
	const header = 20 // Key id and initialisation vector; the first transaction follows.
	refused, cut := 0, 0
	for step := range steps {
		offset := header + (end-1-header)*int64(step)/(steps-1)
		damaged := opt
		damaged.Dir = filepath.Join(t.TempDir(), "log")
		copyDir(t, opt.Dir, damaged.Dir)
		flip(t, filepath.Join(damaged.Dir, log), offset)
		n, err := probe(t, damaged)
		if _, opened := Open(damaged); err != nil && opened == nil {
			t.Errorf("offset %d: Open opens what Probe refuses: %v", offset, err)
		}
		switch {
		case errors.Is(err, ErrDamaged) && strings.Contains(err.Error(), log):
			refused++
		case err == nil && n == entries-1: // as if a crash had torn the last transaction
			cut++
		default:
			t.Errorf("offset %d of %d: Probe shows %d entries, %v", offset, end, n, err)
		}
	}
	// All transactions are about equally long.
	if want := steps / entries; refused == 0 || cut < want || cut > want+2 {
		t.Errorf("%d refused, %d taken for a crash; want %d of these", refused, cut, want)
	}
}

func TestProbeOfACutLog(t *testing.T) {
	opt, log, end := crashedLog(t, 10)
	for _, c := range []struct {
		name string
		size int64
		want int
	}{
		{"gone", -1, 0}, {"no byte", 0, 0}, {"half a header", 10, 0}, {"header", 20, 0},
		{"one byte missing", end - 1, 9}, {"exact", end, 10},
	} {
		cut := opt
		cut.Dir = filepath.Join(t.TempDir(), "log")
		copyDir(t, opt.Dir, cut.Dir)
		name := filepath.Join(cut.Dir, log)
		if c.size < 0 {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Truncate(name, c.size); err != nil {
			t.Fatal(err)
		}
		if n, err := probe(t, cut); n != c.want || err != nil {
			t.Errorf("%s: Probe shows %d entries, %v; want %d", c.name, n, err, c.want)
		}
	}
}

// Probe must not wait for compactions that it does not run.
func TestProbeWithManyTables(t *testing.T) {
	dir := t.TempDir()
	live := smallOptions(filepath.Join(dir, "live"))
	mustClose(t, mustCreate(t, live, 0))
	o := live.badger(live.Dir).WithNumCompactors(0).WithNumLevelZeroTablesStall(100)
	const tables = 17
	for i := range tables {
		db, err := badger.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := put(db, i); err != nil {
			t.Fatal(err)
		}
		mustClose(t, db)
	}
	db, err := badger.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := put(db, tables); err != nil {
		t.Fatal(err)
	}
	opt := smallOptions(filepath.Join(dir, "crashed"))
	copyDir(t, live.Dir, opt.Dir)
	if n := mustProbe(t, opt); n != tables+1 {
		t.Errorf("Probe shows %d entries, want %d", n, tables+1)
	}
}

func TestProbeRemovesLeftovers(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, opt, 4))
	left := opt.Dir + ".probe-123"
	other := opt.Dir + "book.probe-123"
	for _, dir := range []string{left, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	table := only(t, opt.Dir, ".sst")
	if err := os.Link(table, filepath.Join(left, filepath.Base(table))); err != nil {
		t.Fatal(err)
	}
	before := hashes(t, opt.Dir)
	if err := Probe(opt, func(*badger.DB) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, hashes(t, opt.Dir)) {
		t.Error("removing the leftover changed the database")
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("another's directory is gone: %v", err)
	}
}

func TestProbeReturnsTheReadersError(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, opt, 4))
	want := errors.New("behind the head")
	if err := Probe(opt, func(*badger.DB) error { return want }); err != want {
		t.Errorf("error is %v, want %v", err, want)
	}
	func() {
		defer func() { recover() }()
		Probe(opt, func(*badger.DB) error { panic("reader") })
	}()
	if n := mustProbe(t, opt); n != 4 {
		t.Errorf("after a panic Probe shows %d entries, want 4", n)
	}
}

// A flipped byte in a table is an error that names the file, for Open and for
// Probe.
func TestDamagedTable(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("compress=%v", compress), func(t *testing.T) {
			opt := smallOptions(filepath.Join(t.TempDir(), "log"))
			opt.Compress = compress
			mustClose(t, mustCreate(t, opt, 100))
			name := only(t, opt.Dir, ".sst")
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			size := int64(len(data))
			offsets := []int64{0, size / 4, size / 2, size - 250, size - 40}
			for back := int64(1); back <= 16; back++ { // All of the footer.
				offsets = append(offsets, size-back)
			}
			for _, offset := range offsets {
				flip(t, name, offset)
				_, probeErr := probe(t, opt)
				db, openErr := Open(opt)
				for _, err := range []error{probeErr, openErr} {
					if err == nil || !strings.Contains(err.Error(), "table "+name+" is damaged") {
						t.Errorf("byte %d of %d flipped: error is %v", offset, size, err)
					}
				}
				if db != nil {
					db.Close()
				}
				flip(t, name, offset)
			}
			if n := mustProbe(t, opt); n != 100 {
				t.Errorf("with all bytes restored Probe shows %d entries, want 100", n)
			}
		})
	}
}

// Tables of a ledger that was begun with another compression are read and checked.
func TestZstandardTables(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, opt, 0))
	db, err := badger.Open(opt.badger(opt.Dir).WithCompression(options.ZSTD))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := put(db, i); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, db)
	if db, err = Open(opt); err != nil {
		t.Fatal(err)
	}
	if n, err := count(db); n != 100 || err != nil {
		t.Errorf("%d entries, %v; want 100", n, err)
	}
	mustClose(t, db)
	name := only(t, opt.Dir, ".sst")
	flip(t, name, 1000)
	if _, err := probe(t, opt); err == nil || !strings.Contains(err.Error(), "table "+name+" is damaged") {
		t.Errorf("a byte flipped: error is %v", err)
	}
}

// checkTable itself must refuse every single flipped bit, and never panic. A few
// bits of what is compressed may mean nothing: those must change nothing.
func TestCheckTableEveryByte(t *testing.T) {
	for _, compress := range []bool{false, true} {
		opt := smallOptions(filepath.Join(t.TempDir(), "log"))
		opt.Compress = compress
		mustClose(t, mustCreate(t, opt, 60))
		name := only(t, opt.Dir, ".sst")
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c := opt.badger("").Compression
		unnoticed := 0
		sound := func(data []byte) bool {
			_, err := checkBytes(data, c)
			return err == nil
		}
		if !sound(data) {
			t.Fatal("a new table is refused")
		}
		for i := range data {
			for bit := range 8 {
				data[i] ^= 1 << bit
				if sound(data) {
					unnoticed++
					if err := os.WriteFile(name, data, 0o600); err != nil {
						t.Fatal(err)
					}
					if n := mustProbe(t, opt); n != 60 || !compress {
						t.Errorf("compress %v: bit %d of byte %d of %d flipped and nobody noticed", compress, bit, i, len(data))
					}
				}
				data[i] ^= 1 << bit
			}
		}
		if unnoticed*1000 > len(data)*8 {
			t.Errorf("compress %v: %d of %d flipped bits passed", compress, unnoticed, len(data)*8)
		}
		for n := range len(data) {
			if sound(data[:n]) {
				t.Errorf("compress %v: the first %d of %d bytes pass", compress, n, len(data))
			}
		}
	}
}

func TestDamagedManifest(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, opt, 5))
	name := filepath.Join(opt.Dir, badger.ManifestFilename)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	for offset := range info.Size() {
		flip(t, name, offset)
		if n, err := probe(t, opt); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d flipped: Probe shows %d entries, %v", offset, n, err)
		}
		flip(t, name, offset)
	}
}

func TestMissingTable(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, opt, 5))
	if err := os.Remove(only(t, opt.Dir, ".sst")); err != nil {
		t.Fatal(err)
	}
	if _, err := probe(t, opt); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

// BenchmarkProbe measures a probe of a full 32 MiB memtable of synced data.
func BenchmarkProbe(b *testing.B) {
	opt := Options{Dir: filepath.Join(b.TempDir(), "live"), Compress: true}
	db, err := Create(opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	const rows, perTxn = 90_000, 1000 // 300 bytes each in the log: 27 MiB.
	for i := 0; i < rows; i += perTxn {
		err := db.Update(func(txn *badger.Txn) error {
			for j := i; j < i+perTxn; j++ {
				if err := txn.Set(key(j), append(value(j), make([]byte, 80)...)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	crashed := opt
	crashed.Dir = filepath.Join(b.TempDir(), "log")
	if err := os.Mkdir(crashed.Dir, 0o700); err != nil {
		b.Fatal(err)
	}
	logs, _ := checkFiles(opt.Dir)
	if err := copyDatabase(opt.Dir, crashed.Dir, logs); err != nil {
		b.Fatal(err)
	}
	if logs, _ := filepath.Glob(filepath.Join(crashed.Dir, "*.mem")); len(logs) != 1 {
		b.Fatalf("the data stand in %v, want one log", logs)
	}
	for b.Loop() {
		if err := Probe(crashed, func(*badger.DB) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckTable measures what Open and Probe cost per byte of tables.
func BenchmarkCheckTable(b *testing.B) {
	for _, compress := range []bool{false, true} {
		b.Run(fmt.Sprintf("compress=%v", compress), func(b *testing.B) {
			opt := Options{Dir: filepath.Join(b.TempDir(), "log"), Compress: compress}
			db, err := Create(opt)
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; i < 50_000; i += 1000 {
				err := db.Update(func(txn *badger.Txn) error {
					for j := i; j < i+1000; j++ {
						if err := txn.Set(key(j), append(value(j)[:100], make([]byte, 200)...)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
			names, _ := filepath.Glob(filepath.Join(opt.Dir, "*.sst"))
			data, err := os.ReadFile(names[0])
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := checkBytes(data, opt.badger("").Compression); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
