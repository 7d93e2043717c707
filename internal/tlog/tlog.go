// Package tlog serves the log to auditors as C2SP tlog-tiles over HTTP, brings its
// checkpoints to witnesses, and has them stamped by time-stamping authorities.
//
// Start with [New], whose table is in files.go, with [StartCollector] and with
// [NewStamper]. It promises that it only reads the log, that every file has one path:
// other spellings do not exist, that no signature of a witness and no token counts
// before it has been verified, and that nobody waits for a witness or an authority.
// Its handlers are safe for concurrent use.
//
// The package cannot reach personal data: it is handed a [Log], which has none.
package tlog

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Prefix is where the log is served.
const Prefix = "/log/"

// Log is all that this package serves of a log; *[store.Store] has it. An error
// that wraps [store.ErrNotFound] says that the log does not have that.
type Log interface {
	Documents
	// Checkpoint gives the newest signed checkpoint and its size; nil and 0 when
	// the log demands witnesses and there has been none yet.
	Checkpoint() ([]byte, ledger.Size)
	// Tile gives the first width hashes of a tile.
	Tile(level int, n int64, width int) ([]byte, error)
	// EntryBundle gives the first width entries of an entry bundle.
	EntryBundle(n int64, width int) ([]byte, error)
	// Keys gives the content of trust.keys.
	Keys() ([]byte, error)
}

// Documents are what entries name by its SHA-256.
type Documents interface {
	// NoticeText gives a notice's text or the document with its facts.
	NoticeText(sum ledger.Hash) ([]byte, error)
	// Anchor gives a checkpoint that was stamped, or a token over one.
	Anchor(sum ledger.Hash) ([]byte, error)
}

// New gives the handler of everything below [Prefix]. Faults of the log are
// written to logger.
func New(log Log, logger *slog.Logger) http.Handler {
	return &handler{log, logger}
}

type handler struct {
	log    Log
	logger *slog.Logger
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	// Whoever may read the log may also read it from a page of another origin;
	// a browser adds no API key by itself.
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are allowed here")
		return
	}
	// The escaped path, because %30 is another spelling of 0.
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), Prefix)
	if !ok {
		refuse(w, http.StatusNotFound, "not in this log")
		return
	}
	f, err := h.file(path)
	switch {
	case errors.Is(err, store.ErrNotFound):
		refuse(w, http.StatusNotFound, "not in this log")
	case errors.Is(err, errNoCheckpoint):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		id := rand.Text()
		h.logger.Error("internal error answered", "error_id", id, "error", err.Error())
		refuse(w, http.StatusInternalServerError, "internal error "+id+"; the server's log says more under this id")
	default:
		f.serve(w, r)
	}
}

// refuse answers with one line. No cache may keep it: what the log does not have
// now, it may have in a moment.
func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", mediaText)
	w.WriteHeader(status)
	w.Write([]byte(reason + "\n"))
}

// serve answers with the file. net/http leaves the body out of the answer to HEAD.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	header, content := w.Header(), f.content
	header.Set("Content-Type", f.mediaType)
	header.Set("Cache-Control", f.cacheControl(r))
	if f.compressible {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			header.Set("Content-Encoding", "gzip")
			content = compress(content)
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	// An error here means that the client has gone.
	w.Write(content)
}

// cacheControl says which caches may keep the file. What was asked for with a key
// stays with whoever has the key: "public" would let a cache in between answer
// everybody (RFC 9111 § 3.5). Without a key only a public log is read.
func (f *file) cacheControl(r *http.Request) string {
	switch {
	case !f.immutable:
		return "no-store"
	case r.Header.Get("Authorization") != "":
		return "private, max-age=604800, immutable"
	}
	return "public, max-age=604800, immutable"
}

// writers are those of compress, which are large. What does not compress in an entry
// are its hashes: to try harder takes twice the time and saves 4 %.
var writers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("tlog: " + err.Error()) // only for a level that there is not
	}
	return z
}}

func compress(b []byte) []byte {
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	var out bytes.Buffer
	z.Reset(&out)
	// Writing to a bytes.Buffer does not fail.
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// acceptsGzip reads Accept-Encoding (RFC 9110 § 12.5.3) as far as it matters
// here: gzip is named, or `*` is, and not with a weight of 0. What cannot be
// read counts as no.
func acceptsGzip(values []string) bool {
	any := false
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		coding, weight, _ := strings.Cut(item, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "gzip" && coding != "*" {
			continue
		}
		accepted := true
		if weight = strings.ToLower(strings.ReplaceAll(weight, " ", "")); weight != "" {
			q, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 64)
			accepted = err == nil && q > 0
		}
		if coding == "gzip" {
			return accepted
		}
		any = accepted
	}
	return any
}
