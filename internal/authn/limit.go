package authn

import (
	"net/netip"
	"sync"
	"time"
)

// failuresPerMinute is how many failed authentications of one address are
// answered as such; further ones within the minute are resource_exhausted.
const failuresPerMinute = 100

// maxAddresses bounds the memory of a Limiter; addresses beyond it share one
// count until the minute is over.
const maxAddresses = 10_000

// Limiter counts failures per address in windows of one minute. Use it for
// failed authentication and for unknown tokens, never for calls that succeed.
//
// Limits: an IPv6 address counts with its /64, which one customer holds; behind
// a proxy all callers are one address.
type Limiter struct {
	perMinute int
	now       func() time.Time

	mu     sync.Mutex // guards what follows
	window time.Time  // when it began
	counts map[netip.Addr]int
	rest   int
}

// NewLimiter returns a limiter that lets perMinute failures of an address pass
// each minute.
func NewLimiter(perMinute int) *Limiter {
	return &Limiter{perMinute: perMinute, now: time.Now, counts: make(map[netip.Addr]int)}
}

// Fail counts one failure. If that was too many, it gives how long the address has
// to wait until its failures count anew, else 0. addr is a request's remote
// address, "host:port"; what cannot be parsed is counted together.
func (l *Limiter) Fail(addr string) (wait time.Duration) {
	host := network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.window) >= time.Minute {
		l.window = now
		l.rest = 0
		clear(l.counts)
	}
	n, known := l.counts[host]
	n++
	if known || len(l.counts) < maxAddresses {
		l.counts[host] = n
	} else {
		l.rest++
		n = l.rest
	}
	if n <= l.perMinute {
		return 0
	}
	return l.window.Add(time.Minute).Sub(now)
}

func network(addr string) netip.Addr {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		p, err := a.Prefix(64)
		if err != nil {
			return netip.Addr{}
		}
		return p.Addr()
	}
	return a
}

// pace spreads the calls of one key. A key that has waited for a second may make
// the calls of a second at once; over any time t it makes at most rate·(t + 1 s).
//
// This is the generic cell rate algorithm (ITU-T I.371, virtual scheduling): free
// is when everything let through would have been made evenly.
type pace struct{ free time.Time }

// take lets one call through, or says how long it has to wait. Calls that wait are
// not counted.
func (p *pace) take(now time.Time, rate int) (wait time.Duration) {
	each := (time.Second + time.Duration(rate) - 1) / time.Duration(rate) // rounded up, so that it is never too many
	free := p.free
	if free.Before(now) {
		free = now
	}
	if wait = free.Add(each).Sub(now) - time.Duration(rate)*each; wait > 0 {
		return wait
	}
	p.free = free.Add(each)
	return 0
}
