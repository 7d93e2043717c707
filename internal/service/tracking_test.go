package service

import (
	"fmt"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

const (
	opens  = "email.open_tracking"
	clicks = "email.click_tracking"
	web    = "web.tracking"
)

// setMode chooses a mode and checks what it wrote.
func (f *fixture) setMode(c TrackingChange, kinds string) ([]Consent, *Entry) {
	f.t.Helper()
	before := f.size()
	list, e, err := f.s.SetTrackingMode(ctx, shop, c)
	if err != nil {
		f.t.Fatal(err)
	}
	f.wrote(before, kinds)
	if e == nil || len(list) == 0 {
		f.t.Fatalf("answer %+v, %+v", list, e)
	}
	return list, e
}

// tracks checks the mode that a check of account by e-mail tells.
func (f *fixture) tracks(who Subject, mode string) {
	f.t.Helper()
	f.tracksOn(who, "email", mode)
}

func (f *fixture) tracksOn(who Subject, channel, mode string) {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{Subject: who, Purpose: account, Channel: channel})
	if err != nil || d.TrackingMode != mode {
		f.t.Errorf("by %s the mode is %q, want %q; %v", channel, d.TrackingMode, mode, err)
	}
}

// withTracking makes a ledger with tracking purposes; nothing is done by default.
func withTracking(t *testing.T) (f *fixture, notice string) {
	t.Helper()
	f = newService(t)
	f.define(PurposeDefinition{ID: opens, DoubleOptIn: true})
	f.define(PurposeDefinition{ID: clicks})
	return f, f.covering(opens, clicks, account)
}

func TestSetTrackingMode(t *testing.T) {
	t.Parallel()
	f, notice := withTracking(t)
	a, token := email("a@example.com"), ""
	f.tracks(a, "none")
	f.tracksOn(a, "web", "") // not defined
	f.tracksOn(a, "post", "")
	ask := asking(a.Email, opens)
	ask.Notice = notice
	r := f.ask(ask)
	token = r.ManageToken
	f.confirm(r.Token)
	f.decides(a, opens, "email", "confirmed")
	f.tracks(a, "none") // nothing allows clicks
	g := giving(a, "email", clicks)
	g.Notice = notice
	if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
		t.Fatal(err)
	}
	f.tracks(a, "personal")

	list, e := f.setMode(TrackingChange{Subject: a, Purpose: opens, Mode: "pseudonymous", Method: "preference_centre",
		Claims: map[string]string{"page_url": "https://example.com/me"}}, "tracking.changed")
	if list[0].ID != r.Consents[0].ID || list[0].State != ledger.Confirmed || list[0].Entry.Index != e.Index {
		t.Errorf("%+v, %+v", list, e)
	}
	if entry := f.entry(e.Index); entry.Purpose != opens || entry.Mode != "pseudonymous" || entry.Method != "preference_centre" ||
		f.opened(entry, r.Consents[0].ID)["page_url"] != "https://example.com/me" {
		t.Errorf("%+v", entry)
	}
	f.tracks(a, "pseudonymous")
	f.decides(a, opens, "email", "confirmed")
	_, again := f.setMode(TrackingChange{Subject: a, Purpose: opens, Mode: "pseudonymous"}, "")
	if again.Index != e.Index {
		t.Errorf("the same choice again answers with %+v", again)
	}
	f.setMode(TrackingChange{ManageToken: token, Purpose: opens, Mode: "none"}, "tracking.changed")
	f.tracks(a, "none")
	f.decides(a, opens, "email", "refused")
	_, _, err := f.s.SetTrackingMode(ctx, shop, TrackingChange{ManageToken: token, Purpose: opens, Mode: "anonymous"})
	refused(t, err, refusal.FailedPrecondition, "manage_token")
	f.setMode(TrackingChange{ManageToken: token, Purpose: opens, Mode: "none"}, "")
	f.setMode(TrackingChange{Subject: a, Purpose: opens, Mode: "personal"}, "tracking.changed")
	f.tracks(a, "personal")

	f.withdraw(Withdrawal{Subject: a, Purposes: []string{opens}})
	f.tracks(a, "none")
	f.decides(a, opens, "email", "withdrawn")
	_, _, err = f.s.SetTrackingMode(ctx, shop, TrackingChange{Subject: a, Purpose: opens, Mode: "pseudonymous"})
	refused(t, err, refusal.FailedPrecondition, "no_consent")
	f.setMode(TrackingChange{Subject: a, Purpose: opens, Mode: "anonymous"}, "tracking.changed")
	f.tracks(a, "anonymous")
	f.checked()
}

// Who has no record of the purpose gets one, strangers too.
func TestSetTrackingModeOfAStranger(t *testing.T) {
	t.Parallel()
	f, _ := withTracking(t)
	f.define(PurposeDefinition{ID: opens, DoubleOptIn: true, TrackingMode: "anonymous"})
	f.define(PurposeDefinition{ID: clicks, TrackingMode: "anonymous"})
	f.define(PurposeDefinition{ID: web, TrackingMode: "anonymous"})
	r := f.confirmed("b@example.com", account)
	a := Subject{Email: "A.Stranger@Example.com"}
	f.tracks(a, "anonymous")
	_, _, err := f.s.SetTrackingMode(ctx, shop, TrackingChange{Subject: a, Purpose: opens, Mode: "none"})
	refused(t, err, refusal.InvalidArgument, "method")
	_, _, err = f.s.SetTrackingMode(ctx, shop, TrackingChange{Subject: a, Purpose: opens, Mode: "personal", Method: "web_form"})
	refused(t, err, refusal.FailedPrecondition, "no_consent")
	key := TrackingChange{Subject: a, Purpose: opens, Mode: "none", Method: "web_form", IdempotencyKey: "one", Claims: map[string]string{"ip": "203.0.113.7"}}
	before := f.size()
	list, e := f.setMode(key, "consent.refused tracking.changed")
	if len(list) != 1 || list[0].State != ledger.Refused || list[0].Channel != "email" || ledger.Index(list[0].ID) != ledger.Index(before) || e.Index != ledger.Index(before)+1 {
		t.Errorf("%+v, %+v", list, e)
	}
	opened, changed := f.entry(ledger.Index(before)), f.entry(e.Index)
	if got := fmt.Sprint(f.opened(opened, list[0].ID)); got != "map[email:a.stranger@example.com typed:A.Stranger@Example.com]" || opened.Method != "web_form" {
		t.Errorf("%s, %+v", got, opened)
	}
	if got := fmt.Sprint(f.opened(changed, list[0].ID)); got != "map[ip:203.0.113.0/24]" {
		t.Error(got)
	}
	if again, same := f.setMode(key, ""); same.Index != e.Index || again[0].ID != list[0].ID {
		t.Errorf("a retry answers %+v", same)
	}
	f.tracks(a, "none")
	f.decides(a, opens, "email", "refused")
	f.decides(a, clicks, "email", "no_consent")

	// By the link in a mail, from somebody who has other records.
	list, _ = f.setMode(TrackingChange{ManageToken: r.ManageToken, Purpose: web, Mode: "none"}, "consent.refused tracking.changed")
	if list[0].Channel != "web" || f.entry(ledger.Index(list[0].ID)).Method != "link" {
		t.Errorf("%+v", list)
	}
	f.tracksOn(email("b@example.com"), "web", "none")
	f.tracksOn(email("b@example.com"), "app", "none")
	f.tracks(email("b@example.com"), "anonymous")
	f.checked()
}

func TestBadTrackingChanges(t *testing.T) {
	t.Parallel()
	f, _ := withTracking(t)
	r := f.confirmed("a@example.com")
	good := TrackingChange{Subject: email("a@example.com"), Purpose: opens, Mode: "none", Method: "web_form"}
	for _, c := range []struct {
		at     string
		code   refusal.Code
		change func(*TrackingChange)
	}{
		{"subject", refusal.InvalidArgument, func(c *TrackingChange) { c.Subject = Subject{} }},
		{"subject", refusal.InvalidArgument, func(c *TrackingChange) { c.ManageToken = r.ManageToken }},
		{"subject.email", refusal.InvalidArgument, func(c *TrackingChange) { c.Subject.Email = "nobody" }},
		{"manage_token", refusal.NotFoundCode, func(c *TrackingChange) { c.Subject, c.ManageToken = Subject{}, "unknown" }},
		{"purpose", refusal.InvalidArgument, func(c *TrackingChange) { c.Purpose = newsletter }},
		{"purpose", refusal.InvalidArgument, func(c *TrackingChange) { c.Purpose = web }}, // not defined
		{"mode", refusal.InvalidArgument, func(c *TrackingChange) { c.Mode = "" }},
		{"mode", refusal.InvalidArgument, func(c *TrackingChange) { c.Mode = "some" }},
		{"method", refusal.InvalidArgument, func(c *TrackingChange) { c.Method = "telepathy" }},
		{"occurred_at", refusal.InvalidArgument, func(c *TrackingChange) { c.OccurredAt = on("1999-12-31T00:00:00Z") }},
		{"no_consent", refusal.FailedPrecondition, func(c *TrackingChange) { c.Mode = "pseudonymous" }},
	} {
		before := f.size()
		bad := good
		c.change(&bad)
		_, _, err := f.s.SetTrackingMode(ctx, shop, bad)
		refused(t, err, c.code, c.at)
		f.wrote(before, "")
	}
}

// Tracking that is marketing stops with all marketing: on the list nobody is
// tracked by name, nor chooses to be.
func TestTrackingOfSomebodySuppressed(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.define(PurposeDefinition{ID: opens, Marketing: true})
	f.define(PurposeDefinition{ID: clicks, Marketing: true, TrackingMode: "anonymous"})
	notice := f.covering(opens, clicks)
	a := email("a@example.com")
	g := giving(a, "email", opens, clicks)
	g.Notice = notice
	if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
		t.Fatal(err)
	}
	f.setMode(TrackingChange{Subject: a, Purpose: opens, Mode: "pseudonymous"}, "tracking.changed")
	f.setMode(TrackingChange{Subject: a, Purpose: clicks, Mode: "pseudonymous"}, "tracking.changed")
	f.tracks(a, "pseudonymous")
	f.suppress(a, "", true)
	f.tracks(a, "none")
	f.decides(a, opens, "email", "suppressed")
	_, _, err := f.s.SetTrackingMode(ctx, shop, TrackingChange{Subject: a, Purpose: opens, Mode: "personal"})
	refused(t, err, refusal.FailedPrecondition, "no_consent")
	f.suppress(a, "", false)
	f.tracks(a, "pseudonymous")
}

// A choice counts from its moment on, as everything else does.
func TestTrackingAsOf(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: opens})
	notice := f.covering(opens)
	a := email("a@example.com")
	g := giving(a, "email", opens)
	g.Notice = notice
	if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
		t.Fatal(err)
	}
	at := func(moment string, then, hindsight bool) {
		t.Helper()
		f.atOf(moment, Question{Subject: a, Purpose: opens, Channel: "email", At: on(moment)}, then, hindsight)
	}
	cal.set(on("2027-03-10T12:00:00Z"))
	f.setMode(TrackingChange{Subject: a, Purpose: opens, Mode: "none", OccurredAt: on("2027-03-05T12:00:00Z")}, "tracking.changed")
	cal.set(on("2027-03-20T12:00:00Z"))
	f.setMode(TrackingChange{Subject: a, Purpose: opens, Mode: "personal"}, "tracking.changed")
	cal.set(on("2027-03-30T12:00:00Z"))
	at("2027-03-05T11:59:59Z", true, true)
	at("2027-03-05T12:00:00Z", true, false)
	at("2027-03-10T11:59:59Z", true, false)
	at("2027-03-10T12:00:00Z", false, false)
	at("2027-03-20T11:59:59Z", false, false)
	at("2027-03-20T12:00:00Z", true, true)
}
