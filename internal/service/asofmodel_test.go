package service

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// answered is what a check answered when it was asked.
type answered struct {
	q Question
	d Decision
}

// wanderer does what comes to its mind to one person, with a calendar that goes on.
type wanderer struct {
	f      *fixture
	r      *rand.Rand
	who    Subject
	notice string // covers what is wandered through
	tokens []string
	ids    []ledger.ConsentID
}

var wandered = []string{newsletter, mailings, daily, catalogue, invoices, opens}

// step does one thing; what is refused is no matter.
func (w *wanderer) step() {
	s, r := w.f.s, w.r
	purpose := wandered[r.IntN(len(wandered))]
	one := func() []ledger.ConsentID {
		if len(w.ids) == 0 {
			return []ledger.ConsentID{1}
		}
		return w.ids[r.IntN(len(w.ids)):][:1]
	}
	keep := func(list []Consent) { w.ids = append(w.ids, ids(list)...) }
	age := []string{"child", "old_enough"}[r.IntN(2)]
	switch r.IntN(21) {
	case 0, 1:
		ask := asking(w.who.Email, purpose)
		ask.Notice, ask.Age = w.notice, age
		if q, err := s.RequestConsent(ctx, shop, ask); err == nil {
			w.tokens = append(w.tokens, q.Token)
			keep(q.Consents)
		}
	case 2, 3, 4:
		if n := len(w.tokens); n > 0 {
			s.ConfirmConsent(ctx, shop, Click{Token: w.tokens[r.IntN(n)], Click: []string{"", "button"}[r.IntN(2)]})
		}
	case 5, 6:
		give := giving(w.who, "email", purpose)
		give.Notice, give.Age = w.notice, age
		if g, err := s.GiveConsent(ctx, shop, give); err == nil {
			keep(g.Consents)
		}
	case 7:
		if i, err := s.ImportConsent(ctx, shop, importing(w.who, purpose, "email")); err == nil {
			keep([]Consent{i.Consent})
		}
	case 8:
		basis := ledger.Bases()[1+r.IntN(4)]
		if c, err := s.AssertBasis(ctx, shop, asserting(w.who, purpose, "email", basis)); err == nil {
			keep([]Consent{*c})
		}
	case 9:
		s.RenewConsent(ctx, shop, Renewal{ConsentIDs: one(), Method: "paper"})
	case 10:
		s.RecordUses(ctx, shop, Uses{ConsentIDs: one()})
	case 11:
		s.WithdrawConsent(ctx, shop, []Withdrawal{{Subject: w.who, Purposes: []string{purpose}}, {ConsentIDs: one()}}[r.IntN(2)])
	case 12:
		s.RecordObjection(ctx, shop, Objection{Subject: w.who, Article: []string{"art21_1", "art21_2"}[r.IntN(2)], Purposes: []string{purpose}})
	case 13:
		s.SetRestriction(ctx, shop, Restriction{Subject: w.who, Ground: ledger.Grounds()[r.IntN(4)]})
	case 14:
		s.LiftRestriction(ctx, shop, w.f.lifting(w.who))
	case 15, 16:
		s.AuthoriseGuardian(ctx, shop, Guardian{ConsentIDs: one(), Method: "paper", Claims: map[string]string{"guardian": "mother"}})
	case 17:
		s.RecordSignal(ctx, shop, []PreferenceSignal{gpc(w.who), tcString(w.who, tcYes)}[r.IntN(2)])
	case 18:
		s.SetTrackingMode(ctx, shop, TrackingChange{Subject: w.who, Purpose: opens, Mode: ledger.Modes()[r.IntN(4)], Method: "app"})
	case 19:
		again := Resend{ConsentIDs: one()}
		if r.IntN(2) == 0 {
			token := fmt.Sprintf("%043d", r.Uint64())
			w.tokens = append(w.tokens, token)
			again.Lock = new(ledger.Hash)
			*again.Lock = ledger.Lock(token)
		}
		s.ResendConfirmation(ctx, shop, again)
	default:
		kind := []ledger.Kind{ledger.ConsentInvalidated, ledger.ConsentRevoked}[r.IntN(2)]
		s.EndConsents(ctx, legal, Ending{Kind: kind, Cause: "error", ConsentIDs: one()})
	}
}

// redefine changes the terms of a purpose.
func (w *wanderer) redefine() {
	id := wandered[w.r.IntN(3)]
	d := PurposeDefinition{ID: id, Marketing: true, DoubleOptIn: id == newsletter, ValidityDays: w.r.Int64N(3) * 5,
		UnusedDays: w.r.Int64N(2) * 7, MinimumGrade: []string{"", "", "B", "D"}[w.r.IntN(4)], MinimumAge: w.r.Int64N(2) * 16}
	if id == daily {
		d.Parent = digest
	}
	if d.UnusedDays > 0 {
		d.UnusedMeasure = ledger.UnusedMeasures()[w.r.IntN(3)]
	}
	w.f.define(d)
}

// leave locks the person, erases them or does neither.
func (w *wanderer) leave() {
	if n := w.r.IntN(3); n < 2 { // what is held back stays
		w.f.s.EraseSubject(ctx, shop, Erasure{Subject: w.who, Reason: "art17", Mode: []string{"lock_then_shred", "shred_now"}[n]})
	}
}

// some is what a bundle has of a log: the entries about some consents, and the
// purposes.
type some struct {
	purposes *store.Snapshot
	entries  map[ledger.Index]*ledger.Entry
}

func (s some) Entry(i ledger.Index) (*ledger.Entry, error) {
	e, ok := s.entries[i]
	if !ok {
		return nil, fmt.Errorf("entry %d is not in the bundle", i)
	}
	return e, nil
}

func (s some) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	for _, i := range slices.Backward(slices.Sorted(maps.Keys(s.entries))) {
		if e := s.entries[i]; i < before && slices.Contains(e.About, id) && !yield(i, e.Kind) {
			break
		}
	}
	return nil
}

func (s some) PurposeAt(id string, size ledger.Size) (ledger.Purpose, bool, error) {
	return s.purposes.PurposeAt(id, size)
}

// since gives the consents that were opened from an entry on, and the entries about
// them.
func (f *fixture) since(snap *store.Snapshot, first ledger.Size) (consents []ledger.Consent, held some) {
	f.t.Helper()
	held = some{snap, map[ledger.Index]*ledger.Entry{}}
	err := snap.Consents(ledger.ConsentID(first), ledger.ConsentID(snap.Size()), func(c ledger.Consent) error {
		indexes, err := concerning(snap, c)
		for _, i := range indexes {
			if _, held.entries[i], err = readEntry(snap, i); err != nil {
				return err
			}
		}
		// Whoever puts a decision together anew knows no more of a record.
		consents = append(consents, ledger.Consent{ID: c.ID, Purpose: c.Purpose, Channel: c.Channel, Request: c.Request, Last: c.Last})
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return consents, held
}

// What is said about a moment is what was said at it, whatever has happened since;
// hindsight only ever takes away; and whoever has nothing but the entries about a
// person's records says the same, also of who is locked or erased by now.
func TestThenIsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.define(PurposeDefinition{ID: opens})
	notice := f.covering(append(wandered, account)...)
	cal := &calendar{at: f.clock.now().Truncate(time.Second)}
	f.close()
	f.opt.testOnlyClock = cal.now
	f.open()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	compared, allowed, invalid := 0, 0, 0
	reasons := map[string]int{}
	for person := range 12 {
		w := &wanderer{f: f, r: r, who: email(fmt.Sprintf("person%d@example.com", person)), notice: notice}
		first := f.size()
		var told []answered
		ask := func() {
			q := Question{Subject: w.who, Purpose: wandered[r.IntN(len(wandered))], Channel: "email"}
			d, err := f.s.CheckConsent(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			q.At = cal.now()
			told = append(told, answered{q, *d})
		}
		for range 40 {
			cal.set(cal.now().Add(time.Duration(1+r.IntN(30)) * time.Hour))
			if w.step(); r.IntN(10) == 0 {
				w.redefine()
			}
			if r.IntN(2) == 0 { // some answers between two entries
				cal.set(cal.now().Add(time.Duration(r.IntN(100)) * time.Minute))
			}
			ask()
		}
		for i, a := range told {
			d, err := f.s.CheckConsent(ctx, a.q)
			if err != nil || *d.Then != a.d.Allowed || *d.Hindsight && !*d.Then {
				t.Errorf("%s for %s: then %v, in hindsight %v, but the answer was %v; %v",
					a.q.At.Format(time.RFC3339), a.q.Purpose, *d.Then, *d.Hindsight, a.d.Allowed, err)
			}
			compared++
			if a.d.Allowed {
				allowed++
			}
			if *d.Then && !*d.Hindsight {
				invalid++
			}
			told[i].d.Hindsight = d.Hindsight
		}
		cal.set(cal.now().Add(time.Hour))
		w.leave()
		for range 5 {
			ask()
			cal.set(cal.now().Add(time.Hour))
		}
		snap := f.s.log.Snapshot()
		consents, held := f.since(snap, first)
		for _, a := range told {
			size, err := snap.SizeAt(a.q.At)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decision.AsOf(held, size, consents, decision.Question{Purpose: a.q.Purpose, Channel: a.q.Channel, At: a.q.At})
			if err != nil || got.Allowed != a.d.Allowed || got.Reason != a.d.Reason || got.Consent != a.d.Consent ||
				a.d.Hindsight != nil && got.Hindsight != *a.d.Hindsight {
				t.Errorf("%s for %s: by its entries %+v, but the answer was %+v; %v", a.q.At.Format(time.RFC3339), a.q.Purpose, got, a.d, err)
			}
			reasons[got.Reason]++
		}
		snap.Release()
	}
	t.Logf("%d answers, %d allowed, %d of them not in hindsight; %v", compared, allowed, invalid, reasons)
	if allowed < compared/40 || len(reasons) < 6 {
		t.Error("hardly anything was allowed, or always for the same reasons: nothing was learnt")
	}
}
