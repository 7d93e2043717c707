package service

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// disclosed is what was disclosed in short: entry, claim and value of each, and
// checks each against the entry's commitment.
func (f *fixture) disclosed(d *Disclosed) string {
	f.t.Helper()
	var lines []string
	for _, v := range d.Disclosures {
		digest, ok := f.entry(v.Index).Commit(v.Claim)
		if opened, err := ledger.ParseDisclosure(v.Text); err != nil || !ok || opened.Digest() != digest || opened.Claim != v.Claim || opened.Value != v.Value {
			f.t.Errorf("entry %d does not commit to %s: %v", v.Index, v.Claim, err)
		}
		value := v.Value
		if v.MediaType != "" {
			value = fmt.Sprintf("%s %s %q", v.FileName, v.MediaType, v.Bytes)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", f.entry(v.Index).Kind, v.Claim, value))
	}
	return strings.Join(lines, "\n")
}

func TestDiscloseClaims(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	const a = "a@example.com"
	ask := asking(a, newsletter, offers)
	ask.Claims = map[string]string{"ip": "203.0.113.7", "name": "Anna"}
	ask.Attachments = []Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: []byte("<form>")}}
	r := f.ask(ask)
	id := r.Consents[0].ID
	mail := []byte("Subject: Bitte bestätigen\r\n\r\nKlick\r\n")
	f.send(r, mail, time.Time{})
	if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: map[string]string{"ip": "2001:db8::7"}}); err != nil {
		t.Fatal(err)
	}
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, Reference: "mailing 48/2026"})

	d := Disclosing{ConsentID: id, Claims: []string{"message", "ip", "email", "form_snapshot", "reference"},
		Reason: "file 12 O 34/26", Recipient: "Landgericht Bonn", IdempotencyKey: "file", Proof: true}
	before := f.size()
	got, err := f.s.DiscloseClaims(ctx, legal, d)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"consent.requested email a@example.com",
		`consent.requested form_snapshot form.html text/html "<form>"`,
		"consent.requested ip 203.0.113.0/24",
		fmt.Sprintf("confirmation.sent message  message/rfc822 %q", mail),
		"consent.confirmed ip 2001:db8::/48",
		"consent.used reference mailing 48/2026",
	}, "\n")
	if text := f.disclosed(got); text != want {
		t.Errorf("disclosed:\n%s\nwant\n%s", text, want)
	}
	// Who was shown what is on record, for whom and why under the consent's key.
	f.wrote(before, "source.declared evidence.disclosed")
	e := f.entry(got.Entry.Index)
	if values := f.opened(e, id); !slices.Equal(e.About, []ledger.ConsentID{id}) || e.Source != legal.Name || got.Entry.Receipt == "" ||
		values["reason"] != d.Reason || values["recipient"] != d.Recipient || len(values) != 2 ||
		e.Occasion != "claims" || strings.Join(e.Shown, " ") != "email form_snapshot ip message reference" {
		t.Errorf("entry %+v commits to %v", e, values)
	}
	// A retry shows the same, nothing newer.
	f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, Reference: "mailing 49/2026"})
	before = f.size()
	again, err := f.s.DiscloseClaims(ctx, legal, d)
	if err != nil || f.disclosed(again) != want || again.Entry.Index != got.Entry.Index {
		t.Errorf("again %+v, %v", again, err)
	}
	f.wrote(before, "")
	d.Reason = "another file"
	_, err = f.s.DiscloseClaims(ctx, legal, d)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	// The disclosure itself belongs to the history, and so can be shown.
	got, err = f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: id, Claims: []string{"recipient"}, Reason: "access, Art. 15", Recipient: "the person"})
	if err != nil || f.disclosed(got) != "evidence.disclosed recipient Landgericht Bonn" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, text := f.history(id); strings.Count(text, "evidence.disclosed reason recipient") != 2 {
		t.Errorf("history:\n%s", text)
	}

	// Locked it is shown all the same; erased it is not.
	f.lock(a)
	got, err = f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: id, Claims: []string{"name"}, Reason: "r", Recipient: "r"})
	if err != nil || f.disclosed(got) != "consent.requested name Anna" {
		t.Errorf("%+v, %v", got, err)
	}
	f.opt.AcceptClock = true // years without an entry
	f.goTo(f.clock.now().AddDate(5, 0, 0))
	f.reopen()
	if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
		t.Fatal(err)
	}
	before = f.size()
	_, err = f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: id, Claims: []string{"name"}, Reason: "r", Recipient: "r"})
	refused(t, err, refusal.NotFoundCode, "consent_id")
	f.wrote(before, "")
}

// A mail of which only the hash is known is shown by its hash.
func TestDiscloseWithoutBytes(t *testing.T) {
	t.Parallel()
	f := newService(t)
	token, lock := drawn(1)
	ask := asking("a@example.com")
	ask.Lock = lock
	r := f.ask(ask)
	mail := []byte("a mail with " + token)
	if _, _, err := f.s.RecordConfirmationSent(ctx, shop, SentMail{ConsentIDs: ids(r.Consents), SHA256: ledger.TextHash(mail)}); err != nil {
		t.Fatal(err)
	}
	d, err := f.s.DiscloseClaims(ctx, legal, Disclosing{ConsentID: r.Consents[0].ID, Claims: []string{"message"}, Reason: "r", Recipient: "r"})
	if err != nil || len(d.Disclosures) != 1 || d.Disclosures[0].MediaType != "message/rfc822" || d.Disclosures[0].Bytes != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// Nothing is shown that is not on record as shown, and nothing is on record that
// was not shown.
func TestBadDisclosures(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.confirmed("a@example.com")
	id := r.Consents[0].ID
	with := func(change func(*Disclosing)) Disclosing {
		d := Disclosing{ConsentID: id, Claims: []string{"email"}, Reason: "r", Recipient: "r"}
		change(&d)
		return d
	}
	before := f.size()
	for at, d := range map[string]Disclosing{
		"claims":    with(func(d *Disclosing) { d.Claims = nil }),
		"claims ":   with(func(d *Disclosing) { d.Claims = slices.Repeat(d.Claims, maxClaims+1) }),
		"claims[0]": with(func(d *Disclosing) { d.Claims = []string{"shoe_size"} }),
		"claims[1]": with(func(d *Disclosing) { d.Claims = []string{"email", "email"} }),
		"reason":    with(func(d *Disclosing) { d.Reason = "" }),
		"recipient": with(func(d *Disclosing) { d.Recipient = "\x00" }),
	} {
		_, err := f.s.DiscloseClaims(ctx, legal, d)
		refused(t, err, refusal.InvalidArgument, strings.TrimSpace(at))
	}
	_, err := f.s.DiscloseClaims(ctx, legal, with(func(d *Disclosing) { d.Claims = []string{"email", "ip"} }))
	refused(t, err, refusal.NotFoundCode, "claims[1]")
	_, err = f.s.DiscloseClaims(ctx, shop, with(func(*Disclosing) {}))
	refused(t, err, refusal.FailedPrecondition, "role") // an app discloses nothing
	f.wrote(before, "")

	// Bytes that are gone: refused, and nothing says that they were shown.
	f.damaged = true
	g := giving(email("b@example.com"), "email", newsletter)
	g.Notice = wording
	g.Attachments = []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: bytes.Repeat([]byte("x"), 100)}}
	given, err := f.s.GiveConsent(ctx, shop, g)
	if err != nil {
		t.Fatal(err)
	}
	f.close()
	for _, key := range f.vaultKeys("b") {
		f.changeVault(key, nil)
	}
	f.open()
	before = f.size()
	d := Disclosing{ConsentID: given.Consents[0].ID, Claims: []string{"document"}, Reason: "r", Recipient: "r"}
	if _, err := f.s.DiscloseClaims(ctx, legal, d); err == nil {
		t.Error("bytes that are not there were shown")
	}
	f.wrote(before, "")
	d.Claims = []string{"email"}
	if _, err := f.s.DiscloseClaims(ctx, legal, d); err != nil {
		t.Error(err)
	}
}
