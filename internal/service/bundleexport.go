package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// BundleRequest asks for what proves consents of one person to somebody who does not
// trust the ledger. Exactly one of Subject and ConsentIDs says whose.
type BundleRequest struct {
	Subject Subject
	// ConsentIDs are just these records, at most [MaxBundled]. They may be erased.
	ConsentIDs []ledger.ConsentID
	// Purposes chooses among the records of Subject; none for all.
	Purposes []string
	// Disclose names the claims whose values are shown, at most 32, each once. All
	// others stay commitments.
	Disclose []string
	// Recipient and Reason say for whom the bundle is and why, at most
	// [ledger.MaxClaimValue] bytes each. It discloses both. They are kept under the keys of
	// the records; where all of these are erased, for good, and must name nobody then.
	Recipient, Reason string
	// At is the moment asked about, from the year 2000 to now; the zero time is that of
	// the export.
	At             time.Time
	IdempotencyKey string `json:"-"`
}

// MaxBundled is how many records a request for a bundle may name.
const MaxBundled = 5000

// How long ExportBundle goes on where something came in between.
const (
	bundleTries = 5
	// cosignedWithin is how long the witnesses may take.
	cosignedWithin = 10 * time.Second
	cosignedPoll   = 20 * time.Millisecond
)

// UseCosigned says where the newest checkpoint is found that satisfies the policy for
// witnesses, with its size; nil and 0 where there has been none. It is called before
// anybody else uses the ledger, and only where there is such a policy.
func (s *Service) UseCosigned(newest func() ([]byte, ledger.Size)) {
	s.cosigned, s.cosignedWithin = newest, cosignedWithin
}

// ExportBundle gathers what proves consents of one person to somebody who does not trust
// the ledger: their entries, what these rest on, the stamps that bound the times, the
// notices that were shown, and of personal values those chosen and no others. That it does
// is on record before it answers, and in the bundle; so is the state of each record, which
// the log commits after that. It is for the legal role, also about who is locked.
//
// Of a person it holds the records of the purposes asked for, those whose objections
// stop these, and those that were ever restricted. Whoever is erased is a stranger; by
// their ids records that are erased can be asked for, too: then their entries prove that
// they were, and nothing is disclosed.
//
// One that a package [bundle] container cannot hold is refused before anything is
// recorded. Where there are witnesses it waits up to ten seconds until they have
// cosigned what it holds; after that the log's own signatures must do. A retry is about
// the same records, as they are then.
func (s *Service) ExportBundle(ctx context.Context, src Source, r BundleRequest) (*Bundle, error) {
	x := &exporting{s: s, ctx: ctx, src: src, r: r}
	if err := x.check(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{x.find, x.rehearse, x.record} {
		if err := step(); err != nil {
			return nil, s.unreadable(err)
		}
	}
	b, err := x.publish()
	if err != nil {
		return nil, s.unreadable(err)
	}
	return b, nil
}

// exporting is a bundle in the making.
type exporting struct {
	s   *Service
	ctx context.Context
	src Source
	r   BundleRequest

	id     Identifier // zero where ConsentIDs is given
	once   once
	claims []claim // reason and recipient

	ids    []ledger.ConsentID // of the records, ascending
	erased []bool             // which of them were
	out    *outcome
}

func (x *exporting) check() (err error) {
	r := &x.r
	switch {
	case len(r.ConsentIDs) == 0:
		if x.id, err = r.Subject.normalise("subject"); err != nil {
			return err
		}
	case !r.Subject.isZero():
		return refusal.Invalid("consent_ids", "names records beside a subject; give one of them")
	case len(r.Purposes) > 0:
		return refusal.Invalid("purposes", "chooses among the records of a subject; consent_ids names them itself")
	}
	if err := checkIDs(r.ConsentIDs, MaxBundled); err != nil {
		return err
	}
	if len(r.Purposes) > ledger.MaxPurposes {
		return refusal.Invalid("purposes", "has %d purposes, at most %d", len(r.Purposes), ledger.MaxPurposes)
	}
	for i, p := range r.Purposes {
		if !ledger.IsIdentifier(p) {
			return refusal.Invalid(path("purposes", i), "is not the id of a purpose")
		}
		if slices.Contains(r.Purposes[:i], p) {
			return refusal.Invalid(path("purposes", i), "stands twice in the list")
		}
	}
	if err := checkClaimNames("disclose", r.Disclose); err != nil {
		return err
	}
	for _, f := range []struct{ name, value string }{{"reason", r.Reason}, {"recipient", r.Recipient}} {
		if err := checkValue(f.name, f.value); err != nil {
			return err
		}
		x.claims = append(x.claims, newClaim(f.name, f.value))
	}
	if !r.At.IsZero() && (r.At.Before(earliest) || r.At.After(x.s.now())) {
		return refusal.Invalid("at", "must lie between the year 2000 and now")
	}
	x.once, err = x.s.once(x.src, r.IdempotencyKey, []any{"ExportBundle", r, x.id})
	return err
}

// find finds the records.
func (x *exporting) find() error {
	snap := x.s.log.Snapshot()
	defer snap.Release()
	return x.s.vault.View(func(w vault.View) error {
		consents, err := x.records(snap, w)
		if err != nil {
			return err
		}
		if checkSealed(x.claims, len(consents)) != nil {
			return refusal.Invalid("reason", "and recipient are kept with each of %d records, so they may have %d bytes together",
				len(consents), maxSealed/len(consents))
		}
		for _, c := range consents {
			if c.Overlays.Has(ledger.Erased) && len(x.r.Disclose) > 0 {
				return refusal.Precondition("disclose", "consent %d is erased, and so is what was known of it; ask for no claims", c.ID)
			}
			x.ids, x.erased = append(x.ids, c.ID), append(x.erased, c.Overlays.Has(ledger.Erased))
		}
		return nil
	})
}

func (x *exporting) records(snap *store.Snapshot, w vault.View) ([]ledger.Consent, error) {
	if len(x.r.ConsentIDs) > 0 {
		return x.named(snap, w)
	}
	all, err := everybody(w, snap, snap.Size(), x.id)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, refusal.NotFound("subject", "nobody is held under it; of somebody who was erased, ask by consent_ids")
	case len(all) > 1:
		return nil, refusal.Precondition("subject", "%d people are or were known under it; ask by the consent_ids of one of them", len(all))
	}
	return x.ofPurposes(snap, all[0].all())
}

// named gives the records that the request names. Whose an erased one was nobody
// knows; the others must be one person's.
func (x *exporting) named(snap *store.Snapshot, w vault.View) (list []ledger.Consent, err error) {
	var who *vault.Subject
	for i, id := range x.r.ConsentIDs {
		at := path("consent_ids", i)
		c, ok, err := snap.Consent(id)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, refusal.NotFound(at, "there is no such consent")
		}
		list = append(list, c)
		if c.Overlays.Has(ledger.Erased) {
			continue
		}
		subject, ok, err := w.SubjectOf(id)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, fmt.Errorf("%w: consent %d has no person", store.ErrDamaged, id)
		case who != nil && who.Slot != subject.Slot:
			return nil, refusal.Invalid(at, "belongs to another person than one before it")
		}
		who = subject
	}
	slices.SortFunc(list, byID)
	return list, nil
}

// ofPurposes chooses among a person's records.
func (x *exporting) ofPurposes(snap *store.Snapshot, all []ledger.Consent) ([]ledger.Consent, error) {
	if len(x.r.Purposes) == 0 {
		return all, nil
	}
	of := map[string]bool{}
	for i, id := range x.r.Purposes {
		p, _, err := snap.Purpose(id)
		if err != nil {
			return nil, err
		}
		p.ID = id // also one that no purpose defines
		stops, err := decision.StopsOf(snap, p)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(c ledger.Consent) bool { return slices.Contains(stops, c.Purpose) }) {
			return nil, refusal.NotFound(path("purposes", i), "the person has no record of it, and none that stops it")
		}
		for _, name := range stops {
			of[name] = true
		}
	}
	return keepIf(all, func(c ledger.Consent) (bool, error) {
		if of[c.Purpose] {
			return true, nil
		}
		restricted := false
		err := eachChange(snap, c, func(e *ledger.Entry) { restricted = restricted || e.Kind == ledger.RestrictionSet })
		return restricted, err
	})
}

// keepIf gives the records for which keep holds.
func keepIf(all []ledger.Consent, keep func(ledger.Consent) (bool, error)) (list []ledger.Consent, err error) {
	for _, c := range all {
		ok, err := keep(c)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, c)
		}
	}
	return list, nil
}

// eachChange calls yield for the entries that changed a record and, last, the one that
// opened it.
func eachChange(snap *store.Snapshot, c ledger.Consent, yield func(*ledger.Entry)) error {
	for i := c.Last; i >= 0; {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return err
		}
		yield(e)
		i = decision.Previous(e, c.ID)
	}
	return nil
}

// rehearse gathers the bundle as it would be, so that nothing is on record that could
// not be shown or that no container holds.
func (x *exporting) rehearse() error {
	snap := x.s.log.Snapshot()
	defer snap.Release()
	b := &Bundle{Size: snap.Size(), Checkpoint: snap.Checkpoint(), s: x.s}
	if err := x.gather(snap, b); err != nil {
		return err
	}
	for i, name := range x.r.Disclose {
		discloses := func(e BundleEntry) bool {
			return slices.ContainsFunc(e.Disclosed, func(c HeldClaim) bool { return c.Claim == name })
		}
		if !slices.ContainsFunc(b.Entries, discloses) {
			return refusal.NotFound(path("disclose", i), "no entry of the records commits to it")
		}
	}
	return b.fits()
}

// record says in the log that the bundle is made, and what it shows.
func (x *exporting) record() error {
	return x.s.do(x.ctx, x.src, func(t *turn) (err error) {
		if x.out, _, err = x.once.recall(t); x.out != nil || err != nil {
			return err
		}
		var who *vault.Subject // nobody where all records are erased
		for i, id := range x.ids {
			c, _, err := t.log.Consent(id)
			if err != nil {
				return err
			}
			if c.Overlays.Has(ledger.Erased) != x.erased[i] {
				return errGoneMeanwhile
			}
			if x.erased[i] {
				continue
			}
			if who, _, err = t.vault.SubjectOf(id); err != nil {
				return err
			}
			if err := t.addClaims(id, x.claims); err != nil {
				return err
			}
		}
		if who == nil {
			if err := t.seal(x.s.vault.LedgerKey(), x.claims); err != nil {
				return err
			}
		}
		next, err := t.next()
		if err != nil {
			return err
		}
		entries := splitAbout(ledger.Entry{Kind: ledger.BundleExported, Commits: commitments(x.claims)}, x.ids)
		if len(x.r.Disclose) > 0 {
			entries = append(entries, splitAbout(ledger.Entry{Kind: ledger.EvidenceDisclosed, Occasion: "bundle",
				Shown: slices.Sorted(slices.Values(x.r.Disclose))}, x.ids)...)
		}
		x.out = new(outcome)
		for i := range entries {
			x.out.Exported = append(x.out.Exported, next+ledger.Index(i))
		}
		return t.finish(x.once, who, x.out, entries)
	})
}

// errChanged: a record changed after its state was committed.
var errChanged = errors.New("a record changed meanwhile")

// publish gathers the bundle as of one checkpoint that has all that is in it.
func (x *exporting) publish() (*Bundle, error) {
	// A retry is about the records of the first call.
	var err error
	if x.ids, err = x.aboutOf(x.out.Exported); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(x.s.cosignedWithin)
	for range bundleTries {
		b, err := x.attempt(deadline)
		if errors.Is(err, errChanged) || errors.Is(err, store.ErrRetired) {
			continue
		}
		return b, err
	}
	return nil, refusal.Unavailable("the records change faster than they can be proven; ask again")
}

func (x *exporting) attempt(deadline time.Time) (*Bundle, error) {
	// An older state could hide what was recorded since.
	if _, err := x.s.commitStateAfter(x.ctx, slices.Max(x.out.Exported), x.ids); err != nil {
		return nil, err
	}
	b := &Bundle{s: x.s}
	proofs, needs, err := x.states(b)
	if err != nil {
		return nil, err
	}
	if err := x.await(b, needs, deadline); err != nil {
		return nil, err
	}
	snap := x.s.log.Snapshot()
	defer snap.Release()
	if !b.Cosigned {
		b.Checkpoint, b.Size = snap.Checkpoint(), snap.Size()
	}
	if b.signer, err = snap.BundleSigner(b.Size); err != nil {
		return nil, err
	}
	if b.Root, err = x.s.log.RootAt(b.Size); err != nil {
		return nil, err
	}
	if err := x.gather(snap, b); err != nil {
		return nil, err
	}
	for i := range b.Consents {
		c := &b.Consents[i]
		if c.Last >= b.Committed {
			return nil, errChanged
		}
		c.State = proofs[i]
		if !c.Overlays.Has(ledger.Erased) {
			b.held = append(b.held, c.ID)
		}
	}
	return b, nil
}

// aboutOf gives the records that the entries of an export name, ascending.
func (x *exporting) aboutOf(entries []ledger.Index) (ids []ledger.ConsentID, err error) {
	snap := x.s.log.Snapshot()
	defer snap.Release()
	for _, i := range entries {
		_, e, err := readEntry(snap, i)
		if err != nil {
			return nil, err
		}
		if e.Kind == ledger.BundleExported {
			ids = append(ids, e.About...)
		}
	}
	return ids, nil
}

// states proves the state of each record as of the newest state.committed, and gives the
// newest entry that the bundle cannot do without.
func (x *exporting) states(b *Bundle) (proofs [][]byte, needs ledger.Index, err error) {
	snap := x.s.log.Snapshot()
	defer snap.Release()
	b.Committed, _ = snap.Committed()
	for _, id := range x.ids {
		state, err := snap.ConsentState(id)
		if err != nil {
			return nil, 0, err
		}
		proofs = append(proofs, state.Proof.Text())
	}
	keys, err := snap.KeyEntry()
	return proofs, max(b.Committed, keys.Index), err
}

// await waits for a cosigned checkpoint that has the entry, if there are witnesses.
func (x *exporting) await(b *Bundle, needs ledger.Index, deadline time.Time) error {
	if x.s.cosigned == nil {
		return nil
	}
	tick := time.NewTicker(cosignedPoll)
	defer tick.Stop()
	for {
		if signed, size := x.s.cosigned(); size > ledger.Size(needs) {
			b.Checkpoint, b.Size, b.Cosigned = signed, size, true
			return nil
		}
		if time.Now().After(deadline) {
			return nil
		}
		select {
		case <-x.ctx.Done():
			return x.ctx.Err()
		case <-tick.C:
		}
	}
}
