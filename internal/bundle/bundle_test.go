package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

const origin = "ledger.example.com/shop"

// testSigner gives a signer whose signatures are the same at every run.
func testSigner(t testing.TB, seed byte) *ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(origin, [32]byte{seed, 1}, [32]byte{seed, 2})
	if err != nil {
		t.Fatal(err)
	}
	return s.Deterministic()
}

// testFile is a file on its way into a container.
type testFile struct {
	name    string
	content string
}

func hashOf(s string) ledger.Hash { return sha256.Sum256([]byte(s)) }

// sample gives files of every kind, in their order, but those of META-INF and
// mimetype. word makes two samples differ in every file.
func sample(word string) []testFile {
	mail, notice := "From: shop@example.com\r\n\r\nÄgypten "+word, "Ja, ich will. "+word
	text := strings.Repeat(word+" is said here. ", 20)
	return []testFile{
		{"checkpoint.note", origin + "\n7\n" + hashOf(word).String() + "\n\n— a b" + word + "\n"},
		{"custody.json", `{"recipient":"court ` + word + `"}`},
		{"docs/VERIFY.txt", text},
		{"docs/report.de.html", "<!doctype html><title>" + word + "</title>" + text},
		{"docs/report.de.pdf", "%PDF-1.7 de " + word},
		{"docs/report.en.html", "<!doctype html>" + text},
		{"docs/report.en.pdf", "%PDF-1.7 en " + word},
		{"evidence/bundle.json", `{"format":"consent-ledger/bundle/v1","origin":"` + origin + `","x":"` + word + `"}`},
		{EntryPath(2), "2 " + word + "\n"},
		{EntryPath(10), "10 " + word + "\n"},
		{ProofPath(2), "c2sp.org/tlog-proof@v1\nindex 2 " + word + "\n"},
		{ProofPath(10), "c2sp.org/tlog-proof@v1\nindex 10 " + word + "\n"},
		{DisclosurePath(2, "email"), "WyJ" + word},
		{DisclosurePath(2, "x.shop-id"), "WyK" + word},
		{FilePath(hashOf(mail)), mail},
		{NoticePath(hashOf(notice)), notice},
		{StatePath(2), "consent-ledger/state-proof/v1\nconsent 2 " + word + "\n"},
		{BoundPath(3), "three " + word + "\n"},
		{BoundTokenPath(3, 1), "\x30\x82" + word},
		{BoundTokenPath(3, 2), "\x30\x83" + word},
		{BoundPath(5), "five " + word + "\n"},
		{ConsistencyPath(3, 5), hashOf(word+"c").String() + "\n"},
		{ConsistencyPath(5, 7), ""},
		{"trust/trust.keys", "keys " + word + "\n"},
		{AuthorityPath(1), "-----BEGIN CERTIFICATE-----\n" + word},
	}
}

// pack writes a container, signed by the log with the seed 1.
func pack(t testing.TB, files []testFile, token string) []byte {
	t.Helper()
	b, err := packWith(files, testSigner(t, 1), token)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func packWith(files []testFile, signer Signer, token string) ([]byte, error) {
	var buf bytes.Buffer
	w, err := NewWriter(&buf)
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		path, _ := ParsePath(f.name)
		if path.info != nil && !path.info.deflate && i%2 == 0 { // both ways give the same bytes
			err = w.CopyFile(f.name, strings.NewReader(f.content))
		} else {
			err = w.WriteFile(f.name, []byte(f.content))
		}
		if err != nil {
			return nil, err
		}
	}
	err = w.Close(signer, func(ledger.Hash) ([]byte, error) { return []byte(token), nil })
	return buf.Bytes(), err
}

// open opens a container and verifies its signature by the log with the seed 1,
// as everybody must.
func open(t testing.TB, b []byte) (*Container, error) {
	t.Helper()
	c, err := Open(bytes.NewReader(b), int64(len(b)))
	if c == nil && err == nil || c != nil && err != nil && !errors.Is(err, ledger.ErrNewer) {
		t.Fatalf("Open gives %v and %v", c, err)
	}
	if c != nil {
		err = errors.Join(err, c.VerifySignature(testSigner(t, 1).Keys()))
	}
	return c, err
}

// wantInvalid checks that b is refused, with a reason that has these words.
func wantInvalid(t *testing.T, b []byte, words string) {
	t.Helper()
	_, err := open(t, b)
	if ledger.VerdictOf(err) != ledger.Invalid || err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("verdict %v, error %v; want INVALID, %q", ledger.VerdictOf(err), err, words)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, token := range []string{"", "\x30\x03abc"} {
		files := sample("alpha")
		b := pack(t, files, token)
		c, err := open(t, b)
		if err != nil {
			t.Fatal(err)
		}
		if c.Stamped() != (token != "") {
			t.Errorf("Stamped is %v", c.Stamped())
		}
		want := append([]testFile{{"mimetype", MediaType}}, files...)
		listed := c.Files()
		for i, f := range want {
			content, err := c.File(f.name)
			info, ok := c.Lookup(f.name)
			if err != nil || string(content) != f.content || !ok || info.SHA256 != hashOf(f.content) || listed[i].Name != f.name || info.Size != int64(len(f.content)) {
				t.Errorf("%s: %q, %v, %v", f.name, content, info, err)
			}
		}
		manifest, err := c.File(string(KindManifest))
		if err != nil || hashOf(string(manifest)) != c.Manifest() {
			t.Errorf("Manifest is not that of the manifest: %v", err)
		}
		if _, err := c.File("evidence/entries/3.txt"); !errors.Is(err, ledger.ErrMissing) {
			t.Errorf("a file that is not there: %v", err)
		}
		if _, ok := c.Lookup("evidence/entries/3.txt"); ok {
			t.Error("Lookup finds what is not there")
		}
	}
}

// TestConcurrent: many may read one container.
func TestConcurrent(t *testing.T) {
	c, err := open(t, pack(t, sample("alpha"), ""))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, f := range c.Files() {
				if b, err := c.File(f.Name); err != nil || hashOf(string(b)) != f.SHA256 {
					t.Errorf("%s: %v", f.Name, err)
				}
			}
			if err := c.VerifySignature(testSigner(t, 1).Keys()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestKinds checks that the sample has every kind, that each name parses to its
// kind, and that the order of the table is the order of the container.
func TestKinds(t *testing.T) {
	var seen []Kind
	var last Path
	for _, f := range append(append([]testFile{{"mimetype", ""}}, sample("a")...),
		testFile{string(KindManifest), ""}, testFile{string(KindSignature), ""}, testFile{string(KindToken), ""}) {
		p, err := ParsePath(f.name)
		if err != nil || p.Kind == KindUnknown {
			t.Fatalf("%s: %v %v", f.name, p, err)
		}
		if last.info != nil && last.compare(p) >= 0 {
			t.Errorf("%s is not after the one before", f.name)
		}
		last = p
		if !slices.Contains(seen, p.Kind) {
			seen = append(seen, p.Kind)
		}
	}
	var all []Kind
	for _, info := range kindInfos {
		all = append(all, info.kind)
	}
	if !slices.Equal(seen, all) {
		t.Errorf("kinds are %q, the table has %q", seen, all)
	}
}

func TestParsePath(t *testing.T) {
	hex := strings.Repeat("0f", 32)
	for name, want := range map[string]Path{
		"evidence/entries/0.txt":                   {Kind: KindEntry},
		"evidence/proofs/12.tlog-proof":            {Kind: KindProof, Numbers: [2]int64{12}},
		"evidence/disclosures/3.x.a.txt.txt":       {Kind: KindDisclosure, Numbers: [2]int64{3}, Text: "x.a.txt"},
		"evidence/files/" + hex:                    {Kind: KindFile, Text: hex},
		"evidence/checkpoints/9.2.tst":             {Kind: KindBoundToken, Numbers: [2]int64{9, 2}},
		"evidence/consistency/3-12.txt":            {Kind: KindConsistency, Numbers: [2]int64{3, 12}},
		"evidence/consistency/12-3.txt":            {Text: "evidence/consistency/12-3.txt"},
		"evidence/consistency/3-3.txt":             {Text: "evidence/consistency/3-3.txt"},
		"evidence/entries/01.txt":                  {Text: "evidence/entries/01.txt"},
		"evidence/entries/1234567890123456789.txt": {Text: "evidence/entries/1234567890123456789.txt"},
		"evidence/disclosures/3.nobody.txt":        {Text: "evidence/disclosures/3.nobody.txt"},
		"evidence/files/" + strings.ToUpper(hex):   {Text: "evidence/files/" + strings.ToUpper(hex)},
		"trust/tsa/0.pem":                          {Text: "trust/tsa/0.pem"},
		"docs/report.fr.html":                      {Text: "docs/report.fr.html"},
	} {
		p, err := ParsePath(name)
		if p.info = nil; err != nil || p != want {
			t.Errorf("%s: %+v, %v; want %+v", name, p, err, want)
		}
	}
	for _, name := range []string{"", "/", "/etc/passwd", "a//b", "a/", "a/../b", "..", ".", "a/./b", ".hidden", "a/b.", `a\b`, "a b", "ä",
		"a\x00b", "a\n", "C:x", "a/" + strings.Repeat("b", MaxPath)} {
		if p, err := ParsePath(name); err == nil {
			t.Errorf("%q is taken as %+v", name, p)
		}
	}
}

// TestNewer: what a later version may have made is told from what is bad, and the
// signature can still be asked for.
func TestNewer(t *testing.T) {
	files := sample("alpha")
	files[7].content = strings.Replace(files[7].content, "/v1", "/v12", 1)
	unknown := slices.Insert(sample("alpha"), 20, testFile{"evidence/videos/1.txt", "v"})
	for name, b := range map[string][]byte{"version": rezip(t, files, nil), "unknown file": rezip(t, unknown, nil)} {
		c, err := open(t, b)
		if c == nil || !errors.Is(err, ledger.ErrNewer) || ledger.VerdictOf(err) != ledger.CannotTell {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	for _, head := range []string{"", "{", `{"format":7}`, `{"format":"consent-ledger/bundle/v01"}`, `{"format":"consent-ledger/bundle/vx"}`,
		`{"origin":"a","format":"consent-ledger/bundle/v1"}`, `["format","consent-ledger/bundle/v1"]`, `{"format":"` + strings.Repeat(" ", 300) + `"}`,
		`{"format":"consent-ledger/report/v1"}`} {
		if err := checkFormat(head); err == nil || errors.Is(err, ledger.ErrNewer) {
			t.Errorf("%s: %v", head, err)
		}
	}
	if err := checkFormat(" {\n \"format\": \"" + Format + "\", \"a\": "); err != nil {
		t.Error(err)
	}
}

// TestUnreadable: that the disk fails says nothing about the container.
func TestUnreadable(t *testing.T) {
	b := pack(t, sample("alpha"), "")
	for i := range 60 {
		_, err := Open(&failing{bytes.NewReader(b), i}, int64(len(b)))
		if err == nil {
			if i < 10 {
				t.Error("only few reads were made")
			}
			break
		}
		if ledger.VerdictOf(err) != ledger.CannotTell || errors.Is(err, ledger.ErrNewer) {
			t.Errorf("read %d fails: %v", i, err)
		}
	}
	// A file that becomes shorter while it is read.
	if _, err := Open(bytes.NewReader(b[:len(b)-10]), int64(len(b))); !errors.Is(err, ledger.ErrMissing) {
		t.Error(err)
	}
	// A file that changes after it was opened.
	mine := slices.Clone(b)
	c, err := Open(bytes.NewReader(mine), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(mine, []byte("%PDF-1.7 de"))
	mine[i+1] ^= 1
	if _, err := c.File("docs/report.de.pdf"); err == nil {
		t.Error("a changed file is given")
	}
	content := mine[i : i+len("%PDF-1.7 de alpha")]
	c.entries[c.place["docs/report.de.pdf"]].crc = crc32.ChecksumIEEE(content) // CRC-32 is easily made to fit
	if _, err := c.File("docs/report.de.pdf"); !errors.Is(err, ledger.ErrMissing) {
		t.Errorf("a changed file is given: %v", err)
	}
}

type failing struct {
	r    *bytes.Reader
	left int
}

func (f *failing) ReadAt(p []byte, offset int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, os.ErrPermission
	}
	return f.r.ReadAt(p, offset)
}

// rawEntry is a file as it is put into a zip file by hand.
type rawEntry struct {
	name    string
	method  uint16
	packed  string // as it stands in the zip file
	content string
	local   func(h []byte) // changes the local header
	central func(h []byte) // changes the directory's
	extra   [2]string      // extra fields: local, central
	comment string
	behind  string // bytes behind the packed ones, such as a data descriptor
}

// rawZip writes a zip file by hand.
func rawZip(entries []rawEntry, end func(h []byte) []byte) []byte {
	le := binary.LittleEndian
	var out, directory []byte
	for _, e := range entries {
		offset := len(out)
		h := make([]byte, 30)
		le.PutUint32(h, localSignature)
		le.PutUint16(h[4:], zipVersion)
		le.PutUint16(h[8:], e.method)
		le.PutUint16(h[12:], firstDate)
		le.PutUint32(h[14:], crc32.ChecksumIEEE([]byte(e.content)))
		le.PutUint32(h[18:], uint32(len(e.packed)))
		le.PutUint32(h[22:], uint32(len(e.content)))
		le.PutUint16(h[26:], uint16(len(e.name)))
		le.PutUint16(h[28:], uint16(len(e.extra[0])))
		c := make([]byte, 46)
		le.PutUint32(c, centralSignature)
		le.PutUint16(c[4:], zipVersion)
		copy(c[6:30], h[4:28])
		le.PutUint16(c[30:], uint16(len(e.extra[1])))
		le.PutUint16(c[32:], uint16(len(e.comment)))
		le.PutUint32(c[42:], uint32(offset))
		name := e.name
		if e.local != nil {
			e.local(h)
		}
		if e.central != nil {
			e.central(c)
		}
		out = append(append(append(append(append(out, h...), name...), e.extra[0]...), e.packed...), e.behind...)
		directory = append(append(append(append(directory, c...), name...), e.extra[1]...), e.comment...)
	}
	h := make([]byte, 22)
	le.PutUint32(h, endSignature)
	le.PutUint16(h[8:], uint16(len(entries)))
	le.PutUint16(h[10:], uint16(len(entries)))
	le.PutUint32(h[12:], uint32(len(directory)))
	le.PutUint32(h[16:], uint32(len(out)))
	if end != nil {
		h = end(h)
	}
	return append(append(out, directory...), h...)
}

// rezip makes a container by hand, all stored, with a manifest of its files that
// the log has signed, as a log with a later version or a malicious operator could.
func rezip(t testing.TB, files []testFile, change func([]rawEntry) []rawEntry) []byte {
	t.Helper()
	entries := stored(t, files)
	if change != nil {
		entries = change(entries)
	}
	return rawZip(entries, nil)
}

func stored(t testing.TB, files []testFile) []rawEntry {
	t.Helper()
	entries := []rawEntry{{name: "mimetype", packed: MediaType, content: MediaType}}
	manifest := manifestHead(false)
	for _, f := range files {
		entries = append(entries, rawEntry{name: f.name, packed: f.content, content: f.content})
		media := bytesMedia
		if p, err := ParsePath(f.name); err == nil && p.Kind != KindUnknown {
			media = p.info.media
		}
		manifest += manifestLine{f.name, media, hashOf(f.content)}.String()
	}
	manifest += manifestTail
	sig := sign(testSigner(t, 1), hashOf(manifest)).String()
	return append(entries, rawEntry{name: string(KindManifest), packed: manifest, content: manifest},
		rawEntry{name: string(KindSignature), packed: sig, content: sig})
}
