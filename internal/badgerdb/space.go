package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// Space watches over the room on the disk that an open database needs. Badger
// writes everything but its manifest through memory maps of sparse files, where a
// full disk is no error but SIGBUS, the end of the process. So the blocks of the
// log that is written are made beforehand, and what Badger writes by itself,
// tables, must find room whenever it likes: the writer asks [Space.Keep] before it
// writes, and stops while less than that is free.
//
// Limits: another program that takes the last of the room while a table is being
// written still ends the process; what was acknowledged is in the logs. A file
// system that cannot make blocks beforehand (ZFS, NFS) has the margin alone.
//
// One goroutine at a time.
type Space struct {
	db   *badger.DB
	dir  string
	log  int // the newest log whose blocks were made
	need int64
	asOf time.Time
}

// manifestAhead is how many bytes the manifest can grow by before it needs a new
// block: a piece of a record that a full disk cut off would spoil the manifest.
const manifestAhead = 256 << 10

// countEvery is how often the tables are counted while no log ends.
const countEvery = time.Second

// NewSpace begins to watch over an open database's room.
func NewSpace(db *badger.DB) *Space { return &Space{db: db, dir: db.Opts().Dir} }

// Dir is the directory of the database.
func (s *Space) Dir() string { return s.dir }

// Keep makes the blocks of the log that the next transactions go to, unless they
// are there, and gives how many bytes Badger may write besides, at most, before it
// has deleted anything. An error says that the blocks are not there: nothing may
// be written. It takes microseconds unless a log has ended.
func (s *Space) Keep() (need int64, err error) {
	ended := s.log == 0
	if !ended {
		if _, err := os.Stat(logPath(s.dir, s.log+1)); err == nil {
			ended = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("looking at the database's logs: %w", err)
		}
	}
	if !ended && time.Since(s.asOf) < countEvery {
		return s.need, nil
	}
	logs, err := logNumbers(s.dir)
	if err != nil {
		return 0, err
	}
	if newest := slices.Max(append(logs, 0)); newest > s.log {
		if err := makeBlocks(logPath(s.dir, newest), 0, logBytes(s.db.Opts().MemTableSize)); err != nil {
			return 0, err
		}
		s.log = newest
	}
	manifest := filepath.Join(s.dir, badger.ManifestFilename)
	info, err := os.Stat(manifest)
	if err != nil {
		return 0, fmt.Errorf("looking at the database's manifest: %w", err)
	}
	if err := makeBlocks(manifest, info.Size(), manifestAhead); err != nil {
		return 0, err
	}
	s.need, s.asOf = int64(len(logs))*s.db.Opts().MemTableSize+s.compaction(), time.Now()
	return s.need, nil
}

// compaction is how many bytes compactions that run at once may write before the
// tables that they replace are deleted. Those of level 0 are merged all together
// with what they overlap of the level that takes them, which is all of it; deeper,
// it is a table with the ten or so that it overlaps.
func (s *Space) compaction() (bytes int64) {
	const deeper = 64 << 20
	rest := int64(deeper)
	for _, l := range s.db.Levels() {
		switch {
		case l.Level == 0 || l.IsBaseLevel:
			bytes += l.Size
		default:
			n := min(l.Size, rest)
			bytes, rest = bytes+n, rest-n
		}
	}
	return bytes
}

func logPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%05d.mem", number))
}

// logBytes is how far Badger writes into a log: until it is as large as its
// memtable, and then what the transaction at hand still has, which is at most 15 %
// of that and the heads of its entries.
func logBytes(memTable int64) int64 { return memTable + memTable/4 }

// logNumbers lists the numbers of the write-ahead logs in dir.
func logNumbers(dir string) (numbers []int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the database's directory: %w", err)
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".mem"); ok {
			if n, err := strconv.Atoi(name); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	return numbers, nil
}

// ErrNoRoom is in the chain of the error of [Close] on a full disk.
var ErrNoRoom = errors.New("the disk is too full to close the database in order; it is left as a crash would leave it, and nothing is lost: " +
	"make room before the next start")

// Close closes a database, unless its disk has no room for what Badger writes then,
// which is what its memtables hold: that would end the process with SIGBUS, or be
// tried again for ever. Then the logs hold it, the database stays open until the
// process ends, and the error is [ErrNoRoom].
func Close(db *badger.DB) error {
	dir := db.Opts().Dir
	logs, err := logNumbers(dir)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if err := needFree(dir, int64(len(logs))*db.Opts().MemTableSize); err != nil {
		return fmt.Errorf("%w (%w)", ErrNoRoom, err)
	}
	return db.Close()
}

// Free is how many bytes of the file system of dir a program without privileges can
// still take.
func Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	if block := int64(st.Bsize); block > 0 && st.Bavail < uint64(math.MaxInt64/block) {
		return int64(st.Bavail) * block, nil
	}
	return math.MaxInt64, nil
}
