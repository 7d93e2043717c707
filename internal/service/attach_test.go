package service

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// blobs counts the stretches of attachments and mails in the vault, of which each
// here is one.
func (f *fixture) blobs(want int) {
	f.t.Helper()
	f.close()
	if n := countRows(f.t, f.opt.Dir+"/vault", func(key []byte) bool { return key[0] == 'b' }); n != want {
		f.t.Errorf("the vault holds %d mails and attachments, want %d", n, want)
	}
	f.open()
}

// A mail that holds the caller's token is kept after the click and not before.
func TestAttachAfterTheClick(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	r, token := f.drawnRequest("a@example.com", 1, newsletter, offers)
	mail := mailOf(r, token)
	mail.MediaType = "message/global"
	attach := MailAttachment{ConsentIDs: ids(r.Consents), Message: mail.Message, IdempotencyKey: "the mail", Proof: true}
	refuses := func() {
		t.Helper()
		before := f.size()
		_, _, err := f.s.RecordConfirmationSent(ctx, shop, mail)
		refused(t, err, refusal.FailedPrecondition, "message")
		_, err = f.s.AttachMessage(ctx, shop, attach)
		refused(t, err, refusal.FailedPrecondition, "message")
		f.wrote(before, "")
	}
	refuses()
	hash := mail
	hash.Message = nil
	f.sent(hash)
	refuses()
	f.blobs(0)
	f.confirm(token)
	before := f.size()
	e, err := f.s.AttachMessage(ctx, shop, attach)
	if err != nil || e.Index != ledger.Index(before) || e.Receipt == "" {
		t.Fatalf("%+v, %v", e, err)
	}
	f.reopen()
	if again, err := f.s.AttachMessage(ctx, shop, attach); err != nil || again.Leaf != e.Leaf {
		t.Errorf("a retry answers %+v, %v", again, err)
	}
	f.wrote(before, "confirmation.attached")
	want := fmt.Sprintf(`{"media_type":"message/global","sha256":"%x"}`, mail.SHA256[:])
	for _, consent := range r.Consents {
		if value, raw := f.claimOf(e.Index, consent.ID, "message"); value != want || !bytes.Equal(raw, mail.Message) {
			t.Errorf("consent %d: %s with %q", consent.ID, value, raw)
		}
	}
	attach.Message = append(attach.Message, '\n')
	_, err = f.s.AttachMessage(ctx, shop, attach)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.blobs(1)
}

// When the token may be known: what happened to a request whose token the caller
// drew, and whether the mail may be kept then.
func TestWhenMailsAreKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(f *fixture, cal *calendar, r *Requested, token string)
		kept bool
	}{
		{"nothing", func(*fixture, *calendar, *Requested, string) {}, false},
		{"opened", func(f *fixture, _ *calendar, r *Requested, token string) {
			if _, _, err := f.s.RecordConfirmationOpened(ctx, shop, Opening{Token: token}); err != nil {
				f.t.Fatal(err)
			}
		}, false},
		{"one of two withdrawn", func(f *fixture, _ *calendar, r *Requested, _ string) {
			f.withdraw(Withdrawal{ConsentIDs: ids(r.Consents)[:1]})
		}, false},
		{"the last moment of the link", func(_ *fixture, cal *calendar, r *Requested, _ string) { cal.set(r.ExpiresAt) }, false},
		{"expired", func(_ *fixture, cal *calendar, r *Requested, _ string) { cal.set(r.ExpiresAt.Add(time.Second)) }, true},
		{"expired, but resent before", func(f *fixture, cal *calendar, r *Requested, _ string) {
			_, lock := drawn(77)
			cal.pass(time.Hour)
			f.resend(Resend{ConsentIDs: ids(r.Consents), Lock: lock})
			cal.set(r.ExpiresAt.Add(time.Second))
		}, false},
		{"confirmed", func(f *fixture, _ *calendar, _ *Requested, token string) { f.confirm(token) }, true},
		{"confirmed, and withdrawn since", func(f *fixture, _ *calendar, r *Requested, token string) {
			f.confirm(token)
			f.withdraw(Withdrawal{ConsentIDs: ids(r.Consents)})
		}, true},
		{"rejected", func(f *fixture, _ *calendar, _ *Requested, token string) {
			if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: token}); err != nil {
				f.t.Fatal(err)
			}
		}, true},
		{"withdrawn", func(f *fixture, _ *calendar, r *Requested, _ string) {
			f.withdraw(Withdrawal{ConsentIDs: ids(r.Consents)})
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, cal := newDated(t)
			r, token := f.drawnRequest("a@example.com", 1, newsletter, offers)
			mail := mailOf(r, token)
			hash := mail
			hash.Message = nil
			f.sent(hash)
			c.do(f, cal, r, token)
			before := f.size()
			e, err := f.s.AttachMessage(ctx, shop, MailAttachment{ConsentIDs: ids(r.Consents), Message: mail.Message})
			_, _, err2 := f.s.RecordConfirmationSent(ctx, shop, mail)
			if !c.kept {
				refused(t, err, refusal.FailedPrecondition, "message")
				refused(t, err2, refusal.FailedPrecondition, "message")
				f.wrote(before, "")
				f.blobs(0)
				return
			}
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			f.wrote(before, "confirmation.attached confirmation.sent")
			for _, consent := range r.Consents {
				value, raw := f.claimOf(e.Index, consent.ID, "message")
				if want := fmt.Sprintf(`{"media_type":"message/rfc822","sha256":"%x"}`, mail.SHA256[:]); value != want || !bytes.Equal(raw, mail.Message) {
					t.Errorf("consent %d: %s with %q", consent.ID, value, raw)
				}
			}
			f.blobs(2)
		})
	}
}

// Only a mail that was recorded for these consents is kept, byte by byte.
func TestAttachedMailMustMatch(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	r := f.request("a@example.com", newsletter, offers)
	stranger := f.request("b@example.com")
	mail, theirs := mailOf(r, r.Token), mailOf(stranger, stranger.Token)
	mail.Message, theirs.Message = nil, nil
	raw := mailOf(r, r.Token).Message
	all := ids(r.Consents)
	attach := func(raw []byte, ids ...ledger.ConsentID) error {
		_, err := f.s.AttachMessage(ctx, shop, MailAttachment{ConsentIDs: ids, Message: raw})
		return err
	}
	before := f.size()
	refused(t, attach(raw, all...), refusal.FailedPrecondition, "message") // nothing was recorded yet
	f.wrote(before, "")
	mail.ConsentIDs = all[:1]
	f.sent(mail)
	f.sent(theirs)
	before = f.size()
	flipped := bytes.Clone(raw)
	flipped[10] ^= 1
	for _, wrong := range [][]byte{flipped, raw[1:], append(bytes.Clone(raw), '\n'), mailOf(stranger, stranger.Token).Message} {
		refused(t, attach(wrong, all[0]), refusal.FailedPrecondition, "message")
	}
	refused(t, attach(raw, all[1]), refusal.FailedPrecondition, "message") // it was recorded for the other
	refused(t, attach(raw, ids(stranger.Consents)...), refusal.FailedPrecondition, "message")
	refused(t, attach(raw, all[0], stranger.Consents[0].ID), refusal.InvalidArgument, "consent_ids[1]")
	refused(t, attach(raw, 1<<40), refusal.NotFoundCode, "consent_ids[0]")
	refused(t, attach(raw), refusal.InvalidArgument, "consent_ids")
	refused(t, attach(nil, all[0]), refusal.InvalidArgument, "message")
	refused(t, attach(make([]byte, MaxAttachment+1), all[0]), refusal.InvalidArgument, "message")
	f.wrote(before, "")
	f.blobs(0)
	// A token that the ledger drew it knows anyway: at any time. Any of the mails.
	if err := attach(raw, all[0]); err != nil {
		t.Error(err)
	}
	for range 3 {
		again := mailOf(r, "another text of the mail")
		again.Message = nil
		f.sent(again)
	}
	if err := attach(raw, all[1], all[0]); err != nil {
		t.Error(err)
	}
	f.blobs(2)
	f.erase("a@example.com")
	refused(t, attach(raw, all[0]), refusal.NotFoundCode, "consent_ids[0]")
}

// A resend with the caller's lock makes mails secret again that were not.
func TestAttachAfterResend(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	r := f.request("a@example.com")
	first := mailOf(r, r.Token)
	f.sent(first)
	token, lock := drawn(1)
	cal.pass(time.Hour)
	f.resend(Resend{ConsentIDs: ids(r.Consents), Lock: lock})
	second := mailOf(r, token)
	_, _, err := f.s.RecordConfirmationSent(ctx, shop, second)
	refused(t, err, refusal.FailedPrecondition, "message")
	hash := second
	hash.Message = nil
	f.sent(hash)
	attach := MailAttachment{ConsentIDs: ids(r.Consents), Message: second.Message}
	_, err = f.s.AttachMessage(ctx, shop, attach)
	refused(t, err, refusal.FailedPrecondition, "message")
	search := newSearch()
	search.add("token", token)
	f.close()
	if search.directory(t, f.opt.Dir); len(search.found) > 0 {
		t.Errorf("the token is known before the click: %v", search.found)
	}
	f.open()
	f.confirm(token)
	if _, err := f.s.AttachMessage(ctx, shop, attach); err != nil {
		t.Error(err)
	}
	f.blobs(2)
}

// TestFaultsOfMails lets the commit of a mail with its bytes fail at each of its
// steps: nobody is told that it was recorded, and a retry records it once, with the
// bytes beside it.
func TestFaultsOfMails(t *testing.T) {
	t.Parallel()
	for step, there := range map[string]bool{
		"before vault": false, "after vault": false, "before log": false, "after log": true, "before head": true, "after head": true,
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			r, token := f.drawnRequest("a@example.com", 1)
			mail := mailOf(r, token)
			hash := mail
			hash.Message = nil
			f.sent(hash)
			f.confirm(token)
			orphans := 0
			for _, call := range []struct {
				wrote string
				do    func() (*Entry, error)
			}{
				{"confirmation.attached", func() (*Entry, error) {
					return f.s.AttachMessage(ctx, other, MailAttachment{ConsentIDs: ids(r.Consents), Message: mail.Message, IdempotencyKey: "attach"})
				}},
				{"confirmation.sent", func() (*Entry, error) {
					kept := mail
					kept.IdempotencyKey = "sent"
					e, _, err := f.s.RecordConfirmationSent(ctx, other, kept)
					return e, err
				}},
			} {
				before := f.size()
				f.setFault(failAt(step, 1))
				_, err := call.do()
				refused(t, err, refusal.UnavailableCode, "")
				_, err = call.do() // nothing is recorded: no bytes are left for nothing
				refused(t, err, refusal.UnavailableCode, "")
				f.setFault(nil)
				f.reopen()
				if !there {
					orphans++ // ciphertext to which there is no key: it may have been recorded
					f.wrote(before, "")
				}
				for range 2 {
					e, err := call.do()
					if err != nil {
						t.Fatal(err)
					}
					if _, raw := f.claimOf(e.Index, r.Consents[0].ID, "message"); sha256.Sum256(raw) != mail.SHA256 {
						t.Error("the mail was not kept")
					}
				}
				f.wrote(before, call.wrote)
			}
			f.blobs(2 + orphans)
		})
	}
}
