package service

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Click is what comes back from a confirmation link.
type Click struct {
	Token  string
	Claims map[string]string
	// Click is how it was done: button, link, script or event; "" means link. It
	// counts for confirmations only.
	Click string
	// Signals that a machine clicked, as the caller saw them.
	Signals    []string
	OccurredAt time.Time
	Proof      bool
}

// Confirmed answers a click.
type Confirmed struct {
	Consents []Consent
	// AlreadyConfirmed: an earlier click did it; this one wrote nothing.
	AlreadyConfirmed bool
	// SinceSent is the time from the newest mail of the request to the click that
	// confirmed it, by what callers said, or by the ledger's clock where that would
	// be negative; nil if no mail was recorded before the click.
	SinceSent *time.Duration
}

// ConfirmConsent records the click on a confirmation link. It confirms what of
// the request is still open: never a consent that was withdrawn since.
func (s *Service) ConfirmConsent(ctx context.Context, src Source, click Click) (*Confirmed, error) {
	answer := new(Confirmed)
	var err error
	if answer.Consents, answer.AlreadyConfirmed, err = s.click(ctx, src, click, ledger.ConsentConfirmed); err != nil {
		return answer, err
	}
	answer.SinceSent, err = s.sinceSent(answer.Consents[0])
	return answer, err
}

// RejectConfirmation records that the person says "this was not me".
func (s *Service) RejectConfirmation(ctx context.Context, src Source, click Click) ([]Consent, error) {
	consents, _, err := s.click(ctx, src, click, ledger.ConfirmationRejected)
	return consents, err
}

var (
	errNoToken      = refusal.Invalid("token", "is not 43 characters of base64url")
	errUnknownToken = refusal.NotFound("token", "no request has this token")
)

// byLink is the way of clicking for which the log has no line.
const byLink = "link"

// preparedClick is a click with everything done that needs no state.
type preparedClick struct {
	kind    ledger.Kind
	entry   ledger.Entry
	claims  []claim
	keys    map[ledger.ConsentID]vault.ConsentKey // of the request's consents, if there are claims
	signals []string
}

// click runs both answers to a confirmation mail.
func (s *Service) click(ctx context.Context, src Source, click Click, kind ledger.Kind) ([]Consent, bool, error) {
	p, err := s.prepareClick(click, kind)
	if err != nil {
		return nil, false, err
	}
	out, already := new(outcome), false
	err = s.doAs(ctx, src, kind == ledger.ConfirmationRejected, func(t *turn) (err error) {
		*out = outcome{}
		already, err = p.decide(t, out)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	consents, err := s.consents(out.Touched, click.Proof, out.wrote...)
	return consents, already, err
}

func (s *Service) prepareClick(click Click, kind ledger.Kind) (*preparedClick, error) {
	if !ledger.IsToken(click.Token) {
		return nil, errNoToken
	}
	p := &preparedClick{kind: kind, entry: ledger.Entry{Kind: kind, Token: click.Token}}
	var err error
	if p.entry.Occurred, err = occurred(click.OccurredAt); err != nil {
		return nil, err
	}
	if click.Click != "" && !ledger.IsClick(click.Click) {
		return nil, refusal.Invalid("click", "is not a way of clicking; the ways are %s", strings.Join(ledger.Clicks(), ", "))
	}
	if click.Click != byLink && kind == ledger.ConsentConfirmed {
		p.entry.Click = click.Click
	}
	claims, addr, err := splitClaims(click.Claims)
	if err != nil {
		return nil, err
	}
	if p.signals, err = s.signals(click.Signals, addr); err != nil {
		return nil, err
	}
	p.claims, p.keys, err = s.claimsOfRequest(ledger.Lock(click.Token), claims, addr)
	return p, err
}

func (p *preparedClick) decide(t *turn, out *outcome) (already bool, err error) {
	open, already, err := t.answerable(p.entry.Token, p.kind, out)
	if already || err != nil {
		return already, err
	}
	entry := p.entry
	entry.Time = t.now // as it will be, for those who ask how long after the mail it is
	scanner, err := p.scanner(t, &entry, open[0].Request)
	if err != nil {
		return false, err
	}
	claims := slices.Concat(p.claims, scanner)
	entry.Commits = commitments(claims)
	next, err := t.next()
	if err != nil {
		return false, err
	}
	for _, c := range open {
		entry.Consents = append(entry.Consents, ledger.Link{Consent: c.ID, After: c.Last})
		out.Touched = append(out.Touched, touch{c.ID, next})
		switch key, ok := p.keys[c.ID]; {
		case ok:
			err = t.seal(key, claims)
		case len(p.claims) > 0:
			err = fmt.Errorf("%w: consent %d has no key", vault.ErrDamaged, c.ID)
		default:
			err = t.addClaims(c.ID, claims)
		}
		if err != nil {
			return false, err
		}
	}
	entries := []*ledger.Entry{&entry}
	if p.kind == ledger.ConsentConfirmed {
		lifted, err := t.liftSuppressions(open)
		if err != nil {
			return false, err
		}
		entries = append(entries, lifted...)
	}
	out.wrote, err = t.write(entries...)
	return false, err
}

// scanner gives the claim of what tells of a machine, by the caller and by what was
// recorded of the request before.
func (p *preparedClick) scanner(t *turn, e *ledger.Entry, request ledger.ConsentID) ([]claim, error) {
	consents, err := ofRequest(t.log, request)
	if err != nil {
		return nil, err
	}
	seen, err := t.clickSignals(e, consents, p.claims)
	return scannerClaim(slices.Concat(p.signals, seen)), err
}

// sinceSent gives [Confirmed.SinceSent] of a consent that was confirmed.
func (s *Service) sinceSent(confirmed Consent) (*time.Duration, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	_, click, err := readEntry(snap, confirmed.Entry.Index)
	if err != nil || click.Kind != ledger.ConsentConfirmed {
		return nil, err // it was restricted since, for instance
	}
	c, _, err := snap.Consent(confirmed.ID)
	if err != nil {
		return nil, err
	}
	request, err := ofRequest(snap, c.Request)
	if err != nil {
		return nil, err
	}
	since, ok, err := sinceSent(published{snap}, request, click)
	if !ok {
		return nil, err
	}
	return &since, err
}

// claimsOfRequest adds as much of the address as the request allows, and gives the key
// of each consent of the request, unless there is nothing to claim.
func (s *Service) claimsOfRequest(lock ledger.Hash, claims []claim, addr netip.Addr) (all []claim, keys map[ledger.ConsentID]vault.ConsentKey, err error) {
	if len(claims) == 0 && !addr.IsValid() {
		return nil, nil, nil
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	consents, err := ofLock(snap, lock)
	if err != nil {
		return nil, nil, err
	}
	_, opened, err := readEntry(snap, ledger.Index(consents[0].ID))
	if err != nil {
		return nil, nil, err
	}
	claims = append(claims, ipClaim(opened.IPPolicy, addr)...)
	if err := checkSealed(claims, len(consents)); err != nil {
		return nil, nil, err
	}
	keys = make(map[ledger.ConsentID]vault.ConsentKey)
	return claims, keys, s.vault.View(func(w vault.View) error {
		for _, c := range consents {
			key, ok, err := w.KeyOf(c.ID)
			if err != nil {
				return err
			}
			if ok { // otherwise it was erased meanwhile, and the decision sees it
				keys[c.ID] = key
			}
		}
		return nil
	})
}

// answerable gives the consents of the token's request that the click still
// moves. already is set, and out filled in, when an earlier click said the same.
func (t *turn) answerable(token string, kind ledger.Kind, out *outcome) (open []ledger.Consent, already bool, err error) {
	consents, err := ofLock(t.log, ledger.Lock(token))
	if err != nil {
		return nil, false, err
	}
	states := map[ledger.State]int{}
	for i, c := range consents {
		if c.State == ledger.Renewed {
			consents[i].State = ledger.Confirmed // the click still did what it did
		}
		if states[consents[i].State]++; c.State == ledger.Requested {
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
	expired := errTokenExpired(request.Expires)
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
