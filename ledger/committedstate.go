package ledger

import (
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// CommittedState is the state tree over the first entries of a log: what a
// state.committed carries the root of, and what proves one consent under it. It
// holds no consents, about a quarter of a byte per entry. It never changes and is
// safe for concurrent use.
type CommittedState struct {
	size Size
	root Hash
	// levels holds the roots of the perfect subtrees, of 256 leaves first, then of
	// twice as many at a time, each from the left.
	levels [][]Hash
	tail   []Hash // the leaf hashes behind the last 256 that are full
}

// Commit gives the tree over the first size leaves, read through consents. It costs the
// 256 leaves beside each that was touched since the last time, and the hashes above them.
func (t *StateTree) Commit(size Size, consents Consents) (*CommittedState, error) {
	tail, err := t.update(size, consents, 1)
	if err != nil {
		return nil, err
	}
	c := &CommittedState{size: size, root: emptyRoot, tail: tail}
	moved := t.bind(int(size >> stateChunkLevel))
	for nodes := slices.Clone(t.roots[:size>>stateChunkLevel]); len(nodes) > 0; {
		c.levels = append(c.levels, nodes)
		level := len(c.levels)
		above := make([]Hash, len(nodes)/2)
		if level <= len(t.above) {
			copy(above, t.above[level-1])
		}
		last := -1
		for _, i := range moved {
			if i >>= level; i > last && i < len(above) {
				above[i], last = tlog.NodeHash(nodes[2*i], nodes[2*i+1]), i
			}
		}
		nodes = above
	}
	t.above = c.levels[min(1, len(c.levels)):]
	if size > 0 {
		c.root = c.subtree(0, int64(size), nil)
	}
	return c, nil
}

// bind gives the roots, ascending, that what is above the first full ones was not made of
// the last time. It is made of them, and of no others, this time.
func (t *StateTree) bind(full int) (moved []int) {
	for i := range t.bound {
		if i < full && !t.bound[i] {
			moved = append(moved, i)
		}
		t.bound[i] = i < full
	}
	return moved
}

// Size is how many leaves the tree has: the index of the state.committed.
func (c *CommittedState) Size() Size { return c.size }

// Root is the root of the tree.
func (c *CommittedState) Root() Hash { return c.root }

// Prove proves the last entry and state of a consent. consents must give them as
// they stood at this size; only those of the consent's 256 leaves are read. It
// fails if no entry below the size opened the consent, and if what was read is not
// what the tree was made of.
func (c *CommittedState) Prove(id ConsentID, consents Consents) (*StateProof, error) {
	if id < 0 || Size(id) >= c.size {
		return nil, fmt.Errorf("state of consent %d: the tree has %d leaves", id, c.size)
	}
	from := id &^ (stateChunk - 1)
	to := min(from+stateChunk, ConsentID(c.size))
	proof := &StateProof{Consent: id, Size: c.size}
	leaves, err := stateLeaves(nil, from, to, func(from, to ConsentID, yield func(Consent)) error {
		return consents(from, to, func(v Consent) {
			if v.ID == id {
				proof.Last, proof.State, proof.Overlays = v.Last, v.State, v.Overlays
			}
			yield(v)
		})
	})
	switch {
	case err != nil:
		return nil, err
	case proof.State == NoState:
		return nil, fmt.Errorf("state of consent %d: no entry opened it", id)
	}
	proof.Hashes = c.path(int64(id), 0, int64(c.size), leaves)
	if err := proof.check(c.root); err != nil {
		return nil, err
	}
	return proof, nil
}

// path gives the proof of leaf m in the subtree over the leaves lo to hi - 1
// (PATH of RFC 6962 § 2.1.1), the leaf's sibling first. near are the leaf hashes
// from the first of the 256 beside m.
func (c *CommittedState) path(m, lo, hi int64, near []Hash) []Hash {
	if hi-lo == 1 {
		return nil
	}
	k := lo + splitPoint(hi-lo)
	if m < k {
		return append(c.path(m, lo, k, near), c.subtree(k, hi, near))
	}
	return append(c.path(m, k, hi, near), c.subtree(lo, k, near))
}

// subtree gives the root over the leaves lo to hi - 1. What is narrower than 256 lies
// in near or in the tail.
func (c *CommittedState) subtree(lo, hi int64, near []Hash) Hash {
	n := hi - lo
	if n >= stateChunk && n&(n-1) == 0 {
		level := bits.TrailingZeros64(uint64(n))
		return c.levels[level-stateChunkLevel][lo>>level]
	}
	if n == 1 {
		if lo >= int64(c.size)&^(stateChunk-1) {
			near = c.tail
		}
		return near[lo%stateChunk]
	}
	k := lo + splitPoint(n)
	return tlog.NodeHash(c.subtree(lo, k, near), c.subtree(k, hi, near))
}

// splitPoint is the largest power of two below n, which is at least 2 (RFC 6962
// § 2.1).
func splitPoint(n int64) int64 { return 1 << (bits.Len64(uint64(n-1)) - 1) }
