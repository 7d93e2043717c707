package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/consentledger/consentledger/internal/badgerdb"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// answer is an answer without what changes while the log grows.
func answer(v any, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		panic(err)
	}
	dropSizes(plain)
	b, err = json.Marshal(plain)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func dropSizes(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "Size")
		for _, x := range v {
			dropSizes(x)
		}
	case []any:
		for _, x := range v {
			dropSizes(x)
		}
	}
}

// keyed is every method that takes an idempotency key, with a request of its own
// and another one.
type keyed struct {
	name string
	call func(src Source, key string, another bool) (string, error)
}

// withKeys gives the methods in an order in which each can be called.
func (f *fixture) withKeys(person string) []keyed {
	f.t.Helper()
	f.define(PurposeDefinition{ID: opens})
	r, stays, waits := f.confirmed(person), f.confirmed(person, account), f.request(person, account)
	mails := []SentMail{mailOf(r, r.Token), mailOf(r, "another text")}
	for _, m := range mails {
		m.Message = nil
		f.sent(m)
	}
	pick := func(another bool, a, b string) string {
		if another {
			return b
		}
		return a
	}
	result := func(v any, err error) (string, error) { return answer(v, err), err }
	return []keyed{
		{"RequestConsent", func(src Source, key string, another bool) (string, error) {
			ask := asking(person)
			ask.IdempotencyKey, ask.Method = key, pick(another, "web_form", "app")
			return result(f.s.RequestConsent(ctx, src, ask))
		}},
		{"RecordConfirmationSent", func(src Source, key string, another bool) (string, error) {
			e, irregular, err := f.s.RecordConfirmationSent(ctx, src, SentMail{ConsentIDs: ids(r.Consents),
				SHA256: sha256.Sum256([]byte(pick(another, "a", "b"))), IdempotencyKey: key})
			return result([]any{e, irregular}, err)
		}},
		{"RecordConfirmationFailed", func(src Source, key string, another bool) (string, error) {
			e, irregular, err := f.s.RecordConfirmationFailed(ctx, src, FailedMail{ConsentIDs: ids(r.Consents), Permanent: another, IdempotencyKey: key})
			return result([]any{e, irregular}, err)
		}},
		{"RecordConfirmationOpened", func(src Source, key string, another bool) (string, error) {
			e, irregular, err := f.s.RecordConfirmationOpened(ctx, src, Opening{Token: pick(another, r.Token, waits.Token), IdempotencyKey: key})
			return result([]any{e, irregular}, err)
		}},
		{"AttachMessage", func(src Source, key string, another bool) (string, error) {
			m := MailAttachment{ConsentIDs: ids(r.Consents), Message: mails[0].Message, IdempotencyKey: key}
			if another {
				m.Message = mails[1].Message
			}
			return result(f.s.AttachMessage(ctx, src, m))
		}},
		{"ResendConfirmation", func(src Source, key string, another bool) (string, error) {
			resend := Resend{ConsentIDs: ids(waits.Consents), IdempotencyKey: key}
			if another {
				resend.OccurredAt = r.ExpiresAt.Add(-7 * 24 * time.Hour)
			}
			return result(f.s.ResendConfirmation(ctx, src, resend))
		}},
		{"RecordUses", func(src Source, key string, another bool) (string, error) {
			list, irregular, err := f.s.RecordUses(ctx, src, Uses{ConsentIDs: ids(r.Consents), Reference: pick(another, "a", "b"), IdempotencyKey: key})
			return result([]any{list, irregular}, err)
		}},
		{"SetRestriction", func(src Source, key string, another bool) (string, error) {
			return result(f.s.SetRestriction(ctx, src, Restriction{Subject: email(person), Ground: pick(another, "art18_1_a", "art18_1_b"), IdempotencyKey: key}))
		}},
		{"LiftRestriction", func(src Source, key string, another bool) (string, error) {
			at := r.ExpiresAt.Add(-7 * 24 * time.Hour)
			if another {
				at = at.Add(-time.Hour)
			}
			return result(f.s.LiftRestriction(ctx, src, Restriction{Subject: email(person), InformedAt: at, IdempotencyKey: key}))
		}},
		{"WithdrawConsent", func(src Source, key string, another bool) (string, error) {
			return result(ofWithdrawal(f.s.WithdrawConsent(ctx, src, Withdrawal{Subject: email(person), Purposes: []string{newsletter},
				Method: pick(another, "link", "phone"), IdempotencyKey: key})))
		}},
		{"GiveConsent", func(src Source, key string, another bool) (string, error) {
			g := Giving{Subject: email(person), Purposes: []string{offers}, Channel: "post", Notice: wording, Method: pick(another, "paper", "oral"), IdempotencyKey: key,
				Attachments: []Attachment{{Claim: "document", MediaType: "text/plain", Bytes: []byte("a card")}}}
			return result(f.s.GiveConsent(ctx, src, g))
		}},
		{"RenewConsent", func(src Source, key string, another bool) (string, error) {
			return result(f.s.RenewConsent(ctx, src, Renewal{ConsentIDs: ids(stays.Consents), Method: pick(another, "paper", "oral"), IdempotencyKey: key,
				Attachments: []Attachment{{Claim: "recording", MediaType: "audio/ogg", Bytes: []byte("a voice")}}}))
		}},
		{"RefuseConsent", func(src Source, key string, another bool) (string, error) {
			return result(f.s.RefuseConsent(ctx, src, Refusal{Subject: email(person), Purposes: []string{offers}, Channel: "email",
				Method: pick(another, "paper", "oral"), IdempotencyKey: key}))
		}},
		{"ImportConsent", func(src Source, key string, another bool) (string, error) {
			i := importing(email(person), account, "sms")
			i.Grade, i.IdempotencyKey = pick(another, "D", "E"), key
			return result(f.s.ImportConsent(ctx, src, i))
		}},
		{"AuthoriseGuardian", func(src Source, key string, another bool) (string, error) {
			e, irregular, err := f.s.AuthoriseGuardian(ctx, src, Guardian{ConsentIDs: ids(stays.Consents), Method: "paper",
				Claims: map[string]string{"guardian": pick(another, "mother", "father")}, IdempotencyKey: key})
			return result([]any{e, irregular}, err)
		}},
		{"RecordSignal", func(src Source, key string, another bool) (string, error) {
			x := gpc(email(person))
			if x.IdempotencyKey = key; another {
				x = tcString(x.Subject, tcNo)
				x.IdempotencyKey = key
			}
			return result(f.s.RecordSignal(ctx, src, x))
		}},
		{"RecordWithdrawalEffected", func(src Source, key string, another bool) (string, error) {
			e := Effected{ConsentIDs: ids(r.Consents), System: shop.Name, IdempotencyKey: key}
			if another {
				e.At = r.ExpiresAt.Add(-7 * 24 * time.Hour)
			}
			return result(f.s.RecordWithdrawalEffected(ctx, src, e))
		}},
		{"RecordObjection", func(src Source, key string, another bool) (string, error) {
			return result(f.s.RecordObjection(ctx, src, Objection{Subject: email(person), Article: "art21_2",
				Method: pick(another, "paper", "oral"), IdempotencyKey: key}))
		}},
	}
}

func TestSameKeyTwice(t *testing.T) {
	t.Parallel()
	f := newService(t)
	if _, _, err := f.s.RecordUses(ctx, other, Uses{ConsentIDs: ids(f.confirmed("x@example.com").Consents)}); err != nil {
		t.Fatal(err)
	}
	methods := f.withKeys("a@example.com")
	f.callTwice(methods, shop, other)
	f.erase("a@example.com")
	before := f.size()
	for _, m := range methods {
		_, err := m.call(shop, "key of "+m.name, false)
		if m.name == "RecordUses" { // about many people: it is asked which
			refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
			continue
		}
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
	}
	f.wrote(before, "")
	long := asking("long@example.com")
	long.IdempotencyKey = string(bytes.Repeat([]byte("k"), maxIdempotencyKey+1))
	_, err := f.s.RequestConsent(ctx, shop, long)
	refused(t, err, refusal.InvalidArgument, "idempotency_key")
}

// callTwice calls the methods, in their order, and again: with the same request,
// with another one, with another method's key, after reopening, and with the same
// key by another source.
func (f *fixture) callTwice(methods []keyed, one, two Source) {
	f.t.Helper()
	t := f.t
	for _, m := range methods {
		a, err := m.call(one, "key of "+m.name, false)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		before := f.size()
		if again, err := m.call(one, "key of "+m.name, false); again != a {
			t.Errorf("%s: again %s, %v, first %s", m.name, again, err, a)
		}
		_, err = m.call(one, "key of "+m.name, true)
		refused(t, err, refusal.FailedPrecondition, "idempotency_key")
		f.wrote(before, "")
	}
	// A key of one method is another request for every other one.
	before := f.size()
	for i, m := range methods {
		_, err := m.call(one, "key of "+methods[(i+1)%len(methods)].name, false)
		refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	}
	f.reopen()
	for _, m := range methods {
		if _, err := m.call(one, "key of "+m.name, false); err != nil {
			t.Errorf("%s after reopening: %v", m.name, err)
		}
	}
	f.wrote(before, "")
	// Another source's key is another key, though it is spelt the same.
	for _, m := range methods {
		if _, err := m.call(two, "key of "+m.name, true); err != nil {
			t.Errorf("%s by another source: %v", m.name, err)
		}
	}
}

// What was done about several people at once forgets those who were erased.
func TestKeyOfSeveralPeople(t *testing.T) {
	t.Parallel()
	f := newService(t)
	all := append(ids(f.confirmed("a@example.com").Consents), ids(f.confirmed("b@example.com").Consents)...)
	w := Withdrawal{ConsentIDs: all, IdempotencyKey: "both"}
	first := f.withdraw(w)
	if again := f.withdraw(w); shows(again) != shows(first) {
		t.Errorf("again %s, first %s", shows(again), shows(first))
	}
	f.erase("a@example.com")
	before := f.size()
	_, err := f.s.WithdrawConsent(ctx, shop, w)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
	f.wrote(before, "")
}

// A retry of a request gets the same tokens; nothing keeps them but the keys
// from which they follow.
func TestRetryOfRequest(t *testing.T) {
	t.Parallel()
	f := newService(t)
	ask := asking("a@example.com", newsletter, offers)
	ask.IdempotencyKey = "order 4711"
	ask.Attachments = []Attachment{{Claim: "form_snapshot", MediaType: "text/html", Bytes: bytes.Repeat([]byte("<p>form</p>"), 1000)}}
	first, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	f.reopen()
	for range 3 {
		again, err := f.s.RequestConsent(ctx, shop, ask)
		if err != nil || again.Token != first.Token || again.ManageToken != first.ManageToken || !again.ExpiresAt.Equal(first.ExpiresAt) ||
			answer(again, err) != answer(first, nil) {
			t.Errorf("again %+v, %v, first %+v", again, err, first)
		}
	}
	// Refused requests and retries leave no bytes behind.
	bad := ask
	bad.Notice, bad.IdempotencyKey = "never-published@1", ""
	_, err = f.s.RequestConsent(ctx, shop, bad)
	refused(t, err, refusal.InvalidArgument, "notice")
	mail := SentMail{ConsentIDs: ids(first.Consents), Message: []byte(first.Token), SHA256: sha256.Sum256([]byte(first.Token)), IdempotencyKey: "mail"}
	for range 3 {
		if _, _, err := f.s.RecordConfirmationSent(ctx, shop, mail); err != nil {
			t.Error(err)
		}
	}
	mail.ConsentIDs, mail.IdempotencyKey = append(mail.ConsentIDs, 1<<40), ""
	_, _, err = f.s.RecordConfirmationSent(ctx, shop, mail)
	refused(t, err, refusal.NotFoundCode, "consent_ids[2]")
	f.confirm(first.Token)
	again, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil || again.Token != first.Token || again.Consents[0].State != ledger.Confirmed {
		t.Errorf("after the click: %+v, %v", again, err)
	}
	f.close()
	if n := countRows(t, f.opt.Dir+"/vault", func(key []byte) bool { return key[0] == 'b' }); n != 2 {
		t.Errorf("%d rows of attachments and mails, want 2", n)
	}
	f.open()
}

func countRows(t testing.TB, dir string, chosen func(key []byte) bool) (n int) {
	t.Helper()
	err := badgerdb.Probe(badgerdb.Options{Dir: dir}, func(db *badger.DB) error {
		return eachRow(db, func(key, _ []byte) {
			if chosen(key) {
				n++
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSameKey64AtOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.request("x@example.com") // declares the source
	ask := asking("a@example.com", newsletter, offers)
	ask.IdempotencyKey = "a double click, and then some"
	before := f.size()
	var mu sync.Mutex
	answers := map[string]int{}
	each(64, func(int) {
		r, err := f.s.RequestConsent(ctx, shop, ask)
		mu.Lock()
		defer mu.Unlock()
		answers[answer(r, err)]++
	})
	f.wrote(before, "consent.requested consent.requested")
	if len(answers) != 1 {
		t.Errorf("answers: %v", answers)
	}
	// Two requests race for one key: one wins, the others are told.
	before = f.size()
	won, lost := 0, 0
	each(64, func(i int) {
		w := Withdrawal{Subject: email("a@example.com"), IdempotencyKey: "race", Claims: map[string]string{"reason": fmt.Sprint(i % 2)}}
		_, err := f.s.WithdrawConsent(ctx, shop, w)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			won++
			return
		}
		lost++
		refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	})
	if won != 32 || lost != 32 {
		t.Errorf("%d won, %d lost", won, lost)
	}
	f.wrote(before, "consent.withdrawn")
}

// A key is kept for a day at least, and not for ever.
func TestKeysOfTheDay(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.clock.advance(time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(47*time.Hour + 30*time.Minute))) // 23:30
	ask := asking("a@example.com")
	ask.IdempotencyKey = "kept"
	first, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	use := Uses{ConsentIDs: ids(first.Consents), IdempotencyKey: "kept, too"}
	f.use(use)
	before := f.size()
	for _, later := range []time.Duration{time.Hour, 23 * time.Hour} { // 00:30, 23:30 on the next day
		f.clock.advance(later)
		again, err := f.s.RequestConsent(ctx, shop, ask)
		if answer(again, err) != answer(first, nil) {
			t.Errorf("%v later: %+v, %v", later, again, err)
		}
		f.use(use)
		f.reopen()
	}
	f.wrote(before, "")
	f.clock.advance(time.Hour) // two changes of the day
	again, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil || again.Token == first.Token {
		t.Errorf("two days later: %+v, %v", again, err)
	}
	f.use(use)
	f.wrote(before, "consent.requested consent.used")
	f.close()
	if n := countRows(t, f.opt.Dir+"/vault", func(key []byte) bool { return isShardRow(key, 'd') }); n != 2 {
		t.Errorf("%d rows of keys, want 2", n)
	}
	f.open()
}

// What else an administrator declares, under a key and without one.
func TestDeclaredTwice(t *testing.T) {
	t.Parallel()
	f := newService(t)
	p, c, end := mailhouse(), ClaimDeclaration{ID: "x.shoe", Title: "Shoe"}, ProcessorEnd{ID: "mailhouse"}
	engage := func() (any, error) { d, _, err := f.s.EngageProcessor(ctx, admin, p); return d, err }
	declare := func() (any, error) { d, _, err := f.s.DeclareClaim(ctx, admin, c); return d, err }
	p.IdempotencyKey, c.IdempotencyKey, end.IdempotencyKey = "engage", "declare", "end"
	before := f.size()
	for _, call := range []func() (any, error){engage, declare} {
		first := answer(call())
		for range 2 {
			if again := answer(call()); again != first {
				t.Errorf("again %s, first %s", again, first)
			}
			f.reopen()
		}
	}
	p.Agreement.Bytes, c.Title = []byte("another"), "Boot"
	for _, call := range []func() (any, error){engage, declare} {
		_, err := call()
		refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	}
	if _, _, err := f.s.EndProcessor(ctx, admin, end); err != nil {
		t.Error(err)
	}
	end.Claims = map[string]string{"reason": "another"}
	_, _, err := f.s.EndProcessor(ctx, admin, end)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.wrote(before, "processor.engaged claim.declared processor.ended")
}

// A registry request under a key, and the same definition without one.
func TestRegistryTwice(t *testing.T) {
	t.Parallel()
	f := newService(t)
	d := PurposeDefinition{ID: "review_request", Title: "Reviews", Marketing: true, IdempotencyKey: "define"}
	n := NoticePublication{ID: "reviews-de", Language: "de", Text: "Ja.", Purposes: []string{newsletter}, IdempotencyKey: "publish"}
	before := f.size()
	for range 3 {
		p, e, err := f.s.DefinePurpose(ctx, admin, d)
		if err != nil || p.Version != 1 || e.Index != ledger.Index(before) || p.Title != "Reviews" {
			t.Errorf("%+v, %+v, %v", p, e, err)
		}
		v, e, err := f.s.PublishNotice(ctx, admin, n)
		if err != nil || v.Name != "reviews-de@1" || e.Index != ledger.Index(before)+1 {
			t.Errorf("%+v, %+v, %v", v, e, err)
		}
		f.reopen()
		d.IdempotencyKey, n.IdempotencyKey = "", ""
	}
	f.wrote(before, "purpose.defined notice.published")
	d.Title, n.Text, d.IdempotencyKey, n.IdempotencyKey = "Other", "Nein.", "define", "publish"
	_, _, err := f.s.DefinePurpose(ctx, admin, d)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	_, _, err = f.s.PublishNotice(ctx, admin, n)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	d.IdempotencyKey, n.IdempotencyKey = "", ""
	p, _, err := f.s.DefinePurpose(ctx, admin, d)
	if err != nil || p.Version != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	v, _, err := f.s.PublishNotice(ctx, admin, n)
	if err != nil || v.Name != "reviews-de@2" {
		t.Errorf("%+v, %v", v, err)
	}
	f.wrote(before, "purpose.defined notice.published purpose.defined notice.published")
}
