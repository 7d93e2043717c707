package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// Check re-derives everything from the entries and compares it with what is
// stored: chain, rules, tiles, root, consents, what mentions them and what refers
// to entries, locks, registry, notices' texts, pending erasures, open holds, the
// requests and notifications that wait, stamped checkpoints and their tokens. It gives the state that it derived.
// progress, if set, is called now and then with the entries checked.
//
// It goes on behind what it finds, and its error is a *[Found]; without the state when
// the entries themselves do not follow one another by the rules, because nothing can be
// derived from them then.
func (p *Snapshot) Check(progress func(done ledger.Size)) (*ledger.Replay, error) {
	c := &checker{p: p, replay: ledger.NewReplay(), tree: &ledger.Tree{}, reg: newRegistry(),
		locks: map[ledger.Hash]seenLock{}, erasures: map[ledger.Index]ledger.Index{}, holds: map[ledger.Index]bool{},
		notified: map[ledger.Index]bool{}, stamps: map[ledger.Hash]bool{}}
	err := p.Entries(0, int(p.meta.Size), func(i ledger.Index, b []byte) error {
		if progress != nil && i%4096 == 0 {
			progress(ledger.Size(i))
		}
		return c.entry(b)
	})
	if err != nil {
		c.Add(err)
		return nil, c.Err()
	}
	c.finish()
	return c.replay, c.Err()
}

type checker struct {
	p        *Snapshot
	replay   *ledger.Replay
	tree     *ledger.Tree
	edges    [][]byte
	reg      *registry
	locks    map[ledger.Hash]seenLock
	mentions int                           // of consents by entries
	refers   int                           // of entries to entries
	declared int                           // sources declared, processors engaged and ended
	erasures map[ledger.Index]ledger.Index // those that are not carried out; 0 while their keys wait
	holds    map[ledger.Index]bool         // those that are open
	notified map[ledger.Index]bool         // notifications that wait to be acknowledged
	anchors  int                           // checkpoint.anchored entries
	stamps   map[ledger.Hash]bool          // what they name: checkpoints and tokens
	state    ledger.Size                   // size after the newest state.committed
	Findings
}

// entry follows one entry. Its error says that it does not follow from those before.
func (c *checker) entry(b []byte) error {
	e, err := ledger.ParseEntry(b)
	if err != nil {
		return fmt.Errorf("entry %d: %w", c.tree.Size(), err)
	}
	leaf := ledger.LeafHash(b)
	eff, err := c.replay.Add(e, leaf)
	if err != nil {
		return err
	}
	c.tree.Append(leaf, c.grow)
	c.reg.apply(e.Index, eff)
	for _, o := range []*ledger.OpenRequest{eff.Open, eff.Former} {
		if o != nil {
			c.locks[o.Lock] = seenLock{*o, false}
		}
	}
	if eff.Closed != nil {
		l := c.locks[*eff.Closed]
		l.closed = true
		c.locks[*eff.Closed] = l
	}
	for _, err := range []error{c.opened(e, eff), c.mentioned(e), c.referred(e), c.declaredBy(e.Index, eff), c.kind(e)} {
		c.Add(err)
	}
	return nil
}

// opened compares what the row of a consent keeps of the entry that opened it. That
// there is a row is asked in the end.
func (c *checker) opened(e *ledger.Entry, eff *ledger.Effects) error {
	if eff.Opened == nil {
		return nil
	}
	want := openingOf(e)
	_, o, ok, err := c.p.Opened(eff.Opened.ID)
	if err == nil && ok && (o.Notice != want.Notice || !o.Expires.Equal(want.Expires)) {
		return fmt.Errorf("%w: what opened consent %d is not stored as the entries give it", ErrDamaged, eff.Opened.ID)
	}
	return nil
}

// mentioned compares the rows of the consents that an entry mentions.
func (c *checker) mentioned(e *ledger.Entry) error {
	for _, id := range e.About {
		c.mentions++
		if kind, err := get(c.p.txn, mentionKey(id, e.Index)); err != nil || string(kind) != string(e.Kind) {
			return errors.Join(err, fmt.Errorf("%w: that entry %d mentions consent %d is not stored as the entries give it", ErrDamaged, e.Index, id))
		}
	}
	return nil
}

// kind follows what only some kinds do.
func (c *checker) kind(e *ledger.Entry) error {
	switch e.Kind {
	case ledger.NoticePublished:
		sums := []ledger.Hash{e.Notice.SHA256}
		if e.Facts != (ledger.Hash{}) {
			sums = append(sums, e.Facts)
		}
		for _, sum := range sums {
			text, err := c.p.NoticeText(sum)
			if err != nil {
				return fmt.Errorf("entry %d: %w", e.Index, err)
			}
			if ledger.TextHash(text) != sum {
				return fmt.Errorf("%w: the notice of entry %d has another text or other facts", ErrDamaged, e.Index)
			}
		}
	case ledger.SubjectErased:
		c.erasures[e.Index] = 0
	case ledger.EvidenceShredded:
		for _, i := range e.Refers {
			if c.erasures[i] = e.Index; !e.Existence.IsZero() {
				delete(c.erasures, i)
			}
		}
	case ledger.HoldSet:
		c.holds[e.Index] = true
	case ledger.HoldLifted:
		delete(c.holds, e.Refers[0])
	case ledger.RecipientNotified:
		c.notified[e.Index] = true
	case ledger.RecipientAcknowledged:
		delete(c.notified, e.Refers[0])
	case ledger.CheckpointAnchored:
		return c.anchored(e)
	case ledger.StateCommitted:
		c.state = ledger.Size(e.Index) + 1
	}
	return nil
}

// grow compares each tile with the stored one when it is full.
func (c *checker) grow(level int, n int64, h ledger.Hash) {
	if level%ledger.TileHeight != 0 {
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
			c.Add(errors.Join(err, fmt.Errorf("%w: %s is not what the entries give", ErrDamaged,
				ledger.TilePath(level, n/ledger.TileWidth, ledger.TileWidth))))
		}
		c.edges[level] = c.edges[level][:0]
	}
}

// signed compares the checkpoint.
func (c *checker) signed() error {
	opened, err := openWith(c.reg.keyEntry().Keys, c.p.checkpoint)
	if err != nil {
		return err
	}
	if root := c.tree.Root(); root != opened.Root || c.tree.Size() != opened.Size {
		return fmt.Errorf("%w: the entries' root is %v, the checkpoint of %d entries says %v", ErrDamaged, root, opened.Size, opened.Root)
	}
	return nil
}

func (c *checker) finish() {
	if !c.replay.Chain().Complete() {
		c.Add(fmt.Errorf("%w: it ends within a list that was split", ErrDamaged))
	}
	for _, check := range []func() error{c.signed, c.meta, c.consents, c.lockRows, c.registry, c.mentionRows, c.referRows, c.declaredRows, c.pending, c.openHolds, c.rights, c.notifications, c.anchorRows} {
		c.Add(check())
	}
}

// meta compares the row of the newest group. Its time of the last state.committed
// only spaces the next one, and its companion is the caller's.
func (c *checker) meta() error {
	chain, m := c.replay.Chain(), c.p.meta
	if head := chain.Head(); !bytes.Equal(m.Leaf, head[:]) || !m.Last.Equal(chain.Last()) || m.State != c.state {
		return fmt.Errorf("%w: the row of its newest group is not what the entries give", ErrDamaged)
	}
	return nil
}

// consents compares every stored consent with the derived one, and counts.
func (c *checker) consents() error {
	var want, have int
	err := c.replay.Consents(0, ledger.ConsentID(c.p.meta.Size), func(d ledger.Consent) {
		want++
		if stored, ok, err := c.p.Consent(d.ID); err != nil || !ok || stored != d {
			c.Add(errors.Join(err, fmt.Errorf("%w: consent %d is not stored as the entries give it", ErrDamaged, d.ID)))
		}
	})
	if err != nil {
		return err
	}
	if have, err = countRows(c.p.txn, consentKey); err == nil && have != want {
		err = fmt.Errorf("%w: %d consents are stored, the entries give %d", ErrDamaged, have, want)
	}
	return err
}

// lockRows compares every stored lock with the derived one, and counts.
func (c *checker) lockRows() error {
	for lock, want := range c.locks {
		stored, ok, err := getLock(c.p.txn, lock)
		if err != nil || !ok || stored.Request != want.Request || !stored.Expires.Equal(want.Expires) ||
			stored.closed != want.closed || stored.Superseded != want.Superseded {
			c.Add(errors.Join(err, fmt.Errorf("%w: the lock of consent %d is not stored as the entries give it", ErrDamaged, want.Request)))
		}
	}
	have, err := countRows(c.p.txn, lockKey)
	if err == nil && have != len(c.locks) {
		err = fmt.Errorf("%w: %d locks are stored, the entries give %d", ErrDamaged, have, len(c.locks))
	}
	return err
}

// registry compares what administrators declared, as stored and as in use.
func (c *checker) registry() error {
	stored, err := readRegistry(c.p.txn)
	if err != nil {
		return err
	}
	for _, r := range []*registry{stored, c.p.registry} {
		for what, pair := range map[string][2]any{
			"purposes": {r.purposes, c.reg.purposes}, "notices": {r.notices, c.reg.notices}, "sources": {r.sources, c.reg.sources},
			"processors": {r.processors, c.reg.processors}, "claims": {r.claims, c.reg.claims}, "key entries": {r.keys, c.reg.keys},
		} {
			a, err1 := json.Marshal(pair[0])
			b, err2 := json.Marshal(pair[1])
			if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
				c.Add(errors.Join(err1, err2, fmt.Errorf("%w: the %s are not stored as the entries give them", ErrDamaged, what)))
			}
		}
	}
	return nil
}

// mentionRows counts the mentions; each was compared with its entry.
func (c *checker) mentionRows() error {
	have, err := countRows(c.p.txn, mentionRow)
	if err == nil && have != c.mentions {
		err = fmt.Errorf("%w: %d mentions of consents are stored, the entries give %d", ErrDamaged, have, c.mentions)
	}
	return err
}

// pending compares the erasures that are not yet carried out.
func (c *checker) pending() error {
	shred, existence, err := c.p.PendingErasures()
	if err != nil {
		return err
	}
	stored := map[ledger.Index]ledger.Index{}
	for _, i := range shred {
		stored[i] = 0
	}
	for _, e := range existence {
		stored[e.Erased] = e.Shredded
	}
	if !maps.Equal(stored, c.erasures) {
		return fmt.Errorf("%w: the erasures that are not yet carried out are not stored as the entries give them", ErrDamaged)
	}
	return nil
}

// openHolds compares the holds that are not lifted.
func (c *checker) openHolds() error {
	stored, err := c.p.OpenHolds()
	if err != nil {
		return err
	}
	if want := slices.Sorted(maps.Keys(c.holds)); !slices.Equal(stored, want) {
		return fmt.Errorf("%w: the holds that are not lifted are not stored as the entries give them", ErrDamaged)
	}
	return nil
}

// rights compares the requests that wait for their answer.
func (c *checker) rights() error {
	have := 0
	err := c.p.OpenRights(func(stored ledger.RightsRequest) error {
		have++
		if want, ok, err := c.replay.RightsRequest(stored.Index); err != nil || !ok || want != stored {
			c.Add(errors.Join(err, fmt.Errorf("%w: the request of entry %d is not stored as the entries give it", ErrDamaged, stored.Index)))
		}
		return nil
	})
	if want, _ := c.replay.OpenRights(); err == nil && have != want {
		err = fmt.Errorf("%w: %d requests that wait for their answer are stored, the entries give %d", ErrDamaged, have, want)
	}
	return err
}

// notifications compares the notifications that wait to be acknowledged.
func (c *checker) notifications() error {
	stored, err := c.p.OpenNotifications()
	if err != nil {
		return err
	}
	if want := slices.Sorted(maps.Keys(c.notified)); !slices.Equal(stored, want) {
		return fmt.Errorf("%w: the notifications that wait to be acknowledged are not stored as the entries give them", ErrDamaged)
	}
	return nil
}

func countRows(txn *badger.Txn, prefix byte) (n int, err error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefix}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		n++
	}
	return n, nil
}
