package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/load/storm"
)

type soakCmd struct {
	ledgerPrograms
	Duration time.Duration `help:"How long in all: a tenth finds the capacity, three tenths warm up, six tenths are judged." default:"2h"`
	Callers  int           `help:"How many callers there are at most at once." default:"32"`
}

func (*soakCmd) Help() string {
	return `Has callers of every role use ledgerd, over Connect, JSON, gRPC and streams: questions, requests, clicks, withdrawals,
erasures, proofs, bundles, reports, and calls that are refused. First as fast as they are answered, which is the capacity;
then at half of that. The server's own memory, its goroutines and its open files must be flat; the ledger's tables, which are
mapped and kept open, grow with it.

What is flat: over the time that is judged, a number may grow by a tenth of its median, or by what is printed as allowed if
that is more. So a short run finds what grows fast, and a long one what grows slowly. The database's own caches and tables in
memory fill for some minutes on a new ledger.

A call that is turned away because the server has too much of its kind to do is made again, a second later. Any other
answer that was not to be expected ends the run with exit code 1; so does what is not flat.

Examples:

    go run ./internal/load soak --duration 3m
    go run ./internal/load soak --duration 2h`
}

// Run soaks, and prints figures.
func (c *soakCmd) Run(ctx context.Context) error {
	return inStorm(ctx, c.ledgerPrograms, func(s *stormy) error { return c.soak(ctx, s) })
}

func (c *soakCmd) soak(ctx context.Context, s *stormy) error {
	keys := map[authn.Role]string{authn.App: s.app, authn.Auditor: s.auditor}
	for _, role := range []authn.Role{authn.Legal, authn.Admin} {
		key, err := authn.Add(filepath.Join(data(s.dir), "apikeys"), "soak-"+string(role), role, authn.Options{})
		if err != nil {
			return err
		}
		keys[role] = key
	}
	server, err := storm.Serve(s.programs.Ledgerd, data(s.dir), append([]string{"--admin-listen", "127.0.0.1:0"}, s.flags...)...)
	if err != nil {
		return err
	}
	defer server.Kill()
	metrics, ok := strings.CutPrefix(server.Line(), "Metrics at ")
	if !ok {
		return errors.New("the server does not say where its metrics are")
	}
	callers := newSoakers(server.URL, keys)
	full := callers.run(ctx, c.Callers, c.Duration/10, 0)
	if full.first != nil {
		return full.first
	}
	fmt.Printf("capacity: %.0f calls/s with %d callers; %d calls were turned away and made again\n", full.rate, c.Callers, callers.shed.Swap(0))

	// Sampling begins with the warm-up, so that metrics that cannot be read show early.
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	sampled := make(chan error, 1)
	var samples []sample
	begin, every := time.Now(), max(c.Duration/200, 500*time.Millisecond)
	go func() {
		for {
			values, err := takeSample(ctx, metrics, server.Process.Pid)
			if err != nil {
				sampled <- err
				return
			}
			samples = append(samples, sample{time.Since(begin), values})
			select {
			case <-sampling.Done():
				sampled <- nil
				return
			case <-time.After(every):
			}
		}
	}()
	half := callers.run(ctx, c.Callers, c.Duration*9/10, full.rate/2)
	stop()
	if err := errors.Join(<-sampled, half.first, ctx.Err()); err != nil {
		return err
	}
	judged := samples[len(samples)/3:]
	if len(judged) < 3 {
		return fmt.Errorf("%v is too short: there are %d samples", c.Duration, len(samples))
	}
	fmt.Printf("at half of that: %.0f calls/s, p50 %v, p99 %v, longest %v; %d calls were turned away and made again\n",
		half.rate, half.at(.5), half.at(.99), half.at(1), callers.shed.Load())
	all := trends(judged)
	fmt.Printf("judged: %d samples over %v\n", len(judged), (judged[len(judged)-1].at - judged[0].at).Round(time.Second))
	printTrends(all)
	if err := errors.Join(server.Stop(), server.Log.Check()); err != nil {
		return err
	}
	return flat(all)
}

// run has callers call in the mix, so many times a second, as fast as they are answered if
// rate is 0. An answer that was not to be expected ends it.
func (s *soakers) run(ctx context.Context, callers int, duration time.Duration, rate float64) *result {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	turns := make(chan struct{}, callers)
	go func() {
		defer close(turns)
		begin := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			if rate > 0 {
				time.Sleep(time.Until(begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))))
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}()
	mix := s.calls()
	sum := 0
	for _, c := range mix {
		sum += c.weight
	}
	r := newResult()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			m := measured{result: r}
			defer m.done()
			for range turns {
				call, at := mix[0], mathrand.IntN(sum)
				for _, call = range mix {
					if at -= call.weight; at < 0 {
						break
					}
				}
				took, err := s.patiently(ctx, call)
				switch {
				case call.asExpected(err):
					err = nil
				case errors.Is(err, errNoTime):
					continue
				default:
					err = fmt.Errorf("%s: %w", call.name, cmp.Or(err, errors.New("was to be refused")))
					cancel()
				}
				m.note(1, took, err)
			}
		})
	}
	wg.Wait()
	return r.finish()
}

var errNoTime = errors.New("turned away, and the time is over")

// patiently calls, and again while the server is too busy for this kind of call, as often
// as there is time.
func (s *soakers) patiently(ctx context.Context, call soakCall) (took time.Duration, err error) {
	for {
		begin := time.Now()
		err = call.do(context.WithoutCancel(ctx))
		if connect.CodeOf(err) != connect.CodeResourceExhausted || call.asExpected(err) {
			return time.Since(begin), err
		}
		s.shed.Add(1)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return 0, errNoTime
		}
	}
}
