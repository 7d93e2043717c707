package report

import (
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// The sections after the first page, in their order.

// course tells what happened: for every record a picture, and a sentence per entry.
func (d *document) course() {
	if len(d.histories) == 0 {
		return
	}
	d.add(pageBreak{})
	d.section(texts.Course)
	d.add(paragraph{text: d.text(texts.CourseIntro), note: true})
	for i := range d.histories {
		d.record(&d.histories[i])
	}
}

func (d *document) record(h *history) {
	last := h.last()
	d.add(heading{2, d.text(texts.Consent, "id", number(h.ID), "purpose", d.purpose(last.Purpose), "channel", d.word("channel", last.Channel))})
	if len(h.steps) == 0 {
		d.add(paragraph{text: d.text(texts.NoEvents)})
		return
	}
	d.add(paragraph{text: d.text(texts.ConsentState) + ": " + d.state(last) + ". " + d.proven(h)})
	if last.Overlays.Has(ledger.Erased) {
		d.add(paragraph{text: d.text(texts.Erased)})
	}
	d.uses(h)
	d.add(d.picture(h), paragraph{text: d.text(texts.PictureNote), note: true})
	list := make(events, len(h.steps))
	for i, s := range h.steps {
		list[i] = d.event(s.held)
		list[i].number = i + 1
	}
	d.add(list)
}

// state names a state with what lies over it.
func (d *document) state(c ledger.Consent) string {
	s := d.word("state", c.State.String())
	for _, o := range c.Overlays.Names() {
		s += "; " + d.word("overlay", o)
	}
	return s
}

// event tells an entry, with everything that is known of it.
func (d *document) event(e *held) event {
	v := event{local: d.local(e.Time), utc: d.utc(e.Time), sentence: d.sentence(e), entry: e.Index}
	if !e.Occurred.IsZero() {
		v.notes = append(v.notes, d.text(texts.Dated, "source", e.Source, "time", d.both(e.Occurred)))
	} else {
		v.notes = append(v.notes, d.text(texts.Sources, "source", e.Source))
	}
	if e.Parts > 0 {
		v.notes = append(v.notes, d.text(texts.Part, "n", number(e.Part), "of", number(e.Parts)))
	}
	for _, c := range e.Commits {
		v.notes = append(v.notes, d.claim(e, c.Claim, maxValueTold))
	}
	if e.of.Interval != (ledger.Interval{}) {
		v.notes = append(v.notes, d.interval(e.of.Interval))
	}
	for _, name := range e.of.Irregular {
		v.notes = append(v.notes, d.text(texts.Irregular)+": "+d.irregularity(name))
	}
	return v
}

// claim gives a claim of an entry: its value, or that it is not disclosed.
func (d *document) claim(e *held, name string, atMost int) string {
	label := d.claimName(name) + ": "
	i := slices.IndexFunc(e.of.Disclosed, func(x ledger.Disclosure) bool { return x.Claim == name })
	if i < 0 {
		return label + d.text(texts.Hidden)
	}
	value := e.of.Disclosed[i].Value
	if f, ok := namesFile(value); ok {
		return label + d.text(texts.FileNamed, "name", f.Name, "type", f.MediaType, "path", bundle.FilePath(f.sum))
	}
	return label + d.short(value, atMost)
}

// uses counts the uses that were recorded of a record, if there are any.
func (d *document) uses(h *history) {
	n, after := 0, 0
	var last step
	ended := false
	for _, s := range h.steps {
		ended = ended || s.after.State > ledger.Asserted
		if s.Kind != ledger.ConsentUsed {
			continue
		}
		n, last = n+1, s
		if ended {
			after++
		}
	}
	if n > 0 {
		d.add(paragraph{text: d.text(texts.Uses, "n", number(n), "last", d.both(last.Time))})
	}
	if ended {
		d.add(paragraph{text: d.text(texts.UsesAfter, "n", number(after))})
	}
}

// shown prints what the person was shown, and the files that were kept.
func (d *document) shown() {
	d.section(texts.Shown)
	d.add(paragraph{text: d.text(texts.ShownIntro), note: true})
	if len(d.c.Notices) == 0 {
		d.add(paragraph{text: d.text(texts.ShownNone)})
	}
	for _, n := range d.c.Notices {
		d.add(heading{2, d.text(texts.ShownAs, "name", n.Name()) + " (" + n.Language + ")"}, quote{text: string(n.Text)},
			paragraph{text: d.text(texts.ShownFingerprint, "sum", hash(n.SHA256)), note: true})
		if facts := n.facts(); len(facts) > 0 {
			d.add(paragraph{text: d.text(texts.ShownFacts) + ":"})
			list := make(pairs, len(facts))
			for i, f := range facts {
				list[i] = pair{d.word("fact", f.name), f.value}
			}
			d.add(list)
		}
	}
	for _, e := range d.entries {
		for _, x := range e.of.Disclosed {
			if f, ok := namesFile(x.Value); ok {
				d.file(e, x.Claim, f)
			}
		}
	}
}

// file prints a file that a disclosed value names, if the bundle has it.
func (d *document) file(e *held, claim string, f named) {
	kept, ok := d.files[f.sum]
	if !ok {
		return
	}
	said, isText := d.fileText(kept)
	d.add(heading{2, d.text(texts.FileContent, "index", number(e.Index), "claim", d.claimName(claim)) + " – " + f.Name})
	if isText {
		d.add(quote{text: said, mono: true})
	} else {
		d.add(paragraph{text: said})
	}
	d.add(paragraph{text: d.text(texts.FileSize, "n", number(kept.Size), "sum", f.SHA256), note: true})
}

// clicks says how every consent came about, and how well that is proven.
func (d *document) clicks() {
	if len(d.histories) == 0 {
		return
	}
	d.section(texts.Click)
	d.add(paragraph{text: d.text(texts.ClickIntro), note: true})
	graded, confirmed := false, false
	for i := range d.histories {
		last := d.histories[i].last()
		v := last.Evidence
		if v.Grade() == 0 {
			continue
		}
		graded, confirmed = true, confirmed || v&ledger.EvConfirmed != 0
		d.add(heading{2, d.text(texts.Grade, "id", number(d.histories[i].ID), "grade", v.Grade().String())})
		d.add(paragraph{text: d.text(texts.Rule) + ": " + d.gradeRule(v)}, d.evidence(v, last.Overlays.Has(ledger.Erased)))
	}
	if !graded {
		d.add(paragraph{text: d.text(texts.ClickNone)})
	}
	if confirmed {
		d.add(paragraph{text: d.text(texts.ChannelLimit), note: true})
	}
}

// told says who got data or was told.
func (d *document) told() {
	d.section(texts.Told)
	var list events
	for _, e := range d.entries {
		switch e.Kind {
		case ledger.ConsentUsed:
			if d.receiver(e) == "" {
				continue
			}
		case ledger.WithdrawalEffected, ledger.RecipientNotified, ledger.RecipientAcknowledged, ledger.EvidenceDisclosed, ledger.BundleExported:
		default:
			continue
		}
		list = append(list, d.event(e))
	}
	stated := false
	for _, n := range d.c.Notices {
		for _, f := range n.facts() {
			if f.name == "recipients" {
				d.add(paragraph{text: d.text(texts.ToldStated, "list", f.value) + " (" + n.Name() + ")"})
				stated = true
			}
		}
	}
	if len(list) > 0 {
		d.add(list)
	} else if !stated {
		d.add(paragraph{text: d.text(texts.ToldNone)})
	}
}

// technique says what the evidence rests on, and how to check it.
func (d *document) technique() {
	d.section(texts.Technique)
	d.add(paragraph{text: d.text(texts.TechniqueIntro, "size", number(d.c.Size), "root", d.c.Root.String())},
		heading{2, d.text(texts.Trust)})
	var words bullets
	for _, w := range d.c.Trust {
		word, _, _ := strings.Cut(w, " ") // WITNESSED is followed by how many
		if x, ok := trusts[word]; ok {
			words = append(words, w+": "+x.in(d.l))
		} else {
			words = append(words, w)
		}
	}
	checks := bullets{d.text(texts.Check1), d.text(texts.Check2, "proof", inWords(bundle.KindProof), "entry", inWords(bundle.KindEntry))}
	if d.c.Range == nil {
		checks = append(checks, d.text(texts.Check3, "disclosure", inWords(bundle.KindDisclosure)))
	}
	d.add(words, paragraph{text: d.text(texts.NotQualified)}, heading{2, d.text(texts.HowToCheck)}, append(checks, d.text(texts.Check4)))
}

// inWords gives the name of a kind of files as a sentence has it: N for an entry's
// number, NAME for a claim's.
func inWords(k bundle.Kind) string {
	return strings.NewReplacer("<number>", "N", "<claim>", "NAME").Replace(string(k))
}

func (d *document) limits() {
	d.section(texts.Limits)
	d.add(paragraph{text: d.text(texts.LimitsIntro)})
	d.add(bullets(d.c.limits(d.l)))
}

// maxAnnex is how many entries the annex prints: about 700 pages. The others are in the
// bundle as files.
const maxAnnex = 2000

// annexed reports whether the annex prints an entry.
func (d *document) annexed(i ledger.Index) bool {
	return len(d.entries) <= maxAnnex || i < d.entries[maxAnnex].Index
}

// annex prints the entries.
func (d *document) annex() {
	if len(d.entries) == 0 {
		return
	}
	d.add(pageBreak{})
	d.section(texts.Annex)
	d.add(paragraph{text: d.text(texts.AnnexIntro), note: true})
	for i, e := range d.entries {
		if i == maxAnnex {
			d.add(paragraph{text: d.text(texts.AnnexRest, "n", number(len(d.entries)-maxAnnex), "files", inWords(bundle.KindEntry))})
			break
		}
		d.add(anchor{e.Index, d.entryRef(e.Index)}, paragraph{text: d.text(texts.BackToText) + ": " + d.sentence(e)},
			quote{text: string(e.of.Text), mono: true},
			pairs{
				{d.text(texts.Fingerprint), hash(e.leaf)},
				{d.text(texts.ByHand), leafByHand(e.Index)},
				{d.text(texts.ByVerifier), bundle.ProofPath(e.Index)},
			})
		if values := d.values(e); len(values) > 0 {
			d.add(paragraph{text: d.text(texts.Committed) + ":"}, values)
		}
	}
}

// leafByHand is the command that prints an entry's leaf hash (RFC 6962 § 2.1).
func leafByHand(i ledger.Index) string {
	return `{ printf '\000'; cat ` + bundle.EntryPath(i) + `; } | sha256sum`
}

// values lists the claims of an entry with the digests of their disclosures, as
// sha256sum gives them.
func (d *document) values(e *held) (list bullets) {
	for _, c := range e.Commits {
		item := d.claim(e, c.Claim, ledger.MaxClaimValue)
		if !strings.HasPrefix(item, c.Claim+":") {
			item = c.Claim + " – " + item
		}
		list = append(list, item+" (SHA-256 "+hash(c.Digest)+")")
	}
	return list
}
