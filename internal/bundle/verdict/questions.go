package verdict

import (
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
)

// held gives the decision what the bundle has of the log. It implements
// [decision.Records].
type held struct{ *verifier }

// Entry implements [decision.Records].
func (h held) Entry(i ledger.Index) (*ledger.Entry, error) {
	if e := h.entries[i]; e != nil {
		return e.Entry, nil
	}
	return nil, fmt.Errorf("entry %d is not in the bundle", i)
}

// Mentions implements [decision.Records].
func (h held) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	if r := h.byID[id]; r != nil {
		for _, e := range slices.Backward(r.mentions) {
			if e.Index < before && !yield(e.Index, e.Kind) {
				break
			}
		}
	}
	return nil
}

// PurposeAt implements [decision.Records].
func (h held) PurposeAt(id string, size ledger.Size) (p ledger.Purpose, ok bool, err error) {
	for _, version := range h.history.versions[id] {
		if ledger.Size(version.Index) < size {
			p, ok = version, true
		}
	}
	return p, ok, nil
}

// questions answers each question anew and compares.
func (v *verifier) questions() error {
	if v.index.About != bundle.AboutConsents {
		return nil
	}
	var consents []ledger.Consent
	pairs := map[[2]string]bool{} // of the records; true once asked
	for _, r := range v.records {
		consents = append(consents, r.now)
		pairs[[2]string{r.Purpose, r.Channel}] = false
	}
	exported := v.entries[*v.index.Exported]
	for n := range v.index.Questions {
		q := &v.index.Questions[n]
		pair := [2]string{q.Purpose, q.Channel}
		asked, ok := pairs[pair]
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("%s: question %d: "+format, append([]any{bundle.KindIndex, n + 1}, args...)...)
		}
		switch {
		case !ok:
			return wrong("the bundle is about no record of this purpose on this channel")
		case asked:
			return wrong("is asked twice")
		case q.At.After(exported.Time):
			return wrong("asks about a moment after entry %d, which records that the bundle was made", exported.Index)
		}
		pairs[pair] = true
		size := v.head.Size
		if i := slices.IndexFunc(v.order, func(e *entry) bool { return e.Time.After(q.At) }); i >= 0 {
			size = ledger.Size(v.order[i].Index) // what lies between is not of this bundle
		}
		a, err := decision.AsOf(held{v}, size, consents, decision.Question{Purpose: q.Purpose, Channel: q.Channel, At: q.At})
		if err != nil {
			return wrong("%w", err)
		}
		said := ledger.ConsentID(0)
		if q.Consent != nil {
			said = *q.Consent
		}
		if a.Allowed != q.Allowed || a.Reason != q.Reason || a.Hindsight != q.Hindsight || a.Consent != said || (said == 0) != (q.Consent == nil) {
			return wrong("the bundle says %s, the entries say %s", answer(q.Allowed, q.Reason, said, q.Hindsight), answer(a.Allowed, a.Reason, a.Consent, a.Hindsight))
		}
		v.answered = append(v.answered, v.rests(q, size))
	}
	if len(v.answered) == 0 {
		return nil
	}
	v.checked("the answers to %d questions, made anew from the entries", len(v.answered))
	v.notChecked("the suppression list, which a bundle does not hold: what stands there may have stopped what these answers allow")
	return nil
}

func answer(allowed bool, reason string, consent ledger.ConsentID, hindsight bool) string {
	verb := "not allowed"
	if allowed {
		verb = "allowed"
	}
	by, later := "", ""
	if consent != 0 {
		by = fmt.Sprintf(" by consent %d", consent)
	}
	if hindsight != allowed {
		later = ", in hindsight not"
	}
	return fmt.Sprintf("%s (%s)%s%s", verb, reason, by, later)
}

// rests tells what an answer rests on.
func (v *verifier) rests(q *bundle.IndexedQuestion, size ledger.Size) Answered {
	a := Answered{Purpose: q.Purpose, Channel: q.Channel, At: q.At, Allowed: q.Allowed, Reason: q.Reason, Consent: q.Consent, Hindsight: q.Hindsight,
		Evidence: []Evidence{}, Missing: []string{}}
	var list []*entry
	note := func(e *entry) {
		if e != nil && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	var was ledger.Consent // the record that decided, as it was
	var use *entry         // the newest
	for _, r := range v.records {
		if q.Consent == nil && (r.Purpose != q.Purpose || r.Channel != q.Channel) || q.Consent != nil && r.ID != *q.Consent {
			continue
		}
		c := ledger.Consent{ID: r.ID}
		for _, i := range r.Entries {
			e := v.entries[i]
			late := ledger.Size(i) >= size
			if late && e.Kind != ledger.ConsentInvalidated && (e.Occurred.IsZero() || e.Occurred.After(q.At)) || sayings[e.Kind] == nil {
				continue
			}
			if !late {
				c = ledger.Apply(c, e.Entry)
			}
			if e.Kind == ledger.ConsentUsed {
				use = e
				continue
			}
			note(e)
			note(v.published(e.Notice))
		}
		if q.Consent != nil {
			was = c
		}
	}
	note(use)
	if p, ok, _ := (held{v}).PurposeAt(q.Purpose, size); ok {
		note(v.entries[p.Index])
	}
	slices.SortFunc(list, func(x, y *entry) int { return int(x.Index - y.Index) })
	a.Grade = was.Grade().String()
	newest := ledger.Index(0)
	for _, e := range list {
		newest = max(newest, e.Index)
		a.Evidence = append(a.Evidence, Evidence{Entry: e.Index, Kind: string(e.Kind), Time: e.Time, Bounds: v.stamps.Bounds(e.Index),
			Disclosed: e.disclosed, Says: says(e.Entry)})
	}
	a.Anchors = v.anchorsOf(newest)
	a.Missing = append(a.Missing, v.missing(was, list)...)
	return a
}

// published gives the entry that published a notice; nil for none.
func (v *verifier) published(ref ledger.NoticeRef) *entry {
	for _, n := range v.history.notices[ref.ID] {
		if n.NoticeRef == ref {
			return v.entries[n.Index]
		}
	}
	return nil
}

// anchorsOf says whose word an entry and all before it rest on.
func (v *verifier) anchorsOf(i ledger.Index) string {
	stamps := slices.DeleteFunc(slices.Clone(v.stamps.Stamps), func(s ledger.Anchored) bool { return s.Size <= ledger.Size(i) })
	return v.opt.Policy.Anchors(v.rep.Witnesses, stamps)
}
