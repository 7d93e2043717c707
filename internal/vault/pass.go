package vault

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Shredded says what a pass reached, for the entry about an erasure and its
// receipt.
type Shredded struct {
	// Generation is that of the ROOT in force; all before it are destroyed.
	Generation uint32
	// Medium is where the destroyed ROOT was: "file".
	Medium string
	// ContentsDestroyedAt is when it was gone, at the latest.
	ContentsDestroyedAt time.Time
}

// pass carries out what is planned for some people and replaces ROOT.
type pass struct {
	old, next rootKey
	people    []*moving
	shards    map[uint16]*shardMoves
	plain     []byte // where a row is opened
}

// touched gives the shards that get a fresh key, ascending.
func (p *pass) touched() []uint16 { return slices.Sorted(maps.Keys(p.shards)) }

// CarryOut carries out every change that was planned by groups up to number
// published, the newest that the log is known to have; what a later group
// planned waits, because that group may still be dropped. It returns when the
// ROOT that could open what was to go is destroyed. With nothing planned it
// writes nothing and answers as the pass before did.
//
// The order is: a next ROOT is staged; what is written beside and what is to be
// deleted is listed; each touched shard gets a fresh key and its rows are written
// anew beside the old ones, without those that go; one transaction puts the new
// root row in place, which is the switch; what was written is checked by reading
// it afresh; old and dead rows are deleted; it is checked again; the old ROOT is
// destroyed. An error after the first step stops the writer. [Open] then takes
// back what was before the switch (it is still planned) and finishes what was
// after it.
func (v *Vault) CarryOut(published uint64) (Shredded, error) {
	v.passing.Lock()
	defer v.passing.Unlock()
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.stopped(); err != nil {
		return Shredded{}, err
	}
	w := v.view()
	defer func() { w.release() }()
	p, err := v.newPass(w, published)
	if err != nil {
		return Shredded{}, fmt.Errorf("reading what is planned: %w", err)
	}
	if len(p.people) > 0 {
		if err := v.carryOut(w, p); err != nil {
			return Shredded{}, v.stop(fmt.Errorf("changing the keys of %d people: %w", len(p.people), err))
		}
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return Shredded{v.root.generation, "file", v.shreddedAt}, nil
}

// newPass reads what is planned.
func (v *Vault) newPass(w View, published uint64) (*pass, error) {
	p := &pass{old: v.root, next: newRootKey(v.root.generation + 1), shards: make(map[uint16]*shardMoves)}
	for slot, seq := range v.plans {
		if seq > published {
			continue
		}
		if err := p.add(w, slot); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// carryOut does what was planned.
func (v *Vault) carryOut(w View, p *pass) error {
	if err := v.step("erase planned"); err != nil {
		return err
	}
	if err := v.keeper.StageNext(p.next); err != nil {
		return err
	}
	if err := v.listRows(w, p); err != nil {
		return fmt.Errorf("listing rows: %w", err)
	}
	if err := v.writeBeside(w, p); err != nil {
		return fmt.Errorf("writing rows beside the old ones: %w", err)
	}
	if err := v.copyShards(w, p); err != nil {
		return fmt.Errorf("writing the shards anew: %w", err)
	}
	if err := v.switchTo(p); err != nil {
		return fmt.Errorf("switching to root key %d: %w", p.next.generation, err)
	}
	if err := v.step("erase switched"); err != nil {
		return err
	}
	return v.finishPass(p.old, p)
}

// writeBeside writes the rows under the new keys of people who get one.
func (v *Vault) writeBeside(w View, p *pass) error {
	out := v.writeRows("erase written beside")
	defer out.discard()
	for _, m := range p.people {
		err := m.besideRows(w, func(r row) error { return out.set(r.key, r.value) })
		if err != nil {
			return err
		}
	}
	return out.flush()
}

// copyShards writes the touched shards anew.
func (v *Vault) copyShards(w View, p *pass) error {
	out := v.writeRows("erase rewritten")
	defer out.discard()
	for _, s := range p.touched() {
		if err := p.copyShard(w, s, out); err != nil {
			return err
		}
	}
	return out.flush()
}

// copyShard writes the rows of one shard under its fresh key, those that are
// not changed as they are.
func (p *pass) copyShard(w View, s uint16, out *rowWriter) error {
	m := p.shards[s]
	err := eachRow(w.txn, w.tree.shardPrefix(s), func(key, sealed []byte) error {
		if _, changed := m.rows[string(key[shardKeySize:])]; changed {
			return nil
		}
		return p.copyRow(w, s, key, sealed, out)
	})
	if err != nil {
		return err
	}
	for id, value := range m.rows {
		if value == nil {
			continue
		}
		key := rowKey(rowShard, u16(s), u32(p.next.generation), []byte(id))
		m.kept++
		if err := out.set(key, m.fresh.aead.Seal(nil, nil, value, key)); err != nil {
			return err
		}
	}
	return nil
}

// copyRow writes one row under the fresh key of its shard.
func (p *pass) copyRow(w View, s uint16, key, sealed []byte, out *rowWriter) error {
	m := p.shards[s]
	plain, err := w.tree.openShardRow(p.plain[:0], s, key, sealed)
	if err != nil {
		return err
	}
	p.plain = plain
	key = rowKey(rowShard, u16(s), u32(p.next.generation), key[shardKeySize:])
	m.kept++
	if key[shardKeySize] == rowIdempotency {
		m.requests++
	}
	return out.set(key, m.fresh.aead.Seal(nil, nil, plain, key))
}

// switchTo puts the root row of a pass in place and forgets what it carried out.
func (v *Vault) switchTo(p *pass) error {
	t := *v.tree
	t.generation = p.next.generation
	t.oldestDay = t.days[1].day
	t.readers = new(sync.WaitGroup)
	for s, m := range p.shards {
		t.shards[s] = m.fresh
	}
	return v.replaceTree(&t, p.next, func() {
		for _, m := range p.people {
			delete(v.plans, m.subject.Slot)
		}
	})
}

// replaceTree makes t, wrapped under root, the vault's tree: one transaction.
// also is called when that is done, together with it.
func (v *Vault) replaceTree(t *tree, root rootKey, also func()) error {
	err := v.db.Update(func(txn *badger.Txn) error { return txn.Set(keyRoot(), t.encode(root)) })
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.root = root
	v.tree = t
	also()
	return nil
}
