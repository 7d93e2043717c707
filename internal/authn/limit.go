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

// Fail counts one failure and says whether that was too many. addr is a
// request's remote address, "host:port"; what cannot be parsed is counted
// together.
func (l *Limiter) Fail(addr string) (tooMany bool) {
	host := network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.window) >= time.Minute {
		l.window = now
		l.rest = 0
		clear(l.counts)
	}
	n, known := l.counts[host]
	if !known && len(l.counts) >= maxAddresses {
		l.rest++
		return l.rest > l.perMinute
	}
	l.counts[host] = n + 1
	return n+1 > l.perMinute
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
