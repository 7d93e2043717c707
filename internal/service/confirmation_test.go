package service

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// The template of a mail is a notice made for that, published, and about what the
// mail asks for.
func TestMailTemplates(t *testing.T) {
	t.Parallel()
	f := newService(t)
	publish := func(n NoticePublication) {
		t.Helper()
		n.Language, n.Text = "de", "Bitte bestätigen: {{link}}\n"
		if _, _, err := f.s.PublishNotice(ctx, admin, n); err != nil {
			t.Fatal(err)
		}
	}
	publish(NoticePublication{ID: "mail-de", Use: "mail", Purposes: []string{newsletter, offers}})
	publish(NoticePublication{ID: "mail-narrow", Use: "mail", Purposes: []string{newsletter}})
	publish(NoticePublication{ID: "privacy-de", Use: "privacy", Purposes: []string{newsletter, offers}})
	r := f.request("a@example.com", newsletter, offers)
	before := f.size()
	for template, want := range map[string]struct {
		code refusal.Code
		at   string
	}{
		"mail-de":        {refusal.InvalidArgument, "template"},
		"mail-de@0":      {refusal.InvalidArgument, "template"},
		"mail-de@2":      {refusal.InvalidArgument, "template"},
		"nothing@1":      {refusal.InvalidArgument, "template"},
		wording:          {refusal.FailedPrecondition, "notice_use"},
		"privacy-de@1":   {refusal.FailedPrecondition, "notice_use"},
		"mail-narrow@1":  {refusal.FailedPrecondition, "notice_coverage"},
		" mail-de@1":     {refusal.InvalidArgument, "template"},
		"newsletter-de@": {refusal.InvalidArgument, "template"},
	} {
		mail := mailOf(r, r.Token)
		mail.Template = template
		_, _, err := f.s.RecordConfirmationSent(ctx, shop, mail)
		refused(t, err, want.code, want.at)
	}
	f.wrote(before, "")
	f.blobs(0) // nor is a mail kept that nothing names
	mail := mailOf(r, r.Token)
	mail.Template = "mail-de@1"
	e := f.sent(mail)
	if got := f.entriesFrom(ledger.Size(e.Index))[0].Notice; got.Name() != "mail-de@1" || got.SHA256 != ledger.TextHash([]byte("Bitte bestätigen: {{link}}\n")) {
		t.Errorf("recorded with %v", got)
	}
	// A consent is asked for by words that were made for that.
	ask := asking("b@example.com")
	ask.Notice = "mail-de@1"
	_, err := f.s.RequestConsent(ctx, shop, ask)
	refused(t, err, refusal.FailedPrecondition, "notice_use")
}

// What proves a channel: no e-mail confirms a telephone number (BGH I ZR 164/09).
func TestProofOfChannels(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for channel, mails := range map[string]bool{
		"email": true, "post": true, "push": true, "app": true, "web": true, "phone": false, "sms": false, "messenger": false, "fax": false,
	} {
		ask := asking("a@example.com", newsletter, offers)
		ask.Channel = channel
		r := f.ask(ask)
		for mediaType, isMail := range map[string]bool{
			"": true, "message/rfc822": true, "Message/RFC822": true, "message/global": true, "text/plain": false, "audio/wav": false,
		} {
			mail := mailOf(r, r.Token)
			mail.MediaType = mediaType
			before := f.size()
			e, _, err := f.s.RecordConfirmationSent(ctx, shop, mail)
			if isMail && !mails {
				refused(t, err, refusal.FailedPrecondition, "channel_proof")
				f.wrote(before, "")
				continue
			}
			if err != nil {
				t.Fatalf("%q on %s: %v", mediaType, channel, err)
			}
			if mediaType == "" {
				mediaType = "message/rfc822"
			}
			want := fmt.Sprintf(`{"media_type":%q,"sha256":"%x"}`, mediaType, mail.SHA256[:])
			if got := f.value(e.Index, r.Consents[0].ID, "message"); got != want {
				t.Errorf("the message is %s, want %s", got, want)
			}
		}
	}
	r := f.request("b@example.com")
	for _, wrong := range []string{"mail", "text/", "/plain", "text/plain; charset=utf-8", "text/" + strings.Repeat("x", 130)} {
		mail := mailOf(r, r.Token)
		mail.MediaType = wrong
		_, _, err := f.s.RecordConfirmationSent(ctx, shop, mail)
		refused(t, err, refusal.InvalidArgument, "media_type")
	}
}

// Bounces and openings change nothing, whenever they come, and say when they come
// too late.
func TestMailsChangeNothing(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	r := f.request("a@example.com", newsletter, offers)
	withdrawn := f.request("w@example.com")
	f.withdraw(Withdrawal{Subject: email("w@example.com")})
	tell := func(r *Requested) (irregular [][]Irregular) {
		t.Helper()
		before := f.size()
		_, bounced, err := f.s.RecordConfirmationFailed(ctx, shop, FailedMail{ConsentIDs: ids(r.Consents), Permanent: true})
		_, opened, err2 := f.s.RecordConfirmationOpened(ctx, shop, Opening{ConsentIDs: ids(r.Consents)})
		_, byToken, err3 := f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: r.Token})
		if err != nil || err2 != nil || err3 != nil {
			t.Fatal(err, err2, err3)
		}
		f.wrote(before, "confirmation.failed confirmation.opened confirmation.opened")
		return [][]Irregular{bounced, opened, byToken}
	}
	for _, list := range tell(r) {
		if len(list) != 0 {
			t.Errorf("irregular: %v", list)
		}
	}
	f.checks("a@example.com", newsletter, "pending")
	for kind, list := range tell(withdrawn) {
		name := []string{"confirmation.failed.withdrawn", "confirmation.opened.withdrawn", "confirmation.opened.withdrawn"}[kind]
		if len(list) != 1 || list[0] != (Irregular{withdrawn.Consents[0].ID, name, "withdrawn"}) {
			t.Errorf("irregular: %v, want %s", list, name)
		}
	}
	f.checks("w@example.com", newsletter, "withdrawn")
	first := f.confirm(r.Token)
	for _, list := range tell(r) {
		if len(list) != 2 || !strings.HasSuffix(list[1].Name, ".confirmed") {
			t.Errorf("irregular: %v", list)
		}
	}
	if again := f.confirm(r.Token); shows(again.Consents) != shows(first.Consents) {
		t.Errorf("confirmed %s, want %s", shows(again.Consents), shows(first.Consents))
	}
	if rep := f.verify(); rep.Verdict != "VERIFIED" || rep.Irregular["confirmation.opened.confirmed"] != 4 || rep.Irregular["confirmation.failed.withdrawn"] != 1 {
		t.Errorf("%s, irregular %v", rep.Verdict, rep.Irregular)
	}
	cal.pass(100 * 24 * time.Hour)
	f.checks("a@example.com", newsletter, "confirmed")
}

func TestRefusedOpenings(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.request("a@example.com")
	unknown, _ := drawn(1)
	before := f.size()
	for _, c := range []struct {
		open Opening
		code refusal.Code
		at   string
	}{
		{Opening{}, refusal.InvalidArgument, "consent_ids"},
		{Opening{ConsentIDs: ids(r.Consents), Token: r.Token}, refusal.InvalidArgument, "consent_ids"},
		{Opening{Token: unknown}, refusal.NotFoundCode, "token"},
		{Opening{Token: unknown[1:]}, refusal.InvalidArgument, "token"},
		{Opening{ConsentIDs: []ledger.ConsentID{1 << 40}}, refusal.NotFoundCode, "consent_ids[0]"},
		{Opening{ConsentIDs: []ledger.ConsentID{-1}}, refusal.InvalidArgument, "consent_ids[0]"},
		{Opening{Token: r.Token, Claims: map[string]string{"ip": "here"}}, refusal.InvalidArgument, "claims.ip"},
		{Opening{Token: r.Token, OccurredAt: f.clock.now().Add(time.Hour)}, refusal.InvalidArgument, "occurred_at"},
	} {
		_, _, err := f.s.RecordConfirmationOpened(ctx, shop, c.open)
		refused(t, err, c.code, c.at)
	}
	for _, m := range []FailedMail{{}, {ConsentIDs: []ledger.ConsentID{0}}} {
		_, _, err := f.s.RecordConfirmationFailed(ctx, shop, m)
		at := "consent_ids"
		if len(m.ConsentIDs) > 0 {
			at = "consent_ids[0]"
		}
		refused(t, err, refusal.InvalidArgument, at)
	}
	_, _, err := f.s.RecordConfirmationFailed(ctx, shop, FailedMail{ConsentIDs: ids(r.Consents), MTAResponse: "550 \x00"})
	refused(t, err, refusal.InvalidArgument, "mta_response")
	f.wrote(before, "")
	f.erase("a@example.com")
	_, _, err = f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: r.Token})
	refused(t, err, refusal.NotFoundCode, "token")
}

// A token that names an opening is recorded nowhere: not in the log, not in the
// vault, not in an answer.
func TestOpeningsKeepNoToken(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r, token := f.drawnRequest("a@example.com", 1)
	open := Opening{Token: token, Claims: map[string]string{"user_agent": "Browser/1.0"}, IdempotencyKey: "seen", Proof: true}
	e, irregular, err := f.s.RecordConfirmationOpened(ctx, shop, open)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := f.s.RecordConfirmationOpened(ctx, shop, open)
	if err != nil || again.Index != e.Index {
		t.Errorf("a retry answers %+v, %v", again, err)
	}
	open.Token, open.ConsentIDs = "", ids(r.Consents)
	_, _, err = f.s.RecordConfirmationOpened(ctx, shop, open)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	search := newSearch()
	search.add("token", token)
	f.close()
	search.directory(t, f.opt.Dir)
	search.text("answers", fmt.Sprintf("%+v %+v %s", e, irregular, f.log))
	if len(search.found) > 0 {
		t.Errorf("the token is known after an opening: %v", search.found)
	}
	f.open()
	if c := f.confirm(token); c.AlreadyConfirmed {
		t.Error("an opening burnt the token")
	}
}
