package vault

import "github.com/dgraph-io/badger/v4"

// AnySuppressed tells whether the suppression list may hold anything. While it
// never did, nobody needs to be looked up on it.
func (v *Vault) AnySuppressed() bool { return v.anySuppressed.Load() }

// loadSuppressed finds, at a start, whether the suppression list holds anything.
func (v *Vault) loadSuppressed() {
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	prefix := []byte{rowSuppression}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	it.Rewind()
	v.anySuppressed.Store(it.Valid())
}
