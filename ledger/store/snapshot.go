package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
)

// Snapshot is the log as it stood when a group was published. It never changes
// and is safe for concurrent use until [Snapshot.Release]. It implements
// [ledger.History].
type Snapshot struct {
	store      *Store
	meta       meta
	root       ledger.Hash
	chain      ledger.Chain
	tree       *ledger.Tree
	edges      [][]ledger.Hash // per tile level, the hashes of the tile that is not full
	checkpoint []byte
	registry   *registry
	signer     *ledger.Signer  // whose keys are in force at this size
	state      *committedState // nil if there is none
	txn        *badger.Txn     // read-only; the database as it was then

	innerMu sync.Mutex            // guards inner
	inner   map[int64]ledger.Hash // inside of edges, by stored-hash index; at most 255 per level

	refs atomic.Int64 // 1 while it is the published one, and 1 per user
}

// ErrNotFound: there is no such entry, tile or notice in this log.
var ErrNotFound = errors.New("not in this log")

// Snapshot gives the published log. Release it soon: Badger keeps what it needs.
func (s *Store) Snapshot() *Snapshot {
	for {
		p := s.published.Load()
		for n := p.refs.Load(); n > 0; n = p.refs.Load() {
			if p.refs.CompareAndSwap(n, n+1) {
				return p
			}
		}
		// What publish takes away it has replaced before.
		if s.published.Load() == p {
			panic("store: Snapshot after Close")
		}
	}
}

// Release says that the snapshot is no longer used.
func (p *Snapshot) Release() {
	if p.refs.Add(-1) == 0 {
		p.txn.Discard()
	}
}

// publish makes p what readers see.
func (s *Store) publish(p *Snapshot) {
	p.refs.Store(1)
	if old := s.published.Swap(p); old != nil {
		old.Release()
	}
}

// Size is the number of entries.
func (p *Snapshot) Size() ledger.Size { return p.meta.Size }

// Root is the root of the tree over all entries.
func (p *Snapshot) Root() ledger.Hash { return p.root }

// Checkpoint is the signed checkpoint of this size. The caller must not change it.
func (p *Snapshot) Checkpoint() []byte { return p.checkpoint }

// Chain gives the end of the hash chain.
func (p *Snapshot) Chain() ledger.Chain { return p.chain }

// Companion is the newest record of the second store; see [Group.Commit].
func (p *Snapshot) Companion() []byte { return p.meta.Companion }

// Entry gives the bytes of one entry, or [ErrNotFound].
func (p *Snapshot) Entry(i ledger.Index) ([]byte, error) {
	if i < 0 || ledger.Size(i) >= p.meta.Size {
		return nil, fmt.Errorf("entry %d of %d: %w", i, p.meta.Size, ErrNotFound)
	}
	value, err := get(p.txn, indexKey(entryRow, int64(i)))
	if err == nil && value == nil {
		err = fmt.Errorf("%w: entry %d is missing", ErrDamaged, i)
	}
	return value, err
}

// Entries calls yield with up to limit entries from start on. The bytes are
// good until yield returns.
func (p *Snapshot) Entries(start ledger.Index, limit int, yield func(ledger.Index, []byte) error) error {
	if start < 0 || ledger.Size(start) > p.meta.Size {
		return fmt.Errorf("entry %d of %d: %w", start, p.meta.Size, ErrNotFound)
	}
	end := min(int64(start)+int64(limit), int64(p.meta.Size))
	// The values lie beside the keys: to fetch them ahead is a goroutine each, and takes
	// twice the time.
	it := p.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{entryRow}})
	defer it.Close()
	it.Seek(indexKey(entryRow, int64(start)))
	for i := int64(start); i < end; i++ {
		if !it.Valid() || string(it.Item().Key()) != string(indexKey(entryRow, i)) {
			return fmt.Errorf("%w: entry %d is missing", ErrDamaged, i)
		}
		if err := it.Item().Value(func(v []byte) error { return yield(ledger.Index(i), v) }); err != nil {
			return err
		}
		it.Next()
	}
	return nil
}

// Consent implements [ledger.History].
func (p *Snapshot) Consent(id ledger.ConsentID) (ledger.Consent, bool, error) {
	c, _, ok, err := getConsent(p.txn, id)
	return c, ok, err
}

// Opened is [Snapshot.Consent] with what is kept of the entry that opened the consent.
func (p *Snapshot) Opened(id ledger.ConsentID) (ledger.Consent, Opening, bool, error) {
	return getConsent(p.txn, id)
}

// OpenRequest implements [ledger.History] and gives more than it asks: every
// lock ever seen, also when its token was revealed long ago or its expiry
// recorded, so that a second click finds its request. [Group.Append] knows the difference.
func (p *Snapshot) OpenRequest(lock ledger.Hash) (ledger.OpenRequest, bool, error) {
	l, ok, err := getLock(p.txn, lock)
	return l.OpenRequest, ok, err
}

// Purpose implements [ledger.History].
func (p *Snapshot) Purpose(id string) (ledger.Purpose, bool, error) {
	v, ok := p.registry.purpose(id, p.meta.Size)
	return v, ok, nil
}

// PurposeAt gives the version of a purpose that was in force when the log had so
// many entries.
func (p *Snapshot) PurposeAt(id string, size ledger.Size) (ledger.Purpose, bool, error) {
	v, ok := p.registry.purpose(id, size)
	return v, ok, nil
}

// Notice implements [ledger.History].
func (p *Snapshot) Notice(id string, version int64) (ledger.Notice, bool, error) {
	n, ok := p.registry.notice(id, version)
	return n, ok, nil
}

// Source implements [ledger.History].
func (p *Snapshot) Source(name string) (ledger.Source, bool, error) {
	v, ok := p.registry.sources[name]
	return v, ok, nil
}

// Processor implements [ledger.History].
func (p *Snapshot) Processor(id string) (ledger.Processor, bool, error) {
	v, ok := p.registry.processors[id]
	return v, ok, nil
}

// Claim implements [ledger.History].
func (p *Snapshot) Claim(name string) (bool, error) { _, ok := p.registry.claims[name]; return ok, nil }

// KeyEntry implements [ledger.History].
func (p *Snapshot) KeyEntry() (ledger.KeyEntry, error) { return p.registry.keyEntry(), nil }

// Processors calls yield for every processor that is or was engaged, in no order.
func (p *Snapshot) Processors(yield func(ledger.Processor)) {
	for _, v := range p.registry.processors {
		yield(v)
	}
}

// Claims calls yield for the claims that are declared, by name, each with the entry
// that says so.
func (p *Snapshot) Claims(yield func(name string, declared ledger.Index)) {
	for _, name := range slices.Sorted(maps.Keys(p.registry.claims)) {
		yield(name, p.registry.claims[name])
	}
}

// Purposes calls yield for the newest version of every purpose, in no order.
func (p *Snapshot) Purposes(yield func(ledger.Purpose)) { p.registry.eachPurpose(yield) }

// Notices calls yield for every version of every notice, in no order of ids.
func (p *Snapshot) Notices(yield func(ledger.Notice)) {
	for _, list := range p.registry.notices {
		for _, n := range list {
			yield(n)
		}
	}
}

// NoticeText gives the text whose SHA-256 is sum, or [ErrNotFound].
func (p *Snapshot) NoticeText(sum ledger.Hash) ([]byte, error) {
	text, err := get(p.txn, hashKey(textRow, sum))
	if err == nil && text == nil {
		err = fmt.Errorf("notice: %w", ErrNotFound)
	}
	return text, err
}

// Consents calls yield for the consents with from ≤ id < to, ascending, until it
// gives an error, which is returned.
func (p *Snapshot) Consents(from, to ledger.ConsentID, yield func(ledger.Consent) error) error {
	it := p.txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 256, Prefix: []byte{consentKey}})
	defer it.Close()
	for it.Seek(indexKey(consentKey, int64(from))); it.Valid(); it.Next() {
		id := ledger.ConsentID(indexOf(it.Item().Key()))
		if id >= to {
			break
		}
		err := it.Item().Value(func(v []byte) error {
			c, _, err := decodeConsent(id, v)
			if err != nil {
				return err
			}
			return yield(c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Existence is an erasure whose contents are destroyed and whose existence is
// not yet.
type Existence struct {
	Erased   ledger.Index // the subject.erased entry
	Shredded ledger.Index // the evidence.shredded entry about its contents
}

// PendingErasures lists the subject.erased entries that are not yet carried out,
// ascending: those whose keys are not recorded as shredded, and those of which
// only the existence is left.
func (p *Snapshot) PendingErasures() (shred []ledger.Index, existence []Existence, err error) {
	err = eachRow(p.txn, erasureRow, func(key, value []byte) error {
		i := ledger.Index(indexOf(key))
		shredded, err := decodeIndex("an erasure", value)
		if shredded == 0 {
			shred = append(shred, i)
		} else {
			existence = append(existence, Existence{i, shredded})
		}
		return err
	})
	return shred, existence, err
}

// Shredded gives the evidence.shredded that records that the keys behind an
// erasure are destroyed; false if none does, and once the erasure is through.
func (p *Snapshot) Shredded(erased ledger.Index) (ledger.Index, bool, error) {
	e, err := getErasure(p.txn, erased)
	return e.shredded, !e.gone && e.shredded > 0, err
}

// Hold reports whether entry i is a hold.set that is not lifted.
func (p *Snapshot) Hold(i ledger.Index) (open bool, err error) { return getHold(p.txn, i) }

// OpenHolds lists the hold.set entries that are not lifted, ascending.
func (p *Snapshot) OpenHolds() (list []ledger.Index, err error) {
	err = eachRow(p.txn, holdRow, func(key, _ []byte) error {
		list = append(list, ledger.Index(indexOf(key)))
		return nil
	})
	return list, err
}

// Receipt proves that entry i is in the log of this snapshot (C2SP tlog-proof).
func (p *Snapshot) Receipt(i ledger.Index) (*ledger.Receipt, error) {
	proof, err := p.InclusionProof(i, p.meta.Size)
	if err != nil {
		return nil, err
	}
	return &ledger.Receipt{Index: i, Proof: proof, Checkpoint: p.checkpoint}, nil
}

// InclusionProof proves entry i in the log of the given size (RFC 6962 § 2.1.1).
func (p *Snapshot) InclusionProof(i ledger.Index, size ledger.Size) ([]ledger.Hash, error) {
	if size > p.meta.Size || i < 0 || ledger.Size(i) >= size {
		return nil, fmt.Errorf("entry %d in a log of %d: %w", i, size, ErrNotFound)
	}
	return tlog.ProveRecord(int64(size), int64(i), tlog.HashReaderFunc(p.readHashes))
}

// ConsistencyProof proves that the log of size old is a beginning of the log of
// the given size (RFC 6962 § 2.1.2); old is at least 1.
func (p *Snapshot) ConsistencyProof(old, size ledger.Size) ([]ledger.Hash, error) {
	if old < 1 || old > size || size > p.meta.Size {
		return nil, fmt.Errorf("sizes %d and %d in a log of %d: %w", old, size, p.meta.Size, ErrNotFound)
	}
	if old == size {
		return nil, nil
	}
	return tlog.ProveTree(int64(size), int64(old), tlog.HashReaderFunc(p.readHashes))
}
