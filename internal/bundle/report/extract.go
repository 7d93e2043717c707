package report

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// extract makes the report of an auditor's bundle: which entries there are, of which
// kinds, by whom, and how to check them. The entries are in the bundle, not printed.
func (d *document) extract() {
	d.add(title{d.name(), d.text(texts.ExtractSubtitle)})
	d.head()
	d.add(paragraph{text: d.text(texts.ExtractIntro)})
	var within []*held
	kinds, sources, roles := map[string]int{}, map[string]int{}, map[string]string{}
	for _, e := range d.entries {
		if e.Kind == ledger.SourceDeclared {
			roles[e.Name] = " (" + d.word("role", e.Role) + ")"
		}
		if d.c.Range.has(e.Index) {
			within = append(within, e)
			kinds[string(e.Kind)]++
			sources[e.Source]++
		}
	}
	first, last := within[0], within[len(within)-1]
	when := func(e *held) string { return d.both(e.Time) + ". " + d.interval(e.of.Interval) }
	d.add(pairs{
		{strings.ToUpper(d.entriesWord()[:1]) + d.entriesWord()[1:], d.text(texts.ExtractOf, "first", number(first.Index), "last", number(last.Index), "n", number(len(within)))},
		{d.text(texts.ExtractFirst), when(first)},
		{d.text(texts.ExtractLast), when(last)},
	})
	if n := len(d.entries) - len(within); n > 0 {
		d.add(paragraph{text: d.text(texts.ExtractBeside, "n", number(n)), note: true})
	}
	d.counts(texts.ExtractKinds, kinds, nil)
	d.counts(texts.ExtractSources, sources, roles)
	d.oddities(within)
	if len(d.c.Notices) > 0 {
		d.add(heading{2, d.text(texts.ExtractNotices)})
		list := make(bullets, len(d.c.Notices))
		for i, n := range d.c.Notices {
			list[i] = n.Name() + " (" + n.Language + "): " + bundle.NoticePath(n.SHA256)
		}
		d.add(list)
	}
	d.technique()
	d.limits()
}

// counts lists how often each name stands in the range, by name.
func (d *document) counts(head text, of map[string]int, notes map[string]string) {
	d.add(heading{2, d.text(head)})
	var list pairs
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, pair{strconv.Itoa(of[name]), name + notes[name]})
	}
	d.add(list)
}

// oddities lists the irregularities of the range.
func (d *document) oddities(within []*held) {
	var list bullets
	for _, e := range within {
		for _, name := range e.of.Irregular {
			list = append(list, d.entryRef(e.Index)+": "+d.irregularity(name))
		}
	}
	if len(list) > 0 {
		d.add(heading{2, d.text(texts.Irregular)}, list)
	}
}
