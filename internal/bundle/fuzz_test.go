package bundle

import (
	"archive/zip"
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// agree checks that what was opened is what Go's zip reader, which takes much
// more, finds in the same bytes.
func agree(t *testing.T, b []byte, c *Container) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(r.File) != len(c.Files()) {
		t.Fatalf("another reader finds other files: %v", err)
	}
	for i, f := range c.Files() {
		other, err := r.File[i].Open()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := io.ReadAll(other)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := c.File(f.Name)
		if err != nil || r.File[i].Name != f.Name || !bytes.Equal(ours, theirs) || hashOf(string(ours)) != f.SHA256 || int64(len(ours)) != f.Size {
			t.Errorf("file %q: two readers read two files: %v", f.Name, err)
		}
	}
}

// FuzzOpen: no bytes make Open panic, and two readers find the same in whatever
// it accepts.
func FuzzOpen(f *testing.F) {
	f.Add(pack(f, sample("alpha"), "token"))
	f.Add(rezip(f, sample("a"), nil))
	f.Add(rezip(f, sample("a")[:8], func(l []rawEntry) []rawEntry { return append(l[:3], l[8:]...) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Open(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			agree(t, b, c)
		} else if v := ledger.VerdictOf(err); v != ledger.Invalid && c == nil {
			t.Errorf("verdict %v: %v", v, err)
		}
	})
}

// FuzzContainer puts a file of any name, content and method into a container, with
// a manifest and signatures to match, and changes a byte of its headers.
func FuzzContainer(f *testing.F) {
	f.Add(EntryPath(11), []byte("x"), []byte("x"), uint16(0), 0, byte(0))
	f.Add(FilePath(ledger.Hash{}), []byte("\x03\x00"), []byte(""), uint16(8), 8, byte(1))
	f.Add("evidence/x/y", []byte("+\x04\x00\x00\x00\xff\xff\x03\x00"), []byte("n"), uint16(8), 38, byte(16))
	f.Add("custody.json/..", []byte("x"), []byte("x"), uint16(12), 29, byte(1))
	f.Fuzz(func(t *testing.T, name string, packed, content []byte, method uint16, at int, with byte) {
		files, place := sample("alpha"), 12
		if p, err := ParsePath(name); err == nil && p.Kind != KindUnknown {
			place = slices.IndexFunc(files, func(f testFile) bool {
				q, err := ParsePath(f.name)
				return err == nil && p.compare(q) < 0
			})
			if place < 0 {
				place = len(files)
			}
		}
		files = slices.Insert(files, place, testFile{name, string(content)})
		b := rezip(t, files, func(list []rawEntry) []rawEntry {
			e := &list[place+1]
			e.method, e.packed = method, string(packed)
			e.central = func(h []byte) {
				if at >= 0 && at < len(h) {
					h[at] ^= with
				}
			}
			e.local = func(h []byte) {
				if at >= 6 && at < len(h) {
					h[at-2] ^= with
				}
			}
			return list
		})
		c, err := open(t, b)
		if c != nil {
			agree(t, b, c)
		}
		if c == nil && ledger.VerdictOf(err) != ledger.Invalid {
			t.Errorf("%v", err)
		}
	})
}

// FuzzManifestLine: what parses has one spelling.
func FuzzManifestLine(f *testing.F) {
	f.Add(manifestLine{EntryPath(1), textMedia, ledger.Hash{1}}.String())
	f.Add(manifestLine{"evidence/x", "a/b", ledger.Hash{}}.String())
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := parseManifestLine(text); err == nil && l.String() != text {
			t.Errorf("%q is also %q", text, l.String())
		}
	})
}

// FuzzSignatures: what parses has one spelling.
func FuzzSignatures(f *testing.F) {
	f.Add("0000000a AA==\n0000000b AA==\n")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseSignatures(text); err == nil && s.String() != text {
			t.Errorf("%q is also %q", text, s.String())
		}
	})
}
