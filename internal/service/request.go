package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// ConsentRequest asks for a double opt-in: somebody typed an address, and a mail
// with a link is about to be sent.
type ConsentRequest struct {
	Subject     Subject
	Purposes    []string
	Channel     string
	Notice      string // `newsletter-de@3`: the words that were shown
	Method      string
	Claims      map[string]string
	Attachments []Attachment `json:"-"`
	// Explicit: the declaration names expressly what it consents to, as Art. 9(2)(a)
	// GDPR demands; a purpose that needs that is refused without.
	Explicit bool
	// Age says whether the person is old enough to consent alone: old_enough, child,
	// or "" if nobody asked. A purpose with a minimum age is refused without.
	Age string
	// Lock is the SHA-256 of a token that the caller drew and keeps until the
	// click; nil lets the ledger draw the token.
	Lock           *ledger.Hash
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Requested answers a ConsentRequest.
type Requested struct {
	Consents []Consent
	// Token goes into the confirmation link; "" if the caller drew it.
	Token       string
	ManageToken string
	ExpiresAt   time.Time
}

// preparedRequest is a request with everything done that needs no state.
type preparedRequest struct {
	*opening
	req      ConsentRequest
	notice   ledger.NoticeRef // without hash
	lock     ledger.Hash
	once     once
	occurred time.Time
	token    string // that the ledger drew; "" if the caller did
}

// RequestConsent records a request for consent, one consent per purpose, and
// draws the token of the confirmation link unless the caller did.
func (s *Service) RequestConsent(ctx context.Context, src Source, req ConsentRequest) (*Requested, error) {
	p, err := s.prepareRequest(src, req)
	if err != nil {
		return nil, err
	}
	var out *outcome
	var manage string
	err = s.openRecords(ctx, src, p.opening, func(t *turn) (err error) {
		out, manage, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.requested(p, out, manage)
}

func (s *Service) prepareRequest(src Source, req ConsentRequest) (*preparedRequest, error) {
	p := &preparedRequest{req: req}
	var err error
	if err := checkPurposes(req.Purposes, true); err != nil {
		return nil, err
	}
	if !ledger.IsChannel(req.Channel) {
		return nil, refusal.Invalid("channel", "is not a channel")
	}
	if p.notice, err = parseNotice(req.Notice); err != nil {
		return nil, err
	}
	if !ledger.IsMethod(req.Method) {
		return nil, refusal.Invalid("method", "is not a method")
	}
	if p.occurred, err = occurred(req.OccurredAt); err != nil {
		return nil, err
	}
	if err := checkAge(req.Age); err != nil {
		return nil, err
	}
	if p.opening, err = s.prepareOpening(req.Subject, req.Claims, req.Attachments, len(req.Purposes)); err != nil {
		return nil, err
	}
	if !ledger.Proves(string(p.id.Kind), req.Channel) {
		return nil, refusal.Precondition("channel_proof",
			"the person must be named by the address or number to which the token goes, or by external_id: a click proves nothing for another channel")
	}
	if p.once, err = s.once(src, req.IdempotencyKey, []any{"RequestConsent", req, p.identity()}); err != nil {
		return nil, err
	}
	// The token belongs to the request's lowest ConsentID, which is the first.
	if p.lock = ledger.Lock(p.keys[0].Token()); req.Lock != nil {
		p.lock = *req.Lock
	}
	return p, nil
}

// checkPurposes checks the form of a list of purposes; whether they are
// defined, the decision finds out.
func checkPurposes(list []string, required bool) error {
	if len(list) == 0 && required {
		return refusal.Invalid("purposes", "needs at least one purpose")
	}
	if len(list) > ledger.MaxPurposes {
		return refusal.Invalid("purposes", "has %d purposes, at most %d", len(list), ledger.MaxPurposes)
	}
	for i, p := range list {
		if !ledger.IsIdentifier(p) || p == ledger.AllMarketing {
			return refusal.Invalid(fmt.Sprintf("purposes[%d]", i), "is not the id of a purpose")
		}
		if slices.Contains(list[:i], p) {
			return refusal.Invalid(fmt.Sprintf("purposes[%d]", i), "stands twice in the list")
		}
	}
	return nil
}

func (p *preparedRequest) decide(t *turn) (*outcome, string, error) {
	before, who, err := p.once.recall(t)
	if err != nil {
		return nil, "", err
	}
	if before != nil {
		manage, err := p.recall(t, who, before)
		return before, manage, err
	}
	if err := t.unusedLock(p.lock); err != nil {
		return nil, "", err
	}
	who, ids, err := t.subject(p.id)
	if err != nil {
		return nil, "", err
	}
	if err := t.mayMail(who, p.req.Channel); err != nil {
		return nil, "", err
	}
	entries, err := p.entries(t, ids)
	if err != nil {
		return nil, "", err
	}
	out, err := p.record(t, who, ids, p.once, entries)
	if err != nil {
		return nil, "", err
	}
	manage, err := t.vault.ManageTokenFor(who, p.req.Channel)
	if err != nil {
		return nil, "", err
	}
	if p.req.Lock == nil {
		p.token = p.keys[0].Token()
	}
	out.wrote, err = t.write(entries...)
	return out, manage, err
}

// recall gives the tokens of an earlier request with the same key, which are derived
// from keys.
func (p *preparedRequest) recall(t *turn, who *vault.Subject, before *outcome) (manage string, err error) {
	if p.req.Lock == nil {
		opened, err := t.entry(before.Touched[0].Entry)
		if err != nil {
			return "", err
		}
		if p.token, err = t.drawnToken(before.Touched[0].Consent, opened.Lock); err != nil {
			return "", err
		}
	}
	return t.vault.ManageTokenFor(who, p.req.Channel)
}

// unusedLock refuses a lock that any request ever had. The rules alone do not:
// the entries of one request share a lock, and a request that stands directly
// behind another one with the same lock would look like a part of it.
func (t *turn) unusedLock(lock ledger.Hash) error {
	_, used, err := t.log.OpenRequest(lock)
	if err == nil && used {
		err = refusal.Precondition("lock_used", "the lock was used before; draw a new token")
	}
	return err
}

// entries gives one opening entry per purpose, for somebody with the identifiers ids.
func (p *preparedRequest) entries(t *turn, ids []vault.Identifier) ([]*ledger.Entry, error) {
	purposes, err := t.purposes(p.req.Purposes)
	if err != nil {
		return nil, err
	}
	notice, err := t.notice(p.notice, purposes)
	if err != nil {
		return nil, err
	}
	if byOperator(p.req.Method) {
		if err := t.notSuppressed(ids, purposes); err != nil {
			return nil, err
		}
	}
	// One token confirms all purposes, so the shortest lifetime rules.
	lifetime := purposes[0].Lifetime
	for _, purpose := range purposes {
		lifetime = min(lifetime, purpose.Lifetime)
	}
	entries := make([]*ledger.Entry, 0, len(purposes))
	for _, purpose := range purposes {
		entries = append(entries, &ledger.Entry{Kind: ledger.ConsentRequested, Occurred: p.occurred, Purpose: purpose.ID,
			Channel: p.req.Channel, Notice: notice, Method: p.req.Method, Lock: p.lock,
			Explicit: onlyYes(p.req.Explicit), Age: p.req.Age, Expires: t.now.Add(lifetime).Truncate(time.Second)})
	}
	return entries, nil
}

// requested builds the answer.
func (s *Service) requested(p *preparedRequest, out *outcome, manage string) (*Requested, error) {
	consents, err := s.consents(out.Touched, p.req.Proof, out.wrote...)
	if err != nil {
		return nil, err
	}
	return &Requested{Consents: consents, Token: p.token, ManageToken: manage, ExpiresAt: consents[0].opened.Expires}, nil
}
