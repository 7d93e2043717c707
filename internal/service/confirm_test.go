package service

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// drawn gives a token that a mailer drew, and its lock.
func drawn(n int) (string, *ledger.Hash) {
	sum := sha256.Sum256(fmt.Append(nil, "a token of the mailer ", n))
	token := base64.RawURLEncoding.EncodeToString(sum[:])
	lock := ledger.Lock(token)
	return token, &lock
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.request("a@example.com", newsletter, offers)
	if len(r.Token) != 43 || len(r.Consents) != 2 || r.Consents[0].State != ledger.Requested || r.Consents[1].Notice != wording ||
		time.Until(r.ExpiresAt) < 6*24*time.Hour {
		t.Fatalf("requested %+v", r)
	}
	f.checks("a@example.com", newsletter, "pending")
	before := f.size()
	c := f.confirm(r.Token)
	if c.AlreadyConfirmed || len(c.Consents) != 2 || c.Consents[0].State != ledger.Confirmed || c.Consents[0].Entry.Index != ledger.Index(before) {
		t.Errorf("confirmed %+v", c)
	}
	f.wrote(before, "consent.confirmed")
	f.checks("a@example.com", newsletter, "confirmed")
	f.checks("a@example.com", offers, "confirmed")
	f.checks("a@example.com", account, "no_consent")

	// A second click says so and writes nothing.
	before = f.size()
	again := f.confirm(r.Token)
	if !again.AlreadyConfirmed || shows(again.Consents) != shows(c.Consents) {
		t.Errorf("second click %+v, want %+v", again, c)
	}
	_, err := f.s.RejectConfirmation(ctx, shop, Click{Token: r.Token})
	refused(t, err, refusal.FailedPrecondition, "already_confirmed")
	f.wrote(before, "")
	f.checks("a@example.com", newsletter, "confirmed")
}

func TestRefusedClicks(t *testing.T) {
	t.Parallel()
	f := newService(t)
	token, _ := drawn(1)
	click := func(token string) error {
		_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: token})
		_, err2 := f.s.RejectConfirmation(ctx, shop, Click{Token: token})
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("confirming answers %v, rejecting %v", err, err2)
		}
		return err
	}
	before := f.size()
	refused(t, click(token), refusal.NotFoundCode, "token")
	for _, bad := range []string{"", token[1:], token + "A", token[:42] + "=", token[:42] + "/", token[:42] + "_", strings.Repeat("ä", 21) + "a"} {
		refused(t, click(bad), refusal.InvalidArgument, "token")
	}

	rejected := f.request("rejected@example.com")
	list, err := f.s.RejectConfirmation(ctx, shop, Click{Token: rejected.Token})
	if err != nil || len(list) != 1 || list[0].State != ledger.Lapsed {
		t.Errorf("rejecting: %+v, %v", list, err)
	}
	f.wrote(before, "source.declared consent.requested confirmation.rejected")
	before = f.size()
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: rejected.Token})
	refused(t, err, refusal.FailedPrecondition, "request_rejected")
	again, err := f.s.RejectConfirmation(ctx, shop, Click{Token: rejected.Token})
	if err != nil || shows(again) != shows(list) {
		t.Errorf("rejecting twice: %+v, %v", again, err)
	}
	f.wrote(before, "")
	f.checks("rejected@example.com", newsletter, "lapsed")

	expired := f.request("expired@example.com")
	used := f.confirmed("used@example.com")
	f.clock.advance(7*24*time.Hour - time.Minute)
	inTime := f.confirmed("late@example.com")
	f.clock.advance(2 * time.Minute)
	before = f.size()
	refused(t, click(expired.Token), refusal.FailedPrecondition, "token_expired")
	f.checks("expired@example.com", newsletter, "lapsed")
	if c := f.confirm(used.Token); !c.AlreadyConfirmed {
		t.Errorf("a second click after the link expired: %+v", c)
	}
	if c := f.confirm(inTime.Token); !c.AlreadyConfirmed {
		t.Errorf("a second click: %+v", c)
	}
	f.wrote(before, "")
	// The ledger's clock counts, not what a caller says happened.
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: expired.Token, OccurredAt: f.clock.now().Add(-time.Hour)})
	refused(t, err, refusal.FailedPrecondition, "token_expired")
}

func TestClickAfterWithdrawal(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for name, w := range map[string]func(*Requested) Withdrawal{
		"subject": func(*Requested) Withdrawal { return Withdrawal{Subject: email("subject@example.com")} },
		"token":   func(r *Requested) Withdrawal { return Withdrawal{ManageToken: r.ManageToken} },
		"ids":     func(r *Requested) Withdrawal { return Withdrawal{ConsentIDs: ids(r.Consents)} },
	} {
		r := f.request(name+"@example.com", newsletter, offers)
		f.withdraw(w(r))
		before := f.size()
		for range 2 {
			_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
			refused(t, err, refusal.FailedPrecondition, "withdrawn")
		}
		f.wrote(before, "")
		f.checks(name+"@example.com", newsletter, "withdrawn")
		f.checks(name+"@example.com", offers, "withdrawn")
	}

	// One of two purposes withdrawn: the click confirms the other.
	r := f.request("half@example.com", newsletter, offers)
	f.withdraw(Withdrawal{Subject: email("half@example.com"), Purposes: []string{newsletter}})
	c := f.confirm(r.Token)
	if c.AlreadyConfirmed || len(c.Consents) != 1 || c.Consents[0].Purpose != offers {
		t.Errorf("confirmed %s", shows(c.Consents))
	}
	f.checks("half@example.com", newsletter, "withdrawn")
	f.checks("half@example.com", offers, "confirmed")
	if again := f.confirm(r.Token); !again.AlreadyConfirmed || shows(again.Consents) != shows(c.Consents) {
		t.Errorf("second click %+v", again)
	}

	// Withdrawn after the click: a second click grants nothing.
	r = f.confirmed("after@example.com")
	f.withdraw(Withdrawal{Subject: email("after@example.com")})
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
	refused(t, err, refusal.FailedPrecondition, "withdrawn")
	f.checks("after@example.com", newsletter, "withdrawn")
}

// Links of earlier mails work until they expire, and a request changes no
// answer; a request older than a withdrawal grants nothing.
func TestRequestsAgain(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "again@example.com"
	first := f.request(a)
	second := f.request(a)
	if first.Token == second.Token || first.ManageToken != second.ManageToken {
		t.Error("want two tokens and one manage token")
	}
	f.confirm(first.Token)
	f.checks(a, newsletter, "confirmed")
	third := f.request(a)
	f.checks(a, newsletter, "confirmed")
	f.confirm(second.Token)
	f.checks(a, newsletter, "confirmed")
	if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: third.Token}); err != nil {
		t.Error(err)
	}
	f.checks(a, newsletter, "confirmed")

	fourth := f.request(a)
	f.withdraw(Withdrawal{Subject: email(a)})
	f.checks(a, newsletter, "withdrawn")
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: fourth.Token})
	refused(t, err, refusal.FailedPrecondition, "withdrawn")
	f.checks(a, newsletter, "withdrawn")
	fifth := f.request(a)
	f.checks(a, newsletter, "pending")
	f.confirm(fifth.Token)
	f.checks(a, newsletter, "confirmed")
}

func TestClientDrawnLock(t *testing.T) {
	t.Parallel()
	f := newService(t)
	token, lock := drawn(2)
	ask := asking("locked@example.com", newsletter, offers)
	ask.Lock, ask.Proof = lock, true
	r, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil || r.Token != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	mail := []byte("Subject: Please confirm\r\n\r\nhttps://shop.example.com/confirm#" + token + "\r\n")
	sent := SentMail{ConsentIDs: ids(r.Consents), SHA256: sha256.Sum256(mail), Message: mail}
	before := f.size()
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, sent)
	refused(t, err, refusal.FailedPrecondition, "message")
	f.wrote(before, "")
	sent.Message = nil
	if _, _, err := f.s.RecordConfirmationSent(ctx, shop, sent); err != nil {
		t.Error(err)
	}
	list, err := f.s.ListConsents(ctx, ask.Subject)
	if err != nil {
		t.Error(err)
	}
	search := newSearch()
	search.add("token", token)
	f.close()
	search.directory(t, f.opt.Dir)
	search.text("answers", fmt.Sprintf("%+v %+v %s", r, list, f.log))
	if len(search.found) > 0 {
		t.Errorf("the token is known before the click: %v", search.found)
	}
	f.open()
	if c := f.confirm(token); len(c.Consents) != 2 {
		t.Errorf("confirmed %+v", c)
	}
	f.checks("locked@example.com", newsletter, "confirmed")
	f.close() // now the control: the same search finds what a click revealed
	if search.directory(t, f.opt.Dir); len(search.found) == 0 {
		t.Error("the search for a token finds none after the click either")
	}
	f.open()
}

func TestUsedLock(t *testing.T) {
	t.Parallel()
	f := newService(t)
	token, lock := drawn(3)
	ask := asking("first@example.com")
	ask.Lock = lock
	if _, err := f.s.RequestConsent(ctx, shop, ask); err != nil {
		t.Fatal(err)
	}
	// At once, so that the second request stands directly behind the first, by
	// the same source and by another, for the same person and for another.
	try := func() {
		t.Helper()
		before := f.size()
		for _, src := range []Source{shop, other} {
			for _, who := range []string{"first@example.com", "second@example.com"} {
				again := asking(who)
				again.Lock = lock
				_, err := f.s.RequestConsent(ctx, src, again)
				refused(t, err, refusal.FailedPrecondition, "lock_used")
			}
		}
		f.wrote(before, "")
	}
	try()
	f.confirm(token)
	try()
	f.checks("second@example.com", newsletter, "unknown_subject")

	// A lock that the ledger drew, one of an expired request, and one of a
	// person who was erased.
	for i, who := range []string{"ledger@example.com", "expired@example.com", "erased@example.com"} {
		r := f.request(who)
		if i == 1 {
			f.clock.advance(8 * 24 * time.Hour)
		} else if i == 2 {
			f.erase(who)
		}
		l := ledger.Lock(r.Token)
		lock = &l
		try()
	}
}

func TestConfirmationSent(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.request("mail@example.com", newsletter, offers)
	stranger := f.request("stranger@example.com")
	mail := []byte("Subject: Please confirm\r\n\r\n" + r.Token + "\r\n")
	sent := SentMail{ConsentIDs: ids(r.Consents), SHA256: sha256.Sum256(mail), Message: mail, MTAResponse: "250 2.0.0 Ok"}
	before := f.size()
	e, irregular, err := f.s.RecordConfirmationSent(ctx, shop, sent)
	if err != nil || len(irregular) != 0 || e.Index != ledger.Index(before) {
		t.Fatalf("%+v, %v, %v", e, irregular, err)
	}
	f.wrote(before, "confirmation.sent")
	bad := sent
	bad.SHA256[0] ^= 1
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, bad)
	refused(t, err, refusal.InvalidArgument, "message_sha256")
	bad = sent
	bad.ConsentIDs = append(ids(r.Consents), stranger.Consents[0].ID)
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, bad)
	refused(t, err, refusal.InvalidArgument, "consent_ids[2]")
	bad.ConsentIDs = []ledger.ConsentID{0}
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, bad)
	refused(t, err, refusal.InvalidArgument, "consent_ids[0]")
	for _, unknown := range []ledger.ConsentID{2, 1 << 40} {
		bad.ConsentIDs = []ledger.ConsentID{unknown}
		_, _, err = f.s.RecordConfirmationSent(ctx, shop, bad)
		refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
	}
	f.wrote(before, "confirmation.sent")
	f.confirm(r.Token)
	_, irregular, err = f.s.RecordConfirmationSent(ctx, shop, sent)
	if err != nil || len(irregular) != 2 || irregular[0].Name != "confirmation.sent.confirmed" {
		t.Errorf("a mail after the click: %v, %v", irregular, err)
	}
}
