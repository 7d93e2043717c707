package service

import (
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// An objection to marketing ends whatever marketing rests on, and nothing else.
func TestObjectionToMarketing(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	r := f.confirmed(a.Email, newsletter, account)
	f.request(a.Email, offers)
	f.give(a, "post", mailings)
	f.imports(importing(a, catalogue, "email"), "")
	f.asserted(a, catalogue, "post", "legitimate_interest")
	f.asserted(a, catalogue, "sms", "existing_customer")
	f.asserted(a, catalogue, "email", "contract")
	f.asserted(a, invoices, "email", "contract")
	f.asserted(a, invoices, "email", "legitimate_interest")
	if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: a, Purposes: []string{digest}, Channel: "email", Method: "web_form"}); err != nil {
		t.Fatal(err)
	}
	o := Objection{Subject: a, Article: "art21_2", Method: "oral", Claims: map[string]string{"operator": "desk 4", "ip": "203.0.113.7"}, Proof: true}
	before := f.size()
	list := f.object(o, "objection.recorded objection.recorded objection.recorded objection.recorded objection.recorded objection.recorded objection.recorded objection.recorded")
	f.isNow(a, "newsletter/email objected, account/email confirmed, offers/email objected, mailings/post objected, catalogue/email objected, "+
		"catalogue/post objected, catalogue/sms objected, catalogue/email objected, invoices/email asserted, invoices/email asserted, "+
		"mailings-items/email refused, all-marketing/any objected")
	if len(list) != 8 || list[7].Purpose != ledger.AllMarketing || list[7].ID != ledger.ConsentID(list[7].Entry.Index) || list[0].Entry.Receipt == "" {
		t.Errorf("objected %s", shows(list))
	}
	for _, e := range f.entriesFrom(before) {
		id := ledger.ConsentID(e.Index)
		if len(e.Consents) > 0 {
			id = e.Consents[0].Consent
		}
		values := f.opened(e, id)
		if e.Method != "oral" || values["operator"] != "desk 4" || values["ip"] != "203.0.113.0/24" || (len(e.Consents) == 0) != (values["email"] == a.Email) {
			t.Errorf("entry %d commits to %v", e.Index, values)
		}
	}
	// A click on the request of before does nothing any more; repeated, the
	// objection writes nothing and answers with the one that stands.
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
	if err == nil {
		f.checks(a.Email, newsletter, "objected")
	}
	if again := f.object(o, ""); len(again) != 1 || again[0].ID != list[7].ID {
		t.Errorf("again %s", shows(again))
	}
	f.object(Objection{Subject: a, Article: "art21_2", Channel: "sms"}, "")
	// Narrower, it is another one.
	f.object(Objection{Subject: a, Article: "art21_2", Purposes: []string{mailings}}, "objection.recorded")

	// The person may change their mind, nobody else may.
	f.imports(importing(a, offers, "sms"), skippedExists)
	_, err = f.s.AssertBasis(ctx, shop, asserting(a, catalogue, "post", "legitimate_interest"))
	refused(t, err, refusal.FailedPrecondition, "objected")
	f.confirmed(a.Email, newsletter)
	f.checks(a.Email, newsletter, "confirmed")
	// What is newer than the objection that stands is ended by the next one, and
	// the next one stands for itself.
	f.object(o, "objection.recorded objection.recorded")
	f.checks(a.Email, newsletter, "objected")
}

// Somebody of whom nothing is known may object, too, wider after narrower, and
// with everything below what is named.
func TestObjectionOfStranger(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.request("somebody@example.com")
	a := email("A.Strange@Example.com")
	list := f.object(Objection{Subject: a, Article: "art21_2", Purposes: []string{digest}, Channel: "email",
		OccurredAt: time.Date(2096, 2, 29, 12, 0, 0, 0, time.UTC)}, "objection.recorded")
	values := f.opened(f.entry(list[0].Entry.Index), list[0].ID)
	if values["email"] != "a.strange@example.com" || values["typed"] != a.Email {
		t.Errorf("commits to %v", values)
	}
	f.imports(importing(a, daily, "email"), skippedExists)
	f.imports(importing(a, daily, "post"), "")
	f.imports(importing(a, mailings, "email"), "")
	f.object(Objection{Subject: a, Article: "art21_2", Purposes: []string{digest}}, "objection.recorded objection.recorded")
	f.object(Objection{Subject: a, Article: "art21_2", Purposes: []string{digest}}, "")
	f.object(Objection{Subject: a, Article: "art21_2"}, "objection.recorded objection.recorded")
	f.object(Objection{Subject: a, Article: "art21_2", Purposes: []string{digest}, Channel: "post"}, "")
	if rep := f.verify(); rep.Irregular["occurred_ahead"] != 1 {
		t.Errorf("irregular: %v", rep.Irregular)
	}
}

// An objection on grounds of the person's situation restricts what rests on
// legitimate interest until it is answered, and only that.
func TestObjectionToInterest(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	f.confirmed(a.Email, newsletter)
	f.asserted(a, invoices, "email", "legitimate_interest")
	f.asserted(a, invoices, "post", "legitimate_interest")
	f.asserted(a, invoices, "email", "contract")
	f.asserted(a, catalogue, "post", "legitimate_interest")
	rest := ", invoices/email asserted, catalogue/post asserted"
	o := Objection{Subject: a, Article: "art21_1", Purposes: []string{invoices}, Channel: "email", Claims: map[string]string{"reason": "my situation"}}
	before := f.size()
	list := f.object(o, "restriction.set")
	f.isNow(a, "newsletter/email confirmed, invoices/email asserted restricted, invoices/post asserted"+rest)
	if e := f.entry(ledger.Index(before)); e.Ground != decision.GroundObjection || f.opened(e, list[0].ID)["reason"] != "my situation" {
		t.Errorf("entry %+v", e)
	}
	if again := f.object(o, ""); shows(again) != shows(list) {
		t.Errorf("again %s, first %s", shows(again), shows(list))
	}
	// A second record of the same ground is no way around it.
	_, err := f.s.AssertBasis(ctx, shop, asserting(a, invoices, "email", "legitimate_interest"))
	refused(t, err, refusal.FailedPrecondition, "objected")
	f.asserted(a, invoices, "email", "legal_obligation")
	f.checks(a.Email, newsletter, "confirmed")

	// Everything that rests on it; what is restricted stays.
	f.object(Objection{Subject: a, Article: "art21_1"}, "restriction.set restriction.set")
	f.object(Objection{Subject: a, Article: "art21_1"}, "")
	f.isNow(a, "newsletter/email confirmed, invoices/email asserted restricted, invoices/post asserted restricted, invoices/email asserted, catalogue/post asserted restricted, invoices/email asserted")
	f.lift(a.Email)
	f.isNow(a, "newsletter/email confirmed, invoices/email asserted, invoices/post asserted"+rest+", invoices/email asserted")

	// Where nothing rests on it, it stands against what is named.
	f.object(Objection{Subject: a, Article: "art21_1", Purposes: []string{invoices, account}, Channel: "sms"}, "objection.recorded objection.recorded")
	f.object(Objection{Subject: a, Article: "art21_1", Purposes: []string{invoices, account}, Channel: "sms"}, "")
	b := email("b@example.com")
	f.object(Objection{Subject: b, Article: "art21_1", Purposes: []string{invoices}}, "objection.recorded")
	_, err = f.s.AssertBasis(ctx, shop, asserting(b, invoices, "post", "legitimate_interest"))
	refused(t, err, refusal.FailedPrecondition, "objected")
	f.asserted(b, invoices, "post", "contract") // is not what they objected to
	_, err = f.s.RecordObjection(ctx, shop, Objection{Subject: email("c@example.com"), Article: "art21_1"})
	refused(t, err, refusal.InvalidArgument, "purposes")
}

// The ground of an objection concerns the records on which it lies; another
// ground concerns the person, so it is set over it.
func TestRestrictionOverObjection(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	c := f.asserted(a, invoices, "email", "legitimate_interest")
	f.object(Objection{Subject: a, Article: "art21_1", Purposes: []string{invoices}}, "restriction.set")
	before := f.size()
	set := func(ground string) {
		t.Helper()
		if _, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: a, Ground: ground}); err != nil {
			t.Fatal(err)
		}
	}
	ground := func() string {
		t.Helper()
		snap := f.s.Log().Snapshot()
		defer snap.Release()
		now, _, err := snap.Consent(c.ID)
		if err != nil {
			t.Fatal(err)
		}
		ground, err := decision.GroundOf(published{snap}, now)
		if err != nil {
			t.Fatal(err)
		}
		return ground
	}
	set("art18_1_d")
	f.wrote(before, "")
	set("art18_1_a")
	f.wrote(before, "restriction.set")
	if got := ground(); got != "art18_1_a" {
		t.Errorf("restricted on %s", got)
	}
	before = f.size()
	set("art18_1_d")
	f.object(Objection{Subject: a, Article: "art21_1", Purposes: []string{invoices}}, "")
	f.wrote(before, "")
	set("art18_1_c")
	f.wrote(before, "restriction.set")
	set("art18_1_c")
	f.wrote(before, "restriction.set")
	set("art18_1_a")
	f.wrote(before, "restriction.set restriction.set")
	if got := ground(); got != "art18_1_a" {
		t.Errorf("restricted on %s", got)
	}
	// What a ground keeps stays kept until the restriction is lifted.
	_, err := f.s.EraseSubject(ctx, shop, erasure(a.Email))
	refused(t, err, refusal.FailedPrecondition, "held")
	f.lift(a.Email)
	if got := ground(); got != "" {
		t.Errorf("restricted on %s", got)
	}
}

func TestBadObjections(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	before := f.size()
	for at, o := range map[string]Objection{
		"article":     {Subject: a, Article: "art23"},
		"subject":     {Article: "art21_2"},
		"purposes[1]": {Subject: a, Article: "art21_2", Purposes: []string{newsletter, "never_defined"}},
		"purposes[0]": {Subject: a, Article: "art21_2", Purposes: []string{ledger.AllMarketing}},
		"channel":     {Subject: a, Article: "art21_1", Channel: ledger.AnyChannel},
		"method":      {Subject: a, Article: "art21_1", Method: "telepathy"},
		"claims.ip":   {Subject: a, Article: "art21_1", Claims: map[string]string{"ip": "1.2.3"}},
		"occurred_at": {Subject: a, Article: "art21_1", OccurredAt: earliest.Add(-time.Second)},
	} {
		_, err := f.s.RecordObjection(ctx, shop, o)
		refused(t, err, refusal.InvalidArgument, at)
	}
	_, err := f.s.RecordObjection(ctx, shop, Objection{Subject: a, Article: "art21_2", Purposes: []string{newsletter, invoices}})
	refused(t, err, refusal.FailedPrecondition, "marketing")
	f.wrote(before, "")
}

// What names no purpose keeps of an address what the strictest of all purposes
// allows, what names consents what theirs allow.
func TestAddressOfWhoObjects(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	f.define(PurposeDefinition{ID: "strict", Marketing: true, IPPolicy: "none"})
	f.define(PurposeDefinition{ID: "open", Marketing: true, IPPolicy: "full"})
	open := f.notice("open-de", "open")
	ip := map[string]string{"ip": "203.0.113.7"}
	kept := func(list []Consent) string {
		t.Helper()
		return f.opened(f.entry(list[0].Entry.Index), list[0].ID)["ip"]
	}
	give := func() []Consent {
		t.Helper()
		g := giving(a, "email", "open")
		g.Notice, g.Claims = open, ip
		given, err := f.s.GiveConsent(ctx, shop, g)
		if err != nil || kept(given.Consents) != "203.0.113.7" {
			t.Fatalf("%+v, %v", given, err)
		}
		return given.Consents
	}
	if got := kept(f.withdraw(Withdrawal{ConsentIDs: ids(give()), Claims: ip})); got != "203.0.113.7" {
		t.Errorf("withdrawn by id: %q", got)
	}
	give()
	if got := kept(f.withdraw(Withdrawal{Subject: a, Purposes: []string{"open"}, Claims: ip})); got != "203.0.113.7" {
		t.Errorf("withdrawn by purpose: %q", got)
	}
	give()
	if got := kept(f.withdraw(Withdrawal{Subject: a, Claims: ip})); got != "" {
		t.Errorf("withdrawn: %q", got)
	}
	give()
	if got := kept(f.object(Objection{Subject: a, Article: "art21_2", Claims: ip}, "objection.recorded objection.recorded")); got != "" {
		t.Errorf("objected: %q", got)
	}
	give()
	o := Objection{Subject: a, Article: "art21_2", Purposes: []string{newsletter, "open"}, Claims: ip}
	if got := kept(f.object(o, "objection.recorded objection.recorded objection.recorded")); got != "203.0.113.0/24" {
		t.Errorf("objected to purposes: %q", got)
	}
}
