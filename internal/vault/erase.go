package vault

import (
	"encoding/binary"
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
// Cost: the rows of a 4096th of all people per touched shard, about four shards
// per person.
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

// finishErasure does everything after the switch. e is nil when a start
// finishes what was interrupted; old is zero when that ROOT is destroyed.
func (v *Vault) finishErasure(old rootKey, e *erasure) error {
	// Checked before anything is deleted, so that a fault here loses nothing.
	if err := v.checkSwitched(e); err != nil {
		return fmt.Errorf("checking before deletion: %w", err)
	}
	if err := v.step("erase checked"); err != nil {
		return err
	}
	if err := v.deleteOldRows(); err != nil {
		return fmt.Errorf("deleting old rows: %w", err)
	}
	if err := v.deleteDead(old); err != nil {
		return fmt.Errorf("deleting the rows of the erased: %w", err)
	}
	if err := v.checkSwitched(e); err != nil {
		return fmt.Errorf("checking after deletion: %w", err)
	}
	if err := v.step("erase checked again"); err != nil {
		return err
	}
	if err := v.keeper.Promote(); err != nil {
		return err
	}
	v.mu.Lock()
	v.shreddedAt = time.Now().UTC()
	v.mu.Unlock()
	return nil
}

// checkSwitched reads the staged root key, the root row and all rows of the
// touched shards afresh: every one must open, none may be missing, and those of
// the erased must not be there.
func (v *Vault) checkSwitched(e *erasure) error {
	state := v.keeper.Read()
	if state.stagedErr != nil {
		return state.stagedErr
	}
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	w := view{get: getterOf(txn)}
	value, ok, err := w.get(keyRoot())
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: the root row is missing", ErrDamaged)
	}
	if w.tree, err = decodeTree(state.staged, value); err != nil {
		return err
	}
	for s := range uint16(shardCount) {
		if w.tree.shards[s].generation != w.tree.generation {
			continue
		}
		rows := 0
		err := eachRow(txn, w.tree.shardPrefix(s), func(key, value []byte) error {
			rows++
			_, err := w.tree.openShardRow(s, key, value)
			return err
		})
		if err != nil {
			return err
		}
		if e != nil && rows != e.survivors[s] {
			return fmt.Errorf("%w: shard %d has %d rows, want %d", ErrDamaged, s, rows, e.survivors[s])
		}
	}
	return e.checkGone(w)
}

// checkGone makes sure that nothing in the view leads to the erased.
func (e *erasure) checkGone(w view) error {
	if e == nil {
		return nil
	}
	for id := range e.omit {
		if _, ok, err := w.shardRow(id[0], []byte(id[1:])); ok || err != nil {
			return fmt.Errorf("%w: a row of type %q of an erased person is still there", ErrDamaged, id[0])
		}
	}
	return nil
}

// deleteOldRows deletes, in the shards that the newest ROOT's switch touched,
// the rows of earlier generations.
func (v *Vault) deleteOldRows() error {
	var old [][]byte
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	for s := range uint16(shardCount) {
		if v.tree.shards[s].generation != v.tree.generation {
			continue
		}
		prefix := rowKey(rowShard, u16(s))
		eachKey(txn, prefix, prefix, func(key []byte) bool {
			if binary.BigEndian.Uint32(key[3:]) >= v.tree.generation {
				return false // generations ascend within a shard
			}
			old = append(old, append([]byte(nil), key...))
			return true
		})
	}
	return v.deleteRows(old, "erase old rows deleted")
}

// deleteDead deletes the rows that the erasure listed, then the list.
func (v *Vault) deleteDead(old rootKey) error {
	var lists, dead [][]byte
	k := derive(old.key, "erasure")
	unread := 0
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	err := eachRow(txn, []byte{rowErasure}, func(key, value []byte) error {
		lists = append(lists, append([]byte(nil), key...))
		list, err := open(k, value, key)
		if err != nil {
			unread++
			return nil
		}
		for len(list) > 0 {
			size := int(list[0])
			if len(list) < 1+size {
				return fmt.Errorf("%w: a list of dead rows ends early", ErrDamaged)
			}
			dead = append(dead, list[1:1+size])
			list = list[1+size:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	if unread > 0 {
		// The ROOT that opened them is destroyed, and with it all that the
		// rows could tell; they only take space.
		v.opt.Logger.Warn("rows of erased people stay in the vault as unreadable bytes", "lists", unread)
	}
	if err := v.deleteRows(dead, "erase dead rows deleted"); err != nil {
		return err
	}
	return v.deleteRows(lists, "erase list deleted")
}
