package service

import (
	"cmp"
	"fmt"
	"slices"

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

// isZero reports whether no field is set.
func (s Subject) isZero() bool { return s == Subject{} }

// inVault gives the identifier as the vault keeps it.
func (id Identifier) inVault() vault.Identifier {
	return vault.Identifier{Kind: string(id.Kind), Value: id.Value}
}

// person is somebody the ledger knows, with what the log says of their consents,
// ascending.
type person struct {
	subject  *vault.Subject
	consents []ledger.Consent // neither locked nor erased
	locked   []ledger.Consent // kept for legal claims only, not erased
}

// all gives every consent of the person that is not erased, ascending.
func (p *person) all() []ledger.Consent {
	return slices.SortedFunc(slices.Values(slices.Concat(p.consents, p.locked)), byID)
}

// of gives the person's consents for some purposes that are neither locked nor
// erased, ascending.
func (p *person) of(purposes ...string) (list []ledger.Consent) {
	for _, c := range p.consents {
		if slices.Contains(purposes, c.Purpose) {
			list = append(list, c)
		}
	}
	return list
}

func byID(a, b ledger.Consent) int { return cmp.Compare(a.ID, b.ID) }

// people is where persons are looked up: a view of the vault for readers, a
// draft for the recorder.
type people interface {
	FindSubject(vault.Identifier) (*vault.Subject, bool, error)
	Consents(*vault.Subject) ([]ledger.ConsentID, error)
}

// findPerson looks a person up by an identifier; nil is a stranger. Somebody
// whose group is not published yet is a stranger still, and so is somebody whose
// erasure or lock is recorded.
func findPerson(p people, log ledger.History, size ledger.Size, id Identifier) (*person, error) {
	subject, ok, err := p.FindSubject(id.inVault())
	if err != nil || !ok || ledger.Size(subject.Since) >= size {
		return nil, err
	}
	return visiblePerson(p, log, size, subject)
}

// visiblePerson gives a person of whom something is neither erased nor locked.
func visiblePerson(p people, log ledger.History, size ledger.Size, subject *vault.Subject) (*person, error) {
	who, err := knownPerson(p, log, size, subject)
	if err != nil || who == nil || len(who.consents) == 0 {
		return nil, err
	}
	return who, nil
}

// knownPerson gives a person of whom something is not erased.
func knownPerson(p people, log ledger.History, size ledger.Size, subject *vault.Subject) (*person, error) {
	ids, err := p.Consents(subject)
	if err != nil {
		return nil, err
	}
	who := &person{subject: subject}
	for _, id := range ids {
		if ledger.Size(id) >= size {
			continue
		}
		c, ok, err := log.Consent(id)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, fmt.Errorf("%w: consent %d of a person is not in the log", store.ErrDamaged, id)
		case c.Overlays.Has(ledger.Erased):
		case c.Overlays.Has(ledger.Locked):
			who.locked = append(who.locked, c)
		default:
			who.consents = append(who.consents, c)
		}
	}
	if len(who.consents)+len(who.locked) == 0 {
		return nil, nil
	}
	return who, nil
}

// person looks somebody up inside the recorder.
func (t *turn) person(id Identifier) (*person, error) {
	return findPerson(t.vault, t.log, t.log.Size(), id)
}

// find looks somebody up for a reader.
func (s *Service) find(snap *store.Snapshot, id Identifier) (who *person, err error) {
	err = s.vault.View(func(w vault.View) (err error) {
		who, err = findPerson(w, snap, snap.Size(), id)
		return err
	})
	return who, err
}

// consent finds the person of a consent that a caller names by its id. Who is
// erased or locked is a stranger, so the answer is that of an unknown id.
func (t *turn) consent(path string, id ledger.ConsentID) (ledger.Consent, *vault.Subject, error) {
	unknown := refusal.NotFound(path, "there is no such consent")
	c, ok, err := t.log.Consent(id)
	if err != nil {
		return c, nil, err
	}
	if !ok || hidden(c) {
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

// ofOnePerson finds the consents that a caller names by their ids, in that order, and
// whose they are.
func (t *turn) ofOnePerson(ids []ledger.ConsentID) (list []ledger.Consent, who *vault.Subject, err error) {
	for i, id := range ids {
		c, subject, err := t.consent(path("consent_ids", i), id)
		if err != nil {
			return nil, nil, err
		}
		if who == nil {
			who = subject
		} else if who.Slot != subject.Slot {
			return nil, nil, refusal.Invalid(path("consent_ids", i), "belongs to another person than consent_ids[0]")
		}
		list = append(list, c)
	}
	return list, who, nil
}

// hidden reports whether nobody but the legal role may know of a consent.
func hidden(c ledger.Consent) bool {
	return c.Overlays.Has(ledger.Erased) || c.Overlays.Has(ledger.Locked)
}
