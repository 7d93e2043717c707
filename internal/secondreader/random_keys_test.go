package secondreader

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// keep keeps a file that is named by its hash.
func (h *history) keep(kind string, content []byte) ledger.Hash {
	sum := sha256.Sum256(content)
	h.beside[kind+"/"+hex.EncodeToString(sum[:])] = content
	return sum
}

// inForce is the pair that signs a log of this size.
func (h *history) inForce(size int) *pair {
	n := 0
	for n < len(h.rotated) && int(h.rotated[n]) < size {
		n++
	}
	return pairs[n]
}

// rotate draws a rotation; once there is no further pair, one to a pair that must not follow.
func (h *history) rotate() *ledger.Entry {
	old := h.inForce(len(h.texts))
	next := pairs[min(len(h.rotated)+1, len(pairs)-1)]
	chain := h.replay.Chain()
	before, at, prev := ledger.Index(0), ledger.Index(chain.Size()), chain.Head()
	if n := len(h.rotated); n > 0 {
		before = h.rotated[n-1]
	}
	flip := -1
	switch h.random.IntN(10) {
	case 0:
		before = ledger.Index(h.random.IntN(len(h.texts)))
	case 1:
		at++
	case 2:
		prev[9] ^= 1
	case 3:
		flip = h.random.IntN(4)
	case 4:
		old = pick(h, pairs...)
	}
	if old == next { // or there is none that has not been
		old, next = pairs[1], pairs[0]
		if h.inForce(len(h.texts)) == old {
			old = pairs[2]
		}
	}
	e, err := ledger.Rotate(old.signer, next.signer, before, at, prev)
	if err != nil {
		h.t.Fatal(err)
	}
	if e.Source = "admin"; flip >= 0 {
		e.Sign[flip].Signature[7] ^= 1
	}
	return e
}

// stamp draws a time stamp over what was, or will be. What the token says neither verifier asks.
func (h *history) stamp() *ledger.Entry {
	size := 1 + h.random.IntN(len(h.texts)+1)
	checkpoint := h.inForce(size).checkpoint(h.texts[:min(size, len(h.texts))])
	return &ledger.Entry{Kind: ledger.CheckpointAnchored, Source: "ledger", Size: ledger.Size(size), Checkpoint: h.keep("anchors", checkpoint),
		Stamp: h.keep("anchors", []byte("a token of "+h.now.String())), Stamped: h.now.Add(-time.Minute)}
}
