package service

import (
	"context"
	"slices"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Suppression says that an address must not be written to for marketing,
// whatever else is known of it, also when nothing is. The list holds a keyed
// hash of the address, the purpose and the month; it is meant to outlive an
// erasure (Art. 21(3) GDPR).
type Suppression struct {
	Subject        Subject
	Purpose        string // "" stands for all marketing
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// AddSuppression puts an identifier on the suppression list. When it stands
// there already nothing is written: no entry, and false.
func (s *Service) AddSuppression(ctx context.Context, src Source, x Suppression) (*Entry, bool, error) {
	return s.suppression(ctx, src, x, "AddSuppression", (*turn).suppress)
}

// RemoveSuppression takes an identifier off the suppression list. When it does
// not stand there nothing is written: no entry, and false.
func (s *Service) RemoveSuppression(ctx context.Context, src Source, x Suppression) (*Entry, bool, error) {
	return s.suppression(ctx, src, x, "RemoveSuppression", (*turn).unsuppress)
}

func (s *Service) suppression(ctx context.Context, src Source, x Suppression, method string,
	change func(*turn, vault.Identifier, string) (*ledger.Entry, error)) (*Entry, bool, error) {
	id, err := x.Subject.normalise("subject")
	if err != nil {
		return nil, false, err
	}
	if x.Purpose == "" {
		x.Purpose = ledger.AllMarketing
	} else if err := checkPurposes([]string{x.Purpose}, true); err != nil {
		return nil, false, refusal.Invalid("purpose", "is not the id of a purpose")
	}
	once, err := s.once(src, x.IdempotencyKey, []any{method, x, id})
	if err != nil {
		return nil, false, err
	}
	var out *outcome
	err = s.doAs(ctx, src, method == "AddSuppression", func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		if x.Purpose != ledger.AllMarketing {
			purpose, err := knownPurpose(t.log, "purpose", x.Purpose)
			if err != nil {
				return err
			} else if !purpose.Marketing {
				return refusal.Invalid("purpose", "is not marketing; the list stops nothing else")
			}
		}
		entry, err := change(t, id.inVault(), x.Purpose)
		if err != nil {
			return err
		}
		out = new(outcome)
		var entries []*ledger.Entry
		if entry != nil {
			next, err := t.next()
			if err != nil {
				return err
			}
			out.Entries, entries = []ledger.Index{next}, []*ledger.Entry{entry}
		}
		if err := once.remember(t, s.vault.LedgerSubject(), out); err != nil {
			return err
		}
		if entry == nil {
			return t.vault.Keep()
		}
		_, err = t.write(entries...)
		return err
	})
	if err != nil || len(out.Entries) == 0 {
		return nil, false, err
	}
	list, err := s.entries(out.Entries, x.Proof)
	if err != nil {
		return nil, false, err
	}
	return &list[0], true, nil
}

// suppress puts an identifier on the list; no entry if it stands there.
func (t *turn) suppress(id vault.Identifier, purpose string) (*ledger.Entry, error) {
	if on, err := t.vault.Suppressed(id, purpose); on || err != nil {
		return nil, err
	}
	err := t.vault.Suppress(id, purpose, t.now.UTC().Format("2006-01"))
	return &ledger.Entry{Kind: ledger.SuppressionAdded, Purpose: purpose}, err
}

// unsuppress takes an identifier off the list; no entry if it does not stand there.
func (t *turn) unsuppress(id vault.Identifier, purpose string) (*ledger.Entry, error) {
	if on, err := t.vault.Suppressed(id, purpose); !on || err != nil {
		return nil, err
	}
	return &ledger.Entry{Kind: ledger.SuppressionRemoved, Purpose: purpose}, t.vault.Unsuppress(id, purpose)
}

// suppressions looks up the suppression list.
type suppressions interface {
	Suppressed(vault.Identifier, string) (bool, error)
}

// suppressed gives those of the names, of purposes and all-marketing, for which
// one of the identifiers stands on the list.
func suppressed(list suppressions, ids []vault.Identifier, names []string) (listed []string, err error) {
	for _, name := range names {
		for _, id := range ids {
			on, err := list.Suppressed(id, name)
			if err != nil {
				return nil, err
			} else if on {
				listed = append(listed, name)
				break
			}
		}
	}
	return listed, nil
}

// suppressible gives the names for which somebody can stand on the list that stop
// one of the purposes; see [decision.StopsOf]. What is not marketing is never suppressed.
func suppressible(h ledger.History, purposes ...string) (names []string, err error) {
	for _, id := range purposes {
		p, _, err := h.Purpose(id)
		if err != nil {
			return nil, err
		}
		if !p.Marketing {
			continue // also what is not defined
		}
		stops, err := decision.StopsOf(h, p)
		if err != nil {
			return nil, err
		}
		for _, name := range stops {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// operatorMethods are those by which somebody else than the person enters a
// request. The list stops them; a person's own fresh double opt-in lifts it.
var operatorMethods = []string{"paper", "oral", "phone", "in_person", "api", "import"}

func byOperator(method string) bool { return slices.Contains(operatorMethods, method) }

// liftSuppressions takes off the list whom consents that are being confirmed
// belong to, if the person asked for them.
func (t *turn) liftSuppressions(confirmed []ledger.Consent) (entries []*ledger.Entry, err error) {
	if !t.s.vault.AnySuppressed() {
		return nil, nil
	}
	for _, c := range confirmed {
		purpose, _, err := t.log.Purpose(c.Purpose)
		if err != nil {
			return nil, err
		}
		opened, err := t.entry(ledger.Index(c.ID))
		if err != nil {
			return nil, err
		}
		if !purpose.Marketing || byOperator(opened.Method) {
			continue
		}
		lifted, err := t.liftFor(c)
		if err != nil {
			return nil, err
		}
		entries = append(entries, lifted...)
	}
	return entries, nil
}

func (t *turn) liftFor(c ledger.Consent) (entries []*ledger.Entry, err error) {
	_, subject, err := t.consent("token", c.ID)
	if err != nil {
		return nil, err
	}
	ids, err := t.vault.Identifiers(subject)
	if err != nil {
		return nil, err
	}
	names, err := suppressible(t.log, c.Purpose)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		for _, p := range names {
			e, err := t.unsuppress(id, p)
			if err != nil {
				return nil, err
			}
			if e != nil {
				entries = append(entries, e)
			}
		}
	}
	return entries, nil
}
