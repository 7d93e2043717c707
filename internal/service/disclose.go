package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Disclosing asks for personal values of one consent, each with what proves that
// the log committed to it.
type Disclosing struct {
	ConsentID      ledger.ConsentID
	Claims         []string // names, 1 to 32, each once
	Reason         string
	Recipient      string
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// DisclosedClaim is one value. The SHA-256 of Text, an RFC 9901 disclosure, is
// what entry Index commits to.
type DisclosedClaim struct {
	Index       ledger.Index
	Claim       string
	Value, Text string
	// The bytes that the value names. Bytes is empty while only their hash is known.
	FileName, MediaType string
	Bytes               []byte
}

// Disclosed answers a Disclosing: the entry that says so, and the values by entry,
// then by claim.
type Disclosed struct {
	Entry       Entry
	Disclosures []DisclosedClaim
}

// maxDisclosed bounds the bytes of one answer.
const maxDisclosed = 64 << 20

// DiscloseClaims shows the values of claims that entries of a consent's history
// commit to, reserved claims and declared ones. That it does is on record before it
// answers, with the names of the claims, and reason and recipient under the consent's
// key. It is for the legal role, also about who is locked; whoever is erased is a
// stranger. A claim to which no entry commits is not found, and then nothing is shown.
func (s *Service) DiscloseClaims(ctx context.Context, src Source, d Disclosing) (*Disclosed, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	once, err := s.once(src, d.IdempotencyKey, []any{"DiscloseClaims", d})
	if err != nil {
		return nil, err
	}
	// Before it is recorded: nothing is on record that could not be shown.
	shown, err := s.disclose(src, d)
	if err != nil {
		return nil, err
	}
	claims := []claim{newClaim("reason", d.Reason), newClaim("recipient", d.Recipient)}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		if _, err := visibleConsent(t.log, t.source, d.ConsentID); err != nil {
			return err
		}
		subject, ok, err := t.vault.SubjectOf(d.ConsentID)
		if err != nil {
			return err
		} else if !ok {
			return refusal.NotFound("consent_id", "there is no such consent")
		}
		if err := t.addClaims(d.ConsentID, claims); err != nil {
			return err
		}
		next, err := t.next()
		if err != nil {
			return err
		}
		out = &outcome{Entries: []ledger.Index{next}}
		return t.finish(once, subject, out, []*ledger.Entry{{Kind: ledger.EvidenceDisclosed, Occasion: "claims",
			Shown: slices.Sorted(slices.Values(d.Claims)), About: []ledger.ConsentID{d.ConsentID}, Commits: commitments(claims)}})
	})
	if err != nil {
		return nil, err
	}
	entries, err := s.entries(out.Entries, d.Proof)
	if err != nil {
		return nil, err
	}
	// A retry shows what the first call showed, not what was recorded since.
	before := slices.DeleteFunc(shown, func(v DisclosedClaim) bool { return v.Index >= entries[0].Index })
	return &Disclosed{entries[0], before}, nil
}

func (d *Disclosing) check() error {
	if len(d.Claims) == 0 {
		return refusal.Invalid("claims", "needs 1 to %d names of claims", maxClaims)
	}
	if err := checkClaimNames("claims", d.Claims); err != nil {
		return err
	}
	if err := checkValue("reason", d.Reason); err != nil {
		return err
	}
	return checkValue("recipient", d.Recipient)
}

// checkClaimNames checks the claims that a caller wants to be shown.
func checkClaimNames(field string, names []string) error {
	if len(names) > maxClaims {
		return refusal.Invalid(field, "has %d names of claims, at most %d", len(names), maxClaims)
	}
	for i, name := range names {
		if !ledger.IsReservedClaim(name) && !ledger.IsDeclarableClaim(name) {
			return refusal.Invalid(path(field, i), "is not the name of a claim")
		}
		if slices.Contains(names[:i], name) {
			return refusal.Invalid(path(field, i), "stands twice in the list")
		}
	}
	return nil
}

// commitmentAt is a commitment and the entry in which it stands.
type commitmentAt struct {
	index ledger.Index
	ledger.Commitment
}

// disclose opens the claims, each with its bytes.
func (s *Service) disclose(src Source, d Disclosing) ([]DisclosedClaim, error) {
	wanted, err := s.committed(src, d)
	if err != nil {
		return nil, err
	}
	shown := make([]DisclosedClaim, 0, len(wanted))
	blobs := make([]*vault.BlobRef, 0, len(wanted))
	err = s.vault.View(func(w vault.View) error {
		key, ok, err := w.KeyOf(d.ConsentID)
		if err != nil {
			return err
		} else if !ok {
			return refusal.NotFound("consent_id", "there is no such consent")
		}
		for _, c := range wanted {
			opened, blob, err := s.openClaim(w, key, c)
			if err != nil {
				return err
			}
			shown = append(shown, DisclosedClaim{Index: c.index, Claim: c.Claim, Value: opened.Value, Text: opened.Text()})
			blobs = append(blobs, blob)
		}
		return nil
	})
	if err != nil {
		return nil, s.unreadable(err)
	}
	total := 0
	for i := range shown {
		if err := s.addBytes(&shown[i], blobs[i]); err != nil {
			return nil, s.unreadable(err)
		}
		if total += len(shown[i].Bytes); total > maxDisclosed {
			return nil, &refusal.Error{Code: refusal.ResourceExhausted, At: "claims",
				Reason: fmt.Sprintf("have more than %d bytes together; ask for fewer at a time", maxDisclosed)}
		}
	}
	return shown, nil
}

// committed finds the commitments to the claims in the consent's history.
func (s *Service) committed(src Source, d Disclosing) (list []commitmentAt, err error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	c, err := visibleConsent(snap, src, d.ConsentID)
	if err != nil {
		return nil, err
	}
	indexes, err := concerning(snap, c)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, i := range indexes {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return nil, err
		}
		for _, c := range e.Commits {
			if slices.Contains(d.Claims, c.Claim) {
				list = append(list, commitmentAt{i, c})
				found[c.Claim] = true
			}
		}
	}
	for i, name := range d.Claims {
		if !found[name] {
			return nil, refusal.NotFound(path("claims", i), "no entry of the consent commits to it")
		}
	}
	return list, nil
}

// openClaim opens a claim under the consent's key or, if it is about nobody, such
// as the reference of a mailing, the ledger's own.
func (s *Service) openClaim(w vault.View, key vault.ConsentKey, c commitmentAt) (ledger.Disclosure, *vault.BlobRef, error) {
	for _, k := range []vault.ConsentKey{key, s.vault.LedgerKey()} {
		opened, blob, ok, err := w.OpenClaim(k, c.index, c.Digest)
		if ok || err != nil {
			return opened, blob, err
		}
	}
	return ledger.Disclosure{}, nil, c.missing()
}

func (c commitmentAt) missing() error {
	return fmt.Errorf("%w: the claim %s of entry %d is missing", vault.ErrDamaged, c.Claim, c.index)
}

// addBytes adds the bytes that a value names.
func (s *Service) addBytes(d *DisclosedClaim, blob *vault.BlobRef) error {
	file, ok := parseFile(d.Value)
	if !ok {
		return nil // no bytes
	}
	d.FileName, d.MediaType = file.Name, file.MediaType
	if blob == nil {
		return nil
	}
	var b bytes.Buffer
	if err := s.vault.ReadBlob(*blob, &b); err != nil {
		return err
	}
	if sum := sha256.Sum256(b.Bytes()); hex.EncodeToString(sum[:]) != file.SHA256 {
		return errors.Join(vault.ErrDamaged, fmt.Errorf("the bytes of the claim %s of entry %d are others", d.Claim, d.Index))
	}
	d.Bytes = b.Bytes()
	return nil
}
