package report

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

func TestWithdrawals(t *testing.T) {
	l := newLogbook(t)
	processor := func(kind ledger.Kind, id string, covers ...string) {
		l.add(ledger.Entry{Kind: kind, Processor: id, Covers: covers})
	}
	ends := func(kind ledger.Kind, ids ...ledger.ConsentID) {
		t.Helper()
		e := ledger.Entry{Kind: kind}
		if kind == ledger.ConsentRevoked || kind == ledger.ConsentInvalidated {
			e.Cause = "other"
		}
		l.changes(e, ids...)
	}
	effected := func(system string, ids ...ledger.ConsentID) {
		t.Helper()
		l.add(ledger.Entry{Kind: ledger.WithdrawalEffected, System: system, About: ids})
	}
	processor(ledger.ProcessorEngaged, "mailer", "newsletter")
	processor(ledger.ProcessorEngaged, "left", "newsletter")
	n := l.gives(9)
	daily, account := l.opens(ledger.ConsentGiven, "newsletter.daily", "email"), l.opens(ledger.ConsentGiven, "account", "post")
	gone := n[8]
	ends(ledger.ConsentRevoked, gone)
	l.now = day(2)
	ends(ledger.ConsentWithdrawn, n[0], n[1], daily)
	ends(ledger.ConsentInvalidated, gone) // which had been revoked
	ends(ledger.ConsentRevoked, n[2])
	ends(ledger.ConsentExpired, n[3])
	ends(ledger.ConsentWithdrawn, n[4])
	ends(ledger.ConsentWithdrawn, account)
	stranger := l.opens(ledger.ObjectionRecorded, "newsletter", "email")
	l.now = l.now.Add(time.Minute)
	ends(ledger.ConsentInvalidated, n[2]) // what had ended ends no more
	processor(ledger.ProcessorEnded, "left")
	processor(ledger.ProcessorEngaged, "late", "newsletter")
	effected("shop", n[0], n[1], n[2])
	effected("mailer", n[0], stranger)
	l.now = l.now.Add(time.Hour)
	effected("shop", n[0]) // once more
	effected("mailer", gone, daily)
	l.uses("mailer", n[5], n[6])
	late := l.uses("mailer", n[0], daily)
	l.add(ledger.Entry{Kind: ledger.ConsentUsed, About: []ledger.ConsentID{n[1]}, Occurred: day(1)})
	l.changes(ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, n[3])
	l.now = day(3).Add(time.Hour)
	effected("mailer", n[2])
	ends(ledger.ConsentWithdrawn, n[7]) // its time runs

	r := l.report("withdrawals", Period{From: day(2)})
	want := fmt.Sprintf(`{"ends":9,"ends_by_kind":{"consent.expired":1,"consent.revoked":1,"consent.withdrawn":6,"objection.recorded":1},`+
		`"ends_by_purpose":{"account":1,"newsletter":7,"newsletter.daily":1},"ends_by_channel":{"email":8,"post":1},`+
		`"end_to_effect_by_system":{"mailer":{"count":4,"p50_seconds":60,"p95_seconds":90000,"max_seconds":90000},"shop":{"count":3,"p50_seconds":60,"p95_seconds":60,"max_seconds":60}},`+
		`"purposes_with_a_time":{"ends":8,"in_time":2,"late":2,"not_effected":2,"time_running":1,"erased_without":1,"first_not_effected":[%d,%d]},`+
		`"end_to_use_after_it":{"count":2,"p50_seconds":3660,"p95_seconds":3660,"max_seconds":3660},"uses_after_end_by_kind_of_end":{"consent.withdrawn":2},`+
		`"uses_recorded_after_end_and_dated_before":1,`+
		`"first_uses_after_end":[{"entry":%d,"consent":%d,"seconds_after_end":3660},{"entry":%d,"consent":%d,"seconds_after_end":3660}]}`,
		n[1], n[4], late, n[0], late, daily)
	if got := figures(t, r); got != want {
		t.Errorf("figures\n%s\nwant\n%s", got, want)
	}
	says(t, r, "mailer  4: p50 1 min, p95 1 d 1 h, longest 1 d 1 h", fmt.Sprintf("entry %d, consent %d, 1 h 1 min", late, daily), fmt.Sprintf("%d %d", n[1], n[4]))
}

// An end is in time up to and including the last moment, counted where it must take
// effect last; where nobody is engaged, where it took effect first.
func TestEffectInTime(t *testing.T) {
	type effect struct {
		system string
		after  time.Duration
	}
	hour := time.Hour
	for name, test := range map[string]struct {
		engaged [][]string // id, then the purposes that it covers
		effects []effect
		want    Effect
	}{
		"at the last moment":             {nil, []effect{{"shop", 24 * hour}}, Effect{InTime: 1}},
		"a moment later":                 {nil, []effect{{"shop", 24*hour + time.Second}}, Effect{Late: 1}},
		"the sooner of two":              {nil, []effect{{"desk", 23 * hour}, {"shop", 30 * hour}}, Effect{InTime: 1}},
		"the sooner of two, said later":  {nil, []effect{{"desk", 30 * hour}, {"shop", 23 * hour}}, Effect{InTime: 1}},
		"nowhere":                        {nil, nil, Effect{Missing: 1}},
		"the later of two processors":    {[][]string{{"a", "newsletter"}, {"b", "newsletter"}}, []effect{{"b", 30 * hour}, {"a", hour}}, Effect{Late: 1}},
		"both in time":                   {[][]string{{"a", "newsletter"}, {"b", "newsletter"}}, []effect{{"b", 24 * hour}, {"a", hour}, {"shop", 99 * hour}}, Effect{InTime: 1}},
		"not in one of two":              {[][]string{{"a", "newsletter"}, {"b", "newsletter"}}, []effect{{"b", hour}, {"shop", hour}}, Effect{Missing: 1}},
		"engaged for any purpose":        {[][]string{{"a"}}, []effect{{"shop", hour}}, Effect{Missing: 1}},
		"engaged for another":            {[][]string{{"a", "account"}}, []effect{{"shop", hour}}, Effect{InTime: 1}},
		"engaged for the one below":      {[][]string{{"a", "newsletter.daily"}}, []effect{{"shop", hour}}, Effect{InTime: 1}},
		"the second word says no better": {nil, []effect{{"shop", 30 * hour}, {"shop", hour}}, Effect{Late: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogbook(t)
			for _, p := range test.engaged {
				l.add(ledger.Entry{Kind: ledger.ProcessorEngaged, Processor: p[0], Covers: append([]string(nil), p[1:]...)})
			}
			id := l.gives(1)[0]
			l.now = day(2)
			l.changes(ledger.Entry{Kind: ledger.ConsentWithdrawn}, id)
			l.now = day(9)
			for _, x := range test.effects {
				l.add(ledger.Entry{Kind: ledger.WithdrawalEffected, System: x.system, About: []ledger.ConsentID{id}, Occurred: day(2).Add(x.after)})
			}
			l.uses("", l.gives(1)...)
			test.want.Ends, test.want.FirstMissing = 1, []ledger.ConsentID{}
			if test.want.Missing > 0 {
				test.want.FirstMissing = append(test.want.FirstMissing, id)
			}
			r := l.report("withdrawals", Period{})
			if got := r.Figures.(*Withdrawals).Effect; !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			if strings.Contains(text(t, r), "From the end to a use") {
				t.Error(text(t, r))
			}
		})
	}
}
