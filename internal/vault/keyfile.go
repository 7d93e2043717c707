package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFile is a key in a file that can be destroyed, and during a change the
// next one beside it in "<path>.next".
type keyFile struct {
	path string
	// name is what the steps of the crash tests are called after.
	name string
	step func(name string) error
}

func newKeyFile(path, name string, step func(string) error) keyFile {
	if step == nil {
		step = func(string) error { return nil }
	}
	return keyFile{path, name, step}
}

func (f keyFile) next() string { return f.path + ".next" }

// stage stores content durably beside the key in force.
func (f keyFile) stage(content []byte) (err error) {
	file, err := os.OpenFile(f.next(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := f.step(f.name + ".next made"); err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(f.path)); err != nil {
		return err
	}
	return f.step(f.name + ".next synced")
}

// promote destroys the key in force and puts the staged one in its place. It
// may be called again after it was interrupted.
func (f keyFile) promote() error {
	if err := destroyBytes(f.path); err != nil {
		return fmt.Errorf("destroying the old key: %w", err)
	}
	if err := f.step(f.name + " overwritten"); err != nil {
		return err
	}
	if err := os.Rename(f.next(), f.path); err != nil {
		return fmt.Errorf("putting the new key in place: %w", err)
	}
	if err := f.step(f.name + " renamed"); err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("putting the new key in place: %w", err)
	}
	return f.step(f.name + " promoted")
}

// dropStaged destroys the staged key.
func (f keyFile) dropStaged() error {
	if err := destroyFile(f.next()); err != nil {
		return fmt.Errorf("destroying the staged key: %w", err)
	}
	return f.step(f.name + ".next dropped")
}

// destroyFile overwrites a key's file and removes it.
func destroyFile(path string) error {
	if err := destroyBytes(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// destroyBytes replaces the bytes of a key's file in place by random ones and
// syncs them. A file that is not there is as good as overwritten.
func destroyBytes(path string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := io.CopyN(file, rand.Reader, info.Size()); err != nil {
		return err
	}
	return file.Sync()
}

// syncDirectory makes the names in dir durable.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
