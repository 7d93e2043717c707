package badgerdb

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// What a Probe has read an Open does not read again, unless any file was written,
// removed or added since, or the Probe found damage.
func TestSeen(t *testing.T) {
	made := smallOptions(filepath.Join(t.TempDir(), "log"))
	mustClose(t, mustCreate(t, made, 100))
	log := []byte("not a log")
	for _, test := range []struct {
		name    string
		between func(table, other string) error
		refuses bool
	}{
		{"nothing", func(string, string) error { return nil }, false},
		{"a damaged table", func(table, _ string) error { flip(t, table, 100); return nil }, true},
		{"a table that is gone", func(table, _ string) error { return os.Remove(table) }, true},
		{"a file too many", func(_, other string) error { return os.WriteFile(other, log, 0o600) }, true},
		{"damage that no file system knows of", func(table, _ string) error {
			info, err := os.Stat(table)
			if err != nil {
				return err
			}
			flip(t, table, 100)
			return os.Chtimes(table, info.ModTime(), info.ModTime())
		}, false},
	} {
		opt := made
		opt.Dir = filepath.Join(t.TempDir(), "log")
		copyDir(t, made.Dir, opt.Dir)
		opt.Seen = new(Seen)
		if err := Probe(opt, func(*badger.DB) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := test.between(only(t, opt.Dir, ".sst"), filepath.Join(opt.Dir, "00009.vlog")); err != nil {
			t.Fatal(err)
		}
		db, err := Open(opt)
		if (test.refuses && !errors.Is(err, ErrDamaged)) || (!test.refuses && err != nil) {
			t.Errorf("%s between Probe and Open: %v", test.name, err)
		}
		if err == nil {
			mustClose(t, db)
		}
	}

	opt := made
	opt.Seen = new(Seen)
	flip(t, only(t, opt.Dir, ".sst"), 100)
	if err := Probe(opt, func(*badger.DB) error { return nil }); err == nil || opt.Seen.files != nil {
		t.Errorf("a damaged table was seen whole: %v", err)
	}
}

// Open takes what it was told for the database that it was told of, and no other.
func TestSeenElsewhere(t *testing.T) {
	parent := t.TempDir()
	one, other := smallOptions(filepath.Join(parent, "one")), smallOptions(filepath.Join(parent, "other"))
	mustClose(t, mustCreate(t, one, 100))
	copyDir(t, one.Dir, other.Dir)
	one.Seen = new(Seen)
	if err := Probe(one, func(*badger.DB) error { return nil }); err != nil {
		t.Fatal(err)
	}
	flip(t, only(t, other.Dir, ".sst"), 100)
	other.Seen = one.Seen
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), ".sst is damaged") {
		t.Errorf("error is %v", err)
	}
}
