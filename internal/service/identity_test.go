package service

import (
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Who was verified may be corrected for 92 days, by whatever they are known and
// whatever was added to what is held since.
func TestVerifiedIdentity(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a = "a@example.com"
	made := ids(f.confirmed(a, newsletter, account).Consents)
	f.confirmed("b@example.com")
	correct := Rectification{Subject: email(a), Add: external("7")}
	_, err := f.s.RectifySubject(ctx, legal, correct)
	refused(t, err, refusal.FailedPrecondition, "identity")
	before := f.size()
	v, err := f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email("A@example.com"), Means: "phone_call", OccurredAt: on("2027-02-28T10:00:00.5Z"),
		Claims: map[string]string{"operator": "desk 4", "ip": "203.0.113.7"}, Proof: true})
	if err != nil {
		t.Fatal(err)
	}
	f.wrote(before, "source.declared identity.verified")
	e := f.entry(v.Entry.Index)
	until := on("2027-05-31T10:00:00Z")
	if v.Consents != 2 || !v.Until.Equal(until) || v.Entry.Receipt == "" || e.Means != "phone_call" || !slices.Equal(e.About, made) {
		t.Errorf("verified %+v: %+v", v, e)
	}
	if got := f.opened(e, made[1]); got["operator"] != "desk 4" || got["ip"] != "203.0.113.0/24" {
		t.Errorf("commits to %v", got)
	}
	// Not somebody else, and not by an app.
	_, err = f.s.RectifySubject(ctx, legal, Rectification{Subject: email("b@example.com"), Add: external("8")})
	refused(t, err, refusal.FailedPrecondition, "identity")
	_, err = f.s.RectifySubject(ctx, shop, Rectification{Subject: email(a), Remove: email(a), Add: email("c@example.com")})
	refused(t, err, refusal.FailedPrecondition, "role")
	f.confirmed(a, offers)
	f.reopen()
	cal.set(until)
	if _, err := f.s.RectifySubject(ctx, legal, correct); err != nil {
		t.Error(err)
	}
	cal.set(until.Add(time.Microsecond))
	exchange := Rectification{Subject: external("7"), Remove: external("7"), Add: external("9")}
	_, err = f.s.RectifySubject(ctx, legal, exchange)
	refused(t, err, refusal.FailedPrecondition, "identity")
	// An older check that is recorded later does not count for longer, a newer one does.
	verify := func(at time.Time) *IdentityVerified {
		t.Helper()
		v, err := f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: external("7"), Means: "login", OccurredAt: at})
		if err != nil || v.Consents != 3 {
			t.Fatalf("verified %+v, %v", v, err)
		}
		return v
	}
	verify(on("2027-02-01T00:00:00Z"))
	_, err = f.s.RectifySubject(ctx, legal, exchange)
	refused(t, err, refusal.FailedPrecondition, "identity")
	if v := verify(time.Time{}); !v.Until.Equal(f.entry(v.Entry.Index).Time.Add(identityCounts)) {
		t.Errorf("verified until %v", v.Until)
	}
	verify(on("2027-02-02T00:00:00Z"))
	if _, err := f.s.RectifySubject(ctx, legal, exchange); err != nil {
		t.Error(err)
	}
	// To link what an app knows needs none.
	f.link(Link{Subject: email("b@example.com"), Add: external("8")})
}

// Of several people who were kept under one address, one can be verified without
// the others.
func TestIdentityOfSeveralPeople(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	first := ids(f.confirmed(a, newsletter, account).Consents)
	f.lock(a)
	second := ids(f.confirmed(a).Consents)
	stranger := ids(f.confirmed("b@example.com").Consents)
	until := func(of []ledger.ConsentID) (until time.Time) {
		t.Helper()
		snap := f.s.Log().Snapshot()
		defer snap.Release()
		for _, id := range of {
			c, _, err := snap.Consent(id)
			if err != nil {
				t.Fatal(err)
			}
			one, err := verifiedUntil(published{snap}, []ledger.Consent{c})
			if err != nil {
				t.Fatal(err)
			}
			until = decision.Later(until, one)
		}
		return until
	}
	verify := func(named ...ledger.ConsentID) []ledger.ConsentID {
		t.Helper()
		v, err := f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email(a), ConsentIDs: named, Means: "document"})
		if err != nil {
			t.Fatal(err)
		}
		return f.entry(v.Entry.Index).About
	}
	if got := verify(first[1]); !slices.Equal(got, first) || until(first).IsZero() || !until(second).IsZero() {
		t.Errorf("verified %v", got)
	}
	_, err := f.s.RectifySubject(ctx, legal, Rectification{Subject: email(a), Add: external("7")})
	refused(t, err, refusal.FailedPrecondition, "identity")
	if got := verify(second[0], first[0], first[1]); !slices.Equal(got, append(slices.Clone(first), second...)) {
		t.Errorf("verified %v", got)
	}
	if got := verify(); !slices.Equal(got, append(slices.Clone(first), second...)) {
		t.Errorf("verified %v", got)
	}
	f.rectify(Rectification{Subject: email(a), Add: external("7")})

	before := f.size()
	for at, v := range map[string]IdentityCheck{
		"consent_ids[1]": {Subject: email(a), ConsentIDs: []ledger.ConsentID{first[0], stranger[0]}, Means: "login"},
		"subject":        {Subject: email("nobody@example.com"), Means: "login"},
	} {
		_, err := f.s.VerifyIdentity(ctx, legal, v)
		refused(t, err, refusal.NotFoundCode, at)
	}
	for at, v := range map[string]IdentityCheck{
		"subject.email":  {Subject: email("a"), Means: "login"},
		"consent_ids[0]": {Subject: email(a), ConsentIDs: []ledger.ConsentID{0}, Means: "login"},
		"means":          {Subject: email(a), Means: "handshake"},
		"claims.reason":  {Subject: email(a), Means: "login", Claims: because("")},
		"occurred_at":    {Subject: email(a), Means: "login", OccurredAt: f.clock.now().Add(6 * time.Minute)},
	} {
		_, err := f.s.VerifyIdentity(ctx, legal, v)
		refused(t, err, refusal.InvalidArgument, at)
	}
	f.wrote(before, "")
	// Who is erased was never verified.
	f.erase(a)
	if _, err := f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email(a), Means: "login"}); err != nil {
		t.Errorf("who is locked still: %v", err)
	}
	_, err = f.s.VerifyIdentity(ctx, legal, IdentityCheck{Subject: email(a), ConsentIDs: second, Means: "login"})
	refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
}
