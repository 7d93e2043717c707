package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Erasure asks that everything about a person be destroyed (Art. 17 GDPR).
type Erasure struct {
	Subject        Subject
	Reason         string
	Mode           string // shred_now
	IdempotencyKey string `json:"-"`
	Proof          bool   `json:"-"`
}

// Erased answers an Erasure.
type Erased struct {
	Consents            int
	ContentsDestroyedAt time.Time
	Entry               Entry // subject.erased
	Shredded            Entry // evidence.shredded
}

// consentsPerEntry is how many `consent` lines fit an entry with room for the
// rest: 50 bytes each of 16 KiB.
const consentsPerEntry = 300

// refersPerEntry is how many `refers` lines an evidence.shredded may have.
const refersPerEntry = 256

// erasure is subject.erased entries whose keys are still to be shredded.
type erasure struct {
	refers   []ledger.Index
	consents []ledger.ConsentID
}

func (e *erasure) add(more erasure) {
	e.refers = append(e.refers, more.refers...)
	e.consents = append(e.consents, more.consents...)
}

// EraseSubject destroys the keys of everything about a person, and answers when
// they are destroyed. From then on, and from the moment the erasure is recorded,
// the person is a stranger to every call.
func (s *Service) EraseSubject(ctx context.Context, src Source, e Erasure) (*Erased, error) {
	id, err := e.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	if !ledger.IsEraseReason(e.Reason) {
		return nil, refusal.Invalid("reason", "is not a reason: %s", strings.Join(ledger.EraseReasons(), ", "))
	}
	switch e.Mode {
	case "shred_now":
	case "lock_then_shred":
		return nil, &refusal.Error{Code: refusal.Unimplemented, At: "mode", Reason: "lock_then_shred is not in this version; only shred_now is"}
	default:
		return nil, refusal.Invalid("mode", "must be said: shred_now")
	}
	once, err := s.once(src, e.IdempotencyKey, []any{"EraseSubject", e, id})
	if err != nil {
		return nil, err
	}
	index := s.indexKey(id)
	t := &task{source: src, erases: true}
	t.decide = func(turn *turn) error {
		// A retry after the erasure finds its person gone: not_found.
		if _, _, err := once.recall(turn); err != nil {
			return err
		}
		who, err := turn.person(index)
		if err != nil {
			return err
		} else if who == nil {
			return refusal.NotFound("subject", "nothing is held about this person")
		}
		entries := turn.eraseEntries(who, e.Reason, &t.erased)
		if err := once.remember(turn, who.subject, &outcome{Entries: t.erased.refers}); err != nil {
			return err
		}
		recorded, err := turn.write(entries...)
		for _, r := range recorded {
			t.erased.refers = append(t.erased.refers, r.Entry.Index)
		}
		return err
	}
	if err := s.recorder.do(ctx, t); err != nil {
		return nil, err
	}
	return s.erased(t.erased, e.Proof)
}

// eraseEntries gives subject.erased for all consents of a person.
func (t *turn) eraseEntries(who *person, reason string, erased *erasure) []*ledger.Entry {
	*erased = erasure{}
	links := make([]ledger.Link, 0, len(who.consents))
	for _, c := range who.consents {
		links = append(links, ledger.Link{Consent: c.ID, After: c.Last})
		erased.consents = append(erased.consents, c.ID)
	}
	slices.SortFunc(links, func(a, b ledger.Link) int { return int(a.Consent - b.Consent) })
	chunks := slices.Collect(slices.Chunk(links, consentsPerEntry))
	entries := make([]*ledger.Entry, 0, len(chunks))
	for i, chunk := range chunks {
		e := &ledger.Entry{Kind: ledger.SubjectErased, Consents: chunk, Reason: reason}
		numberPart(e, i, len(chunks))
		entries = append(entries, e)
	}
	return entries
}

// shred destroys the keys behind recorded erasures and records that. It runs in
// the recorder, so nobody writes meanwhile. After an error the people stay
// fenced, never readable, and the next start finishes.
func (r *recorder) shred(pending erasure) error {
	if err := r.step("before shred"); err != nil {
		return r.stop(err)
	}
	shredded, err := r.s.vault.Erase(pending.consents)
	if err != nil {
		return r.stop(fmt.Errorf("shredding keys: %w", err))
	}
	g, err := r.begin()
	if err != nil {
		return err
	}
	// Whole seconds, cut down, so that it never lies after the entry's own time.
	contents := shredded.ContentsDestroyedAt.UTC().Truncate(time.Second)
	t := &turn{s: r.s, source: Source{Name: ledger.SourceLedger}, now: g.now, log: g.log, vault: g.vault.Draft()}
	for refers := range slices.Chunk(pending.refers, refersPerEntry) {
		e := &ledger.Entry{Kind: ledger.EvidenceShredded, Refers: refers, Generation: int64(shredded.Generation),
			Medium: shredded.Medium, Contents: contents}
		if _, err := t.write(e); err != nil {
			g.log.Discard()
			g.vault.Discard()
			return r.stop(err)
		}
		t.vault = g.vault.Draft()
	}
	return g.commit()
}

// pendingErasures finds erasures whose keys are not recorded as shredded.
func (s *Service) pendingErasures(snap *store.Snapshot) (ledger.Chain, erasure, error) {
	var pending erasure
	list, err := snap.PendingErasures()
	if err != nil {
		return snap.Chain(), pending, err
	}
	for _, i := range list {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return snap.Chain(), pending, err
		}
		pending.refers = append(pending.refers, i)
		for _, l := range e.Consents {
			pending.consents = append(pending.consents, l.Consent)
		}
	}
	return snap.Chain(), pending, nil
}

// erased builds the answer. The evidence.shredded entry follows the erasure at
// once, in a group of its own.
func (s *Service) erased(done erasure, proof bool) (*Erased, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	answer := &Erased{Consents: len(done.consents)}
	var err error
	if answer.Entry, _, err = s.entry(snap, done.refers[0], proof); err != nil {
		return nil, err
	}
	for i := done.refers[len(done.refers)-1] + 1; ledger.Size(i) < snap.Size(); i++ {
		_, parsed, err := readEntry(snap, i)
		if err != nil {
			return nil, err
		}
		if parsed.Kind == ledger.EvidenceShredded && slices.Contains(parsed.Refers, done.refers[0]) {
			answer.ContentsDestroyedAt = parsed.Contents
			answer.Shredded, _, err = s.entry(snap, i, proof)
			return answer, err
		}
	}
	return nil, fmt.Errorf("%w: the erasure in entry %d has no evidence.shredded", vault.ErrDamaged, done.refers[0])
}
