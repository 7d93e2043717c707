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

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/consentledger/consentledger/internal/authn"
)

// requestLog writes one line per request: method, path, status, duration in
// microseconds, the key's name and an id that also stands in the answer's
// X-Request-Id.
//
// Nothing in the line was chosen by the caller. Headers, bodies, queries and
// addresses are left out; of a path only what is known to be a path of ours is
// written, because "/anna@example.org" is a path, too; and the id is drawn here.
//
// requests, if not nil, is told the same path, and one status for gRPC and all others.
func requestLog(logger *slog.Logger, requests Requests, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		var end func(path string, status int)
		if requests != nil {
			end = requests.Begin()
		}
		id := rand.Text()
		w.Header().Set("X-Request-Id", id)
		ctx, caller := authn.Observe(r.Context())
		ctx = context.WithValue(ctx, requestKey{}, &request{id, caller})
		rec := &recorder{ResponseWriter: w}
		// Also when the handler panics to abort the connection.
		defer func() {
			path, code := knownPath(r.URL.Path, caller.Allowed, rec.status), grpcStatus(w.Header())
			if end != nil {
				end(path, httpStatus(rec.status, code))
			}
			attrs := []slog.Attr{
				slog.String("method", knownMethod(r.Method)),
				slog.String("path", path),
				slog.Int("status", rec.status),
			}
			if code != "" {
				attrs = append(attrs, slog.String("grpc_status", code))
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

// Requests counts requests. Begin is called when one arrives, and what it gives when
// it is answered, with its path as it stands in the request log and the status of the
// answer: that of HTTP, for gRPC the one that Connect gives the same code, and 0 if
// there was none.
type Requests interface {
	Begin() (end func(path string, status int))
}

// httpStatuses are those that Connect gives the codes, which are gRPC's numbers.
var httpStatuses = map[string]int{"1": 499, "2": 500, "3": 400, "4": 504, "5": 404, "6": 409, "7": 403, "8": 429, "9": 400,
	"10": 409, "11": 400, "12": 501, "13": 500, "14": 503, "15": 500, "16": 401}

func httpStatus(status int, grpcCode string) int {
	if s, ok := httpStatuses[grpcCode]; ok {
		return s
	}
	return status
}

// request is what is known of one all the way in.
type request struct {
	id     string
	caller *authn.Observed
}

type requestKey struct{}

func requestID(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r.id
	}
	return ""
}

// isStranger says whether who called has shown no key that works, or none for this.
func isStranger(ctx context.Context) bool {
	r, ok := ctx.Value(requestKey{}).(*request)
	return ok && (r.caller.Identity.Name == "" || !r.caller.Allowed)
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// knownPath returns the path if it is one of ours, the prefix in the role table if it
// is not or the caller was turned away, else "other".
func knownPath(path string, allowed bool, status int) string {
	if isHealth(path) {
		return path
	}
	for _, row := range access {
		switch {
		case !strings.HasPrefix(path, row.prefix):
			continue
		case !allowed, row.prefix == logPrefix && status/100 != 2, row.prefix != logPrefix && !isMethod(path):
			return row.prefix
		}
		return path
	}
	return "other"
}

// isMethod says whether there is a method at a path: in the API's descriptors, or
// in the table.
func isMethod(path string) bool {
	if _, ok := methods[path]; ok {
		return true
	}
	name := strings.Replace(path[1:], "/", ".", 1)
	d, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	_, ok := d.(protoreflect.MethodDescriptor)
	return ok
}

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
