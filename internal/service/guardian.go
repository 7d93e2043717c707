package service

import (
	"context"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Guardian says that whoever holds parental responsibility authorised a child's
// consents (Art. 8(1) GDPR).
type Guardian struct {
	ConsentIDs []ledger.ConsentID // all of one child
	Method     string             // how the guardian did so
	// Claims: `guardian` says who it was, and is required.
	Claims         map[string]string
	Attachments    []Attachment `json:"-"` // such as a document or a recording
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// AuthoriseGuardian records a guardian's authorisation: where a purpose asks for an
// age, the consents count like those of somebody old enough from then on. Consents
// that allow nothing any more are recorded, too, and answered as irregular: they stay
// what they are.
func (s *Service) AuthoriseGuardian(ctx context.Context, src Source, g Guardian) (*Entry, []Irregular, error) {
	if len(g.ConsentIDs) == 0 {
		return nil, nil, refusal.Invalid("consent_ids", "needs at least one id")
	}
	if err := checkIDs(g.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, nil, err
	}
	if err := checkPersonal(g.Method); err != nil {
		return nil, nil, err
	}
	at, err := occurred(g.OccurredAt)
	if err != nil {
		return nil, nil, err
	}
	claims, addr, err := splitClaims(g.Claims)
	if err != nil {
		return nil, nil, err
	}
	if g.Claims["guardian"] == "" {
		return nil, nil, refusal.Invalid("claims.guardian", "is needed: the controller shows that the guardian did it (Art. 7(1), 8(2) GDPR)")
	}
	files, err := attachmentClaims(g.Attachments, claims)
	if err != nil {
		return nil, nil, err
	}
	claims = append(claims, files...)
	once, err := s.once(src, g.IdempotencyKey, []any{"AuthoriseGuardian", g, valuesOf(files)})
	if err != nil {
		return nil, nil, err
	}
	base := ledger.Entry{Kind: ledger.GuardianAuthorised, Occurred: at, Method: g.Method}
	out, err := s.recordFiles(ctx, src, claims, g.Attachments, once, func(t *turn) (*outcome, error) {
		consents, child, err := t.ofOnePerson(g.ConsentIDs)
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
		return t.recordOf(base, g.ConsentIDs, child, all, once)
	})
	return s.aboutMail(out, g.Proof, err)
}
