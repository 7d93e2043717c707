package vault

// loadLocked finds, at a start, whether anybody is locked. While nobody ever was, no
// [Draft] looks among the locked, where to look for an identifier is a third of the
// work of an import.
func (v *Vault) loadLocked() {
	txn := v.db.NewTransaction(false)
	defer txn.Discard()
	eachShardKey(txn, v.tree, rowLegal, func([]byte) bool {
		v.anyLocked.Store(true)
		return false
	})
}
