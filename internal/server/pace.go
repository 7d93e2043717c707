package server

import (
	"net/http"
	"sync"
	"time"
)

// minReadRate is how fast an answer must be taken in the long run, bytes per second:
// 256 kbit/s.
const minReadRate = 32 << 10

// writePiece is how much is written at once: what is counted as progress.
const writePiece = 64 << 10

// limitWaiting ends answers that nobody takes. What is counted is the time that
// writing waits for the reader, not that for which the handler thinks: it may use up
// WriteTimeout, and what is taken earns it again, at minReadRate. The end of an answer
// waits for strangers for leftoverTimeout only: it needs no place, and over HTTP/2 each
// connection has as many as it has streams.
func (s *Server) limitWaiting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &pacedWriter{ResponseWriter: w, most: s.opts.WriteTimeout, credit: s.opts.WriteTimeout,
			set: http.NewResponseController(w).SetWriteDeadline}
		defer func() {
			if isStranger(r.Context()) {
				p.credit = min(p.credit, leftoverTimeout)
			}
			p.finish()
		}()
		next.ServeHTTP(p, r)
	})
}

// pacedWriter is the writer of one answer. A deadline is not set for every write:
// over HTTP/2 it would end the answer also while its handler thinks.
type pacedWriter struct {
	http.ResponseWriter
	most   time.Duration // that writing may wait
	credit time.Duration // what is left of it
	timer  *time.Timer   // ends the write that waits; nil before the first

	mu  sync.Mutex            // guards what follows
	set func(time.Time) error // sets the deadline of writes; nil when it must not be moved any more
}

func (p *pacedWriter) begin() time.Time {
	if p.timer == nil {
		p.timer = time.AfterFunc(p.credit, p.interrupt)
	} else {
		p.timer.Reset(p.credit)
	}
	return time.Now()
}

func (p *pacedWriter) end(begin time.Time, n int) {
	p.timer.Stop()
	p.credit = min(p.most, p.credit-time.Since(begin)+time.Duration(n)*time.Second/minReadRate)
}

// interrupt ends the write that waits, and every later one.
func (p *pacedWriter) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set != nil {
		_ = p.set(time.Unix(1, 0)) // fails only when the connection is gone
		p.set = nil
	}
}

// finish leaves what is over to net/http, which writes what it has kept back when
// the handler has returned, and takes the deadline away before the next request.
func (p *pacedWriter) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set != nil {
		_ = p.set(time.Now().Add(p.credit)) // fails only when the connection is gone
		p.set = nil
	}
}

// Write implements [http.ResponseWriter].
func (p *pacedWriter) Write(b []byte) (int, error) {
	written := 0
	for {
		piece := b[written:min(len(b), written+writePiece)]
		begin := p.begin()
		n, err := p.ResponseWriter.Write(piece)
		p.end(begin, n)
		if written += n; err != nil || written == len(b) {
			return written, err
		}
	}
}

// Flush makes streams possible for those who ask for an http.Flusher.
func (p *pacedWriter) Flush() {
	begin := p.begin()
	// A writer that cannot flush sends what it has at the end.
	_ = http.NewResponseController(p.ResponseWriter).Flush()
	p.end(begin, 0)
}

// Unwrap makes http.ResponseController work.
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
