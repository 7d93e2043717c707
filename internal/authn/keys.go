package authn

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How old what was read may be: before a known key is accepted, and before an
// unknown one is refused.
const (
	maxAgeKnown   = time.Second
	maxAgeUnknown = time.Second / 10
)

// Keys is the file as a running server sees it.
//
// The file is read again, not merely looked at: it is small, and a replaced file
// can have the same size, time and inode as the one before.
type Keys struct {
	path     string
	log      *slog.Logger
	failures *Limiter
	failed   atomic.Int64
	uses     *uses
	now      func() time.Time

	mu     sync.Mutex // guards what follows
	file   *file
	paces  map[[32]byte]*pace // of the keys that have a rate, by their hash
	raw    []byte
	readAt time.Time
	fault  string // of the last reading; empty when it went well
}

// Load reads the file at path. The logger is told when the file can later not be
// read; it never sees a key.
//
// When the file becomes unreadable while the server runs, what was read last
// stays in force and the log says so: the command that edits the file leaves no
// such moment, and a full file table must not lock every caller out.
func Load(path string, log *slog.Logger) (*Keys, error) {
	k := &Keys{path: path, log: log, failures: NewLimiter(failuresPerMinute), now: time.Now,
		uses:  &uses{path: usesPath(path), log: log, pending: make(map[[32]byte]time.Time)},
		paces: make(map[[32]byte]*pace)}
	if err := k.read(); err != nil {
		return nil, fmt.Errorf("reading API keys: %w", err)
	}
	k.readAt = k.now()
	return k, nil
}

// WriteUses writes when keys were used last, as far as it was not yet written.
// Call it at the end; until then a timer does. What goes wrong is logged.
func (k *Keys) WriteUses() { k.uses.write() }

// Failed is how many requests [Keys.Middleware] has refused because they had no key
// that works.
func (k *Keys) Failed() int64 { return k.failed.Load() }

// Authenticate says whose key it is; false if nobody's, a revoked or an expired
// one. If wait is not 0, the key works but has called more often than its rate
// allows; that is how long the next call has to wait.
//
// How long it takes tells nothing about a key but whether it works, which the
// answer tells, too: unknown, revoked and expired keys go the same way.
func (k *Keys) Authenticate(bearer string) (id Identity, wait time.Duration, ok bool) {
	if !wellFormed(bearer) {
		return Identity{}, 0, false // no reading of the file can change that
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	r := k.find(bearer, now)
	if r == nil {
		return Identity{}, 0, false
	}
	if r.Rate != 0 {
		p := k.paces[r.hash]
		if p == nil {
			p = new(pace)
			k.paces[r.hash] = p
		}
		wait = p.take(now, r.Rate)
	}
	return Identity{r.Name, r.Role}, wait, true
}

// stillWorks says whether a key works that was accepted before. It is no further
// call, but a use.
func (k *Keys) stillWorks(bearer string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.find(bearer, k.now()) != nil
}

// find gives the key if it works, else nil, from a file that is young enough, and
// notes that it was used. Callers hold mu.
func (k *Keys) find(bearer string, now time.Time) *record {
	k.refresh(maxAgeKnown)
	r := k.file.find(bearer, now)
	if r == nil && k.refresh(maxAgeUnknown) {
		r = k.file.find(bearer, now)
	}
	if r != nil {
		k.uses.mark(r.hash, now)
	}
	return r
}

func wellFormed(bearer string) bool {
	secret, ok := strings.CutPrefix(bearer, keyPrefix)
	if !ok || len(bearer) != keyLength {
		return false
	}
	var b [32]byte
	return decode32(&b, secret) == nil
}

// find gives the key if it works, else nil. It compares with every key, in time
// that depends on their number only.
func (f *file) find(bearer string, now time.Time) (found *record) {
	h := f.hash(bearer)
	for i := range f.keys {
		r := &f.keys[i]
		if subtle.ConstantTimeCompare(h[:], r.hash[:]) == 1 && !r.ended(now) {
			found = r
		}
	}
	return found
}

// refresh reads the file again if what is known is at least that old, and says
// whether it did. Callers hold mu.
func (k *Keys) refresh(maxAge time.Duration) bool {
	now := k.now()
	if now.Sub(k.readAt) < maxAge {
		return false
	}
	k.readAt = now
	fault := ""
	if err := k.read(); err != nil {
		fault = err.Error()
	}
	if fault != k.fault {
		if fault != "" {
			k.log.Error("the API keys cannot be read; those read before stay in force", "error", fault)
		} else {
			k.log.Info("the API keys can be read again")
		}
		k.fault = fault
	}
	return true
}

func (k *Keys) read() error {
	raw, err := readFile(k.path)
	if err != nil {
		return err
	}
	if bytes.Equal(raw, k.raw) {
		return nil
	}
	f, err := parseFile(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	k.file, k.raw = f, raw
	return nil
}
