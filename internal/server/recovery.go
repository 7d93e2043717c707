package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"

	"connectrpc.com/connect"
)

// recovery answers a handler that panics with internal, and logs where it
// happened: functions and lines. The value of the panic may hold anything, so
// only its type is logged, and its words if the Go runtime chose them.
//
// Only handlers are caught. The recorder runs in a goroutine of its own: a panic
// there ends the process, and recovery at the next start.
func recovery(logger *slog.Logger, next http.Handler) http.Handler {
	errorWriter := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			id := requestID(r.Context())
			logger.Error("a handler panicked", "request_id", id, "panic", describe(p), "stack", stack())
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				// Part of an answer is on its way: cut it off, so that nobody
				// takes it for whole.
				panic(http.ErrAbortHandler)
			}
			// Nothing can be done about a caller who has gone.
			_ = errorWriter.Write(w, r, connect.NewError(connect.CodeInternal,
				errors.New("internal error "+id+"; the server's log says more under this id")))
		}()
		next.ServeHTTP(w, r)
	})
}

func describe(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", p)
}

// stack lists the functions on the stack; unlike debug.Stack without the
// arguments.
func stack() []string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	var lines []string
	for {
		f, more := frames.Next()
		lines = append(lines, fmt.Sprintf("%s %s:%d", f.Function, filepath.Base(f.File), f.Line))
		if !more {
			return lines
		}
	}
}
