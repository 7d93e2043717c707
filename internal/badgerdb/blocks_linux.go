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
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, n)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, n)
	}
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("setting %d KiB aside for %s: %w", n>>10, path, err)
	}
	return nil
}
