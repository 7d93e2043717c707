package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/consentledger/consentledger/internal/service"
)

type eraseCmd struct {
	Dir     string `help:"A new directory for the ledger." required:""`
	People  int64  `help:"How many people are known when erasing begins." default:"1000000"`
	Batch   int64  `help:"How many of them are erased at once." default:"1000"`
	Callers int    `help:"How many callers post at once while filling." default:"256"`
}

// Run measures what an erasure costs among many people, and what others notice
// of it: it fills a ledger, erases one person, then a batch of them at once,
// replaces the key of the blind index and opens the ledger again.
func (c *eraseCmd) Run(ctx context.Context) error {
	m := &erasing{cmd: c, opt: service.Options{Dir: data(c.Dir), EraseWindow: 500 * time.Millisecond}}
	if err := create(ctx, c.Dir); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{m.open, m.fill, m.reopen, m.quiet, m.one, m.batch, m.rekey, m.reopen} {
		if err := step(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return m.s.Close()
}

// erasing is one run. People are numbered from 1; erased counts those who are gone.
type erasing struct {
	cmd    *eraseCmd
	opt    service.Options
	s      *service.Service
	erased int64
}

func (m *erasing) open(context.Context) (err error) {
	m.s, err = service.Open(m.opt)
	return err
}

func (m *erasing) reopen(ctx context.Context) error {
	if err := m.s.Close(); err != nil {
		return err
	}
	start := time.Now()
	if err := m.open(ctx); err != nil {
		return err
	}
	fmt.Printf("start of the ledger: %v\n", time.Since(start).Round(time.Millisecond))
	return nil
}

// fill makes everybody known, one request each with three claims.
func (m *erasing) fill(ctx context.Context) error {
	start := time.Now()
	err := everybody(ctx, "making people known", m.cmd.Callers, 1, m.cmd.People, func(n int64) error {
		_, err := m.s.RequestConsent(ctx, app, request(n))
		return err
	})
	took := time.Since(start)
	fmt.Printf("%d people made known by %d callers: %.0f/s, %v each of the one writer's time\n",
		m.cmd.People, m.cmd.Callers, float64(m.cmd.People)/took.Seconds(), (took / time.Duration(m.cmd.People)).Round(time.Microsecond))
	return err
}

func (m *erasing) quiet(ctx context.Context) error {
	return m.beside(ctx, "nothing", func() error { time.Sleep(5 * time.Second); return nil })
}

// one erases one person, five times.
func (m *erasing) one(ctx context.Context) error {
	window := m.opt.EraseWindow
	var times []time.Duration
	before := written()
	for range 5 {
		start := time.Now()
		if err := m.erase(ctx, m.erased+1); err != nil {
			return err
		}
		m.erased++
		times = append(times, time.Since(start)-window)
	}
	slices.Sort(times)
	fmt.Printf("erasing one of %d people: median %v beside the window of %v, %.1f MB written each\n",
		m.cmd.People, times[2].Round(time.Millisecond), window, float64(written()-before)/5e6)
	return nil
}

func (m *erasing) erase(ctx context.Context, n int64) error {
	_, err := m.s.EraseSubject(ctx, app, service.Erasure{Subject: request(n).Subject, Reason: "art17", Mode: "shred_now"})
	return err
}

// batch erases many people at once while others check and record.
func (m *erasing) batch(ctx context.Context) error {
	first, last := m.erased+1, m.erased+m.cmd.Batch
	before := written()
	err := m.beside(ctx, fmt.Sprintf("erasing %d people at once", m.cmd.Batch), func() error {
		return everybody(ctx, "erasing", int(m.cmd.Batch), first, last, func(n int64) error { return m.erase(ctx, n) })
	})
	fmt.Printf("  %.1f MB written meanwhile\n", float64(written()-before)/1e6)
	m.erased = last
	return err
}

func (m *erasing) rekey(ctx context.Context) error {
	return m.beside(ctx, "replacing the key of the blind index", func() error {
		if err := m.s.RekeyIndex(ctx); err != nil {
			return err
		}
		for {
			st, err := m.s.ErasureStatus(ctx)
			if err != nil || !st.Rekeying {
				return err
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// beside runs work and measures what one caller who checks and one who records
// notice of it.
func (m *erasing) beside(ctx context.Context, what string, work func() error) error {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var checks, appends latencies
	var failed [2]error
	observe := func(i int, l *latencies, call func(n int64) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := m.cmd.People; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				start := time.Now()
				if failed[i] = call(n); failed[i] != nil {
					return
				}
				*l = append(*l, time.Since(start))
			}
		}()
	}
	observe(0, &checks, func(n int64) error {
		who := m.erased + m.cmd.Batch + 1 + n%(m.cmd.People-m.erased-m.cmd.Batch)
		_, err := m.s.CheckConsent(ctx, service.Question{Subject: request(who).Subject, Purpose: "newsletter", Channel: "email"})
		return err
	})
	observe(1, &appends, func(n int64) error {
		r := request(n)
		r.Subject.Email = fmt.Sprintf("new-%d-%s", time.Now().UnixNano(), r.Subject.Email)
		_, err := m.s.RequestConsent(ctx, app, r)
		return err
	})
	start := time.Now()
	err := work()
	took := time.Since(start)
	close(done)
	wg.Wait()
	fmt.Printf("%s: %v\n  checks meanwhile  %v\n  appends meanwhile %v\n", what, took.Round(time.Millisecond), &checks, &appends)
	for _, e := range append(failed[:], err) {
		if e != nil {
			return e
		}
	}
	return nil
}

type latencies []time.Duration

func (l *latencies) String() string {
	if len(*l) == 0 {
		return "none"
	}
	slices.Sort(*l)
	at := func(q float64) time.Duration { return (*l)[int(q*float64(len(*l)-1))].Round(time.Microsecond) }
	return fmt.Sprintf("%d, p50 %v, p99 %v, longest %v", len(*l), at(0.5), at(0.99), at(1))
}
