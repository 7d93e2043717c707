package vault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// finishPass does everything after the switch. p is nil when a start finishes
// what was interrupted; old is zero when that ROOT is destroyed.
func (v *Vault) finishPass(old rootKey, p *pass) error {
	// Checked before anything is deleted, so that a fault here loses nothing.
	if err := v.checkSwitched(p); err != nil {
		return fmt.Errorf("checking before deletion: %w", err)
	}
	if err := v.step("erase checked"); err != nil {
		return err
	}
	if err := v.deleteOldRows(); err != nil {
		return fmt.Errorf("deleting old rows: %w", err)
	}
	if err := v.deleteListed(listDead, old, "erase dead rows deleted"); err != nil {
		return fmt.Errorf("deleting the rows of the erased: %w", err)
	}
	if err := v.deleteLists(); err != nil {
		return fmt.Errorf("deleting lists of rows: %w", err)
	}
	if err := v.checkSwitched(p); err != nil {
		return fmt.Errorf("checking after deletion: %w", err)
	}
	if err := v.step("erase checked again"); err != nil {
		return err
	}
	// From the switch to here the backup before opens what it always opened:
	// it goes only when the next one was read back.
	if err := v.stageKeyBackup(); err != nil {
		return err
	}
	if err := v.keeper.Promote(); err != nil {
		return err
	}
	if err := v.promoteKeyBackup(); err != nil {
		return err
	}
	v.mu.Lock()
	v.shreddedAt = time.Now().UTC()
	v.mu.Unlock()
	return nil
}

// checkSwitched reads the staged root key, the root row and all rows of the
// touched shards afresh: every one must open, none may be missing, and those
// that went must not be there.
func (v *Vault) checkSwitched(p *pass) error {
	state := v.keeper.Read()
	if state.stagedErr != nil {
		return state.stagedErr
	}
	w := View{txn: v.db.NewTransaction(false)}
	defer w.txn.Discard()
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
	var plain []byte
	for _, s := range w.tree.touched() {
		rows := 0
		err := eachRow(w.txn, w.tree.shardPrefix(s), func(key, value []byte) (err error) {
			rows++
			plain, err = w.tree.openShardRow(plain[:0], s, key, value)
			return err
		})
		if err != nil {
			return err
		}
		if p != nil && rows != p.shards[s].kept {
			return fmt.Errorf("%w: shard %d has %d rows, want %d", ErrDamaged, s, rows, p.shards[s].kept)
		}
	}
	return p.checkGone(w)
}

// checkGone makes sure that the view has none of the rows that the pass was to
// remove.
func (p *pass) checkGone(w View) error {
	if p == nil {
		return nil
	}
	for _, m := range p.shards {
		for id, value := range m.rows {
			if ok, err := w.has(w.tree.shardRowKey(id[0], []byte(id[1:]))); ok != (value != nil) || err != nil {
				return fmt.Errorf("%w: a row of type %q is still there, or missing", ErrDamaged, id[0])
			}
		}
	}
	return nil
}

// deleteOldRows deletes, in the shards that the newest ROOT's switch touched,
// the rows of earlier generations.
func (v *Vault) deleteOldRows() error {
	t := v.tree
	return v.deleteFound("erase old rows deleted", func(txn *badger.Txn, found func(key []byte)) error {
		for _, s := range t.touched() {
			prefix := rowKey(rowShard, u16(s))
			eachKey(txn, prefix, prefix, func(key []byte) bool {
				if binary.BigEndian.Uint32(key[3:]) >= t.generation {
					return false // generations ascend within a shard
				}
				found(bytes.Clone(key))
				return true
			})
		}
		return nil
	})
}
