package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// TestEverySize grows a log entry by entry and lets others read it at every size,
// live and as an export.
func TestEverySize(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	tracker, err := client.NewLogStateTracker(t.Context(), l.live.ReadTile, nil, l.ed, testledger.Origin,
		client.UnilateralConsensus(l.live.ReadCheckpoint))
	l.must(err)
	for ; l.size() <= 600; l.grow(1) {
		l.checkSize()
		l.provenLeaves(1)
		l.must(l.fsck(l.live))
		dir := l.export()
		l.must(l.fsck(client.FileFetcher{Root: dir}))
		l.must(os.RemoveAll(dir))
		_, _, _, err := tracker.Update(t.Context())
		l.must(err)
		if n := tracker.Latest().Size; int64(n) != l.size() {
			t.Fatalf("Tessera follows to size %d of %d", n, l.size())
		}
		if t.Failed() {
			t.Fatalf("at size %d", l.size())
		}
	}
}

// TestAround65536 does the same where the first tile of the second level fills up,
// on both sides of 256². x/mod finds every leaf in the tiles at every size; of our
// proofs merkle verifies all at 256² + 1, the first size with three levels of tiles
// that end in one leaf, otherwise every sixteenth. With -short it is left out.
func TestAround65536(t *testing.T) {
	if testing.Short() {
		t.Skip("a log of 65,536 entries takes its time")
	}
	t.Parallel()
	const square = 256 * 256
	l := newLog(t)
	l.grow(square - 4 - 1)
	for ; l.size() <= square+4; l.grow(1) {
		l.checkSize()
		switch l.size() {
		case square - 1, square:
			l.must(l.fsck(l.live))
			l.provenLeaves(16)
		case square + 1:
			l.must(l.fsck(l.live))
			l.provenLeaves(1)
		}
		if t.Failed() {
			t.Fatalf("at size %d", l.size())
		}
	}
	l.must(l.fsck(client.FileFetcher{Root: l.export()}))
	l.everyWidth()
}

// checkSize lets others read the log as it is served now.
func (l *log) checkSize() {
	n := l.size()
	head, raw, _, err := client.FetchCheckpoint(l.Context(), l.live.ReadCheckpoint, l.ed, testledger.Origin)
	l.must(err)
	c, signed, err := torchwood.VerifyCheckpoint(raw, l.policy)
	l.must(err)
	if len(signed.Sigs) != 2 || len(signed.UnverifiedSigs) != 0 {
		l.Errorf("torchwood verifies %d signatures, not %d", len(signed.Sigs), len(signed.UnverifiedSigs))
	}
	if head.Size != uint64(n) || c.N != n || !bytes.Equal(head.Hash, l.roots[n]) || !bytes.Equal(c.Hash[:], l.roots[n]) {
		l.Fatalf("the checkpoint says %d %x, the entries %d %x", head.Size, head.Hash, n, l.roots[n])
	}
	mine, err := ledger.ParseCheckpoint(c.String())
	if l.must(err); mine.Text() != signed.Text || mine.Size != ledger.Size(n) {
		l.Errorf("what torchwood writes of the checkpoint, we read as %q", mine.Text())
	}
	// x/mod verifies every tile against the checkpoint before it gives a hash.
	hashes := tlog.TileHashReader(c.Tree, &tiles{l: l})
	all := make([]int64, n)
	for i := range all {
		all[i] = tlog.StoredHashIndex(0, int64(i))
	}
	read, err := hashes.ReadHashes(all)
	l.must(err)
	for i, h := range read {
		if !bytes.Equal(h[:], l.leaves[i]) {
			l.Fatalf("leaf %d in the tiles is %s, of the entry %x", i, h, l.leaves[i])
		}
	}
	l.sameTree(n)
	l.sameProofs(n, raw, hashes)
	l.consistent(n, c.Tree, hashes)
}

// sameTree makes our tree of the perfect subtrees that Tessera finds in the tiles.
func (l *log) sameTree(n int64) {
	nodes, err := client.FetchRangeNodes(l.Context(), uint64(n), l.live.ReadTile)
	l.must(err)
	var roots []ledger.Hash
	for _, h := range nodes {
		roots = append(roots, ledger.Hash(h))
	}
	tree, err := ledger.NewTree(ledger.Size(n), roots)
	l.must(err)
	if root := tree.Root(); !bytes.Equal(root[:], l.roots[n]) {
		l.Errorf("our tree of Tessera's nodes has the root %s, want %x", root, l.roots[n])
	}
}

// sameProofs compares our receipts of the first, the last and one other leaf with
// those that Tessera, x/mod and torchwood make of the tiles, and lets each side
// verify the other's.
func (l *log) sameProofs(n int64, checkpoint []byte, hashes tlog.HashReader) {
	builder, err := client.NewProofBuilder(l.Context(), uint64(n), l.live.ReadTile)
	l.must(err)
	for _, i := range []int64{0, n - 1, rand.Int64N(n)} {
		receipt, _, err := l.store.Receipt(ledger.Index(i), ledger.Size(n))
		l.must(err)
		if theirs, err := builder.InclusionProof(l.Context(), uint64(i)); err != nil || !slices.EqualFunc(theirs, receipt.Proof, same) {
			l.Errorf("the proof of leaf %d in %d: Tessera's is %x, %v", i, n, theirs, err)
		}
		record, err := tlog.ProveRecord(n, i, hashes)
		l.must(err)
		text := torchwood.FormatProof(i, record, checkpoint)
		if !bytes.Equal(text, receipt.Text()) {
			l.Errorf("the receipt of leaf %d in %d is\n%s\ntorchwood's\n%s", i, n, receipt.Text(), text)
		}
		if err := torchwood.VerifyProof(l.policy, tlog.Hash(l.leaves[i]), receipt.Text()); err != nil {
			l.Errorf("the receipt of leaf %d in %d: %v", i, n, err)
		}
		entry := l.entry(i)
		if rep, err := ledger.VerifyReceipt(text, entry, l.ours, nil); err != nil || rep.Index != ledger.Index(i) || rep.Size != ledger.Size(n) {
			l.Errorf("torchwood's receipt of leaf %d in %d: %v", i, n, err)
		}
	}
}

// entry reads an entry as it is served, with torchwood's code.
func (l *log) entry(i int64) []byte {
	n := l.size()
	tile := tlog.Tile{H: 8, L: -1, N: i / 256, W: int(min(256, n-i/256*256))}
	data, err := l.fetch.ReadTiles(l.Context(), []tlog.Tile{tile})
	l.must(err)
	var entry []byte
	for rest := data[0]; i >= tile.N*256; i-- {
		entry, rest, err = torchwood.ReadTileEntry(rest)
		l.must(err)
	}
	return entry
}

func same(theirs []byte, ours ledger.Hash) bool { return bytes.Equal(theirs, ours[:]) }

// provenLeaves lets merkle verify our proof of every step-th leaf, in two goroutines.
func (l *log) provenLeaves(step int64) {
	p := l.store.Snapshot()
	defer p.Release()
	n := l.size()
	var both sync.WaitGroup
	for first := range int64(2) {
		both.Go(func() {
			for i := first * step; i < n; i += 2 * step {
				ours, err := p.InclusionProof(ledger.Index(i), ledger.Size(n))
				if err == nil {
					err = proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(n), l.leaves[i], raw(ours), l.roots[n])
				}
				if err != nil {
					l.Errorf("our proof of leaf %d in %d: %v", i, n, err)
				}
			}
		})
	}
	both.Wait()
}

// consistent checks our proofs that older sizes are beginnings of this one: all
// of them up to 64, otherwise those beside powers of two and some drawn at random.
func (l *log) consistent(n int64, tree tlog.Tree, hashes tlog.HashReader) {
	builder, err := client.NewProofBuilder(l.Context(), uint64(n), l.live.ReadTile)
	l.must(err)
	for _, old := range olderSizes(n) {
		ours, err := l.store.ConsistencyProof(ledger.Size(old), ledger.Size(n))
		l.must(err)
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(n), raw(ours), l.roots[old], l.roots[n]); err != nil {
			l.Errorf("our proof from %d to %d: merkle: %v", old, n, err)
		}
		if old < n {
			if err := tlog.CheckTree(ours, n, tree.Hash, old, tlog.Hash(l.roots[old])); err != nil {
				l.Errorf("our proof from %d to %d: x/mod: %v", old, n, err)
			}
			if theirs, err := tlog.ProveTree(n, old, hashes); err != nil || !slices.Equal(theirs, ours) {
				l.Errorf("x/mod proves from %d to %d with %v, %v; we with %v", old, n, theirs, err, ours)
			}
		}
		if theirs, err := builder.ConsistencyProof(l.Context(), uint64(old), uint64(n)); err != nil || !slices.EqualFunc(theirs, ours, same) {
			l.Errorf("Tessera proves from %d to %d with %x, %v; we with %v", old, n, theirs, err, ours)
		}
	}
}

func olderSizes(n int64) (list []int64) {
	for old := int64(1); old <= n; old++ {
		power := old&(old-1) == 0 || old&(old+1) == 0 || (old-1)&(old-2) == 0
		if n <= 64 || old == n || old == n-1 || power && old > 2 && old >= n/300 {
			list = append(list, old)
		}
	}
	for range 3 {
		list = append(list, 1+rand.Int64N(n))
	}
	return list
}

func raw(hashes []ledger.Hash) [][]byte {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return list
}

// tiles reads tiles for x/mod's TileHashReader, whose paths are those of Go's
// checksum database.
type tiles struct {
	l    *log
	read map[tlog.Tile][]byte // those that were confirmed
}

func (r *tiles) Height() int { return ledger.TileHeight }

func (r *tiles) ReadTiles(list []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range list {
		b, ok := r.read[tile]
		if !ok {
			if b, err = r.l.fetch.ReadEndpoint(r.l.Context(), torchwood.TilePath(tile)); err != nil {
				return nil, err
			}
			if path := ledger.TilePath(tile.L, tile.N, tile.W); path != torchwood.TilePath(tile) {
				return nil, fmt.Errorf("our path of %v is %s", tile, path)
			}
		}
		data = append(data, b)
	}
	return data, nil
}

func (r *tiles) SaveTiles(list []tlog.Tile, data [][]byte) {
	if r.read == nil {
		r.read = map[tlog.Tile][]byte{}
	}
	for i, tile := range list {
		r.read[tile] = data[i]
	}
}

// everyWidth reads the tile of the second level at every width it ever had.
func (l *log) everyWidth() {
	full, err := l.store.Tile(1, 0, 256)
	l.must(err)
	for width := 1; width <= 256; width++ {
		tile, err := l.live.ReadTile(l.Context(), 1, 0, uint8(width))
		if err != nil || !bytes.Equal(tile, full[:32*width]) {
			l.Fatalf("the tile of width %d: %d bytes, %v", width, len(tile), err)
		}
	}
	if _, err := l.store.Tile(2, 0, 1); err != nil {
		l.Error(err)
	}
}
