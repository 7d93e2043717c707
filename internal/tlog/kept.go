package tlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/consentledger/consentledger/ledger"
)

// keptCheckpoint is a file with the largest checkpoint of a kind, as the log alone
// signed it.
type keptCheckpoint struct {
	path string

	mu   sync.Mutex
	read bool        // guarded by mu
	size ledger.Size // guarded by mu: what the file holds, once it was read
}

// keep writes a checkpoint, whole or not at all, unless the file holds one as large.
func (k *keptCheckpoint) keep(signed []byte, size ledger.Size) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.read {
		// What cannot be read is replaced: it proves nothing.
		if old, err := os.ReadFile(k.path); err == nil {
			if c, err := ledger.ParseKept(old); err == nil {
				k.size = c.Size
			}
		}
		k.read = true
	}
	if size <= k.size {
		return nil
	}
	if err := replaceFile(k.path, signed); err != nil {
		return fmt.Errorf("keeping %s: %w", filepath.Base(k.path), err)
	}
	k.size = size
	return nil
}

// replaceFile puts a file in the place of another, durably: the one or the other is
// there at any time.
func replaceFile(path string, content []byte) error {
	next := path + ".next"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(next, path)
}
