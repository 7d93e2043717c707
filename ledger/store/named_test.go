package store_test

import (
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// TestNamed finds what an entry rests on, and what that rests on, and nothing else.
func TestNamed(t *testing.T) {
	l := newDerivedLog(t)
	const admin, newsletter, wording, shop, desk = 1, 2, 3, 4, 5
	purpose := func(id, parent string, version int64) ledger.Index {
		return add(t, l.s, &ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: id, Version: version, Parent: parent,
			Marketing: "yes", DoubleOptIn: "yes", Lifetime: 604800})
	}
	add(t, l.s, engaged("printer"))
	on := add(t, l.s, engaged("mailer", "newsletter"))
	offers := purpose("offers", "newsletter", 1)
	ticket := add(t, l.s, declared("x.ticket"))
	again := purpose("newsletter", "", 2)
	off := add(t, l.s, ended("mailer"))
	about := []ledger.ConsentID{l.ids[0]}
	use := add(t, l.s, &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", Processor: "mailer", About: about,
		Commits: []ledger.Commitment{{Claim: "x.ticket", Digest: ledger.Hash{1}}}})
	effected := add(t, l.s, &ledger.Entry{Kind: ledger.WithdrawalEffected, Source: "shop", System: "mailer", About: about})
	inShop := add(t, l.s, &ledger.Entry{Kind: ledger.WithdrawalEffected, Source: "shop", System: "shop", About: about})
	hold := add(t, l.s, held(l.ids[0]))
	child := add(t, l.s, &ledger.Entry{Kind: ledger.ObjectionRecorded, Source: "shop", Purpose: "offers", Channel: "email",
		Commits: testledger.Requested(1).Commits})
	everything := add(t, l.s, &ledger.Entry{Kind: ledger.ObjectionRecorded, Source: "shop", Purpose: ledger.AllMarketing, Channel: "email",
		Commits: testledger.Requested(1).Commits})
	on2 := add(t, l.s, engaged("mailer"))
	whole := size(l.s)
	for range 2 {
		for _, c := range []struct {
			what string
			size ledger.Size
			of   []ledger.Index
			want []ledger.Index
		}{
			{"nothing", whole, nil, []ledger.Index{0}},
			{"what is not there yet", ledger.Size(hold), []ledger.Index{hold}, []ledger.Index{0}},
			{"a request", whole, []ledger.Index{6}, []ledger.Index{0, admin, newsletter, wording, shop, again}},
			{"a request, as of then", 7, []ledger.Index{6}, []ledger.Index{0, admin, newsletter, wording, shop}},
			{"a use", whole, []ledger.Index{use}, []ledger.Index{0, admin, shop, on, ticket, off, on2}},
			{"what took effect at a processor", ledger.Size(on2), []ledger.Index{effected}, []ledger.Index{0, admin, shop, on, off}},
			{"what took effect in a source", whole, []ledger.Index{inShop}, []ledger.Index{0, shop}},
			{"a hold", whole, []ledger.Index{hold}, []ledger.Index{0, desk}},
			{"the purpose above", whole, []ledger.Index{child}, []ledger.Index{0, admin, newsletter, shop, offers, again}},
			{"no purpose", whole, []ledger.Index{everything}, []ledger.Index{0, shop}},
			{"several", whole, []ledger.Index{hold, inShop, hold}, []ledger.Index{0, shop, desk}},
		} {
			p := l.s.Snapshot()
			got, err := p.Named(c.size, c.of)
			p.Release()
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s rests on %v, want %v (%v)", c.what, got, c.want, err)
			}
		}
		l.reopen()
	}
}

// TestNamedKeys finds every key entry below the size.
func TestNamedKeys(t *testing.T) {
	opt := options(t)
	s := open(t, opt)
	testledger.Fill(t, s, testledger.Prelude)
	g := begin(t, s)
	rotated := rotate(t, g, pair(t, 2))
	if err := g.Commit(nil); err != nil {
		t.Fatal(err)
	}
	p := s.Snapshot()
	defer closeStore(t, s)
	defer p.Release()
	for size, want := range map[ledger.Size][]ledger.Index{p.Size(): {0, 1, rotated}, ledger.Size(rotated): {0}} {
		if got, err := p.Named(size, nil); err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d entries %v, want %v (%v)", size, got, want, err)
		}
	}
}
