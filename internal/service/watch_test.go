package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// showsWatch is a look in short: of each item the reason, and of each of its refs the
// entry and when it is due, unless that is the same as before.
func showsWatch(w *Watch) string {
	var parts []string
	for _, item := range w.Items {
		text := item.What
		var before time.Time
		for _, ref := range item.First {
			text += fmt.Sprintf(" %d", ref.Index)
			if !ref.Due.Equal(before) {
				text += " by " + ref.Due.Format(time.RFC3339)
			}
			before = ref.Due
		}
		if item.Count != len(item.First) {
			text += fmt.Sprintf(" of %d", item.Count)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// watches checks what a look finds.
func (f *fixture) watches(format string, args ...any) *Watch {
	f.t.Helper()
	w, err := f.s.Watch(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	if got, want := showsWatch(w), fmt.Sprintf(format, args...); got != want {
		f.t.Errorf("%s: a look finds %q, want %q", f.s.now().Format(time.RFC3339), got, want)
	}
	for _, item := range w.Items {
		if len(item.First) == 0 || !item.Oldest.Equal(item.First[0].Due) || !slices.Contains(watched, item.What) {
			f.t.Errorf("item %+v", item)
		}
	}
	if w.Size != f.size() || !w.AsOf.Equal(f.s.now()) {
		f.t.Errorf("the look is of %d entries at %v", w.Size, w.AsOf)
	}
	return w
}

// records writes an entry as it stands and gives its index.
func (f *fixture) records(src Source, e ledger.Entry) ledger.Index {
	f.t.Helper()
	at := ledger.Index(0)
	err := f.s.do(ctx, src, func(t *turn) error {
		list, err := t.write(&e)
		if err == nil {
			at = list[0].Entry.Index
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return at
}

// asks records a request under Art. 15 GDPR.
func (f *fixture) asks(occurred time.Time) ledger.Index {
	f.t.Helper()
	received := occurred
	if received.IsZero() {
		received = f.s.now()
	}
	return f.records(legal, ledger.Entry{Kind: ledger.RequestReceived, Article: "art15", Occurred: occurred, Due: ledger.AnswerDue(received, 1)})
}

// after is a moment after the one that a text says.
func after(text string, d time.Duration) time.Time { return on(text).Add(d) }

// A rights request is coming due seven days before its time is over, and overdue
// from the second after. An extension moves both; an answer or a refusal ends it.
func TestWatchRightsRequests(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.watches("")
	a := f.asks(time.Time{})
	b := f.asks(on("2027-02-20T09:00:00Z"))
	const dueA, dueB = "2027-04-01T23:59:59Z", "2027-03-20T23:59:59Z"
	f.watches("")
	cal.set(after(dueB, -7*24*time.Hour-time.Second))
	f.watches("")
	cal.set(after(dueB, -7*24*time.Hour))
	f.watches("request_due %d by %s", b, dueB)
	cal.set(on(dueB))
	f.watches("request_due %d by %s", b, dueB)
	cal.set(after(dueB, time.Second))
	f.watches("request_overdue %d by %s", b, dueB)
	f.records(legal, ledger.Entry{Kind: ledger.RequestRefused, Refers: []ledger.Index{b}, Refusal: "unfounded"})
	f.watches("")
	cal.set(after(dueA, -7*24*time.Hour))
	f.watches("request_due %d by %s", a, dueA)
	const later = "2027-06-01T23:59:59Z"
	f.records(legal, ledger.Entry{Kind: ledger.RequestExtended, Refers: []ledger.Index{a}, Due: on(later)})
	f.watches("")
	cal.set(after(later, time.Second))
	c := f.asks(on("2027-05-01T09:00:00Z"))
	f.watches("request_overdue %d by %s %d", a, later, c) // 31 days on, and 3 months on: the same day
	f.records(legal, ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{a}})
	f.watches("request_overdue %d by %s", c, later)
	f.records(legal, ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{c}})
	f.watches("")
}

// A link is coming to its end a day before, counted once per request; after its end
// retention is to see to it.
func TestWatchLinks(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: brief, DoubleOptIn: true, TokenLifetime: time.Hour})
	f.covering(brief)
	both := f.request("both@example.com", newsletter, offers)
	f.request("other@example.com")
	clicks := f.request("clicks@example.com")
	resent, _ := f.drawnRequest("again@example.com", 1)
	ends := both.ExpiresAt.Format(time.RFC3339)
	id := func(r *Requested) ledger.ConsentID { return r.Consents[0].ID }
	cal.set(both.ExpiresAt.Add(-24*time.Hour - time.Second))
	f.watches("")
	_, lock := drawn(2)
	again, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: []ledger.ConsentID{id(resent)}, Lock: lock})
	if err != nil {
		t.Fatal(err)
	}
	cal.set(both.ExpiresAt.Add(-24 * time.Hour))
	next := id(both) + 2
	f.watches("confirmation_expiring %d by %s %d %d", id(both), ends, next, id(clicks))
	f.confirm(clicks.Token)
	f.watches("confirmation_expiring %d by %s %d", id(both), ends, next)
	f.withdraw(Withdrawal{Subject: email("both@example.com"), Purposes: []string{newsletter}})
	f.watches("confirmation_expiring %d by %s %d", id(both), ends, next)
	f.withdraw(Withdrawal{Subject: email("both@example.com")})
	f.watches("confirmation_expiring %d by %s", next, ends)
	cal.set(both.ExpiresAt)
	f.watches("confirmation_expiring %d by %s", next, ends)
	cal.set(both.ExpiresAt.Add(time.Second))
	f.watches("retention_due %d by %s", next, ends)
	f.retain("lapsed expire newsletter 1")
	f.watches("")
	cal.set(again.ExpiresAt.Add(-24 * time.Hour))
	f.watches("confirmation_expiring %d by %s", id(resent), again.ExpiresAt.Format(time.RFC3339))
}

// A consent that nobody uses is dormant from the moment on from which it is warned
// of or stopped, until it is used or ends.
func TestWatchDormant(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	warn, block, soft := PurposeDefinition{ID: "warns", UnusedDays: 20}, PurposeDefinition{ID: "blocks", UnusedDays: 20, UnusedMeasure: "block"},
		PurposeDefinition{ID: "soft", UnusedDays: 40, UnusedMeasure: "expire", UnusedWarnDays: 20}
	for _, d := range []PurposeDefinition{warn, block, soft} {
		f.define(d)
	}
	f.covering("warns", "blocks", "soft")
	give := func(who, purpose string) ledger.ConsentID {
		list, err := f.s.GiveConsent(ctx, shop, Giving{Subject: email(who), Purposes: []string{purpose}, Channel: "email", Notice: "more-de@1", Method: "paper"})
		if err != nil {
			t.Fatal(err)
		}
		return list.Consents[0].ID
	}
	a, b, c := give("a@example.com", "warns"), give("b@example.com", "blocks"), give("c@example.com", "soft")
	const at = "2027-03-21T12:00:00Z"
	cal.set(on(at))
	f.watches("")
	cal.set(after(at, time.Second))
	f.watches("dormant %d by %s %d %d", a, at, b, c)
	f.use(Uses{ConsentIDs: []ledger.ConsentID{a}})
	f.watches("dormant %d by %s %d", b, at, c)
	f.withdraw(Withdrawal{Subject: email("b@example.com"), Purposes: []string{"blocks"}})
	f.watches("dormant %d by %s", c, at)
	const over, again = "2027-04-10T12:00:00Z", "2027-04-10T12:00:01Z"
	cal.set(after(over, time.Second))
	f.watches("retention_due %d by %s, dormant %d by %s", c, over, c, at)
	f.retain("unused expire soft 1")
	f.watches("")
	cal.set(after(again, time.Second))
	f.watches("dormant %d by %s", a, again)
	f.lock("a@example.com")
	f.watches("")
}

// What retention would do is due, and what it must not do is not.
func TestWatchRetention(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: brief, DoubleOptIn: true, TokenLifetime: time.Hour, LockDays: 2, LapsedDays: 3, EvidenceDays: 5})
	f.covering(brief)
	ids := map[string]ledger.ConsentID{}
	for _, who := range []string{"a@example.com", "b@example.com"} {
		r := f.ask(covered(who, "more-de@1", brief))
		f.confirm(r.Token)
		ids[who] = r.Consents[0].ID
		f.withdraw(Withdrawal{Subject: email(who), Purposes: []string{brief}})
	}
	const locks, shreds = "2027-03-03T12:00:00Z", "2027-03-06T12:00:00Z"
	cal.set(on(locks))
	f.watches("")
	cal.set(after(locks, time.Second))
	f.watches("retention_due %d by %s %d", ids["a@example.com"], locks, ids["b@example.com"])
	f.retain("withdrawn lock brief 2")
	f.watches("")
	cal.set(on(shreds))
	f.watches("")
	cal.set(after(shreds, time.Second))
	f.watches("retention_due %d by %s %d", ids["a@example.com"], shreds, ids["b@example.com"])
	held := f.hold(HoldRequest{Subject: email("b@example.com"), Claims: map[string]string{"reason": "a lawsuit"}})
	f.watches("retention_due %d by %s", ids["a@example.com"], shreds)
	f.retainKept("evidence shred brief 1", 1)
	f.watches("")
	f.release(held.Entry.Index)
	f.watches("retention_due %d by %s", ids["b@example.com"], shreds)
}

// Of many the first are named, in the order in which they are due, and the others
// are counted.
func TestWatchNamesTheFirst(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	var want []string
	for day := range 30 { // each was received the day before the one that was recorded before it
		i := f.asks(on("2026-11-30T12:00:00Z").AddDate(0, 0, -day))
		if day >= 30-watchFirst {
			want = append(want, fmt.Sprint(i))
		}
	}
	slices.Reverse(want)
	w, err := f.s.Watch(ctx)
	if err != nil || len(w.Items) != 1 || w.Items[0].Count != 30 || len(w.Items[0].First) != watchFirst {
		t.Fatalf("%+v, %v", w, err)
	}
	var got []string
	for _, ref := range w.Items[0].First {
		got = append(got, fmt.Sprint(ref.Index))
	}
	if !slices.Equal(got, want) {
		t.Errorf("named are %v, want %v", got, want)
	}
}

// The status shows the newest look. Upkeep looks every hour; nobody else need.
func TestWatchIsKept(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	kept := func(want string, at time.Time) {
		t.Helper()
		st, err := f.s.Status()
		switch {
		case err != nil:
			t.Fatal(err)
		case st.Watch == nil:
			t.Error("nobody has looked")
		case showsWatch(st.Watch) != want || !st.Watch.AsOf.Equal(at):
			t.Errorf("kept is %q at %v, want %q at %v", showsWatch(st.Watch), st.Watch.AsOf, want, at)
		}
	}
	if st, err := f.s.Status(); err != nil || st.Watch != nil {
		t.Errorf("before anybody looked: %+v, %v", st.Watch, err)
	}
	i := f.asks(on("2027-02-02T12:00:00Z"))
	want := fmt.Sprintf("request_due %d by 2027-03-02T23:59:59Z", i)
	f.tick()
	kept(want, on(noon))
	cal.set(on("2027-03-03T12:00:00Z"))
	f.records(legal, ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{i}})
	kept(want, on(noon))
	over, cancel := context.WithCancel(ctx)
	cancel()
	f.confirmed("a@example.com")
	if _, err := f.s.Watch(over); !errors.Is(err, context.Canceled) {
		t.Errorf("a look that nobody waits for gives %v", err)
	}
	kept(want, on(noon))
	f.tick()
	kept("", on("2027-03-03T12:00:00Z"))
	if lines := f.log.String(); strings.Contains(lines, "upkeep failed") {
		t.Error(lines)
	}
}
