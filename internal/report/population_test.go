package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

func TestPopulation(t *testing.T) {
	l := newLogbook(t)
	a, b := l.opens(ledger.ConsentGiven, "newsletter", "email"), l.opens(ledger.ConsentImported, "account", "post")
	l.now = day(2)
	c := l.opens(ledger.ConsentGiven, "newsletter.daily", "email")
	l.opens(ledger.ObjectionRecorded, ledger.AllMarketing, "any")
	l.changes(ledger.Entry{Kind: ledger.ConsentWithdrawn}, a)
	l.uses("", c)
	l.now = day(3)
	l.opens(ledger.ConsentGiven, "newsletter", "email")
	l.changes(ledger.Entry{Kind: ledger.ConsentWithdrawn}, b, c)

	r := l.report("population", Period{day(2), day(3)})
	p := r.Figures.(*Population)
	first := ledger.Index(c)
	if want := (Reconciliation{16, 10, 4, 2, 0, first, first + 3}); p.Entries != want || !p.Reconciled {
		t.Errorf("entries %+v, want %+v; reconciled %v", p.Entries, want, p.Reconciled)
	}
	for what, got := range map[string]map[string]int64{
		"consent.given 1, consent.used 1, consent.withdrawn 1, objection.recorded 1": p.Kinds,
		"shop 4":                                       p.Sources,
		"consent.given 1, objection.recorded 1":        p.Opened.ByKind,
		"all-marketing 1, newsletter.daily 1":          p.Opened.ByPurpose,
		"any 1, email 1":                               p.Opened.ByChannel,
		"(none) 1, newsletter-de@1 1":                  p.Opened.ByNotice,
		"shop 2":                                       p.Opened.BySource,
		"given 1, imported 1, objected 1, withdrawn 1": p.ByState,
		"(none) 1, D 1, E 2":                           p.ByGrade,
		"(none) 2, newsletter-de@1 2":                  p.ByNotice,
		"any 1, email 2, post 1":                       p.ByChannel,
		"account 1, all-marketing 1, newsletter 1, newsletter.daily 1": p.ByPurpose,
	} {
		if s := shows(got); s != what {
			t.Errorf("counted %q, want %q", s, what)
		}
	}
	if o := p.Opened; o.Before != 2 || o.Within != 2 || o.After != 1 {
		t.Errorf("opened %+v", o)
	}
	want := []Standing{{"account", "post", "", "imported", "D", 1}, {"all-marketing", "any", "", "objected", "", 1},
		{"newsletter", "email", "newsletter-de@1", "withdrawn", "E", 1}, {"newsletter.daily", "email", "newsletter-de@1", "given", "E", 1}}
	if !slices.Equal(p.Standing, want) {
		t.Errorf("standing %+v", p.Standing)
	}
	says(t, r, "VERIFIED", "report      population", "period      from 2027-01-02T00:00:00Z until before 2027-01-03T00:00:00Z", "All sums agree.",
		"Entries: 16 in the tree = 10 before the period + 4 in it + 2 after it; gaps: 0.", "The period has the indexes 10 to 13.",
		"Records: 2 opened before the period + 2 in it = 4 standing at its end; 1 opened after it.",
		"1  newsletter, email, notice newsletter-de@1, withdrawn, grade E", "1  all-marketing, any, notice (none), objected, grade (none)")
}

// shows is a map in one line.
func shows(m map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}

// TestPopulationOfAnyPeriod compares the figures of many periods of one log with
// those of the verifier, and with a replay of the beginning of the log.
func TestPopulationOfAnyPeriod(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 700)
	p := s.Snapshot()
	defer p.Release()
	dir := t.TempDir()
	if err := p.Export(dir); err != nil {
		t.Fatal(err)
	}
	var entries []*ledger.Entry
	var states []map[string]int64 // after so many entries
	replay := ledger.NewReplay()
	err := p.Entries(0, 1000, func(_ ledger.Index, b []byte) error {
		states = append(states, statesOf(t, replay))
		e, err := ledger.ParseEntry(b)
		if err == nil {
			entries = append(entries, e)
			_, err = replay.Add(e, ledger.LeafHash(b))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	states = append(states, statesOf(t, replay))
	whole := reported(t, dir, "population", Period{}, ledger.Verified).Figures.(*Population)
	v := testledger.VerifyDir(t, dir)
	if !maps.Equal(whole.Kinds, v.Kinds) || !maps.Equal(whole.ByState, v.States) || sum(whole.ByState) != sum(whole.ByGrade) || whole.Entries.Within != int64(v.Size) {
		t.Errorf("of everything: %+v, the verifier says %+v", whole, v)
	}
	for name, n := range v.Grades {
		if whole.ByGrade[name] != n {
			t.Errorf("grade %s: %d, the verifier says %d", name, whole.ByGrade[name], n)
		}
	}
	for _, at := range [][2]int{{0, 1}, {0, 5}, {5, 6}, {5, 300}, {256, 257}, {299, 512}, {699, 700}, {700, 701}, {0, 701}} {
		period := Period{From: entries[at[0]].Time}
		if at[1] < len(entries) {
			period.To = entries[at[1]].Time
		}
		got := reported(t, dir, "population", period, ledger.Verified).Figures.(*Population)
		kinds := map[string]int64{}
		for _, e := range entries[at[0]:at[1]] {
			kinds[string(e.Kind)]++
		}
		if !got.Reconciled || !maps.Equal(got.Kinds, kinds) || !maps.Equal(got.ByState, states[at[1]]) ||
			got.Entries.FirstWithin != ledger.Index(at[0]) || got.Entries.LastWithin != ledger.Index(at[1]-1) {
			t.Errorf("of %v: %+v, want the kinds %v and the states %v", at, got, kinds, states[at[1]])
		}
	}
	none := reported(t, dir, "population", Period{From: day(400)}, ledger.Verified).Figures.(*Population)
	if !none.Reconciled || none.Entries.Within != 0 || none.Entries.FirstWithin != -1 || none.Opened.Within != 0 || !maps.Equal(none.ByState, v.States) {
		t.Errorf("of a period after the log: %+v", none)
	}
}

func statesOf(t testing.TB, r *ledger.Replay) map[string]int64 {
	t.Helper()
	states := map[string]int64{}
	err := r.Consents(0, 1<<20, func(c ledger.Consent) {
		states[strings.Join(append([]string{c.State.String()}, c.Overlays.Names()...), " ")]++
	})
	if err != nil {
		t.Fatal(err)
	}
	return states
}
