package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// pair gives the n-th pair of keys of the log; the first is testledger's.
func pair(t testing.TB, n int) *ledger.Signer {
	t.Helper()
	if n == 1 {
		return testledger.Signer(t)
	}
	s, err := ledger.NewSigner(testledger.Origin, sha256.Sum256(fmt.Append(nil, "ed25519 ", n)), sha256.Sum256(fmt.Append(nil, "ml-dsa-44 ", n)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rotate makes a pair the log's, in a group that has entries before and behind it.
func rotate(t testing.TB, g *store.Group, next *ledger.Signer) ledger.Index {
	t.Helper()
	list, err := g.Rotate(g.Last().Add(time.Millisecond), "admin", next)
	if err != nil {
		t.Fatal(err)
	}
	return list[len(list)-1].Entry.Index
}

// rotated commits a group that brings in a pair amid other entries.
func rotated(t testing.TB, s *store.Store, next *ledger.Signer) ledger.Index {
	t.Helper()
	g := begin(t, s)
	grow(t, g, 3)
	at := rotate(t, g, next)
	grow(t, g, 3)
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	return at
}

// policyOf gives the policy that trusts a pair alone.
func policyOf(t testing.TB, s *ledger.Signer) *ledger.Policy {
	t.Helper()
	p, err := ledger.ParsePolicy(ledger.NewPolicy(s.Keys()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signedBy checks that exactly this pair signed the newest checkpoint.
func signedBy(t testing.TB, s *store.Store, want *ledger.Signer) {
	t.Helper()
	signed, size := s.Checkpoint()
	if _, err := ledger.OpenCheckpoint(signed, policyOf(t, want)); err != nil {
		t.Errorf("the checkpoint of %d entries: %v", size, err)
	}
	if n := bytes.Count(signed, []byte("\n— ")); n != 2 {
		t.Errorf("the checkpoint of %d entries has %d signatures", size, n)
	}
}

// TestRotate rotates twice. Whatever was signed at any time verifies under the first
// policy with the log's key entries, and under a later one what was signed since; the
// log opens with the pair in force.
func TestRotate(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	var receipts []*ledger.Receipt
	keep := func() {
		p := s.Snapshot()
		defer p.Release()
		r, err := p.Receipt(ledger.Index(p.Size()) - 1)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	keep()
	var at []ledger.Index
	for n := 2; n <= 3; n++ {
		signedBy(t, s, pair(t, n-1))
		at = append(at, rotated(t, s, pair(t, n)))
		signedBy(t, s, pair(t, n))
		keep()
		testledger.Fill(t, s, 300)
		signedBy(t, s, pair(t, n))
		keep()
	}
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := ledger.ParseKeyRing(keys)
	if err != nil || len(ring.Entries()) != 3 || ring.Entries()[1].Index != at[0] || ring.Entries()[2].Index != at[1] {
		t.Errorf("key entries %v, %v; want 0 and %v", ring, err, at)
	}
	for n := 1; n <= 3; n++ {
		for _, r := range receipts {
			entry, err := s.EntryPage(r.Index, 1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ledger.VerifyReceipt(r.Text(), entry[0], policyOf(t, pair(t, n)), keys)
			if known := n == 1 || r.Index >= at[n-2]; known != (err == nil) || err != nil && !errors.Is(err, ledger.ErrPolicy) {
				t.Errorf("pair %d, entry %d: %v", n, r.Index, err)
			}
		}
	}
	testledger.Verify(t, s)
	closeStore(t, s)
	opensWith(t, opt, pair(t, 3), nil, true)
	opensWith(t, opt, pair(t, 2), pair(t, 3), true)
	opensWith(t, opt, pair(t, 3), pair(t, 4), true) // a rotation that never came
	opensWith(t, opt, pair(t, 1), nil, false)
	opensWith(t, opt, pair(t, 2), nil, false)
	opensWith(t, opt, pair(t, 1), pair(t, 2), false)
	opensWith(t, opt, pair(t, 4), nil, false)
}

// opensWith checks whether a log whose newest pair is the third opens with these.
func opensWith(t *testing.T, opt store.Options, signer, next *ledger.Signer, want bool) {
	t.Helper()
	opt.Signer, opt.Next = signer, next
	before := content(t, opt.Dir)
	s, err := store.Open(opt)
	if !want {
		if err == nil || !strings.Contains(err.Error(), "signing keys") || !sameContent(before, content(t, opt.Dir)) {
			t.Errorf("opened with keys that are not in force: %v, or changed", err)
		}
		if err == nil {
			closeStore(t, s)
		}
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	signedBy(t, s, pair(t, 3))
	testledger.Fill(t, s, 1)
	signedBy(t, s, pair(t, 3))
	closeStore(t, s)
}

// TestRotationRefused: whatever would leave a log that nobody can follow.
func TestRotationRefused(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	rotated(t, s, pair(t, 2))
	foreign, err := ledger.NewSigner("ledger.example.com/other", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	half, err := ledger.NewSigner(testledger.Origin, sha256.Sum256([]byte("test ed25519")), [32]byte{2}) // the Ed25519 key of the first
	if err != nil {
		t.Fatal(err)
	}
	g := begin(t, s)
	for name, next := range map[string]*ledger.Signer{
		"the pair in force": pair(t, 2), "the first pair": pair(t, 1), "a key of the first pair": half, "another origin": foreign,
	} {
		if _, err := g.Rotate(g.Last(), "admin", next); err == nil {
			t.Errorf("%s: rotated", name)
		}
	}
	var refused *ledger.RuleError
	for _, source := range []string{"shop", ledger.SourceLedger, "nobody"} {
		if _, err := g.Rotate(g.Last(), source, pair(t, 3)); !errors.As(err, &refused) {
			t.Errorf("rotated by %s: %v", source, err)
		}
	}
	declare := &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "admin", Role: "admin"}
	if _, err := g.Rotate(g.Last(), "admin", pair(t, 3), declare); !errors.As(err, &refused) {
		t.Errorf("rotated behind an entry that is refused: %v", err)
	}
	if g.Count() != 0 {
		t.Fatalf("refused, and %d entries were taken", g.Count())
	}
	declare = &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "second", Role: "admin"}
	if list, err := g.Rotate(g.Last(), "second", pair(t, 3), declare); err != nil || len(list) != 2 || list[1].Entry.Kind != ledger.KeyRotated {
		t.Errorf("rotated by a source that is declared before: %v, %v", list, err)
	}
	if _, err := g.Rotate(g.Last(), "admin", pair(t, 4)); err == nil {
		t.Error("rotated twice in one group")
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	signedBy(t, s, pair(t, 3))
	testledger.Verify(t, s)
	closeStore(t, s)
}

// TestRotationDiscarded: a group that is given up leaves the pair as it was.
func TestRotationDiscarded(t *testing.T) {
	s := open(t, options(t))
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	rotate(t, g, pair(t, 2))
	g.Discard()
	testledger.Fill(t, s, 3)
	signedBy(t, s, pair(t, 1))
	testledger.Verify(t, s)
	closeStore(t, s)
}

// TestKeyEntryWithoutRotate: a key.rotated that was merely appended is not signed for.
func TestKeyEntryWithoutRotate(t *testing.T) {
	s := open(t, options(t))
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	e, err := ledger.Rotate(pair(t, 1), pair(t, 2), 0, g.Next(), g.Head())
	if err != nil {
		t.Fatal(err)
	}
	e.Source = "admin"
	if _, err := g.Append(g.Last(), e); err != nil {
		t.Fatal(err)
	}
	if err := g.Commit(nil); err == nil || !strings.Contains(err.Error(), "without Rotate") {
		t.Errorf("committed: %v", err)
	}
	closeStore(t, s)
}

// TestMostRotations: the log refuses the rotation that its trust.keys has no room for.
func TestMostRotations(t *testing.T) {
	if testing.Short() {
		t.Skip("256 commits, and verifying 256 rotations")
	}
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, 1)
	for n := 2; n <= ledger.MaxKeyEntries; n++ {
		g := begin(t, s)
		rotate(t, g, pair(t, n))
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	g := begin(t, s)
	if _, err := g.Rotate(g.Last(), "admin", pair(t, ledger.MaxKeyEntries+1)); !errors.Is(err, store.ErrKeyEntries) {
		t.Errorf("one rotation too many: %v", err)
	}
	g.Discard()
	testledger.Verify(t, s)
	closeStore(t, s)
	opt.Signer = pair(t, ledger.MaxKeyEntries)
	closeStore(t, open(t, opt))
}

// TestReceiptsOfRetiredKeys: nobody can sign a checkpoint of a size from before a
// rotation any more, but what was signed then still counts.
func TestReceiptsOfRetiredKeys(t *testing.T) {
	s := open(t, options(t))
	testledger.Fill(t, s, 20)
	old, size := s.Checkpoint()
	at := rotated(t, s, pair(t, 2))
	_, newest := s.Checkpoint()
	for n := ledger.Size(1); n <= newest; n++ {
		r, _, err := s.Receipt(0, n)
		if n <= ledger.Size(at) {
			if !errors.Is(err, store.ErrRetired) || !strings.Contains(err.Error(), fmt.Sprint("entry ", at)) {
				t.Errorf("size %d: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("size %d: %v", n, err)
		} else if _, err := ledger.OpenCheckpoint(r.Checkpoint, policyOf(t, pair(t, 2))); err != nil {
			t.Errorf("size %d: %v", n, err)
		}
	}
	r, leaf, err := s.ReceiptWith(3, size, old)
	entry, pageErr := s.EntryPage(3, 1)
	if err = errors.Join(err, pageErr); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.VerifyReceipt(r.Text(), entry[0], policyOf(t, pair(t, 1)), nil); err != nil || leaf != ledger.LeafHash(entry[0]) {
		t.Errorf("a receipt with the checkpoint of then: %v", err)
	}
	testledger.Verify(t, s)
	closeStore(t, s)
}

// TestRotationSteps is the table of [TestCommitSteps] for a group that rotates. When
// the log is opened again with both pairs, the one in force signs; while it has the
// group, the old pair alone opens it no more.
func TestRotationSteps(t *testing.T) {
	t.Setenv(childRotates, "yes")
	for i, step := range store.Steps {
		for _, way := range []string{"error", "kill", "copy"} {
			t.Run(step+", "+way, func(t *testing.T) {
				opt := options(t)
				s := open(t, opt)
				fill(t, s, acknowledged-1)
				signedBefore, _ := s.Checkpoint()
				opt = endRotation(t, opt, s, step, way)
				opt.Signer, opt.Next = pair(t, 1), pair(t, 2)
				there := i > 0 // the database had the group before the fault
				if there {
					before := content(t, opt.Dir)
					if s, err := store.Open(store.Options{Dir: opt.Dir, Signer: pair(t, 1), MemTableBytes: badgerdb.MinMemTableBytes}); err == nil {
						t.Error("opened with retired keys")
						closeStore(t, s)
					} else if !sameContent(before, content(t, opt.Dir)) {
						t.Error("refused, and files were changed")
					}
				}
				s = open(t, opt)
				if there {
					signedBy(t, s, pair(t, 2))
				} else {
					signedBy(t, s, pair(t, 1))
				}
				if n := size(s); (n > acknowledged) != there || there && n != acknowledged+7 {
					t.Errorf("%d entries", n)
				}
				keys, err := s.Keys()
				if err != nil {
					t.Fatal(err)
				}
				if p, err := policyOf(t, pair(t, 1)).WithKeys(keys); err != nil {
					t.Error(err)
				} else if _, err := ledger.OpenCheckpoint(signedBefore, p); err != nil {
					t.Error(err)
				}
				testledger.Verify(t, s)
				testledger.Fill(t, s, groupSize)
				if !there {
					rotated(t, s, pair(t, 2))
				}
				closeStore(t, s)
				s = open(t, store.Options{Dir: opt.Dir, Signer: pair(t, 2), MemTableBytes: badgerdb.MinMemTableBytes})
				testledger.Verify(t, s)
				closeStore(t, s)
			})
		}
	}
}

// endRotation lets a group that rotates end at a step, and gives what is left.
func endRotation(t *testing.T, opt store.Options, s *store.Store, step, way string) store.Options {
	t.Helper()
	if way == "kill" {
		closeStore(t, s)
		cmd, lines := startChild(t, opt.Dir, step)
		if lines.Scan() {
			t.Errorf("a commit was acknowledged: %s", lines.Text())
		}
		waitKilled(t, cmd)
		return opt
	}
	left, fault := opt, errors.New("the disk has a fault")
	s.AtStep(func(at string) error {
		switch {
		case at != step:
		case way == "error":
			return fault
		default:
			left.Dir = copyLog(t, opt.Dir)
		}
		return nil
	})
	g := begin(t, s)
	grow(t, g, 3)
	rotate(t, g, pair(t, 2))
	grow(t, g, 3)
	if err := g.Commit(nil); (err != nil) != (way == "error") {
		t.Errorf("the commit's error is %v", err)
	}
	if way == "error" {
		signedBy(t, s, pair(t, 1)) // readers see the log as it was
	}
	closeStore(t, s)
	return left
}

// TestKeyRowsDamaged: key rows that are not what the entries say.
func TestKeyRowsDamaged(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	first, second := rotated(t, s, pair(t, 2)), rotated(t, s, pair(t, 3))
	closeStore(t, s)
	opt.Signer = pair(t, 3)
	for _, c := range []tampering{
		remove("the newest is missing", store.KeyEntryKey(second)),
		remove("one in the middle is missing", store.KeyEntryKey(first)),
		set("one too many", store.KeyEntryKey(first+1), []byte{}),
		set("one beyond the end", store.KeyEntryKey(second+1000), []byte{}),
	} {
		t.Run(c.name, func(t *testing.T) {
			damaged := opt
			damaged.Dir = copyLog(t, opt.Dir)
			db, err := badgerdb.Open(badgerdb.Options{Dir: filepath.Join(damaged.Dir, "log"), Compress: true, MemTableBytes: badgerdb.MinMemTableBytes})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(func(txn *badger.Txn) error { return c.change(txn) }), db.Close()); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(damaged)
			if err == nil { // then looking through the entries tells
				p := s.Snapshot()
				_, err = p.Check(nil)
				p.Release()
				closeStore(t, s)
			}
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%v, want ErrDamaged", err)
			}
		})
	}
}

// TestRotatedLogFromOlderCopies puts parts of a log from before a rotation back.
func TestRotatedLogFromOlderCopies(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, 10)
	closeStore(t, s)
	older := copyLog(t, opt.Dir)
	s = open(t, opt)
	rotated(t, s, pair(t, 2))
	testledger.Fill(t, s, 10)
	closeStore(t, s)

	now := opt
	now.Signer = pair(t, 2)
	head, err := os.ReadFile(filepath.Join(older, "head"))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := os.ReadFile(filepath.Join(opt.Dir, "head"))
	if err != nil {
		t.Fatal(err)
	}
	both := now
	both.Signer, both.Next = pair(t, 1), pair(t, 2)
	writeHead(t, both, head)
	refused(t, both, "the head file 11", "restored from a backup")
	writeHead(t, now, newer)

	before := content(t, older)
	if s, err := store.Open(store.Options{Dir: older, Signer: pair(t, 2), MemTableBytes: badgerdb.MinMemTableBytes}); err == nil || !strings.Contains(err.Error(), "from the same time") {
		t.Errorf("a log from before the rotation, with the keys of now: %v", err)
		if err == nil {
			closeStore(t, s)
		}
	}
	if !sameContent(before, content(t, older)) {
		t.Error("refused, and files were changed")
	}
	lost := store.Options{Dir: older, Signer: pair(t, 2), MemTableBytes: badgerdb.MinMemTableBytes}
	writeHead(t, lost, newer) // the database has lost the rotation
	refused(t, lost, "are lost")
}

// TestHeadByTheOtherPair: the head file counts only if the pair in force at its very
// size signed it, whoever else of the log did.
func TestHeadByTheOtherPair(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, 10)
	sign := func(by *ledger.Signer) []byte {
		t.Helper()
		p := s.Snapshot()
		defer p.Release()
		signed, err := by.SignCheckpoint(ledger.Checkpoint{Origin: testledger.Origin, Size: p.Size(), Root: p.Root()}, testledger.Began.Unix())
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	heads := map[bool][2][]byte{false: {sign(pair(t, 1)), sign(pair(t, 2))}}
	g := begin(t, s)
	rotate(t, g, pair(t, 2)) // first in its group: its index is the size before
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	heads[true] = [2][]byte{sign(pair(t, 1)), sign(pair(t, 2))}
	closeStore(t, s)
	opt.Next = pair(t, 2)
	for after, signed := range heads {
		for n, head := range signed {
			dir := opt
			dir.Dir = copyLog(t, opt.Dir)
			if err := store.WriteHead(dir.Dir, head); err != nil {
				t.Fatal(err)
			}
			if right := after == (n == 1); !right {
				refused(t, dir, "keys that are not in force there")
				continue
			}
			s := open(t, dir)
			signedBy(t, s, pair(t, 2))
			testledger.Verify(t, s)
			closeStore(t, s)
		}
	}
}
