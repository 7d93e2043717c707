package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// growingTree is a tree that can prove that it has only grown.
type growingTree struct {
	hashes []tlog.Hash
	size   int64
}

// ReadHashes implements [tlog.HashReader].
func (g *growingTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		found[i] = g.hashes[n]
	}
	return found, nil
}

// add appends an entry.
func (g *growingTree) add(t testing.TB, text string) {
	t.Helper()
	more, err := tlog.StoredHashes(g.size, []byte(text), g)
	if err != nil {
		t.Fatal(err)
	}
	g.hashes, g.size = append(g.hashes, more...), g.size+1
}

// growTo appends "entry 0", "entry 1" and so on, as checkpointForTest does.
func growTo(t testing.TB, size int) *growingTree {
	t.Helper()
	g := new(growingTree)
	for i := range size {
		g.add(t, fmt.Sprintf("entry %d", i))
	}
	return g
}

// checkpoint gives the checkpoint of the first size entries.
func (g *growingTree) checkpoint(t testing.TB, origin string, size int) Checkpoint {
	t.Helper()
	if size == 0 {
		return Checkpoint{origin, 0, emptyRoot}
	}
	root, err := tlog.TreeHash(int64(size), g)
	if err != nil {
		t.Fatal(err)
	}
	return Checkpoint{origin, Size(size), root}
}

// proof proves that the tree of one size grew to another.
func (g *growingTree) proof(t testing.TB, old, size int) []Hash {
	t.Helper()
	if old == 0 {
		return nil
	}
	p, err := tlog.ProveTree(int64(size), int64(old), g)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestConsistencyOfAllSizes proves all pairs of small sizes, and refuses each proof
// for what it does not prove.
func TestConsistencyOfAllSizes(t *testing.T) {
	const most = 66
	g := growTo(t, most)
	for size := range most + 1 {
		later := g.checkpoint(t, "log.example", size)
		for old := range size + 1 {
			before, proof := g.checkpoint(t, "log.example", old), g.proof(t, old, size)
			if err := VerifyConsistency(before.Size, before.Root, later, proof); err != nil {
				t.Fatalf("%d to %d: %v", old, size, err)
			}
			bad := map[string]error{
				"a hash too many": VerifyConsistency(before.Size, before.Root, later, append(slices.Clone(proof), Hash{1})),
				"another root":    VerifyConsistency(before.Size, Hash{1}, later, proof),
			}
			for i := range proof {
				changed := slices.Clone(proof)
				changed[i][31] ^= 1
				bad[fmt.Sprintf("hash %d changed", i)] = VerifyConsistency(before.Size, before.Root, later, changed)
				bad[fmt.Sprintf("hash %d left out", i)] = VerifyConsistency(before.Size, before.Root, later, slices.Delete(slices.Clone(proof), i, i+1))
			}
			if old > 0 && old < size {
				bad["another size"] = VerifyConsistency(before.Size, before.Root, Checkpoint{"log.example", later.Size, Hash{1}}, proof)
				bad["no proof"] = VerifyConsistency(before.Size, before.Root, later, nil)
			}
			for what, err := range bad {
				if err == nil {
					t.Errorf("%d to %d, %s: accepted", old, size, what)
				}
			}
		}
	}
}

func TestConsistencyRefuses(t *testing.T) {
	g := growTo(t, 8)
	eight := g.checkpoint(t, "log.example", 8)
	tests := []struct {
		name  string
		old   Size
		root  Hash
		later Checkpoint
		proof []Hash
		want  string
	}{
		{"shrinks", 9, Hash{}, eight, nil, "does not shrink"},
		{"negative", -1, emptyRoot, eight, nil, "does not shrink"},
		{"fork", 8, Hash{1}, eight, nil, "the roots differ"},
		{"too long", 4, Hash{}, eight, make([]Hash, 64), "64 hashes are more than 63"},
		{"later is nothing", 0, emptyRoot, Checkpoint{"log.example", 0, Hash{1}}, nil, "the roots differ"},
		{"from nothing with a proof", 0, emptyRoot, eight, []Hash{{}}, "a proof of 1 hashes, want none"},
		{"from a strange nothing", 0, Hash{1}, eight, nil, "not the root of the empty log"},
		{"origin is none", 0, emptyRoot, Checkpoint{"", 8, eight.Root}, nil, "origin is empty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := VerifyConsistency(test.old, test.root, test.later, test.proof)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}
