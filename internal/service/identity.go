package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// IdentityCheck says that the controller made sure who asks (Art. 12(6) GDPR).
type IdentityCheck struct {
	Subject Subject
	// ConsentIDs narrows it to the people to whom these belong, where several were
	// kept under the identifier. Everything of theirs is meant.
	ConsentIDs []ledger.ConsentID
	Means      string // see [ledger.Means]
	// Claims are no more than is needed: that a card was shown, not its number. There
	// are no attachments, because a copy of the card is not to be kept (EDPB
	// Guidelines 01/2022 on the right of access, nos. 73 to 79).
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// IdentityVerified answers an IdentityCheck.
type IdentityVerified struct {
	Entry    Entry // identity.verified, the first if there are several
	Consents int   // known to be the person's
	Until    time.Time
}

// identityCounts is how long somebody counts as verified: as long as the answer to
// a request may take, three months.
const identityCounts = 92 * 24 * time.Hour

// VerifyIdentity records that a person's identity was verified. Corrections and
// access reports demand it. It is for the legal role, also about who is locked.
func (s *Service) VerifyIdentity(ctx context.Context, src Source, v IdentityCheck) (*IdentityVerified, error) {
	id, err := v.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	if err := checkIDs(v.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, err
	}
	if !ledger.IsMeans(v.Means) {
		return nil, refusal.Invalid("means", "is not a way of verifying who somebody is: %s", strings.Join(ledger.Means(), ", "))
	}
	at, err := occurred(v.OccurredAt)
	if err != nil {
		return nil, err
	}
	papers, err := preparePapers(v.Claims, nil)
	if err != nil {
		return nil, err
	}
	once, err := s.once(src, v.IdempotencyKey, []any{"VerifyIdentity", v, id})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		consents, err := t.verified(id, v.ConsentIDs)
		if err != nil {
			return err
		}
		out, err = t.recordPapers(ledger.Entry{Kind: ledger.IdentityVerified, Occurred: at, Means: v.Means}, consents, papers, once)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.identified(out.Entries, v.Proof)
}

// verified gives everything of the people who are or were known under an
// identifier, or of those of them to whom the consents belong that are named.
func (t *turn) verified(id Identifier, named []ledger.ConsentID) ([]ledger.Consent, error) {
	all, err := everybody(t.vault, t.log, t.log.Size(), id)
	if err != nil {
		return nil, err
	} else if len(all) == 0 {
		return nil, refusal.NotFound("subject", "nothing is held about this person")
	}
	meant := all
	if len(named) > 0 {
		meant = nil
	}
	for i, one := range named {
		owns := func(who *person) bool {
			return slices.ContainsFunc(who.all(), func(c ledger.Consent) bool { return c.ID == one })
		}
		n := slices.IndexFunc(all, owns)
		if n < 0 {
			return nil, refusal.NotFound(path("consent_ids", i), "there is no such consent under this identifier")
		}
		if !slices.Contains(meant, all[n]) {
			meant = append(meant, all[n])
		}
	}
	return consentsOf(meant), nil
}

// identified builds the answer.
func (s *Service) identified(list []ledger.Index, proof bool) (*IdentityVerified, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	answer := new(IdentityVerified)
	for _, i := range list {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return nil, err
		}
		answer.Consents += len(e.About)
		answer.Until = countsUntil(e)
	}
	var err error
	answer.Entry, _, err = s.entry(snap, list[0], proof)
	return answer, err
}

// countsUntil gives until when an identity counts that an entry says was verified.
func countsUntil(e *ledger.Entry) time.Time { return happened(e).Add(identityCounts) }

// verifiedUntil gives until when the identity of the person of some consents counts
// as verified: an entry about any of them is enough. The zero time if it never was.
func verifiedUntil(r records, consents []ledger.Consent) (until time.Time, err error) {
	read := map[ledger.Index]bool{}
	for _, c := range consents {
		var failed error
		err := r.Mentions(c.ID, endOfLog, func(i ledger.Index, kind ledger.Kind) bool {
			if kind != ledger.IdentityVerified || read[i] {
				return true
			}
			read[i] = true
			e, err := r.Entry(i)
			if failed = err; err == nil {
				until = decision.Later(until, countsUntil(e))
			}
			return err == nil
		})
		if err != nil || failed != nil {
			return until, errors.Join(failed, err)
		}
	}
	return until, nil
}

// checkVerified refuses what may be done only for somebody whose identity counts as
// verified.
func (t *turn) checkVerified(consents []ledger.Consent) error {
	until, err := verifiedUntil(deciding{t}, consents)
	if err == nil && t.now.After(until) {
		err = notVerified()
	}
	return err
}

// notVerified refuses what is done only for somebody whose identity counts as
// verified.
func notVerified() error {
	return refusal.Precondition("identity", "the person's identity was not verified within the last %d days; see VerifyIdentity",
		int(identityCounts.Hours()/24))
}
