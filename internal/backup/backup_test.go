package backup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// record is a record of a test's file.
type record struct {
	kind    byte
	content string
}

// next gives the head of a file that goes on from a chain with so many entries and rows.
func next(chain []File, entries ledger.Size, rows uint64) Head {
	h := Head{Number: 1, At: time.UnixMicro(1_700_000_000_000_000).UTC(), Origin: "ledger.example.com/test", To: entries, Instance: [16]byte{7}, Until: rows, Generation: 1}
	if n := len(chain); n > 0 {
		last := chain[n-1]
		h.Number, h.Previous, h.From, h.To, h.Since, h.Until = last.Number+1, last.Sum, last.To, last.To+entries, last.Until, last.Until+rows
	}
	return h
}

func write(t testing.TB, dir string, h Head, records ...record) File {
	t.Helper()
	w, err := Create(dir, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		// In two parts, as rows are.
		half := len(r.content) / 2
		if err := w.Record(r.kind, []byte(r.content[:half]), []byte(r.content[half:])); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// three makes a chain of three files.
func three(t testing.TB, dir, mark string) (chain []File) {
	t.Helper()
	for n := range 3 {
		chain = append(chain, write(t, dir, next(chain, 5, 3), record{'e', fmt.Sprint(mark, n)}, record{'v', ""}, record{'v', "row"}))
	}
	return chain
}

func read(t testing.TB, f File) (list []record) {
	t.Helper()
	if _, err := f.Read(func(kind byte, content []byte) error {
		list = append(list, record{kind, string(content)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestChain(t *testing.T) {
	dir := t.TempDir()
	if chain, err := OpenChain(dir); err != nil || len(chain) > 0 {
		t.Fatalf("nothing there: %v, %v", chain, err)
	}
	if newest, err := Newest(dir); newest != nil || err != nil {
		t.Fatalf("nothing there: %v, %v", newest, err)
	}
	want := three(t, dir, "a")
	if newest, err := Newest(dir); err != nil || *newest != want[2] {
		t.Errorf("the newest is %+v, %v, want %+v", newest, err, want[2])
	}
	chain, err := OpenChain(dir)
	if err != nil || !slices.Equal(chain, want) {
		t.Fatalf("read %+v, %v, want %+v", chain, err, want)
	}
	for n, f := range chain {
		if got := read(t, f); !slices.Equal(got, []record{{'e', fmt.Sprint("a", n)}, {'v', ""}, {'v', "row"}}) {
			t.Errorf("file %d holds %v", n, got)
		}
		if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != f.Size {
			t.Errorf("%s: %v, %v", f.Path, info.Mode(), err)
		}
	}
	// What an interrupted one has left goes; what is not of backups stays.
	for _, name := range []string{Name(4) + ".tmp123", "keys-1.age", "notes.backup.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, next(chain, 1, 0))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 6 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
	if w, err := Create(dir, next(chain, 1, 0)); err != nil {
		t.Error(err)
	} else if _, err := w.Finish(); err == nil {
		t.Error("a file that is there was written again")
	}
	if _, err := OpenChain(dir); err != nil {
		t.Error(err)
	}
	if _, err := OpenChain(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there is read")
	}
}

// TestEveryByte: no byte of a file can be changed, added or taken away unnoticed.
func TestEveryByte(t *testing.T) {
	dir := t.TempDir()
	f := three(t, dir, "a")[1]
	good, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		_, _, err := Read(bytes.NewReader(b), nil)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMagic) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range good {
		for _, mask := range []byte{1, 0xff} {
			b := bytes.Clone(good)
			b[i] ^= mask
			try(fmt.Sprintf("byte %d ^ %d", i, mask), b)
		}
		try(fmt.Sprintf("cut to %d", i), good[:i])
	}
	try("a byte more", append(bytes.Clone(good), 0))
	try("twice", append(bytes.Clone(good), good...))
	if _, _, err := Read(bytes.NewReader(good), func(byte, []byte) error { return errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("what each says is lost: %v", err)
	}
}

// TestChainRefused is the table of directories from which nothing may be gone on, or
// restored.
func TestChainRefused(t *testing.T) {
	for name, spoil := range map[string]func(dir, older, other string) error{
		"the first missing":  func(dir, _, _ string) error { return os.Remove(filepath.Join(dir, Name(1))) },
		"the second missing": func(dir, _, _ string) error { return os.Remove(filepath.Join(dir, Name(2))) },
		"one doubled":        func(dir, _, _ string) error { return copyFile(dir, Name(3), dir, Name(4)) },
		"one twice":          func(dir, _, _ string) error { return copyFile(dir, Name(2), dir, Name(3)) },
		"the first of an older chain": func(dir, older, _ string) error {
			return copyFile(older, Name(1), dir, Name(1))
		},
		"the last of an older chain": func(dir, older, _ string) error {
			return copyFile(older, Name(3), dir, Name(3))
		},
		"one of another ledger": func(dir, _, other string) error { return copyFile(other, Name(1), dir, Name(1)) },
		"another spelling": func(dir, _, _ string) error {
			return os.Rename(filepath.Join(dir, Name(3)), filepath.Join(dir, "data-3.backup"))
		},
		"an empty file":    func(dir, _, _ string) error { return os.WriteFile(filepath.Join(dir, Name(3)), nil, 0o600) },
		"a file cut short": func(dir, _, _ string) error { return os.Truncate(filepath.Join(dir, Name(3)), 100) },
		"the sum of the second": func(dir, _, _ string) error {
			b, err := os.ReadFile(filepath.Join(dir, Name(2)))
			b[len(b)-1] ^= 1
			return errors.Join(err, os.WriteFile(filepath.Join(dir, Name(2)), b, 0o600))
		},
		"a directory": func(dir, _, _ string) error { return os.Mkdir(filepath.Join(dir, Name(4)), 0o700) },
	} {
		dir, older, other := t.TempDir(), t.TempDir(), t.TempDir()
		three(t, dir, "a")
		three(t, older, "b")
		h := next(nil, 5, 3)
		h.Origin = "ledger.example.org"
		write(t, other, h)
		if err := spoil(dir, older, other); err != nil {
			t.Fatal(err)
		}
		if chain, err := OpenChain(dir); err == nil {
			t.Errorf("%s: read as %+v", name, chain)
		}
	}
	// Heads that do not go on from each other.
	for name, change := range map[string]func(h *Head){
		"a gap in the entries":    func(h *Head) { h.From++ },
		"entries twice":           func(h *Head) { h.From-- },
		"a gap in the rows":       func(h *Head) { h.Since++ },
		"another vault":           func(h *Head) { h.Instance[0]++ },
		"an earlier generation":   func(h *Head) { h.Generation-- },
		"another file before":     func(h *Head) { h.Previous[0] ^= 1 },
		"another origin":          func(h *Head) { h.Origin = "ledger.example.org" },
		"fewer entries than none": func(h *Head) { h.To = h.From - 1 },
	} {
		dir := t.TempDir()
		h := next(three(t, dir, "a"), 5, 3)
		change(&h)
		w, err := Create(dir, h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Finish(); err != nil {
			continue // it does not read back
		}
		if _, err := OpenChain(dir); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func copyFile(from, name, to, as string) error {
	b, err := os.ReadFile(filepath.Join(from, name))
	return errors.Join(err, os.WriteFile(filepath.Join(to, as), b, 0o600))
}

// TestFinishFails: a step that fails leaves no file of the chain, or a whole one.
func TestFinishFails(t *testing.T) {
	for step, left := range map[string]int{"backup synced": 3, "backup renamed": 4} {
		dir := t.TempDir()
		chain := three(t, dir, "a")
		w, err := Create(dir, next(chain, 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		w.Step = func(name string) error {
			if name == step {
				return errors.New("the disk has a fault")
			}
			return nil
		}
		if _, err := w.Finish(); err == nil {
			t.Errorf("%s: no error", step)
		}
		chain, err = OpenChain(dir)
		if err != nil || len(chain) != left {
			t.Errorf("%s: a chain of %d, %v", step, len(chain), err)
		}
		for _, f := range chain {
			if err := f.Check(); err != nil {
				t.Error(err)
			}
		}
		write(t, dir, next(chain, 1, 1))
	}
	w, err := Create(t.TempDir(), next(nil, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	if w.Record('e', make([]byte, MaxRecord+1)) == nil || w.Record(0, nil) == nil {
		t.Error("a record that no reader takes is written")
	}
}

// FuzzRead: what reads is what a writer writes of it, and nothing else panics or grows.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	for _, file := range three(f, dir, "a") {
		b, err := os.ReadFile(file.Path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-33])
	}
	f.Add([]byte(magic))
	lying := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		// A file that is cut to nothing and written again is brought to the disk at once.
		if err := os.Remove(filepath.Join(lying, Name(1))); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(lying, Name(1)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		ends, endsErr := readEnds(filepath.Join(lying, Name(1)))
		chain, chainErr := OpenChain(lying)
		if chainErr == nil && (endsErr != nil || chain[0] != ends) {
			t.Errorf("a chain of %+v, its ends read as %+v, %v", chain, ends, endsErr)
		}
		var list []record
		h, sum, err := Read(bytes.NewReader(b), func(kind byte, content []byte) error {
			list = append(list, record{kind, string(content)})
			return nil
		})
		if err != nil {
			return
		}
		if endsErr != nil || ends.Head != h || ends.Sum != sum {
			t.Errorf("its ends read as %+v, %v, the whole as %+v", ends, endsErr, h)
		}
		dir := t.TempDir()
		again := write(t, dir, h, list...)
		if written, err := os.ReadFile(again.Path); err != nil || again.Sum != sum || !bytes.Equal(written, b) {
			t.Errorf("written again it is another file, %v", err)
		}
	})
}
