package service

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

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

// A re-key ends an erasure that was carried out before it began, and only when
// the keys of the days until then are gone, too.
func TestWhatARekeyEnds(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.confirmed("a@example.com")
	done := f.erase("a@example.com")
	shredded := f.entry(done.Shredded.Index)
	generation := uint32(shredded.Generation)
	for _, c := range []struct {
		covers uint32
		oldest time.Time
		ends   bool
	}{
		{generation, shredded.Contents.Add(time.Second), true},
		{generation - 1, shredded.Contents.Add(time.Second), false}, // began before the erasure
		{generation, shredded.Contents, false},
	} {
		snap := f.s.log.Snapshot()
		refers, err := endedBy(snap, vault.Reindexed{Covers: c.covers, OldestDay: c.oldest})
		snap.Release()
		if err != nil || slices.Equal(refers, []ledger.Index{done.Entry.Index}) != c.ends || !c.ends && len(refers) > 0 {
			t.Errorf("covering generation %d and days from %v on ends %v, %v", c.covers, c.oldest, refers, err)
		}
	}
}
