package history_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/history"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

func sign(t testing.TB, signer *ledger.Signer, size ledger.Size, root ledger.Hash) []byte {
	t.Helper()
	b, err := signer.SignCheckpoint(ledger.Checkpoint{Origin: signer.Origin(), Size: size, Root: root}, 1_790_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func line(t testing.TB, signed []byte) []byte {
	t.Helper()
	l, err := ledger.CheckpointLine(signed)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(l)
}

// rotated makes a log of 30 entries whose keys were rotated with entry 20, and gives
// both pairs.
func rotated(t testing.TB) (s *store.Store, old, next *ledger.Signer) {
	t.Helper()
	s = testledger.New(t)
	old = testledger.Signer(t)
	next, err := ledger.NewSigner(testledger.Origin, sha256.Sum256([]byte("next 1")), sha256.Sum256([]byte("next 2")))
	if err != nil {
		t.Fatal(err)
	}
	testledger.Fill(t, s, 19)
	g, err := s.Begin()
	if err == nil {
		_, err = g.Rotate(g.Last(), "admin", next)
	}
	if err == nil {
		err = g.Commit(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	testledger.Fill(t, s, 9)
	if _, size := s.Checkpoint(); size != 30 {
		t.Fatalf("%d entries", size)
	}
	return s, old, next
}

// TestFind is the table of what somebody may have kept of a log whose keys were rotated.
func TestFind(t *testing.T) {
	s, old, next := rotated(t)
	at := func(size ledger.Size) ledger.Hash {
		root, err := s.RootAt(size)
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	stranger, err := ledger.NewSigner(testledger.Origin, [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	other := ledger.Hash{1}
	for _, c := range []struct {
		name   string
		signer *ledger.Signer
		size   ledger.Size
		root   ledger.Hash
		place  history.Place // "" where it was not signed by the log
		keys   bool          // by keys that the log does not know
	}{
		{"none", old, 0, at(0), history.Contained, false},
		{"the first", old, 1, at(1), history.Contained, false},
		{"the last of the old keys", old, 20, at(20), history.Contained, false},
		{"the first of the new ones", next, 21, at(21), history.Contained, false},
		{"the newest", next, 30, at(30), history.Contained, false},
		{"other entries", old, 15, other, history.Diverged, false},
		{"the newest, other entries", next, 30, other, history.Diverged, false},
		{"one more", next, 31, other, history.Ahead, false},
		{"many more", next, 1 << 50, other, history.Ahead, false},
		{"retired keys, of later", old, 21, at(21), "", false},
		{"retired keys, ahead", old, 31, other, "", false},
		{"new keys, of before", next, 20, at(20), "", false},
		{"unknown keys", stranger, 20, at(20), "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			note := sign(t, c.signer, c.size, c.root)
			kept, err := history.Open(s, note)
			if c.place == "" {
				if err == nil || errors.Is(err, history.ErrLog) || errors.Is(err, history.ErrKeys) != c.keys {
					t.Errorf("%v, %v", kept, err)
				}
				if err := history.Against(s, note); err != nil {
					t.Errorf("it shows %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f, err := history.Find(s, kept.Checkpoint)
			if err != nil || f.Place != c.place || f.Kept != kept.Checkpoint || f.Size != 30 {
				t.Errorf("%+v, %v", f, err)
			}
			if c.place != history.Ahead && f.Root != at(c.size) {
				t.Errorf("the log's root is %v", f.Root)
			}
			// Retired keys prove nothing any more: they may have been stolen.
			proves := c.place != history.Contained && c.signer == next
			if (f.Err() == nil) != (c.place == history.Contained) || (history.Against(s, note) != nil) != proves {
				t.Errorf("it shows %v and %v", f.Err(), history.Against(s, note))
			}
			// The one-line form finds the same, and proves nothing by itself.
			if k, err := history.Open(s, line(t, note)); err != nil || k.Checkpoint != kept.Checkpoint {
				t.Errorf("the line: %v, %v", k, err)
			}
			if err := history.Against(s, line(t, note)); err != nil {
				t.Errorf("the line proves %v", err)
			}
		})
	}
}

// unreadable is a log whose disk fails.
type unreadable struct{ *store.Store }

func (unreadable) RootAt(ledger.Size) (ledger.Hash, error) {
	return ledger.Hash{}, errors.New("the disk")
}

type keyless struct{ *store.Store }

func (keyless) Keys() ([]byte, error) { return nil, errors.New("the disk") }

// TestUnreadable: a fault of the disk is no verdict.
func TestUnreadable(t *testing.T) {
	s, _, next := rotated(t)
	note := sign(t, next, 25, ledger.Hash{1})
	if _, err := history.Open(keyless{s}, note); !errors.Is(err, history.ErrLog) {
		t.Error(err)
	}
	if _, err := history.Find(unreadable{s}, ledger.Checkpoint{Size: 25}); !errors.Is(err, history.ErrLog) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), history.CosignedName)
	if err := os.WriteFile(file, note, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, log := range []history.Log{keyless{s}, unreadable{s}} {
		if err := history.Against(log, note); err != nil {
			t.Error(err)
		}
		if reason, err := history.CheckFile(log, file); reason != nil || !errors.Is(err, history.ErrLog) {
			t.Errorf("%v, %v", reason, err)
		}
	}
}

// TestCheckDir: either file is enough.
func TestCheckDir(t *testing.T) {
	s, _, next := rotated(t)
	good, _ := s.Checkpoint()
	bad := sign(t, next, 31, ledger.Hash{1})
	for _, c := range []struct {
		files map[string][]byte
		want  string
	}{
		{nil, ""},
		{map[string][]byte{history.CosignedName: good, history.AnchoredName: good}, ""},
		{map[string][]byte{history.CosignedName: bad}, "the checkpoint in cosigned.checkpoint proves it: the log has signed 31 entries and holds 30"},
		{map[string][]byte{history.CosignedName: good, history.AnchoredName: bad}, "the checkpoint in anchored.checkpoint proves it: the log has signed 31 entries and holds 30"},
		{map[string][]byte{"another.checkpoint": bad}, ""},
	} {
		dir := t.TempDir()
		for name, content := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		reason, err := history.CheckDir(s, dir)
		if err != nil || (reason == nil) != (c.want == "") || reason != nil && !strings.Contains(reason.Error(), c.want) {
			t.Errorf("%v, %v; want %q", reason, err, c.want)
		}
	}
}
