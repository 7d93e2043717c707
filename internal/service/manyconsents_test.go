package service

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// copied opens a copy of a ledger that is closed.
func (f *fixture) copied(t *testing.T) *fixture {
	t.Helper()
	c := &fixture{t: t, opt: f.opt, log: new(logLines), clock: new(testClock)}
	c.clock.advance(time.Until(f.clock.now()))
	c.opt.Dir, c.opt.Logger = copyDir(t, f.opt.Dir), slog.New(slog.NewTextHandler(c.log, nil))
	c.opt.testOnlyClock, c.opt.testOnlyStep = c.clock.now, c.step
	c.open()
	t.Cleanup(c.finish)
	return c
}

// parts checks that the entries of a kind, from a size on, are one list split
// into parts, and gives what it lists.
func (f *fixture) parts(from ledger.Size, kind ledger.Kind, parts int) (listed []ledger.ConsentID) {
	f.t.Helper()
	var first *ledger.Entry
	found := 0
	for _, e := range f.entriesFrom(from) {
		if e.Kind != kind {
			continue
		}
		if found++; first == nil {
			first = e
		}
		if e.Part != found || e.Parts != parts || e.Index != first.Index+ledger.Index(found-1) {
			f.t.Errorf("entry %d is part %d of %d of %s, want %d of %d", e.Index, e.Part, e.Parts, kind, found, parts)
		}
		listed = append(listed, e.About...)
		for _, l := range e.Consents {
			listed = append(listed, l.Consent)
		}
	}
	if found != parts {
		f.t.Errorf("%d entries of %s, want %d", found, kind, parts)
	}
	return listed
}

// Somebody with hundreds of consents has the rights of everybody else: what does
// not fit one entry is split over several, which count together.
func TestManyConsents(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, requests = "a@example.com", 2*consentsPerEntry/3 + 1
	purposes := []string{newsletter, offers, account}
	made := make([]*Requested, requests)
	each(requests, func(i int) {
		if r, err := f.s.RequestConsent(ctx, shop, asking(a, purposes...)); err != nil {
			t.Error(err)
		} else if made[i] = r; i%3 == 0 {
			if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: map[string]string{"ip": "203.0.113.7"}}); err != nil {
				t.Error(err)
			}
		}
	})
	if t.Failed() {
		return
	}
	var all []ledger.ConsentID
	for _, r := range made {
		all = append(all, ids(r.Consents)...)
	}
	slices.Sort(all)
	f.confirmed("b@example.com")
	f.manyLinkedAndHeld(a, all)
	f.close()
	for name, test := range map[string]func(*fixture, string, []ledger.ConsentID){
		"withdraw and lapse": (*fixture).manyWithdrawn,
		"lock":               (*fixture).manyLocked,
		"rectify":            (*fixture).manyRectified,
		"ask":                (*fixture).manyAsked,
		"erase":              (*fixture).manyErased,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := f.copied(t)
			test(c, a, all)
			c.checks("b@example.com", newsletter, "confirmed")
		})
	}
}

func (f *fixture) manyLinkedAndHeld(who string, all []ledger.ConsentID) {
	f.t.Helper()
	before := f.size()
	f.link(Link{Subject: email(who), Add: external("many"), Claims: map[string]string{"reference": "call"}})
	if got := f.parts(before, ledger.SubjectRectified, 2); !slices.Equal(got, all) {
		f.t.Errorf("linked about %d consents, want %d", len(got), len(all))
	}
	f.known(external("many"), all...)
	before = f.size()
	held, err := f.s.SetHold(ctx, legal, HoldRequest{Subject: external("many"), Claims: map[string]string{"reason": "a claim"}})
	if err != nil || held.Consents != len(all) {
		f.t.Fatalf("held %+v, %v", held, err)
	}
	if got := f.parts(before, ledger.HoldSet, 2); !slices.Equal(got, all) {
		f.t.Errorf("held %d consents, want %d", len(got), len(all))
	}
	_, err = f.s.EraseSubject(ctx, shop, erasure(who))
	refused(f.t, err, refusal.FailedPrecondition, "held")
	before = f.size()
	lifted, err := f.s.LiftHold(ctx, legal, HoldRelease{Hold: held.Hold})
	if err != nil || lifted.Consents != len(all) {
		f.t.Errorf("lifted %+v, %v", lifted, err)
	}
	f.wrote(before, "hold.lifted hold.lifted")
}

// manyWithdrawn ends everything; the end of the lock shreds it.
func (f *fixture) manyWithdrawn(who string, all []ledger.ConsentID) {
	f.t.Helper()
	before := f.size()
	list := f.withdraw(Withdrawal{Subject: email(who), Claims: map[string]string{"reason": "enough"}})
	f.wrote(before, strings.TrimSpace(strings.Repeat("consent.withdrawn ", len(all)/3)))
	if len(list) != len(all)*2/3 {
		f.t.Errorf("%d consents are withdrawn, want all marketing of %d", len(list), len(all))
	}
	f.withdraw(Withdrawal{Subject: external("many"), Purposes: []string{account}})
	for _, p := range []string{newsletter, offers, account} {
		f.checks(who, p, "withdrawn")
	}
	f.clock.advance(decision.Days(defaultLockDays) + time.Minute)
	before = f.size()
	f.retention(ruleWithdrawn, measureLock, len(all))
	if got := f.parts(before, ledger.SubjectLocked, 3); !slices.Equal(got, all) {
		f.t.Errorf("locked %d consents, want %d", len(got), len(all))
	}
	f.known(email(who))
	f.known(external("many"))
	listed, err := f.s.ListAll(ctx, external("many"))
	if err != nil || len(listed) != len(all) {
		f.t.Fatalf("%d consents are kept, want %d; %v", len(listed), len(all), err)
	}
	f.opt.AcceptClock = true // years without an entry
	f.goTo(listed[0].LockedUntil.Add(time.Second))
	f.reopen()
	before = f.size()
	f.retention(ruleEvidence, measureShred, len(all))
	if got := f.parts(before, ledger.SubjectErased, 3); !slices.Equal(got, all) {
		f.t.Errorf("shredded %d consents, want %d", len(got), len(all))
	}
	if listed, err := f.s.ListAll(ctx, email(who)); err != nil || len(listed) != 0 {
		f.t.Errorf("%d consents are kept, %v", len(listed), err)
	}
	f.opt.AcceptClock = false
}

// retention applies what is due, which is one measure for so many consents.
func (f *fixture) retention(rule, measure string, consents int) {
	f.t.Helper()
	report, err := f.s.RunRetention(ctx, RetentionRun{})
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, item := range report.Items {
		if n += item.Consents; item.Rule != rule || item.Measure != measure {
			f.t.Errorf("applied %+v, want %s %s", item, rule, measure)
		}
	}
	if n != consents {
		f.t.Errorf("applied to %d consents, want %d", n, consents)
	}
}

func (f *fixture) manyLocked(who string, all []ledger.ConsentID) {
	f.t.Helper()
	e := erasure(who)
	e.Mode = lockThenShred
	before := f.size()
	done, err := f.s.EraseSubject(ctx, shop, e)
	if err != nil || done.Consents != len(all) || done.LockedUntil.IsZero() {
		f.t.Fatalf("locked %+v, %v", done, err)
	}
	f.wrote(before, "subject.locked subject.locked subject.locked")
	if got := f.parts(before, ledger.SubjectLocked, 3); !slices.Equal(got, all) {
		f.t.Errorf("locked %d consents, want %d", len(got), len(all))
	}
	f.known(email(who))
	if held, err := f.s.SetHold(ctx, legal, HoldRequest{Subject: email(who)}); err != nil || held.Consents != len(all) {
		f.t.Errorf("held %+v, %v", held, err)
	}
	list, err := f.s.ListAll(ctx, email(who))
	if err != nil || len(list) != len(all) || list[0].Holds != 1 {
		f.t.Errorf("%d consents are kept, want %d; %v", len(list), len(all), err)
	}
}

func (f *fixture) manyRectified(who string, all []ledger.ConsentID) {
	f.t.Helper()
	before := f.size()
	f.identify(email(who))
	if got := f.parts(before, ledger.IdentityVerified, 2); !slices.Equal(got, all) {
		f.t.Errorf("verified about %d consents, want %d", len(got), len(all))
	}
	before = f.size()
	done := f.rectify(Rectification{Subject: external("many"), Remove: email(who), Add: email("new@example.com"), IdempotencyKey: "letter"})
	if got := f.parts(before, ledger.SubjectRectified, 2); !slices.Equal(got, all) {
		f.t.Errorf("rectified about %d consents, want %d", len(got), len(all))
	}
	if got := f.size() - before; int(got) != 2+len(all)/3 || len(done.Ended) != len(all) {
		f.t.Errorf("%d entries, %d consents ended", got, len(done.Ended))
	}
	f.known(email(who))
	f.known(email("new@example.com"), all...)
	f.checks("new@example.com", account, "revoked")
	f.confirmed("new@example.com")
	f.checks("new@example.com", newsletter, "confirmed")
}

// manyAsked asks for a right about more consents than an entry names, and goes
// through all that can become of the request.
func (f *fixture) manyAsked(who string, all []ledger.ConsentID) {
	f.t.Helper()
	before := f.size()
	r := f.demands(RightsRequest{Subject: email(who), Article: "art18", Claims: because("a letter")})
	f.done("")(f.s.ExtendRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Claims: because("so much")}))
	if _, err := f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: r.RequestID + 1}); err == nil {
		f.t.Error("the second part of a request was answered by itself")
	}
	if list, err := f.s.ListRequests(ctx); err != nil || len(list) != 1 || !slices.Equal(list[0].ConsentIDs, all) {
		f.t.Errorf("waiting %+v, %v", list, err)
	}
	restricted, err := f.s.SetRestriction(ctx, legal, Restriction{Subject: email(who), Ground: "art18_1_a", Claims: because("a letter")})
	if err != nil || len(restricted) != len(all) {
		f.t.Errorf("restricted %d consents, %v", len(restricted), err)
	}
	f.done("")(f.s.AnswerRequest(ctx, legal, RequestStep{RequestID: r.RequestID, Claims: because("done")}))
	// Whoever was told of one part was told of it, and the newest word counts.
	f.processor("mailhouse")
	uses, _ := f.use(Uses{ConsentIDs: all, Processor: "mailhouse"})
	told := map[ledger.Index]ledger.Index{}
	for _, part := range []ledger.Index{r.RequestID + 1, r.RequestID} {
		told[part] = f.told(Notification{Index: part, Processor: "mailhouse"}).NotificationID
	}
	f.acknowledged(told[r.RequestID+1])
	for _, part := range []ledger.Index{r.RequestID + 1, r.RequestID} {
		f.recipients(part, RecipientOf{"mailhouse", 2, uses[1].Index, told[r.RequestID], -1})
	}
	for _, kind := range []ledger.Kind{ledger.RequestReceived, ledger.RequestExtended, ledger.RequestAnswered} {
		if got := f.parts(before, kind, 2); !slices.Equal(got, all) {
			f.t.Errorf("%s is about %d consents, want %d", kind, len(got), len(all))
		}
	}
	f.checks(who, account, "restricted")
	f.checked()
}

func (f *fixture) manyErased(who string, all []ledger.ConsentID) {
	f.t.Helper()
	before := f.size()
	done := f.erase(who)
	f.wrote(before, "subject.erased subject.erased subject.erased evidence.shredded")
	if got := f.parts(before, ledger.SubjectErased, 3); !slices.Equal(got, all) || done.Consents != len(all) {
		f.t.Errorf("erased %d consents, want %d; answered %d", len(got), len(all), done.Consents)
	}
	f.receiptVerifies(done, all)
	f.known(email(who))
	f.known(external("many"))
	f.reopen()
	f.known(email(who))
	f.clock.advance(decision.Days(3))
	before = f.size()
	f.rekey()
	first := ledger.Index(before) - 4
	f.ended(before, f.clock.now(), first, first+1, first+2)
}

// More erasures than one entry can name share a pass all the same.
func TestManyErasures(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const n = refersPerEntry + 20
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	made := make([]*Requested, n)
	each(n, func(i int) {
		var err error
		if made[i], err = f.s.RequestConsent(ctx, shop, asking(who(i))); err != nil {
			t.Error(err)
		}
	})
	before := f.size()
	reached, release := f.holdPass()
	first := f.erasing(ctx, who(0))
	<-reached
	var done [n]*Erased
	var waiting []<-chan error
	for i := 1; i < n; i++ {
		waiting = append(waiting, f.starts(func() (err error) {
			done[i], err = f.s.EraseSubject(ctx, shop, erasure(who(i)))
			return err
		}))
	}
	f.becomes(func() bool { return f.size() == before+n })
	release()
	for _, end := range append(waiting, first) {
		if err := <-end; err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		return
	}
	f.wrote(before+n, "evidence.shredded evidence.shredded evidence.shredded")
	if got := f.generations(before); !slices.Equal(got, []int64{2, 3, 3}) {
		t.Errorf("generations %v, want 2, 3 and 3", got)
	}
	for _, i := range []int{1, n / 2, n - 1} {
		f.receiptVerifies(done[i], ids(made[i].Consents))
	}
	f.clock.advance(decision.Days(3))
	before = f.size()
	f.rekey()
	f.wrote(before, "evidence.shredded evidence.shredded")
	if st := f.status(); st.ExistencePending != 0 {
		t.Errorf("status %+v", st)
	}
}
