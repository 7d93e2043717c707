package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Close carries out what is recorded, without waiting for the window to end.
func TestCloseFinishesErasures(t *testing.T) {
	t.Parallel()
	f := newService(t, func(o *Options) { o.EraseWindow = maxEraseWindow })
	const a, b = "a@example.com", "b@example.com"
	f.confirmed(a)
	f.confirmed(b)
	before := f.size()
	gone, cancel := context.WithCancel(ctx)
	one, two := f.erasing(gone, a), f.erasing(gone, b)
	f.becomes(func() bool { return f.size() == before+2 })
	f.stays(func() bool { return len(one)+len(two) == 0 })
	cancel() // nobody may be using a ledger that is closed
	for _, done := range []<-chan error{one, two} {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	began := time.Now()
	f.close()
	if took := time.Since(began); took > maxEraseWindow/2 {
		t.Errorf("closing took %v", took)
	}
	f.open()
	f.wrote(before, "subject.erased subject.erased evidence.shredded")
	if strings.Contains(f.log.String(), "finishing an erasure") {
		t.Errorf("Close left an erasure to the next start: %s", f.log)
	}
	f.checks(a, newsletter, "unknown_subject")
}

// When keys cannot be shredded the people stay fenced, nothing is recorded,
// whoever waits is told, and the next start finishes.
func TestPassFails(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b, c = "a@example.com", "b@example.com", "c@example.com"
	r := f.confirmed(a)
	f.confirmed(b)
	f.rectify(Rectification{Subject: email(b), Add: external("b")})
	other := f.confirmed(c)
	reached, release := f.holdPassThen(errPowerCut)
	before := f.size()
	calls := []<-chan error{f.erasing(ctx, a)}
	<-reached
	calls = append(calls,
		f.starts(func() error {
			_, err := f.s.RectifySubject(ctx, legal, Rectification{Subject: email(b), Remove: email(b)})
			return err
		}),
		f.starts(func() error { _, err := f.s.RequestConsent(ctx, shop, asking(a)); return err }),
		f.starts(func() error {
			_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(a)})
			return err
		}))
	f.becomes(func() bool { return f.size() == before+3 })
	f.stays(func() bool { return len(calls[0])+len(calls[1])+len(calls[2])+len(calls[3]) == 0 })
	release()
	for _, done := range calls {
		refused(t, <-done, refusal.UnavailableCode, "")
	}
	f.setFault(nil)
	f.wrote(before, "subject.erased subject.rectified consent.revoked")
	f.checks(a, newsletter, "unknown_subject")
	f.known(email(a))
	f.checks(c, newsletter, "confirmed")
	f.nothingIsRecorded(other)
	if _, err := f.s.EraseSubject(ctx, shop, erasure(c)); err == nil {
		t.Error("an erasure is accepted after the fault")
	}
	f.reopen()
	if !strings.Contains(f.log.String(), "finishing an erasure") {
		t.Errorf("the log does not say that an erasure was finished: %s", f.log)
	}
	f.wrote(before, "subject.erased subject.rectified consent.revoked evidence.shredded")
	f.strangers(a, r)
	f.known(email(b))
	f.reason(external("b"), newsletter, "email", "revoked")
	f.confirmed(a)
}

// A start carries out what is recorded also while the clock is not to be
// trusted; that it has, a start with a clock that is right records.
func TestFinishWithoutAClock(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.confirmed(a)
	before := f.size()
	f.setFault(failAt("before shred", 1))
	_, err := f.s.EraseSubject(ctx, shop, erasure(a))
	refused(t, err, refusal.UnavailableCode, "")
	f.setFault(nil)
	f.clock.advance(-2 * time.Hour)
	f.reopen()
	f.refusesToRecord("b@example.com")
	f.wrote(before, "subject.erased")
	if st := f.status(); st.Pending != 1 || st.Generation != 2 || f.s.vault.Planned() != 0 {
		t.Errorf("status %+v, %d changes are planned", st, f.s.vault.Planned())
	}
	f.checks(a, newsletter, "unknown_subject")
	f.clock.advance(2 * time.Hour)
	f.reopen()
	f.wrote(before, "subject.erased evidence.shredded")
	if got := f.generations(before); !slices.Equal(got, []int64{2}) {
		t.Errorf("generations %v, want 2", got)
	}
}

// What waits for a change that its own group planned is told when that group
// cannot be written: there is no change to wait for.
func TestWaitingForWhatWasNeverWritten(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"before vault", "after vault", "before log", "after log", "before head", "after head"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newService(t, func(o *Options) { o.EraseWindow = maxEraseWindow })
			const a = "a@example.com"
			f.confirmed(a)
			var errs [2]error
			f.setFault(failAt(step, 1))
			began := time.Now()
			f.together(
				func() { _, errs[0] = f.s.EraseSubject(ctx, shop, erasure(a)) },
				func() { _, errs[1] = f.s.RequestConsent(ctx, shop, asking(a)) })
			for _, err := range errs {
				refused(t, err, refusal.UnavailableCode, "")
			}
			if took := time.Since(began); took > maxEraseWindow/2 {
				t.Errorf("they are told after %v", took)
			}
		})
	}
}

// So is who waits for a change that nobody carries out any more, because
// recording has stopped between its group and its pass.
func TestWaitingThroughAFault(t *testing.T) {
	t.Parallel()
	f := newService(t, func(o *Options) { o.EraseWindow = 500 * time.Millisecond })
	const a, b = "a@example.com", "b@example.com"
	f.confirmed(a)
	before := f.size()
	// As a run of retention does, which waits for its keys when all is recorded.
	id, err := email(a).normalise("")
	if err != nil {
		t.Fatal(err)
	}
	err = f.s.do(ctx, Source{Name: ledger.SourceLedger}, func(t *turn) error {
		return (&erasing{e: Erasure{Reason: "retention", Mode: shredNow}, id: id}).decide(t)
	})
	if err != nil {
		t.Fatal(err)
	}
	waiting := f.starts(func() error { _, err := f.s.RequestConsent(ctx, shop, asking(a)); return err })
	f.stays(func() bool { return len(waiting) == 0 })
	f.setFault(failAt("before vault", 1))
	_, err = f.s.RequestConsent(ctx, shop, asking(b))
	refused(t, err, refusal.UnavailableCode, "")
	refused(t, <-waiting, refusal.UnavailableCode, "")
	f.setFault(nil)
	f.reopen()
	f.wrote(before, "subject.erased evidence.shredded")
	f.checks(a, newsletter, "unknown_subject")
}

// A change that the vault has and the log has not was planned by a group that
// may be dropped: a pass that runs meanwhile leaves it alone.
func TestPlanOfAnUnpublishedGroup(t *testing.T) {
	t.Parallel()
	for step, erased := range map[string]bool{"after vault": false, "before log": false, "after log": true, "before head": true, "after head": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			const a, b = "a@example.com", "b@example.com"
			r := f.confirmed(a)
			f.confirmed(b)
			reached, release := f.holdPass()
			before := f.size()
			first := f.erasing(ctx, b)
			<-reached
			fail := failAt(step, 1)
			f.setFault(func(name string) error {
				if name == "before shred" {
					return nil
				}
				return fail(name)
			})
			_, err := f.s.EraseSubject(ctx, shop, erasure(a))
			refused(t, err, refusal.UnavailableCode, "")
			if planned := f.s.vault.Planned(); planned != 2 {
				t.Errorf("%d changes are planned, want 2", planned)
			}
			release()
			refused(t, <-first, refusal.UnavailableCode, "") // carried out, and not recorded
			if planned := f.s.vault.Planned(); planned != 1 {
				t.Errorf("%d changes are planned after the pass, want 1", planned)
			}
			f.wrote(before, "subject.erased")
			f.setFault(nil)
			f.reopen()
			f.checks(b, newsletter, "unknown_subject")
			if erased {
				f.wrote(before, "subject.erased subject.erased evidence.shredded")
				f.strangers(a, r)
				return
			}
			f.wrote(before, "subject.erased evidence.shredded")
			f.checks(a, newsletter, "confirmed")
			f.withdraw(Withdrawal{ManageToken: r.ManageToken})
			f.erase(a)
		})
	}
}

// Limits that Open refuses, before it touches anything.
func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.close()
	before := tree(t, f.opt.Dir)
	for _, change := range []func(*Options){
		func(o *Options) { o.IndexLag = 72*time.Hour - time.Second },
		func(o *Options) { o.IndexLag = -time.Hour },
		func(o *Options) { o.IndexLag = 30*24*time.Hour + time.Second },
		func(o *Options) { o.EraseWindow = -time.Nanosecond },
		func(o *Options) { o.EraseWindow = time.Minute + time.Nanosecond },
	} {
		opt := f.opt
		change(&opt)
		s, err := Open(opt)
		if err == nil {
			t.Errorf("a ledger opens with an index lag of %v and an erase window of %v", opt.IndexLag, opt.EraseWindow)
			s.Close()
		}
	}
	if tree(t, f.opt.Dir) != before {
		t.Error("something was changed")
	}
	for _, lag := range []time.Duration{0, 72 * time.Hour, 30 * 24 * time.Hour} {
		for _, window := range []time.Duration{0, time.Minute} {
			f.opt.IndexLag, f.opt.EraseWindow = lag, window
			f.open()
			f.close()
		}
	}
	f.opt.EraseWindow = 0
	f.open()
}
