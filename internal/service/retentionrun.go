package service

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// RetentionRun says which periods are to be applied.
type RetentionRun struct {
	// DryRun changes nothing, and Ahead looks that far into the future.
	DryRun bool
	Ahead  time.Duration
}

// maxAhead is how far a dry run looks ahead.
const maxAhead = 3660 * 24 * time.Hour

// One decision of a run concerns so many people and consents at most: it must fit
// a group, and others wait for their turn meanwhile. Of somebody with more consents
// that are due, such as somebody whose address a machine typed over and over, the
// next round takes the rest.
const (
	peoplePerTurn   = 100
	consentsPerTurn = 1000
)

// retention applies periods, one run at a time.
type retention struct {
	s    *Service
	busy sync.Mutex

	mu   sync.Mutex
	last time.Time // when the newest run ended
}

// RunRetention does what is due: requests whose link has expired lapse, lapsed
// ones are shredded, ended consents are locked, locked ones whose evidence has
// served are shredded, consents expire that are not valid any more, or unused for
// too long where the purpose says so. It answers
// when the keys are destroyed. A run that began goes on when ctx ends, a dry run does not.
func (s *Service) RunRetention(ctx context.Context, run RetentionRun) (*RetentionReport, error) {
	if run.Ahead < 0 || run.Ahead > maxAhead || run.Ahead != 0 && !run.DryRun {
		return nil, refusal.Invalid("ahead", "must lie between 0 and %d days, and belongs to a dry run", int(maxAhead.Hours()/24))
	}
	if run.DryRun {
		return s.retention.preview(ctx, run.Ahead)
	}
	if err := s.Fault(); err != nil {
		return nil, err
	}
	return s.retention.run(context.WithoutCancel(ctx))
}

// tally sums up what is due.
type tally struct {
	report RetentionReport
	items  map[[3]string]*RetentionItem
}

func newTally(at time.Time) *tally {
	return &tally{RetentionReport{At: at}, map[[3]string]*RetentionItem{}}
}

func (t *tally) add(d due) {
	key := [3]string{d.rule, d.measure, d.consent.Purpose}
	item := t.items[key]
	if item == nil {
		item = &RetentionItem{d.rule, d.measure, d.consent.Purpose, 0, d.at}
		t.items[key] = item
	}
	if item.Consents++; d.at.Before(item.FirstDue) {
		item.FirstDue = d.at
	}
}

func (t *tally) done() *RetentionReport {
	for _, key := range slices.SortedFunc(maps.Keys(t.items), func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		t.report.Items = append(t.report.Items, *t.items[key])
	}
	return &t.report
}

func (r *retention) preview(ctx context.Context, ahead time.Duration) (*RetentionReport, error) {
	snap := r.s.log.Snapshot()
	defer snap.Release()
	t := newTally(r.s.now().UTC())
	err := dueUntil(ctx, snap, t.report.At.Add(ahead), func(d due) {
		if d.kept() {
			t.report.Kept++
			return
		}
		t.add(d)
	})
	return t.done(), err
}

// run applies what is due, then what became due by that: a request that has
// been expired for long lapses and is shredded in one run. When ctx ends, what was
// applied stands, and the next run does the rest.
func (r *retention) run(ctx context.Context) (*RetentionReport, error) {
	r.busy.Lock()
	defer r.busy.Unlock()
	t := newTally(r.s.now().UTC())
	t.report.Applied = true
	for applied := -1; applied != 0; {
		var err error
		if applied, err = r.round(ctx, t); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	r.last = t.report.At
	r.mu.Unlock()
	return t.done(), nil
}

// round applies what is due at the moment, person by person, and lets the keys
// be destroyed. It counts what it applied.
func (r *retention) round(ctx context.Context, t *tally) (applied int, err error) {
	people, order, err := r.collect(ctx, t)
	if err != nil {
		return 0, err
	}
	for len(order) > 0 {
		chunk := nextTurn(order, people)
		order = order[len(chunk):]
		var a *applying
		err := r.s.do(ctx, Source{Name: ledger.SourceLedger}, func(turn *turn) (err error) {
			a = &applying{t: turn}
			for _, slot := range chunk {
				if err := a.person(people[slot]); err != nil {
					return err
				}
			}
			return a.write()
		})
		if err != nil {
			r.s.eraser.wake() // what was decided before is carried out
			return applied, err
		}
		for _, d := range a.done {
			t.add(d)
		}
		applied += len(a.done) + len(a.planned)
	}
	if applied > 0 {
		err = r.s.eraser.wait(ctx)
	}
	return applied, err
}

// nextTurn gives the people that the next decision is about.
func nextTurn(order []vault.Slot, people map[vault.Slot][]due) []vault.Slot {
	n, consents := 1, len(people[order[0]])
	for ; n < min(len(order), peoplePerTurn); n++ {
		if consents += len(people[order[n]]); consents > consentsPerTurn {
			break
		}
	}
	return order[:n]
}

// collect gives what is due now by person. What is kept and what only warns is
// counted once, in the first round.
func (r *retention) collect(ctx context.Context, t *tally) (map[vault.Slot][]due, []vault.Slot, error) {
	snap := r.s.log.Snapshot()
	defer snap.Release()
	people := map[vault.Slot][]due{}
	var order []vault.Slot
	kept := 0
	warn := newTally(t.report.At)
	var failed error
	err := dueUntil(ctx, snap, t.report.At, func(d due) {
		switch {
		case d.kept():
			kept++
			return
		case d.measure == measureWarn:
			warn.add(d)
			return
		}
		failed = cmp.Or(failed, r.s.vault.View(func(w vault.View) error {
			subject, ok, err := w.SubjectOf(d.consent.ID)
			if err != nil || !ok {
				return err // erased meanwhile
			}
			if people[subject.Slot] == nil {
				order = append(order, subject.Slot)
			}
			if len(people[subject.Slot]) < consentsPerTurn {
				people[subject.Slot] = append(people[subject.Slot], d)
			}
			return nil
		}))
	})
	t.report.Kept = kept
	for key, item := range warn.items {
		t.items[key] = item
	}
	return people, order, cmp.Or(err, failed)
}

// applying is one decision of a run.
type applying struct {
	t       *turn
	done    []due
	planned []plannedChange
}

type plannedChange struct {
	subject *vault.Subject
	change  vault.Change
}

// person decides anew about what is due of one person: it may have changed since
// it was collected. Keys are destroyed before anything is locked, because one
// change at a time is planned for a person; the next round does the rest.
func (a *applying) person(list []due) error {
	subject, ok, err := a.t.vault.SubjectOf(list[0].consent.ID)
	if err != nil || !ok {
		return err
	}
	who, err := knownPerson(a.t.vault, a.t.log, a.t.log.Size(), subject)
	if err != nil || who == nil {
		return err
	}
	rest := map[ledger.ConsentID]ledger.Consent{}
	for _, c := range who.all() {
		rest[c.ID] = c
	}
	current, err := a.stillDue(list, rest)
	if err != nil {
		return err
	}
	measure := func(m string) (some []due) {
		for _, d := range current {
			if d.measure == m {
				some = append(some, d)
			}
		}
		return some
	}
	a.done = append(a.done, measure(measureExpire)...)
	shred, lock := measure(measureShred), measure(measureLock)
	hide, err := a.hides(who, shred, lock)
	switch {
	case err != nil:
		return err
	case hide:
		a.done = append(a.done, lock...)
		a.planned = append(a.planned, plannedChange{subject, vault.Change{Lock: true}})
	case len(shred) > 0:
		a.done = append(a.done, shred...)
		a.planned = append(a.planned, plannedChange{subject, shredding(shred, len(rest))})
	default:
		a.done = append(a.done, lock...)
	}
	return nil
}

// stillDue gives what is due of consents now.
func (a *applying) stillDue(list []due, rest map[ledger.ConsentID]ledger.Consent) (current []due, err error) {
	for _, d := range list {
		c, ok := rest[d.consent.ID]
		if !ok {
			continue
		}
		dues, err := duesOf(deciding{a.t}, c)
		if err != nil {
			return nil, err
		}
		for _, d := range dues {
			if d.isPast(a.t.now) && !d.kept() {
				current = append(current, d)
			}
		}
	}
	return current, nil
}

// hides reports whether a person who can still be found by everybody is left
// with nothing but what is locked.
func (a *applying) hides(who *person, shred, lock []due) (bool, error) {
	gone := map[ledger.ConsentID]bool{}
	for _, d := range slices.Concat(shred, lock) {
		gone[d.consent.ID] = true
	}
	for _, c := range who.consents {
		if !gone[c.ID] {
			return false, nil
		}
	}
	if len(shred) == len(who.consents)+len(who.locked) {
		return false, nil // nothing is left at all
	}
	ids, err := a.t.vault.Identifiers(who.subject)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	found, ok, err := a.t.vault.FindSubject(ids[0])
	return ok && found.Slot == who.subject.Slot, err
}

// shredding is the change that destroys the keys of some of a person's consents.
// Whoever is left with nothing is erased.
func shredding(list []due, held int) vault.Change {
	change := vault.Change{Erase: len(list) == held}
	for _, d := range list {
		if !change.Erase {
			change.Consents = append(change.Consents, d.consent.ID)
		}
	}
	return change
}

// write plans the changes and writes the entries of the decision.
func (a *applying) write() error {
	for _, p := range a.planned {
		if err := a.t.vault.Plan(p.subject, p.change); err != nil {
			return err
		}
	}
	if len(a.done) == 0 {
		return a.t.vault.Keep()
	}
	_, err := a.t.write(a.entries()...)
	return err
}

// entries gives what a run writes: which rule was applied to which consents, and
// what it did to them. People are not kept apart in them.
func (a *applying) entries() (entries []*ledger.Entry) {
	slices.SortFunc(a.done, func(x, y due) int { return byID(x.consent, y.consent) })
	for _, base := range []ledger.Entry{
		{Rule: ruleUnused, Measure: measureExpire}, {Rule: ruleValidity, Measure: measureExpire}, {Rule: ruleWithdrawn, Measure: measureLock},
		{Rule: ruleLapsed, Measure: measureShred}, {Rule: ruleEvidence, Measure: measureShred},
	} {
		base.Kind = ledger.RetentionApplied
		if some := a.of(base.Rule, base.Measure); len(some) > 0 {
			ids := make([]ledger.ConsentID, 0, len(some))
			for _, d := range some {
				ids = append(ids, d.consent.ID)
			}
			entries = append(entries, splitAbout(base, ids)...)
		}
	}
	entries = append(entries, a.expired()...)
	expire := slices.Concat(a.of(ruleUnused, measureExpire), a.of(ruleValidity, measureExpire))
	entries = append(entries, splitDue(ledger.Entry{Kind: ledger.ConsentExpired}, expire)...)
	entries = append(entries, a.locked()...)
	shred := slices.Concat(a.of(ruleLapsed, measureShred), a.of(ruleEvidence, measureShred))
	return append(entries, splitDue(ledger.Entry{Kind: ledger.SubjectErased, Reason: "retention"}, shred)...)
}

func (a *applying) of(rule, measure string) (some []due) {
	for _, d := range a.done {
		if d.rule == rule && d.measure == measure {
			some = append(some, d)
		}
	}
	return some
}

func splitDue(base ledger.Entry, list []due) []*ledger.Entry {
	consents := make([]ledger.Consent, 0, len(list))
	for _, d := range list {
		consents = append(consents, d.consent)
	}
	return splitConsents(base, consents)
}

// expired gives one request.expired per request.
func (a *applying) expired() (entries []*ledger.Entry) {
	requests := map[ledger.ConsentID][]due{}
	for _, d := range a.of(ruleLapsed, measureExpire) {
		requests[d.consent.Request] = append(requests[d.consent.Request], d)
	}
	for _, request := range slices.Sorted(maps.Keys(requests)) {
		list := requests[request]
		entries = append(entries, splitDue(ledger.Entry{Kind: ledger.RequestExpired, Lock: list[0].lock}, list)...)
	}
	return entries
}

// locked gives subject.locked by the moment until which evidence is kept.
func (a *applying) locked() (entries []*ledger.Entry) {
	until := map[int64][]due{}
	for _, d := range a.of(ruleWithdrawn, measureLock) {
		until[d.until.Unix()] = append(until[d.until.Unix()], d)
	}
	for _, at := range slices.Sorted(maps.Keys(until)) {
		base := ledger.Entry{Kind: ledger.SubjectLocked, Reason: "retention", Until: time.Unix(at, 0).UTC()}
		entries = append(entries, splitDue(base, until[at])...)
	}
	return entries
}
