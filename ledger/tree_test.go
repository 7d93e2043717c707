package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// storedHashesForTest is the naive model: all hashes of a tree, as x/mod
// stores them.
type storedHashesForTest []Hash

func (s *storedHashesForTest) ReadHashes(indexes []int64) ([]Hash, error) {
	hashes := make([]Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(*s)) {
			return nil, fmt.Errorf("hash %d is not stored", index)
		}
		hashes[i] = (*s)[index]
	}
	return hashes, nil
}

func (s *storedHashesForTest) append(t testing.TB, entry []byte) {
	t.Helper()
	n := int64(0)
	for tlog.StoredHashCount(n) < int64(len(*s)) {
		n++
	}
	hashes, err := tlog.StoredHashes(n, entry, s)
	if err != nil {
		t.Fatal(err)
	}
	*s = append(*s, hashes...)
}

func TestTreeAgainstXMod(t *testing.T) {
	var stored storedHashesForTest
	var tree Tree
	for size := range int64(601) {
		if size > 0 {
			entry := fmt.Appendf(nil, "entry %d", size-1)
			stored.append(t, entry)
			tree.Append(LeafHash(entry), func(level int, n int64, h Hash) {
				if i := tlog.StoredHashIndex(level, n); stored[i] != h {
					t.Errorf("size %d: subtree %d of level %d has another root", size, n, level)
				}
			})
		}
		want, err := tlog.TreeHash(size, &stored)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Size() != Size(size) || tree.Root() != want {
			t.Fatalf("size %d: root %s, want %s (size %d)", tree.Size(), tree.Root(), want, size)
		}
		if len(tree.Roots()) != bits.OnesCount64(uint64(size)) {
			t.Errorf("size %d: %d roots", size, len(tree.Roots()))
		}
		again, err := NewTree(tree.Size(), tree.Roots())
		if err != nil || again.Root() != want {
			t.Errorf("size %d: made again: %v", size, err)
		}
	}
}

// Every subtree is reported once, each level in order, from the leaf up.
func TestTreeCompleted(t *testing.T) {
	var tree Tree
	var got []string
	for range 8 {
		tree.Append(Hash{}, func(level int, n int64, _ Hash) { got = append(got, fmt.Sprintf("%d/%d", level, n)) })
	}
	want := []string{"0/0", "0/1", "1/0", "0/2", "0/3", "1/1", "2/0", "0/4", "0/5", "1/2", "0/6", "0/7", "1/3", "2/1", "3/0"}
	if !slices.Equal(got, want) {
		t.Errorf("completed %q, want %q", got, want)
	}
}

func TestTreeCloneIsItsOwn(t *testing.T) {
	var tree Tree
	for i := range 7 {
		tree.Append(Hash{byte(i)}, nil)
	}
	root, clone := tree.Root(), tree.Clone()
	clone.Append(Hash{7}, nil)
	clone.Append(Hash{8}, nil)
	clone.Roots()[0] = Hash{}
	if tree.Root() != root || tree.Size() != 7 || clone.Size() != 9 {
		t.Error("the clone changed the tree")
	}
	tree.Append(Hash{7}, nil)
	tree.Append(Hash{8}, nil)
	if tree.Root() != clone.Root() {
		t.Error("tree and clone differ after the same leaves")
	}
}

func TestNewTreeRefuses(t *testing.T) {
	for _, test := range []struct {
		size  Size
		roots int
	}{{-1, 64}, {0, 1}, {1, 0}, {3, 1}, {4, 2}, {4, 0}} {
		if _, err := NewTree(test.size, make([]Hash, test.roots)); err == nil {
			t.Errorf("size %d with %d roots is accepted", test.size, test.roots)
		}
	}
}

// The leaves and roots that implementations of RFC 6962 share as test data, the
// first three leaves of them.
func TestTreePublished(t *testing.T) {
	leaves := []string{"", "00", "10"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	}
	var tree Tree
	if want := sha256.Sum256(nil); tree.Root() != want {
		t.Errorf("root of the empty tree is %x", tree.Root())
	}
	for i, leaf := range leaves {
		data, err := hex.DecodeString(leaf)
		if err != nil {
			t.Fatal(err)
		}
		tree.Append(LeafHash(data), nil)
		root := tree.Root()
		if got := hex.EncodeToString(root[:]); got != roots[i] {
			t.Errorf("size %d: root is %s, want %s", i+1, got, roots[i])
		}
	}
}
