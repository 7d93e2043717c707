package tlog_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
)

// BenchmarkAppend appends entry after entry, each durable before the next, with the
// default publish interval divided by twenty, and reports the median and the 99th
// percentile of one append: witnesses must not show in them. Where they cosign it
// also reports how long the newest entry waited for that in the end.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name      string
		witnesses []func(http.Handler) http.Handler
		dead      bool
	}{
		{name: "no witness"},
		{name: "a dead witness", witnesses: []func(http.Handler) http.Handler{nil}, dead: true},
		{name: "a slow witness", witnesses: []func(http.Handler) http.Handler{slow(5 * time.Second)}},
		{name: "two good witnesses", witnesses: []func(http.Handler) http.Handler{nil, nil}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var lines, group string
			for i, change := range c.witnesses {
				name := []string{"a.example", "b.example"}[i]
				w := newWitness(b, name, change)
				lines, group = lines+w.lines, group+" "+name
				if c.dead {
					w.stop()
				}
			}
			s := testledger.New(b)
			testledger.Fill(b, s, 10)
			var k *collecting
			if len(c.witnesses) > 0 {
				k = collect(b, s, policyFor(b, lines, "", group), func(opt *tlog.CollectorOptions) { opt.RetryMin, opt.RetryMax = time.Second, time.Minute })
			}
			var took []time.Duration
			for b.Loop() {
				before := time.Now()
				testledger.Fill(b, s, 1)
				took = append(took, time.Since(before))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			if len(c.witnesses) == 2 {
				testledger.Fill(b, s, 1)
				before := time.Now()
				k.cosigned()
				b.ReportMetric(float64(time.Since(before).Milliseconds()), "cosigned-ms")
			}
		})
	}
}

// BenchmarkPublish measures what two local witnesses take for a checkpoint, from the
// moment that it is looked at: two requests at a time, four signatures made, written
// to disk twice and verified.
func BenchmarkPublish(b *testing.B) {
	x, y := newWitness(b, "a.example", nil), newWitness(b, "b.example", nil)
	k := newCollecting(b, 10, policyFor(b, x.lines+y.lines, "", "a.example b.example"))
	for b.Loop() {
		b.StopTimer()
		testledger.Fill(b, k.store, 1)
		b.StartTimer()
		tlog.Advance(k.c)
		_, want := k.store.Checkpoint()
		for {
			if _, size := k.log.Checkpoint(); size >= want {
				break
			}
			time.Sleep(50 * time.Microsecond)
		}
	}
}
