package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// model is the log's tree as x/mod stores one: every hash, in its order. It
// shares nothing with the store but the entries.
type model struct {
	testing.TB
	entries [][]byte
	hashes  []tlog.Hash
}

func (m *model) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = m.hashes[index]
	}
	return list, nil
}

// follow takes over the entries that a snapshot has and the model has not.
func (m *model) follow(p *store.Snapshot) {
	m.Helper()
	start := ledger.Index(len(m.entries))
	err := p.Entries(start, int(p.Size()), func(i ledger.Index, b []byte) error {
		more, err := tlog.StoredHashes(int64(i), b, m)
		m.entries, m.hashes = append(m.entries, bytes.Clone(b)), append(m.hashes, more...)
		return err
	})
	if err != nil || ledger.Size(len(m.entries)) != p.Size() {
		m.Fatalf("%d entries of %d, %v", len(m.entries), p.Size(), err)
	}
}

func (m *model) root(size ledger.Size) tlog.Hash {
	m.Helper()
	h, err := tlog.TreeHash(int64(size), m)
	if err != nil {
		m.Fatal(err)
	}
	return h
}

// tile gives the bytes of a tile: subtree roots of 256^level leaves.
func (m *model) tile(level int, n int64, width int) (b []byte) {
	for i := n * 256; i < n*256+int64(width); i++ {
		h := m.hashes[tlog.StoredHashIndex(8*level, i)]
		b = append(b, h[:]...)
	}
	return b
}

// check compares everything that a snapshot gives at its right edge, and
// whatever else these indexes and sizes pick.
func (m *model) check(p *store.Snapshot, picks ...int64) {
	m.Helper()
	size := p.Size()
	if root := m.root(size); p.Root() != root {
		m.Fatalf("%d entries: root %v, want %v", size, p.Root(), root)
	}
	for level := 0; level <= 3; level++ {
		full, width := ledger.TileRange(size, level)
		m.checkTile(p, level, full, width)
		if full > 0 {
			m.checkTile(p, level, full-1, 256)
		}
	}
	m.checkBundle(p)
	for _, i := range append(picks, 0, int64(size-1), int64(size/2)) {
		if i < 0 || i >= int64(size) {
			continue
		}
		m.checkProofs(p, i, size)
		m.checkProofs(p, i, ledger.Size(i+1))
		m.checkProofs(p, i, (ledger.Size(i)+1+size)/2)
	}
}

// checkTile checks the first width hashes of a tile, and that there are no more.
func (m *model) checkTile(p *store.Snapshot, level int, n int64, width int) {
	m.Helper()
	for _, w := range []int{1, width / 2, width} {
		if w < 1 || w > width {
			continue
		}
		b, err := p.Tile(level, n, w)
		if err != nil || !bytes.Equal(b, m.tile(level, n, w)) {
			m.Fatalf("%d entries: %s: %v", p.Size(), ledger.TilePath(level, n, w), err)
		}
	}
	for _, missing := range []struct {
		n int64
		w int
	}{{n, width + 1}, {n, 0}, {n, -1}, {n, 257}, {-1, 1}, {n + 2, 1}, {1 << 55, 1}} {
		if _, err := p.Tile(level, missing.n, missing.w); !errors.Is(err, store.ErrNotFound) {
			m.Fatalf("%d entries: tile %d/%d of width %d: %v", p.Size(), level, missing.n, missing.w, err)
		}
	}
}

func (m *model) checkBundle(p *store.Snapshot) {
	m.Helper()
	full, width := ledger.TileRange(p.Size(), 0)
	if width == 0 {
		full, width = full-1, 256
	} else if _, err := p.EntryBundle(full, width+1); !errors.Is(err, store.ErrNotFound) {
		m.Fatalf("%d entries: a bundle of more: %v", p.Size(), err)
	}
	for _, w := range []int{1, (width + 1) / 2, width} {
		var want []byte
		for _, e := range m.entries[full*256 : full*256+int64(w)] {
			want = append(binary.BigEndian.AppendUint16(want, uint16(len(e))), e...)
		}
		if b, err := p.EntryBundle(full, w); err != nil || !bytes.Equal(b, want) {
			m.Fatalf("%d entries: bundle %d of width %d: %v", p.Size(), full, w, err)
		}
	}
	for _, n := range []int64{-1, full + 1, 1 << 47, 1 << 55, 1<<63 - 1} {
		for _, w := range []int{1, 256} {
			if _, err := p.EntryBundle(n, w); !errors.Is(err, store.ErrNotFound) {
				m.Fatalf("%d entries: bundle %d: %v", p.Size(), n, err)
			}
		}
	}
}

// checkProofs checks the inclusion of entry i in the log of a size, and that
// this log is a beginning of the snapshot's.
func (m *model) checkProofs(p *store.Snapshot, i int64, size ledger.Size) {
	m.Helper()
	proof, err := p.InclusionProof(ledger.Index(i), size)
	if err == nil {
		err = tlog.CheckRecord(proof, int64(size), m.root(size), i, ledger.LeafHash(m.entries[i]))
	}
	if err != nil {
		m.Fatalf("entry %d in %d of %d: %v", i, size, p.Size(), err)
	}
	tree, err := p.ConsistencyProof(size, p.Size())
	if err == nil && size < p.Size() {
		err = tlog.CheckTree(tree, int64(p.Size()), p.Root(), int64(size), m.root(size))
	}
	if err != nil || size == p.Size() && len(tree) != 0 {
		m.Fatalf("size %d in %d: %d hashes, %v", size, p.Size(), len(tree), err)
	}
}

// TestEverySize grows a log by one entry up to 600, then in large groups to just
// below 65,536, where tiles of level 1 become full, and again by one. With -short
// it ends at 600.
func TestEverySize(t *testing.T) {
	opt := served(t)
	s := open(t, opt)
	m := &model{TB: t}
	random := rand.New(rand.NewPCG(1, 2))
	var kept []*store.Snapshot
	look := func() {
		t.Helper()
		p := s.Snapshot()
		defer p.Release()
		m.follow(p)
		m.check(p, random.Int64N(int64(p.Size())), random.Int64N(int64(p.Size())), int64(p.Size())-256)
		if random.IntN(40) == 0 {
			kept = append(kept, s.Snapshot())
		}
	}
	look()
	for size(s) < 600 {
		testledger.Fill(t, s, 1)
		look()
	}
	for !testing.Short() && size(s) < 65_500 {
		g := begin(t, s)
		grow(t, g, int(min(4096, 65_500-size(s))))
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
		look()
	}
	for !testing.Short() && size(s) < 65_550 {
		testledger.Fill(t, s, 1)
		look()
	}
	// A group that fills several tiles at once.
	g := begin(t, s)
	grow(t, g, 1500)
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	look()
	if len(kept) < 3 {
		t.Errorf("%d old snapshots: not what this test is about", len(kept))
	}
	for _, p := range kept { // they still serve, and nothing of what came after
		m.check(p, random.Int64N(int64(p.Size())))
		if _, err := p.Entry(ledger.Index(p.Size())); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a snapshot of %d entries has one more", p.Size())
		}
		p.Release()
	}
	testledger.Verify(t, s)
	closeStore(t, s)
}

// TestReopenAtSizes opens logs anew where edges and subtrees begin and end, and
// writes on; with -short up to 1,024.
func TestReopenAtSizes(t *testing.T) {
	opt := served(t)
	m := &model{TB: t}
	sizes := []ledger.Size{1, 2, 3, 255, 256, 257, 511, 512, 513, 600, 1023, 1024, 65_279, 65_280, 65_535, 65_536, 65_537, 65_792}
	if testing.Short() {
		sizes = sizes[:12]
	}
	for _, n := range sizes {
		s := open(t, opt)
		for size(s) < n {
			g := begin(t, s)
			grow(t, g, int(min(4096, n-size(s))))
			if err := g.Commit(nil); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := s.Checkpoint()
		closeStore(t, s)
		s = open(t, opt)
		p := s.Snapshot()
		m.follow(p)
		m.check(p, int64(n)/3)
		if !bytes.Equal(p.Checkpoint(), before) || p.Size() != n {
			t.Errorf("opened with %d entries, want %d and the same checkpoint", p.Size(), n)
		}
		p.Release()
		closeStore(t, s)
	}
	adopted(t, opt, sizes[len(sizes)-1])
}

// TestProofsRefuse asks for what cannot be proven.
func TestProofsRefuse(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 299)
	p := s.Snapshot()
	defer p.Release()
	for _, r := range [][2]int64{{-1, 300}, {300, 300}, {5, 5}, {5, 301}, {5, 0}, {5, -1}, {1 << 62, 1<<62 + 1}} {
		if _, err := p.InclusionProof(ledger.Index(r[0]), ledger.Size(r[1])); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("inclusion %v: %v", r, err)
		}
		if _, _, err := s.Receipt(ledger.Index(r[0]), ledger.Size(r[1])); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("receipt %v: %v", r, err)
		}
	}
	for _, r := range [][2]ledger.Size{{0, 300}, {-1, 300}, {7, 6}, {7, 301}} {
		if _, err := p.ConsistencyProof(r[0], r[1]); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("consistency %v: %v", r, err)
		}
	}
	if err := p.Entries(301, 1, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("entries above the log: %v", err)
	}
	if _, err := p.NoticeText(ledger.Hash{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such notice: %v", err)
	}
}
