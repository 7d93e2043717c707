package ledger

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// emptyRoot is the root of the tree without leaves: SHA-256 of no bytes
// (RFC 6962 § 2.1).
var emptyRoot Hash = sha256.Sum256(nil)

// LeafHash gives the RFC 6962 leaf hash of an entry: SHA-256 of a zero byte and
// the entry's bytes.
func LeafHash(entry []byte) Hash { return tlog.RecordHash(entry) }

// Tree is an RFC 6962 tree that grows by appending leaf hashes. It keeps only
// the roots of its perfect subtrees, at most 63 of them, so it can give its
// root but no proofs. The zero value is the empty tree. It is not safe for
// concurrent use.
type Tree struct {
	size Size
	// roots are the roots of the perfect subtrees that the leaves fall into,
	// widest and leftmost first: one for each bit that is set in size.
	roots []Hash
}

// NewTree makes the tree of a size whose perfect subtrees have these roots,
// widest and leftmost first, as [Tree.Roots] gives them. It refuses a number of
// roots that does not fit the size; whether they are the right ones, only the
// root of the tree tells.
func NewTree(size Size, roots []Hash) (*Tree, error) {
	if size < 0 {
		return nil, fmt.Errorf("tree: size is %d", size)
	}
	if want := bits.OnesCount64(uint64(size)); len(roots) != want {
		return nil, fmt.Errorf("tree of size %d: %d perfect subtrees, want %d", size, len(roots), want)
	}
	return &Tree{size: size, roots: slices.Clone(roots)}, nil
}

// Size gives the number of leaves.
func (t *Tree) Size() Size { return t.size }

// Roots gives the roots of the tree's perfect subtrees, widest and leftmost
// first. The slice is the caller's.
func (t *Tree) Roots() []Hash { return slices.Clone(t.roots) }

// Clone gives a tree of its own with the same leaves.
func (t *Tree) Clone() *Tree { return &Tree{size: t.size, roots: slices.Clone(t.roots)} }

// Append appends a leaf hash. It calls completed, unless that is nil, for every
// perfect subtree that the leaf completes, from the leaf itself (level 0) up:
// the subtree with number n of a level has 2^level leaves, from index
// n × 2^level on, and the root h. Subtrees of a level are completed in the
// order of their numbers.
func (t *Tree) Append(leaf Hash, completed func(level int, n int64, h Hash)) {
	t.appendSubtree(0, leaf, completed)
}

// appendSubtree appends the perfect subtree of 2^level leaves that has the root h. The
// size must be a multiple of that. completed is called as by [Tree.Append], for the
// levels from this one up.
func (t *Tree) appendSubtree(level int, h Hash, completed func(level int, n int64, h Hash)) {
	n, leaves := int64(t.size)>>level, Size(1)<<level
	if completed != nil {
		completed(level, n, h)
	}
	// Each set bit at the low end of the size is a perfect subtree whose right
	// sibling has just been completed.
	for n&1 == 1 {
		last := len(t.roots) - 1
		h = tlog.NodeHash(t.roots[last], h)
		t.roots = t.roots[:last]
		level, n = level+1, n>>1
		if completed != nil {
			completed(level, n, h)
		}
	}
	t.roots = append(t.roots, h)
	t.size += leaves
}

// Root gives the root of the tree; of the empty tree SHA-256 of no bytes.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return emptyRoot
	}
	root := t.roots[len(t.roots)-1]
	for _, left := range slices.Backward(t.roots[:len(t.roots)-1]) {
		root = tlog.NodeHash(left, root)
	}
	return root
}
