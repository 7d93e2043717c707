package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/ledger"
)

// GroupRecord says which group of entries the newest rows of the vault belong
// to. The log repeats it, so that a start can tell whether both have the group.
type GroupRecord struct {
	// Seq counts the groups that had rows in the vault, from 1; 0 means that
	// there was none yet.
	Seq uint64
	// Base is the size of the log before the group, Count its entries.
	Base  ledger.Size
	Count int
	// Leaf is the leaf hash of the group's last entry.
	Leaf ledger.Hash
}

const groupRecordSize = 8 + 8 + 4 + 32

// groupRow is the row 'G': the newest record (seq u64, base u64, count u32, leaf
// 32), a byte that is 1 if the record before it follows, that record, and the
// keys of the rows that the newest group wrote, each after its length in one
// byte. A record that was restored has neither predecessor nor keys.
type groupRow struct {
	record      GroupRecord
	hasPrevious bool
	previous    GroupRecord
	keys        [][]byte
}

func appendRecord(b []byte, r GroupRecord) []byte {
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Base))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Count))
	return append(b, r.Leaf[:]...)
}

func parseRecord(b []byte) GroupRecord {
	return GroupRecord{
		Seq:   binary.BigEndian.Uint64(b),
		Base:  ledger.Size(binary.BigEndian.Uint64(b[8:])),
		Count: int(binary.BigEndian.Uint32(b[16:])),
		Leaf:  ledger.Hash(b[20:52]),
	}
}

func (g groupRow) encode() []byte {
	size := 2*groupRecordSize + 1
	for _, key := range g.keys {
		size += 1 + len(key)
	}
	b := appendRecord(make([]byte, 0, size), g.record)
	if !g.hasPrevious {
		return append(b, 0)
	}
	b = appendRecord(append(b, 1), g.previous)
	for _, key := range g.keys {
		b = append(append(b, byte(len(key))), key...)
	}
	return b
}

func parseGroup(b []byte) (g groupRow, err error) {
	bad := fmt.Errorf("%w: the group record has %d bytes and does not parse", ErrDamaged, len(b))
	if len(b) < groupRecordSize+1 {
		return g, bad
	}
	g.record = parseRecord(b)
	switch b = b[groupRecordSize:]; {
	case b[0] == 0 && len(b) == 1:
		return g, nil
	case b[0] != 1 || len(b) < 1+groupRecordSize:
		return g, bad
	}
	g.hasPrevious = true
	g.previous = parseRecord(b[1:])
	for b = b[1+groupRecordSize:]; len(b) > 0; {
		size := int(b[0])
		if size == 0 || len(b) < 1+size || b[1] == rowShard && size < minShardRow {
			return g, bad
		}
		g.keys = append(g.keys, b[1:1+size])
		b = b[1+size:]
	}
	return g, nil
}

func readGroup(db *badger.DB) (groupRow, error) {
	value, ok, err := readOne(db, keyGroup())
	if err != nil {
		return groupRow{}, err
	}
	if !ok {
		return groupRow{}, fmt.Errorf("%w: the group record is missing", ErrDamaged)
	}
	return parseGroup(value)
}

// Record gives the newest group record.
func (v *Vault) Record() GroupRecord {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.group.record
}

// Previous gives the record before the newest. It is the zero record when there
// is none, or when the newest was restored by [Vault.DropNewestGroup].
func (v *Vault) Previous() GroupRecord {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.group.previous
}

// DropNewestGroup takes back the newest group, which the log does not have, with
// what it planned: exactly the rows that its record lists are deleted and the
// record before it is restored, in one transaction. It refuses if the newest
// record carries no record before it, because only one group can be taken back,
// and if what the group planned was carried out.
func (v *Vault) DropNewestGroup() error {
	v.passing.Lock()
	defer v.passing.Unlock()
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.stopped(); err != nil {
		return err
	}
	txn := v.db.NewTransaction(true)
	defer txn.Discard()
	if err := v.droppable(txn); err != nil {
		return err
	}
	for _, key := range v.group.keys {
		if err := txn.Delete(v.presentKey(key)); err != nil {
			return fmt.Errorf("dropping the vault's newest group: %w", err)
		}
	}
	restored := groupRow{record: v.group.previous}
	if err := txn.Set(keyGroup(), restored.encode()); err != nil {
		return fmt.Errorf("dropping the vault's newest group: %w", err)
	}
	if err := txn.Commit(); err != nil {
		return v.stop(fmt.Errorf("dropping the vault's newest group: %w", err))
	}
	v.mu.Lock()
	maps.DeleteFunc(v.plans, func(_ Slot, seq uint64) bool { return seq == v.group.record.Seq })
	v.group = restored
	v.mu.Unlock()
	return v.step("group dropped")
}

// droppable refuses a newest group that cannot be taken back.
func (v *Vault) droppable(txn *badger.Txn) error {
	if !v.group.hasPrevious {
		return errors.New("dropping the vault's newest group: its record has none before it")
	}
	for _, key := range v.group.keys {
		if err := refuseCarriedOut(txn, v.presentKey(key)); err != nil {
			return err
		}
	}
	return nil
}

// refuseCarriedOut refuses to drop a plan that is not there any more: it was
// carried out, so the log once had the group.
func refuseCarriedOut(txn *badger.Txn, key []byte) error {
	if key[0] != rowShard || key[shardKeySize] != rowPlan {
		return nil
	}
	_, there, err := getRow(txn, key)
	if err == nil && !there {
		err = errors.New("what it planned was carried out; the log has lost the group")
	}
	if err != nil {
		return fmt.Errorf("dropping the vault's newest group: %w", err)
	}
	return nil
}

// presentKey gives the key under which a row lies now: an erasure since has
// moved the rows of the shards it touched to another generation.
func (v *Vault) presentKey(key []byte) []byte {
	if key[0] != rowShard || len(key) < shardKeySize {
		return key
	}
	shard := binary.BigEndian.Uint16(key[1:]) & shardMask
	key = append([]byte(nil), key...)
	binary.BigEndian.PutUint32(key[3:], v.tree.shards[shard].generation)
	return key
}
