package server

import (
	"context"
	"errors"
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
// What a handler leaves of a body, such as that of a caller without a key, gets
// leftoverTimeout, whatever was left of the deadline: net/http reads it before the
// connection serves again, and meanwhile the connection is taken. For the same reason
// those who need no key have little time.
//
// The body of a stream has no end that could be waited for: it may be as long as
// its caller likes, each message being limited by its handler, and the deadline is
// one for the next message, whole: sending a byte now and then does not extend it.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		set := http.NewResponseController(w).SetReadDeadline
		// It fails only when the connection is gone.
		timeout := s.opts.BodyTimeout
		if isHealth(r.URL.Path) {
			timeout = min(timeout, readHeaderTimeout)
		}
		body := &timedBody{body: r.Body, set: set, until: time.Now().Add(timeout)}
		_ = set(body.until)
		if IsStream(r.URL.Path) {
			body.pause = s.opts.BodyTimeout
		} else {
			body.body = http.MaxBytesReader(w, r.Body, s.opts.MaxBodyBytes)
		}
		defer body.leave()
		defer context.AfterFunc(r.Context(), body.interrupt)()
		open := *r
		open.Body = body
		next.ServeHTTP(w, &open)
	})
}

// timedBody is a body whose reads wait until a deadline, and no longer when the
// request is canceled: nothing else would end a read when the server shuts down.
type timedBody struct {
	body  io.ReadCloser
	pause time.Duration // of a stream, between two messages; 0 for no stream
	in    envelopes     // of a stream; belongs to who reads, as does timed
	timed int           // how many messages of a stream the deadline was moved for

	mu    sync.Mutex            // guards what follows
	set   func(time.Time) error // sets the deadline of reads; nil when it must not be moved any more
	until time.Time             // the deadline
}

// Read implements [io.Reader].
func (b *timedBody) Read(p []byte) (int, error) {
	known := b.in.count
	if b.pause > 0 && b.in.between() {
		known++ // the message that is waited for
	}
	if known > b.timed {
		b.timed = known
		b.extend()
	}
	n, err := b.body.Read(p)
	if b.pause > 0 {
		_ = b.in.follow(p[:n], func(byte, int64) error { return nil })
	}
	if errors.Is(err, io.EOF) {
		b.finish() // nothing waits any more
	}
	return n, err
}

// Close implements [io.Closer].
func (b *timedBody) Close() error { return b.body.Close() }

// extend moves the deadline; not at every message, because that costs more than a
// small one does.
func (b *timedBody) extend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(b.pause); b.set != nil && until.Sub(b.until) > b.pause/8 {
		b.until = until
		_ = b.set(until) // fails only when the connection is gone
	}
}

// interrupt ends the read that waits, and every later one.
func (b *timedBody) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.set != nil {
		_ = b.set(time.Unix(1, 0)) // fails only when the connection is gone
		b.set = nil
	}
}

// leave gives what was not read until the handler has returned a last deadline; then
// the connection may serve another request.
func (b *timedBody) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := time.Now().Add(leftoverTimeout); b.set != nil && last.Before(b.until) {
		_ = b.set(last) // fails only when the connection is gone
	}
	b.set = nil
}

// finish keeps the deadline from being moved after the body's end.
func (b *timedBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set = nil
}
