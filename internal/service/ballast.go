package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consentledger/consentledger/internal/badgerdb"
)

// ballastName is a file in the ledger's directory that means nothing and takes room: on
// a full disk a ledger does not start, and removing it gives the room to start, to read
// and to withdraw. A server makes it, again when there is room again.
const ballastName = "ballast"

// ballastMemTables is the ballast's size in memtables: what both databases need to
// start after a crash.
const ballastMemTables = 8

// keepBallast makes the ballast unless it is there, or the room is needed.
func (s *Service) keepBallast() error {
	path, size := filepath.Join(s.dir, ballastName), ballastMemTables*s.memTable
	if info, err := os.Stat(path); err == nil && info.Size() == size {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for the ballast: %w", err)
	}
	room := s.space.look()
	free, err := s.space.free(s.dir)
	if err != nil || room.level != everything || free < room.reserve+2*size {
		return err
	}
	err = badgerdb.TakeRoom(path, size)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // nothing can be done beforehand there
	}
	return err
}
