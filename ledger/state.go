package ledger

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// AppendStateLeaf appends the leaf of the state tree at the consent's id:
//
//	consent <id> last <index> state <state>[ restricted][ locked][ erased]\n
//
// The leaf at every other index is the empty string.
func AppendStateLeaf(b []byte, c Consent) []byte {
	b = strconv.AppendInt(append(b, "consent "...), int64(c.ID), 10)
	b = strconv.AppendInt(append(b, " last "...), int64(c.Last), 10)
	b = append(append(b, " state "...), c.State.String()...)
	for _, name := range c.Overlays.Names() {
		b = append(append(b, ' '), name...)
	}
	return append(b, '\n')
}

// stateChunkLevel is the height of the subtrees whose roots a StateTree keeps. A
// change costs the 256 leaves beside it; 4,096 made a commit after 1,000 changes
// among a million consents read nearly all of them.
const (
	stateChunkLevel = 8
	stateChunk      = 1 << stateChunkLevel
)

// emptySubtrees holds the roots of perfect subtrees of empty leaves by height.
var emptySubtrees = func() (roots [stateChunkLevel + 1]Hash) {
	roots[0] = tlog.RecordHash(nil)
	for i := 1; i < len(roots); i++ {
		roots[i] = tlog.NodeHash(roots[i-1], roots[i-1])
	}
	return roots
}()

// StateTree gives the root of the Merkle tree (RFC 6962) over the last entry
// and state of every consent. It keeps one root per 256 leaves, in 34 bytes, and
// recomputes those that were touched. The zero value is the tree of an empty log.
// It is not safe for concurrent use.
type StateTree struct {
	roots []Hash
	clean []bool
	above [][]Hash // the levels above roots as [StateTree.Commit] gave them out last
	bound []bool   // the root is what above was made of
}

// Touch notes that the leaf of this consent has changed.
func (t *StateTree) Touch(id ConsentID) {
	if i := int(id >> stateChunkLevel); i < len(t.clean) {
		t.clean[i] = false
	}
}

// Consents calls yield for the consents with from ≤ id < to, in ascending order.
type Consents func(from, to ConsentID, yield func(Consent)) error

// Root gives the root over the first size leaves, read through consents.
func (t *StateTree) Root(size Size, consents Consents) (Hash, error) {
	return t.root(size, consents, 1)
}

// root is [StateTree.Root] by several goroutines, of which each calls consents.
func (t *StateTree) root(size Size, consents Consents, workers int) (Hash, error) {
	leaves, err := t.update(size, consents, workers)
	if err != nil {
		return Hash{}, err
	}
	var stack, tail []Hash
	for i, h := range t.roots[:size>>stateChunkLevel] {
		stack = pushPerfect(stack, i, h)
	}
	for i, h := range leaves {
		tail = pushPerfect(tail, i, h)
	}
	stack = append(stack, tail...)
	if len(stack) == 0 {
		return emptyRoot, nil
	}
	root := stack[len(stack)-1]
	for _, left := range slices.Backward(stack[:len(stack)-1]) {
		root = tlog.NodeHash(left, root)
	}
	return root, nil
}

// update brings the roots of the chunks that size fills up to date, and gives the
// leaf hashes behind them.
func (t *StateTree) update(size Size, consents Consents, workers int) (tail []Hash, err error) {
	full := int(size >> stateChunkLevel)
	for len(t.roots) < full {
		t.roots = append(t.roots, Hash{})
		t.clean = append(t.clean, false)
		t.bound = append(t.bound, false)
	}
	var touched []int
	for i, clean := range t.clean[:full] {
		if !clean {
			touched = append(touched, i)
		}
	}
	workers = max(1, min(workers, len(touched)))
	errs := make([]error, workers)
	var others sync.WaitGroup
	for w := 1; w < workers; w++ {
		others.Go(func() { errs[w] = t.recompute(touched[len(touched)*w/workers:len(touched)*(w+1)/workers], consents) })
	}
	errs[0] = t.recompute(touched[:len(touched)/workers], consents)
	others.Wait()
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	return stateLeaves(nil, ConsentID(full)<<stateChunkLevel, ConsentID(size), consents)
}

// recompute computes the roots of chunks from their leaves.
func (t *StateTree) recompute(chunks []int, consents Consents) (err error) {
	var leaves []Hash
	for _, i := range chunks {
		from := ConsentID(i) << stateChunkLevel
		if leaves, err = stateLeaves(leaves, from, from+stateChunk, consents); err != nil {
			return err
		}
		t.roots[i], t.clean[i], t.bound[i] = subtreeRoot(leaves), true, false
	}
	return nil
}

// pushPerfect adds the n-th node of one height to a stack of perfect subtree
// roots, merging what is complete.
func pushPerfect(stack []Hash, n int, h Hash) []Hash {
	for range bits.TrailingZeros(uint(n + 1)) {
		h = tlog.NodeHash(stack[len(stack)-1], h)
		stack = stack[:len(stack)-1]
	}
	return append(stack, h)
}

// stateLeaves gives the leaf hashes of the indexes from ≤ i < to.
func stateLeaves(buf []Hash, from, to ConsentID, consents Consents) ([]Hash, error) {
	buf = buf[:0]
	for range to - from {
		buf = append(buf, emptySubtrees[0])
	}
	var text []byte
	err := consents(from, to, func(c Consent) {
		text = AppendStateLeaf(text[:0], c)
		buf[c.ID-from] = tlog.RecordHash(text)
	})
	return buf, err
}

// subtreeRoot folds a full chunk of leaf hashes in place; stretches without
// consents cost no hashing.
func subtreeRoot(nodes []Hash) Hash {
	for level := 0; len(nodes) > 1; level++ {
		for i := 0; i < len(nodes); i += 2 {
			if nodes[i] == emptySubtrees[level] && nodes[i+1] == emptySubtrees[level] {
				nodes[i/2] = emptySubtrees[level+1]
			} else {
				nodes[i/2] = tlog.NodeHash(nodes[i], nodes[i+1])
			}
		}
		nodes = nodes[:len(nodes)/2]
	}
	return nodes[0]
}
