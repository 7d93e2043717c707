package ledger

import (
	"maps"
	"slices"
	"time"
)

// rightsEntry draws an entry about requests of persons, recipients, processors,
// claims and corrections, and how the model judges it.
func (d *drawing) rightsEntry(kind Kind) (*Entry, func() (string, []string)) {
	index, e := len(d.l.texts), &Entry{Kind: kind}
	d.l.rightsKind(e)
	judge := func() (string, []string) { return d.m.ask(index, e) }
	switch kind {
	case ClaimDeclared:
		e.Source, e.Claim = "admin", d.one("claim", "x.case", "x.ticket")
		return e, func() (string, []string) { return d.m.declare(e), nil }
	case ProcessorEngaged, ProcessorEnded:
		e.Source, e.Processor = "admin", d.one("processor", "mailer", "mailer", "printer")
		if kind == ProcessorEngaged {
			e.Country = d.one("country", "", "DE", "US")
			e.Covers = pick(d, "covers", [][]string{nil, {"newsletter"}, {"newsletter", "offers"}, {"catalogue", "newsletter"}})
		}
		return e, func() (string, []string) { return d.m.engage(e), nil }
	case RecipientNotified:
		e.Processor, e.Refers = d.one("processor", "", "mailer", "printer", "nobody"), []Index{Index(d.below(index, "refers"))}
		judge = func() (string, []string) { return d.m.notify(index, e), nil }
	case RecipientAcknowledged:
		e.Refers = []Index{d.waiting(d.m.notified)}
		judge = func() (string, []string) { return d.m.notify(index, e), nil }
	case EntryCorrected:
		e.Source, e.Refers = d.one("source", "admin", "legal-desk"), []Index{Index(d.below(index, "refers"))}
	case RequestReceived:
		e.Source, e.Article = d.one("source", "shop-frontend", "legal-desk"), d.one("article", articles...)
		if d.coin("earlier") {
			e.Occurred = d.l.now.AddDate(0, 0, -d.below(50, "days")).Truncate(time.Second)
			e.Due = d.due(e.Occurred, 1)
		} else {
			e.Due = d.due(d.l.now, 1)
		}
	default:
		d.followRequest(e)
	}
	if lists := kindTable[kind].lists; lists == listAboutOptional && !d.seldom("a stranger's") {
		e.About = d.ids(kind, 0)
	}
	return e, judge
}

// due draws when something received at a moment is due so many months on, seldom
// wrongly.
func (d *drawing) due(received time.Time, months int) time.Time {
	due := AnswerDue(received, months)
	if d.below(10, "wrongly due") == 1 {
		due = due.Add(pick(d, "by", []time.Duration{-24 * time.Hour, 24 * time.Hour}))
	}
	return due
}

// waiting draws what waits, mostly something that does.
func (d *drawing) waiting(all map[int]bool) Index {
	i := Index(d.below(len(d.l.texts), "refers"))
	for _, waits := range slices.Sorted(maps.Keys(all)) {
		if all[waits] && !d.seldom("another") {
			i = Index(waits)
		}
	}
	return i
}

// followRequest draws what becomes of a request: when, of which, and until when.
func (d *drawing) followRequest(e *Entry) {
	open := map[int]bool{}
	for i, q := range d.m.rights {
		open[i] = !q.met
	}
	e.Refers = []Index{d.waiting(open)}
	if d.coin("earlier") {
		e.Occurred = d.l.now.AddDate(0, 0, -d.below(10, "days")).Truncate(time.Second)
	}
	if e.Kind == RequestExtended {
		e.Due = d.due(d.l.now, 2)
		if q := d.m.rights[int(e.Refers[0])]; q != nil {
			e.Due = d.due(q.received, 1+d.below(3, "months"))
		}
	}
}
