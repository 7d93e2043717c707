package service

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// rekey replaces the key of the index.
func (f *fixture) rekey() {
	f.t.Helper()
	epoch := f.status().IndexEpoch
	if err := f.s.rekeyIndex(f.s.upkeep.start()); err != nil {
		f.t.Fatal(err)
	}
	if st := f.status(); st.IndexEpoch != epoch+1 || st.Rekeying {
		f.t.Errorf("status %+v after a re-key, the epoch before is %d", st, epoch)
	}
}

func (f *fixture) tick() {
	f.t.Helper()
	if err := f.s.upkeep.tick(); err != nil {
		f.t.Error(err)
	}
}

// goTo moves the clock to a moment.
func (f *fixture) goTo(at time.Time) { f.clock.advance(at.Sub(f.clock.now())) }

// ended checks that one entry was written since a size, which says of exactly
// these erasures that nothing shows any more that the person was known.
func (f *fixture) ended(from ledger.Size, began time.Time, refers ...ledger.Index) {
	f.t.Helper()
	f.wrote(from, "evidence.shredded")
	list := f.entriesFrom(from)
	if len(list) == 0 {
		return
	}
	e, st := list[0], f.status()
	if !slices.Equal(e.Refers, refers) || !e.Contents.IsZero() || !e.ExistenceDue.IsZero() || e.Medium != "file" ||
		int(e.Generation) != st.Generation || e.Existence.Before(began.Truncate(time.Second)) || e.Existence.After(f.clock.now()) {
		f.t.Errorf("recorded %+v between %v and %v, want it about %v; the root key has generation %d", e, began, f.clock.now(), refers, st.Generation)
	}
}

// The two dates of an erasure: the contents go at once, and what shows that the
// person was ever known with the key of the index, once it and every key of the
// day are younger than the erasure.
func TestTwoDates(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b, c, kept = "a@example.com", "b@example.com", "c@example.com", "kept@example.com"
	for _, who := range []string{a, b, c, kept} {
		f.confirmed(who)
	}
	erase := func(who string) ledger.Index {
		t.Helper()
		began := f.clock.now()
		done := f.erase(who)
		e := f.entry(done.Shredded.Index)
		if !e.Contents.Equal(done.ContentsDestroyedAt) || !e.ExistenceDue.Equal(e.Contents.Add(72*time.Hour)) || !e.Existence.IsZero() ||
			!e.ExistenceDue.Equal(done.ExistenceDestroyedBy) || e.Contents.Before(began.Truncate(time.Second)) || e.Contents.After(e.Time) {
			t.Errorf("erased %+v and recorded %+v, after %v", done, e, began)
		}
		return done.Entry.Index
	}
	rekeys := func(want ...ledger.Index) {
		t.Helper()
		before, began := f.size(), f.clock.now()
		f.rekey()
		if len(want) == 0 {
			f.wrote(before, "")
		} else {
			f.ended(before, began, want...)
		}
		f.checks(kept, newsletter, "confirmed")
	}
	const day = 24 * time.Hour
	first := erase(a)
	due := f.status().ExistenceDue
	rekeys() // the key of the day is still there, and may show that a was known
	if st := f.status(); st.ExistencePending != 1 || !st.ExistenceDue.Equal(due) {
		t.Errorf("status %+v, want one erasure due at %v", st, due)
	}
	f.clock.advance(day)
	f.reopen()
	rekeys()
	second := erase(b)
	f.clock.advance(day)
	f.reopen()
	rekeys(first)
	if st := f.status(); st.ExistencePending != 1 || !st.ExistenceDue.After(due) {
		t.Errorf("status %+v, want one erasure due after %v", st, due)
	}
	third := erase(c)
	fourth := erase(kept)
	f.confirmed(kept)
	f.clock.advance(day)
	rekeys(second)
	f.clock.advance(day)
	rekeys(third, fourth)
	rekeys()
	if st := f.status(); st.ExistencePending != 0 || !st.ExistenceDue.IsZero() {
		t.Errorf("status %+v, want nothing pending", st)
	}
	f.reopen()
	rekeys()
	for _, who := range []string{a, b, c} {
		f.checks(who, newsletter, "unknown_subject")
	}
}

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

// A person was promised a date by the index lag of then.
func TestIndexLagChanged(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.confirmed("a@example.com")
	done := f.erase("a@example.com")
	f.opt.IndexLag = maxIndexLag
	f.reopen()
	before, began := f.size(), f.clock.now()
	f.goTo(done.ContentsDestroyedAt.Add(48*time.Hour - time.Minute))
	f.tick()
	f.wrote(before, "")
	f.goTo(done.ContentsDestroyedAt.Add(48 * time.Hour))
	f.tick()
	f.ended(before, began, done.Entry.Index)
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
	f.clock.advance(days(defaultLapsedDays))
	f.tick()
	f.wrote(before, "request.expired retention.applied subject.erased evidence.shredded")
	f.clock.advance(days(2))
	f.tick()
	f.wrote(before, "request.expired retention.applied subject.erased evidence.shredded evidence.shredded")
	if n := strings.Count(f.log.String(), "retention was applied"); n != 4 {
		t.Errorf("retention was applied %d times, want 4", n)
	}
}

// While recording is stopped, by a fault or by the clock, nothing is done that
// would be recorded.
func TestUpkeepWhileRecordingIsStopped(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.request("b@example.com")
	f.confirmed(a)
	f.erase(a)
	epoch := f.status().IndexEpoch
	f.clock.advance(days(10))
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
	f := newService(t)
	const a = "a@example.com"
	f.request("b@example.com")
	f.confirmed(a)
	f.erase(a)
	before := f.size()
	f.clock.advance(days(10))
	f.s.StartUpkeep()
	f.becomes(func() bool { return f.size() == before+2 })
	f.wrote(before, "request.expired evidence.shredded")
	f.reopen()
	f.wrote(before, "request.expired evidence.shredded")
}

// A re-key that is asked for while one runs is that one.
func TestRekeyOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.confirmed("a@example.com")
	epoch := f.status().IndexEpoch
	held, free := make(chan struct{}), make(chan struct{})
	busy := f.starts(func() error {
		return f.s.do(ctx, shop, func(*turn) error { close(held); <-free; return nil })
	})
	<-held
	for range 3 {
		if err := f.s.RekeyIndex(ctx); err != nil {
			t.Error(err)
		}
		if st := f.status(); !st.Rekeying || st.IndexEpoch != epoch {
			t.Errorf("status %+v", st)
		}
	}
	close(free)
	if err := <-busy; err != nil {
		t.Error(err)
	}
	f.becomes(func() bool { return !f.status().Rekeying })
	if st := f.status(); st.IndexEpoch != epoch+1 || st.IndexReplacedAt.IsZero() {
		t.Errorf("status %+v", st)
	}
	f.rekey()
	// One that runs when the ledger is closed is finished, or begun anew.
	if err := f.s.RekeyIndex(ctx); err != nil {
		t.Error(err)
	}
	f.reopen()
	f.checks("a@example.com", newsletter, "confirmed")
	f.rekey()
	f.checks("a@example.com", newsletter, "confirmed")
}

// A re-key that cannot write stops recording. After the next start it goes on.
func TestRekeyFails(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.confirmed("a@example.com")
	epoch := f.status().IndexEpoch
	if err := os.WriteFile(f.opt.Dir+"/root.key.next", []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.s.RekeyIndex(ctx); err != nil {
		t.Error(err)
	}
	f.becomes(func() bool { return f.s.Fault() != nil })
	f.nothingIsRecorded(r)
	f.checks("a@example.com", newsletter, "confirmed")
	f.reopen()
	f.confirmed("b@example.com")
	if st := f.status(); !st.Rekeying || st.IndexEpoch != epoch {
		t.Errorf("status %+v", st)
	}
	f.tick()
	if st := f.status(); st.Rekeying || st.IndexEpoch != epoch+1 {
		t.Errorf("status %+v", st)
	}
	f.tick()
	f.reopen()
	for _, who := range []string{"a@example.com", "b@example.com"} {
		f.checks(who, newsletter, "confirmed")
	}
	f.rekey()
	if st := f.status(); st.IndexEpoch != epoch+2 {
		t.Errorf("status %+v", st)
	}
}

// Whoever is known is found at every moment of a re-key, by each identifier, and
// whoever is erased at none.
func TestLookupsDuringARekey(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const old = 150
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	add := func(i int) {
		if _, err := f.s.RequestConsent(ctx, shop, asking(who(i))); err != nil {
			t.Error(err)
		}
		if _, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(who(i)), Add: external(who(i))}); err != nil {
			t.Error(err)
		}
	}
	each(old, add)
	var known atomic.Int64 // below it everybody is known, but for the erased
	known.Store(old)
	var looked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(act func(n int)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					act(n)
				}
			}
		}()
	}
	for k := range 3 {
		loop(func(n int) {
			i := (n*7 + k) % int(known.Load())
			looked.Add(1)
			if i%10 != 9 { // those are being erased
				f.reason(email(who(i)), newsletter, "email", "pending")
				f.reason(external(who(i)), newsletter, "email", "pending")
			}
		})
	}
	loop(func(int) {
		add(int(known.Load()))
		known.Add(1)
	})
	for n := range 4 {
		erased := f.erasing(ctx, who(10*n+9))
		f.rekey()
		if err := <-erased; err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d people, looked up %d times", known.Load(), looked.Load())
	if known.Load() == old || looked.Load() < 100 {
		t.Error("nothing went on meanwhile")
	}
	for range 2 {
		for i := range int(known.Load()) {
			want := "pending"
			if i%10 == 9 && i < 40 {
				want = "unknown_subject"
			}
			f.reason(email(who(i)), newsletter, "email", want)
			f.reason(external(who(i)), newsletter, "email", want)
		}
		f.reopen()
	}
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
	f.clock.advance(days(3))
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
