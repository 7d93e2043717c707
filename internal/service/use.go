package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
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
		value, err := claimValue("reference", "reference", u.Reference)
		if err != nil {
			return nil, nil, err
		}
		claims = append(claims, newClaim("reference", value))
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

// SentMail is the hand-over of a confirmation mail to the mail server.
type SentMail struct {
	ConsentIDs []ledger.ConsentID
	// SHA256 is that of the raw RFC 5322 message.
	SHA256 ledger.Hash
	// Message is the message itself; at once only if the ledger drew the token,
	// because the message holds the token.
	Message        []byte `json:"-"`
	MTAResponse    string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// RecordConfirmationSent records that the confirmation mail of a request went
// out. It changes no state.
func (s *Service) RecordConfirmationSent(ctx context.Context, src Source, m SentMail) (*Entry, []Irregular, error) {
	at, claims, once, err := s.prepareSent(src, m)
	if err != nil {
		return nil, nil, err
	}
	var out *outcome
	recalled := false
	err = s.do(ctx, src, func(t *turn) (err error) {
		var subject *vault.Subject
		out, _, err = once.recall(t)
		if recalled = out != nil; recalled || err != nil {
			return err
		}
		if subject, err = t.checkSent(m); err != nil {
			return err
		}
		base := ledger.Entry{Kind: ledger.ConfirmationSent, Occurred: at, Commits: commitments(claims)}
		out, err = t.recordAbout(base, m.ConsentIDs, func(out *outcome) error {
			for _, id := range m.ConsentIDs {
				if err := t.addClaims(id, claims); err != nil {
					return err
				}
			}
			return once.remember(t, subject, out)
		})
		return err
	})
	if err != nil || recalled {
		s.dropBytes(claims, err)
	}
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.entries(out.Entries, m.Proof)
	if err != nil {
		return nil, nil, err
	}
	return &entries[0], out.Irregular, nil
}

func (s *Service) prepareSent(src Source, m SentMail) (at time.Time, claims []claim, o once, err error) {
	fail := func(err error) (time.Time, []claim, once, error) { return at, nil, o, err }
	if len(m.ConsentIDs) == 0 {
		return fail(refusal.Invalid("consent_ids", "needs at least one id"))
	}
	if err := checkIDs(m.ConsentIDs, ledger.MaxPurposes); err != nil {
		return fail(err)
	}
	if at, err = occurred(m.OccurredAt); err != nil {
		return fail(err)
	}
	if len(m.Message) > MaxAttachment {
		return fail(refusal.Invalid("message", "has %d bytes, at most %d", len(m.Message), MaxAttachment))
	}
	if m.Message != nil && sha256.Sum256(m.Message) != m.SHA256 {
		return fail(refusal.Invalid("message_sha256", "is not the SHA-256 of message"))
	}
	message := fileClaim("message", fileValue{MediaType: "message/rfc822", SHA256: hex.EncodeToString(m.SHA256[:])})
	if m.MTAResponse != "" {
		value, err := claimValue("mta_response", "mta_response", m.MTAResponse)
		if err != nil {
			return fail(err)
		}
		claims = append(claims, newClaim("mta_response", value))
	}
	if err := checkSealed(claims, len(m.ConsentIDs)); err != nil {
		return fail(err)
	}
	if o, err = s.once(src, m.IdempotencyKey, []any{"RecordConfirmationSent", m}); err != nil {
		return fail(err)
	}
	if m.Message != nil {
		if err := s.Fault(); err != nil {
			return fail(err) // nothing would name the bytes
		}
		if err := s.checkLedgerDrawn(m.ConsentIDs[0]); err != nil {
			return fail(err)
		}
		ref, err := s.vault.PutBlob(m.Message)
		if err != nil {
			return fail(err)
		}
		message.blob = &ref
	}
	return at, append(claims, message), o, nil
}

// checkLedgerDrawn refuses a mail that holds a token which the ledger must not
// see before the click.
func (s *Service) checkLedgerDrawn(id ledger.ConsentID) error {
	snap := s.log.Snapshot()
	defer snap.Release()
	c, ok, err := snap.Consent(id)
	if err != nil {
		return err
	} else if !ok || hidden(c) {
		return refusal.NotFound("consent_ids[0]", "there is no such consent")
	}
	_, opened, err := readEntry(snap, ledger.Index(c.Request))
	if err != nil {
		return err
	}
	token, err := s.ledgerToken(c.Request, opened.Lock)
	if err == nil && token == "" {
		err = refusal.Precondition("message", "the mail holds a token that the ledger did not draw; leave message out and give its SHA-256")
	}
	return err
}

// checkSent checks that the consents are of one request.
func (t *turn) checkSent(m SentMail) (*vault.Subject, error) {
	var first ledger.Consent
	var who *vault.Subject
	for i, id := range m.ConsentIDs {
		path := fmt.Sprintf("consent_ids[%d]", i)
		c, subject, err := t.consent(path, id)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first, who = c, subject
		} else if c.Request != first.Request {
			return nil, refusal.Invalid(path, "belongs to another request than consent_ids[0]")
		}
	}
	return who, nil
}
