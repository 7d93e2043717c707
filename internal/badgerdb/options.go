// Package badgerdb opens Badger the one way this program uses it.
//
// Start with [Open] for a database that exists and with [Probe] to learn what
// a database would say without touching it; [Create] makes an empty one.
//
// What is promised on top of Badger:
//
//   - A transaction whose Commit returned nil is on the disk; all values are
//     stored inline, so one synced write-ahead log decides that and nothing else.
//   - Every block of every table is checked when a database is opened or probed.
//     Damage there is an error that names the file. Badger alone answers a read
//     from a damaged block with "no such key".
//   - One process at a time, and the second one is told so in plain words.
//   - A nearly full disk is an error before anything is mapped into memory.
//
// Limits: Badger cuts a damaged write-ahead log silently when it opens, and
// Open does not notice; the caller compares what Probe shows with a record of
// its own. A table that rots while it is open is noticed at the next start
// only: until then a read from the damaged block finds nothing, so a caller
// that knows a key must exist treats "no such key" as damage. Local file
// systems only (ext4, xfs): locks and memory maps are not reliable on others.
//
// The functions may be called from any goroutine; the returned database is
// safe for concurrent use as Badger documents it.
package badgerdb

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	// MaxMemTableBytes is the default and the largest size of a memtable. Two
	// databases of this program then stay under half a gigabyte of memory.
	MaxMemTableBytes = 32 << 20
	// MinMemTableBytes is the smallest memtable that takes an inline value of
	// valueThreshold: Badger allows 15 % of the memtable per transaction.
	MinMemTableBytes = 7 << 20
	// valueThreshold is Badger's maximum, in bytes. Values up to it are stored
	// inline; the value log stays empty, because an error while syncing the
	// value log is logged by Badger and not returned.
	valueThreshold = 1 << 20
	// valueLogFileBytes is Badger's minimum: the value log is never used.
	valueLogFileBytes = 1 << 20
	// blockBytes is the size of tables' blocks: more of it compresses better, and
	// takes longer to read a row from.
	blockBytes = 8 << 10
	// defaultCacheBytes is the default of CacheBytes, and minCacheBytes the least.
	defaultCacheBytes = 64 << 20
	minCacheBytes     = 1 << 20
)

// Options says which database and how. Dir is required, the zero value of the
// other fields is fine.
type Options struct {
	// Dir is the database's directory. It belongs to Badger alone.
	Dir string
	// Compress stores new tables with Snappy. It serves the log; the vault's
	// ciphertext does not compress. Zstandard would take a fifth less of the disk
	// and six times the processor at each start, which reads everything, three
	// times in each compaction. Tables that exist keep what they were written with.
	Compress bool
	// Logger receives Badger's warnings and errors; nil discards them.
	Logger *slog.Logger
	// MemTableBytes is the size of a memtable: 7 MiB to 32 MiB, 0 means 32
	// MiB. A transaction takes at most 15 % of it. Memory holds two or three
	// memtables, five while the disk is slow, each of 1.3 times this size.
	MemTableBytes int64
	// CacheBytes is the size of the cache of tables' blocks of a compressed
	// database: at least 1 MiB, 0 means 64 MiB. One that is not compressed has
	// none: its blocks are pieces of the mapped files, and to remember where
	// each begins costs more than to look it up.
	CacheBytes int64
	// Seen, if set, is where a Probe notes what it has found whole. An Open with
	// the same Seen does not read it a second time while the files are the same.
	Seen *Seen
}

// checked returns the options with defaults filled in and Dir as the absolute
// path behind symbolic links, so that "beside Dir" is on the same file system.
func (o Options) checked() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("opening a database: no directory given")
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = MaxMemTableBytes
	}
	if o.MemTableBytes < MinMemTableBytes || o.MemTableBytes > MaxMemTableBytes {
		return o, fmt.Errorf("opening the database in %s: MemTableBytes is %d, want %d to %d",
			o.Dir, o.MemTableBytes, MinMemTableBytes, MaxMemTableBytes)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.CacheBytes < minCacheBytes {
		return o, fmt.Errorf("opening the database in %s: CacheBytes is %d, want at least %d", o.Dir, o.CacheBytes, minCacheBytes)
	}
	abs, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("opening the database in %s: %w", o.Dir, err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	o.Dir = abs
	return o, nil
}

// badger translates the options for the database in dir.
func (o Options) badger(dir string) badger.Options {
	compression, cache := options.None, int64(0)
	if o.Compress {
		compression, cache = options.Snappy, o.CacheBytes
	}
	b := badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithDetectConflicts(false). // There is one writer.
		WithNumVersionsToKeep(1).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogFileBytes).
		WithMemTableSize(o.MemTableBytes).
		WithNumMemtables(3).
		WithNumCompactors(2).
		WithCompactL0OnClose(false).
		WithBlockCacheSize(cache).
		WithIndexCacheSize(0). // It serves encrypted tables alone.
		WithCompression(compression).
		WithBlockSize(blockBytes).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(false).
		WithLogger(nil)
	if o.Logger != nil {
		b = b.WithLogger(logAdapter{o.Logger})
	}
	return b
}
