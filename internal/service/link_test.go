package service

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
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
			d, _, ok, err := w.OpenClaim(key, e.Index, c.Digest)
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

// identify records that somebody's identity was verified, unless it counts as that.
func (f *fixture) identify(who Subject) {
	f.t.Helper()
	list, err := f.s.ListAll(ctx, who)
	if err == nil && (len(list) == 0 || list[0].VerifiedUntil.IsZero()) {
		_, err = f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: who, Means: "login"})
	}
	if err != nil {
		f.t.Error(err)
	}
}

func (f *fixture) rectify(r Rectification) *Rectified {
	f.t.Helper()
	f.identify(r.Subject)
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
	d, err := f.s.CheckConsent(ctx, Question{Subject: who, Purpose: newsletter, Channel: "email"})
	if err != nil || (d.Reason == decision.ReasonUnknownSubject) != (len(want) == 0) {
		f.t.Errorf("a check of %+v says %+v, and %d consents are held; %v", who, d, len(want), err)
	}
}

// reason checks what a check says of somebody, whatever identifies them.
func (f *fixture) reason(who Subject, purpose, channel, want string) {
	f.t.Helper()
	d, err := f.s.CheckConsent(ctx, Question{Subject: who, Purpose: purpose, Channel: channel})
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
		if ask.Subject = who; who.Phone != "" {
			ask.Channel = "sms" // a number proves nothing for e-mail
		}
		again, err := f.s.RequestConsent(ctx, shop, ask)
		if err != nil {
			t.Fatal(err)
		}
		id := again.Consents[0].ID
		committed := maps.Clone(want)
		if who.Phone != "" {
			committed["typed"] = who.Phone
		}
		if got := f.opened(f.entry(ledger.Index(id)), id); !maps.Equal(got, committed) {
			t.Errorf("a request commits to %v, want %v", got, committed)
		}
		if (again.ManageToken == r.ManageToken) != (ask.Channel == "email") {
			t.Error("the person's manage token of a channel is not the one and only")
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
	f.rectify(Rectification{Subject: email(b), Add: external("b")})
	_, err := f.s.RectifySubject(ctx, legal, Rectification{Subject: email(a), Remove: theirs})
	refused(t, err, refusal.FailedPrecondition, "identity")
	f.identify(email(a))
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
	_, err = f.s.LinkSubject(ctx, shop, Link{Subject: email(a)})
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
