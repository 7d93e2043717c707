package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs another tool, and skips the test where it is missing.
func run(t *testing.T, dir string, stdin string, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is missing", name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// onDisk writes a container with a token into a new directory.
func onDisk(t *testing.T) (dir string, files []testFile) {
	t.Helper()
	dir, files = t.TempDir(), sample("alpha")
	if err := os.WriteFile(filepath.Join(dir, "case.asice"), pack(t, files, "\x30\x03abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, files
}

// TestUnzip: Info-ZIP finds nothing to complain of, and sha256sum finds in the
// unpacked files what the manifest says.
func TestUnzip(t *testing.T) {
	dir, files := onDisk(t)
	if out := run(t, dir, "", "unzip", "-t", "case.asice"); !strings.Contains(out, "No errors detected") {
		t.Errorf("unzip -t: %s", out)
	}
	run(t, dir, "", "unzip", "-q", "case.asice", "-d", "out")
	out := filepath.Join(dir, "out")
	for _, f := range files {
		if b, err := os.ReadFile(filepath.Join(out, f.name)); err != nil || string(b) != f.content {
			t.Errorf("%s: %q, %v", f.name, b, err)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(out, string(KindManifest)))
	if err != nil {
		t.Fatal(err)
	}
	var sums strings.Builder
	for _, f := range asFound(t, manifest) {
		b, err := base64.StdEncoding.DecodeString(f.DigestValue)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(b), f.URI)
	}
	if got := run(t, out, sums.String(), "sha256sum", "-c"); strings.Count(got, ": OK\n") != len(files) {
		t.Errorf("sha256sum -c: %s", got)
	}
	for _, f := range files[:3] { // the digest as the manifest spells it
		sum := run(t, out, "", "openssl", "dgst", "-sha256", "-binary", f.name)
		if !bytes.Contains(manifest, []byte(base64.StdEncoding.EncodeToString([]byte(sum)))) {
			t.Errorf("openssl dgst of %s is not in the manifest", f.name)
		}
	}
}

// reference is what a reader of XML makes of a line of the manifest.
type reference struct {
	URI          string `xml:"URI,attr"`
	MimeType     string `xml:"MimeType,attr"`
	DigestMethod struct {
		Algorithm string `xml:"Algorithm,attr"`
	} `xml:"http://www.w3.org/2000/09/xmldsig# DigestMethod"`
	DigestValue string `xml:"http://www.w3.org/2000/09/xmldsig# DigestValue"`
}

func asFound(t *testing.T, manifest []byte) []reference {
	t.Helper()
	var m struct {
		XMLName      xml.Name    `xml:"http://uri.etsi.org/02918/v1.2.1# ASiCManifest"`
		SigReference reference   `xml:"http://uri.etsi.org/02918/v1.2.1# SigReference"`
		Objects      []reference `xml:"http://uri.etsi.org/02918/v1.2.1# DataObjectReference"`
	}
	if err := xml.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	if m.SigReference.URI != string(KindToken) || m.SigReference.MimeType != tokenMedia {
		t.Errorf("SigReference is %+v", m.SigReference)
	}
	for _, o := range m.Objects {
		if o.DigestMethod.Algorithm != "http://www.w3.org/2001/04/xmlenc#sha256" {
			t.Errorf("%s: %s", o.URI, o.DigestMethod.Algorithm)
		}
	}
	return m.Objects
}

// TestPython: Python's zipfile reads what we write.
func TestPython(t *testing.T) {
	dir, files := onDisk(t)
	out := run(t, dir, "", "python3", "-c", `
import hashlib, zipfile
z = zipfile.ZipFile("case.asice")
assert z.testzip() is None
first = z.infolist()[0]
assert first.filename == "mimetype" and first.compress_type == 0 and first.extra == b"" and first.header_offset == 0
for i in z.infolist():
    assert i.date_time == (1980, 1, 1, 0, 0, 0) and i.flag_bits == 0 and i.extra == b"" and i.comment == b"", i
    print(hashlib.sha256(z.read(i)).hexdigest(), i.filename)
`)
	for _, f := range files {
		sum := hashOf(f.content)
		if want := hex.EncodeToString(sum[:]) + " " + f.name + "\n"; !strings.Contains(out, want) {
			t.Errorf("Python does not print %s", want)
		}
	}
}

// TestFirstBytes: file(1) and others tell the type of an ASiC by what stands at
// fixed places (ETSI EN 319 162-1, annex A.1).
func TestFirstBytes(t *testing.T) {
	b := pack(t, sample("alpha"), "")
	if string(b[:4]) != "PK\x03\x04" || string(b[30:38]) != "mimetype" || string(b[38:38+len(MediaType)]) != MediaType {
		t.Errorf("begins with %q", b[:80])
	}
}

// TestOpenSSLSignature: the log's Ed25519 signature can be checked without us.
func TestOpenSSLSignature(t *testing.T) {
	dir := t.TempDir()
	c, err := open(t, pack(t, sample("alpha"), ""))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := c.File(string(KindSignature))
	if err != nil {
		t.Fatal(err)
	}
	key := testSigner(t, 1).Keys().Ed25519
	line, _, _ := strings.Cut(string(sig), "\n")
	id, text, _ := strings.Cut(line, " ")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || id != fmt.Sprintf("%08x", key.ID()) {
		t.Fatal(id, err)
	}
	spki := append([]byte("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"), key.Key...) // RFC 8410
	manifest := c.Manifest()
	for name, content := range map[string][]byte{"sig": raw, "log.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		"text": []byte("consent-ledger/bundle/v1\n" + origin + "\n" + hex.EncodeToString(manifest[:]) + "\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := run(t, dir, "", "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "log.pem", "-rawin", "-in", "text", "-sigfile", "sig")
	if !strings.Contains(out, "Signature Verified Successfully") {
		t.Error(out)
	}
}

// TestRepacked: compression, dates and permissions are nobody's evidence, so a
// container that another tool packed anew, in the same order and without extra
// fields, is as good. With extra fields or data descriptors it is refused.
func TestRepacked(t *testing.T) {
	dir, files := onDisk(t)
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Run("Python", func(t *testing.T) {
		run(t, dir, "", "python3", "-c", `
import zipfile
a, b = zipfile.ZipFile("case.asice"), zipfile.ZipFile("python.asice", "w")
for i in a.infolist():
    b.writestr(zipfile.ZipInfo(i.filename, (2026, 11, 22, 14, 0, 0)), a.read(i), zipfile.ZIP_STORED if i.filename == "mimetype" else zipfile.ZIP_DEFLATED)
b.close()`)
		if _, err := open(t, read("python.asice")); err != nil {
			t.Error(err)
		}
	})
	t.Run("Info-ZIP", func(t *testing.T) {
		run(t, dir, "", "unzip", "-q", "case.asice", "-d", "out")
		names := ""
		for _, f := range files {
			names += f.name + "\n"
		}
		names += string(KindManifest) + "\n" + string(KindSignature) + "\n" + string(KindToken) + "\n"
		out := filepath.Join(dir, "out")
		run(t, out, "", "zip", "-q", "-X", "-0", "../zip.asice", "mimetype")
		run(t, out, names, "zip", "-q", "-X", "-@", "../zip.asice")
		if _, err := open(t, read("zip.asice")); err != nil {
			t.Error(err)
		}
		run(t, out, "mimetype\n"+names, "zip", "-q", "-@", "../extra.asice")
		wantInvalid(t, read("extra.asice"), "extra field")
	})
	t.Run("Go", func(t *testing.T) {
		old := read("case.asice")
		r, err := zip.NewReader(bytes.NewReader(old), int64(len(old)))
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		for _, f := range r.File {
			from, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			to, err := w.Create(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(to, from); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		wantInvalid(t, buf.Bytes(), "data descriptors")
	})
}
