package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/keyfile"
	"github.com/consentledger/consentledger/ledger"
)

// build writes the restored vault from the data, which it only reads.
func (r *restore) build(data data) (err error) {
	group, err := r.belongs(data)
	if err != nil {
		return err
	}
	if r.identityNext {
		if err := keyfile.New(r.opt.Identity, "identity", r.opt.Vault.testOnlyStep).Promote(); err != nil {
			return fmt.Errorf("finishing the replacement of the backup identity: %w", err)
		}
		r.identityNext = false
	}
	// What an interrupted restore left is of no use: its ROOT may be half.
	if err := errors.Join(os.RemoveAll(r.restoredDir()), r.keeper.DropStaged()); err != nil {
		return fmt.Errorf("removing what an interrupted restore left: %w", err)
	}
	opt := r.opt.Vault.database()
	opt.Dir = r.restoredDir()
	db, err := badgerdb.Create(opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r.root = newRootKey(r.report.Generation)
	if err := r.keeper.StageNext(r.root); err != nil {
		return err
	}
	if err := r.fill(data, db, group); err != nil {
		return err
	}
	return r.step("restore built")
}

// fill writes all rows. Those of the key backup come first as they are, the
// shard rows beside those that people will have in the restored vault, as in a
// pass that touches every shard: the restored vault's first Open deletes them.
func (r *restore) fill(data data, db *badger.DB, group groupRow) error {
	r.plant()
	out := newRowWriter(db)
	out.synced = func() error { return r.step("restore written") }
	defer out.discard()
	_, totals, err := readSealed(r.opt.Backup, r.identity, func(_ *backupHead, key, value []byte) error {
		return out.set(bytes.Clone(key), bytes.Clone(value))
	})
	if err == nil && totals != r.totals {
		err = fmt.Errorf("%w: it was replaced meanwhile", ErrBackupContent)
	}
	if err != nil {
		return err
	}
	if err := r.copyData(data, out, group); err != nil {
		return fmt.Errorf("copying claims: %w", err)
	}
	if err := out.flush(); err != nil {
		return err
	}
	w := View{tree: r.head.tree, txn: db.NewTransaction(false)}
	defer w.txn.Discard()
	if err := r.people(w, out); err != nil {
		return err
	}
	if err := r.countGone(data, w); err != nil {
		return err
	}
	for _, row := range []row{
		{keyVersion(), append(u32(formatVersion), r.head.origin...)},
		{keyGroup(), groupRow{record: group.record}.encode()},
		{keyRoot(), r.tree.encode(r.root)},
	} {
		if err := out.set(row.key, row.value); err != nil {
			return err
		}
	}
	return out.flush()
}

// plant draws the restored vault's tree. The suppression list has hashes only,
// so its key is kept. All other keys are of today, and nobody who is gone has left
// anything under them.
func (r *restore) plant() {
	now := time.Now().Unix()
	r.tree = newTree(r.root.generation)
	r.tree.suppression = r.head.tree.suppression
	k := &r.tree.index[0]
	for _, old := range r.head.tree.index {
		k.epoch = max(k.epoch, old.epoch+1)
	}
	k.begun, k.since = r.root.generation, uint64(now)
	for i := range r.tree.days {
		r.tree.days[i].day = uint32(now/86400) - uint32(i)
	}
	r.tree.oldestDay = r.tree.days[1].day
}

// belongs makes sure that data, log and key backup are of one history. It gives
// the record of the newest group that the log has, with the keys of the rows of
// one after it, and sets how far the backup counts.
func (r *restore) belongs(data data) (group groupRow, err error) {
	switch staged := r.keeper.Read().staged; {
	case data.origin != r.head.origin:
		return group, fmt.Errorf("%w: the vault is of %s, the key backup of %s", ErrBackupMismatch, data.origin, r.head.origin)
	case opensRoot(staged, data.root):
		return group, fmt.Errorf("the root key %s opens this vault: start the ledger", r.keeper.file.Next())
	case data.generation > r.head.generation:
		return group, fmt.Errorf("%w: the data are of generation %d, the key backup of %d: people were erased since. Take the newest "+
			"key backup, or data from before that; erasures which the log lists as pending are then to be made again",
			ErrBackupMismatch, data.generation, r.head.generation)
	case data.generation < r.head.generation:
		r.erasedSince = true
	}
	return r.groupOfLog(data.group)
}

// groupOfLog finds which group the log ends with, in the data and in the backup.
func (r *restore) groupOfLog(of groupRow) (groupRow, error) {
	switch last, err := r.inLog(of); {
	case err != nil:
		return of, err
	case last == nil:
		return of, fmt.Errorf("%w: vault and log are not of one data backup", ErrBackupMismatch)
	case *last == of.record:
		of.keys = nil
	default:
		of.record = *last
	}
	// The backup may have been made beside a group that the log never got; others
	// have its indexes now.
	r.size = r.opt.LogSize
	switch last, err := r.inLog(r.head.group); {
	case err != nil:
		return of, err
	case last != nil && *last != r.head.group.record:
		r.size = min(r.size, r.head.group.record.Base)
	case last == nil && r.head.group.record.Base < r.size:
		return of, fmt.Errorf("%w: the key backup is of another history than the log", ErrBackupMismatch)
	}
	return of, nil
}

// inLog gives the newer of a group's two records that the log has, nil if it has
// neither.
func (r *restore) inLog(g groupRow) (*GroupRecord, error) {
	records := []GroupRecord{g.record}
	if g.hasPrevious {
		records = append(records, g.previous)
	}
	for _, record := range records {
		end := record.Base + ledger.Size(record.Count)
		if record.Seq == 0 {
			return &record, nil
		}
		if end > r.opt.LogSize || end < 1 {
			continue
		}
		leaf, err := r.opt.Leaf(ledger.Index(end - 1))
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		if leaf == record.Leaf {
			return &record, nil
		}
	}
	return nil, nil
}

// copyData copies claims and blobs, all but the rows of a group that the log
// does not have.
func (r *restore) copyData(data data, out *rowWriter, group groupRow) error {
	dropped := make(map[string]bool)
	for _, key := range group.keys {
		dropped[string(key)] = true
	}
	return data.rows(func(key, value []byte) error {
		if dropped[string(key)] {
			return nil
		}
		return out.set(bytes.Clone(key), bytes.Clone(value))
	})
}

// countGone counts the people of the data whom the key backup does not have: the
// slot stands in the key of a row that nobody can open any more.
func (r *restore) countGone(data data, w View) (err error) {
	if data.db == nil {
		return nil
	}
	txn := data.db.NewTransaction(false)
	defer txn.Discard()
	gone := make(map[Slot]bool) // a pass may have left rows of two generations
	eachKey(txn, []byte{rowShard}, []byte{rowShard}, func(key []byte) bool {
		if len(key) < minShardRow || key[shardKeySize] != rowSubject {
			return true
		}
		var ok bool
		if ok, err = w.has(w.tree.shardRowKey(rowSubject, idSlot(slotOf(key)))); !ok && err == nil {
			gone[slotOf(key)] = true
		}
		return err == nil
	})
	if r.erasedSince {
		r.report.PeopleErased = len(gone)
	} else {
		r.report.PeopleNotBackedUp = len(gone)
	}
	return err
}
