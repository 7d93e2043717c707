package report

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// document is what both HTML and PDF print: blocks from top to bottom.
type document struct {
	*teller
	entries   []*held
	histories []history
	files     map[ledger.Hash]*File
	blocks    []any // of the types below
}

type (
	title   struct{ text, sub string }
	heading struct {
		level int // 1 begins a section, 2 a part of it
		text  string
	}
	paragraph struct {
		text string
		note bool // small
	}
	pairs   []pair
	pair    struct{ label, value string }
	verdict struct {
		question, head, why string
		good                bool
	}
	bullets []string
	ticks   []tick
	tick    struct {
		there, gone bool // gone: it was there before an erasure
		text        string
	}
	events []event
	event  struct {
		number     int // in the picture; 0 for none
		local, utc string
		sentence   string
		notes      []string
		entry      ledger.Index
	}
	// quote is text of others, shown as it is.
	quote struct {
		text string
		mono bool
	}
	// anchor is the place of an entry in the annex.
	anchor struct {
		entry ledger.Index
		text  string
	}
	// pageBreak begins a new page.
	pageBreak struct{}
)

func newDocument(c *Case, l Language) (*document, error) {
	if l != German && l != English {
		return nil, wrong("there is no report in the language %q", l)
	}
	zone := c.Zone
	if zone == nil {
		zone = time.UTC
	}
	d := &document{teller: &teller{clock{l, zone}, c}, files: c.files()}
	var err error
	if d.entries, err = c.read(); err != nil {
		return nil, err
	}
	if d.histories, err = c.histories(d.entries); err != nil {
		return nil, err
	}
	if c.Range != nil {
		d.extract()
		return d, nil
	}
	if err := d.first(); err != nil {
		return nil, err
	}
	d.course()
	d.shown()
	d.clicks()
	d.told()
	d.technique()
	d.limits()
	d.annex()
	return d, nil
}

func (d *document) add(blocks ...any) { d.blocks = append(d.blocks, blocks...) }

// name is what the report is called.
func (d *document) name() string {
	if d.c.Range != nil {
		return d.text(texts.ExtractTitle)
	}
	return d.text(texts.Title)
}

func (d *document) section(x text) { d.add(heading{1, d.text(x)}) }

func (d *document) entryRef(i ledger.Index) string { return d.text(texts.EntryRef, "index", number(i)) }

// maxFirst is how many questions the first page answers.
const maxFirst = 2

// first makes the first page: the questions and their answers.
func (d *document) first() error {
	d.add(title{d.name(), d.text(texts.Subtitle)})
	d.head()
	d.add(paragraph{text: d.text(texts.ReadFirst), note: true})
	if len(d.c.Questions) == 0 {
		d.add(paragraph{text: d.text(texts.NoQuestion)})
	}
	d.erasures()
	for i, q := range d.c.Questions {
		if i == maxFirst {
			d.add(paragraph{text: d.text(texts.Rest, "n", number(len(d.c.Questions)-i)), note: true})
		}
		if err := d.question(q); err != nil {
			return err
		}
	}
	return nil
}

// head says whose log it is, and who made the report for whom.
func (d *document) head() {
	k := d.c.Custody
	said := func(s string) string { return d.short(cmp.Or(s, d.text(texts.NotSaid)), maxValueTold) }
	controller := d.c.Controller
	if d.c.Company != "" {
		controller = d.c.Company + " (" + controller + ")"
	}
	by := said(k.Exporter) + ", " + said(k.Tool)
	rows := pairs{
		{d.text(texts.Controller), controller},
		{d.text(texts.Log), d.c.Origin + ", " + number(d.c.Size) + " " + d.entriesWord()},
		{d.text(texts.Made), d.both(k.Made)},
	}
	if d.c.Range != nil {
		d.add(append(rows, pair{d.text(texts.MadeBy), by}))
		return
	}
	export := d.text(texts.NotExported)
	if k.Export != 0 {
		export = d.entryRef(k.Export)
	}
	d.add(append(rows, pair{d.text(texts.MadeBy), by + "; " + d.text(texts.Export) + ": " + export},
		pair{d.text(texts.ForWhom), said(k.Recipient)}, pair{d.text(texts.Why), said(k.Reason)}))
}

func (d *document) entriesWord() string { return d.text(text{"Einträge", "entries"}) }

// question answers one question, and says what the answer rests on.
func (d *document) question(q Question) error {
	v, ok := verdicts[q.Reason]
	if !ok {
		return wrong("there is no reason %q", q.Reason)
	}
	if q.At.IsZero() {
		return wrong("a question has no moment")
	}
	ask := d.text(texts.Question, "at", d.both(q.At), "purpose", d.purpose(q.Purpose), "channel", d.word("channel", q.Channel))
	why := v.why.in(d.l)
	if q.Hindsight != nil && !*q.Hindsight && v.head == &texts.Yes {
		why += " " + d.text(texts.HindsightNo)
	}
	for i := range d.histories {
		h := &d.histories[i]
		was := h.at(q.At)
		if q.Consent == 0 && h.isAbout(q) && (was.Overlays.Has(ledger.Locked) || was.Overlays.Has(ledger.Erased)) {
			why += " " + d.text(texts.SetAside, "id", number(h.ID))
		}
	}
	d.add(verdict{ask, v.head.in(d.l) + " – " + d.text(texts.Recorded) + ".", why, v.head == &texts.Yes})
	if q.Consent == 0 {
		if v.head == &texts.Yes {
			return wrong("a question is answered with %q, and no record says so", q.Reason)
		}
		return nil
	}
	i := slices.IndexFunc(d.histories, func(h history) bool { return h.ID == q.Consent })
	if i < 0 {
		return wrong("the record %d that decided is not among the records", q.Consent)
	}
	h := &d.histories[i]
	if was := h.at(q.At); v.head == &texts.Yes && (!was.State.Allows() || was.Overlays != 0 || was.Basis != ledger.ByConsent) {
		return wrong("record %d did not allow anything at the moment of a question that is answered with %q", h.ID, q.Reason)
	}
	d.grounds(h, q)
	return nil
}

// grounds says what an answer rests on: who, for what, when, how, which words.
func (d *document) grounds(h *history, q Question) {
	was := h.at(q.At)
	rows := pairs{{d.text(texts.Who), d.who(h)}, {d.text(texts.What), d.purpose(h.last().Purpose) + " " + d.word("channel", h.last().Channel)}}
	for _, s := range h.steps {
		if s.Time.After(q.At) || !isMilestone(s.Kind) {
			continue
		}
		label := ""
		if s.Index == ledger.Index(h.ID) {
			label = d.text(texts.When) + ", " + strings.ToLower(d.text(texts.How))
		}
		rows = append(rows, pair{label, d.both(s.Time) + ": " + d.sentence(s.held) + " (" + d.entryRef(s.Index) + ")"})
	}
	if n := h.notice(q.At); n.ID != "" {
		rows = append(rows, pair{d.text(texts.Words), d.text(texts.WordsSection, "name", n.Name())})
	}
	if g := was.Grade(); g != 0 {
		rows = append(rows, pair{d.text(texts.GradeIs), g.String() + ": " + d.gradeRule(was.Evidence)})
	}
	rows = append(rows, pair{d.text(texts.ByOthers), d.attested(h, q.At)}, pair{d.text(texts.Later), d.afterwards(h, q.At)})
	if odd := d.irregular(h); odd != "" {
		rows = append(rows, pair{d.text(texts.Irregular), odd})
	}
	d.add(rows)
}

// who names the person by the identifiers that were disclosed.
func (d *document) who(h *history) string {
	var list []string
	for _, s := range h.steps {
		for _, x := range s.of.Disclosed {
			id := d.claimName(x.Claim) + " " + d.short(x.Value, maxValueTold)
			if (ledger.IsIdentifierClaim(x.Claim) || x.Claim == "name") && !slices.Contains(list, id) {
				list = append(list, id)
			}
		}
	}
	if len(list) > 0 {
		return strings.Join(list, ", ")
	}
	if h.last().Overlays.Has(ledger.Erased) {
		return d.text(texts.WhoErased)
	}
	return d.text(texts.WhoHidden)
}

// isMilestone reports whether entries of a kind belong on the first page.
func isMilestone(k ledger.Kind) bool {
	switch k {
	case ledger.ConsentRequested, ledger.ConfirmationSent, ledger.ConsentGiven, ledger.ConsentRefused, ledger.ConsentImported,
		ledger.BasisAsserted, ledger.ConsentConfirmed, ledger.ConfirmationRejected, ledger.GuardianAuthorised:
		return true
	}
	return isChange(k)
}

// isChange reports whether entries of a kind change what stands for good.
func isChange(k ledger.Kind) bool {
	switch k {
	case ledger.ConsentRenewed, ledger.RequestExpired, ledger.ConsentExpired, ledger.ConsentWithdrawn, ledger.ConsentRevoked,
		ledger.ConsentInvalidated, ledger.ObjectionRecorded, ledger.RestrictionSet, ledger.RestrictionLifted, ledger.SubjectLocked,
		ledger.SubjectErased:
		return true
	}
	return false
}

// notice gives the newest notice that was shown until a moment: of a consent, not of
// a mail.
func (h *history) notice(until time.Time) (n ledger.NoticeRef) {
	for _, s := range h.steps {
		if !s.Time.After(until) && s.Entry.Notice.ID != "" && s.Kind != ledger.ConfirmationSent {
			n = s.Entry.Notice
		}
	}
	return n
}

// attested says when the entry that moved the record last until a moment was made, by
// the word of others.
func (d *document) attested(h *history, until time.Time) string {
	last := h.at(until).Last
	for _, s := range h.steps {
		if s.Index == last && (s.of.Interval.NotInLogAt != nil || s.of.Interval.InLogAt != nil) {
			return d.entryRef(s.Index) + ": " + d.interval(s.of.Interval)
		}
	}
	return d.text(texts.NoDate)
}

// afterwards says what changed after a moment.
func (d *document) afterwards(h *history, moment time.Time) string {
	var list []string
	for _, s := range h.steps {
		if s.Time.After(moment) && (isChange(s.Kind) || s.Kind == ledger.ConsentConfirmed || s.Kind == ledger.ConfirmationRejected) {
			list = append(list, d.both(s.Time)+": "+d.sentence(s.held)+" ("+d.entryRef(s.Index)+")")
		}
	}
	if len(list) == 0 && h.at(moment).State.Allows() {
		list = append(list, d.text(texts.LaterNothing))
	} else if len(list) == 0 {
		list = append(list, d.text(texts.LaterSame))
	}
	return strings.Join(list, " ") + " " + d.proven(h)
}

func (d *document) proven(h *history) string {
	if h.Proven == 0 {
		return d.text(texts.ConsentUnproven)
	}
	return d.text(texts.ConsentProven, "index", number(h.Proven))
}

func (d *document) irregular(h *history) string {
	var list []string
	for _, s := range h.steps {
		for _, name := range s.of.Irregular {
			list = append(list, d.entryRef(s.Index)+": "+d.irregularity(name))
		}
	}
	return strings.Join(list, "; ")
}

// interval says when an entry was made by the word of others.
func (d *document) interval(v ledger.Interval) string {
	stamp := func(a *ledger.Anchored) string {
		x := texts.Stamped
		if a.Qualified {
			x = texts.Qualified
		}
		return d.text(x, "time", d.both(a.Time), "authority", a.Authority)
	}
	switch from, to := v.NotInLogAt, v.InLogAt; {
	case from != nil && to != nil:
		return d.text(texts.Between, "from", stamp(from), "to", stamp(to))
	case from != nil:
		return d.text(texts.After, "from", stamp(from))
	case to != nil:
		return d.text(texts.Before, "to", stamp(to))
	}
	return d.text(texts.OwnClock)
}

// maxFileShown is how much of a file is printed, in bytes.
const maxFileShown = 16 << 10

// fileText gives what is printed of a file.
func (d *document) fileText(f *File) (string, bool) {
	shown := f.Head
	if f.Size > maxFileShown {
		cut := min(maxFileShown, len(shown)-1)
		for cut > 0 && !utf8.RuneStart(shown[cut]) {
			cut--
		}
		shown = shown[:max(cut, 0)]
	}
	switch {
	case !utf8.Valid(shown) || slices.Contains(shown, 0):
		return d.text(texts.FileBinary), false
	case f.Size > maxFileShown:
		return string(shown) + "\n" + d.text(texts.FileCut, "path", bundle.FilePath(f.SHA256)), true
	}
	return string(shown), true
}

// hash writes a hash as sha256sum does.
func hash(h ledger.Hash) string { return hex.EncodeToString(h[:]) }
