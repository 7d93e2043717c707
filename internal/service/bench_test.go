package service

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRequestConsent records requests of people who were never seen, each
// with a claim, by many callers in one process: what a server can do without
// its network. Every answer is durable.
func BenchmarkRequestConsent(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			f := newService(b, asServed)
			took := make([]time.Duration, b.N)
			next := make(chan int, b.N)
			for i := range b.N {
				next <- i
			}
			close(next)
			var wg sync.WaitGroup
			groups := f.s.vault.Record().Seq
			b.ResetTimer()
			used := -processorTime(b)
			for range callers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := range next {
						ask := asking(fmt.Sprintf("person%d@example.com", i))
						ask.Claims = map[string]string{"ip": "203.0.113.7"}
						began := time.Now()
						if _, err := f.s.RequestConsent(ctx, shop, ask); err != nil {
							b.Error(err)
							return
						}
						took[i] = time.Since(began)
					}
				}()
			}
			wg.Wait()
			b.StopTimer()
			used += processorTime(b)
			slices.Sort(took)
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(b.N)/float64(f.s.vault.Record().Seq-groups), "requests/group")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// processorTime is how much time of processors this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRequestAgain records one more request of somebody who has many: the
// one writer must not feel how many.
func BenchmarkRequestAgain(b *testing.B) {
	for _, before := range []int{1, 5000} {
		b.Run(fmt.Sprintf("before=%d", before), func(b *testing.B) {
			f := newService(b, asServed)
			f.requests("again@example.com", before)
			for b.Loop() {
				f.request("again@example.com")
			}
		})
	}
}

// BenchmarkCheckConsent asks about 100,000 people, by one caller and by many, one
// by one and a thousand at a time.
func BenchmarkCheckConsent(b *testing.B) {
	f := newService(b, asServed)
	const people, batch = 100_000, 1000
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i%people) }
	each(people, func(i int) {
		r, err := f.s.RequestConsent(ctx, shop, asking(who(i)))
		if err == nil {
			_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
		}
		if err != nil {
			b.Error(err)
		}
	})
	question := func(i int) Question {
		return Question{Subject: email(who(i * 7919)), Purpose: newsletter, Channel: "email"}
	}
	ask := func(b *testing.B, i int) {
		d, err := f.s.CheckConsent(ctx, question(i))
		if err != nil || !d.Allowed {
			b.Fatalf("%+v, %v", d, err)
		}
	}
	one := func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			ask(b, i)
		}
	}
	b.Run("one", one)
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				ask(b, i)
			}
		})
	})
	b.Run("many", func(b *testing.B) {
		questions := make([]Question, batch)
		for i := range questions {
			questions[i] = question(i)
		}
		for b.Loop() {
			for _, r := range f.s.CheckMany(ctx, questions) {
				if r.Err != nil || !r.Decision.Allowed {
					b.Fatalf("%+v", r)
				}
			}
		}
		b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "checks/s")
	})
	f.define(PurposeDefinition{ID: "email.open_tracking"})
	b.Run("tracking", one)
	f.define(PurposeDefinition{ID: newsletter, Marketing: true, DoubleOptIn: true, ValidityDays: 730, UnusedDays: 365, UnusedMeasure: "block"})
	b.Run("terms", one)
	f.suppress(email("somebody@example.com"), "", true)
	b.Run("suppressions", one)
}
