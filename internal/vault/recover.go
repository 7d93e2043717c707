package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dgraph-io/badger/v4"
)

// openRoot finds which root key opens the root row, and opens the tree under it.
func (v *Vault) openRoot(state rootState) (staged bool, err error) {
	row, ok, err := readOne(v.db, keyRoot())
	if err != nil {
		return false, err
	}
	if !ok {
		return false, fmt.Errorf("%w: the root row is missing", ErrDamaged)
	}
	switch {
	case state.currentErr == nil && opensRoot(state.current, row):
		return false, v.adopt(state.current, row)
	case state.stagedErr == nil && opensRoot(state.staged, row):
		return true, v.adopt(state.staged, row)
	}
	return false, mismatch(state, row, v.opt.RootKeyPath)
}

// settleRoot ends a pass that was interrupted: before the switch everything it wrote
// is taken back, after it the rest is done. It is run by Open only.
func (v *Vault) settleRoot(state rootState, staged bool) error {
	if !staged {
		if errors.Is(state.stagedErr, fs.ErrNotExist) {
			return nil
		}
		return v.takeBack()
	}
	var old rootKey
	if state.currentErr == nil {
		old = state.current
	}
	w := v.view()
	defer w.release()
	if err := v.finishPass(w, old, nil); err != nil {
		return fmt.Errorf("finishing an interrupted change of the root key: %w", err)
	}
	v.opt.Logger.Info("an interrupted change of the root key was finished", "generation", v.root.generation)
	return nil
}

// adopt opens the tree under the root key that was found.
func (v *Vault) adopt(root rootKey, row []byte) (err error) {
	v.root = root
	v.tree, err = decodeTree(root, row)
	return err
}

// takeBack deletes what a pass wrote before its switch: rows of a later
// generation than the root's, rows beside others, the lists, and last the staged
// root key.
func (v *Vault) takeBack() error {
	err := v.deleteFound("rows taken back", func(txn *badger.Txn, found func(key []byte)) error {
		for s := range uint16(shardCount) {
			prefix := rowKey(rowShard, u16(s))
			eachKey(txn, prefix, rowKey(rowShard, u16(s), u32(v.tree.generation+1)), func(key []byte) bool {
				found(bytes.Clone(key))
				return true
			})
		}
		return nil
	})
	if err == nil {
		err = v.deleteListed(listBeside, v.root, "rows beside taken back")
	}
	if err == nil {
		err = v.deleteLists()
	}
	if err == nil {
		err = v.keeper.DropStaged()
	}
	if err != nil {
		return fmt.Errorf("taking back an interrupted change of the root key: %w", err)
	}
	v.opt.Logger.Info("an interrupted change of the root key was taken back; it is still planned", "generation", v.root.generation)
	return nil
}

// mismatch says why no root key opens the root row, and what to do.
func mismatch(state rootState, row []byte, path string) error {
	generation, err := rootGeneration(row)
	if err != nil {
		return err
	}
	if state.currentErr != nil {
		// The staged one was read and does not fit, so this is the cause.
		return fmt.Errorf("%w, and %s.next does not open the vault either", state.currentErr, path)
	}
	switch have := state.current.generation; {
	case have < generation:
		return fmt.Errorf("%w: root.key is older than the vault: generation %d, want %d. An erasure has destroyed that one; "+
			"put the newest root key back at %s", ErrRootMismatch, have, generation, path)
	case have > generation:
		return fmt.Errorf("%w: the vault is older than root.key: generation %d, root key %d. An erasure since has made this "+
			"copy of the vault unreadable; put the newest copy back", ErrRootMismatch, generation, have)
	}
	return fmt.Errorf("%w: root.key has the vault's generation %d and does not open it. It belongs to another vault or was changed; "+
		"put the right one back at %s", ErrRootMismatch, generation, path)
}
