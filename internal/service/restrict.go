package service

import (
	"context"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Restriction freezes or frees everything held about a person (Art. 18 GDPR).
type Restriction struct {
	Subject        Subject
	Ground         string // of setting; "" when lifting
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// SetRestriction restricts all of a person's consents until it is lifted: checks
// answer restricted, on the ground art18_1_d (an objection under Art. 21(1) that
// waits for its answer) for the records on which it lies, on the others for
// whatever is asked about the person. What is restricted already stays, and
// answers with the entry that stands, unless the new ground reaches further: it
// alone forbids erasure, or it alone concerns the person. Then it is restricted
// anew.
func (s *Service) SetRestriction(ctx context.Context, src Source, r Restriction) ([]Consent, error) {
	if !ledger.IsGround(r.Ground) {
		return nil, refusal.Invalid("ground", "is not a ground of Art. 18(1) GDPR: %s", strings.Join(ledger.Grounds(), ", "))
	}
	return s.restrict(ctx, src, r, ledger.RestrictionSet)
}

// LiftRestriction ends a restriction.
func (s *Service) LiftRestriction(ctx context.Context, src Source, r Restriction) ([]Consent, error) {
	if r.Ground != "" {
		return nil, refusal.Invalid("ground", "belongs to setting a restriction only")
	}
	return s.restrict(ctx, src, r, ledger.RestrictionLifted)
}

func (s *Service) restrict(ctx context.Context, src Source, r Restriction, kind ledger.Kind) ([]Consent, error) {
	id, err := r.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	at, err := occurred(r.OccurredAt)
	if err != nil {
		return nil, err
	}
	once, err := s.once(src, r.IdempotencyKey, []any{string(kind), r, id})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		who, err := t.person(id)
		if err != nil {
			return err
		} else if who == nil {
			return refusal.NotFound("subject", "nothing is held about this person")
		}
		base := ledger.Entry{Kind: kind, Occurred: at, Ground: r.Ground}
		var entries []*ledger.Entry
		if entries, out, err = t.overlayEntries(base, who, kind == ledger.RestrictionSet); err != nil {
			return err
		}
		if err := once.remember(t, who.subject, out); err != nil {
			return err
		}
		if len(entries) == 0 {
			return t.vault.Keep()
		}
		_, err = t.write(entries...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.consents(out.Touched, r.Proof)
}

// overlayEntries gives one entry per request with the consents on which the
// restriction is still to be set or lifted. What is restricted anew is freed
// before, because the rules know one ground at a time; if it stayed as it is, the
// person would be told that it is kept, and it would not be.
func (t *turn) overlayEntries(base ledger.Entry, who *person, set bool) (entries []*ledger.Entry, out *outcome, err error) {
	next, err := t.next()
	if err != nil {
		return nil, nil, err
	}
	out = new(outcome)
	var move, anew []ledger.Consent
	for _, c := range who.consents {
		further := false
		if c.Overlays.Has(ledger.Restricted) && set {
			if further, err = t.reachesFurther(base.Ground, c); err != nil {
				return nil, nil, err
			}
		}
		switch {
		case c.Overlays.Has(ledger.Restricted) != set:
			move = append(move, c)
		case further:
			anew = append(anew, c)
		default:
			out.stands([]ledger.Consent{c})
		}
	}
	add := func(e ledger.Entry, consents []ledger.Consent) ledger.Index {
		for _, c := range consents {
			e.Consents = append(e.Consents, ledger.Link{Consent: c.ID, After: c.Last})
		}
		entries = append(entries, &e)
		return next + ledger.Index(len(entries)-1)
	}
	for _, consents := range byRequest(anew) {
		lifted := add(ledger.Entry{Kind: ledger.RestrictionLifted, Occurred: base.Occurred}, consents)
		for _, c := range consents {
			c.Last = lifted
			move = append(move, c)
		}
	}
	for _, consents := range byRequest(move) {
		changed := add(base, consents)
		for _, c := range consents {
			out.Touched = append(out.Touched, touch{c.ID, changed})
		}
	}
	return entries, out, nil
}

// reachesFurther reports whether restricting on a ground says more than what a
// consent is restricted on.
func (t *turn) reachesFurther(ground string, c ledger.Consent) (bool, error) {
	if ledger.KeepsData(ground) && !c.Kept {
		return true, nil
	}
	if ground == groundObjection || c.Kept {
		return false, nil
	}
	stands, err := groundOf(deciding{t}, c)
	return stands == groundObjection, err
}

// groundOf gives the ground on which a consent is restricted, "" if it is not.
func groundOf(r records, c ledger.Consent) (string, error) {
	if !c.Overlays.Has(ledger.Restricted) {
		return "", nil
	}
	for i := c.Last; ; {
		e, err := r.entry(i)
		if err != nil {
			return "", err
		}
		if e.Kind == ledger.RestrictionSet {
			return e.Ground, nil
		}
		i = previous(e, c.ID)
	}
}
