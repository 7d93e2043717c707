package convert

import (
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// Subject gives the person whom a message names; nil names nobody, which
// internal/service refuses where somebody is needed.
func Subject(s *appv1.Subject) service.Subject {
	return service.Subject{Email: s.GetEmail(), Phone: s.GetPhone(), ExternalID: s.GetExternalId()}
}

// OptionalSubject is [Subject] for a field that may be left out. One that is
// there and empty would pass for "not set", so it is refused.
func OptionalSubject(path string, s *appv1.Subject) (service.Subject, error) {
	if s != nil && Subject(s) == (service.Subject{}) {
		return service.Subject{}, refusal.Invalid(path, "needs exactly one of email, phone, external_id")
	}
	return Subject(s), nil
}

// ConsentIDs gives the consents that a message names.
func ConsentIDs(list []int64) []ledger.ConsentID {
	ids := make([]ledger.ConsentID, len(list))
	for i, id := range list {
		ids[i] = ledger.ConsentID(id)
	}
	return ids
}

// ConsentID reads the field consent_id.
func ConsentID(id int64) (ledger.ConsentID, error) {
	if id < 1 {
		return 0, refusal.Invalid("consent_id", "is not the id of a consent")
	}
	return ledger.ConsentID(id), nil
}

// Consents shows consents, in the same order.
func Consents(list []service.Consent) []*appv1.Consent {
	shown := make([]*appv1.Consent, len(list))
	for i, c := range list {
		shown[i] = Consent(c)
	}
	return shown
}

// Consent shows a consent.
func Consent(c service.Consent) *appv1.Consent {
	return &appv1.Consent{
		ConsentId: int64(c.ID),
		Purpose:   c.Purpose,
		Channel:   c.Channel,
		Notice:    c.Notice,
		State:     c.State.String(),
		Overlays:  c.Overlays,
		Entry:     Entry(&c.Entry),
		Grade:     c.Grade,
	}
}
