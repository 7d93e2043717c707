package authn

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
	now      func() time.Time

	mu     sync.Mutex // guards what follows
	file   *file
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
	k := &Keys{path: path, log: log, failures: NewLimiter(failuresPerMinute), now: time.Now}
	if err := k.read(); err != nil {
		return nil, fmt.Errorf("reading API keys: %w", err)
	}
	k.readAt = k.now()
	return k, nil
}

// Authenticate says whose key it is; false if nobody's, or a revoked one.
func (k *Keys) Authenticate(bearer string) (Identity, bool) {
	if !wellFormed(bearer) {
		return Identity{}, false // no reading of the file can change that
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh(maxAgeKnown)
	if id, ok := k.file.find(bearer); ok {
		return id, true
	}
	if !k.refresh(maxAgeUnknown) {
		return Identity{}, false
	}
	return k.file.find(bearer)
}

func wellFormed(bearer string) bool {
	secret, ok := strings.CutPrefix(bearer, keyPrefix)
	if !ok || len(bearer) != keyLength {
		return false
	}
	var b [32]byte
	return decode32(&b, secret) == nil
}

// find compares with every key, in time that depends on their number only.
func (f *file) find(bearer string) (id Identity, ok bool) {
	h := f.hash(bearer)
	for i := range f.keys {
		r := &f.keys[i]
		if subtle.ConstantTimeCompare(h[:], r.hash[:]) == 1 && r.Revoked.IsZero() {
			id, ok = Identity{r.Name, r.Role}, true
		}
	}
	return id, ok
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
