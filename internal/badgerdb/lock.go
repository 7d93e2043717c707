package badgerdb

// Lock keeps every other process that calls it from a directory, until unlock is called
// or the process ends. A process that has the lock is waited for, a second at most; then
// the error is ErrInUse. It is not the lock of a database in that directory.
func Lock(dir string) (unlock func(), err error) { return lock(dir) }
