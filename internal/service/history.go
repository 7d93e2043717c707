package service

import (
	"context"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// ConsentHistory is everything that the log has about one consent, with the personal
// values masked: [Service.DiscloseClaims] shows them.
type ConsentHistory struct {
	Consent Consent // as it is now, with the entry that changed it last
	// SinceSent is how long after the newest mail with its link a consent was
	// confirmed, by the sources' clocks if both said when, otherwise by the
	// ledger's; nil where there is no click or no mail before it.
	SinceSent *time.Duration
	Entries   []HistoryEntry
}

// HistoryEntry is one entry of a consent's history, with its text and its receipt.
type HistoryEntry struct {
	Entry
	Kind     ledger.Kind
	Time     time.Time
	Occurred time.Time // zero when the source said nothing
	Source   string
	Claims   []MaskedClaim // those that it commits to, by name

	parsed *ledger.Entry
}

// History gives the entries that opened a consent, changed it and mentioned it,
// ascending. Of a list that was split over several entries it gives the part
// that names the consent and the first, in which the commitments stand. It is for
// the legal role, which is shown what is locked, too; whoever is erased is a
// stranger.
func (s *Service) History(ctx context.Context, src Source, id ledger.ConsentID) (*ConsentHistory, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	c, err := visibleConsent(snap, src, id)
	if err != nil {
		return nil, err
	}
	shown, err := s.list(ctx, snap, []ledger.Consent{c})
	if err != nil {
		return nil, err
	}
	indexes, err := concerning(snap, c)
	if err != nil {
		return nil, err
	}
	h := &ConsentHistory{Consent: shown[0]}
	var sent *ledger.Entry
	for _, i := range indexes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entry, e, err := s.entry(snap, i, true)
		if err != nil {
			return nil, err
		}
		h.Entries = append(h.Entries, HistoryEntry{entry, e.Kind, e.Time, e.Occurred, e.Source, nil, e})
		switch {
		case e.Kind == ledger.ConfirmationSent:
			sent = e
		case e.Kind == ledger.ConsentConfirmed && sent != nil:
			d := sinceMail(sent, e)
			h.SinceSent = &d
		}
	}
	err = s.vault.View(func(w vault.View) error { return s.maskClaims(w, h) })
	if err != nil {
		return nil, s.unreadable(err)
	}
	return h, nil
}

// maskClaims adds to a history what its entries commit to.
func (s *Service) maskClaims(w vault.View, h *ConsentHistory) error {
	keys := []vault.ConsentKey{s.vault.LedgerKey()}
	key, known, err := w.KeyOf(h.Consent.ID)
	if err != nil {
		return err
	} else if known {
		keys = append(keys, key)
	}
	for i, e := range h.Entries {
		for _, c := range e.parsed.Commits {
			masked := MaskedClaim{Claim: c.Claim}
			for _, k := range keys {
				d, blob, ok, err := w.OpenClaim(k, e.parsed.Index, c.Digest)
				if err != nil {
					return err
				} else if ok {
					masked = mask(d, blob)
				}
			}
			h.Entries[i].Claims = append(h.Entries[i].Claims, masked)
		}
	}
	return nil
}

// visibleConsent gives a consent of which the role may know. Who is erased is a
// stranger to everybody.
func visibleConsent(h ledger.History, src Source, id ledger.ConsentID) (ledger.Consent, error) {
	c, ok, err := h.Consent(id)
	if err == nil && (!ok || !maySee(src, c)) {
		err = refusal.NotFound("consent_id", "there is no such consent")
	}
	return c, err
}

// maySee reports whether a role may know of a consent.
func maySee(src Source, c ledger.Consent) bool {
	return !hidden(c) || src.Role == "legal" && !c.Overlays.Has(ledger.Erased)
}

// concerning gives the entries about a consent, ascending.
func concerning(snap *store.Snapshot, c ledger.Consent) (indexes []ledger.Index, err error) {
	note := func(i ledger.Index) (*ledger.Entry, error) {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return nil, err
		}
		if indexes = append(indexes, i); e.Part > 1 {
			indexes = append(indexes, i-ledger.Index(e.Part-1))
		}
		return e, nil
	}
	for i := c.Last; ; {
		e, err := note(i)
		if err != nil {
			return nil, err
		}
		if i == ledger.Index(c.ID) {
			break
		}
		i = decision.Previous(e, c.ID)
	}
	var failed error
	err = snap.Mentions(c.ID, ledger.Index(snap.Size()), func(i ledger.Index, _ ledger.Kind) bool {
		_, failed = note(i)
		return failed == nil
	})
	if failed != nil {
		err = failed
	}
	slices.Sort(indexes)
	return slices.Compact(indexes), err
}

// between gives how long after an entry another one happened: by what the sources
// say if both say it, otherwise by the ledger's clock.
func between(first, second *ledger.Entry) time.Duration {
	if first.Occurred.IsZero() || second.Occurred.IsZero() {
		return second.Time.Sub(first.Time)
	}
	return second.Occurred.Sub(first.Occurred)
}
