package tlog

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// FuzzPath: every file of the log has one path, and what is not in the log is nowhere,
// whatever is asked for and however it is to be packed.
func FuzzPath(f *testing.F) {
	s := testledger.New(f)
	testledger.Fill(f, s, 300)
	size := ledger.Size(301)
	sum := sha256.Sum256([]byte(testledger.NoticeText))
	notice := "notices/" + hex.EncodeToString(sum[:])
	for _, path := range []string{"checkpoint", "trust.keys", "tile/0/000", "tile/0/001.p/45", "tile/entries/000", "tile/entries/001.p/7", "tile/1/000.p/1", notice,
		"tile/0/x000/000", "tile/0/0", "tile/00/000", "tile/entries/001", "tile/entries/001.p/46", "tile/0/000/../../../checkpoint", "./checkpoint", "checkpoint/", "/checkpoint",
		"CHECKPOINT", "%63heckpoint", "tile%2f0%2f000", strings.ToUpper(notice), "notices/" + strings.ToUpper(notice[8:]), "anchors/00", "tile/0/000.p/256", "tile/entries/000.p/0256", "notices/", "tile/63/999"} {
		f.Add(path, "gzip")
		f.Add(path, "*;q=0, gzip;q=0.5")
	}
	f.Add("tile/entries/000", "gzip;q=0")
	f.Add("tile/entries/000", "gzip;q=NaN")
	h := New(s, slog.New(slog.DiscardHandler))
	ask := func(t *testing.T, target *url.URL, accept string) (*httptest.ResponseRecorder, []byte) {
		out := httptest.NewRecorder()
		h.ServeHTTP(out, &http.Request{Method: http.MethodGet, URL: target, Header: http.Header{"Accept-Encoding": {accept}}})
		b := out.Body.Bytes()
		if out.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(out.Body)
			if err != nil {
				t.Fatal(err)
			}
			if b, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
			if lower := strings.ToLower(accept); !strings.Contains(lower, "gzip") && !strings.Contains(lower, "*") {
				t.Errorf("packed for whoever accepts %q", accept)
			}
		}
		return out, b
	}
	f.Fuzz(func(t *testing.T, path, accept string) {
		target, err := url.ParseRequestURI(Prefix + path)
		if err != nil {
			return
		}
		out, b := ask(t, target, accept)
		if out.Code == http.StatusNotFound && !strings.HasPrefix(path, "checkpoint?") && path != "checkpoint" {
			if level, n, width, err := ledger.ParseTilePath(path); err == nil {
				if full, partial := ledger.TileRange(size, level); n < full || n == full && width <= partial {
					t.Errorf("%s is in the log, and not found", path)
				}
			}
			return
		}
		path, _, _ = strings.Cut(path, "?") // no file has another content for a query
		if out.Code != http.StatusOK {
			t.Fatalf("%q: status %d, %q", path, out.Code, b)
		}
		if plain, want := ask(t, target, "identity"); plain.Code != http.StatusOK || !bytes.Equal(b, want) {
			t.Errorf("%q is another file when it is packed", path)
		}
		kind, name, _ := strings.Cut(path, "/")
		level, n, width, tileErr := ledger.ParseTilePath(path)
		full, partial := ledger.TileRange(size, level)
		switch {
		case path == "checkpoint", path == "trust.keys":
		case kind == "notices" || kind == "anchors":
			if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != name {
				t.Errorf("%q has another hash", path)
			}
		case tileErr != nil || n > full || n == full && width > partial:
			t.Errorf("%q is no file of the log", path)
		case level >= 0 && len(b) != width*len(ledger.Hash{}):
			t.Errorf("%q has %d bytes", path, len(b))
		case level < 0:
			if entries, err := ledger.ParseBundle(b); err != nil || len(entries) != width {
				t.Errorf("%q has %d entries, %v", path, len(entries), err)
			}
		}
	})
}

// FuzzAuthorities: who is asked for stamps is read from lines that can be written
// again, and a password stands in no error.
func FuzzAuthorities(f *testing.F) {
	pem, err := os.ReadFile("../timestamp/testdata/ca.pem")
	if err != nil {
		f.Fatal(err)
	}
	read := func(name string) ([]byte, error) {
		if name == "ca.pem" {
			return pem, nil
		}
		return nil, errors.New("no such file")
	}
	f.Add([]byte("authority a https://tsa.example/ ca.pem\n"))
	f.Add([]byte("# two\r\n\tauthority  a\thttps://shop:s3cr3t-word@tsa.example/ ca.pem # mine\r\nauthority b http://127.0.0.1:8082/tsr?x=1 ca.pem qualified\n\n"))
	f.Add([]byte("authority a http://shop:s3cr3t-word@tsa.example/ ca.pem"))
	f.Add([]byte("authority a https://shop:s3cr3t-word@tsa.example:x/ ca.pem"))
	f.Add([]byte("authority a https://tsa.example/ cb.pem"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ParseAuthorities(text, read)
		if err != nil {
			if strings.Contains(err.Error(), "s3cr3t-word") && bytes.Contains(text, []byte("s3cr3t-word@")) {
				t.Errorf("the error holds a password: %v", err)
			}
			return
		}
		var again bytes.Buffer
		for _, a := range list {
			again.WriteString("authority " + a.Name + " " + a.URL + " ca.pem")
			if a.Qualified {
				again.WriteString(" qualified")
			}
			again.WriteString("\n")
			u, err := url.Parse(a.shown())
			if err != nil || u.User != nil || u.Host == "" || a.HasPassword() && u.Scheme != "https" {
				t.Errorf("%q is shown as %q", a.URL, a.shown())
			}
		}
		second, err := ParseAuthorities(again.Bytes(), read)
		if err != nil || len(second) != len(list) || len(list) == 0 || len(list) > MaxAuthorities {
			t.Fatalf("%q is read as %d authorities, written as %q and read as %d, %v", text, len(list), again.Bytes(), len(second), err)
		}
		for i, a := range list {
			if b := second[i]; a.Name != b.Name || a.URL != b.URL || a.Qualified != b.Qualified {
				t.Errorf("%+v became %+v", a, b)
			}
		}
	})
}

// said answers every request with the same.
type said struct {
	status    int
	mediaType string
	body      []byte
}

// RoundTrip implements [http.RoundTripper].
func (s said) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{"Content-Type": {s.mediaType}}, Body: io.NopCloser(bytes.NewReader(s.body))}, nil
}

// FuzzAnswer: what a witness or an authority answers is taken for what the protocol
// says, or it is a failure of a class; of a stranger's text nothing is shown.
func FuzzAnswer(f *testing.F) {
	token, err := os.ReadFile("../timestamp/testdata/answer.tsr")
	if err != nil {
		f.Fatal(err)
	}
	pem, err := os.ReadFile("../timestamp/testdata/ca.pem")
	if err != nil {
		f.Fatal(err)
	}
	pins, err := timestamp.ParsePins(pem)
	if err != nil {
		f.Fatal(err)
	}
	authority := Authority{Name: "a", URL: "https://tsa.example/", Authority: timestamp.Authority{Pins: pins}}
	f.Add(200, mediaReply, token)
	f.Add(200, mediaReply+"; x=strangers-word", token[:40])
	f.Add(200, mediaText, []byte("— w AAAAAAA=\n"))
	f.Add(409, "text/x.tlog.size", []byte("12\n"))
	f.Add(409, "text/x.tlog.size", []byte("012\n"))
	f.Add(409, "text/x.tlog.size", []byte("-0\n"))
	f.Add(422, mediaText, []byte("strangers-word"))
	f.Add(503, mediaText, []byte("strangers-word"))
	f.Fuzz(func(t *testing.T, status int, mediaType string, body []byte) {
		if status < 100 || status > 999 {
			return
		}
		stub := http.Client{Transport: said{status, mediaType, body}, Timeout: time.Minute}
		lines, size, err := (&witnessClient{&stub}).add(t.Context(), "https://witness.example", nil)
		switch {
		case err == nil && (status != http.StatusOK || !bytes.Equal(lines, body) || size != 0):
			t.Errorf("status %d gives %q and %d", status, lines, size)
		case errors.Is(err, errConflict) && (status != http.StatusConflict || size < 0 || string(body) != fmt.Sprintln(size)):
			t.Errorf("%q is the size %d", body, size)
		case err != nil && !errors.Is(err, errConflict) && (whyOf(err) == WhyLog || strings.Contains(err.Error(), "strangers-word")):
			t.Errorf("class %s: %v", whyOf(err), err)
		}
		_, err = (&authorityClient{&stub}).stamp(t.Context(), &authority, ledger.Hash{1})
		// Nobody can have answered the nonce that was drawn just now.
		if err == nil {
			t.Error("a token over another imprint counts")
		} else if whyOf(err) == WhyLog || strings.Contains(detailOf(err), "strangers-word") {
			t.Errorf("class %s: %v", whyOf(err), err)
		}
	})
}

// FuzzWitnessURL: a policy's URL of a witness gives the one prefix of its calls.
func FuzzWitnessURL(f *testing.F) {
	for _, s := range []string{"https://w.example", "http://w.example:8082/path/", "https://w.example?", "https://u@w.example", "https://w.example#", "w.example", "https://w.example/%2f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		prefix, err := checkWitnessURL(text)
		if err != nil {
			return
		}
		u, err := url.Parse(prefix + "/add-checkpoint")
		if err != nil || u.User != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || !strings.HasSuffix(u.EscapedPath(), "/add-checkpoint") {
			t.Errorf("%q leads to %v, %v", text, u, err)
		}
		if again, err := checkWitnessURL(prefix); err != nil || again != prefix {
			t.Errorf("%q leads to %q, and that to %q, %v", text, prefix, again, err)
		}
	})
}
