package service

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// bundling puts a bundle together from the published log, as of the bundle's size, and
// one view of the vault.
type bundling struct {
	*gathering
	x      *exporting
	b      *Bundle
	parsed map[ledger.Index]*ledger.Entry // those of the bundle
}

// gather fills in what the bundle holds of its records. Before there is an export, what
// it would hold.
func (x *exporting) gather(snap *store.Snapshot, b *Bundle) error {
	return x.s.vault.View(func(w vault.View) error {
		g := &bundling{&gathering{Dossier: &Dossier{Size: b.Size, s: x.s}, ctx: x.ctx, snap: snap, log: published{snap}, view: w,
			keys: map[ledger.ConsentID]vault.ConsentKey{}, about: map[ledger.Index][]ledger.ConsentID{}}, x, b, map[ledger.Index]*ledger.Entry{}}
		for _, step := range []func() error{g.records, g.history, g.referring, g.entries, g.rest, g.states, g.disclose, g.notices, g.titles, g.export, g.questions} {
			if err := step(); err != nil {
				return err
			}
			if err := x.ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

// records finds the records and the keys of those that are not erased.
func (g *bundling) records() error {
	for _, id := range g.x.ids {
		c, _, err := g.snap.Consent(id)
		if err != nil {
			return err
		}
		g.consents = append(g.consents, c)
		if c.Overlays.Has(ledger.Erased) {
			// Nothing changes an erased record, so Last says when it was.
			if g.x.out != nil && c.Last > g.x.out.Exported[0] {
				return errGoneMeanwhile
			}
			continue
		}
		key, ok, err := g.view.KeyOf(id)
		if err != nil {
			return err
		} else if !ok {
			return errGoneMeanwhile
		}
		g.keys[id] = key
	}
	return nil
}

// entries reads the entries of the records.
func (g *bundling) entries() error {
	maps.DeleteFunc(g.about, func(i ledger.Index, _ []ledger.ConsentID) bool { return ledger.Size(i) >= g.Size })
	if 2*len(g.about) > bundle.MaxFiles {
		return tooLarge("files", bundle.MaxFiles)
	}
	for _, i := range slices.Sorted(maps.Keys(g.about)) {
		slices.Sort(g.about[i])
		if err := g.add(i); err != nil {
			return err
		}
	}
	return nil
}

// add takes an entry into the bundle, unless it is there.
func (g *bundling) add(i ledger.Index) error {
	if g.parsed[i] != nil {
		return nil
	}
	text, e, err := readEntry(g.snap, i)
	g.parsed[i] = e
	g.b.Entries = append(g.b.Entries, BundleEntry{Index: i, Text: text})
	return err
}

// rest finds what the entries of the records rest on, and the stamps that bound them.
func (g *bundling) rest() error {
	about := slices.Sorted(maps.Keys(g.about))
	more, err := g.snap.Named(g.Size, about)
	if err != nil {
		return err
	}
	stamps, err := g.snap.Bounding(g.Size, about, timestamp.Unpinned)
	if err != nil {
		return err
	}
	var bounds ledger.LogReport
	for _, s := range stamps {
		g.b.Stamped = append(g.b.Stamped, BundleStamp{s.Index, s.Size, s.Note, s.Token})
		bounds.Stamps = append(bounds.Stamps, s.Anchored)
		more = append(more, s.Index)
	}
	if g.b.Committed > 0 {
		more = append(more, g.b.Committed)
	}
	for _, i := range more {
		if err := g.add(i); err != nil {
			return err
		}
	}
	slices.SortFunc(g.b.Entries, func(a, b BundleEntry) int { return cmp.Compare(a.Index, b.Index) })
	for n := range g.b.Entries {
		e := &g.b.Entries[n]
		e.Interval = bounds.Interval(e.Index)
		switch g.parsed[e.Index].Kind {
		case ledger.LedgerCreated, ledger.KeyRotated:
			g.b.Keys = append(g.b.Keys, e.Text...)
		}
	}
	return nil
}

// states lists the entries of each record, gives the record as they lead to it, and
// finds what of them is irregular.
func (g *bundling) states() error {
	irregular := map[ledger.Index][]string{}
	note := func(i ledger.Index, name string) {
		if name != "" && !slices.Contains(irregular[i], name) {
			irregular[i] = append(irregular[i], name)
		}
	}
	entries := map[ledger.ConsentID][]ledger.Index{}
	due := map[ledger.Index]time.Time{} // of requests under Art. 15 to 22 GDPR
	for _, i := range slices.Sorted(maps.Keys(g.about)) {
		e := g.parsed[i]
		for _, id := range g.about[i] {
			entries[id] = append(entries[id], i)
		}
		if e.Occurred.After(e.Time.Add(ledger.MaxClockAhead)) {
			note(i, "occurred_ahead")
		}
		switch e.Kind {
		case ledger.RequestReceived:
			due[i] = e.Due
		case ledger.RequestExtended, ledger.RequestAnswered, ledger.RequestRefused:
			until, ok := due[e.Refers[0]]
			if ok && e.Part < 2 && happened(e).After(until) { // the first part speaks for all
				note(i, string(e.Kind)+".late")
			}
			if e.Kind == ledger.RequestExtended {
				due[e.Refers[0]] = e.Due
			}
		}
	}
	for _, c := range g.consents {
		one := BundleConsent{Consent: ledger.Consent{ID: c.ID, Purpose: c.Purpose, Channel: c.Channel, Request: c.Request}, Entries: entries[c.ID]}
		for _, i := range one.Entries {
			e := g.parsed[i]
			if slices.Contains(e.About, c.ID) {
				note(i, ledger.IrregularMention(e.Kind, one.Consent))
			} else if !concernsConsent(e, c.ID) {
				continue
			}
			one.Consent = ledger.Apply(one.Consent, e)
		}
		g.b.Consents = append(g.b.Consents, one)
	}
	for n := range g.b.Entries {
		g.b.Entries[n].Irregular = irregular[g.b.Entries[n].Index]
	}
	return nil
}

// disclose opens the claims that were chosen, and those of the export itself.
func (g *bundling) disclose() error {
	for n := range g.b.Entries {
		e := &g.b.Entries[n]
		of := slices.DeleteFunc(slices.Clone(g.about[e.Index]), func(id ledger.ConsentID) bool { _, kept := g.keys[id]; return !kept })
		own := g.x.out != nil && e.Index == g.x.out.Exported[0]
		if g.about[e.Index] == nil || len(of) == 0 && !own {
			continue
		}
		for _, c := range g.parsed[e.Index].Commits {
			if !own && !slices.Contains(g.x.r.Disclose, c.Claim) {
				continue
			}
			claim, err := g.open(of, commitmentAt{e.Index, c})
			if err != nil {
				return err
			}
			e.Disclosed = append(e.Disclosed, claim)
		}
		g.Entries = append(g.Entries, HeldEntry{Claims: e.Disclosed})
	}
	g.findFiles()
	return nil
}

// notices finds the notices that were shown.
func (g *bundling) notices() error {
	shown := map[string]bool{}
	var newest ledger.Index // of those that name the controller
	for _, i := range slices.Sorted(maps.Keys(g.about)) {
		ref := g.parsed[i].Notice
		if ref.ID == "" || shown[ref.Name()] {
			continue
		}
		shown[ref.Name()] = true
		n, _, err := g.snap.Notice(ref.ID, ref.Version)
		if err != nil {
			return err
		}
		one := BundleNotice{NoticeRef: n.NoticeRef, Language: n.Language}
		if one.Text, err = g.snap.NoticeText(n.SHA256); err != nil {
			return err
		}
		if n.Facts != (ledger.Hash{}) {
			if one.Facts, err = g.snap.NoticeText(n.Facts); err != nil {
				return err
			}
			facts, err := parseFacts(one.Facts)
			if err != nil {
				return err
			}
			if facts.Controller != "" && n.Index > newest {
				g.b.Company, newest = facts.Controller, n.Index
			}
		}
		g.b.Notices = append(g.b.Notices, one)
	}
	return nil
}

// titles finds how purposes and processors are called.
func (g *bundling) titles() error {
	g.b.PurposeTitles, g.b.ProcessorTitles = map[string]string{}, map[string]string{}
	for _, held := range g.b.Entries { // the newest version last
		e := g.parsed[held.Index]
		title := func(id string, of map[string]string) error {
			own, err := g.s.ownClaims(e)
			of[id] = own["title"].value
			return err
		}
		var err error
		switch e.Kind {
		case ledger.PurposeDefined:
			err = title(e.Purpose, g.b.PurposeTitles)
		case ledger.ProcessorEngaged:
			err = title(e.Processor, g.b.ProcessorTitles)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// export says what the bundle is, once it is on record.
func (g *bundling) export() error {
	if g.x.out == nil {
		return nil
	}
	b := g.b
	b.Origin, b.Controller = g.s.log.Origin(), g.parsed[0].Controller
	b.Exported = g.x.out.Exported[0]
	for _, i := range g.x.out.Exported {
		if g.parsed[i].Kind == ledger.EvidenceDisclosed {
			b.Disclosed = append(b.Disclosed, i)
		}
	}
	e := g.parsed[b.Exported]
	b.Exporter = e.Source
	b.Reason, b.Recipient = g.x.r.Reason, g.x.r.Recipient
	b.Made = e.Time.Truncate(time.Second)
	if now := g.s.now().UTC().Truncate(time.Second); now.After(b.Made) {
		b.Made = now
	}
	return nil
}

// questions answers for each purpose and channel that was asked for, or for which
// somebody agreed or a basis was claimed, by the records of the bundle alone.
func (g *bundling) questions() error {
	at := g.x.r.At.UTC()
	if g.x.r.At.IsZero() {
		at = g.s.now().UTC()
		if g.x.out != nil {
			at = g.parsed[g.b.Exported].Time
		}
	}
	size, err := g.snap.SizeAt(at)
	if err != nil {
		return err
	}
	var consents []ledger.Consent
	for _, c := range g.b.Consents {
		consents = append(consents, c.Consent)
	}
	for _, c := range consents {
		q := decision.Question{Purpose: c.Purpose, Channel: c.Channel, At: at}
		asked := slices.ContainsFunc(g.b.Questions, func(b BundleQuestion) bool { return b.Question == q })
		if asked || c.Basis == ledger.NoBasis || len(g.x.r.Purposes) > 0 && !slices.Contains(g.x.r.Purposes, c.Purpose) {
			continue
		}
		answer, err := decision.AsOf(g, min(size, g.Size), consents, q)
		if err != nil {
			return err
		}
		g.b.Questions = append(g.b.Questions, BundleQuestion{q, answer})
	}
	return nil
}

// The bundle as decisions read it.

func (g *bundling) Entry(i ledger.Index) (*ledger.Entry, error) {
	if e := g.parsed[i]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("entry %d is not in the bundle", i)
}

func (g *bundling) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	at := slices.IndexFunc(g.b.Consents, func(c BundleConsent) bool { return c.ID == id })
	for _, i := range slices.Backward(g.b.Consents[at].Entries) {
		if e := g.parsed[i]; i < before && slices.Contains(e.About, id) && !yield(i, e.Kind) {
			break
		}
	}
	return nil
}

func (g *bundling) PurposeAt(id string, size ledger.Size) (ledger.Purpose, bool, error) {
	return g.snap.PurposeAt(id, size)
}
