// Package store keeps a consent ledger's log on Badger.
//
// [Create] makes a new log and [Open] opens one that exists; the two never do
// each other's work. One goroutine writes, through [Store.Begin]; any number
// read, through [Store.Snapshot].
//
// What is promised: after [Group.Commit] returned nil, its entries survive the
// death of the process and of the machine. No reader ever sees an entry or a
// checkpoint that could still be lost. After a commit that failed, nothing is
// written any more until the log has been opened anew. A log that has lost
// something that was acknowledged does not open, and opening it changes
// nothing.
//
// Limits: local file systems only (see internal/badgerdb). The log trusts the
// head file beside it: whoever rolls back both, rolls back the log; witnesses
// and kept checkpoints are what notices that.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/ledger"
)

// Options says which log, and who signs. Dir and Signer are required.
type Options struct {
	// Dir holds the head file and the directory log/.
	Dir string
	// Signer holds the two keys that sign checkpoints.
	Signer *ledger.Signer
	// Next, if set, holds two that were to take their place when the log was closed
	// or its process died, see [Group.Rotate]: those sign that the log says are in
	// force. [Create] does not use it.
	Next *ledger.Signer
	// Logger receives what Badger has to say; nil discards it.
	Logger *slog.Logger
	// StateEntries and StateInterval are the least distance between two
	// state.committed entries; both must have passed. The defaults are 65,536
	// entries and one hour.
	StateEntries  int64
	StateInterval time.Duration
	// MemTableBytes and CacheBytes are those of [badgerdb.Options].
	MemTableBytes, CacheBytes int64
	// Agree, if set, is asked by [Open] before anything is changed: it is given the
	// log's name and the newest record of the second store (see [Group.Commit]) as
	// the log repeats it, and its error refuses to open the log.
	Agree func(origin string, companion []byte) error
	// TestOnlyStep is for tests of packages that write through this one: it is
	// called with "before" or "after" and the name of each durable step of a
	// commit, "log" then "head", and its error is the step's.
	TestOnlyStep func(step string) error
}

func (o *Options) validate() error {
	if o.Dir == "" || o.Signer == nil {
		return errors.New("a log needs a directory and a signer")
	}
	if o.Next != nil && o.Next.Origin() != o.Signer.Origin() {
		return fmt.Errorf("the next keys are of another log, %s", o.Next.Origin())
	}
	if o.StateEntries <= 0 {
		o.StateEntries = 1 << 16
	}
	if o.StateInterval <= 0 {
		o.StateInterval = time.Hour
	}
	return nil
}

func (o *Options) database() badgerdb.Options {
	return badgerdb.Options{Dir: filepath.Join(o.Dir, "log"), Compress: true, Logger: o.Logger,
		MemTableBytes: o.MemTableBytes, CacheBytes: o.CacheBytes}
}

// Errors that a caller branches on.
var (
	// ErrStopped: a commit failed, so the log takes nothing more until it has
	// been opened anew.
	ErrStopped = errors.New("the log stopped after a commit that failed")
	// ErrTooBig: entries do not fit into one group.
	ErrTooBig = errors.New("too big for one group")
	// ErrDamaged: the log on disk is not what was acknowledged or signed.
	ErrDamaged = errors.New("the log is damaged")
	// ErrKeys: the keys that the log is opened with did not sign the head file.
	ErrKeys = errors.New("the head file is not signed with the signing keys given")
	// ErrKeyEntries: the log has as many key entries as a trust.keys file can hold.
	ErrKeyEntries = errors.New("the log has as many key entries as it can have")
	// ErrRetired: the keys that signed checkpoints of this size were replaced, and
	// nobody can sign one any more.
	ErrRetired = errors.New("the keys that signed it are retired")
)

// Store is an open log.
type Store struct {
	opt       Options
	db        *badger.DB
	head      *headFile
	published atomic.Pointer[Snapshot]

	// Owned by the one writer.
	state   ledger.StateTree
	warming *warming // makes the state tree after Open; nil once it is taken over
	writing *Group   // the group that may commit, or nil
	stopped error

	// testOnlyFault, if set, is called before and after each durable step of a
	// commit; its error is the step's.
	testOnlyFault func(step string) error
}

// Rows of the log's database. All values are stored inline.
//
//	e index:8          an entry's bytes; written once, never changed
//	t level:1 tile:8   a full hash tile, 8,192 bytes; written once, when full
//	c id:8             what the rules know of a consent
//	a id:8 index:8     an entry that mentions a consent; the value is its kind
//	f index:8 index:8  an entry that refers to the first; the value is its kind
//	l lock:32          a lock ever seen (seenLock)
//	p purpose 0 ver:8  one version of a purpose, JSON
//	n notice 0 ver:8   one version of a notice, JSON
//	x sha256:32        a notice's text, or the document with its facts
//	s name             the role of a source
//	u index:8          a subject.erased entry that is not yet carried out
//	h index:8          a hold.set entry that is not lifted; the value is empty
//	q index:8          a request.received entry that waits for its answer
//	r index:8          a recipient.notified entry that waits to be acknowledged; the value is empty
//	d name             a processor that is or was engaged, JSON
//	g name             a claim that is declared; the value is empty
//	v size:8 index:8   a checkpoint.anchored entry, by the size that was stamped; the value is empty
//	y sha256:32        a checkpoint that was stamped, or a token over one
//	k index:8          a key.rotated entry; the value is empty
//	j of name 0 index:8  an entry that declared a source (of is s) or engaged or ended a processor (d); the value is empty
//	m                  the newest group: meta, JSON
const (
	entryRow     = 'e'
	tileRow      = 't'
	consentKey   = 'c'
	mentionRow   = 'a'
	referRow     = 'f'
	lockKey      = 'l'
	purposeRow   = 'p'
	noticeRow    = 'n'
	textRow      = 'x'
	sourceRow    = 's'
	erasureRow   = 'u'
	holdRow      = 'h'
	rightsRow    = 'q'
	noticedRow   = 'r'
	processorRow = 'd'
	claimRow     = 'g'
	anchorRow    = 'v'
	stampRow     = 'y'
	keyRow       = 'k'
	declaredRow  = 'j'
	metaRow      = 'm'
)

func indexKey(prefix byte, n int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, uint64(n))
}

func tileKey(level int, n int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tileRow, byte(level)}, uint64(n))
}

func hashKey(prefix byte, h ledger.Hash) []byte { return append([]byte{prefix}, h[:]...) }

// versionKey is that of one version of a purpose or a notice.
func versionKey(prefix byte, id string, version int64) []byte {
	return binary.BigEndian.AppendUint64(append(append([]byte{prefix}, id...), 0), uint64(version))
}

// meta is the row that every group rewrites: what the database believes the
// log to be.
type meta struct {
	Size      ledger.Size `json:"size"`
	Count     int64       `json:"count"` // entries of the newest group
	Root      []byte      `json:"root"`
	Leaf      []byte      `json:"leaf"` // leaf hash of the last entry
	Last      time.Time   `json:"last"` // time of the last entry
	State     ledger.Size `json:"state"`
	StateTime time.Time   `json:"state_time"`
	// Companion repeats the newest record of a second store that commits
	// before this one; its meaning is the caller's.
	Companion []byte `json:"companion,omitempty"`
}

// Create makes the log of a new ledger: its entry 0, signed. The directory
// must exist and hold no log.
func Create(opt Options, controller string, now time.Time) error {
	if err := opt.validate(); err != nil {
		return fmt.Errorf("creating the log: %w", err)
	}
	first, err := ledger.NewLedger(opt.Signer, controller, now)
	if err != nil {
		return fmt.Errorf("creating the log: %w", err)
	}
	db, err := badgerdb.Create(opt.database())
	if err != nil {
		return fmt.Errorf("creating the log: %w", err)
	}
	head, err := createHead(opt.Dir)
	if err != nil {
		return errors.Join(fmt.Errorf("creating the log: %w", err), db.Close())
	}
	s := &Store{opt: opt, db: db, head: head}
	s.publish(&Snapshot{store: s, registry: newRegistry(), signer: opt.Signer, txn: db.NewTransaction(false)})
	g, err := s.Begin()
	if err == nil {
		_, err = g.Append(first.Time, first)
	}
	if err == nil {
		err = g.Commit(nil)
	}
	if err != nil {
		err = fmt.Errorf("creating the log: %w", err)
	}
	return errors.Join(err, s.Close())
}

// Close closes the log. No snapshot may be in use.
func (s *Store) Close() error {
	s.warming.close()
	if old := s.published.Load(); old != nil {
		old.Release()
	}
	return errors.Join(s.head.close(), badgerdb.Close(s.db))
}

// Space watches over the room that the log's database needs on its disk.
func (s *Store) Space() *badgerdb.Space { return badgerdb.NewSpace(s.db) }

// Origin is the log's name.
func (s *Store) Origin() string { return s.opt.Signer.Origin() }

// Stopped gives the error after which nothing is written any more, or nil.
// Only the writer may call it.
func (s *Store) Stopped() error { return s.stopped }
