package vault

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// While a pass copies shards, writers go on inserting rows into them. The pass
// sees the rows that were there when it began; of all later ones, batches leave
// it the keys. It copies those, too, again and again, until so few come between
// two rounds that the last of them can be copied while writers wait.
const (
	notedLimit  = 10_000 // keys that may wait in memory
	notedFew    = 100    // rows for which writers may wait
	notedRounds = 20     // after which they wait however many there are
)

// notes holds the keys of shard rows that batches have inserted.
type notes struct {
	mu   sync.Mutex
	keys [][]byte
}

// note keeps the keys that lie in touched shards. It is called for every batch
// that was committed, by who holds Vault.writing.
func (p *pass) note(keys [][]byte) {
	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	for _, key := range keys {
		if key[0] == rowShard && p.shards[shardIn(key)] != nil {
			p.notes.keys = append(p.notes.keys, key)
		}
	}
}

// shardIn reads the shard from the key of a shard row.
func shardIn(key []byte) uint16 { return binary.BigEndian.Uint16(key[1:]) & shardMask }

func (p *pass) noted() int {
	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	return len(p.notes.keys)
}

func (p *pass) takeNotes() [][]byte {
	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	keys := p.notes.keys
	p.notes.keys = nil
	return keys
}

// copyShards writes the touched shards anew, but for the rows that batches
// insert last.
func (v *Vault) copyShards(p *pass) error {
	// Between two batches, so that every row is either seen or noted.
	v.writing.Lock()
	v.copying = p
	w := v.view()
	v.writing.Unlock()
	defer w.release()
	if err := v.step("erase begun"); err != nil {
		return err
	}
	out := v.passRows("erase rewritten")
	defer out.discard()
	for _, s := range p.touched() {
		if err := p.copyShard(w, s, out); err != nil {
			return err
		}
		if p.noted() > notedLimit {
			if _, err := v.copyNoted(p); err != nil {
				return err
			}
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	for range notedRounds {
		n, err := v.copyNoted(p)
		if err != nil || n <= notedFew {
			return err
		}
	}
	return nil
}

// copyShard writes the rows of one shard under its fresh key, those that are
// not changed as they are.
func (p *pass) copyShard(w View, s uint16, out *rowWriter) error {
	m := p.shards[s]
	err := eachRow(w.txn, w.tree.shardPrefix(s), func(key, sealed []byte) error {
		if _, changed := m.rows[string(key[shardKeySize:])]; changed {
			return nil
		}
		return p.copyRow(w.tree, s, key, sealed, out)
	})
	if err != nil {
		return err
	}
	for id, value := range m.rows {
		if value == nil {
			continue
		}
		key := rowKey(rowShard, u16(s), u32(p.next.generation), []byte(id))
		m.kept++
		if err := out.set(key, m.fresh.aead.Seal(nil, nil, value, key)); err != nil {
			return err
		}
	}
	return nil
}

// copyNoted writes the rows anew that batches have inserted since it was called
// before, and counts them.
func (v *Vault) copyNoted(p *pass) (int, error) {
	keys := p.takeNotes()
	if len(keys) == 0 {
		return 0, nil
	}
	w := v.view()
	defer w.release()
	out := v.passRows("erase caught up")
	defer out.discard()
	for _, key := range keys {
		sealed, ok, err := w.get(key)
		switch {
		case err != nil:
			return 0, err
		case !ok && key[shardKeySize] == rowIdempotency:
			continue // swept since
		case !ok:
			return 0, fmt.Errorf("%w: a row of type %q that was inserted is not there", ErrDamaged, key[shardKeySize])
		}
		if err := p.copyRow(w.tree, shardIn(key), key, sealed, out); err != nil {
			return 0, err
		}
	}
	return len(keys), out.flush()
}

// copyRow writes one row under the fresh key of its shard.
func (p *pass) copyRow(from *tree, s uint16, key, sealed []byte, out *rowWriter) (err error) {
	m := p.shards[s]
	if p.plain, err = from.openShardRow(p.plain[:0], s, key, sealed); err != nil {
		return err
	}
	m.kept++
	if key[shardKeySize] == rowIdempotency {
		m.requests++
	}
	// One piece of memory for both, because there may be millions of rows.
	size := len(key)
	both := make([]byte, size, size+len(sealed))
	copy(both, key)
	binary.BigEndian.PutUint32(both[3:], p.next.generation)
	key = both[:size:size]
	return out.set(key, m.fresh.aead.Seal(both[size:], nil, p.plain, key))
}
