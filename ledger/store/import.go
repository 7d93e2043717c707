package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/ledger"
)

// Import makes a log anew from the entries of one, by the code that recorded them:
// chain and rules are checked, tiles and rows follow from the entries. It needs no keys,
// because it signs nothing. One goroutine uses it.
//
// Until [Import.Accept] there is no head file, so that nobody takes it for a log.
type Import struct {
	s         *Store
	g         *Group
	documents map[ledger.Hash][]byte // those of the next entry
}

// NewImport begins a log in opt.Dir, which must exist and hold none. Of the options only
// those of the database count.
func NewImport(opt Options) (*Import, error) {
	if IsLedger(opt.Dir) {
		return nil, fmt.Errorf("importing a log: there is one in %s", opt.Dir)
	}
	db, err := badgerdb.Create(opt.database())
	if err != nil {
		return nil, fmt.Errorf("importing a log: %w", err)
	}
	s := &Store{opt: opt, db: db}
	s.publish(&Snapshot{store: s, registry: newRegistry(), txn: db.NewTransaction(false)})
	m := &Import{s: s, documents: map[ledger.Hash][]byte{}}
	if m.g, err = s.Begin(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Document takes what the next entry names by its SHA-256: see [Snapshot.Documents].
func (m *Import) Document(content []byte) { m.documents[ledger.TextHash(content)] = content }

// Entry takes the next entry, and keeps the text.
func (m *Import) Entry(text []byte) error {
	if err := m.entry(text); err != nil {
		return fmt.Errorf("importing entry %d: %w", m.g.Next(), err)
	}
	return nil
}

func (m *Import) entry(text []byte) error {
	if m.g.Full() {
		if err := m.flush(nil, nil); err != nil {
			return err
		}
	}
	e, err := ledger.ParseEntry(text)
	if err != nil {
		return err
	}
	g, leaf := m.g, ledger.LeafHash(text)
	d := &draft{g: g, layer: newLayer(), reg: g.reg, chain: g.chain}
	if err := d.chain.Add(e, leaf); err != nil {
		return err
	}
	eff, err := d.step(e)
	if err != nil {
		return err
	}
	rows, err := d.apply(e, eff)
	if err != nil {
		return err
	}
	rows = append(rows, row{indexKey(entryRow, int64(e.Index)), text})
	prefix, named := documentsOf(e)
	for _, sum := range named {
		content, ok := m.documents[sum]
		if !ok {
			return fmt.Errorf("%w: what it names by its hash is not there", ErrDamaged)
		}
		rows = append(rows, row{hashKey(prefix, sum), content})
		delete(m.documents, sum)
	}
	if len(m.documents) > 0 {
		return fmt.Errorf("%w: something is there that it does not name", ErrDamaged)
	}
	if g.fills(d.layer.bytes()+rowBytes(rows), d.layer.rows()+int64(len(rows)), 3, 4) {
		return ErrTooBig
	}
	d.keep([]Recorded{{e, text, leaf, eff}}, rows)
	if e.Kind == ledger.StateCommitted {
		g.meta.State, g.meta.StateTime = g.Size(), e.Time
		g.state = &committedState{at: e.Index}
	}
	return nil
}

// flush writes the group and begins the next one.
func (m *Import) flush(checkpoint, companion []byte) error {
	g := m.g
	next, root, leaf := g.meta, g.tree.Root(), g.chain.Head()
	next.Size, next.Count, next.Root, next.Leaf, next.Last = g.Size(), g.count, root[:], leaf[:], g.Last()
	next.Companion = companion
	if err := g.writeRows(next); err != nil {
		return err
	}
	m.s.publish(&Snapshot{store: m.s, meta: next, root: root, chain: g.chain, tree: g.tree, edges: g.edges,
		checkpoint: checkpoint, registry: g.reg, state: g.state, txn: m.s.db.NewTransaction(false)})
	g.Discard()
	var err error
	m.g, err = m.s.Begin()
	return err
}

// Finish ends the log with its checkpoint, which the keys in force must have signed, and
// with the companion of its newest group, see [Group.Commit]. It gives the log as it will
// be, to be looked at and released.
func (m *Import) Finish(checkpoint, companion []byte) (*Snapshot, error) {
	if err := m.finish(checkpoint, companion); err != nil {
		return nil, fmt.Errorf("importing a log: %w", err)
	}
	return m.s.Snapshot(), nil
}

func (m *Import) finish(checkpoint, companion []byte) error {
	switch {
	case m.g.Count() == 0:
		return errors.New("there is no entry, or nothing behind what was looked at")
	case len(m.documents) > 0:
		return fmt.Errorf("%w: something is there that no entry names", ErrDamaged)
	case !m.g.chain.Complete():
		return fmt.Errorf("%w: it ends within a list that was split", ErrDamaged)
	}
	opened, err := openWith(m.g.reg.keyEntry().Keys, checkpoint)
	if err != nil {
		return fmt.Errorf("the checkpoint: %w", err)
	}
	if root := m.g.tree.Root(); opened.Size != m.g.Size() || opened.Root != root {
		return fmt.Errorf("%w: the entries are %d with the root %v, the checkpoint says %d and %v", ErrDamaged, m.g.Size(), root, opened.Size, opened.Root)
	}
	return m.flush(checkpoint, companion)
}

// Accept makes the log one that [Open] opens: it writes the head file.
func (m *Import) Accept() error {
	head, err := createHead(m.s.opt.Dir)
	if err == nil {
		err = errors.Join(head.write(m.s.published.Load().checkpoint), head.close())
	}
	if err != nil {
		return fmt.Errorf("importing a log: %w", err)
	}
	return nil
}

// Checkpoint is [Store.Checkpoint] after [Import.Finish].
func (m *Import) Checkpoint() ([]byte, ledger.Size) { return m.s.Checkpoint() }

// RootAt is [Store.RootAt] after [Import.Finish].
func (m *Import) RootAt(size ledger.Size) (ledger.Hash, error) { return m.s.RootAt(size) }

// Keys is [Store.Keys] after [Import.Finish].
func (m *Import) Keys() ([]byte, error) { return m.s.Keys() }

// Close ends the import. No snapshot may be in use.
func (m *Import) Close() error {
	m.s.published.Load().Release()
	return badgerdb.Close(m.s.db)
}

// documentsOf gives what an entry names by its SHA-256 and the log keeps, and the prefix
// of its rows.
func documentsOf(e *ledger.Entry) (prefix byte, sums []ledger.Hash) {
	switch e.Kind {
	case ledger.NoticePublished:
		prefix, sums = textRow, []ledger.Hash{e.Notice.SHA256}
		if e.Facts != (ledger.Hash{}) && e.Facts != e.Notice.SHA256 {
			sums = append(sums, e.Facts)
		}
	case ledger.CheckpointAnchored:
		prefix, sums = stampRow, slices.Compact([]ledger.Hash{e.Checkpoint, e.Stamp})
	}
	return prefix, sums
}

// Documents gives what an entry names by its SHA-256 and the log keeps beside it: a
// notice's text and facts, a stamped checkpoint and its token.
func (p *Snapshot) Documents(e *ledger.Entry) ([][]byte, error) {
	prefix, sums := documentsOf(e)
	var list [][]byte
	for _, sum := range sums {
		content, err := get(p.txn, hashKey(prefix, sum))
		if err == nil && content == nil {
			err = fmt.Errorf("%w: what entry %d names by its hash is missing", ErrDamaged, e.Index)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, content)
	}
	return list, nil
}

// ReadPath implements [ledger.LogReader], so that the log can be verified where it is.
func (p *Snapshot) ReadPath(_ context.Context, path string) ([]byte, error) {
	b, err := p.readPath(path)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: %w", ledger.ErrMissing, err)
	}
	return b, err
}

func (p *Snapshot) readPath(path string) ([]byte, error) {
	switch dir, name, _ := strings.Cut(path, "/"); {
	case path == "checkpoint":
		return p.checkpoint, nil
	case path == "trust.keys":
		return p.Keys()
	case dir == "notices" || dir == "anchors":
		sum, err := hex.DecodeString(name)
		if err != nil || len(sum) != len(ledger.Hash{}) {
			return nil, ErrNotFound
		}
		if dir == "notices" {
			return p.NoticeText(ledger.Hash(sum))
		}
		return p.Anchor(ledger.Hash(sum))
	}
	switch level, n, width, err := ledger.ParseTilePath(path); {
	case err != nil:
		return nil, ErrNotFound
	case level < 0:
		return p.EntryBundle(n, width)
	default:
		return p.Tile(level, n, width)
	}
}
