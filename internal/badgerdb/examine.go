package badgerdb

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// ErrDamaged is in the chain of each error about a file that is not what was
// written.
var ErrDamaged = errors.New("damaged")

// damage is an ErrDamaged that says it in its own words.
type damage struct{ error }

func (damage) Is(target error) bool { return target == ErrDamaged }
func (d damage) Unwrap() error      { return d.error }

func damaged(format string, args ...any) error { return damage{fmt.Errorf(format, args...)} }

// Examine reads all files of the database in opt.Dir that hold data, changes
// nothing, and names each that is damaged or missing, and where. What it finds,
// [Open] and [Probe] refuse. The database must not be open; ErrInUse.
func Examine(opt Options) ([]error, error) {
	opt, err := opt.checked()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return checkFiles(opt.Dir), nil
}

// checkFiles checks every table and every write-ahead log of dir, and that the
// manifest names all tables that it should.
func checkFiles(dir string) (findings []error) {
	logs, err := logNames(dir)
	if err != nil {
		return []error{err}
	}
	spans, findings := checkLogs(logs)
	newest, highest, tables := checkTables(dir)
	return slices.Concat(findings, tables, strayTables(dir, newest, highest, spans))
}

// strayTables finds tables that the manifest never named and that hold what is
// nowhere else. Badger deletes what its manifest does not name: after a crash that is
// what a compaction has written again, or what is still in a write-ahead log. With a
// manifest that was cut, or that is from an older copy, it is all there is.
func strayTables(dir string, newest, highest uint64, logs []logSpan) (findings []error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return []error{err}
	}
	for _, name := range names {
		if id, ok := table.ParseFileID(name); !ok || id <= highest {
			continue
		}
		// One that is not whole was being written when the process died.
		version, err := tableVersion(name)
		if err != nil || version <= newest || slices.ContainsFunc(logs, func(s logSpan) bool { return s.covers(version) }) {
			continue
		}
		findings = append(findings, damaged("%s does not name table %s, which holds transaction %d; it was cut, or is from an older copy",
			filepath.Join(dir, badger.ManifestFilename), name, version))
	}
	return findings
}
