package service

import (
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func (f *fixture) declare(id, title string) (*DeclaredClaim, *Entry) {
	f.t.Helper()
	c, e, err := f.s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: id, Title: title})
	if err != nil {
		f.t.Fatal(err)
	}
	return c, e
}

// What is declared may be set from then on, and not before.
func TestDeclareClaim(t *testing.T) {
	t.Parallel()
	f := newService(t)
	ask := asking("a@example.com")
	ask.Claims = map[string]string{"x.shoe_size": "42", "language": "de"}
	before := f.size()
	_, err := f.s.RequestConsent(ctx, shop, ask)
	refused(t, err, refusal.InvalidArgument, "claims")
	if strings.Contains(err.Error(), "shoe_size") {
		t.Errorf("the refusal quotes the name: %v", err)
	}
	f.wrote(before, "")
	f.checks("a@example.com", newsletter, "unknown_subject")

	first, e := f.declare("x.shoe_size", "Schuhgröße")
	if first.ID != "x.shoe_size" || first.Title != "Schuhgröße" || first.Index != e.Index || f.entry(e.Index).Claim != "x.shoe_size" {
		t.Errorf("%+v, %+v", first, e)
	}
	f.wrote(before, "claim.declared")
	r, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil {
		t.Fatal(err)
	}
	if values := f.opened(f.entry(ledger.Index(r.Consents[0].ID)), r.Consents[0].ID); values["x.shoe_size"] != "42" {
		t.Errorf("%v", values)
	}
	f.withdraw(Withdrawal{Subject: email("a@example.com"), Claims: map[string]string{"x.shoe_size": "43"}})

	before = f.size()
	for range 2 {
		if again, at := f.declare("x.shoe_size", "Schuhgröße"); at.Index != e.Index || *again != *first {
			t.Errorf("again: %+v, %+v", again, at)
		}
		_, _, err := f.s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: "x.shoe_size", Title: "Hutgröße"})
		refused(t, err, refusal.FailedPrecondition, "claim")
		f.reopen()
	}
	f.wrote(before, "")
	f.declare("x.hat", "Hat")
	list, err := f.s.ListClaims()
	if err != nil || len(list) != 2 || list[0].ID != "x.hat" || list[0].Title != "Hat" || *list[1] != *first {
		t.Errorf("%v, %v", list, err)
	}
	f.checked()
}

func TestBadDeclarations(t *testing.T) {
	t.Parallel()
	f := newService(t)
	long := "x." + strings.Repeat("a", 63)
	for _, d := range []ClaimDeclaration{
		{ID: ""}, {ID: "x."}, {ID: "shoe"}, {ID: "email"}, {ID: "X.shoe"}, {ID: "x.Shoe"}, {ID: long}, {ID: "x.erika.mustermann"}, {ID: "x.0301234567"},
	} {
		d.Title = "A claim"
		_, _, err := f.s.DeclareClaim(ctx, admin, d)
		refused(t, err, refusal.InvalidArgument, "id")
	}
	for _, title := range []string{"", "a\nb", strings.Repeat("a", maxTitle+1)} {
		_, _, err := f.s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: "x.shoe", Title: title})
		refused(t, err, refusal.InvalidArgument, "title")
	}
	before := f.size()
	c, e, err := f.s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: "x.erika.mustermann", Title: "A product", Insist: true, Proof: true})
	if err != nil || c.ID != "x.erika.mustermann" || e.Receipt == "" {
		t.Errorf("%+v, %v", c, err)
	}
	f.wrote(before, "claim.declared")
}

// In one group, too, a claim may be set after it was declared and not before.
func TestDeclaredAndSetAtOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.request("first@example.com")
	var errs [3]error
	set := func(i int) func() {
		return func() {
			ask := asking("a@example.com")
			ask.Claims = map[string]string{"x.shoe": "42"}
			_, errs[i] = f.s.RequestConsent(ctx, shop, ask)
		}
	}
	var again *DeclaredClaim
	before := f.size()
	f.together(set(0), func() { f.declare("x.shoe", "Shoe") }, set(1), func() { again, _ = f.declare("x.shoe", "Shoe") }, set(2))
	f.wrote(before, "claim.declared consent.requested consent.requested")
	refused(t, errs[0], refusal.InvalidArgument, "claims")
	if errs[1] != nil || errs[2] != nil || again.Index != ledger.Index(before) {
		t.Errorf("%v, %+v", errs, again)
	}
	f.checked()
}
