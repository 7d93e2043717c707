package service

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// calendar is a clock that stands still until it is set: the times of entries
// are exact then.
type calendar struct {
	mu sync.Mutex
	at time.Time
}

func (c *calendar) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *calendar) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// on reads a moment such as 2027-03-01T12:00:00Z.
func on(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at
}

const noon = "2027-03-01T12:00:00Z"

// newDated is newService with a calendar, which begins at noon.
func newDated(t testing.TB) (*fixture, *calendar) {
	t.Helper()
	cal := &calendar{at: on(noon)}
	return newService(t, func(o *Options) { o.testOnlyClock = cal.now }), cal
}

// define defines a purpose, or redefines it.
func (f *fixture) define(d PurposeDefinition) {
	f.t.Helper()
	if d.Title == "" {
		d.Title = "Purpose " + d.ID
	}
	if _, _, err := f.s.DefinePurpose(ctx, admin, d); err != nil {
		f.t.Fatal(err)
	}
}

// covering publishes a notice for purposes and names it.
func (f *fixture) covering(purposes ...string) string {
	f.t.Helper()
	n, _, err := f.s.PublishNotice(ctx, admin, NoticePublication{ID: "more-de", Language: "de", Text: "Ja, ich möchte mehr.\n", Purposes: purposes})
	if err != nil {
		f.t.Fatal(err)
	}
	return n.Name
}

// ask makes a request. Whoever is named by an e-mail address on a channel to a
// telephone asks by the number that numberOf gives them, and is known by both.
func (f *fixture) ask(req ConsentRequest) *Requested {
	f.t.Helper()
	address, known := req.Subject.Email, true
	if address != "" && !ledger.Proves("email", req.Channel) {
		req.Subject, known = numberOf(address), f.hasNumber(address)
	}
	r, err := f.s.RequestConsent(ctx, shop, req)
	if err != nil {
		f.t.Fatal(err)
	}
	if !known {
		f.link(Link{Subject: req.Subject, Add: email(address)})
	}
	return r
}

// hasNumber makes somebody known by the number too, unless it is a stranger.
func (f *fixture) hasNumber(address string) bool {
	f.t.Helper()
	_, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(address), Add: numberOf(address)})
	var no *refusal.Error
	switch {
	case err == nil || errors.As(err, &no) && no.At == "identifier_taken":
		return true
	case no == nil || no.Code != refusal.NotFoundCode:
		f.t.Fatal(err)
	}
	return false
}

// numberOf gives the number of somebody with an e-mail address.
func numberOf(address string) Subject {
	sum := sha256.Sum256([]byte(strings.ToLower(address)))
	return phone(fmt.Sprintf("+4915%09d", binary.BigEndian.Uint32(sum[:4])%1e9))
}

// calling is a request for consent to be called.
func calling(address string, purposes ...string) ConsentRequest {
	req := asking(address, purposes...)
	req.Channel = "phone"
	return req
}

func (f *fixture) lock(address string) *Erased {
	f.t.Helper()
	e, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(address), Reason: "art17", Mode: "lock_then_shred"})
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

// legalList is what the legal role sees, in short: id, state, what lies over it
// and until when it is locked.
func (f *fixture) legalList(address string) string {
	f.t.Helper()
	list, err := f.s.ListAll(ctx, email(address))
	if err != nil {
		f.t.Fatal(err)
	}
	var parts []string
	for _, c := range list {
		text := fmt.Sprintf("%d %s", c.ID, c.State)
		for _, o := range c.Overlays {
			text += " " + o
		}
		if !c.LockedUntil.IsZero() {
			text += " until " + c.LockedUntil.Format(time.RFC3339)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// seesAll checks what the legal role sees, and that the ledger is in order.
func (f *fixture) seesAll(address, want string) {
	f.t.Helper()
	if got := f.legalList(address); got != want {
		f.t.Errorf("the legal role sees %q, want %q", got, want)
	}
	f.checked()
}

func TestLock(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	const a, b = "a@example.com", "b@example.com"
	ask := asking(a, newsletter, account)
	ask.Claims, ask.IdempotencyKey = map[string]string{"name": "Anna"}, "request"
	r := f.ask(ask)
	f.confirm(r.Token)
	open := f.request(a, offers)
	f.confirmed(b)
	all := append(ids(r.Consents), open.Consents[0].ID)

	// Everything with an idempotency key that can be repeated.
	sent := SentMail{ConsentIDs: ids(open.Consents), SHA256: sha256.Sum256([]byte("mail")), IdempotencyKey: "sent"}
	if _, _, err := f.s.RecordConfirmationSent(ctx, shop, sent); err != nil {
		t.Fatal(err)
	}
	uses := Uses{ConsentIDs: ids(r.Consents), IdempotencyKey: "uses"}
	if _, _, err := f.s.RecordUses(ctx, shop, uses); err != nil {
		t.Fatal(err)
	}
	restriction := Restriction{Subject: email(a), Ground: "art18_1_a", IdempotencyKey: "restriction"}
	if _, err := f.s.SetRestriction(ctx, shop, restriction); err != nil {
		t.Fatal(err)
	}
	lifting := Restriction{Subject: email(a), InformedAt: f.clock.now(), IdempotencyKey: "lifting"}
	if _, err := f.s.LiftRestriction(ctx, shop, lifting); err != nil {
		t.Fatal(err)
	}
	link := Link{Subject: email(a), Add: Subject{ExternalID: "customer-17"}, IdempotencyKey: "link"}
	if _, err := f.s.LinkSubject(ctx, shop, link); err != nil {
		t.Fatal(err)
	}
	withdrawal := Withdrawal{Subject: email(a), Purposes: []string{account}, IdempotencyKey: "withdrawal"}
	if _, err := f.s.WithdrawConsent(ctx, shop, withdrawal); err != nil {
		t.Fatal(err)
	}

	before := f.size()
	lock := Erasure{Subject: email(a), Reason: "objection", Mode: "lock_then_shred", Proof: true, IdempotencyKey: "lock"}
	done, err := f.s.EraseSubject(ctx, shop, lock)
	if err != nil {
		t.Fatal(err)
	}
	until := on("2031-01-01T00:00:00Z")
	if done.Consents != 3 || !done.LockedUntil.Equal(until) || !done.ContentsDestroyedAt.IsZero() || !done.ExistenceDestroyedBy.IsZero() ||
		done.Entry.Index != ledger.Index(before) || done.Entry.Receipt == "" || done.Shredded != (Entry{}) || done.Receipt != "" || len(done.Suppressed) != 0 {
		t.Errorf("locked %+v", done)
	}
	f.wrote(before, "subject.locked")
	if e := f.entriesFrom(before)[0]; e.Reason != "objection" || !e.Until.Equal(until) || len(e.Consents) != 3 || len(e.Commits) != 0 || e.Source != shop.Name {
		t.Errorf("entry %+v", e)
	}

	want := fmt.Sprintf("%d confirmed locked until 2031-01-01T00:00:00Z, %d withdrawn locked until 2031-01-01T00:00:00Z, %d requested locked until 2031-01-01T00:00:00Z",
		all[0], all[1], all[2])
	again := func() {
		t.Helper()
		before := f.size()
		f.strangers(a, r)
		f.strangers(a, open)
		_, err := f.s.RequestConsent(ctx, shop, ask)
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
		_, _, err = f.s.RecordConfirmationSent(ctx, shop, sent)
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
		_, _, err = f.s.RecordUses(ctx, shop, uses)
		refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
		_, err = f.s.SetRestriction(ctx, shop, restriction)
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
		_, err = f.s.LiftRestriction(ctx, shop, lifting)
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
		_, err = f.s.LinkSubject(ctx, shop, link)
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
		_, err = f.s.WithdrawConsent(ctx, shop, withdrawal)
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
		_, err = f.s.EraseSubject(ctx, shop, lock)
		refused(t, err, refusal.NotFoundCode, "idempotency_key")
		_, err = f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "lock_then_shred"})
		refused(t, err, refusal.NotFoundCode, "subject")
		_, err = f.s.LinkSubject(ctx, shop, Link{Subject: email(a), Add: Subject{Phone: "+49301234567"}})
		refused(t, err, refusal.NotFoundCode, "subject")
		_, err = f.s.RectifySubject(ctx, legal, Rectification{Subject: email(a), Add: Subject{Phone: "+49301234567"}})
		refused(t, err, refusal.NotFoundCode, "subject")
		if d, err := f.s.CheckConsent(ctx, Question{Subject: Subject{ExternalID: "customer-17"}, Purpose: newsletter, Channel: "email"}); err != nil ||
			d.Reason != "unknown_subject" || d.Consent != 0 || d.State != "" || d.Notice != "" {
			t.Errorf("a check by another identifier: %+v, %v", d, err)
		}
		f.wrote(before, "")
		f.seesAll(a, want)
		list, err := f.s.ListAll(ctx, Subject{ExternalID: "customer-17"})
		if err != nil || len(list) != 3 {
			t.Errorf("the legal role sees %d consents by another identifier, %v", len(list), err)
		}
		f.checks(b, newsletter, "confirmed")
	}
	again()
	f.reopen()
	again()
	if r := f.checked(); r.Held != 4 || r.People != 2 || r.Erased != 0 || r.Destroyed != 0 {
		t.Errorf("check %+v", r)
	}
	status, err := f.s.ErasureStatus(ctx)
	if err != nil || status.Locked != 3 || !status.NextUnlock.Equal(until) || status.Pending != 0 {
		t.Errorf("status %+v, %v", status, err)
	}

	// A withdrawal by address is accepted, as from everybody: it opens somebody new.
	before = f.size()
	if list := f.withdraw(Withdrawal{Subject: email(a)}); len(list) != 1 || list[0].State != ledger.Objected || list[0].ID != ledger.ConsentID(before) {
		t.Errorf("withdrawn %s", shows(list))
	}
	f.checks(a, newsletter, "objected")
	f.checksExternal("customer-17", "unknown_subject")
	f.seesAll(a, want+fmt.Sprintf(", %d objected", before))
}

// checksExternal checks what a check by an external id answers.
func (f *fixture) checksExternal(id, reason string) {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{Subject: Subject{ExternalID: id}, Purpose: newsletter, Channel: "email"})
	if err != nil || d.Reason != reason {
		f.t.Errorf("check by external id: %+v, %v, want %s", d, err, reason)
	}
}

// A key that was used for a lock does not lock who comes after.
func TestRepeatedLockSparesTheNext(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.confirmed(a)
	lock := Erasure{Subject: email(a), Reason: "art17", Mode: "lock_then_shred", IdempotencyKey: "lock"}
	if _, err := f.s.EraseSubject(ctx, shop, lock); err != nil {
		t.Fatal(err)
	}
	f.confirmed(a)
	_, err := f.s.EraseSubject(ctx, shop, lock)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
	f.checks(a, newsletter, "confirmed")
}

// Whoever comes back under the address of somebody who is locked is a new
// person: what becomes of one does not touch the other.
func TestLockedAndComeBack(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a = "a@example.com"
	old := f.confirmed(a)
	first := f.lock(a).LockedUntil.Format(time.RFC3339)
	back := f.confirmed(a)
	if back.ManageToken == old.ManageToken || back.Consents[0].ID == old.Consents[0].ID {
		t.Error("who comes back is who was locked")
	}
	f.checks(a, newsletter, "confirmed")
	if list, err := f.s.ListConsents(ctx, email(a)); err != nil || len(list) != 1 || list[0].ID != back.Consents[0].ID {
		t.Errorf("consents %s, %v", shows(list), err)
	}
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: old.Token})
	refused(t, err, refusal.NotFoundCode, "token")
	_, err = f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: old.ManageToken})
	refused(t, err, refusal.NotFoundCode, "manage_token")
	oldest := fmt.Sprintf("%d confirmed locked until %s", old.Consents[0].ID, first)
	f.seesAll(a, fmt.Sprintf("%s, %d confirmed", oldest, back.Consents[0].ID))

	// The one who came back is erased, the locked one stays.
	if done := f.erase(a); done.Consents != 1 {
		t.Errorf("erased %+v", done)
	}
	f.strangers(a, back)
	f.seesAll(a, oldest)
	f.reopen()
	f.seesAll(a, oldest)

	// Two locked ones of one address, and a third who is not.
	cal.set(on("2028-06-01T12:00:00Z"))
	f.opt.AcceptClock = true
	f.reopen()
	second := f.confirmed(a)
	done, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "lock_then_shred", NotBefore: on("2033-01-01T00:00:00Z")})
	if err != nil || !done.LockedUntil.Equal(on("2033-01-01T00:00:00Z")) || done.Consents != 1 {
		t.Fatalf("locked %+v, %v", done, err)
	}
	third := f.confirmed(a)
	newer := fmt.Sprintf("%d confirmed locked until 2033-01-01T00:00:00Z, %d confirmed", second.Consents[0].ID, third.Consents[0].ID)
	f.seesAll(a, oldest+", "+newer)

	// The first lock ends: nobody else is touched.
	cal.set(on("2031-01-01T00:00:00Z"))
	f.reopen()
	f.retain("")
	f.seesAll(a, oldest+", "+newer)
	cal.set(on("2031-01-01T00:00:01Z"))
	f.retain("evidence shred newsletter 1")
	f.seesAll(a, newer)
	f.checks(a, newsletter, "confirmed")
	if list := f.withdraw(Withdrawal{ManageToken: third.ManageToken}); len(list) != 1 || list[0].ID != third.Consents[0].ID {
		t.Errorf("withdrawn %s", shows(list))
	}
	cal.set(on("2033-01-01T00:00:01Z"))
	f.opt.AcceptClock = true
	f.reopen()
	// The third withdrew in 2031, which was locked and shredded only now.
	f.retain("evidence shred newsletter 1, withdrawn lock newsletter 1")
	f.seesAll(a, fmt.Sprintf("%d withdrawn locked until 2035-01-01T00:00:00Z", third.Consents[0].ID))
	f.strangers(a, third)
	if r := f.checked(); r.Erased != 3 || r.Held != 1 || r.People != 1 {
		t.Errorf("check %+v", r)
	}
}

// Somebody of whom retention has locked something already.
func TestLockAfterRetention(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a, b = "a@example.com", "b@example.com"
	var first [2]*Requested
	for i, who := range []string{a, b} {
		first[i] = f.confirmed(who, newsletter, account)
		f.withdraw(Withdrawal{Subject: email(who)})
	}
	cal.set(on("2028-03-01T12:00:00Z"))
	f.retain("withdrawn lock newsletter 2")
	f.use(Uses{ConsentIDs: []ledger.ConsentID{first[0].Consents[1].ID}})
	if done := f.lock(a); done.Consents != 1 || !done.LockedUntil.Equal(on("2032-01-01T00:00:00Z")) {
		t.Errorf("locked %+v", done)
	}
	f.seesAll(a, fmt.Sprintf("%d withdrawn locked until 2031-01-01T00:00:00Z, %d confirmed locked until 2032-01-01T00:00:00Z",
		first[0].Consents[0].ID, first[0].Consents[1].ID))
	// An erasure takes what is locked with it.
	if done := f.erase(b); done.Consents != 2 {
		t.Errorf("erased %+v", done)
	}
	f.seesAll(b, "")
}

// A crash during a lock: the person is a stranger from the moment that the lock
// is recorded, and the next start moves the identifiers.
func TestCrashDuringLock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    func(string) error
		recorded bool
	}{
		"published, not moved":      {failAt("before shred", 1), true},
		"on disk, not published":    {failAt("after log", 1), true},
		"in the vault, no entry":    {failAt("after vault", 1), false},
		"nothing is on disk":        {failAt("before vault", 1), false},
		"in the head, not answered": {failAt("after head", 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := newDated(t)
			const a = "a@example.com"
			r := f.confirmed(a)
			before := f.size()
			f.setFault(test.fault)
			_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "lock_then_shred"})
			refused(t, err, refusal.UnavailableCode, "")
			if f.size() > before {
				f.checks(a, newsletter, "unknown_subject")
			}
			f.setFault(nil)
			f.reopen()
			if !test.recorded {
				f.wrote(before, "")
				f.checks(a, newsletter, "confirmed")
				f.seesAll(a, fmt.Sprintf("%d confirmed", r.Consents[0].ID))
				f.lock(a)
			}
			f.wrote(before, "subject.locked")
			f.strangers(a, r)
			f.seesAll(a, fmt.Sprintf("%d confirmed locked until 2031-01-01T00:00:00Z", r.Consents[0].ID))
			back := f.confirmed(a)
			f.checks(a, newsletter, "confirmed")
			f.seesAll(a, fmt.Sprintf("%d confirmed locked until 2031-01-01T00:00:00Z, %d confirmed", r.Consents[0].ID, back.Consents[0].ID))
		})
	}
}

// An identifier that is not published yet leads the legal role nowhere either.
func TestUnpublishedIsUnknown(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.confirmed(a)
	f.setFault(failAt("after vault", 1))
	_, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(a), Add: Subject{ExternalID: "customer-17"}})
	refused(t, err, refusal.UnavailableCode, "")
	if list, err := f.s.ListAll(ctx, Subject{ExternalID: "customer-17"}); err != nil || len(list) != 0 {
		t.Errorf("the legal role sees %+v, %v", list, err)
	}
	if list, err := f.s.ListAll(ctx, email(a)); err != nil || len(list) != 1 {
		t.Errorf("the legal role sees %+v, %v", list, err)
	}
}

// A person with more consents than an entry holds.
func TestLockOf600Consents(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	const a = "a@example.com"
	f.requests(a, 2*consentsPerEntry+1)
	before := f.size()
	if done := f.lock(a); done.Consents != 2*consentsPerEntry+1 {
		t.Errorf("locked %+v", done)
	}
	f.wrote(before, "subject.locked subject.locked subject.locked")
	f.checks(a, newsletter, "unknown_subject")
	if list, err := f.s.ListAll(ctx, email(a)); err != nil || len(list) != 2*consentsPerEntry+1 {
		t.Errorf("the legal role sees %d, %v", len(list), err)
	}
	f.checked()
}

// Locks and erasures of many people at once share their work.
func TestLocksAndErasuresAtOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const n = 12
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	for i := range n {
		f.confirmed(who(i))
	}
	before := f.size()
	var list []func()
	for i := range n {
		mode := "shred_now"
		if i%2 == 0 {
			mode = "lock_then_shred"
		}
		list = append(list, func() {
			if _, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(who(i)), Reason: "art17", Mode: mode}); err != nil {
				t.Error(err)
			}
		})
	}
	f.together(list...)
	f.wrote(before, strings.Repeat("subject.locked subject.erased ", n/2)+"evidence.shredded")
	for i := range n {
		f.checks(who(i), newsletter, "unknown_subject")
		if list, err := f.s.ListAll(ctx, email(who(i))); err != nil || len(list) != 1-i%2 {
			t.Errorf("the legal role sees %d consents of person %d, %v", len(list), i, err)
		}
	}
	f.checked()
}
