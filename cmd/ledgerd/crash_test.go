package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// TestKill kills a server with SIGKILL at random moments, also while it starts,
// and starts it again, while 16 clients post at full speed and repeat whatever
// was not answered. In the end every answer that anybody ever got stands in the
// log, nothing stands there twice, and check and verifier find nothing wrong.
func TestKill(t *testing.T) {
	kills := 24
	if testing.Short() {
		kills = 6
	}
	dir, key := newLedger(t)
	s := newStorm(t, newShop(key))
	server := s.start(dir)
	var clients sync.WaitGroup
	for c := range 16 {
		clients.Go(func() { s.client(c) })
	}
	for n := range kills {
		if n%4 == 3 { // while it starts, before or after it is ready
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			server.kill()
			early, _, err := launch(dir)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			server = early
		} else {
			time.Sleep(time.Duration(20+rand.IntN(600)) * time.Millisecond)
		}
		server.kill()
		checkServerLogUnlessEmpty(t, server.log.String())
		if server = s.start(dir); t.Failed() {
			break
		}
	}
	time.Sleep(300 * time.Millisecond)
	close(s.stop)
	clients.Wait()
	s.repeatAll()
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	opened(t, dir, s.judge)
	t.Logf("%d kills, %d answers, %d tries without one", kills, len(s.told), s.repeated)
}

func checkServerLogUnlessEmpty(t *testing.T, log string) {
	t.Helper()
	if log != "" {
		checkServerLog(t, log)
	}
}

// storm is what the clients do and what they were told.
type storm struct {
	t    *testing.T
	shop *shop
	stop chan struct{}

	mu       sync.Mutex // guards what follows
	told     []acknowledged
	repeated int                 // tries that got no answer
	kinds    map[ledger.Kind]int // entries that must be there
	states   map[int64]string    // of consents, as told last
	again    []repeatable        // calls with an idempotency key
	erased   map[string]bool     // addresses
}

// repeatable is a call that can be sent again.
type repeatable struct {
	email string
	send  func() error
}

func newStorm(t *testing.T, shop *shop) *storm {
	return &storm{t: t, shop: shop, stop: make(chan struct{}), kinds: map[ledger.Kind]int{}, states: map[int64]string{}, erased: map[string]bool{}}
}

// start starts the server and tells the clients where it is.
func (s *storm) start(dir string) *child {
	s.t.Helper()
	server, err := startChild(dir)
	if err != nil {
		close(s.stop)
		s.t.Fatal(err)
	}
	s.t.Cleanup(server.kill)
	s.shop.url.Store(&server.url)
	return server
}

// until repeats a call until the server answers it.
func until[T any](s *storm, call func(context.Context) (T, error)) (T, error) {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		answer, err := call(s.t.Context())
		if err == nil || !unanswered(err) || time.Now().After(deadline) {
			return answer, err
		}
		s.mu.Lock()
		s.repeated++
		s.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// client has one person after the other come, until it is told to stop.
func (s *storm) client(c int) {
	for n := 0; ; n++ {
		select {
		case <-s.stop:
			return
		default:
		}
		if err := s.person(c, n); err != nil {
			s.t.Errorf("client %d, person %d: %v", c, n, err)
			return
		}
	}
}

// person lives one of six lives.
func (s *storm) person(c, n int) error {
	email, life := fmt.Sprintf("c%d.%d@example.org", c, n), rand.IntN(16)
	if life == 0 { // objects without ever having asked
		return s.withdraw(email, ledger.ObjectionRecorded, "objected")
	}
	token, err := s.request(email)
	if err != nil || life < 4 { // never clicks
		return err
	}
	if err := s.confirm(token); err != nil {
		return err
	}
	if err := s.check(email, "confirmed"); err != nil || life < 9 { // stays
		return err
	}
	if life == 9 { // is forgotten
		return s.erase(email)
	}
	if err := s.withdraw(email, ledger.ConsentWithdrawn, "withdrawn"); err != nil {
		return err
	}
	return s.check(email, "withdrawn")
}

// note keeps what a client was told.
func (s *storm) note(kind ledger.Kind, state string, consents []*appv1.Consent, again ...repeatable) error {
	a, err := acknowledge(kind, consents)
	if err != nil {
		return err
	}
	if a.state != state {
		return fmt.Errorf("%s: the state is %s, want %s", kind, a.state, state)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, a)
	s.kinds[kind]++
	s.states[a.consent] = state
	s.again = append(s.again, again...)
	return nil
}

// same checks that a repeated call is answered with the same entry.
func same(first []*appv1.Consent, again []*appv1.Consent, err error) error {
	if err != nil {
		return err
	}
	if len(again) != 1 || again[0].ConsentId != first[0].ConsentId || again[0].Entry.Index != first[0].Entry.Index ||
		string(again[0].Entry.LeafHash) != string(first[0].Entry.LeafHash) {
		return fmt.Errorf("consent %d, entry %d: a repeated request has another answer", first[0].ConsentId, first[0].Entry.Index)
	}
	return nil
}

func (s *storm) request(email string) (token string, err error) {
	send := func(ctx context.Context) (*appv1.RequestConsentResponse, error) {
		return s.shop.client().RequestConsent(ctx, request(email, "request of "+email))
	}
	resp, err := until(s, send)
	if err != nil {
		return "", err
	}
	return resp.GetToken(), s.note(ledger.ConsentRequested, "requested", resp.Consents, repeatable{email, func() error {
		again, err := send(s.t.Context())
		if err == nil && again.GetToken() != resp.GetToken() {
			err = errors.New("a repeated request has another token")
		}
		return same(resp.Consents, again.GetConsents(), err)
	}})
}

func (s *storm) confirm(token string) error {
	resp, err := until(s, func(ctx context.Context) (*appv1.ConfirmConsentResponse, error) {
		return s.shop.client().ConfirmConsent(ctx, &appv1.ConfirmConsentRequest{Token: token, Claims: map[string]string{"ip": "203.0.113.42"}})
	})
	if err != nil {
		return err
	}
	return s.note(ledger.ConsentConfirmed, "confirmed", resp.Consents)
}

func (s *storm) withdraw(email string, kind ledger.Kind, state string) error {
	send := func(ctx context.Context) (*appv1.WithdrawConsentResponse, error) {
		return s.shop.client().WithdrawConsent(ctx, &appv1.WithdrawConsentRequest{Subject: subject(email), Method: "one_click",
			Claims: map[string]string{"reason": "too many"}, IdempotencyKey: "withdrawal of " + email, Proof: "none"})
	}
	resp, err := until(s, send)
	if err != nil {
		return err
	}
	return s.note(kind, state, resp.Withdrawn, repeatable{email, func() error {
		again, err := send(s.t.Context())
		return same(resp.Withdrawn, again.GetWithdrawn(), err)
	}})
}

// erase has a person forgotten. Whoever repeats an erasure that was carried out
// is told that there is nobody.
func (s *storm) erase(email string) error {
	_, err := until(s, func(ctx context.Context) (*appv1.EraseSubjectResponse, error) {
		return s.shop.client().EraseSubject(ctx, &appv1.EraseSubjectRequest{Subject: subject(email), Reason: "art17", Mode: "shred_now"})
	})
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return err
	}
	s.mu.Lock()
	s.kinds[ledger.SubjectErased]++
	s.erased[email] = true
	s.mu.Unlock()
	return s.check(email, "unknown_subject")
}

func (s *storm) check(email, reason string) error {
	resp, err := until(s, func(ctx context.Context) (*appv1.CheckConsentResponse, error) {
		return s.shop.client().CheckConsent(ctx, &appv1.CheckConsentRequest{Subject: subject(email), Purpose: "newsletter", Channel: "email"})
	})
	if err == nil && (resp.Reason != reason || resp.Allowed != (reason == "confirmed")) {
		err = fmt.Errorf("a check answers %v (%s), want %s", resp.Allowed, resp.Reason, reason)
	}
	return err
}

// repeatAll sends calls with an idempotency key once more, at most a thousand of
// them. Those about people who were erased since find nobody. judge finds out
// whether one of them was recorded.
func (s *storm) repeatAll() {
	rand.Shuffle(len(s.again), func(i, j int) { s.again[i], s.again[j] = s.again[j], s.again[i] })
	for _, again := range s.again[:min(len(s.again), 1000)] {
		err := again.send()
		if s.erased[again.email] && connect.CodeOf(err) == connect.CodeNotFound {
			continue
		}
		if err != nil || s.erased[again.email] {
			s.t.Errorf("repeated, person erased %v: %v", s.erased[again.email], err)
		}
	}
}

// judge compares the log with what the clients were told.
func (s *storm) judge(svc *service.Service) {
	compare(s.t, svc, s.told)
	report := sound(s.t, svc)
	snap := svc.Log().Snapshot()
	defer snap.Release()
	kinds := map[ledger.Kind]int{}
	err := snap.Entries(0, int(snap.Size()), func(_ ledger.Index, text []byte) error {
		e, err := ledger.ParseEntry(text)
		if err == nil {
			kinds[e.Kind]++
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for kind, want := range s.kinds {
		if kinds[kind] != want {
			s.t.Errorf("%s: %d entries, want %d", kind, kinds[kind], want)
		}
	}
	for id, state := range s.states {
		if c, ok, err := snap.Consent(ledger.ConsentID(id)); err != nil || !ok || c.State.String() != state {
			s.t.Errorf("consent %d is %v, %v; its client was told %s: %v", id, c.State, ok, state, err)
		}
	}
	if want := len(s.states); report.Consents != want || report.Erased != s.kinds[ledger.SubjectErased] || report.Held != want-report.Erased {
		s.t.Errorf("%d consents, %d erased, %d held; the clients have %d and erased %d", report.Consents, report.Erased, report.Held,
			want, s.kinds[ledger.SubjectErased])
	}
	if len(s.told) < 100 || s.repeated == 0 {
		s.t.Errorf("only %d answers and %d repeated requests: that was no test", len(s.told), s.repeated)
	}
	s.t.Logf("entries: %v", kinds)
}
