package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
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
	unlock, err := Lock(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	_, findings := checkFiles(opt.Dir)
	return findings, nil
}

// checkFiles checks every table and every write-ahead log of dir, and that the
// manifest names all tables that it should.
func checkFiles(dir string) (logs []logSpan, findings []error) {
	names, err := logNames(dir)
	if err != nil {
		return nil, []error{err}
	}
	logs, findings = checkLogs(names)
	newest, highest, tables := checkTables(dir)
	return logs, slices.Concat(findings, tables, strayTables(dir, newest, highest, logs), checkIdle(dir))
}

// checkIdle looks at the files that Badger demands whole though they hold nothing of
// ours: the key registry, random bytes and a fixed word where nothing is encrypted, and
// value logs, which begin with the number of a key, 0 for none.
func checkIdle(dir string) (findings []error) {
	const word = "Hello Badger"
	names, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		return []error{err}
	}
	for _, name := range append(names, filepath.Join(dir, badger.KeyRegistryFileName)) {
		data, err := dataOf(name)
		whole := len(data) < 8 || binary.BigEndian.Uint64(data) == 0
		if filepath.Ext(name) != ".vlog" {
			whole = len(data) == 16+len(word) && string(data[16:]) == word
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // Badger makes it anew
		case err != nil:
			findings = append(findings, err)
		case !whole:
			findings = append(findings, damaged("%s is damaged; it holds nothing: remove it, and it is made anew", name))
		}
	}
	return findings
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
