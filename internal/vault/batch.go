package vault

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// ErrGroupFull: the batch cannot take this draft any more. It was not kept and
// may be decided again in the next group.
var ErrGroupFull = errors.New("the group is full")

// listLimit is the size in bytes of the list of keys in a group's record at
// which the batch counts as full; the row must stay inline in Badger (1 MiB).
const listLimit = 256 << 10

// Batch collects the rows of one group of entries: one Badger transaction. It
// belongs to the goroutine that began it.
type Batch struct {
	v     *Vault
	txn   *badger.Txn
	keys  [][]byte
	bytes int64 // of the transaction, as Badger counts
	list  int64 // of the list of keys
}

// Begin begins a group's batch. It waits until no other batch is open and no
// erasure runs; until Commit or Discard nobody else writes.
func (v *Vault) Begin() *Batch {
	v.writing.Lock()
	return &Batch{v: v, txn: v.db.NewTransaction(true)}
}

// Draft begins the operations of one decision.
func (b *Batch) Draft() *Draft {
	d := &Draft{batch: b, rows: make(map[string][]byte)}
	below := getterOf(b.txn)
	// Only the holder of v.writing replaces the tree, and the batch holds it.
	d.view = view{b.v.tree, func(key []byte) ([]byte, bool, error) {
		if value, ok := d.rows[string(key)]; ok {
			return value, true, nil
		}
		return below(key)
	}}
	return d
}

// Empty tells whether nothing was kept yet.
func (b *Batch) Empty() bool { return len(b.keys) == 0 }

// Full tells whether the group should be committed before the next decision.
func (b *Batch) Full() bool {
	return b.bytes >= b.v.db.MaxBatchSize()/2 ||
		int64(len(b.keys)) >= b.v.db.MaxBatchCount()/2 ||
		b.list >= listLimit
}

// fits tells whether the batch can take rows more: below Badger's limits and
// with the group's record still inline.
func (b *Batch) fits(rows []row) bool {
	bytes, list := b.bytes, b.list
	for _, r := range rows {
		bytes += txnSize(r.key, r.value)
		list += int64(1 + len(r.key))
	}
	return bytes+list < b.v.db.MaxBatchSize()*9/10 &&
		int64(len(b.keys)+len(rows)) < b.v.db.MaxBatchCount()*9/10 &&
		list < 3*listLimit
}

// keep takes over a draft's rows.
func (b *Batch) keep(rows []row) error {
	if b.txn == nil {
		return errors.New("keeping a draft: its batch is committed or discarded")
	}
	if !b.fits(rows) {
		return fmt.Errorf("keeping a draft of %d rows: %w", len(rows), ErrGroupFull)
	}
	for _, r := range rows {
		if err := b.txn.Set(r.key, r.value); err != nil {
			// The transaction holds part of the draft now: nothing may follow.
			b.Discard()
			return fmt.Errorf("keeping a draft: %w", err)
		}
		b.keys = append(b.keys, r.key)
		b.bytes += txnSize(r.key, r.value)
		b.list += int64(1 + len(r.key))
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
	v.mu.Unlock()
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
