// Command addlog makes a database of torchwood's litewitness know a log: it writes
// the rows that torchwood's own witnessctl would write, which needs a module that
// cannot be downloaded everywhere (sigsum.org/sigsum-go). litewitness must have made
// the database; it may be running.
//
//	addlog DATABASE ORIGIN VKEY...
package main

import (
	"fmt"
	"os"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// emptyRoot is the root of the tree without leaves (RFC 6962), in base64.
const emptyRoot = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: addlog DATABASE ORIGIN VKEY...")
		os.Exit(2)
	}
	if err := add(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "addlog:", err)
		os.Exit(1)
	}
}

func add(database, origin string, keys []string) (err error) {
	db, err := sqlite.OpenConn(database, sqlite.OpenReadWrite|sqlite.OpenWAL)
	if err != nil {
		return err
	}
	defer func() {
		if e := db.Close(); err == nil {
			err = e
		}
	}()
	const log, key = "INSERT OR IGNORE INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", "INSERT INTO key (origin, key) VALUES (?, ?)"
	if err := sqlitex.Execute(db, log, &sqlitex.ExecOptions{Args: []any{origin, emptyRoot}}); err != nil {
		return err
	}
	for _, k := range keys {
		if err := sqlitex.Execute(db, key, &sqlitex.ExecOptions{Args: []any{origin, k}}); err != nil {
			return err
		}
	}
	return nil
}
