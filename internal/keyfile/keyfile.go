// Package keyfile keeps a key in a file that can be destroyed, and replaces it.
//
// Start with [New] and [File.Stage]: the next key lies in "<path>.next" until
// [File.Promote] destroys the one before and puts it in its place, or
// [File.DropStaged] destroys it. Each step is durable before the next one begins
// and may be taken again after a crash; which of the two keys counts then, the
// caller must know from elsewhere.
//
// Limits: destroyed means that the file's bytes were overwritten in place and
// synced. What a copying file system, a snapshot or an SSD's spare blocks keep of
// them, no program can reach. The methods are not safe for concurrent use.
package keyfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a key in a file, and during a change the next one beside it.
type File struct {
	path string
	name string
	// Step is called after each durable step, with the step's name; its error is the
	// step's. It is for tests that fail or die on the way, and never nil.
	Step func(name string) error
}

// New gives the file at path. The names of its steps begin with name. step may be
// nil.
func New(path, name string, step func(string) error) File {
	if step == nil {
		step = func(string) error { return nil }
	}
	return File{path, name, step}
}

// Path is where the key in force lies.
func (f File) Path() string { return f.path }

// Next is where the key that is to follow it lies.
func (f File) Next() string { return f.path + ".next" }

// Stage stores content durably beside the key in force, readable by the owner
// alone. A staged key that is there already is an error that wraps
// [fs.ErrExist].
func (f File) Stage(content []byte) (err error) {
	file, err := os.OpenFile(f.Next(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := f.Step(f.name + ".next made"); err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(f.path)); err != nil {
		return err
	}
	return f.Step(f.name + ".next synced")
}

// Promote destroys the key in force and puts the staged one in its place. It
// may be called again after it was interrupted.
func (f File) Promote() error {
	if err := destroyBytes(f.path); err != nil {
		return fmt.Errorf("destroying the old key: %w", err)
	}
	if err := f.Step(f.name + " overwritten"); err != nil {
		return err
	}
	if err := os.Rename(f.Next(), f.path); err != nil {
		return fmt.Errorf("putting the new key in place: %w", err)
	}
	if err := f.Step(f.name + " renamed"); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("putting the new key in place: %w", err)
	}
	return f.Step(f.name + " promoted")
}

// DropStaged destroys the staged key, if there is one.
func (f File) DropStaged() error {
	if err := Destroy(f.Next()); err != nil {
		return fmt.Errorf("destroying the staged key: %w", err)
	}
	return f.Step(f.name + ".next dropped")
}

// Destroy overwrites a key's file and removes it. One that is not there is as
// good as destroyed.
func Destroy(path string) error {
	if err := destroyBytes(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// destroyBytes replaces the bytes of a key's file in place by random ones and
// syncs them.
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

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
