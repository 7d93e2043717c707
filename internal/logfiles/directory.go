package logfiles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/consentledger/consentledger/ledger"
)

// directory reads a log from an export directory, as the [ledger.LogReader] of
// a verification. No symbolic link leads out of it.
type directory struct {
	root *os.Root

	mu      sync.Mutex
	named   map[string]bool     // guarded by mu: the files that were read because an entry names their hash
	folders map[string]*os.Root // guarded by mu: those that files were read from last, at most maxFolders
}

// maxFolders is how many of the log's folders stay open. A thousand bundles, and as many
// tiles, lie in one; walking the way down to each file anew costs more than reading it.
const maxFolders = 4

// openDirectory opens an export directory. It refuses the directories that
// people give by mistake, and says which one is meant. Every error wraps
// [ledger.ErrMissing].
func openDirectory(name string) (*directory, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		if info, statErr := os.Stat(name); statErr == nil && !info.IsDir() {
			return nil, fmt.Errorf("%w: %s is no directory: give the directory that \"ledgerd export\" wrote", ledger.ErrMissing, name)
		}
		return nil, fmt.Errorf("%w: opening the log: %w", ledger.ErrMissing, err)
	}
	d := &directory{root: root, named: map[string]bool{}, folders: map[string]*os.Root{}}
	const export = "export it first: ledgerd export --data DIR --out OUT, then verify log OUT"
	switch {
	case d.has("checkpoint"):
		return d, nil
	case d.has("KEYREGISTRY"), d.has("MANIFEST"):
		err = fmt.Errorf("%w: %s is a database; %s", ledger.ErrMissing, name, export)
	case d.has("root.key"), d.has("head"):
		err = fmt.Errorf("%w: %s is the data directory of a ledger; %s", ledger.ErrMissing, name, export)
	default:
		err = fmt.Errorf("%w: %s holds no file \"checkpoint\": give the directory that \"ledgerd export\" wrote", ledger.ErrMissing, name)
	}
	d.close()
	return nil, err
}

func (d *directory) has(path string) bool {
	_, err := d.root.Lstat(path)
	return err == nil
}

func (d *directory) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	d.root.Close()
}

// forget closes the folders; whoever is reading in one of them ends that first. The
// caller holds mu.
func (d *directory) forget() {
	for name, folder := range d.folders {
		folder.Close()
		delete(d.folders, name)
	}
}

// in gives the folder that a file lies in and the file's name there.
func (d *directory) in(file string) (*os.Root, string) {
	dir := path.Dir(file)
	d.mu.Lock()
	defer d.mu.Unlock()
	folder := d.folders[dir]
	if folder == nil {
		var err error
		if folder, err = d.root.OpenRoot(dir); err != nil {
			return d.root, file
		}
		if len(d.folders) == maxFolders {
			d.forget()
		}
		d.folders[dir] = folder
	}
	return folder, path.Base(file)
}

// open opens a regular file, and gives its size.
func (d *directory) open(file string) (*os.File, int64, error) {
	folder, name := d.in(file)
	f, size, err := openRegular(folder, name)
	if err != nil && folder != d.root {
		// The folder was closed meanwhile, or the file is a link out of it.
		return openRegular(d.root, file)
	}
	return f, size, err
}

func openRegular(folder *os.Root, name string) (*os.File, int64, error) {
	// Opening a named pipe would wait for somebody to write.
	info, err := folder.Stat(name)
	if err != nil {
		return nil, 0, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("it is no regular file")
	}
	f, err := folder.Open(name)
	if err != nil {
		return nil, 0, unreadable(err)
	}
	return f, info.Size(), nil
}

// ReadPath implements [ledger.LogReader].
func (d *directory) ReadPath(ctx context.Context, path string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, unreadable(err)
	}
	f, size, err := d.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readLimited(f, path, size)
	if err == nil && (strings.HasPrefix(path, "notices/") || strings.HasPrefix(path, "anchors/")) {
		d.mu.Lock()
		d.named[path] = true
		d.mu.Unlock()
	}
	return b, err
}

// maxUncovered is how many files that no check covers are named one by one.
const maxUncovered = 20

// uncovered gives one line for each file in the directory that is no part of a
// log of this size, and so was not looked at: whatever it says, the verdict
// does not speak of it.
func (d *directory) uncovered(size ledger.Size) []string {
	var lines []string
	more := 0
	note := func(format string, args ...any) {
		if len(lines) == maxUncovered {
			more++
			return
		}
		lines = append(lines, fmt.Sprintf(format, args...))
	}
	err := fs.WalkDir(d.root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && errors.Is(err, fs.ErrNotExist):
			return nil // gone since its directory was read
		case err != nil:
			note("what lies in %q: it cannot be read", path)
		case !entry.IsDir() && !d.covers(path, size):
			note("file %q: no part of this log, and no check covers it", path)
		}
		return nil
	})
	if err != nil {
		lines = append(lines, "whether the directory holds other files: it cannot be listed")
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("%d more files that are no part of this log", more))
	}
	return slices.Clip(lines)
}

// covers reports whether verifying a log of this size reads the file.
func (d *directory) covers(path string, size ledger.Size) bool {
	if path == "checkpoint" || path == "trust.keys" || d.named[path] {
		return true
	}
	level, n, width, err := ledger.ParseTilePath(path)
	if err != nil {
		return false
	}
	full, partial := ledger.TileRange(size, level)
	return n < full && width == ledger.TileWidth || n == full && width == partial
}
