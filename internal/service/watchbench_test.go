package service

import (
	"slices"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// BenchmarkWatch looks at 100,000 consents, each used five times: of a purpose that
// says nothing, of one that says what becomes of consents that nobody uses, and of
// one with a processor to whom they were passed, where every tenth has ended and
// every tenth was erased.
func BenchmarkWatch(b *testing.B) {
	const consents, uses = 100_000, 5
	f := newService(b, asServed)
	f.damaged = true // the vault knows nobody of all this
	for _, d := range []PurposeDefinition{{ID: "plain"}, {ID: "resting", UnusedDays: 365, UnusedMeasure: "block"}} {
		f.define(d)
	}
	f.records(admin, ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "passed", Version: 1, Marketing: "no", DoubleOptIn: "no", Lifetime: 3600, EffectHours: 1})
	f.covering("plain", "resting", "passed")
	snap := f.s.Log().Snapshot()
	notice, _, err := snap.Notice("more-de", 1)
	snap.Release()
	if err != nil {
		b.Fatal(err)
	}
	write := func(src Source, entries ...*ledger.Entry) (first ledger.Index) {
		err := f.s.do(ctx, src, func(t *turn) error {
			list, err := t.write(entries...)
			if err == nil {
				first = list[0].Entry.Index
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		return first
	}
	give := func(purpose, processor string) (all []ledger.ConsentID) {
		for len(all) < consents {
			var entries []*ledger.Entry
			for range 1000 {
				entries = append(entries, &ledger.Entry{Kind: ledger.ConsentGiven, Purpose: purpose, Channel: "email", Method: "paper", IPPolicy: "none",
					Notice: notice.NoticeRef, Commits: []ledger.Commitment{{Claim: "email"}}})
			}
			first := write(shop, entries...)
			for i := range entries {
				all = append(all, ledger.ConsentID(first)+ledger.ConsentID(i))
			}
		}
		for range uses {
			for some := range slices.Chunk(all, aboutPerEntry) {
				write(shop, &ledger.Entry{Kind: ledger.ConsentUsed, Processor: processor, About: some})
			}
		}
		return all
	}
	measure := func(name string, want string) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if w, err := f.s.Watch(ctx); err != nil || len(w.Items) > 0 != (want != "") {
					b.Fatal(err, showsWatch(w))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/look")
		})
	}
	give("plain", "")
	measure("plain", "")
	give("resting", "")
	measure("and_resting", "")
	f.engageFor("mailer-inc", "passed")
	all := give("passed", "mailer-inc")
	for some := range slices.Chunk(all[:consents/5], 300) {
		links := make([]ledger.Link, 0, len(some))
		for _, id := range some {
			links = append(links, ledger.Link{Consent: id, After: ledger.Index(id)})
		}
		if some[0] < all[consents/10] {
			write(shop, &ledger.Entry{Kind: ledger.ConsentWithdrawn, Consents: links})
			write(shop, &ledger.Entry{Kind: ledger.WithdrawalEffected, System: "mailer-inc", About: some})
		} else {
			i := write(shop, &ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17", Consents: links})
			f.tellsOf(i, "mailer-inc")
		}
	}
	measure("and_passed", "")
}
