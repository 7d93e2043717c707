package service

import (
	"fmt"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// survey is a purpose whose evidence is kept for ten days.
const survey = "survey"

// newSurvey is newDated with the purpose survey, and the notice that covers it.
func newSurvey(t testing.TB) (f *fixture, cal *calendar, notice string) {
	t.Helper()
	f, cal = newDated(t)
	f.define(PurposeDefinition{ID: survey, Marketing: true, DoubleOptIn: true, EvidenceDays: 10})
	return f, cal, f.covering(survey, newsletter, account)
}

// surveyed makes a person who has confirmed survey and gives the consent.
func (f *fixture) surveyed(address, notice string) ledger.ConsentID {
	f.t.Helper()
	req := asking(address, survey)
	req.Notice = notice
	r := f.ask(req)
	f.confirm(r.Token)
	return r.Consents[0].ID
}

func (f *fixture) hold(h HoldRequest) *Held {
	f.t.Helper()
	held, err := f.s.SetHold(ctx, legal, h)
	if err != nil {
		f.t.Fatal(err)
	}
	return held
}

func (f *fixture) release(hold ledger.Index) *Held {
	f.t.Helper()
	held, err := f.s.LiftHold(ctx, legal, HoldRelease{Hold: hold})
	if err != nil {
		f.t.Fatal(err)
	}
	return held
}

// holds checks how many holds lie on each consent that the legal role sees.
func (f *fixture) holds(address string, want ...int) {
	f.t.Helper()
	list, err := f.s.ListAll(ctx, email(address))
	var got []int
	for _, r := range list {
		got = append(got, r.Holds)
	}
	if err != nil || !slices.Equal(got, want) {
		f.t.Errorf("holds %v, %v, want %v", got, err, want)
	}
}

// keeps checks that nothing of a person is shredded for now.
func (f *fixture) keeps(address string) {
	f.t.Helper()
	before := f.size()
	_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(address), Reason: "art17", Mode: "shred_now"})
	refused(f.t, err, refusal.FailedPrecondition, "held")
	f.wrote(before, "")
}

// retainKept is retain, and checks how many were kept.
func (f *fixture) retainKept(want string, kept int) {
	f.t.Helper()
	before := f.size()
	dry, err := f.s.RunRetention(ctx, RetentionRun{DryRun: true})
	if err != nil || dry.Kept != kept {
		f.t.Errorf("a dry run says %+v, %v, want %d kept", dry, err, kept)
	}
	if got := f.retain(want).Kept; got != kept {
		f.t.Errorf("%d consents kept, want %d", got, kept)
	}
	if want == "" {
		f.wrote(before, "")
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	f, cal, notice := newSurvey(t)
	const a, b, c = "a@example.com", "b@example.com", "c@example.com"
	old := f.surveyed(a, notice)
	f.lock(a)
	back := f.surveyed(a, notice)
	other := f.surveyed(b, notice)
	f.surveyed(c, notice)

	// By subject: what is locked, too.
	before := f.size()
	first, err := f.s.SetHold(ctx, legal, HoldRequest{Subject: email(a), Claims: map[string]string{"reason": "claim of A.", "reference": "12 O 34/27"}, Proof: true})
	if err != nil || first.Hold != ledger.Index(before+1) || first.Consents != 2 || first.Entry.Index != first.Hold || first.Entry.Receipt == "" {
		t.Fatalf("hold %+v, %v", first, err)
	}
	f.wrote(before, "source.declared hold.set")
	if e := f.entriesFrom(before)[1]; e.Source != legal.Name || !slices.Equal(e.About, []ledger.ConsentID{old, back}) || len(e.Commits) != 2 ||
		e.Commits[0].Claim != "reason" || e.Commits[1].Claim != "reference" {
		t.Errorf("entry %+v", e)
	}
	f.checked()
	f.holds(a, 1, 1)
	f.keeps(a)

	// By ids of several people, one of them locked; two holds on one consent.
	before = f.size()
	second := f.hold(HoldRequest{ConsentIDs: []ledger.ConsentID{other, old}})
	if second.Consents != 2 || second.Hold != ledger.Index(before) {
		t.Errorf("hold %+v", second)
	}
	if e := f.entriesFrom(before)[0]; !slices.Equal(e.About, []ledger.ConsentID{old, other}) || len(e.Commits) != 0 {
		t.Errorf("entry %+v", e)
	}
	f.holds(a, 2, 1)
	f.holds(b, 1)
	f.keeps(b)
	f.erase(c) // nothing lies on it
	f.seesAll(c, "")

	// A lock is possible all the same; retention keeps what a hold lies on.
	f.lock(b)
	cal.set(on("2027-03-20T12:00:00Z"))
	f.retainKept("", 2)
	f.reopen()
	f.holds(a, 2, 1)
	f.holds(b, 1)
	f.keeps(a)
	f.retainKept("", 2)
	f.checked()

	// One by one.
	before = f.size()
	lifted, err := f.s.LiftHold(ctx, legal, HoldRelease{Hold: first.Hold, Claims: map[string]string{"reason": "settled"}})
	if err != nil || lifted.Hold != first.Hold || lifted.Consents != 2 || lifted.Entry.Index != ledger.Index(before) {
		t.Errorf("lifted %+v, %v", lifted, err)
	}
	f.wrote(before, "hold.lifted")
	if e := f.entriesFrom(before)[0]; !slices.Equal(e.About, []ledger.ConsentID{old, back}) || !slices.Equal(e.Refers, []ledger.Index{first.Hold}) || len(e.Commits) != 1 {
		t.Errorf("entry %+v", e)
	}
	f.holds(a, 1, 0)
	f.retainKept("", 2) // of the second hold
	if done := f.erase(a); done.Consents != 1 {
		t.Errorf("erased %+v", done)
	}
	f.seesAll(a, fmt.Sprintf("%d confirmed locked until 2027-03-11T12:00:00Z", old))
	f.release(second.Hold)
	f.holds(a, 0)
	f.retainKept("evidence shred survey 2", 0)
	f.seesAll(a, "")
	f.seesAll(b, "")
	if r := f.checked(); r.Held != 0 || r.Erased != 4 {
		t.Errorf("check %+v", r)
	}
}

func TestBadHolds(t *testing.T) {
	t.Parallel()
	f, _, notice := newSurvey(t)
	const a, gone = "a@example.com", "gone@example.com"
	id := f.surveyed(a, notice)
	erased := f.surveyed(gone, notice)
	f.erase(gone)
	held := f.hold(HoldRequest{Subject: email(a)})
	before := f.size()
	set := func(code refusal.Code, at string, h HoldRequest) {
		t.Helper()
		_, err := f.s.SetHold(ctx, legal, h)
		refused(t, err, code, at)
	}
	set(refusal.InvalidArgument, "subject", HoldRequest{})
	set(refusal.InvalidArgument, "subject", HoldRequest{Subject: email(a), ConsentIDs: []ledger.ConsentID{id}})
	set(refusal.InvalidArgument, "subject.email", HoldRequest{Subject: email("no address")})
	set(refusal.InvalidArgument, "consent_ids[1]", HoldRequest{ConsentIDs: []ledger.ConsentID{id, id}})
	set(refusal.InvalidArgument, "consent_ids[0]", HoldRequest{ConsentIDs: []ledger.ConsentID{0}})
	set(refusal.InvalidArgument, "consent_ids", HoldRequest{ConsentIDs: make([]ledger.ConsentID, MaxConsentIDs+1)})
	set(refusal.InvalidArgument, "claims", HoldRequest{Subject: email(a), Claims: map[string]string{"email": a}})
	set(refusal.InvalidArgument, "claims.reason", HoldRequest{Subject: email(a), Claims: map[string]string{"reason": ""}})
	set(refusal.NotFoundCode, "subject", HoldRequest{Subject: email("nobody@example.com")})
	set(refusal.NotFoundCode, "subject", HoldRequest{Subject: email(gone)})
	set(refusal.NotFoundCode, "consent_ids[1]", HoldRequest{ConsentIDs: []ledger.ConsentID{id, erased}})
	set(refusal.NotFoundCode, "consent_ids[0]", HoldRequest{ConsentIDs: []ledger.ConsentID{1}})
	set(refusal.NotFoundCode, "consent_ids[0]", HoldRequest{ConsentIDs: []ledger.ConsentID{ledger.ConsentID(before)}})
	for _, unknown := range []ledger.Index{-1, 0, ledger.Index(id), held.Hold - 1, ledger.Index(before), 1 << 40} {
		_, err := f.s.LiftHold(ctx, legal, HoldRelease{Hold: unknown})
		refused(t, err, refusal.NotFoundCode, "hold_id")
	}
	_, err := f.s.LiftHold(ctx, legal, HoldRelease{Hold: held.Hold, Claims: map[string]string{"phone": "1"}})
	refused(t, err, refusal.InvalidArgument, "claims")
	f.wrote(before, "")
	f.holds(a, 1)
	f.release(held.Hold)
	before = f.size()
	_, err = f.s.LiftHold(ctx, legal, HoldRelease{Hold: held.Hold})
	refused(t, err, refusal.NotFoundCode, "hold_id")
	f.wrote(before, "")
	f.holds(a, 0)
}

func TestHoldsAndKeys(t *testing.T) {
	t.Parallel()
	f, _, notice := newSurvey(t)
	const a = "a@example.com"
	f.surveyed(a, notice)
	set := HoldRequest{Subject: email(a), Claims: map[string]string{"reason": "a claim"}, IdempotencyKey: "set"}
	first := f.hold(set)
	f.lock(a) // the legal role's calls are answered all the same
	before := f.size()
	if again := f.hold(set); answer(again, nil) != answer(first, nil) {
		t.Errorf("again %+v, first %+v", again, first)
	}
	set.Claims = map[string]string{"reason": "another"}
	_, err := f.s.SetHold(ctx, legal, set)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.wrote(before, "")
	lift := HoldRelease{Hold: first.Hold, IdempotencyKey: "lift"}
	lifted, err := f.s.LiftHold(ctx, legal, lift)
	if err != nil {
		t.Fatal(err)
	}
	before = f.size()
	if again, err := f.s.LiftHold(ctx, legal, lift); answer(again, err) != answer(lifted, nil) || again.Hold != first.Hold {
		t.Errorf("again %+v, %v, first %+v", again, err, lifted)
	}
	f.wrote(before, "")
	f.holds(a, 0)
}

// A restriction stops the shredding if the person wants the data to be kept.
func TestRestrictionsKeep(t *testing.T) {
	t.Parallel()
	f, cal, notice := newSurvey(t)
	grounds := map[string]bool{"art18_1_a": false, "art18_1_b": true, "art18_1_c": true, "art18_1_d": false}
	for ground, keeps := range grounds {
		shredded, locked := ground+"@example.com", ground+"-locked@example.com"
		for _, who := range []string{shredded, locked} {
			f.surveyed(who, notice)
			if _, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: email(who), Ground: ground}); err != nil {
				t.Fatal(err)
			}
		}
		f.lock(locked)
		if !keeps {
			f.erase(shredded)
			continue
		}
		f.keeps(shredded)
		f.lift(shredded)
		f.erase(shredded)
	}
	cal.set(on("2027-03-20T12:00:00Z"))
	f.retainKept("evidence shred survey 2", 2)
	for ground, keeps := range grounds {
		if list, err := f.s.ListAll(ctx, email(ground+"-locked@example.com")); err != nil || (len(list) == 1) != keeps {
			t.Errorf("%s: the legal role sees %+v, %v", ground, list, err)
		}
	}
	f.checked()
}

// Another ground takes the place of the one that stands, in one entry per request;
// what one of them keeps stays kept until the restriction is lifted.
func TestRestrictionOnAnotherGround(t *testing.T) {
	t.Parallel()
	f, _, notice := newSurvey(t)
	const a = "a@example.com"
	f.surveyed(a, notice)
	f.confirmed(a, newsletter, account)
	restrict := func(ground string) []Consent {
		t.Helper()
		list, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: email(a), Ground: ground})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	restrict("art18_1_a")
	before := f.size()
	restrict("art18_1_d") // no stronger than what stands
	f.wrote(before, "")
	kept := restrict("art18_1_c")
	f.wrote(before, "restriction.set restriction.set")
	if e := f.entriesFrom(before); e[0].Ground != "art18_1_c" || len(e[1].Consents) != 2 || kept[0].Entry.Index != e[0].Index || kept[2].Entry.Index != e[1].Index {
		t.Errorf("entries %+v, answer %+v", e, kept)
	}
	f.checks(a, newsletter, "restricted")
	f.keeps(a)
	before = f.size()
	for _, ground := range []string{"art18_1_c", "art18_1_d"} {
		if again := restrict(ground); shows(again) != shows(kept) {
			t.Errorf("again %s, first %s", shows(again), shows(kept))
		}
	}
	f.wrote(before, "")
	restrict("art18_1_b")
	restrict("art18_1_a")
	f.wrote(before, "restriction.set restriction.set restriction.set restriction.set")
	f.checks(a, newsletter, "restricted")
	f.keeps(a)
	f.lift(a)
	f.erase(a)
}

// A hold on more consents than an entry holds is one hold.
func TestHoldOf700Consents(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	const a, n = "a@example.com", 700
	f.requests(a, n)
	before := f.size()
	held := f.hold(HoldRequest{Subject: email(a), Claims: map[string]string{"reason": "a claim"}})
	if held.Consents != n || held.Hold != ledger.Index(before)+1 {
		t.Errorf("hold %+v", held)
	}
	f.wrote(before, "source.declared hold.set hold.set")
	_, err := f.s.LiftHold(ctx, legal, HoldRelease{Hold: held.Hold + 1})
	refused(t, err, refusal.NotFoundCode, "hold_id")
	f.reopen()
	f.keeps(a)
	f.checked()
	before = f.size()
	if lifted := f.release(held.Hold); lifted.Consents != n {
		t.Errorf("lifted %+v", lifted)
	}
	f.wrote(before, "hold.lifted hold.lifted")
	entries := f.entriesFrom(before)
	if !slices.Equal(entries[0].Refers, []ledger.Index{held.Hold}) || !slices.Equal(entries[1].Refers, []ledger.Index{held.Hold + 1}) ||
		len(entries[0].About)+len(entries[1].About) != n {
		t.Errorf("entries %+v", entries)
	}
	if done := f.erase(a); done.Consents != n {
		t.Errorf("erased %+v", done)
	}
}

// No more holds lie on one consent than the log can count.
func TestManyHolds(t *testing.T) {
	t.Parallel()
	f, _, notice := newSurvey(t)
	const a = "a@example.com"
	id := f.surveyed(a, notice)
	var list []func()
	for range ledger.MaxHolds {
		list = append(list, func() { f.hold(HoldRequest{ConsentIDs: []ledger.ConsentID{id}}) })
	}
	f.together(list...)
	f.holds(a, ledger.MaxHolds)
	_, err := f.s.SetHold(ctx, legal, HoldRequest{Subject: email(a)})
	refused(t, err, refusal.FailedPrecondition, "holds")
	f.reopen()
	f.holds(a, ledger.MaxHolds)
	hold := ledger.Index(f.size()) - 1
	f.release(hold)
	f.hold(HoldRequest{Subject: email(a)})
	f.keeps(a)
}

// A hold and what would shred, at once: whichever comes first counts.
func TestHoldAndShreddingAtOnce(t *testing.T) {
	t.Parallel()
	f, cal, notice := newSurvey(t)
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	var id [4]ledger.ConsentID
	for i := range id {
		id[i] = f.surveyed(who(i), notice)
	}
	hold := func(i int, code refusal.Code) func() {
		return func() {
			_, err := f.s.SetHold(ctx, legal, HoldRequest{ConsentIDs: id[i : i+1]})
			if code != "" {
				refused(t, err, code, "consent_ids[0]")
			} else if err != nil {
				t.Error(err)
			}
		}
	}
	erase := func(i int, code refusal.Code) func() {
		return func() {
			_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(who(i)), Reason: "art17", Mode: "shred_now"})
			if code != "" {
				refused(t, err, code, "held")
			} else if err != nil {
				t.Error(err)
			}
		}
	}
	f.together(hold(0, ""), erase(0, refusal.FailedPrecondition))
	f.together(erase(1, ""), hold(1, refusal.NotFoundCode))
	f.holds(who(0), 1)
	f.holds(who(1))

	// The run collects what is due before the hold is recorded, and decides after.
	f.lock(who(2))
	f.lock(who(3))
	cal.set(on("2027-03-20T12:00:00Z"))
	f.together(hold(2, ""), func() { f.retain("evidence shred survey 1") })
	f.holds(who(2), 1)
	f.holds(who(3))
	f.retainKept("", 1)
	f.checked()
}
