package service

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// naive is what a person's records should be, written down without looking at
// how the ledger does it. Time is counted in events.
type naive struct {
	f      *fixture
	who    string
	event  int
	list   []*naiveRecord
	tokens map[string][]*naiveRecord
	manage string
	locked []*naiveRecord // kept for legal claims
	life   int            // how often the person has become a stranger
	holds  []naiveHold    // not lifted
	// Of before an erasure or a lock.
	stale       []string
	staleManage []string
}

type naiveRecord struct {
	id               ledger.ConsentID
	purpose, channel string
	state            string
	restricted       bool
	ground           string
	kept             bool // restricted on a ground that forbids erasure
	holds            int
	opened, changed  int
	request          int // number of the request that opened it
	expires          time.Time
	granted          time.Time // when it was confirmed; zero if it never was
	ended            time.Time // withdrawn, rejected or expired
	last             time.Time // whatever happened last
	until            time.Time // of the lock
	life             int
}

func (r *naiveRecord) live() bool { return r.state == "requested" || r.state == "confirmed" }

var naiveMarketing = map[string]bool{newsletter: true, ledger.AllMarketing: true}

// check gives the reason that CheckConsent should give.
func (n *naive) check(purpose, channel string) string {
	var scope []*naiveRecord
	objected := -1
	for _, r := range n.list {
		if r.restricted && r.ground != "art18_1_d" {
			return "restricted"
		}
		if r.purpose != purpose && !(r.purpose == ledger.AllMarketing && naiveMarketing[purpose]) || r.channel != channel && r.channel != ledger.AnyChannel {
			continue
		}
		scope = append(scope, r)
		if r.state == "objected" {
			objected = max(objected, r.opened)
		}
	}
	if len(n.list) == 0 {
		return "unknown_subject"
	}
	if len(scope) == 0 {
		return "no_consent"
	}
	newest, waits := scope[0], false
	for _, r := range scope {
		if r.state == "confirmed" && r.opened > objected {
			if !r.restricted {
				return "confirmed"
			}
			waits = true
		}
		if r.changed > newest.changed {
			newest = r
		}
	}
	if waits {
		return "restricted" // the objection to this one waits for its answer
	}
	switch newest.state {
	case "requested":
		if n.f.clock.now().After(newest.expires) {
			return "lapsed"
		}
		return "pending"
	case "confirmed":
		return "objected"
	}
	return newest.state
}

// open adds a record that an answer says was opened.
func (n *naive) open(c Consent, state string, expires time.Time, request int) *naiveRecord {
	n.event++
	r := &naiveRecord{id: c.ID, purpose: c.Purpose, channel: c.Channel, state: state, opened: n.event, changed: n.event,
		expires: expires, request: request, life: n.life, last: n.f.clock.now()}
	n.list = append(n.list, r)
	return r
}

func (n *naive) request(t *rapid.T) {
	ask := asking(n.who, rapid.SampledFrom([][]string{{newsletter}, {account}, {newsletter, account}}).Draw(t, "purposes")...)
	ask.Channel = rapid.SampledFrom([]string{"email", "email", "phone"}).Draw(t, "channel")
	r := n.f.ask(ask)
	request := n.event + 1
	for _, c := range r.Consents {
		n.tokens[r.Token] = append(n.tokens[r.Token], n.open(c, "requested", r.ExpiresAt, request))
	}
	if ask.Channel == "email" {
		n.manage = r.ManageToken
	}
}

// click answers a token of the person, any of them, and says what it should do.
func (n *naive) click(t *rapid.T, to string, call func(Click) error) {
	if len(n.tokens) == 0 {
		t.Skip("no token")
	}
	var all []string
	for token := range n.tokens {
		all = append(all, token)
	}
	// In the order of the requests, so that a run can be repeated.
	slices.SortFunc(all, func(a, b string) int { return n.tokens[a][0].opened - n.tokens[b][0].opened })
	token := rapid.SampledFrom(all).Draw(t, "token")
	states := map[string]bool{}
	var open []*naiveRecord
	for _, r := range n.tokens[token] {
		states[r.state] = true
		if r.state == "requested" {
			open = append(open, r)
		}
	}
	err := call(Click{Token: token})
	accepted := len(open) > 0 && !n.f.clock.now().After(open[0].expires)
	if accepted {
		n.event++
		for _, r := range open {
			r.state, r.changed, r.last = to, n.event, n.f.clock.now()
			if to == "confirmed" {
				r.granted = r.last
			} else {
				r.ended = r.last
			}
		}
	}
	repeated := len(open) == 0 && states[to]
	if (err == nil) != (accepted || repeated) {
		t.Fatalf("%s: a click on %d open of %v: %v", to, len(open), states, err)
	}
}

// byRequest calls fn for the records in the order of the entries that change
// them: one per request.
func (n *naive) byRequest(list []*naiveRecord, fn func(*naiveRecord)) {
	last := -1
	for _, r := range list {
		if r.request != last {
			n.event++
			last = r.request
		}
		fn(r)
		r.changed, r.last = n.event, n.f.clock.now()
	}
}

// end ends records at the present moment.
func (n *naive) end(list []*naiveRecord, state string) {
	n.byRequest(list, func(r *naiveRecord) { r.state, r.ended = state, n.f.clock.now() })
}

func (n *naive) withdraw(t *rapid.T) {
	w := Withdrawal{Subject: email(n.who)}
	w.Purposes = rapid.SampledFrom([][]string{nil, {newsletter}, {account}, {newsletter, account}}).Draw(t, "purposes")
	w.Channel = rapid.SampledFrom([]string{"", "email", "phone"}).Draw(t, "channel")
	channel := w.Channel
	if n.manage != "" && rapid.Bool().Draw(t, "by manage token") {
		w.Subject, w.ManageToken = Subject{}, n.manage
		if channel == "" {
			channel = "email"
		}
	}
	got, err := ofWithdrawal(n.f.s.WithdrawConsent(ctx, shop, w))
	if err != nil {
		t.Fatal(err)
	}
	wanted := w.Purposes
	var scope []*naiveRecord
	for _, r := range n.list {
		named := slices.Contains(w.Purposes, r.purpose) || w.Purposes == nil && naiveMarketing[r.purpose]
		if named && (channel == "" || r.channel == channel || r.channel == ledger.AnyChannel) {
			scope = append(scope, r)
		}
	}
	if wanted == nil {
		wanted = []string{ledger.AllMarketing}
	}
	var end []*naiveRecord
	for _, r := range scope {
		if r.live() {
			end = append(end, r)
		}
	}
	var open []string
	for _, p := range wanted {
		covered := slices.ContainsFunc(scope, func(r *naiveRecord) bool {
			return (r.purpose == p || w.Purposes == nil) && (r.live() || r.state == "withdrawn" || r.state == "objected")
		})
		if !covered {
			open = append(open, p)
		}
	}
	n.end(end, "withdrawn")
	for _, p := range open {
		i := slices.IndexFunc(got, func(c Consent) bool { return c.Purpose == p && c.ID == ledger.ConsentID(c.Entry.Index) })
		if i < 0 {
			t.Fatalf("a withdrawal without a record to end opens none: %s", shows(got))
		}
		r := n.open(got[i], "objected", time.Time{}, n.event+1)
		if want := channel; want != "" && r.channel != want || want == "" && r.channel != ledger.AnyChannel {
			t.Fatalf("objected on %q, want %q", r.channel, want)
		}
	}
}

func (n *naive) withdrawByID(t *rapid.T) {
	if len(n.list) == 0 {
		t.Skip("no consent")
	}
	r := rapid.SampledFrom(n.list).Draw(t, "consent")
	if _, err := n.f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: []ledger.ConsentID{r.id}}); err != nil {
		t.Fatal(err)
	}
	if r.state == "withdrawn" || r.state == "objected" {
		return
	}
	var end []*naiveRecord
	for _, other := range n.list {
		if other == r || other.state == "requested" && other.purpose == r.purpose && other.channel == r.channel {
			end = append(end, other)
		}
	}
	n.end(end, "withdrawn")
}

// rule gives at what a call was refused, "" if it was not.
func rule(t *rapid.T, err error) string {
	var no *refusal.Error
	if err != nil && !errors.As(err, &no) {
		t.Fatal(err)
	}
	if no == nil {
		return ""
	}
	return no.At
}

func (n *naive) compare(t *rapid.T) {
	for _, purpose := range []string{newsletter, account} {
		for _, channel := range []string{"email", "phone"} {
			d, err := n.f.s.CheckConsent(ctx, Question{Subject: email(n.who), Purpose: purpose, Channel: channel})
			want := n.check(purpose, channel)
			if err != nil || d.Reason != want || d.Allowed != (want == "confirmed") {
				t.Fatalf("%s by %s: allowed %v, reason %s, want %s; %v", purpose, channel, d.Allowed, d.Reason, want, err)
			}
		}
	}
	list, err := n.f.s.ListConsents(ctx, email(n.who))
	if err != nil || len(list) != len(n.list) {
		t.Fatalf("%d consents, want %d; %v", len(list), len(n.list), err)
	}
	for i, c := range list {
		r := n.list[i]
		if c.ID != r.id || c.Purpose != r.purpose || c.Channel != r.channel || c.State.String() != r.state || (len(c.Overlays) > 0) != r.restricted {
			t.Fatalf("consent %+v, want %+v", c, *r)
		}
	}
}

// TestChecksAgainstModel compares every answer with the naive model's, over
// random sequences of calls about two people.
func TestChecksAgainstModel(t *testing.T) {
	t.Parallel()
	f := newService(t)
	// Stories of some length: many things matter only after others.
	set := map[string]string{"rapid.steps": "100", "rapid.checks": "30"}
	if underRace {
		set["rapid.checks"] = "10"
	}
	for name, value := range set {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		var people []*naive
		for i := range 2 {
			people = append(people, &naive{f: f, who: fmt.Sprintf("run%d-%d@example.com", runs, i), tokens: map[string][]*naiveRecord{}})
		}
		on := func(act func(*naive, *rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) { act(rapid.SampledFrom(people).Draw(t, "person"), t) }
		}
		confirm := func(n *naive, t *rapid.T) {
			n.click(t, "confirmed", func(c Click) error { _, err := f.s.ConfirmConsent(ctx, shop, c); return err })
		}
		t.Repeat(map[string]func(*rapid.T){
			"":              func(t *rapid.T) { people[0].compare(t); people[1].compare(t) },
			"request":       on((*naive).request),
			"confirm":       on(confirm),
			"confirm again": on(confirm),
			// Steps that belong together, so that long stories are told, too.
			"request and confirm": on(func(n *naive, t *rapid.T) { n.request(t); confirm(n, t); confirm(n, t) }),
			"restrict and lift":   on(func(n *naive, t *rapid.T) { n.restrict(t, true); n.restrict(t, false) }),
			"reject": on(func(n *naive, t *rapid.T) {
				n.click(t, "lapsed", func(c Click) error { _, err := f.s.RejectConfirmation(ctx, shop, c); return err })
			}),
			"withdraw":       on((*naive).withdraw),
			"withdraw by id": on((*naive).withdrawByID),
			"restrict":       on(func(n *naive, t *rapid.T) { n.restrict(t, true) }),
			"lift":           on(func(n *naive, t *rapid.T) { n.restrict(t, false) }),
			"erase":          on((*naive).erase),
			"lock":           on((*naive).lock),
			"hold":           on((*naive).hold),
			"lift a hold":    on((*naive).liftHold),
			"legal list":     on((*naive).compareAll),
			"retention": func(t *rapid.T) {
				if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
					t.Fatal(err)
				}
				people[0].retain()
				people[1].retain()
			},
			"a month": func(*rapid.T) { f.clock.advance(month) },
			"time":    func(t *rapid.T) { f.clock.advance(time.Duration(rapid.IntRange(1, 100).Draw(t, "hours")) * time.Hour) },
			"stale token": on(func(n *naive, t *rapid.T) {
				if len(n.stale) == 0 {
					t.Skip("none")
				}
				if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: rapid.SampledFrom(n.stale).Draw(t, "token")}); rule(t, err) != "token" {
					t.Fatalf("a token of before the erasure: %v", err)
				}
				if len(n.staleManage) == 0 {
					return
				}
				manage := rapid.SampledFrom(n.staleManage).Draw(t, "manage token")
				if _, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: manage}); rule(t, err) != "manage_token" {
					t.Fatalf("a manage token of before the erasure: %v", err)
				}
			}),
		})
	})
}
