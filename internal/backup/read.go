package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// Read reads a file to its end and calls each, if it is not nil, with every record; the
// content may be kept. What each did is void unless the error is nil: the sum stands last.
func Read(from io.Reader, each func(kind byte, content []byte) error) (Head, Sum, error) {
	r := &reader{from: bufio.NewReaderSize(from, 256<<10), hash: sha256.New()}
	h, err := r.head()
	for more := true; err == nil && more; {
		more, err = r.record(each)
	}
	if err != nil {
		return Head{}, Sum{}, err
	}
	sum, err := r.end()
	return h, sum, err
}

type reader struct {
	from *bufio.Reader
	hash hash.Hash
}

// next gives the next n bytes, which count for the sum.
func (r *reader) next(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r.from, b); err != nil {
		return nil, cut(err)
	}
	r.hash.Write(b)
	return b, nil
}

// cut tells a file that ends from one that cannot be read.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends early", ErrDamaged)
	}
	return err
}

func (r *reader) head() (Head, error) {
	// One that is shorter than this may be something else altogether.
	b := make([]byte, fixed)
	n, err := io.ReadFull(r.from, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Head{}, err
	}
	h, origin, err := parseFixed(b[:n])
	if err != nil {
		return Head{}, err
	}
	r.hash.Write(b)
	if b, err = r.next(origin + rest); err != nil {
		return Head{}, err
	}
	return h, h.parseRest(b, origin)
}

// record reads one record; more is false at their end.
func (r *reader) record(each func(kind byte, content []byte) error) (more bool, err error) {
	b, err := r.next(1)
	if err != nil || b[0] == 0 {
		return false, err
	}
	kind := b[0]
	if b, err = r.next(4); err != nil {
		return false, err
	}
	size := binary.BigEndian.Uint32(b)
	if size > MaxRecord {
		return false, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, size)
	}
	if b, err = r.next(int(size)); err != nil || each == nil {
		return true, err
	}
	return true, each(kind, b)
}

func (r *reader) end() (sum Sum, err error) {
	var said Sum
	if _, err := io.ReadFull(r.from, said[:]); err != nil {
		return sum, cut(err)
	}
	r.hash.Sum(sum[:0])
	if said != sum {
		return sum, fmt.Errorf("%w: its content does not have the sum that it says", ErrDamaged)
	}
	if _, err := r.from.ReadByte(); err == nil {
		return sum, fmt.Errorf("%w: something stands behind its end", ErrDamaged)
	} else if !errors.Is(err, io.EOF) {
		return sum, err
	}
	return sum, nil
}

// ReadFile is [Read] of a file on disk.
func ReadFile(path string, each func(kind byte, content []byte) error) (Head, Sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return Head{}, Sum{}, err
	}
	defer f.Close()
	h, sum, err := Read(f, each)
	if err != nil {
		return h, sum, fmt.Errorf("%s: %w", path, err)
	}
	return h, sum, nil
}

// readEnds reads head and sum, and not what lies between.
func readEnds(path string) (f File, err error) {
	file, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return f, err
	}
	f = File{Path: path, Size: info.Size()}
	r := &reader{from: bufio.NewReader(file), hash: sha256.New()}
	if f.Head, err = r.head(); err != nil {
		return f, err
	}
	if f.Size < int64(fixed+len(f.Origin)+rest+1+len(f.Sum)) {
		return f, fmt.Errorf("%w: it ends early", ErrDamaged)
	}
	_, err = file.ReadAt(f.Sum[:], f.Size-int64(len(f.Sum)))
	return f, err
}
