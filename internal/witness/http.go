package witness

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Media types of the answers.
const (
	mediaText = "text/plain; charset=utf-8"
	mediaSize = "text/x.tlog.size" // of the size that goes with a conflict
)

// Limits of a connection. Connections are kept open between requests, because logs
// come back every second.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 15 * time.Second
	idleTimeout       = 2 * time.Minute
	drainTimeout      = 10 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Handler gives the witness's two calls: POST /add-checkpoint for logs, which need
// no key, because the log's signature is what counts; and
// GET /<hex SHA-256 of the origin>/checkpoint for monitors.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /{origin}/checkpoint", w.serveCheckpoint)
	return mux
}

// serveAdd answers add-checkpoint.
func (w *Witness) serveAdd(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, ledger.MaxAddCheckpointSize))
	if err != nil {
		answer(out, http.StatusBadRequest, mediaText, "the request is too large or was cut off\n")
		return
	}
	lines, err := w.AddCheckpoint(body)
	var no *Refusal
	switch {
	case err == nil:
		answer(out, http.StatusOK, mediaText, string(lines))
	case !errors.As(err, &no):
		w.logger.Error("not cosigned", "error", err.Error())
		// What is wrong with this machine is its operator's to read.
		answer(out, http.StatusServiceUnavailable, mediaText, "this witness cosigns nothing at the moment\n")
	case no.Why == Conflict:
		answer(out, int(no.Why), mediaSize, fmt.Sprintf("%d\n", no.Size))
	default:
		// What concerns no log of ours is a stranger's text, and not written down.
		if no.Origin != "" {
			w.logger.Warn("refused", "status", int(no.Why), "origin", no.Origin, "reason", no.Error())
		}
		answer(out, int(no.Why), mediaText, no.Error()+"\n")
	}
}

// serveCheckpoint answers monitors.
func (w *Witness) serveCheckpoint(out http.ResponseWriter, r *http.Request) {
	name := r.PathValue("origin")
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(ledger.Hash{}) || hex.EncodeToString(b) != name {
		answer(out, http.StatusNotFound, mediaText, "want the SHA-256 of a log's origin in lower-case hex\n")
		return
	}
	note := w.Checkpoint(ledger.Hash(b))
	if note == nil {
		answer(out, http.StatusNotFound, mediaText, "nothing was cosigned for this log\n")
		return
	}
	out.Header().Set("Access-Control-Allow-Origin", "*") // public, and read by pages of others
	answer(out, http.StatusOK, mediaText, string(note))
}

func answer(out http.ResponseWriter, status int, mediaType, text string) {
	header := out.Header()
	header.Set("Content-Type", mediaType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	out.WriteHeader(status)
	io.WriteString(out, text) // an error here means that the caller has gone
}

// Serve answers on the listener until ctx is done and what was being answered is
// answered. What travels is public or signed, so that plain HTTP gives nothing away
// but the sizes of logs. bound, if not nil, bounds the server's connections.
//
// Limits: without bound strangers can use up the files that the process may open, and
// a witness that cannot write its record stops.
func (w *Witness) Serve(ctx context.Context, l net.Listener, bound func(*http.Server) error) error {
	srv := &http.Server{
		Handler:           w.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Its lines would name addresses of callers.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn),
	}
	if bound != nil {
		if err := bound(srv); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	drain, stop := context.WithTimeout(context.Background(), drainTimeout)
	defer stop()
	if err := srv.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("shutting down: %w", err), srv.Close())
	}
	return nil
}
