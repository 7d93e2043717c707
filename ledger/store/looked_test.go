package store_test

import (
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// What a group has looked up it gives as it is after the group's own entries, and the
// next group looks it up anew.
func TestLookedUpThenChanged(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	request := testledger.Requested(g.Next())
	id, lock := ledger.ConsentID(g.Next()), request.Lock
	expect := func(state ledger.State, known bool) {
		t.Helper()
		if c, ok, err := g.Consent(id); err != nil || ok != known || c.State != state {
			t.Errorf("the consent is %v, %v, %v; want %v, %v", c.State, ok, err, state, known)
		}
		if r, ok, err := g.OpenRequest(lock); err != nil || ok != known || known && r.Request != id {
			t.Errorf("the lock is %+v, %v, %v; want %v", r, ok, err, known)
		}
	}
	add := func(e *ledger.Entry) {
		t.Helper()
		if _, err := g.Append(g.Last(), e); err != nil {
			t.Fatal(err)
		}
	}
	expect(0, false)
	add(request)
	expect(ledger.Requested, true)
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	g = begin(t, s)
	expect(ledger.Requested, true)
	add(confirmed(ledger.Index(id), ledger.Link{Consent: id, After: ledger.Index(id)}))
	expect(ledger.Confirmed, true)
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	g = begin(t, s)
	defer g.Discard()
	expect(ledger.Confirmed, true)
}
