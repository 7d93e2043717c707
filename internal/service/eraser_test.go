package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// holdPass lets the next pass wait where keys are about to be shredded. reached
// is closed when it does; release lets it go on.
func (f *fixture) holdPass() (reached <-chan struct{}, release func()) {
	return f.holdPassThen(nil)
}

// holdPassThen lets the next pass fail with err after it has waited.
func (f *fixture) holdPassThen(err error) (reached <-chan struct{}, release func()) {
	at, free := make(chan struct{}), make(chan struct{})
	var once, freed sync.Once
	f.setFault(func(step string) (failed error) {
		if step == "before shred" {
			once.Do(func() {
				close(at)
				<-free
				failed = err
			})
		}
		return failed
	})
	release = func() { freed.Do(func() { close(free) }) }
	f.t.Cleanup(release) // before the fixture's own, which closes the ledger
	return at, release
}

// starts calls from another goroutine; its error is in the channel when it has
// returned.
func (f *fixture) starts(call func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	return done
}

// becomes waits until something is so.
func (f *fixture) becomes(so func() bool) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatal("it does not come about")
		}
	}
}

// stays checks that something is so and stays so for a while, in which the
// recorder takes whatever waits.
func (f *fixture) stays(so func() bool) {
	f.t.Helper()
	for range 10 {
		time.Sleep(3 * time.Millisecond)
		if err := f.s.do(ctx, shop, func(*turn) error { return nil }); err != nil {
			f.t.Error(err)
		}
		if !so() {
			f.t.Fatal("it does not stay so")
		}
	}
}

func erasure(who string) Erasure {
	return Erasure{Subject: email(who), Reason: "art17", Mode: shredNow}
}

// erasing starts an erasure from another goroutine.
func (f *fixture) erasing(ctx context.Context, who string) <-chan error {
	return f.starts(func() error {
		_, err := f.s.EraseSubject(ctx, shop, erasure(who))
		return err
	})
}

// generations gives those of the root key that entries from a size on name.
func (f *fixture) generations(from ledger.Size) (list []int64) {
	f.t.Helper()
	for _, e := range f.entriesFrom(from) {
		if e.Kind == ledger.EvidenceShredded {
			list = append(list, e.Generation)
		}
	}
	return list
}

// Whoever comes while a pass runs shares the next one.
func TestErasuresShareAPass(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const n = 12
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	for i := range n + 1 {
		f.request(who(i))
	}
	before := f.size()
	reached, release := f.holdPass()
	waiting := []<-chan error{f.erasing(ctx, who(0))}
	<-reached
	for i := 1; i < n; i++ {
		waiting = append(waiting, f.erasing(ctx, who(i)))
	}
	f.becomes(func() bool { return f.size() == before+n })
	for i := range n {
		f.checks(who(i), newsletter, "unknown_subject")
	}
	f.stays(func() bool { return f.size() == before+n })
	release()
	for _, done := range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	f.wrote(before, strings.Repeat("subject.erased ", n)+"evidence.shredded evidence.shredded")
	if got := f.generations(before); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("%d erasures made generations %v of the root key, want 2 and 3", n, got)
	}
	last := f.entriesFrom(before + n)
	if len(last) != 2 || len(last[0].Refers) != 1 || len(last[1].Refers) != n-1 {
		t.Errorf("shredded %+v", last)
	}
	f.checks(who(n), newsletter, "pending")
}

// An erasure waits for the window to end, and whoever comes meanwhile shares its
// pass.
func TestEraseWindow(t *testing.T) {
	t.Parallel()
	const window = 1500 * time.Millisecond
	f := newService(t, func(o *Options) { o.EraseWindow = window })
	var waiting []<-chan error
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	for i := range 3 {
		f.request(who(i))
	}
	before := f.size()
	began := time.Now()
	for i := range 3 {
		waiting = append(waiting, f.erasing(ctx, who(i)))
		f.becomes(func() bool { return f.size() == before+ledger.Size(i)+1 })
	}
	late := time.Since(began) > window // a machine too slow for this test
	for _, done := range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took < window {
		t.Errorf("the pass ran after %v, in a window of %v", took, window)
	}
	if got := f.generations(before); !slices.Equal(got, []int64{2}) && !late {
		t.Errorf("generations %v, want one", got)
	}
}

// Everybody else is served while keys are shredded; the person is a stranger
// from the moment on that the erasure is recorded.
func TestOthersGoOnDuringAPass(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b, c, d = "a@example.com", "b@example.com", "c@example.com", "d@example.com"
	r := f.confirmed(a)
	kept := f.confirmed(b)
	f.request(d)
	reached, release := f.holdPass()
	before := f.size()
	erased := f.erasing(ctx, a)
	<-reached
	f.checks(a, newsletter, "unknown_subject")
	f.known(email(a))
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
	refused(t, err, refusal.NotFoundCode, "token")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{ConsentIDs: ids(r.Consents)})
	refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
	_, err = f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: ids(r.Consents)})
	refused(t, err, refusal.NotFoundCode, "consent_ids[0]")

	f.confirmed(c)
	f.withdraw(Withdrawal{ManageToken: kept.ManageToken})
	f.link(Link{Subject: email(c), Add: external("c")})
	second := f.erasing(ctx, d)
	f.becomes(func() bool { return f.size() == before+6 })
	if st, err := f.s.ErasureStatus(ctx); err != nil || st.Pending != 2 {
		t.Errorf("status %+v, %v", st, err)
	}
	f.wrote(before, "subject.erased consent.requested consent.confirmed consent.withdrawn subject.rectified subject.erased")
	f.stays(func() bool { return len(erased)+len(second) == 0 })
	release()
	if err := errors.Join(<-erased, <-second); err != nil {
		t.Error(err)
	}
	for range 2 {
		f.checks(a, newsletter, "unknown_subject")
		f.checks(b, newsletter, "withdrawn")
		f.checks(c, newsletter, "confirmed")
		f.reason(external("c"), newsletter, "email", "confirmed")
		f.checks(d, newsletter, "unknown_subject")
		f.reopen()
	}
}

// What is asked for in the name of somebody who is being erased waits, and is
// then about somebody new, whom nothing links with the one before.
func TestTheErasedComeBackDuringAPass(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	old := f.confirmed(a)
	f.link(Link{Subject: email(a), Add: external("a")})
	f.confirmed(b)
	reached, release := f.holdPass()
	before := f.size()
	erased := f.starts(func() error {
		_, err := f.s.EraseSubject(ctx, shop, erasure(a))
		return errors.Join(err, errIf(err == nil && f.size() < before+2, "answered before it was recorded"))
	})
	<-reached
	second := f.erasing(ctx, b)
	f.becomes(func() bool { return f.size() == before+2 })
	var r *Requested
	var objected []Consent
	var manage error
	waiting := []<-chan error{
		f.starts(func() (err error) { r, err = f.s.RequestConsent(ctx, shop, asking(a)); return err }),
		f.starts(func() (err error) {
			objected, err = ofWithdrawal(f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(b)}))
			return err
		}),
		f.starts(func() error {
			_, manage = f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: old.ManageToken})
			return nil
		}),
	}
	f.stays(func() bool { return len(waiting[0])+len(waiting[1])+len(waiting[2]) == 0 && f.size() == before+2 })
	release()
	for _, done := range append(waiting, erased, second) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	refused(t, manage, refusal.NotFoundCode, "manage_token")
	if t.Failed() {
		return
	}
	f.known(email(a), ids(r.Consents)...)
	f.known(external("a"))
	f.checks(a, newsletter, "pending")
	id := r.Consents[0].ID
	if got := f.opened(f.entry(ledger.Index(id)), id); !maps.Equal(got, map[string]string{"email": a}) {
		t.Errorf("the new person's request commits to %v", got)
	}
	if r.ManageToken == old.ManageToken || r.Token == old.Token {
		t.Error("a token came back")
	}
	if len(objected) != 1 || objected[0].State != ledger.Objected || objected[0].ID != ledger.ConsentID(objected[0].Entry.Index) {
		t.Errorf("the withdrawal is recorded as %s", shows(objected))
	}
	f.known(email(b), ids(objected)...)
	f.checks(b, newsletter, "objected")
	f.confirm(r.Token)
	f.reopen()
	f.checks(a, newsletter, "confirmed")
	f.checks(b, newsletter, "objected")
}

func errIf(wrong bool, text string) error {
	if wrong {
		return errors.New(text)
	}
	return nil
}

// receiptVerifies checks an erasure receipt as anybody does, with what the
// controller publishes.
func (f *fixture) receiptVerifies(done *Erased, erased []ledger.ConsentID) {
	f.t.Helper()
	read := func(name string) []byte { return readFile(f.t, filepath.Join(f.opt.Dir, name)) }
	policy, err := ledger.ParsePolicy(read(trustPolicy))
	if err != nil {
		f.t.Fatal(err)
	}
	rep, err := ledger.VerifyErasureReceipt([]byte(done.Receipt), policy, read(trustKeys))
	if err != nil {
		f.t.Errorf("the receipt: %v", err)
		return
	}
	slices.Sort(erased)
	if !slices.Equal(rep.Consents, erased) || rep.Medium != "file" || rep.ErasureReason != "art17" ||
		!rep.ContentsDestroyed.Equal(done.ContentsDestroyedAt) || !rep.ExistenceDue.Equal(done.ExistenceDestroyedBy) ||
		!rep.ExistenceDestroyed.IsZero() || rep.Generation < 2 {
		f.t.Errorf("the receipt says %+v, the answer %+v", rep, done)
	}
	// Nothing of it can be changed unnoticed.
	for _, at := range []int{len(done.Receipt) / 3, len(done.Receipt) / 2, len(done.Receipt) - 3} {
		changed := []byte(done.Receipt)
		changed[at] ^= 1
		if _, err := ledger.VerifyErasureReceipt(changed, policy, nil); err == nil {
			f.t.Errorf("the receipt verifies with byte %d changed", at)
		}
	}
}

func TestErasureReceipt(t *testing.T) {
	t.Parallel()
	f := newService(t, func(o *Options) { o.IndexLag = 100 * time.Hour })
	var made [4]*Requested
	var done [4]*Erased
	who := func(i int) string { return fmt.Sprintf("person%d@example.com", i) }
	for i := range made {
		made[i] = f.confirmed(who(i), newsletter, account)
	}
	// A receipt of a consent, issued while its person is known.
	before, err := f.s.SetRestriction(ctx, shop, Restriction{Subject: email(who(0)), Ground: "art18_1_a", Proof: true})
	if err != nil {
		t.Fatal(err)
	}
	began := f.clock.now()
	done[0] = f.erase(who(0))
	if at := done[0].ContentsDestroyedAt; at.Before(began.Truncate(time.Second)) || at.After(f.clock.now()) {
		t.Errorf("the keys are said to be destroyed at %v; it is %v", at, f.clock.now())
	}
	if due := done[0].ExistenceDestroyedBy; !due.Equal(done[0].ContentsDestroyedAt.Add(100*time.Hour)) || !done[0].LockedUntil.IsZero() {
		t.Errorf("erased %+v", done[0])
	}
	f.receiptVerifies(done[0], ids(made[0].Consents))
	// Two that share a pass, and with it an entry.
	var errs [2]error
	call := func(i int) func() {
		return func() { done[i], errs[i-1] = f.s.EraseSubject(ctx, shop, erasure(who(i))) }
	}
	f.together(call(1), call(2))
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	if done[1].Shredded.Index != done[2].Shredded.Index || done[1].Receipt == done[2].Receipt {
		t.Errorf("shredded in entries %d and %d", done[1].Shredded.Index, done[2].Shredded.Index)
	}
	f.reopen()
	done[3] = f.erase(who(3))
	for i := range made {
		f.receiptVerifies(done[i], ids(made[i].Consents))
	}
	policy, err := ledger.ParsePolicy(readFile(t, filepath.Join(f.opt.Dir, trustPolicy)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.VerifyReceipt([]byte(before[0].Entry.Receipt), []byte(before[0].Entry.Text), policy, nil); err != nil {
		t.Errorf("a receipt issued before the erasure: %v", err)
	}
}

// A caller who does not wait is not what an erasure depends on.
func TestErasureGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	f := newService(t)
	const a, b = "a@example.com", "b@example.com"
	r := f.confirmed(a)
	f.request(b)
	reached, release := f.holdPass()
	before := f.size()
	gone, cancel := context.WithCancel(ctx)
	erased := f.erasing(gone, a)
	<-reached
	cancel()
	if err := <-erased; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who gave up got %v", err)
	}
	f.wrote(before, "subject.erased")
	release()
	f.becomes(func() bool { return f.size() == before+2 })
	f.wrote(before, "subject.erased evidence.shredded")
	f.strangers(a, r)
	// One who gave up before it was decided has asked for nothing.
	_, err := f.s.EraseSubject(gone, shop, erasure(b))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.checks(b, newsletter, "pending")
	f.reopen()
	f.wrote(before, "subject.erased evidence.shredded")
}
