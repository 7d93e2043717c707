package vault

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// tree is the root row, opened: everything that lies directly under ROOT. A
// tree never changes; a pass, a new day and a re-key of the blind index make
// another one.
type tree struct {
	generation uint32
	shards     [shardCount]shard
	days       [2]dayKey // today's, then the one before
	// oldestDay is the oldest day whose key was ever wrapped under this ROOT: a
	// root row that was replaced since still opens under it.
	oldestDay   uint32
	suppression secret
	// index holds the index key in force and, during a re-key, the one to come.
	index []indexKey

	// readers counts who reads under the shard keys of this tree. Trees that
	// differ in nothing that wraps a person's keys share it.
	readers *sync.WaitGroup
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

// indexKey is the key of the blind index of one epoch. Who was erased by passes
// up to ROOT's generation begun never left a row under it.
type indexKey struct {
	epoch, begun uint32
	since        uint64 // seconds of 1970 when it came in force, 0 while it is to come
	key          secret
}

func (k indexKey) hmac(prefix string, id Identifier) []byte {
	sum := macOf(k.key, []byte(prefix+id.Kind+"\x00"+id.Value))
	return append(u32(k.epoch), sum[:]...)
}

// live gives the id of an identifier's row in the blind index.
func (k indexKey) live(id Identifier) []byte { return k.hmac("", id) }

// legal gives the id of an identifier's row in the index of locked people, up
// to the mark.
func (k indexKey) legal(id Identifier) []byte { return k.hmac("legal\x00", id) }

// legalMark ends the id of a locked person's row, so that several people who
// had the same identifier one after the other do not collide.
func legalMark(identity secret, id Identifier) []byte {
	return prf(identity, "legal", []byte(id.Kind+"\x00"+id.Value))[:markSize]
}

func newShard(generation uint32) shard {
	k := newSecret()
	return shard{generation, k, newAEAD(k)}
}

// newTree draws the keys of an empty vault.
func newTree(generation uint32) *tree {
	t := &tree{generation: generation, suppression: newSecret(), readers: new(sync.WaitGroup)}
	for i := range t.shards {
		t.shards[i] = newShard(generation)
	}
	t.days = [2]dayKey{{0, newSecret()}, {0, newSecret()}}
	t.index = []indexKey{{key: newSecret()}}
	return t
}

// The root row: generation of ROOT u32, then nothing sealed under ROOT (28
// bytes), by which a root key is told from another without blaming the row, then
// sealed under ROOT: oldest day u32, 4096 × {generation of the shard's rows u32,
// shard key}, twice {day u32, key of the day}, suppression key, and once or twice
// {epoch u32, generation of ROOT when the key was drawn u32, seconds u64, index
// key}. One row, so that one transaction is the switch.
const (
	rootProofSize = 12 + 16
	indexKeySize  = 4 + 4 + 8 + 32
	rootBodySize  = 4 + (shardCount+2)*(4+32) + 32 // without index keys
)

// rootLabel is the associated data of a part of the root row.
func rootLabel(part string, generation uint32) []byte {
	return append([]byte(labelPrefix+"root\x00"+part+"\x00"), u32(generation)...)
}

// encode wraps the tree under root, whose generation becomes the tree's.
func (t *tree) encode(root rootKey) []byte {
	b := make([]byte, 0, rootBodySize+2*indexKeySize)
	numbered := func(number uint32, k secret) {
		b = append(binary.BigEndian.AppendUint32(b, number), k[:]...)
	}
	b = binary.BigEndian.AppendUint32(b, t.oldestDay)
	for i := range t.shards {
		numbered(t.shards[i].generation, t.shards[i].key)
	}
	for _, d := range t.days {
		numbered(d.day, d.key)
	}
	b = append(b, t.suppression[:]...)
	for _, k := range t.index {
		b = binary.BigEndian.AppendUint32(b, k.epoch)
		b = binary.BigEndian.AppendUint32(b, k.begun)
		b = binary.BigEndian.AppendUint64(b, k.since)
		b = append(b, k.key[:]...)
	}
	aead := newAEAD(root.key)
	row := u32(root.generation)
	row = aead.Seal(row, nil, nil, rootLabel("proof", root.generation))
	return aead.Seal(row, nil, b, rootLabel("keys", root.generation))
}

// rootGeneration reads which generation of ROOT the row was made under.
func rootGeneration(row []byte) (uint32, error) {
	if len(row) < 4+rootProofSize {
		return 0, fmt.Errorf("%w: the root row has %d bytes", ErrDamaged, len(row))
	}
	return binary.BigEndian.Uint32(row), nil
}

// opensRoot tells whether root is the one that row was made under.
func opensRoot(root rootKey, row []byte) bool {
	generation, err := rootGeneration(row)
	if err != nil || generation != root.generation {
		return false
	}
	_, err = newAEAD(root.key).Open(nil, nil, row[4:4+rootProofSize], rootLabel("proof", generation))
	return err == nil
}

// decodeTree opens the root row.
func decodeTree(root rootKey, row []byte) (*tree, error) {
	generation, err := rootGeneration(row)
	if err != nil {
		return nil, err
	}
	b, err := newAEAD(root.key).Open(nil, nil, row[4+rootProofSize:], rootLabel("keys", generation))
	if err != nil {
		return nil, fmt.Errorf("%w: the root row does not open", ErrDamaged)
	}
	if n := len(b) - rootBodySize; n != indexKeySize && n != 2*indexKeySize {
		return nil, fmt.Errorf("%w: the root row holds %d bytes", ErrDamaged, len(b))
	}
	next32 := func() uint32 {
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		return n
	}
	nextKey := func() secret {
		k := secret(b[:32])
		b = b[32:]
		return k
	}
	t := &tree{generation: generation, oldestDay: next32(), readers: new(sync.WaitGroup)}
	for i := range t.shards {
		s := &t.shards[i]
		s.generation, s.key = next32(), nextKey()
		s.aead = newAEAD(s.key)
	}
	for i := range t.days {
		t.days[i] = dayKey{next32(), nextKey()}
	}
	t.suppression = nextKey()
	for len(b) > 0 {
		k := indexKey{epoch: next32(), begun: next32()}
		k.since = uint64(next32())<<32 | uint64(next32())
		k.key = nextKey()
		t.index = append(t.index, k)
	}
	return t, nil
}

// touched gives the shards that the switch to this tree's generation replaced.
func (t *tree) touched() (shards []uint16) {
	for s := range uint16(shardCount) {
		if t.shards[s].generation == t.generation {
			shards = append(shards, s)
		}
	}
	return shards
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

// openShardRow opens a row of shard s of the tree's generation; what it gives
// is appended to dst.
func (t *tree) openShardRow(dst []byte, s uint16, key, sealed []byte) ([]byte, error) {
	plain, err := t.shards[s].aead.Open(dst, nil, sealed, key)
	if err != nil {
		return nil, fmt.Errorf("%w: a row of type %q in shard %d does not open", ErrDamaged, key[shardKeySize:min(shardKeySize+1, len(key))], s)
	}
	return plain, nil
}

// withIndex gives the tree with other index keys.
func (t *tree) withIndex(keys ...indexKey) *tree {
	next := *t
	next.index = slices.Clone(keys)
	return &next
}
