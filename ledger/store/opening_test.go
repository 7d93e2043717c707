package store_test

import (
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// TestOpened: what is kept beside a consent is what the entry says that opened it, also
// after the consent has changed, in the same group and in a later one.
func TestOpened(t *testing.T) {
	l := newDerivedLog(t)
	g := begin(t, l.s)
	again, err := g.Append(g.Last(), testledger.Requested(g.Next()))
	if err != nil {
		t.Fatal(err)
	}
	l.ids = append(l.ids, ledger.ConsentID(again[0].Entry.Index))
	for _, id := range []ledger.ConsentID{l.ids[0], l.ids[3]} {
		if _, err := g.Append(g.Last(), &ledger.Entry{Kind: ledger.ConsentWithdrawn, Source: "shop", Method: "one_click",
			Consents: []ledger.Link{{Consent: id, After: ledger.Index(id)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	add(t, l.s, l.erase(1))
	l.reopen()
	p := l.s.Snapshot()
	defer p.Release()
	for n, state := range []ledger.State{ledger.Withdrawn, ledger.Requested, ledger.Requested, ledger.Withdrawn} {
		c, o, ok, err := p.Opened(l.ids[n])
		text, err2 := p.Entry(ledger.Index(l.ids[n]))
		if !ok || err != nil || err2 != nil {
			t.Fatal(ok, err, err2)
		}
		e, err := ledger.ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		if c.State != state || o.Notice == "" || o.Notice != e.Notice.Name() || o.Expires.IsZero() || !o.Expires.Equal(e.Expires) {
			t.Errorf("consent %d: %v, %+v, want %v and %s, %v", c.ID, c.State, o, state, e.Notice.Name(), e.Expires)
		}
	}
}
