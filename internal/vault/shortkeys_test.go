package vault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestShortKeys: a row whose key is the beginning of a shard row's is in nobody's way,
// or it is damage; no pass and no start follows it further than it goes.
func TestShortKeys(t *testing.T) {
	for size := 1; size < minShardRow; size += 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			opt := testOptions(t)
			v := newVault(t, opt)
			s := newStory(t, v)
			s.add(2)
			gone := s.people[0]
			check(t, v.db.Update(func(txn *badger.Txn) error {
				for _, typ := range []byte{rowSubject, rowPlan, rowIndex, rowIdempotency} {
					key := v.tree.shardRowKey(typ, idSlot(gone.slot))
					for _, key := range [][]byte{key[:size], append(rowKey(rowShard, u16(shardOf(rowSubject, idSlot(gone.slot))), u32(v.tree.generation)), typ)[:min(size, shardKeySize+1)]} {
						if err := txn.Set(key, []byte("short")); err != nil {
							return err
						}
					}
				}
				return nil
			}))
			s.plan(map[*person]Change{gone: {Erase: true}})
			_, err := v.CarryOut(v.Record().Seq)
			if size < shardKeySize && err != nil || err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("erasing beside keys of %d bytes: %v", size, err)
			}
			check(t, v.Close())
			again, err := Open(opt)
			if err != nil {
				t.Fatal(err)
			}
			s.people[1].verify(t, again)
			check(t, again.Close())
		})
	}
}
