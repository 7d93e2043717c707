package store

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// Sign computes the root and signs the group's checkpoint. It may run beside
// other work on disk; [Group.Commit] calls it if nobody did.
func (g *Group) Sign() error {
	if g.count == 0 || g.signed != nil {
		return nil
	}
	if !sameKeys(g.signer.Keys(), g.reg.keyEntry().Keys) {
		return errors.New("signing the checkpoint: a key.rotated came into the group without Rotate")
	}
	signed, err := g.signer.SignCheckpoint(
		ledger.Checkpoint{Origin: g.s.Origin(), Size: g.Size(), Root: g.tree.Root()}, g.Last().Unix())
	if err != nil {
		return fmt.Errorf("signing the checkpoint: %w", err)
	}
	g.signed = signed
	return nil
}

// Commit writes the group: entries and derived rows in one synced transaction,
// then the head file, and only then publishes it. companion is the newest
// record of a second store that committed its part before; nil leaves the one
// that stands. After an error nothing is written any more, because the disk may
// hold the group or not; [Open] finds out.
func (g *Group) Commit(companion []byte) error {
	if g.s.writing != g {
		return errors.New("committing: this group is over")
	}
	g.s.writing = nil
	if err := g.commit(companion); err != nil {
		g.s.stopped = err
		return fmt.Errorf("committing %d entries: %w", g.count, err)
	}
	return nil
}

func (g *Group) commit(companion []byte) error {
	if g.count == 0 && companion == nil {
		return nil
	}
	if err := g.Sign(); err != nil {
		return err
	}
	next := g.meta
	if g.count > 0 {
		root, leaf := g.tree.Root(), g.chain.Head()
		next.Size, next.Count, next.Root, next.Leaf, next.Last = g.Size(), g.count, root[:], leaf[:], g.Last()
	}
	if companion != nil {
		next.Companion = companion
	}
	if err := g.s.step("log", func() error { return g.writeRows(next) }); err != nil {
		return err
	}
	checkpoint := g.before.checkpoint
	if g.count > 0 {
		checkpoint = g.signed
		if err := g.s.step("head", func() error { return g.s.head.write(checkpoint) }); err != nil {
			return err
		}
	}
	g.s.touch(g.now.consents)
	g.s.publish(&Snapshot{store: g.s, meta: next, root: g.tree.Root(), chain: g.chain, tree: g.tree, edges: g.edges,
		checkpoint: checkpoint, registry: g.reg, signer: g.signer, state: g.state, txn: g.s.db.NewTransaction(false)})
	return nil
}

// step runs one durable step between two seams for tests.
func (s *Store) step(name string, write func() error) error {
	if s.testOnlyFault == nil {
		return write()
	}
	if err := s.testOnlyFault("before " + name); err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	return s.testOnlyFault("after " + name)
}

// writeRows writes all rows of the group in one transaction.
func (g *Group) writeRows(next meta) error {
	rows, err := g.now.appendRows(g.rows, g.openingBefore)
	if err != nil {
		return err
	}
	value, err := next.encode()
	if err != nil {
		return err
	}
	rows = append(rows, row{[]byte{metaRow}, value})
	txn := g.s.db.NewTransaction(true)
	defer txn.Discard()
	for _, r := range rows {
		if r.value == nil {
			err = txn.Delete(r.key)
		} else {
			err = txn.Set(r.key, r.value)
		}
		if errors.Is(err, badger.ErrTxnTooBig) {
			return fmt.Errorf("a group of %d rows is too big for one transaction: %w", len(rows), err)
		} else if err != nil {
			return err
		}
	}
	return txn.Commit()
}
