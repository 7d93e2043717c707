package service

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Renewal is a person's yes again to what they had consented to.
type Renewal struct {
	ConsentIDs     []ledger.ConsentID // all of one person
	Notice         string             // the words that were shown; "" when they are the former ones
	Method         string
	Claims         map[string]string
	Attachments    []Attachment `json:"-"`
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// renewing is a renewal in the making.
type renewing struct {
	r        Renewal
	notice   ledger.NoticeRef // without hash
	claims   []claim
	addr     netip.Addr
	occurred time.Time
	once     once
	recorded bool // the newest run of the decision took the claims
}

// RenewConsent records that a person said yes again: validity and dormancy run
// anew. It is never on the operator's word alone, and what has ended stays ended.
func (s *Service) RenewConsent(ctx context.Context, src Source, r Renewal) ([]Consent, error) {
	p, err := s.prepareRenewal(src, r)
	if err != nil {
		return nil, err
	}
	if err := s.putAttachments(p.claims, r.Attachments); err != nil {
		return nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil || !p.recorded {
		s.dropBytes(p.claims, err)
	}
	if err != nil {
		return nil, err
	}
	return s.consents(out.Touched, r.Proof)
}

func (s *Service) prepareRenewal(src Source, r Renewal) (*renewing, error) {
	p := &renewing{r: r}
	var err error
	if len(r.ConsentIDs) == 0 {
		return nil, refusal.Invalid("consent_ids", "needs at least one id")
	}
	if err := checkIDs(r.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, err
	}
	if err := checkPersonal(r.Method); err != nil {
		return nil, err
	}
	if r.Notice != "" {
		if p.notice, err = parseNotice(r.Notice); err != nil {
			return nil, err
		}
	}
	if p.occurred, err = occurred(r.OccurredAt); err != nil {
		return nil, err
	}
	if p.claims, p.addr, err = splitClaims(r.Claims); err != nil {
		return nil, err
	}
	files, err := attachmentClaims(r.Attachments, p.claims)
	if err != nil {
		return nil, err
	}
	p.claims = append(p.claims, files...)
	if err := checkSealed(p.claims, len(r.ConsentIDs)); err != nil {
		return nil, err
	}
	var sums []string
	for _, f := range files {
		sums = append(sums, f.disclosure.Claim, f.disclosure.Value)
	}
	p.once, err = s.once(src, r.IdempotencyKey, []any{"RenewConsent", r, sums})
	return p, err
}

func (p *renewing) decide(t *turn) (*outcome, error) {
	p.recorded = false
	before, _, err := p.once.recall(t)
	if before != nil || err != nil {
		return before, err
	}
	consents, who, err := t.ofOnePerson(p.r.ConsentIDs)
	if err != nil {
		return nil, err
	}
	base := ledger.Entry{Kind: ledger.ConsentRenewed, Occurred: p.occurred, Method: p.r.Method}
	if p.notice.ID != "" {
		// Whether it covers the purposes, the rules say.
		if base.Notice, err = t.notice(p.notice, nil); err != nil {
			return nil, err
		}
	}
	if base.IPPolicy, err = t.ipPolicy(purposesOf(consents)); err != nil {
		return nil, err
	}
	out := new(outcome)
	entries, err := t.moveByRequest(base, consents, slices.Concat(p.claims, ipClaim(base.IPPolicy, p.addr)), out)
	if err != nil {
		return nil, err
	}
	p.recorded = true
	return out, t.finish(p.once, who, out, entries)
}
