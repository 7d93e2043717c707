package ledger

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// naiveTree is RFC 6962 § 2.1 word for word.
func naiveTree(leaves [][]byte) Hash {
	switch len(leaves) {
	case 0:
		return emptyRoot
	case 1:
		return tlog.RecordHash(leaves[0])
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(naiveTree(leaves[:k]), naiveTree(leaves[k:]))
}

// stateForTest holds consents at random indexes, as a table and as leaves.
type stateForTest struct {
	rnd      *rand.Rand
	consents []Consent
	leaves   [][]byte
}

func (s *stateForTest) grow(size int) {
	for i := len(s.leaves); i < size; i++ {
		s.leaves = append(s.leaves, nil)
		if s.rnd.IntN(3) == 0 {
			s.consents = append(s.consents, Consent{ID: ConsentID(i), Last: Index(i), State: Requested})
			s.leaves[i] = s.leaf(len(s.consents) - 1)
		}
	}
}

// leaf spells the leaf as DESIGN § 5 does, not as the code does.
func (s *stateForTest) leaf(i int) []byte {
	c := s.consents[i]
	return fmt.Appendf(nil, "consent %d last %d state %s\n", c.ID, c.Last, strings.Join(append([]string{c.State.String()}, c.Overlays.Names()...), " "))
}

func (s *stateForTest) each(from, to ConsentID, yield func(Consent)) error {
	for _, c := range s.consents {
		if from <= c.ID && c.ID < to {
			yield(c)
		}
	}
	return nil
}

// touch changes some consents, as entries would.
func (s *stateForTest) touch(tree *StateTree, n int) {
	for range n {
		if len(s.consents) == 0 {
			return
		}
		i := s.rnd.IntN(len(s.consents))
		c := &s.consents[i]
		c.Last = Index(len(s.leaves))
		c.State = States()[s.rnd.IntN(len(States()))]
		c.Overlays = Overlays(s.rnd.IntN(8))
		s.leaves[c.ID] = s.leaf(i)
		tree.Touch(c.ID)
	}
}

// TestStateTree compares the root with a naive one over all leaves, at every
// size up to 300 and around multiples of the chunk, with touches in between.
func TestStateTree(t *testing.T) {
	s := &stateForTest{rnd: rand.New(rand.NewPCG(1, 2))}
	tree := new(StateTree)
	var sizes []int
	for size := range 301 {
		sizes = append(sizes, size)
	}
	for _, chunks := range []int{2, 3, 4, 5, 16, 17, 80} {
		for _, d := range []int{-1, 0, 1, 2, 100} {
			sizes = append(sizes, chunks*stateChunk+d)
		}
	}
	for _, size := range sizes {
		s.grow(size)
		s.touch(tree, s.rnd.IntN(4))
		for range 2 { // the second time with all roots kept
			got, err := tree.Root(Size(size), s.each)
			if err != nil {
				t.Fatal(err)
			}
			if want := naiveTree(s.leaves); got != want {
				t.Fatalf("size %d: root is %v, want %v", size, got, want)
			}
		}
		fresh := new(StateTree)
		if got, err := fresh.Root(Size(size), s.each); err != nil || got != naiveTree(s.leaves) {
			t.Fatalf("size %d: a fresh tree's root is %v, %v", size, got, err)
		}
	}
	// A touch in an old chunk alone must show.
	before, _ := tree.Root(Size(len(s.leaves)), s.each)
	s.consents[0].Last++
	tree.Touch(s.consents[0].ID)
	if after, _ := tree.Root(Size(len(s.leaves)), s.each); after == before {
		t.Error("a touched leaf did not change the root")
	}
}

// TestNaiveTreeAgainstXMod holds the oracle itself to another implementation.
func TestNaiveTreeAgainstXMod(t *testing.T) {
	var leaves [][]byte
	var hashes storedHashesForTest
	for n := range 70 {
		want, err := tlog.TreeHash(int64(n), &hashes)
		if err != nil {
			t.Fatal(err)
		}
		if got := naiveTree(leaves); got != want {
			t.Fatalf("%d leaves: %v, want %v", n, got, want)
		}
		leaf := fmt.Appendf(nil, "leaf %d", n)
		leaves = append(leaves, leaf)
		hashes.append(t, leaf)
	}
}

// TestStateTreeUnreadable passes the reader's error on.
func TestStateTreeUnreadable(t *testing.T) {
	for _, size := range []Size{1, stateChunk, stateChunk + 1} {
		_, err := new(StateTree).Root(size, func(_, _ ConsentID, _ func(Consent)) error { return errUnreadable })
		if err != errUnreadable {
			t.Errorf("size %d: %v", size, err)
		}
	}
}
