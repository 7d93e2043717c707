package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Reindexed says what re-keys of the blind index have reached: of which people
// not even the existence can be shown any more, by whoever knows their addresses
// and has all keys that exist.
type Reindexed struct {
	// Epoch is that of the index key in force, 0 for the first.
	Epoch uint32
	// Covers is the generation up to which erasures are covered
	// ([Shredded].Generation): the people were gone when the key in force was
	// drawn, and the keys before it are destroyed.
	Covers uint32
	// OldestDay is when the day of UTC began whose key is the oldest that
	// exists: of erasures before, the idempotency keys show nothing any more.
	OldestDay time.Time
	// At is when all this was so, at the latest.
	At time.Time
}

// Status says what the vault can honestly tell about itself.
type Status struct {
	// Generation is that of the ROOT in force; those before it are destroyed,
	// the newest of them at ShreddedAt at the latest. It lies on Medium.
	Generation uint32
	Medium     string
	ShreddedAt time.Time
	// Planned counts the people for whom a change is planned and not carried out.
	Planned int
	Index   Reindexed
	// IndexSince is when the index key in force was put in place, zero for the
	// first one.
	IndexSince time.Time
	// Reindexing tells whether a re-key was begun and not ended. If none runs,
	// [Vault.Reindex] goes on with it.
	Reindexing bool
}

// Status tells about the vault.
func (v *Vault) Status() Status {
	v.mu.RLock()
	defer v.mu.RUnlock()
	k := v.tree.index[0]
	s := Status{
		Generation: v.root.generation,
		Medium:     medium,
		ShreddedAt: v.shreddedAt,
		Planned:    len(v.plans),
		Index:      Reindexed{k.epoch, k.begun, time.Unix(int64(v.tree.oldestDay)*86400, 0).UTC(), v.shreddedAt},
		Reindexing: len(v.tree.index) > 1,
	}
	if k.since > 0 {
		s.IndexSince = time.Unix(int64(k.since), 0).UTC()
	}
	return s
}

// Reindex replaces the key of the blind index, or goes on with a re-key that was
// begun, and returns when the key before is destroyed. progress, if not nil, is
// called with how many of the vault's shards are done.
//
// First the next key is put beside the one in force; from then on whatever
// writes to the index writes under both. Then the rows of everybody who was
// there before are added, a few shards at a time, and it is made sure that none
// is missing. Last a pass without people replaces ROOT, whose root row does not
// have the key before any more, and deletes the rows under it. Lookups use the
// key before until that switch. Readers, writers and passes go on meanwhile.
//
// A re-key covers only who was gone when it was begun, so changes that are
// planned are carried out before. Cost: every person is read, and for each
// identifier a row is written and one deleted (some 100 µs). It also deletes the
// rows of lifted suppressions. When ctx ends, it ends with its error after the step at
// hand, and the next call goes on; so it does, with [ErrStopped], when the vault is closed
// meanwhile.
func (v *Vault) Reindex(ctx context.Context, progress func(done, total int)) (Reindexed, error) {
	v.reindexing.Lock()
	defer v.reindexing.Unlock()
	if err := v.beginReindex(); err != nil {
		return Reindexed{}, fmt.Errorf("beginning to re-key the blind index: %w", err)
	}
	for s := uint16(0); s < shardCount; {
		if err := context.Cause(ctx); err != nil {
			return Reindexed{}, fmt.Errorf("re-keying the blind index: %w", err)
		}
		var err error
		if s, err = v.indexShards(s); err != nil {
			return Reindexed{}, fmt.Errorf("re-keying the blind index: %w", err)
		}
		if progress != nil {
			progress(int(s), shardCount)
		}
	}
	if err := v.endReindex(); err != nil {
		return Reindexed{}, fmt.Errorf("ending to re-key the blind index: %w", err)
	}
	return v.Status().Index, nil
}

// beginReindex puts the next index key beside the one in force.
func (v *Vault) beginReindex() error {
	v.passing.Lock()
	defer v.passing.Unlock()
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.stopped(); err != nil {
		return err
	}
	if len(v.tree.index) > 1 {
		return nil
	}
	now := v.tree.index[0]
	t := v.tree.withIndex(now, indexKey{epoch: now.epoch + 1, begun: v.root.generation, key: newSecret()})
	rows, err := v.indexNewestGroup(t)
	if err != nil {
		return err
	}
	group := v.group
	group.keys = group.keys[:len(group.keys):len(group.keys)]
	for _, r := range rows {
		group.keys = append(group.keys, r.key)
	}
	rows = append(rows, row{keyRoot(), t.encode(v.root)}, row{keyGroup(), group.encode()})
	err = v.db.Update(func(txn *badger.Txn) error {
		for _, r := range rows {
			if err := txn.Set(r.key, r.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return v.stop(err)
	}
	v.mu.Lock()
	v.tree, v.group = t, group
	v.mu.Unlock()
	if err := v.step("reindex begun"); err != nil {
		return v.stop(err)
	}
	return nil
}

// indexNewestGroup gives the rows under the key to come of the identifiers that
// the newest group made known: that group may be dropped, with these.
func (v *Vault) indexNewestGroup(t *tree) (rows []row, err error) {
	w := v.view()
	defer w.release()
	for _, key := range v.group.keys {
		if key[0] != rowShard || key[shardKeySize] != rowIndex {
			continue
		}
		listed := key[shardKeySize+1:]
		slot, rest, ok, err := w.named(rowIndex, listed, 8)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // a pass has removed it
		}
		s, err := w.person(rowIndex, slot)
		if err != nil {
			return nil, err
		}
		ids, err := w.Identifiers(s)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if bytes.Equal(t.index[0].live(id), listed) {
				rows = append(rows, t.sealShardRow(rowIndex, t.index[1].live(id), slotSince(slot, sinceOf(rest))))
			}
		}
	}
	return rows, nil
}

// indexRowsAtOnce is how many rows are added while passes wait.
const indexRowsAtOnce = 2000

// indexShards adds the rows under the key to come of people whose slots lie in
// some shards from s on, and gives the shard to go on with.
func (v *Vault) indexShards(s uint16) (next uint16, err error) {
	v.passing.Lock()
	defer v.passing.Unlock()
	if err := v.stopped(); err != nil {
		return s, err
	}
	var rows []row
	err = v.View(func(w View) error {
		for ; s < shardCount && len(rows) < indexRowsAtOnce; s++ {
			add := func(r row) { rows = append(rows, r) }
			if err := w.indexShard(s, add); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	out := v.passRows("reindex rows added")
	defer out.discard()
	for _, r := range rows {
		if err := out.set(r.key, r.value); err != nil {
			return s, v.stop(err)
		}
	}
	if err := out.flush(); err != nil {
		return s, v.stop(err)
	}
	return s, nil
}

// indexShard gives the rows that are missing under the key to come of the people
// whose slots lie in a shard.
func (w View) indexShard(shard uint16, add func(row)) error {
	return eachRow(w.txn, append(w.tree.shardPrefix(shard), rowSubject), func(key, _ []byte) error {
		slot := slotOf(key)
		if slot == 0 {
			return nil // the ledger's own has no identifiers
		}
		s, err := w.person(rowSubject, slot)
		if err != nil {
			return err
		}
		return w.indexPerson(s, add)
	})
}

// indexPerson gives the rows of one person that are missing under the key to
// come.
func (w View) indexPerson(s *Subject, add func(row)) error {
	identity := w.identity(s)
	ids, err := w.identifiers(identity)
	if err != nil {
		return err
	}
	now, next := w.tree.index[0], w.tree.index[1]
	for _, id := range ids {
		typ, rowID, value := byte(rowIndex), next.live(id), []byte(nil)
		// Somebody else may be known by the identifier of who is locked.
		owner, rest, ok, err := w.named(rowIndex, now.live(id), 8)
		if err != nil {
			return err
		}
		if ok && owner == s.Slot {
			value = slotSince(s.Slot, sinceOf(rest))
		} else if locked, err := w.isLocked(identity.key, id); err != nil {
			return err
		} else if locked {
			typ, rowID, value = rowLegal, append(next.legal(id), legalMark(identity.key, id)...), u64(uint64(s.Slot))
		} else {
			return fmt.Errorf("%w: a person is not in the blind index", ErrDamaged)
		}
		there, err := w.has(w.tree.shardRowKey(typ, rowID))
		if err != nil {
			return err
		}
		if !there {
			add(w.tree.sealShardRow(typ, rowID, value))
		}
	}
	return nil
}

// noPlans is before all groups.
const noPlans = 0

// endReindex puts the key to come in force and destroys the one before.
func (v *Vault) endReindex() error {
	v.passing.Lock()
	defer v.passing.Unlock()
	if err := v.stopped(); err != nil {
		return err
	}
	if err := v.View(View.checkIndexes); err != nil {
		return err
	}
	if err := v.sweepSuppressions(); err != nil {
		return fmt.Errorf("deleting lifted suppressions: %w", err)
	}
	p, err := v.newPass(noPlans)
	if err != nil {
		return err
	}
	p.reindexes = true
	if err := v.carryOut(p); err != nil {
		return v.stop(err)
	}
	return nil
}

// checkIndexes makes sure that everybody can be found under the key to come: as
// many rows as there are under the one in force. Groups and passes write and
// remove both in one.
func (w View) checkIndexes() error {
	counts := make(map[byte]map[uint32]int)
	for _, typ := range []byte{rowIndex, rowLegal} {
		counts[typ] = make(map[uint32]int)
		eachShardKey(w.txn, w.tree, typ, func(key []byte) bool {
			counts[typ][epochOf(key)]++
			return true
		})
		now, next := counts[typ][w.tree.index[0].epoch], counts[typ][w.tree.index[1].epoch]
		if now != next {
			return fmt.Errorf("%w: %d rows of type %q under the index key in force, %d under the one to come", ErrDamaged, now, typ, next)
		}
	}
	return nil
}

// epochOf reads the epoch from the key of a row of the blind index.
func epochOf(key []byte) uint32 { return binary.BigEndian.Uint32(key[shardKeySize+1:]) }

// deleteOldIndex deletes the rows of the blind index under keys that are
// destroyed.
func (v *Vault) deleteOldIndex(t *tree) error {
	return v.deleteFound("reindex old rows deleted", func(txn *badger.Txn, found func(key []byte)) error {
		for _, typ := range []byte{rowIndex, rowLegal} {
			eachShardKey(txn, t, typ, func(key []byte) bool {
				if epochOf(key) >= t.index[0].epoch {
					return false // epochs ascend within a shard
				}
				found(bytes.Clone(key))
				return true
			})
		}
		return nil
	})
}
