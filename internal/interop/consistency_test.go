package interop

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// TestConsistencyAlike: of consistency proofs, true ones and ones that were damaged in
// every way that comes to mind, we take exactly those that merkle takes. From the empty
// log on merkle takes any roots, and we only the right one.
func TestConsistencyAlike(t *testing.T) {
	l := newLog(t)
	l.grow(270)
	taken, refused := 0, 0
	rand := rand.New(rand.NewPCG(6962, 9162))
	for old := int64(0); old <= 271; old++ {
		for range 30 {
			size := old + rand.Int64N(272-old)
			var hashes []ledger.Hash // none from the empty log on
			if old > 0 {
				var err error
				hashes, err = l.store.ConsistencyProof(ledger.Size(old), ledger.Size(size))
				l.must(err)
			}
			was, is := ledger.Hash(l.roots[old]), ledger.Hash(l.roots[size])
			at, to := old, size
			if rand.IntN(4) > 0 {
				hashes = damaged(rand, hashes, l.leaves)
			}
			switch rand.IntN(10) {
			case 0:
				was, is = is, was
			case 1:
				was = ledger.Hash(l.roots[rand.IntN(len(l.roots))])
			case 2:
				is = ledger.Hash(l.roots[rand.IntN(len(l.roots))])
			case 3:
				at = max(0, at+rand.Int64N(3)-1)
			case 4:
				to = max(0, to+rand.Int64N(3)-1)
			}
			later := ledger.Checkpoint{Origin: testledger.Origin, Size: ledger.Size(to), Root: is}
			ours := ledger.VerifyConsistency(ledger.Size(at), was, later, hashes)
			theirs := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(at), uint64(to), raw(hashes), was[:], is[:])
			if at == 0 && ours != nil {
				continue // see below
			}
			if (ours == nil) != (theirs == nil) {
				t.Fatalf("from %d to %d with %v: we say %v, merkle %v", at, to, hashes, ours, theirs)
			}
			if ours == nil {
				taken++
			} else {
				refused++
			}
		}
	}
	for size, root := range l.roots {
		later := ledger.Checkpoint{Origin: testledger.Origin, Size: 271, Root: ledger.Hash(l.roots[271])}
		if err := ledger.VerifyConsistency(0, ledger.Hash(root), later, nil); (err == nil) != (size == 0) {
			t.Errorf("the root of %d entries as that of the empty log: %v", size, err)
		}
	}
	if taken < 1000 || refused < 1000 {
		t.Errorf("%d proofs were taken, %d refused", taken, refused)
	}
}

// damaged changes a proof in one place.
func damaged(rand *rand.Rand, hashes []ledger.Hash, leaves [][]byte) []ledger.Hash {
	hashes = slices.Clone(hashes)
	i := rand.IntN(len(hashes) + 1)
	other := ledger.Hash(leaves[rand.IntN(len(leaves))])
	if i == len(hashes) {
		return append(hashes, other)
	}
	switch rand.IntN(5) {
	case 0:
		hashes[i][rand.IntN(32)] ^= 1 << rand.IntN(8)
	case 1:
		hashes[i] = other
	case 2:
		hashes = slices.Delete(hashes, i, i+1)
	case 3:
		hashes = slices.Insert(hashes, i, other)
	case 4:
		j := rand.IntN(len(hashes))
		hashes[i], hashes[j] = hashes[j], hashes[i]
	}
	return hashes
}
