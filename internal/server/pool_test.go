package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// naive is a pool that keeps a list of who holds what.
type naive struct {
	size int64
	held []string
}

func (n *naive) of(key string) (count int64) {
	for _, k := range n.held {
		if k == key {
			count++
		}
	}
	return count
}

func TestPoolAgainstANaiveOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 9).Draw(t, "size")
		p, n := newPool(size), &naive{size: size}
		shed := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				key, many := rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "key"), rapid.Int64Range(1, 4).Draw(t, "n")
				share := max(1, size*3/4)
				want := int64(len(n.held))+many <= size && n.of(key)+many <= share
				if p.take(key, many) != want {
					t.Fatalf("%q takes %d of %d, held %q: want %t", key, many, size, n.held, want)
				}
				if !want {
					shed++
				}
				for range many {
					if want {
						n.held = append(n.held, key)
					}
				}
			},
			"await": func(t *rapid.T) {
				key, many := rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "key"), rapid.Int64Range(0, 4).Draw(t, "n")
				want := int64(len(n.held))+many <= size && n.of(key)+many <= max(1, size*3/4)
				if p.await(context.Background(), key, many, 0) != want {
					t.Fatalf("%q awaits %d of %d, held %q: want %t", key, many, size, n.held, want)
				}
				if !want {
					shed++
					return
				}
				for range many {
					n.held = append(n.held, key)
				}
			},
			"give": func(t *rapid.T) {
				if len(n.held) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(n.held)-1).Draw(t, "i")
				p.give(n.held[i], 1)
				n.held = append(n.held[:i:i], n.held[i+1:]...)
			},
			"": func(t *rapid.T) {
				if got := p.load(); got != (Load{int64(len(n.held)), size, shed}) {
					t.Fatalf("%+v, want %d of %d, %d shed", got, len(n.held), size, shed)
				}
				if len(n.held) == 0 && len(p.by) != 0 {
					t.Fatalf("keys are left: %v", p.by)
				}
			},
		})
	})
}

func TestPoolQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(2)
		if !p.enter(t.Context(), "a", 0) || !p.enter(t.Context(), "b", 0) {
			t.Fatal("an empty pool is full")
		}
		begin := time.Now()
		if p.enter(t.Context(), "c", patience) || time.Since(begin) != patience {
			t.Errorf("a full pool was entered, or not waited for: %v", time.Since(begin))
		}
		if begin = time.Now(); p.enter(t.Context(), "b", patience) || time.Since(begin) != 0 {
			t.Errorf("a key with its share waited for %v", time.Since(begin))
		}
		gone, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if begin = time.Now(); p.enter(gone, "c", patience) || time.Since(begin) != time.Millisecond {
			t.Errorf("a caller that is gone was waited for: %v", time.Since(begin))
		}

		// The one that waits longest is next.
		var order []string
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, key := range []string{"c", "d", "e"} {
			wg.Go(func() {
				if p.enter(t.Context(), key, patience) {
					mu.Lock()
					order = append(order, key)
					mu.Unlock()
				}
			})
			synctest.Wait()
		}
		p.give("a", 1)
		synctest.Wait()
		p.give("b", 1)
		wg.Wait()
		if fmt.Sprint(order) != "[c d]" {
			t.Errorf("entered: %q", order)
		}
		if got := p.load(); got != (Load{2, 2, 4}) || len(p.by) != 2 {
			t.Errorf("%+v %v", got, p.by)
		}
	})
}

// However many come at once, no more than fit are inside, and all leave.
func TestPoolUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPool(4)
	var inside, most, entered atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			key := fmt.Sprint(i % 3)
			for range 50 {
				if !p.enter(t.Context(), key, time.Millisecond) {
					continue
				}
				now := inside.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				entered.Add(1)
				time.Sleep(10 * time.Microsecond)
				inside.Add(-1)
				p.give(key, 1)
			}
		})
	}
	wg.Wait()
	if most.Load() > 4 || entered.Load() == 0 {
		t.Errorf("%d at once, %d in all", most.Load(), entered.Load())
	}
	if got := p.load(); got.Used != 0 || len(p.by) != 0 || len(p.waiting) != 0 || got.Shed+entered.Load() != 64*50 {
		t.Errorf("afterwards: %+v, %v, entered %d", got, p.by, entered.Load())
	}
}
