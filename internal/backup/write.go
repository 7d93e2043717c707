package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/keyfile"
)

// Writer writes one file.
type Writer struct {
	dir  string
	head Head
	file *os.File
	to   *bufio.Writer
	hash hash.Hash
	// Step is called after each durable step, with its name; its error is the step's.
	// It is for tests that fail or die on the way.
	Step func(name string) error
}

// Create begins the file with the head's number in a directory, under a name of its own,
// after it has removed what interrupted ones have left. Call [Writer.Finish] or
// [Writer.Discard].
func Create(dir string, h Head) (*Writer, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("writing a data backup: %w", err)
	}
	for _, e := range entries {
		if unfinished.MatchString(e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("removing what an interrupted backup left: %w", err)
			}
		}
	}
	file, err := os.CreateTemp(dir, Name(h.Number)+".tmp*") // readable by the owner alone
	if err != nil {
		return nil, fmt.Errorf("writing a data backup: %w", err)
	}
	w := &Writer{dir: dir, head: h, file: file, hash: sha256.New(), Step: func(string) error { return nil }}
	w.to = bufio.NewWriterSize(io.MultiWriter(file, w.hash), 256<<10)
	w.to.Write(h.encode()) // w.to keeps the first error
	return w, nil
}

// Record adds a record whose content is the parts, one behind the other.
func (w *Writer) Record(kind byte, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if kind == 0 || size > MaxRecord {
		return fmt.Errorf("writing a data backup: a record of kind %d with %d bytes", kind, size)
	}
	w.to.WriteByte(kind)
	w.to.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
	for _, p := range parts {
		w.to.Write(p)
	}
	if _, err := w.to.Write(nil); err != nil {
		return fmt.Errorf("writing a data backup: %w", err)
	}
	return nil
}

// Finish writes the sum, syncs the file, reads it back and gives it its name. After an
// error there is no file of that name, or one that is whole.
func (w *Writer) Finish() (File, error) {
	f, err := w.finish()
	if err != nil {
		w.Discard()
		return File{}, fmt.Errorf("writing a data backup: %w", err)
	}
	return f, nil
}

func (w *Writer) finish() (f File, err error) {
	w.to.WriteByte(0)
	if err := w.to.Flush(); err != nil {
		return f, err
	}
	w.hash.Sum(f.Sum[:0])
	if _, err := w.file.Write(f.Sum[:]); err != nil {
		return f, err
	}
	if err := w.file.Sync(); err != nil {
		return f, err
	}
	if err := w.Step("backup synced"); err != nil {
		return f, err
	}
	scratch := w.file.Name()
	h, sum, err := ReadFile(scratch, nil)
	if err == nil && (sum != f.Sum || string(h.encode()) != string(w.head.encode())) {
		err = fmt.Errorf("%s: %w: it reads back differently", scratch, ErrDamaged)
	}
	if err != nil {
		return f, err
	}
	f.Head, f.Path = h, filepath.Join(w.dir, Name(h.Number))
	if _, err := os.Lstat(f.Path); !errors.Is(err, fs.ErrNotExist) {
		return f, errors.Join(fmt.Errorf("%s is there already: somebody else writes backups to this directory", f.Path), err)
	}
	if err := os.Rename(scratch, f.Path); err != nil {
		return f, err
	}
	if err := w.Step("backup renamed"); err != nil {
		return f, err
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return f, err
	}
	f.Size = info.Size()
	return f, errors.Join(keyfile.SyncDir(w.dir), w.file.Close())
}

// Discard removes what was written; after a Finish without an error it does nothing.
func (w *Writer) Discard() {
	// A failure leaves a file that the next Create removes.
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}
