package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
)

// The moment until which evidence is kept, case by case.
func TestLockedUntil(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const calls, survey, quick = "calls", "survey", "quick"
	f.define(PurposeDefinition{ID: calls, Marketing: true, DoubleOptIn: true})
	f.define(PurposeDefinition{ID: survey, Marketing: true, DoubleOptIn: true, EvidenceDays: 100})
	f.define(PurposeDefinition{ID: quick, DoubleOptIn: true, EvidenceDays: 3000})
	wording := f.covering(calls, survey, quick, account, newsletter)
	type step struct {
		at string
		do func(who string)
	}
	grant := func(at, channel string, purposes ...string) step {
		return step{at, func(who string) {
			req := asking(who, purposes...)
			req.Channel, req.Notice = channel, wording
			f.confirm(f.ask(req).Token)
		}}
	}
	request := func(at, channel string, purposes ...string) step {
		return step{at, func(who string) {
			req := asking(who, purposes...)
			req.Channel, req.Notice = channel, wording
			f.ask(req)
		}}
	}
	use := func(at string) step {
		return step{at, func(who string) {
			list, err := f.s.ListConsents(ctx, email(who))
			if err != nil {
				t.Fatal(err)
			}
			f.use(Uses{ConsentIDs: ids(list)})
		}}
	}
	withdraw := func(at string) step {
		return step{at, func(who string) { f.withdraw(Withdrawal{Subject: email(who)}) }}
	}
	const locked = "2028-06-15T12:00:00Z"
	cases := []struct {
		name      string
		steps     []step
		notBefore string
		want      string
	}{
		{"a confirmation", []step{grant(noon, "email", newsletter)}, "", "2031-01-01T00:00:00Z"},
		{"used in the next year", []step{grant(noon, "email", newsletter), use("2028-01-10T12:00:00Z")}, "", "2032-01-01T00:00:00Z"},
		{"withdrawn in the last second of a year", []step{grant(noon, "email", newsletter), withdraw("2027-12-31T23:59:59Z")}, "", "2031-01-01T00:00:00Z"},
		{"withdrawn in the first second of a year", []step{grant(noon, "email", newsletter), withdraw("2028-01-01T00:00:00Z")}, "", "2032-01-01T00:00:00Z"},
		{"never confirmed", []step{request(noon, "email", newsletter)}, "", "2031-01-01T00:00:00Z"},
		{"an objection to all marketing", []step{withdraw(noon)}, "", "2031-01-01T00:00:00Z"},
		{"not marketing", []step{grant(noon, "email", account)}, "", "2031-01-01T00:00:00Z"},
		{"calls", []step{grant(noon, "phone", calls)}, "", "2032-03-02T00:00:00Z"},
		{"calls, used", []step{grant(noon, "phone", calls), use("2027-10-10T10:00:00Z"), use("2028-05-03T04:05:06Z")}, "", "2033-05-04T00:00:00Z"},
		{"calls, used on a leap day", []step{grant(noon, "phone", calls), use("2028-02-29T12:00:00Z")}, "", "2033-03-01T00:00:00Z"},
		{"calls, granted on a leap day", []step{grant("2028-02-29T13:00:00Z", "phone", calls)}, "", "2033-03-01T00:00:00Z"},
		{"calls, used after the withdrawal", []step{grant(noon, "phone", calls), withdraw("2027-06-01T12:00:00Z"), use("2028-01-01T12:00:00Z")}, "", "2033-01-02T00:00:00Z"},
		{"calls, never confirmed", []step{request(noon, "phone", calls)}, "", "2031-01-01T00:00:00Z"},
		{"calls that are not marketing", []step{grant(noon, "phone", account)}, "", "2031-01-01T00:00:00Z"},
		{"texts are no calls", []step{grant(noon, "sms", calls)}, "", "2031-01-01T00:00:00Z"},
		{"a period of the purpose", []step{grant(noon, "email", survey)}, "", "2027-06-09T12:00:00Z"},
		{"a period of the purpose from the use", []step{grant(noon, "email", survey), use("2028-05-01T12:00:00Z")}, "", "2028-08-09T12:00:00Z"},
		{"a period of the purpose from the withdrawal", []step{grant(noon, "email", survey), withdraw("2028-05-02T12:00:00Z")}, "", "2028-08-10T12:00:00Z"},
		{"calls with a shorter period", []step{grant(noon, "phone", survey)}, "", "2032-03-02T00:00:00Z"},
		{"a longer period", []step{grant(noon, "phone", quick)}, "", "2035-05-18T12:00:00Z"},
		{"the latest of several", []step{grant(noon, "email", survey, newsletter), grant("2027-04-01T12:00:00Z", "phone", calls)}, "", "2032-04-02T00:00:00Z"},
		{"the latest of several, the other way round", []step{grant(noon, "phone", calls), use("2027-05-01T12:00:00Z"), grant("2028-05-01T12:00:00Z", "email", quick)}, "", "2036-07-18T12:00:00Z"},
		{"the latest of several, which came first", []step{grant(noon, "phone", calls), grant("2028-05-01T12:00:00Z", "email", survey)}, "", "2032-03-02T00:00:00Z"},
		{"not before a later moment", []step{grant(noon, "email", newsletter)}, "2040-12-24T18:00:00.1Z", "2040-12-24T18:00:01Z"},
		{"not before an earlier moment", []step{grant(noon, "email", newsletter)}, "2030-12-31T00:00:00Z", "2031-01-01T00:00:00Z"},
	}
	who := func(i int) string { return fmt.Sprintf("case%d@example.com", i) }
	type event struct {
		step
		who string
	}
	var story []event
	for i, c := range cases {
		for _, s := range c.steps {
			story = append(story, event{s, who(i)})
		}
	}
	slices.SortStableFunc(story, func(a, b event) int { return on(a.at).Compare(on(b.at)) })
	for _, e := range story {
		cal.set(on(e.at))
		e.do(e.who)
	}
	cal.set(on(locked))
	for i, c := range cases {
		e := Erasure{Subject: email(who(i)), Reason: "other", Mode: "lock_then_shred"}
		if c.notBefore != "" {
			e.NotBefore = on(c.notBefore)
		}
		before, err := f.s.ListAll(ctx, email(who(i)))
		if err != nil || len(before) == 0 || !before[0].LockedUntil.IsZero() ||
			c.notBefore == "" && !slices.ContainsFunc(before, func(r LegalRecord) bool { return r.EvidenceUntil.Equal(on(c.want)) }) {
			t.Errorf("%s: before the lock the legal role sees %+v, %v", c.name, before, err)
		}
		done, err := f.s.EraseSubject(ctx, shop, e)
		if err != nil || done.LockedUntil.Format(time.RFC3339) != c.want {
			t.Errorf("%s: locked %+v, %v, want until %s", c.name, done, err, c.want)
		}
		list, err := f.s.ListAll(ctx, email(who(i)))
		if err != nil || len(list) != len(before) {
			t.Fatalf("%s: the legal role sees %v, %v", c.name, list, err)
		}
		for i, r := range list {
			if !r.LockedUntil.Equal(on(c.want)) || !r.EvidenceUntil.Equal(before[i].EvidenceUntil) {
				t.Errorf("%s: consent %d is locked until %v, want %s; evidence %v, before the lock %v",
					c.name, r.ID, r.LockedUntil, c.want, r.EvidenceUntil, before[i].EvidenceUntil)
			}
		}
	}
	f.checked()
}

// A lock never ends within the second before the purpose's period does.
func TestLockedUntilWholeSeconds(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: newsletter, Marketing: true, DoubleOptIn: true, EvidenceDays: 10})
	cal.set(on("2027-03-01T12:00:00.7Z"))
	f.confirmed("a@example.com")
	if done := f.lock("a@example.com"); !done.LockedUntil.Equal(on("2027-03-11T12:00:01Z")) {
		t.Errorf("locked until %v", done.LockedUntil)
	}
}

// The proof of consent to advertising by telephone, § 7a UWG.
func TestShredNowOfCalls(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a, used, open, service = "a@example.com", "used@example.com", "open@example.com", "service@example.com"
	shred := func(who string) error {
		_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(who), Reason: "art17", Mode: "shred_now"})
		return err
	}
	kept := func(who, until string) {
		t.Helper()
		before := f.size()
		err := shred(who)
		refused(t, err, refusal.FailedPrecondition, "uwg_7a")
		if err != nil && !strings.Contains(err.Error(), until) {
			t.Errorf("the refusal %q does not name %s", err, until)
		}
		f.wrote(before, "")
	}
	r := f.ask(calling(a, newsletter, account))
	f.confirm(r.Token)
	f.withdraw(Withdrawal{Subject: email(a)}) // ends nothing of the period
	u := f.ask(calling(used, newsletter))
	f.confirm(u.Token)
	f.ask(calling(open, newsletter))
	f.confirm(f.ask(calling(service, account)).Token)

	// What was never granted, and what is no advertising, is not held back.
	for _, who := range []string{open, service} {
		if err := shred(who); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	kept(a, "2032-03-02T00:00:00Z")
	cal.set(on("2027-12-24T18:30:00Z"))
	f.use(Uses{ConsentIDs: ids(u.Consents)})
	kept(used, "2032-12-25T00:00:00Z")

	cal.set(on("2032-03-01T23:59:59Z"))
	kept(a, "") // not recorded at all: the clock jumped while the ledger was closed
	f.close()
	f.opt.AcceptClock = true
	f.open()
	kept(a, "2032-03-02T00:00:00Z")
	cal.set(on("2032-03-02T00:00:00Z"))
	f.reopen()
	if err := shred(a); err != nil {
		t.Errorf("after the period: %v", err)
	}
	f.strangers(a, r)
	kept(used, "2032-12-25T00:00:00Z")
	cal.set(on("2032-12-25T00:00:00Z"))
	if err := shred(used); err != nil {
		t.Errorf("after the period: %v", err)
	}
	f.seesAll(a, "")
}
