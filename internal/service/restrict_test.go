package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// What a person does while their data are restricted counts: a confirmation is
// recorded, sending stays blocked until the restriction is lifted.
func TestConfirmationUnderRestriction(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.request(a)
	f.restrict(a)
	before := f.size()
	if c := f.confirm(r.Token); c.AlreadyConfirmed || c.Consents[0].State != ledger.Confirmed {
		t.Errorf("confirmed %+v", c)
	}
	f.wrote(before, "consent.confirmed")
	f.checks(a, newsletter, "restricted")
	if c := f.confirm(r.Token); !c.AlreadyConfirmed {
		t.Errorf("the second click answers %+v", c)
	}
	_, irregular := f.use(Uses{ConsentIDs: ids(r.Consents)})
	if len(irregular) != 1 || irregular[0].Name != "consent.used.restricted" {
		t.Errorf("irregular %+v", irregular)
	}
	f.lift(a)
	f.checks(a, newsletter, "confirmed")
}

// Lifting says when the person was told of it, beforehand (Art. 18(3) GDPR).
func TestInformedOfLifting(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a = "a@example.com"
	c := f.confirmed(a).Consents[0]
	set := Restriction{Subject: email(a), Ground: "art18_1_a", Claims: map[string]string{"reason": "not my name", "ip": "203.0.113.7"}}
	list, err := f.s.SetRestriction(ctx, shop, set)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.opened(f.entry(list[0].Entry.Index), c.ID); got["reason"] != "not my name" || got["ip"] != "203.0.113.0/24" {
		t.Errorf("commits to %v", got)
	}
	before := f.size()
	for at, r := range map[string]Restriction{
		"ground":      {Subject: email(a), InformedAt: cal.now(), Ground: "art18_1_a"},
		"informed_at": {Subject: email(a)},
		"claims.ip":   {Subject: email(a), InformedAt: cal.now(), Claims: map[string]string{"ip": "x"}},
	} {
		_, err := f.s.LiftRestriction(ctx, shop, r)
		refused(t, err, refusal.InvalidArgument, at)
	}
	_, err = f.s.LiftRestriction(ctx, shop, Restriction{Subject: email(a), InformedAt: earliest.Add(-time.Second)})
	refused(t, err, refusal.InvalidArgument, "informed_at")
	_, err = f.s.LiftRestriction(ctx, shop, Restriction{Subject: email(a), InformedAt: cal.now().Add(time.Second)})
	refused(t, err, refusal.FailedPrecondition, "informed")
	set.InformedAt = cal.now()
	_, err = f.s.SetRestriction(ctx, shop, set)
	refused(t, err, refusal.InvalidArgument, "informed_at")
	f.wrote(before, "")
	list, err = f.s.LiftRestriction(ctx, shop, Restriction{Subject: email(a), InformedAt: cal.now(), Claims: because("is right after all"), Proof: true})
	if err != nil {
		t.Fatal(err)
	}
	e := f.entry(list[0].Entry.Index)
	if e.Kind != ledger.RestrictionLifted || !e.Informed.Equal(cal.now()) || list[0].Entry.Receipt == "" || f.opened(e, c.ID)["reason"] != "is right after all" {
		t.Errorf("lifted %+v: %+v", list, e)
	}
	f.checks(a, newsletter, "confirmed")
	// Who is not restricted stays as they are.
	f.confirmed("b@example.com")
	before = f.size()
	f.lift("b@example.com")
	_, err = f.s.LiftRestriction(ctx, shop, Restriction{Subject: email("b@example.com"), InformedAt: cal.now().Add(time.Second)})
	refused(t, err, refusal.FailedPrecondition, "informed")
	f.wrote(before, "")
}

// The legal role restricts and frees also who is locked, everybody who was known
// under the address; an app reaches those who are known.
func TestRestrictionOfWhoIsLocked(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	const a = "a@example.com"
	former := f.confirmed(a, newsletter, account).Consents
	f.restrict(a)
	f.lock(a)
	_, err := f.s.LiftRestriction(ctx, shop, f.lifting(email(a)))
	refused(t, err, refusal.NotFoundCode, "subject")
	present := f.confirmed(a).Consents[0]
	before := f.size()
	keep := Restriction{Subject: email(a), Ground: "art18_1_c", Claims: because("a lawsuit"), IdempotencyKey: "letter"}
	list, err := f.s.SetRestriction(ctx, legal, keep)
	if err != nil || len(list) != 3 {
		t.Fatalf("restricted %s, %v", shows(list), err)
	}
	f.wrote(before, "source.declared restriction.set restriction.set")
	if got := f.opened(f.entry(list[0].Entry.Index), former[1].ID)["reason"]; got != "a lawsuit" {
		t.Errorf("commits to %q", got)
	}
	if again, err := f.s.SetRestriction(ctx, legal, keep); err != nil || shows(again) != shows(list) {
		t.Errorf("again %s, %v, first %s", shows(again), err, shows(list))
	}
	want := fmt.Sprintf("%d confirmed restricted locked until 2031-01-01T00:00:00Z, %d confirmed restricted locked until 2031-01-01T00:00:00Z, %d confirmed restricted",
		former[0].ID, former[1].ID, present.ID)
	f.seesAll(a, want)
	f.keeps(a)
	lifting := f.lifting(email(a))
	// An app frees those of whom it knows, the legal role the rest.
	if list, err := f.s.LiftRestriction(ctx, shop, lifting); err != nil || len(list) != 1 {
		t.Errorf("an app freed %s, %v", shows(list), err)
	}
	if list, err := f.s.LiftRestriction(ctx, legal, lifting); err != nil || len(list) != 3 {
		t.Errorf("the legal role freed %s, %v", shows(list), err)
	}
	f.wrote(before, "source.declared restriction.set restriction.set restriction.lifted restriction.lifted")
	_, err = f.s.SetRestriction(ctx, legal, Restriction{Subject: email("nobody@example.com"), Ground: "art18_1_a"})
	refused(t, err, refusal.NotFoundCode, "subject")
	f.erase(a)
}
