package badgerdb

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// copyDatabase fills the empty directory to with what Badger finds in from, for
// reading. Tables never change once written, so they are linked; where a link is not
// possible they are copied like the rest. Of the logs, their whole transactions are
// copied; one that holds none is left out, and so is the note of the process id.
func copyDatabase(from, to string, logs []logSpan) error {
	for _, log := range logs {
		if log.last == 0 {
			continue
		}
		if err := copyStart(log.name, filepath.Join(to, filepath.Base(log.name)), int64(log.end)); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if ext := filepath.Ext(e.Name()); !info.Mode().IsRegular() || ext == ".mem" || isEmptyLog(info) || e.Name() == "LOCK" {
			continue
		}
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if filepath.Ext(e.Name()) == ".sst" && os.Link(src, dst) == nil {
			continue
		}
		if err := copySparse(src, dst); err != nil {
			return err
		}
	}
	return nil
}

// copyStart copies the first n bytes of a file.
func copyStart(from, to string, n int64) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = join(err, dst.Close()) }()
	_, err = io.CopyN(dst, src, n)
	return err
}

// copySparse copies a file without its holes, which Badger's value logs have.
func copySparse(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = join(err, dst.Close()) }()
	// What is not written below is a hole, at the end too.
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	for off := int64(0); off < info.Size(); {
		start, end, err := nextData(src, off, info.Size())
		if err != nil {
			return fmt.Errorf("looking for data in %s: %w", from, err)
		}
		if _, err := src.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := dst.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(dst, src, end-start); err != nil {
			return fmt.Errorf("copying %s: %w", from, err)
		}
		off = end
	}
	return nil
}

// nextData returns the first stretch of data at or after off; it is empty, at
// size, when only a hole is left. A file system that cannot tell has no holes.
func nextData(f *os.File, off, size int64) (start, end int64, err error) {
	start, err = unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
		return off, size, nil
	case err != nil:
		return 0, 0, err
	}
	end, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
	if err != nil {
		return 0, 0, err
	}
	// The file cannot grow under the lock; a last page may reach past its end.
	return min(start, size), min(end, size), nil
}
