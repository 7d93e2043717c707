package bundle

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// TestDeterministic: the same files give the same bytes, by either way of writing
// them; the log's hedged signatures change manifest.sig and nothing else.
func TestDeterministic(t *testing.T) {
	files := sample("alpha")
	b := pack(t, files, "tok")
	for range 3 {
		if !bytes.Equal(b, pack(t, files, "tok")) {
			t.Fatal("the same files give other bytes")
		}
	}
	signer, err := ledger.NewSigner(origin, [32]byte{1, 1}, [32]byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	hedged, err := packWith(files, signer, "tok")
	if err != nil {
		t.Fatal(err)
	}
	c1, err1 := open(t, b)
	c2, err2 := open(t, hedged)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for i, f := range c1.Files() {
		if other := c2.Files()[i]; (f != other) != (f.Kind == KindSignature) {
			t.Errorf("%s: %v and %v", f.Name, f, other)
		}
	}
}

// TestManifestGolden: the manifest is frozen, since a time stamp is over its bytes.
func TestManifestGolden(t *testing.T) {
	var buf bytes.Buffer
	w, err := NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(w.WriteFile("checkpoint.note", []byte("a\n")), w.WriteFile("evidence/bundle.json", []byte(`{"format":"consent-ledger/bundle/v1"}`)),
		w.Close(testSigner(t, 1), func(manifest ledger.Hash) ([]byte, error) { return []byte("token over " + manifest.String()), nil }))
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(t, buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := c.File(string(KindManifest))
	if err != nil {
		t.Fatal(err)
	}
	const want = `<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">
<asic:SigReference MimeType="application/vnd.etsi.timestamp-token" URI="META-INF/timestamp001.tst"/>
<asic:DataObjectReference MimeType="text/plain" URI="checkpoint.note"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>h0KPxSKAPTEGXnvOPPA/5HUJZjHl4Hu9eg/eYMTPJcc=</ds:DigestValue></asic:DataObjectReference>
<asic:DataObjectReference MimeType="application/vnd.consent-ledger.bundle.v1+json" URI="evidence/bundle.json"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>DIGEST</ds:DigestValue></asic:DataObjectReference>
</asic:ASiCManifest>
`
	if got := strings.Replace(string(manifest), hashOf(`{"format":"consent-ledger/bundle/v1"}`).String(), "DIGEST", 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if token, err := c.File(string(KindToken)); err != nil || string(token) != "token over "+c.Manifest().String() {
		t.Errorf("the token is over something else: %s, %v", token, err)
	}
}

// TestManifestLine: each file has the media type of its kind.
func TestManifestLine(t *testing.T) {
	good := manifestLine{EntryPath(1), textMedia, ledger.Hash{1}}
	if l, err := parseManifestLine(good.String()); err != nil || l != good {
		t.Fatal(l, err)
	}
	for _, bad := range []string{
		manifestLine{EntryPath(1), "text/html", ledger.Hash{1}}.String(), manifestLine{"evidence/x", "text", ledger.Hash{1}}.String(),
		manifestLine{"evidence/x", "text/ä", ledger.Hash{1}}.String(), manifestLine{"evidence/x", `a/b" x="`, ledger.Hash{1}}.String(),
		manifestLine{"../x", textMedia, ledger.Hash{1}}.String(), strings.TrimSuffix(good.String(), "\n"), " " + good.String(),
		strings.Replace(good.String(), "AQAA", "AQA", 1), strings.Replace(good.String(), "sha256", "sha1", 1), strings.Replace(good.String(), `" URI`, `"  URI`, 1), "",
	} {
		if l, err := parseManifestLine(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, l)
		}
	}
}

// TestWriterLimit: all files together.
func TestWriterLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.NewReader(make([]byte, MaxFileSize))
	for i := range 3 {
		if err := w.CopyFile(FilePath(ledger.Hash{byte(i)}), content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.CopyFile(FilePath(ledger.Hash{4}), content); !errors.Is(err, ErrTooLarge) {
		t.Errorf("256 MiB and mimetype: %v", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	long := strings.Repeat("x", 1<<20+1)
	for _, test := range []struct {
		name  string
		files []testFile
		want  string
	}{
		{"unknown", []testFile{{"evidence/videos/1", "x"}}, "no container has such a file"},
		{"hostile name", []testFile{{"../x", "x"}}, "dots"},
		{"mimetype", []testFile{{"mimetype", "x"}}, "writer's own"},
		{"manifest", []testFile{{"META-INF/ASiCManifest001.xml", "x"}}, "writer's own"},
		{"token", []testFile{{"META-INF/timestamp001.tst", "x"}}, "writer's own"},
		{"order of kinds", []testFile{{EntryPath(1), "x"}, {"checkpoint.note", "x"}}, "not in its place"},
		{"order of numbers", []testFile{{EntryPath(10), "x"}, {EntryPath(9), "x"}}, "not in its place"},
		{"token before its checkpoint", []testFile{{BoundTokenPath(3, 1), "x"}, {BoundPath(3), "x"}}, "not in its place"},
		{"twice", []testFile{{EntryPath(1), "x"}, {EntryPath(1), "x"}}, "twice"},
		{"empty", []testFile{{EntryPath(1), ""}}, "is empty"},
		{"too large", []testFile{{DisclosurePath(1, "email"), long}}, "more than 1048576"},
		{"format", []testFile{{"evidence/bundle.json", `{"format":"consent-ledger/bundle/v2"}`}}, "newer"},
		{"no checkpoint", []testFile{{"evidence/bundle.json", `{"format":"consent-ledger/bundle/v1"}`}}, `"checkpoint.note" is missing`},
		{"no index", []testFile{{"checkpoint.note", "x"}}, `"evidence/bundle.json" is missing`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := packWith(test.files, testSigner(t, 1), ""); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestWriterStops: after an error the writer writes nothing more, and nothing that
// it wrote is a container.
func TestWriterStops(t *testing.T) {
	good := len(pack(t, sample("alpha"), ""))
	for n := 0; n < good; n += 100 {
		w := &fullDisk{left: n}
		_, err := packInto(w, sample("alpha"), testSigner(t, 1))
		if !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	var buf bytes.Buffer
	w, err := NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("authority is lost")
	if err := errors.Join(w.WriteFile("checkpoint.note", []byte("x")), w.WriteFile("evidence/bundle.json", []byte(`{"format":"`+Format+`"}`))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(testSigner(t, 1), func(ledger.Hash) ([]byte, error) { return nil, lost }); !errors.Is(err, lost) {
		t.Errorf("Close: %v", err)
	}
	if err := w.Close(testSigner(t, 1), nil); !errors.Is(err, lost) {
		t.Errorf("Close again: %v", err)
	}
	if w, err = NewWriter(&buf); err != nil {
		t.Fatal(err)
	}
	if err := w.CopyFile(FilePath(ledger.Hash{}), &changing{}); err == nil || !strings.Contains(err.Error(), "changed while") {
		t.Errorf("a file that changes: %v", err)
	}
	if w, err = NewWriter(&buf); err != nil {
		t.Fatal(err)
	}
	if err := w.CopyFile(EntryPath(1), strings.NewReader("x")); err == nil {
		t.Error("CopyFile takes a kind that may be compressed")
	}
}

func TestClosed(t *testing.T) {
	var buf bytes.Buffer
	w, err := packInto(&buf, sample("alpha"), testSigner(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	n := buf.Len()
	if w.WriteFile(AuthorityPath(2), []byte("x")) == nil || w.Close(testSigner(t, 1), nil) == nil || buf.Len() != n {
		t.Error("a closed writer writes")
	}
}

func packInto(out io.Writer, files []testFile, signer Signer) (*Writer, error) {
	w, err := NewWriter(out)
	for _, f := range files {
		if err == nil {
			err = w.WriteFile(f.name, []byte(f.content))
		}
	}
	if err == nil {
		err = w.Close(signer, nil)
	}
	return w, err
}

type fullDisk struct{ left int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// changing gives something else each time that it is read.
type changing struct {
	times byte
	strings.Reader
}

func (c *changing) Seek(int64, int) (int64, error) {
	c.times++
	c.Reader.Reset(string([]byte{'0' + c.times}))
	return 0, nil
}

// TestContents: what is compressed well, badly, or so well that it could be taken
// for a bomb comes back as it was.
func TestContents(t *testing.T) {
	noise := make([]byte, 100_000)
	r := rand.NewChaCha8([32]byte{7})
	if _, err := r.Read(noise); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"zeros": strings.Repeat("\x00", 4<<20), "noise": string(noise), "byte": "x", "text": strings.Repeat("consent ", 500)} {
		files := slices.Insert(sample("alpha")[7:], 0, testFile{"checkpoint.note", "x\n"}, testFile{"docs/report.de.html", content}, testFile{"docs/report.de.pdf", content})
		c, err := open(t, pack(t, files, ""))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e := c.entries[c.place["docs/report.de.html"]]; (e.method == methodDeflate) != (name == "text") {
			t.Errorf("%s: method %d", name, e.method)
		}
		for _, file := range []string{"docs/report.de.html", "docs/report.de.pdf"} {
			if b, err := c.File(file); err != nil || string(b) != content {
				t.Errorf("%s in %s: %d bytes, %v", name, file, len(b), err)
			}
		}
	}
}
