package verdict

import (
	"cmp"
	"slices"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// tell fills in what a bundle shows that was verified.
func (v *verifier) tell() {
	rep := v.rep
	rep.Stamps, rep.Questions = v.stamps.Stamps, v.answered
	slices.SortStableFunc(rep.Irregular, func(a, b ledger.Irregularity) int { return cmp.Compare(a.Index, b.Index) })
	for n := range rep.Irregular {
		rep.Irregular[n].Bounds = v.stamps.Bounds(rep.Irregular[n].Index)
	}
	newest, erased := ledger.Index(0), false
	for _, r := range v.records {
		c := ConsentReport{Consent: r.ID, Purpose: r.Purpose, Channel: r.Channel, State: r.now.State.String(), Overlays: r.now.Overlays.Names(),
			Grade: r.now.Grade().String(), Last: r.now.Last, Committed: *v.index.Committed, Entries: r.Entries, Erased: v.erasure(r)}
		if ref := r.changes[0].Notice; ref.ID != "" {
			c.Notice = ref.Name()
		}
		rep.Consents = append(rep.Consents, c)
		if len(rep.Questions) == 0 {
			newest = max(newest, r.now.Last)
		}
		erased = erased || c.Erased != nil
	}
	for _, q := range rep.Questions {
		for _, e := range q.Evidence {
			newest = max(newest, e.Entry)
		}
	}
	if rep.Range != nil {
		newest = rep.Range.End - 1
	}
	rep.Anchors = v.anchorsOf(newest)
	if missing := len(v.named) - len(v.of(bundle.KindFile)); missing > 0 { // each of these is named
		v.notChecked("%d files that disclosed values name: the bundle has only their hashes", missing)
	}
	v.notChecked("the report in docs/: it is the operator's rendering, which the signatures cover and nobody read here")
	rep.CannotProve = append(rep.CannotProve, cannotProve...)
	if rep.About == bundle.AboutConsents {
		rep.CannotProve = append(rep.CannotProve, "that these are all records of the person: the log names nobody, and who chose them was the operator")
	}
	if erased {
		rep.CannotProve = append(rep.CannotProve, "that destroyed keys exist nowhere else, and that nobody kept what they opened")
	}
}

var cannotProve = []string{
	"that a person, and which person, acted: a click shows control of a mailbox",
	"that consent was informed and free: only which text was published and when it was recorded",
	"absolute time: entry times are the operator's clock unless an anchor bounds them",
	"that the operator keeps no second log under another name",
	"that an event which the operator never recorded happened",
}
