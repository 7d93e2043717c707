package history_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// FuzzOpen: a log takes for its own what it signed, in either form, and nothing else;
// and what lies in its directory never makes an error of another log's.
func FuzzOpen(f *testing.F) {
	s, old, next := rotated(f)
	root, err := s.RootAt(12)
	if err != nil {
		f.Fatal(err)
	}
	newest, _ := s.Checkpoint()
	early := sign(f, old, 12, root)
	for _, b := range [][]byte{newest, early, line(f, early), sign(f, next, 12, root), sign(f, old, 12, ledger.Hash{1}), sign(f, old, 40, root)} {
		f.Add(b)
		f.Add(append(bytes.Clone(b), "— w AAAAAAA=\n"...))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		kept, err := history.Open(s, text)
		if errors.Is(err, history.ErrLog) {
			t.Errorf("the log could not be read: %v", err)
		}
		if err == nil {
			if kept.Origin != testledger.Origin {
				t.Errorf("signed by another log: %q", kept.Origin)
			}
			f, err := history.Find(s, kept.Checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			known := kept.Size <= 30
			if known {
				root, err := s.RootAt(kept.Size)
				if err != nil {
					t.Fatal(err)
				}
				known = root == kept.Root
			}
			if known != (f.Err() == nil) {
				t.Errorf("the checkpoint of %d entries stands as %v", kept.Size, f)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, history.CosignedName), text, 0o600); err != nil {
			t.Fatal(err)
		}
		reason, fileErr := history.CheckFile(s, filepath.Join(dir, history.CosignedName))
		if reason != nil && err != nil && !errors.Is(err, history.ErrKeys) {
			t.Errorf("%q, which the log did not sign (%v), is a reason to stop: %v (%v)", text, err, reason, fileErr)
		}
	})
}
