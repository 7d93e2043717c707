package decision

import (
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// at reads a stamp: when something was recorded and, after it, when its source says
// that it was.
func at(recorded string, claimed ...string) Stamp {
	s := Stamp{Recorded: on(recorded)}
	if len(claimed) > 0 {
		s.Claimed = on(claimed[0])
	}
	return s
}

// How long a grant counts, and how long it may rest: at the last moment of a term it
// still holds, a second later it does not.
func TestTerms(t *testing.T) {
	t.Parallel()
	valid := func(days int64) ledger.Purpose { return ledger.Purpose{ValidityDays: days} }
	rests := func(days int64, measure string, warn int64) ledger.Purpose {
		return ledger.Purpose{UnusedDays: days, UnusedMeasure: measure, UnusedWarnDays: warn}
	}
	both := func(days, unused int64, measure string) ledger.Purpose {
		return ledger.Purpose{ValidityDays: days, UnusedDays: unused, UnusedMeasure: measure}
	}
	var never Stamp
	for _, c := range []struct {
		name        string
		purpose     ledger.Purpose
		grant, used Stamp
		until       string // the last moment at which it is allowed; "" for ever
		then        string // the reason after that
		warned      string // the last moment without a warning; "" never
	}{
		{"for ever", valid(0), at(noon), never, "", "", ""},
		{"a day", valid(1), at(noon), never, "2027-03-02T12:00:00Z", "expired", ""},
		{"365 days of which one is 29 February", valid(365), at(noon), never, "2028-02-29T12:00:00Z", "expired", ""},
		{"365 days from 29 February", valid(365), at("2028-02-29T12:00:00Z"), never, "2029-02-28T12:00:00Z", "expired", ""},
		{"366 days from 29 February", valid(366), at("2028-02-29T12:00:00Z"), never, "2029-03-01T12:00:00Z", "expired", ""},
		{"four years from 29 February", valid(4*365 + 1), at("2028-02-29T12:00:00Z"), never, "2032-02-29T12:00:00Z", "expired", ""},
		{"over the change to summer time in Berlin", valid(31), at("2027-03-01T12:00:00+01:00"), never, "2027-04-01T12:00:00+01:00", "expired", ""},
		{"granted in another zone", valid(1), at("2027-03-01T23:30:00-11:00"), never, "2027-03-03T10:30:00Z", "expired", ""},
		{"with fractions of a second", valid(1), at("2027-03-01T12:00:00.75Z"), never, "2027-03-02T12:00:00.75Z", "expired", ""},
		{"a use prolongs no validity", valid(10), at(noon), at("2027-03-09T12:00:00Z"), "2027-03-11T12:00:00Z", "expired", ""},
		{"recorded later than granted", valid(10), at(noon, "2027-02-20T12:00:00Z"), never, "2027-03-02T12:00:00Z", "expired", ""},
		{"its source's clock is ahead", valid(10), at(noon, "2027-03-01T12:04:00Z"), never, "2027-03-11T12:00:00Z", "expired", ""},
		{"imported years later", valid(730), at(noon, "2019-05-01T00:00:00Z"), never, "2021-04-30T00:00:00Z", "expired", ""},

		{"blocked", rests(10, "block", 0), at(noon), never, "2027-03-11T12:00:00Z", "dormant", ""},
		{"blocked, used", rests(10, "block", 0), at(noon), at("2027-03-05T12:00:00Z"), "2027-03-15T12:00:00Z", "dormant", ""},
		{"blocked, the use was recorded late", rests(10, "block", 0), at(noon), at("2027-03-20T12:00:00Z", "2027-03-05T12:00:00Z"), "2027-03-15T12:00:00Z", "dormant", ""},
		{"blocked, the mailer's clock is ahead", rests(10, "block", 0), at(noon), at("2027-03-05T12:00:00Z", "2027-03-05T12:04:59Z"), "2027-03-15T12:00:00Z", "dormant", ""},
		{"blocked, a use of before the grant was recorded", rests(10, "block", 0), at(noon, "2027-01-01T12:00:00Z"), at("2027-03-02T12:00:00Z", "2027-02-01T12:00:00Z"), "2027-03-11T12:00:00Z", "dormant", ""},
		{"imported, uses are not known", rests(10, "block", 0), at(noon, "2019-05-01T00:00:00Z"), never, "2027-03-11T12:00:00Z", "dormant", ""},
		{"unused until it expires", rests(10, "expire", 0), at(noon), never, "2027-03-11T12:00:00Z", "expired", ""},
		{"warned", rests(10, "warn", 0), at(noon), never, "", "", "2027-03-11T12:00:00Z"},
		{"warned, used", rests(10, "warn", 0), at(noon), at("2027-03-05T12:00:00Z"), "", "", "2027-03-15T12:00:00Z"},
		{"warned before it is blocked", rests(10, "block", 7), at(noon), never, "2027-03-11T12:00:00Z", "dormant", "2027-03-08T12:00:00Z"},
		{"warned, and nothing else", rests(0, "", 7), at(noon), never, "", "", "2027-03-08T12:00:00Z"},

		{"valid for less than it may rest", both(10, 20, "block"), at(noon), never, "2027-03-11T12:00:00Z", "expired", ""},
		{"it may rest for less than it is valid", both(20, 10, "block"), at(noon), never, "2027-03-11T12:00:00Z", "dormant", ""},
		{"used until it is not valid any more", both(20, 10, "block"), at(noon), at("2027-03-20T12:00:00Z"), "2027-03-21T12:00:00Z", "expired", ""},
		{"both end at once", both(10, 10, "block"), at(noon), never, "2027-03-11T12:00:00Z", "expired", ""},
	} {
		r := held(3, "email", ledger.Given)
		r.grant, r.used = c.grant, c.used
		d := about("email", r)
		c.purpose.ID, c.purpose.Bases = shoes, everyBasis
		d.purpose = c.purpose
		says := func(at time.Time, want string) {
			t.Helper()
			d.at = at
			d.want(t, c.name+" at "+at.Format(time.RFC3339), want)
		}
		yes, far := "yes given 3", on("2100-01-01T00:00:00Z")
		if c.until != "" {
			yes += " until " + on(c.until).UTC().Format(time.RFC3339)
			says(on(c.until).Add(time.Nanosecond), "no "+c.then+" 3")
			far = on(c.until)
		}
		warned := "yes given 3 dormant" + yes[len("yes given 3"):]
		if c.warned != "" {
			says(on(c.warned), yes)
			says(on(c.warned).Add(time.Second), warned)
			yes = warned
		}
		says(far, yes)
	}
}

// Of several consents the one that lasts longest is told, and one that is used
// before one that is not.
func TestWhichConsentLasts(t *testing.T) {
	t.Parallel()
	p := ledger.Purpose{ID: shoes, Bases: everyBasis, ValidityDays: 100, UnusedDays: 20, UnusedMeasure: "warn"}
	granted := func(id ledger.ConsentID, at string) record {
		r := held(id, "email", ledger.Given)
		r.grant = Stamp{Recorded: on(at)}
		return r
	}
	for _, c := range []struct {
		name    string
		records []record
		at      string
		want    string
	}{
		{"the later grant", []record{granted(3, "2027-03-03T12:00:00Z"), granted(4, noon)}, "2027-03-04T12:00:00Z", "yes given 3 until 2027-06-11T12:00:00Z"},
		{"of equal ones the newest", []record{granted(3, noon), granted(4, noon)}, "2027-03-04T12:00:00Z", "yes given 4 until 2027-06-09T12:00:00Z"},
		{"one of them is over", []record{granted(3, "2027-03-03T12:00:00Z"), granted(4, noon)}, "2027-06-10T12:00:00Z", "yes given 3 dormant until 2027-06-11T12:00:00Z"},
		{"both are over", []record{granted(3, "2027-03-03T12:00:00Z"), granted(4, noon)}, "2027-06-12T12:00:00Z", "no expired 4"},
		{"the one that is used", []record{func() record {
			r := granted(3, noon)
			r.used = at("2027-04-20T12:00:00Z")
			return r
		}(), granted(4, "2027-03-03T12:00:00Z")}, "2027-04-21T12:00:00Z", "yes given 3 until 2027-06-09T12:00:00Z"},
		{"a basis that never ends comes after", []record{granted(3, noon), resting(4, "email", ledger.Contract)}, "2027-03-04T12:00:00Z", "yes given 3 until 2027-06-09T12:00:00Z"},
		{"and then alone", []record{granted(3, noon), resting(4, "email", ledger.Contract)}, "2027-06-10T12:00:00Z", "yes contract 4"},
	} {
		d := facts{purpose: p, stops: []string{shoes}, channel: "email", at: on(c.at), records: c.records}
		d.want(t, c.name, c.want)
	}
}

// TestLongTerms: the log's rules allow a term of 18 digits, which must not turn into
// one that is over.
func TestLongTerms(t *testing.T) {
	p := ledger.Purpose{ValidityDays: 999_999_999_999_999_999, UnusedDays: 106_752, UnusedMeasure: MeasureBlock}
	granted := Stamp{Recorded: on(noon)}
	for what, until := range map[string]time.Time{"validity": ValidUntil(p, granted), "rest": RestsUntil(p, granted, granted)} {
		if want := on(noon).AddDate(0, 0, 106_751); !until.Equal(want) {
			t.Errorf("%s until %v, want %v", what, until, want)
		}
	}
}
