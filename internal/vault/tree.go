package vault

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// tree is the root row, opened: everything that lies directly under ROOT. A
// tree never changes; an erasure and a new day make another one.
type tree struct {
	generation uint32
	shards     [shardCount]shard
	indexEpoch uint32
	index      secret
	days       [2]dayKey // today's, then the one before
}

// shard is one shard's key, with the cipher made from it and the generation
// that stands in the keys of its rows.
type shard struct {
	generation uint32
	key        secret
	aead       cipher.AEAD
}

// dayKey hides the idempotency keys of one day. day counts days of UTC since
// 1970-01-01.
type dayKey struct {
	day uint32
	key secret
}

func newShard(generation uint32) shard {
	k := newSecret()
	return shard{generation, k, newAEAD(k)}
}

// newTree draws the keys of an empty vault.
func newTree(generation uint32) *tree {
	t := &tree{generation: generation, index: newSecret()}
	for i := range t.shards {
		t.shards[i] = newShard(generation)
	}
	t.days = [2]dayKey{{0, newSecret()}, {0, newSecret()}}
	return t
}

const (
	rootEntrySize = 4 + wrappedSize
	rootRowSize   = 4 + (shardCount+3)*rootEntrySize
)

// wrapLabel is the associated data of one wrapped key in the root row: what it
// is, which one of them, its own number (generation, epoch or day), and the
// generation of ROOT.
func wrapLabel(what byte, which, number, generation uint32) []byte {
	aad := append([]byte(labelPrefix+"root\x00"), what)
	aad = binary.BigEndian.AppendUint32(aad, which)
	aad = binary.BigEndian.AppendUint32(aad, number)
	return binary.BigEndian.AppendUint32(aad, generation)
}

// encode wraps the tree under root, whose generation becomes the tree's.
func (t *tree) encode(root rootKey) []byte {
	aead := newAEAD(root.key)
	b := binary.BigEndian.AppendUint32(make([]byte, 0, rootRowSize), root.generation)
	wrap := func(what byte, which, number uint32, k secret) {
		b = binary.BigEndian.AppendUint32(b, number)
		b = aead.Seal(b, nil, k[:], wrapLabel(what, which, number, root.generation))
	}
	for i := range t.shards {
		wrap('s', uint32(i), t.shards[i].generation, t.shards[i].key)
	}
	wrap('i', 0, t.indexEpoch, t.index)
	for i, d := range t.days {
		wrap('d', uint32(i), d.day, d.key)
	}
	return b
}

// rootGeneration gives the generation of ROOT under which a root row was made.
func rootGeneration(row []byte) (uint32, error) {
	if len(row) != rootRowSize {
		return 0, fmt.Errorf("%w: the root row has %d bytes, want %d", ErrDamaged, len(row), rootRowSize)
	}
	return binary.BigEndian.Uint32(row), nil
}

// opensRoot tells whether root is the one that row was made under, by the first
// of its keys.
func opensRoot(root rootKey, row []byte) bool {
	generation, err := rootGeneration(row)
	if err != nil || generation != root.generation {
		return false
	}
	number := binary.BigEndian.Uint32(row[4:])
	_, err = newAEAD(root.key).Open(nil, nil, row[8:8+wrappedSize], wrapLabel('s', 0, number, generation))
	return err == nil
}

// decodeTree opens the root row.
func decodeTree(root rootKey, row []byte) (*tree, error) {
	generation, err := rootGeneration(row)
	if err != nil {
		return nil, err
	}
	t := &tree{generation: generation}
	aead := newAEAD(root.key)
	b := row[4:]
	unwrap := func(what byte, which int) (number uint32, k secret, err error) {
		number = binary.BigEndian.Uint32(b)
		plain, err := aead.Open(k[:0], nil, b[4:rootEntrySize], wrapLabel(what, uint32(which), number, generation))
		if err != nil || len(plain) != len(k) {
			return 0, k, fmt.Errorf("%w: key %c%d in the root row does not open", ErrDamaged, what, which)
		}
		b = b[rootEntrySize:]
		return number, k, nil
	}
	for i := range t.shards {
		s := &t.shards[i]
		if s.generation, s.key, err = unwrap('s', i); err != nil {
			return nil, err
		}
		s.aead = newAEAD(s.key)
	}
	if t.indexEpoch, t.index, err = unwrap('i', 0); err != nil {
		return nil, err
	}
	for i := range t.days {
		if t.days[i].day, t.days[i].key, err = unwrap('d', i); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// shardRowKey gives the key of the shard row (typ, id).
func (t *tree) shardRowKey(typ byte, id []byte) []byte {
	s := shardOf(typ, id)
	return rowKey(rowShard, u16(s), u32(t.shards[s].generation), []byte{typ}, id)
}

// shardPrefix is what the keys of a shard's present rows begin with.
func (t *tree) shardPrefix(s uint16) []byte {
	return rowKey(rowShard, u16(s), u32(t.shards[s].generation))
}

// sealShardRow makes the shard row (typ, id).
func (t *tree) sealShardRow(typ byte, id, plain []byte) row {
	key := t.shardRowKey(typ, id)
	return row{key, t.shards[shardOf(typ, id)].aead.Seal(nil, nil, plain, key)}
}

// openShardRow opens a row of shard s of the tree's generation.
func (t *tree) openShardRow(s uint16, key, sealed []byte) ([]byte, error) {
	plain, err := t.shards[s].aead.Open(nil, nil, sealed, key)
	if err != nil {
		return nil, fmt.Errorf("%w: a row of type %q in shard %d does not open", ErrDamaged, key[shardKeySize], s)
	}
	return plain, nil
}

// indexKey gives what an identifier looks like in the blind index.
func (t *tree) indexKey(kind, normalised string) IndexKey {
	return IndexKey(macOf(t.index, []byte(kind+"\x00"+normalised)))
}
