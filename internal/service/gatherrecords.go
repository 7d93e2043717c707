package service

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
)

// What a dossier says of each record, from the entries that were gathered.

// notices finds the notices that entries name, and the privacy notices in force for
// the person's purposes.
func (g *gathering) notices() error {
	shown := map[string]bool{}
	for _, e := range g.Entries {
		if e.Notice.ID != "" {
			shown[e.Notice.Name()] = true
		}
	}
	newest := map[string]ledger.Notice{}
	var list []ledger.Notice
	g.snap.Notices(func(n ledger.Notice) {
		if shown[n.Name()] {
			list = append(list, n)
		}
		if newest[n.ID].Version < n.Version {
			newest[n.ID] = n
		}
	})
	for _, n := range newest {
		covers := func(c ledger.Consent) bool { return slices.Contains(n.Covers, c.Purpose) }
		if n.Use == usePrivacy && !shown[n.Name()] && slices.ContainsFunc(g.consents, covers) {
			list = append(list, n)
		}
	}
	for _, n := range list {
		text, err := g.snap.NoticeText(n.SHA256)
		if err != nil {
			return err
		}
		told, err := showNotice(g.snap, n)
		if err != nil {
			return err
		}
		g.Notices = append(g.Notices, HeldNotice{told, string(text), shown[n.Name()]})
	}
	slices.SortFunc(g.Notices, func(a, b HeldNotice) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Notice.Version, b.Notice.Version))
	})
	return nil
}

// purposes finds the purposes of the records: as they are in force, and as they were
// when a record was opened.
func (g *gathering) purposes() error {
	type version struct {
		id string
		n  int64
	}
	seen := map[version]bool{}
	for _, c := range g.consents {
		for _, size := range []ledger.Size{ledger.Size(c.ID), g.Size} {
			p, ok, err := g.snap.PurposeAt(c.Purpose, size)
			if err != nil {
				return err
			}
			if !ok || seen[version{p.ID, p.Version}] {
				continue // none for an objection to all marketing
			}
			seen[version{p.ID, p.Version}] = true
			shown, err := g.s.showPurpose(g.snap, p)
			if err != nil {
				return err
			}
			g.Purposes = append(g.Purposes, shown)
		}
	}
	slices.SortFunc(g.Purposes, func(a, b *Purpose) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version))
	})
	return nil
}

// processors finds the processors that cover a purpose of the person, one above it, or
// whatever is held, unless they had gone before the oldest record of it came, and
// those to whom a use passed data.
func (g *gathering) processors() error {
	since := map[string]ledger.Index{} // the oldest record of each purpose
	for _, c := range slices.Backward(g.consents) {
		above, err := decision.Lineage(g.snap, c.Purpose)
		if err != nil {
			return err
		}
		for _, p := range above {
			since[p] = ledger.Index(c.ID)
		}
	}
	everything := []string{""} // of those that are bound to no purpose
	if len(g.consents) > 0 {
		since[""] = ledger.Index(g.consents[0].ID)
	}
	used := map[string]bool{}
	for _, e := range g.Entries {
		used[e.Processor] = true
	}
	opened := func(i ledger.Index) (time.Time, error) {
		e, err := g.log.Entry(i)
		if err != nil {
			return time.Time{}, err
		}
		return e.Time, nil
	}
	var all []ledger.Processor
	g.snap.Processors(func(p ledger.Processor) { all = append(all, p) })
	slices.SortFunc(all, func(a, b ledger.Processor) int { return strings.Compare(a.ID, b.ID) })
	for _, p := range all {
		held, covers := used[p.ID], p.Covers
		if len(covers) == 0 {
			covers = everything
		}
		for _, name := range covers {
			first, ok := since[name]
			if !ok || held {
				continue
			}
			from, err := opened(first)
			if err != nil {
				return err
			}
			held = p.Ended.IsZero() || p.Ended.After(from)
		}
		if !held {
			continue
		}
		shown, err := g.s.showProcessor(g.snap, p)
		if err != nil {
			return err
		}
		g.Processors = append(g.Processors, shown)
	}
	return nil
}

// records tells of each record how it stands.
func (g *gathering) records() error {
	shown, err := g.s.list(g.ctx, g.snap, g.consents)
	if err != nil {
		return err
	}
	entries := map[ledger.ConsentID][]HeldEntry{}
	for _, e := range g.Entries {
		for _, id := range e.Of {
			entries[id] = append(entries[id], e)
		}
	}
	for n, c := range g.consents {
		held := HeldConsent{Consent: shown[n], Basis: c.Basis.String(), Request: c.Request}
		own := entries[c.ID]
		for _, e := range own {
			held.Entries = append(held.Entries, e.Index)
		}
		if err := g.times(&held, c); err != nil {
			return err
		}
		held.Passed, held.SinceSent = passed(c.ID, own), sinceNewestMail(own)
		for _, e := range own {
			if e.Kind != ledger.HoldSet || !slices.Contains(e.About, c.ID) {
				continue
			}
			open, err := g.snap.Hold(e.Index)
			if err != nil {
				return err
			}
			if open {
				// A hold's number is that of its first entry.
				held.Holds = append(held.Holds, e.Index-ledger.Index(max(e.Part-1, 0)))
			}
		}
		g.Consents = append(g.Consents, held)
	}
	return nil
}

// times says until when a record counts and is kept.
func (g *gathering) times(held *HeldConsent, c ledger.Consent) error {
	p, defined, err := g.snap.Purpose(c.Purpose)
	if err != nil {
		return err
	}
	then, _, err := g.snap.PurposeAt(c.Purpose, ledger.Size(c.ID))
	if err != nil {
		return err
	}
	h, err := historyOf(g.log, c)
	if err != nil {
		return err
	}
	held.PurposeVersion = then.Version
	held.Granted, held.Used, held.Ended = h.grant.Recorded, h.used.Recorded, h.ended
	held.LockedUntil, held.EvidenceUntil = h.lockedUntil, h.evidenceUntil(c, p)
	if defined && c.State.Allows() && c.State != ledger.Asserted {
		held.ValidUntil = decision.Sooner(decision.ValidUntil(p, h.grant), decision.RestsUntil(p, h.grant, h.used))
	}
	if held.Restriction, err = decision.GroundOf(g.log, c); err != nil {
		return err
	}
	dues, err := duesOf(g.log, c)
	for _, d := range dues {
		held.Due = append(held.Due, HeldDue{d.rule, d.measure, d.at})
	}
	return err
}

// passed says to whom uses of a consent passed data on.
func passed(id ledger.ConsentID, entries []HeldEntry) (list []Passed) {
	for _, e := range entries {
		if e.Kind != ledger.ConsentUsed || !slices.Contains(e.About, id) {
			continue
		}
		to := Passed{Processor: e.Processor, Recipient: e.claim("recipient")}
		if e.Part > 1 {
			// What the use commits to stands in its first part.
			at := slices.IndexFunc(entries, func(o HeldEntry) bool { return o.Index == e.Index-ledger.Index(e.Part-1) })
			to.Recipient = entries[at].claim("recipient")
		}
		if to == (Passed{}) {
			continue // the controller used it
		}
		at := slices.IndexFunc(list, func(p Passed) bool { return p.Processor == to.Processor && p.Recipient == to.Recipient })
		if at < 0 {
			list, at = append(list, to), len(list)
		}
		list[at].Uses++
		list[at].Last = e.Index
	}
	return list
}

// claim gives the value of a claim of the entry, "" if it has none.
func (e *HeldEntry) claim(name string) string {
	for _, c := range e.Claims {
		if c.Claim == name {
			return c.Value
		}
	}
	return ""
}

func sinceNewestMail(entries []HeldEntry) (since *time.Duration) {
	var sent *ledger.Entry
	for _, e := range entries {
		switch {
		case e.Kind == ledger.ConfirmationSent:
			sent = e.Entry
		case e.Kind == ledger.ConsentConfirmed && sent != nil:
			d := sinceMail(sent, e.Entry)
			since = &d
		}
	}
	return since
}

// requests tells what became of the person's requests.
func (g *gathering) requests() error {
	at := map[ledger.Index]int{}
	for _, e := range g.Entries {
		if e.Kind == ledger.RequestReceived {
			first := e.Index - ledger.Index(max(e.Part-1, 0))
			if n, ok := at[first]; ok {
				g.Requests[n].Entries = append(g.Requests[n].Entries, e.Index)
				continue
			}
			at[first] = len(g.Requests)
			g.Requests = append(g.Requests, HeldRequest{Index: first, Article: e.Article, Received: happened(e.Entry), Due: e.Due, Entries: []ledger.Index{e.Index}})
		}
		if len(e.Refers) == 0 {
			continue
		}
		n, ok := at[e.Refers[0]]
		if !ok {
			continue
		}
		r := &g.Requests[n]
		r.Entries = append(r.Entries, e.Index)
		switch e.Kind {
		case ledger.RequestExtended:
			r.Due, r.Extended = e.Due, true
		case ledger.RequestAnswered:
			r.Outcome, r.Closed = "answered", happened(e.Entry)
		case ledger.RequestRefused:
			r.Outcome, r.Closed, r.Refusal = "refused", happened(e.Entry), e.Refusal
		}
	}
	return nil
}

// tracking tells how far the person is tracked. Who is locked is tracked no further
// than anybody.
func (g *gathering) tracking() error {
	visible := slices.DeleteFunc(slices.Clone(g.consents), hidden)
	if len(visible) == 0 {
		return nil
	}
	for _, name := range ledger.TrackingPurposes() {
		_, ok, err := g.snap.Purpose(name)
		if err != nil {
			return err
		} else if !ok {
			continue
		}
		listed, err := suppressible(g.snap, name)
		if err != nil {
			return err
		}
		listed = slices.DeleteFunc(listed, func(name string) bool {
			return !slices.ContainsFunc(g.Suppressed, func(l Listed) bool { return l.Purpose == name })
		})
		for _, channel := range trackedOn(name) {
			_, mode, err := decision.Decide(g.log, visible, decision.Question{Purpose: name, Channel: channel, At: g.At}, listed)
			if err != nil {
				return err
			}
			g.Tracking = append(g.Tracking, HeldTracking{name, channel, mode.String()})
		}
	}
	return nil
}
