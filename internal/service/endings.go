package service

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Ending ends consents on the operator's side: it does not want to rely on them
// any more, or finds that they never were valid. Exactly one of ConsentIDs and
// Notice says which.
type Ending struct {
	Kind       ledger.Kind // ledger.ConsentRevoked or ledger.ConsentInvalidated
	ConsentIDs []ledger.ConsentID
	// Notice, such as newsletter-de@3, stands for every live record that rests on
	// it: opened with it, and not renewed with another one since.
	Notice         string
	Cause          string
	Claims         map[string]string // why, and the matter: reason, reference
	OccurredAt     time.Time
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Ended answers an Ending: what it ended, and the entries that say so.
type Ended struct {
	Consents int // those that had ended before are not counted
	Entries  []Entry
}

// endsPerTurn is how many consents one decision ends: it must fit a group, and
// others wait for their turn meanwhile. rowsPerLook is how many consents are
// looked at in one snapshot of the log, which is held no longer than that takes.
const (
	endsPerTurn = consentsPerEntry
	rowsPerLook = 1 << 16
)

// ending is an ending in the making.
type ending struct {
	e        Ending
	notice   ledger.NoticeRef // without hash
	claims   []claim
	addr     netip.Addr
	occurred time.Time
	once     once
	entries  []ledger.Index // so far
	recalled bool
}

// EndConsents revokes or invalidates consents. What the person withdrew or
// objected to stays as it is, and so does what was ended in the same way before.
//
// By notice it goes through the whole log, many consents to a decision, and ends
// between two decisions when ctx does. What it ended until then is ended; the
// same call made again does the rest. Consents that are opened with the notice
// after it began are not ended.
//
// The legal role ends what is locked, too. Others may not know of it: by id it is
// not found, by notice it is passed over.
func (s *Service) EndConsents(ctx context.Context, src Source, e Ending) (*Ended, error) {
	p, err := s.prepareEnding(src, e)
	if err != nil {
		return nil, err
	}
	if len(e.ConsentIDs) > 0 {
		err = s.do(ctx, src, p.byID)
	} else {
		err = p.byNotice(ctx, s, src)
	}
	if err != nil {
		return nil, err
	}
	return s.ended(p.entries, e.Proof)
}

func (s *Service) prepareEnding(src Source, e Ending) (*ending, error) {
	p := &ending{e: e}
	var err error
	if e.Kind != ledger.ConsentRevoked && e.Kind != ledger.ConsentInvalidated {
		return nil, refusal.Invalid("kind", "ends no consent on the operator's side")
	}
	if (len(e.ConsentIDs) == 0) == (e.Notice == "") {
		return nil, refusal.Invalid("consent_ids", "needs exactly one of consent_ids, notice")
	}
	if err := checkIDs(e.ConsentIDs, MaxConsentIDs); err != nil {
		return nil, err
	}
	if e.Notice != "" {
		if p.notice, err = parseNotice(e.Notice); err != nil {
			return nil, err
		}
	}
	if !ledger.IsCause(e.Cause) {
		return nil, refusal.Invalid("cause", "is not a cause: rectified, scanner, wording, authority, error, other")
	}
	if p.occurred, err = occurred(e.OccurredAt); err != nil {
		return nil, err
	}
	if p.claims, p.addr, err = splitClaims(e.Claims); err != nil {
		return nil, err
	}
	if err := checkSealed(p.claims, max(len(e.ConsentIDs), endsPerTurn)); err != nil {
		return nil, err
	}
	p.once, err = s.once(src, e.IdempotencyKey, []any{"EndConsents", e})
	return p, err
}

// ends reports whether the ending moves a consent.
func (p *ending) ends(c ledger.Consent) bool {
	switch c.State {
	case ledger.Withdrawn, ledger.Objected, ledger.Invalidated:
		return false
	case ledger.Revoked:
		return p.e.Kind == ledger.ConsentInvalidated
	}
	return p.e.Notice == "" || c.State.Live()
}

// byID decides about consents that are named.
func (p *ending) byID(t *turn) error {
	out, _, err := p.once.recall(t)
	if err != nil {
		return err
	}
	if out != nil {
		p.entries = out.Entries
		return nil
	}
	var list []ledger.Consent
	for i, id := range p.e.ConsentIDs {
		c, ok, err := t.log.Consent(id)
		if err != nil {
			return err
		}
		if !ok || !maySee(t.source, c) {
			return refusal.NotFound(path("consent_ids", i), "there is no such consent")
		}
		if p.ends(c) {
			list = append(list, c)
		}
	}
	entries, out, err := p.end(t, list)
	if err != nil {
		return err
	}
	p.entries = out.Entries
	return t.finish(p.once, nil, out, entries)
}

// end gives the entries that end consents, with the claims under the key of each.
func (p *ending) end(t *turn, list []ledger.Consent) ([]*ledger.Entry, *outcome, error) {
	claims, err := t.withIP(p.claims, p.addr, purposesOf(list))
	if err != nil {
		return nil, nil, err
	}
	if err := checkSealed(claims, len(list)); err != nil {
		return nil, nil, err
	}
	for _, c := range list {
		if err := t.addClaims(c.ID, claims); err != nil {
			return nil, nil, err
		}
	}
	next, err := t.next()
	if err != nil {
		return nil, nil, err
	}
	entries := splitConsents(ledger.Entry{Kind: p.e.Kind, Occurred: p.occurred, Cause: p.e.Cause, Commits: commitments(claims)}, list)
	out := new(outcome)
	for i := range entries {
		out.Entries = append(out.Entries, next+ledger.Index(i))
	}
	return entries, out, nil
}

// byNotice goes through the log. Nothing is remembered before the end, so that a
// retry with the same key finishes what broke off.
func (p *ending) byNotice(ctx context.Context, s *Service, src Source) error {
	end := ledger.ConsentID(0)
	err := s.do(ctx, src, func(t *turn) error {
		out, _, err := p.once.recall(t)
		if p.recalled = out != nil; p.recalled || err != nil {
			if p.recalled {
				p.entries = out.Entries
			}
			return err
		}
		if _, ok, err := t.log.Notice(p.notice.ID, p.notice.Version); err != nil {
			return err
		} else if !ok {
			return refusal.Invalid("notice", "is not published")
		}
		end = ledger.ConsentID(t.log.Next())
		return nil
	})
	for from := ledger.ConsentID(0); err == nil && from < end; {
		var ids []ledger.ConsentID
		if ids, from, err = p.look(ctx, s, src, from, end); err == nil && len(ids) > 0 {
			err = s.do(ctx, src, func(t *turn) error { return p.some(t, ids) })
		}
	}
	if err != nil || p.recalled {
		return err
	}
	return s.do(ctx, src, func(t *turn) error { return t.finish(p.once, nil, &outcome{Entries: p.entries}, nil) })
}

// look gives some of the consents with from ≤ id < end that are to be ended, and
// where to go on.
func (p *ending) look(ctx context.Context, s *Service, src Source, from, end ledger.ConsentID) (ids []ledger.ConsentID, next ledger.ConsentID, err error) {
	if err := ctx.Err(); err != nil {
		return nil, from, err
	}
	snap := s.log.Snapshot()
	defer snap.Release()
	notice, _, err := snap.Notice(p.notice.ID, p.notice.Version)
	if err != nil {
		return nil, from, err
	}
	next = min(end, from+rowsPerLook)
	err = snap.Consents(from, next, func(c ledger.Consent) error {
		if len(ids) == endsPerTurn {
			next = min(next, c.ID)
			return nil
		}
		if !p.ends(c) || !maySee(src, c) || !slices.Contains(notice.Covers, c.Purpose) {
			return nil
		}
		rests, err := restsOn(snap, c)
		if err == nil && rests == notice.NoticeRef {
			ids = append(ids, c.ID)
		}
		return err
	})
	return ids, next, err
}

// restsOn gives the notice with which a record was opened, or renewed last.
func restsOn(snap *store.Snapshot, c ledger.Consent) (ledger.NoticeRef, error) {
	i := ledger.Index(c.ID)
	if c.State == ledger.Renewed {
		i = c.Last
	}
	for {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return ledger.NoticeRef{}, err
		}
		if e.Notice.ID != "" || e.Index == ledger.Index(c.ID) {
			return e.Notice, nil
		}
		i = decision.Previous(e, c.ID)
	}
}

// some decides about consents that were found. Some may have ended since, and
// their people may be unknown now.
func (p *ending) some(t *turn, ids []ledger.ConsentID) error {
	var list []ledger.Consent
	for _, id := range ids {
		c, _, err := t.log.Consent(id)
		if err != nil {
			return err
		}
		if p.ends(c) && maySee(t.source, c) {
			list = append(list, c)
		}
	}
	entries, out, err := p.end(t, list)
	if err != nil || len(entries) == 0 {
		return err
	}
	if _, err := t.write(entries...); err != nil {
		return err
	}
	p.entries = append(p.entries, out.Entries...)
	return nil
}

// ended builds the answer.
func (s *Service) ended(list []ledger.Index, proof bool) (*Ended, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	answer := new(Ended)
	for _, i := range list {
		entry, parsed, err := s.entry(snap, i, proof)
		if err != nil {
			return nil, err
		}
		answer.Entries = append(answer.Entries, entry)
		answer.Consents += len(parsed.Consents)
	}
	return answer, nil
}
