package service

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// A decision takes no more people and consents than fit a group, but somebody.
func TestNextTurn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ consents, people, want int }{
		{1, 1, 1}, {1, peoplePerTurn, peoplePerTurn}, {1, peoplePerTurn + 1, peoplePerTurn},
		{consentsPerTurn, 3, 1}, {consentsPerTurn / 2, 3, 2}, {consentsPerTurn/2 + 1, 3, 1},
	} {
		people := map[vault.Slot][]due{}
		var order []vault.Slot
		for slot := range vault.Slot(test.people) {
			order, people[slot] = append(order, slot), make([]due, test.consents)
		}
		if got := nextTurn(order, people); !slices.Equal(got, order[:test.want]) {
			t.Errorf("of %d people with %d consents each a decision takes %d, want %d", test.people, test.consents, len(got), test.want)
		}
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	f, cal, notice := newRetention(t)
	f.request("lapses@example.com")
	f.confirmed("withdrawn@example.com", newsletter, account)
	f.withdraw(Withdrawal{Subject: email("withdrawn@example.com")})
	f.confirm(f.ask(covered("idle@example.com", notice, idle)).Token)
	f.confirm(f.ask(covered("stale@example.com", notice, stale)).Token)
	f.lock(func() string { f.confirm(f.ask(calling("locked@example.com")).Token); return "locked@example.com" }())
	const day = 24 * time.Hour
	f.wouldRetain(0, "")
	f.wouldRetain(7*day, "")
	f.wouldRetain(7*day+time.Second, "lapsed expire newsletter 1")
	f.wouldRetain(10*day+time.Second, "lapsed expire newsletter 1, unused expire idle 1")
	f.wouldRetain(30*day+time.Second, "lapsed expire newsletter 1, unused expire idle 1, unused warn stale 1, withdrawn lock newsletter 1")
	all := f.wouldRetain(maxAhead, "evidence shred newsletter 1, lapsed expire newsletter 1, unused expire idle 1, unused warn stale 1, withdrawn lock newsletter 1")
	for i, at := range []string{"2032-03-02T00:00:00Z", "2027-03-08T12:00:00Z", "2027-03-11T12:00:00Z", "2027-03-21T12:00:00Z", "2027-03-31T12:00:00Z"} {
		if !all.Items[i].FirstDue.Equal(on(at)) {
			t.Errorf("item %d is due %v, want %s", i, all.Items[i].FirstDue, at)
		}
	}
	for _, bad := range []RetentionRun{{DryRun: true, Ahead: -1}, {DryRun: true, Ahead: maxAhead + 1}, {Ahead: 1}} {
		_, err := f.s.RunRetention(ctx, bad)
		refused(t, err, refusal.InvalidArgument, "ahead")
	}
	before := f.size()
	f.setFault(failAt("before log", 1))
	cal.set(on("2027-03-20T12:00:00Z"))
	_, err := f.s.RunRetention(ctx, RetentionRun{})
	refused(t, err, refusal.UnavailableCode, "")
	_, err = f.s.RunRetention(ctx, RetentionRun{}) // nothing is recorded any more
	refused(t, err, refusal.UnavailableCode, "")
	f.wouldRetain(0, "lapsed expire newsletter 1, unused expire idle 1")
	f.wrote(before, "")
}

// A run over many people, while others record.
func TestRetentionOf1000(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const n = 1000
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	each(n, func(i int) {
		r := f.request(who(i))
		if i%10 == 0 {
			f.confirm(r.Token)
		}
		if i%20 == 0 {
			f.withdraw(Withdrawal{Subject: email(who(i))})
		}
	})
	cal.set(on("2027-06-01T12:00:00Z"))
	f.wouldRetain(0, "lapsed expire newsletter 900, withdrawn lock newsletter 50")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; ; i += 4 {
				select {
				case <-stop:
					return
				default:
					f.meanwhile(who(i%n), i)
				}
			}
		}()
	}
	_, err := f.s.RunRetention(ctx, RetentionRun{})
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		list, err := f.s.ListAll(ctx, email(who(i)))
		if err != nil {
			t.Fatal(err)
		}
		// Of before: one that is confirmed, or withdrawn and locked, or none.
		old := slices.DeleteFunc(list, func(r LegalRecord) bool { return r.State == ledger.Requested && !r.opened.Expires.Before(cal.now()) })
		want := ""
		if i%20 == 0 {
			want = "withdrawn locked"
		} else if i%10 == 0 {
			want = "confirmed"
		}
		if got := strings.Join(states(old), ", "); got != want {
			t.Errorf("person %d: %q, want %q", i, got, want)
		}
	}
	f.appliedEntries()
	f.checked()
	before := f.size()
	f.retain("")
	f.wrote(before, "")
}

func states(list []LegalRecord) (text []string) {
	for _, r := range list {
		text = append(text, strings.Join(append([]string{r.State.String()}, r.Overlays...), " "))
	}
	return text
}

// meanwhile does something that an app does while people are being shredded.
func (f *fixture) meanwhile(who string, i int) {
	d, err := f.s.CheckConsent(ctx, Question{Subject: email(who), Purpose: newsletter, Channel: "email"})
	if err != nil || d.Reason == "unavailable" {
		f.t.Errorf("a check during the run: %+v, %v", d, err)
	}
	if i%7 == 0 {
		f.request(who)
	}
	if i%11 == 0 {
		f.confirmed("another-" + who)
	}
}

// A decision is made about what is due when it is made, not about what was due
// when the run looked.
func TestRetentionDecidesAnew(t *testing.T) {
	t.Parallel()
	f, cal, notice := newRetention(t)
	const a, b, c, d = "a@example.com", "b@example.com", "c@example.com", "d@example.com"
	used := f.ask(covered(a, notice, idle))
	f.confirm(used.Token)
	f.confirm(f.ask(covered(b, notice, idle)).Token)
	cal.set(on("2027-03-12T12:00:00Z"))
	f.together(
		func() { f.use(Uses{ConsentIDs: ids(used.Consents)}) },
		func() { f.retain("unused expire idle 1") })
	f.checks(a, idle, "confirmed")
	f.checks(b, idle, "expired")

	// A purpose gets longer periods.
	f.confirmed(c)
	f.withdraw(Withdrawal{Subject: email(c)})
	cal.set(on("2027-04-12T12:00:00Z"))
	f.together(
		func() { f.define(PurposeDefinition{ID: newsletter, Marketing: true, DoubleOptIn: true, LockDays: 90}) },
		func() { f.retain("evidence shred idle 1, unused expire idle 1, withdrawn lock idle 1") })
	f.checks(c, newsletter, "withdrawn")

	// A request is withdrawn, restricted, erased, locked.
	who := []string{"1@example.com", "2@example.com", "3@example.com", "4@example.com", "5@example.com"}
	for _, w := range append(who, d) {
		f.request(w)
	}
	cal.set(on("2027-06-12T12:00:00Z"))
	f.together(
		func() { f.withdraw(Withdrawal{Subject: email(who[0])}) },
		func() { f.restrict(who[1]) },
		func() { f.erase(who[2]) },
		func() { f.lock(who[3]) },
		func() {
			f.retain("evidence shred idle 1, lapsed expire newsletter 3, lapsed shred newsletter 3, withdrawn lock idle 1, withdrawn lock newsletter 1")
		},
		func() { f.request(who[4]) })
	f.checks(who[0], newsletter, "withdrawn")
	f.checks(d, newsletter, "unknown_subject")
	f.checks(who[4], newsletter, "pending")
	f.checked()
}

// A run that is interrupted is finished by the next start and the next run, and
// the ledger is in order in between.
func TestCrashDuringRetention(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(string) error{
		"nothing recorded":                        failAt("before vault", 1),
		"on disk, not published":                  failAt("after log", 1),
		"recorded, nothing shredded":              failAt("before shred", 1),
		"requests expired, the rest not recorded": failAt("after vault", 2),
		"recorded again, not shredded":            failAt("before shred", 2),
		"shredded, not recorded":                  failAt("before log", 3),
		"one left that only the legal role knows": failAt("before shred", 3),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, cal, notice := newRetention(t)
			const a, b, c, d = "a@example.com", "b@example.com", "c@example.com", "d@example.com"
			r := f.confirmed(a) // withdraws, and a request of theirs lapses
			f.withdraw(Withdrawal{Subject: email(a)})
			f.request(a, account)
			lapsed := f.request(b) // lapses
			f.confirmed(c)
			f.confirm(f.ask(covered(d, notice, idle)).Token)
			cal.set(on("2027-06-01T12:00:00Z"))
			f.setFault(fault)
			_, err := f.s.RunRetention(ctx, RetentionRun{})
			refused(t, err, refusal.UnavailableCode, "")
			f.checks(c, newsletter, "confirmed")
			f.setFault(nil)
			f.reopen()
			f.checked()
			if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
				t.Fatal(err)
			}
			f.strangers(b, lapsed)
			f.strangers(a, r)
			f.checks(c, newsletter, "confirmed")
			f.seesAll(a, fmt.Sprintf("%d withdrawn locked until 2031-01-01T00:00:00Z", r.Consents[0].ID))
			f.appliedEntries()
			f.retain("")
			f.reopen()
			f.retain("")
		})
	}
}

// Somebody has moved to the register of the locked, a request of theirs is still
// to be shredded, and under the same address somebody else has come.
func TestMovedAndComeBack(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a = "a@example.com"
	r := f.confirmed(a)
	f.withdraw(Withdrawal{Subject: email(a)})
	lapses := f.request(a, account)
	cal.set(on("2027-04-01T12:00:00Z"))
	f.retain("lapsed expire account 1, withdrawn lock newsletter 1")
	cal.set(on("2027-06-01T12:00:00Z"))
	f.setFault(failAt("before log", 2))
	_, err := f.s.RunRetention(ctx, RetentionRun{})
	refused(t, err, refusal.UnavailableCode, "")
	f.setFault(nil)
	f.reopen()
	locked := fmt.Sprintf("%d withdrawn locked until 2031-01-01T00:00:00Z", r.Consents[0].ID)
	f.seesAll(a, fmt.Sprintf("%s, %d lapsed", locked, lapses.Consents[0].ID))
	f.checks(a, account, "unknown_subject")
	back := f.confirmed(a)
	f.retain("lapsed shred account 1")
	f.seesAll(a, fmt.Sprintf("%s, %d confirmed", locked, back.Consents[0].ID))
	f.checks(a, newsletter, "confirmed")
	f.retain("")
}
