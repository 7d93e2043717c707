package service

import (
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// ownClaim gives a claim of an entry that is kept in the ledger's own slot.
func (f *fixture) ownClaim(e *ledger.Entry, name string) (value string) {
	f.t.Helper()
	sum, _ := e.Commit(name)
	err := f.s.vault.View(func(w vault.View) error {
		d, _, _, err := w.OpenClaim(f.s.vault.LedgerKey(), e.Index, sum)
		value = d.Value
		return err
	})
	if err != nil {
		f.t.Error(err)
	}
	return value
}

// A correction refers to an entry, is kept for the people whom that names, and
// changes nothing.
func TestCorrection(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	mine, theirs := ids(f.confirmed(a, newsletter, account).Consents), ids(f.confirmed(b).Consents)
	used, _ := f.use(Uses{Reference: "mailing", ConsentIDs: append(slices.Clone(mine), theirs...)})
	correct := func(src Source, c Correction) *ledger.Entry {
		t.Helper()
		e, err := f.s.CorrectEntry(ctx, src, c)
		if err != nil {
			t.Fatal(err)
		}
		return f.entry(e.Index)
	}
	before := f.size()
	all := append(slices.Clone(mine), theirs...)
	for _, src := range []Source{legal, admin} {
		e := correct(src, Correction{Index: used[0].Index, Claims: map[string]string{"reason": "never sent", "ip": "203.0.113.7"}})
		if e.Kind != ledger.EntryCorrected || !slices.Equal(e.Refers, []ledger.Index{used[0].Index}) || !slices.Equal(e.About, all) {
			t.Errorf("corrected %+v", e)
		}
		for _, id := range all {
			if got := f.opened(e, id); got["reason"] != "never sent" || got["ip"] != "203.0.113.0/24" {
				t.Errorf("commits to %v", got)
			}
		}
	}
	f.wrote(before, "source.declared entry.corrected entry.corrected")
	f.checks(a, newsletter, "confirmed")
	if e := correct(legal, Correction{Index: ledger.Index(mine[0]), Claims: because("another form")}); !slices.Equal(e.About, mine[:1]) {
		t.Errorf("corrected what opened a consent: %+v", e)
	}

	// Of the erased, nothing is kept; of the locked, only the legal role knows.
	f.erase(b)
	f.lock(a)
	if e := correct(legal, Correction{Index: used[0].Index, Claims: because("once more")}); !slices.Equal(e.About, mine) {
		t.Errorf("corrected %+v", e)
	}
	before = f.size()
	_, err := f.s.CorrectEntry(ctx, admin, Correction{Index: used[0].Index, Claims: because("x")})
	refused(t, err, refusal.NotFoundCode, "index")
	for _, claims := range []map[string]string{{"reason": "x", "name": "B"}, {"reason": "x", "ip": "203.0.113.7"}} {
		_, err = f.s.CorrectEntry(ctx, legal, Correction{Index: ledger.Index(theirs[0]), Claims: claims})
		refused(t, err, refusal.FailedPrecondition, "stranger")
	}
	f.wrote(before, "")
	for _, i := range []ledger.Index{ledger.Index(theirs[0]), 0, 2} { // an erased person's, the ledger's own, a purpose's
		e := correct(admin, Correction{Index: i, Claims: map[string]string{"reason": "a slip", "reference": "ticket"}})
		if len(e.About) != 0 || f.ownClaim(e, "reason") != "a slip" || f.ownClaim(e, "reference") != "ticket" {
			t.Errorf("corrected %+v", e)
		}
	}
	_, err = f.s.CorrectEntry(ctx, shop, Correction{Index: 0, Claims: because("x")})
	refused(t, err, refusal.FailedPrecondition, "role")
	for _, i := range []ledger.Index{-1, ledger.Index(f.size())} {
		_, err = f.s.CorrectEntry(ctx, legal, Correction{Index: i, Claims: because("x")})
		refused(t, err, refusal.NotFoundCode, "index")
	}
	_, err = f.s.CorrectEntry(ctx, legal, Correction{Index: 1, Claims: map[string]string{"reference": "x"}})
	refused(t, err, refusal.InvalidArgument, "claims.reason")
}
