package store

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
)

// indexOf gives the index in a key that is a prefix and an index; -1, which nothing
// has, if it is none.
func indexOf(key []byte) int64 {
	if len(key) != 9 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(key[1:]))
}

// Tile gives the first width hashes of a tile (C2SP tlog-tiles), or
// [ErrNotFound] if the log does not have as many.
func (p *Snapshot) Tile(level int, n int64, width int) ([]byte, error) {
	full, partial := ledger.TileRange(p.meta.Size, level)
	if n < 0 || width < 1 || width > ledger.TileWidth || n > full || n == full && width > partial {
		return nil, fmt.Errorf("tile: %w", ErrNotFound)
	}
	hashes, err := p.tile(level, n)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, width*len(ledger.Hash{}))
	for _, h := range hashes[:width] {
		b = append(b, h[:]...)
	}
	return b, nil
}

// tile gives all hashes that a tile has in this snapshot.
func (p *Snapshot) tile(level int, n int64) ([]ledger.Hash, error) {
	if full, _ := ledger.TileRange(p.meta.Size, level); n == full {
		return p.edges[level], nil
	}
	b, err := get(p.txn, tileKey(level, n))
	if err != nil {
		return nil, err
	}
	return splitHashes(b, level, n)
}

func splitHashes(b []byte, level int, n int64) ([]ledger.Hash, error) {
	if len(b) != ledger.TileWidth*len(ledger.Hash{}) {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, ledger.TilePath(level, n, ledger.TileWidth), len(b))
	}
	hashes := make([]ledger.Hash, ledger.TileWidth)
	for i := range hashes {
		copy(hashes[i][:], b[i*len(ledger.Hash{}):])
	}
	return hashes, nil
}

// EntryBundle gives the first width entries of an entry bundle (C2SP
// tlog-tiles), assembled from the entries, or [ErrNotFound].
func (p *Snapshot) EntryBundle(n int64, width int) ([]byte, error) {
	start := n * ledger.TileWidth
	if n < 0 || n > int64(p.meta.Size)/ledger.TileWidth || width < 1 || width > ledger.TileWidth ||
		start+int64(width) > int64(p.meta.Size) {
		return nil, fmt.Errorf("entry bundle: %w", ErrNotFound)
	}
	var b []byte
	err := p.Entries(ledger.Index(start), width, func(_ ledger.Index, entry []byte) (err error) {
		b, err = ledger.AppendBundle(b, entry)
		return err
	})
	return b, err
}

// readHashes gives hashes by their stored-hash indexes, which is what x/mod's
// proofs ask for. A tile is read once per call.
func (p *Snapshot) readHashes(indexes []int64) ([]ledger.Hash, error) {
	type place struct {
		level int
		n     int64
	}
	read := map[place][]ledger.Hash{}
	list := make([]ledger.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		inside := level % ledger.TileHeight
		first := n << inside
		at := place{level / ledger.TileHeight, first / ledger.TileWidth}
		hashes, ok := read[at]
		if !ok {
			var err error
			if hashes, err = p.tile(at.level, at.n); err != nil {
				return nil, err
			}
			read[at] = hashes
		}
		from := int(first % ledger.TileWidth)
		if from+1<<inside > len(hashes) {
			return nil, fmt.Errorf("hash %d: %w", index, ErrNotFound)
		}
		nodes := hashes[from : from+1<<inside]
		if full, _ := ledger.TileRange(p.meta.Size, at.level); at.n == full {
			list[i] = p.innerHash(index, nodes)
		} else {
			list[i] = perfectRoot(nodes)
		}
	}
	return list, nil
}

// innerHash is [perfectRoot] of nodes of an edge, which every proof of a group's
// entries needs: each is computed once per snapshot.
func (p *Snapshot) innerHash(index int64, nodes []ledger.Hash) ledger.Hash {
	if len(nodes) == 1 {
		return nodes[0]
	}
	p.innerMu.Lock()
	defer p.innerMu.Unlock()
	h, ok := p.inner[index]
	if !ok {
		if p.inner == nil {
			p.inner = map[int64]ledger.Hash{}
		}
		h = perfectRoot(nodes)
		p.inner[index] = h
	}
	return h
}

// perfectRoot gives the root of the perfect tree over 2^k nodes.
func perfectRoot(nodes []ledger.Hash) ledger.Hash {
	if len(nodes) == 1 {
		return nodes[0]
	}
	half := len(nodes) / 2
	return tlog.NodeHash(perfectRoot(nodes[:half]), perfectRoot(nodes[half:]))
}
