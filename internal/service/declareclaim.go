package service

import (
	"context"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// ClaimDeclaration names a personal value that is none of the reserved claims, so
// that callers may set it.
type ClaimDeclaration struct {
	ID             string // `x.` and an identifier, at most 64 characters together
	Insist         bool   // an ID that looks personal is none
	Title          string // what the value is, for whoever reads an access report
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// DeclaredClaim is a claim that was declared.
type DeclaredClaim struct {
	ID, Title string
	Index     ledger.Index
}

// DeclareClaim declares a claim, once and for all. The same declaration again
// writes nothing; another title is refused, because values were given under the
// first.
func (s *Service) DeclareClaim(ctx context.Context, src Source, d ClaimDeclaration) (*DeclaredClaim, *Entry, error) {
	if !ledger.IsDeclarableClaim(d.ID) {
		return nil, nil, refusal.Invalid("id", "is not x. and an identifier: lower-case letters, digits, . _ - ; at most 64 characters")
	}
	if err := checkID(d.ID[len("x."):], d.Insist); err != nil {
		return nil, nil, err
	}
	if err := checkText("title", d.Title, maxTitle, false); err != nil {
		return nil, nil, err
	}
	once, err := s.once(src, d.IdempotencyKey, []any{"DeclareClaim", d})
	if err != nil {
		return nil, nil, err
	}
	title := []claim{newClaim("title", d.Title)}
	at, err := s.declare(ctx, src, once, func(t *turn) (*declaration, error) {
		if stands, ok := t.log.ClaimDeclared(d.ID); ok {
			own, err := t.ownClaims(stands)
			if err == nil && !own.say(title) {
				err = refusal.Precondition("claim", "the claim is declared already, with another title")
			}
			return &declaration{stands: stands}, err
		}
		return &declaration{entry: &ledger.Entry{Kind: ledger.ClaimDeclared, Claim: d.ID, Commits: commitments(title)}},
			t.seal(s.vault.LedgerKey(), title)
	})
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.entries([]ledger.Index{at}, d.Proof)
	if err != nil {
		return nil, nil, err
	}
	return &DeclaredClaim{d.ID, d.Title, at}, &entries[0], nil
}

// ListClaims lists the claims that were declared, by id.
func (s *Service) ListClaims() ([]*DeclaredClaim, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	var list []*DeclaredClaim
	snap.Claims(func(name string, at ledger.Index) { list = append(list, &DeclaredClaim{ID: name, Index: at}) })
	for _, c := range list {
		_, e, err := readEntry(snap, c.Index)
		if err != nil {
			return nil, err
		}
		own, err := s.ownClaims(e)
		if err != nil {
			return nil, err
		}
		c.Title = own["title"].value
	}
	return list, nil
}
