package logfiles

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/consentledger/consentledger/ledger"
)

// FuzzRemote: a log's URL leads to its files, the key goes to nobody else, and no error
// repeats a password.
func FuzzRemote(f *testing.F) {
	for _, base := range []string{"https://log.example/log", "http://127.0.0.1:8080/log/", "https://shop:s3cr3t-word@log.example", "https://log.example?", "https://log.example#",
		"http://localhost", "http://[::1]:80/log", "https://log.example/%2e%2e", "http://", "http://127.0.0.1.example/"} {
		f.Add(base, "checkpoint")
	}
	f.Fuzz(func(t *testing.T, base, path string) {
		s := Source{Where: base, Key: "clk_key"}
		warned := false
		s.Warn = func(string) { warned = true }
		if !s.isURL() {
			return
		}
		r, err := s.openRemote()
		if err != nil {
			if !errors.Is(err, ledger.ErrMissing) || strings.Contains(err.Error(), "s3cr3t-word") {
				t.Errorf("refused as %v", err)
			}
			return
		}
		asked := new(url.URL)
		r.client.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
			asked = req.URL
			return nil, io.ErrUnexpectedEOF
		})
		if _, err := r.ReadPath(t.Context(), "checkpoint"); err == nil {
			t.Error("an answer that did not come is a file")
		}
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		if asked.Host != "" && (asked.Hostname() != u.Hostname() || asked.Port() != u.Port() || asked.Scheme != u.Scheme || !strings.HasSuffix(asked.EscapedPath(), "/checkpoint") || asked.RawQuery != "") {
			t.Errorf("%q asks %v", base, asked)
		}
		if local := isLoopback(u.Hostname()); warned != (u.Scheme == "http" && !local) {
			t.Errorf("%q: warned %v", base, warned)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// FuzzDirectory: a directory gives the files in it, whole or not at all, and nothing
// outside of it, whatever the path.
func FuzzDirectory(f *testing.F) {
	top := f.TempDir()
	dir := filepath.Join(top, "export")
	content := map[string][]byte{"checkpoint": []byte("c"), "tile/0/000.p/1": bytes.Repeat([]byte{1}, 32), "notices/00": []byte("n"), "trust.keys": []byte("k")}
	for name, b := range content {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), b, 0o600)); err != nil {
			f.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600), os.Symlink("../secret", filepath.Join(dir, "link"))); err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{"checkpoint", "tile/0/000.p/1", "../secret", "tile/../../secret", "link", "tile", ".", "", "/etc/hostname", "notices/00/", "a\x00b"} {
		f.Add(path, []byte("x"), int64(1))
	}
	f.Add("tile/0/000", make([]byte, 9000), int64(0))
	f.Fuzz(func(t *testing.T, path string, sent []byte, hint int64) {
		d, err := openDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		b, err := d.ReadPath(t.Context(), path)
		if want, known := content[filepath.Clean(path)]; err == nil && (!known || !bytes.Equal(b, want)) {
			t.Errorf("%q gives %q", path, b)
		}
		if hint < 0 || hint > int64(len(sent))+1 {
			hint = 0
		}
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(sent), "one by one": iotest.OneByteReader(bytes.NewReader(sent)), "with its end": iotest.DataErrReader(bytes.NewReader(sent))} {
			b, err := readLimited(r, path, hint)
			if tooMuch := int64(len(sent)) > maxSize(path); (err != nil) != tooMuch || err == nil && !bytes.Equal(b, sent) {
				t.Errorf("%s: %d bytes of %q are read as %d, %v", name, len(sent), path, len(b), err)
			}
		}
		read, err := ReadInput("policy", "-", 100, bytes.NewReader(sent))
		if (err == nil) != (len(sent) <= 100) || err == nil && !bytes.Equal(read, sent) {
			t.Errorf("%d bytes of at most 100 are read as %d, %v", len(sent), len(read), err)
		}
	})
}
