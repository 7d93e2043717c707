package testbundle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// File is a file of a container.
type File struct {
	Name    string
	Content []byte
}

// Files are the files of a container, in its order. Its methods give others and leave it
// as it is: what somebody makes of it who hands it on, or who made it.
type Files []File

// The files that say what the others are.
const (
	mimetype  = "mimetype"
	manifest  = "META-INF/ASiCManifest001.xml"
	signature = "META-INF/manifest.sig"
	token     = "META-INF/timestamp001.tst"
)

// Open takes a container apart.
func Open(t testing.TB, asice []byte) (list Files) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(asice), int64(len(asice)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, File{f.Name, content})
	}
	return list
}

// place gives where a file of this name stands, -1 for nowhere.
func (l Files) place(name string) int {
	return slices.IndexFunc(l, func(f File) bool { return f.Name == name })
}

// Get gives the content of a file that is there.
func (l Files) Get(t testing.TB, name string) []byte {
	t.Helper()
	i := l.place(name)
	if i < 0 {
		t.Fatalf("there is no file %q", name)
	}
	return l[i].Content
}

// Names gives the names that begin with a prefix.
func (l Files) Names(prefix string) (names []string) {
	for _, f := range l {
		if strings.HasPrefix(f.Name, prefix) {
			names = append(names, f.Name)
		}
	}
	return names
}

// With gives them with this content of a file, which may be new: then it stands where
// containers have such a file.
func (l Files) With(t testing.TB, name string, content []byte) Files {
	t.Helper()
	l = slices.Clone(l)
	if i := l.place(name); i >= 0 {
		l[i].Content = content
		return l
	}
	i := 1
	for ; i < len(l) && before(l[i].Name, name); i++ {
	}
	return slices.Insert(l, i, File{name, content})
}

// before reports whether a file stands before another in a container, by the order of
// CONTAINER.md.
func before(a, b string) bool {
	ra, na := rank(a)
	rb, nb := rank(b)
	if ra != rb {
		return ra < rb
	}
	for i := range min(len(na), len(nb)) {
		if len(na[i]) != len(nb[i]) && digits(na[i]) && digits(nb[i]) {
			return len(na[i]) < len(nb[i])
		}
		if na[i] != nb[i] {
			// A checkpoint stands before its tokens.
			return nb[i] != "note" && (na[i] == "note" || na[i] < nb[i])
		}
	}
	return len(na) < len(nb)
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

var order = []string{mimetype, "checkpoint.note", "custody.json", "docs/", "evidence/bundle.json", "evidence/entries/", "evidence/proofs/", "evidence/disclosures/",
	"evidence/files/", "evidence/notices/", "evidence/state/", "evidence/checkpoints/", "evidence/consistency/", "trust/trust.keys", "trust/tsa/", manifest, signature, token}

// rank gives the place of a file's directory, and what its name consists of.
func rank(name string) (int, []string) {
	i := slices.IndexFunc(order, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	if i < 0 {
		return slices.Index(order, manifest) - 1, []string{name}
	}
	rest := strings.TrimPrefix(name, order[i])
	if order[i] == "docs/" {
		return i, []string{rest}
	}
	return i, strings.FieldsFunc(rest, func(r rune) bool { return r == '.' || r == '-' })
}

// Less gives them without the files of these names.
func (l Files) Less(names ...string) Files {
	return slices.DeleteFunc(slices.Clone(l), func(f File) bool { return slices.Contains(names, f.Name) })
}

// Zip packs the files as they stand, stored.
func (l Files) Zip(t testing.TB) []byte {
	t.Helper()
	return l.zip(t, func(content []byte) (packed []byte, method uint16) { return content, zip.Store })
}

// Deflate packs the files as they stand; those that get smaller are deflated, but for
// mimetype.
func (l Files) Deflate(t testing.TB) []byte {
	t.Helper()
	return l.zip(t, func(content []byte) (packed []byte, method uint16) {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		if err == nil {
			_, err = w.Write(content)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.Len() >= len(content) || string(content) == bundle.MediaType {
			return content, zip.Store
		}
		return b.Bytes(), zip.Deflate
	})
}

func (l Files) zip(t testing.TB, pack func(content []byte) (packed []byte, method uint16)) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range l {
		packed, method := pack(f.Content)
		h := &zip.FileHeader{Name: f.Name, CreatorVersion: 20, ReaderVersion: 20, Method: method, CRC32: crc32.ChecksumIEEE(f.Content),
			CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(len(f.Content))}
		//lint:ignore SA1019 CreateHeader would add an extra field
		h.ModifiedDate = 1<<5 | 1
		w, err := z.CreateRaw(h)
		if err == nil {
			_, err = w.Write(packed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Listed gives them with a manifest that lists them as they are, under the signatures
// and the time stamp of before: what somebody can make who has no keys.
func (l Files) Listed(t testing.TB) Files {
	t.Helper()
	return l.With(t, manifest, Manifest(l))
}

// Signed gives them with a manifest that lists them as they are, signed anew: what an
// operator can make. A time stamp of the former manifest is left out.
func (l Files) Signed(t testing.TB, signer *ledger.Signer) Files {
	t.Helper()
	l = l.Less(token).Listed(t)
	return l.With(t, signature, Signatures(signer, l.Get(t, manifest)))
}

// Manifest lists the files that a manifest lists, in their order, by the template of
// CONTAINER.md.
func Manifest(l Files) []byte {
	var b bytes.Buffer
	b.WriteString(`<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">` + "\n")
	reference := [2]string{"text/plain", signature}
	if l.place(token) >= 0 {
		reference = [2]string{"application/vnd.etsi.timestamp-token", token}
	}
	fmt.Fprintf(&b, `<asic:SigReference MimeType="%s" URI="%s"/>`+"\n", reference[0], reference[1])
	for _, f := range l {
		if f.Name == mimetype || strings.HasPrefix(f.Name, "META-INF/") {
			continue
		}
		sum := sha256.Sum256(f.Content)
		fmt.Fprintf(&b, `<asic:DataObjectReference MimeType="%s" URI="%s"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>%s</ds:DigestValue></asic:DataObjectReference>`+"\n",
			media(f.Name), f.Name, base64.StdEncoding.EncodeToString(sum[:]))
	}
	b.WriteString("</asic:ASiCManifest>\n")
	return b.Bytes()
}

// media gives the type of a file in the manifest.
func media(name string) string {
	for _, m := range []struct{ prefix, suffix, media string }{
		{"custody", ".json", "application/json"}, {"docs/", ".html", "text/html"}, {"docs/", ".pdf", "application/pdf"},
		{"evidence/bundle.json", "", "application/vnd.consent-ledger.bundle.v1+json"}, {"evidence/files/", "", "application/octet-stream"},
		{"evidence/notices/", "", "application/octet-stream"}, {"evidence/checkpoints/", ".tst", "application/vnd.etsi.timestamp-token"},
		{"trust/tsa/", ".pem", "application/x-pem-file"},
	} {
		if strings.HasPrefix(name, m.prefix) && strings.HasSuffix(name, m.suffix) {
			return m.media
		}
	}
	return "text/plain"
}

// Signatures gives the file with the log's signatures over a manifest.
func Signatures(signer *ledger.Signer, manifest []byte) []byte {
	sum := sha256.Sum256(manifest)
	keys := signer.Keys()
	ed, ml := signer.SignKeyText([]byte(bundle.Format + "\n" + signer.Origin() + "\n" + hex.EncodeToString(sum[:]) + "\n"))
	return fmt.Appendf(nil, "%08x %s\n%08x %s\n", keys.Ed25519.ID(), base64.StdEncoding.EncodeToString(ed), keys.MLDSA44.ID(), base64.StdEncoding.EncodeToString(ml))
}
