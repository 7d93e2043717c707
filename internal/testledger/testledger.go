// Package testledger gives tests a ledger that is re-verified in full, by the
// public verifier, when the test ends.
//
// Start with [New] for a log of the test's own, or with [Verify] for one that
// the test made itself. [Fill] writes a history into it.
package testledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Origin is the name of every log that this package makes.
const Origin = "ledger.example.com/test"

// Began is the time of entry 0 of every log that this package makes.
var Began = time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC)

// Signer gives the signer of every log that this package makes. Its keys follow
// from fixed seeds: they protect nothing.
func Signer(t testing.TB) *ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(Origin, sha256.Sum256([]byte("test ed25519")), sha256.Sum256([]byte("test ml-dsa-44")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// New makes a log in a directory of its own and opens it; options may change
// how. It holds entry 0. When the test ends the log is verified and closed.
func New(t testing.TB, options ...func(*store.Options)) *store.Store {
	t.Helper()
	opt := store.Options{Dir: t.TempDir(), Signer: Signer(t), MemTableBytes: badgerdb.MinMemTableBytes}
	for _, change := range options {
		change(&opt)
	}
	if err := store.Create(opt, "shop.example.com", Began); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		Verify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Verify checks the log against its entries, exports it and verifies the copy.
func Verify(t testing.TB, s *store.Store) {
	t.Helper()
	p := s.Snapshot()
	defer p.Release()
	if _, err := p.Check(nil); err != nil {
		t.Errorf("the log of this test: %v", err)
		return
	}
	dir, err := os.MkdirTemp("", "testledger-*")
	if err != nil {
		t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := p.Export(dir); err != nil {
		t.Errorf("the log of this test: %v", err)
		return
	}
	if rep := VerifyDir(t, dir); rep.Size != p.Size() {
		t.Errorf("the copy has %d entries, the log %d", rep.Size, p.Size())
	}
}

// VerifyDir verifies an exported log under the keys of its own trust.keys: a
// test cannot be given other keys by its own ledger.
func VerifyDir(t testing.TB, dir string) *ledger.LogReport {
	t.Helper()
	keys, err := os.ReadFile(filepath.Join(dir, "trust.keys"))
	if err != nil {
		t.Errorf("verifying the log: %v", err)
		return &ledger.LogReport{}
	}
	policy, err := policyOf(keys)
	if err != nil {
		t.Errorf("verifying the log: trust.keys: %v", err)
		return &ledger.LogReport{}
	}
	// Not the test's context: that is canceled before its cleanups run.
	rep, err := ledger.VerifyLog(context.Background(), Dir(dir), ledger.VerifyOptions{Policy: policy, Keys: keys})
	if err != nil {
		t.Errorf("verifying the log: %v", err)
	}
	return rep
}

func policyOf(keys []byte) (*ledger.Policy, error) {
	ring, err := ledger.ParseKeyRing(keys)
	if err != nil {
		return nil, err
	}
	return ledger.ParsePolicy(ledger.NewPolicy(ring.Entries()[0].Keys))
}

// Dir reads an exported log.
type Dir string

// ReadPath implements [ledger.LogReader].
func (d Dir) ReadPath(_ context.Context, path string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(d), filepath.FromSlash(path)))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ledger.ErrMissing, err)
	}
	return b, err
}
