package report

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Population says of what the log consists: how does an auditor know that a list is
// all of it? Every index of the tree is accounted for, and every consent stands in
// exactly one row of Standing.
type Population struct {
	Entries Reconciliation `json:"entries"`
	// Kinds and Sources count the entries of the period.
	Kinds   map[string]int64 `json:"entries_by_kind"`
	Sources map[string]int64 `json:"entries_by_source"`
	// Opened counts the records that the entries of the period opened.
	Opened Opened `json:"opened"`
	// Standing counts all records that there were at the end of the period, as they
	// stood then; each of the maps below it sums up to the same number.
	Standing   []Standing       `json:"standing"`
	ByPurpose  map[string]int64 `json:"standing_by_purpose"`
	ByChannel  map[string]int64 `json:"standing_by_channel"`
	ByNotice   map[string]int64 `json:"standing_by_notice"`
	ByState    map[string]int64 `json:"standing_by_state"`
	ByGrade    map[string]int64 `json:"standing_by_grade"`
	Reconciled bool             `json:"reconciled"` // all sums are what they must be

	period Period
	next   ledger.Index
	rows   []standingRow // ascending by id
	keys   []standingKey
	number map[standingKey]uint32
}

// Reconciliation accounts for every index of the tree.
type Reconciliation struct {
	TreeSize ledger.Size `json:"tree_size"`
	Before   int64       `json:"before_period"`
	Within   int64       `json:"in_period"`
	After    int64       `json:"after_period"`
	Gaps     int64       `json:"gaps"` // indexes without an entry
	// FirstWithin and LastWithin are the indexes of the period, -1 without any.
	FirstWithin ledger.Index `json:"first_index_in_period"`
	LastWithin  ledger.Index `json:"last_index_in_period"`
}

// Opened counts records by what opened them.
type Opened struct {
	Before    int64            `json:"before_period"`
	Within    int64            `json:"in_period"`
	After     int64            `json:"after_period"`
	ByKind    map[string]int64 `json:"in_period_by_kind"`
	ByPurpose map[string]int64 `json:"in_period_by_purpose"`
	ByChannel map[string]int64 `json:"in_period_by_channel"`
	ByNotice  map[string]int64 `json:"in_period_by_notice"`
	BySource  map[string]int64 `json:"in_period_by_source"`
}

// Standing counts records that agree in everything that is counted. Notice is that
// with which the record was opened, and Grade how well the consent is proven; either
// is "" where there is none.
type Standing struct {
	Purpose string `json:"purpose"`
	Channel string `json:"channel"`
	Notice  string `json:"notice"`
	State   string `json:"state"` // with the overlays, as in "withdrawn locked"
	Grade   string `json:"grade"`
	Count   int64  `json:"count"`
}

// none stands in the maps for a notice or a grade that there is not.
const none = "(none)"

// standingKey is what Standing counts by.
type standingKey struct {
	purpose, channel, notice string
	state                    ledger.State
	overlays                 ledger.Overlays
	grade                    ledger.Grade
}

// standingRow says under which key a consent is counted.
type standingRow struct {
	id  ledger.ConsentID
	key uint32
}

func newPopulation(period Period) *Population {
	p := &Population{Kinds: map[string]int64{}, Sources: map[string]int64{}, Standing: []Standing{},
		ByPurpose: map[string]int64{}, ByChannel: map[string]int64{}, ByNotice: map[string]int64{}, ByState: map[string]int64{}, ByGrade: map[string]int64{},
		period: period, number: map[standingKey]uint32{}}
	p.Opened = Opened{ByKind: map[string]int64{}, ByPurpose: map[string]int64{}, ByChannel: map[string]int64{}, ByNotice: map[string]int64{}, BySource: map[string]int64{}}
	p.Entries.FirstWithin, p.Entries.LastWithin = -1, -1
	return p
}

func (p *Population) each(e *ledger.Entry, eff *ledger.Effects, _ ledger.History, within bool) error {
	if gap := int64(e.Index - p.next); gap > 0 {
		p.Entries.Gaps += gap
	}
	p.next = e.Index + 1
	over := p.period.isOver(e.Time)
	switch {
	case within:
		if p.Entries.Within++; p.Entries.FirstWithin < 0 {
			p.Entries.FirstWithin = e.Index
		}
		p.Entries.LastWithin = e.Index
		p.Kinds[string(e.Kind)]++
		p.Sources[e.Source]++
	case over:
		p.Entries.After++
	default:
		p.Entries.Before++
	}
	if c := eff.Opened; c != nil {
		p.open(e, *c, within, over)
	}
	if !over {
		for _, c := range slices.Concat(eff.Changed, eff.Noted) {
			p.move(c)
		}
	}
	return nil
}

func (p *Population) open(e *ledger.Entry, c ledger.Consent, within, over bool) {
	notice := ""
	if e.Notice.ID != "" {
		notice = e.Notice.Name()
	}
	switch {
	case over:
		p.Opened.After++
		return
	case within:
		p.Opened.Within++
		p.Opened.ByKind[string(e.Kind)]++
		p.Opened.ByPurpose[c.Purpose]++
		p.Opened.ByChannel[c.Channel]++
		p.Opened.ByNotice[cmp.Or(notice, none)]++
		p.Opened.BySource[e.Source]++
	default:
		p.Opened.Before++
	}
	p.rows = append(p.rows, standingRow{c.ID, p.key(c, notice)})
}

// move counts a consent where it stands now.
func (p *Population) move(c ledger.Consent) {
	i := sort.Search(len(p.rows), func(i int) bool { return p.rows[i].id >= c.ID })
	p.rows[i].key = p.key(c, p.keys[p.rows[i].key].notice)
}

func (p *Population) key(c ledger.Consent, notice string) uint32 {
	k := standingKey{c.Purpose, c.Channel, notice, c.State, c.Overlays, c.Grade()}
	n, ok := p.number[k]
	if !ok {
		n = uint32(len(p.keys))
		p.keys, p.number[k] = append(p.keys, k), n
	}
	return n
}

func (p *Population) finish(size ledger.Size, _ time.Time) {
	p.Entries.TreeSize = size
	p.Entries.Gaps += int64(size) - int64(p.next)
	counts := make([]int64, len(p.keys))
	for _, r := range p.rows {
		counts[r.key]++
	}
	total := int64(0)
	for i, k := range p.keys {
		if counts[i] == 0 {
			continue
		}
		total += counts[i]
		state := strings.Join(append([]string{k.state.String()}, k.overlays.Names()...), " ")
		p.Standing = append(p.Standing, Standing{k.purpose, k.channel, k.notice, state, k.grade.String(), counts[i]})
		p.ByPurpose[k.purpose] += counts[i]
		p.ByChannel[k.channel] += counts[i]
		p.ByNotice[cmp.Or(k.notice, none)] += counts[i]
		p.ByState[state] += counts[i]
		p.ByGrade[cmp.Or(k.grade.String(), none)] += counts[i]
	}
	slices.SortFunc(p.Standing, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Notice, b.Notice),
			cmp.Compare(a.State, b.State), cmp.Compare(a.Grade, b.Grade))
	})
	p.Reconciled = p.reconciles(total)
}

// reconciles reports whether every entry and every record is counted once.
func (p *Population) reconciles(standing int64) bool {
	e, ok := p.Entries, true
	same := func(n int64, maps ...map[string]int64) {
		for _, m := range maps {
			ok = ok && sum(m) == n
		}
	}
	same(e.Within, p.Kinds, p.Sources)
	same(p.Opened.Within, p.Opened.ByKind, p.Opened.ByPurpose, p.Opened.ByChannel, p.Opened.ByNotice, p.Opened.BySource)
	same(standing, p.ByPurpose, p.ByChannel, p.ByNotice, p.ByState, p.ByGrade)
	return ok && e.Gaps == 0 && e.Before+e.Within+e.After == int64(e.TreeSize) && p.Opened.Before+p.Opened.Within == standing
}

func sum(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func (p *Population) text(w *printer) {
	e := p.Entries
	w.Line("Entries: %d in the tree = %d before the period + %d in it + %d after it; gaps: %d.", e.TreeSize, e.Before, e.Within, e.After, e.Gaps)
	if e.Within > 0 {
		w.Line("The period has the indexes %d to %d.", e.FirstWithin, e.LastWithin)
	}
	o := p.Opened
	w.Line("Records: %d opened before the period + %d in it = %d standing at its end; %d opened after it.", o.Before, o.Within, sum(p.ByState), o.After)
	if p.Reconciled {
		w.Line("All sums agree.")
	} else {
		w.Line("THE SUMS DO NOT AGREE: this report is not to be relied on.")
	}
	w.counts("Entries in the period, by kind", p.Kinds)
	w.counts("Entries in the period, by source", p.Sources)
	w.counts("Records opened in the period, by kind", o.ByKind)
	w.counts("Records opened in the period, by purpose", o.ByPurpose)
	w.counts("Records opened in the period, by channel", o.ByChannel)
	w.counts("Records opened in the period, by notice shown", o.ByNotice)
	w.counts("Records opened in the period, by source", o.BySource)
	w.counts("Records at the end of the period, by state", p.ByState)
	w.counts("Records at the end of the period, by purpose", p.ByPurpose)
	w.counts("Records at the end of the period, by channel", p.ByChannel)
	w.counts("Records at the end of the period, by notice shown", p.ByNotice)
	w.counts("Records at the end of the period, by grade of evidence", p.ByGrade)
	var rows []string
	for _, s := range p.Standing {
		rows = append(rows, fmt.Sprintf("%8d  %s, %s, notice %s, %s, grade %s", s.Count, s.Purpose, s.Channel, cmp.Or(s.Notice, none), s.State, cmp.Or(s.Grade, none)))
	}
	w.List("Records at the end of the period, by everything", rows)
}

func (*Population) cannotShow() []string {
	return []string{
		"how many people there are: the log names none, and one person can have many records",
		"what was never recorded: completeness is that of the log, not of what happened",
	}
}
