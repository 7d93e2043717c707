package vault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// finishPass does everything after the switch, which w sees. p is nil when a
// start finishes what was interrupted; old is zero when that ROOT is destroyed.
func (v *Vault) finishPass(w View, old rootKey, p *pass) error {
	// Checked before anything is deleted, so that a fault here loses nothing.
	if err := v.checkSwitched(w, p, true); err != nil {
		return fmt.Errorf("checking before deletion: %w", err)
	}
	if err := v.step("erase checked"); err != nil {
		return err
	}
	if err := v.deleteOldRows(w.tree); err != nil {
		return fmt.Errorf("deleting old rows: %w", err)
	}
	if p != nil && p.oldestDay != w.tree.days[1].day {
		// A sweep while rows were copied found only the old ones.
		if err := v.sweepIdempotency(w.tree, w.tree.days[1].day); err != nil {
			return fmt.Errorf("deleting old idempotency rows: %w", err)
		}
	}
	if p == nil || p.reindexes {
		if err := v.deleteOldIndex(w.tree); err != nil {
			return fmt.Errorf("deleting the old index: %w", err)
		}
	}
	if err := v.deleteListed(listDead, old, "erase dead rows deleted"); err != nil {
		return fmt.Errorf("deleting the rows of the erased: %w", err)
	}
	if err := v.deleteLists(); err != nil {
		return fmt.Errorf("deleting lists of rows: %w", err)
	}
	if err := v.View(func(w View) error { return v.checkSwitched(w, p, false) }); err != nil {
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
// that went must not be there. exact says that w is a view of the moment of the
// switch; later, writers have added rows, and sweeps deleted some.
func (v *Vault) checkSwitched(w View, p *pass, exact bool) error {
	state := v.keeper.Read()
	if state.stagedErr != nil {
		return state.stagedErr
	}
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
		rows, requests := 0, 0
		err := eachRow(w.txn, w.tree.shardPrefix(s), func(key, value []byte) (err error) {
			rows++
			if plain, err = w.tree.openShardRow(plain[:0], s, key, value); err == nil && key[shardKeySize] == rowIdempotency {
				requests++
			}
			return err
		})
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		m := p.shards[s]
		if exact && (rows != m.kept || requests != m.requests) || rows-requests < m.kept-m.requests {
			return fmt.Errorf("%w: shard %d has %d rows, want %d", ErrDamaged, s, rows, m.kept)
		}
	}
	if p == nil {
		return nil
	}
	return p.checkGone(w, exact)
}

// checkGone makes sure that the view has none of the rows that the pass was to
// remove, and those that it was to write.
func (p *pass) checkGone(w View, exact bool) error {
	for _, m := range p.shards {
		for id, value := range m.rows {
			if !exact && (id[0] == rowIndex || id[0] == rowPlan) {
				continue // by now, somebody else may have the identifier, and a new plan be made
			}
			ok, err := w.has(w.tree.shardRowKey(id[0], []byte(id[1:])))
			if err != nil {
				return err
			}
			if ok != (value != nil) {
				return fmt.Errorf("%w: a row of type %q is still there, or missing", ErrDamaged, id[0])
			}
		}
	}
	return nil
}

// deleteOldRows deletes, in the shards that the switch to tree t touched, the
// rows of earlier generations.
func (v *Vault) deleteOldRows(t *tree) error {
	return v.deleteFound("erase old rows deleted", func(txn *badger.Txn, found func(key []byte)) error {
		for _, s := range t.touched() {
			prefix := rowKey(rowShard, u16(s))
			eachKey(txn, prefix, prefix, func(key []byte) bool {
				switch {
				case len(key) < minShardRow: // no row of ours
				case binary.BigEndian.Uint32(key[3:]) >= t.generation:
					return false // generations ascend within a shard
				default:
					found(bytes.Clone(key))
				}
				return true
			})
		}
		return nil
	})
}
