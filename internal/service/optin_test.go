package service

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// optIn is a double opt-in as it is recorded. fullOptIn has everything that the
// best grade demands; each test leaves out or adds something.
type optIn struct {
	ask     ConsentRequest
	sent    bool // the hand-over of the mail is recorded
	late    bool // but after the click
	message bool // with the mail itself
	attach  bool // the mail itself follows after the click
	open    map[string]string
	click   Click
	wait    time.Duration // from the mail to the click, by the ledger's clock
}

func fullOptIn(address string, purposes ...string) *optIn {
	ask := asking(address, purposes...)
	ask.Claims = map[string]string{"ip": "203.0.113.7", "user_agent": "Browser/1.0"}
	ask.Attachments = []Attachment{{Claim: "form_snapshot", MediaType: "text/html", Bytes: []byte("<form>Newsletter</form>")}}
	return &optIn{ask: ask, sent: true, message: true, wait: 5 * time.Minute,
		click: Click{Click: "button", Claims: map[string]string{"ip": "203.0.113.9", "user_agent": "Browser/1.0"}}}
}

// mailOf is the confirmation mail of a request.
func mailOf(r *Requested, token string) SentMail {
	mail := []byte("To: somebody\r\nSubject: Please confirm\r\n\r\nhttps://shop.example.com/confirm#" + token + "\r\n")
	return SentMail{ConsentIDs: ids(r.Consents), SHA256: sha256.Sum256(mail), Message: mail, MTAResponse: "250 2.0.0 Ok: queued"}
}

// record records the double opt-in with a calendar that it moves on.
func (o *optIn) record(f *fixture, cal *calendar) (*Requested, *Confirmed) {
	f.t.Helper()
	r, err := f.s.RequestConsent(ctx, shop, o.ask)
	if err != nil {
		f.t.Fatal(err)
	}
	mail := mailOf(r, r.Token)
	send := func() {
		sent := mail
		if !o.message {
			sent.Message = nil
		}
		f.sent(sent)
	}
	cal.pass(time.Second)
	if o.sent && !o.late {
		send()
	}
	cal.pass(o.wait)
	if o.open != nil {
		if _, _, err := f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: r.Token, Claims: o.open}); err != nil {
			f.t.Fatal(err)
		}
	}
	o.click.Token = r.Token
	c, err := f.s.ConfirmConsent(ctx, shop, o.click)
	if err != nil {
		f.t.Fatal(err)
	}
	if o.sent && o.late {
		send()
	}
	if o.attach {
		if _, err := f.s.AttachMessage(ctx, shop, MailAttachment{ConsentIDs: ids(r.Consents), Message: mail.Message}); err != nil {
			f.t.Fatal(err)
		}
	}
	return r, c
}

// pass lets the calendar's time pass.
func (c *calendar) pass(d time.Duration) { c.set(c.now().Add(d)) }

func (f *fixture) sent(m SentMail) *Entry {
	f.t.Helper()
	e, irregular, err := f.s.RecordConfirmationSent(ctx, other, m)
	if err != nil {
		f.t.Fatal(err)
	}
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	c, _, err := snap.Consent(m.ConsentIDs[0])
	if err != nil || (c.State == ledger.Requested) != (len(irregular) == 0) {
		f.t.Errorf("a mail for what is %s is irregular: %v", c.State, irregular)
	}
	return e
}

// grade checks the grade of somebody's only consent, in the list and in the log.
func (f *fixture) grade(address, want string) {
	f.t.Helper()
	list, err := f.s.ListConsents(ctx, email(address))
	if err != nil || len(list) != 1 || list[0].Grade != want {
		f.t.Errorf("%s: %+v, %v, want grade %q", address, list, err, want)
		return
	}
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	c, _, err := snap.Consent(list[0].ID)
	if err != nil || c.Grade().String() != want {
		f.t.Errorf("%s: the log has grade %v, %v", address, c.Grade(), err)
	}
}

// value opens a claim that an entry commits to, with the key of a consent; "" if
// it commits to none of this name.
func (f *fixture) value(i ledger.Index, of ledger.ConsentID, name string) string {
	f.t.Helper()
	value, _ := f.claimOf(i, of, name)
	return value
}

// claimOf opens a claim of an entry, and reads the bytes beside it.
func (f *fixture) claimOf(i ledger.Index, of ledger.ConsentID, name string) (string, []byte) {
	f.t.Helper()
	e := f.entriesFrom(ledger.Size(i))[0]
	digest, ok := e.Commit(name)
	if !ok {
		return "", nil
	}
	key, ok, err := f.s.vault.KeyOf(of)
	if !ok || err != nil {
		f.t.Fatalf("consent %d has no key: %v", of, err)
	}
	d, blob, ok, err := f.s.vault.OpenClaim(key, i, digest)
	if !ok || err != nil || d.Claim != name {
		f.t.Fatalf("claim %s of entry %d: %v, %v", name, i, ok, err)
	}
	if blob == nil {
		return d.Value, nil
	}
	var b bytes.Buffer
	if err := f.s.vault.ReadBlob(*blob, &b); err != nil {
		f.t.Fatal(err)
	}
	return d.Value, b.Bytes()
}

// Each thing that is missing lowers the grade to the letter of the rule in
// ledger/grade.go, and nothing else does.
func TestGradesOfConfirmations(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: "traceless", DoubleOptIn: true, IPPolicy: "none"})
	traceless := f.covering("traceless")
	for i, c := range []struct {
		name   string
		change func(*optIn)
		want   string
	}{
		{"everything", func(*optIn) {}, "A"},
		{"the mail came after the click", func(o *optIn) { o.message, o.attach = false, true }, "A"},
		{"an address, no browser", func(o *optIn) { delete(o.ask.Claims, "user_agent"); delete(o.click.Claims, "user_agent") }, "A"},
		{"a browser, no address", func(o *optIn) { delete(o.ask.Claims, "ip"); delete(o.click.Claims, "ip") }, "A"},
		{"opened before, by the same browser", func(o *optIn) { o.open = o.click.Claims }, "A"},
		{"opened by a machine, clicked by nobody else", func(o *optIn) {
			o.open, o.click.Claims = map[string]string{"ip": "203.0.113.9"}, map[string]string{"user_agent": "Browser/1.0"}
		}, "A"},
		{"without the mail itself", func(o *optIn) { o.message = false }, "B"},
		{"without a trace of the request", func(o *optIn) { o.ask.Claims = nil }, "B"},
		{"without a trace of the click", func(o *optIn) { o.click.Claims = nil }, "B"},
		{"without mail and traces", func(o *optIn) { o.message, o.ask.Claims, o.click.Claims = false, nil, nil }, "B"},
		{"other claims are no trace", func(o *optIn) { o.click.Claims = map[string]string{"session": "4711", "referrer": "a mail"} }, "B"},
		{"an address that may not be kept", func(o *optIn) {
			o.ask.Purposes, o.ask.Notice = []string{"traceless"}, traceless
			delete(o.ask.Claims, "user_agent")
			delete(o.click.Claims, "user_agent")
		}, "B"},
		{"without the form", func(o *optIn) { o.ask.Attachments = nil }, "C"},
		{"without a record of the mail", func(o *optIn) { o.sent = false }, "C"},
		{"the mail was recorded after the click", func(o *optIn) { o.late = true }, "C"},
		{"a link", func(o *optIn) { o.click.Click = "link" }, "C"},
		{"nothing said, which is a link", func(o *optIn) { o.click.Click = "" }, "C"},
		{"a script", func(o *optIn) { o.click.Click = "script" }, "C"},
		{"an event of a mail service", func(o *optIn) { o.click.Click = "event" }, "C"},
		{"nothing but the click", func(o *optIn) {
			o.ask.Attachments, o.ask.Claims, o.sent, o.click = nil, nil, false, Click{}
		}, "C"},
		{"a button, and signs of a machine", func(o *optIn) { o.click.Signals = []string{"every_link"} }, "C"},
		{"a button, ten seconds after the mail", func(o *optIn) { o.wait = 10 * time.Second }, "A"},
		{"a button, too soon after the mail", func(o *optIn) { o.wait = 9 * time.Second }, "C"},
		{"a link, too soon after the mail", func(o *optIn) { o.wait, o.click.Click = 9*time.Second, "link" }, "D"},
		{"a link, and signs of a machine", func(o *optIn) { o.click.Click, o.click.Signals = "", []string{"honeypot"} }, "D"},
		{"a script, and signs of a machine", func(o *optIn) { o.click.Click, o.click.Signals = "script", []string{"honeypot"} }, "D"},
	} {
		address := fmt.Sprintf("case%d@example.com", i)
		o := fullOptIn(address)
		c.change(o)
		r, clicked := o.record(f, cal)
		if r.Consents[0].Grade != "" {
			t.Errorf("%s: a request has grade %s", c.name, r.Consents[0].Grade)
		}
		// What follows the click can only raise the grade that it was answered with.
		if got := clicked.Consents[0].Grade; got != c.want && !o.attach && !o.late {
			t.Errorf("%s: the click is answered with grade %q, want %s", c.name, got, c.want)
		}
		if f.grade(address, c.want); t.Failed() {
			t.Fatal(c.name)
		}
		// A link is what is meant when the log says nothing.
		if e := f.entriesFrom(ledger.Size(clicked.Consents[0].Entry.Index))[0]; e.Click != strings.TrimPrefix(o.click.Click, "link") {
			t.Errorf("%s: the log says click %q", c.name, e.Click)
		}
		if since := clicked.SinceSent; (since != nil) != (o.sent && !o.late) || since != nil && *since != o.wait {
			t.Errorf("%s: since the mail %v, want %v", c.name, since, o.wait)
		}
	}
	f.reopen()
	f.grade("case0@example.com", "A")
}

// What is recorded of a full double opt-in, line by line and claim by claim.
func TestFullDoubleOptIn(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	for _, n := range []NoticePublication{
		{ID: "mail-de", Use: "mail", Text: "Bitte bestätigen Sie: {{link}}\n", Purposes: []string{newsletter, offers}},
		{ID: "mail-other-de", Use: "mail", Text: "Bitte bestätigen Sie.\n", Purposes: []string{newsletter}},
	} {
		n.Language = "de"
		if _, _, err := f.s.PublishNotice(ctx, admin, n); err != nil {
			t.Fatal(err)
		}
	}
	o := fullOptIn("anna@example.com", newsletter, offers)
	r, err := f.s.RequestConsent(ctx, shop, o.ask)
	if err != nil {
		t.Fatal(err)
	}
	id := r.Consents[1].ID
	before := f.size()
	mail := mailOf(r, r.Token)
	mail.Template, mail.OccurredAt = "mail-de@1", cal.now()
	sent := f.sent(mail)
	cal.pass(20 * time.Second)
	failed, irregular, err := f.s.RecordConfirmationFailed(ctx, other, FailedMail{ConsentIDs: ids(r.Consents),
		MTAResponse: "451 4.7.1 Greylisted", Claims: map[string]string{"reference": "queue 4711"}})
	if err != nil || len(irregular) != 0 {
		t.Errorf("a bounce: %v, %v", irregular, err)
	}
	again, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(r.Consents)})
	if err != nil || again.Token != r.Token || !again.ExpiresAt.Equal(r.ExpiresAt) || again.Entry.Index != ledger.Index(before)+3 {
		t.Errorf("resent %+v, %v", again, err)
	}
	f.sent(mail)
	cal.pass(2 * time.Minute)
	opened, irregular, err := f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: r.Token, Claims: o.click.Claims})
	if err != nil || len(irregular) != 0 {
		t.Errorf("an opening: %v, %v", irregular, err)
	}
	f.checks("anna@example.com", newsletter, "pending") // none of it confirms
	cal.pass(30 * time.Second)
	o.click.Token = r.Token
	c, err := f.s.ConfirmConsent(ctx, shop, o.click)
	if err != nil || c.Consents[1].Grade != "A" || c.SinceSent == nil || *c.SinceSent != 150*time.Second {
		t.Errorf("confirmed %+v, %v", c, err)
	}
	f.wrote(before, "source.declared confirmation.sent confirmation.failed confirmation.resent confirmation.sent confirmation.opened consent.confirmed")
	log := f.entriesFrom(before)[1:]
	if e := log[0]; e.Mail != "kept" || e.Notice.Name() != "mail-de@1" || !e.Occurred.Equal(on(noon)) || len(e.About) != 2 {
		t.Errorf("sent: %+v", e)
	}
	if e := log[1]; e.Failure != "temporary" {
		t.Errorf("failed: %+v", e)
	}
	if e := log[2]; e.Lock != (ledger.Hash{}) || !e.Expires.IsZero() || len(e.Commits) != 0 || len(e.About) != 2 {
		t.Errorf("resent: %+v", e)
	}
	if e := log[4]; e.Token != "" || len(e.About) != 2 {
		t.Errorf("opened: %+v", e)
	}
	if e := log[5]; e.Click != "button" || e.Token != r.Token || len(e.Consents) != 2 {
		t.Errorf("confirmed: %+v", e)
	}
	value, raw := f.claimOf(sent.Index, id, "message")
	if want := fmt.Sprintf(`{"media_type":"message/rfc822","sha256":"%x"}`, mail.SHA256[:]); value != want || !bytes.Equal(raw, mail.Message) {
		t.Errorf("the message is %s with %q, want %s", value, raw, want)
	}
	for _, x := range []struct {
		entry      ledger.Index
		name, want string
	}{
		{sent.Index, "mta_response", "250 2.0.0 Ok: queued"}, {failed.Index, "mta_response", "451 4.7.1 Greylisted"},
		{failed.Index, "reference", "queue 4711"}, {opened.Index, "ip", "203.0.113.0/24"}, {opened.Index, "user_agent", "Browser/1.0"},
		{c.Consents[0].Entry.Index, "ip", "203.0.113.0/24"}, {c.Consents[0].Entry.Index, "user_agent", "Browser/1.0"},
		{c.Consents[0].Entry.Index, "scanner", ""},
	} {
		if got := f.value(x.entry, id, x.name); got != x.want {
			t.Errorf("claim %s of entry %d is %q, want %q", x.name, x.entry, got, x.want)
		}
	}
	rep := f.verify()
	if len(rep.Irregular) != 0 {
		t.Errorf("irregular: %v", rep.Irregular)
	}
}

// Whoever shares a part of an address shares nothing else.
func TestAlikeAddresses(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	tokens := map[string]bool{}
	people := []string{"anna@example.com", "anna@example.org", "anna+shop@example.com", "an.na@example.com", "änna@example.com", "anna@xn--mller-kva.example"}
	for _, who := range people {
		o := fullOptIn(who)
		r, _ := o.record(f, cal)
		tokens[r.Token], tokens[r.ManageToken] = true, true
	}
	if len(tokens) != 2*len(people) {
		t.Errorf("%d tokens of %d people", len(tokens), len(people))
	}
	f.withdraw(Withdrawal{Subject: email(people[0])})
	f.checks(people[0], newsletter, "withdrawn")
	for _, who := range people[1:] {
		f.checks(who, newsletter, "confirmed")
		f.grade(who, "A")
	}
	// The same mailbox in another spelling is the same person.
	f.checks("ANNA@EXAMPLE.ORG", newsletter, "confirmed")
	f.checks("a\u0308nna@example.com", newsletter, "confirmed")
	f.checks("anna@müller.example", newsletter, "confirmed")
}

// Moments are those of UTC: neither leap days nor changes of local time move the
// end of a link.
func TestLinksEndOnTheSecond(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, asked, ends string }{
		{"on a leap day", "2028-02-22T12:00:00.25Z", "2028-02-29T12:00:00Z"},
		{"after a leap day", "2028-02-25T23:59:59.999999Z", "2028-03-03T23:59:59Z"},
		{"in a year without one", "2029-02-22T12:00:00Z", "2029-03-01T12:00:00Z"},
		{"while clocks are put forward", "2027-03-25T02:30:00+01:00", "2027-04-01T01:30:00Z"},
		{"while clocks are put back", "2027-10-28T02:30:00+02:00", "2027-11-04T00:30:00Z"},
		{"over the turn of the year", "2027-12-28T10:00:00Z", "2028-01-04T10:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, cal := newDated(t)
			cal.set(on(c.asked))
			good, late := f.request("good@example.com"), f.request("late@example.com")
			if !good.ExpiresAt.Equal(on(c.ends)) {
				t.Errorf("expires at %v, want %s", good.ExpiresAt, c.ends)
			}
			cal.set(on(c.ends)) // good up to and including this moment
			f.confirm(good.Token)
			if r, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(late.Consents)}); err != nil || r.Token != late.Token {
				t.Errorf("resent in the last moment: %+v, %v", r, err)
			}
			cal.pass(time.Microsecond)
			_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: late.Token})
			refused(t, err, refusal.FailedPrecondition, "token_expired")
			_, err = f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(late.Consents)})
			refused(t, err, refusal.FailedPrecondition, "token_expired")
		})
	}
}

// A time that a caller gives in a zone of its own stands in the log as UTC.
func TestOccurredInZones(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	r := f.request("zone@example.com")
	mail := mailOf(r, r.Token)
	mail.OccurredAt = on("2027-03-01T14:59:59.9+03:00")
	before := f.size()
	f.sent(mail)
	click := Click{Token: r.Token, OccurredAt: on("2027-03-01T04:00:10-08:00")}
	c, err := f.s.ConfirmConsent(ctx, shop, click)
	if err != nil || c.SinceSent == nil || *c.SinceSent != 11*time.Second {
		t.Errorf("confirmed %+v, %v", c, err)
	}
	var lines []string
	for _, e := range f.entriesFrom(before)[1:] {
		lines = append(lines, e.Occurred.Format(time.RFC3339Nano))
	}
	if got := strings.Join(lines, " "); got != "2027-03-01T11:59:59Z 2027-03-01T12:00:10Z" {
		t.Errorf("occurred %s", got)
	}
}
