package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// The modes of an erasure.
const (
	shredNow      = "shred_now"
	lockThenShred = "lock_then_shred"
)

// Erasure asks that everything about a person be destroyed (Art. 17 GDPR).
type Erasure struct {
	Subject Subject
	Reason  string
	// Mode is shred_now, or lock_then_shred: kept for legal claims only (Art.
	// 17(3)(e)), unknown to everybody but the legal role, until the latest of
	// the purposes' evidence periods and NotBefore.
	Mode      string
	NotBefore time.Time
	// KeepSuppression puts the person's identifiers on the suppression list,
	// before anything is erased: they stay there should the erasure then fail.
	KeepSuppression bool
	IdempotencyKey  string `json:"-"`
	Proof           bool   `json:"-"`
}

// Erased answers an Erasure.
type Erased struct {
	Consents int
	// ContentsDestroyedAt and ExistenceDestroyedBy are zero after a lock,
	// LockedUntil is zero otherwise.
	ContentsDestroyedAt  time.Time
	ExistenceDestroyedBy time.Time
	LockedUntil          time.Time
	Entry                Entry   // subject.erased or subject.locked
	Shredded             Entry   // evidence.shredded; zero after a lock
	Receipt              string  // the person's erasure receipt; "" after a lock
	Suppressed           []Entry // suppression.added
}

// consentsPerEntry is how many `consent` lines fit an entry with room for the
// rest: 50 bytes each of 16 KiB.
const consentsPerEntry = 300

// EraseSubject destroys the keys of everything about a person, or locks it until
// that may be done, and answers when the keys are destroyed or the person is
// locked. From the moment that it is recorded the person is a stranger to every
// call but those of the legal role.
func (s *Service) EraseSubject(ctx context.Context, src Source, e Erasure) (*Erased, error) {
	id, err := e.Subject.normalise("subject")
	if err != nil {
		return nil, err
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	once, err := s.once(src, e.IdempotencyKey, []any{"EraseSubject", e, id})
	if err != nil {
		return nil, err
	}
	d := &erasing{e: e, id: id, once: once}
	if e.KeepSuppression {
		// In a group of its own: what is written together with the person's
		// erasure would lead from the list to what is left of them.
		if err := s.doUrgent(ctx, src, d.suppress); err != nil {
			return nil, err
		}
	}
	if err := s.doUrgent(ctx, src, d.decide); err != nil {
		return nil, err
	}
	if err := s.eraser.wait(ctx); err != nil {
		return nil, err
	}
	return s.erased(d)
}

func (e *Erasure) check() error {
	if !ledger.IsEraseReason(e.Reason) {
		return refusal.Invalid("reason", "is not a reason: %s", strings.Join(ledger.EraseReasons(), ", "))
	}
	if e.Mode != shredNow && e.Mode != lockThenShred {
		return refusal.Invalid("mode", "must be said: shred_now or lock_then_shred")
	}
	if e.NotBefore.IsZero() {
		return nil
	}
	if e.Mode == shredNow {
		return refusal.Invalid("not_before", "belongs to lock_then_shred only")
	}
	if _, err := occurred(e.NotBefore); err != nil || e.NotBefore.UTC().Year() > 2199 {
		return refusal.Invalid("not_before", "must lie between the years 2000 and 2199")
	}
	e.NotBefore = e.NotBefore.UTC()
	return nil
}

// erasing is an erasure in the making.
type erasing struct {
	e          Erasure
	id         Identifier
	once       once
	consents   int
	until      time.Time // of a lock
	entries    []ledger.Index
	suppressed []ledger.Index
}

// person finds whom the erasure is about, and until when their evidence is kept
// if they are locked. It refuses while they must not be shredded.
func (d *erasing) person(t *turn) (who *person, until time.Time, err error) {
	// A retry finds its person gone: not_found.
	if _, _, err := d.once.recall(t); err != nil {
		return nil, until, err
	}
	if who, err = t.person(d.id); err != nil {
		return nil, until, err
	} else if who == nil {
		return nil, until, refusal.NotFound("subject", "nothing is held about this person")
	}
	uwg, until, err := evidencePeriods(deciding{t}, who.all())
	if err == nil && d.e.Mode == shredNow {
		err = mayShred(who.all(), uwg, t.now)
	}
	return who, wholeSecond(decision.Later(until, d.e.NotBefore)), err
}

// suppress puts the person's identifiers on the suppression list.
func (d *erasing) suppress(t *turn) error {
	d.suppressed = nil
	who, _, err := d.person(t)
	if err != nil {
		return err
	}
	ids, err := t.vault.Identifiers(who.subject)
	if err != nil {
		return err
	}
	first, err := t.next()
	if err != nil {
		return err
	}
	var entries []*ledger.Entry
	for _, id := range ids {
		e, err := t.suppress(id, ledger.AllMarketing)
		if err != nil {
			return err
		}
		if e != nil {
			d.suppressed = append(d.suppressed, first+ledger.Index(len(entries)))
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	_, err = t.write(entries...)
	return err
}

func (d *erasing) decide(t *turn) error {
	who, until, err := d.person(t)
	if err != nil {
		return err
	}
	first, err := t.next()
	if err != nil {
		return err
	}
	plan, base := vault.Change{Erase: true}, ledger.Entry{Kind: ledger.SubjectErased, Reason: d.e.Reason}
	touched := who.all()
	if d.e.Mode == lockThenShred {
		touched, d.until = who.consents, until
		plan, base = vault.Change{Lock: true}, ledger.Entry{Kind: ledger.SubjectLocked, Reason: d.e.Reason, Until: d.until}
	}
	d.consents, d.entries = len(touched), nil
	entries := splitConsents(base, touched)
	for range entries {
		d.entries = append(d.entries, first+ledger.Index(len(d.entries)))
	}
	if err := d.once.remember(t, who.subject, &outcome{Entries: d.entries}); err != nil {
		return err
	}
	if err := t.vault.Plan(who.subject, plan); err != nil {
		return err
	}
	_, err = t.write(entries...)
	return err
}

// mayShred refuses while something keeps the evidence.
func mayShred(consents []ledger.Consent, uwg, now time.Time) error {
	if slices.ContainsFunc(consents, pinned) {
		return refusal.Precondition("held", "a legal hold, or a restriction under Art. 18(1)(b) or (c) GDPR, keeps the data until it is lifted")
	}
	if now.Before(uwg) {
		return refusal.Precondition("uwg_7a", "the proof of consent to advertising by telephone must be kept until %s (§ 7a UWG); "+
			"use lock_then_shred", uwg.Format(time.RFC3339))
	}
	return nil
}

// pinned reports whether a consent's keys must not be destroyed.
func pinned(c ledger.Consent) bool { return c.Kept || c.Holds > 0 }

// splitConsents splits what changes consents over consecutive entries.
func splitConsents(base ledger.Entry, consents []ledger.Consent) []*ledger.Entry {
	chunks := slices.Collect(slices.Chunk(slices.SortedFunc(slices.Values(consents), byID), consentsPerEntry))
	entries := make([]*ledger.Entry, 0, len(chunks))
	for i, chunk := range chunks {
		e := base
		for _, c := range chunk {
			e.Consents = append(e.Consents, ledger.Link{Consent: c.ID, After: c.Last})
		}
		numberPart(&e, i, len(chunks))
		entries = append(entries, &e)
	}
	return entries
}

// erased builds the answer after the pass that carried the erasure out.
func (s *Service) erased(d *erasing) (*Erased, error) {
	answer := &Erased{Consents: d.consents, LockedUntil: d.until}
	snap := s.log.Snapshot()
	defer snap.Release()
	var err error
	if answer.Entry, _, err = s.entry(snap, d.entries[0], d.e.Proof); err != nil {
		return nil, err
	}
	if answer.Suppressed, err = s.entries(d.suppressed, d.e.Proof); err != nil {
		return nil, err
	}
	if d.e.Mode == lockThenShred {
		return answer, nil
	}
	shredded, err := shreddedBy(snap, d.entries)
	if err != nil {
		return nil, err
	}
	var first *ledger.Entry
	if answer.Shredded, first, err = s.entry(snap, shredded[0], d.e.Proof); err != nil {
		return nil, err
	}
	answer.ContentsDestroyedAt, answer.ExistenceDestroyedBy = first.Contents, first.ExistenceDue
	answer.Receipt, err = erasureReceipt(snap, append(d.entries, shredded...))
	return answer, err
}

// shreddedBy gives the entries that record that the keys behind the entries of an
// erasure are destroyed.
func shreddedBy(snap *store.Snapshot, erased []ledger.Index) (list []ledger.Index, err error) {
	for _, i := range erased {
		shredded, ok, err := snap.Shredded(i)
		if err == nil && !ok {
			err = fmt.Errorf("%w: the erasure in entry %d has no evidence.shredded", store.ErrDamaged, i)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, shredded)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// erasureReceipt is what the person is given: the entries of the erasure and
// those that say that the keys are gone, each with its proof.
func erasureReceipt(snap *store.Snapshot, entries []ledger.Index) (string, error) {
	var receipt ledger.ErasureReceipt
	for _, i := range entries {
		text, err := snap.Entry(i)
		if err != nil {
			return "", err
		}
		proof, err := snap.Receipt(i)
		if err != nil {
			return "", err
		}
		receipt.Sections = append(receipt.Sections, ledger.ErasureSection{Entry: text, Receipt: *proof})
	}
	return string(receipt.Text()), nil
}
