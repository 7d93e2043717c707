package calls

import (
	"bufio"
	"bytes"
	"io"

	"github.com/consentledger/consentledger/internal/refusal"
)

const (
	// maxChunk is the largest piece of a file that a stream sends.
	maxChunk = 64 << 10
	// maxWhole is the largest file that one answer carries.
	maxWhole = 64 << 20
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

// Whole gives the file that write writes, for one answer. One of more than 64 MiB is
// resource_exhausted at field, with the name of the method that streams it.
func Whole(field, streams string, write func(io.Writer) error) ([]byte, error) {
	whole := limited{tooLarge: &refusal.Error{Code: refusal.ResourceExhausted, At: field,
		Reason: "is larger than 64 MiB; " + streams + " streams it"}}
	if err := write(&whole); err != nil {
		return nil, err
	}
	return whole.b.Bytes(), nil
}

// limited is a buffer for what one answer can carry.
type limited struct {
	b        bytes.Buffer
	tooLarge error
}

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > maxWhole {
		return 0, l.tooLarge
	}
	return l.b.Write(p)
}
