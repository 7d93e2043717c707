package verdict

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

func replaced(t testing.TB, text, before, after string) string {
	t.Helper()
	if !strings.Contains(text, before) {
		t.Fatalf("no %q in %q", before, text)
	}
	return strings.Replace(text, before, after, 1)
}

// repacked changes the content of a file of a container, or adds it last before the
// manifest, and signs the manifest anew, as the container's writer would refuse to.
func (m *made) repacked(signer bundle.Signer, name, content string) []byte {
	m.Helper()
	z, err := zip.NewReader(bytes.NewReader(m.written()), int64(len(m.written())))
	if err != nil {
		m.Fatal(err)
	}
	names, files := []string{}, map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			m.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			m.Fatal(err)
		}
		if f.Name == string(bundle.KindManifest) && files[name] == "" {
			names = append(names, name)
		}
		names, files[f.Name] = append(names, f.Name), string(b)
	}
	line := func(content string) string {
		sum := sha256.Sum256([]byte(content))
		return "<ds:DigestValue>" + base64.StdEncoding.EncodeToString(sum[:])
	}
	manifest := files[string(bundle.KindManifest)]
	if files[name] != "" {
		manifest = replaced(m, manifest, line(files[name]), line(content))
	} else {
		last := manifest[strings.LastIndex(manifest, "<asic:DataObjectReference"):strings.LastIndex(manifest, "</asic:ASiCManifest>")]
		again := last[:strings.Index(last, "URI=\"")] + `URI="` + name + last[strings.Index(last, "\"><ds:"):]
		at := strings.Index(again, "<ds:DigestValue>")
		again = replaced(m, again[:at]+line(content)+again[strings.Index(again, "</ds:DigestValue>"):], `MimeType="text/plain"`, `MimeType="application/octet-stream"`)
		manifest = replaced(m, manifest, "</asic:ASiCManifest>", again+"</asic:ASiCManifest>")
	}
	files[name], files[string(bundle.KindManifest)] = content, manifest
	ed, ml := signer.SignKeyText(bundle.SignedText(testOrigin, sha256.Sum256([]byte(manifest))))
	files[string(bundle.KindSignature)] = fmt.Sprintf("%08x %s\n%08x %s\n", signer.Keys().Ed25519.ID(), base64.StdEncoding.EncodeToString(ed),
		signer.Keys().MLDSA44.ID(), base64.StdEncoding.EncodeToString(ml))
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		h := &zip.FileHeader{Name: name, CreatorVersion: 20, ReaderVersion: 20, CRC32: crc32.ChecksumIEEE([]byte(files[name])),
			CompressedSize64: uint64(len(files[name])), UncompressedSize64: uint64(len(files[name]))}
		f, err := w.CreateRaw(h)
		if err == nil {
			_, err = io.WriteString(f, files[name])
		}
		if err != nil {
			m.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		m.Fatal(err)
	}
	return b.Bytes()
}

// A container of a later version cannot be judged, unless somebody else signed it.
func TestNewerContainer(t *testing.T) {
	m := newStory(t).exported()
	index := string(m.index.Text())
	forged := newSigner(t, "stranger")
	for _, c := range []struct {
		name          string
		file, content string
		signer        bundle.Signer
		verdict       ledger.Verdict
		words         string
	}{
		{"the same", "evidence/bundle.json", index, m.signer(m.size), ledger.Verified, ""},
		{"version 2", "evidence/bundle.json", replaced(t, index, "bundle/v1", "bundle/v2"), m.signer(m.size), ledger.CannotTell, "needs a newer verifier"},
		{"version 2, forged", "evidence/bundle.json", replaced(t, index, "bundle/v1", "bundle/v2"), half{m.signer(m.size), forged}, ledger.Invalid, "META-INF/manifest.sig"},
		{"a new file", "later/file", "x", m.signer(m.size), ledger.CannotTell, "needs a newer verifier"},
		{"signed by others", "evidence/bundle.json", index, forged, ledger.CannotTell, "signed by the keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := m.repacked(c.signer, c.file, c.content)
			_, err := Verify(context.Background(), bytes.NewReader(b), int64(len(b)), Options{Policy: m.policy(), Stamps: stamps})
			wants(t, err, c.verdict, c.words)
		})
	}
}

// half says that it has one pair of keys, and signs with another.
type half struct {
	*ledger.Signer
	with *ledger.Signer
}

func (h half) SignKeyText(text []byte) ([]byte, []byte) { return h.with.SignKeyText(text) }

// No byte of a bundle can be changed so that the verdict is another one and good. Those
// that change nothing at all are the dates and attributes of a zip file.
func TestFlipped(t *testing.T) {
	m := newStory(t).exported()
	b := m.written()
	opt := Options{Policy: m.policy(), Stamps: stamps}
	want, err := Verify(context.Background(), bytes.NewReader(b), int64(len(b)), opt)
	wants(t, err, ledger.Verified, "")
	same, _ := json.Marshal(want)
	const step = 61
	unseen := 0
	for i := 0; i < len(b); i += step {
		changed := bytes.Clone(b)
		changed[i] ^= 1 << (i % 8)
		rep, err := Verify(context.Background(), bytes.NewReader(changed), int64(len(changed)), opt)
		if err == nil {
			if got, _ := json.Marshal(rep); !bytes.Equal(got, same) {
				t.Errorf("byte %d: another report", i)
			}
			unseen++
		} else if v := ledger.VerdictOf(err); v != ledger.Invalid && !bytes.Contains([]byte(err.Error()), []byte("signed by the keys")) {
			t.Errorf("byte %d: %v: %v", i, v, err)
		}
	}
	if unseen > len(b)/step/20 {
		t.Errorf("%d of %d bytes may be changed", unseen, len(b)/step)
	}
}

// A file that cannot be read says nothing against the bundle, nor does a reader who stops.
func TestUnreadable(t *testing.T) {
	m := newStory(t).exported()
	b := m.written()
	_, err := Verify(context.Background(), broken{}, int64(len(b)), Options{Policy: m.policy()})
	wants(t, err, ledger.CannotTell, "gone")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Verify(ctx, bytes.NewReader(b), int64(len(b)), Options{Policy: m.policy()})
	wants(t, err, ledger.CannotTell, "canceled")
	_, err = Verify(context.Background(), bytes.NewReader(b[:len(b)-1]), int64(len(b)-1), Options{Policy: m.policy()})
	wants(t, err, ledger.Invalid, "container")
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("gone") }
