package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// end ends consents and checks how many.
func (f *fixture) end(e Ending, consents int) *Ended {
	f.t.Helper()
	src := legal
	if e.Kind == ledger.ConsentRevoked {
		src = admin
	}
	done, err := f.s.EndConsents(ctx, src, e)
	if err != nil {
		f.t.Fatal(err)
	}
	if done.Consents != consents {
		f.t.Errorf("%s ended %d consents, want %d", e.Kind, done.Consents, consents)
	}
	return done
}

func TestEndByID(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a, b := email("a@example.com"), email("b@example.com")
	first, second := f.confirmed(a.Email, newsletter, offers), f.confirmed(b.Email)
	withdrawn, open := f.confirmed(a.Email, account), f.request(b.Email, offers)
	f.withdraw(Withdrawal{ConsentIDs: ids(withdrawn.Consents)})
	objection := f.withdraw(Withdrawal{Subject: b, Purposes: []string{account}})
	all := slices.Concat(ids(first.Consents), ids(second.Consents), ids(withdrawn.Consents), ids(open.Consents), ids(objection))
	e := Ending{Kind: ledger.ConsentRevoked, ConsentIDs: all, Cause: "other", Claims: map[string]string{"reason": "we stop the newsletter"},
		OccurredAt: f.clock.now().Add(-time.Hour), Proof: true, IdempotencyKey: "stop"}
	before := f.size()
	done := f.end(e, 4) // what was withdrawn or objected to stays
	f.wrote(before, "consent.revoked")
	if len(done.Entries) != 1 || done.Entries[0].Receipt == "" {
		t.Errorf("ended %+v", done)
	}
	entry := f.entry(done.Entries[0].Index)
	for _, id := range append(ids(first.Consents), ids(open.Consents)...) {
		if entry.Cause != "other" || f.opened(entry, id)["reason"] != "we stop the newsletter" {
			t.Errorf("entry %+v", entry)
		}
	}
	f.checks(a.Email, newsletter, "revoked")
	if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: open.Token}); err == nil {
		t.Error("a request that was revoked was confirmed")
	}
	if again := f.end(e, 4); again.Entries[0].Index != done.Entries[0].Index {
		t.Errorf("again %+v", again)
	}
	e.IdempotencyKey = ""
	f.end(e, 0)
	f.wrote(before, "consent.revoked")
	// A court says that it never was valid: also what was revoked. Not the other
	// way round.
	e.Kind, e.Cause = ledger.ConsentInvalidated, "authority"
	f.end(e, 4)
	e.Kind = ledger.ConsentRevoked
	f.end(e, 0)
	f.wrote(before, "consent.revoked source.declared consent.invalidated")
	f.checks(a.Email, newsletter, "invalidated")

	before = f.size()
	c := f.confirmed("c@example.com", newsletter)
	f.lock("c@example.com")
	e.ConsentIDs = append(ids(first.Consents), ids(c.Consents)...)
	_, err := f.s.EndConsents(ctx, admin, e)
	refused(t, err, refusal.NotFoundCode, "consent_ids[2]")
	e.Kind = ledger.ConsentInvalidated
	f.end(e, 1) // the legal role knows of what is locked
	f.erase("b@example.com")
	e.ConsentIDs = ids(second.Consents)
	_, err = f.s.EndConsents(ctx, legal, e)
	refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
	f.wrote(before, "consent.requested consent.confirmed subject.locked consent.invalidated subject.erased evidence.shredded")
}

// What does not fit one entry is split; the claims are sealed for every consent.
func TestEndMany(t *testing.T) {
	t.Parallel()
	f := newService(t)
	all := f.requests("a@example.com", 2*consentsPerEntry+1)
	before := f.size()
	done := f.end(Ending{Kind: ledger.ConsentInvalidated, ConsentIDs: all, Cause: "scanner", Claims: map[string]string{"reference": "incident 9"}}, len(all))
	f.wrote(before, "source.declared consent.invalidated consent.invalidated consent.invalidated")
	slices.Sort(all)
	if listed := f.parts(before, ledger.ConsentInvalidated, 3); !slices.Equal(listed, all) || len(done.Entries) != 3 {
		t.Errorf("invalidated %d consents in %d entries", len(listed), len(done.Entries))
	}
	last := all[len(all)-1]
	if value := f.opened(f.entry(done.Entries[0].Index), last)["reference"]; value != "incident 9" {
		t.Errorf("consent %d: reference %q", last, value)
	}
	d, err := f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: last, Claims: []string{"reference"}, Reason: "a complaint", Recipient: "the court"})
	if err != nil || len(d.Disclosures) != 1 || d.Disclosures[0].Value != "incident 9" || d.Disclosures[0].Index != done.Entries[0].Index {
		t.Errorf("disclosed %+v, %v", d, err)
	}
}

// Everything that rests on a notice ends, over the whole log; a run that broke
// off is finished by the next one.
func TestEndByNotice(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const n = 2*endsPerTurn + 50
	results := make([]error, n)
	each(n, func(i int) {
		_, results[i] = f.s.GiveConsent(ctx, shop, giving(email(fmt.Sprintf("person%d@example.com", i)), "email", newsletter))
	})
	if err := errors.Join(results...); err != nil {
		t.Fatal(err)
	}
	later := f.notice("later-de", newsletter, catalogue)
	a := email("a@example.com")
	elsewhere := f.confirmed(a.Email, newsletter) // by another notice
	renewed, back := f.give(a, "post", newsletter), f.give(a, "sms", newsletter)
	renew := func(list []Consent, notice string) {
		t.Helper()
		if _, err := f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: ids(list), Notice: notice, Method: "app"}); err != nil {
			t.Fatal(err)
		}
	}
	renew(renewed, later)
	renew(back, later)
	renew(back, grounds)
	renew(back, "") // rests on what it rested on
	if _, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: a, Ground: "art18_1_a"}); err != nil {
		t.Fatal(err)
	}
	f.withdraw(Withdrawal{Subject: email("person1@example.com")})
	f.lock("person2@example.com")
	f.erase("person3@example.com")
	old := importing(email("old@example.com"), catalogue, "email")
	old.Notice = grounds
	f.imports(old, "")
	if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: email("no@example.com"), Purposes: []string{offers}, Channel: "email", Notice: grounds, Method: "app"}); err != nil {
		t.Fatal(err)
	}
	asked := asking("asked@example.com", offers)
	asked.Notice = grounds
	f.ask(asked)

	// The caller leaves after the first decision.
	e := Ending{Kind: ledger.ConsentInvalidated, Notice: grounds, Cause: "wording", Claims: map[string]string{"reason": "it named no company"}, IdempotencyKey: "wording"}
	gone, cancel := context.WithCancel(ctx)
	groups := 0
	f.setFault(func(step string) error {
		if step == "before vault" {
			if groups++; groups == 1 {
				cancel()
			}
		}
		return nil
	})
	before := f.size()
	_, err := f.s.EndConsents(gone, legal, e)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller left: %v", err)
	}
	f.setFault(nil)
	for f.size() == before && f.s.Fault() == nil { // what was decided is being written
		time.Sleep(time.Millisecond)
	}
	f.wrote(before, "source.declared consent.invalidated")
	broke := len(f.entriesFrom(before)[1].Consents)
	if broke != endsPerTurn {
		t.Errorf("%d consents were ended before it broke off", broke)
	}
	// All but the withdrawn, the erased and those that rest on another notice; the
	// locked one, the import and the request among them.
	want := n - 2 + 1 + 1 + 1
	done := f.end(e, want-broke)
	if again := f.end(e, want-broke); len(again.Entries) != len(done.Entries) || again.Entries[0].Index != done.Entries[0].Index {
		t.Errorf("again %+v", again)
	}
	e.IdempotencyKey = ""
	f.end(e, 0)
	f.isNow(a, "newsletter/email confirmed restricted, newsletter/post renewed restricted, newsletter/sms invalidated restricted")
	f.checks("person0@example.com", newsletter, "invalidated")
	f.checks("old@example.com", catalogue, "invalidated")
	f.checks("person1@example.com", newsletter, "withdrawn")
	f.checks("no@example.com", offers, "refused")
	if list, err := f.s.ListAll(ctx, email("person2@example.com")); err != nil || len(list) != 1 || list[0].State != ledger.Invalidated {
		t.Errorf("locked: %+v, %v", list, err)
	}
	if elsewhere.Consents[0].Notice == grounds {
		t.Error("the other notice is the same")
	}
	// Who may not know of the locked one passes it over.
	f.give(email("x@example.com"), "email", offers)
	f.give(email("y@example.com"), "email", offers)
	f.lock("x@example.com")
	f.end(Ending{Kind: ledger.ConsentRevoked, Notice: grounds, Cause: "error"}, 1)
}

func TestBadEndings(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.confirmed("a@example.com")
	before := f.size()
	with := func(change func(*Ending)) Ending {
		e := Ending{Kind: ledger.ConsentRevoked, ConsentIDs: ids(r.Consents), Cause: "error"}
		change(&e)
		return e
	}
	for at, e := range map[string]Ending{
		"kind":           with(func(e *Ending) { e.Kind = ledger.ConsentWithdrawn }),
		"consent_ids":    with(func(e *Ending) { e.Notice = wording }),
		"consent_ids ":   with(func(e *Ending) { e.ConsentIDs = nil }),
		"consent_ids  ":  with(func(e *Ending) { e.ConsentIDs = make([]ledger.ConsentID, MaxConsentIDs+1) }),
		"consent_ids[1]": with(func(e *Ending) { e.ConsentIDs = append(e.ConsentIDs, e.ConsentIDs...) }),
		"notice":         with(func(e *Ending) { e.ConsentIDs, e.Notice = nil, "newsletter-de" }),
		"notice ":        with(func(e *Ending) { e.ConsentIDs, e.Notice = nil, "newsletter-de@7" }),
		"cause":          with(func(e *Ending) { e.Cause = "boredom" }),
		"claims":         with(func(e *Ending) { e.Claims = map[string]string{"email": "a@example.com"} }),
		"occurred_at":    with(func(e *Ending) { e.OccurredAt = f.clock.now().Add(time.Hour) }),
	} {
		_, err := f.s.EndConsents(ctx, admin, e)
		refused(t, err, refusal.InvalidArgument, strings.TrimSpace(at))
	}
	_, err := f.s.EndConsents(ctx, shop, with(func(*Ending) {})) // an app does not revoke
	refused(t, err, refusal.FailedPrecondition, "role")
	f.wrote(before, "")
}
