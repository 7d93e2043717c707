package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// rule checks that an error is the violation of a rule.
func rule(t testing.TB, err error, name string) {
	t.Helper()
	var r *ledger.RuleError
	if !errors.As(err, &r) || r.Rule != name {
		t.Errorf("error is %v, want rule %s", err, name)
	}
}

// confirmed gives the entry that confirms consents with the token of the request
// at an index.
func confirmed(request ledger.Index, links ...ledger.Link) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.ConsentConfirmed, Source: "shop", Token: testledger.Token(request), Consents: links}
}

func TestAppendAllOrNone(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	grow(t, g, 2) // a request and its confirmation
	before := *g
	id := ledger.ConsentID(g.Next())
	good := testledger.Requested(ledger.Index(id))
	bad := confirmed(1000, ledger.Link{Consent: id, After: ledger.Index(id)})
	_, err := g.Append(g.Last(), good, bad)
	rule(t, err, "token")
	if g.Next() != before.Next() || g.Head() != before.Head() || g.Count() != 2 || g.Size() != before.Size() {
		t.Errorf("after a refusal the group has %d entries", g.Count())
	}
	if _, ok, err := g.Consent(id); ok || err != nil {
		t.Errorf("after a refusal there is the consent (%v)", err)
	}
	if _, ok, err := g.OpenRequest(good.Lock); ok || err != nil {
		t.Errorf("after a refusal there is the lock (%v)", err)
	}
	// Entries that the registry comes from leave no trace either.
	_, err = g.Append(g.Last(),
		&ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "desk", Role: "app"},
		&ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "desk", Role: "admin"})
	rule(t, err, "source")
	if _, ok, _ := g.Source("desk"); ok {
		t.Error("after a refusal there is the source")
	}
	// Neither an entry that cannot be written, nor a time that goes back.
	if _, err := g.Append(g.Last(), &ledger.Entry{Kind: "no.kind", Source: "shop"}); err == nil {
		t.Error("an unknown kind was appended")
	}
	if _, err := g.Append(g.Last().Add(-time.Second), testledger.Requested(g.Next())); err == nil {
		t.Error("time went back")
	}
	part := &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{5}, Part: 1, Parts: 2}
	if _, err := g.Append(g.Last(), part); err == nil {
		t.Error("half of a split list was appended")
	}
	// The same entries without the fault.
	bad.Token = testledger.Token(ledger.Index(id))
	list, err := g.Append(g.Last(), good, bad)
	if err != nil || len(list) != 2 || list[1].Entry.Index != ledger.Index(id)+1 || list[1].Entry.Prev != list[0].Leaf ||
		ledger.LeafHash(list[1].Bytes) != list[1].Leaf || g.Head() != list[1].Leaf || list[1].Effects.Changed[0].State != ledger.Confirmed {
		t.Errorf("%+v, %v", list, err)
	}
	if err := g.Commit(nil); err != nil || size(s) != 1+testledger.Prelude+4 {
		t.Errorf("%d entries, %v", size(s), err)
	}
}

func TestGroupsInTurn(t *testing.T) {
	s := testledger.New(t)
	g := begin(t, s)
	if _, err := s.Begin(); err == nil {
		t.Error("two groups at once")
	}
	grow(t, g, testledger.Prelude)
	before := content(t, s.DB().Opts().Dir)
	g.Discard()
	g.Discard()
	if err := g.Commit(nil); err == nil {
		t.Error("a group that was given up was committed")
	}
	if size(s) != 1 || s.Stopped() != nil || !sameContent(before, content(t, s.DB().Opts().Dir)) {
		t.Errorf("a group that was given up left a trace: %d entries, %v", size(s), s.Stopped())
	}
	h := begin(t, s)
	g.Discard() // not the group that is being written
	if _, err := s.Begin(); err == nil {
		t.Error("two groups at once, after an old one was given up")
	}
	grow(t, h, testledger.Prelude+3)
	if err := h.Commit(nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Commit(nil); err == nil {
			t.Error("a group was committed twice")
		}
		h.Discard()
	}
	if size(s) != 1+testledger.Prelude+3 || s.Stopped() != nil {
		t.Errorf("%d entries, %v", size(s), s.Stopped())
	}
}

func TestIdleCommitWritesNothing(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	before := content(t, opt.Dir)
	signed, _ := s.Checkpoint()
	for range 3 {
		if err := begin(t, s).Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := s.Checkpoint(); !sameContent(before, content(t, opt.Dir)) || !bytes.Equal(signed, after) {
		t.Error("a group without entries was written")
	}
	closeStore(t, s)
}

// TestCompanion commits records of a second store, with entries and without.
func TestCompanion(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	commit := func(entries int, companion []byte) {
		t.Helper()
		g := begin(t, s)
		grow(t, g, entries)
		if err := g.Commit(companion); err != nil {
			t.Fatal(err)
		}
	}
	want := func(companion string, entries ledger.Size) {
		t.Helper()
		p := s.Snapshot()
		defer p.Release()
		if string(p.Companion()) != companion || p.Size() != entries {
			t.Errorf("companion %q and %d entries, want %q and %d", p.Companion(), p.Size(), companion, entries)
		}
	}
	want("", 1)
	commit(7, []byte("one"))
	want("one", 8)
	commit(3, nil) // leaves the one that stands
	want("one", 11)
	head, _ := s.Checkpoint()
	commit(0, []byte("two"))
	want("two", 11)
	if after, _ := s.Checkpoint(); !bytes.Equal(head, after) {
		t.Error("a companion alone changed the checkpoint")
	}
	closeStore(t, s)
	s = open(t, opt)
	want("two", 11)
	commit(2, []byte("three"))
	commit(0, []byte("four"))
	closeStore(t, s)
	s = open(t, opt)
	want("four", 13)
	testledger.Verify(t, s)
	closeStore(t, s)
}

func TestFull(t *testing.T) {
	s := testledger.New(t, asServed)
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	for i := range 200 {
		declared := &ledger.Entry{Kind: ledger.ClaimDeclared, Source: "admin", Claim: fmt.Sprintf("x.claim%03d", i)}
		if _, err := g.Append(g.Last(), declared); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	for name, claims := range map[string]int{"small entries": 1, "large entries": 200} {
		t.Run(name, func(t *testing.T) {
			g := begin(t, s)
			n := 0
			for ; !g.Full(); n++ {
				e := testledger.Requested(g.Next())
				for i := 1; i < claims; i++ {
					e.Commits = append(e.Commits, ledger.Commitment{Claim: fmt.Sprintf("x.claim%03d", i), Digest: sha256.Sum256(fmt.Append(nil, i))})
				}
				if _, err := g.Append(g.Last(), e); err != nil {
					t.Fatal(err)
				}
			}
			// What is not full takes a quarter of a transaction more; this one is
			// full and must still be one.
			if err := g.Commit(nil); err != nil || n < 100 {
				t.Errorf("%d entries: %v", n, err)
			}
		})
	}
}

// TestTooBig appends at once what no transaction holds: it is refused, and the
// log goes on.
func TestTooBig(t *testing.T) {
	s := testledger.New(t, asServed)
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	list := make([]*ledger.Entry, 10_000)
	for i := range list {
		list[i] = testledger.Requested(g.Next() + ledger.Index(i))
	}
	if _, err := g.Append(g.Last(), list...); !errors.Is(err, store.ErrTooBig) {
		t.Fatalf("error is %v", err)
	}
	if g.Count() != 0 || g.Full() {
		t.Errorf("the group has %d entries", g.Count())
	}
	for _, n := range []int{1000, 2000} {
		if _, err := g.Append(g.Last(), list[n-1000:n]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Commit(nil); err != nil || s.Stopped() != nil {
		t.Errorf("%v, %v", err, s.Stopped())
	}
}

// TestSignThenAppend signs early: what is appended after must be signed too.
func TestSignThenAppend(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	g := begin(t, s)
	for range 3 {
		grow(t, g, 2)
		if err := g.Sign(); err != nil {
			t.Fatal(err)
		}
	}
	grow(t, g, 1)
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	testledger.Verify(t, s)
	closeStore(t, s)
	adopted(t, opt, 8)
}

// TestLocks uses locks and tokens as a careless or a dishonest app would. What
// the log accepts, the verifier accepts.
func TestLocks(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, testledger.Prelude)
	refuse := func(name string, now time.Time, e *ledger.Entry) {
		t.Helper()
		g := begin(t, s)
		defer g.Discard()
		_, err := g.Append(now, e)
		rule(t, err, name)
	}
	last := func() time.Time { p := s.Snapshot(); defer p.Release(); c := p.Chain(); return c.Last() }
	// One request for two consents; only the first is confirmed.
	one := testledger.Requested(5)
	two := testledger.Requested(5)
	a := ledger.ConsentID(add(t, s, one, two))
	add(t, s, confirmed(5, ledger.Link{Consent: a, After: ledger.Index(a)}))
	// A token is revealed once, for all that it shall confirm.
	refuse("token", last(), confirmed(5, ledger.Link{Consent: a + 1, After: ledger.Index(a + 1)}))
	// A lock whose token is known opens nothing any more, also right behind.
	refuse("lock_used", last(), testledger.Requested(5))
	b := ledger.ConsentID(add(t, s, testledger.Requested(8)))
	add(t, s, &ledger.Entry{Kind: ledger.ConfirmationRejected, Source: "shop", Token: testledger.Token(8), Consents: []ledger.Link{{Consent: b, After: ledger.Index(b)}}})
	refuse("lock_used", last(), testledger.Requested(8))
	// In one group as in two.
	g := begin(t, s)
	id := ledger.ConsentID(g.Next())
	e := testledger.Requested(ledger.Index(id))
	if _, err := g.Append(g.Last(), e, confirmed(ledger.Index(id), ledger.Link{Consent: id, After: ledger.Index(id)})); err != nil {
		t.Fatal(err)
	}
	_, err := g.Append(g.Last(), testledger.Requested(ledger.Index(id)))
	rule(t, err, "lock_used")
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	// An expired lock is not accepted again either.
	short := testledger.Requested(100)
	short.Expires = last().Add(time.Hour).Truncate(time.Second)
	c := ledger.ConsentID(add(t, s, short))
	refuse("token_expired", last().Add(2*time.Hour), confirmed(100, ledger.Link{Consent: c, After: ledger.Index(c)}))
	refuse("lock_used", last().Add(2*time.Hour), testledger.Requested(100))
	// A request whose expiry is recorded is closed like one whose token is known.
	later := last().Add(2 * time.Hour)
	expired := &ledger.Entry{Kind: ledger.RequestExpired, Source: ledger.SourceLedger, Lock: short.Lock, Consents: []ledger.Link{{Consent: c, After: ledger.Index(c)}}}
	refuse("not_expired", last(), expired)
	g = begin(t, s)
	if _, err := g.Append(later, expired); err != nil {
		t.Fatal(err)
	}
	_, err = g.Append(later, expired)
	rule(t, err, "token")
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	refuse("token", later, confirmed(100, ledger.Link{Consent: c, After: ledger.Index(c)}))
	refuse("lock_used", later, testledger.Requested(100))
	// What was seen can still be found: a second click wants its request.
	p := s.Snapshot()
	defer p.Release()
	for i, want := range map[ledger.Index]ledger.ConsentID{5: a, 8: b, 100: c} {
		if open, ok, err := p.OpenRequest(ledger.Lock(testledger.Token(i))); err != nil || !ok || open.Request != want {
			t.Errorf("the lock of token %d: %+v %v %v", i, open, ok, err)
		}
	}
}

// TestStateCommitted commits the state tree whenever it is due, changes consents
// of chunks that were committed before, gives groups up and opens the log anew in
// between. The verifier recomputes every root.
func TestStateCommitted(t *testing.T) {
	opt := served(t)
	opt.StateEntries, opt.StateInterval = 300, time.Hour
	s := open(t, opt)
	committed, now := 0, testledger.Began
	group := func(due bool, n int, changes ...*ledger.Entry) {
		t.Helper()
		g := begin(t, s)
		if now = now.Add(time.Second); now.Before(g.Last()) {
			now = g.Last()
		}
		if err := g.CommitStateIfDue(now); err != nil {
			t.Fatal(err)
		}
		if (g.Count() == 1) != due {
			t.Fatalf("at %d entries: state.committed is due: %v, want %v", g.Size(), g.Count() == 1, due)
		}
		committed += g.Count()
		if err := g.CommitStateIfDue(now); err != nil || g.Count() > 1 {
			t.Fatalf("twice in a group: %d, %v", g.Count(), err)
		}
		if len(changes) > 0 {
			if _, err := g.Append(g.Last(), changes...); err != nil {
				t.Fatal(err)
			}
		}
		grow(t, g, n)
		if err := g.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	group(false, 200) // too few entries
	group(false, 200)
	group(true, 400)  // no state was committed before, so the hour has passed
	group(false, 400) // entries enough, but not yet an hour
	now = now.Add(time.Hour)
	group(true, 10)
	now = now.Add(time.Hour)
	group(false, 10) // an hour, but too few entries
	withdraw := func() *ledger.Entry {
		p := s.Snapshot()
		defer p.Release()
		for id := ledger.ConsentID(5); ; id++ {
			c, ok, err := p.Consent(id)
			if err != nil {
				t.Fatal(err)
			}
			if ok && c.State == ledger.Confirmed && !c.Overlays.Has(ledger.Erased) {
				return &ledger.Entry{Kind: ledger.ConsentWithdrawn, Source: "shop", Consents: []ledger.Link{{Consent: id, After: c.Last}}}
			}
		}
	}
	group(false, 5000)
	group(true, 5000)
	for round := range 6 {
		// An old consent changes, in a group that is given up and in one that is not.
		g := begin(t, s)
		if _, err := g.Append(g.Last(), withdraw()); err != nil {
			t.Fatal(err)
		}
		g.Discard()
		group(false, 300, withdraw())
		now = now.Add(2 * time.Hour)
		if round%3 == 2 {
			closeStore(t, s)
			s = open(t, opt)
		}
		group(true, 10, withdraw())
	}
	p := s.Snapshot()
	if _, err := p.Check(nil); err != nil || committed != 9 {
		t.Errorf("%d states were committed, %v", committed, err)
	}
	dir := t.TempDir()
	if err := p.Export(dir); err != nil {
		t.Fatal(err)
	}
	p.Release()
	if rep := testledger.VerifyDir(t, dir); rep.StateRoots != int64(committed) {
		t.Errorf("the verifier saw %d state trees, %d were committed", rep.StateRoots, committed)
	}
	closeStore(t, s)
}

func TestExportRefuses(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 20)
	p := s.Snapshot()
	defer p.Release()
	dir := t.TempDir()
	if err := p.Export(dir); err != nil {
		t.Fatal(err)
	}
	testledger.VerifyDir(t, dir)
	before := content(t, dir)
	if err := p.Export(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second copy over the first: %v", err)
	}
	if !sameContent(before, content(t, dir)) {
		t.Error("files were changed")
	}
}
