package service

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// newLimited is newDated with the limit that a ledger has by itself.
func newLimited(t testing.TB) (*fixture, *calendar) {
	t.Helper()
	cal := &calendar{at: on(noon)}
	return newService(t, func(o *Options) { o.testOnlyClock, o.MaxConfirmationMails = cal.now, 0 }), cal
}

// tooMany checks that one more mail is refused until a moment, and that nothing of
// the try is left.
func (f *fixture) tooMany(ask ConsentRequest, until string) {
	f.t.Helper()
	before := f.size()
	_, err := f.s.RequestConsent(ctx, shop, ask)
	refused(f.t, err, refusal.ResourceExhausted, "confirmation_mails")
	if err != nil && (!strings.Contains(err.Error(), until) || strings.Contains(err.Error(), "@")) {
		f.t.Errorf("the refusal %q does not name %s", err, until)
	}
	f.wrote(before, "")
}

// Three mails within any 24 hours, not within a day of the calendar.
func TestThreeMailsADay(t *testing.T) {
	t.Parallel()
	f, cal := newLimited(t)
	const a = "a@example.com"
	for _, at := range []string{"2027-03-01T12:00:00.3Z", "2027-03-01T23:59:59Z", "2027-03-02T00:00:01Z"} {
		cal.set(on(at))
		f.request(a)
	}
	f.tooMany(asking(a), "2027-03-02T12:00:01Z")
	cal.set(on("2027-03-02T12:00:00.299999Z"))
	f.tooMany(asking(a), "2027-03-02T12:00:01Z")
	cal.set(on("2027-03-02T12:00:00.3Z"))
	last := f.request(a)
	f.tooMany(asking(a), "2027-03-02T23:59:59Z")
	cal.set(on("2027-03-02T23:59:59Z"))
	f.request(a)
	f.tooMany(asking(a), "2027-03-03T00:00:01Z")
	f.reopen()
	f.tooMany(asking(a), "2027-03-03T00:00:01Z")
	// Clicks are no mails, and a confirmed request was one.
	f.confirm(last.Token)
	f.tooMany(asking(a), "2027-03-03T00:00:01Z")
	// What a caller says happened when is not what counts.
	late := asking(a)
	late.OccurredAt = on("2027-02-01T12:00:00Z")
	f.tooMany(late, "2027-03-03T00:00:01Z")
	cal.set(on("2027-03-10T00:00:00Z"))
	for range 3 {
		f.ask(late)
	}
	f.tooMany(late, "2027-03-11T00:00:00Z")
}

// Requests and resends count together, per person and channel.
func TestWhatCountsAsMail(t *testing.T) {
	t.Parallel()
	f, cal := newLimited(t)
	const a = "a@example.com"
	old := f.request(a, newsletter, offers)
	cal.pass(5 * 24 * time.Hour)
	// A resend of an old request counts when it is made, once for all its consents.
	f.withdraw(Withdrawal{ConsentIDs: ids(old.Consents)[1:]}) // the newest of the two
	f.resend(Resend{ConsentIDs: ids(old.Consents)})
	cal.pass(time.Hour)
	_, lock := drawn(1)
	f.resend(Resend{ConsentIDs: ids(old.Consents), Lock: lock})
	cal.pass(time.Hour)
	third := f.request(a, newsletter, offers, account) // one mail for three purposes
	full := "2027-03-07T12:00:00Z"
	f.tooMany(asking(a), full)
	f.tooMany(asking(a, account), full)
	before := f.size()
	for _, r := range []*Requested{old, third} {
		_, err := f.s.ResendConfirmation(ctx, other, Resend{ConsentIDs: ids(r.Consents)})
		refused(t, err, refusal.ResourceExhausted, "confirmation_mails")
	}
	f.wrote(before, "")

	// Another channel, another person, and the same person by another name.
	push := asking(a)
	push.Channel = "push"
	f.ask(push)
	f.request("b@example.com")
	f.request("A+1@example.com")
	f.link(Link{Subject: email(a), Add: external("customer-1")})
	byNumber := asking(a)
	byNumber.Subject = external("customer-1")
	f.tooMany(byNumber, full)
	f.tooMany(asking("A@EXAMPLE.COM"), full)
	// Consent that is given or objected to sends no mail.
	f.withdraw(Withdrawal{Subject: email("c@example.com")})
	for _, purpose := range []string{newsletter, offers, account} {
		given := Giving{Subject: email("c@example.com"), Purposes: []string{purpose}, Channel: "email", Notice: wording, Method: "paper"}
		if _, err := f.s.GiveConsent(ctx, shop, given); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		f.request("c@example.com")
	}
	f.tooMany(asking("c@example.com"), "2027-03-07T14:00:00Z")
	// Whoever was erased is a stranger, of whom nothing is counted.
	f.erase("c@example.com")
	f.request("c@example.com")
}

// A retry is the same mail, and a refused try leaves no bytes behind.
func TestMailLimitAndRetries(t *testing.T) {
	t.Parallel()
	f, _ := newLimited(t)
	ask := asking("a@example.com")
	ask.Attachments = []Attachment{{Claim: "form_snapshot", MediaType: "text/html", Bytes: bytes.Repeat([]byte("<p>form</p>"), 100)}}
	for i := range 3 {
		ask.IdempotencyKey = fmt.Sprint("mail ", i)
		f.ask(ask)
	}
	before := f.size()
	for i := range 3 {
		ask.IdempotencyKey = fmt.Sprint("mail ", i)
		f.ask(ask)
	}
	f.wrote(before, "")
	ask.IdempotencyKey = "mail 3"
	f.tooMany(ask, "2027-03-02T12:00:00Z")
	f.close()
	if n := countRows(t, f.opt.Dir+"/vault", func(key []byte) bool { return key[0] == 'b' }); n != 3 {
		t.Errorf("%d rows of attachments, want 3", n)
	}
	f.open()
}

// However many ask at once for one person, three get through.
func TestMailLimitAtOnce(t *testing.T) {
	t.Parallel()
	f, cal := newLimited(t)
	for _, known := range []bool{true, false} {
		who := fmt.Sprintf("known%v@example.com", known)
		if known {
			f.request(who)
			cal.pass(48 * time.Hour)
		}
		var mu sync.Mutex
		var won, lost int
		var calls []func()
		for range 12 {
			calls = append(calls, func() {
				_, err := f.s.RequestConsent(ctx, shop, asking(who))
				mu.Lock()
				defer mu.Unlock()
				var no *refusal.Error
				if err == nil {
					won++
				} else if errors.As(err, &no) && no.Code == refusal.ResourceExhausted {
					lost++
				} else {
					t.Error(err)
				}
			})
		}
		f.together(calls...)
		if won != 3 || lost != 9 {
			t.Errorf("%s: %d requests were recorded, %d refused", who, won, lost)
		}
	}
}

func TestMailLimits(t *testing.T) {
	t.Parallel()
	f := newService(t, func(o *Options) { o.MaxConfirmationMails = 1 })
	f.request("a@example.com")
	_, err := f.s.RequestConsent(ctx, shop, asking("a@example.com"))
	refused(t, err, refusal.ResourceExhausted, "confirmation_mails")
	// A limit that was lowered: all but the newest must be forgotten.
	g, cal := newLimited(t)
	for range 3 {
		cal.pass(time.Hour)
		g.request("a@example.com")
	}
	g.opt.MaxConfirmationMails = 1
	g.reopen()
	g.tooMany(asking("a@example.com"), "2027-03-02T15:00:00Z")
	g.opt.MaxConfirmationMails = 2
	g.reopen()
	g.tooMany(asking("a@example.com"), "2027-03-02T14:00:00Z")
	opt := f.opt
	opt.Dir, opt.MaxConfirmationMails = t.TempDir(), mostMaxMails+1
	if s, err := Open(opt); err == nil || !strings.Contains(err.Error(), "confirmation mails") {
		t.Errorf("a limit of %d: %v", opt.MaxConfirmationMails, err)
		if err == nil {
			s.Close()
		}
	}
}

// BenchmarkMailLimit records one more request a day of somebody who asked often,
// long ago: the one writer must not feel how often.
func BenchmarkMailLimit(b *testing.B) {
	for _, before := range []int{1, 5000} {
		b.Run(fmt.Sprintf("before=%d", before), func(b *testing.B) {
			f := newService(b, asServed)
			f.requests("again@example.com", before)
			f.s.maxMails = defaultMaxMails
			f.clock.advance(maxLifetime + 2*mailWindow)
			for b.Loop() {
				f.request("again@example.com")
				f.clock.advance(mailWindow / 2)
			}
		})
	}
}

// The count agrees with a naive one over the whole log, whatever was asked for
// whom, when.
func TestMailCountAgainstLog(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	people := []string{"a@example.com", "b@example.com"}
	var open []*Requested
	for n := range 60 {
		cal.pass(time.Duration(n%7+1) * 67 * time.Minute)
		who := people[n%2]
		switch {
		case n%5 == 3 && len(open) > 0:
			_, lock := drawn(n)
			if n%2 == 1 {
				lock = nil
			}
			_, err := f.s.ResendConfirmation(ctx, shop, Resend{ConsentIDs: ids(open[n%len(open)].Consents), Lock: lock})
			var no *refusal.Error
			if err != nil && !(errors.As(err, &no) && slices.Contains([]string{"token_expired", "request_closed"}, no.At)) {
				t.Fatal(err)
			}
		case n%11 == 10:
			f.withdraw(Withdrawal{Subject: email(who), Purposes: []string{newsletter}})
		case n%7 == 6 && len(open) > 0:
			_, err := f.s.ConfirmConsent(ctx, shop, Click{Token: open[len(open)-1].Token})
			var no *refusal.Error
			if err != nil && !errors.As(err, &no) { // it may have ended
				t.Fatal(err)
			}
		default:
			open = append(open, f.request(who, [][]string{{newsletter}, {newsletter, offers}, {account}}[n%3]...))
		}
		for _, who := range people {
			if got, want := f.mailsSince(who, cal.now().Add(-mailWindow)), f.naiveMails(who, cal.now().Add(-mailWindow)); got != want {
				t.Fatalf("step %d: %d mails to %s, want %d", n, got, who, want)
			}
		}
	}
}

// mailsSince counts as the recorder does.
func (f *fixture) mailsSince(who string, since time.Time) (n int) {
	f.t.Helper()
	id, err := email(who).normalise("subject")
	if err != nil {
		f.t.Fatal(err)
	}
	err = f.s.do(ctx, shop, func(t *turn) error {
		subject, ok, err := t.vault.FindSubject(id.inVault())
		if !ok || err != nil {
			return err
		}
		times, err := t.mailsSince(subject, "email", since)
		n = len(times)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// naiveMails goes through the whole log.
func (f *fixture) naiveMails(who string, since time.Time) (n int) {
	f.t.Helper()
	list, err := f.s.ListConsents(ctx, email(who))
	if err != nil {
		f.t.Fatal(err)
	}
	mine := map[ledger.ConsentID]bool{}
	requests := map[ledger.ConsentID]bool{}
	for _, c := range list {
		mine[c.ID] = true
	}
	for _, e := range f.entriesFrom(0) {
		id := ledger.ConsentID(e.Index)
		switch {
		case !e.Time.After(since):
		case e.Kind == ledger.ConsentRequested && mine[id]:
			requests[f.now(id).Request] = true
		case e.Kind == ledger.ConfirmationResent && mine[e.About[0]]:
			n++
		}
	}
	return n + len(requests)
}
