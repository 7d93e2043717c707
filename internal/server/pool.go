package server

import (
	"context"
	"sync"
	"time"
)

// pool is something of which there is so much: places, or bytes. No key has more
// than three quarters of it, so that whatever one caller does, others get through.
type pool struct {
	size int64

	mu      sync.Mutex // guards what follows
	held    int64
	by      map[string]int64 // what each key holds, and waits for
	waiting []chan struct{}  // each wants one; closed when it has it
	freed   chan struct{}    // closed when something is given back; nil if nobody awaits that
	shed    int64            // how often there was not enough
}

func newPool(size int64) *pool { return &pool{size: size, by: make(map[string]int64)} }

// share is the most that one key has.
func (p *pool) share() int64 { return max(1, p.size/4*3+p.size%4*3/4) }

// take takes n, now or not at all.
func (p *pool) take(key string, n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held+n > p.size || p.by[key]+n > p.share() {
		p.shed++
		return false
	}
	p.held += n
	p.by[key] += n
	return true
}

// enter takes one, and waits for it as long as ctx is not done and patience lasts.
// Who waits longest is served first.
func (p *pool) enter(ctx context.Context, key string, patience time.Duration) bool {
	p.mu.Lock()
	if p.by[key]+1 > p.share() {
		p.shed++
		p.mu.Unlock()
		return false
	}
	p.by[key]++
	if p.held < p.size {
		p.held++
		p.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiting {
		if w == turn {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			p.forget(key, 1)
			p.shed++
			return false
		}
	}
	return true // the turn came at the last moment
}

// await takes n, and waits until there is enough as long as ctx is not done and
// patience lasts. Who wants much may have to wait for who wants little.
func (p *pool) await(ctx context.Context, key string, n int64, patience time.Duration) bool {
	if n == 0 {
		return true
	}
	var timer *time.Timer
	for {
		p.mu.Lock()
		if p.held+n <= p.size && p.by[key]+n <= p.share() {
			p.held += n
			p.by[key] += n
			p.mu.Unlock()
			return true
		}
		if p.freed == nil {
			p.freed = make(chan struct{})
		}
		freed := p.freed
		p.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		select {
		case <-freed:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.shed++
		return false
	}
}

// give gives back n.
func (p *pool) give(key string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(key, n)
	p.held -= n
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
	for p.held < p.size && len(p.waiting) > 0 {
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
		p.held++
	}
}

func (p *pool) forget(key string, n int64) {
	if p.by[key] -= n; p.by[key] == 0 {
		delete(p.by, key)
	}
}

// Load is how much of something is in use.
type Load struct {
	Used, Size int64
	Shed       int64 // requests, or connections, that were turned away since the start
}

func (p *pool) load() Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Load{p.held, p.size, p.shed}
}
