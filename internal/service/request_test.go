package service

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// A purpose may demand that the declaration is explicit, and that somebody asked
// for the age; the entry says both.
func TestDemandsOfAPurpose(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const health, games = "health-news", "games"
	f.define(PurposeDefinition{ID: health, DoubleOptIn: true, Explicit: true})
	f.define(PurposeDefinition{ID: games, DoubleOptIn: true, MinimumAge: 16})
	notice := f.covering(health, games, newsletter)
	try := func(explicit bool, age string, purposes ...string) ([]*ledger.Entry, error) {
		before := f.size()
		ask := asking("a@example.com", purposes...)
		ask.Notice, ask.Explicit, ask.Age = notice, explicit, age
		_, err := f.s.RequestConsent(ctx, shop, ask)
		return slices.DeleteFunc(f.entriesFrom(before), func(e *ledger.Entry) bool { return e.Kind != ledger.ConsentRequested }), err
	}
	for _, test := range []struct {
		explicit bool
		age      string
		purposes []string
		rule     string
	}{
		{false, "", []string{newsletter}, ""},
		{true, "old_enough", []string{newsletter}, ""},
		{true, "", []string{health}, ""},
		{false, "", []string{health}, "explicit"},
		{false, "child", []string{newsletter, health}, "explicit"},
		{false, "old_enough", []string{games}, ""},
		{false, "child", []string{games}, ""},
		{false, "", []string{games}, "age"},
		{true, "", []string{newsletter, games}, "age"},
		{true, "child", []string{health, games, newsletter}, ""},
	} {
		entries, err := try(test.explicit, test.age, test.purposes...)
		if test.rule != "" {
			refused(t, err, refusal.FailedPrecondition, test.rule)
			if len(entries) > 0 {
				t.Errorf("%v: %d entries were written", test, len(entries))
			}
			continue
		}
		if err != nil || len(entries) != len(test.purposes) {
			t.Fatalf("%v: %d entries, %v", test, len(entries), err)
		}
		for _, e := range entries {
			if e.Explicit != onlyYes(test.explicit) || e.Age != test.age {
				t.Errorf("%v: explicit %q, age %q", test, e.Explicit, e.Age)
			}
		}
	}
	_, err := try(false, "17", newsletter)
	refused(t, err, refusal.InvalidArgument, "age")
}

// A request names the person by what its token goes to: a click in a mail proves
// nothing for a telephone number (BGH I ZR 164/09).
func TestChannelProof(t *testing.T) {
	t.Parallel()
	f := newService(t)
	who := map[string]Subject{"email": email("a@example.com"), "phone": phone("+491511234567"), "external_id": external("7")}
	proves := map[string]string{"email": "email external_id", "phone": "phone external_id", "sms": "phone external_id",
		"messenger": "phone external_id", "fax": "phone external_id"}
	try := func(channel, kind string) error {
		ask := asking("")
		ask.Channel, ask.Subject = channel, who[kind]
		_, err := f.s.RequestConsent(ctx, shop, ask)
		return err
	}
	check := func() {
		t.Helper()
		for _, channel := range []string{"email", "phone", "sms", "messenger", "fax", "post", "push", "app", "web"} {
			for kind := range who {
				before, err := f.size(), try(channel, kind)
				if may := proves[channel]; may == "" || strings.Contains(may, kind) {
					if err != nil {
						t.Errorf("%s by %s: %v", channel, kind, err)
					}
					continue
				}
				refused(t, err, refusal.FailedPrecondition, "channel_proof")
				f.wrote(before, "")
			}
		}
	}
	check()
	// Also of somebody who is known by all of them: the caller says where the token goes.
	f.confirmed("b@example.com")
	who = map[string]Subject{"email": email("b@example.com"), "phone": phone("+491517654321"), "external_id": external("8")}
	f.link(Link{Subject: who["email"], Add: who["phone"]})
	f.link(Link{Subject: who["email"], Add: who["external_id"]})
	check()
}

// What comes with a request is kept under every consent that it opens.
func TestEverythingOfARequest(t *testing.T) {
	t.Parallel()
	f := newService(t)
	ask := asking("Erika@Example.com", newsletter, offers)
	ask.Claims = map[string]string{"name": "Erika Mustermann", "address": "Hauptstr. 1, Köln", "form": "footer", "ip": "203.0.113.77"}
	want := map[string]string{"name": "Erika Mustermann", "address": "Hauptstr. 1, Köln", "form": "footer", "ip": "203.0.113.0/24",
		"email": "erika@example.com", "typed": "Erika@Example.com"}
	for _, name := range fileClaims {
		ask.Attachments = append(ask.Attachments, Attachment{Claim: name, FileName: name + ".bin", MediaType: "application/octet-stream", Bytes: []byte(name)})
	}
	ask.IdempotencyKey = "once"
	before := f.size()
	r, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	// The attachments belong to what makes a retry the same request.
	if again, err := f.s.RequestConsent(ctx, shop, ask); err != nil || again.Token != r.Token {
		t.Errorf("a retry answers %+v, %v", again, err)
	}
	other := ask
	other.Attachments = slices.Clone(ask.Attachments)
	other.Attachments[1].Bytes = []byte("others")
	_, err = f.s.RequestConsent(ctx, shop, other)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.wrote(before, "source.declared consent.requested consent.requested")
	for _, c := range r.Consents {
		got := f.opened(f.entry(c.Entry.Index), c.ID)
		for _, name := range fileClaims {
			if !strings.Contains(got[name], `"name":"`+name+`.bin"`) {
				t.Errorf("%s is %s", name, got[name])
			}
			delete(got, name)
		}
		if !maps.Equal(got, want) {
			t.Errorf("claims %v, want %v", got, want)
		}
	}
}
