package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// A confirmed mailbox is not transferred: what was given for the old address
// ends, what was given on other channels lives on, and the new address needs a
// double opt-in of its own.
func TestReplacedAddress(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const old, now = "old@example.com", "new@example.com"
	number := phone("+491511234567")
	byMail := f.confirmed(old, newsletter, account)
	f.withdraw(Withdrawal{Subject: email(old), Purposes: []string{account}})
	pending := f.request(old, offers)
	f.link(Link{Subject: email(old), Add: number})
	byPhone := f.confirmedOn(number, "phone", newsletter)
	all := slices.Concat(ids(byMail.Consents), ids(pending.Consents), ids(byPhone.Consents))
	f.rectify(Rectification{Subject: email(old), Add: external("7")})
	before := f.size()
	done := f.rectify(Rectification{Subject: email(old), Remove: email("OLD@example.com"), Add: email(now),
		Claims: map[string]string{"reason": "a letter"}, OccurredAt: f.clock.now(), Proof: true})
	f.wrote(before, "subject.rectified consent.revoked consent.revoked")
	entries := f.entriesFrom(before)
	if e := entries[0]; e.Change != "replaced" || !slices.Equal(e.About, all) || done.Entry.Index != e.Index || done.Entry.Receipt == "" {
		t.Errorf("rectified with %+v, answered %+v", e, done.Entry)
	}
	for _, id := range all {
		if got, want := f.opened(entries[0], id), map[string]string{"email": now, "reason": "a letter"}; !maps.Equal(got, want) {
			t.Errorf("the entry commits to %v, want %v", got, want)
		}
	}
	for _, e := range entries {
		if e.Occurred.IsZero() || e.Kind == ledger.ConsentRevoked && e.Cause != "rectified" {
			t.Errorf("entry %d: occurred %v, cause %q", e.Index, e.Occurred, e.Cause)
		}
	}
	want := fmt.Sprintf("newsletter/email revoked at %d, offers/email revoked at %d", before+1, before+2)
	if shows(done.Ended) != want || done.Ended[0].Entry.Receipt == "" {
		t.Errorf("ended %s, want %s", shows(done.Ended), want)
	}
	for range 2 {
		f.known(email(old))
		for _, who := range []Subject{email(now), number, external("7")} {
			f.known(who, all...)
			f.reason(who, newsletter, "email", "revoked")
			f.reason(who, offers, "email", "revoked")
			f.reason(who, account, "email", "withdrawn")
			f.reason(who, newsletter, "phone", "confirmed")
		}
		f.reopen()
	}
	// The old way of being known, with what was given out for it, leads nowhere.
	_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: byMail.ManageToken})
	refused(t, err, refusal.NotFoundCode, "manage_token")
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: pending.Token})
	refused(t, err, refusal.FailedPrecondition, "withdrawn")
	f.reason(email(now), offers, "email", "revoked")

	// Somebody who is known by the old address from now on is somebody else.
	other := f.confirmed(old)
	f.known(email(old), ids(other.Consents)...)
	id := other.Consents[0].ID
	if got := f.opened(f.entry(ledger.Index(id)), id); !maps.Equal(got, map[string]string{"email": old}) {
		t.Errorf("a request under the old address commits to %v", got)
	}
	f.known(number, all...)

	// The new address opts in by itself.
	again := f.request(now)
	f.reason(number, newsletter, "email", "pending")
	f.confirm(again.Token)
	f.reason(number, newsletter, "email", "confirmed")
	id = again.Consents[0].ID
	if got := f.opened(f.entry(ledger.Index(id)), id); !maps.Equal(got, map[string]string{"email": now, "phone": "+491511234567", "external_id": "7"}) {
		t.Errorf("a request under the new address commits to %v", got)
	}
	if tokens := []string{byMail.ManageToken, byPhone.ManageToken, other.ManageToken, again.ManageToken}; len(slices.Compact(slices.Sorted(slices.Values(tokens)))) != 4 {
		t.Error("two of the manage tokens are the same")
	}
	// The link that was given out for another channel lives.
	if list := f.withdraw(Withdrawal{ManageToken: byPhone.ManageToken}); shows(list) != fmt.Sprintf("newsletter/phone withdrawn at %d", f.size()-1) {
		t.Errorf("withdrawn %s", shows(list))
	}
	f.reason(email(now), newsletter, "phone", "withdrawn")
	f.reason(email(now), newsletter, "email", "confirmed")
	f.reason(email(old), newsletter, "email", "confirmed")
}

// Taking an identifier away ends what it led to; what the person is known by
// else stays, and so does what no identifier of the kind leads to.
func TestIdentifierRemoved(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	number := phone("+491511234567")
	all := ids(f.confirmed(a).Consents)
	f.link(Link{Subject: email(a), Add: number})
	f.link(Link{Subject: email(a), Add: external("7")})
	f.identify(number)
	manage := map[string]string{}
	for _, channel := range []string{"phone", "sms", "messenger", "fax", "post", "email"} {
		who := number
		if channel == "email" {
			who = email(a)
		}
		r := f.confirmedOn(who, channel, account)
		all, manage[channel] = append(all, r.Consents[0].ID), r.ManageToken
	}
	before := f.size()
	done := f.rectify(Rectification{Subject: external("7"), Remove: number})
	f.wrote(before, "subject.rectified"+strings.Repeat(" consent.revoked", 4))
	if e := f.entriesFrom(before)[0]; e.Change != "removed" || len(e.Commits) != 0 || len(done.Ended) != 4 {
		t.Errorf("removed with %+v, ended %s", e, shows(done.Ended))
	}
	f.known(number)
	f.known(email(a), all...)
	for channel, token := range manage {
		if channel == "post" || channel == "email" {
			f.reason(email(a), account, channel, "confirmed")
			continue
		}
		f.reason(email(a), account, channel, "revoked")
		_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: token})
		refused(t, err, refusal.NotFoundCode, "manage_token")
	}
	// An external id leads to no channel.
	before = f.size()
	if done := f.rectify(Rectification{Subject: external("7"), Remove: external("7"), Add: external("8")}); len(done.Ended) != 0 {
		t.Errorf("ended %s", shows(done.Ended))
	}
	f.wrote(before, "subject.rectified")
	f.known(external("7"))
	f.known(external("8"), all...)
	for _, channel := range []string{"post", "email"} {
		f.withdraw(Withdrawal{ManageToken: manage[channel], Purposes: []string{account}})
		f.reason(email(a), account, channel, "withdrawn")
	}
	// And comes back to nobody but a new person.
	other := f.confirmedOn(external("7"), "post", newsletter)
	f.known(external("7"), ids(other.Consents)...)
	f.known(external("8"), all...)
}

// What is locked of a person is corrected with the rest: it was about the same
// person.
func TestRectificationOfWhoIsLockedInPart(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const old, now = "old@example.com", "new@example.com"
	f.confirmed(old, newsletter)
	f.withdraw(Withdrawal{Subject: email(old)})
	f.clock.advance(31 * 24 * time.Hour)
	kept := f.confirmed(old, offers)
	if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
		t.Fatal(err)
	}
	f.known(email(old), ids(kept.Consents)...)
	held := func(who string, want int) {
		t.Helper()
		if list, err := f.s.ListAll(ctx, email(who)); err != nil || len(list) != want {
			t.Errorf("%d consents are held, want %d; %v", len(list), want, err)
		}
	}
	held(old, 2)
	f.rectify(Rectification{Subject: email(old), Remove: email(old), Add: email(now)})
	f.known(email(old))
	f.known(email(now), ids(kept.Consents)...)
	held(old, 0)
	held(now, 2)
	// Everything of a person is about the same person.
	if _, err := f.s.Check(nil); err != nil {
		t.Error(err)
	}
}

// A retry gets the answer of the first, whether what was removed is destroyed
// yet or not; once the person is a stranger, the key is forgotten.
func TestRectificationRepeated(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const old, now = "old@example.com", "new@example.com"
	f.confirmed(old, newsletter)
	f.rectify(Rectification{Subject: email(old), Add: external("7")})
	reached, release := f.holdPass()
	r := Rectification{Subject: external("7"), Remove: email(old), Add: email(now), IdempotencyKey: "letter", Proof: true}
	before := f.size()
	answers := make(chan *Rectified, 3)
	call := func() {
		done, err := f.s.RectifySubject(ctx, legal, r)
		if err != nil {
			t.Error(err)
		}
		answers <- done
	}
	go call()
	<-reached
	f.wrote(before, "subject.rectified consent.revoked")
	go call()
	f.stays(func() bool { return len(answers) == 0 })
	release()
	call()
	first := <-answers
	for range 2 {
		// Proofs are those of the size at which they are asked for.
		again := <-answers
		if again == nil || first == nil || again.Entry.Leaf != first.Entry.Leaf || shows(again.Ended) != shows(first.Ended) || len(again.Ended) != 1 {
			t.Errorf("a retry answers %+v, the first %+v", again, first)
		}
	}
	f.reopen()
	call()
	if again := <-answers; again == nil || again.Entry.Leaf != first.Entry.Leaf {
		t.Errorf("a retry after reopening answers %+v, the first %+v", again, first)
	}
	f.wrote(before, "subject.rectified consent.revoked")
	r.Add = email("another@example.com")
	_, err := f.s.RectifySubject(ctx, legal, r)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")

	// Two that end nothing: what they answered with names no consent.
	link := Link{Subject: email(now), Add: phone("+491511234567"), IdempotencyKey: "link"}
	exchange := Rectification{Subject: email(now), Remove: external("7"), Add: external("8"), IdempotencyKey: "exchange"}
	linked := f.link(link)
	exchanged := f.rectify(exchange)
	before = f.size()
	if again := f.link(link); again.Leaf != linked.Leaf {
		t.Errorf("a repeated link answers %+v, the first %+v", again, linked)
	}
	if again := f.rectify(exchange); again.Entry.Leaf != exchanged.Entry.Leaf || len(again.Ended) != 0 {
		t.Errorf("a repeated exchange answers %+v, the first %+v", again, exchanged)
	}
	f.wrote(before, "")
	// A lock hides the person from all but the legal role, an erasure from all.
	if _, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(now), Reason: "art17", Mode: lockThenShred}); err != nil {
		t.Fatal(err)
	}
	_, err = f.s.LinkSubject(ctx, shop, link)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
	if again := f.rectify(exchange); again.Entry.Leaf != exchanged.Entry.Leaf {
		t.Errorf("an exchange repeated after a lock answers %+v, the first %+v", again, exchanged)
	}
	f.confirmed("b@example.com")
	link.Subject, link.IdempotencyKey = email("b@example.com"), "another link"
	exchange = Rectification{Subject: link.Subject, Add: external("7"), IdempotencyKey: "another exchange"}
	f.link(link)
	f.rectify(exchange)
	f.erase("b@example.com")
	_, err = f.s.LinkSubject(ctx, shop, link)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
	_, err = f.s.RectifySubject(ctx, legal, exchange)
	refused(t, err, refusal.NotFoundCode, "idempotency_key")
}

// Of two that correct one address at the same time one comes first, and the
// other finds it done.
func TestRacingRectifications(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const old = "old@example.com"
	all := ids(f.confirmed(old).Consents)
	f.link(Link{Subject: email(old), Add: external("7")})
	f.rectify(Rectification{Subject: email(old), Add: phone("+491511234567")})
	before := f.size()
	var errs [2]error
	race := func(i int, by Subject) func() {
		return func() {
			_, errs[i] = f.s.RectifySubject(ctx, legal, Rectification{Subject: by, Remove: email(old), Add: email(fmt.Sprintf("new%d@example.com", i))})
		}
	}
	f.together(race(0, email(old)), race(1, external("7")))
	if errs[0] != nil {
		t.Error(errs[0])
	}
	refused(t, errs[1], refusal.NotFoundCode, "remove")
	f.wrote(before, "subject.rectified consent.revoked")
	f.known(email("new0@example.com"), all...)
	f.known(email("new1@example.com"))
	f.known(email(old))

	// Two people and one number: it is the first's.
	f.confirmed("b@example.com")
	f.confirmed("c@example.com")
	f.identify(email("b@example.com"))
	before = f.size()
	links := func(i int, who string) func() {
		return func() {
			_, errs[i] = f.s.LinkSubject(ctx, shop, Link{Subject: email(who), Add: phone("+491512222222")})
		}
	}
	f.together(links(0, "b@example.com"), links(1, "c@example.com"))
	if errs[0] != nil {
		t.Error(errs[0])
	}
	refused(t, errs[1], refusal.FailedPrecondition, "identifier_taken")
	f.wrote(before, "subject.rectified")
	// A number that somebody is known by since the same moment is taken, too.
	ask := asking("")
	ask.Subject, ask.Channel = phone("+491513333333"), "sms"
	f.together(
		func() { _, errs[0] = f.s.RequestConsent(ctx, shop, ask) },
		func() {
			_, errs[1] = f.s.LinkSubject(ctx, shop, Link{Subject: email("c@example.com"), Add: ask.Subject})
		})
	if errs[0] != nil {
		t.Error(errs[0])
	}
	refused(t, errs[1], refusal.FailedPrecondition, "identifier_taken")
	// An identifier that is on its way out of somebody's is free when it is gone.
	f.together(
		func() {
			_, errs[0] = f.s.RectifySubject(ctx, legal, Rectification{Subject: email("b@example.com"), Remove: phone("+491512222222")})
		},
		func() {
			_, errs[1] = f.s.LinkSubject(ctx, shop, Link{Subject: email("c@example.com"), Add: phone("+491512222222")})
		})
	if err := errors.Join(errs[:]...); err != nil {
		t.Error(err)
	}
	list, err := f.s.ListConsents(ctx, email("c@example.com"))
	if err != nil {
		t.Error(err)
	}
	f.known(phone("+491512222222"), ids(list)...)
}

// A correction that is asked for while keys are shredded is recorded at once and
// carried out after; one about somebody who is being erased finds a stranger.
func TestRectificationDuringAPass(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	all := ids(f.confirmed(a).Consents)
	f.rectify(Rectification{Subject: email(a), Add: external("a")})
	f.confirmed(b)
	f.link(Link{Subject: email(b), Add: external("b")})
	f.identify(email(b))
	reached, release := f.holdPass()
	before := f.size()
	erased := f.starts(func() error {
		_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(b), Reason: "art17", Mode: shredNow})
		return err
	})
	<-reached
	corrected := f.starts(func() error {
		_, err := f.s.RectifySubject(ctx, legal, Rectification{Subject: email(a), Remove: email(a), Add: email("new@example.com")})
		return err
	})
	f.becomes(func() bool { return f.size() == before+3 })
	f.wrote(before, "subject.erased subject.rectified consent.revoked")
	late := f.starts(func() error {
		_, err := f.s.RectifySubject(ctx, legal, Rectification{Subject: external("b"), Remove: email(b)})
		return err
	})
	f.stays(func() bool { return len(erased)+len(corrected)+len(late) == 0 })
	release()
	if err := errors.Join(<-erased, <-corrected); err != nil {
		t.Error(err)
	}
	refused(t, <-late, refusal.NotFoundCode, "subject")
	f.wrote(before, "subject.erased subject.rectified consent.revoked evidence.shredded")
	f.known(email(a))
	f.known(email("new@example.com"), all...)
	f.known(external("a"), all...)
	f.known(email(b))
	f.known(external("b"))
}
