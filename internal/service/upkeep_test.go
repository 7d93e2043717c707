package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func (f *fixture) status() *ErasureStatus {
	f.t.Helper()
	st, err := f.s.ErasureStatus(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return st
}

func (f *fixture) tick() {
	f.t.Helper()
	if err := f.s.upkeep.tick(); err != nil {
		f.t.Error(err)
	}
}

// goTo moves the clock to a moment.
func (f *fixture) goTo(at time.Time) { f.clock.advance(at.Sub(f.clock.now())) }

// The ledger replaces the key by itself, a day before the index lag ends or as
// soon as the keys of the day are gone, and not before.
func TestUpkeepReplacesTheIndexKey(t *testing.T) {
	t.Parallel()
	for lag, after := range map[time.Duration]time.Duration{0: 48 * time.Hour, 80 * time.Hour: 56 * time.Hour, 240 * time.Hour: 216 * time.Hour} {
		t.Run(lag.String(), func(t *testing.T) {
			t.Parallel()
			f := newService(t, func(o *Options) { o.IndexLag = lag })
			const a, b = "a@example.com", "b@example.com"
			f.confirmed(a)
			f.confirmed(b)
			f.tick()
			done := f.erase(a)
			before, epoch := f.size(), f.status().IndexEpoch
			f.goTo(done.ContentsDestroyedAt.Add(after - time.Minute))
			f.tick()
			f.wrote(before, "")
			if now := f.status().IndexEpoch; now != epoch {
				t.Errorf("the key is replaced a minute before %v", after)
			}
			began := f.clock.now()
			f.goTo(done.ContentsDestroyedAt.Add(after))
			f.reopen() // what is due is found in the log
			f.tick()
			f.ended(before, began, done.Entry.Index)
			if now := f.clock.now(); now.After(done.ExistenceDestroyedBy) {
				t.Errorf("it is %v, the person was promised %v", now, done.ExistenceDestroyedBy)
			}
			f.tick()
			if now := f.status().IndexEpoch; now != epoch+1 {
				t.Errorf("the index has epoch %d after %d", now, epoch)
			}
			f.checks(b, newsletter, "confirmed")
		})
	}
}

// Once a day the periods of retention are applied.
func TestUpkeepAppliesRetention(t *testing.T) {
	t.Parallel()
	f := newService(t)
	_, _, err := f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: offers, Title: "Offers", Marketing: true, DoubleOptIn: true, TokenLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	f.tick()
	began := f.status().LastRetention
	if began.IsZero() {
		t.Error("the first tick does not apply retention")
	}
	f.request("a@example.com", offers)
	before := f.size()
	f.goTo(began.Add(24*time.Hour - time.Minute))
	f.tick()
	f.wrote(before, "")
	f.goTo(began.Add(24 * time.Hour))
	f.tick()
	f.wrote(before, "request.expired")
	if last := f.status().LastRetention; last.Before(began.Add(24 * time.Hour)) {
		t.Errorf("retention was applied last at %v", last)
	}
	f.clock.advance(decision.Days(defaultLapsedDays))
	f.tick()
	f.wrote(before, "request.expired retention.applied subject.erased evidence.shredded")
	f.clock.advance(decision.Days(2))
	f.tick()
	f.wrote(before, "request.expired retention.applied subject.erased evidence.shredded evidence.shredded")
	if n := strings.Count(f.log.String(), "retention was applied"); n != 4 {
		t.Errorf("retention was applied %d times, want 4", n)
	}
}

// upkeepDue gives a ledger in which a request has expired and the key of the index is to
// be replaced, because somebody was erased, who is named.
func upkeepDue(t *testing.T) (f *fixture, erased string) {
	f, erased = newService(t), "a@example.com"
	f.request("b@example.com")
	f.confirmed(erased)
	f.erase(erased)
	f.clock.advance(decision.Days(10))
	return f, erased
}

// While recording is stopped, by a fault or by the clock, nothing is done that
// would be recorded.
func TestUpkeepWhileRecordingIsStopped(t *testing.T) {
	t.Parallel()
	f, a := upkeepDue(t)
	epoch := f.status().IndexEpoch
	still := func(why string) {
		t.Helper()
		before, st := f.size(), f.status()
		f.tick()
		refused(t, f.s.RekeyIndex(ctx), refusal.UnavailableCode, "")
		now := f.status()
		if f.wrote(before, ""); now.IndexEpoch != st.IndexEpoch || !now.LastRetention.IsZero() || now.Rekeying {
			t.Errorf("%s: status %+v, before %+v", why, now, st)
		}
		if lines := f.log.String(); strings.Contains(lines, "upkeep") || strings.Contains(lines, "retention") {
			t.Errorf("%s: the log says %s", why, lines)
		}
	}
	f.setFault(failAt("before vault", 1))
	_, err := f.s.RequestConsent(ctx, shop, asking(a))
	refused(t, err, refusal.UnavailableCode, "")
	f.setFault(nil)
	still("a fault")
	wall := f.setWall()
	wall.Store(int64(-time.Hour))
	_, err = f.s.RequestConsent(ctx, shop, asking(a))
	refused(t, err, refusal.UnavailableCode, "")
	still("the clock")
	f.opt.testOnlyClock, f.opt.AcceptClock = f.clock.now, true
	f.reopen()
	f.tick()
	if st := f.status(); st.IndexEpoch != epoch+1 || st.LastRetention.IsZero() || st.ExistencePending != 0 {
		t.Errorf("status %+v", st)
	}
}

// The ledger does it all by itself once it is told to, and Close ends that.
func TestStartUpkeep(t *testing.T) {
	t.Parallel()
	f, _ := upkeepDue(t)
	before := f.size()
	f.s.StartUpkeep()
	f.becomes(func() bool { return f.size() == before+2 })
	f.wrote(before, "request.expired evidence.shredded")
	f.reopen()
	f.wrote(before, "request.expired evidence.shredded")
}

// What upkeep does takes minutes in a large ledger, and ends when the ledger is closed;
// the next start does the rest.
func TestUpkeepEndsWithTheLedger(t *testing.T) {
	t.Parallel()
	f, a := upkeepDue(t)
	before, epoch := f.size(), f.status().IndexEpoch
	f.s.upkeep.end()
	if _, err := f.s.retention.preview(f.s.upkeep.ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("going through all consents: %v", err)
	}
	f.tick()
	if err := f.s.RekeyIndex(ctx); err != nil {
		t.Error(err)
	}
	f.s.upkeep.wg.Wait()
	f.wrote(before, "")
	if st := f.status(); st.IndexEpoch != epoch || !st.LastRetention.IsZero() {
		t.Errorf("status %+v", st)
	}
	if err := f.s.Fault(); err != nil {
		t.Error(err)
	}
	f.reopen()
	f.tick()
	f.wrote(before, "request.expired evidence.shredded")
	if st := f.status(); st.IndexEpoch != epoch+1 || st.ExistencePending != 0 {
		t.Errorf("after the next start: %+v", st)
	}
	f.checks(a, newsletter, "unknown_subject")
}

// ErasureStatus shows how far erasures are, at each stage.
func TestErasureStatus(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b, c = "a@example.com", "b@example.com", "c@example.com"
	f.confirmed(a)
	f.confirmed(b, newsletter, account)
	f.confirmed(c, account)
	fresh := f.status()
	want := ErasureStatus{Generation: 1, Medium: "file", Guarantee: guarantees["file"], BackupNote: fresh.BackupNote}
	if *fresh != want || want.Guarantee == "" || !strings.Contains(fresh.BackupNote, "No key backup") {
		t.Errorf("a new ledger: %+v", fresh)
	}
	if _, _, err := f.s.BackupKeys(ctx); err == nil {
		t.Error("keys are backed up without a target")
	} else {
		refused(t, err, refusal.FailedPrecondition, "backup_target")
	}
	is := func(stage string, want ErasureStatus) {
		t.Helper()
		got := *f.status()
		if got.NextUnlock.Equal(want.NextUnlock) && got.ExistenceDue.Equal(want.ExistenceDue) {
			got.NextUnlock, got.ExistenceDue = want.NextUnlock, want.ExistenceDue
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", stage, got, want)
		}
	}
	reached, release := f.holdPass()
	erased := f.erasing(ctx, a)
	<-reached
	want.Pending = 1
	is("recorded", want)
	release()
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	want.Pending, want.Generation, want.ExistencePending = 0, 2, 1
	want.ExistenceDue = f.entry(ledger.Index(f.size() - 1)).ExistenceDue
	is("shredded", want)
	var until time.Time
	for i, e := range []Erasure{
		{Subject: email(b), Reason: "art17", Mode: lockThenShred, NotBefore: f.clock.now().AddDate(9, 0, 0)},
		{Subject: email(c), Reason: "art17", Mode: lockThenShred},
	} {
		done, err := f.s.EraseSubject(ctx, shop, e)
		if err != nil {
			t.Fatal(err)
		}
		want.Locked += done.Consents
		if until = done.LockedUntil; i == 0 && want.Locked != 2 {
			t.Errorf("locked %+v", done)
		}
		want.NextUnlock, want.Generation = until, want.Generation+1
		is("locked", want)
	}
	f.clock.advance(decision.Days(3))
	f.rekey()
	got := f.status()
	if got.IndexReplacedAt.IsZero() {
		t.Errorf("after a re-key: %+v", got)
	}
	want.IndexEpoch, want.Generation, want.ExistencePending, want.ExistenceDue = 1, want.Generation+1, 0, time.Time{}
	want.IndexReplacedAt = got.IndexReplacedAt
	is("its existence destroyed", want)
	f.reopen()
	is("reopened", want)
	if list, err := f.s.ListAll(ctx, email(b)); err != nil || len(list) != 2 {
		t.Errorf("%d locked consents are found after a re-key, want 2; %v", len(list), err)
	}
	// What is gone is not counted as locked any more.
	f.goTo(until.Add(time.Minute))
	f.opt.AcceptClock = true
	f.reopen()
	report, err := f.s.RunRetention(ctx, RetentionRun{})
	if err != nil || len(report.Items) != 1 {
		t.Fatal(errors.Join(err, fmt.Errorf("%+v", report)))
	}
	if st := f.status(); st.Locked != 2 || !st.NextUnlock.After(f.clock.now()) || !st.LastRetention.Equal(report.At) || st.ExistencePending != 1 {
		t.Errorf("after the end of a lock: %+v", st)
	}
}
