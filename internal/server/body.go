package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// limitBody bounds the size of a request's body and the time it may take to
// arrive.
//
// http.Server.ReadTimeout would count the header in and would not know HTTP/2's
// streams apart. The deadline ends with the body: net/http takes it away when
// the body has been read, so an answer may take longer.
//
// The body of a stream has no end that could be waited for: it may be as long as
// its caller likes, each message being limited by its handler, and the deadline is
// one for the next piece of it.
func (s *Server) limitBody(next http.Handler) http.Handler {
	whole := http.MaxBytesHandler(next, s.opts.MaxBodyBytes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		set := http.NewResponseController(w).SetReadDeadline
		// It fails only when the connection is gone.
		_ = set(time.Now().Add(s.opts.BodyTimeout))
		if !IsStream(r.URL.Path) {
			whole.ServeHTTP(w, r)
			return
		}
		body := &streamBody{body: r.Body, pause: s.opts.BodyTimeout, set: set}
		defer body.finish()
		defer context.AfterFunc(r.Context(), body.interrupt)()
		open := *r
		open.Body = body
		next.ServeHTTP(w, &open)
	})
}

// streamBody is the body of a stream. Its reads wait as long as a pause may be, and
// no longer when the request is canceled: nothing else would end a read when the
// server shuts down.
type streamBody struct {
	body  io.ReadCloser
	pause time.Duration

	mu  sync.Mutex            // guards what follows
	set func(time.Time) error // sets the deadline of reads; nil when it must not be moved any more
	at  time.Time             // when it was set last
}

// Read implements [io.Reader].
func (b *streamBody) Read(p []byte) (int, error) {
	b.extend()
	return b.body.Read(p)
}

// Close implements [io.Closer].
func (b *streamBody) Close() error { return b.body.Close() }

// extend moves the deadline; not at every read, because that costs more than a
// small read does.
func (b *streamBody) extend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.set != nil && now.Sub(b.at) > b.pause/8 {
		b.at = now
		_ = b.set(now.Add(b.pause)) // fails only when the connection is gone
	}
}

// interrupt ends the read that waits, and every later one.
func (b *streamBody) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.set != nil {
		_ = b.set(time.Unix(1, 0)) // fails only when the connection is gone
		b.set = nil
	}
}

// finish keeps the deadline from being moved after the handler has returned, when
// the connection may serve another request.
func (b *streamBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set = nil
}
