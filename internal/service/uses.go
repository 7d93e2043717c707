package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Uses says that consents were used, such as by one mailing.
type Uses struct {
	// Reference names the mailing. It must hold nothing personal: it is kept
	// with the ledger's own claims and never erased.
	Reference      string
	ConsentIDs     []ledger.ConsentID
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// MaxUses is how many consents one RecordUses may name.
const MaxUses = 10000

// aboutPerEntry is how many `about` lines fit an entry with room for the rest:
// 24 bytes each of 16 KiB.
const aboutPerEntry = 600

// RecordUses records that consents were used: one entry for many, split when
// the list is long. A use of a consent that does not allow it is recorded all
// the same, and answered as irregular.
func (s *Service) RecordUses(ctx context.Context, src Source, u Uses) ([]Entry, []Irregular, error) {
	if len(u.ConsentIDs) == 0 {
		return nil, nil, refusal.Invalid("consent_ids", "needs at least one id")
	}
	if err := checkIDs(u.ConsentIDs, MaxUses); err != nil {
		return nil, nil, err
	}
	at, err := occurred(u.OccurredAt)
	if err != nil {
		return nil, nil, err
	}
	var claims []claim
	if u.Reference != "" {
		if err := checkValue("reference", u.Reference); err != nil {
			return nil, nil, err
		}
		claims = append(claims, newClaim("reference", u.Reference))
	}
	once, err := s.once(src, u.IdempotencyKey, []any{"RecordUses", u})
	if err != nil {
		return nil, nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		// Before anything is recalled: also a retry names only people who are known.
		for i, id := range u.ConsentIDs {
			if _, _, err := t.consent(fmt.Sprintf("consent_ids[%d]", i), id); err != nil {
				return err
			}
		}
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		base := ledger.Entry{Kind: ledger.ConsentUsed, Occurred: at, Commits: commitments(claims)}
		out, err = t.recordAbout(base, u.ConsentIDs, func(out *outcome) error {
			if err := t.vault.AddClaims(seal(s.vault.LedgerKey(), claims)...); err != nil {
				return err
			}
			return once.remember(t, s.vault.LedgerSubject(), out)
		})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.entries(out.Entries, u.Proof)
	return entries, out.Irregular, err
}

// recordAbout writes an entry that mentions consents, in as many parts as it
// needs. keep adds the rows that belong to it, once the outcome is known.
func (t *turn) recordAbout(base ledger.Entry, ids []ledger.ConsentID, keep func(*outcome) error) (*outcome, error) {
	next, err := t.next()
	if err != nil {
		return nil, err
	}
	out := new(outcome)
	if err := t.irregular(base.Kind, ids, out); err != nil {
		return nil, err
	}
	entries := splitAbout(base, slices.Sorted(slices.Values(ids)))
	for i := range entries {
		out.Entries = append(out.Entries, next+ledger.Index(i))
	}
	if err := keep(out); err != nil {
		return nil, err
	}
	_, err = t.write(entries...)
	return out, err
}

// irregular asks the rules what they will regret about mentioning the consents.
func (t *turn) irregular(kind ledger.Kind, ids []ledger.ConsentID, out *outcome) error {
	for _, id := range ids {
		c, _, err := t.log.Consent(id)
		if err != nil {
			return err
		}
		if name := ledger.IrregularMention(kind, c); name != "" {
			out.Irregular = append(out.Irregular, Irregular{id, name, c.State.String()})
		}
	}
	return nil
}

// splitAbout splits a list over consecutive entries; commitments stand in the first.
func splitAbout(base ledger.Entry, ids []ledger.ConsentID) []*ledger.Entry {
	chunks := slices.Collect(slices.Chunk(ids, aboutPerEntry))
	entries := make([]*ledger.Entry, 0, len(chunks))
	for i, chunk := range chunks {
		e := base
		e.About = chunk
		numberPart(&e, i, len(chunks))
		entries = append(entries, &e)
	}
	return entries
}

// numberPart makes an entry part i (from 0) of n, if there is more than one.
func numberPart(e *ledger.Entry, i, n int) {
	if n < 2 {
		return
	}
	e.Part, e.Parts = i+1, n
	if i > 0 {
		e.Commits = nil
	}
}
