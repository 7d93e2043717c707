package service

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Restriction freezes or frees everything held about a person (Art. 18 GDPR).
type Restriction struct {
	Subject Subject
	Ground  string // of setting; "" when lifting
	// InformedAt is when the person was told that the restriction will be lifted,
	// which has to be before (Art. 18(3) GDPR); zero when setting.
	InformedAt     time.Time
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// SetRestriction restricts all of a person's consents until it is lifted: checks
// answer restricted, on the ground art18_1_d (an objection under Art. 21(1) that
// waits for its answer) for the records on which it lies, on the others for
// whatever is asked about the person. A restriction on another ground takes the
// place of the one that stands, but art18_1_d does not, because it says less. What
// stays as it is answers with the entry that stands. Data that a ground keeps stay
// kept until the restriction is lifted.
//
// For the legal role it reaches what is locked, too.
func (s *Service) SetRestriction(ctx context.Context, src Source, r Restriction) ([]Consent, error) {
	if !ledger.IsGround(r.Ground) {
		return nil, refusal.Invalid("ground", "is not a ground of Art. 18(1) GDPR: %s", strings.Join(ledger.Grounds(), ", "))
	}
	if !r.InformedAt.IsZero() {
		return nil, refusal.Invalid("informed_at", "belongs to lifting a restriction only")
	}
	return s.restrict(ctx, src, r, ledger.RestrictionSet)
}

// LiftRestriction ends a restriction, of which the person was told before.
//
// For the legal role it reaches what is locked, too.
func (s *Service) LiftRestriction(ctx context.Context, src Source, r Restriction) ([]Consent, error) {
	if r.Ground != "" {
		return nil, refusal.Invalid("ground", "belongs to setting a restriction only")
	}
	if r.InformedAt.IsZero() {
		return nil, refusal.Invalid("informed_at", "is required: the person is to be told before (Art. 18(3) GDPR)")
	}
	return s.restrict(ctx, src, r, ledger.RestrictionLifted)
}

// restricting is a restriction that is being set or lifted.
type restricting struct {
	r      Restriction
	base   ledger.Entry
	id     Identifier
	claims []claim
	addr   netip.Addr
	once   once
}

func (s *Service) restrict(ctx context.Context, src Source, r Restriction, kind ledger.Kind) ([]Consent, error) {
	p := &restricting{r: r, base: ledger.Entry{Kind: kind, Ground: r.Ground}}
	var err error
	if p.id, err = r.Subject.normalise("subject"); err != nil {
		return nil, err
	}
	if p.base.Occurred, err = occurred(r.OccurredAt); err != nil {
		return nil, err
	}
	if p.base.Informed, err = occurred(r.InformedAt); err != nil {
		return nil, under("informed_at", err)
	}
	if p.claims, p.addr, err = splitClaims(r.Claims); err != nil {
		return nil, err
	}
	if p.once, err = s.once(src, r.IdempotencyKey, []any{string(kind), r, p.id}); err != nil {
		return nil, err
	}
	var out *outcome
	err = s.doAs(ctx, src, kind == ledger.RestrictionSet, func(t *turn) (err error) {
		out, err = p.decide(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.consents(out.Touched, r.Proof)
}

func (p *restricting) decide(t *turn) (*outcome, error) {
	out, _, err := p.once.recall(t)
	if out != nil || err != nil {
		return out, err
	}
	if p.base.Informed.After(t.now) {
		return nil, refusal.Precondition("informed", "the person is told of it before it is lifted, not later")
	}
	subject, consents, err := p.concerned(t)
	if err != nil {
		return nil, err
	}
	out = new(outcome)
	var move []ledger.Consent
	for _, c := range consents {
		moves, err := p.moves(t, c)
		if err != nil {
			return nil, err
		}
		if moves {
			move = append(move, c)
		} else {
			out.stands([]ledger.Consent{c})
		}
	}
	claims, err := t.withIP(p.claims, p.addr, purposesOf(move))
	if err != nil {
		return nil, err
	}
	entries, err := t.moveByRequest(p.base, move, claims, out)
	if err != nil {
		return nil, err
	}
	return out, t.finish(p.once, subject, out, entries)
}

// concerned gives the person and their consents: to the legal role no person, and
// the consents of everybody who is or was known under the identifier.
func (p *restricting) concerned(t *turn) (*vault.Subject, []ledger.Consent, error) {
	unknown := refusal.NotFound("subject", "nothing is held about this person")
	if t.source.Role != "legal" {
		who, err := t.person(p.id)
		if err == nil && who == nil {
			err = unknown
		}
		if err != nil {
			return nil, nil, err
		}
		return who.subject, who.consents, nil
	}
	all, err := everybody(t.vault, t.log, t.log.Size(), p.id)
	if err == nil && len(all) == 0 {
		err = unknown
	}
	return nil, consentsOf(all), err
}

// moves reports whether a restriction is still to be set on a consent, or lifted.
func (p *restricting) moves(t *turn, c ledger.Consent) (bool, error) {
	restricted := c.Overlays.Has(ledger.Restricted)
	if p.base.Kind == ledger.RestrictionLifted || !restricted {
		return restricted == (p.base.Kind == ledger.RestrictionLifted), nil
	}
	if p.r.Ground == decision.GroundObjection {
		return false, nil
	}
	stands, err := decision.GroundOf(deciding{t}, c)
	return stands != p.r.Ground, err
}
