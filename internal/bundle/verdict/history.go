package verdict

import (
	"slices"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// history is what the bundle holds of the log before an entry. It implements
// [ledger.History] and [ledger.Referred].
//
// Whole are the records of the bundle, the key entries, and what the entries of the
// bundle name as their source, purpose, notice, claim or processor. Of the rest, what
// the rules ask for is taken for granted: [history.step] leaves out of an entry other
// people's records and what they are referred to by; that a purpose is defined which a
// notice or processor covers, and the versions of a notice between those that are here.
type history struct {
	v             *verifier
	at            *ledger.Entry // the entry that is checked
	whole         bool          // nothing was taken for granted for it
	consents      map[ledger.ConsentID]ledger.Consent
	open          map[ledger.Hash]ledger.OpenRequest
	purposes      map[string]ledger.Purpose
	versions      map[string][]ledger.Purpose // ascending
	notices       map[string][]ledger.Notice  // ascending
	sources       map[string]ledger.Source
	processors    map[string]ledger.Processor
	claims        map[string]bool
	keys          ledger.KeyEntry
	erasures      map[ledger.Index]ledger.ErasurePhase
	holds         map[ledger.Index][]ledger.ConsentID
	rights        map[ledger.Index]ledger.RightsRequest
	notifications map[ledger.Index]bool
}

// rules checks the rules as far as the bundle holds the history that they need.
func (v *verifier) rules() error {
	if v.index.About != bundle.AboutConsents {
		return nil
	}
	h := &history{v: v, consents: map[ledger.ConsentID]ledger.Consent{}, open: map[ledger.Hash]ledger.OpenRequest{},
		purposes: map[string]ledger.Purpose{}, versions: map[string][]ledger.Purpose{}, notices: map[string][]ledger.Notice{}, sources: map[string]ledger.Source{},
		processors: map[string]ledger.Processor{}, claims: map[string]bool{}, erasures: map[ledger.Index]ledger.ErasurePhase{},
		holds: map[ledger.Index][]ledger.ConsentID{}, rights: map[ledger.Index]ledger.RightsRequest{}, notifications: map[ledger.Index]bool{}}
	v.history = h
	partly, first := 0, ledger.Index(0)
	for _, e := range v.order {
		if err := h.step(e); err != nil {
			return err
		}
		if !h.whole {
			if partly++; partly == 1 {
				first = e.Index
			}
		}
	}
	for _, r := range v.records {
		r.now = h.consents[r.ID]
	}
	v.checked("the rules over the whole history of each record")
	if partly > 0 {
		v.unlessLog("the rules where %d entries (the first is entry %d) name records and other things that are not in the bundle", partly, first)
	}
	return nil
}

// step checks an entry against the rules and takes down what it does.
func (h *history) step(e *entry) error {
	x := *e.Entry
	x.Consents = slices.DeleteFunc(slices.Clone(e.Consents), func(l ledger.Link) bool { return h.v.byID[l.Consent] == nil })
	x.About = slices.DeleteFunc(slices.Clone(e.About), func(id ledger.ConsentID) bool { return h.v.byID[id] == nil })
	x.Refers = slices.DeleteFunc(slices.Clone(e.Refers), func(i ledger.Index) bool { return h.v.entries[i] == nil })
	h.at, h.whole = e.Entry, len(x.Consents)+len(x.About)+len(x.Refers) == len(e.Consents)+len(e.About)+len(e.Refers)
	if len(x.Consents)+len(x.About) == 0 && len(e.Consents)+len(e.About) > 0 {
		return nil // a first part, about others alone
	}
	eff, err := ledger.Step(&x, h)
	if err != nil {
		return err
	}
	if len(x.Refers) > 0 || len(e.Refers) == 0 {
		x.About = e.About // a hold is lifted off exactly those on whom it was set
		if err := ledger.CheckRefers(&x, h, eff); err != nil {
			return err
		}
	}
	h.v.irregular(eff.Irregular...)
	h.apply(eff)
	h.refer(e.Entry)
	return nil
}

func (h *history) apply(eff *ledger.Effects) {
	if eff.Opened != nil {
		h.consents[eff.Opened.ID] = *eff.Opened
	}
	for _, list := range [][]ledger.Consent{eff.Changed, eff.Noted} {
		for _, c := range list {
			h.consents[c.ID] = c
		}
	}
	for _, o := range []*ledger.OpenRequest{eff.Open, eff.Former} {
		if o != nil {
			h.open[o.Lock] = *o
		}
	}
	if eff.Closed != nil {
		delete(h.open, *eff.Closed)
	}
	if p := eff.Purpose; p != nil {
		h.purposes[p.ID] = *p
		h.versions[p.ID] = append(h.versions[p.ID], *p)
	}
	if n := eff.Notice; n != nil {
		h.notices[n.ID] = append(h.notices[n.ID], *n)
	}
	if s := eff.Source; s != nil {
		h.sources[s.Name] = *s
	}
	if p := eff.Processor; p != nil {
		h.processors[p.ID] = *p
	}
	if eff.Claim != "" {
		h.claims[eff.Claim] = true
	}
	if eff.KeyEntry != nil {
		h.keys = *eff.KeyEntry
	}
	if q := eff.Rights; q != nil {
		h.rights[q.Index] = *q
	}
}

// refer follows what later entries can refer to, as [ledger.Replay] does.
func (h *history) refer(e *ledger.Entry) {
	switch e.Kind {
	case ledger.SubjectErased:
		h.erasures[e.Index] = ledger.ContentsWait
	case ledger.EvidenceShredded:
		for _, i := range e.Refers {
			switch h.erasures[i] {
			case ledger.ContentsWait:
				h.erasures[i] = ledger.ExistenceWaits
			case ledger.ExistenceWaits:
				delete(h.erasures, i)
			}
		}
	case ledger.HoldSet:
		h.holds[e.Index] = e.About
	case ledger.HoldLifted:
		delete(h.holds, e.Refers[0])
	case ledger.RequestAnswered, ledger.RequestRefused:
		delete(h.rights, e.Refers[0])
	case ledger.RecipientNotified:
		h.notifications[e.Index] = true
	case ledger.RecipientAcknowledged:
		delete(h.notifications, e.Refers[0])
	}
}

// Consent implements [ledger.History].
func (h *history) Consent(id ledger.ConsentID) (ledger.Consent, bool, error) {
	c, ok := h.consents[id]
	if !ok && h.at.Kind == ledger.ConsentRequested && h.v.entries[ledger.Index(id)] == nil {
		// The one before it of the same request, of a purpose that the bundle is not about.
		c, ok = ledger.Consent{ID: id, Request: h.open[h.at.Lock].Request, Channel: h.at.Channel}, true
		h.whole = false
	}
	return c, ok, nil
}

// OpenRequest implements [ledger.History].
func (h *history) OpenRequest(lock ledger.Hash) (ledger.OpenRequest, bool, error) {
	o, ok := h.open[lock]
	return o, ok, nil
}

// Purpose implements [ledger.History].
func (h *history) Purpose(id string) (ledger.Purpose, bool, error) {
	p, ok := h.purposes[id]
	if !ok && (h.at.Kind == ledger.NoticePublished || h.at.Kind == ledger.ProcessorEngaged) { // it covers more than the bundle is about
		h.whole, ok = false, true
	}
	return p, ok, nil
}

// Notice implements [ledger.History].
func (h *history) Notice(id string, version int64) (ledger.Notice, bool, error) {
	list := h.notices[id]
	if version == 0 { // asked for by what publishes another one
		newest := ledger.Notice{}
		if len(list) > 0 {
			newest = list[len(list)-1]
		}
		if between := h.at.Notice.Version - 1; newest.Version < between {
			h.whole, newest.Version = false, between
		}
		return newest, newest.Version > 0, nil
	}
	i := slices.IndexFunc(list, func(n ledger.Notice) bool { return n.Version == version })
	if i < 0 {
		return ledger.Notice{}, false, nil
	}
	return list[i], true, nil
}

// Source implements [ledger.History].
func (h *history) Source(name string) (ledger.Source, bool, error) {
	s, ok := h.sources[name]
	return s, ok, nil
}

// Processor implements [ledger.History].
func (h *history) Processor(id string) (ledger.Processor, bool, error) {
	p, ok := h.processors[id]
	return p, ok, nil
}

// Claim implements [ledger.History].
func (h *history) Claim(name string) (bool, error) { return h.claims[name], nil }

// KeyEntry implements [ledger.History].
func (h *history) KeyEntry() (ledger.KeyEntry, error) { return h.keys, nil }

// Erasure implements [ledger.Referred].
func (h *history) Erasure(i ledger.Index) (ledger.ErasurePhase, error) { return h.erasures[i], nil }

// Held implements [ledger.Referred].
func (h *history) Held(i ledger.Index) ([]ledger.ConsentID, error) { return h.holds[i], nil }

// RightsRequest implements [ledger.Referred].
func (h *history) RightsRequest(i ledger.Index) (ledger.RightsRequest, bool, error) {
	q, ok := h.rights[i]
	return q, ok, nil
}

// Notification implements [ledger.Referred].
func (h *history) Notification(i ledger.Index) (bool, error) { return h.notifications[i], nil }
