package service

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// together runs calls as one group, queued in their order: the recorder is kept
// busy until all of them wait.
func (f *fixture) together(calls ...func()) {
	f.t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	start := func(call func()) <-chan struct{} {
		done := make(chan struct{})
		wg.Add(1)
		go func() { defer wg.Done(); defer close(done); call() }()
		return done
	}
	start(func() {
		_ = f.s.recorder.do(ctx, &task{source: shop, decide: func(*turn) error {
			close(held)
			<-free
			return errors.New("leaves no trace")
		}})
	})
	<-held
	for _, call := range calls {
		before, done := len(f.s.recorder.queue), start(call)
		for len(f.s.recorder.queue) == before {
			select {
			case <-done: // refused before it reached the recorder
				before = -1
			case <-time.After(50 * time.Microsecond):
			}
		}
	}
	close(free)
	wg.Wait()
}

// scene is one person, or a name for something of the registry, on which two
// calls conflict.
type scene struct {
	f     *fixture
	n     int64
	who   string
	setup *Requested // the request that setup made, nil for a stranger
	from  ledger.Size
	key   string
	token string
	lock  *ledger.Hash
}

var scenes atomic.Int64

func (f *fixture) scene(setup string) *scene {
	f.t.Helper()
	n := scenes.Add(1)
	c := &scene{f: f, n: n, who: fmt.Sprintf("person%d@example.com", n), key: fmt.Sprintf("key %d", n)}
	c.token, c.lock = drawn(int(n) + 1000)
	if setup != "stranger" {
		c.setup = f.request(c.who, newsletter, offers)
		f.identify(email(c.who))
	}
	switch setup {
	case "confirmed":
		f.confirm(c.setup.Token)
	case "restricted":
		f.restrict(c.who)
	}
	c.from = f.size()
	return c
}

// said is what a caller learns, without what differs from scene to scene.
func (c *scene) said(list []Consent, err error) string {
	var no *refusal.Error
	if errors.As(err, &no) {
		return fmt.Sprintf("%s %s", no.Code, no.At)
	} else if err != nil {
		return err.Error()
	}
	var parts []string
	for _, s := range list {
		// Not the state: an answer shows it as it is when it is given.
		parts = append(parts, fmt.Sprintf("%s/%s by %s", s.Purpose, s.Channel, c.kind(s.Entry.Index)))
	}
	return strings.Join(parts, ", ")
}

func (c *scene) kind(i ledger.Index) ledger.Kind { return c.f.entriesFrom(ledger.Size(i))[0].Kind }

// outcome is how things stand at the end.
func (c *scene) outcome() string {
	var parts []string
	for _, p := range []string{newsletter, offers} {
		d, err := c.f.s.CheckConsent(ctx, Question{Subject: email(c.who), Purpose: p, Channel: "email"})
		parts = append(parts, fmt.Sprint(d.Allowed, d.Reason, err))
	}
	for _, who := range []Subject{email(c.who), email("new-" + c.who), external(c.who)} {
		list, err := c.f.s.ListConsents(ctx, who)
		parts = append(parts, fmt.Sprint(err))
		for _, s := range list {
			parts = append(parts, fmt.Sprint(s.Purpose, s.Channel, s.State, s.Overlays))
		}
		all, err := c.f.s.ListAll(ctx, who)
		parts = append(parts, fmt.Sprint(len(all), err))
		for _, s := range all {
			parts = append(parts, fmt.Sprint(s.State, s.Overlays, s.Holds, !s.LockedUntil.IsZero()))
		}
	}
	kinds := strings.Fields(c.f.kindsFrom(c.from))
	slices.Sort(kinds)
	return fmt.Sprint(parts, kinds)
}

func (c *scene) ids() []ledger.ConsentID {
	if c.setup == nil {
		return []ledger.ConsentID{1 << 40}
	}
	return ids(c.setup.Consents)
}

func (c *scene) click() Click {
	if c.setup == nil {
		return Click{Token: c.token}
	}
	return Click{Token: c.setup.Token}
}

// calls is everything that can be done about one person.
var calls = map[string]func(c *scene) string{
	"request": func(c *scene) string {
		r, err := c.f.s.RequestConsent(ctx, shop, asking(c.who))
		if err != nil {
			return c.said(nil, err)
		}
		return c.said(r.Consents, nil)
	},
	"request with a key": func(c *scene) string {
		ask := asking(c.who, offers)
		ask.IdempotencyKey = c.key
		r, err := c.f.s.RequestConsent(ctx, shop, ask)
		if err != nil {
			return c.said(nil, err)
		}
		return c.said(r.Consents, nil)
	},
	"request with a lock": func(c *scene) string {
		ask := asking(c.who, offers)
		ask.Lock = c.lock
		r, err := c.f.s.RequestConsent(ctx, shop, ask)
		if err != nil {
			return c.said(nil, err)
		}
		return c.said(r.Consents, nil)
	},
	"confirm": func(c *scene) string {
		r, err := c.f.s.ConfirmConsent(ctx, shop, c.click())
		return fmt.Sprint(c.said(r.Consents, err), r.AlreadyConfirmed)
	},
	"confirm with claims": func(c *scene) string {
		click := c.click()
		click.Claims = map[string]string{"ip": "203.0.113.7"}
		r, err := c.f.s.ConfirmConsent(ctx, other, click)
		return fmt.Sprint(c.said(r.Consents, err), r.AlreadyConfirmed)
	},
	"reject": func(c *scene) string {
		list, err := c.f.s.RejectConfirmation(ctx, shop, c.click())
		return c.said(list, err)
	},
	"withdraw": func(c *scene) string {
		list, err := ofWithdrawal(c.f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(c.who), Claims: map[string]string{"reason": "why not"}}))
		return c.said(list, err)
	},
	"withdraw one": func(c *scene) string {
		list, err := ofWithdrawal(c.f.s.WithdrawConsent(ctx, shop, Withdrawal{Subject: email(c.who), Purposes: []string{newsletter}, IdempotencyKey: c.key}))
		return c.said(list, err)
	},
	"withdraw by id": func(c *scene) string {
		list, err := ofWithdrawal(c.f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: c.ids()}))
		return c.said(list, err)
	},
	"restrict": func(c *scene) string {
		list, err := c.f.s.SetRestriction(ctx, shop, Restriction{Subject: email(c.who), Ground: "art18_1_c"})
		return c.said(list, err)
	},
	"lift": func(c *scene) string {
		list, err := c.f.s.LiftRestriction(ctx, shop, c.f.lifting(email(c.who)))
		return c.said(list, err)
	},
	"use": func(c *scene) string {
		_, irregular, err := c.f.s.RecordUses(ctx, shop, Uses{ConsentIDs: c.ids(), Reference: "mailing"})
		said := c.said(nil, err)
		for _, irr := range irregular {
			said += " " + irr.Name + " " + irr.State
		}
		return said
	},
	"sent": func(c *scene) string {
		_, irregular, err := c.f.s.RecordConfirmationSent(ctx, shop, SentMail{ConsentIDs: c.ids(), SHA256: sha256.Sum256([]byte("mail"))})
		said := c.said(nil, err)
		for _, irr := range irregular {
			said += " " + irr.Name + " " + irr.State
		}
		return said
	},
	"erase": func(c *scene) string {
		e, err := c.f.s.EraseSubject(ctx, shop, Erasure{Subject: email(c.who), Reason: "art17", Mode: "shred_now"})
		if err != nil {
			return c.said(nil, err)
		}
		return fmt.Sprint(e.Consents, c.kind(e.Entry.Index), c.kind(e.Shredded.Index))
	},
	"lock": func(c *scene) string {
		e, err := c.f.s.EraseSubject(ctx, shop, Erasure{Subject: email(c.who), Reason: "art17", Mode: "lock_then_shred", IdempotencyKey: c.key})
		if err != nil {
			return c.said(nil, err)
		}
		return fmt.Sprint(e.Consents, c.kind(e.Entry.Index))
	},
	"link": func(c *scene) string {
		e, err := c.f.s.LinkSubject(ctx, shop, Link{Subject: email(c.who), Add: external(c.who)})
		if err != nil {
			return c.said(nil, err)
		}
		return string(c.kind(e.Index))
	},
	"rectify": func(c *scene) string {
		r, err := c.f.s.RectifySubject(ctx, legal, Rectification{Subject: email(c.who), Remove: email(c.who), Add: email("new-" + c.who)})
		if err != nil {
			return c.said(nil, err)
		}
		return string(c.kind(r.Entry.Index)) + c.said(r.Ended, nil)
	},
	"ask": func(c *scene) string {
		r, err := c.f.s.OpenRequest(ctx, legal, RightsRequest{Subject: email(c.who), Article: "art17", Claims: map[string]string{"reference": "letter"}})
		if err != nil {
			return c.said(nil, err)
		}
		return fmt.Sprint(r.Consents, c.kind(r.Entry.Index))
	},
	"hold": func(c *scene) string {
		h, err := c.f.s.SetHold(ctx, legal, HoldRequest{Subject: email(c.who)})
		if err != nil {
			return c.said(nil, err)
		}
		return fmt.Sprint(h.Consents, c.kind(h.Entry.Index))
	},
}

// inOrder gives what happens when a comes before b.
func (f *fixture) inOrder(setup string, a, b func(*scene) string) (saidA, saidB, end string) {
	c := f.scene(setup)
	saidA, saidB = a(c), b(c)
	return saidA, saidB, c.outcome()
}

// atOnce gives what happens when both are in one group.
func (f *fixture) atOnce(setup string, a, b func(*scene) string) (saidA, saidB, end string) {
	c := f.scene(setup)
	f.together(func() { saidA = a(c) }, func() { saidB = b(c) })
	return saidA, saidB, c.outcome()
}

// TestConflicts compares every pair of calls in one group, in both orders, with
// the two ways of running them one after the other.
func TestConflicts(t *testing.T) {
	t.Parallel()
	names := make([]string, 0, len(calls))
	for name := range calls {
		names = append(names, name)
	}
	slices.Sort(names)
	setups := []string{"pending", "stranger", "confirmed", "restricted"}
	if underRace {
		setups = setups[:1]
	}
	for _, setup := range setups {
		t.Run(setup, func(t *testing.T) {
			t.Parallel()
			f := newService(t)
			// Declared before, so that its entry is nobody's doing.
			f.confirm(f.request("other@example.com").Token)
			f.rectify(Rectification{Subject: email("other@example.com"), Add: external("other")})
			if _, err := f.s.WithdrawConsent(ctx, other, Withdrawal{Subject: email("other@example.com")}); err != nil {
				t.Fatal(err)
			}
			for i, a := range names {
				for _, b := range names[i:] {
					f.conflict(setup, a, b)
				}
			}
		})
	}
}

func (f *fixture) conflict(setup, a, b string) {
	f.t.Helper()
	explained := map[[3]string]bool{}
	x, y, end := f.inOrder(setup, calls[a], calls[b])
	explained[[3]string{x, y, end}] = true
	y, x, end = f.inOrder(setup, calls[b], calls[a])
	explained[[3]string{x, y, end}] = true
	x, y, end = f.atOnce(setup, calls[a], calls[b])
	if got := [3]string{x, y, end}; !explained[got] {
		f.t.Errorf("%s: %s, then %s in one group: %q, one after the other: %q", setup, a, b, got, fmt.Sprint(explained))
	}
	y, x, end = f.atOnce(setup, calls[b], calls[a])
	if got := [3]string{x, y, end}; !explained[got] {
		f.t.Errorf("%s: %s, then %s in one group: %q, one after the other: %q", setup, b, a, got, fmt.Sprint(explained))
	}
}

// Two first requests of one address are one person's.
func TestTwoFirstRequests(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.request("other@example.com")
	var first, second *Requested
	var errs [2]error
	before := f.size()
	f.together(
		func() { first, errs[0] = f.s.RequestConsent(ctx, shop, asking("a@example.com")) },
		func() { second, errs[1] = f.s.RequestConsent(ctx, shop, asking("A@EXAMPLE.com", offers)) })
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	f.wrote(before, "consent.requested consent.requested")
	if first.ManageToken != second.ManageToken || first.Token == second.Token {
		t.Error("two first requests of one address made two people")
	}
	if list, err := f.s.ListConsents(ctx, email("a@example.com")); err != nil || len(list) != 2 {
		t.Errorf("consents %s, %v", shows(list), err)
	}
	if done := f.erase("a@example.com"); done.Consents != 2 {
		t.Errorf("%d consents erased", done.Consents)
	}
}

// One lock, two people, one group: the second is refused, and the click of the
// first confirms nothing of the second.
func TestOneLockInOneGroup(t *testing.T) {
	t.Parallel()
	f := newService(t)
	f.request("other@example.com")
	token, lock := drawn(5)
	var errs [2]error
	call := func(i int, who string) func() {
		return func() {
			ask := asking(who)
			ask.Lock = lock
			_, errs[i] = f.s.RequestConsent(ctx, shop, ask)
		}
	}
	f.together(call(0, "a@example.com"), call(1, "b@example.com"))
	if errs[0] != nil {
		t.Error(errs[0])
	}
	refused(t, errs[1], refusal.FailedPrecondition, "lock_used")
	if c := f.confirm(token); len(c.Consents) != 1 {
		t.Errorf("confirmed %s", shows(c.Consents))
	}
	f.checks("a@example.com", newsletter, "confirmed")
	f.checks("b@example.com", newsletter, "unknown_subject")
}

// The registry within one group answers as it does one after the other.
func TestRegistryInOneGroup(t *testing.T) {
	t.Parallel()
	f := newService(t)
	for i, test := range []struct {
		titles, texts [2]string
		versions      [2]int64
	}{
		{[2]string{"A", "A"}, [2]string{"a", "a"}, [2]int64{1, 1}},
		{[2]string{"A", "B"}, [2]string{"a", "b"}, [2]int64{1, 2}},
	} {
		id := fmt.Sprintf("purpose_%c", 'a'+i)
		var errs [4]error
		var purposes [2]*Purpose
		var notices [2]*Notice
		define := func(i int) func() {
			return func() {
				purposes[i], _, errs[i] = f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: id, Title: test.titles[i]})
			}
		}
		publish := func(i int) func() {
			return func() {
				notices[i], _, errs[2+i] = f.s.PublishNotice(ctx, admin, NoticePublication{ID: "notice_" + id, Language: "de",
					Text: test.texts[i], Purposes: []string{id}})
			}
		}
		f.together(define(0), define(1), publish(0), publish(1))
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		for j, want := range test.versions {
			if p := purposes[j]; p.Version != want || p.Title != test.titles[j] {
				t.Errorf("purpose %d: version %d %q, want %d %q", j, p.Version, p.Title, want, test.titles[j])
			}
			if notices[j].Version != want {
				t.Errorf("notice %d: %s, want version %d", j, notices[j].Name, want)
			}
		}
	}
}

// What does not fit beside others waits for a group of its own; nothing that is
// large stops the ledger.
func TestLargeDecisions(t *testing.T) {
	t.Parallel()
	f := newService(t, asServed)
	large := func(who string) func() {
		return func() {
			ask := asking(who)
			// Every character is escaped in the disclosure.
			value := strings.Repeat(`"`, ledger.MaxClaimValue)
			ask.Claims = map[string]string{}
			for _, name := range []string{"name", "user_agent", "page_url", "referrer", "session", "captcha", "origin", "operator", "reference", "recipient"} {
				ask.Claims[name] = value
			}
			if _, err := f.s.RequestConsent(ctx, shop, ask); err != nil {
				t.Errorf("large request: %v", err)
			}
		}
	}
	f.together(large("a@example.com"), large("b@example.com"), large("c@example.com"))
	many := f.requests("many@example.com", 400)
	claims := map[string]string{}
	for _, name := range []string{"name", "user_agent", "page_url", "referrer", "session", "captcha", "origin", "operator", "reference", "recipient", "reason", "language"} {
		claims[name] = strings.Repeat(`"`, 220)
	}
	_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: many, Claims: claims})
	refused(t, err, refusal.InvalidArgument, "claims")
	var errs [2]error
	f.together(func() { _, errs[0] = f.s.RequestConsent(ctx, shop, asking("e@example.com")) },
		func() { _, errs[1] = f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: many}) })
	if err := errors.Join(errs[:]...); err != nil {
		t.Error(err)
	}
	f.checks("many@example.com", newsletter, "withdrawn")
	f.checks("c@example.com", newsletter, "pending")
}

// A decision that does not fit beside the others of a group is made again in the
// next one; one that fits none is refused.
func TestDecisionsThatDoNotFit(t *testing.T) {
	t.Parallel()
	f := newService(t, asServed)
	used := []ledger.ConsentID{f.request("used@example.com").Consents[0].ID}
	// Entries as large as they may be, 16 KiB; no claim lies behind them.
	f.damaged = true
	var commits []ledger.Commitment
	for i := range 130 {
		name := fmt.Sprintf("x.%03d%s", i, strings.Repeat("x", 59))
		if _, _, err := f.s.DeclareClaim(ctx, admin, ClaimDeclaration{ID: name, Title: "Claim"}); err != nil {
			t.Fatal(err)
		}
		commits = append(commits, ledger.Commitment{Claim: name, Digest: sha256.Sum256([]byte(name))})
	}
	write := func(entries int) error {
		return f.s.do(ctx, shop, func(t *turn) error {
			list := make([]*ledger.Entry, entries)
			for i := range list {
				list[i] = &ledger.Entry{Kind: ledger.ConsentUsed, About: used, Commits: commits}
			}
			_, err := t.write(list...)
			return err
		})
	}
	const most = 15 * 32 << 20 / 100 / (130 * 118) // in one transaction of Badger
	before := f.size()
	var errs [3]error
	var calls []func()
	for i := range errs {
		calls = append(calls, func() { errs[i] = write(most * 9 / 20) })
	}
	f.together(calls...)
	if err := errors.Join(errs[:]...); err != nil {
		t.Error(err)
	}
	if want := before + ledger.Size(3*(most*9/20)); f.size() != want {
		t.Errorf("%d entries, want %d", f.size(), want)
	}
	before = f.size()
	refused(t, write(most*4/5), refusal.ResourceExhausted, "")
	f.wrote(before, "")
	f.request("somebody@example.com")
}
