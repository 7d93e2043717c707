package vault

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

var (
	// ErrGroupFull: the batch was full before this draft. It was not kept and
	// may be decided again in the next group.
	ErrGroupFull = errors.New("the group is full")
	// ErrTooLarge: the draft has more rows than one decision may have, in
	// whatever group: 2/5 of a Badger transaction, 1.9 MB by default.
	ErrTooLarge = errors.New("too much for one decision")
)

// listLimit is the size in bytes of the list of keys in a group's record at
// which the batch counts as full; the row must stay inline in Badger (1 MiB).
const listLimit = 256 << 10

// Batch collects the rows of one group of entries: one Badger transaction. It
// belongs to the goroutine that began it.
type Batch struct {
	v    *Vault
	txn  *badger.Txn
	keys [][]byte
	load load
	// plans holds the people for whom a draft of this batch planned a change.
	plans map[Slot]bool
}

// load is what rows take of a group's transaction.
type load struct {
	rows  int64
	bytes int64 // as Badger counts, with the rows' place in the list
	list  int64 // bytes of the list of keys
}

func (l *load) add(r row) {
	l.rows++
	l.list += int64(1 + len(r.key))
	l.bytes += txnSize(r.key, r.value) + int64(1+len(r.key))
}

// exceeds tells whether the load reaches num/den of a transaction, or a list of
// keys of the given bytes.
func (l load) exceeds(db *badger.DB, num, den, list int64) bool {
	return l.bytes >= db.MaxBatchSize()*num/den || l.rows >= db.MaxBatchCount()*num/den || l.list >= list
}

// Begin begins a group's batch. It waits until no other batch is open; until
// Commit or Discard nobody else writes.
func (v *Vault) Begin() *Batch {
	v.writing.Lock()
	return &Batch{v: v, txn: v.db.NewTransaction(true), plans: make(map[Slot]bool)}
}

// Draft begins the operations of one decision.
func (b *Batch) Draft() *Draft {
	// A request of somebody new looks for, or adds, ten rows.
	d := &Draft{batch: b, begun: len(b.keys), rows: make(map[string][]byte, 12), people: make(map[Slot]*drafted), added: make(map[ConsentKey]nextClaims)}
	// Only the holder of v.writing replaces the tree, and the batch holds it.
	d.View = View{b.v.tree, b.txn, b.v.ledgerKey, d}
	return d
}

// changing tells whether a change is planned for the person, in the database or
// in this batch. The batch holds v.writing, so the map stays as it is.
func (b *Batch) changing(slot Slot) bool {
	_, planned := b.v.plans[slot]
	return planned || b.plans[slot]
}

// Empty tells whether nothing was kept yet.
func (b *Batch) Empty() bool { return len(b.keys) == 0 }

// Full tells whether the group should be committed before the next decision. A
// batch that is not full has room for any one decision.
func (b *Batch) Full() bool { return b.load.exceeds(b.v.db, 1, 2, listLimit) }

// fits tells whether the batch can take a draft's load.
func (b *Batch) fits(l load) error {
	switch {
	case b.txn == nil:
		return errors.New("the batch is committed or discarded")
	case l.exceeds(b.v.db, 2, 5, 2*listLimit):
		return fmt.Errorf("%w: %d rows, %d bytes", ErrTooLarge, l.rows, l.bytes)
	case b.Full():
		return ErrGroupFull
	}
	return nil
}

// keep takes over a draft's rows and the people for whom it planned a change.
func (b *Batch) keep(rows []row, plans []Slot) error {
	for _, r := range rows {
		if err := b.txn.Set(r.key, r.value); err != nil {
			// The transaction holds part of the draft now: nothing may follow.
			b.Discard()
			return fmt.Errorf("keeping a draft: %w", err)
		}
		b.keys = append(b.keys, r.key)
		b.load.add(r)
	}
	for _, slot := range plans {
		b.plans[slot] = true
	}
	return nil
}

// Commit makes the group's rows durable in one transaction, with the record
// that they belong to the count entries from base on, the last of which has the
// given leaf hash. An empty batch writes nothing and gives the record that is
// there. After an error it is not known whether the rows are on disk, and the
// vault accepts no writes until it is opened anew.
func (b *Batch) Commit(base ledger.Size, count int, leaf ledger.Hash) (GroupRecord, error) {
	if b.txn == nil {
		return GroupRecord{}, errors.New("committing a group to the vault: its batch is committed or discarded")
	}
	defer b.Discard()
	v := b.v
	if err := v.stopped(); err != nil {
		return GroupRecord{}, err
	}
	last := v.Record()
	if b.Empty() {
		return last, nil
	}
	next := groupRow{
		record:      GroupRecord{Seq: last.Seq + 1, Base: base, Count: count, Leaf: leaf},
		hasPrevious: true,
		previous:    last,
		keys:        b.keys,
	}
	if err := b.txn.Set(keyGroup(), next.encode()); err != nil {
		return GroupRecord{}, fmt.Errorf("committing a group to the vault: %w", err)
	}
	if err := b.txn.Commit(); err != nil {
		return GroupRecord{}, v.stop(fmt.Errorf("committing a group to the vault: %w", err))
	}
	v.mu.Lock()
	v.group = next
	for slot := range b.plans {
		v.plans[slot] = next.record.Seq
	}
	v.mu.Unlock()
	if v.copying != nil {
		v.copying.note(b.keys)
	}
	if err := v.step("group committed"); err != nil {
		return GroupRecord{}, v.stop(err)
	}
	return next.record, nil
}

// Discard drops the batch; after Commit it does nothing.
func (b *Batch) Discard() {
	if b.txn == nil {
		return
	}
	b.txn.Discard()
	b.txn = nil
	b.v.writing.Unlock()
}
