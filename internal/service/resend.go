package service

import (
	"context"
	"fmt"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Resend asks for one more confirmation mail of a request.
type Resend struct {
	ConsentIDs []ledger.ConsentID // of one request
	// Lock is the SHA-256 of a further token that the caller drew; nil for the
	// token that the ledger drew, once more.
	Lock           *ledger.Hash
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Resent answers a Resend.
type Resent struct {
	Entry Entry
	// Token goes into the confirmation link; "" if the caller drew it.
	Token string
	// ExpiresAt is when this mail's token expires.
	ExpiresAt time.Time
}

// ResendConfirmation records that one more mail goes out to confirm what of a
// request still waits: those consents are mentioned, whichever of the request were
// named. When none waits, nothing is to be confirmed: failed_precondition. The links
// of earlier mails work until they expire.
func (s *Service) ResendConfirmation(ctx context.Context, src Source, r Resend) (*Resent, error) {
	if err := checkMailIDs(r.ConsentIDs); err != nil {
		return nil, err
	}
	at, err := occurred(r.OccurredAt)
	if err != nil {
		return nil, err
	}
	once, err := s.once(src, r.IdempotencyKey, []any{"ResendConfirmation", r})
	if err != nil {
		return nil, err
	}
	answer := new(Resent)
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); err != nil {
			return err
		}
		if out != nil {
			return answer.recall(t, out)
		}
		*answer, out, err = t.resend(r, at, once)
		return err
	})
	entry, _, err := s.aboutMail(out, r.Proof, err)
	if err != nil {
		return nil, err
	}
	answer.Entry = *entry
	return answer, nil
}

func (t *turn) resend(r Resend, at time.Time, once once) (answer Resent, out *outcome, err error) {
	named, who, err := t.ofOneRequest(r.ConsentIDs)
	if err != nil {
		return answer, nil, err
	}
	all, err := ofRequest(t.log, named[0].Request)
	if err != nil {
		return answer, nil, err
	}
	open := waiting(all)
	if len(open) == 0 {
		return answer, nil, refusal.Precondition("request_closed", "nothing of the request waits to be confirmed")
	}
	opened, err := t.entry(ledger.Index(open[0].ID))
	if err != nil {
		return answer, nil, err
	}
	if err := t.mayWrite(opened, open, who); err != nil {
		return answer, nil, err
	}
	base := ledger.Entry{Kind: ledger.ConfirmationResent, Occurred: at}
	if r.Lock == nil {
		answer.Token, answer.ExpiresAt, err = t.sameToken(opened, open[0].Request)
	} else {
		err = t.newLock(&base, *r.Lock, opened, open)
		answer.ExpiresAt = base.Expires
	}
	if err != nil {
		return answer, nil, err
	}
	out, err = t.recordMail(base, open, who, nil, once)
	return answer, out, err
}

// mayWrite refuses another mail to somebody who must not get it: an operator's
// request does not get past the suppression list, and nobody is flooded.
func (t *turn) mayWrite(opened *ledger.Entry, open []ledger.Consent, who *vault.Subject) error {
	if byOperator(opened.Method) {
		ids, err := t.vault.Identifiers(who)
		if err != nil {
			return err
		}
		purposes, err := t.purposes(purposesOf(open))
		if err != nil {
			return err
		}
		if err := t.notSuppressed(ids, purposes); err != nil {
			return err
		}
	}
	return t.mayMail(who, opened.Channel)
}

// sameToken gives the token that the ledger drew for a request, and its end.
func (t *turn) sameToken(opened *ledger.Entry, request ledger.ConsentID) (string, time.Time, error) {
	token, err := t.drawnToken(request, opened.Lock)
	if err == nil && token == "" {
		err = refusal.Precondition("lock", "the token was drawn by the caller; draw another one and give its lock")
	}
	if err == nil && t.now.After(opened.Expires) {
		err = errTokenExpired(opened.Expires)
	}
	return token, opened.Expires, err
}

// newLock gives a request that waits a further lock. It is good for the shortest
// lifetime of what waits, no shorter than the locks before it, and no longer than
// any token may be good after the request: whoever never confirms is not written
// to for ever.
func (t *turn) newLock(e *ledger.Entry, lock ledger.Hash, opened *ledger.Entry, open []ledger.Consent) error {
	former, err := newestLock(deciding{t}, open[0], opened)
	if err != nil {
		return err
	}
	if !t.now.Before(former.Expires) {
		return errTokenExpired(former.Expires)
	}
	purposes, err := t.purposes(purposesOf(open))
	if err != nil {
		return err
	}
	expires := opened.Time.Add(maxLifetime)
	for _, p := range purposes {
		if end := t.now.Add(p.Lifetime); end.Before(expires) {
			expires = end
		}
	}
	e.Lock, e.Former = lock, former.Lock
	e.Expires = decision.Later(expires.Truncate(time.Second), former.Expires)
	return nil
}

// recall builds the answer to a repeated call.
func (a *Resent) recall(t *turn, out *outcome) error {
	e, err := t.entry(out.Entries[0])
	if err != nil {
		return err
	}
	if a.ExpiresAt = e.Expires; !e.Expires.IsZero() {
		return nil
	}
	opened, err := t.entry(ledger.Index(e.About[0]))
	if err != nil {
		return err
	}
	c, _, err := t.consent("consent_ids[0]", e.About[0])
	if err != nil {
		return err
	}
	a.ExpiresAt = opened.Expires
	a.Token, err = t.drawnToken(c.Request, opened.Lock)
	return err
}

// drawnToken gives the token that the ledger drew for a request, "" if the lock is
// not that token's or the key is gone from which it was drawn.
func (t *turn) drawnToken(request ledger.ConsentID, lock ledger.Hash) (string, error) {
	key, ok, err := t.vault.KeyOf(request)
	if !ok || err != nil {
		return "", err
	}
	if token := key.Token(); ledger.Lock(token) == lock {
		return token, nil
	}
	return "", nil
}

// newestLock gives the lock that decides when a consent that waits to be confirmed
// lapses: the one of the newest resend that has one, or the request's own. opened
// is the entry that opened the consent.
func newestLock(r requests, c ledger.Consent, opened *ledger.Entry) (ledger.OpenRequest, error) {
	own, _, err := r.OpenRequest(opened.Lock)
	if !own.Superseded || err != nil {
		return own, err
	}
	// Every resend with a lock mentions whatever waited then.
	var newest *ledger.Entry
	var failed error
	err = r.Mentions(c.ID, endOfLog, func(i ledger.Index, kind ledger.Kind) bool {
		if kind == ledger.ConfirmationResent {
			var e *ledger.Entry
			if e, failed = r.Entry(i); failed == nil && e.Former != (ledger.Hash{}) {
				newest = e
			}
		}
		return newest == nil && failed == nil
	})
	switch {
	case err != nil:
		return own, err
	case failed != nil:
		return own, failed
	case newest == nil:
		return own, fmt.Errorf("%w: the newest lock of request %d", store.ErrDamaged, c.Request)
	}
	open, _, err := r.OpenRequest(newest.Lock)
	return open, err
}

func errTokenExpired(at time.Time) error {
	return refusal.Precondition("token_expired", "the link expired at %s; a new request is needed", at.Format(time.RFC3339))
}
