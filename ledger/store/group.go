package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Group is what will be written in one commit. It shows the log as it will be
// when the group is committed, and implements [ledger.History] over that. Only
// one group exists at a time, and only one goroutine uses it.
type Group struct {
	s      *Store
	before *Snapshot      // what is published
	signer *ledger.Signer // whose keys are in force after the group
	signed []byte         // the checkpoint of the group as it stands, or nil

	now   layer
	spare layer // of the newest draft; its room is used again
	chain ledger.Chain
	tree  *ledger.Tree
	edges [][]ledger.Hash
	reg   *registry
	meta  meta
	state *committedState
	rows  []row
	bytes int64
	count int64
	texts map[ledger.Hash]bool

	// What was looked up in before, maxLooked of each: a decision and the rules ask for
	// it several times, it does not change while there is the group, and now lies over it.
	consents map[ledger.ConsentID]consentRow
	locks    map[ledger.Hash]lookedLock
}

// maxLooked is how many consents, and how many locks, a group remembers that it has
// looked up: more than its decisions change, 4 MB at most.
const maxLooked = 16 << 10

// consentRow is what the database has of a consent.
type consentRow struct {
	ledger.Consent
	Opening
}

// lookedLock is a lock that was looked up; ok unless it was never seen.
type lookedLock struct {
	seenLock
	ok bool
}

// Recorded is an entry that a group has taken.
type Recorded struct {
	Entry   *ledger.Entry
	Bytes   []byte
	Leaf    ledger.Hash
	Effects *ledger.Effects
}

// Begin begins a group. It fails with [ErrStopped] after a commit that failed.
func (s *Store) Begin() (*Group, error) {
	if s.stopped != nil {
		return nil, fmt.Errorf("%w: %w", ErrStopped, s.stopped)
	}
	if s.writing != nil {
		return nil, errors.New("another group is being written")
	}
	p := s.published.Load() // stays published, and so open, until this group's commit
	g := &Group{s: s, before: p, signer: p.signer, now: newLayer(), spare: newLayer(), chain: p.chain, tree: &ledger.Tree{}, edges: slices.Clone(p.edges),
		reg: p.registry, meta: p.meta, state: p.state, texts: map[ledger.Hash]bool{}, consents: map[ledger.ConsentID]consentRow{}, locks: map[ledger.Hash]lookedLock{}}
	if p.tree != nil {
		g.tree = p.tree.Clone()
	}
	s.writing = g
	return g, nil
}

// Discard gives the group up; it leaves no trace. After [Group.Commit] it does
// nothing.
func (g *Group) Discard() {
	if g.s.writing == g {
		g.s.writing = nil
	}
}

// Next is the index that the next entry will have.
func (g *Group) Next() ledger.Index { return ledger.Index(g.chain.Size()) }

// Last is the time of the entry before the next.
func (g *Group) Last() time.Time { return g.chain.Last() }

// Size is how many entries the log will have.
func (g *Group) Size() ledger.Size { return g.chain.Size() }

// Head is the leaf hash of the entry before the next.
func (g *Group) Head() ledger.Hash { return g.chain.Head() }

// Count is how many entries the group has.
func (g *Group) Count() int { return int(g.count) }

// Full reports whether the group should be committed before it takes more: half
// of what one Badger transaction holds is used.
func (g *Group) Full() bool { return g.fills(0, 0, 1, 2) }

// fills reports whether the group and so many bytes and rows more would use more
// than a fraction of what one Badger transaction holds.
func (g *Group) fills(bytes, rows, part, whole int64) bool {
	return g.bytes+bytes > g.s.db.MaxBatchSize()*part/whole ||
		int64(len(g.rows))+g.now.rows()+rows > g.s.db.MaxBatchCount()*part/whole
}

// Append takes entries, all or none: it gives them index, prev and time, and
// checks chain and rules. now must not be before [Group.Last]; it is cut to
// whole microseconds. A violation of the rules is a *[ledger.RuleError]. Entries
// that one transaction cannot hold beside the group are [ErrTooBig]; what is not
// [Group.Full] takes at least a quarter of one. After an error the group is as
// it was.
func (g *Group) Append(now time.Time, entries ...*ledger.Entry) ([]Recorded, error) {
	g.spare = g.spare.cleared()
	d := &draft{g: g, layer: g.spare, reg: g.reg, chain: g.chain}
	list := make([]Recorded, 0, len(entries))
	var rows []row
	for _, e := range entries {
		e.Time = recordable(now)
		d.chain.Link(e)
		b, err := e.Encode()
		if err != nil {
			return nil, err
		}
		leaf := ledger.LeafHash(b)
		if err := d.chain.Add(e, leaf); err != nil {
			return nil, err
		}
		eff, err := d.step(e)
		if err != nil {
			return nil, err
		}
		more, err := d.apply(e, eff)
		if err != nil {
			return nil, err
		}
		rows = append(append(rows, row{indexKey(entryRow, int64(e.Index)), b}), more...)
		list = append(list, Recorded{e, b, leaf, eff})
	}
	if len(list) > 0 && !d.chain.Complete() {
		return nil, errors.New("appending: a split list is not complete")
	}
	if g.fills(d.layer.bytes()+rowBytes(rows), d.layer.rows()+int64(len(rows)), 3, 4) {
		return nil, fmt.Errorf("appending %d entries: %w", len(list), ErrTooBig)
	}
	d.keep(list, rows)
	return list, nil
}

// draft is the entries of one Append before they are taken.
type draft struct {
	g     *Group
	layer layer
	reg   *registry
	chain ledger.Chain
}

// step checks the rules, and what [ledger.Replay] checks beside them.
func (d *draft) step(e *ledger.Entry) (*ledger.Effects, error) {
	if e.Lock != (ledger.Hash{}) && e.Kind != ledger.RequestExpired {
		// The rules know open requests only; this log accepts no lock twice.
		if l, ok, err := d.lock(e.Lock); err != nil {
			return nil, err
		} else if ok && (l.closed || e.Time.After(l.Expires)) {
			return nil, &ledger.RuleError{Rule: "lock_used", Index: e.Index, Consent: -1, Detail: "the lock was used before"}
		}
	}
	eff, err := ledger.Step(e, d)
	if err != nil {
		return nil, err
	}
	return eff, ledger.CheckRefers(e, d, eff)
}

func (d *draft) apply(e *ledger.Entry, eff *ledger.Effects) ([]row, error) {
	d.layer.apply(e, eff)
	if eff.Closed != nil {
		l, _, err := d.lock(*eff.Closed)
		if err != nil {
			return nil, err
		}
		l.closed = true
		d.layer.locks[*eff.Closed] = l
	}
	if !declares(eff) {
		return nil, nil
	}
	d.reg = d.reg.clone()
	d.reg.apply(e.Index, eff)
	return registryRows(e.Index, eff)
}

func (d *draft) keep(list []Recorded, rows []row) {
	g := d.g
	g.bytes += d.layer.bytes()
	g.now.add(&d.layer)
	if len(list) > 0 {
		g.signed = nil
	}
	g.reg, g.chain = d.reg, d.chain
	for _, r := range list {
		g.count++
		g.tree.Append(r.Leaf, g.grow)
	}
	g.addRows(rows)
}

func (g *Group) addRows(rows []row) {
	g.bytes += rowBytes(rows)
	g.rows = append(g.rows, rows...)
}

// rowBytes is about how many bytes of a transaction rows take.
func rowBytes(rows []row) (bytes int64) {
	for _, r := range rows {
		bytes += int64(len(r.key) + len(r.value) + 32)
	}
	return bytes
}

// grow adds a hash to the right edge; a tile that is full becomes a row.
func (g *Group) grow(level int, n int64, h ledger.Hash) {
	if level%ledger.TileHeight != 0 {
		return
	}
	level /= ledger.TileHeight
	for len(g.edges) <= level {
		g.edges = append(g.edges, nil)
	}
	// Snapshots share the array below their length; nothing there is rewritten.
	edge := append(g.edges[level], h)
	if len(edge) < ledger.TileWidth {
		g.edges[level] = edge
		return
	}
	b := make([]byte, 0, len(edge)*len(h))
	for _, h := range edge {
		b = append(b, h[:]...)
	}
	g.addRows([]row{{tileKey(level, n/ledger.TileWidth), b}})
	g.edges[level] = make([]ledger.Hash, 0, ledger.TileWidth)
}

// PutNotice stores a public document of a notice that the group publishes, its
// text or its facts, under its SHA-256.
func (g *Group) PutNotice(sum ledger.Hash, text []byte) {
	if !g.texts[sum] {
		g.texts[sum] = true
		g.addRows([]row{{hashKey(textRow, sum), text}})
	}
}

// Registry access and lookups: the group over the database.

func (g *Group) Consent(id ledger.ConsentID) (ledger.Consent, bool, error) {
	if c, ok := g.now.consents[id]; ok {
		return c, true, nil
	}
	if c, ok := g.consents[id]; ok {
		return c.Consent, true, nil
	}
	c, o, ok, err := getConsent(g.before.txn, id)
	if ok && len(g.consents) < maxLooked {
		g.consents[id] = consentRow{c, o}
	}
	return c, ok, err
}

// openingBefore gives what is kept of the opening of a consent that was there before
// the group. Whatever changes a consent has looked it up.
func (g *Group) openingBefore(id ledger.ConsentID) (Opening, error) {
	if c, ok := g.consents[id]; ok {
		return c.Opening, nil
	}
	_, o, ok, err := getConsent(g.before.txn, id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: consent %d is missing", ErrDamaged, id)
	}
	return o, err
}

// OpenRequest implements [ledger.History]; see [Snapshot.OpenRequest].
func (g *Group) OpenRequest(lock ledger.Hash) (ledger.OpenRequest, bool, error) {
	l, ok, err := g.lock(lock)
	return l.OpenRequest, ok, err
}

func (g *Group) lock(lock ledger.Hash) (seenLock, bool, error) {
	if l, ok := g.now.locks[lock]; ok {
		return l, true, nil
	}
	if l, ok := g.locks[lock]; ok {
		return l.seenLock, l.ok, nil
	}
	l, ok, err := getLock(g.before.txn, lock)
	if err == nil && len(g.locks) < maxLooked {
		g.locks[lock] = lookedLock{l, ok}
	}
	return l, ok, err
}

// Hold is [Snapshot.Hold] of the log as it will be.
func (g *Group) Hold(i ledger.Index) (open bool, err error) {
	if about, ok := g.now.holds[i]; ok {
		return about != nil, nil
	}
	return getHold(g.before.txn, i)
}

// Purpose implements [ledger.History].
func (g *Group) Purpose(id string) (ledger.Purpose, bool, error) {
	v, ok := g.reg.purpose(id, math.MaxInt64)
	return v, ok, nil
}

// Purposes is [Snapshot.Purposes] of the log as it will be.
func (g *Group) Purposes(yield func(ledger.Purpose)) { g.reg.eachPurpose(yield) }

// Notice implements [ledger.History].
func (g *Group) Notice(id string, version int64) (ledger.Notice, bool, error) {
	n, ok := g.reg.notice(id, version)
	return n, ok, nil
}

// Source implements [ledger.History].
func (g *Group) Source(name string) (ledger.Source, bool, error) {
	v, ok := g.reg.sources[name]
	return v, ok, nil
}

// Processor implements [ledger.History].
func (g *Group) Processor(id string) (ledger.Processor, bool, error) {
	v, ok := g.reg.processors[id]
	return v, ok, nil
}

// Claim implements [ledger.History].
func (g *Group) Claim(name string) (bool, error) { _, ok := g.reg.claims[name]; return ok, nil }

// KeyEntry implements [ledger.History].
func (g *Group) KeyEntry() (ledger.KeyEntry, error) { return g.reg.keyEntry(), nil }

// ClaimDeclared gives the entry that declared a claim.
func (g *Group) ClaimDeclared(name string) (ledger.Index, bool) {
	i, ok := g.reg.claims[name]
	return i, ok
}

// Entry gives the bytes of an entry that was there before the group.
func (g *Group) Entry(i ledger.Index) ([]byte, error) { return g.before.Entry(i) }

func (d *draft) Consent(id ledger.ConsentID) (ledger.Consent, bool, error) {
	if c, ok := d.layer.consents[id]; ok {
		return c, true, nil
	}
	return d.g.Consent(id)
}

// OpenRequest gives what is open to the rules, and nothing that only was.
func (d *draft) OpenRequest(lock ledger.Hash) (ledger.OpenRequest, bool, error) {
	l, ok, err := d.lock(lock)
	return l.OpenRequest, ok && !l.closed, err
}

func (d *draft) lock(lock ledger.Hash) (seenLock, bool, error) {
	if l, ok := d.layer.locks[lock]; ok {
		return l, true, nil
	}
	return d.g.lock(lock)
}

// Erasure implements [ledger.Referred].
func (d *draft) Erasure(i ledger.Index) (ledger.ErasurePhase, error) {
	for _, l := range []*layer{&d.layer, &d.g.now} {
		if e, ok := l.erasures[i]; ok {
			return e.phase(), nil
		}
	}
	e, err := getErasure(d.g.before.txn, i)
	return e.phase(), err
}

// Held implements [ledger.Referred].
func (d *draft) Held(i ledger.Index) ([]ledger.ConsentID, error) {
	for _, l := range []*layer{&d.layer, &d.g.now} {
		if about, ok := l.holds[i]; ok {
			return about, nil
		}
	}
	if open, err := getHold(d.g.before.txn, i); err != nil || !open {
		return nil, err
	}
	text, err := d.g.Entry(i)
	if err != nil {
		return nil, err
	}
	e, err := ledger.ParseEntry(text)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrDamaged, i, err)
	}
	return e.About, nil
}

func (d *draft) Purpose(id string) (ledger.Purpose, bool, error) {
	v, ok := d.reg.purpose(id, math.MaxInt64)
	return v, ok, nil
}

func (d *draft) Notice(id string, version int64) (ledger.Notice, bool, error) {
	n, ok := d.reg.notice(id, version)
	return n, ok, nil
}

func (d *draft) Source(name string) (ledger.Source, bool, error) {
	v, ok := d.reg.sources[name]
	return v, ok, nil
}

func (d *draft) Processor(id string) (ledger.Processor, bool, error) {
	v, ok := d.reg.processors[id]
	return v, ok, nil
}

func (d *draft) Claim(name string) (bool, error) { _, ok := d.reg.claims[name]; return ok, nil }

func (d *draft) KeyEntry() (ledger.KeyEntry, error) { return d.reg.keyEntry(), nil }
