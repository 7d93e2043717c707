package service

import (
	"context"
	"errors"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Question asks "may I send?".
type Question struct {
	Subject Subject
	Purpose string
	Channel string
}

// Decision answers it. Whatever is not certain is not allowed.
type Decision struct {
	Allowed bool
	// Reason is one of the vocabulary of CheckConsent: the state that allows,
	// or why not.
	Reason  string
	Consent ledger.ConsentID // the consent that decided; 0 if none did
	State   string
	Notice  string
	Size    ledger.Size // the size of the log that was asked
}

// Reasons besides the names of states.
const (
	reasonUnknownSubject = "unknown_subject"
	reasonUnknownPurpose = "unknown_purpose"
	reasonNoConsent      = "no_consent"
	reasonPending        = "pending"
	reasonRestricted     = "restricted"
	reasonSuppressed     = "suppressed"
	reasonDoubleOptIn    = "double_opt_in_missing"
	reasonUnavailable    = "unavailable"
)

// CheckConsent answers whether a person may be reached for a purpose on a
// channel, as the published log has it. It fails closed: when the vault cannot
// be read the reason is unavailable.
func (s *Service) CheckConsent(ctx context.Context, q Question) (*Decision, error) {
	id, err := q.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	if !ledger.IsIdentifier(q.Purpose) {
		return nil, refusal.Invalid("purpose", "is not the id of a purpose")
	}
	if !ledger.IsChannel(q.Channel) {
		return nil, refusal.Invalid("channel", "is not a channel")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	d := &Decision{Size: snap.Size()}
	if err := s.decide(snap, q, id, d); err != nil {
		s.logger.Error("a check could not be answered", "error", err.Error())
		*d = Decision{Reason: reasonUnavailable, Size: snap.Size()}
	}
	return d, nil
}

func (s *Service) decide(snap *store.Snapshot, q Question, id Identifier, d *Decision) error {
	purpose, ok, err := snap.Purpose(q.Purpose)
	if err != nil {
		return err
	}
	if !ok {
		d.Reason = reasonUnknownPurpose
		return nil
	}
	who, listed, err := s.findForCheck(snap, id, purpose)
	if err != nil {
		return err
	}
	if listed {
		d.Reason = reasonSuppressed
		return nil
	}
	if who == nil {
		d.Reason = reasonUnknownSubject
		return nil
	}
	var best ledger.Consent
	d.Allowed, d.Reason, best = judge(who.consents, purpose, q.Channel)
	if best.ID == 0 {
		return nil
	}
	d.Consent, d.State = best.ID, best.State.String()
	_, opened, err := readEntry(snap, ledger.Index(best.ID))
	if err != nil {
		return err
	}
	d.Notice = noticeName(opened)
	if d.Reason == reasonPending && s.now().After(opened.Expires) {
		// A request whose token has expired will not become a consent.
		d.Reason = ledger.Lapsed.String()
	}
	return nil
}

// findForCheck looks a person up, and on the suppression list under every
// identifier that is known.
func (s *Service) findForCheck(snap *store.Snapshot, id Identifier, purpose ledger.Purpose) (who *person, listed bool, err error) {
	any := s.vault.AnySuppressed()
	err = s.vault.View(func(w vault.View) (err error) {
		if who, err = findPerson(w, snap, snap.Size(), id); err != nil || !any {
			return err
		}
		ids := []vault.Identifier{id.inVault()}
		if who != nil {
			if ids, err = w.Identifiers(who.subject); err != nil {
				return err
			}
		}
		listed, err = suppressed(w, ids, purpose)
		return err
	})
	return who, listed, err
}

// judge applies the rule "any consent that allows, and nothing in scope that
// stops it" to the records of one person.
//
//   - A restriction of the person stops everything (Art. 18 GDPR).
//   - An objection stops every consent that was opened before it.
//   - Otherwise one consent that allows is enough.
//   - If none does, the record that changed last says why.
func judge(records []ledger.Consent, purpose ledger.Purpose, channel string) (bool, string, ledger.Consent) {
	var allows, latest, objection ledger.Consent
	for _, c := range records {
		if c.Overlays.Has(ledger.Restricted) {
			return false, reasonRestricted, c
		}
		if !inScope(c, purpose, channel) {
			continue
		}
		// An objection opens its record, so the id says when it was made; a
		// restriction that came and went since has moved Last.
		if c.State == ledger.Objected && c.ID >= objection.ID {
			objection = c
		}
		if latest.ID == 0 || c.Last > latest.Last {
			latest = c
		}
	}
	for _, c := range records {
		if inScope(c, purpose, channel) && c.State.Allows() && c.ID > objection.ID {
			allows = c
		}
	}
	switch {
	case allows.ID != 0 && purpose.NeedsDoubleOptIn(channel) && allows.State == ledger.Given:
		return false, reasonDoubleOptIn, allows
	case allows.ID != 0:
		return true, allows.State.String(), allows
	case latest.ID == 0:
		return false, reasonNoConsent, latest
	case latest.State == ledger.Requested:
		return false, reasonPending, latest
	case latest.State.Allows():
		return false, objection.State.String(), objection // older than the objection
	}
	return false, latest.State.String(), latest
}

// inScope reports whether a record speaks about the purpose on the channel.
func inScope(c ledger.Consent, purpose ledger.Purpose, channel string) bool {
	return (c.Purpose == purpose.ID || c.Purpose == ledger.AllMarketing && purpose.Marketing) &&
		(c.Channel == channel || c.Channel == ledger.AnyChannel)
}

// ListConsents lists everything held about a person, oldest first; nothing for a
// stranger.
func (s *Service) ListConsents(ctx context.Context, subject Subject) ([]Consent, error) {
	id, err := subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	who, err := s.find(snap, id)
	if err != nil {
		return nil, s.unreadable(err)
	} else if who == nil {
		return nil, nil
	}
	return s.list(ctx, snap, who.consents)
}

// unreadable hides the cause of what cannot be read about a person.
func (s *Service) unreadable(err error) error {
	if !errors.Is(err, vault.ErrDamaged) {
		return err
	}
	s.logger.Error("a list could not be answered", "error", err.Error())
	return refusal.Unavailable("what is held about this person cannot be read")
}

// list shows consents, each with the entry that changed it last.
func (s *Service) list(ctx context.Context, snap *store.Snapshot, consents []ledger.Consent) ([]Consent, error) {
	list := make([]Consent, 0, len(consents))
	for _, c := range consents {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entry, parsed, err := s.entry(snap, c.Last, false)
		if err != nil {
			return nil, err
		}
		shown, err := showConsent(snap, c.ID, parsed)
		if err != nil {
			return nil, err
		}
		shown.Entry = entry
		list = append(list, shown)
	}
	return list, nil
}

// now is the wall clock, for those who only read.
func (s *Service) now() time.Time { return s.clock.wall() }
