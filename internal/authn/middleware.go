package authn

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/refusal"
)

// Middleware lets a request through to next only with a key whose role may use
// the path, as allow says. [FromContext] then tells next who called. Where allow
// says that [Nobody] may use the path, no key is needed, and one that does not
// work does no harm.
//
// No key elsewhere, an unknown, a revoked or an expired one: unauthenticated
// (401), for all alike. A role that may not use the path, whether or not there is
// anything: permission_denied (403). After 100 failures of one address within a minute its
// further ones are resource_exhausted (429); a working key is not limited by its
// address, so a stranger behind the same proxy cannot lock an application out. A
// key that calls more often than its rate allows is resource_exhausted, too, on
// whatever path; a stream or a batch is one call. Both say in Retry-After how long
// to wait. Answers are Connect errors, or gRPC's where the request is gRPC. The
// body of a refused request is not read.
//
// What a caller still sends more than a second after their key ended is not read,
// and a stream that waits for it ends as unauthenticated. What was read before is
// answered.
func (k *Keys) Middleware(next http.Handler, allow func(role Role, path string) bool) http.Handler {
	errorWriter := connect.NewErrorWriter()
	refuse := func(w http.ResponseWriter, r *http.Request, code connect.Code, reason string) {
		w.Header().Set("Cache-Control", "no-store")
		// Nothing can be done about a caller who has gone.
		_ = errorWriter.Write(w, r, connect.NewError(code, errors.New(reason)))
	}
	exhausted := func(w http.ResponseWriter, r *http.Request, wait time.Duration, reason string) {
		w.Header().Set("Retry-After", refusal.RetryAfter(wait))
		refuse(w, r, connect.CodeResourceExhausted, reason)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, wait, works := k.identify(r)
		ok := works != nil
		if !ok && !allow(Nobody, r.URL.Path) {
			k.failed.Add(1)
			if wait := k.failures.Fail(r.RemoteAddr); wait > 0 {
				exhausted(w, r, wait, "too many failed authentications from this address; wait a minute")
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="consent ledger"`)
			refuse(w, r, connect.CodeUnauthenticated, "an API key is needed: Authorization: Bearer clk_…")
			return
		}
		observed, _ := r.Context().Value(observerKey).(*Observed)
		if observed != nil {
			observed.Identity = id
		}
		if wait > 0 {
			exhausted(w, r, wait, "this key calls more often than it may; wait as long as Retry-After says")
			return
		}
		if !allow(id.Role, r.URL.Path) {
			refuse(w, r, connect.CodePermissionDenied, "a key of role "+string(id.Role)+" may not call this")
			return
		}
		if observed != nil {
			observed.Allowed = true
		}
		if ok {
			r = r.WithContext(context.WithValue(r.Context(), identityKey, id))
			if r.Body != nil && r.Body != http.NoBody {
				r.Body = &body{ReadCloser: r.Body, works: works, now: k.now, asked: k.now()}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// identify says who sent a request, and gives what tells whether that still holds;
// nil if it is nobody. It is the one place that does: another way of showing who
// one is, such as a client certificate (r.TLS) or a signed token, is asked for
// here, and what follows knows its [Identity] only.
func (k *Keys) identify(r *http.Request) (id Identity, wait time.Duration, works func() bool) {
	key := bearer(r)
	id, wait, ok := k.Authenticate(key)
	if !ok {
		return id, 0, nil
	}
	return id, wait, func() bool { return k.stillWorks(key) }
}

// body is what a caller sends, as long as the caller's key works. A stream may be
// sent for days.
type body struct {
	io.ReadCloser
	works func() bool
	now   func() time.Time
	asked time.Time // when works was asked last
}

// Read implements [io.Reader]. It asks after reading, because what is waited for
// may come long after.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if now := b.now(); now.Sub(b.asked) >= maxAgeKnown {
		if !b.works() {
			return 0, connect.NewError(connect.CodeUnauthenticated, errors.New("the API key works no more"))
		}
		b.asked = now
	}
	return n, err
}

// bearer returns the key of the one Authorization header; two are none.
func bearer(r *http.Request) string {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, key, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return key
}
