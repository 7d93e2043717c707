package badgerdb

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// blocksOf is how many bytes of a file the file system has blocks for.
func blocksOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestSpaceMakesBlocks(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "db"))
	db := mustCreate(t, opt, 1)
	s := NewSpace(db)
	newest := func() string {
		t.Helper()
		logs, err := logNumbers(opt.Dir)
		if err != nil {
			t.Fatal(err)
		}
		return logPath(opt.Dir, slices.Max(logs))
	}
	first := newest()
	for i := 1; ; i++ {
		need, err := s.Keep()
		if err != nil {
			t.Fatal(err)
		}
		if need < MinMemTableBytes {
			t.Fatalf("needs %d bytes: not even the memtable could be written", need)
		}
		if got := blocksOf(t, newest()); got < logBytes(MinMemTableBytes) {
			t.Fatalf("%d bytes of %s have blocks, want %d", got, newest(), logBytes(MinMemTableBytes))
		}
		if newest() != first {
			break
		}
		err = db.Update(func(txn *badger.Txn) error {
			for j := range 1_000 {
				if err := txn.Set(key(1_000*i+j), value(j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, db)
	// Whoever opens it finds a manifest as long as its records.
	if db, err := Open(opt); err != nil {
		t.Fatal(err)
	} else {
		mustClose(t, db)
	}
}

// mountSmall mounts a file system of so many MiB in memory.
func mountSmall(t *testing.T, mib string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+mib+"m"); err != nil {
		t.Skipf("mounting a file system takes root: %v", err)
	}
	t.Cleanup(func() {
		// A database that could not be closed still holds it.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Without blocks made beforehand, both would end the process with SIGBUS.
func TestFullDisk(t *testing.T) {
	dir := mountSmall(t, "64")
	opt := smallOptions(filepath.Join(dir, "db"))
	db := mustCreate(t, opt, 100)
	s := NewSpace(db)
	if _, err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for block := make([]byte, 1<<20); err == nil; {
		_, err = filler.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for i := 100; i < 5_000; i++ {
		if err := put(db, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := Close(db); !errors.Is(err, ErrNoRoom) {
		t.Fatalf("closing on a full disk: %v", err)
	}
	if _, err := Create(smallOptions(filepath.Join(dir, "other"))); err == nil || !strings.Contains(err.Error(), "MiB free") {
		t.Errorf("creating on a full disk: %v", err)
	}
	if err := filler.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := Close(db); err != nil {
		t.Fatalf("closing when there is room again: %v", err)
	}
	db, err = Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	if n, err := count(db); err != nil || n != 5_000 {
		t.Errorf("%d entries (%v), want 5000", n, err)
	}
}
