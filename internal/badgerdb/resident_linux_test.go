package badgerdb

import (
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// What was read of tables is given back, and read again as it was.
func TestResidentTables(t *testing.T) {
	opt := smallOptions(filepath.Join(t.TempDir(), "db"))
	opt.Compress = false
	db := mustCreate(t, opt, 0)
	const rows = 100_000 // of 200 bytes
	for from := 0; from < rows; from += 2_000 {
		err := db.Update(func(txn *badger.Txn) error {
			for i := from; i < from+2_000; i++ {
				if err := txn.Set(key(i), value(i)); err != nil {
					return err
				}
			}
			return txn.Set([]byte("head"), key(from+2_000-1))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, db)
	db, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	for range 3 {
		if n, err := count(db); err != nil || n != rows {
			t.Fatalf("%d rows (%v), want %d", n, err, rows)
		}
		before, err := mappedBytes()
		if err != nil {
			t.Fatal(err)
		}
		r := Resident{Dirs: []string{opt.Dir}, Limit: before + 1<<20}
		if err := r.Trim(); err != nil {
			t.Fatal(err)
		}
		if below, err := mappedBytes(); err != nil || below < before-1<<20 {
			t.Errorf("below the limit, %d of %d bytes are left (%v)", below, before, err)
		}
		r.Limit = 4 << 20
		if err := r.Trim(); err != nil {
			t.Fatal(err)
		}
		if after, err := mappedBytes(); err != nil || before-after < 10<<20 {
			t.Errorf("%d of %d bytes are left (%v)", after, before, err)
		}
	}
}
