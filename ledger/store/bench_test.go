package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// BenchmarkCommit measures groups from the first Append to the end of Commit:
// two synced writes, and one checkpoint signed with both keys.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			s := open(b, served(b))
			testledger.Fill(b, s, testledger.Prelude)
			var commit time.Duration
			b.ReportAllocs()
			for b.Loop() {
				g := begin(b, s)
				grow(b, g, n)
				start := time.Now()
				if err := g.Commit(nil); err != nil {
					b.Fatal(err)
				}
				commit += time.Since(start)
			}
			b.ReportMetric(float64(commit.Nanoseconds())/float64(b.N), "ns/commit")
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "entries/s")
			closeStore(b, s)
		})
	}
}

// hundredThousand makes a log of 100,000 entries.
func hundredThousand(b *testing.B) store.Options {
	opt := served(b)
	s := open(b, opt)
	const n = 100_000
	for size(s) < n {
		g := begin(b, s)
		grow(b, g, int(min(4096, n-size(s))))
		if err := g.Commit(nil); err != nil {
			b.Fatal(err)
		}
	}
	closeStore(b, s)
	return opt
}

// BenchmarkOpen measures opening a log of 100,000 entries that was closed.
func BenchmarkOpen(b *testing.B) {
	opt := hundredThousand(b)
	for b.Loop() {
		closeStore(b, open(b, opt))
	}
}

// BenchmarkCheck measures Check of a log of 100,000 entries.
func BenchmarkCheck(b *testing.B) {
	s := open(b, hundredThousand(b))
	p := s.Snapshot()
	for b.Loop() {
		if _, err := p.Check(nil); err != nil {
			b.Fatal(err)
		}
	}
	p.Release()
	closeStore(b, s)
}

// BenchmarkRead measures what auditors ask for, in a log of 100,000 entries.
func BenchmarkRead(b *testing.B) {
	s := open(b, hundredThousand(b))
	n := int64(0)
	run := func(name string, read func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n++
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("tile", func() error { _, err := s.Tile(0, n%390, 256); return err })
	run("bundle", func() error { _, err := s.EntryBundle(n%390, 256); return err })
	p := s.Snapshot()
	run("inclusion proof", func() error { _, err := p.InclusionProof(ledger.Index(n*7919%100_000), 100_000); return err })
	run("consistency proof", func() error { _, err := p.ConsistencyProof(ledger.Size(1+n*7919%99_999), 100_000); return err })
	p.Release()
	run("receipt", func() error { _, _, err := s.Receipt(ledger.Index(n*7919%100_000), 100_000); return err })
	run("receipt of an older size", func() error { _, _, err := s.Receipt(ledger.Index(n%50_000), 77_777); return err })
	closeStore(b, s)
}

// benchConsents is the variable that sets how many consents the log of
// BenchmarkState has; the default is 100,000.
const benchConsents = "STORE_BENCH_CONSENTS"

// BenchmarkState measures a state.committed after 1,000 consents of the log have
// changed, and what proves one consent under it.
func BenchmarkState(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv(benchConsents))
	if err != nil {
		n = 100_000
	}
	opt := served(b)
	s := open(b, opt)
	testledger.Fill(b, s, testledger.Prelude)
	first := ledger.ConsentID(size(s))
	for left := n; left > 0; left -= 4096 {
		g := begin(b, s)
		for range min(4096, left) {
			if _, err := g.Append(g.Last(), testledger.Requested(g.Next())); err != nil {
				b.Fatal(err)
			}
		}
		if err := g.Commit(nil); err != nil {
			b.Fatal(err)
		}
	}
	reopen := func(b *testing.B) { closeStore(b, s); s = open(b, opt) }
	rnd := rand.New(rand.NewPCG(1, 2))
	left := n // not withdrawn
	change := func(b *testing.B) (some ledger.ConsentID) {
		if left -= 1000; left < 0 {
			b.Fatalf("all consents are withdrawn; make more with %s", benchConsents)
		}
		g := begin(b, s)
		for changed := 0; changed < 1000; {
			c, _, err := g.Consent(first + ledger.ConsentID(rnd.IntN(n)))
			if err != nil {
				b.Fatal(err)
			}
			if c.State == ledger.Withdrawn {
				continue
			}
			e := &ledger.Entry{Kind: ledger.ConsentWithdrawn, Source: "shop", Consents: []ledger.Link{{Consent: c.ID, After: c.Last}}}
			if _, err := g.Append(g.Last(), e); err != nil {
				b.Fatal(err)
			}
			changed++
			some = c.ID
		}
		if err := g.Commit(nil); err != nil {
			b.Fatal(err)
		}
		return some
	}
	commit := func(b *testing.B) time.Duration {
		g := begin(b, s)
		start := time.Now()
		if err := g.CommitState(g.Last()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		if err := g.Commit(nil); err != nil {
			b.Fatal(err)
		}
		return took
	}
	prove := func(b *testing.B, id ledger.ConsentID) {
		if _, err := s.ConsentState(id); err != nil {
			b.Fatal(err)
		}
	}
	opened := func(name string, run func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				reopen(b)
				b.StartTimer()
				run(b)
			}
		})
	}
	commit(b)
	commits := func(name string, before func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				before(b)
				took += commit(b)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/commit")
		})
	}
	commits("commit after 1000 changes", func(b *testing.B) { change(b) })
	commits("commit after open", func(b *testing.B) { reopen(b); change(b) })
	commits("commit after open and warming", func(b *testing.B) { reopen(b); s.Warmed(); change(b) })
	some := change(b)
	b.Run("prove", func(b *testing.B) {
		for b.Loop() {
			prove(b, first+ledger.ConsentID(rnd.IntN(n)))
		}
	})
	b.Run("prove what changed since", func(b *testing.B) {
		for b.Loop() {
			prove(b, some)
		}
	})
	opened("prove after open", func(b *testing.B) { prove(b, some) })
	opened("warming", func(b *testing.B) { s.Warmed() })
	closeStore(b, s)
}
