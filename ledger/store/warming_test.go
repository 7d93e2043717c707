package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// TestWarming opens logs, with and without a state that was committed, and changes
// consents while they are being read: nothing waits but who asks for a state or a proof,
// and what changed meanwhile is in the next one.
func TestWarming(t *testing.T) {
	for _, committed := range []bool{false, true} {
		s := newStateTester(t)
		s.opt.StateEntries, s.opt.StateInterval = 1, 1
		testledger.Fill(t, s.s, 1200)
		if committed {
			s.commit(0, 0)
			s.change()
		}
		read := make(chan struct{})
		store.Warm(t, func(ledger.ConsentID) { <-read })
		s.reopen()
		for range 5 {
			s.change()
			g := begin(t, s.s)
			if err := g.CommitStateIfDue(time.Now()); err != nil || g.Count() != 0 {
				t.Fatalf("committed %v: a state of %d entries while the consents are read: %v", committed, g.Count(), err)
			}
			grow(t, g, 60)
			if err := g.Commit(nil); err != nil {
				t.Fatal(err)
			}
		}
		if !s.s.Warming() {
			t.Fatalf("committed %v: nothing is being read", committed)
		}
		proven := make(chan error)
		go func() {
			_, err := s.s.ConsentState(s.ids[0])
			proven <- err
		}()
		g := begin(t, s.s)
		defer g.Discard()
		state := make(chan error)
		go func() { state <- g.CommitState(g.Last()) }()
		if committed {
			select {
			case err := <-proven:
				t.Fatalf("a proof of what is not read: %v", err)
			case err := <-state:
				t.Fatalf("a state of what is not read: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
		} else if err := <-proven; !errors.Is(err, store.ErrNotCommitted) {
			t.Error(err)
		}
		close(read)
		if err := <-state; err != nil {
			t.Fatal(err)
		}
		if committed {
			if err := <-proven; err != nil {
				t.Error(err)
			}
		}
		g.Discard() // what it changed is to be read again
		s.check()
		s.commit(80, 40)
		s.check()
	}
}

// TestWarmingTakenOver: once the consents have been read, nobody reads all of them
// again, neither for a proof nor for a state.
func TestWarmingTakenOver(t *testing.T) {
	s := newStateTester(t)
	testledger.Fill(t, s.s, 1500)
	s.commit(0, 0)
	s.change()
	var list []ledger.ConsentID
	store.Warm(t, func(id ledger.ConsentID) { list = append(list, id) })
	s.reopen()
	s.s.Warmed()
	at := size(s.s)
	if len(list) < 500 || !slices.IsSorted(list) || ledger.Size(list[len(list)-1]) >= at {
		t.Fatalf("%d consents were read", len(list))
	}
	s.change() // after the reading, before anybody takes its tree over
	first := list[0]
	if err := s.s.DB().Update(flipByte("", store.ConsentKey(first), 16).change); err != nil {
		t.Fatal(err)
	}
	s.commit(1, 2) // a new snapshot, which sees the damage
	if _, err := s.s.ConsentState(s.ids[1]); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("the consent beside it: %v", err) // it is among its 256 neighbours
	}
	last := list[len(list)-1]
	if _, err := s.s.ConsentState(last); err != nil {
		t.Errorf("consent %d, far from the damage: %v", last, err)
	}
	if err := s.s.DB().Update(flipByte("", store.ConsentKey(first), 16).change); err != nil {
		t.Fatal(err)
	}
	s.commit(1, 0)
	s.check()
}

// TestWarmingEnds: a log can be closed while its consents are being read.
func TestWarmingEnds(t *testing.T) {
	s := newStateTester(t)
	testledger.Fill(t, s.s, 300)
	s.commit(0, 0)
	opened, began, count := make(chan *store.Store), make(chan struct{}, 1), 0
	store.Warm(t, func(ledger.ConsentID) {
		count++
		began <- struct{}{}
		log := <-opened
		for !log.Closing() {
			time.Sleep(time.Millisecond)
		}
	})
	s.reopen()
	<-began
	opened <- s.s
	store.Warm(t, nil)
	s.reopen()
	if count != 1 {
		t.Errorf("%d consents were read after the log was closed", count-1)
	}
	s.commit(3, 3)
	s.check()
}

// TestWarmingOfDamage: of consents that are not what was committed no state is made,
// which would be wrong for ever, until the log is opened with what it should hold.
func TestWarmingOfDamage(t *testing.T) {
	s := newStateTester(t)
	s.opt.StateEntries, s.opt.StateInterval = 1, 1
	s.commit(300, 300)
	store.Warm(t, nil)
	s.flip(s.ids[0])
	s.reopen()
	s.s.Warmed()
	s.change() // the log takes everything else
	for range 2 {
		g := begin(t, s.s)
		if err := g.CommitState(g.Last()); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("committed with %v", err)
		}
		if err := g.CommitStateIfDue(time.Now()); !errors.Is(err, store.ErrDamaged) || g.Count() != 0 {
			t.Errorf("committed %d entries with %v", g.Count(), err)
		}
		g.Discard()
	}
	if _, err := s.s.ConsentState(s.ids[1]); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a proof: %v", err)
	}
	s.flip(s.ids[0])
	s.reopen()
	s.commit(3, 3)
	s.check()
}
