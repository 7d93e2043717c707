package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Which ground carries what on which channel (§ 7 UWG).
func TestBasesByChannel(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.request("somebody@example.com")
	forbidden := map[string][]string{
		"catalogue existing_customer":   {"phone", "fax"},
		"catalogue legitimate_interest": {"email", "sms", "messenger", "fax", "phone"},
	}
	for _, purpose := range []string{catalogue, invoices} {
		for _, basis := range ledger.Bases()[1:] {
			for _, channel := range []string{"email", "phone", "sms", "messenger", "fax", "post", "push", "app", "web"} {
				who := external(purpose + basis + channel)
				rule := ""
				if slices.Contains(forbidden[purpose+" "+basis], channel) {
					rule = "basis_channel"
				}
				if purpose == invoices && basis == "existing_customer" {
					rule = "basis"
				}
				before := f.size()
				c, err := f.s.AssertBasis(ctx, shop, asserting(who, purpose, channel, basis))
				if rule != "" {
					refused(t, err, refusal.FailedPrecondition, rule)
					f.wrote(before, "")
				} else if err != nil || c.State != ledger.Asserted || c.Purpose != purpose || c.Channel != channel {
					t.Errorf("%s for %s by %s: %+v, %v", basis, purpose, channel, c, err)
				}
			}
		}
	}
	_, err := f.s.AssertBasis(ctx, shop, asserting(email("a@example.com"), newsletter, "post", "contract"))
	refused(t, err, refusal.FailedPrecondition, "basis") // the purpose rests on consent alone
}

// Each of the four conditions is demanded, and named where it is missing.
func TestConditionsOfCustomers(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := asserting(email("a@example.com"), catalogue, "email", "existing_customer")
	a.Claims, a.Notice = map[string]string{"reference": "order 4711"}, grounds
	a.Attachments = []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: []byte("an order")}}
	before := f.size()
	for i, c := range ledger.Conditions() {
		short := a
		short.Conditions = slices.Delete(ledger.Conditions(), i, i+1)
		_, err := f.s.AssertBasis(ctx, shop, short)
		if refused(t, err, refusal.FailedPrecondition, "conditions"); !strings.HasSuffix(err.Error(), "missing: "+c) {
			t.Errorf("without %s: %v", c, err)
		}
	}
	none := a
	none.Conditions = nil
	_, err := f.s.AssertBasis(ctx, shop, none)
	if refused(t, err, refusal.FailedPrecondition, "conditions"); !strings.HasSuffix(err.Error(), strings.Join(ledger.Conditions(), ", ")) {
		t.Error(err)
	}
	f.wrote(before, "")
	slices.Reverse(a.Conditions) // in any order
	a.IdempotencyKey = "order 4711"
	c, err := f.s.AssertBasis(ctx, shop, a)
	if err != nil || c.Notice != grounds {
		t.Fatalf("%+v, %v", c, err)
	}
	e := f.entry(ledger.Index(c.ID))
	if e.Basis != "existing_customer" || !slices.Equal(e.Conditions, ledger.Conditions()) || f.opened(e, c.ID)["reference"] != "order 4711" {
		t.Errorf("entry %+v", e)
	}
	before = f.size()
	if again, err := f.s.AssertBasis(ctx, shop, a); err != nil || again.ID != c.ID {
		t.Errorf("again %+v, %v", again, err)
	}
	f.wrote(before, "")
}

// An objection or a suppression in scope stands against a ground, however old;
// neither stands against a contract about what is no marketing.
func TestBasisAfterObjection(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.request("somebody@example.com")
	f.define(PurposeDefinition{ID: "catalogue-fashion", Marketing: true, Parent: catalogue, Bases: ledger.Bases()})
	for name, test := range map[string]struct {
		say     func(who Subject)
		refused map[string]string // purpose and channel: the rule
	}{
		"all": {func(who Subject) { f.object(Objection{Subject: who, Article: "art21_2"}, "objection.recorded") },
			map[string]string{"catalogue email": "objected", "catalogue post": "objected", "catalogue-fashion email": "objected"}},
		"channel": {func(who Subject) {
			f.object(Objection{Subject: who, Article: "art21_2", Channel: "post"}, "objection.recorded")
		}, map[string]string{"catalogue post": "objected"}},
		"purpose": {func(who Subject) {
			f.object(Objection{Subject: who, Article: "art21_2", Purposes: []string{"catalogue-fashion"}}, "objection.recorded")
		}, map[string]string{"catalogue-fashion email": "objected"}},
		"above": {func(who Subject) { f.withdraw(Withdrawal{Subject: who, Purposes: []string{catalogue}}) },
			map[string]string{"catalogue email": "objected", "catalogue post": "objected", "catalogue-fashion email": "objected"}},
		"consented since": {func(who Subject) {
			f.object(Objection{Subject: who, Article: "art21_2", Purposes: []string{catalogue}, Channel: "email"}, "objection.recorded")
			f.give(who, "email", catalogue)
		}, map[string]string{"catalogue email": "objected", "catalogue-fashion email": "objected"}},
		"suppression": {func(who Subject) { f.suppress(who, "", true) },
			map[string]string{"catalogue email": "suppressed", "catalogue post": "suppressed", "catalogue-fashion email": "suppressed"}},
		"suppression above": {func(who Subject) { f.suppress(who, catalogue, true) },
			map[string]string{"catalogue email": "suppressed", "catalogue post": "suppressed", "catalogue-fashion email": "suppressed"}},
		"no marketing": {func(who Subject) { f.withdraw(Withdrawal{Subject: who, Purposes: []string{invoices}}) },
			map[string]string{"invoices email interest": "objected"}},
	} {
		who := email(strings.ReplaceAll(name, " ", "-") + "@example.com")
		test.say(who)
		for _, a := range []struct{ key, purpose, channel, basis string }{
			{"catalogue email", catalogue, "email", "existing_customer"},
			{"catalogue post", catalogue, "post", "legitimate_interest"},
			{"catalogue-fashion email", "catalogue-fashion", "email", "contract"},
			{"invoices email", invoices, "email", "contract"},
			{"invoices email duty", invoices, "email", "legal_obligation"},
			{"invoices email interest", invoices, "email", "legitimate_interest"},
		} {
			before := f.size()
			_, err := f.s.AssertBasis(ctx, shop, asserting(who, a.purpose, a.channel, a.basis))
			if rule := test.refused[a.key]; rule != "" {
				refused(t, err, refusal.FailedPrecondition, rule)
				f.wrote(before, "")
			} else if err != nil {
				t.Errorf("%s, %s: %v", name, a.key, err)
			}
		}
	}
}

func TestBadAssertions(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	before := f.size()
	with := func(change func(*Assertion)) Assertion {
		a := asserting(email("a@example.com"), catalogue, "post", "contract")
		change(&a)
		return a
	}
	for at, a := range map[string]Assertion{
		"basis":      with(func(a *Assertion) { a.Basis = "consent" }),
		"basis ":     with(func(a *Assertion) { a.Basis = "vital_interests" }),
		"conditions": with(func(a *Assertion) { a.Conditions = ledger.Conditions() }),
		"conditions[1]": with(func(a *Assertion) {
			a.Basis, a.Conditions = "existing_customer", []string{"no_objection", "no_objection"}
		}),
		"conditions[0]": with(func(a *Assertion) { a.Basis, a.Conditions = "existing_customer", []string{"liked_us"} }),
		"purpose":       with(func(a *Assertion) { a.Purpose = "never_defined" }),
		"purpose ":      with(func(a *Assertion) { a.Purpose = "" }),
		"channel":       with(func(a *Assertion) { a.Channel = "smoke" }),
		"notice":        with(func(a *Assertion) { a.Notice = "unpublished@1" }),
		"subject":       with(func(a *Assertion) { a.Subject = Subject{} }),
	} {
		_, err := f.s.AssertBasis(ctx, shop, a)
		refused(t, err, refusal.InvalidArgument, strings.TrimSpace(at))
	}
	f.wrote(before, "")
}

// Who withdrew from marketing is a customer who said no, also when only the legal
// role knows of it any more.
func TestNoBasisAfterWithdrawal(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: catalogue, Marketing: true, Bases: ledger.Bases()})
	f.define(PurposeDefinition{ID: invoices, Bases: []string{"consent", "contract"}})
	n, _, err := f.s.PublishNotice(ctx, admin, NoticePublication{ID: "more-de", Language: "de", Text: "Ja.", Purposes: []string{catalogue, invoices}})
	if err != nil || n.Name != grounds {
		t.Fatalf("notice %+v, %v", n, err)
	}
	who := email("gone@example.com")
	f.give(who, "email", catalogue, invoices)
	f.withdraw(Withdrawal{Subject: who, Purposes: []string{catalogue, invoices}})
	stays := func(rule string) {
		t.Helper()
		before := f.size()
		_, err := f.s.AssertBasis(ctx, shop, asserting(who, catalogue, "email", "existing_customer"))
		refused(t, err, refusal.FailedPrecondition, rule)
		f.wrote(before, "")
	}
	stays("objected")
	f.asserted(who, catalogue, "post", "existing_customer") // nothing was said about post
	f.asserted(who, invoices, "email", "contract")
	other := email("other@example.com")
	f.give(other, "email", catalogue)
	f.withdraw(Withdrawal{Subject: other})
	cal.set(on("2027-04-01T12:00:01Z"))
	f.retain("withdrawn lock catalogue 2, withdrawn lock invoices 1")
	stays("suppressed")
	who = other // of whom nothing is left but what is locked
	stays("suppressed")
	f.asserted(who, invoices, "email", "contract")
}
