package service

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// setWall moves the wall clock alone, as a step of NTP or an operator does; the
// monotonic clock goes on as it was.
func (f *fixture) setWall() (wall *atomic.Int64) {
	wall = new(atomic.Int64)
	f.opt.testOnlyClock = func() time.Time { return time.Now().Add(time.Duration(wall.Load())) }
	f.reopen()
	began := time.Now()
	f.s.clock.elapsed = func() time.Duration { return time.Since(began) }
	return wall
}

func (f *fixture) refusesToRecord(address string) {
	f.t.Helper()
	before := f.size()
	_, err := f.s.RequestConsent(ctx, shop, asking(address))
	refused(f.t, err, refusal.UnavailableCode, "")
	if f.s.Fault() == nil {
		f.t.Error("nothing is recorded, and Fault says nothing")
	}
	f.wrote(before, "")
}

func TestClockJumpsAhead(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	f.confirmed(a)
	wall := f.setWall()
	wall.Store(int64(59 * time.Second))
	f.request(a)
	wall.Store(int64(61 * time.Second))
	f.refusesToRecord(a)
	wall.Store(0) // a clock that came back is not trusted either
	f.refusesToRecord(a)
	f.checks(a, newsletter, "confirmed") // reading goes on
	f.opt.AcceptClock = true
	wall.Store(int64(time.Hour))
	f.reopen()
	f.request(a)
	if f.s.Fault() != nil {
		t.Error(f.s.Fault())
	}
}

func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	wall := f.setWall()
	f.confirmed(a)
	wall.Store(int64(-50 * time.Second))
	from := f.size()
	f.request(a)
	f.request(a)
	f.reopen() // less than a minute behind is no reason to stop
	f.request(a)
	entries := f.entriesFrom(from - 1)
	for _, e := range entries {
		if !e.Time.Equal(entries[0].Time) {
			t.Errorf("entry %d is dated %v, want the last one repeated, %v", e.Index, e.Time, entries[0].Time)
		}
	}
	wall.Store(int64(-90 * time.Second))
	f.refusesToRecord(a)
	f.reopen()
	f.refusesToRecord(a)
	f.checks(a, newsletter, "confirmed")

	// The operator accepts it: times repeat the last one until the clock has
	// caught up, and a clock that goes back further stops again.
	wall.Store(int64(-time.Hour))
	f.opt.AcceptClock = true
	f.reopen()
	from = f.size()
	f.request(a)
	f.withdraw(Withdrawal{Subject: email(a)})
	for _, e := range f.entriesFrom(from) {
		if !e.Time.Equal(entries[0].Time) {
			t.Errorf("entry %d is dated %v, want %v", e.Index, e.Time, entries[0].Time)
		}
	}
	f.confirmed(a)
	wall.Store(int64(-2 * time.Hour))
	f.refusesToRecord(a)
	f.opt.AcceptClock = false
	wall.Store(0)
	f.reopen()
	f.request(a)
}

func TestClockAtStart(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a = "a@example.com"
	r := f.confirmed(a)
	f.clock.advance(400*24*time.Hour - time.Minute)
	f.reopen()
	f.request(a)
	f.clock.advance(400*24*time.Hour + time.Minute)
	f.reopen()
	f.refusesToRecord(a)
	f.nothingIsRecorded(r)
	f.checks(a, newsletter, "confirmed")
	f.opt.AcceptClock = true
	f.reopen()
	f.request(a)
	f.opt.AcceptClock = false
	f.reopen()
	f.request(a)
}

// An erasure that waits is carried out while the clock is not to be trusted, and
// recorded when it is.
func TestErasureWaitsForClock(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	r := f.confirmed(a)
	f.confirmed(b)
	f.setFault(failAt("before shred", 1))
	before := f.size()
	_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: email(a), Reason: "art17", Mode: "shred_now"})
	refused(t, err, refusal.UnavailableCode, "")
	f.setFault(nil)
	f.clock.advance(401 * 24 * time.Hour)
	f.reopen()
	f.wrote(before, "subject.erased")
	f.checks(a, newsletter, "unknown_subject")
	f.checks(b, newsletter, "confirmed")
	f.refusesToRecord(a)
	f.close()
	if n := countRows(t, f.opt.Dir+"/vault", func(key []byte) bool { return isShardRow(key, 'c') }); n != 1 {
		t.Errorf("%d consents have a person in the vault, want 1", n)
	}
	f.opt.AcceptClock = true
	f.open()
	f.wrote(before, "subject.erased evidence.shredded")
	f.strangers(a, r)
	if e := f.entriesFrom(before); e[1].Refers[0] != ledger.Index(before) {
		t.Errorf("refers to %v", e[1].Refers)
	}
}
