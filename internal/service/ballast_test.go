package service

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestBallast: it takes its room on the disk really, comes back when there is room again,
// and never takes what recording needs.
func TestBallast(t *testing.T) {
	t.Parallel()
	f, free := newOnDisk(t)
	path, size := filepath.Join(f.s.dir, ballastName), ballastMemTables*f.s.memTable
	reserve := f.s.Recording().Reserve
	keeps := func(what string, want int64) {
		t.Helper()
		if err := f.s.keepBallast(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var st syscall.Stat_t
		switch err := syscall.Stat(path, &st); {
		case want == 0 && errors.Is(err, fs.ErrNotExist):
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case st.Size != want || want > 0 && st.Blocks*512 < want:
			t.Errorf("%s: it has %d bytes and takes %d, want %d", what, st.Size, st.Blocks*512, want)
		}
	}
	free.Store(reserve + 2*size - 1)
	keeps("too little room", 0)
	free.Store(-1)
	if err := f.s.keepBallast(); err == nil {
		t.Error("it was made where the room is not known")
	}
	free.Store(reserve + 2*size)
	keeps("enough room", size)
	keeps("there already", size)
	if err := os.Truncate(path, size/2); err != nil {
		t.Fatal(err)
	}
	keeps("half of it", size)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	free.Store(reserve - 1)
	keeps("removed on a full disk", 0)
	f.s.space.look()
	free.Store(1 << 40)
	keeps("there is room again", size)
}
