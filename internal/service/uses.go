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

// Uses says that consents were used, such as by one mailing. What it says besides
// must hold nothing personal: it is kept with the ledger's own claims and never
// erased.
type Uses struct {
	Reference string // names the mailing
	// Processor is to whom the data were passed for it, by the id of an engagement;
	// "" for nobody. One whose engagement has ended is taken, too: it happened.
	Processor string
	// Recipient is to whom else they were passed, in words; "" for nobody. Art. 19
	// GDPR: who got the data is told of what becomes of them.
	Recipient      string
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
	if u.Processor != "" && !ledger.IsIdentifier(u.Processor) {
		return nil, nil, refusal.Invalid("processor", "is not the id of a processor")
	}
	claims, err := fieldClaims("reference", u.Reference, "recipient", u.Recipient)
	if err != nil {
		return nil, nil, err
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
		base := ledger.Entry{Kind: ledger.ConsentUsed, Occurred: at, Processor: u.Processor, Commits: commitments(claims)}
		out, err = t.recordAbout(base, u.ConsentIDs, func(out *outcome) error {
			if err := t.seal(s.vault.LedgerKey(), claims); err != nil {
				return err
			}
			return once.remember(t, s.vault.LedgerSubject(), out)
		})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.entries(out.Entries, u.Proof, out.wrote...)
	return entries, out.Irregular, err
}

// fieldClaims gives the claims of fields that are not empty; pairs are names and values.
func fieldClaims(pairs ...string) (claims []claim, err error) {
	for p := range slices.Chunk(pairs, 2) {
		if p[1] == "" {
			continue
		}
		if err := checkValue(p[0], p[1]); err != nil {
			return nil, err
		}
		claims = append(claims, newClaim(p[0], p[1]))
	}
	return claims, nil
}

// recordOf records an entry that mentions consents, with claims under the key of
// each. who is whose they are, nil if they are several people's.
func (t *turn) recordOf(base ledger.Entry, ids []ledger.ConsentID, who *vault.Subject, claims []claim, once once) (*outcome, error) {
	if who == nil {
		who = t.s.vault.LedgerSubject()
	}
	base.Commits = commitments(claims)
	return t.recordAbout(base, ids, func(out *outcome) error {
		for _, id := range ids {
			if err := t.addClaims(id, claims); err != nil {
				return err
			}
		}
		return once.remember(t, who, out)
	})
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
	out.wrote, err = t.write(entries...)
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
