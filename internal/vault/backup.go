package vault

// KeyBackup says where key backups go. Both fields are required.
type KeyBackup struct {
	// Target is a directory for the files "keys-<generation>.age", of this
	// vault alone. It must exist and be writable.
	Target string
	// IdentityPath is the file of the age identity that opens the newest of
	// them. This program makes it, and destroys it at every erasure, so it must
	// be able to; "<IdentityPath>.next" appears beside it meanwhile. It must lie
	// outside the ledger's directory and Target, by custom on a medium that
	// neither of them is on. Never copy it.
	IdentityPath string
}
