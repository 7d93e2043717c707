package service

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func TestGiveConsent(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := phone("+49 30 123456")
	g := giving(a, "phone", mailings, newsletter)
	g.Claims = map[string]string{"name": "Anna Schmidt", "address": "Hauptstraße 1, 10115 Berlin", "operator": "desk 4", "ip": "2001:db8:1:2::3"}
	g.Attachments = []Attachment{{Claim: "document", FileName: "card.pdf", MediaType: "application/pdf", Bytes: []byte("%PDF a signed card")},
		{Claim: "recording", MediaType: "audio/ogg", Bytes: bytes.Repeat([]byte("a voice "), 40_000)}}
	// A leap day, in the zone of whoever wrote it down.
	g.OccurredAt = time.Date(2024, 2, 29, 23, 30, 0, 999, time.FixedZone("", -5*3600))
	g.Age, g.Explicit, g.Proof, g.IdempotencyKey = "old_enough", true, true, "card 1"
	before := f.size()
	given, err := f.s.GiveConsent(ctx, shop, g)
	if err != nil || len(given.Consents) != 2 || given.ManageToken == "" || given.Consents[1].State != ledger.Given || given.Consents[1].Entry.Receipt == "" {
		t.Fatalf("%+v, %v", given, err)
	}
	f.wrote(before, "source.declared consent.given consent.given")
	for _, c := range given.Consents {
		e := f.entry(ledger.Index(c.ID))
		if e.Occurred != time.Date(2024, 3, 1, 4, 30, 0, 0, time.UTC) || e.Method != "paper" || e.Age != "old_enough" || e.Explicit != "yes" || e.Notice.Name() != grounds {
			t.Errorf("entry %+v", e)
		}
		values := f.opened(e, c.ID)
		if values["phone"] != "+4930123456" || values["typed"] != "+49 30 123456" || values["ip"] != "2001:db8:1::/48" || values["address"] != g.Claims["address"] || !strings.Contains(values["document"], `"card.pdf"`) {
			t.Errorf("commits to %v", values)
		}
	}
	again, err := f.s.GiveConsent(ctx, shop, g)
	if err != nil || again.ManageToken != given.ManageToken || shows(again.Consents) != shows(given.Consents) {
		t.Errorf("again %+v, %v", again, err)
	}
	f.wrote(before, "source.declared consent.given consent.given")
	f.withdraw(Withdrawal{ManageToken: given.ManageToken})
	f.isNow(a, "mailings/phone withdrawn, newsletter/phone withdrawn")
}

// Only the person's own double opt-in takes an address off the suppression list.
func TestGivenWhileSuppressed(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	f.suppress(a, mailings, true)
	before := f.size()
	for _, method := range []string{"paper", "web_form", "in_person"} {
		g := giving(a, "email", newsletter, mailings)
		g.Method = method
		_, err := f.s.GiveConsent(ctx, shop, g)
		refused(t, err, refusal.FailedPrecondition, "suppressed")
	}
	f.wrote(before, "")
	f.give(a, "email", newsletter, invoices) // not what is suppressed, and no marketing
	// A no is recorded always.
	if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: a, Purposes: []string{mailings}, Channel: "email", Method: "oral"}); err != nil {
		t.Error(err)
	}
}

// Forms on paper arrive late and in any order: what was given before the person
// said no is not brought back, what was given after it counts.
func TestGivenInWrongOrder(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	now := f.clock.now()
	for name, end := range map[string]func(who Subject){
		"withdrawn": func(who Subject) {
			f.give(who, "email", digest)
			f.withdraw(Withdrawal{Subject: who, OccurredAt: now.Add(-48 * time.Hour)})
		},
		"withdrawn by id, then restricted": func(who Subject) {
			f.withdraw(Withdrawal{ConsentIDs: ids(f.give(who, "email", digest)), OccurredAt: now.Add(-48 * time.Hour)})
			f.restrict(who.Email)
			f.lift(who.Email)
		},
		"objected": func(who Subject) {
			f.object(Objection{Subject: who, Article: "art21_2", Channel: "email", OccurredAt: now.Add(-48 * time.Hour)}, "objection.recorded")
		},
		"objected above": func(who Subject) {
			f.object(Objection{Subject: who, Article: "art21_2", Purposes: []string{mailings}, OccurredAt: now.Add(-48 * time.Hour)}, "objection.recorded")
		},
	} {
		who := email(strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-") + "@example.com")
		f.give(who, "post", invoices)
		end(who)
		rule, _, _ := strings.Cut(name, " ")
		before := f.size()
		for _, purposes := range [][]string{{digest}, {invoices, digest}} {
			late := giving(who, "email", purposes...)
			late.OccurredAt = now.Add(-49 * time.Hour)
			_, err := f.s.GiveConsent(ctx, shop, late)
			refused(t, err, refusal.FailedPrecondition, rule)
		}
		f.wrote(before, "")
		for _, since := range []Giving{giving(who, "email", digest), giving(who, "sms", invoices), giving(who, "email", invoices)} {
			since.OccurredAt = now.Add(-47 * time.Hour)
			if since.Purposes[0] == invoices {
				since.OccurredAt = now.Add(-49 * time.Hour) // ended by nobody
			}
			if _, err := f.s.GiveConsent(ctx, shop, since); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		f.reasonFor(who, digest, "given")
	}
	// The same form twice is two records; whoever withdraws ends both.
	twice := email("twice@example.com")
	form := giving(twice, "email", digest)
	form.OccurredAt = now.AddDate(-9, 0, 0)
	for range 2 {
		if _, err := f.s.GiveConsent(ctx, shop, form); err != nil {
			t.Fatal(err)
		}
	}
	f.reasonFor(twice, digest, "given") // consent does not lapse by time alone
	f.withdraw(Withdrawal{Subject: twice})
	f.isNow(twice, "mailings-items/email withdrawn, mailings-items/email withdrawn")
}

// reasonFor checks why somebody may be written to.
func (f *fixture) reasonFor(who Subject, purpose, reason string) {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{Subject: who, Purpose: purpose, Channel: "email"})
	if err != nil || !d.Allowed || d.Reason != reason {
		f.t.Errorf("check %s: %+v, want %s; %v", purpose, d, reason, err)
	}
}

func TestRefuseConsent(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	f.confirmed(a.Email)
	r := Refusal{Subject: a, Purposes: []string{newsletter, invoices}, Channel: "email", Notice: grounds, Method: "preference_centre",
		Claims: map[string]string{"page_url": "https://shop.example.com/settings"}, IdempotencyKey: "no"}
	before := f.size()
	list, err := f.s.RefuseConsent(ctx, shop, r)
	if err != nil || len(list) != 2 || list[0].Notice != grounds || list[1].State != ledger.Refused {
		t.Fatalf("%s, %v", shows(list), err)
	}
	f.wrote(before, "consent.refused consent.refused")
	if again, err := f.s.RefuseConsent(ctx, shop, r); err != nil || shows(again) != shows(list) {
		t.Errorf("again %s, %v", shows(again), err)
	}
	f.wrote(before, "consent.refused consent.refused")
	// It ends nothing.
	f.isNow(a, "newsletter/email confirmed, newsletter/email refused, invoices/email refused")
	f.checks(a.Email, newsletter, "confirmed")
}

func TestRenewConsent(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	a := email("a@example.com")
	r := f.confirmed(a.Email, newsletter, offers)
	g := f.give(a, "post", mailings)
	i := f.imports(importing(a, catalogue, "email"), "")
	all := append(append(ids(r.Consents), ids(g)...), i.ID)
	x := Renewal{ConsentIDs: all, Notice: grounds, Method: "email_reply", Claims: map[string]string{"user_agent": "a reader", "ip": "203.0.113.9"},
		Attachments: []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: []byte("yes, again")}}, IdempotencyKey: "again"}
	before := f.size()
	list, err := f.s.RenewConsent(ctx, shop, x)
	if err != nil || !slices.Equal(ids(list), all) {
		t.Fatalf("%s, %v", shows(list), err)
	}
	f.wrote(before, "consent.renewed consent.renewed consent.renewed") // one per request
	f.isNow(a, "newsletter/email renewed, offers/email renewed, mailings/post renewed, catalogue/email renewed")
	for _, c := range list {
		e := f.entry(c.Entry.Index)
		if values := f.opened(e, c.ID); e.IPPolicy != "truncated" || values["ip"] != "203.0.113.0/24" || values["user_agent"] != "a reader" || values["document"] == "" {
			t.Errorf("entry %d commits to %v", e.Index, values)
		}
	}
	if again, err := f.s.RenewConsent(ctx, shop, x); err != nil || shows(again) != shows(list) {
		t.Errorf("again %s, %v", shows(again), err)
	}
	f.wrote(before, "consent.renewed consent.renewed consent.renewed")
	f.withdraw(Withdrawal{Subject: a})

	// Never what has ended, what never was, or on somebody else's word.
	open := f.request(a.Email)
	b := f.confirmed("b@example.com")
	only := f.confirmed(a.Email, account)
	before = f.size()
	for rule, x := range map[string]Renewal{
		"transition":      {ConsentIDs: append(ids(only.Consents), all[0]), Method: "app"},
		"transition ":     {ConsentIDs: ids(open.Consents), Method: "app"},
		"method":          {ConsentIDs: ids(only.Consents), Method: "api"},
		"method ":         {ConsentIDs: ids(only.Consents), Method: "import"},
		"notice_coverage": {ConsentIDs: ids(only.Consents), Method: "app", Notice: f.notice("partial-de", newsletter)},
	} {
		_, err := f.s.RenewConsent(ctx, shop, x)
		refused(t, err, refusal.FailedPrecondition, strings.TrimSpace(rule))
	}
	for at, x := range map[string]Renewal{
		"consent_ids":    {Method: "app"},
		"consent_ids[1]": {ConsentIDs: append(ids(only.Consents), ids(b.Consents)...), Method: "app"},
		"method":         {ConsentIDs: ids(only.Consents), Method: "carrier pigeon"},
		"notice":         {ConsentIDs: ids(only.Consents), Method: "app", Notice: "unpublished@1"},
	} {
		_, err := f.s.RenewConsent(ctx, shop, x)
		refused(t, err, refusal.InvalidArgument, at)
	}
	_, err = f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: []ledger.ConsentID{1 << 40}, Method: "app"})
	refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
	f.wrote(before, "notice.published")
}

// notice publishes a notice of its own.
func (f *fixture) notice(id string, purposes ...string) string {
	f.t.Helper()
	n, _, err := f.s.PublishNotice(ctx, admin, NoticePublication{ID: id, Language: "de", Text: "Ja.\n", Purposes: purposes})
	if err != nil {
		f.t.Fatal(err)
	}
	return n.Name
}

func TestBadGivings(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.define(PurposeDefinition{ID: "health", Explicit: true, MinimumAge: 16})
	health := f.notice("health-de", "health")
	partial := f.notice("partial-de", newsletter)
	a := email("a@example.com")
	before := f.size()
	with := func(change func(*Giving)) Giving {
		g := giving(a, "email", newsletter)
		change(&g)
		return g
	}
	for at, g := range map[string]Giving{
		"subject.email": with(func(g *Giving) { g.Subject = email("nobody") }),
		"purposes":      with(func(g *Giving) { g.Purposes = nil }),
		"purposes[0]":   with(func(g *Giving) { g.Purposes = []string{"never_defined"} }),
		"channel":       with(func(g *Giving) { g.Channel = ledger.AnyChannel }),
		"notice":        with(func(g *Giving) { g.Notice = "" }),
		"notice ":       with(func(g *Giving) { g.Notice = "unpublished@1" }),
		"method":        with(func(g *Giving) { g.Method = "osmosis" }),
		"age":           with(func(g *Giving) { g.Age = "42" }),
		"claims":        with(func(g *Giving) { g.Claims = map[string]string{"scanner": "honeypot"} }),
		"occurred_at":   with(func(g *Giving) { g.OccurredAt = f.clock.now().Add(time.Hour) }),
		"attachments[0].name": with(func(g *Giving) {
			g.Attachments = []Attachment{{Claim: "ip", MediaType: "text/plain", Bytes: []byte("x")}}
		}),
	} {
		_, err := f.s.GiveConsent(ctx, shop, g)
		refused(t, err, refusal.InvalidArgument, strings.TrimSpace(at))
	}
	for rule, g := range map[string]Giving{
		"method":          with(func(g *Giving) { g.Method = "api" }),
		"notice_coverage": with(func(g *Giving) { g.Purposes, g.Notice = []string{newsletter, offers}, partial }),
		"explicit":        with(func(g *Giving) { g.Purposes, g.Notice, g.Age = []string{"health"}, health, "child" }),
		"age":             with(func(g *Giving) { g.Purposes, g.Notice, g.Explicit = []string{"health"}, health, true }),
	} {
		_, err := f.s.GiveConsent(ctx, shop, g)
		refused(t, err, refusal.FailedPrecondition, rule)
	}
	f.wrote(before, "")
	f.checks(a.Email, newsletter, "unknown_subject")
}
