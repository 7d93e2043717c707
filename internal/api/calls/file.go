package calls

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
)

const (
	// maxChunk is the largest piece of a file that a stream sends.
	maxChunk = 64 << 10
	// maxWhole is the largest file that one answer carries.
	maxWhole = 64 << 20
	// roomStep is how much room is asked for at a time.
	roomStep = 64 << 10
)

// Stream sends the file that write writes, in pieces of at most 64 KiB. send must not
// keep what it is given.
func Stream(send func(chunk []byte) error, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(chunks(send), maxChunk)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

// chunks sends what is written, in pieces.
type chunks func(chunk []byte) error

// Write implements [io.Writer].
func (send chunks) Write(p []byte) (sent int, err error) {
	for sent < len(p) {
		chunk := p[sent:min(sent+maxChunk, len(p))]
		if err := send(chunk); err != nil {
			return sent, err
		}
		sent += len(chunk)
	}
	return sent, nil
}

// WithRoom gives handlers room for the files of whole answers: take says whether
// there are so many bytes more.
func WithRoom(ctx context.Context, take func(bytes int64) bool) context.Context {
	return context.WithValue(ctx, roomKey{}, take)
}

type roomKey struct{}

// Whole gives the file that write writes, for one answer. One of more than 64 MiB is
// resource_exhausted at field, with the name of the method that streams it, and so is
// one for which there is no room, see [WithRoom].
func Whole(ctx context.Context, field, streams string, write func(io.Writer) error) ([]byte, error) {
	take, _ := ctx.Value(roomKey{}).(func(int64) bool)
	whole := limited{take: take, tooLarge: &refusal.Error{Code: refusal.ResourceExhausted, At: field,
		Reason: "is larger than 64 MiB; " + streams + " streams it"},
		noRoom: &refusal.Error{Code: refusal.ResourceExhausted, At: field, Wait: 5 * time.Second,
			Reason: "is more than the server has room for at the moment; try again a little later, or have " + streams + " stream it"}}
	if err := write(&whole); err != nil {
		return nil, err
	}
	return whole.b.Bytes(), nil
}

// limited is a buffer for what one answer can carry.
type limited struct {
	b                bytes.Buffer
	take             func(bytes int64) bool // nil where room is not counted
	room             int                    // that was taken
	tooLarge, noRoom error
}

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > maxWhole {
		return 0, l.tooLarge
	}
	if more := l.b.Len() + len(p) - l.room; l.take != nil && more > 0 {
		more = min(max(more, roomStep), maxWhole-l.room)
		if !l.take(int64(more)) {
			return 0, l.noRoom
		}
		l.room += more
	}
	return l.b.Write(p)
}
