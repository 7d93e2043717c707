//go:build !linux

package badgerdb

import "errors"

// makeBlocks does nothing here: the margin that the writer keeps must do.
func makeBlocks(path string, from, n int64) error { return nil }

// TakeRoom makes no file here.
func TakeRoom(path string, n int64) error { return errors.ErrUnsupported }
