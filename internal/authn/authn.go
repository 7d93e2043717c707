// Package authn says who is calling: API keys, their roles, and the HTTP
// middleware that asks for them.
//
// Start with [Add], which makes a key, and [Keys.Middleware], which demands one.
// Keys live in one file that holds keyed hashes only; the key itself is shown
// once, when it is made. The server re-reads the file while it runs, so a key
// that is added works and a key that is revoked stops working within a second.
// When each key was used last stands in a file of its own beside it, which nothing
// depends on.
//
// Who calls is decided in one place, identify; [Identity] is all that the rest of
// the program knows of it.
// All functions and methods are safe for concurrent use; edits of the file by
// several processes are serialised with a file lock.
package authn

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Role says which service a key may call; each role sees one.
type Role string

// The roles. They are DESIGN § 8's.
const (
	App     Role = "app"
	Auditor Role = "auditor"
	Legal   Role = "legal"
	Admin   Role = "admin"
)

// Nobody is the role of a caller without a key that works.
const Nobody Role = ""

// ParseRole returns the role that s names.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case App, Auditor, Legal, Admin:
		return r, nil
	}
	return "", errors.New("role must be app, auditor, legal or admin")
}

// Identity is who called: the key's name, which stands in the log as the source
// of entries, and its role.
type Identity struct {
	Name string
	Role Role
}

// Key is what is known about one key, without its hash.
type Key struct {
	Name     string
	Role     Role
	Created  time.Time // whole seconds, UTC; so are the times below
	Expires  time.Time // zero for never
	Rate     int       // calls per second; 0 for no limit
	Revoked  time.Time // zero if it was not
	LastUsed time.Time // zero for never; up to a minute behind a running server
}

// ended says whether the key works no more at a time.
func (k *Key) ended(at time.Time) bool {
	return !k.Revoked.IsZero() || !k.Expires.IsZero() && !at.Before(k.Expires)
}

// MaxRate is the largest rate that a key may be given.
const MaxRate = 1_000_000

func checkRate(rate int) error {
	if rate < 0 || rate > MaxRate {
		return fmt.Errorf("a rate must be 1 to %d calls per second, or 0 for no limit", MaxRate)
	}
	return nil
}

// Reserved is the name under which the ledger itself makes entries; no key can
// have it.
const Reserved = "ledger"

var (
	nameShape  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	firstLast  = regexp.MustCompile(`^[a-z]{2,}[._][a-z]{2,}$`)
	topLevel   = regexp.MustCompile(`\.(at|ch|com|de|eu|info|net|org)$`)
	phoneShape = regexp.MustCompile(`^[0-9][0-9._-]{5,}$`)
)

// checkName refuses what cannot be a key's name. A name stands in the log for
// ever, where nothing personal may stand; so one that looks like first.last, an
// address or a phone number is refused unless insist says that it is none.
// Limits: a hyphen joins the words of too many good names (shop-frontend) to be
// suspicious, so anna-muster passes.
func checkName(name string, insist bool) error {
	if !nameShape.MatchString(name) {
		return errors.New("name must be 1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first one a letter or digit")
	}
	if name == Reserved {
		return fmt.Errorf("the name %q is reserved for the ledger's own entries", Reserved)
	}
	personal := topLevel.MatchString(name) || phoneShape.MatchString(name) || firstLast.MatchString(name)
	if personal && !insist {
		return errors.New("the name looks like a person's name, address or phone number, and it would stand in the log for ever; choose another or insist")
	}
	return nil
}

type contextKey int

const (
	identityKey contextKey = iota
	observerKey
)

// FromContext returns who called, inside a handler behind [Keys.Middleware].
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey).(Identity)
	return id, ok
}

// Observed is filled in by [Keys.Middleware] for somebody outside of it: the
// request log. It belongs to the goroutine that serves the request.
type Observed struct {
	Identity Identity // zero when the key was not accepted
	Allowed  bool     // whether the caller may use the path
}

// Observe returns a context under which the middleware tells the result who
// called.
func Observe(ctx context.Context) (context.Context, *Observed) {
	o := new(Observed)
	return context.WithValue(ctx, observerKey, o), o
}
