package server

import (
	"context"
	"crypto/rand"
	"log"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
)

// requestLog writes one line per request: method, path, status, duration in
// microseconds, the key's name and an id that also stands in the answer's
// X-Request-Id.
//
// Nothing in the line was chosen by the caller. Headers, bodies, queries and
// addresses are left out; of a path only what is known to be a path of ours is
// written, because "/anna@example.org" is a path, too; and the id is drawn here.
func requestLog(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		id := rand.Text()
		w.Header().Set("X-Request-Id", id)
		ctx, caller := authn.Observe(context.WithValue(r.Context(), requestIDKey{}, id))
		rec := &recorder{ResponseWriter: w}
		// Also when the handler panics to abort the connection.
		defer func() {
			attrs := []slog.Attr{
				slog.String("method", knownMethod(r.Method)),
				slog.String("path", knownPath(r.URL.Path, caller.Allowed, rec.status)),
				slog.Int("status", rec.status),
			}
			if s := grpcStatus(w.Header()); s != "" {
				attrs = append(attrs, slog.String("grpc_status", s))
			}
			attrs = append(attrs,
				slog.Int64("duration_us", time.Since(begin).Microseconds()),
				slog.String("key", caller.Identity.Name),
				slog.String("request_id", id))
			logger.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
		}()
		next.ServeHTTP(rec, r.WithContext(ctx))
		if rec.status == 0 {
			rec.status = http.StatusOK // what net/http makes of saying nothing
		}
	})
}

type requestIDKey struct{}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// knownPath returns the path if something of ours answered there, the prefix in
// the role table if nothing does or the caller was turned away, else "other".
func knownPath(path string, allowed bool, status int) string {
	if path == "/healthz" || path == "/readyz" {
		return path
	}
	for _, row := range access {
		rest, ok := strings.CutPrefix(path, row.prefix)
		switch {
		case !ok:
			continue
		case !allowed || status == http.StatusNotFound:
			return row.prefix
		case row.prefix == logPrefix && status/100 != 2:
			return row.prefix
		case row.prefix != logPrefix && !methodShape.MatchString(rest):
			return row.prefix // a redirect to the path in its clean form
		}
		return path
	}
	return "other"
}

// methodShape is what methods of a service look like.
var methodShape = regexp.MustCompile(`^[A-Z][A-Za-z]{0,63}$`)

// grpcStatus returns the number that a gRPC answer ended with; HTTP's status is
// always 200 there.
func grpcStatus(h http.Header) string {
	if s := h.Get("Grpc-Status"); s != "" {
		return s
	}
	return h.Get(http.TrailerPrefix + "Grpc-Status")
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int // 0 while nothing was written
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Flush makes streams possible for those who ask for an http.Flusher.
func (r *recorder) Flush() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	// A writer that cannot flush sends what it has at the end.
	_ = http.NewResponseController(r.ResponseWriter).Flush()
}

// Unwrap makes http.ResponseController work.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// errorLog is where net/http writes what it notices about connections. Its lines
// name remote addresses, which are left out.
func errorLog(logger *slog.Logger) *log.Logger {
	return log.New(errorLogWriter{logger}, "", 0)
}

type errorLogWriter struct{ logger *slog.Logger }

var addrShape = regexp.MustCompile(`(\[[0-9A-Fa-f:.%a-z]*\]|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)(:[0-9]+)?`)

func (w errorLogWriter) Write(line []byte) (int, error) {
	text, _, _ := strings.Cut(strings.TrimSpace(string(line)), "\n")
	w.logger.Warn("net/http", "message", addrShape.ReplaceAllString(text, "(address)"))
	return len(line), nil
}
