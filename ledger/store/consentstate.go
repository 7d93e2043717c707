package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// ErrNotCommitted: no state.committed stands behind the consent's first entry;
// [Group.CommitState] changes that.
var ErrNotCommitted = errors.New("its state is not committed yet")

// committedState is the newest state.committed. The tree's inner hashes stay in
// memory, the consents do not: those that changed since are followed back through
// their entries, which never change.
type committedState struct {
	at ledger.Index

	mu   sync.Mutex             // guards tree
	tree *ledger.CommittedState // nil after Open, until it is read or somebody needs it
}

// ConsentState is what shows the state of a consent to somebody who trusts nobody.
type ConsentState struct {
	Proof *ledger.StateProof
	// Committed is the state.committed that the proof is of, byte for byte.
	Committed []byte
	// Receipt proves that Committed is in the log of this snapshot.
	Receipt *ledger.Receipt
	// Newest is the entry that changed the consent last by now. If it is not the
	// proof's, the state has changed since it was committed.
	Newest ledger.Index
}

// Committed gives the newest state.committed, or false if there is none. What
// changed a consent since has its index or a higher one.
func (p *Snapshot) Committed() (ledger.Index, bool) { return p.meta.committed() }

// Committed is [Snapshot.Committed] of the log as it will be.
func (g *Group) Committed() (ledger.Index, bool) { return g.meta.committed() }

func (m *meta) committed() (ledger.Index, bool) { return ledger.Index(m.State) - 1, m.State > 0 }

// ConsentState proves the state of a consent as of the newest state.committed; later
// entries may have changed it since. It is [ErrNotFound] if no entry opened such a
// consent, and [ErrNotCommitted] if that was after the state was committed. It reads
// the consent's 256 neighbours; after [Open] it may have to wait until all consents have
// been read.
func (p *Snapshot) ConsentState(id ledger.ConsentID) (*ConsentState, error) {
	now, ok, err := p.Consent(id)
	if err != nil {
		return nil, err
	} else if !ok {
		return nil, fmt.Errorf("consent %d: %w", id, ErrNotFound)
	}
	at, ok := p.Committed()
	if !ok || ledger.Index(id) >= at {
		return nil, fmt.Errorf("consent %d: %w", id, ErrNotCommitted)
	}
	tree, err := p.committedTree()
	if err != nil {
		return nil, err
	}
	s := &ConsentState{Newest: now.Last}
	err = p.readState(tree.Size(), nil, func(consents ledger.Consents) (err error) {
		s.Proof, err = tree.Prove(id, consents)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.Committed, err = p.Entry(at); err != nil {
		return nil, err
	}
	s.Receipt, err = p.Receipt(at)
	return s, err
}

// ConsentState is [Snapshot.ConsentState] of the newest log.
func (s *Store) ConsentState(id ledger.ConsentID) (*ConsentState, error) {
	p := s.Snapshot()
	defer p.Release()
	return p.ConsentState(id)
}

// committedTree gives the tree of the newest state.committed. After Open it is made
// anew, and must be the one that was committed.
func (p *Snapshot) committedTree() (*ledger.CommittedState, error) {
	c := p.state
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tree != nil {
		return c.tree, nil
	}
	var err error
	c.tree, err = p.readCommitted(new(ledger.StateTree), nil)
	return c.tree, err
}

// readCommitted makes the tree of the newest state.committed anew from all consents,
// into state as well. watch is that of readState.
func (p *Snapshot) readCommitted(state *ledger.StateTree, watch watcher) (tree *ledger.CommittedState, err error) {
	at := p.state.at
	e, err := p.parsed(at)
	if err != nil {
		return nil, err
	}
	err = p.readState(ledger.Size(at), watch, func(consents ledger.Consents) (err error) {
		tree, err = state.Commit(ledger.Size(at), consents)
		return err
	})
	if err == nil && tree.Root() != e.StateRoot {
		err = fmt.Errorf("%w: the consents do not lead to the state that entry %d committed", ErrDamaged, at)
	}
	if err != nil {
		return nil, fmt.Errorf("computing the state tree: %w", err)
	}
	return tree, nil
}

// watcher is told of each consent before it is read, and whether it has changed since
// the state that is read; its error ends the reading.
type watcher func(id ledger.ConsentID, changed bool) error

// readState calls read with the consents as they stood when the log had so many
// entries. One iterator serves all that is read, which should ascend. watch may be nil.
func (p *Snapshot) readState(size ledger.Size, watch watcher, read func(ledger.Consents) error) error {
	// The values lie beside the keys: to fetch them ahead takes longer.
	it := p.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{consentKey}})
	defer it.Close()
	entries := map[ledger.Index]*ledger.Entry{}
	return read(func(from, to ledger.ConsentID, yield func(ledger.Consent)) error {
		clear(entries)
		for it.Seek(indexKey(consentKey, int64(from))); it.Valid(); it.Next() {
			id := ledger.ConsentID(indexOf(it.Item().Key()))
			if id >= min(to, ledger.ConsentID(size)) {
				break
			}
			var c ledger.Consent
			err := it.Item().Value(func(v []byte) (err error) {
				c, _, err = decodeConsent(id, v)
				return err
			})
			changed := ledger.Size(c.Last) >= size
			if err == nil && watch != nil {
				err = watch(id, changed)
			}
			if err == nil && changed {
				c, err = p.consentAt(c, size, entries)
			}
			if err != nil {
				return err
			}
			yield(c)
		}
		return nil
	})
}

// consentAt gives a consent that changed since as it stood when the log had so many
// entries, of which one opened it: what its own entries lead to until then. entries
// are those that were read before, because one of them may have changed many consents.
func (p *Snapshot) consentAt(c ledger.Consent, size ledger.Size, entries map[ledger.Index]*ledger.Entry) (ledger.Consent, error) {
	var list []*ledger.Entry // the newest first
	for i := c.Last; ; {
		e := entries[i]
		if e == nil {
			var err error
			if e, err = p.parsed(i); err != nil {
				return ledger.Consent{}, err
			}
			entries[i] = e
		}
		if ledger.Size(i) < size {
			list = append(list, e)
		}
		before, ok := e.Follows(c.ID)
		if !ok {
			break
		}
		if before >= i {
			return ledger.Consent{}, fmt.Errorf("%w: entry %d follows entry %d", ErrDamaged, i, before)
		}
		i = before
	}
	slices.Reverse(list)
	was, err := ledger.FollowConsent(c.ID, list)
	if err != nil {
		return ledger.Consent{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return was, nil
}

// CommitStateIfDue appends state.committed if both distances of [Options] have
// passed, and after [Open] not before all consents have been read beside the writer.
// The recorder calls it first in a group.
func (g *Group) CommitStateIfDue(now time.Time) error {
	if g.count > 0 || int64(g.meta.Size-g.meta.State) < g.s.opt.StateEntries ||
		now.Sub(g.meta.StateTime) < g.s.opt.StateInterval || g.s.warming.isOpen() {
		return nil
	}
	return g.CommitState(now)
}

// CommitState appends state.committed over what the log and the group hold, unless
// the newest entry is one. It costs the 256 neighbours of each consent that changed
// since the last one; after [Open] it may have to wait until all consents have been
// read. It fails with [ErrDamaged] if these do not lead to the newest state.committed.
func (g *Group) CommitState(now time.Time) error {
	if at, ok := g.Committed(); ok && at == g.Next()-1 {
		return nil
	}
	if err := g.s.warmed(); err != nil {
		return err
	}
	var tree *ledger.CommittedState
	g.s.touch(g.now.consents)
	err := g.before.readState(g.before.meta.Size, nil, func(consents ledger.Consents) (err error) {
		tree, err = g.s.state.Commit(g.Size(), g.over(consents))
		return err
	})
	g.s.touch(g.now.consents) // the group may be given up
	if err != nil {
		return fmt.Errorf("computing the state tree: %w", err)
	}
	list, err := g.Append(now, &ledger.Entry{Kind: ledger.StateCommitted, Source: ledger.SourceLedger, StateRoot: tree.Root()})
	if err != nil {
		return err
	}
	g.meta.State, g.meta.StateTime = g.Size(), now
	g.state = &committedState{at: list[0].Entry.Index, tree: tree}
	return nil
}

// over lays the group's consents over those before it.
func (g *Group) over(before ledger.Consents) ledger.Consents {
	if len(g.now.consents) == 0 {
		return before
	}
	changed := slices.Sorted(maps.Keys(g.now.consents))
	return func(from, to ledger.ConsentID, yield func(ledger.Consent)) error {
		i, _ := slices.BinarySearch(changed, from)
		rest := changed[i:]
		emit := func(below ledger.ConsentID) {
			for len(rest) > 0 && rest[0] < below {
				yield(g.now.consents[rest[0]])
				rest = rest[1:]
			}
		}
		err := before(from, to, func(c ledger.Consent) {
			emit(c.ID + 1)
			if _, ok := g.now.consents[c.ID]; !ok {
				yield(c)
			}
		})
		emit(to)
		return err
	}
}
