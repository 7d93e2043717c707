package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// ErrInUse is in the chain of the error that Create, Open and Probe return
// when a process, this one included, has the database open.
var ErrInUse = errors.New("in use by another process")

// Create makes an empty database in opt.Dir, which must not exist or be empty;
// its parent must exist.
func Create(opt Options) (*badger.DB, error) {
	opt, err := opt.checked()
	if err != nil {
		return nil, err
	}
	if err := emptyDirectory(opt.Dir); err != nil {
		return nil, fmt.Errorf("creating a database: %w", err)
	}
	if err := needFree(opt.Dir, openBytes(opt, 0)); err != nil {
		return nil, fmt.Errorf("creating a database: %w", err)
	}
	return openBadger(opt)
}

// Open opens the database in opt.Dir, which must hold one already. Before
// Badger sees it, every table is read and checked, which takes about the time
// it takes to read and decompress the database once; unless a [Probe] has just
// done so, see [Options]. A database that was not closed is recovered by Badger;
// see the package's limits.
func Open(opt Options) (*badger.DB, error) {
	opt, err := opt.checked()
	if err != nil {
		return nil, err
	}
	unlock, err := Lock(opt.Dir)
	if err != nil {
		return nil, err
	}
	larger, err := prepare(opt)
	// Badger takes the same lock itself, so it must be free again by then. A
	// process that gets in between makes Badger fail with ErrInUse below.
	unlock()
	if err != nil {
		return nil, err
	}
	if larger != opt {
		// What the logs hold goes into tables first, so that the memory of larger
		// memtables is taken for that long only.
		db, err := openBadger(larger)
		if err != nil {
			return nil, err
		}
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("writing the logs of the database in %s into tables: %w", opt.Dir, err)
		}
	}
	return openBadger(opt)
}

// prepare checks the database in opt.Dir, makes it ready for Badger and gives the
// options that it is to be opened with first.
func prepare(opt Options) (larger Options, err error) {
	if seen, err := opt.Seen.still(opt.Dir); err != nil {
		return opt, err
	} else if !seen {
		if _, err := examine(opt); err != nil {
			return opt, err
		}
	}
	larger, logs, err := takeLogs(opt)
	if err != nil {
		return opt, err
	}
	if err := needFree(opt.Dir, openBytes(larger, logs)); err != nil {
		return opt, fmt.Errorf("opening a database: %w", err)
	}
	return larger, removeEmptyLogs(opt.Dir)
}

// takeLogs gives options by which the logs in opt.Dir can be replayed, and their
// number. Badger ends the process when a log does not fit into the memtable that it
// is replayed to. It makes logs twice as large as their memtables, but a start cuts
// a log to what it holds, so that the size of another one says nothing.
func takeLogs(opt Options) (larger Options, logs int, err error) {
	numbers, err := logNumbers(opt.Dir)
	if err != nil {
		return opt, 0, err
	}
	larger = opt
	for _, n := range numbers {
		info, err := os.Stat(logPath(opt.Dir, n))
		if err != nil {
			return opt, 0, fmt.Errorf("reading the database's directory: %w", err)
		}
		// In memory, small rows take up to three times the room.
		if info.Size() > opt.MemTableBytes/3 && info.Size() != 2*opt.MemTableBytes {
			larger.MemTableBytes = MaxMemTableBytes
		}
	}
	return larger, len(numbers), nil
}

// openBytes is how much room a database with so many logs needs when it is probed
// and opened: copies of the logs, tables of what they hold, a new log and small
// files.
func openBytes(opt Options, logs int) int64 {
	const small = 4 << 20
	return small + logBytes(opt.MemTableBytes) + int64(logs)*(logBytes(opt.MemTableBytes)+opt.MemTableBytes)
}

// examine refuses what Badger would stumble over or overlook: no database at
// all, damaged files.
func examine(opt Options) (logs []logSpan, err error) {
	if _, err := os.Stat(filepath.Join(opt.Dir, badger.ManifestFilename)); err != nil {
		return nil, damaged("there is no database in %s: %w", opt.Dir, err)
	}
	logs, findings := checkFiles(opt.Dir)
	return logs, errors.Join(findings...)
}

// removeEmptyLogs removes logs of length zero. Badger cuts a log to zero
// before it unlinks it, and creates one before it gives it a length; a crash in
// between leaves a file that holds nothing and that makes Badger's Open fail.
func removeEmptyLogs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the database's directory: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("reading the database's directory: %w", err)
		}
		if isEmptyLog(info) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("removing an empty log: %w", err)
			}
		}
	}
	return nil
}

func isEmptyLog(info fs.FileInfo) bool {
	ext := filepath.Ext(info.Name())
	return info.Mode().IsRegular() && info.Size() == 0 && (ext == ".mem" || ext == ".vlog")
}

func openBadger(opt Options) (*badger.DB, error) {
	return patiently(func() (*badger.DB, error) { return tryBadger(opt) })
}

func tryBadger(opt Options) (*badger.DB, error) {
	db, err := badger.Open(opt.badger(opt.Dir))
	if err != nil {
		// Badger formats its causes into text, so the text is all there is.
		if strings.Contains(err.Error(), "Cannot acquire directory lock") {
			return nil, inUse(opt.Dir)
		}
		return nil, fmt.Errorf("opening the database in %s: %w", opt.Dir, err)
	}
	return db, nil
}

// emptyDirectory makes dir, or accepts it when it is an empty directory.
func emptyDirectory(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return syncDirectory(filepath.Dir(dir))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	return nil
}

// syncDirectory makes the names in dir durable.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// lockPatience is how long a lock that somebody holds is waited for. A process that
// was just started holds what its parent had open until it becomes another program,
// and one that was told to stop may need a moment.
const lockPatience = time.Second

// patiently tries again while the database is in use.
func patiently[T any](try func() (T, error)) (T, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		if v, err := try(); !errors.Is(err, ErrInUse) || time.Now().After(end) {
			return v, err
		}
	}
}

// Lock keeps every other process that calls it, or opens a database there with Badger,
// from a directory, until unlock is called or the process ends. A process that has the
// lock (flock on the directory itself) is waited for, a second at most; then the error
// is [ErrInUse]. Badger's LOCK file, which is only a note of the process id, is left alone.
func Lock(dir string) (unlock func(), err error) {
	return patiently(func() (func(), error) { return tryLock(dir) })
}

func tryLock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, damaged("there is no database in %s: %w", dir, err)
	}
	err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { d.Close() }, nil
	}
	d.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, inUse(dir)
	}
	return nil, fmt.Errorf("locking %s: %w", dir, err)
}

func inUse(dir string) error {
	return fmt.Errorf("the ledger in %s is %w; stop it first", dir, ErrInUse)
}

// needFree refuses when the file system of dir has less than want bytes free.
// Badger writes its logs through sparse memory maps, so a disk that is full
// ends the process with SIGBUS, at the next start again.
func needFree(dir string, want int64) error {
	free, err := Free(dir)
	if err != nil {
		return err
	}
	if free < want {
		return fmt.Errorf("the disk of %s has %d MiB free and the database needs at least %d MiB; make room first",
			dir, free>>20, want>>20)
	}
	return nil
}
