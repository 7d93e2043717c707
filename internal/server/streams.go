package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"sync"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
)

// streamBuffer is how many bytes a stream reads ahead, and how many of its answers it
// gathers: each read, write and flush costs HTTP/2 as much as several small messages do.
const streamBuffer = 32 << 10

// envelopes follows the messages of a body; Connect, gRPC and gRPC-Web put the same 5
// bytes before each: flags, and the length of what follows.
type envelopes struct {
	header []byte // what is there of the 5 bytes
	left   int64  // of what follows them
	count  int    // of messages of which anything has come
}

// between says whether no message has begun, or the one before has ended.
func (e *envelopes) between() bool { return len(e.header) == 0 && e.left == 0 }

// follow goes on with p. For each message whose 5 bytes are there begun is called;
// its error ends it.
func (e *envelopes) follow(p []byte, begun func(flags byte, length int64) error) error {
	for len(p) > 0 {
		if e.left > 0 {
			n := min(e.left, int64(len(p)))
			e.left, p = e.left-n, p[n:]
			continue
		}
		if len(e.header) == 0 {
			e.count++
		}
		n := min(5-len(e.header), len(p))
		e.header, p = append(e.header, p[:n]...), p[n:]
		if len(e.header) < 5 {
			continue
		}
		flags := e.header[0]
		e.left = int64(binary.BigEndian.Uint32(e.header[1:]))
		e.header = e.header[:0]
		if err := begun(flags, e.left); err != nil {
			return err
		}
	}
	return nil
}

// unanswered is the room that a caller's stream holds among large bodies: for each
// message from when its length is known until it is answered. The API answers each
// message of such a stream with one, in the order in which they came. Where there is
// no room, nothing more is read until there is.
type unanswered struct {
	ctx       context.Context
	admission *admission
	key       string
	in        envelopes // belongs to who reads
	out       envelopes // belongs to who writes

	mu   sync.Mutex // guards what follows
	held []int64    // by message, the oldest first
	done bool       // the stream has ended
}

// take takes room for a message, and waits for it as long as it is worth.
func (u *unanswered) take(flags byte, length int64) error {
	const compressed = 1
	if flags&compressed != 0 {
		length *= maxGzip // what may become of it
	}
	opts := u.admission.opts
	length = min(length, opts.MaxBodyBytes)
	if !u.admission.large.await(u.ctx, u.key, length, opts.BodyTimeout/2) {
		if u.ctx.Err() != nil {
			return u.admission.unread(u.ctx, u.ctx.Err())
		}
		return connect.NewError(connect.CodeResourceExhausted, errMemory)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		u.admission.large.give(u.key, length)
		return io.ErrClosedPipe
	}
	u.held = append(u.held, length)
	return nil
}

// give gives back what the oldest message holds. What Connect says at the end is no
// answer to any.
func (u *unanswered) give(byte, int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.held) > 0 {
		u.admission.large.give(u.key, u.held[0])
		u.held = u.held[1:]
	}
	return nil
}

// end gives back all.
func (u *unanswered) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = true
	for _, n := range u.held {
		u.admission.large.give(u.key, n)
	}
	u.held = nil
}

// serve answers a stream.
func (u *unanswered) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	defer u.end()
	out := &streamWriter{w, bufio.NewWriterSize(w, streamBuffer), new(calls.Hold), u}
	whole := r.WithContext(calls.WithHold(r.Context(), out.hold))
	whole.Body = &streamBody{r.Body, bufio.NewReaderSize(r.Body, streamBuffer), u}
	next.ServeHTTP(out, whole)
	// Nothing can be done about a caller who has gone.
	_ = out.gathered.Flush()
}

// streamBody is what a caller sends.
type streamBody struct {
	io.Closer
	ahead      *bufio.Reader
	unanswered *unanswered
}

// Read implements [io.Reader].
func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.ahead.Read(p)
	if full := b.unanswered.in.follow(p[:n], b.unanswered.take); full != nil {
		return 0, full
	}
	return n, err
}

// streamWriter is what a caller is answered.
type streamWriter struct {
	http.ResponseWriter
	gathered   *bufio.Writer // before ResponseWriter
	hold       *calls.Hold
	unanswered *unanswered
}

// Write implements [http.ResponseWriter].
func (w *streamWriter) Write(p []byte) (int, error) {
	n, err := w.gathered.Write(p)
	_ = w.unanswered.out.follow(p[:n], w.unanswered.give) // give does not fail
	return n, err
}

// Flush sends what was written, unless more follows at once.
func (w *streamWriter) Flush() {
	if w.hold.On {
		return
	}
	// What cannot be written fails again when something is; a writer that cannot flush
	// sends what it has at the end.
	_ = w.gathered.Flush()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap makes http.ResponseController work.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
