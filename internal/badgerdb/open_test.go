package badgerdb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// writerDir, set in the environment, turns the test binary into a process that
// writes to the database in that directory until it is killed.
const writerDir = "BADGERDB_TEST_WRITER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		writeUntilKilled(dir)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled commits entries and prints the number of each once its
// Commit has returned.
func writeUntilKilled(dir string) {
	db, err := Create(smallOptions(dir))
	for i := 0; err == nil; i++ {
		if err = put(db, i); err == nil {
			fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
}

func smallOptions(dir string) Options {
	return Options{Dir: dir, MemTableBytes: MinMemTableBytes, CacheBytes: minCacheBytes, Compress: true}
}

func key(i int) []byte { return fmt.Appendf(nil, "key %06d", i) }

// value does not compress, so that a flipped byte of a compressed table is a
// byte of a value most of the time.
func value(i int) []byte {
	out := make([]byte, 200)
	x := uint64(i)*0x9e3779b97f4a7c15 + 1
	for j := range out {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out[j] = byte(x)
	}
	return out
}

// put commits entry i in a transaction of two rows.
func put(db *badger.DB, i int) error {
	return db.Update(func(txn *badger.Txn) error {
		if err := txn.Set(key(i), value(i)); err != nil {
			return err
		}
		return txn.Set([]byte("head"), key(i))
	})
}

// count returns how many entries db holds without a gap from 0. It is an error
// when an entry has another value, stands behind a gap or is not what the head
// says.
func count(db *badger.DB) (n int, err error) {
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte("key "), PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if !bytes.Equal(it.Item().Key(), key(n)) || !bytes.Equal(v, value(n)) {
				return fmt.Errorf("entry %d is not what was written", n)
			}
			n++
		}
		item, err := txn.Get([]byte("head"))
		if errors.Is(err, badger.ErrKeyNotFound) && n == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if !bytes.Equal(v, key(n-1)) {
				return fmt.Errorf("the head is %q behind %d entries", v, n)
			}
			return nil
		})
	})
	return n, err
}

func mustCreate(t *testing.T, opt Options, n int) *badger.DB {
	t.Helper()
	db, err := Create(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for i := range n {
		if err := put(db, i); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func mustClose(t *testing.T, db *badger.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// copyDir copies a database's directory as a crash would leave it. It must not
// share a table with the original, which the tests damage.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := copySparse(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// only returns the one file in dir with the extension.
func only(t *testing.T, dir, ext string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+ext))
	if err != nil || len(names) != 1 {
		t.Fatalf("files %s in %s: %v, %v; want one", ext, dir, names, err)
	}
	return names[0]
}

func flip(t *testing.T, name string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
}

func TestCreateAndOpen(t *testing.T) {
	for _, compress := range []bool{false, true} {
		opt := smallOptions(filepath.Join(t.TempDir(), "log"))
		opt.Compress = compress
		mustClose(t, mustCreate(t, opt, 500))
		db, err := Open(opt)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := count(db); n != 500 || err != nil {
			t.Errorf("compress %v: %d entries, %v; want 500", compress, n, err)
		}
		mustClose(t, db)
	}
}

func TestCreateAcceptsAnEmptyDirectory(t *testing.T) {
	mustCreate(t, smallOptions(t.TempDir()), 1)
}

func TestRefuses(t *testing.T) {
	root := t.TempDir()
	full := filepath.Join(root, "full")
	mustClose(t, mustCreate(t, smallOptions(full), 1))
	stray := filepath.Join(root, "stray")
	if err := os.Mkdir(stray, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stray, "note"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(root, "missing")
	probe := func(o Options) (*badger.DB, error) {
		return nil, Probe(o, func(*badger.DB) error { t.Error("read was called"); return nil })
	}
	for _, c := range []struct {
		name string
		do   func(Options) (*badger.DB, error)
		opt  Options
		want string
	}{
		{"create over a database", Create, smallOptions(full), "is not empty"},
		{"create over a file of another's", Create, smallOptions(stray), "is not empty"},
		{"create without a parent", Create, smallOptions(filepath.Join(missing, "log")), "no such file"},
		{"create without a directory", Create, Options{}, "no directory given"},
		{"open nothing", Open, smallOptions(missing), "there is no database in"},
		{"open another's directory", Open, smallOptions(stray), "there is no database in"},
		{"probe nothing", probe, smallOptions(missing), "there is no database in"},
		{"probe another's directory", probe, smallOptions(stray), "there is no database in"},
		{"memtable too small", Open, Options{Dir: full, MemTableBytes: MinMemTableBytes - 1}, "MemTableBytes is"},
		{"memtable too large", Open, Options{Dir: full, MemTableBytes: MaxMemTableBytes + 1}, "MemTableBytes is"},
	} {
		if _, err := c.do(c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refusal made %s", missing)
	}
	if entries, _ := os.ReadDir(stray); len(entries) != 1 {
		t.Errorf("a refusal left files in %s: %v", stray, entries)
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	db := mustCreate(t, opt, 3)
	want := "the ledger in " + opt.Dir + " is in use by another process; stop it first"
	_, openErr := Open(opt)
	_, badgerErr := openBadger(opt) // As if the other one came between check and open.
	probeErr := Probe(opt, func(*badger.DB) error { t.Error("read was called"); return nil })
	for _, err := range []error{openErr, badgerErr, probeErr} {
		if err == nil || err.Error() != want || !errors.Is(err, ErrInUse) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	if n, err := count(db); n != 3 || err != nil {
		t.Errorf("the first opener has %d entries, %v; want 3", n, err)
	}
}

// A lock that is held for a moment only is waited for: by a process that was forked
// off and has not become another program yet, or by one that is about to end.
func TestLockIsWaitedFor(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	db := mustCreate(t, opt, 3)
	closed := make(chan error)
	go func() {
		time.Sleep(lockPatience / 10)
		closed <- db.Close()
	}()
	again, err := Open(opt)
	if err := errors.Join(err, <-closed); err != nil {
		t.Fatal(err)
	}
	if n, err := count(again); n != 3 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A process that is killed loses nothing that it was told is committed.
func TestKilledWriter(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), writerDir+"="+opt.Dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for last < 300 {
		if _, err := fmt.Fscan(out, &last); err != nil {
			child.Process.Kill()
			t.Fatalf("the writer stopped after %d: %v", last, err)
		}
	}
	if err := Probe(opt, func(*badger.DB) error { return nil }); !errors.Is(err, ErrInUse) {
		t.Errorf("probing beside the writer: %v, want %v", err, ErrInUse)
	}
	child.Process.Kill()
	for { // What it printed before it died counts as well.
		if _, err := fmt.Fscan(out, &last); err != nil {
			break
		}
	}
	child.Wait()
	probed := mustProbe(t, opt)
	if probed < last+1 {
		t.Errorf("Probe shows %d entries, want %d or more", probed, last+1)
	}
	db, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n, err := count(db); n != probed || err != nil {
		t.Errorf("Open shows %d entries, %v; Probe showed %d", n, err, probed)
	}
}

// Badger cuts a log to zero before it unlinks it and then cannot open it.
func TestEmptyLogs(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, opt, 10))
	for _, name := range []string{"00007.mem", "000009.vlog"} {
		if err := os.WriteFile(filepath.Join(opt.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if db, err := openBadger(opt); err == nil {
		db.Close()
		t.Error("Badger opens beside empty logs by now; the special case can go")
	}
	if n := mustProbe(t, opt); n != 10 {
		t.Errorf("Probe shows %d entries, want 10", n)
	}
	db, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
}

// Badger ends the process when a log does not fit into the memtable. Many small rows
// take more room in memory than in the log.
func TestSmallerMemtables(t *testing.T) {
	dir := t.TempDir()
	opt := smallOptions(filepath.Join(dir, "live"))
	opt.MemTableBytes = MaxMemTableBytes
	db := mustCreate(t, opt, 5)
	const small = 200_000
	for from := 0; from < small; from += 5_000 {
		err := db.Update(func(txn *badger.Txn) error {
			for i := from; i < from+5_000; i++ {
				if err := txn.Set(fmt.Appendf(nil, "s%07d", i), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		make func(t *testing.T, dir string)
	}{
		{"killed", func(*testing.T, string) {}},
		{"killed again at the next start", func(t *testing.T, dir string) {
			// A start cuts the log to what it holds before it writes a table of it.
			name, end := filepath.Join(dir, "00001.mem"), int64(0)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			end = int64(len(bytes.TrimRight(b, "\x00")))
			if end < MinMemTableBytes/3 || end > 2*MinMemTableBytes {
				t.Fatalf("the log holds %d bytes; this tests nothing", end)
			}
			if err := os.Truncate(name, end); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			crashed := smallOptions(filepath.Join(dir, test.name))
			copyDir(t, opt.Dir, crashed.Dir)
			test.make(t, crashed.Dir)
			count := func(db *badger.DB) error {
				n := 0
				txn := db.NewTransaction(false)
				defer txn.Discard()
				it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte("s")})
				defer it.Close()
				for it.Rewind(); it.Valid(); it.Next() {
					n++
				}
				if n != small {
					return fmt.Errorf("%d rows, want %d", n, small)
				}
				return nil
			}
			if err := Probe(crashed, count); err != nil {
				t.Error(err)
			}
			db, err := Open(crashed)
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, db)
			if err := count(db); err != nil {
				t.Error(err)
			}
			if got := db.Opts().MemTableSize; got != MinMemTableBytes {
				t.Errorf("opened with memtables of %d bytes, want %d", got, int64(MinMemTableBytes))
			}
		})
	}
}

func TestNeedFree(t *testing.T) {
	dir := t.TempDir()
	if err := needFree(dir, 1); err != nil {
		t.Error(err)
	}
	if err := needFree(dir, math.MaxInt64); err == nil || !strings.Contains(err.Error(), "MiB free") {
		t.Errorf("asking for everything: %v", err)
	}
}

func TestLogger(t *testing.T) {
	var buf bytes.Buffer
	a := logAdapter{slog.New(slog.NewTextHandler(&buf, nil))}
	a.Debugf("debug")
	a.Infof("info")
	a.Warningf("slow %d\n", 1)
	a.Errorf("broken %d\n", 2)
	got := buf.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, `level=WARN msg="slow 1"`) || !strings.Contains(got, `level=ERROR msg="broken 2"`) {
		t.Errorf("the log is %q", got)
	}
}
