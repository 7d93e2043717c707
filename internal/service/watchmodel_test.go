package service

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
)

// naiveWatch finds the same as a look, from nothing but all entries of the log. What
// retention has to do it does not know.
type naiveWatch struct {
	now     time.Time
	entries []*ledger.Entry
	replay  *ledger.Replay
	found   map[string][]WatchRef
}

func (f *fixture) naiveWatch() *naiveWatch {
	f.t.Helper()
	n := &naiveWatch{now: f.s.now(), replay: ledger.NewReplay(), found: map[string][]WatchRef{}}
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	err := snap.Entries(0, 1<<20, func(_ ledger.Index, b []byte) error {
		e, err := ledger.ParseEntry(b)
		if err == nil {
			n.entries = append(n.entries, e)
			_, err = n.replay.Add(e, ledger.LeafHash(b))
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	n.requests()
	n.silent()
	untold := map[ledger.Index]time.Time{}
	links := map[ledger.ConsentID]bool{}
	err = n.replay.Consents(0, 1<<40, func(c ledger.Consent) {
		n.effect(c)
		n.dormant(c)
		n.untold(c, untold)
		if at := n.link(c); c.State == ledger.Requested && c.Overlays&(ledger.Locked|ledger.Erased) == 0 &&
			!n.now.After(at) && n.now.Add(linkAhead).Compare(at) >= 0 && !links[c.Request] {
			links[c.Request] = true
			n.add(watchExpiring, ledger.Index(c.Request), at)
		}
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for i, at := range untold {
		n.add(watchUntold, i, at)
	}
	return n
}

func (n *naiveWatch) add(what string, i ledger.Index, due time.Time) {
	n.found[what] = append(n.found[what], WatchRef{i, due})
}

func (n *naiveWatch) String() string {
	var parts []string
	for _, what := range watched {
		list := n.found[what]
		slices.SortFunc(list, func(a, b WatchRef) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Index, b.Index)) })
		if len(list) > 0 {
			parts = append(parts, fmt.Sprint(what, " ", len(list), " ", list[:min(len(list), watchFirst)]))
		}
	}
	return strings.Join(parts, "\n")
}

func (n *naiveWatch) requests() {
	for _, e := range n.entries {
		if e.Kind != ledger.RequestReceived || e.Part > 1 {
			continue
		}
		due, open := e.Due, true
		for _, step := range n.entries {
			if !slices.Contains(step.Refers, e.Index) {
				continue
			}
			switch step.Kind {
			case ledger.RequestExtended:
				due = step.Due
			case ledger.RequestAnswered, ledger.RequestRefused:
				open = false
			}
		}
		switch {
		case open && due.Before(n.now):
			n.add(watchRequestOverdue, e.Index, due)
		case open && due.Sub(n.now) <= requestAhead:
			n.add(watchRequestDue, e.Index, due)
		}
	}
}

func (n *naiveWatch) silent() {
	for _, e := range n.entries {
		answered := slices.ContainsFunc(n.entries, func(a *ledger.Entry) bool {
			return a.Kind == ledger.RecipientAcknowledged && a.Refers[0] == e.Index
		})
		if at := happened(e).Add(recipientPatience); e.Kind == ledger.RecipientNotified && !answered && at.Before(n.now) {
			n.add(watchSilent, e.Index, at)
		}
	}
}

// of gives the entries that open, change or mention a consent.
func (n *naiveWatch) of(id ledger.ConsentID) (list []*ledger.Entry) {
	for _, e := range n.entries {
		if e.Index == ledger.Index(id) || decision.Previous(e, id) >= 0 || slices.Contains(e.About, id) {
			list = append(list, e)
		}
	}
	return list
}

// ended gives the entry that ended a consent, nil if it has not ended.
func (n *naiveWatch) ended(c ledger.Consent) *ledger.Entry {
	for _, e := range n.of(c.ID) {
		switch e.Kind {
		case ledger.ConsentWithdrawn, ledger.ConsentExpired, ledger.ConsentRevoked, ledger.ConsentInvalidated, ledger.ObjectionRecorded:
			return e
		}
	}
	return nil
}

// engaged gives who was engaged at the end of the log, and since which entry without
// a break.
func (n *naiveWatch) engaged() map[string]*ledger.Entry {
	since := map[string]*ledger.Entry{}
	for _, e := range n.entries {
		switch {
		case e.Kind == ledger.ProcessorEngaged && since[e.Processor] == nil:
			since[e.Processor] = e
		case e.Kind == ledger.ProcessorEnded:
			delete(since, e.Processor)
		}
	}
	return since
}

func (n *naiveWatch) effect(c ledger.Consent) {
	p, _, _ := n.replay.Purpose(c.Purpose)
	end := n.ended(c)
	if end == nil || p.EffectHours == 0 || c.Overlays&(ledger.Locked|ledger.Erased) != 0 {
		return
	}
	due := happened(end).Add(time.Duration(p.EffectHours) * time.Hour)
	missing := true
	heard := func(system string) bool {
		return slices.ContainsFunc(n.of(c.ID), func(e *ledger.Entry) bool {
			return e.Kind == ledger.WithdrawalEffected && e.Index > end.Index && (system == "" || e.System == system)
		})
	}
	missing = !heard("")
	for id, since := range n.engaged() {
		now, _, _ := n.replay.Processor(id)
		covers := len(now.Covers) == 0 || slices.Contains(now.Covers, c.Purpose) || p.Parent != "" && slices.Contains(now.Covers, p.Parent)
		missing = missing || covers && !since.Time.After(end.Time) && !heard(id)
	}
	if missing && due.Before(n.now) {
		n.add(watchNotEffected, ledger.Index(c.ID), due)
	}
}

func (n *naiveWatch) dormant(c ledger.Consent) {
	p, _, _ := n.replay.Purpose(c.Purpose)
	if !c.State.Allows() || c.State == ledger.Asserted || c.Overlays&(ledger.Locked|ledger.Erased) != 0 || p.UnusedDays == 0 {
		return
	}
	var lively time.Time
	for _, e := range n.of(c.ID) {
		if e.Kind == ledger.ConsentUsed || e.Kind == ledger.ConsentGiven || e.Kind == ledger.ConsentConfirmed {
			lively = e.Time
		}
	}
	if at := lively.Add(decision.Days(p.UnusedDays)); at.Before(n.now) {
		n.add(watchDormant, ledger.Index(c.ID), at)
	}
}

func (n *naiveWatch) untold(c ledger.Consent, found map[ledger.Index]time.Time) {
	var newest *ledger.Entry
	for _, e := range n.of(c.ID) {
		if e.Kind == ledger.SubjectErased || e.Kind == ledger.SubjectRectified || e.Kind == ledger.RestrictionSet && c.Overlays.Has(ledger.Restricted) ||
			e == n.ended(c) {
			newest = e
		}
	}
	if newest == nil {
		return
	}
	first := newest.Index - ledger.Index(max(newest.Part-1, 0))
	last := first + ledger.Index(max(newest.Parts-1, 0))
	for id := range n.engaged() {
		passed, told := false, false
		for _, e := range n.of(c.ID) {
			passed = passed || e.Kind == ledger.ConsentUsed && e.Processor == id && e.Index < newest.Index
			told = told || e.Kind == ledger.WithdrawalEffected && e.System == id && e.Index > newest.Index && newest == n.ended(c)
		}
		for _, e := range n.entries {
			told = told || e.Kind == ledger.RecipientNotified && e.Processor == id && first <= e.Refers[0] && e.Refers[0] <= last
		}
		if passed && !told {
			found[first] = happened(newest)
		}
	}
}

// link gives when the newest link of a request ends.
func (n *naiveWatch) link(c ledger.Consent) (at time.Time) {
	for _, e := range n.of(c.ID) {
		if !e.Expires.IsZero() {
			at = e.Expires
		}
	}
	return at
}

// watchActs lets random things happen; what is refused does not.
type watchActs struct {
	f     *fixture
	r     *rand.Rand
	cal   *calendar
	ids   []ledger.ConsentID
	done  map[string]int
	index func() ledger.Index // of some entry
}

// unacknowledged lists the notifications that nobody has acknowledged.
func (f *fixture) unacknowledged() []ledger.Index {
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	list, err := snap.OpenNotifications()
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

var watchPurposes = []string{"timed", "timed.part", "resting", newsletter}

func (w *watchActs) act() {
	f, s, r := w.f, w.f.s, w.r
	who := email(fmt.Sprintf("p%d@example.com", r.IntN(6)))
	purpose := watchPurposes[r.IntN(len(watchPurposes))]
	processor := []string{"mailer-inc", "printer", "caller"}[r.IntN(3)]
	some := func() (list []ledger.ConsentID) {
		for _, id := range w.ids {
			if r.IntN(max(len(w.ids)/3, 1)) == 0 {
				list = append(list, id)
			}
		}
		return list
	}
	raw := func(src Source, e ledger.Entry) error {
		return s.do(ctx, src, func(t *turn) error { _, err := t.write(&e); return err })
	}
	var what string
	var err error
	switch r.IntN(23) {
	case 0, 1, 2:
		what = "give"
		var given *Given
		if given, err = s.GiveConsent(ctx, shop, Giving{Subject: who, Purposes: []string{purpose}, Channel: "email", Notice: "more-de@1", Method: "paper"}); err == nil {
			w.ids = append(w.ids, given.Consents[0].ID)
		}
	case 3, 22:
		what = "request"
		var asked *Requested
		if asked, err = s.RequestConsent(ctx, shop, covered(who.Email, "more-de@1", purpose)); err == nil {
			w.ids = append(w.ids, asked.Consents[0].ID)
		}
	case 4, 5:
		what = "withdraw"
		_, err = s.WithdrawConsent(ctx, shop, Withdrawal{Subject: who, Purposes: []string{purpose}, OccurredAt: s.now().Add(-time.Duration(r.IntN(30)) * time.Hour)})
	case 6:
		what = "object"
		_, err = s.RecordObjection(ctx, shop, Objection{Subject: who, Article: "art21_2", Purposes: []string{purpose}})
	case 7:
		what = "revoke"
		_, err = s.EndConsents(ctx, admin, Ending{Kind: ledger.ConsentRevoked, ConsentIDs: some(), Cause: "other"})
	case 8:
		what = "restrict"
		_, err = s.SetRestriction(ctx, shop, Restriction{Subject: who, Ground: "art18_1_a"})
	case 9:
		what = "lift"
		_, err = s.LiftRestriction(ctx, shop, Restriction{Subject: who, InformedAt: s.now()})
	case 10:
		what = "lock or erase"
		mode := "lock_then_shred"
		if r.IntN(3) == 0 {
			mode = "shred_now"
		}
		_, err = s.EraseSubject(ctx, shop, Erasure{Subject: who, Reason: "art17", Mode: mode})
	case 11, 12:
		what = "pass"
		err = raw(shop, ledger.Entry{Kind: ledger.ConsentUsed, Processor: processor, About: some()})
	case 13, 14:
		what = "effect"
		err = raw(shop, ledger.Entry{Kind: ledger.WithdrawalEffected, System: []string{processor, shop.Name}[r.IntN(2)], About: some()})
	case 15:
		what = "rectify"
		err = raw(shop, ledger.Entry{Kind: ledger.SubjectRectified, Change: "added", About: some()})
	case 16, 17:
		what = "tell"
		err = raw(legal, ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{w.index()}, Processor: processor})
	case 18:
		what = "acknowledge"
		told := w.index()
		if waiting := f.unacknowledged(); len(waiting) > 0 && r.IntN(3) > 0 {
			told = waiting[r.IntN(len(waiting))]
		}
		err = raw(legal, ledger.Entry{Kind: ledger.RecipientAcknowledged, Refers: []ledger.Index{told}})
	case 19:
		what = "engage"
		err = raw(admin, ledger.Entry{Kind: ledger.ProcessorEngaged, Processor: processor, Covers: [][]string{nil, {"timed"}, {"timed.part"}, {newsletter}}[r.IntN(4)]})
	case 20:
		what = "end"
		err = raw(admin, ledger.Entry{Kind: ledger.ProcessorEnded, Processor: processor})
	case 21:
		what = "ask"
		f.asks(time.Time{})
		for range 3 {
			step := ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{w.index()}}
			if r.IntN(2) == 0 {
				step.Kind, step.Due = ledger.RequestExtended, ledger.AnswerDue(s.now(), 2)
			}
			_ = raw(legal, step)
		}
	}
	if err == nil {
		w.done[what]++
	}
	w.cal.set(w.cal.now().Add(time.Duration(r.IntN(20*60)) * time.Minute))
}

// TestWatchAgainstModel compares looks at random histories with what all their
// entries say, and what retention would do with a dry run.
func TestWatchAgainstModel(t *testing.T) {
	t.Parallel()
	steps, rounds := 220, 3
	if testing.Short() {
		rounds = 1
	}
	seen, done := map[string]int{}, map[string]int{}
	for round := range rounds {
		f, cal := newDated(t)
		seed := rand.Uint64()
		w := &watchActs{f: f, r: rand.New(rand.NewPCG(seed, 1)), cal: cal, done: done}
		w.index = func() ledger.Index { return ledger.Index(w.r.IntN(int(f.size()))) }
		f.records(admin, ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "timed", Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 200_000, EffectHours: 48})
		f.records(admin, ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "timed.part", Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 200_000, EffectHours: 24, Parent: "timed"})
		f.define(PurposeDefinition{ID: "resting", UnusedDays: 9, TokenLifetime: 60 * time.Hour})
		f.covering(watchPurposes...)
		for _, p := range []string{"mailer-inc", "printer"} {
			f.engageFor(p, "timed")
		}
		for step := range steps {
			w.act()
			if step%3 != 0 {
				continue
			}
			look, err := f.s.Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			dry, err := f.s.RunRetention(ctx, RetentionRun{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			due := 0
			for _, item := range dry.Items {
				if item.Measure != measureWarn {
					due += item.Consents
				}
			}
			var parts []string
			for _, item := range look.Items {
				seen[item.What] = max(seen[item.What], item.Count)
				if item.What == watchRetention {
					due -= item.Count
					continue
				}
				parts = append(parts, fmt.Sprint(item.What, " ", item.Count, " ", item.First))
			}
			if got, want := strings.Join(parts, "\n"), f.naiveWatch().String(); got != want || due != 0 {
				t.Fatalf("round %d, seed %d, step %d: a look finds\n%s\nwant\n%s\nand %d less than retention has to do", round, seed, step, got, want, due)
			}
		}
	}
	for _, what := range []string{"give", "request", "withdraw", "object", "revoke", "restrict", "lift", "lock or erase", "pass", "effect", "rectify", "tell", "acknowledge", "engage", "end"} {
		if done[what] == 0 && !testing.Short() {
			t.Errorf("never %s", what)
		}
	}
	for _, what := range watched {
		if seen[what] == 0 && !testing.Short() {
			t.Errorf("%s was never found", what)
		}
	}
	t.Logf("the most of each: %v", seen)
}
