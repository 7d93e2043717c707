package service

import (
	"errors"
	"fmt"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Subject names a person by exactly one identifier, as the caller spells it.
type Subject struct {
	Email      string `json:"email,omitempty"`
	Phone      string `json:"phone,omitempty"`
	ExternalID string `json:"external_id,omitempty"`
}

// normalise gives the identifier in the form in which it is looked up and
// committed to. path is the field's path for the refusal.
func (s Subject) normalise(path string) (Identifier, error) {
	given := 0
	var id Identifier
	var err error
	for _, f := range []struct {
		kind      IdentifierKind
		value     string
		normalise func(string) (string, error)
	}{{Email, s.Email, NormaliseEmail}, {Phone, s.Phone, NormalisePhone}, {ExternalID, s.ExternalID, NormaliseExternalID}} {
		if f.value == "" {
			continue
		}
		given++
		if id.Value, err = f.normalise(f.value); err != nil {
			return Identifier{}, refusal.Invalid(path+"."+string(f.kind), "%v", err)
		}
		id.Kind = f.kind
	}
	if given != 1 {
		return Identifier{}, refusal.Invalid(path, "needs exactly one of email, phone, external_id")
	}
	return id, nil
}

func (s *Service) indexKey(id Identifier) vault.IndexKey {
	return s.vault.IndexKey(string(id.Kind), id.Value)
}

// person is somebody the ledger knows, with what the log says of their consents.
type person struct {
	subject  *vault.Subject
	consents []ledger.Consent
}

// people is where persons are looked up: the vault for readers, a draft for the
// recorder.
type people interface {
	FindSubject(vault.IndexKey) (*vault.Subject, bool, error)
	Consents(*vault.Subject) ([]ledger.ConsentID, error)
}

// findPerson looks a person up by an identifier; nil is a stranger. Somebody
// whose group is not published yet is a stranger still, and so is somebody whose
// erasure is recorded.
func findPerson(p people, log ledger.History, size ledger.Size, key vault.IndexKey) (*person, error) {
	subject, ok, err := p.FindSubject(key)
	if err != nil || !ok {
		return nil, err
	}
	return knownPerson(p, log, size, subject)
}

func knownPerson(p people, log ledger.History, size ledger.Size, subject *vault.Subject) (*person, error) {
	ids, err := p.Consents(subject)
	if errors.Is(err, vault.ErrGone) {
		return nil, nil // erased between the two look-ups
	} else if err != nil {
		return nil, err
	}
	who := &person{subject: subject}
	for _, id := range ids {
		if ledger.Size(id) >= size {
			continue
		}
		c, ok, err := log.Consent(id)
		if err != nil {
			return nil, err
		} else if !ok {
			return nil, fmt.Errorf("%w: consent %d of a person is not in the log", store.ErrDamaged, id)
		}
		if !c.Overlays.Has(ledger.Erased) {
			who.consents = append(who.consents, c)
		}
	}
	if len(who.consents) == 0 {
		return nil, nil
	}
	return who, nil
}

// person looks somebody up inside the recorder.
func (t *turn) person(key vault.IndexKey) (*person, error) {
	return findPerson(t.vault, t.log, t.log.Size(), key)
}

// consent finds the person of a consent that a caller names by its id. An
// erased person is a stranger, so the answer is that of an unknown id.
func (t *turn) consent(path string, id ledger.ConsentID) (ledger.Consent, *vault.Subject, error) {
	unknown := refusal.NotFound(path, "there is no such consent")
	c, ok, err := t.log.Consent(id)
	if err != nil {
		return c, nil, err
	}
	if !ok || c.Overlays.Has(ledger.Erased) {
		return c, nil, unknown
	}
	subject, ok, err := t.vault.SubjectOf(id)
	if err != nil {
		return c, nil, err
	} else if !ok {
		return c, nil, fmt.Errorf("%w: consent %d has no person", store.ErrDamaged, id)
	}
	return c, subject, nil
}
