package service

import (
	"slices"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// reach is how far a withdrawal or an objection goes. It cascades down: what is
// said of a purpose is said of every purpose below it.
type reach struct {
	purposes []string // none: every marketing purpose
	channel  string   // "" for every channel
}

// each gives what the reach consists of: that of every purpose named, or all
// marketing.
func (r reach) each() (list []reach) {
	if len(r.purposes) == 0 {
		return []reach{r}
	}
	for i := range r.purposes {
		list = append(list, reach{r.purposes[i : i+1], r.channel})
	}
	return list
}

// opens gives purpose and channel of the objection that says what a reach of one
// purpose, or of all marketing, says.
func (r reach) opens() (purpose, channel string) {
	purpose, channel = ledger.AllMarketing, ledger.AnyChannel
	if len(r.purposes) > 0 {
		purpose = r.purposes[0]
	}
	if r.channel != "" {
		channel = r.channel
	}
	return purpose, channel
}

// covers reports whether a record is within the reach.
func (r reach) covers(h ledger.History, c ledger.Consent) (bool, error) {
	if r.channel != "" && c.Channel != r.channel && c.Channel != ledger.AnyChannel {
		return false, nil
	}
	if len(r.purposes) > 0 {
		above, err := decision.Lineage(h, c.Purpose)
		return slices.ContainsFunc(above, func(p string) bool { return slices.Contains(r.purposes, p) }), err
	}
	if c.Purpose == ledger.AllMarketing {
		return true, nil
	}
	purpose, ok, err := h.Purpose(c.Purpose)
	return ok && purpose.Marketing, err
}

// objected reports whether a record is an objection to at least what a reach of
// one purpose, or of all marketing, says. A narrower one answers no wider one.
func (r reach) objected(c ledger.Consent) bool {
	purpose, channel := r.opens()
	return c.State == ledger.Objected && c.Purpose == purpose && (c.Channel == channel || c.Channel == ledger.AnyChannel)
}

// immune reports whether neither a withdrawal nor an objection ends a record:
// what is no marketing and is done for a contract or because a law demands it
// (Art. 7(3), 21(1) GDPR do not concern Art. 6(1)(b) and (c)).
func immune(h ledger.History, c ledger.Consent) (bool, error) {
	if c.Basis != ledger.Contract && c.Basis != ledger.LegalObligation {
		return false, nil
	}
	purpose, _, err := h.Purpose(c.Purpose)
	return !purpose.Marketing, err
}

// scope is whom and what a withdrawal or an objection concerns.
type scope struct {
	reach
	subject *vault.Subject   // nil for a stranger, and for consents of several people
	live    []ledger.Consent // what it ends
	rest    []ledger.Consent // what stays as it is: ended before, or immune
}

// add sorts in a record that is within the scope.
func (s *scope) add(h ledger.History, c ledger.Consent) error {
	kept, err := immune(h, c)
	if err != nil {
		return err
	}
	if c.State.Live() && !kept {
		s.live = append(s.live, c)
	} else {
		s.rest = append(s.rest, c)
	}
	return nil
}

// addAll sorts in whatever of a person's is within the reach.
func (s *scope) addAll(h ledger.History, who *person) error {
	s.subject = who.subject
	for _, c := range who.consents {
		in, err := s.covers(h, c)
		if err == nil && in {
			err = s.add(h, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
