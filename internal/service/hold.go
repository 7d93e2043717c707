package service

import (
	"context"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// HoldRequest keeps evidence from being shredded while a claim is pursued or
// defended (Art. 17(3)(e) GDPR). Exactly one of Subject (everything of theirs,
// also what is locked) and ConsentIDs says what.
type HoldRequest struct {
	Subject        Subject
	ConsentIDs     []ledger.ConsentID
	Claims         map[string]string // why, and the matter: reason, reference
	IdempotencyKey string            `json:"-"`
	Proof          bool              `json:"-"`
}

// HoldRelease ends a hold.
type HoldRelease struct {
	Hold           ledger.Index
	Claims         map[string]string
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Held answers both: the hold's number, which is the index of its first entry,
// and what it lay or lies on.
type Held struct {
	Hold     ledger.Index
	Consents int
	Entry    Entry
}

// SetHold sets a hold. Several may lie on one consent; each is lifted by itself.
func (s *Service) SetHold(ctx context.Context, src Source, h HoldRequest) (*Held, error) {
	if h.Subject.isZero() == (len(h.ConsentIDs) == 0) {
		return nil, refusal.Invalid("subject", "needs exactly one of subject, consent_ids")
	}
	var id Identifier
	var err error
	if !h.Subject.isZero() {
		if id, err = h.Subject.normalise("subject"); err != nil {
			return nil, err
		}
	}
	if err := checkIDs(h.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, err
	}
	given, addr, err := splitClaims(h.Claims)
	if err != nil {
		return nil, err
	}
	once, err := s.once(src, h.IdempotencyKey, []any{"SetHold", h, id})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		var ids []ledger.ConsentID
		if len(h.ConsentIDs) > 0 {
			ids, err = t.heldByID(h.ConsentIDs)
		} else {
			ids, err = t.everythingOf(id)
		}
		if err != nil {
			return err
		}
		claims, err := t.withIP(given, addr, nil)
		if err != nil {
			return err
		}
		if err := checkSealed(claims, len(ids)); err != nil {
			return err
		}
		base := ledger.Entry{Kind: ledger.HoldSet, Commits: commitments(claims)}
		out, err = t.recordAbout(base, ids, func(out *outcome) error {
			return t.keepClaims(ids, claims, once, out)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.held(out.Entries, h.Proof)
}

// keepClaims seals claims for several consents, perhaps of several people.
func (t *turn) keepClaims(ids []ledger.ConsentID, claims []claim, once once, out *outcome) error {
	for _, id := range ids {
		if err := t.addClaims(id, claims); err != nil {
			return err
		}
	}
	return once.remember(t, t.s.vault.LedgerSubject(), out)
}

// heldByID checks consents that the legal role names by their ids: they exist and
// are not erased.
func (t *turn) heldByID(ids []ledger.ConsentID) ([]ledger.ConsentID, error) {
	for i, id := range ids {
		c, ok, err := t.log.Consent(id)
		if err != nil {
			return nil, err
		}
		if !ok || c.Overlays.Has(ledger.Erased) {
			return nil, refusal.NotFound(path("consent_ids", i), "there is no such consent")
		}
	}
	return ids, nil
}

// everythingOf gives all consents of whoever is or was known under an identifier.
func (t *turn) everythingOf(id Identifier) (ids []ledger.ConsentID, err error) {
	all, err := everybody(t.vault, t.log, t.log.Size(), id)
	for _, who := range all {
		for _, c := range who.all() {
			ids = append(ids, c.ID)
		}
	}
	if err == nil && len(ids) == 0 {
		err = refusal.NotFound("subject", "nothing is held about this person")
	}
	return ids, err
}

// registers is where the legal role looks people up.
type registers interface {
	people
	FindLocked(vault.Identifier) ([]*vault.Subject, error)
}

// everybody gives who is known under an identifier, and who was and is kept for
// legal claims only.
func everybody(r registers, log ledger.History, size ledger.Size, id Identifier) (all []*person, err error) {
	subjects, err := r.FindLocked(id.inVault())
	if err != nil {
		return nil, err
	}
	present, ok, err := r.FindSubject(id.inVault())
	if err != nil {
		return nil, err
	}
	if ok && ledger.Size(present.Since) < size {
		subjects = append(subjects, present)
	}
	for _, subject := range subjects {
		who, err := knownPerson(r, log, size, subject)
		if err != nil {
			return nil, err
		}
		if who != nil {
			all = append(all, who)
		}
	}
	return all, nil
}

// LiftHold ends a hold. What it kept may be shredded from then on, unless
// something else keeps it.
func (s *Service) LiftHold(ctx context.Context, src Source, h HoldRelease) (*Held, error) {
	given, addr, err := splitClaims(h.Claims)
	if err != nil {
		return nil, err
	}
	once, err := s.once(src, h.IdempotencyKey, []any{"LiftHold", h})
	if err != nil {
		return nil, err
	}
	var out *outcome
	err = s.do(ctx, src, func(t *turn) (err error) {
		if out, _, err = once.recall(t); out != nil || err != nil {
			return err
		}
		set, err := t.openHold(h.Hold)
		if err != nil {
			return err
		}
		claims, err := t.withIP(given, addr, nil)
		if err != nil {
			return err
		}
		next, err := t.next()
		if err != nil {
			return err
		}
		out = new(outcome)
		var entries []*ledger.Entry
		var ids []ledger.ConsentID
		for i, e := range set {
			out.Entries = append(out.Entries, next+ledger.Index(i))
			lifted := &ledger.Entry{Kind: ledger.HoldLifted, About: e.About, Refers: []ledger.Index{e.Index}}
			if i == 0 {
				lifted.Commits = commitments(claims)
			}
			entries = append(entries, lifted)
			ids = append(ids, e.About...)
		}
		if err := checkSealed(claims, len(ids)); err != nil {
			return err
		}
		if err := t.keepClaims(ids, claims, once, out); err != nil {
			return err
		}
		_, err = t.write(entries...)
		return err
	})
	if err != nil {
		return nil, err
	}
	held, err := s.held(out.Entries, h.Proof)
	if err == nil {
		held.Hold = h.Hold
	}
	return held, err
}

// openHold gives the entries of a hold that is not lifted.
func (t *turn) openHold(first ledger.Index) ([]*ledger.Entry, error) {
	unknown := refusal.NotFound("hold_id", "no hold with this number is in force")
	if first < 0 || ledger.Size(first) >= t.log.Size() {
		return nil, unknown
	}
	open, err := t.log.Hold(first)
	if err != nil {
		return nil, err
	}
	if !open {
		return nil, unknown
	}
	e, err := t.entry(first)
	if err != nil {
		return nil, err
	}
	if e.Part > 1 {
		return nil, unknown // a hold's number is that of its first entry
	}
	set := []*ledger.Entry{e}
	for i := 1; i < e.Parts; i++ {
		more, err := t.entry(first + ledger.Index(i))
		if err != nil {
			return nil, err
		}
		set = append(set, more)
	}
	return set, nil
}

func (s *Service) held(entries []ledger.Index, proof bool) (*Held, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	h := &Held{Hold: entries[0]}
	var err error
	if h.Entry, _, err = s.entry(snap, entries[0], proof); err != nil {
		return nil, err
	}
	for _, i := range entries {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return nil, err
		}
		h.Consents += len(e.About)
	}
	return h, nil
}

// LegalRecord is a consent as the legal role sees it.
type LegalRecord struct {
	Consent
	// LockedUntil is when locked evidence is shredded; zero if it is not locked.
	LockedUntil time.Time
	Holds       int
	// EvidenceUntil is until when the evidence would be kept if the person were
	// locked now.
	EvidenceUntil time.Time
	// Identifiers are those under which its person is known, or was when locked.
	Identifiers []MaskedClaim
	// VerifiedUntil is until when it counts that its person was verified; zero if
	// they were not, or if that is over.
	VerifiedUntil time.Time
}

// ListAll lists everything held about whoever is or was known under an identifier,
// also what is locked, oldest first; nothing for a stranger. It is for the legal role.
func (s *Service) ListAll(ctx context.Context, subject Subject) ([]LegalRecord, error) {
	id, err := subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	var consents []ledger.Consent
	owners := map[ledger.ConsentID]owner{}
	err = s.vault.View(func(w vault.View) error {
		all, err := everybody(w, snap, snap.Size(), id)
		if err != nil {
			return err
		}
		for _, who := range all {
			o, err := s.owner(w, published{snap}, who)
			if err != nil {
				return err
			}
			for _, c := range who.all() {
				consents, owners[c.ID] = append(consents, c), o
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.unreadable(err)
	}
	slices.SortFunc(consents, byID)
	shown, err := s.list(ctx, snap, consents)
	if err != nil {
		return nil, err
	}
	records := make([]LegalRecord, len(shown))
	for i, c := range consents {
		h, err := historyOf(published{snap}, c)
		if err != nil {
			return nil, err
		}
		p, _, err := snap.Purpose(c.Purpose)
		if err != nil {
			return nil, err
		}
		o := owners[c.ID]
		records[i] = LegalRecord{shown[i], h.lockedUntil, int(c.Holds), h.evidenceUntil(c, p), o.identifiers, o.verifiedUntil}
	}
	return records, nil
}

// owner is what the legal role is shown of the person of a record.
type owner struct {
	identifiers   []MaskedClaim
	verifiedUntil time.Time
}

func (s *Service) owner(w vault.View, r records, who *person) (o owner, err error) {
	ids, err := w.Identifiers(who.subject)
	if err != nil {
		return o, err
	}
	for _, id := range ids {
		o.identifiers = append(o.identifiers, MaskedClaim{id.Kind, maskedValue(id.Kind, id.Value, nil)})
	}
	until, err := verifiedUntil(r, who.all())
	if err == nil && !until.Before(s.now()) {
		o.verifiedUntil = until
	}
	return o, err
}
