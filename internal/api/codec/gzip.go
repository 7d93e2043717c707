package codec

import (
	"compress/gzip"
	"io"

	"connectrpc.com/connect"
)

// boundedGzip ends bodies that are unpacked at limit bytes. Connect refuses a message
// that is too large only after it has unpacked the rest, a thousand times what was sent.
func boundedGzip(limit int) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &boundedReader{limit: int64(limit)} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) })
}

type boundedReader struct {
	gzip.Reader
	limit, left int64
}

// Reset implements [connect.Decompressor].
func (r *boundedReader) Reset(from io.Reader) error {
	r.left = r.limit
	return r.Reader.Reset(from)
}

// Read implements [io.Reader].
func (r *boundedReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}
