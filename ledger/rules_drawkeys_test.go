package ledger

import (
	"fmt"
	"time"

	"pgregory.net/rapid"
)

// rotation is a key.rotated by numbers: pairs count from 0, the log's first.
type rotation struct {
	refers, retires, adds int
	signers               [4]int
	elsewhere             bool // signed for another place in the log
}

// randomPairs are the pairs that random histories have had so far.
var randomPairs []*Signer

func (d *drawing) pair(n int) *Signer {
	for len(randomPairs) <= n {
		which := ""
		if i := len(randomPairs); i > 0 {
			which = fmt.Sprintf("random %d ", i)
		}
		randomPairs = append(randomPairs, pairForTest(d.l, which))
	}
	return randomPairs[n]
}

// rotated draws a rotation as it should be, but for one fault.
func (d *drawing) rotated() (*Entry, func() (string, []string)) {
	index, n := len(d.l.texts), d.m.pair
	r := rotation{refers: d.m.keyEntry, retires: n, adds: n + 1}
	switch d.fault(5) {
	case 0:
		r.refers = d.below(index, "refers")
	case 1:
		r.retires = d.below(n+3, "retires")
	case 2:
		r.adds = n
	case 3:
		r.elsewhere = true
	}
	r.signers = [4]int{r.retires, r.retires, r.adds, r.adds}
	if d.seldom("another signs") {
		r.signers[d.below(4, "signature")] = d.below(n+3, "signer")
	}
	e := &Entry{Kind: KeyRotated, Source: "admin", Index: Index(index), Prev: d.l.prev, Refers: []Index{Index(r.refers)},
		Add: d.pair(r.adds).Keys().vkeys(), Retire: d.pair(r.retires).Keys().vkeys()}
	if r.elsewhere {
		e.Index++
	}
	text := e.KeyText()
	for i, n := range r.signers {
		s := d.pair(n)
		ed, ml := s.SignKeyText(text)
		if i%2 == 0 {
			e.Sign = append(e.Sign, KeySignature{s.Keys().Ed25519.ID(), ed})
		} else {
			e.Sign = append(e.Sign, KeySignature{s.Keys().MLDSA44.ID(), ml})
		}
	}
	return e, func() (string, []string) { return d.m.rotate(index, r), nil }
}

// anchored draws a time stamp of a checkpoint that there was, or is to be.
func (d *drawing) anchored() (*Entry, func() (string, []string)) {
	index := len(d.l.texts)
	e := &Entry{Kind: CheckpointAnchored, Source: SourceLedger, Size: Size(1 + d.below(index+2, "size")), Checkpoint: Hash{1}, Stamp: Hash{2},
		Stamped: time.Date(2026, 11, 21, 0, 0, 0, d.below(1e6, "stamped")*1000, time.UTC)}
	return e, func() (string, []string) { return map[bool]string{true: "size"}[int(e.Size) > index], nil }
}

// rotate gives the rule that a rotation violates, and records it.
func (m *model) rotate(index int, r rotation) string {
	if r.refers != m.keyEntry || r.retires != m.pair || r.adds != m.pair+1 || r.elsewhere ||
		r.signers != [4]int{m.pair, m.pair, m.pair + 1, m.pair + 1} {
		return "keys"
	}
	m.pair, m.keyEntry = m.pair+1, index
	return ""
}

// compareKeys demands that model and replay hold the same pair in force.
func (m *model) compareKeys(rt *rapid.T, r *Replay) {
	got, err := r.KeyEntry()
	if want := randomPairs; err != nil || int(got.Index) != m.keyEntry ||
		len(want) > m.pair && got.Keys.Ed25519.String() != want[m.pair].Keys().Ed25519.String() {
		rt.Fatalf("the newest key entry is %d with %v, the model says %d, pair %d (%v)", got.Index, got.Keys.Ed25519, m.keyEntry, m.pair, err)
	}
}
