package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/service"
)

// TestCheckNamesAll damages many files at once: all of them are named, though the
// ledger does not start, and nothing is changed.
func TestCheckNamesAll(t *testing.T) {
	w := making(t)
	dir := filepath.Join(t.TempDir(), "data")
	copyTree(t, w.both, dir)
	for name, at := range map[string]int64{"log/000001.sst": 900, "log/000002.sst": 5000, "vault/000002.sst": 5000, "vault/00001.mem": 1000,
		"head": 100, "trust.policy": 1000, "trust.keys": 700, "anchored.checkpoint": 1000} {
		flipped(name, at)(t, w, dir)
	}
	remove("root.key")(t, w, dir)
	before := files(t, dir)
	found, err := service.Inspect(service.Options{Dir: dir}, nil)
	if err != nil || found.Start == nil || found.Found == nil || found.Report != nil {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, says := range []string{"log/000001.sst is damaged", "log/000002.sst is damaged", "vault/000002.sst is damaged", "vault/00001.mem is damaged",
		"slot 0: checksum does not match", "trust.keys is damaged", "the root key is missing"} {
		if strings.Count(found.Found.Error(), says) != 1 {
			t.Errorf("%q is not named once in\n%v", says, found.Found)
		}
	}
	if how := changed(before, files(t, dir)); how != "" {
		t.Errorf("%s was changed", how)
	}
	// With the key entries whole, what is held to them is named, too.
	put(t, w.both, dir, "trust.keys")
	err = service.InspectFiles(dir)
	for _, says := range []string{"trust.policy cannot be handed to auditors", "anchored.checkpoint is damaged"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not named in\n%v", says, err)
		}
	}
}

// TestCheckGoesOn takes rows out of databases that are whole for Badger: each that is
// missing is named.
func TestCheckGoesOn(t *testing.T) {
	w := making(t)
	for _, test := range []struct {
		database string
		row      byte
		says     string
		atLeast  int
	}{
		{"vault", 'v', "the vault is damaged: it is not there", 8},
		{"vault", 'b', "entry ", 2},
		{"log", 'c', " is not stored as the entries give it", 4},
		{"log", 'l', "the lock of consent ", 3},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		copyTree(t, w.tables, dir)
		db, err := badgerdb.Open(badgerdb.Options{Dir: filepath.Join(dir, test.database), Compress: test.database == "log"})
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		err = db.Update(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{test.row}})
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				rows++
				if err := txn.Delete(it.Item().KeyCopy(nil)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || rows == 0 || db.Close() != nil {
			t.Fatal(rows, err)
		}
		found, err := service.Inspect(service.Options{Dir: dir}, nil)
		if err != nil || found.Start != nil || found.Found == nil {
			t.Errorf("without rows %c of the %s: %+v, %v", test.row, test.database, found, err)
			continue
		}
		if n := strings.Count(found.Found.Error(), test.says); n < test.atLeast {
			t.Errorf("without %d rows %c of the %s %q is said %d times:\n%v", rows, test.row, test.database, test.says, n, found.Found)
		}
		if strings.Contains(found.Found.Error(), "@") {
			t.Errorf("a finding holds personal data: %v", found.Found)
		}
	}
}

// TestCopiedWhileRunning copies the directory file by file, in any order, while the
// ledger records. Such a copy is torn: it is refused, or it has all that was
// acknowledged before the copying began.
func TestCopiedWhileRunning(t *testing.T) {
	w := making(t)
	dir := filepath.Join(t.TempDir(), "data")
	copyTree(t, w.tables, dir)
	s, err := service.Open(service.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged atomic.Int64
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r, err := s.RequestConsent(ctx, shop, service.ConsentRequest{Subject: email(fmt.Sprintf("w%d-%d", n, i)), Purposes: []string{"newsletter"},
					Channel: "email", Notice: "newsletter-en@1", Method: "web_form"})
				if err != nil {
					t.Error(err)
					return
				}
				for id := int64(r.Consents[0].ID); ; { // the highest index that was told to anybody
					if before := acknowledged.Load(); before >= id || acknowledged.CompareAndSwap(before, id) {
						break
					}
				}
			}
		})
	}
	opened := 0
	for range 8 {
		to := filepath.Join(t.TempDir(), "copy")
		told := acknowledged.Load()
		copyTorn(t, dir, to)
		c, err := service.Open(service.Options{Dir: to})
		if err != nil {
			if service.Remedied(err).Error() == err.Error() {
				t.Errorf("no remedy: %v", err)
			}
		} else {
			opened++
			if _, size := c.Log().Checkpoint(); int64(size) <= told {
				t.Errorf("a copy has %d entries; entry %d was acknowledged before", size, told)
			}
			if _, err := c.Check(nil); err != nil {
				t.Error(err)
			}
			c.Close()
		}
		os.RemoveAll(to)
	}
	close(stop)
	writers.Wait()
	t.Logf("%d of 8 copies open, %d entries", opened, acknowledged.Load())
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// copyTorn copies files one after the other, in any order; one that goes away
// meanwhile is left out.
func copyTorn(t *testing.T, from, to string) {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*", "*/*"} {
		found, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, sub := range []string{"log", "vault"} {
		if err := os.MkdirAll(filepath.Join(to, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || info.IsDir() {
			continue
		}
		data, err := content(name)
		if err != nil {
			continue
		}
		target := filepath.Join(to, strings.TrimPrefix(name, from))
		if err := os.WriteFile(target, data, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(target, info.Size()); err != nil {
			t.Fatal(err)
		}
	}
}
