package service

import (
	"bytes"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

const games = "games" // asks for an age of 16

// withAges makes a ledger with a purpose that asks for ages, and a child's consent
// to it.
func withAges(t *testing.T, change ...func(*Options)) (*fixture, Subject, ledger.ConsentID) {
	t.Helper()
	f := newService(t, change...)
	f.define(PurposeDefinition{ID: games, MinimumAge: 16})
	g := giving(email("kid@example.com"), "app", games)
	g.Notice, g.Age, g.Method = f.covering(games, newsletter), "child", "app"
	given, err := f.s.GiveConsent(ctx, shop, g)
	if err != nil {
		t.Fatal(err)
	}
	return f, g.Subject, given.Consents[0].ID
}

func TestAuthoriseGuardian(t *testing.T) {
	t.Parallel()
	f, kid, id := withAges(t)
	f.decides(kid, games, "app", "guardian_missing")
	slip := []byte("I allow it.")
	g := Guardian{ConsentIDs: []ledger.ConsentID{id}, Method: "paper", OccurredAt: f.clock.now().Add(-time.Hour), IdempotencyKey: "slip",
		Claims:      map[string]string{"guardian": "Erika Mustermann, mother", "ip": "203.0.113.7"},
		Attachments: []Attachment{{Claim: "document", FileName: "slip.pdf", MediaType: "application/pdf", Bytes: slip}}}
	before := f.size()
	e, irregular, err := f.s.AuthoriseGuardian(ctx, shop, g)
	if err != nil || len(irregular) > 0 {
		t.Fatalf("%v, %v", irregular, err)
	}
	f.wrote(before, "guardian.authorised")
	f.decides(kid, games, "app", "given")
	entry := f.entry(e.Index)
	values := f.opened(entry, id)
	if entry.Method != "paper" || !entry.Occurred.Equal(g.OccurredAt.Truncate(time.Second)) || values["guardian"] != g.Claims["guardian"] || values["ip"] != "203.0.113.0/24" {
		t.Errorf("%+v, %v", entry, values)
	}
	shown, err := f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: id, Claims: []string{"document"}, Reason: "asked", Recipient: "court"})
	if err != nil || !bytes.Equal(shown.Disclosures[0].Bytes, slip) {
		t.Errorf("%+v, %v", shown, err)
	}
	before = f.size()
	if again, _, err := f.s.AuthoriseGuardian(ctx, shop, g); err != nil || again.Index != e.Index {
		t.Errorf("a retry answers %+v, %v", again, err)
	}
	g.Attachments[0].Bytes = []byte("I allow everything.")
	_, _, err = f.s.AuthoriseGuardian(ctx, shop, g)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.wrote(before, "")
	f.close() // what was not recorded is not kept
	if n := countRows(t, f.opt.Dir+"/vault", func(key []byte) bool { return key[0] == 'b' }); n != 1 {
		t.Errorf("%d rows of attachments, want 1", n)
	}
	f.open()

	// It is of these consents, not of later ones.
	f.withdraw(Withdrawal{Subject: kid, Purposes: []string{games}})
	f.decides(kid, games, "app", "withdrawn")
	again := giving(kid, "app", games)
	again.Notice, again.Age, again.Method = "more-de@1", "child", "app"
	if _, err := f.s.GiveConsent(ctx, shop, again); err != nil {
		t.Fatal(err)
	}
	f.decides(kid, games, "app", "guardian_missing")
	f.checked()
}

// A request that waits for its click may be authorised before it.
func TestGuardianBeforeTheClick(t *testing.T) {
	t.Parallel()
	f, kid, _ := withAges(t)
	ask := asking(kid.Email, games)
	ask.Notice, ask.Age = "more-de@1", "child"
	r := f.ask(ask)
	f.authorised(ids(r.Consents)...)
	f.decides(kid, games, "email", "pending")
	f.confirm(r.Token)
	f.decides(kid, games, "email", "confirmed")
}

func (f *fixture) authorised(ids ...ledger.ConsentID) []Irregular {
	f.t.Helper()
	_, irregular, err := f.s.AuthoriseGuardian(ctx, shop, Guardian{ConsentIDs: ids, Method: "in_person", Claims: map[string]string{"guardian": "father"}})
	if err != nil {
		f.t.Fatal(err)
	}
	return irregular
}

// What has ended is recorded, told, and stays ended.
func TestGuardianOfWhatEnded(t *testing.T) {
	t.Parallel()
	f, kid, id := withAges(t)
	f.withdraw(Withdrawal{Subject: kid, Purposes: []string{games}})
	want := Irregular{id, "guardian.authorised.withdrawn", "withdrawn"}
	if got := f.authorised(id); len(got) != 1 || got[0] != want {
		t.Errorf("irregular %v, want %v", got, want)
	}
	f.decides(kid, games, "app", "withdrawn")
	if rep := f.verify(); rep.Irregular[want.Name] != 1 {
		t.Errorf("the verifier counts %v", rep.Irregular)
	}
}

func TestBadGuardians(t *testing.T) {
	t.Parallel()
	f, _, id := withAges(t)
	stranger := f.confirmed("other@example.com").Consents[0].ID
	gone := f.confirmed("gone@example.com").Consents[0].ID
	f.erase("gone@example.com")
	good := Guardian{ConsentIDs: []ledger.ConsentID{id}, Method: "web_form", Claims: map[string]string{"guardian": "mother"}}
	many := make([]ledger.ConsentID, MaxConsentIDs+1)
	for i := range many {
		many[i] = ledger.ConsentID(i + 1)
	}
	for _, c := range []struct {
		at     string
		code   refusal.Code
		change func(*Guardian)
	}{
		{"consent_ids", refusal.InvalidArgument, func(g *Guardian) { g.ConsentIDs = nil }},
		{"consent_ids", refusal.InvalidArgument, func(g *Guardian) { g.ConsentIDs = many }},
		{"consent_ids[1]", refusal.InvalidArgument, func(g *Guardian) { g.ConsentIDs = []ledger.ConsentID{id, id} }},
		{"consent_ids[1]", refusal.InvalidArgument, func(g *Guardian) { g.ConsentIDs = []ledger.ConsentID{id, stranger} }},
		{"consent_ids[0]", refusal.NotFoundCode, func(g *Guardian) { g.ConsentIDs = []ledger.ConsentID{gone} }},
		{"method", refusal.InvalidArgument, func(g *Guardian) { g.Method = "telepathy" }},
		{"method", refusal.FailedPrecondition, func(g *Guardian) { g.Method = "api" }},
		{"claims.guardian", refusal.InvalidArgument, func(g *Guardian) { delete(g.Claims, "guardian") }},
		{"claims.guardian", refusal.InvalidArgument, func(g *Guardian) { g.Claims["guardian"] = "" }},
		{"claims", refusal.InvalidArgument, func(g *Guardian) { g.Claims["email"] = "mother@example.com" }},
		{"claims", refusal.InvalidArgument, func(g *Guardian) { g.Claims["x.relation"] = "mother" }},
		{"attachments[0].name", refusal.InvalidArgument, func(g *Guardian) { g.Attachments = []Attachment{{Claim: "guardian"}} }},
		{"occurred_at", refusal.InvalidArgument, func(g *Guardian) { g.OccurredAt = on("1999-12-31T00:00:00Z") }},
		{"occurred_at", refusal.InvalidArgument, func(g *Guardian) { g.OccurredAt = f.clock.now().Add(time.Hour) }},
	} {
		bad := good
		bad.Claims = maps.Clone(good.Claims)
		c.change(&bad)
		before := f.size()
		_, _, err := f.s.AuthoriseGuardian(ctx, shop, bad)
		refused(t, err, c.code, c.at)
		f.wrote(before, "")
	}
}

// What a guardian said counts from when it was recorded, as everything else does.
func TestGuardianAsOf(t *testing.T) {
	t.Parallel()
	cal := &calendar{at: on(noon)}
	f, kid, id := withAges(t, func(o *Options) { o.testOnlyClock = cal.now })
	cal.set(on("2027-03-10T12:00:00Z"))
	f.authorised(id)
	cal.set(on("2027-03-20T12:00:00Z"))
	for moment, want := range map[string]bool{"2027-03-01T12:00:00Z": false, "2027-03-10T11:59:59Z": false, "2027-03-10T12:00:01Z": true} {
		f.atOf(fmt.Sprint("a child at ", moment), Question{Subject: kid, Purpose: games, Channel: "app", At: on(moment)}, want, want)
	}
}
