package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// call makes one call over a client's connection and gives how many things it did:
// checks, items, appends. Nothing done and no error means that nothing is left.
type call func(ctx context.Context, c *client) (int, error)

// round lets the clients call as fast as they are answered, until the time is over
// or nothing is left to do.
func round(ctx context.Context, clients int, duration time.Duration, do call) *result {
	list := make([]*client, clients)
	for i := range list {
		list[i] = new(client)
		defer list[i].close()
	}
	r := newResult()
	r.drive(ctx, list, 0, duration, do)
	return r
}

// result is what was measured, in one round or in several turns.
type result struct {
	rate   float64         // things done per second
	sorted []time.Duration // of each call
	errors int64
	first  error

	elapsed time.Duration
	bytes   int64         // of answers
	server  time.Duration // CPU time of the server's processes
	self    time.Duration // and of those that call it

	begin time.Time
	mu    sync.Mutex // guards items, sorted, errors, first and bytes while clients call
	items int
}

func newResult() *result { return &result{begin: time.Now()} }

// drive adds what the clients do until the time is over or nothing is left to do.
// Without a rate each calls as fast as it is answered. With one, so many calls a second
// become due whether or not earlier ones are answered: a call that finds all clients
// waiting begins late, and its latency counts from when it was due. Calls that have not
// begun when as much time again is over are errors.
func (r *result) drive(ctx context.Context, clients []*client, rate float64, duration time.Duration, do call) {
	r.begin = time.Now()
	due, patience := int64(rate*duration.Seconds()), duration
	if rate > 0 {
		patience *= 2
	}
	// A round that is over waits for the answers that are on their way.
	over, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var begun atomic.Int64
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			m := measured{result: r}
			defer func() {
				m.bytes, c.bytes = c.bytes, 0
				m.done()
			}()
			for over.Err() == nil {
				since := time.Now()
				if rate > 0 {
					nth := begun.Add(1) - 1
					if nth >= due {
						return
					}
					since = r.begin.Add(time.Duration(float64(nth) / rate * float64(time.Second)))
					time.Sleep(time.Until(since))
				}
				n, err := do(over, c)
				if n == 0 && err == nil {
					begun.Store(due)
					return
				}
				m.note(n, time.Since(since), err)
			}
		})
	}
	wg.Wait()
	if late := due - begun.Load(); late > 0 && ctx.Err() == nil {
		r.errors += late
		r.first = fmt.Errorf("%d of %d calls had not begun after %v", late, due, patience)
	}
	r.finish()
}

// measured is one client's part of a result, handed over when it is done.
type measured struct {
	result *result
	items  int
	bytes  int64
	took   []time.Duration
}

func (m *measured) note(items int, took time.Duration, err error) {
	m.items += items
	m.took = append(m.took, took)
	if err == nil {
		return
	}
	m.result.mu.Lock()
	defer m.result.mu.Unlock()
	if m.result.errors++; m.result.first == nil {
		m.result.first = err
	}
}

func (m *measured) done() {
	m.result.mu.Lock()
	defer m.result.mu.Unlock()
	m.result.items += m.items
	m.result.bytes += m.bytes
	m.result.sorted = append(m.result.sorted, m.took...)
}

// finish ends a turn that began when the result was made or driven.
func (r *result) finish() *result {
	r.elapsed += time.Since(r.begin)
	r.rate = float64(r.items) / r.elapsed.Seconds()
	slices.Sort(r.sorted)
	return r
}

// at gives the latency that a share q of the calls did not exceed.
func (r *result) at(q float64) time.Duration {
	if len(r.sorted) == 0 {
		return 0
	}
	return r.sorted[int(float64(len(r.sorted)-1)*q)].Round(time.Microsecond)
}
