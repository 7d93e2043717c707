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
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

func phone(number string) Subject { return Subject{Phone: number} }
func external(id string) Subject  { return Subject{ExternalID: id} }

// opened gives the values of an entry's claims, opened under the key of a
// consent.
func (f *fixture) opened(e *ledger.Entry, id ledger.ConsentID) map[string]string {
	f.t.Helper()
	values := map[string]string{}
	err := f.s.vault.View(func(w vault.View) error {
		key, ok, err := w.KeyOf(id)
		if err != nil || !ok {
			return fmt.Errorf("the key of consent %d: %v, %w", id, ok, err)
		}
		for _, c := range e.Commits {
			d, _, ok, err := w.OpenClaim(key, c.Digest)
			if err != nil || !ok || d.Claim != c.Claim || d.Digest() != c.Digest {
				return fmt.Errorf("entry %d, the claim %s: %v, %w", e.Index, c.Claim, ok, err)
			}
			values[d.Claim] = d.Value
		}
		return nil
	})
	if err != nil {
		f.t.Error(err)
	}
	return values
}

// entry parses one entry.
func (f *fixture) entry(i ledger.Index) *ledger.Entry {
	f.t.Helper()
	return f.entriesFrom(ledger.Size(i))[0]
}

func (f *fixture) link(l Link) *Entry {
	f.t.Helper()
	e, err := f.s.LinkSubject(ctx, shop, l)
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

func (f *fixture) rectify(r Rectification) *Rectified {
	f.t.Helper()
	done, err := f.s.RectifySubject(ctx, legal, r)
	if err != nil {
		f.t.Fatal(err)
	}
	return done
}

// confirmedOn is a request on a channel, confirmed.
func (f *fixture) confirmedOn(who Subject, channel string, purposes ...string) *Requested {
	f.t.Helper()
	ask := asking("", purposes...)
	ask.Subject, ask.Channel = who, channel
	r, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		f.t.Fatal(err)
	}
	f.confirm(r.Token)
	return r
}

// known checks whose consents are found under an identifier; none is a stranger.
func (f *fixture) known(who Subject, want ...ledger.ConsentID) {
	f.t.Helper()
	list, err := f.s.ListConsents(ctx, who)
	if err != nil || !slices.Equal(ids(list), want) {
		f.t.Errorf("under %+v consents %v are found, want %v; %v", who, ids(list), want, err)
	}
	d, err := f.s.CheckConsent(ctx, Question{who, newsletter, "email"})
	if err != nil || (d.Reason == reasonUnknownSubject) != (len(want) == 0) {
		f.t.Errorf("a check of %+v says %+v, and %d consents are held; %v", who, d, len(want), err)
	}
}

// reason checks what a check says of somebody, whatever identifies them.
func (f *fixture) reason(who Subject, purpose, channel, want string) {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{who, purpose, channel})
	if err != nil || d.Reason != want || d.Allowed != (want == "confirmed") {
		f.t.Errorf("check %s by %s: %+v, want %s; %v", purpose, channel, d, want, err)
	}
}

func TestLinking(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.confirmed(a, newsletter, account)
	f.confirmed("b@example.com")
	all := ids(r.Consents)
	before := f.size()
	first := f.link(Link{Subject: email("A@Example.com"), Add: phone("+49 (151) 123-4567"), Claims: map[string]string{"reference": "call 7"}, Proof: true})
	f.wrote(before, "subject.rectified")
	e := f.entry(first.Index)
	if e.Change != "added" || !slices.Equal(e.About, all) || first.Text == "" || first.Receipt == "" {
		t.Errorf("linked with %+v, answered %+v", e, first)
	}
	for _, id := range all {
		if got, want := f.opened(e, id), map[string]string{"phone": "+491511234567", "reference": "call 7"}; !maps.Equal(got, want) {
			t.Errorf("the entry commits to %v, want %v", got, want)
		}
	}
	f.link(Link{Subject: phone("+491511234567"), Add: external("Customer-7")})
	everyway := []Subject{email(a), phone("+49 151 1234567"), external("Customer-7")}
	for _, who := range everyway {
		f.known(who, all...)
		f.reason(who, newsletter, "email", "confirmed")
	}
	f.known(external("customer-7")) // capital and small letters differ

	// Whichever names the person, an opening entry commits to all.
	want := map[string]string{"email": a, "phone": "+491511234567", "external_id": "Customer-7"}
	for _, who := range everyway {
		ask := asking("", offers)
		ask.Subject = who
		again, err := f.s.RequestConsent(ctx, shop, ask)
		if err != nil {
			t.Fatal(err)
		}
		id := again.Consents[0].ID
		if got := f.opened(f.entry(ledger.Index(id)), id); !maps.Equal(got, want) {
			t.Errorf("a request commits to %v, want %v", got, want)
		}
		if again.ManageToken != r.ManageToken {
			t.Error("the person has another manage token")
		}
		all = append(all, id)
	}
	objection := f.withdraw(Withdrawal{Subject: external("Customer-7"), Channel: "post"})
	if got := f.opened(f.entry(objection[0].Entry.Index), objection[0].ID); !maps.Equal(got, want) {
		t.Errorf("an objection commits to %v, want %v", got, want)
	}
	all = append(all, objection[0].ID)
	f.reopen()
	for _, who := range everyway {
		f.known(who, all...)
	}
	if done, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: everyway[1], Reason: "art17", Mode: "shred_now"}); err != nil || done.Consents != len(all) {
		t.Errorf("erased %+v, %v", done, err)
	}
	for _, who := range everyway {
		f.known(who)
	}
	f.checks("b@example.com", newsletter, "confirmed")
}

// What cannot be linked or corrected is refused and leaves no trace.
func TestIdentifiersRefused(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	f.confirmed(a)
	f.confirmed(b)
	mine, theirs := phone("+491511111111"), phone("+491512222222")
	f.link(Link{Subject: email(a), Add: mine})
	f.link(Link{Subject: email(b), Add: theirs})
	f.rectify(Rectification{Subject: email(b), Add: external("b")}) // declares the legal key
	before := f.size()
	for name, test := range map[string]struct {
		r    Rectification
		code refusal.Code
		at   string
	}{
		"nobody":                   {Rectification{Add: external("a")}, refusal.InvalidArgument, "subject"},
		"somebody by two names":    {Rectification{Subject: Subject{Email: a, Phone: "+491511111111"}, Add: external("a")}, refusal.InvalidArgument, "subject"},
		"nothing":                  {Rectification{Subject: email(a)}, refusal.InvalidArgument, "add"},
		"no address":               {Rectification{Subject: email(a), Add: email("no")}, refusal.InvalidArgument, "add.email"},
		"no number":                {Rectification{Subject: email(a), Remove: phone("0151"), Add: theirs}, refusal.InvalidArgument, "remove.phone"},
		"another kind":             {Rectification{Subject: email(a), Remove: mine, Add: email(b)}, refusal.InvalidArgument, "add"},
		"the same":                 {Rectification{Subject: email(a), Remove: email(a), Add: email("A@EXAMPLE.com")}, refusal.InvalidArgument, "add"},
		"a time":                   {Rectification{Subject: email(a), Add: external("a"), OccurredAt: time.Unix(1, 0)}, refusal.InvalidArgument, "occurred_at"},
		"a claim":                  {Rectification{Subject: email(a), Add: external("a"), Claims: map[string]string{"email": a}}, refusal.InvalidArgument, "claims"},
		"a stranger":               {Rectification{Subject: email("c@example.com"), Add: external("a")}, refusal.NotFoundCode, "subject"},
		"a stranger's":             {Rectification{Subject: email(a), Remove: email("c@example.com"), Add: email("d@example.com")}, refusal.NotFoundCode, "remove"},
		"somebody else's":          {Rectification{Subject: email(a), Remove: theirs}, refusal.NotFoundCode, "remove"},
		"the only one of no kind":  {Rectification{Subject: email(a), Remove: external("a")}, refusal.NotFoundCode, "remove"},
		"taken":                    {Rectification{Subject: email(a), Add: external("b")}, refusal.FailedPrecondition, "identifier_taken"},
		"taken, in exchange":       {Rectification{Subject: email(a), Remove: mine, Add: theirs}, refusal.FailedPrecondition, "identifier_taken"},
		"one's own":                {Rectification{Subject: email(a), Add: mine}, refusal.FailedPrecondition, "identifier_taken"},
		"one's own, by itself":     {Rectification{Subject: mine, Add: mine}, refusal.FailedPrecondition, "identifier_taken"},
		"a second one of its kind": {Rectification{Subject: email(a), Add: phone("+491513333333")}, refusal.FailedPrecondition, "identifier_kind"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.s.RectifySubject(ctx, legal, test.r)
			refused(t, err, test.code, test.at)
		})
	}
	_, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(a)})
	refused(t, err, refusal.InvalidArgument, "add")
	_, err = f.s.RectifySubject(ctx, admin, Rectification{Subject: email(a), Add: external("a")})
	refused(t, err, refusal.FailedPrecondition, "role")
	// An app does not end consents by taking an identifier away.
	_, err = f.s.RectifySubject(ctx, shop, Rectification{Subject: email(a), Remove: email(a)})
	refused(t, err, refusal.FailedPrecondition, "role")
	f.wrote(before, "")
	f.rectify(Rectification{Subject: email(a), Remove: mine})
	_, err = f.s.RectifySubject(ctx, legal, Rectification{Subject: email(a), Remove: email(a)})
	refused(t, err, refusal.FailedPrecondition, "last_identifier")
	f.wrote(before, "subject.rectified")
	f.reason(email(a), newsletter, "email", "confirmed")
	f.reason(theirs, newsletter, "email", "confirmed")
}

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
	byPhone := f.confirmedOn(email(old), "phone", newsletter)
	f.link(Link{Subject: email(old), Add: number})
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
	manage := map[string]string{}
	for _, channel := range []string{"phone", "sms", "messenger", "fax", "post", "email"} {
		r := f.confirmedOn(number, channel, account)
		all, manage[channel] = append(all, r.Consents[0].ID), r.ManageToken
	}
	before := f.size()
	done := f.rectify(Rectification{Subject: external("7"), Remove: number})
	f.wrote(before, "source.declared subject.rectified"+strings.Repeat(" consent.revoked", 4))
	if e := f.entriesFrom(before + 1)[0]; e.Change != "removed" || len(e.Commits) != 0 || len(done.Ended) != 4 {
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
	ask.Subject = phone("+491513333333")
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
