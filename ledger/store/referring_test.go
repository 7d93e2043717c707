package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// TestReferring finds what refers to an entry, whatever kind it is of, and only once
// it is published.
func TestReferring(t *testing.T) {
	l := newDerivedLog(t)
	check := func(i ledger.Index, want ...string) {
		t.Helper()
		p := l.s.Snapshot()
		defer p.Release()
		var got []string
		err := p.Referring(i, func(from ledger.Index, kind ledger.Kind) error {
			got = append(got, fmt.Sprint(from, " ", kind))
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("entry %d is referred to by %v, want %v (%v)", i, got, want, err)
		}
	}
	a, b := add(t, l.s, l.erase(0)), add(t, l.s, l.erase(1))
	free := add(t, l.s, held(l.ids[2]))
	for i := range ledger.Index(size(l.s) + 2) {
		check(i)
	}
	both := add(t, l.s, shredded(a, b))
	lift := add(t, l.s, lifted(free, l.ids[2]))
	gone := add(t, l.s, rekeyed(b))
	l.refuse("refers", rekeyed(b))
	g := begin(t, l.s)
	if _, err := g.Append(g.Last(), rekeyed(a)); err != nil {
		t.Error(err)
	}
	g.Discard()
	for range 2 {
		check(a, fmt.Sprint(both, " evidence.shredded"))
		check(b, fmt.Sprint(both, " evidence.shredded"), fmt.Sprint(gone, " evidence.shredded"))
		check(free, fmt.Sprint(lift, " hold.lifted"))
		check(both)
		l.reopen()
	}
	stop := errors.New("enough")
	p := l.s.Snapshot()
	defer p.Release()
	calls := 0
	if err := p.Referring(b, func(ledger.Index, ledger.Kind) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("after an error it is called %d times and gives %v", calls, err)
	}
}
