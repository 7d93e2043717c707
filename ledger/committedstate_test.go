package ledger

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// naivePath is PATH of RFC 6962 § 2.1.1 word for word.
func naivePath(m int, leaves [][]byte) []Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	if m < k {
		return append(naivePath(m, leaves[:k]), naiveTree(leaves[k:]))
	}
	return append(naivePath(m-k, leaves[k:]), naiveTree(leaves[:k]))
}

// TestCommittedState proves consents at every size up to 300 and around multiples of
// the chunk, while the tree goes on and consents change: each proof is the naive one
// of the tree as it was.
func TestCommittedState(t *testing.T) {
	s := &stateForTest{rnd: rand.New(rand.NewPCG(3, 4))}
	tree := new(StateTree)
	var sizes []int
	for size := range 301 {
		sizes = append(sizes, size)
	}
	for _, chunks := range []int{1, 2, 3, 4, 7, 8, 16} {
		for _, d := range []int{-1, 0, 1, 2, 100} {
			sizes = append(sizes, max(301, chunks*stateChunk+d))
		}
	}
	slices.Sort(sizes)
	for i, size := range sizes {
		known := len(s.consents)
		s.grow(size)
		for _, c := range s.consents[known:] {
			tree.Touch(c.ID)
		}
		s.touch(tree, s.rnd.IntN(4))
		if i%5 == 4 { // in a group that is given up
			if _, err := tree.Commit(Size(size+s.rnd.IntN(3*stateChunk)), s.each); err != nil {
				t.Fatal(err)
			}
		}
		c, err := tree.Commit(Size(size), s.each)
		if err != nil || c.Size() != Size(size) || c.Root() != naiveTree(s.leaves) {
			t.Fatalf("size %d: %v", size, err)
		}
		if root, err := tree.Root(Size(size), s.each); err != nil || root != c.Root() {
			t.Fatalf("size %d: the tree's root is %v, the committed one %v, %v", size, root, c.Root(), err)
		}
		// What comes later changes neither the tree nor what was read of it.
		was := &stateForTest{consents: slices.Clone(s.consents), leaves: slices.Clone(s.leaves)}
		later := *s
		later.leaves = append(slices.Clone(s.leaves), nil, nil)
		later.touch(tree, 20)
		if _, err := tree.Root(Size(size), s.each); err != nil {
			t.Fatal(err)
		}
		was.prove(t, c, size > 301)
		copy(s.leaves, later.leaves) // the consents are shared
	}
}

// TestCommitLess: a group that was given up had more entries than the next one, none of
// which opened a consent, so nothing of it is touched.
func TestCommitLess(t *testing.T) {
	s := &stateForTest{rnd: rand.New(rand.NewPCG(5, 6))}
	s.grow(2 * stateChunk)
	tree := new(StateTree)
	for _, size := range []Size{9 * stateChunk, 4*stateChunk + 7, 3 * stateChunk, 10*stateChunk + 1, 8 * stateChunk} {
		c, err := tree.Commit(size, s.each)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := new(StateTree).Root(size, s.each); err != nil || c.Root() != want {
			t.Fatalf("size %d: the root is %v, want %v, %v", size, c.Root(), want, err)
		}
		if _, err := c.Prove(s.consents[0].ID, s.each); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
	}
}

// prove compares the proof of every consent with the naive one; of a large tree those
// of some of them. No other leaf can be proven.
func (s *stateForTest) prove(t *testing.T, c *CommittedState, some bool) {
	t.Helper()
	root := naiveTree(s.leaves)
	for i := range s.consents {
		id := s.consents[i].ID
		if some && i%97 != 0 && i < len(s.consents)-3 {
			continue
		}
		p, err := c.Prove(id, s.each)
		if err != nil {
			t.Fatalf("size %d: consent %d: %v", c.Size(), id, err)
		}
		if !slices.Equal(p.Hashes, naivePath(int(id), s.leaves)) || string(p.appendLeaf(nil)) != string(s.leaf(i)) || p.Size != c.Size() {
			t.Fatalf("size %d: the proof of consent %d is not the naive one", c.Size(), id)
		}
		if err := tlog.CheckRecord(p.Hashes, int64(p.Size), root, int64(id), tlog.RecordHash(s.leaves[id])); err != nil && i < 3 {
			t.Fatalf("size %d: consent %d: %v", c.Size(), id, err)
		}
	}
	for _, id := range []ConsentID{-1, ConsentID(c.Size()), ConsentID(c.Size()) + 1} {
		if _, err := c.Prove(id, s.each); err == nil {
			t.Fatalf("size %d: consent %d is proven", c.Size(), id)
		}
	}
	for id, leaf := range s.leaves {
		if leaf == nil {
			if _, err := c.Prove(ConsentID(id), s.each); err == nil || !strings.Contains(err.Error(), "no entry opened it") {
				t.Fatalf("size %d: entry %d, which opened nothing: %v", c.Size(), id, err)
			}
			break
		}
	}
}

// TestProveOtherConsents: what is read must be what the tree was made of, in the
// consent's own leaf and in those beside it.
func TestProveOtherConsents(t *testing.T) {
	s := &stateForTest{rnd: rand.New(rand.NewPCG(5, 6))}
	s.grow(3*stateChunk + 10)
	tree := new(StateTree)
	c, err := tree.Commit(Size(len(s.leaves)), s.each)
	if err != nil {
		t.Fatal(err)
	}
	own := s.consents[0]
	s.consents[0].Last++
	if p, err := c.Prove(own.ID, s.each); err == nil {
		t.Errorf("another leaf is proven: %+v", p)
	}
	if p, err := c.Prove(s.consents[1].ID, s.each); err == nil {
		t.Errorf("a proof with another neighbour: %+v", p)
	}
	far := s.consents[len(s.consents)-1]
	if p, err := c.Prove(far.ID, s.each); err != nil || p.Last != far.Last {
		t.Errorf("a consent of other leaves: %v", err)
	}
	s.consents[0] = own
	if _, err := c.Prove(own.ID, s.each); err != nil {
		t.Error(err)
	}
	unreadable := func(_, _ ConsentID, _ func(Consent)) error { return errUnreadable }
	if _, err := c.Prove(own.ID, unreadable); !errors.Is(err, errUnreadable) {
		t.Errorf("error is %v", err)
	}
	for _, size := range []Size{1, stateChunk, stateChunk + 1} {
		if _, err := new(StateTree).Commit(size, unreadable); !errors.Is(err, errUnreadable) {
			t.Errorf("size %d: error is %v", size, err)
		}
	}
}
