package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// A caller who gave up before the decision has done nothing; one who gives up
// later has.
func TestCanceled(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.request("other@example.com")
	gone, cancel := context.WithCancel(ctx)
	ask := asking("a@example.com")
	ask.Attachments = []Attachment{{Claim: "reference", MediaType: "text/plain", Bytes: []byte("bytes")}}
	before := f.size()
	var errs [2]error
	f.together(
		func() { _, errs[0] = f.s.RequestConsent(gone, shop, ask); cancel() },
		func() {
			cancel() // both wait by now
			_, errs[1] = f.s.RequestConsent(ctx, shop, asking("b@example.com"))
		})
	if !errors.Is(errs[0], context.Canceled) || errs[1] != nil {
		t.Errorf("%v, %v", errs[0], errs[1])
	}
	_, err := f.s.RequestConsent(gone, shop, ask)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := f.s.CheckConsent(gone, Question{Subject: email("a@example.com"), Purpose: newsletter, Channel: "email"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.wrote(before, "consent.requested")
	f.checks("a@example.com", newsletter, "unknown_subject")
	f.close()
	if n := countRows(t, f.opt.Dir+"/vault", func(key []byte) bool { return key[0] == 'b' }); n != 0 {
		t.Errorf("%d rows of attachments of nobody", n)
	}
	f.open()
}

// What was accepted before Close is finished; what comes later is refused.
func TestCloseFinishes(t *testing.T) {
	t.Parallel()
	f := newService(t)
	var mu sync.Mutex
	recorded := map[string]bool{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; ; n++ {
				who := fmt.Sprintf("person%d-%d@example.com", i, n)
				_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(who)})
				if err != nil {
					refused(t, err, refusal.UnavailableCode, "")
					return
				}
				mu.Lock()
				if recorded[who] = true; len(recorded) == 100 {
					close(stop)
				}
				mu.Unlock()
			}
		}()
	}
	<-stop
	f.s.recorder.close() // the first thing that Close does
	wg.Wait()
	f.reopen()
	for who := range recorded {
		f.checks(who, newsletter, "objected")
	}
	if want := 7 + ledger.Size(len(recorded)); f.size() != want {
		t.Errorf("%d entries, want %d", f.size(), want)
	}
}

// A name stands for one role for ever, and a role writes what is its own.
func TestSources(t *testing.T) {
	t.Parallel()
	f := newService(t)
	before := f.size()
	_, err := f.s.RequestConsent(ctx, Source{admin.Name, "app"}, asking("a@example.com"))
	refused(t, err, refusal.FailedPrecondition, "source")
	_, err = f.s.RequestConsent(ctx, Source{"somebody", "admin"}, asking("a@example.com"))
	refused(t, err, refusal.FailedPrecondition, "role")
	_, err = f.s.RequestConsent(ctx, Source{ledger.SourceLedger, "app"}, asking("a@example.com"))
	refused(t, err, refusal.FailedPrecondition, "role")
	_, _, err = f.s.DefinePurpose(ctx, shop, PurposeDefinition{ID: "p", Title: "P"})
	refused(t, err, refusal.FailedPrecondition, "role")
	f.wrote(before, "")
	// Two first requests of one key in one group declare it once.
	var errs [2]error
	f.together(
		func() { _, errs[0] = f.s.RequestConsent(ctx, shop, asking("a@example.com")) },
		func() { _, errs[1] = f.s.RequestConsent(ctx, shop, asking("b@example.com")) })
	if err := errors.Join(errs[:]...); err != nil {
		t.Error(err)
	}
	f.wrote(before, "source.declared consent.requested consent.requested")
}

// One token confirms all purposes of a request, so the shortest lifetime rules.
func TestShortestLifetime(t *testing.T) {
	t.Parallel()
	f := newService(t)
	_, _, err := f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: offers, Title: "Offers", Marketing: true, DoubleOptIn: true, TokenLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	r := f.request("a@example.com", newsletter, offers)
	if left := r.ExpiresAt.Sub(f.clock.now()); left > time.Hour || left < 59*time.Minute {
		t.Errorf("expires in %v", left)
	}
	f.clock.advance(time.Hour + time.Second)
	_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token})
	refused(t, err, refusal.FailedPrecondition, "token_expired")
	f.checks("a@example.com", newsletter, "lapsed")
}
