package store_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// derivedLog is a log that a test opens and closes as it likes.
type derivedLog struct {
	*testing.T
	opt store.Options
	s   *store.Store
	ids []ledger.ConsentID
}

// newDerivedLog begins with three requests of people of their own and a key of
// the legal team. When the test ends the log is verified and closed.
func newDerivedLog(t *testing.T) *derivedLog {
	opt := options(t)
	l := &derivedLog{T: t, opt: opt, s: open(t, opt)}
	testledger.Fill(t, l.s, testledger.Prelude)
	add(t, l.s, &ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "desk", Role: "legal"})
	for range 3 {
		id := ledger.Index(size(l.s))
		l.ids = append(l.ids, ledger.ConsentID(add(t, l.s, testledger.Requested(id))))
	}
	t.Cleanup(func() {
		testledger.Verify(t, l.s)
		closeStore(t, l.s)
	})
	return l
}

func (l *derivedLog) reopen() {
	l.Helper()
	closeStore(l, l.s)
	l.s = open(l, l.opt)
}

func (l *derivedLog) refuse(name string, e *ledger.Entry) {
	l.Helper()
	g := begin(l, l.s)
	defer g.Discard()
	_, err := g.Append(g.Last(), e)
	rule(l, err, name)
}

// erase gives the erasure of a request that nothing has changed.
func (l *derivedLog) erase(n int) *ledger.Entry { return erased(l.ids[n], ledger.Index(l.ids[n])) }

// pending checks which erasures are not carried out: of the first their keys are
// there, of the others only their existence.
func (l *derivedLog) pending(shred []ledger.Index, existence ...store.Existence) {
	l.Helper()
	p := l.s.Snapshot()
	defer p.Release()
	keys, rest, err := p.PendingErasures()
	if err != nil || !slices.Equal(keys, shred) || !slices.Equal(rest, existence) {
		l.Errorf("pending are %v and %v, want %v and %v (%v)", keys, rest, shred, existence, err)
	}
}

func TestPendingErasures(t *testing.T) {
	l := newDerivedLog(t)
	l.pending(nil)
	a := add(t, l.s, l.erase(0))
	b := add(t, l.s, l.erase(1))
	l.pending([]ledger.Index{a, b})
	l.refuse("refers", shredded(3))
	l.refuse("refers", shredded(3, a, b))
	l.refuse("refers", rekeyed(a))
	l.reopen()
	l.pending([]ledger.Index{a, b})
	first := add(t, l.s, shredded(a))
	l.refuse("refers", shredded(a))
	l.refuse("refers", shredded(a, b))
	l.refuse("refers", rekeyed(a, b))
	l.pending([]ledger.Index{b}, store.Existence{Erased: a, Shredded: first})
	l.reopen()
	l.refuse("refers", shredded(a))
	l.pending([]ledger.Index{b}, store.Existence{Erased: a, Shredded: first})
	// In one group as in several.
	g := begin(t, l.s)
	list, err := g.Append(g.Last(), l.erase(2), shredded(b, g.Next()), rekeyed(a))
	if err != nil {
		t.Fatal(err)
	}
	c, second := list[0].Entry.Index, list[1].Entry.Index
	for _, e := range []*ledger.Entry{shredded(c), rekeyed(a), rekeyed(a, b)} {
		_, err := g.Append(g.Last(), e)
		rule(t, err, "refers")
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	l.pending(nil, store.Existence{Erased: b, Shredded: second}, store.Existence{Erased: c, Shredded: second})
	add(t, l.s, rekeyed(b, c))
	l.pending(nil)
	l.refuse("refers", rekeyed(b))
	l.reopen()
	l.pending(nil)
	l.refuse("refers", rekeyed(b))
	l.refuse("refers", shredded(b))
}

// lifted gives the entry that lifts a hold.
func lifted(hold ledger.Index, about ...ledger.ConsentID) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.HoldLifted, Source: "desk", Refers: []ledger.Index{hold}, About: about}
}

// holds checks which holds are open, and how many lie on each consent.
func (l *derivedLog) holds(open []ledger.Index, on ...uint8) {
	l.Helper()
	p := l.s.Snapshot()
	defer p.Release()
	if list, err := p.OpenHolds(); err != nil || !slices.Equal(list, open) {
		l.Errorf("open holds are %v, want %v (%v)", list, open, err)
	}
	for i := range ledger.Index(p.Size()) {
		if is, err := p.Hold(i); err != nil || is != slices.Contains(open, i) {
			l.Errorf("entry %d is an open hold: %v (%v)", i, is, err)
		}
	}
	for i, want := range on {
		c, _, err := p.Consent(l.ids[i])
		if err != nil || c.Holds != want || c.Last != ledger.Index(c.ID) {
			l.Errorf("consent %+v, want %d holds and no change (%v)", c, want, err)
		}
	}
}

func TestHolds(t *testing.T) {
	l := newDerivedLog(t)
	l.holds(nil, 0, 0, 0)
	both := add(t, l.s, held(l.ids[0], l.ids[1]))
	one := add(t, l.s, held(l.ids[1]))
	l.holds([]ledger.Index{both, one}, 1, 2, 0)
	l.refuse("held", l.erase(0))
	l.refuse("refers", lifted(both, l.ids[0]))
	l.refuse("refers", lifted(both, l.ids[0], l.ids[1], l.ids[2]))
	l.refuse("refers", lifted(one, l.ids[0]))
	l.refuse("refers", lifted(3, l.ids[0]))
	l.refuse("refers", shredded(one))
	l.reopen()
	l.holds([]ledger.Index{both, one}, 1, 2, 0)
	l.refuse("refers", lifted(both, l.ids[0]))
	add(t, l.s, lifted(both, l.ids[0], l.ids[1]))
	l.refuse("refers", lifted(both, l.ids[0], l.ids[1]))
	l.refuse("held", l.erase(1))
	l.holds([]ledger.Index{one}, 0, 1, 0)
	// In one group: set and lifted, an old one lifted, and one set that stays.
	g := begin(t, l.s)
	list, err := g.Append(g.Last(), held(l.ids[2]), lifted(g.Next(), l.ids[2]), lifted(one, l.ids[1]), held(l.ids[1], l.ids[2]))
	if err != nil {
		t.Fatal(err)
	}
	again := list[3].Entry.Index
	for hold, want := range map[ledger.Index]bool{both: false, one: false, list[0].Entry.Index: false, again: true} {
		if is, err := g.Hold(hold); err != nil || is != want {
			t.Errorf("in the group, entry %d is an open hold: %v, want %v (%v)", hold, is, want, err)
		}
	}
	for _, e := range []*ledger.Entry{lifted(one, l.ids[1]), lifted(list[0].Entry.Index, l.ids[2]), lifted(again, l.ids[1])} {
		_, err := g.Append(g.Last(), e)
		rule(t, err, "refers")
	}
	_, err = g.Append(g.Last(), l.erase(2))
	rule(t, err, "held")
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	l.holds([]ledger.Index{again}, 0, 1, 1)
	add(t, l.s, l.erase(0))
	// A group that is given up leaves the hold.
	g = begin(t, l.s)
	if _, err := g.Append(g.Last(), lifted(again, l.ids[1], l.ids[2])); err != nil {
		t.Fatal(err)
	}
	g.Discard()
	l.holds([]ledger.Index{again})
	l.reopen()
	add(t, l.s, lifted(again, l.ids[1], l.ids[2]))
	l.holds(nil)
	add(t, l.s, l.erase(1))
}

func TestKept(t *testing.T) {
	l := newDerivedLog(t)
	restricted := add(t, l.s, &ledger.Entry{Kind: ledger.RestrictionSet, Source: "shop", Ground: "art18_1_b",
		Consents: []ledger.Link{{Consent: l.ids[0], After: ledger.Index(l.ids[0])}}})
	l.reopen()
	l.refuse("held", erased(l.ids[0], restricted))
	free := add(t, l.s, &ledger.Entry{Kind: ledger.RestrictionLifted, Source: "shop", Informed: testledger.Began, Consents: []ledger.Link{{Consent: l.ids[0], After: restricted}}})
	l.reopen()
	add(t, l.s, erased(l.ids[0], free))
}

func TestLastUse(t *testing.T) {
	l := newDerivedLog(t)
	used := func(ids ...ledger.ConsentID) *ledger.Entry {
		return &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: ids}
	}
	want := func(indexes ...ledger.Index) {
		t.Helper()
		p, g := l.s.Snapshot(), begin(t, l.s)
		defer p.Release()
		defer g.Discard()
		for n, index := range indexes {
			for _, log := range []interface {
				LastUse(ledger.ConsentID) (ledger.Index, bool, error)
			}{p, g} {
				if i, ok, err := log.LastUse(l.ids[n]); err != nil || ok != (index != 0) || i != index {
					t.Errorf("%T: consent %d was used last by entry %d, %v (%v), want %d", log, l.ids[n], i, ok, err, index)
				}
			}
		}
	}
	want(0, 0, 0)
	a := add(t, l.s, used(l.ids[0], l.ids[1]))
	add(t, l.s, &ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", About: []ledger.ConsentID{l.ids[0]}})
	want(a, a, 0)
	l.reopen()
	want(a, a, 0)
	g := begin(t, l.s)
	list, err := g.Append(g.Last(), used(l.ids[1]), used(l.ids[1], l.ids[2]))
	if err != nil {
		t.Fatal(err)
	}
	b := list[1].Entry.Index
	if i, ok, err := g.LastUse(l.ids[1]); i != b || !ok || err != nil {
		t.Errorf("in the group: entry %d, %v (%v), want %d", i, ok, err, b)
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	want(a, b, b)
}

// TestConsents asks for ranges of consents, and stops in the middle.
func TestConsents(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	grow(t, g, 400)
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	p := s.Snapshot()
	defer p.Release()
	replay, err := p.Check(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]ledger.ConsentID{{0, 1 << 40}, {0, 0}, {5, 6}, {6, 6}, {17, 123}, {300, 1 << 40}, {1 << 40, 1 << 41}} {
		var got, want []ledger.Consent
		if err := replay.Consents(r[0], r[1], func(c ledger.Consent) { want = append(want, c) }); err != nil {
			t.Fatal(err)
		}
		err := p.Consents(r[0], r[1], func(c ledger.Consent) error { got = append(got, c); return nil })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("from %d to %d: %d consents, want %d (%v)", r[0], r[1], len(got), len(want), err)
		}
	}
	n, stop := 0, errors.New("enough")
	err = p.Consents(0, 1<<40, func(ledger.Consent) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if n != 3 || !errors.Is(err, stop) {
		t.Errorf("%d consents, then %v", n, err)
	}
}

// TestGrowHasAll demands that the history of the other tests has what they are
// to keep: holds and erasures in every phase, uses and other mentions, locks that
// have a successor, and versions of a purpose.
func TestGrowHasAll(t *testing.T) {
	s := testledger.New(t)
	fill(t, s, 600)
	kinds := map[ledger.Kind]int{}
	p := s.Snapshot()
	defer p.Release()
	err := p.Entries(0, int(p.Size()), func(_ ledger.Index, text []byte) error {
		e, err := ledger.ParseEntry(text)
		kinds[e.Kind]++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	holds, err := p.OpenHolds()
	if err != nil || len(holds) == 0 {
		t.Errorf("no hold is open (%v)", err)
	}
	notifications, err := p.OpenNotifications()
	if err != nil || len(notifications) == 0 {
		t.Errorf("no notification waits (%v)", err)
	}
	extended, plain := 0, 0
	err = p.OpenRights(func(q ledger.RightsRequest) error {
		if q.Extended {
			extended++
		} else {
			plain++
		}
		return nil
	})
	if err != nil || extended == 0 || plain == 0 {
		t.Errorf("%d requests are open and %d more were extended (%v)", plain, extended, err)
	}
	shred, existence, err := p.PendingErasures()
	if err != nil || len(shred) == 0 || len(existence) == 0 {
		t.Errorf("the keys of %d erasures and the existence of %d are pending (%v)", len(shred), len(existence), err)
	}
	for _, kind := range []ledger.Kind{ledger.HoldSet, ledger.HoldLifted, ledger.SubjectErased, ledger.EvidenceShredded, ledger.ConsentUsed, ledger.RestrictionSet,
		ledger.EvidenceDisclosed, ledger.ConfirmationAttached, ledger.ConfirmationResent, ledger.PurposeDefined, ledger.ProcessorEngaged,
		ledger.ClaimDeclared, ledger.RequestReceived, ledger.RequestExtended, ledger.RecipientNotified} {
		if kinds[kind] < 5 {
			t.Errorf("%d entries of %s", kinds[kind], kind)
		}
	}
	for _, kind := range []ledger.Kind{ledger.ProcessorEnded, ledger.RequestAnswered, ledger.RecipientAcknowledged} {
		if kinds[kind] < 2 {
			t.Errorf("%d entries of %s", kinds[kind], kind)
		}
	}
}
