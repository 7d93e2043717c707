package service

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
)

// search looks for many texts at once, in files and in databases' rows: tables
// on disk are compressed.
type search struct {
	by    map[[stem]byte][]needle
	found map[string]string // name of a needle to where it was found first
}

type needle struct{ name, text string }

// stem is how much of a needle leads to it; none is shorter.
const stem = 6

func newSearch() *search {
	return &search{map[[stem]byte][]needle{}, map[string]string{}}
}

func (s *search) add(name, text string) {
	if len(text) < stem {
		panic("search: too short to be told from chance: " + name)
	}
	key := [stem]byte([]byte(text[:stem]))
	s.by[key] = append(s.by[key], needle{name, text})
}

func (s *search) text(where, text string) { s.bytes(where, []byte(text)) }

func (s *search) bytes(where string, b []byte) {
	for i := 0; i+stem <= len(b); i++ {
		for _, n := range s.by[[stem]byte(b[i:])] {
			if _, ok := s.found[n.name]; !ok && bytes.HasPrefix(b[i:], []byte(n.text)) {
				s.found[n.name] = where
			}
		}
	}
}

// directory searches the names and the contents of all files below dir, and the
// rows of the databases `log` and `vault` in it. Nobody may have them open.
func (s *search) directory(t testing.TB, dir string) {
	t.Helper()
	s.files(t, dir)
	for _, name := range []string{"log", "vault"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			s.rows(t, filepath.Join(dir, name))
		}
	}
}

func (s *search) files(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		s.text("the name of "+path, path)
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		// Badger's files are preallocated: most of them is zeros. A hash may
		// end with some, too.
		end := len(bytes.TrimRight(b, "\x00"))
		s.bytes(path, b[:min(end+64, len(b))])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *search) rows(t testing.TB, dir string) {
	t.Helper()
	err := badgerdb.Probe(badgerdb.Options{Dir: dir}, func(db *badger.DB) error {
		return eachRow(db, func(key, value []byte) {
			s.bytes("a row's key in "+dir, key)
			s.bytes("a row in "+dir, value)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eachRow calls yield with every row of a database.
func eachRow(db *badger.DB, yield func(key, value []byte)) error {
	return db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			yield(it.Item().KeyCopy(nil), value)
		}
		return nil
	})
}
