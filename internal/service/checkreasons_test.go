package service

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// reasons are the vocabulary of CheckConsent and whether they allow. unavailable is
// for what cannot be read; see TestUnreadableVault.
var reasons = map[string]bool{
	"confirmed": true, "given": true, "renewed": true, "imported": true,
	"existing_customer": true, "contract": true, "legal_obligation": true, "legitimate_interest": true,
	"unknown_subject": false, "unknown_purpose": false, "no_consent": false, "pending": false, "lapsed": false, "refused": false,
	"withdrawn": false, "objected": false, "suppressed": false, "restricted": false, "expired": false, "dormant": false,
	"grade_too_low": false, "double_opt_in_missing": false, "guardian_missing": false, "revoked": false, "invalidated": false,
}

// decides checks an answer: the reason, and that it allows if the reason is one
// that does.
func (f *fixture) decides(who Subject, purpose, channel, reason string) *Decision {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{Subject: who, Purpose: purpose, Channel: channel})
	if err != nil {
		f.t.Fatal(err)
	}
	allows, ok := reasons[reason]
	if !ok || d.Reason != reason || d.Allowed != allows {
		f.t.Errorf("check %s by %s: allowed %v, reason %s, want %s", purpose, channel, d.Allowed, d.Reason, reason)
	}
	return d
}

// Every reason, reached by what leads to it.
func TestEveryReason(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const graded, gated, valid, blocked = "graded", "gated", "valid", "blocked"
	f.define(PurposeDefinition{ID: graded, MinimumGrade: "B"})
	f.define(PurposeDefinition{ID: gated, MinimumAge: 16})
	f.define(PurposeDefinition{ID: valid, ValidityDays: 10})
	f.define(PurposeDefinition{ID: blocked, UnusedDays: 10, UnusedMeasure: "block", UnusedWarnDays: 5})
	f.covering(mailings, digest, daily, catalogue, invoices, newsletter, offers, account, graded, gated, valid, blocked)
	const notice = "more-de@2"
	give := func(who Subject, purpose, age string) ledger.ConsentID {
		g := giving(who, "email", purpose)
		g.Notice, g.Age = notice, age
		done, err := f.s.GiveConsent(ctx, shop, g)
		if err != nil {
			t.Fatal(err)
		}
		return done.Consents[0].ID
	}
	end := func(kind ledger.Kind, cause string, id ledger.ConsentID) {
		if _, err := f.s.EndConsents(ctx, legal, Ending{Kind: kind, Cause: cause, ConsentIDs: []ledger.ConsentID{id}}); err != nil {
			t.Error(err)
		}
	}
	seen := map[string]bool{}
	for _, c := range []struct {
		reason, purpose string
		lead            func(who Subject) // to the reason
	}{
		{"unknown_subject", newsletter, func(Subject) {}},
		{"unknown_purpose", "never_defined", func(who Subject) { f.give(who, "email", mailings) }},
		{"no_consent", offers, func(who Subject) { f.give(who, "email", mailings) }},
		{"no_consent", digest, func(who Subject) { f.give(who, "email", mailings) }}, // a grant never cascades
		{"pending", newsletter, func(who Subject) { f.request(who.Email) }},
		{"lapsed", newsletter, func(who Subject) {
			if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: f.request(who.Email).Token}); err != nil {
				t.Error(err)
			}
		}},
		{"refused", mailings, func(who Subject) {
			if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: who, Purposes: []string{mailings}, Channel: "email", Method: "oral"}); err != nil {
				t.Error(err)
			}
		}},
		{"confirmed", newsletter, func(who Subject) { f.confirmed(who.Email) }},
		{"given", mailings, func(who Subject) { f.give(who, "email", mailings) }},
		{"renewed", mailings, func(who Subject) {
			if _, err := f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: ids(f.give(who, "email", mailings)), Method: "paper"}); err != nil {
				t.Error(err)
			}
		}},
		{"imported", newsletter, func(who Subject) { f.imports(importing(who, newsletter, "email"), "") }},
		{"existing_customer", catalogue, func(who Subject) { f.asserted(who, catalogue, "email", "existing_customer") }},
		{"contract", invoices, func(who Subject) { f.asserted(who, invoices, "email", "contract") }},
		{"legal_obligation", invoices, func(who Subject) { f.asserted(who, invoices, "email", "legal_obligation") }},
		{"legitimate_interest", invoices, func(who Subject) { f.asserted(who, invoices, "email", "legitimate_interest") }},
		{"double_opt_in_missing", newsletter, func(who Subject) { f.give(who, "email", newsletter) }},
		{"grade_too_low", graded, func(who Subject) { give(who, graded, "") }},
		{"guardian_missing", gated, func(who Subject) { give(who, gated, "child") }},
		{"given", gated, func(who Subject) { give(who, gated, "old_enough") }},
		{"withdrawn", mailings, func(who Subject) {
			f.give(who, "email", mailings)
			f.withdraw(Withdrawal{Subject: who})
		}},
		{"withdrawn", daily, func(who Subject) { // a withdrawal cascades down
			f.give(who, "email", daily)
			f.withdraw(Withdrawal{Subject: who, Purposes: []string{mailings}})
		}},
		{"objected", catalogue, func(who Subject) {
			f.asserted(who, catalogue, "email", "existing_customer")
			f.object(Objection{Subject: who, Article: "art21_2"}, "objection.recorded objection.recorded")
		}},
		{"objected", daily, func(who Subject) { f.withdraw(Withdrawal{Subject: who, Purposes: []string{mailings}}) }},
		{"contract", invoices, func(who Subject) {
			f.asserted(who, invoices, "email", "contract")
			f.withdraw(Withdrawal{Subject: who})
			f.suppress(who, "", true)
		}},
		{"suppressed", mailings, func(who Subject) {
			f.give(who, "email", mailings)
			f.suppress(who, "", true)
		}},
		{"suppressed", daily, func(who Subject) { f.suppress(who, mailings, true) }},
		{"restricted", invoices, func(who Subject) {
			f.asserted(who, invoices, "email", "legitimate_interest")
			f.object(Objection{Subject: who, Article: "art21_1"}, "restriction.set")
		}},
		{"restricted", invoices, func(who Subject) {
			f.asserted(who, invoices, "email", "contract")
			f.restrict(who.Email)
		}},
		{"revoked", mailings, func(who Subject) { end(ledger.ConsentRevoked, "authority", f.give(who, "email", mailings)[0].ID) }},
		{"invalidated", mailings, func(who Subject) { end(ledger.ConsentInvalidated, "wording", f.give(who, "email", mailings)[0].ID) }},
	} {
		who := email(fmt.Sprintf("%s-%s%d@example.com", c.reason, c.purpose, len(seen)))
		c.lead(who)
		f.decides(who, c.purpose, "email", c.reason)
		seen[c.reason] = true
	}
	waits, grows, rests := email("waits@example.com"), email("grows@example.com"), email("rests@example.com")
	f.request(waits.Email)
	expires := give(grows, valid, "")
	idle := give(rests, blocked, "")
	if d := f.decides(grows, valid, "email", "given"); d.ExpiresAt.IsZero() || len(d.Warnings) > 0 {
		t.Errorf("%+v", d)
	}
	f.clock.advance(6 * 24 * time.Hour)
	d := f.decides(rests, blocked, "email", "given")
	if len(d.Warnings) != 1 || d.Warnings[0] != "dormant" || d.ExpiresAt.IsZero() {
		t.Errorf("%+v", d)
	}
	f.clock.advance(5 * 24 * time.Hour)
	for reason, q := range map[string]Question{"lapsed": {Subject: waits, Purpose: newsletter}, "expired": {Subject: grows, Purpose: valid},
		"dormant": {Subject: rests, Purpose: blocked}} {
		d := f.decides(q.Subject, q.Purpose, "email", reason)
		if d.Consent == 0 || !d.ExpiresAt.IsZero() || len(d.Warnings) > 0 {
			t.Errorf("%s: %+v", reason, d)
		}
		seen[reason] = true
	}
	// Used or renewed it allows again; what has expired by the clock alone, too.
	f.use(Uses{ConsentIDs: []ledger.ConsentID{idle}})
	f.decides(rests, blocked, "email", "given")
	if _, err := f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: []ledger.ConsentID{expires}, Method: "paper"}); err != nil {
		t.Error(err)
	}
	f.decides(grows, valid, "email", "renewed")
	for reason := range reasons {
		if !seen[reason] {
			t.Errorf("nothing led to %s", reason)
		}
	}
}

// What an answer tells besides yes or no.
func TestDecisionShowsWhatItRestsOn(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	r := f.confirmed(a.Email)
	d := f.decides(a, newsletter, "email", "confirmed")
	if d.Consent != r.Consents[0].ID || d.State != "confirmed" || d.Basis != "consent" || d.Grade != "C" || d.Notice != wording ||
		!d.ExpiresAt.IsZero() || d.Warnings != nil || d.TrackingMode != "" || d.Size != f.size() || d.Then != nil || d.Hindsight != nil {
		t.Errorf("%+v", d)
	}
	c := f.asserted(a, catalogue, "post", "legitimate_interest")
	d = f.decides(a, catalogue, "post", "legitimate_interest")
	if d.Consent != c.ID || d.State != "asserted" || d.Basis != "legitimate_interest" || d.Grade != "" || d.Notice != "" {
		t.Errorf("%+v", d)
	}
	d = f.decides(a, offers, "email", "no_consent")
	if d.Consent != 0 || d.State != "" || d.Basis != "" || d.Grade != "" || d.Notice != "" {
		t.Errorf("%+v", d)
	}
}

// The list stops nothing but marketing, also what was marketing when it was listed.
func TestSuppressedForWhatIsNoMarketingAnyMore(t *testing.T) {
	t.Parallel()
	f := newService(t)
	a := email("a@example.com")
	f.confirmed(a.Email, offers)
	f.suppress(a, offers, true)
	f.decides(a, offers, "email", "suppressed")
	f.define(PurposeDefinition{ID: offers, DoubleOptIn: true})
	f.decides(a, offers, "email", "confirmed")
	f.define(PurposeDefinition{ID: offers, DoubleOptIn: true, Marketing: true})
	f.decides(a, offers, "email", "suppressed")
}

// Two people who share a mailbox are one to whoever writes to it: the link proves
// the mailbox, not who clicked. What is said by the address is said for both, what
// is said of one consent leaves the other.
func TestTwoPeopleShareAMailbox(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const family = "family@example.com"
	one, two := f.confirmed(family), f.confirmed(family)
	w, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: ids(one.Consents)})
	if err != nil || len(w.Remaining) != 1 || w.Remaining[0] != two.Consents[0].ID {
		t.Fatalf("%+v, %v", w, err)
	}
	if d := f.decides(email(family), newsletter, "email", "confirmed"); d.Consent != two.Consents[0].ID {
		t.Errorf("%+v", d)
	}
	three := f.confirmed(family)
	if w, err = f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: ids(two.Consents)}); err != nil || len(w.Remaining) != 1 {
		t.Fatalf("%+v, %v", w, err)
	}
	if d := f.decides(email(family), newsletter, "email", "confirmed"); d.Consent != three.Consents[0].ID {
		t.Errorf("%+v", d)
	}
	f.withdraw(Withdrawal{ManageToken: one.ManageToken}) // each has the same footer
	f.decides(email(family), newsletter, "email", "withdrawn")

	// Known by customer numbers they are two, of whom only one has the address.
	const couple = "couple@example.com"
	first, second := Subject{ExternalID: "customer-1"}, Subject{ExternalID: "customer-2"}
	f.confirmedOn(first, "email", newsletter)
	f.confirmedOn(second, "email", newsletter)
	if _, err := f.s.LinkSubject(ctx, shop, Link{Subject: first, Add: email(couple)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.LinkSubject(ctx, shop, Link{Subject: second, Add: email(couple)}); err == nil {
		t.Error("an address belongs to two people")
	}
	f.withdraw(Withdrawal{Subject: email(couple)})
	f.decides(first, newsletter, "email", "withdrawn")
	f.decides(second, newsletter, "email", "confirmed")
}

// Many questions are answered each on its own, from one log.
func TestCheckMany(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const n = 200
	each(n, func(i int) {
		if r := f.request(fmt.Sprintf("person%d@example.com", i)); i%2 == 0 {
			f.confirm(r.Token)
		}
	})
	questions := make([]Question, n+3)
	for i := range n {
		questions[i] = Question{Subject: email(fmt.Sprintf("Person%d@Example.com", i)), Purpose: newsletter, Channel: "email"}
	}
	questions[n] = Question{Subject: email("not an address"), Purpose: newsletter, Channel: "email"}
	questions[n+1] = Question{Subject: email("a@example.com"), Purpose: newsletter, Channel: "any"}
	questions[n+2] = Question{Subject: email("a@example.com"), Purpose: newsletter, Channel: "email", At: f.clock.now().Add(time.Hour)}
	results := f.s.CheckMany(ctx, questions)
	for i, r := range results[:n] {
		want := []string{"confirmed", "pending"}[i%2]
		if r.Err != nil || r.Decision.Reason != want || r.Decision.Allowed != (i%2 == 0) || r.Decision.Size != f.size() {
			t.Errorf("%d: %+v, %v", i, r.Decision, r.Err)
		}
	}
	refused(t, results[n].Err, refusal.InvalidArgument, "subject.email")
	refused(t, results[n+1].Err, refusal.InvalidArgument, "channel")
	refused(t, results[n+2].Err, refusal.InvalidArgument, "at")
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for _, r := range f.s.CheckMany(gone, questions[:20]) {
		if !errors.Is(r.Err, context.Canceled) || r.Decision != nil {
			t.Errorf("%+v", r)
		}
	}
	if got := f.s.CheckMany(ctx, nil); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
