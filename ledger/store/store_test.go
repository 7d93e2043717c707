package store_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// options gives the options of a new log in a directory of its own.
func options(t testing.TB) store.Options {
	opt := store.Options{Dir: t.TempDir(), Signer: testledger.Signer(t), MemTableBytes: badgerdb.MinMemTableBytes}
	if err := store.Create(opt, "shop.example.com", testledger.Began); err != nil {
		t.Fatal(err)
	}
	return opt
}

// served makes a log that is opened with as much memory as a server takes, for groups
// as large.
func served(t testing.TB) store.Options {
	opt := options(t)
	asServed(&opt)
	return opt
}

func asServed(opt *store.Options) { opt.MemTableBytes = 0 }

func open(t testing.TB, opt store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func size(s *store.Store) ledger.Size {
	_, n := s.Checkpoint()
	return n
}

func begin(t testing.TB, s *store.Store) *store.Group {
	t.Helper()
	g, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// grow appends n entries to a group: testledger's history, and in between what
// holds and erases the consents that it has left behind.
func grow(t testing.TB, g *store.Group, n int) {
	t.Helper()
	for range n {
		now := g.Last().Add(time.Millisecond)
		if e := between(t, g); e != nil {
			_, err := g.Append(now, e)
			if err == nil {
				continue
			}
			var refused *ledger.RuleError
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
		}
		if _, err := g.Append(now, testledger.Next(t, g)); err != nil {
			t.Fatal(err)
		}
	}
}

// fill is [testledger.Fill] with the history of grow.
func fill(t testing.TB, s *store.Store, n int) {
	t.Helper()
	for ; n > 0; n -= 256 {
		g := begin(t, s)
		grow(t, g, min(n, 256))
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// between gives the entry that is tried before testledger's at some indexes, or
// nil. It looks at the group alone, as testledger does, and so may break a rule.
func between(t testing.TB, g *store.Group) *ledger.Entry {
	t.Helper()
	i := g.Next()
	if _, ok, err := g.Source("desk"); err != nil {
		t.Fatal(err)
	} else if !ok && i > 30 {
		return &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "desk", Role: "legal"}
	}
	// A consent that testledger is done with.
	var c ledger.Consent
	for id, ok := ledger.ConsentID(i)-4, false; id > testledger.Prelude && !ok; id-- {
		var err error
		if c, ok, err = g.Consent(id); err != nil {
			t.Fatal(err)
		}
	}
	switch round := i / 16; i % 16 {
	case 1:
		return held(c.ID)
	case 2:
		return about(ledger.EvidenceDisclosed, c.ID)
	case 3: // the terms change now and then
		if round%8 == 2 {
			return redefined(t, g)
		}
		return about(ledger.ConfirmationAttached, c.ID)
	case 4, 6, 9:
		return rightsBetween(i, round, c.ID)
	case 5:
		return &ledger.Entry{Kind: ledger.HoldLifted, Source: "desk", Refers: []ledger.Index{i - 4}, About: []ledger.ConsentID{c.ID}}
	case 7:
		return &ledger.Entry{Kind: ledger.RestrictionSet, Source: "shop", Ground: "art18_1_b", Consents: []ledger.Link{{Consent: c.ID, After: c.Last}}}
	case 10:
		return erased(c.ID, c.Last)
	case 12: // some erasures stay as they are,
		if round%4 != 1 {
			return shredded(i - 2)
		}
	case 14: // and of some others the existence
		if round%2 == 1 {
			return rekeyed(i - 4)
		}
	case 8, 15: // some requests get another lock, which nobody uses
		return resent(i, i-1, testledger.Began.AddDate(100, 0, 0), ledger.ConsentID(i-1))
	}
	return nil
}

// redefined gives the next version of testledger's purpose.
func redefined(t testing.TB, g *store.Group) *ledger.Entry {
	t.Helper()
	p, _, err := g.Purpose("newsletter")
	if err != nil {
		t.Fatal(err)
	}
	return &ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: p.ID, Version: p.Version + 1, Marketing: "yes", DoubleOptIn: "yes",
		Lifetime: 604800, ValidityDays: p.Version, Bases: []string{"consent", "contract"}, MinimumGrade: "D"}
}

func held(about ...ledger.ConsentID) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.HoldSet, Source: "desk", About: about}
}

func erased(id ledger.ConsentID, after ledger.Index) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.SubjectErased, Source: "shop", Reason: "art17", Consents: []ledger.Link{{Consent: id, After: after}}}
}

func shredded(refers ...ledger.Index) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.EvidenceShredded, Source: ledger.SourceLedger, Refers: refers, Generation: 2, Medium: "file",
		Contents: testledger.Began, ExistenceDue: testledger.Began.Add(72 * time.Hour)}
}

func rekeyed(refers ...ledger.Index) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.EvidenceShredded, Source: ledger.SourceLedger, Refers: refers, Generation: 3, Medium: "file",
		Existence: testledger.Began}
}

// add appends entries in a group of their own.
func add(t testing.TB, s *store.Store, entries ...*ledger.Entry) ledger.Index {
	t.Helper()
	g := begin(t, s)
	list, err := g.Append(g.Last(), entries...)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	return list[0].Entry.Index
}

// copyLog copies the directory of a log as it lies, open or not.
func copyLog(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	err := eachFile(from, func(name string, f *os.File, size int64) error {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700); err != nil {
			return err
		}
		out, err := os.Create(filepath.Join(to, name))
		if err != nil {
			return err
		}
		if err := out.Truncate(size); err != nil {
			return err
		}
		err = eachBlock(f, size, func(off int64, b []byte) error {
			_, err := out.WriteAt(b, off)
			return err
		})
		return errors.Join(err, out.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// content gives the files of a directory: per name the blocks that are not zero.
func content(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := eachFile(dir, func(name string, f *os.File, size int64) error {
		b := []byte(time.Duration(size).String())
		err := eachBlock(f, size, func(off int64, block []byte) error {
			b = append(append(b, time.Duration(off).String()...), block...)
			return nil
		})
		files[name] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sameContent(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if other, ok := b[name]; !ok || !bytes.Equal(a[name], other) {
			return false
		}
	}
	return true
}

func eachFile(dir string, yield func(name string, f *os.File, size int64) error) error {
	return filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return yield(name, f, info.Size())
	})
}

// eachBlock gives the blocks of 4 KiB that are not zero. Badger's logs are 64
// MiB, nearly all of it a hole.
func eachBlock(f *os.File, size int64, yield func(off int64, b []byte) error) error {
	const block = 4096
	zeros := make([]byte, block)
	for off := int64(0); off < size; {
		data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		} else if err == nil {
			off = data - data%block
		}
		b := make([]byte, block)
		n, err := f.ReadAt(b, off)
		if err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(b, zeros) {
			if err := yield(off, b[:n]); err != nil {
				return err
			}
		}
		off += block
	}
	return nil
}

// flip inverts one byte of a file.
func flip(t testing.TB, name string, off int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}
