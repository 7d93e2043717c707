package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// MailAttachment is a confirmation mail that was recorded by its hash alone when
// it was sent.
type MailAttachment struct {
	ConsentIDs     []ledger.ConsentID // of one request
	Message        []byte             `json:"-"` // at most MaxAttachment bytes
	IdempotencyKey string             `json:"-"`
	Proof          bool               `json:"-"`
}

// AttachMessage keeps the raw message of a confirmation mail: the one whose hash
// [Service.RecordConfirmationSent] took, and not before its token may be known
// here.
func (s *Service) AttachMessage(ctx context.Context, src Source, m MailAttachment) (*Entry, error) {
	if err := checkMailIDs(m.ConsentIDs); err != nil {
		return nil, err
	}
	if len(m.Message) == 0 || len(m.Message) > MaxAttachment {
		return nil, refusal.Invalid("message", "has %d bytes, want 1 to %d", len(m.Message), MaxAttachment)
	}
	sum := sha256.Sum256(m.Message)
	once, err := s.once(src, m.IdempotencyKey, []any{"AttachMessage", m, sum})
	if err != nil {
		return nil, err
	}
	// The value is that of the mail that was recorded, which the decision finds.
	bytes := []claim{newClaim(messageClaim, "")}
	out, err := s.recordKeeping(ctx, src, bytes, m.Message, once, func(t *turn) (*outcome, error) {
		consents, who, err := t.ofOneRequest(m.ConsentIDs)
		if err != nil {
			return nil, err
		}
		if err := t.mayHoldToken(consents[0].Request); err != nil {
			return nil, err
		}
		value, err := t.sentMessage(consents, sum)
		if err != nil {
			return nil, err
		}
		kept := newClaim(messageClaim, value)
		kept.blob = bytes[0].blob
		return t.recordMail(ledger.Entry{Kind: ledger.ConfirmationAttached}, consents, who, []claim{kept}, once)
	})
	entry, _, err := s.aboutMail(out, m.Proof, err)
	return entry, err
}

// maxMailsRead is among how many of a request's newest mails a message is looked for.
const maxMailsRead = 100

// sentMessage gives the value of the claim in which a mail with this SHA-256 was
// recorded for one of the consents.
func (t *turn) sentMessage(consents []ledger.Consent, sum ledger.Hash) (string, error) {
	mails, err := newest(deciding{t}, consents, ledger.ConfirmationSent, endOfLog, maxMailsRead)
	if err != nil {
		return "", err
	}
	for _, e := range mails {
		value, ok, err := t.open(e, consents, messageClaim)
		if err != nil {
			return "", err
		}
		var file fileValue
		if ok {
			if err := json.Unmarshal([]byte(value), &file); err != nil {
				return "", fmt.Errorf("%w: the message of entry %d", vault.ErrDamaged, e.Index)
			}
		}
		if ok && file.SHA256 == hex.EncodeToString(sum[:]) {
			return value, nil
		}
	}
	return "", refusal.Precondition("message", "no mail with its SHA-256 was recorded for these consents")
}

// open gives the value of a claim of an entry that mentions one of the consents;
// false if the entry has none.
func (t *turn) open(e *ledger.Entry, consents []ledger.Consent, name string) (string, bool, error) {
	digest, ok := e.Commit(name)
	if !ok {
		return "", false, nil
	}
	for _, c := range consents {
		if !slices.Contains(e.About, c.ID) {
			continue
		}
		key, ok, err := t.vault.KeyOf(c.ID)
		if err == nil && !ok {
			err = fmt.Errorf("%w: consent %d has no key", vault.ErrDamaged, c.ID)
		}
		if err != nil {
			return "", false, err
		}
		d, _, ok, err := t.vault.OpenClaim(key, e.Index, digest)
		return d.Value, ok, err
	}
	return "", false, nil
}

// mayHoldToken refuses a message that holds a token which the ledger must not know
// before the click: one that the caller drew and that still confirms.
func (t *turn) mayHoldToken(request ledger.ConsentID) error {
	consents, err := ofRequest(t.log, request)
	if err != nil {
		return err
	}
	open := waiting(consents)
	if len(open) == 0 {
		return nil
	}
	opened, err := t.entry(ledger.Index(open[0].ID))
	if err != nil {
		return err
	}
	// None ends before the lock that it succeeds.
	lock, err := newestLock(deciding{t}, open[0], opened)
	if err != nil || t.now.After(lock.Expires) {
		return err
	}
	if token, err := t.drawnToken(request, lock.Lock); token != "" || err != nil {
		return err // the locks of resends are never the ledger's
	}
	return refusal.Precondition("message", "it holds a token that the ledger did not draw and that was not used yet; attach it after the click")
}
