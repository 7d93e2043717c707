package ledger

import (
	"os"
	"strconv"
	"sync"
	"testing"
)

// benchEntries is the variable that sets the size of the benchmarks' log; the
// default is 100,000 entries.
const benchEntries = "LEDGER_BENCH_ENTRIES"

// benchLog is built once, because signing and encoding it takes longer than
// what is measured. Its entries are a fifth each of requests, confirmation
// mails, confirmations and uses, and fewer withdrawals.
var benchLog = sync.OnceValues(func() (*logForTest, filesForTest) {
	size := 100_000
	if n, err := strconv.Atoi(os.Getenv(benchEntries)); err == nil {
		size = n
	}
	l := newLogForTest(benchTB{})
	ref := l.prelude()
	for len(l.texts) < size {
		l.fill(ref, min(len(l.texts)+65536, size))
		l.commitState()
	}
	return l, l.files()
})

// benchTB fails a benchmark's set-up, which belongs to no one benchmark.
type benchTB struct{ testing.TB }

func (benchTB) Helper()                   {}
func (benchTB) Fatal(args ...any)         { panic(args) }
func (benchTB) Fatalf(f string, a ...any) { panic([]any{f, a}) }

func perSecond(b *testing.B, entries int) {
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkParseEntry(b *testing.B) {
	l, _ := benchLog()
	bytes := 0
	for _, text := range l.texts {
		bytes += len(text)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := ParseEntry(l.texts[7+i%(len(l.texts)-7)]); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, 1)
	b.ReportMetric(float64(bytes)/float64(len(l.texts)), "bytes/entry")
}

func BenchmarkEncodeEntry(b *testing.B) {
	l, _ := benchLog()
	entries := make([]*Entry, 1000)
	for i := range entries {
		var err error
		if entries[i], err = ParseEntry(l.texts[7+i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := entries[i%len(entries)].Encode(); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, 1)
}

// BenchmarkSignCheckpoint signs with both keys, BenchmarkOpenCheckpoint verifies both
// signatures.
func BenchmarkSignCheckpoint(b *testing.B) {
	s, _, _ := hybridForTest(b)
	c := checkpointForTest(b, s.Origin(), 5)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.SignCheckpoint(c, 1_700_000_000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenCheckpoint(b *testing.B) {
	_, p, signed := hybridForTest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OpenCheckpoint(signed, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStep replays the whole log: chain, rules and state trees, without
// parsing and hashing.
func BenchmarkStep(b *testing.B) {
	l, _ := benchLog()
	entries := make([]*Entry, len(l.texts))
	leaves := make([]Hash, len(l.texts))
	for i, text := range l.texts {
		var err error
		if entries[i], err = ParseEntry(text); err != nil {
			b.Fatal(err)
		}
		leaves[i] = LeafHash(text)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := NewReplay()
		for i, e := range entries {
			if _, err := r.Add(e, leaves[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	perSecond(b, len(entries))
}

func BenchmarkVerifyLog(b *testing.B) {
	l, files := benchLog()
	policy := l.policy()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := VerifyLog(b.Context(), files, VerifyOptions{Policy: policy}); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, len(l.texts))
}
