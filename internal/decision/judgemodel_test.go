package decision

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/ledger"
)

// naiveSays is the decision written down another way: whatever forbids a record is
// struck off, and of what is left the best is taken.
func naiveSays(d facts) string {
	if d.suppressed {
		return "no suppressed"
	}
	if len(d.records) == 0 {
		return "no unknown_subject"
	}
	for _, r := range d.records {
		if r.restricts == wholePerson {
			return judge(d).tells()[:len("no restricted")] // whichever of several
		}
	}
	here := func(r record) bool { return r.Channel == d.channel || r.Channel == "any" }
	var no ledger.ConsentID
	for _, r := range d.records {
		if r.State == ledger.Objected && here(r) && slices.Contains(d.stops, r.Purpose) {
			no = max(no, r.ID)
		}
	}
	const day = 24 * time.Hour
	over := func(from time.Time, n int64) bool { return n > 0 && d.at.Sub(from) > time.Duration(n)*day }
	first := func(s Stamp) time.Time {
		if !s.Claimed.IsZero() && s.Claimed.Before(s.Recorded) {
			return s.Claimed
		}
		return s.Recorded
	}
	why := map[ledger.ConsentID]string{}
	var good, bad, rest []record
	for _, r := range d.records {
		if !here(r) || r.Purpose != d.purpose.ID {
			if r.ID == no {
				rest = append(rest, r)
			}
			continue
		}
		p, asserted := d.purpose, r.State == ledger.Asserted
		if r.State < ledger.Confirmed || r.State > ledger.Asserted {
			rest = append(rest, r)
			continue
		}
		if !slices.Contains(p.Bases, r.Basis) ||
			r.Basis == ledger.LegitimateInterest && p.Marketing && slices.Contains([]string{"email", "phone", "sms", "messenger", "fax"}, d.channel) ||
			r.Basis == ledger.ExistingCustomer && slices.Contains([]string{"phone", "fax"}, d.channel) {
			continue
		}
		safe := !p.Marketing && (r.Basis == ledger.Contract || r.Basis == ledger.LegalObligation)
		if !safe && no > 0 && (no > r.ID || asserted || r.State == ledger.Imported) {
			rest = append(rest, r)
			continue
		}
		active := r.grant.Recorded
		if u := first(r.used); u.After(active) {
			active = u
		}
		idle := over(active, p.UnusedDays)
		switch {
		case r.restricts == thisRecord:
			why[r.ID] = "restricted"
		case asserted:
		case p.DoubleOptIn && r.Evidence&ledger.EvConfirmed == 0 && r.Evidence&(ledger.EvImportC|ledger.EvImportD) == 0:
			why[r.ID] = "double_opt_in_missing"
		case p.MinimumGrade != 0 && (r.Grade() == 0 || r.Grade() > p.MinimumGrade):
			why[r.ID] = "grade_too_low"
		case over(first(r.grant), p.ValidityDays), idle && p.UnusedMeasure == "expire":
			why[r.ID] = "expired"
		case idle && p.UnusedMeasure == "block":
			why[r.ID] = "dormant"
		case p.MinimumAge > 0 && r.Evidence&(ledger.EvChild|ledger.EvGuardian) == ledger.EvChild:
			why[r.ID] = "guardian_missing"
		}
		if why[r.ID] == "" {
			good = append(good, r)
		} else {
			bad = append(bad, r)
		}
	}
	newest := func(list []record, by func(record) int64) record {
		return slices.MaxFunc(list, func(a, b record) int { return int(by(a) - by(b)) })
	}
	id := func(r record) int64 { return int64(r.ID) }
	switch {
	case len(good) > 0:
		return "yes"
	case len(bad) > 0:
		return "no " + why[newest(bad, id).ID]
	case len(rest) == 0:
		return "no no_consent"
	}
	r := newest(rest, func(r record) int64 { return int64(r.Last) })
	switch {
	case r.State == ledger.Requested:
		return "no pending"
	case r.State >= ledger.Confirmed && r.State <= ledger.Asserted:
		return "no objected"
	}
	return "no " + r.State.String()
}

// TestJudgeAgainstModel compares the decision with the naive one over random
// records, and checks what must hold of any: more stops never allow more, and an
// answer that ends is right until then and not after.
func TestJudgeAgainstModel(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	drawn := 0
	compare := func(t *rapid.T) {
		drawn++
		d := drawFacts(t)
		v := judge(d)
		got := "no " + v.Reason
		if v.Allowed {
			got = "yes"
		}
		if want := naiveSays(d); got != want {
			t.Fatalf("%s, want %s", v.tells(), want)
		}
		seen[got+" "+v.Reason]++
		if !v.Allowed {
			return
		}
		more := d
		more.records = append(slices.Clone(d.records), objected(ledger.ConsentID(len(d.records)+1), d.purpose.ID, "any"))
		if after := judge(more); after.Allowed && v.Record.Basis != ledger.Contract && v.Record.Basis != ledger.LegalObligation {
			if after.Record.Basis != ledger.Contract && after.Record.Basis != ledger.LegalObligation {
				t.Fatalf("%s, and after an objection %s", v.tells(), after.tells())
			}
		}
		if v.Expires.IsZero() {
			return
		}
		d.at = v.Expires
		if !judge(d).Allowed {
			t.Fatalf("%s: not at its last moment", v.tells())
		}
		d.at = v.Expires.Add(1)
		if after := judge(d); after.Allowed && after.Record.ID == v.Record.ID {
			t.Fatalf("%s: also after its last moment", v.tells())
		}
	}
	missing := func() (list []string) {
		for _, reason := range []string{"restricted", "suppressed", "pending", "objected", "double_opt_in_missing", "grade_too_low", "expired",
			"dormant", "guardian_missing", "withdrawn", "no_consent"} {
			if seen["no "+reason+" "+reason] == 0 {
				list = append(list, reason)
			}
		}
		return list
	}
	// How often a check draws, others say; some reasons are rare.
	for (drawn < 5000 || len(missing()) > 0 && drawn < 200_000) && !t.Failed() {
		rapid.Check(t, compare)
	}
	if list := missing(); len(list) > 0 {
		t.Errorf("of %d dossiers none led to %v: %v", drawn, list, seen)
	}
}

var allowing = []ledger.State{ledger.Confirmed, ledger.Given, ledger.Renewed, ledger.Imported, ledger.Asserted}

func drawFacts(t *rapid.T) facts {
	days := func(name string) int64 { return rapid.SampledFrom([]int64{0, 0, 5, 10}).Draw(t, name) }
	p := ledger.Purpose{ID: shoes, Marketing: rapid.Bool().Draw(t, "marketing"), DoubleOptIn: rapid.Bool().Draw(t, "double opt-in"),
		Bases: rapid.SampledFrom([][]ledger.Basis{everyBasis, everyBasis, {ledger.ByConsent}, everyBasis[1:]}).Draw(t, "bases"), ValidityDays: days("validity"),
		MinimumGrade: rapid.SampledFrom([]ledger.Grade{0, 0, 'B', 'D'}).Draw(t, "grade"), MinimumAge: rapid.SampledFrom([]int64{0, 16}).Draw(t, "age")}
	if p.UnusedDays = days("unused"); p.UnusedDays > 0 {
		p.UnusedMeasure = rapid.SampledFrom([]string{"warn", "block", "expire"}).Draw(t, "measure")
	}
	d := facts{purpose: p, stops: []string{shoes, news}, channel: rapid.SampledFrom([]string{"email", "phone", "post"}).Draw(t, "channel"), at: on(noon),
		suppressed: p.Marketing && rapid.IntRange(0, 19).Draw(t, "suppressed") == 0}
	if p.Marketing {
		d.stops = append(d.stops, ledger.AllMarketing)
	}
	when := func(name string) Stamp {
		moment := func(name string) time.Time {
			return on(noon).Add(-time.Duration(rapid.IntRange(0, 15*24).Draw(t, name)) * time.Hour)
		}
		s := Stamp{Recorded: moment(name)}
		if rapid.Bool().Draw(t, name+" is claimed") {
			s.Claimed = moment(name + " as claimed")
		}
		return s
	}
	lasts := rapid.Permutation([]ledger.Index{11, 12, 13, 14, 15, 16}).Draw(t, "order of changes")
	for i := range rapid.IntRange(0, 6).Draw(t, "records") {
		id := ledger.ConsentID(i + 1)
		r := held(id, rapid.SampledFrom([]string{d.channel, d.channel, "email"}).Draw(t, "on"),
			rapid.SampledFrom(append(ledger.States(), allowing...)).Draw(t, "state"))
		switch r.State {
		case ledger.Asserted:
			r = resting(id, r.Channel, rapid.SampledFrom(everyBasis[1:]).Draw(t, "basis"))
		case ledger.Objected:
			r = objected(id, rapid.SampledFrom([]string{shoes, news, ledger.AllMarketing, "another"}).Draw(t, "objected to"),
				rapid.SampledFrom([]string{r.Channel, ledger.AnyChannel}).Draw(t, "objected on"))
		default:
			for _, bit := range []ledger.Evidence{ledger.EvChild, ledger.EvGuardian, ledger.EvGivenDocument, ledger.EvConfirmed} {
				if rapid.Bool().Draw(t, "evidence") {
					r.Evidence |= bit
				}
			}
		}
		r.Last = lasts[i]
		r.restricts = rapid.SampledFrom(append(make([]restricts, 17), thisRecord, thisRecord, wholePerson)).Draw(t, "restricts")
		r.grant, r.used = when("granted"), when("used")
		d.records = append(d.records, r)
	}
	d.records = rapid.Permutation(d.records).Draw(t, "order")
	return d
}
