package wire_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/service"
)

// leakyForms are ways of leaking a value, written down apart from the forms that
// are looked for, and in the midst of other bytes.
var leakyForms = map[string]func(string) []byte{
	"plain":        func(s string) []byte { return []byte("x" + s + "y") },
	"lower case":   func(s string) []byte { return []byte(strings.ToLower(s)) },
	"upper case":   func(s string) []byte { return []byte(strings.ToUpper(s)) },
	"query":        func(s string) []byte { return []byte(url.Values{"a": {"b c" + s}}.Encode()) },
	"path":         func(s string) []byte { return []byte((&url.URL{Path: "/a b/" + s}).EscapedPath()) },
	"percent":      func(s string) []byte { return []byte("%" + strings.ReplaceAll(fmt.Sprintf("% x", s), " ", "%")) },
	"hex":          func(s string) []byte { return fmt.Appendf(nil, "%x", "ab"+s+"c") },
	"HEX":          func(s string) []byte { return fmt.Appendf(nil, "%X", "ab"+s+"c") },
	"JSON":         func(s string) []byte { b, _ := json.Marshal(object{"a": s}); return b },
	"Go":           func(s string) []byte { return []byte(strconv.QuoteToASCII("error: " + s)) },
	"reversed":     func(s string) []byte { r := []rune(s); slices.Reverse(r); return []byte(string(r)) },
	"UTF-16LE":     func(s string) []byte { return utf16of(s, "%s\x00") },
	"UTF-16BE":     func(s string) []byte { return utf16of(s, "\x00%s") },
	"MD5":          func(s string) []byte { b := md5.Sum([]byte(s)); return b[:] },
	"MD5 hex":      func(s string) []byte { return fmt.Appendf(nil, "%x", md5.Sum([]byte(s))) },
	"MD5 base64":   func(s string) []byte { b := md5.Sum([]byte(s)); return base64.StdEncoding.AppendEncode(nil, b[:]) },
	"SHA-1":        func(s string) []byte { b := sha1.Sum([]byte(s)); return b[:] },
	"SHA-1 HEX":    func(s string) []byte { return fmt.Appendf(nil, "%X", sha1.Sum([]byte(s))) },
	"SHA-1 base64": func(s string) []byte { b := sha1.Sum([]byte(s)); return base64.URLEncoding.AppendEncode(nil, b[:]) },
	"SHA-256":      func(s string) []byte { b := sha256.Sum256([]byte(s)); return b[:] },
	"SHA-256 hex":  func(s string) []byte { return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(s))) },
	"SHA-256 half": func(s string) []byte { b := sha256.Sum256([]byte(s)); return hex.AppendEncode(nil, b[:16]) },
	"SHA-256 lock": func(s string) []byte {
		b := sha256.Sum256([]byte(s))
		return base64.StdEncoding.AppendEncode(nil, b[:])
	},
	"SHA-256 in it": func(s string) []byte {
		b := sha256.Sum256([]byte(s))
		return base64.RawURLEncoding.AppendEncode(nil, append([]byte("a"), b[:]...))
	},
}

// utf16of writes Latin letters in UTF-16, each by the format.
func utf16of(s, format string) (b []byte) {
	for _, r := range s {
		b = fmt.Appendf(b, format, []byte{byte(r)})
	}
	return b
}

func init() {
	for name, e := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64 bare": base64.RawStdEncoding,
		"base64url": base64.URLEncoding, "base64url bare": base64.RawURLEncoding} {
		for skew := range 3 {
			leakyForms[fmt.Sprint(name, skew)] = func(s string) []byte { return e.AppendEncode(nil, []byte("abc"[:skew]+s+"d")) }
		}
	}
}

// leakyParts are what of a canary could leak.
var leakyParts = map[string]func(string) string{
	"whole":      func(s string) string { return s },
	"local part": func(s string) string { local, _, _ := strings.Cut(s, "@"); return local },
	"domain":     func(s string) string { _, domain, _ := strings.Cut(s, "@"); return domain },
	"normalised": func(s string) string {
		if normal, err := service.NormaliseEmail(s); err == nil {
			return normal
		}
		normal, _ := service.NormalisePhone(s)
		return normal
	},
}

// TestCanariesAreFound is the control of TestCanaries: canaries that leak on
// purpose, in every form and in every place, are found.
func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	g := newGarden(t)
	var leaks []leak
	for kind := range kinds {
		for part, cut := range leakyParts {
			for form, write := range leakyForms {
				for _, where := range []string{"front", "back"} {
					p := g.plant(kind, fmt.Sprint(kind, ", ", part, ", ", form, ", ", where))
					if text := cut(p.text); len(text) >= shortest {
						leaks = append(leaks, leak{p, write(text), where})
					}
				}
			}
		}
	}
	export := g.export()
	places := g.leak(leaks, export)

	s := newSearch(g.canaries)
	found := map[string]bool{}
	for _, p := range g.places(export) {
		for _, h := range s.in(p.text) {
			found[p.name+" "+h.of.what] = true
		}
	}
	missed := 0
	for _, l := range leaks {
		for _, name := range places(l) {
			if !found[name+" "+l.of.what] {
				missed++
				t.Logf("not found in %s: %s: %.100q", name, l.of.what, l.text)
			}
		}
	}
	t.Logf("%d leaks in %d forms", len(leaks), len(leakyForms))
	if missed > 0 || len(leaks) < 1000 {
		t.Errorf("%d of %d leaks were missed in a place", missed, len(leaks))
	}
}

// leak is a canary that leaks, as the bytes text, in the front places (a row's
// key, a header, a file) or in the back ones (a row's value, a body, a log line).
type leak struct {
	of    *planted
	text  []byte
	where string
}

// leak lets canaries leak into all the places that are searched, those on disk
// in a copy. It gives the names of the places where a leak must be found.
func (g *garden) leak(leaks []leak, export string) func(leak) []string {
	dir := filepath.Join(g.t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(g.r.dir)); err != nil {
		g.t.Fatal(err)
	}
	of := *g.r
	of.dir, of.backups = dir, g.t.TempDir()
	g.r = &of
	g.leakRows(leaks, filepath.Join(dir, "log"))
	g.leakRows(leaks, filepath.Join(dir, "vault"))
	logger := slog.New(slog.NewJSONHandler(g.r.log, nil))
	for _, l := range leaks {
		if l.where == "front" {
			g.appendTo(filepath.Join(dir, "log", "stray"), l.text)
			g.appendTo(filepath.Join(dir, "vault", "stray"), l.text)
			g.appendTo(filepath.Join(dir, "apikeys"), l.text)
			g.appendTo(filepath.Join(of.backups, "stray"), l.text)
			continue
		}
		g.appendTo(filepath.Join(export, "tile", "entries", "000"), l.text)
		if isText(l.text) {
			logger.Error("internal error answered", "error", string(l.text))
		}
	}
	g.leakAnswers(leaks)
	backups := "the file " + filepath.Base(of.backups) + "/stray"
	return func(l leak) []string {
		switch {
		case l.where == "front" && isText(l.text):
			return []string{"the file data/log/stray", "the file data/vault/stray", "the file data/apikeys", backups, "the rows of DIR/log",
				"the rows of DIR/vault", "answers", "refusals"}
		case l.where == "front":
			return []string{"the file data/log/stray", "the file data/vault/stray", "the file data/apikeys", backups, "the rows of DIR/log",
				"the rows of DIR/vault"}
		case isText(l.text):
			return []string{"the rows of DIR/log", "the rows of DIR/vault", "the file export/tile/entries/000", "the server's log", "answers", "refusals"}
		}
		return []string{"the rows of DIR/log", "the rows of DIR/vault", "the file export/tile/entries/000", "answers", "refusals"}
	}
}

// isText reports whether bytes stay what they are in a header and a log line.
func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, unicode.IsControl) && !bytes.ContainsAny(b, `"\`)
}

// leakRows writes rows into a copy of a database. Closing it makes compressed
// tables of them.
func (g *garden) leakRows(leaks []leak, dir string) {
	db, err := badgerdb.Open(badgerdb.Options{Dir: dir, Compress: true})
	if err != nil {
		g.t.Fatal(err)
	}
	batch := db.NewWriteBatch()
	for i, l := range leaks {
		key, value := append(fmt.Appendf(nil, "e%d", i), l.text...), []byte("a")
		if l.where == "back" {
			key, value = fmt.Appendf(nil, "e%d", i), l.text
		}
		if err := batch.SetEntry(badger.NewEntry(key, value)); err != nil {
			g.t.Fatal(err)
		}
	}
	if err := batch.Flush(); err != nil {
		g.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		g.t.Fatal(err)
	}
}

func (g *garden) appendTo(path string, text []byte) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(text, '\n')); err != nil {
		g.t.Fatal(err)
	}
}

// leakAnswers asks a server that leaks, through the spy.
func (g *garden) leakAnswers(leaks []leak) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("leak"))
		if l := leaks[n]; l.where == "back" {
			defer w.Write(l.text)
		} else if isText(l.text) {
			w.Header().Set("Location", string(l.text))
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.WriteHeader(status)
	}))
	defer s.Close()
	for i := range leaks {
		for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
			rsp, err := g.r.client.Get(fmt.Sprintf("%s?leak=%d&status=%d", s.URL, i, status))
			if err != nil {
				g.t.Fatal(err)
			}
			io.Copy(io.Discard, rsp.Body)
			rsp.Body.Close()
		}
	}
}
