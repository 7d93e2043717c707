package vault

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Shredded says what an erasure reached, for its entry and its receipt.
type Shredded struct {
	// Generation is that of the ROOT in force; all before it are destroyed.
	Generation uint32
	// Medium is where the destroyed ROOT was: "file".
	Medium string
	// ContentsDestroyedAt is when it was gone, at the latest.
	ContentsDestroyedAt time.Time
}

// Erase destroys the keys of all people to whom the given consents belong, with
// everything that is theirs, and returns when the ROOT that could open them is
// destroyed. Consents that belong to nobody any more are passed over; if none is
// left, the answer is that of the erasure before.
//
// The order is: a next ROOT is staged; each touched shard gets a fresh key and
// its rows are written anew beside the old ones, without the erased; one
// transaction puts the new root row in place, which is the switch; what was
// written is checked by reading it afresh; the old rows and those of the erased
// are deleted; it is checked again; the old ROOT is destroyed. An error after the
// first step stops the writer. [Open] then takes back what was before the switch
// (call Erase again) and finishes what was after it.
//
// Cost: about four shards per person are touched, each with a 4096th of all
// shard rows, and every such row is written, read twice and deleted (some 10 µs).
// A thousand people touch most shards. Readers go on meanwhile, writers wait.
func (v *Vault) Erase(consents []ledger.ConsentID) (Shredded, error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.stopped(); err != nil {
		return Shredded{}, err
	}
	e, err := v.planErasure(consents)
	if err != nil {
		return Shredded{}, fmt.Errorf("planning an erasure: %w", err)
	}
	if len(e.slots) > 0 {
		if err := v.carryOut(e); err != nil {
			return Shredded{}, v.stop(fmt.Errorf("erasing %d people: %w", len(e.slots), err))
		}
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return Shredded{v.root.generation, "file", v.shreddedAt}, nil
}

// erasure is the plan of one.
type erasure struct {
	slots map[Slot]bool
	// omit holds the shard rows that name the erased, as type ‖ id.
	omit map[string]bool
	// dead holds the keys of their other rows, which nobody can read any more.
	dead [][]byte
	// survivors counts the rows of each touched shard without those omitted.
	survivors map[uint16]int
}

// touched gives the shards that get a fresh key, ascending.
func (e *erasure) touched() []uint16 { return slices.Sorted(maps.Keys(e.survivors)) }

// leaveOut plans to omit the shard row (typ, id), which touches its shard.
func (e *erasure) leaveOut(typ byte, id []byte) {
	e.omit[string(typ)+string(id)] = true
	e.survivors[shardOf(typ, id)] = 0
}

// planErasure finds everything that belongs to the people of these consents.
func (v *Vault) planErasure(consents []ledger.ConsentID) (*erasure, error) {
	e := &erasure{slots: make(map[Slot]bool), omit: make(map[string]bool), survivors: make(map[uint16]int)}
	err := v.read(func(w view) error {
		for _, id := range consents {
			s, ok, err := w.SubjectOf(id)
			if err != nil {
				return fmt.Errorf("consent %d: %w", id, err)
			}
			if !ok || e.slots[s.Slot] {
				continue
			}
			if s.Slot == 0 {
				return fmt.Errorf("consent %d: %w: it names the ledger's own slot", id, ErrDamaged)
			}
			if err := e.add(w, s); err != nil {
				return fmt.Errorf("person of consent %d: %w", id, err)
			}
		}
		return nil
	})
	return e, err
}

// add plans the erasure of one person.
func (e *erasure) add(w view, s *Subject) error {
	identity, err := w.identityKey(s)
	if err != nil {
		return err
	}
	ids, err := w.Identifiers(s)
	if err != nil {
		return err
	}
	channels, err := w.channels(identity)
	if err != nil {
		return err
	}
	consents, err := w.Consents(s)
	if err != nil {
		return err
	}
	e.slots[s.Slot] = true
	e.leaveOut(rowSubject, idSlot(s.Slot))
	e.dead = append(e.dead, keyIdentity(s.key))
	for n, id := range ids {
		k := w.tree.indexKey(id.Kind, id.Value)
		e.leaveOut(rowIndex, k[:])
		e.dead = append(e.dead, keyIdentifier(identity, uint32(n)))
	}
	for n, c := range channels {
		e.leaveOut(rowManage, idManage(manageToken(identity, c)))
		e.dead = append(e.dead, keyChannel(identity, uint32(n)))
	}
	for n, id := range consents {
		e.leaveOut(rowConsent, idConsent(id))
		e.dead = append(e.dead, keyConsent(id), keyList(s.key, uint32(n)))
		// Claims and blobs are unreadable without their consent's key whether
		// their rows are deleted or not, so damage there stands in no way.
		if k, err := w.ConsentKey(s, id); err == nil {
			e.dead = append(e.dead, w.claimRows(k)...)
		}
	}
	return nil
}

// claimRows gives the keys of all rows under a consent's key, as far as its
// lists of claims can be read.
func (w view) claimRows(k ConsentKey) (keys [][]byte) {
	digests, lists, err := w.claimDigests(k)
	if err != nil {
		return nil
	}
	for n := range lists {
		keys = append(keys, keyClaimList(k, n))
	}
	for _, digest := range digests {
		keys = append(keys, keyClaim(k, digest))
		if _, blob, ok, err := w.openClaim(k, digest); ok && err == nil && blob != nil {
			keys = append(keys, blobKeys(*blob)...)
		}
	}
	return keys
}

// carryOut does what was planned.
func (v *Vault) carryOut(e *erasure) error {
	if err := v.step("erase planned"); err != nil {
		return err
	}
	old, next := v.root, newRootKey(v.root.generation+1)
	if err := v.keeper.StageNext(next); err != nil {
		return err
	}
	t := *v.tree
	t.generation = next.generation
	for _, s := range e.touched() {
		t.shards[s] = newShard(next.generation)
	}
	if err := v.rewriteShards(e, &t); err != nil {
		return fmt.Errorf("writing the shards anew: %w", err)
	}
	if err := v.listDead(e, old, next.generation); err != nil {
		return fmt.Errorf("listing dead rows: %w", err)
	}
	if err := v.replaceTree(&t, next); err != nil {
		return fmt.Errorf("switching to root key %d: %w", next.generation, err)
	}
	if err := v.step("erase switched"); err != nil {
		return err
	}
	return v.finishErasure(old, e)
}

// rewriteShards writes the rows of the touched shards under the keys of next,
// beside the old ones, without the erased, and counts them.
func (v *Vault) rewriteShards(e *erasure, next *tree) error {
	out := v.writeRows("erase rewritten")
	defer out.discard()
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	for _, s := range e.touched() {
		prefix := v.tree.shardPrefix(s)
		err := eachRow(txn, prefix, func(key, value []byte) error {
			plain, err := v.tree.openShardRow(s, key, value)
			if err != nil {
				return err
			}
			typ, id := key[shardKeySize], key[shardKeySize+1:]
			if e.omit[string(typ)+string(id)] {
				return nil
			}
			r := next.sealShardRow(typ, id, plain)
			e.survivors[s]++
			return out.set(r.key, r.value)
		})
		if err != nil {
			return err
		}
	}
	return out.flush()
}

// listDead writes down which rows are to be deleted after the switch, so that a
// start can do it too. Only the old ROOT opens the list: it shows which rows
// belonged together.
func (v *Vault) listDead(e *erasure, old rootKey, generation uint32) error {
	k := derive(old.key, "erasure")
	out := v.writeRows("erase listed")
	defer out.discard()
	var list []byte
	n := uint32(0)
	put := func() error {
		r := sealRow(keyErasure(generation, n), k, list)
		n, list = n+1, nil
		return out.set(r.key, r.value)
	}
	for _, key := range e.dead {
		list = append(append(list, byte(len(key))), key...)
		if len(list) >= listLimit {
			if err := put(); err != nil {
				return err
			}
		}
	}
	if len(list) > 0 {
		if err := put(); err != nil {
			return err
		}
	}
	return out.flush()
}

// replaceTree makes t, wrapped under root, the vault's tree: one transaction.
// Readers that hold the tree before it are through when it returns.
func (v *Vault) replaceTree(t *tree, root rootKey) error {
	txn := v.db.NewTransaction(true)
	defer txn.Discard()
	if err := txn.Set(keyRoot(), t.encode(root)); err != nil {
		return err
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	v.root = root
	v.mu.Lock()
	v.tree = t
	v.mu.Unlock()
	return nil
}
