package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// rowInstance is the row 'N': 16 random bytes, plain, that name this database. Versions
// of rows mean something in one database only, and a restore makes a new one. The first
// data backup draws it.
const rowInstance = 'N'

// DataBackup is what a data backup takes of a vault: claims and blobs as they were
// sealed, as of one moment. They are never written anew under another key, so they may
// be copied once and kept; everything else that a restore needs is in a key backup.
// What it holds of people who are erased later is bytes to which no key exists.
type DataBackup struct {
	// Instance names the database.
	Instance [16]byte
	// Until is the version with which the next backup goes on.
	Until uint64
	// Generation is that of ROOT.
	Generation uint32

	backup *keyBackup
	txn    *badger.Txn
}

// ErrBusy: another data backup is being written.
var ErrBusy = errors.New("another data backup is being written")

// BackupTarget is the directory of the vault's backups, "" for none.
func (v *Vault) BackupTarget() string {
	if v.backup == nil {
		return ""
	}
	return v.backup.target
}

// logPatience is how long a group may be in the vault and not in the log.
const logPatience = 10 * time.Second

// ReadData begins to read what a data backup takes. logHas tells whether the log ends
// with the group of a record; it is asked while nobody writes, until it says yes, so that
// the vault has exactly the groups that the log has. Nobody waits for what is read then,
// but another data backup, which is [ErrBusy]. It needs a target.
func (v *Vault) ReadData(logHas func(GroupRecord) bool) (*DataBackup, error) {
	if v.backup == nil {
		return nil, fmt.Errorf("reading the vault for a data backup: %w: no target is configured", ErrBackupTarget)
	}
	if !v.backup.data.TryLock() {
		return nil, ErrBusy
	}
	d, err := v.readData(logHas)
	if err != nil {
		v.backup.data.Unlock()
		return nil, fmt.Errorf("reading the vault for a data backup: %w", err)
	}
	d.backup = v.backup
	return d, nil
}

func (v *Vault) readData(logHas func(GroupRecord) bool) (*DataBackup, error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.stopped(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(logPatience); !logHas(v.Record()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return nil, errors.New("the log does not get what the vault has; restart the server")
		}
	}
	d := new(DataBackup)
	var err error
	if d.Instance, err = v.instance(); err != nil {
		return nil, err
	}
	// Not a View: the end of a pass waits for those.
	v.mu.RLock()
	d.Generation, d.txn = v.tree.generation, v.db.NewTransaction(false)
	v.mu.RUnlock()
	group, err := d.txn.Get(keyGroup())
	if err != nil {
		d.txn.Discard()
		return nil, readError(err)
	}
	// Not the version of the newest row: a vault that is set back to this group may
	// give the numbers behind it to other rows.
	d.Until = group.Version()
	return d, nil
}

// instance gives the database's number, and draws it the first time.
func (v *Vault) instance() (id [16]byte, err error) {
	key := rowKey(rowInstance)
	value, ok, err := readOne(v.db, key)
	switch {
	case err != nil:
		return id, err
	case ok && len(value) != len(id):
		return id, fmt.Errorf("%w: the row of its number has %d bytes", ErrDamaged, len(value))
	case ok:
		return [16]byte(value), nil
	}
	rand.Read(id[:]) // never fails, crypto/rand
	if err := v.db.Update(func(txn *badger.Txn) error { return txn.Set(key, id[:]) }); err != nil {
		return id, v.stop(err)
	}
	return id, nil
}

// Rows calls each with every row that is newer than a version, and perhaps with some
// that are as old. each must copy what it keeps.
func (d *DataBackup) Rows(since uint64, each func(key, value []byte) error) error {
	for _, kind := range dataKinds {
		if err := eachRowSince(d.txn, []byte{kind}, since, each); err != nil {
			return fmt.Errorf("reading the vault for a data backup: %w", err)
		}
	}
	return nil
}

// dataKinds are the kinds of rows in a data backup.
var dataKinds = []byte{rowClaim, rowBlob}

// eachRowSince is eachRow of the rows that are newer than a version.
func eachRowSince(txn *badger.Txn, prefix []byte, since uint64, fn func(key, value []byte) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, SinceTs: since})
	defer it.Close()
	for it.Seek(prefix); it.ValidForPrefix(prefix); it.Next() {
		item := it.Item()
		if err := item.Value(func(value []byte) error { return fn(item.Key(), value) }); err != nil {
			return err
		}
	}
	return nil
}

// Release ends the reading.
func (d *DataBackup) Release() {
	d.txn.Discard()
	d.backup.data.Unlock()
}
