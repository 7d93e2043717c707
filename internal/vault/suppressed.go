package vault

// AnySuppressed tells whether the suppression list may hold anything. While it
// never did, nobody needs to be looked up on it.
func (v *Vault) AnySuppressed() bool { return v.anySuppressed.Load() }

// loadSuppressed finds, at a start, whether the suppression list holds anything.
func (v *Vault) loadSuppressed() {
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	eachKey(txn, []byte{rowSuppression}, []byte{rowSuppression}, func([]byte) bool {
		v.anySuppressed.Store(true)
		return false
	})
}
