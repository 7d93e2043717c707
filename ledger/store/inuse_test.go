package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// TestOpenBesideAWriter opens a log, as a server does that is started too early, while
// another one still records and then ends. It must wait, or say that the log is in use;
// it must not hold the database of the end against the head file of the beginning.
func TestOpenBesideAWriter(t *testing.T) {
	opt := store.Options{Dir: t.TempDir(), Signer: testledger.Signer(t), MemTableBytes: badgerdb.MinMemTableBytes}
	if err := store.Create(opt, "shop.example.com", testledger.Began); err != nil {
		t.Fatal(err)
	}
	writer, err := store.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	var opening sync.WaitGroup
	for range 4 {
		opening.Go(func() {
			early, err := store.Open(opt)
			if err == nil {
				err = early.Close()
			}
			if err != nil && !errors.Is(err, badgerdb.ErrInUse) {
				t.Errorf("opened beside a writer: %v", err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond) // longer than reading the head file takes
	for range 5 {
		testledger.Fill(t, writer, 3)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	opening.Wait()
	last, err := store.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	testledger.Verify(t, last)
	if err := last.Close(); err != nil {
		t.Error(err)
	}
}
