package service

import (
	"context"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Correction says that an entry is wrong, by an honest mistake.
type Correction struct {
	Index ledger.Index
	// Claims say what is wrong and what is right: `reason` is required. They are
	// kept for the people whom the entry names. Where it names nobody, or nobody who
	// is not erased, only `reason` and `reference` are taken, which then must hold
	// nothing personal: they are never erased.
	Claims         map[string]string
	Attachments    []Attachment `json:"-"`
	IdempotencyKey string       `json:"-"`
	Proof          bool         `json:"-"`
}

// CorrectEntry notes that an entry is wrong. It refers to the entry and changes
// nothing: the entry stays, and so does every state that followed from it. What
// must change is changed by the call made for it.
func (s *Service) CorrectEntry(ctx context.Context, src Source, c Correction) (*Entry, error) {
	papers, err := preparePapers(c.Claims, c.Attachments)
	if err != nil {
		return nil, err
	}
	if err := papers.need("reason"); err != nil {
		return nil, err
	}
	once, err := s.once(src, c.IdempotencyKey, []any{"CorrectEntry", c, papers.identity()})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.doWith(ctx, src, papers, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		out, err = t.correct(c.Index, papers, once)
		return err
	})
	if err != nil {
		return nil, err
	}
	entries, err := s.entries(out.Entries[:1], c.Proof)
	if err != nil {
		return nil, err
	}
	return &entries[0], nil
}

func (t *turn) correct(i ledger.Index, papers *papers, once once) (*outcome, error) {
	named, err := t.namedBy(i)
	if err != nil {
		return nil, err
	}
	known := slices.DeleteFunc(named, func(c ledger.Consent) bool { return c.Overlays.Has(ledger.Erased) })
	visible := slices.DeleteFunc(slices.Clone(known), func(c ledger.Consent) bool { return !maySee(t.source, c) })
	if len(visible) == 0 && len(known) > 0 {
		return nil, errNoEntry
	}
	return t.recordPapers(ledger.Entry{Kind: ledger.EntryCorrected, Refers: []ledger.Index{i}}, visible, papers, once, "reason", "reference")
}

// errNoEntry is the answer about an entry that is not there, or about nobody of
// whom the role may know.
var errNoEntry = refusal.NotFound("index", "there is no such entry")

// namedBy gives the consents that an entry opens, changes or mentions, ascending.
func (t *turn) namedBy(i ledger.Index) ([]ledger.Consent, error) {
	if i < 0 || ledger.Size(i) >= t.log.Size() {
		return nil, errNoEntry
	}
	e, err := t.entry(i)
	if err != nil {
		return nil, err
	}
	return consentsIn(t.log, e)
}

// consentsIn gives the consents that an entry opens, changes or mentions, ascending,
// those of people erased since among them.
func consentsIn(h ledger.History, e *ledger.Entry) (consents []ledger.Consent, err error) {
	for _, id := range ownersOf(e) {
		c, ok, err := h.Consent(id)
		if err != nil {
			return nil, err
		}
		if ok { // not where nothing is named and nothing was opened
			consents = append(consents, c)
		}
	}
	return consents, nil
}
