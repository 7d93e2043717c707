package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// What happens to a confirmation mail is recorded as it is told, in whatever order
// and however late: it changes no state, and what should not have happened is
// answered as irregular.

// SentMail is the hand-over of a confirmation mail, or of what stands for it on
// another channel, to whoever delivers it.
type SentMail struct {
	ConsentIDs []ledger.ConsentID // of one request
	// SHA256 is that of the raw message; a mail is that of RFC 5322.
	SHA256 ledger.Hash
	// Message is the message itself, at most MaxAttachment bytes; nil leaves it
	// out, as is demanded while a token that the caller drew waits for its click,
	// because the message holds it: see [Service.AttachMessage].
	Message []byte `json:"-"`
	// MediaType of the message, "" for message/rfc822. A mail is no proof on a
	// channel that reaches a telephone number (BGH I ZR 164/09).
	MediaType string
	// Template is the published text that was filled in, such as `mail-de@2`; ""
	// if there is none.
	Template       string
	MTAResponse    string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// RecordConfirmationSent records that the confirmation mail of a request went
// out.
func (s *Service) RecordConfirmationSent(ctx context.Context, src Source, m SentMail) (*Entry, []Irregular, error) {
	if m.MediaType == "" {
		m.MediaType = rfc822
	}
	p, err := s.prepareSent(src, m)
	if err != nil {
		return nil, nil, err
	}
	out, err := s.recordKeeping(ctx, src, p.claims, m.Message, p.once, func(t *turn) (*outcome, error) {
		return p.decide(t, m)
	})
	return s.aboutMail(out, m.Proof, err)
}

// preparedMail is what happened to a mail, with everything done that needs no
// state.
type preparedMail struct {
	occurred time.Time
	template ledger.NoticeRef // without hash; zero if there is none
	claims   []claim
	addr     netip.Addr // as it came; the decision cuts it
	once     once
}

func (s *Service) prepareSent(src Source, m SentMail) (p preparedMail, err error) {
	if err := checkMailIDs(m.ConsentIDs); err != nil {
		return p, err
	}
	if p.occurred, err = occurred(m.OccurredAt); err != nil {
		return p, err
	}
	if len(m.Message) > MaxAttachment {
		return p, refusal.Invalid("message", "has %d bytes, at most %d", len(m.Message), MaxAttachment)
	}
	if m.Message != nil && sha256.Sum256(m.Message) != m.SHA256 {
		return p, refusal.Invalid("message_sha256", "is not the SHA-256 of message")
	}
	if !isMediaType(m.MediaType) {
		return p, refusal.Invalid("media_type", "is not a media type such as %s", rfc822)
	}
	if m.Template != "" {
		if p.template.ID, p.template.Version, err = ledger.ParseNoticeName(m.Template); err != nil {
			return p, refusal.Invalid("template", "is not a notice such as mail-de@2: %v", err)
		}
	}
	if p.claims, err = mtaResponse(m.MTAResponse); err != nil {
		return p, err
	}
	p.claims = append(p.claims, fileClaim(messageClaim, fileValue{MediaType: m.MediaType, SHA256: hex.EncodeToString(m.SHA256[:])}))
	if err := checkSealed(p.claims, len(m.ConsentIDs)); err != nil {
		return p, err
	}
	p.once, err = s.once(src, m.IdempotencyKey, []any{"RecordConfirmationSent", m})
	return p, err
}

const (
	messageClaim = "message" // whose value is a mail
	rfc822       = "message/rfc822"
	mailKept     = "kept" // on the line `mail`: the message is in the vault
)

// isMail reports whether a message of this type is an e-mail, also one of RFC 6532.
func isMail(mediaType string) bool {
	return strings.EqualFold(mediaType, rfc822) || strings.EqualFold(mediaType, "message/global")
}

func checkMailIDs(ids []ledger.ConsentID) error {
	if len(ids) == 0 {
		return refusal.Invalid("consent_ids", "needs at least one id")
	}
	return checkIDs(ids, ledger.MaxPurposes)
}

// mtaResponse gives the claim of what a mail server said; none if it said nothing.
func mtaResponse(text string) ([]claim, error) {
	if text == "" {
		return nil, nil
	}
	return []claim{newClaim("mta_response", text)}, checkValue("mta_response", text)
}

func (p *preparedMail) decide(t *turn, m SentMail) (*outcome, error) {
	consents, who, err := t.ofOneRequest(m.ConsentIDs)
	if err != nil {
		return nil, err
	}
	base := ledger.Entry{Kind: ledger.ConfirmationSent, Occurred: p.occurred}
	if m.Message != nil {
		if err := t.mayHoldToken(consents[0].Request); err != nil {
			return nil, err
		}
		base.Mail = mailKept
	}
	if m.Template != "" {
		template, ok, err := t.log.Notice(p.template.ID, p.template.Version)
		if err != nil {
			return nil, err
		} else if !ok {
			return nil, refusal.Invalid("template", "is not published")
		}
		base.Notice = template.NoticeRef
	}
	if isMail(m.MediaType) {
		for i, c := range consents {
			if !ledger.Proves(string(Email), c.Channel) {
				return nil, refusal.Precondition("channel_proof", "an e-mail confirms nothing for the channel of consent_ids[%d]", i)
			}
		}
	}
	return t.recordMail(base, consents, who, p.claims, p.once)
}

// FailedMail is a confirmation mail that did not arrive.
type FailedMail struct {
	ConsentIDs []ledger.ConsentID // of one request
	// Permanent failures are those of class 5 of RFC 3463, the others of class 4.
	Permanent      bool
	MTAResponse    string
	Claims         map[string]string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// RecordConfirmationFailed records that a confirmation mail bounced. The request
// stays open: a bounce may be wrong, and the next mail may arrive.
func (s *Service) RecordConfirmationFailed(ctx context.Context, src Source, m FailedMail) (*Entry, []Irregular, error) {
	if err := checkMailIDs(m.ConsentIDs); err != nil {
		return nil, nil, err
	}
	p, err := s.prepareMail(m.OccurredAt, m.Claims)
	if err != nil {
		return nil, nil, err
	}
	response, err := mtaResponse(m.MTAResponse)
	if err != nil {
		return nil, nil, err
	}
	p.claims = append(p.claims, response...)
	if p.once, err = s.once(src, m.IdempotencyKey, []any{"RecordConfirmationFailed", m}); err != nil {
		return nil, nil, err
	}
	base := ledger.Entry{Kind: ledger.ConfirmationFailed, Occurred: p.occurred, Failure: "temporary"}
	if m.Permanent {
		base.Failure = "permanent"
	}
	out, err := s.recordOnce(ctx, src, p.once, func(t *turn) (*outcome, error) {
		consents, who, err := t.ofOneRequest(m.ConsentIDs)
		if err != nil {
			return nil, err
		}
		return p.record(t, base, consents, who)
	})
	return s.aboutMail(out, m.Proof, err)
}

// Opening is a touch of the page behind a confirmation link, by whomever: scanners
// open links, too.
type Opening struct {
	// Exactly one of the two says of which request.
	ConsentIDs []ledger.ConsentID
	Token      string `json:"-"`
	Claims     map[string]string
	// Signals that a machine opened it, as the caller saw them.
	Signals        []string
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// RecordConfirmationOpened records that the page behind a confirmation link was
// opened. It confirms nothing and burns no token; a token by which the request is
// named is recorded nowhere.
func (s *Service) RecordConfirmationOpened(ctx context.Context, src Source, o Opening) (*Entry, []Irregular, error) {
	if (len(o.ConsentIDs) > 0) == (o.Token != "") {
		return nil, nil, refusal.Invalid("consent_ids", "needs exactly one of consent_ids and token")
	}
	if o.Token != "" && !ledger.IsToken(o.Token) {
		return nil, nil, errNoToken
	}
	if err := checkIDs(o.ConsentIDs, ledger.MaxPurposes); err != nil {
		return nil, nil, err
	}
	p, err := s.prepareMail(o.OccurredAt, o.Claims)
	if err != nil {
		return nil, nil, err
	}
	reported, err := s.signals(o.Signals, p.addr)
	if err != nil {
		return nil, nil, err
	}
	p.claims = append(p.claims, scannerClaim(reported)...)
	if p.once, err = s.once(src, o.IdempotencyKey, []any{"RecordConfirmationOpened", o, ledger.Lock(o.Token)}); err != nil {
		return nil, nil, err
	}
	out, err := s.recordOnce(ctx, src, p.once, func(t *turn) (*outcome, error) {
		consents, who, err := t.opened(o)
		if err != nil {
			return nil, err
		}
		return p.record(t, ledger.Entry{Kind: ledger.ConfirmationOpened, Occurred: p.occurred}, consents, who)
	})
	return s.aboutMail(out, o.Proof, err)
}

// opened gives the consents of the request whose page was opened, and whose they are.
func (t *turn) opened(o Opening) ([]ledger.Consent, *vault.Subject, error) {
	if o.Token == "" {
		return t.ofOneRequest(o.ConsentIDs)
	}
	consents, err := ofLock(t.log, ledger.Lock(o.Token))
	if err != nil {
		return nil, nil, err
	}
	_, who, err := t.consent("token", consents[0].ID)
	return consents, who, err
}

// prepareMail checks what callers say of a mail besides whose it is.
func (s *Service) prepareMail(at time.Time, values map[string]string) (p preparedMail, err error) {
	if p.occurred, err = occurred(at); err != nil {
		return p, err
	}
	p.claims, p.addr, err = splitClaims(values)
	return p, err
}

// record records the entry with the prepared claims and as much of the address as
// the request allows.
func (p *preparedMail) record(t *turn, base ledger.Entry, consents []ledger.Consent, who *vault.Subject) (*outcome, error) {
	opened, err := t.entry(ledger.Index(consents[0].ID))
	if err != nil {
		return nil, err
	}
	claims := slices.Concat(p.claims, ipClaim(opened.IPPolicy, p.addr))
	if err := checkSealed(claims, len(consents)); err != nil {
		return nil, err
	}
	return t.recordMail(base, consents, who, claims, p.once)
}

// recordMail records an entry about the mail of one request, and its claims under
// the key of each consent that it is about.
func (t *turn) recordMail(base ledger.Entry, consents []ledger.Consent, who *vault.Subject, claims []claim, once once) (*outcome, error) {
	return t.recordOf(base, idsOf(consents), who, claims, once)
}

// recordOnce runs a decision unless a request with the same idempotency key was
// answered before.
func (s *Service) recordOnce(ctx context.Context, src Source, once once, decide func(*turn) (*outcome, error)) (out *outcome, err error) {
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		out, err = decide(t)
		return err
	})
	return out, err
}

// recordKeeping is recordOnce with a message that is stored first, beside the claim
// `message`, and deleted again unless it was recorded; nil if there is none.
func (s *Service) recordKeeping(ctx context.Context, src Source, claims []claim, message []byte, once once, decide func(*turn) (*outcome, error)) (*outcome, error) {
	var files []Attachment
	if message != nil {
		files = []Attachment{{Claim: messageClaim, Bytes: message}}
	}
	return s.recordFiles(ctx, src, claims, files, once, decide)
}

// aboutMail builds the answer about an entry that mentions a request.
func (s *Service) aboutMail(out *outcome, proof bool, err error) (*Entry, []Irregular, error) {
	if err != nil {
		return nil, nil, err
	}
	entries, err := s.entries(out.Entries, proof, out.wrote...)
	if err != nil {
		return nil, nil, err
	}
	return &entries[0], out.Irregular, nil
}
