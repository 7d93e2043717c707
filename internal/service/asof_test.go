package service

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// at checks what a check of newsletter by e-mail says about a moment: by what was
// known then, and by what is known now.
func (f *fixture) at(name string, who Subject, moment string, then, hindsight bool) {
	f.t.Helper()
	f.atOf(name, Question{Subject: who, Purpose: newsletter, Channel: "email", At: on(moment)}, then, hindsight)
}

func (f *fixture) atOf(name string, q Question, then, hindsight bool) {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, q)
	if err != nil {
		f.t.Fatal(err)
	}
	if d.Then == nil || d.Hindsight == nil {
		f.t.Fatalf("%s: %+v", name, d)
	}
	if *d.Then != then || *d.Hindsight != hindsight {
		f.t.Errorf("%s, at %s: then %v, in hindsight %v, want %v and %v", name, q.At.Format(time.RFC3339), *d.Then, *d.Hindsight, then, hindsight)
	}
}

// asOf is a case of a change: what was there before it, and what allows.
type asOf struct {
	name          string
	first, change func(who Subject, r **Requested)
	was, is       bool
}

func (f *fixture) asOfCases() []asOf {
	confirmed := func(who Subject, r **Requested) { *r = f.confirmed(who.Email) }
	end := func(kind ledger.Kind) func(Subject, **Requested) {
		return func(_ Subject, r **Requested) {
			if _, err := f.s.EndConsents(ctx, legal, Ending{Kind: kind, Cause: "error", ConsentIDs: ids((*r).Consents)}); err != nil {
				f.t.Error(err)
			}
		}
	}
	give := func(who Subject, _ **Requested) {
		if _, err := f.s.GiveConsent(ctx, shop, Giving{Subject: who, Purposes: []string{newsletter}, Channel: "email", Notice: wording, Method: "paper"}); err != nil {
			f.t.Error(err)
		}
	}
	return []asOf{
		{"confirmed", func(who Subject, r **Requested) { *r = f.request(who.Email) }, func(_ Subject, r **Requested) { f.confirm((*r).Token) }, false, true},
		{"withdrawn", confirmed, func(who Subject, _ **Requested) { f.withdraw(Withdrawal{Subject: who}) }, true, false},
		{"withdrawn by id", confirmed, func(_ Subject, r **Requested) { f.withdraw(Withdrawal{ConsentIDs: ids((*r).Consents)}) }, true, false},
		{"objected", confirmed, func(who Subject, _ **Requested) {
			f.object(Objection{Subject: who, Article: "art21_2", Purposes: []string{newsletter}}, "objection.recorded objection.recorded")
		}, true, false},
		{"restricted", confirmed, func(who Subject, _ **Requested) { f.restrict(who.Email) }, true, false},
		{"lifted", func(who Subject, r **Requested) { confirmed(who, r); f.restrict(who.Email) },
			func(who Subject, _ **Requested) { f.lift(who.Email) }, false, true},
		{"revoked", confirmed, end(ledger.ConsentRevoked), true, false},
		{"invalidated", confirmed, end(ledger.ConsentInvalidated), true, false},
		{"given, then asked for by mail", give, confirmed, false, true},
		{"renewed", confirmed, func(_ Subject, r **Requested) {
			if _, err := f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: ids((*r).Consents), Method: "web_form"}); err != nil {
				f.t.Error(err)
			}
		}, true, true},
		{"used and held", confirmed, func(who Subject, r **Requested) {
			f.use(Uses{ConsentIDs: ids((*r).Consents)})
			f.hold(HoldRequest{Subject: who})
		}, true, true},
		{"asked again", confirmed, func(who Subject, _ **Requested) { f.request(who.Email) }, true, true},
		{"withdrawn and confirmed anew", func(who Subject, r **Requested) { confirmed(who, r); f.withdraw(Withdrawal{Subject: who}) }, confirmed, false, true},
		{"another purpose withdrawn", confirmed, func(who Subject, _ **Requested) {
			f.withdraw(Withdrawal{Subject: who, Purposes: []string{offers}})
		}, true, true},
	}
}

// What changes a record is seen from its moment on, and not before.
func TestAsOfEachChange(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	cases := f.asOfCases()
	who := func(i int) Subject { return email(fmt.Sprintf("case%d@example.com", i)) }
	asked := make([]*Requested, len(cases))
	cal.set(on("2027-03-02T12:00:00Z"))
	for i, c := range cases {
		c.first(who(i), &asked[i])
	}
	cal.set(on("2027-03-03T12:00:00Z"))
	for i, c := range cases {
		c.change(who(i), &asked[i])
	}
	cal.set(on("2027-03-20T12:00:00Z"))
	for i, c := range cases {
		// What was found to be invalid has been so all the time.
		known := c.was && c.name != "invalidated"
		f.at(c.name, who(i), noon, false, false)
		f.at(c.name, who(i), "2027-03-02T11:59:59Z", false, false)
		f.at(c.name, who(i), "2027-03-02T12:00:00Z", c.was, known)
		f.at(c.name, who(i), "2027-03-03T11:59:59Z", c.was, known)
		f.at(c.name, who(i), "2027-03-03T12:00:00Z", c.is, c.is)
		f.at(c.name, who(i), "2027-03-20T12:00:00Z", c.is, c.is)
		if d, err := f.s.CheckConsent(ctx, Question{Subject: who(i), Purpose: newsletter, Channel: "email"}); err != nil || d.Allowed != c.is {
			t.Errorf("%s: now %+v, %v", c.name, d, err)
		}
	}
	f.at("a stranger", email("stranger@example.com"), "2027-03-20T12:00:00Z", false, false)
}

// Purposes are asked as they were defined then, and their terms run out by the
// clock of then.
func TestAsOfPurposes(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	a := email("a@example.com")
	f.confirmed(a.Email)
	d := PurposeDefinition{ID: newsletter, Marketing: true, DoubleOptIn: true}
	define := func(at string, change func(*PurposeDefinition)) {
		cal.set(on(at))
		change(&d)
		f.define(d)
	}
	define("2027-03-05T12:00:00Z", func(d *PurposeDefinition) { d.MinimumGrade = "A" })
	define("2027-03-06T12:00:00Z", func(d *PurposeDefinition) { d.MinimumGrade, d.Bases = "", []string{"contract"} })
	define("2027-03-07T12:00:00Z", func(d *PurposeDefinition) { d.Bases, d.ValidityDays = nil, 10 })
	define("2027-03-20T12:00:00Z", func(d *PurposeDefinition) { d.ValidityDays, d.UnusedDays, d.UnusedMeasure = 0, 25, "block" })
	const later = "later"
	define("2027-03-21T12:00:00Z", func(d *PurposeDefinition) { d.ID = later })
	cal.set(on("2027-05-01T12:00:00Z"))
	for _, c := range []struct {
		name, at string
		allowed  bool
	}{
		{"as it was first", "2027-03-05T11:59:59Z", true},
		{"a better proof is needed", "2027-03-05T12:00:00Z", false},
		{"another basis is needed", "2027-03-06T12:00:00Z", false},
		{"valid for ten days", "2027-03-11T12:00:00Z", true},
		{"not any more", "2027-03-11T12:00:01Z", false},
		{"for ever, if it is used", "2027-03-20T12:00:00Z", true},
		{"it is not", "2027-03-26T12:00:01Z", false},
	} {
		f.at(c.name, a, c.at, c.allowed, c.allowed)
	}
	// The use was reported later, and is dated before.
	f.use(Uses{ConsentIDs: []ledger.ConsentID{f.decides(a, newsletter, "email", "dormant").Consent}, OccurredAt: on("2027-04-20T12:00:00Z")})
	f.decides(a, newsletter, "email", "confirmed")
	f.at("nothing was known of the use", a, "2027-04-21T12:00:00Z", false, false)
	f.at("it is now", a, "2027-05-01T12:00:00Z", true, true)
	f.atOf("not defined yet", Question{Subject: a, Purpose: later, Channel: "email", At: on(noon)}, false, false)
	f.atOf("never defined", Question{Subject: a, Purpose: "never", Channel: "email", At: on(noon)}, false, false)
}

// What proves a consent counts from when it was recorded: the mail that was sent
// before the click, and the mail itself, which came after it.
func TestAsOfGrades(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	for id, grade := range map[string]string{newsletter: "B", offers: "A"} {
		f.define(PurposeDefinition{ID: id, Marketing: true, DoubleOptIn: true, MinimumGrade: grade})
	}
	a := email("a@example.com")
	ask := asking(a.Email, newsletter, offers)
	ask.Claims = map[string]string{"ip": "203.0.113.7"}
	ask.Attachments = []Attachment{{Claim: "form_snapshot", MediaType: "text/html", Bytes: []byte("<form>")}}
	r := f.ask(ask)
	message := []byte("Subject: please confirm\r\n\r\n" + r.Token)
	f.sent(SentMail{ConsentIDs: ids(r.Consents), SHA256: ledger.Lock(string(message))})
	cal.set(on("2027-03-02T12:00:00Z"))
	if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Click: "button", Claims: map[string]string{"ip": "203.0.113.7"}}); err != nil {
		t.Fatal(err)
	}
	cal.set(on("2027-03-03T12:00:00Z"))
	if _, err := f.s.AttachMessage(ctx, shop, MailAttachment{ConsentIDs: ids(r.Consents), Message: message}); err != nil {
		t.Fatal(err)
	}
	f.decides(a, offers, "email", "confirmed")
	of := func(purpose, at string, allowed bool) {
		t.Helper()
		f.atOf(purpose, Question{Subject: a, Purpose: purpose, Channel: "email", At: on(at)}, allowed, allowed)
	}
	of(newsletter, "2027-03-02T11:59:59Z", false)
	of(newsletter, "2027-03-02T12:00:00Z", true)
	of(offers, "2027-03-03T11:59:59Z", false)
	of(offers, "2027-03-03T12:00:00Z", true)
}

// What was recorded late: the answer of then stays, hindsight knows better.
func TestHindsight(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	// Granted on 1 March. On the 20th something is recorded that by its source
	// happened on the 10th.
	happened := on("2027-03-10T12:00:00Z")
	who := func(i int) Subject { return email(fmt.Sprintf("case%d@example.com", i)) }
	restrict := func(i int, at time.Time) {
		if _, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: who(i), Ground: "art18_1_a", OccurredAt: at}); err != nil {
			t.Error(err)
		}
	}
	end := func(kind ledger.Kind, at time.Time) func(int, *Requested) {
		return func(_ int, r *Requested) {
			if _, err := f.s.EndConsents(ctx, legal, Ending{Kind: kind, Cause: "scanner", ConsentIDs: ids(r.Consents), OccurredAt: at}); err != nil {
				t.Error(err)
			}
		}
	}
	withdraw := func(at time.Time, purposes ...string) func(int, *Requested) {
		return func(i int, _ *Requested) {
			f.withdraw(Withdrawal{Subject: who(i), Purposes: purposes, OccurredAt: at})
		}
	}
	cases := []struct {
		name                 string
		change               func(i int, r *Requested)
		before, since, after bool // by hindsight before it happened and since then; since it was recorded
	}{
		{"nothing", func(int, *Requested) {}, true, true, true},
		{"a letter that withdrew", withdraw(happened), true, false, false},
		{"a withdrawal of now", withdraw(time.Time{}), true, true, false},
		{"a withdrawal dated ahead", withdraw(on("2027-03-21T12:00:00Z")), true, true, false},
		{"by id", func(_ int, r *Requested) { f.withdraw(Withdrawal{ConsentIDs: ids(r.Consents), OccurredAt: happened}) }, true, false, false},
		{"an objection", func(i int, _ *Requested) {
			f.object(Objection{Subject: who(i), Article: "art21_2", OccurredAt: happened}, "objection.recorded objection.recorded")
		}, true, false, false},
		{"an objection to something else", withdraw(happened, offers), true, true, true},
		{"a restriction", func(i int, _ *Requested) { restrict(i, happened) }, true, false, false},
		{"a restriction that had ended by then", func(i int, _ *Requested) {
			restrict(i, happened)
			if _, err := f.s.LiftRestriction(ctx, shop, Restriction{Subject: who(i), InformedAt: happened, OccurredAt: happened}); err != nil {
				t.Error(err)
			}
		}, true, true, true},
		{"a revocation", end(ledger.ConsentRevoked, happened), true, false, false},
		{"found to be invalid", end(ledger.ConsentInvalidated, time.Time{}), false, false, false},
		{"found to be invalid, with a date", end(ledger.ConsentInvalidated, happened), false, false, false},
		{"one more consent", func(i int, _ *Requested) { f.confirmed(who(i).Email) }, true, true, true},
		{"found to be invalid, and one more", func(i int, r *Requested) {
			end(ledger.ConsentInvalidated, time.Time{})(i, r)
			f.confirmed(who(i).Email)
		}, false, false, true},
		{"withdrawn, and one more", func(i int, r *Requested) {
			withdraw(happened)(i, r)
			f.confirmed(who(i).Email)
		}, true, false, true},
	}
	asked := make([]*Requested, len(cases))
	for i := range cases {
		asked[i] = f.confirmed(who(i).Email)
	}
	cal.set(on("2027-03-20T12:00:00Z"))
	for i, c := range cases {
		c.change(i, asked[i])
	}
	cal.set(on("2027-03-30T12:00:00Z"))
	for i, c := range cases {
		f.at(c.name, who(i), "2027-03-10T11:59:59Z", true, c.before)
		f.at(c.name, who(i), "2027-03-10T12:00:00Z", true, c.since)
		f.at(c.name, who(i), "2027-03-20T11:59:59Z", true, c.since)
		f.at(c.name, who(i), "2027-03-20T12:00:00Z", c.after, c.after)
	}
}

// Hindsight never makes a yes of a no: a consent on paper that was entered late was
// none that anybody could have relied on.
func TestHindsightAddsNothing(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	signed := f.clock.now().Add(-48 * time.Hour)
	f.clock.advance(24 * time.Hour)
	f.asserted(a, catalogue, "post", "contract")
	g := giving(a, "email", mailings)
	g.OccurredAt = signed
	if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
		t.Fatal(err)
	}
	f.decides(a, mailings, "email", "given")
	f.clock.advance(time.Hour)
	f.atOf("entered late", Question{Subject: a, Purpose: mailings, Channel: "email", At: f.clock.now().Add(-2 * time.Hour)}, false, false)
	f.atOf("entered", Question{Subject: a, Purpose: mailings, Channel: "email", At: f.clock.now()}, true, true)

	// Nor does it make up for what is known to have been withdrawn.
	b := email("b@example.com")
	f.give(b, "email", mailings)
	asked := f.clock.now()
	f.clock.advance(time.Hour)
	f.withdraw(Withdrawal{Subject: b, OccurredAt: asked.Add(-2 * time.Minute)})
	g.Subject, g.OccurredAt = b, asked.Add(-time.Minute)
	if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
		t.Fatal(err)
	}
	f.atOf("withdrawn and entered late", Question{Subject: b, Purpose: mailings, Channel: "email", At: asked}, true, false)
	f.decides(b, mailings, "email", "given")
}

// Whoever is erased or locked is a stranger, about earlier times, too; and a moment
// that is none is refused.
func TestAsOfLimits(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	erased, locked, listed := email("erased@example.com"), email("locked@example.com"), email("listed@example.com")
	for _, who := range []Subject{erased, locked, listed} {
		f.confirmed(who.Email)
	}
	cal.set(on("2027-03-02T12:00:00Z"))
	f.erase(erased.Email)
	f.lock(locked.Email)
	f.suppress(listed, "", true)
	f.at("erased", erased, noon, false, false)
	f.at("locked", locked, noon, false, false)
	f.at("the list keeps months only", listed, "2027-03-02T12:00:00Z", true, true)
	f.decides(listed, newsletter, "email", "suppressed")
	f.at("before there was a ledger", listed, "2000-01-01T00:00:00Z", false, false)
	for _, at := range []string{"1999-12-31T23:59:59Z", "2027-03-02T12:00:01Z"} {
		_, err := f.s.CheckConsent(ctx, Question{Subject: listed, Purpose: newsletter, Channel: "email", At: on(at)})
		refused(t, err, refusal.InvalidArgument, "at")
	}
	// What cannot be read is not allowed, then as now.
	f.close()
	f.opt.Dir = copyDir(t, f.opt.Dir)
	if n := damageRows(t, f.opt.Dir+"/vault", isPersons); n == 0 {
		t.Fatal("there is no such row")
	}
	f.open()
	f.damaged = true
	f.at("unreadable", listed, noon, false, false)
	if !strings.Contains(f.log.String(), "could not be answered") {
		t.Error("nothing is said of what cannot be read")
	}
}
