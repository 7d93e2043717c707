package decision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Facts in the tests of this file are about the purpose `shoes`, below `news`, on
// one channel, at noon. Where nothing else is said it is marketing without double
// opt-in and rests on whatever there is.
const (
	shoes = "shoes"
	news  = "news"
)

var everyBasis = []ledger.Basis{ledger.ByConsent, ledger.Contract, ledger.LegalObligation, ledger.LegitimateInterest, ledger.ExistingCustomer}

const noon = "2027-03-01T12:00:00Z"

func on(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at
}

func about(channel string, records ...record) facts {
	return facts{purpose: ledger.Purpose{ID: shoes, Parent: news, Marketing: true, Bases: everyBasis}, channel: channel, at: on(noon),
		stops: []string{ledger.AllMarketing, shoes, news}, records: records}
}

// held is a record of the purpose in a state, with the evidence of how it came
// about. Its number is also the entry that changed it last.
func held(id ledger.ConsentID, channel string, state ledger.State) record {
	r := record{Consent: ledger.Consent{ID: id, Last: ledger.Index(id), State: state, Purpose: shoes, Channel: channel}}
	switch state {
	case ledger.Confirmed:
		r.Basis, r.Evidence = ledger.ByConsent, ledger.EvConfirmed
	case ledger.Given, ledger.Renewed:
		r.Basis, r.Evidence = ledger.ByConsent, ledger.EvGiven
	case ledger.Imported:
		r.Basis, r.Evidence = ledger.ByConsent, ledger.EvImported|ledger.EvImportD
	case ledger.Requested, ledger.Refused, ledger.Lapsed, ledger.Expired, ledger.Withdrawn, ledger.Revoked, ledger.Invalidated:
		r.Basis = ledger.ByConsent
	}
	return r
}

func resting(id ledger.ConsentID, channel string, basis ledger.Basis) record {
	r := held(id, channel, ledger.Asserted)
	r.Basis = basis
	return r
}

func objected(id ledger.ConsentID, purpose, channel string) record {
	r := held(id, channel, ledger.Objected)
	r.Purpose = purpose
	return r
}

// tells is a verdict in short: yes or no, why, by which record, and what else.
func (v Verdict) tells() string {
	parts := []string{"no", v.Reason}
	if v.Allowed {
		parts[0] = "yes"
	}
	if v.Record.ID != 0 {
		parts = append(parts, fmt.Sprint(v.Record.ID))
	}
	if v.Dormant {
		parts = append(parts, "dormant")
	}
	if !v.Expires.IsZero() {
		parts = append(parts, "until "+v.Expires.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, " ")
}

func (d facts) want(t *testing.T, name, want string) {
	t.Helper()
	if got := judge(d).tells(); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

// Every basis against everything that can stop it. A column says what else is on
// record; + stands for allowed, o for objected, r for restricted, s for suppressed.
// The record asked about is number 10.
func TestEachBasisAgainstEachStop(t *testing.T) {
	t.Parallel()
	columns := []func(*facts){
		func(*facts) {}, // nothing
		func(d *facts) { d.records = append(d.records, objected(5, shoes, "post")) },
		func(d *facts) { d.records = append(d.records, objected(15, shoes, "post")) },
		func(d *facts) { d.records = append(d.records, objected(15, shoes, ledger.AnyChannel)) },
		func(d *facts) { d.records = append(d.records, objected(15, shoes, "phone")) },
		func(d *facts) { d.records = append(d.records, objected(15, news, "post")) },
		func(d *facts) { d.records = append(d.records, objected(15, "shoes.sale", "post")) }, // below it
		func(d *facts) { d.records = append(d.records, objected(5, ledger.AllMarketing, ledger.AnyChannel)) },
		func(d *facts) { d.records = append(d.records, objected(15, ledger.AllMarketing, ledger.AnyChannel)) },
		func(d *facts) { d.records[0].restricts = thisRecord },
		func(d *facts) { d.records[0].restricts = wholePerson },
		func(d *facts) { d.records = append(d.records, other15(thisRecord)) },
		func(d *facts) { d.records = append(d.records, other15(wholePerson)) },
		func(d *facts) { d.suppressed = d.purpose.Marketing },
	}
	signs := map[string]string{"objected": "o", "restricted": "r", "suppressed": "s"}
	for _, row := range []struct {
		marketing bool
		r         record
		want      string
		// objected against: before, after, after on any channel, after on another,
		// after for the parent, after for a child, before and after for all marketing
		// | restricted on (d) and (a), another record on (d) and (a) | suppressed
	}{
		{true, held(10, "post", ledger.Confirmed), "+ +oo+ o+ +o rr +r s"},
		{true, held(10, "post", ledger.Given), "+ +oo+ o+ +o rr +r s"},
		{true, held(10, "post", ledger.Renewed), "+ +oo+ o+ +o rr +r s"},
		{true, held(10, "post", ledger.Imported), "+ ooo+ o+ oo rr +r s"},
		{true, resting(10, "post", ledger.ExistingCustomer), "+ ooo+ o+ oo rr +r s"},
		{true, resting(10, "post", ledger.LegitimateInterest), "+ ooo+ o+ oo rr +r s"},
		{true, resting(10, "post", ledger.Contract), "+ ooo+ o+ oo rr +r s"},
		{true, resting(10, "post", ledger.LegalObligation), "+ ooo+ o+ oo rr +r s"},
		{false, held(10, "post", ledger.Confirmed), "+ +oo+ o+ ++ rr +r +"},
		{false, held(10, "post", ledger.Given), "+ +oo+ o+ ++ rr +r +"},
		{false, held(10, "post", ledger.Imported), "+ ooo+ o+ ++ rr +r +"},
		{false, resting(10, "post", ledger.LegitimateInterest), "+ ooo+ o+ ++ rr +r +"},
		{false, resting(10, "post", ledger.Contract), "+ ++++ ++ ++ rr +r +"},
		{false, resting(10, "post", ledger.LegalObligation), "+ ++++ ++ ++ rr +r +"},
	} {
		got := ""
		for i, column := range columns {
			d := about("post", row.r)
			d.records = slices.Clone(d.records)
			if d.purpose.Marketing = row.marketing; !row.marketing {
				d.stops = d.stops[1:]
			}
			column(&d)
			v := judge(d)
			sign := signs[v.Reason]
			if v.Allowed {
				sign = "+"
			}
			if slices.Contains([]int{1, 5, 7, 9, 11, 13}, i) {
				got += " "
			}
			got += sign
		}
		if got != row.want {
			t.Errorf("marketing %v, %s %s: %q, want %q", row.marketing, row.r.State, row.r.Basis, got, row.want)
		}
	}
}

// other15 is a record that has nothing to do with the question, but is restricted.
func other15(how restricts) record {
	r := held(15, "email", ledger.Withdrawn)
	r.Purpose, r.restricts = "another", how
	return r
}

// Which basis carries the purpose on which channel: email, phone, sms, messenger,
// fax, post, push, app, web (§ 7(2), (3) UWG).
func TestEachBasisOnEachChannel(t *testing.T) {
	t.Parallel()
	channels := []string{"email", "phone", "sms", "messenger", "fax", "post", "push", "app", "web"}
	for _, row := range []struct {
		marketing bool
		basis     ledger.Basis
		want      string
	}{
		{true, ledger.ByConsent, "+++++++++"},
		{true, ledger.Contract, "+++++++++"},
		{true, ledger.LegalObligation, "+++++++++"},
		{true, ledger.LegitimateInterest, "-----++++"},
		{true, ledger.ExistingCustomer, "+-++-++++"},
		{false, ledger.ByConsent, "+++++++++"},
		{false, ledger.LegitimateInterest, "+++++++++"},
	} {
		got := ""
		for _, channel := range channels {
			r := resting(10, channel, row.basis)
			want := "yes " + row.basis.String() + " 10"
			if row.basis == ledger.ByConsent {
				r, want = held(10, channel, ledger.Given), "yes given 10"
			}
			d := about(channel, r)
			d.purpose.Marketing = row.marketing
			switch judge(d).tells() {
			case want:
				got += "+"
			case "no no_consent":
				got += "-"
			default:
				got += "?"
			}
			// What the purpose does not name any more carries nothing.
			d.purpose.Bases = slices.DeleteFunc(slices.Clone(everyBasis), func(b ledger.Basis) bool { return b == row.basis })
			d.want(t, row.basis.String()+" that the purpose does not name", "no no_consent")
		}
		if got != row.want {
			t.Errorf("marketing %v, %s: %q, want %q", row.marketing, row.basis, got, row.want)
		}
	}
}

// Each reason of the vocabulary that a record gives, and which of several decides.
func TestWhichRecordDecides(t *testing.T) {
	t.Parallel()
	late := func(r record, last ledger.Index) record { r.Last = last; return r }
	waits := func(r record) record { r.restricts = thisRecord; return r }
	of := func(purpose string, r record) record { r.Purpose = purpose; return r }
	for _, c := range []struct {
		name    string
		records []record
		want    string
	}{
		{"a stranger", nil, "no unknown_subject"},
		{"nothing about the purpose", []record{of("another", held(3, "email", ledger.Confirmed))}, "no no_consent"},
		{"nothing on the channel", []record{held(3, "phone", ledger.Confirmed)}, "no no_consent"},
		{"a grant of the parent grants nothing", []record{of(news, held(3, "email", ledger.Confirmed))}, "no no_consent"},
		{"what the parent says otherwise says nothing", []record{of(news, held(3, "email", ledger.Withdrawn))}, "no no_consent"},
		{"requested", []record{held(3, "email", ledger.Requested)}, "no pending 3"},
		{"lapsed", []record{held(3, "email", ledger.Lapsed)}, "no lapsed 3"},
		{"refused", []record{held(3, "email", ledger.Refused)}, "no refused 3"},
		{"expired", []record{held(3, "email", ledger.Expired)}, "no expired 3"},
		{"withdrawn", []record{held(3, "email", ledger.Withdrawn)}, "no withdrawn 3"},
		{"revoked", []record{held(3, "email", ledger.Revoked)}, "no revoked 3"},
		{"invalidated", []record{held(3, "email", ledger.Invalidated)}, "no invalidated 3"},
		{"objected", []record{objected(3, shoes, "email")}, "no objected 3"},
		{"objected to all marketing", []record{objected(3, ledger.AllMarketing, ledger.AnyChannel)}, "no objected 3"},
		{"objected to the parent", []record{objected(3, news, ledger.AnyChannel)}, "no objected 3"},
		{"objected to the child", []record{objected(3, "shoes.sale", "email")}, "no no_consent"},
		{"confirmed", []record{held(3, "email", ledger.Confirmed)}, "yes confirmed 3"},
		{"given", []record{held(3, "email", ledger.Given)}, "yes given 3"},
		{"renewed", []record{held(3, "email", ledger.Renewed)}, "yes renewed 3"},
		{"imported", []record{held(3, "email", ledger.Imported)}, "yes imported 3"},
		{"a customer", []record{resting(3, "email", ledger.ExistingCustomer)}, "yes existing_customer 3"},

		{"three consents, one withdrawn", []record{held(3, "email", ledger.Confirmed), held(4, "email", ledger.Confirmed), held(5, "email", ledger.Withdrawn)}, "yes confirmed 4"},
		{"three consents, two withdrawn", []record{late(held(3, "email", ledger.Withdrawn), 9), held(4, "email", ledger.Confirmed), late(held(5, "email", ledger.Withdrawn), 8)}, "yes confirmed 4"},
		{"a new request changes no answer", []record{held(3, "email", ledger.Confirmed), held(4, "email", ledger.Requested)}, "yes confirmed 3"},
		{"nor does a refusal", []record{held(3, "email", ledger.Confirmed), held(4, "email", ledger.Refused)}, "yes confirmed 3"},
		{"asked again after a withdrawal", []record{held(3, "email", ledger.Withdrawn), held(4, "email", ledger.Requested)}, "no pending 4"},
		{"withdrawn after it was asked again", []record{late(held(3, "email", ledger.Withdrawn), 9), held(4, "email", ledger.Lapsed)}, "no withdrawn 3"},
		{"consent goes before a basis", []record{held(3, "email", ledger.Given), resting(4, "email", ledger.ExistingCustomer)}, "yes given 3"},
		{"a basis after a withdrawal", []record{held(3, "email", ledger.Withdrawn), resting(4, "email", ledger.ExistingCustomer)}, "yes existing_customer 4"},
		{"an objection, then consent", []record{objected(3, shoes, "email"), held(4, "email", ledger.Confirmed)}, "yes confirmed 4"},
		{"consent, then an objection", []record{held(3, "email", ledger.Confirmed), objected(4, shoes, "email")}, "no objected 4"},
		{"the newest objection decides", []record{objected(3, news, ledger.AnyChannel), held(4, "email", ledger.Confirmed), objected(5, shoes, "email")}, "no objected 5"},
		{"in whatever order they are read", []record{objected(5, shoes, "email"), held(4, "email", ledger.Confirmed), objected(3, shoes, "email")}, "no objected 5"},
		{"a restriction came and went after an objection", []record{late(objected(3, shoes, "email"), 9), held(4, "email", ledger.Confirmed)}, "yes confirmed 4"},
		{"changed after the objection", []record{late(held(3, "email", ledger.Confirmed), 9), objected(4, shoes, "email")}, "no objected 4"},
		{"asked again after an objection", []record{objected(3, shoes, "email"), held(4, "email", ledger.Requested)}, "no pending 4"},
		{"entered after an objection", []record{objected(3, shoes, "email"), held(4, "email", ledger.Imported)}, "no objected 3"},

		{"one waits for its answer", []record{waits(held(3, "email", ledger.Confirmed))}, "no restricted 3"},
		{"one waits, another does not", []record{waits(resting(3, "email", ledger.ExistingCustomer)), held(4, "email", ledger.Confirmed)}, "yes confirmed 4"},
		{"one waits, and was withdrawn", []record{waits(held(3, "email", ledger.Withdrawn))}, "no withdrawn 3"},
		{"another purpose waits", []record{waits(of("another", held(3, "email", ledger.Confirmed))), held(4, "email", ledger.Confirmed)}, "yes confirmed 4"},
		{"what almost allows says why", []record{waits(held(3, "email", ledger.Confirmed)), late(held(4, "email", ledger.Withdrawn), 9)}, "no restricted 3"},
	} {
		about("email", c.records...).want(t, c.name, c.want)
	}
}

// What a purpose demands of consents, and never of what was asserted.
func TestDemands(t *testing.T) {
	t.Parallel()
	graded := func(state ledger.State, e ledger.Evidence) record {
		r := held(3, "email", state)
		r.Evidence = e
		return r
	}
	doi := func(channels ...string) func(*ledger.Purpose) {
		return func(p *ledger.Purpose) { p.DoubleOptIn, p.DOIChannels = true, channels }
	}
	grade := func(g ledger.Grade) func(*ledger.Purpose) { return func(p *ledger.Purpose) { p.MinimumGrade = g } }
	age := func(p *ledger.Purpose) { p.MinimumAge = 16 }
	all := func(p *ledger.Purpose) { doi()(p); grade('A')(p); age(p); p.ValidityDays = 1 }
	const confirmed, given, imported = ledger.EvConfirmed, ledger.EvGiven, ledger.EvImported
	const full = confirmed | ledger.EvButton | ledger.EvForm | ledger.EvSent | ledger.EvMail | ledger.EvTrace | ledger.EvClickTrace
	for _, c := range []struct {
		name    string
		purpose func(*ledger.Purpose)
		r       record
		want    string
	}{
		{"a click", doi(), graded(ledger.Confirmed, confirmed), "yes confirmed 3"},
		{"given where a click is needed", doi(), graded(ledger.Given, given), "no double_opt_in_missing 3"},
		{"given where none is needed", doi("phone"), graded(ledger.Given, given), "yes given 3"},
		{"given and renewed", doi(), graded(ledger.Renewed, given), "no double_opt_in_missing 3"},
		{"a click, renewed on paper", doi(), graded(ledger.Renewed, confirmed|given), "yes renewed 3"},
		{"imported as confirmed", doi(), graded(ledger.Imported, imported|ledger.EvImportD), "yes imported 3"},
		{"imported with its click", doi(), graded(ledger.Imported, imported|ledger.EvImportC), "yes imported 3"},
		{"imported as a claim", doi(), graded(ledger.Imported, imported), "no double_opt_in_missing 3"},
		{"imported as a claim where none is needed", doi("phone"), graded(ledger.Imported, imported), "yes imported 3"},
		{"imported and renewed", doi(), graded(ledger.Renewed, imported|ledger.EvImportD|given), "yes renewed 3"},
		{"imported as a claim and renewed", doi(), graded(ledger.Renewed, imported|given), "no double_opt_in_missing 3"},
		{"a basis", doi(), resting(3, "email", ledger.ExistingCustomer), "yes existing_customer 3"},

		{"A of A", grade('A'), graded(ledger.Confirmed, full), "yes confirmed 3"},
		{"B of A", grade('A'), graded(ledger.Confirmed, full&^ledger.EvMail), "no grade_too_low 3"},
		{"B of B", grade('B'), graded(ledger.Confirmed, full&^ledger.EvMail), "yes confirmed 3"},
		{"a scanner, no button", grade('C'), graded(ledger.Confirmed, full&^ledger.EvButton|ledger.EvScanner), "no grade_too_low 3"},
		{"the same where D is enough", grade('D'), graded(ledger.Confirmed, full&^ledger.EvButton|ledger.EvScanner), "yes confirmed 3"},
		{"given, a claim only", grade('D'), graded(ledger.Given, given), "no grade_too_low 3"},
		{"given, a claim is enough", grade('E'), graded(ledger.Given, given), "yes given 3"},
		{"imported as D", grade('C'), graded(ledger.Imported, imported|ledger.EvImportD), "no grade_too_low 3"},
		{"a basis has no grade", grade('A'), resting(3, "email", ledger.ExistingCustomer), "yes existing_customer 3"},

		{"a child", age, graded(ledger.Confirmed, confirmed|ledger.EvChild), "no guardian_missing 3"},
		{"a child with a guardian", age, graded(ledger.Confirmed, confirmed|ledger.EvChild|ledger.EvGuardian), "yes confirmed 3"},
		{"nobody asked for the age", age, graded(ledger.Confirmed, confirmed), "yes confirmed 3"},
		{"a child where age does not matter", func(*ledger.Purpose) {}, graded(ledger.Confirmed, confirmed|ledger.EvChild), "yes confirmed 3"},

		{"of several the first: double opt-in", all, graded(ledger.Given, given|ledger.EvChild), "no double_opt_in_missing 3"},
		{"then the grade", all, graded(ledger.Confirmed, confirmed|ledger.EvChild), "no grade_too_low 3"},
		{"then validity", all, graded(ledger.Confirmed, full|ledger.EvChild), "no expired 3"},
		{"a guardian heals nothing else", all, graded(ledger.Given, given|ledger.EvChild|ledger.EvGuardian), "no double_opt_in_missing 3"},
	} {
		d := about("email", c.r)
		c.purpose(&d.purpose)
		d.want(t, c.name, c.want)
	}
	d := about("email", graded(ledger.Given, given), func() record { r := graded(ledger.Confirmed, confirmed); r.ID = 4; return r }())
	d.purpose.MinimumGrade = 'B'
	doi()(&d.purpose)
	d.want(t, "the newest that failed says why", "no grade_too_low 4")
}
