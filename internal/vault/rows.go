package vault

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// getRow reads one row; found is false when there is none.
func getRow(txn *badger.Txn, key []byte) (value []byte, found bool, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, readError(err)
	}
	value, err = item.ValueCopy(nil)
	if err != nil {
		return nil, false, readError(err)
	}
	return value, true, nil
}

// readError keeps the cause alone: Badger puts it behind a text of its own, in
// which it quotes the row's key.
func readError(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	cause := err.Error()
	if at := strings.LastIndex(cause, " err: "); at >= 0 {
		cause = cause[at+len(" err: "):]
	}
	return errors.New("reading a row of the vault: " + cause)
}

// readOne reads a row in a transaction of its own.
func readOne(db *badger.DB, key []byte) ([]byte, bool, error) {
	txn := db.NewTransaction(false)
	defer txn.Discard()
	return getRow(txn, key)
}

// eachKey calls fn with every key from start on that has the prefix, until fn
// says stop. fn must copy what it keeps.
func eachKey(txn *badger.Txn, prefix, start []byte, fn func(key []byte) (more bool)) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(start); it.ValidForPrefix(prefix); it.Next() {
		if !fn(it.Item().Key()) {
			return
		}
	}
}

// eachRow calls fn with every row whose key has the prefix. fn must copy what
// it keeps.
func eachRow(txn *badger.Txn, prefix []byte, fn func(key, value []byte) error) error {
	// Values are stored beside their keys, so reading ahead would start a
	// goroutine per row for nothing.
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(prefix); it.ValidForPrefix(prefix); it.Next() {
		item := it.Item()
		err := item.Value(func(value []byte) error { return fn(item.Key(), value) })
		if err != nil {
			return err
		}
	}
	return nil
}

// txnSize is what a row adds to a Badger transaction.
func txnSize(key, value []byte) int64 { return int64(len(key) + len(value) + 2 + 10) }

// rowWriter writes and deletes rows in as many synced transactions as needed.
type rowWriter struct {
	db                *badger.DB
	txn               *badger.Txn
	bytes, rows       int64
	maxBytes, maxRows int64 // of one transaction
	// synced is called after each transaction, and space before; nil for nothing.
	synced, space func() error
}

func newRowWriter(db *badger.DB) *rowWriter {
	return &rowWriter{db: db, maxBytes: db.MaxBatchSize() / 2, maxRows: db.MaxBatchCount() / 2}
}

// writeRows gives a writer of rows that calls step after each transaction.
func (v *Vault) writeRows(step string) *rowWriter {
	w := newRowWriter(v.db)
	w.synced, w.space = func() error { return v.step(step) }, v.opt.Room
	if v.opt.testOnlyTxnRows > 0 {
		w.maxRows = v.opt.testOnlyTxnRows
	}
	return w
}

// The rows of a pass go into small transactions: a group, and a reader that
// begins, wait for the one that is being synced.
const (
	passTxnRows  = 1000
	passTxnBytes = 256 << 10
)

// passRows gives a writer of a pass's rows that calls step after each
// transaction.
func (v *Vault) passRows(step string) *rowWriter {
	w := v.writeRows(step)
	w.maxRows, w.maxBytes = min(w.maxRows, passTxnRows), min(w.maxBytes, passTxnBytes)
	return w
}

func (w *rowWriter) set(key, value []byte) error {
	if err := w.room(txnSize(key, value)); err != nil {
		return err
	}
	return w.txn.Set(key, value)
}

func (w *rowWriter) delete(key []byte) error {
	if err := w.room(txnSize(key, nil)); err != nil {
		return err
	}
	return w.txn.Delete(key)
}

// room makes sure that a transaction is open which can take size bytes more.
func (w *rowWriter) room(size int64) error {
	if w.txn != nil && (w.bytes+size > w.maxBytes || w.rows+1 > w.maxRows) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.txn == nil {
		w.txn = w.db.NewTransaction(true)
	}
	w.bytes += size
	w.rows++
	return nil
}

var errNoRoom = errors.New("nothing was written")

// flush commits what is waiting.
func (w *rowWriter) flush() error {
	if w.txn == nil {
		return nil
	}
	if w.space != nil {
		if err := w.space(); err != nil {
			return fmt.Errorf("%w: %w", errNoRoom, err)
		}
	}
	err := w.txn.Commit()
	w.txn, w.bytes, w.rows = nil, 0, 0
	if err != nil {
		return fmt.Errorf("writing rows of the vault: %w", err)
	}
	if w.synced != nil {
		return w.synced()
	}
	return nil
}

// discard drops what is waiting; after flush it does nothing.
func (w *rowWriter) discard() {
	if w.txn != nil {
		w.txn.Discard()
		w.txn = nil
	}
}

// deleteFound deletes every row that search finds in txn, while it searches: a
// pass moves more rows than should wait in memory. The keys that search gives
// must stay as they are.
func (v *Vault) deleteFound(step string, search func(txn *badger.Txn, found func(key []byte)) error) error {
	w := v.passRows(step)
	defer w.discard()
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	var failed error
	err := search(txn, func(key []byte) {
		if failed == nil {
			failed = w.delete(key)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return w.flush()
}
