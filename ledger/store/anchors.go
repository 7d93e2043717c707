package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

func anchorKey(size ledger.Size, i ledger.Index) []byte {
	return binary.BigEndian.AppendUint64(indexKey(anchorRow, int64(size)), uint64(i))
}

// PutAnchor stores what a checkpoint.anchored of the group names: the checkpoint that
// was stamped and the token, under their SHA-256.
func (g *Group) PutAnchor(checkpoint, token []byte) {
	g.addRows([]row{{hashKey(stampRow, ledger.TextHash(checkpoint)), checkpoint}, {hashKey(stampRow, ledger.TextHash(token)), token}})
}

// Anchor gives the stamped checkpoint or the token whose SHA-256 is sum, or
// [ErrNotFound].
func (p *Snapshot) Anchor(sum ledger.Hash) ([]byte, error) {
	content, err := get(p.txn, hashKey(stampRow, sum))
	if err == nil && content == nil {
		err = fmt.Errorf("anchor: %w", ErrNotFound)
	}
	return content, err
}

// Anchor is [Snapshot.Anchor] of the newest log.
func (s *Store) Anchor(sum ledger.Hash) ([]byte, error) {
	p := s.Snapshot()
	defer p.Release()
	return p.Anchor(sum)
}

// Anchors calls yield for the stamps of checkpoints of at least so many entries,
// ascending by size and then by the index of their checkpoint.anchored, until it
// gives an error, which is returned.
func (p *Snapshot) Anchors(from ledger.Size, yield func(size ledger.Size, at ledger.Index) error) error {
	return p.anchors(badger.IteratorOptions{}, anchorKey(from, 0), yield)
}

func (p *Snapshot) anchors(options badger.IteratorOptions, from []byte, yield func(size ledger.Size, at ledger.Index) error) error {
	options.Prefix = []byte{anchorRow}
	it := p.txn.NewIterator(options)
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		key := it.Item().Key()
		if len(key) != 17 {
			return fmt.Errorf("%w: row of an anchor", ErrDamaged)
		}
		if err := yield(ledger.Size(indexOf(key[:9])), ledger.Index(binary.BigEndian.Uint64(key[9:]))); err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends a look through rows; no caller sees it.
var errEnough = errors.New("enough")

// NewestAnchors calls yield for up to limit stamps, those of the largest sizes first,
// with their checkpoint.anchored and their token, until it gives false.
func (s *Store) NewestAnchors(limit int, yield func(e *ledger.Entry, token []byte) bool) error {
	p := s.Snapshot()
	defer p.Release()
	// From behind the last row on, backwards.
	err := p.anchors(badger.IteratorOptions{Reverse: true}, anchorKey(math.MaxInt64, math.MaxInt64), func(_ ledger.Size, at ledger.Index) error {
		if limit--; limit < 0 {
			return errEnough
		}
		e, err := p.parsed(at)
		if err != nil {
			return err
		}
		token, err := p.Anchor(e.Stamp)
		if err == nil && !yield(e, token) {
			err = errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

func (p *Snapshot) parsed(i ledger.Index) (*ledger.Entry, error) {
	text, err := p.Entry(i)
	if err != nil {
		return nil, err
	}
	e, err := ledger.ParseEntry(text)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrDamaged, i, err)
	}
	return e, nil
}

// ChangedSince reports whether an entry from size on is more than what the log writes
// because of itself: state.committed and checkpoint.anchored. It reads no further
// than the first of them.
func (s *Store) ChangedSince(size ledger.Size) (bool, error) {
	p := s.Snapshot()
	defer p.Release()
	for ; size < p.Size(); size++ {
		e, err := p.parsed(ledger.Index(size))
		if err != nil {
			return false, err
		}
		if e.Kind != ledger.CheckpointAnchored && e.Kind != ledger.StateCommitted {
			return true, nil
		}
	}
	return false, nil
}

// exportAnchors writes each stamped checkpoint and each token once.
func (p *Snapshot) exportAnchors(write func(path string, b []byte, err error) error) error {
	return p.Anchors(0, func(_ ledger.Size, at ledger.Index) error {
		e, err := p.parsed(at)
		if err != nil {
			return err
		}
		for _, sum := range []ledger.Hash{e.Checkpoint, e.Stamp} {
			b, err := p.Anchor(sum)
			if err := write(ledger.AnchorPath(sum), b, err); err != nil {
				return err
			}
		}
		return nil
	})
}

// anchored compares the rows of a checkpoint.anchored. That the checkpoint is one of
// this log, and the token about it, is what verifying the log tells.
func (c *checker) anchored(e *ledger.Entry) error {
	c.anchors++
	if value, err := get(c.p.txn, anchorKey(e.Size, e.Index)); err != nil || value == nil {
		return errors.Join(err, fmt.Errorf("%w: entry %d is not found by the size that was stamped", ErrDamaged, e.Index))
	}
	for _, sum := range []ledger.Hash{e.Checkpoint, e.Stamp} {
		b, err := c.p.Anchor(sum)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if ledger.TextHash(b) != sum {
			return fmt.Errorf("%w: the stamped checkpoint or the token of entry %d is another one", ErrDamaged, e.Index)
		}
		c.stamps[sum] = true
	}
	return nil
}

// anchorRows counts the stamps; each was compared with its entry.
func (c *checker) anchorRows() error {
	for _, rows := range []struct {
		prefix byte
		want   int
		what   string
	}{{anchorRow, c.anchors, "stamps"}, {stampRow, len(c.stamps), "stamped checkpoints and tokens"}} {
		if have, err := countRows(c.p.txn, rows.prefix); err != nil || have != rows.want {
			return errors.Join(err, fmt.Errorf("%w: %d %s are stored, the entries give %d", ErrDamaged, have, rows.what, rows.want))
		}
	}
	return nil
}
