package ledger

import (
	"encoding/binary"
	"testing"
)

// TestPastTrees: the roots of the newest bundles are remembered, none of older ones,
// and none that is yet to come.
func TestPastTrees(t *testing.T) {
	var past pastTrees
	var tree Tree
	roots := []Hash{tree.Root()}
	const bundles = pastBundles + 3
	for n := range bundles {
		leaves := make([]Hash, TileWidth)
		if n == bundles-1 {
			leaves = leaves[:17]
		}
		for i := range leaves {
			leaves[i] = LeafHash(binary.BigEndian.AppendUint64(nil, uint64(len(roots)+i)))
		}
		past.add(tree.Clone(), leaves)
		for _, leaf := range leaves {
			tree.Append(leaf, nil)
			roots = append(roots, tree.Root())
		}
	}
	first := Size((bundles - pastBundles) * TileWidth)
	for size, want := range roots {
		got, ok := past.root(Size(size))
		if ok != (Size(size) > first) || ok && got != want {
			t.Fatalf("at %d entries: %v, %v, want %v, remembered from %d on", size, got, ok, want, first+1)
		}
	}
	if _, ok := past.root(tree.Size() + 1); ok {
		t.Error("a root that is yet to come")
	}
}

// TestRootAt: what is not remembered comes from the tiles, which must be those of
// the log.
func TestRootAt(t *testing.T) {
	l := newLogForTest(t)
	l.prelude()
	files := l.files()
	head, err := OpenCheckpoint(files["checkpoint"], l.policy())
	if err != nil {
		t.Fatal(err)
	}
	v := &logVerifier{r: files, head: head}
	for size := Size(1); size <= head.Size; size++ {
		var tree Tree
		for _, text := range l.texts[:size] {
			tree.Append(LeafHash(text), nil)
		}
		if root, err := v.rootAt(t.Context(), size); err != nil || root != tree.Root() {
			t.Errorf("at %d entries: %v, %v, want %v", size, root, err, tree.Root())
		}
	}
	tile := TilePath(0, 0, int(head.Size))
	files[tile][5] ^= 1
	if _, err := v.rootAt(t.Context(), 1); err == nil {
		t.Error("a damaged tile is used")
	}
	delete(files, tile)
	if _, err := v.rootAt(t.Context(), 1); VerdictOf(err) != CannotTell {
		t.Errorf("without the tile: %v", err)
	}
}
