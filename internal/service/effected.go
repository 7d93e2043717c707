package service

import (
	"context"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Effected says that the end of consents took effect in one of the systems that
// work with them: from then on nobody is written to from there.
type Effected struct {
	ConsentIDs []ledger.ConsentID // at most MaxConsentIDs, also of several people
	// System is the name of a source that is declared, or the id of a processor that
	// is or was engaged.
	System         string
	At             time.Time // when it took effect there; the zero time is the ledger's
	Claims         map[string]string
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// EffectedIn answers an Effected.
type EffectedIn struct {
	Entry  Entry         // the first, if there are several
	Delays []EffectDelay // in the order of the ids
}

// EffectDelay is how long after its end a consent could still be used in a system.
type EffectDelay struct {
	ConsentID ledger.ConsentID
	// Delay counts from the end as its source dates it, but no later than it was
	// recorded; 0 if it took effect before.
	Delay time.Duration
}

// RecordWithdrawalEffected records that the end of consents, by whomever, took
// effect in a system. What has not ended is refused. Several systems tell it each
// for itself; the same system may tell it again.
//
// Limits: of whom is locked or erased it is not recorded any more.
func (s *Service) RecordWithdrawalEffected(ctx context.Context, src Source, e Effected) (*EffectedIn, error) {
	if len(e.ConsentIDs) == 0 {
		return nil, refusal.Invalid("consent_ids", "needs at least one id")
	}
	if err := checkIDs(e.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, err
	}
	if !ledger.IsIdentifier(e.System) {
		return nil, refusal.Invalid("system", "is not the name of a source or the id of a processor")
	}
	at, err := occurred(e.At)
	if err != nil {
		return nil, refusal.Invalid("at", "must lie between the years 2000 and 9999")
	}
	claims, addr, err := splitClaims(e.Claims)
	if err != nil {
		return nil, err
	}
	once, err := s.once(src, e.IdempotencyKey, []any{"RecordWithdrawalEffected", e})
	if err != nil {
		return nil, err
	}
	base := ledger.Entry{Kind: ledger.WithdrawalEffected, Occurred: at, System: e.System}
	out, err := s.recordOnce(ctx, src, once, func(t *turn) (*outcome, error) {
		if at.After(t.now.Add(ledger.MaxClockAhead)) {
			return nil, refusal.Invalid("at", "lies more than %v ahead of the ledger's clock", ledger.MaxClockAhead)
		}
		consents, err := t.ended(e.ConsentIDs)
		if err != nil {
			return nil, err
		}
		all, err := t.withIP(claims, addr, purposesOf(consents))
		if err != nil {
			return nil, err
		}
		if err := checkSealed(all, len(consents)); err != nil {
			return nil, err
		}
		return t.recordOf(base, e.ConsentIDs, nil, all, once)
	})
	if err != nil {
		return nil, err
	}
	return s.effected(out, e)
}

// ended finds the consents that a caller names by their ids, and refuses what has
// not ended.
func (t *turn) ended(ids []ledger.ConsentID) ([]ledger.Consent, error) {
	list := make([]ledger.Consent, 0, len(ids))
	for i, id := range ids {
		c, _, err := t.consent(path("consent_ids", i), id)
		if err != nil {
			return nil, err
		}
		if c.State.Live() {
			return nil, refusal.Precondition("not_ended", "consent_ids[%d] has not ended: it is %s", i, c.State)
		}
		list = append(list, c)
	}
	return list, nil
}

// effected builds the answer.
func (s *Service) effected(out *outcome, e Effected) (*EffectedIn, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, recorded, err := s.entry(snap, out.Entries[0], e.Proof)
	if err != nil {
		return nil, err
	}
	answer := &EffectedIn{Entry: entry}
	at := happened(recorded)
	for _, id := range e.ConsentIDs {
		c, _, err := snap.Consent(id)
		if err != nil {
			return nil, err
		}
		end, err := endOf(published{snap}, c, recorded.Index)
		if err != nil {
			return nil, err
		}
		answer.Delays = append(answer.Delays, EffectDelay{id, max(0, at.Sub(end))})
	}
	return answer, nil
}

// endOf gives when the newest end that stands before an entry befell a consent, as
// its source dates it, but no later than it was recorded; the zero time if there is
// none. What opened a record that never allowed anything, such as a refusal, is its end.
func endOf(r records, c ledger.Consent, before ledger.Index) (time.Time, error) {
	for i := c.Last; i >= 0; {
		e, err := r.Entry(i)
		if err != nil {
			return time.Time{}, err
		}
		if ends(e.Kind) && i < before {
			return decision.StampOf(e).Earliest(), nil
		}
		i = decision.Previous(e, c.ID)
	}
	return time.Time{}, nil
}

// ends reports whether an entry of a kind ends the consents that it opens or changes,
// what was never granted among them.
func ends(kind ledger.Kind) bool {
	switch kind {
	case ledger.ConsentRefused, ledger.ConfirmationRejected, ledger.RequestExpired:
		return true
	}
	return endsConsent(kind)
}
