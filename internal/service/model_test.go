package service

import (
	"errors"
	"slices"
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
	// Requests for rights: those that wait, and the numbers of the others.
	requests []*naiveRequest
	answered []ledger.Index
	// Of before an erasure or a lock.
	stale       []string
	staleManage []string
}

type naiveRecord struct {
	id               ledger.ConsentID
	purpose, channel string
	state            string
	basis            string
	doubly           bool // confirmed, or imported, which stands for it
	signalled        bool // the newest signal said no
	restricted       bool
	ground           string
	kept             bool // restricted on a ground that forbids erasure
	holds            int
	opened, changed  int
	request          int // number of the request that opened it
	expires          time.Time
	granted          time.Time // when it was granted last; zero if it never was
	ended            time.Time // by whatever
	last             time.Time // whatever happened last
	until            time.Time // of the lock
	life             int
}

func (r *naiveRecord) allows() bool {
	return slices.Contains([]string{"confirmed", "given", "renewed", "imported", "asserted"}, r.state)
}

func (r *naiveRecord) live() bool { return r.state == "requested" || r.allows() }

// immune: no withdrawal and no objection ends it.
func (r *naiveRecord) immune() bool {
	return !naiveMarketing[r.purpose] && (r.basis == "contract" || r.basis == "legal_obligation")
}

func (r *naiveRecord) on(channel string) bool {
	return channel == "" || r.channel == channel || r.channel == ledger.AnyChannel
}

// What the purposes of the model are.
var (
	naivePurposes  = []string{newsletter, account, digest, catalogue, invoices}
	naiveMarketing = map[string]bool{newsletter: true, mailings: true, digest: true, catalogue: true, ledger.AllMarketing: true}
	naiveDoubly    = map[string]bool{newsletter: true, account: true}
	naiveAbove     = map[string]string{digest: mailings}
)

// stops reports whether an objection to a purpose stops another one.
func stops(objected, purpose string) bool {
	return objected == purpose || objected == naiveAbove[purpose] || objected == ledger.AllMarketing && naiveMarketing[purpose]
}

// check gives the reason that CheckConsent should give, and whether it allows.
func (n *naive) check(purpose, channel string) (string, bool) {
	if len(n.list) == 0 {
		return "unknown_subject", false
	}
	var objection, best, failed, newest *naiveRecord
	for _, r := range n.list {
		if r.restricted && r.ground != "art18_1_d" {
			return "restricted", false
		}
		if r.state == "objected" && stops(r.purpose, purpose) && r.on(channel) {
			objection = r
		}
	}
	why := ""
	for _, r := range n.list {
		if r != objection && (r.purpose != purpose || !r.on(channel)) {
			continue
		}
		if newest == nil || r.changed > newest.changed {
			newest = r
		}
		entered := r.state == "asserted" || r.state == "imported"
		switch {
		case !r.allows() || objection != nil && !r.immune() && (r.opened < objection.opened || entered):
		case r.restricted:
			failed, why = r, "restricted" // the objection to this one waits for its answer
		case r.state != "asserted" && naiveDoubly[purpose] && !r.doubly:
			failed, why = r, "double_opt_in_missing"
		case best == nil || r.state != "asserted" || best.state == "asserted":
			best = r
		}
	}
	switch {
	case best != nil && best.state == "asserted":
		return best.basis, true
	case best != nil:
		return best.state, true
	case failed != nil:
		return why, false
	case newest == nil:
		return "no_consent", false
	case newest.state == "requested" && n.f.clock.now().After(newest.expires):
		return "lapsed", false
	case newest.state == "requested":
		return "pending", false
	case newest.allows():
		return "objected", false
	}
	return newest.state, false
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
		opened := n.open(c, "requested", r.ExpiresAt, request)
		opened.basis = "consent"
		n.tokens[r.Token] = append(n.tokens[r.Token], opened)
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
				r.granted, r.doubly = r.last, true
			} else {
				r.ended = r.last
			}
		}
	}
	repeated := len(open) == 0 && (states[to] || to == "confirmed" && states["renewed"])
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
	w.Purposes = rapid.SampledFrom([][]string{nil, {newsletter}, {account}, {newsletter, account}, {mailings}, {digest, invoices}, {catalogue}}).Draw(t, "purposes")
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
	var end, rest []*naiveRecord
	for _, r := range n.list {
		if !covers(w.Purposes, channel, r) {
			continue
		}
		if r.live() && !r.immune() {
			end = append(end, r)
		} else {
			rest = append(rest, r)
		}
	}
	var open []string
	for _, p := range named(w.Purposes) {
		answered := slices.ContainsFunc(end, func(r *naiveRecord) bool { return covers(only(p), channel, r) }) ||
			slices.ContainsFunc(rest, func(r *naiveRecord) bool {
				return covers(only(p), channel, r) && (r.state == "withdrawn" || r.live()) || r.objects(p, channel)
			})
		if !answered {
			open = append(open, p)
		}
	}
	n.end(end, "withdrawn")
	n.openObjections(t, got, open, channel)
}

// covers reports whether a record is within what is withdrawn or objected to.
func covers(purposes []string, channel string, r *naiveRecord) bool {
	return r.on(channel) && (purposes == nil && naiveMarketing[r.purpose] ||
		slices.Contains(purposes, r.purpose) || slices.Contains(purposes, naiveAbove[r.purpose]))
}

// named is what a withdrawal or an objection names.
func named(purposes []string) []string {
	if purposes == nil {
		return []string{ledger.AllMarketing}
	}
	return purposes
}

// only is the scope of one name.
func only(purpose string) []string {
	if purpose == ledger.AllMarketing {
		return nil
	}
	return []string{purpose}
}

// objects reports whether a record is an objection to at least this.
func (r *naiveRecord) objects(purpose, channel string) bool {
	return r.state == "objected" && r.purpose == purpose && (r.channel == ledger.AnyChannel || r.channel == channel)
}

// openObjections adds the objections that an answer must have opened.
func (n *naive) openObjections(t *rapid.T, got []Consent, purposes []string, channel string) {
	for _, p := range purposes {
		i := slices.IndexFunc(got, func(c Consent) bool { return c.Purpose == p && c.ID == ledger.ConsentID(c.Entry.Index) })
		if i < 0 {
			t.Fatalf("nothing was opened against %s: %s", p, shows(got))
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
	w, err := n.f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: []ledger.ConsentID{r.id}})
	if err != nil {
		t.Fatal(err)
	}
	var end []*naiveRecord
	for _, other := range n.list {
		if other == r || other.state == "requested" && other.purpose == r.purpose && other.channel == r.channel {
			end = append(end, other)
		}
	}
	if r.state != "withdrawn" && r.state != "objected" && !(r.live() && r.immune()) {
		n.end(end, "withdrawn")
	}
	var remaining []ledger.ConsentID
	for _, other := range n.list {
		if other.allows() && other.purpose == r.purpose && other.channel == r.channel {
			remaining = append(remaining, other.id)
		}
	}
	if !slices.Equal(w.Remaining, remaining) {
		t.Fatalf("remaining %v, want %v", w.Remaining, remaining)
	}
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
	for _, purpose := range naivePurposes {
		for _, channel := range []string{"email", "phone"} {
			d, err := n.f.s.CheckConsent(ctx, Question{Subject: email(n.who), Purpose: purpose, Channel: channel})
			want, allowed := n.check(purpose, channel)
			if mode := n.tracked(channel); err == nil && d.TrackingMode != mode {
				t.Fatalf("by %s tracking is %q, want %q", channel, d.TrackingMode, mode)
			}
			if err != nil || d.Reason != want || d.Allowed != allowed {
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
