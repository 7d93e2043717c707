package logfiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// maxSize gives how many bytes a file of a log may have, by its path.
func maxSize(path string) int64 {
	switch {
	case path == "checkpoint":
		return ledger.MaxNoteSize
	case strings.HasPrefix(path, "tile/entries/"):
		return ledger.TileWidth * (ledger.MaxEntrySize + 2)
	case strings.HasPrefix(path, "tile/"):
		return ledger.TileWidth * int64(len(ledger.Hash{}))
	case path == "trust.keys":
		return ledger.MaxKeyRingSize
	}
	return 1 << 20 // a notice, or what was stamped and the stamp
}

// unreadable says why a file of the log could not be read; it wraps
// [ledger.ErrMissing] only when there is no such file. The caller names the
// file, so the error of the system does not name it again.
func unreadable(err error) error {
	var path *fs.PathError
	var request *url.Error
	if errors.As(err, &path) {
		err = path.Err
	} else if errors.As(err, &request) {
		err = request.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ledger.ErrMissing, err)
	}
	return err
}

// readLimited reads a file of the log and refuses one that is longer than it
// may be, so that nobody's file fills the memory. sizeHint is the size that is
// expected, -1 if that is not known.
func readLimited(r io.Reader, path string, sizeHint int64) ([]byte, error) {
	limit := maxSize(path)
	if sizeHint > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", path, sizeHint, limit)
	}
	// One byte more than expected, so that the end is seen without growing.
	b := make([]byte, 0, max(sizeHint, 511)+1)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit {
			return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}
