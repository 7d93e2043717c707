package service

import (
	"context"
	"errors"
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
	req      ConsentRequest
	id       Identifier
	notice   ledger.NoticeRef // without hash
	keys     []vault.ConsentKey
	lock     ledger.Hash
	claims   []claim
	sealed   [][]vault.SealedClaim // per consent
	once     once
	occurred time.Time
	recalled bool // the answer is that of an earlier request with the same key
}

// RequestConsent records a request for consent, one consent per purpose, and
// draws the token of the confirmation link unless the caller did.
func (s *Service) RequestConsent(ctx context.Context, src Source, req ConsentRequest) (*Requested, error) {
	p, err := s.prepareRequest(src, req)
	if err != nil {
		return nil, err
	}
	if err := s.storeAttachments(p); err != nil {
		return nil, err
	}
	var out *outcome
	var manage string
	err = s.do(ctx, src, func(t *turn) (err error) {
		out, manage, err = p.decide(t)
		return err
	})
	if err != nil || p.recalled {
		s.dropBytes(p.claims, err)
	}
	if err != nil {
		return nil, err
	}
	return s.requested(p, out, manage)
}

func (s *Service) prepareRequest(src Source, req ConsentRequest) (*preparedRequest, error) {
	p := &preparedRequest{req: req}
	var err error
	if p.id, err = req.Subject.normalise("subject"); err != nil {
		return nil, err
	}
	if err := checkPurposes(req.Purposes, true); err != nil {
		return nil, err
	}
	if !ledger.IsChannel(req.Channel) {
		return nil, refusal.Invalid("channel", "is not a channel")
	}
	if p.notice.ID, p.notice.Version, err = ledger.ParseNoticeName(req.Notice); err != nil {
		return nil, refusal.Invalid("notice", "is not a notice such as newsletter-de@3: %v", err)
	}
	if !ledger.IsMethod(req.Method) {
		return nil, refusal.Invalid("method", "is not a method")
	}
	if p.occurred, err = occurred(req.OccurredAt); err != nil {
		return nil, err
	}
	if p.claims, err = callerClaims(req.Claims); err != nil {
		return nil, err
	}
	files, err := attachmentClaims(req.Attachments, p.claims)
	if err != nil {
		return nil, err
	}
	p.claims = append(p.claims, files...)
	p.claims = append(p.claims, newClaim(string(p.id.Kind), p.id.Value))
	if err := checkSealed(p.claims, len(req.Purposes)); err != nil {
		return nil, err
	}
	sums := make([]string, 0, len(files))
	for _, f := range files {
		sums = append(sums, f.disclosure.Value)
	}
	if p.once, err = s.once(src, req.IdempotencyKey, []any{"RequestConsent", req, p.id, sums}); err != nil {
		return nil, err
	}
	for range req.Purposes {
		p.keys = append(p.keys, vault.NewConsentKey())
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

// storeAttachments stores the bytes before the decision, because they do not fit
// a group, and seals the claims.
func (s *Service) storeAttachments(p *preparedRequest) error {
	if err := s.Fault(); err != nil && len(p.req.Attachments) > 0 {
		return err // nothing would name the bytes
	}
	for _, a := range p.req.Attachments {
		ref, err := s.vault.PutBlob(a.Bytes)
		if err != nil {
			s.dropBytes(p.claims, nil)
			return err
		}
		for i := range p.claims {
			if p.claims[i].disclosure.Claim == a.Claim {
				p.claims[i].blob = &ref
			}
		}
	}
	for _, k := range p.keys {
		p.sealed = append(p.sealed, seal(k, p.claims))
	}
	return nil
}

// dropBytes deletes the bytes beside claims that were not recorded. After a
// fault it is not known whether they were.
func (s *Service) dropBytes(claims []claim, because error) {
	var no *refusal.Error
	given := errors.Is(because, context.Canceled) || errors.Is(because, context.DeadlineExceeded)
	if because != nil && !given && (!errors.As(because, &no) || no.Code == refusal.UnavailableCode) {
		return
	}
	for _, c := range claims {
		if c.blob != nil {
			if err := s.vault.DropBlob(*c.blob); err != nil {
				s.logger.Warn("deleting the attachment of a refused request failed; it is ciphertext without a key", "error", err.Error())
			}
		}
	}
}

func (p *preparedRequest) decide(t *turn) (*outcome, string, error) {
	before, who, err := p.once.recall(t)
	if err != nil {
		return nil, "", err
	}
	if p.recalled = before != nil; p.recalled {
		manage, err := t.vault.ManageTokenFor(who, p.req.Channel)
		return before, manage, err
	}
	if err := p.unusedLock(t); err != nil {
		return nil, "", err
	}
	subject, ids, err := t.subject(p.id)
	if err != nil {
		return nil, "", err
	}
	others := p.otherIdentifiers(ids)
	entries, err := p.entries(t, ids, others)
	if err != nil {
		return nil, "", err
	}
	first, err := t.next()
	if err != nil {
		return nil, "", err
	}
	out := new(outcome)
	for i, key := range p.keys {
		id := ledger.ConsentID(first) + ledger.ConsentID(i)
		if err := t.vault.AddConsent(subject, id, key); err != nil {
			return nil, "", err
		}
		if err := t.vault.AddClaims(slices.Concat(p.sealed[i], seal(key, others))...); err != nil {
			return nil, "", err
		}
		out.Touched = append(out.Touched, touch{id, ledger.Index(id)})
	}
	manage, err := t.vault.ManageTokenFor(subject, p.req.Channel)
	if err != nil {
		return nil, "", err
	}
	if err := p.once.remember(t, subject, out); err != nil {
		return nil, "", err
	}
	_, err = t.write(entries...)
	return out, manage, err
}

// unusedLock refuses a lock that any request ever had. The rules alone do not:
// the entries of one request share a lock, and a request that stands directly
// behind another one with the same lock would look like a part of it.
func (p *preparedRequest) unusedLock(t *turn) error {
	_, used, err := t.log.OpenRequest(p.lock)
	if err == nil && used {
		err = refusal.Precondition("lock_used", "the lock was used before; draw a new token")
	}
	return err
}

// otherIdentifiers gives the claims of a known person's further identifiers: an
// opening entry commits to each.
func (p *preparedRequest) otherIdentifiers(ids []vault.Identifier) (others []claim) {
	for _, id := range ids {
		if id != p.id.inVault() {
			others = append(others, newClaim(id.Kind, id.Value))
		}
	}
	return others
}

// entries gives one opening entry per purpose, for somebody with the identifiers
// ids and the claims of all but the one that was named.
func (p *preparedRequest) entries(t *turn, ids []vault.Identifier, others []claim) ([]*ledger.Entry, error) {
	notice, ok, err := t.log.Notice(p.notice.ID, p.notice.Version)
	if err != nil {
		return nil, err
	} else if !ok {
		return nil, refusal.Invalid("notice", "is not published")
	}
	var lifetime time.Duration
	entries := make([]*ledger.Entry, 0, len(p.req.Purposes))
	for i, name := range p.req.Purposes {
		purpose, err := knownPurpose(t.log, fmt.Sprintf("purposes[%d]", i), name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(notice.Covers, name) {
			return nil, refusal.Precondition("notice_coverage", "the notice does not cover purposes[%d]", i)
		}
		if t.s.vault.AnySuppressed() && byOperator(p.req.Method) {
			if listed, err := suppressed(t.vault, ids, purpose); err != nil {
				return nil, err
			} else if listed {
				return nil, refusal.Precondition("suppressed", "the address is on the suppression list for purposes[%d]; only the person's own double opt-in lifts that", i)
			}
		}
		// One token confirms all purposes, so the shortest lifetime rules.
		if lifetime == 0 || purpose.Lifetime < lifetime {
			lifetime = purpose.Lifetime
		}
		entries = append(entries, &ledger.Entry{Kind: ledger.ConsentRequested, Occurred: p.occurred, Purpose: name,
			Channel: p.req.Channel, Notice: notice.NoticeRef, Method: p.req.Method, Lock: p.lock, IPPolicy: ipPolicy,
			Commits: commitments(slices.Concat(p.claims, others))})
	}
	for _, e := range entries {
		e.Expires = t.now.Add(lifetime).Truncate(time.Second)
	}
	return entries, nil
}

// knownPurpose refuses a purpose that no administrator defined.
func knownPurpose(h ledger.History, path, name string) (ledger.Purpose, error) {
	purpose, ok, err := h.Purpose(name)
	if err == nil && !ok {
		err = refusal.Invalid(path, "is not a purpose that is defined")
	}
	return purpose, err
}

// subject finds the person of an identifier in the vault, with all identifiers,
// or makes a new one, who is known from the decision's first entry on.
func (t *turn) subject(id Identifier) (*vault.Subject, []vault.Identifier, error) {
	// Not through their consents: somebody's hundredth request must cost the one
	// writer no more than the first. Whoever is found here is neither erased nor
	// locked: a draft does not find people whose keys are about to change.
	who, ok, err := t.vault.FindSubject(id.inVault())
	if err != nil {
		return nil, nil, err
	}
	if ok {
		ids, err := t.vault.Identifiers(who)
		return who, ids, err
	}
	first, err := t.next()
	if err != nil {
		return nil, nil, err
	}
	ids := []vault.Identifier{id.inVault()}
	who, err = t.vault.NewSubject(ids, first)
	return who, ids, err
}

// requested builds the answer; a retry gets the same one, because the token is
// derived from the consent's key.
func (s *Service) requested(p *preparedRequest, out *outcome, manage string) (*Requested, error) {
	consents, err := s.consents(out.Touched, p.req.Proof)
	if err != nil {
		return nil, err
	}
	first := consents[0]
	answer := &Requested{Consents: consents, ManageToken: manage, ExpiresAt: first.opened.Expires}
	switch {
	case p.req.Lock != nil:
	case p.recalled:
		answer.Token, err = s.ledgerToken(first.ID, first.opened.Lock)
	default:
		// Not from the vault: the person may be erased by now.
		answer.Token = p.keys[0].Token()
	}
	return answer, err
}

// ledgerToken gives the token that the ledger drew for a request, "" if the
// lock is not that token's.
func (s *Service) ledgerToken(request ledger.ConsentID, lock ledger.Hash) (string, error) {
	var key vault.ConsentKey
	err := s.vault.View(func(w vault.View) error {
		k, ok, err := w.KeyOf(request)
		if err == nil && !ok {
			err = refusal.NotFound("subject", "the person was erased meanwhile")
		}
		key = k
		return err
	})
	if err != nil {
		return "", err
	}
	if token := key.Token(); ledger.Lock(token) == lock {
		return token, nil
	}
	return "", nil
}
