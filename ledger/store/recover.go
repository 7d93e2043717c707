package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/ledger"
)

// Open opens a log. Before anything is changed it compares what the database
// would say with the head file:
//
//   - equal: the log opens;
//   - the database is ahead by exactly its newest group, which nobody saw: the
//     group is adopted, its root recomputed, signed and written to the head file,
//     with the next keys if the group brought them in;
//   - the database is behind: entries that were acknowledged are lost, because a
//     damaged write-ahead log was cut. [ErrDamaged], with both sizes; nothing
//     was changed, so a copy of the directory still holds what there is;
//   - anything else: [ErrDamaged].
func Open(opt Options) (*Store, error) {
	if err := opt.validate(); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	head, signed, err := openHead(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	if head.wrong != nil && opt.Logger != nil {
		opt.Logger.Warn("a slot of the head file is damaged, the other one counts", "reason", head.wrong.Error())
	}
	s := &Store{opt: opt, head: head, testOnlyFault: opt.TestOnlyStep}
	var apart *disagreement
	if err := s.open(signed); errors.As(err, &apart) {
		return nil, errors.Join(apart.error, head.close())
	} else if err != nil {
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
		return nil, errors.Join(fmt.Errorf("opening the log: %w", err), head.close())
	}
	return s, nil
}

func (s *Store) open(signed []byte) error {
	opened, keys, err := s.openOwn(signed)
	if err != nil {
		return fmt.Errorf("%w (are they this log's, and from the same time?): %w", ErrKeys, err)
	}
	database := s.opt.database()
	database.Seen = new(badgerdb.Seen)
	err = badgerdb.Probe(database, func(db *badger.DB) error {
		return db.View(func(txn *badger.Txn) error { return s.examine(opened.Checkpoint, keys, txn) })
	})
	if errors.Is(err, badgerdb.ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	if s.db, err = badgerdb.Open(database); err != nil {
		return err
	}
	p, err := s.load()
	if err != nil {
		return err
	}
	if p.checkpoint = signed; p.meta.Size > opened.Size {
		if p.checkpoint, err = p.signer.SignCheckpoint(
			ledger.Checkpoint{Origin: s.Origin(), Size: p.meta.Size, Root: p.root}, p.meta.Last.Unix()); err != nil {
			return err
		}
		if err := s.head.write(p.checkpoint); err != nil {
			return err
		}
	}
	s.publish(p)
	s.warm()
	return nil
}

// examine refuses a database that is not what the head file says, which these keys
// signed.
func (s *Store) examine(head ledger.Checkpoint, signedBy ledger.KeyPair, txn *badger.Txn) error {
	m, err := readMeta(txn)
	if err != nil {
		return err
	}
	if err := s.compare(head, m); err != nil {
		return err
	}
	if err := contiguous(txn, m.Size); err != nil {
		return err
	}
	p := &Snapshot{store: s, txn: txn}
	if err := p.load(); err != nil {
		return err
	}
	if err := s.examineKeys(head, signedBy, p); err != nil {
		return err
	}
	root, err := p.rootAt(head.Size)
	if err == nil && root != head.Root {
		// Else a group could be adopted whose checkpoint contradicts the one
		// that was signed.
		err = fmt.Errorf("%w: at %d entries the database's root is not the one that was signed", ErrDamaged, head.Size)
	}
	if err == nil && s.opt.Agree != nil {
		if err := s.opt.Agree(s.Origin(), p.Companion()); err != nil {
			return &disagreement{err}
		}
	}
	return err
}

// disagreement is an error of [Options.Agree]: it says nothing about the log.
type disagreement struct{ error }

func (s *Store) compare(head ledger.Checkpoint, m meta) error {
	switch {
	case m.Size < head.Size:
		return fmt.Errorf("%w: the database holds %d entries, %d were acknowledged; %d are lost", ErrDamaged, m.Size, head.Size, head.Size-m.Size)
	case m.Size == head.Size && !bytes.Equal(m.Root, head.Root[:]):
		return fmt.Errorf("%w: at %d entries the database's root is not the one that was signed", ErrDamaged, m.Size)
	case m.Size > head.Size && m.Size-ledger.Size(m.Count) != head.Size:
		return fmt.Errorf("%w: the database holds %d entries, the head file %d, and the newest group has %d; "+
			"was the head file restored from a backup?", ErrDamaged, m.Size, head.Size, m.Count)
	}
	return nil
}

// recentEntries is more than the write-ahead logs of all memtables can hold.
const recentEntries = 1 << 19

// contiguous checks that no entry is missing among those that could still be in a
// write-ahead log. What an older log, or a table that its manifest forgot, has lost is
// in the middle, which the newest group's row does not tell.
func contiguous(txn *badger.Txn, size ledger.Size) error {
	from := max(0, int64(size)-recentEntries)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{entryRow}})
	defer it.Close()
	it.Seek(indexKey(entryRow, from))
	for i := from; i < int64(size); i++ {
		if !it.Valid() || indexOf(it.Item().Key()) != i {
			return fmt.Errorf("%w: entry %d of %d is missing; a write-ahead log or a table is lost", ErrDamaged, i, size)
		}
		it.Next()
	}
	return nil
}

// load rebuilds from the database what the writer keeps in memory.
func (s *Store) load() (*Snapshot, error) {
	txn := s.db.NewTransaction(false)
	p := &Snapshot{store: s, txn: txn}
	if err := p.load(); err != nil {
		txn.Discard()
		return nil, err
	}
	return p, nil
}

func (p *Snapshot) load() (err error) {
	if p.meta, err = readMeta(p.txn); err != nil {
		return err
	}
	if p.registry, err = readRegistry(p.txn); err != nil {
		return err
	}
	if at, ok := p.Committed(); ok {
		p.state = &committedState{at: at}
	}
	p.signer = p.store.opt.signer(p.registry.keyEntry().Keys) // nil before examineKeys
	if p.edges, err = p.loadEdges(); err != nil {
		return err
	}
	if p.tree, err = p.loadTree(); err != nil {
		return err
	}
	if p.root = p.tree.Root(); !bytes.Equal(p.root[:], p.meta.Root) {
		return fmt.Errorf("%w: the root over its tiles is %v, not the one of its newest group", ErrDamaged, p.root)
	}
	last, err := p.Entry(ledger.Index(p.meta.Size - 1))
	if err != nil {
		return err
	}
	leaf := ledger.LeafHash(last)
	if !bytes.Equal(leaf[:], p.meta.Leaf) {
		return fmt.Errorf("%w: entry %d is not the one that was recorded", ErrDamaged, p.meta.Size-1)
	}
	p.chain = ledger.ResumeChain(p.meta.Size, leaf, p.meta.Last)
	return nil
}

// loadEdges rebuilds the tiles that are not full: at level 0 from the entries,
// above from the full tiles below.
func (p *Snapshot) loadEdges() ([][]ledger.Hash, error) {
	edges := [][]ledger.Hash{}
	for level := 0; level == 0 || int64(p.meta.Size)>>(ledger.TileHeight*level) > 0; level++ {
		full, width := ledger.TileRange(p.meta.Size, level)
		edge := make([]ledger.Hash, 0, ledger.TileWidth)
		first := full * ledger.TileWidth
		for i := first; i < first+int64(width); i++ {
			h, err := p.node(level, i)
			if err != nil {
				return nil, err
			}
			edge = append(edge, h)
		}
		edges = append(edges, edge)
	}
	return edges, nil
}

// node gives hash i of a tile level from what is below it.
func (p *Snapshot) node(level int, i int64) (ledger.Hash, error) {
	if level == 0 {
		entry, err := p.Entry(ledger.Index(i))
		return ledger.LeafHash(entry), err
	}
	b, err := get(p.txn, tileKey(level-1, i))
	if err != nil {
		return ledger.Hash{}, err
	}
	hashes, err := splitHashes(b, level-1, i)
	if err != nil {
		return ledger.Hash{}, err
	}
	return perfectRoot(hashes), nil
}

// loadTree gives the roots of the perfect subtrees that the size falls into.
func (p *Snapshot) loadTree() (*ledger.Tree, error) {
	var indexes []int64
	at := int64(0)
	for size := uint64(p.meta.Size); size != 0; {
		level := bits.Len64(size) - 1
		indexes = append(indexes, tlog.StoredHashIndex(level, at>>level))
		at += 1 << level
		size &^= 1 << level
	}
	roots, err := p.readHashes(indexes)
	if err != nil {
		return nil, err
	}
	return ledger.NewTree(p.meta.Size, roots)
}

// Look shows what can be read of a log that need not open, without the comparison with
// its head file, and changes nothing. It refuses what [badgerdb.Probe] refuses, and a
// log whose newest group cannot be read.
func Look(opt Options, read func(*Snapshot) error) error {
	if err := opt.validate(); err != nil {
		return fmt.Errorf("looking at the log: %w", err)
	}
	s := &Store{opt: opt}
	var signed []byte
	if head, checkpoint, err := openHead(opt.Dir); err == nil {
		signed = checkpoint
		defer head.close()
	}
	return badgerdb.Probe(opt.database(), func(db *badger.DB) error {
		s.db = db
		p, err := s.load()
		if err != nil {
			return fmt.Errorf("looking at the log: %w", err)
		}
		defer p.txn.Discard()
		p.checkpoint = signed
		return read(p)
	})
}

// IsLedger reports whether dir holds a log, so that a mistyped directory gets a
// better answer than a missing file.
func IsLedger(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, HeadName))
	return err == nil
}

// Keys gives the text of the log's key entries, the content of trust.keys.
func (p *Snapshot) Keys() ([]byte, error) {
	var file []byte
	for _, k := range p.registry.keys {
		text, err := p.Entry(k.Index)
		if err != nil {
			return nil, err
		}
		file = append(file, text...)
	}
	return file, nil
}
