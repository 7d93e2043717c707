package store_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// stateTester asks for the state of consents and derives it from the entries alone.
type stateTester struct {
	*derivedLog
	policy *ledger.Policy
	rnd    *rand.Rand
}

func newStateTester(t *testing.T) *stateTester {
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(testledger.Signer(t).Keys()))
	if err != nil {
		t.Fatal(err)
	}
	return &stateTester{newDerivedLog(t), policy, rand.New(rand.NewPCG(7, 8))}
}

// commit commits a group of n entries of grow's history, with the state in it: before
// them, behind them, or, if at is n+1, not at all.
func (s *stateTester) commit(n, at int) {
	s.Helper()
	g := begin(s, s.s)
	s.append(g, n, at)
	if err := g.Commit(nil); err != nil {
		s.Fatal(err)
	}
}

func (s *stateTester) append(g *store.Group, n, at int) {
	s.Helper()
	for i := range n + 1 {
		if i == at {
			if err := g.CommitState(g.Last()); err != nil {
				s.Fatal(err)
			}
			if newest, ok := g.Committed(); !ok || newest != g.Next()-1 {
				s.Fatalf("the newest state is entry %d, %v, of %d", newest, ok, g.Next())
			}
		}
		if i < n {
			grow(s, g, 1)
			if s.rnd.IntN(8) == 0 {
				s.changeIn(g)
			}
		}
	}
}

// change changes one consent in a group of its own.
func (s *stateTester) change() {
	s.Helper()
	g := begin(s, s.s)
	s.changeIn(g)
	if err := g.Commit(nil); err != nil {
		s.Fatal(err)
	}
}

// changeIn withdraws, erases or restricts one of all consents, if the rules let it.
func (s *stateTester) changeIn(g *store.Group) {
	s.Helper()
	if _, ok, err := g.Source("desk"); err != nil || !ok {
		s.Fatal(ok, err)
	}
	for range 100 {
		// testledger goes on with the newest.
		c, ok, err := g.Consent(ledger.ConsentID(s.rnd.IntN(max(1, int(g.Size())-8))))
		if err != nil {
			s.Fatal(err)
		} else if !ok {
			continue
		}
		links := []ledger.Link{{Consent: c.ID, After: c.Last}}
		e := []*ledger.Entry{
			{Kind: ledger.ConsentWithdrawn, Source: "shop", Consents: links},
			{Kind: ledger.RestrictionSet, Source: "desk", Consents: links},
			{Kind: ledger.RestrictionLifted, Source: "desk", Consents: links},
			erased(c.ID, c.Last),
		}[s.rnd.IntN(4)]
		if _, err := g.Append(g.Last(), e); err == nil {
			return
		}
	}
}

// check asks for the state of every index of the log and holds each answer to what
// the public verifier makes of the entries.
func (s *stateTester) check() {
	s.Helper()
	p := s.s.Snapshot()
	defer p.Release()
	at, committed := p.Committed()
	was := ledger.NewReplay()
	newest := ledger.Index(-1)
	err := p.Entries(0, int(p.Size()), func(i ledger.Index, text []byte) error {
		e, err := ledger.ParseEntry(text)
		if err != nil {
			return err
		}
		if e.Kind == ledger.StateCommitted {
			newest = i
		}
		if i < at {
			_, err = was.Add(e, ledger.LeafHash(text))
		}
		return err
	})
	if err != nil || committed != (newest >= 0) || committed && newest != at {
		s.Fatalf("the newest state is entry %d, %v, want %d (%v)", at, committed, newest, err)
	}
	for id := range ledger.ConsentID(p.Size()) {
		want, then, _ := was.Consent(id)
		is, now, err := p.Consent(id)
		if err != nil {
			s.Fatal(err)
		}
		got, err := p.ConsentState(id)
		switch {
		case !now:
			if !errors.Is(err, store.ErrNotFound) {
				s.Fatalf("entry %d opened nothing: %v", id, err)
			}
		case !then:
			if !errors.Is(err, store.ErrNotCommitted) {
				s.Fatalf("consent %d is newer than entry %d: %v", id, at, err)
			}
		case err != nil:
			s.Fatalf("consent %d as of entry %d: %v", id, at, err)
		default:
			if s.verify(got, want, id%16 == 0); got.Newest != is.Last {
				s.Fatalf("consent %d was changed last by entry %d, not %d", id, is.Last, got.Newest)
			}
		}
	}
	for _, id := range []ledger.ConsentID{-1, ledger.ConsentID(p.Size()), 1 << 40} {
		if _, err := s.s.ConsentState(id); !errors.Is(err, store.ErrNotFound) {
			s.Errorf("consent %d: %v", id, err)
		}
	}
}

func (s *stateTester) verify(got *store.ConsentState, want ledger.Consent, receipt bool) {
	s.Helper()
	e, err := ledger.ParseEntry(got.Committed)
	if err != nil {
		s.Fatal(err)
	}
	p, err := ledger.VerifyStateProof(got.Proof.Text(), e)
	if err != nil || p.Consent != want.ID || p.Last != want.Last || p.State != want.State || p.Overlays != want.Overlays {
		s.Fatalf("consent %d: %+v, want %+v (%v)", want.ID, p, want, err)
	}
	if receipt {
		if _, err := ledger.VerifyReceipt(got.Receipt.Text(), got.Committed, s.policy, nil); err != nil {
			s.Fatal(err)
		}
	}
}

// TestConsentState proves every consent of a growing log after each change: as of the
// newest state that was committed, whatever came later, whatever was given up, and
// also after the log was opened anew.
func TestConsentState(t *testing.T) {
	store.Warm(t, nil)
	s := newStateTester(t)
	s.check() // nothing is committed
	s.commit(0, 0)
	s.check()
	for round := range 9 {
		n := 40 + s.rnd.IntN(80)
		s.commit(n, s.rnd.IntN(n+1)) // somewhere in a group
		s.check()
		for range 5 {
			s.change()
		}
		s.commit(n, n+1)
		s.check()
		// A group that is given up, with a state in it and changes of old consents.
		g := begin(t, s.s)
		s.append(g, n, n/2)
		g.Discard()
		s.check()
		if round%3 == 1 {
			s.reopen()
			s.check()
			s.change()
			s.check()
		}
	}
}

// TestCommitStateOfGroup: what a group changes is in the state that it commits, and is
// not in the next one's if the group was given up. Nothing else has changed.
func TestCommitStateOfGroup(t *testing.T) {
	s := newStateTester(t)
	testledger.Fill(t, s.s, 700)
	s.commit(0, 0)
	for _, id := range s.ids[:2] {
		for _, keep := range []bool{false, true} {
			g := begin(t, s.s)
			c, _, err := g.Consent(id)
			if err == nil {
				_, err = g.Append(g.Last(), &ledger.Entry{Kind: ledger.ConsentWithdrawn, Source: "shop", Consents: []ledger.Link{{Consent: id, After: c.Last}}})
			}
			if err == nil {
				err = g.CommitState(g.Last())
			}
			if err != nil {
				t.Fatal(err)
			}
			if !keep {
				g.Discard()
				testledger.Fill(t, s.s, 1)
				s.commit(0, 0)
			} else if err := g.Commit(nil); err != nil {
				t.Fatal(err)
			}
			got, err := s.s.ConsentState(id)
			if err != nil || (got.Proof.State == ledger.Withdrawn) != keep {
				t.Fatalf("consent %d, kept %v: %+v, %v", id, keep, got, err)
			}
		}
	}
	s.check()
}

// TestCommitStateTwice: what is committed is not committed again.
func TestCommitStateTwice(t *testing.T) {
	s := newStateTester(t)
	s.commit(0, 0)
	n := size(s.s)
	g := begin(t, s.s)
	for range 3 {
		if err := g.CommitState(g.Last()); err != nil || g.Count() != 0 {
			t.Fatalf("%d entries, %v", g.Count(), err)
		}
	}
	grow(t, g, 2)
	for range 3 {
		if err := g.CommitState(g.Last()); err != nil || g.Count() != 3 {
			t.Fatalf("%d entries, %v", g.Count(), err)
		}
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	if at, ok := g.Committed(); !ok || ledger.Size(at) != n+2 {
		t.Errorf("the newest is entry %d, %v", at, ok)
	}
	s.check()
}

// TestConsentStateOfDamage: where the rows of consents are not what the entries lead
// to, nobody is given a proof.
func TestConsentStateOfDamage(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		s := newStateTester(t)
		s.commit(300, 300)
		s.flip(s.ids[0])
		if reopen {
			s.reopen()
		}
		for _, id := range s.ids[:2] { // itself, and the one beside it
			if got, err := s.s.ConsentState(id); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("opened anew %v: consent %d: %+v, %v", reopen, id, got, err)
			}
		}
		s.flip(s.ids[0])
		s.check()
	}
}

// flip inverts a bit in the state of a consent's row, where the next snapshot sees it.
func (s *stateTester) flip(id ledger.ConsentID) {
	s.Helper()
	if err := s.s.DB().Update(flipByte("", store.ConsentKey(id), 16).change); err != nil {
		s.Fatal(err)
	}
	s.commit(1, 2)
}

// TestConsentStateWhileWriting asks while groups with and without states are
// committed.
func TestConsentStateWhileWriting(t *testing.T) {
	s := newStateTester(t)
	s.commit(300, 300)
	store.Warm(t, nil)
	s.reopen()
	done := make(chan struct{})
	failed := make(chan error, 2)
	for range 2 {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					failed <- nil
					return
				default:
				}
				got, err := s.s.ConsentState(s.ids[i%3])
				if err == nil {
					var e *ledger.Entry
					if e, err = ledger.ParseEntry(got.Committed); err == nil {
						_, err = ledger.VerifyStateProof(got.Proof.Text(), e)
					}
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	for i := range 20 {
		s.change()
		s.commit(30, 31-i%2)
		time.Sleep(time.Millisecond)
	}
	close(done)
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
