package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// anchor stamps the newest checkpoint with a token of no authority.
func anchor(t testing.TB, s *store.Store, token string) *ledger.Entry {
	t.Helper()
	signed, n := s.Checkpoint()
	g := begin(t, s)
	e := &ledger.Entry{Kind: ledger.CheckpointAnchored, Source: ledger.SourceLedger, Size: n, Checkpoint: ledger.TextHash(signed),
		Stamp: ledger.TextHash([]byte(token)), Stamped: testledger.Began}
	if _, err := g.Append(g.Last(), e); err != nil {
		t.Fatal(err)
	}
	g.PutAnchor(signed, []byte(token))
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestAnchors: stamps are found by size and from the newest back, what they name is
// served and exported, also after the log was opened anew.
func TestAnchors(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	var all []*ledger.Entry
	for i := range 5 {
		testledger.Fill(t, s, 10*i+testledger.Prelude)
		all = append(all, anchor(t, s, fmt.Sprint("token ", i)))
	}
	closeStore(t, s)
	s = open(t, opt)
	defer closeStore(t, s)
	defer testledger.Verify(t, s)
	p := s.Snapshot()
	defer p.Release()
	for from, want := range map[ledger.Size][]*ledger.Entry{0: all, all[2].Size: all[2:], all[2].Size + 1: all[3:], p.Size() + 1: nil} {
		var got []ledger.Index
		err := p.Anchors(from, func(n ledger.Size, at ledger.Index) error {
			if e := all[len(all)-len(want)+len(got)]; e.Size != n || e.Index != at {
				t.Errorf("from %d on: entry %d of size %d", from, at, n)
			}
			got = append(got, at)
			return nil
		})
		if err != nil || len(got) != len(want) {
			t.Errorf("from %d on: %v, %v", from, got, err)
		}
	}
	for limit, want := range map[int]int{0: 0, 2: 2, 99: 5} {
		var got []string
		err := s.NewestAnchors(limit, func(e *ledger.Entry, token []byte) bool {
			if e.Index != all[4-len(got)].Index {
				t.Errorf("entry %d is number %d from behind", e.Index, len(got))
			}
			got = append(got, string(token))
			return true
		})
		if err != nil || !slices.Equal(got, []string{"token 4", "token 3", "token 2", "token 1", "token 0"}[:want]) {
			t.Errorf("at most %d: %q, %v", limit, got, err)
		}
	}
	seen := 0
	if err := s.NewestAnchors(99, func(*ledger.Entry, []byte) bool { seen++; return seen < 2 }); err != nil || seen != 2 {
		t.Errorf("asked to stop after 2: %d, %v", seen, err)
	}
	dir := t.TempDir()
	if err := p.Export(dir); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		for _, sum := range []ledger.Hash{e.Checkpoint, e.Stamp} {
			b, err := s.Anchor(sum)
			exported, err2 := os.ReadFile(filepath.Join(dir, ledger.AnchorPath(sum)))
			if err != nil || err2 != nil || ledger.TextHash(b) != sum || !bytes.Equal(b, exported) {
				t.Errorf("what entry %d names: %v, %v", e.Index, err, err2)
			}
			// A document of a notice is another thing.
			if _, err := s.NoticeText(sum); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a stamp is served as a notice: %v", err)
			}
		}
	}
	for _, sum := range []ledger.Hash{{}, ledger.TextHash([]byte(testledger.NoticeText))} {
		if _, err := s.Anchor(sum); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an anchor that is none: %v", err)
		}
	}
}

// TestChangedSince: what the log writes because of itself needs no stamp.
func TestChangedSince(t *testing.T) {
	opt := options(t)
	opt.StateEntries, opt.StateInterval = 1, 1
	s := open(t, opt)
	defer closeStore(t, s)
	testledger.Fill(t, s, testledger.Prelude)
	changed := func(since ledger.Size, want bool) {
		t.Helper()
		if got, err := s.ChangedSince(since); got != want || err != nil {
			t.Errorf("of %d entries, since %d: %v, %v", size(s), since, got, err)
		}
	}
	stood := size(s)
	changed(0, true)
	changed(stood, false)
	changed(99, false)
	anchor(t, s, "a")
	anchor(t, s, "b")
	changed(stood, false)
	g := begin(t, s)
	if err := g.CommitStateIfDue(g.Last().Add(1)); err != nil || g.Count() != 1 {
		t.Fatal(g.Count(), err)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	changed(stood, false)
	testledger.Fill(t, s, 1)
	anchor(t, s, "c")
	changed(stood, true)
	changed(size(s)-1, false)
}

// TestAnchorOfMoreThanThereWas: a checkpoint that holds its own stamp is none.
func TestAnchorOfMoreThanThereWas(t *testing.T) {
	s := testledger.New(t)
	g := begin(t, s)
	defer g.Discard()
	var rule *ledger.RuleError
	_, err := g.Append(g.Last(), &ledger.Entry{Kind: ledger.CheckpointAnchored, Source: ledger.SourceLedger, Size: 2, Stamped: testledger.Began,
		Checkpoint: ledger.TextHash([]byte("c")), Stamp: ledger.TextHash([]byte("t"))})
	if !errors.As(err, &rule) || rule.Rule != "size" {
		t.Errorf("got %v", err)
	}
}

// TestCheckFindsTamperedAnchors is TestCheckFindsTampering for the rows of stamps.
func TestCheckFindsTamperedAnchors(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, 20)
	e := anchor(t, s, "token")
	anchor(t, s, "another token")
	closeStore(t, s)
	other := ledger.TextHash([]byte("other"))
	for _, how := range []tampering{
		remove("no stamp by size", store.AnchorKey(e.Size, e.Index)),
		set("a stamp of another size", store.AnchorKey(e.Size-1, e.Index), []byte{}),
		set("a stamp that no entry is", store.AnchorKey(e.Size, 1), []byte{}),
		remove("no checkpoint", store.StampKey(e.Checkpoint)),
		remove("no token", store.StampKey(e.Stamp)),
		flipByte("another checkpoint", store.StampKey(e.Checkpoint), 40),
		flipByte("another token", store.StampKey(e.Stamp), 0),
		set("a token of nothing", store.StampKey(other), []byte("other")),
	} {
		victim := opt
		victim.Dir = copyLog(t, opt.Dir)
		db, err := badgerdb.Open(badgerdb.Options{Dir: victim.Dir + "/log", Compress: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(how.change), db.Close()); err != nil {
			t.Fatalf("%s: %v", how.name, err)
		}
		s := open(t, victim)
		p := s.Snapshot()
		if _, err := p.Check(nil); err == nil {
			t.Errorf("%s: nobody noticed", how.name)
		}
		p.Release()
		closeStore(t, s)
	}
	s = open(t, opt)
	testledger.Verify(t, s)
	closeStore(t, s)
}
