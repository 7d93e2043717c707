package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"syscall"
	"time"
)

// Seen is what the files of a database were when a [Probe] had read and checked all
// of them. It says no more than that about a file which somebody changes behind the
// file system's back: like one that rots while the database is open, it is noticed at
// the next start.
//
// One goroutine at a time.
type Seen struct{ files map[string]fileState }

// fileState is by what a file that was written since is known. Its mode and its
// number of names do not count: Probe links tables.
type fileState struct {
	inode    uint64
	size     int64
	modified time.Time
}

// still reports whether dir holds the very files that were seen. A nil Seen has seen none.
func (s *Seen) still(dir string) (bool, error) {
	if s == nil || s.files == nil {
		return false, nil
	}
	files, err := filesOf(dir)
	return maps.Equal(files, s.files), err
}

// filesOf lists the files of a database, without the note of the process id.
func filesOf(dir string) (map[string]fileState, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged("there is no database in %s: %w", dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("reading the database's directory: %w", err)
	}
	files := make(map[string]fileState, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("reading the database's directory: %w", err)
		}
		if e.Name() == "LOCK" {
			continue
		}
		state := fileState{size: info.Size(), modified: info.ModTime()}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			state.inode = st.Ino
		}
		files[e.Name()] = state
	}
	return files, nil
}
