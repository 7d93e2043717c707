package verdict

import (
	"errors"
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// record is a record that the bundle is about.
type record struct {
	*bundle.IndexedConsent
	changes  []*ledger.Entry // that opened and changed it, ascending
	mentions []*entry        // ascending
	now      ledger.Consent  // as all its entries lead to it, by the rules
}

// ofRecords checks that the index lists every entry of the bundle under the records that
// it belongs to, and none that is not here.
func (v *verifier) ofRecords() error {
	if v.index.About != bundle.AboutConsents {
		return nil
	}
	v.byID = map[ledger.ConsentID]*record{}
	for i := range v.index.Consents {
		r := &record{IndexedConsent: &v.index.Consents[i]}
		if i > 0 && r.ID <= v.records[i-1].ID {
			return fmt.Errorf("%s: consent %d follows consent %d", bundle.KindIndex, r.ID, v.records[i-1].ID)
		}
		v.records, v.byID[r.ID] = append(v.records, r), r
	}
	v.assign()
	referring := map[ledger.Index][]*entry{} // entries that name nobody, by what they refer to
	for _, e := range v.order {
		for _, to := range e.Refers {
			if len(e.Consents)+len(e.About) == 0 {
				referring[to] = append(referring[to], e)
			}
		}
	}
	for _, r := range v.records {
		if err := v.listed(r, referring); err != nil {
			return fmt.Errorf("%s: consent %d: %w", bundle.KindIndex, r.ID, err)
		}
	}
	for _, e := range v.order {
		if err := v.belongs(e); err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
	}
	v.checked("that %s lists every entry of the bundle under each of %d records that it belongs to", bundle.KindIndex, len(v.records))
	return nil
}

// assign gives every record the entries that name it.
func (v *verifier) assign() {
	for _, e := range v.order {
		if r := v.byID[ledger.ConsentID(e.Index)]; r != nil {
			r.changes = append(r.changes, e.Entry)
		}
		for _, l := range e.Consents {
			if r := v.byID[l.Consent]; r != nil {
				r.changes = append(r.changes, e.Entry)
			}
		}
		for _, id := range e.About {
			if r := v.byID[id]; r != nil {
				r.mentions = append(r.mentions, e)
			}
		}
	}
}

// listed checks the entries that the index lists for a record: those that opened,
// changed or mention it, the first parts of their lists, and those that name nobody and
// refer to one of these.
func (v *verifier) listed(r *record, referring map[ledger.Index][]*entry) error {
	found := map[ledger.Index]bool{}
	var queue []ledger.Index
	note := func(e *ledger.Entry) {
		for _, i := range []ledger.Index{e.Index, e.Index - ledger.Index(max(e.Part-1, 0))} {
			if !found[i] {
				found[i], queue = true, append(queue, i)
			}
		}
	}
	for _, e := range r.changes {
		note(e)
	}
	for _, e := range r.mentions {
		note(e.Entry)
	}
	for n := 0; n < len(queue); n++ {
		for _, e := range referring[queue[n]] {
			note(e.Entry)
		}
	}
	slices.Sort(queue)
	for n, i := range r.Entries {
		switch {
		case n > 0 && i <= r.Entries[n-1]:
			return fmt.Errorf("entry %d follows entry %d", i, r.Entries[n-1])
		case v.entries[i] == nil:
			return fmt.Errorf("entry %d is not in the bundle", i)
		case !found[i]:
			return fmt.Errorf("entry %d does not belong to it", i)
		}
		v.entries[i].owners = append(v.entries[i].owners, r)
	}
	if len(r.Entries) != len(queue) {
		i := slices.IndexFunc(queue, func(i ledger.Index) bool { return !slices.Contains(r.Entries, i) })
		return fmt.Errorf("entry %d, which belongs to it, is not listed", queue[i])
	}
	return nil
}

// belongs checks that an entry has its place in a bundle about consents.
func (v *verifier) belongs(e *entry) error {
	if v.byID[ledger.ConsentID(e.Index)] == nil && opens(e.Entry) {
		return errors.New("opened a record that the bundle is not about")
	}
	if len(e.owners) == 0 && !standing(e.Kind) {
		return errors.New("belongs to no record of the bundle")
	}
	return nil
}

// states checks that each record's entries link, and that the committed state tree says
// what they lead to: that none was left out that changed the record before it.
func (v *verifier) states() error {
	for _, f := range v.of(bundle.KindState) {
		if v.byID[ledger.ConsentID(f.Numbers[0])] == nil {
			return fmt.Errorf("file %q: the bundle is not about this consent", f.Name)
		}
	}
	if v.index.About != bundle.AboutConsents {
		return nil
	}
	committed := v.entries[*v.index.Committed]
	switch {
	case committed == nil:
		return fmt.Errorf("%s: entry %d, which committed the state, is not in the bundle", bundle.KindIndex, *v.index.Committed)
	case committed.Index < *v.index.Exported: // what lies between could be left out
		return fmt.Errorf("%s: the state was committed with entry %d, before entry %d, which records the export", bundle.KindIndex, committed.Index, *v.index.Exported)
	}
	for _, r := range v.records {
		c, err := ledger.FollowConsent(r.ID, r.changes)
		if err != nil {
			return err
		}
		if r.Purpose != c.Purpose || r.Channel != c.Channel {
			return fmt.Errorf("%s: consent %d: purpose and channel are not those of its entry", bundle.KindIndex, r.ID)
		}
		text, err := v.must(bundle.StatePath(r.ID))
		if err != nil {
			return err
		}
		proof, err := ledger.VerifyStateProof(text, committed.Entry)
		if err != nil {
			return fmt.Errorf("consent %d: %w", r.ID, err)
		}
		if err := proof.Compare(c); err != nil {
			return err
		}
	}
	v.checked("that each record's entries link, and by its state proof that none is missing that changed it before entry %d", committed.Index)
	if after := v.firstMissing(committed.Index); after < ledger.Index(v.head.Size) {
		v.unlessLog("what happened to the records in entries %d to %d, of which the bundle does not hold all", after, v.head.Size-1)
	}
	v.unlessLog("whether an entry was left out that mentions a record and does not change it, such as a mail, a use or a signal, or that defines a purpose anew")
	v.unlessLog("that the committed state is what all entries of the log lead to")
	return nil
}

// firstMissing gives the first entry from i on that is not in the bundle.
func (v *verifier) firstMissing(i ledger.Index) ledger.Index {
	for v.entries[i] != nil {
		i++
	}
	return i
}

// erasure tells what became of an erased record; nil for others.
func (v *verifier) erasure(r *record) *Erasure {
	i := slices.IndexFunc(r.changes, func(e *ledger.Entry) bool { return e.Kind == ledger.SubjectErased })
	if i < 0 {
		return nil
	}
	erased := r.changes[i]
	x := &Erasure{Entry: erased.Index, Time: erased.Time, Reason: erased.Reason}
	for _, i := range r.Entries {
		e := v.entries[i]
		switch {
		case e.Kind != ledger.EvidenceShredded || !slices.Contains(e.Refers, erased.Index):
		case e.Contents.IsZero():
			x.ExistenceDestroyed = e.Existence
		default:
			x.Shredded, x.Generation, x.Medium = &e.Index, e.Generation, e.Medium
			x.ContentsDestroyed, x.ExistenceDue = e.Contents, e.ExistenceDue
		}
	}
	return x
}
