package service

import (
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// TestCommitState: the state is committed when one of the consents asked about has
// changed since, and each of them can be proven then, also that of an erased person.
func TestCommitState(t *testing.T) {
	f := newService(t)
	a := f.confirmed("a@example.org", newsletter).Consents[0].ID
	r := f.request("b@example.org", newsletter)
	b := r.Consents[0].ID
	commit := func(grows bool, ids ...ledger.ConsentID) ledger.Index {
		t.Helper()
		_, before := f.s.Log().Checkpoint()
		at, err := f.s.CommitState(ctx, ids...)
		if err != nil {
			t.Fatal(err)
		}
		if _, after := f.s.Log().Checkpoint(); (after > before) != grows || grows && at != ledger.Index(before) {
			t.Fatalf("the log grew from %d to %d entries, the state is entry %d", before, after, at)
		}
		for _, id := range ids {
			got, err := f.s.Log().ConsentState(id)
			if err != nil || got.Newest != got.Proof.Last || got.Proof.Size != ledger.Size(at) {
				t.Fatalf("consent %d as of entry %d: %+v, %v", id, at, got, err)
			}
		}
		return at
	}
	commit(false) // about nobody
	first := commit(true, a, b)
	commit(false, a, b)
	f.confirm(r.Token)
	if at := commit(false, a); at != first {
		t.Errorf("the state is that of entry %d, not %d", at, first)
	}
	commit(true, a, b)
	if _, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email("a@example.org"), Reason: "art17", Mode: shredNow}); err != nil {
		t.Fatal(err)
	}
	commit(true, a)
	if got, err := f.s.Log().ConsentState(a); err != nil || !got.Proof.Overlays.Has(ledger.Erased) {
		t.Errorf("the state is %+v, %v", got, err)
	}
	_, err := f.s.CommitState(ctx, a, 1<<40)
	refused(t, err, refusal.NotFoundCode, "consent_ids")
}
