package service

import (
	"context"
	"fmt"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Click is what comes back from a confirmation link.
type Click struct {
	Token      string
	Claims     map[string]string
	OccurredAt time.Time
	Proof      bool
}

// Confirmed answers a click.
type Confirmed struct {
	Consents []Consent
	// AlreadyConfirmed: an earlier click did it; this one wrote nothing.
	AlreadyConfirmed bool
}

// ConfirmConsent records the click on a confirmation link. It confirms what of
// the request is still open: never a consent that was withdrawn since.
func (s *Service) ConfirmConsent(ctx context.Context, src Source, click Click) (*Confirmed, error) {
	answer := new(Confirmed)
	var err error
	answer.Consents, answer.AlreadyConfirmed, err = s.click(ctx, src, click, ledger.ConsentConfirmed)
	return answer, err
}

// RejectConfirmation records that the person says "this was not me".
func (s *Service) RejectConfirmation(ctx context.Context, src Source, click Click) ([]Consent, error) {
	consents, _, err := s.click(ctx, src, click, ledger.ConfirmationRejected)
	return consents, err
}

var errUnknownToken = refusal.NotFound("token", "no request has this token")

// click runs both answers to a confirmation mail.
func (s *Service) click(ctx context.Context, src Source, click Click, kind ledger.Kind) ([]Consent, bool, error) {
	if !ledger.IsToken(click.Token) {
		return nil, false, refusal.Invalid("token", "is not 43 characters of base64url")
	}
	at, err := occurred(click.OccurredAt)
	if err != nil {
		return nil, false, err
	}
	claims, err := callerClaims(click.Claims)
	if err != nil {
		return nil, false, err
	}
	sealed, err := s.sealForRequest(ledger.Lock(click.Token), claims)
	if err != nil {
		return nil, false, err
	}
	out, already := new(outcome), false
	err = s.do(ctx, src, func(t *turn) error {
		*out = outcome{}
		open, already2, err := t.answerable(click.Token, kind, out)
		if already = already2; err != nil || already {
			return err
		}
		entry := &ledger.Entry{Kind: kind, Occurred: at, Token: click.Token, Commits: commitments(claims)}
		next, err := t.next()
		if err != nil {
			return err
		}
		for _, c := range open {
			entry.Consents = append(entry.Consents, ledger.Link{Consent: c.ID, After: c.Last})
			out.Touched = append(out.Touched, touch{c.ID, next})
			if _, ok := sealed[c.ID]; !ok && len(claims) > 0 {
				return fmt.Errorf("%w: consent %d has no key", vault.ErrDamaged, c.ID)
			}
			if err := t.vault.AddClaims(sealed[c.ID]...); err != nil {
				return err
			}
		}
		entries := []*ledger.Entry{entry}
		if kind == ledger.ConsentConfirmed {
			lifted, err := t.liftSuppressions(open)
			if err != nil {
				return err
			}
			entries = append(entries, lifted...)
		}
		_, err = t.write(entries...)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	consents, err := s.consents(out.Touched, click.Proof)
	return consents, already, err
}

// sealForRequest seals claims under the key of each consent of a request.
func (s *Service) sealForRequest(lock ledger.Hash, claims []claim) (map[ledger.ConsentID][]vault.SealedClaim, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	consents, err := ofRequest(snap, lock)
	if err != nil {
		return nil, err
	}
	if err := checkSealed(claims, len(consents)); err != nil {
		return nil, err
	}
	sealed := map[ledger.ConsentID][]vault.SealedClaim{}
	return sealed, s.vault.View(func(w vault.View) error {
		for _, c := range consents {
			key, ok, err := w.KeyOf(c.ID)
			if err != nil {
				return err
			}
			if ok { // otherwise it was erased meanwhile, and the decision sees it
				sealed[c.ID] = seal(key, claims)
			}
		}
		return nil
	})
}

// ofRequest gives the consents of the request that a lock belongs to; they
// stand one behind the other.
func ofRequest(h ledger.History, lock ledger.Hash) ([]ledger.Consent, error) {
	open, ok, err := h.OpenRequest(lock)
	if err != nil {
		return nil, err
	} else if !ok {
		return nil, errUnknownToken
	}
	var list []ledger.Consent
	for id := open.Request; ; id++ {
		c, ok, err := h.Consent(id)
		if err != nil {
			return nil, err
		}
		if !ok || c.Request != open.Request {
			break
		}
		if hidden(c) {
			continue // retention may have taken one of them
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errUnknownToken
	}
	return list, nil
}

// answerable gives the consents of the token's request that the click still
// moves. already is set, and out filled in, when an earlier click said the same.
func (t *turn) answerable(token string, kind ledger.Kind, out *outcome) (open []ledger.Consent, already bool, err error) {
	consents, err := ofRequest(t.log, ledger.Lock(token))
	if err != nil {
		return nil, false, err
	}
	states := map[ledger.State]int{}
	for _, c := range consents {
		if states[c.State]++; c.State == ledger.Requested {
			open = append(open, c)
		}
	}
	same, other := ledger.Confirmed, ledger.Lapsed
	if kind == ledger.ConfirmationRejected {
		same, other = other, same
	}
	request, _, err := t.log.OpenRequest(ledger.Lock(token))
	if err != nil {
		return nil, false, err
	}
	expired := refusal.Precondition("token_expired", "the link expired at %s; a new request is needed", request.Expires.Format(time.RFC3339))
	late := t.now.After(request.Expires)
	switch {
	case len(open) > 0 && late:
		return nil, false, expired
	case len(open) > 0:
		return open, false, nil
	case states[same] > 0:
		for _, c := range consents {
			if c.State == same {
				out.Touched = append(out.Touched, touch{c.ID, c.Last})
			}
		}
		return nil, true, nil
	case states[other] > 0 && other == ledger.Lapsed && late:
		return nil, false, expired
	case states[other] > 0 && other == ledger.Lapsed:
		return nil, false, refusal.Precondition("request_rejected", "the request was rejected; a new request is needed")
	case states[other] > 0:
		return nil, false, refusal.Precondition("already_confirmed", "the request was confirmed; to end it, withdraw")
	}
	return nil, false, refusal.Precondition("withdrawn", "the consent was withdrawn after this request; a new request is needed")
}
