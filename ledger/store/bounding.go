package store

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// boundingSearch is how many stamps before and behind an entry are looked at. An
// authority that made none of them is passed over.
const boundingSearch = 16

// BoundingStamp is a stamp that bounds when an entry was recorded.
type BoundingStamp struct {
	ledger.Anchored
	Note, Token []byte // the checkpoint that was stamped, and the token over its SHA-256
}

// Bounding gives the stamps that bound when entries were recorded, as a log of this
// size has them, ascending by their checkpoint.anchored: of each authority the newest
// that stood in the log before an entry and the oldest over a checkpoint with it. stamps
// reads a token, as [ledger.VerifyOptions.Stamps]; what it does not count bounds nothing.
func (p *Snapshot) Bounding(size ledger.Size, entries []ledger.Index, stamps func(token []byte, imprint ledger.Hash) (ledger.Stamp, error)) ([]BoundingStamp, error) {
	b := bounding{p: p, stamps: stamps, read: map[ledger.Index]*BoundingStamp{}, found: map[ledger.Index]bool{}}
	err := p.Anchors(0, func(n ledger.Size, at ledger.Index) error {
		if ledger.Size(at) < size {
			b.bySize = append(b.bySize, anchor{at, n})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.byIndex = slices.SortedFunc(slices.Values(b.bySize), func(x, y anchor) int { return cmp.Compare(x.at, y.at) })
	for _, i := range entries {
		before, _ := slices.BinarySearchFunc(b.byIndex, i, func(a anchor, i ledger.Index) int { return cmp.Compare(a.at, i) })
		with, _ := slices.BinarySearchFunc(b.bySize, ledger.Size(i)+1, func(a anchor, n ledger.Size) int { return cmp.Compare(a.size, n) })
		newest := b.byIndex[max(before-boundingSearch, 0):before]
		oldest := b.bySize[with:min(with+boundingSearch, len(b.bySize))]
		if err := errors.Join(b.eachAuthority(slices.Backward(newest)), b.eachAuthority(slices.All(oldest))); err != nil {
			return nil, err
		}
	}
	var list []BoundingStamp
	for _, at := range slices.Sorted(maps.Keys(b.found)) {
		list = append(list, *b.read[at])
	}
	return list, nil
}

// anchor is a checkpoint.anchored and the size that was stamped.
type anchor struct {
	at   ledger.Index
	size ledger.Size
}

type bounding struct {
	p               *Snapshot
	stamps          func([]byte, ledger.Hash) (ledger.Stamp, error)
	bySize, byIndex []anchor
	read            map[ledger.Index]*BoundingStamp // those that were looked at; nil for what does not count
	found           map[ledger.Index]bool
}

// eachAuthority finds the first stamp of each authority.
func (b *bounding) eachAuthority(list func(yield func(int, anchor) bool)) error {
	seen := map[string]bool{}
	for _, a := range list {
		s, err := b.stamp(a.at)
		if err != nil {
			return err
		}
		if s != nil && !seen[s.Authority] {
			seen[s.Authority], b.found[a.at] = true, true
		}
	}
	return nil
}

// stamp reads the stamp of a checkpoint.anchored; nil if it does not count.
func (b *bounding) stamp(at ledger.Index) (*BoundingStamp, error) {
	if s, ok := b.read[at]; ok {
		return s, nil
	}
	e, err := b.p.parsed(at)
	if err != nil {
		return nil, err
	}
	token, err := b.p.Anchor(e.Stamp)
	if err != nil {
		return nil, err
	}
	b.read[at] = nil
	stamp, err := b.stamps(token, e.Checkpoint)
	if errors.Is(err, ledger.ErrNotCounted) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	note, err := b.p.Anchor(e.Checkpoint)
	if err != nil {
		return nil, err
	}
	b.read[at] = &BoundingStamp{ledger.Anchored{Index: at, Size: e.Size, Time: stamp.Time, Accuracy: stamp.Accuracy.Seconds(),
		Authority: stamp.Authority, Qualified: stamp.Qualified}, note, token}
	return b.read[at], nil
}
