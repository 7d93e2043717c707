package vault

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

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
	return v.deleteFound("erase old rows deleted", func(txn *badger.Txn, found func(key []byte)) {
		for s := range uint16(shardCount) {
			if v.tree.shards[s].generation != v.tree.generation {
				continue
			}
			prefix := rowKey(rowShard, u16(s))
			eachKey(txn, prefix, prefix, func(key []byte) bool {
				if binary.BigEndian.Uint32(key[3:]) >= v.tree.generation {
					return false // generations ascend within a shard
				}
				found(key)
				return true
			})
		}
	})
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
