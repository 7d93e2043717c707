package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// BenchmarkCommit measures groups from the first Append to the end of Commit:
// two synced writes, and one checkpoint signed with both keys.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			s := open(b, options(b))
			testledger.Fill(b, s, testledger.Prelude)
			var commit time.Duration
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
	opt := options(b)
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
	run("receipt", func() error { _, _, err := s.Receipt(ledger.Index(n*7919%100_000), 100_000); return err })
	run("receipt of an older size", func() error { _, _, err := s.Receipt(ledger.Index(n%50_000), 77_777); return err })
	closeStore(b, s)
}
