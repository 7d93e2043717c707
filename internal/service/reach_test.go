package service

import (
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// A withdrawal that reaches further than the objection on record is on record
// itself; one that reaches no further is a repeated one.
func TestWiderAfterNarrower(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.request("somebody@example.com") // so that the source is declared
	type step struct {
		purposes []string
		channel  string
		opens    string // "" for a repeated one
	}
	for name, story := range map[string][]step{
		"channel then any": {
			{[]string{newsletter}, "email", "newsletter/email"},
			{[]string{newsletter}, "", "newsletter/any"},
			{[]string{newsletter}, "sms", ""},
			{[]string{newsletter}, "email", ""},
			{[]string{newsletter}, "", ""},
		},
		"purpose then all": {
			{[]string{newsletter}, "", "newsletter/any"},
			{nil, "email", "all-marketing/email"},
			{nil, "", "all-marketing/any"},
			{nil, "sms", ""},
			{nil, "", ""},
			{[]string{newsletter}, "", ""},
			{[]string{offers}, "", "offers/any"},
		},
		"child then parent": {
			{[]string{digest}, "email", "mailings-items/email"},
			{[]string{mailings}, "email", "mailings/email"},
			{[]string{mailings, digest}, "", "mailings/any, mailings-items/any"},
			{[]string{mailings, digest}, "", ""},
			{[]string{digest, newsletter}, "", "newsletter/any"},
		},
	} {
		who := email(name[:5] + "@example.com")
		for i, s := range story {
			before := f.size()
			list := f.withdraw(Withdrawal{Subject: who, Purposes: s.purposes, Channel: s.channel})
			opened := ""
			for _, c := range list {
				if c.Entry.Index < ledger.Index(before) {
					continue
				}
				if opened != "" {
					opened += ", "
				}
				opened += c.Purpose + "/" + c.Channel
			}
			if opened != s.opens || s.opens == "" && f.size() != before {
				t.Errorf("%s, %d: opened %q, want %q; answered %s", name, i, opened, s.opens, shows(list))
			}
			if len(list) == 0 {
				t.Errorf("%s, %d: answered nothing", name, i)
			}
		}
	}
	// What the wider one is for: old stock on another channel.
	f.imports(importing(email("chann@example.com"), newsletter, "sms"), skippedExists)
}

// What is withdrawn is withdrawn with everything below it, and nothing above.
func TestWithdrawalCascadesDown(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a, b := email("a@example.com"), email("b@example.com")
	f.give(a, "email", mailings, digest, daily, newsletter)
	before := f.size()
	f.withdraw(Withdrawal{Subject: a, Purposes: []string{digest}})
	f.wrote(before, "consent.withdrawn consent.withdrawn")
	f.isNow(a, "mailings/email given, mailings-items/email withdrawn, mailings-daily/email withdrawn, newsletter/email given")
	// Somebody with only the lowest says no to the highest: that was in scope.
	f.give(b, "email", daily)
	before = f.size()
	f.withdraw(Withdrawal{Subject: b, Purposes: []string{mailings}})
	f.withdraw(Withdrawal{Subject: b, Purposes: []string{mailings}})
	f.wrote(before, "consent.withdrawn")
	f.isNow(b, "mailings-daily/email withdrawn")
}

// A contract is no consent: nobody withdraws it, by name neither.
func TestWithdrawalLeavesContracts(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	f.give(a, "email", newsletter)
	contract := f.asserted(a, invoices, "email", "contract")
	duty := f.asserted(a, invoices, "post", "legal_obligation")
	f.asserted(a, invoices, "email", "legitimate_interest")
	f.asserted(a, catalogue, "email", "contract") // marketing all the same
	before := f.size()
	f.withdraw(Withdrawal{Subject: a})
	f.wrote(before, "consent.withdrawn consent.withdrawn")
	f.isNow(a, "newsletter/email withdrawn, invoices/email asserted, invoices/post asserted, invoices/email asserted, catalogue/email withdrawn")

	before = f.size()
	w, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: a, Purposes: []string{invoices}})
	if err != nil || len(w.Consents) != 1 || w.Consents[0].State != ledger.Withdrawn || !slices.Equal(w.Remaining, []ledger.ConsentID{contract.ID}) {
		t.Errorf("%+v, %v", w, err)
	}
	f.wrote(before, "consent.withdrawn") // of what rests on legitimate interest
	before = f.size()
	both := []ledger.ConsentID{contract.ID, duty.ID}
	for _, again := range []Withdrawal{{ConsentIDs: both}, {Subject: a, Purposes: []string{invoices}, Channel: "post"}} {
		w, err := f.s.WithdrawConsent(ctx, shop, again)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Consents {
			if c.State != ledger.Asserted || c.Entry.Index != ledger.Index(c.ID) || !slices.Contains(w.Remaining, c.ID) {
				t.Errorf("answered %s, remaining %v", shows(w.Consents), w.Remaining)
			}
		}
	}
	f.wrote(before, "")
	f.object(Objection{Subject: a, Article: "art21_2"}, "objection.recorded")
	f.isNow(a, "newsletter/email withdrawn, invoices/email asserted, invoices/post asserted, invoices/email withdrawn, catalogue/email withdrawn, all-marketing/any objected")
}

// Of three consents for one purpose on one channel one is withdrawn: by its id
// only this one ends, and the answer names those that go on; by address and by
// link all three end.
func TestOneOfThree(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for name, test := range map[string]struct {
		w         func(who string, last *Requested) Withdrawal
		remaining int
		reason    string
	}{
		"id": {func(_ string, r *Requested) Withdrawal { return Withdrawal{ConsentIDs: ids(r.Consents)} }, 2, "confirmed"},
		"address": {func(who string, _ *Requested) Withdrawal {
			return Withdrawal{Subject: email(who), Purposes: []string{newsletter}}
		}, 0, "withdrawn"},
		"link": {func(_ string, r *Requested) Withdrawal { return Withdrawal{ManageToken: r.ManageToken} }, 0, "withdrawn"},
	} {
		who := name + "@example.com"
		first, second, third := f.confirmed(who), f.confirmed(who, newsletter, account), f.confirmed(who)
		w, err := f.s.WithdrawConsent(ctx, shop, test.w(who, third))
		if err != nil || len(w.Consents) != 3-test.remaining {
			t.Fatalf("%s: %+v, %v", name, w, err)
		}
		var remaining []ledger.ConsentID
		if test.remaining > 0 {
			remaining = []ledger.ConsentID{first.Consents[0].ID, second.Consents[0].ID}
		}
		if !slices.Equal(w.Remaining, remaining) {
			t.Errorf("%s: remaining %v, want %v", name, w.Remaining, remaining)
		}
		f.checks(who, newsletter, test.reason)
		f.checks(who, account, "confirmed")
		// The rest, one by one.
		if test.remaining > 0 {
			for n := range remaining {
				w, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: remaining[n : n+1]})
				if err != nil || !slices.Equal(w.Remaining, remaining[n+1:]) {
					t.Errorf("%s: %+v, %v", name, w, err)
				}
			}
			f.checks(who, newsletter, "withdrawn")
		}
	}
	// Ids of several people: what remains is each one's own.
	a, b := f.confirmed("a@example.com"), f.confirmed("b@example.com")
	more, elsewhere := f.confirmed("b@example.com"), f.confirmed("a@example.com", offers)
	w, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: append(ids(a.Consents), ids(b.Consents)...)})
	if err != nil || !slices.Equal(w.Remaining, ids(more.Consents)) || elsewhere.Consents[0].State != ledger.Requested {
		t.Errorf("%+v, %v", w, err)
	}
}

// A mailbox is a person to this ledger: a click proves the mailbox, not who reads
// it. Two people who share one are kept apart by another identifier only.
func TestSharedMailbox(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const mailbox = "family@example.com"
	anna, bert := asking(mailbox), asking(mailbox)
	anna.Claims, bert.Claims = map[string]string{"name": "Anna"}, map[string]string{"name": "Bert"}
	first, second := f.ask(anna), f.ask(bert)
	f.confirm(first.Token)
	f.confirm(second.Token)
	w, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: ids(first.Consents)})
	if err != nil || !slices.Equal(w.Remaining, ids(second.Consents)) {
		t.Errorf("%+v, %v", w, err)
	}
	f.checks(mailbox, newsletter, "confirmed") // Bert's
	f.withdraw(Withdrawal{Subject: email(mailbox)})
	f.checks(mailbox, newsletter, "withdrawn")

	// By a customer number each: the mailbox belongs to one of them, and what is
	// said of it concerns only that one.
	f.link(Link{Subject: email(mailbox), Add: external("anna")})
	ask := asking("")
	ask.Subject = external("bert")
	f.confirm(f.ask(ask).Token)
	_, err = f.s.LinkSubject(ctx, shop, Link{Subject: external("bert"), Add: email(mailbox)})
	refused(t, err, refusal.FailedPrecondition, "identifier_taken")
	f.withdraw(Withdrawal{Subject: email(mailbox)})
	f.reason(external("anna"), newsletter, "email", "withdrawn")
	f.reason(external("bert"), newsletter, "email", "confirmed")
	f.withdraw(Withdrawal{Subject: external("bert")})
	f.reason(external("bert"), newsletter, "email", "withdrawn")
}

// Dots and plus tags are part of an address: nobody but the mail server knows
// what they mean. Capitals of the domain and composed letters are spelling.
func TestSpellingsOfAddresses(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const plain, tagged, dotted = "annmarie@example.com", "annmarie+shop@example.com", "ann.marie@example.com"
	for _, who := range []string{plain, tagged, dotted} {
		f.confirmed(who)
	}
	f.withdraw(Withdrawal{Subject: email(tagged)})
	f.checks(plain, newsletter, "confirmed")
	f.checks(tagged, newsletter, "withdrawn")
	f.checks(dotted, newsletter, "confirmed")
	f.imports(importing(email("annmarie+other@example.com"), newsletter, "email"), "")
	f.imports(importing(email("annmarie+shop@EXAMPLE.com"), newsletter, "email"), skippedExists)

	f.confirmed("jürgen@bücher.example")
	f.withdraw(Withdrawal{Subject: email("ju\u0308rgen@xn--bcher-kva.example")})
	f.checks("jürgen@bücher.example", newsletter, "withdrawn")
}
