package badgerdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Probe shows read what the database in opt.Dir would say if it were opened,
// and changes nothing there: Badger's own Open cuts a damaged write-ahead log
// for good, so whoever wants to refuse a shortened database must look first.
//
// It opens a scratch copy, "<Dir>.probe-*", to be read only, and removes it
// afterwards; one that a crash left behind is removed by the next Probe. The copy's
// tables are hard links to the real ones, its logs are cut to the transactions that
// Badger would keep. read must not close the database or keep it. Probe returns
// read's error unchanged when nothing else fails. Cost: as Open, plus a copy of the
// logs (at most four memtables).
func Probe(opt Options, read func(*badger.DB) error) (err error) {
	opt, err = opt.checked()
	if err != nil {
		return err
	}
	// The lock is held to the end: nobody may open the database while it is
	// copied, and a leftover below is then certainly no other Probe's.
	unlock, err := Lock(opt.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := removeLeftovers(opt.Dir); err != nil {
		return err
	}
	files, err := filesOf(opt.Dir)
	if err != nil {
		return err
	}
	logs, err := examine(opt)
	if err != nil {
		return err
	}
	if opt.Seen != nil {
		opt.Seen.files = files
	}
	opt, count, err := takeLogs(opt)
	if err != nil {
		return err
	}
	if err := needFree(filepath.Dir(opt.Dir), openBytes(opt, count)); err != nil {
		return fmt.Errorf("probing a database: %w", err)
	}
	scratch, err := os.MkdirTemp(filepath.Dir(opt.Dir), filepath.Base(opt.Dir)+probeInfix+"*")
	if err != nil {
		return fmt.Errorf("making a scratch directory: %w", err)
	}
	defer func() { err = join(err, os.RemoveAll(scratch)) }()
	if err := copyDatabase(opt.Dir, scratch, logs); err != nil {
		return fmt.Errorf("copying the database in %s: %w", opt.Dir, err)
	}
	// Else Badger writes what the logs hold into tables, and cuts a table that it
	// deletes to zero before it unlinks it, which would reach through the hard link.
	opt.MemTableBytes = min(opt.MemTableBytes, memTableFor(logs))
	db, err := badger.Open(opt.badger(scratch).WithReadOnly(true))
	if err != nil {
		return fmt.Errorf("opening a copy of the database in %s: %w", opt.Dir, err)
	}
	defer func() { err = join(join(err, db.Close()), freeLogs(scratch)) }()
	return read(db)
}

// memTableFor gives the size of memtables that each of the logs fits into: in memory,
// small rows take up to three times the room. To clear the memory of larger ones takes
// longer than a small ledger's whole start.
func memTableFor(logs []logSpan) int64 {
	size := int64(MinMemTableBytes)
	for _, log := range logs {
		size = max(size, 3*int64(log.end))
	}
	return size
}

const probeInfix = ".probe-"

// freeLogs gives the room of a closed copy's logs back: Badger leaves those of a
// database that was read only mapped into memory.
func freeLogs(dir string) error {
	numbers, err := logNumbers(dir)
	for _, n := range numbers {
		err = join(err, os.Truncate(logPath(dir, n), 0))
	}
	return err
}

// removeLeftovers removes scratch directories of a Probe that did not finish.
func removeLeftovers(dir string) error {
	parent, prefix := filepath.Dir(dir), filepath.Base(dir)+probeInfix
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("looking for leftovers: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(parent, e.Name())); err != nil {
			return fmt.Errorf("removing a leftover: %w", err)
		}
	}
	return nil
}

// join is errors.Join that leaves a lone error as it is.
func join(first, second error) error {
	if second == nil {
		return first
	}
	return errors.Join(first, second)
}
