package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"connectrpc.com/connect"
)

// received is the body of a call, whole, and what it holds of the room for bodies.
type received struct {
	data []byte
	key  string
	from *pool // nil while nothing is held
	held int64
}

// receive reads the body to its end. It fails with what the caller is told.
func (a *admission) receive(r *http.Request, key string) (*received, error) {
	b := &received{key: key}
	if r.Body == nil || r.Body == http.NoBody {
		return b, nil
	}
	// A compressed body needs room for what may become of it.
	factor := int64(1)
	for _, name := range []string{"Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"} {
		if v := r.Header.Get(name); v != "" && v != "identity" {
			factor = maxGzip
		}
	}
	var buf bytes.Buffer
	for {
		// Of what is announced no more is believed than has come.
		step := max(4<<10, min(int64(buf.Len()), 1<<20))
		if buf.Len() == 0 && r.ContentLength >= 0 && r.ContentLength < smallBody {
			step = r.ContentLength + 1 // to the end
		}
		need := min(int64(buf.Len())+step, a.opts.MaxBodyBytes)
		if !b.reserve(a, need) {
			return b, errMemory
		}
		_, err := io.CopyN(&buf, r.Body, step)
		switch {
		case errors.Is(err, io.EOF):
			b.data = buf.Bytes()
			if !b.reserve(a, min(int64(len(b.data))*factor, a.opts.MaxBodyBytes)) {
				return b, errMemory
			}
			return b, nil
		case err != nil:
			return b, a.unread(r.Context(), err)
		}
	}
}

// reserve makes what is held n bytes; beyond smallBody of the room for large bodies.
func (b *received) reserve(a *admission, n int64) bool {
	from := a.small
	if n > smallBody {
		from = a.large
	}
	if from != b.from {
		b.release()
	}
	if n <= b.held {
		return true
	}
	if !from.take(b.key, n-b.held) {
		return false
	}
	b.from, b.held = from, n
	return true
}

// release gives back what is held.
func (b *received) release() {
	if b.from != nil {
		b.from.give(b.key, b.held)
		b.from, b.held = nil, 0
	}
}

// of is the request with the body that has been read.
func (b *received) of(r *http.Request) *http.Request {
	if len(b.data) == 0 {
		return r
	}
	whole := *r
	whole.Body = io.NopCloser(bytes.NewReader(b.data))
	return &whole
}

// unread says why a body could not be read.
func (a *admission) unread(ctx context.Context, err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("the body is larger than %d bytes", large.Limit))
	case ctx.Err() != nil:
		return connect.NewError(connect.CodeUnavailable, errors.New("the server is shutting down, or the caller has gone"))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("the body took longer than %v to arrive", a.opts.BodyTimeout))
	}
	// What net/http says of a malformed body may repeat it.
	return connect.NewError(connect.CodeInvalidArgument, errors.New("the body did not arrive whole"))
}
