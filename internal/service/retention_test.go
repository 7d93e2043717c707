package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// showsItems is a report in short: rule, measure, purpose and number of each item.
func showsItems(r *RetentionReport) string {
	var parts []string
	for _, i := range r.Items {
		parts = append(parts, fmt.Sprintf("%s %s %s %d", i.Rule, i.Measure, i.Purpose, i.Consents))
	}
	return strings.Join(parts, ", ")
}

// retain applies what is due and checks what that was.
func (f *fixture) retain(want string) *RetentionReport {
	f.t.Helper()
	r, err := f.s.RunRetention(ctx, RetentionRun{})
	if err != nil {
		f.t.Fatal(err)
	}
	if got := showsItems(r); got != want || !r.Applied {
		f.t.Errorf("retention did %q (applied %v), want %q", got, r.Applied, want)
	}
	return r
}

// wouldRetain checks what a dry run says, and that it changes nothing.
func (f *fixture) wouldRetain(ahead time.Duration, want string) *RetentionReport {
	f.t.Helper()
	size, group := f.size(), f.s.vault.Record()
	r, err := f.s.RunRetention(ctx, RetentionRun{DryRun: true, Ahead: ahead})
	if err != nil {
		f.t.Fatal(err)
	}
	if got := showsItems(r); got != want || r.Applied {
		f.t.Errorf("retention would do %q (applied %v), want %q", got, r.Applied, want)
	}
	if f.size() != size || f.s.vault.Record() != group || f.s.vault.Planned() != 0 {
		f.t.Error("a dry run changed something")
	}
	return r
}

// Purposes with periods of their own.
const (
	brief = "brief" // not marketing
	idle  = "idle"  // unused consents expire
	stale = "stale" // unused consents are reported
)

func newRetention(t *testing.T) (*fixture, *calendar, string) {
	t.Helper()
	f, cal := newDated(t)
	f.define(PurposeDefinition{ID: brief, DoubleOptIn: true, TokenLifetime: time.Hour, LockDays: 2, LapsedDays: 3, EvidenceDays: 5})
	f.define(PurposeDefinition{ID: idle, Marketing: true, DoubleOptIn: true, UnusedDays: 10, UnusedMeasure: "expire", LockDays: 2, EvidenceDays: 1})
	f.define(PurposeDefinition{ID: stale, Marketing: true, DoubleOptIn: true, UnusedDays: 20})
	return f, cal, f.covering(brief, idle, stale, newsletter, account, offers)
}

// covered is a request under a notice.
func covered(address, notice string, purposes ...string) ConsentRequest {
	req := asking(address, purposes...)
	req.Notice = notice
	return req
}

// moment is a point in a story. Either something happens then, or something is
// due: at the moment itself it is not yet, a second later it is.
type moment struct {
	at      string
	happens func()
	dry     string // what a dry run says, if it is not all that a run does
	does    string
	entries string
}

func (f *fixture) tell(cal *calendar, story []moment) {
	f.t.Helper()
	for _, m := range story {
		cal.set(on(m.at))
		if m.happens != nil {
			m.happens()
			continue
		}
		before := f.size()
		f.wouldRetain(0, "")
		f.retain("")
		f.wrote(before, "")
		cal.set(on(m.at).Add(time.Second))
		if m.dry == "" {
			m.dry = m.does
		}
		for _, i := range f.wouldRetain(0, m.dry).Items {
			if !i.FirstDue.Equal(on(m.at)) {
				f.t.Errorf("%s: due since %v", m.at, i.FirstDue)
			}
		}
		f.retain(m.does)
		f.wrote(before, m.entries)
		f.retain("")
		f.wrote(before, m.entries)
	}
}

const (
	appliedLock   = "retention.applied subject.locked"
	appliedShred  = "retention.applied subject.erased evidence.shredded"
	appliedExpiry = "retention.applied consent.expired"
)

// TestRetention tells what becomes of people. The entries are those that
// FORMAT.md says.
func TestRetention(t *testing.T) {
	t.Parallel()
	f, cal, notice := newRetention(t)
	request := func(who string, purposes ...string) *Requested { return f.ask(covered(who, notice, purposes...)) }
	grant := func(who string, purposes ...string) *Requested {
		r := request(who, purposes...)
		f.confirm(r.Token)
		return r
	}
	withdraw := func(who string, purposes ...string) {
		f.withdraw(Withdrawal{Subject: email(who), Purposes: purposes})
	}
	request("expires@example.com", newsletter)
	request("brief-expires@example.com", brief)
	rejected := request("rejected@example.com", newsletter, offers)
	grant("withdraws@example.com", newsletter)
	grant("brief-withdraws@example.com", brief)
	grant("idle@example.com", idle)
	used := grant("used@example.com", idle)
	grant("stays@example.com", newsletter, account)
	withdraw("objects@example.com")
	grant("moves@example.com", newsletter, account)
	f.identify(email("moves@example.com"))
	f.tell(cal, []moment{
		{at: "2027-03-01T13:00:00Z", does: "lapsed expire brief 1", entries: "request.expired"},
		{at: "2027-03-02T10:00:00Z", happens: func() {
			if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: rejected.Token}); err != nil {
				t.Error(err)
			}
		}},
		{at: "2027-03-02T11:00:00Z", happens: func() { withdraw("withdraws@example.com") }},
		{at: "2027-03-02T12:00:00Z", happens: func() { withdraw("brief-withdraws@example.com", brief) }},
		{at: "2027-03-02T13:00:00Z", happens: func() {
			if _, err := f.s.RectifySubject(ctx, legal, Rectification{Subject: email("moves@example.com"),
				Remove: email("moves@example.com"), Add: email("moved@example.com")}); err != nil {
				t.Error(err)
			}
		}},
		{at: "2027-03-04T12:00:00Z", does: "withdrawn lock brief 1", entries: appliedLock},
		{at: "2027-03-04T13:00:00Z", does: "lapsed shred brief 1", entries: appliedShred},
		{at: "2027-03-06T12:00:00Z", happens: func() { f.use(Uses{ConsentIDs: ids(used.Consents)}) }},
		{at: "2027-03-07T12:00:00Z", does: "evidence shred brief 1", entries: appliedShred},
		{at: "2027-03-08T12:00:00Z", does: "lapsed expire newsletter 1", entries: "request.expired"},
		{at: "2027-03-11T12:00:00Z", does: "unused expire idle 1", entries: appliedExpiry},
		// The evidence serves for a shorter time than the consent waits for its lock.
		{at: "2027-03-13T12:00:01Z", dry: "withdrawn lock idle 1", does: "evidence shred idle 1, withdrawn lock idle 1",
			entries: appliedLock + " " + appliedShred},
		{at: "2027-03-16T12:00:00Z", does: "unused expire idle 1", entries: appliedExpiry},
		{at: "2027-03-18T12:00:01Z", dry: "withdrawn lock idle 1", does: "evidence shred idle 1, withdrawn lock idle 1",
			entries: appliedLock + " " + appliedShred},
		{at: "2027-04-01T10:00:00Z", does: "lapsed shred newsletter 1, lapsed shred offers 1", entries: appliedShred},
		{at: "2027-04-01T11:00:00Z", does: "withdrawn lock newsletter 1", entries: appliedLock},
		{at: "2027-04-01T13:00:00Z", does: "withdrawn lock account 1, withdrawn lock newsletter 1", entries: appliedLock},
		{at: "2027-04-07T12:00:00Z", does: "lapsed shred newsletter 1", entries: appliedShred},
		{at: "2031-01-01T00:00:00Z", does: "evidence shred account 1, evidence shred newsletter 2", entries: appliedShred},
	})
	f.checks("stays@example.com", newsletter, "confirmed")
	f.checks("stays@example.com", account, "confirmed")
	f.checks("objects@example.com", newsletter, "objected")
	if r := f.checked(); r.People != 2 || r.Held != 3 || r.Erased != 10 {
		t.Errorf("check %+v", r)
	}
	f.appliedEntries()
	status, err := f.s.ErasureStatus(ctx)
	if err != nil || !status.LastRetention.Equal(cal.now()) || status.Locked != 0 {
		t.Errorf("status %+v, %v", status, err)
	}
}

// appliedEntries checks that the consents that retention.applied names are those
// on which the ledger acted by itself.
func (f *fixture) appliedEntries() {
	f.t.Helper()
	named, acted := map[string]int{}, map[string]int{}
	for _, e := range f.entriesFrom(0) {
		if e.Source != ledger.SourceLedger {
			continue
		}
		for _, id := range e.About {
			named[fmt.Sprint(e.Kind, e.Measure, id)]++
		}
		measure := map[ledger.Kind]string{ledger.SubjectLocked: "lock", ledger.SubjectErased: "shred", ledger.ConsentExpired: "expire"}[e.Kind]
		if measure == "" {
			continue
		}
		if e.Kind != ledger.ConsentExpired && e.Reason != "retention" {
			f.t.Errorf("entry %d has the reason %s", e.Index, e.Reason)
		}
		for _, l := range e.Consents {
			acted[fmt.Sprint(ledger.RetentionApplied, measure, l.Consent)]++
		}
	}
	if !maps.Equal(named, acted) {
		f.t.Errorf("retention.applied names %v, the ledger acted on %v", named, acted)
	}
}

// A consent that nobody uses is reported for as long as it is not used.
func TestUnused(t *testing.T) {
	t.Parallel()
	f, cal, notice := newRetention(t)
	a, b := f.ask(covered("a@example.com", notice, stale)), f.ask(covered("b@example.com", notice, stale))
	f.confirm(a.Token)
	f.confirm(b.Token)
	cal.set(on("2027-03-11T12:00:00Z"))
	f.use(Uses{ConsentIDs: ids(b.Consents)})
	before := f.size()
	for _, m := range []struct{ at, want string }{
		{"2027-03-21T12:00:00Z", ""},
		{"2027-03-21T12:00:01Z", "unused warn stale 1"},
		{"2027-03-31T12:00:00Z", "unused warn stale 1"},
		{"2027-03-31T12:00:01Z", "unused warn stale 2"},
	} {
		cal.set(on(m.at))
		for range 2 {
			f.wouldRetain(0, m.want)
			if r := f.retain(m.want); m.want != "" && !r.Items[0].FirstDue.Equal(on("2027-03-21T12:00:00Z")) {
				t.Errorf("%s: due since %v", m.at, r.Items[0].FirstDue)
			}
		}
	}
	f.wrote(before, "")
	f.checks("a@example.com", stale, "confirmed")
	f.use(Uses{ConsentIDs: ids(a.Consents)})
	f.retain("unused warn stale 1")
	f.withdraw(Withdrawal{Subject: email("b@example.com")})
	f.retain("")
}

// The periods are those of the purpose as it is defined now; a lock that is
// recorded stays as it is.
func TestRedefinedPeriods(t *testing.T) {
	t.Parallel()
	f, cal, _ := newRetention(t)
	f.confirmed("withdrawn@example.com")
	f.withdraw(Withdrawal{Subject: email("withdrawn@example.com")})
	f.request("lapsed@example.com")
	f.confirmed("unused@example.com")
	redefined := PurposeDefinition{ID: newsletter, Marketing: true, DoubleOptIn: true, LockDays: 60, LapsedDays: 10, TokenLifetime: time.Hour}
	f.define(redefined)
	f.tell(cal, []moment{
		{at: "2027-03-08T12:00:00Z", does: "lapsed expire newsletter 1", entries: "request.expired"},
		{at: "2027-03-18T12:00:00Z", does: "lapsed shred newsletter 1", entries: appliedShred},
		{at: "2027-04-15T12:00:00Z", happens: func() { f.retain("") }},
	})
	redefined.LockDays, redefined.UnusedDays, redefined.UnusedMeasure = 5, 20, "expire"
	f.define(redefined)
	report := f.wouldRetain(0, "unused expire newsletter 1, withdrawn lock newsletter 1")
	if !report.Items[0].FirstDue.Equal(on("2027-03-21T12:00:00Z")) || !report.Items[1].FirstDue.Equal(on("2027-03-06T12:00:00Z")) {
		t.Errorf("due since %v and %v", report.Items[0].FirstDue, report.Items[1].FirstDue)
	}
	f.retain("unused expire newsletter 1, withdrawn lock newsletter 1")
	redefined.EvidenceDays, redefined.LockDays = 1, 30
	f.define(redefined)
	cal.set(on("2027-05-01T12:00:00Z"))
	f.retain("")
	if list := f.legalList("withdrawn@example.com"); !strings.HasSuffix(list, "withdrawn locked until 2031-01-01T00:00:00Z") {
		t.Errorf("the legal role sees %s", list)
	}
	f.tell(cal, []moment{
		{at: "2027-05-15T12:00:00Z", dry: "withdrawn lock newsletter 1", does: "evidence shred newsletter 1, withdrawn lock newsletter 1",
			entries: appliedLock + " " + appliedShred},
	})
	// No lock ends before it began.
	list := f.entriesFrom(f.size() - 5)
	if e := list[1]; e.Kind != ledger.SubjectLocked || !e.Until.Equal(on("2027-05-15T12:00:00Z")) {
		t.Errorf("entry %+v", e)
	}
	f.checked()
}

// What has been due for long is done in one run, one step after the other.
func TestLongDue(t *testing.T) {
	t.Parallel()
	f, cal, notice := newRetention(t)
	const a, b = "a@example.com", "b@example.com"
	r := f.request(a, newsletter, offers)
	f.ask(covered(b, notice, brief))
	f.withdraw(Withdrawal{Subject: email(b), Purposes: []string{brief}})
	cal.set(on("2028-03-01T12:00:00Z"))
	f.wouldRetain(0, "lapsed expire newsletter 1, lapsed expire offers 1, withdrawn lock brief 1")
	before := f.size()
	f.retain("evidence shred brief 1, lapsed expire newsletter 1, lapsed expire offers 1, lapsed shred newsletter 1, lapsed shred offers 1, withdrawn lock brief 1")
	f.wrote(before, "retention.applied request.expired subject.locked "+
		"retention.applied retention.applied subject.erased evidence.shredded")
	entries := f.entriesFrom(before)
	if e := entries[1]; len(e.Consents) != 2 || e.Lock != ledger.Lock(r.Token) {
		t.Errorf("entry %+v", e)
	}
	if e := entries[2]; !e.Until.Equal(on("2027-03-06T12:00:00Z")) {
		t.Errorf("entry %+v", e)
	}
	if x, y := entries[3], entries[4]; x.Rule != "lapsed" || len(x.About) != 2 || y.Rule != "evidence" || len(y.About) != 1 || len(entries[5].Consents) != 3 {
		t.Errorf("entries %+v, %+v, %+v", x, y, entries[5])
	}
	f.strangers(a, r)
	f.checks(b, newsletter, "unknown_subject")
	if r := f.checked(); r.People != 0 || r.Erased != 3 {
		t.Errorf("check %+v", r)
	}
}

// Some of a person is shredded; the rest opens as before.
func TestPartialShredding(t *testing.T) {
	t.Parallel()
	f, cal, _ := newRetention(t)
	const a, b = "a@example.com", "b@example.com"
	ask := func(who string, purposes ...string) *Requested {
		req := asking(who, purposes...)
		req.Claims = map[string]string{"name": "Anna", "ip": "203.0.113.7"}
		req.Attachments = []Attachment{{Claim: "form_snapshot", MediaType: "text/html", Bytes: []byte("<form>")}}
		req.IdempotencyKey = who + strings.Join(purposes, ",")
		return f.ask(req)
	}
	lapsed := ask(a, offers)
	kept := ask(a, newsletter, account)
	f.confirm(kept.Token)
	if _, err := f.s.LinkSubject(ctx, shop, Link{Subject: email(a), Add: Subject{ExternalID: "customer-17"}}); err != nil {
		t.Fatal(err)
	}
	held, free := ask(b, newsletter), ask(b, offers) // both lapse, on one lies a hold
	f.hold(HoldRequest{ConsentIDs: ids(held.Consents)})
	before := f.checked()
	f.tell(cal, []moment{{at: "2027-03-08T12:00:00Z", does: "lapsed expire newsletter 1, lapsed expire offers 2", entries: "request.expired request.expired request.expired"}})
	cal.set(on("2027-04-07T12:00:01Z"))
	f.retainKept("lapsed shred offers 2", 1)

	// email, name, ip and form of two, destroyed with what was linked to one.
	after := f.checked()
	if after.Erased != 2 || after.Held != 3 || after.People != 2 || after.Claims != before.Claims-2*4-1 || after.Destroyed != 2*4+1 || after.Attachments != 3 {
		t.Errorf("check %+v, before %+v", after, before)
	}
	f.checks(a, newsletter, "confirmed")
	f.checks(a, account, "confirmed")
	f.checks(a, offers, "no_consent")
	f.checksExternal("customer-17", "confirmed")
	if list, err := f.s.ListConsents(ctx, email(a)); err != nil || !slices.Equal(ids(list), ids(kept.Consents)) {
		t.Errorf("consents %s, %v", shows(list), err)
	}
	for _, gone := range []*Requested{lapsed, free} {
		_, _, err := f.s.RecordUses(ctx, shop, Uses{ConsentIDs: ids(gone.Consents)})
		refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
		_, err = f.s.ConfirmConsent(ctx, shop, Click{Token: gone.Token})
		refused(t, err, refusal.NotFoundCode, "token")
	}
	f.reopen()
	if again := f.confirm(kept.Token); !again.AlreadyConfirmed {
		t.Errorf("clicked again: %+v", again)
	}
	if list := f.withdraw(Withdrawal{ManageToken: kept.ManageToken}); len(list) != 1 || list[0].ID != kept.Consents[0].ID {
		t.Errorf("withdrawn by the manage token: %s", shows(list))
	}
	more := f.confirmed(a, offers) // the same person still
	if list, err := f.s.ListConsents(ctx, email(a)); err != nil || len(list) != 3 {
		t.Errorf("consents %s, %v", shows(list), err)
	}
	if more.ManageToken != kept.ManageToken {
		t.Error("the manage token changed")
	}
	f.checked()
}

// More of one person's consents are due than one decision takes, and one is not.
func TestPartialShreddingOfMany(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const a, n = "a@example.com", consentsPerTurn + 100
	each(n, func(int) { f.request(a) })
	kept := f.confirmed(a)
	cal.set(on("2027-06-01T12:00:00Z"))
	before := f.size()
	f.retain(fmt.Sprintf("lapsed expire newsletter %d, lapsed shred newsletter %d", n, n))
	const expired, applied, erased = "request.expired ", "retention.applied ", "subject.erased "
	f.wrote(before, strings.Repeat(expired, consentsPerTurn)+strings.Repeat(applied, 2)+strings.Repeat(erased, 4)+"evidence.shredded "+
		strings.Repeat(expired, 100)+applied+erased+"evidence.shredded")
	if list, err := f.s.ListConsents(ctx, email(a)); err != nil || !slices.Equal(ids(list), ids(kept.Consents)) {
		t.Errorf("consents %s, %v", shows(list), err)
	}
	f.checks(a, newsletter, "confirmed")
	f.checked()
}

// A person of whom only locked consents are left is unknown to everybody but the
// legal role, whichever of them went last.
func TestLeftWithLocked(t *testing.T) {
	t.Parallel()
	f, cal, _ := newRetention(t)
	const a, b = "a@example.com", "b@example.com"
	r := f.confirmed(a)
	f.withdraw(Withdrawal{Subject: email(a)})
	lapses := f.request(a, account)
	both := f.confirmed(b, newsletter, offers)
	f.withdraw(Withdrawal{Subject: email(b)})
	locked := fmt.Sprintf("%d withdrawn locked until 2031-01-01T00:00:00Z", r.Consents[0].ID)
	f.tell(cal, []moment{
		{at: "2027-03-08T12:00:00Z", does: "lapsed expire account 1", entries: "request.expired"},
		{at: "2027-03-31T12:00:00Z", does: "withdrawn lock newsletter 2, withdrawn lock offers 1", entries: appliedLock},
		{at: "2027-03-31T12:00:02Z", happens: func() {
			f.checks(a, account, "lapsed") // something is left that is not locked
			f.checks(a, newsletter, "no_consent")
			f.strangers(b, both)
			f.seesAll(a, locked+fmt.Sprintf(", %d lapsed", lapses.Consents[0].ID))
			_, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ConsentIDs: ids(r.Consents)})
			refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
		}},
		{at: "2027-04-07T12:00:00Z", does: "lapsed shred account 1", entries: appliedShred},
	})
	f.strangers(a, r)
	f.strangers(a, lapses)
	f.seesAll(a, locked)
	f.reopen()
	f.seesAll(a, locked)
	back := f.confirmed(a)
	f.seesAll(a, locked+fmt.Sprintf(", %d confirmed", back.Consents[0].ID))
	f.erase(a)
	f.seesAll(a, locked)
	f.tell(cal, []moment{{at: "2031-01-01T00:00:00Z", does: "evidence shred newsletter 2, evidence shred offers 1", entries: appliedShred}})
	f.seesAll(a, "")
	f.seesAll(b, "")
}
