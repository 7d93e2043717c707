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

// medium is where ROOT is in this version.
const medium = "file"

// pass carries out what is planned for some people, and replaces ROOT.
type pass struct {
	old, next rootKey
	people    []*moving
	shards    map[uint16]*shardMoves
	reindexes bool   // the index key to come is put in force
	oldestDay uint32 // of which idempotency rows were kept when it began
	plain     []byte // where a row is opened
	notes     notes
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
// deleted is listed; people who lose a part get their other rows under new keys;
// each touched shard gets a fresh key and its rows are written anew beside the
// old ones, without those that go; one transaction puts the new root row in
// place, which is the switch; what was written is checked by reading it afresh;
// old and dead rows are deleted; it is checked again; a key backup is written,
// if there is a target; the old ROOT is destroyed. An error after the first step
// stops the writer. [Open] then takes back what was before the switch (it is
// still planned) and finishes what was after it.
//
// Readers and writers go on meanwhile, but for the moment in which the pass
// begins and that of the switch, when the last rows that groups have inserted
// are written anew. Cost: about four shards per person are touched, each with a
// 4096th of all shard rows, and every such row is written, read three times and
// deleted (some 20 µs of processor). A thousand people touch most shards. Memory
// grows with what goes, and not with what is moved.
//
// Limits: while the rows of one of these people cannot be read, nobody's plans
// are carried out; the error says so and the writer goes on.
func (v *Vault) CarryOut(published uint64) (Shredded, error) {
	v.passing.Lock()
	defer v.passing.Unlock()
	if err := v.stopped(); err != nil {
		return Shredded{}, err
	}
	p, err := v.newPass(published)
	if err != nil {
		return Shredded{}, fmt.Errorf("reading what is planned: %w", err)
	}
	if slices.ContainsFunc(p.people, func(m *moving) bool { return m.Lock }) {
		v.anyLocked.Store(true)
	}
	if len(p.people) > 0 {
		if err := v.carryOut(p); err != nil {
			return Shredded{}, v.stop(fmt.Errorf("changing the keys of %d people: %w", len(p.people), err))
		}
	}
	s := v.Status()
	return Shredded{s.Generation, s.Medium, s.ShreddedAt}, nil
}

// newPass reads what is planned. Nobody changes it or the rows of the people
// concerned meanwhile: drafts refuse to.
func (v *Vault) newPass(published uint64) (*pass, error) {
	var slots []Slot
	v.mu.RLock()
	p := &pass{old: v.root, next: newRootKey(v.root.generation + 1), shards: make(map[uint16]*shardMoves), oldestDay: v.tree.days[1].day}
	for slot, seq := range v.plans {
		if seq <= published {
			slots = append(slots, slot)
		}
	}
	v.mu.RUnlock()
	err := v.View(func(w View) error {
		for _, slot := range slots {
			if err := p.add(w, slot); err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

// carryOut does what was planned.
func (v *Vault) carryOut(p *pass) error {
	if err := v.step("erase planned"); err != nil {
		return err
	}
	if err := v.keeper.StageNext(p.next); err != nil {
		return err
	}
	if err := v.View(func(w View) error { return v.listRows(w, p) }); err != nil {
		return fmt.Errorf("listing rows: %w", err)
	}
	if err := v.View(func(w View) error { return v.writeBeside(w, p) }); err != nil {
		return fmt.Errorf("writing rows beside the old ones: %w", err)
	}
	if err := v.copyShards(p); err != nil {
		return fmt.Errorf("writing the shards anew: %w", err)
	}
	before, after, err := v.switchTo(p)
	if err != nil {
		return fmt.Errorf("switching to root key %d: %w", p.next.generation, err)
	}
	defer after.release()
	if err := v.step("erase switched"); err != nil {
		return err
	}
	// Who still reads by the old tree sees all of its rows as they were.
	before.readers.Wait()
	return v.finishPass(after, p.old, p)
}

// writeBeside writes the rows under the new keys of people who get one.
func (v *Vault) writeBeside(w View, p *pass) error {
	out := v.passRows("erase written beside")
	defer out.discard()
	for _, m := range p.people {
		err := m.besideRows(w, func(r row) error { return out.set(r.key, r.value) })
		if err != nil {
			return err
		}
	}
	return out.flush()
}

// switchTo copies what batches inserted last and puts the root row of a pass in
// place, while nobody writes. It gives the tree before, and a view of what is
// there right after the switch.
func (v *Vault) switchTo(p *pass) (before *tree, after View, err error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.stopped(); err != nil {
		return nil, View{}, err
	}
	if _, err := v.copyNoted(p); err != nil {
		return nil, View{}, err
	}
	before = v.tree
	t := *before
	t.generation = p.next.generation
	t.oldestDay = t.days[1].day
	t.readers = new(sync.WaitGroup)
	for s, m := range p.shards {
		t.shards[s] = m.fresh
	}
	if p.reindexes {
		k := t.index[1]
		k.since = uint64(time.Now().Unix())
		t.index = []indexKey{k}
	}
	err = v.replaceTree(&t, p.next, func() {
		for _, m := range p.people {
			delete(v.plans, m.subject.Slot)
		}
	})
	if err != nil {
		return nil, View{}, err
	}
	v.copying = nil
	return before, v.view(), nil
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
