package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// Check re-derives everything from the entries and compares it with what is
// stored: chain, rules, tiles, root, consents, locks, registry, notices' texts
// and pending erasures. It gives the state that it derived. progress, if set,
// is called now and then with the entries checked.
func (p *Snapshot) Check(progress func(done ledger.Size)) (*ledger.Replay, error) {
	c := &checker{p: p, replay: ledger.NewReplay(), tree: &ledger.Tree{}, locks: map[ledger.Hash]bool{}}
	err := p.Entries(0, int(p.meta.Size), func(i ledger.Index, b []byte) error {
		if progress != nil && i%4096 == 0 {
			progress(ledger.Size(i))
		}
		return c.entry(b)
	})
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return nil, fmt.Errorf("checking the log: %w", err)
	}
	return c.replay, nil
}

type checker struct {
	p      *Snapshot
	replay *ledger.Replay
	tree   *ledger.Tree
	edges  [][]byte
	locks  map[ledger.Hash]bool
	err    error
}

func (c *checker) entry(b []byte) error {
	e, err := ledger.ParseEntry(b)
	if err != nil {
		return fmt.Errorf("entry %d: %w", c.tree.Size(), err)
	}
	leaf := ledger.LeafHash(b)
	if _, err := c.replay.Add(e, leaf); err != nil {
		return err
	}
	c.tree.Append(leaf, c.grow)
	if e.Kind == ledger.ConsentRequested {
		c.locks[e.Lock] = true
		l, ok, err := getLock(c.p.txn, e.Lock)
		if err != nil || !ok || !l.Expires.Equal(e.Expires) {
			return errors.Join(err, fmt.Errorf("%w: the lock of entry %d is not stored as recorded", ErrDamaged, e.Index))
		}
	}
	if e.Kind == ledger.NoticePublished {
		text, err := c.p.NoticeText(e.Notice.SHA256)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if ledger.TextHash(text) != e.Notice.SHA256 {
			return fmt.Errorf("%w: the notice of entry %d has another text", ErrDamaged, e.Index)
		}
	}
	return c.err
}

// grow compares each tile with the stored one when it is full.
func (c *checker) grow(level int, n int64, h ledger.Hash) {
	if level%ledger.TileHeight != 0 || c.err != nil {
		return
	}
	level /= ledger.TileHeight
	for len(c.edges) <= level {
		c.edges = append(c.edges, nil)
	}
	c.edges[level] = append(c.edges[level], h[:]...)
	if len(c.edges[level]) == ledger.TileWidth*len(h) {
		stored, err := get(c.p.txn, tileKey(level, n/ledger.TileWidth))
		if err != nil || !bytes.Equal(stored, c.edges[level]) {
			c.err = errors.Join(err, fmt.Errorf("%w: %s is not what the entries give", ErrDamaged,
				ledger.TilePath(level, n/ledger.TileWidth, ledger.TileWidth)))
		}
		c.edges[level] = c.edges[level][:0]
	}
}

func (c *checker) finish() error {
	if !c.replay.Chain().Complete() {
		return fmt.Errorf("%w: it ends within a list that was split", ErrDamaged)
	}
	opened, err := c.p.store.openOwn(c.p.checkpoint)
	if err != nil {
		return err
	}
	if root := c.tree.Root(); root != opened.Root || c.tree.Size() != opened.Size {
		return fmt.Errorf("%w: the entries' root is %v, the checkpoint of %d entries says %v", ErrDamaged, root, opened.Size, opened.Root)
	}
	if err := c.consents(); err != nil {
		return err
	}
	if err := c.registry(); err != nil {
		return err
	}
	pending, err := c.p.PendingErasures()
	if err == nil && len(pending) != c.replay.PendingErasures() {
		err = fmt.Errorf("%w: %d erasures wait for their keys to be shredded, the entries give %d", ErrDamaged, len(pending), c.replay.PendingErasures())
	}
	return err
}

// consents compares every stored consent with the derived one, and counts.
func (c *checker) consents() error {
	var want, have int
	var wrong error
	err := c.replay.Consents(0, ledger.ConsentID(c.p.meta.Size), func(d ledger.Consent) {
		want++
		if stored, ok, err := c.p.Consent(d.ID); wrong == nil && (err != nil || !ok || stored != d) {
			wrong = errors.Join(err, fmt.Errorf("%w: consent %d is not stored as the entries give it", ErrDamaged, d.ID))
		}
	})
	if err = errors.Join(err, wrong); err != nil {
		return err
	}
	if have, err = countRows(c.p.txn, consentKey); err == nil && have != want {
		err = fmt.Errorf("%w: %d consents are stored, the entries give %d", ErrDamaged, have, want)
	}
	if err != nil {
		return err
	}
	if have, err = countRows(c.p.txn, lockKey); err == nil && have != len(c.locks) {
		err = fmt.Errorf("%w: %d locks are stored, the entries give %d", ErrDamaged, have, len(c.locks))
	}
	return err
}

func (c *checker) registry() error {
	var err error
	same := func(what string, stored, derived any, ok bool) {
		a, err1 := json.Marshal(stored)
		b, err2 := json.Marshal(derived)
		if err == nil && (!ok || !bytes.Equal(a, b) || err1 != nil || err2 != nil) {
			err = errors.Join(err1, err2, fmt.Errorf("%w: %s is not stored as the entries give it", ErrDamaged, what))
		}
	}
	for id, stored := range c.p.registry.purposes {
		derived, ok, _ := c.replay.Purpose(id)
		same("purpose "+id, stored, derived, ok)
	}
	c.p.Notices(func(stored ledger.Notice) {
		derived, ok, _ := c.replay.Notice(stored.ID, stored.Version)
		same("notice "+stored.Name(), stored, derived, ok)
	})
	for name, stored := range c.p.registry.sources {
		derived, ok, _ := c.replay.Source(name)
		same("source "+name, stored, derived, ok)
	}
	return err
}

func countRows(txn *badger.Txn, prefix byte) (n int, err error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefix}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		n++
	}
	return n, nil
}
