package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func (f *fixture) resend(r Resend) *Resent {
	f.t.Helper()
	answer, err := f.s.ResendConfirmation(ctx, shop, r)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer
}

// drawnRequest is a request whose token a mailer drew.
func (f *fixture) drawnRequest(address string, n int, purposes ...string) (r *Requested, token string) {
	f.t.Helper()
	token, lock := drawn(n)
	ask := asking(address, purposes...)
	ask.Lock = lock
	return f.ask(ask), token
}

// The same token once more: nothing of the request changes.
func TestResendSameToken(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	r := f.request("a@example.com", newsletter, offers)
	cal.pass(6 * 24 * time.Hour)
	before := f.size()
	ask := Resend{ConsentIDs: ids(r.Consents)[1:], OccurredAt: cal.now().Add(-time.Minute), IdempotencyKey: "once more", Proof: true}
	again := f.resend(ask)
	if again.Token != r.Token || !again.ExpiresAt.Equal(r.ExpiresAt) || again.Entry.Index != ledger.Index(before) || again.Entry.Receipt == "" {
		t.Errorf("resent %+v", again)
	}
	e := f.entriesFrom(before)[0]
	if e.Kind != ledger.ConfirmationResent || fmt.Sprint(e.About) != fmt.Sprint(ids(r.Consents)) || e.Lock != (ledger.Hash{}) ||
		e.Former != (ledger.Hash{}) || !e.Expires.IsZero() || !e.Occurred.Equal(ask.OccurredAt) {
		t.Errorf("recorded %+v", e)
	}
	f.reopen()
	if retry := f.resend(ask); retry.Token != again.Token || !retry.ExpiresAt.Equal(again.ExpiresAt) || retry.Entry.Leaf != again.Entry.Leaf {
		t.Errorf("a retry answers %+v", retry)
	}
	f.wrote(before, "confirmation.resent")
	f.checks("a@example.com", offers, "pending")
	if c := f.confirm(again.Token); len(c.Consents) != 2 {
		t.Errorf("confirmed %+v", c)
	}
	if retry := f.resend(ask); retry.Token != again.Token { // also now
		t.Errorf("a retry after the click answers %+v", retry)
	}
}

// A further token beside the earlier ones: each is good until its own end, and one
// click is the click.
func TestResendNewLock(t *testing.T) {
	t.Parallel()
	for name, drawer := range map[string]func(f *fixture) (*Requested, string){
		"the ledger drew the first": func(f *fixture) (*Requested, string) {
			r := f.request("a@example.com", newsletter, offers)
			return r, r.Token
		},
		"the caller drew the first": func(f *fixture) (*Requested, string) { return f.drawnRequest("a@example.com", 1, newsletter, offers) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, cal := newDated(t)
			type links struct {
				r      *Requested
				tokens [3]string
			}
			ask := func() (l links) {
				l.r, l.tokens[0] = drawer(f)
				former := ledger.Lock(l.tokens[0])
				for i := range 2 {
					cal.pass(2 * 24 * time.Hour)
					token, lock := drawn(int(f.size()))
					l.tokens[i+1] = token
					before := f.size()
					again := f.resend(Resend{ConsentIDs: ids(l.r.Consents), Lock: lock})
					e := f.entriesFrom(before)[0]
					if again.Token != "" || !again.ExpiresAt.Equal(cal.now().Add(7*24*time.Hour)) || e.Lock != *lock || e.Former != former ||
						!e.Expires.Equal(again.ExpiresAt) || len(e.About) != 2 {
						t.Errorf("resent %+v, recorded %+v", again, e)
					}
					former = *lock
				}
				return l
			}
			// Any one of the three confirms, and then all three answer alike. Four days have
			// passed since the first mail.
			for n := range 3 {
				if n > 0 && name == "the caller drew the first" {
					break // its one token is used
				}
				l := ask()
				c := f.confirm(l.tokens[n])
				if c.AlreadyConfirmed || len(c.Consents) != 2 {
					t.Errorf("link %d answers %+v", n, c)
				}
				for i, token := range l.tokens {
					again, err := f.s.ConfirmConsent(ctx, shop, Click{Token: token})
					if err != nil || !again.AlreadyConfirmed || shows(again.Consents) != shows(c.Consents) {
						t.Errorf("link %d after link %d: %+v, %v", i, n, again, err)
					}
					_, err = f.s.RejectConfirmation(ctx, shop, Click{Token: token})
					refused(t, err, refusal.FailedPrecondition, "already_confirmed")
				}
				if cal.pass(24 * time.Hour); t.Failed() {
					return
				}
				f.withdraw(Withdrawal{Subject: email("a@example.com")})
				for _, token := range l.tokens {
					_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: token})
					refused(t, err, refusal.FailedPrecondition, "withdrawn")
				}
			}
		})
	}
}

// The links of one request end one after the other; the request waits for the last.
func TestLinksEndInTurn(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	first := f.request("a@example.com")
	cal.pass(3 * 24 * time.Hour)
	token, lock := drawn(1)
	f.resend(Resend{ConsentIDs: ids(first.Consents), Lock: lock})
	cal.set(first.ExpiresAt.Add(time.Second))
	_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: first.Token})
	refused(t, err, refusal.FailedPrecondition, "token_expired")
	_, err = f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(first.Consents)})
	refused(t, err, refusal.FailedPrecondition, "token_expired")
	f.checks("a@example.com", newsletter, "pending")
	f.retained("")
	f.confirm(token)
	if c, err := f.s.ConfirmConsent(ctx, shop, Click{Token: first.Token}); err != nil || !c.AlreadyConfirmed {
		t.Errorf("the first link after the second: %+v, %v", c, err)
	}

	// Nobody clicks: when the last link has ended the request has lapsed, whichever
	// link is tried.
	r := f.request("b@example.com")
	other, lock := drawn(2)
	cal.pass(time.Hour)
	second := f.resend(Resend{ConsentIDs: ids(r.Consents), Lock: lock})
	cal.set(second.ExpiresAt)
	f.checks("b@example.com", newsletter, "pending")
	f.retained("")
	cal.pass(time.Second)
	f.checks("b@example.com", newsletter, "lapsed")
	_, unused := drawn(3)
	refuses := func(at string) {
		t.Helper()
		for _, token := range []string{r.Token, other} {
			_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: token})
			refused(t, err, refusal.FailedPrecondition, "token_expired")
		}
		for _, lock := range []*ledger.Hash{nil, unused} {
			_, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(r.Consents), Lock: lock})
			refused(t, err, refusal.FailedPrecondition, at)
		}
	}
	refuses("token_expired")
	before := f.size()
	f.retained("request.expired")
	if e := f.entriesFrom(before)[0]; e.Lock != ledger.Lock(other) {
		t.Errorf("the request expired by the lock %v, want that of the newest link", e.Lock)
	}
	refuses("request_closed")
}

// retained runs retention and checks what it wrote.
func (f *fixture) retained(want string) {
	f.t.Helper()
	before := f.size()
	if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
		f.t.Fatal(err)
	}
	f.wrote(before, want)
}

// now gives a consent as the log has it.
func (f *fixture) now(id ledger.ConsentID) ledger.Consent {
	f.t.Helper()
	snap := f.s.Log().Snapshot()
	defer snap.Release()
	c, ok, err := snap.Consent(id)
	if !ok || err != nil {
		f.t.Fatalf("consent %d: %v, %v", id, ok, err)
	}
	return c
}

func TestRefusedResends(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	refuses := func(r Resend, code refusal.Code, at string) {
		t.Helper()
		before := f.size()
		_, err := f.s.ResendConfirmation(ctx, shop, r)
		refused(t, err, code, at)
		f.wrote(before, "")
	}
	r := f.request("a@example.com")
	stranger := f.request("b@example.com")
	refuses(Resend{}, refusal.InvalidArgument, "consent_ids")
	refuses(Resend{ConsentIDs: append(ids(r.Consents), ids(r.Consents)...)}, refusal.InvalidArgument, "consent_ids[1]")
	refuses(Resend{ConsentIDs: append(ids(r.Consents), ids(stranger.Consents)...)}, refusal.InvalidArgument, "consent_ids[1]")
	refuses(Resend{ConsentIDs: []ledger.ConsentID{1}}, refusal.NotFoundCode, "consent_ids[0]")
	refuses(Resend{ConsentIDs: []ledger.ConsentID{1 << 40}}, refusal.NotFoundCode, "consent_ids[0]")
	refuses(Resend{ConsentIDs: ids(r.Consents), OccurredAt: cal.now().Add(time.Hour)}, refusal.InvalidArgument, "occurred_at")

	// A lock that any request ever had, its own included.
	mine, theirs := ledger.Lock(r.Token), ledger.Lock(stranger.Token)
	refuses(Resend{ConsentIDs: ids(r.Consents), Lock: &mine}, refusal.FailedPrecondition, "lock_used")
	refuses(Resend{ConsentIDs: ids(r.Consents), Lock: &theirs}, refusal.FailedPrecondition, "lock_used")
	_, lock := drawn(1)
	f.resend(Resend{ConsentIDs: ids(r.Consents), Lock: lock})
	refuses(Resend{ConsentIDs: ids(r.Consents), Lock: lock}, refusal.FailedPrecondition, "lock_used")
	refuses(Resend{ConsentIDs: ids(stranger.Consents), Lock: lock}, refusal.FailedPrecondition, "lock_used")
	taken := asking("c@example.com")
	taken.Lock = lock
	_, err := f.s.RequestConsent(ctx, shop, taken)
	refused(t, err, refusal.FailedPrecondition, "lock_used")
	f.confirm(stranger.Token)
	refuses(Resend{ConsentIDs: ids(r.Consents), Lock: &theirs}, refusal.FailedPrecondition, "lock_used")

	// Nothing waits any more, whatever became of it.
	_, fresh := drawn(2)
	ended := map[string]*Requested{"confirmed": stranger, "rejected": f.request("r@example.com"), "withdrawn": f.request("w@example.com")}
	if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: ended["rejected"].Token}); err != nil {
		t.Fatal(err)
	}
	f.withdraw(Withdrawal{Subject: email("w@example.com")})
	for _, r := range ended {
		refuses(Resend{ConsentIDs: ids(r.Consents)}, refusal.FailedPrecondition, "request_closed")
		refuses(Resend{ConsentIDs: ids(r.Consents), Lock: fresh}, refusal.FailedPrecondition, "request_closed")
	}
	objection := f.withdraw(Withdrawal{Subject: email("o@example.com")})
	refuses(Resend{ConsentIDs: ids(objection)}, refusal.FailedPrecondition, "request_closed")

	// A token that the caller drew cannot be drawn again here.
	d, token := f.drawnRequest("d@example.com", 3)
	refuses(Resend{ConsentIDs: ids(d.Consents)}, refusal.FailedPrecondition, "lock")
	f.resend(Resend{ConsentIDs: ids(d.Consents), Lock: fresh})
	refuses(Resend{ConsentIDs: ids(d.Consents)}, refusal.FailedPrecondition, "lock")
	f.confirm(token)

	// Whoever is erased is a stranger.
	f.erase("a@example.com")
	refuses(Resend{ConsentIDs: ids(r.Consents)}, refusal.NotFoundCode, "consent_ids[0]")
}

// A resend is about what still waits, whichever of the request is named.
func TestResendOfWhatWaits(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	r := f.request("a@example.com", newsletter, offers, account)
	all := ids(r.Consents)
	f.withdraw(Withdrawal{ConsentIDs: all[:1]})
	_, lock := drawn(1)
	before := f.size()
	f.resend(Resend{ConsentIDs: all[:1], Lock: lock}) // the one that does not wait
	f.resend(Resend{ConsentIDs: all})
	f.withdraw(Withdrawal{ConsentIDs: all[2:]})
	token, lock := drawn(2)
	f.resend(Resend{ConsentIDs: all, Lock: lock})
	log := f.entriesFrom(before)
	for i, want := range map[int]string{0: fmt.Sprint(all[1:]), 1: fmt.Sprint(all[1:]), 3: fmt.Sprint(all[1:2])} {
		if got := fmt.Sprint(log[i].About); got != want {
			t.Errorf("entry %d mentions %s, want %s", log[i].Index, got, want)
		}
	}
	cal.pass(time.Hour)
	if c := f.confirm(token); len(c.Consents) != 1 || c.Consents[0].Purpose != offers {
		t.Errorf("confirmed %s", shows(c.Consents))
	}
}

// A newer link never ends before an older one, and none later than any link may:
// whoever does not answer is left alone in the end.
func TestResendsEnd(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const day = 24 * time.Hour
	f.define(PurposeDefinition{ID: "patient", DoubleOptIn: true, TokenLifetime: 40 * day})
	f.define(PurposeDefinition{ID: "impatient", DoubleOptIn: true, TokenLifetime: 50 * day})
	ask := asking("a@example.com", "patient", "impatient")
	ask.Notice = f.covering("patient", "impatient")
	asked := cal.now()
	r := f.ask(ask)
	resend := func(n int) *Resent {
		t.Helper()
		_, lock := drawn(n)
		return f.resend(Resend{ConsentIDs: ids(r.Consents), Lock: lock})
	}
	if want := asked.Add(40 * day); !r.ExpiresAt.Equal(want) {
		t.Errorf("asked until %v, want %v", r.ExpiresAt, want)
	}
	cal.pass(10 * day)
	if e := resend(1); !e.ExpiresAt.Equal(asked.Add(50 * day)) {
		t.Errorf("resent until %v", e.ExpiresAt)
	}
	f.define(PurposeDefinition{ID: "impatient", DoubleOptIn: true, TokenLifetime: time.Hour})
	cal.pass(10 * day)
	if e := resend(2); !e.ExpiresAt.Equal(asked.Add(50 * day)) { // not in an hour
		t.Errorf("resent until %v", e.ExpiresAt)
	}
	f.define(PurposeDefinition{ID: "impatient", DoubleOptIn: true, TokenLifetime: 60 * day})
	cal.pass(25 * day)
	if e := resend(3); !e.ExpiresAt.Equal(asked.Add(85 * day)) {
		t.Errorf("resent until %v", e.ExpiresAt)
	}
	cal.pass(10 * day)
	if e := resend(4); !e.ExpiresAt.Equal(asked.Add(90 * day)) { // not in 40 days
		t.Errorf("resent until %v", e.ExpiresAt)
	}
	cal.set(asked.Add(90*day - time.Second))
	if e := resend(5); !e.ExpiresAt.Equal(asked.Add(90 * day)) {
		t.Errorf("resent until %v", e.ExpiresAt)
	}
	cal.pass(time.Second)
	_, lock := drawn(6)
	_, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(r.Consents), Lock: lock})
	refused(t, err, refusal.FailedPrecondition, "token_expired")
}

// What an operator typed in does not get past the suppression list by a resend
// either; what the person asked for does.
func TestResendToSuppressed(t *testing.T) {
	t.Parallel()
	f, _ := newDated(t)
	for who, method := range map[string]string{"paper@example.com": "paper", "own@example.com": "web_form"} {
		ask := asking(who)
		ask.Method = method
		r := f.ask(ask)
		f.resend(Resend{ConsentIDs: ids(r.Consents)})
		if _, _, err := f.s.AddSuppression(ctx, shop, Suppression{Subject: email(who)}); err != nil {
			t.Fatal(err)
		}
		_, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(r.Consents)})
		if byOperator(method) {
			refused(t, err, refusal.FailedPrecondition, "suppressed")
		} else if err != nil {
			t.Error(err)
		}
	}
}

// Two resends of one request at once: one lock succeeds the other.
func TestResendsAtOnce(t *testing.T) {
	t.Parallel()
	f := newService(t)
	r := f.request("a@example.com")
	tokens := make([]string, 5)
	var calls []func()
	for i := range tokens {
		token, lock := drawn(i)
		tokens[i] = token
		calls = append(calls, func() {
			if _, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(r.Consents), Lock: lock}); err != nil {
				t.Error(err)
			}
		})
	}
	before := f.size()
	f.together(calls...)
	former := ledger.Lock(r.Token)
	for _, e := range f.entriesFrom(before) {
		if e.Former != former {
			t.Errorf("entry %d succeeds another lock than the newest", e.Index)
		}
		former = e.Lock
	}
	f.confirm(tokens[3])
	for _, token := range append(tokens, r.Token) {
		if c := f.confirm(token); !c.AlreadyConfirmed {
			t.Error("a second click confirms")
		}
	}
}
