package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// makeBlocks has the file system set blocks aside for n bytes of a file from an
// offset on. What is written there stays, and so does the file's size.
func makeBlocks(path string, from, n int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has ended meanwhile
	} else if err != nil {
		return fmt.Errorf("setting room aside: %w", err)
	}
	defer f.Close()
	err = fallocate(f, unix.FALLOC_FL_KEEP_SIZE, from, n)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("setting %d KiB aside for %s: %w", n>>10, path, err)
	}
	return nil
}

// TakeRoom makes a file of n bytes, or makes one that is there so long, for which the
// file system has set blocks aside. Where it cannot, there is no file, and the error is
// [errors.ErrUnsupported].
func TakeRoom(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(fallocate(f, 0, 0, n), f.Truncate(n), f.Close())
	}
	if err != nil {
		return fmt.Errorf("taking room: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

func fallocate(f *os.File, mode uint32, from, n int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), mode, from, n); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
