package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// logbook writes a log entry by entry, with a clock that is set.
type logbook struct {
	testing.TB
	s   *store.Store
	now time.Time
}

// day is the midnight with which a day of the logbook begins; entry 0 is of before
// day 1.
func day(n int) time.Time { return time.Date(2027, 1, n, 0, 0, 0, 0, time.UTC) }

// newLogbook has the keys desk, shop and admin, the purpose newsletter without double
// opt-in and under it newsletter.daily, and a notice of both.
func newLogbook(t testing.TB) *logbook {
	l := &logbook{t, testledger.New(t), day(1)}
	for name, role := range map[string]string{"admin": "admin", "desk": "legal", "shop": "app"} {
		l.add(ledger.Entry{Kind: ledger.SourceDeclared, Name: name, Role: role})
	}
	l.add(ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "newsletter", Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 3600, EffectHours: 24})
	l.add(ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "newsletter.daily", Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 3600, Parent: "newsletter", EffectHours: 1})
	l.add(ledger.Entry{Kind: ledger.PurposeDefined, Purpose: "account", Version: 1, Marketing: "no", DoubleOptIn: "no", Lifetime: 3600})
	l.group(func(g *store.Group) []*ledger.Entry {
		g.PutNotice(wording().SHA256, []byte(testledger.NoticeText))
		return []*ledger.Entry{{Kind: ledger.NoticePublished, Source: "admin", Notice: wording(), Language: "de", Covers: []string{"account", "newsletter", "newsletter.daily"}}}
	})
	return l
}

func wording() ledger.NoticeRef {
	return ledger.NoticeRef{ID: "newsletter-de", Version: 1, SHA256: ledger.TextHash([]byte(testledger.NoticeText))}
}

// group commits entries and gives the index of the first.
func (l *logbook) group(entries func(*store.Group) []*ledger.Entry) ledger.Index {
	l.Helper()
	g, err := l.s.Begin()
	if err != nil {
		l.Fatal(err)
	}
	defer g.Discard()
	list, err := g.Append(l.now, entries(g)...)
	if err != nil {
		l.Fatal(err)
	}
	if err := g.Commit(nil); err != nil {
		l.Fatal(err)
	}
	return list[0].Entry.Index
}

// writers are who writes a kind, where it is not the shop.
var writers = map[ledger.Kind]string{
	ledger.SourceDeclared: ledger.SourceLedger, ledger.EvidenceShredded: ledger.SourceLedger, ledger.ConsentExpired: ledger.SourceLedger,
	ledger.PurposeDefined: "admin", ledger.ConsentRevoked: "admin", ledger.ProcessorEngaged: "admin", ledger.ProcessorEnded: "admin",
	ledger.RequestReceived: "desk", ledger.RequestExtended: "desk", ledger.RequestAnswered: "desk", ledger.RequestRefused: "desk",
	ledger.EvidenceDisclosed: "desk", ledger.IdentityVerified: "desk", ledger.RecipientNotified: "desk", ledger.RecipientAcknowledged: "desk",
	ledger.ConsentInvalidated: "desk",
}

// add records one entry.
func (l *logbook) add(e ledger.Entry) ledger.Index {
	l.Helper()
	if e.Source == "" {
		e.Source = writers[e.Kind]
	}
	if e.Source == "" {
		e.Source = "shop"
	}
	return l.group(func(*store.Group) []*ledger.Entry { return []*ledger.Entry{&e} })
}

// opens opens a record.
func (l *logbook) opens(kind ledger.Kind, purpose, channel string) ledger.ConsentID {
	l.Helper()
	e := ledger.Entry{Kind: kind, Purpose: purpose, Channel: channel, Commits: []ledger.Commitment{{Claim: "email"}}}
	switch kind {
	case ledger.ConsentGiven:
		e.Method, e.Notice, e.IPPolicy = "paper", wording(), "none"
	case ledger.ConsentImported:
		e.Method, e.Grade, e.IPPolicy = "import", "D", "none"
	}
	return ledger.ConsentID(l.add(e))
}

// gives opens consents to the newsletter by e-mail.
func (l *logbook) gives(n int) (ids []ledger.ConsentID) {
	l.Helper()
	for range n {
		ids = append(ids, l.opens(ledger.ConsentGiven, "newsletter", "email"))
	}
	return ids
}

// changes records an entry that changes consents.
func (l *logbook) changes(e ledger.Entry, ids ...ledger.ConsentID) ledger.Index {
	l.Helper()
	e.Consents = l.links(ids)
	return l.add(e)
}

func (l *logbook) links(ids []ledger.ConsentID) (links []ledger.Link) {
	l.Helper()
	p := l.s.Snapshot()
	defer p.Release()
	for _, id := range ids {
		c, _, err := p.Consent(id)
		if err != nil {
			l.Fatal(err)
		}
		links = append(links, ledger.Link{Consent: id, After: c.Last})
	}
	return links
}

// uses records a use by which data may be passed to a processor.
func (l *logbook) uses(processor string, ids ...ledger.ConsentID) ledger.Index {
	l.Helper()
	return l.add(ledger.Entry{Kind: ledger.ConsentUsed, Processor: processor, About: ids})
}

// shreds records that the keys of erasures are destroyed, after so long.
func (l *logbook) shreds(generation int64, after time.Duration, refers ...ledger.Index) ledger.Index {
	l.Helper()
	l.now = l.now.Add(after)
	at := l.now.Truncate(time.Second)
	return l.add(ledger.Entry{Kind: ledger.EvidenceShredded, Refers: refers, Generation: generation, Medium: "file", Contents: at, ExistenceDue: at.Add(72 * time.Hour)})
}

func (l *logbook) rekeys(generation int64, after time.Duration, refers ...ledger.Index) {
	l.Helper()
	l.now = l.now.Add(after)
	l.add(ledger.Entry{Kind: ledger.EvidenceShredded, Refers: refers, Generation: generation, Medium: "file", Existence: l.now.Truncate(time.Second)})
}

// exported gives a copy of the log for auditors.
func (l *logbook) exported() string {
	l.Helper()
	dir := l.TempDir()
	p := l.s.Snapshot()
	defer p.Release()
	if err := p.Export(dir); err != nil {
		l.Fatal(err)
	}
	return dir
}

// reported makes a report on an exported log; the verdict must be the one wanted.
func reported(t testing.TB, dir, name string, period Period, verdict ledger.Verdict) *Report {
	t.Helper()
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(testledger.Signer(t).Keys()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(name, period)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.VerifyLog(context.Background(), testledger.Dir(dir), ledger.VerifyOptions{Policy: policy, Each: m.Each})
	if ledger.VerdictOf(err) != verdict {
		t.Fatalf("the verdict is %v, want %v: %v", ledger.VerdictOf(err), verdict, err)
	}
	r := m.Report(v)
	if r.Verdict != verdict.String() || (r.Figures != nil) != (verdict == ledger.Verified) || len(r.CannotShow) == 0 {
		t.Errorf("the report says %s, figures %v", r.Verdict, r.Figures)
	}
	return r
}

// report makes a report on the log.
func (l *logbook) report(name string, period Period) *Report {
	l.Helper()
	return reported(l, l.exported(), name, period, ledger.Verified)
}

// text is a report as text.
func text(t testing.TB, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// figures is the part of a report's JSON that its log decides, in one line.
func figures(t testing.TB, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var all struct {
		Format  string          `json:"format"`
		Figures json.RawMessage `json:"figures"`
	}
	if err := json.Unmarshal(b.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := json.Compact(&b, all.Figures); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// says checks that a report's text has these lines.
func says(t testing.TB, r *Report, lines ...string) {
	t.Helper()
	all := strings.Split(text(t, r), "\n")
	for _, line := range lines {
		if !slices.ContainsFunc(all, func(l string) bool { return strings.TrimSpace(l) == line }) {
			t.Errorf("the text has no line %q:\n%s", line, strings.Join(all, "\n"))
		}
	}
}

func TestPopulation(t *testing.T) {
	l := newLogbook(t)
	a, b := l.opens(ledger.ConsentGiven, "newsletter", "email"), l.opens(ledger.ConsentImported, "account", "post")
	l.now = day(2)
	c := l.opens(ledger.ConsentGiven, "newsletter.daily", "email")
	l.opens(ledger.ObjectionRecorded, ledger.AllMarketing, "any")
	l.changes(ledger.Entry{Kind: ledger.ConsentWithdrawn}, a)
	l.uses("", c)
	l.now = day(3)
	l.opens(ledger.ConsentGiven, "newsletter", "email")
	l.changes(ledger.Entry{Kind: ledger.ConsentWithdrawn}, b, c)

	r := l.report("population", Period{day(2), day(3)})
	p := r.Figures.(*Population)
	first := ledger.Index(c)
	if want := (Reconciliation{16, 10, 4, 2, 0, first, first + 3}); p.Entries != want || !p.Reconciled {
		t.Errorf("entries %+v, want %+v; reconciled %v", p.Entries, want, p.Reconciled)
	}
	for what, got := range map[string]map[string]int64{
		"consent.given 1, consent.used 1, consent.withdrawn 1, objection.recorded 1": p.Kinds,
		"shop 4":                                       p.Sources,
		"consent.given 1, objection.recorded 1":        p.Opened.ByKind,
		"all-marketing 1, newsletter.daily 1":          p.Opened.ByPurpose,
		"any 1, email 1":                               p.Opened.ByChannel,
		"(none) 1, newsletter-de@1 1":                  p.Opened.ByNotice,
		"shop 2":                                       p.Opened.BySource,
		"given 1, imported 1, objected 1, withdrawn 1": p.ByState,
		"(none) 1, D 1, E 2":                           p.ByGrade,
		"(none) 2, newsletter-de@1 2":                  p.ByNotice,
		"any 1, email 2, post 1":                       p.ByChannel,
		"account 1, all-marketing 1, newsletter 1, newsletter.daily 1": p.ByPurpose,
	} {
		if s := shows(got); s != what {
			t.Errorf("counted %q, want %q", s, what)
		}
	}
	if o := p.Opened; o.Before != 2 || o.Within != 2 || o.After != 1 {
		t.Errorf("opened %+v", o)
	}
	want := []Standing{{"account", "post", "", "imported", "D", 1}, {"all-marketing", "any", "", "objected", "", 1},
		{"newsletter", "email", "newsletter-de@1", "withdrawn", "E", 1}, {"newsletter.daily", "email", "newsletter-de@1", "given", "E", 1}}
	if !slices.Equal(p.Standing, want) {
		t.Errorf("standing %+v", p.Standing)
	}
	says(t, r, "VERIFIED", "report      population", "period      from 2027-01-02T00:00:00Z until before 2027-01-03T00:00:00Z", "All sums agree.",
		"Entries: 16 in the tree = 10 before the period + 4 in it + 2 after it; gaps: 0.", "The period has the indexes 10 to 13.",
		"Records: 2 opened before the period + 2 in it = 4 standing at its end; 1 opened after it.",
		"1  newsletter, email, notice newsletter-de@1, withdrawn, grade E", "1  all-marketing, any, notice (none), objected, grade (none)")
}

// shows is a map in one line.
func shows(m map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}

// TestPopulationOfAnyPeriod compares the figures of many periods of one log with
// those of the verifier, and with a replay of the beginning of the log.
func TestPopulationOfAnyPeriod(t *testing.T) {
	s := testledger.New(t)
	testledger.Fill(t, s, 700)
	p := s.Snapshot()
	defer p.Release()
	dir := t.TempDir()
	if err := p.Export(dir); err != nil {
		t.Fatal(err)
	}
	var entries []*ledger.Entry
	var states []map[string]int64 // after so many entries
	replay := ledger.NewReplay()
	err := p.Entries(0, 1000, func(_ ledger.Index, b []byte) error {
		states = append(states, statesOf(t, replay))
		e, err := ledger.ParseEntry(b)
		if err == nil {
			entries = append(entries, e)
			_, err = replay.Add(e, ledger.LeafHash(b))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	states = append(states, statesOf(t, replay))
	whole := reported(t, dir, "population", Period{}, ledger.Verified).Figures.(*Population)
	v := testledger.VerifyDir(t, dir)
	if !maps.Equal(whole.Kinds, v.Kinds) || !maps.Equal(whole.ByState, v.States) || sum(whole.ByState) != sum(whole.ByGrade) || whole.Entries.Within != int64(v.Size) {
		t.Errorf("of everything: %+v, the verifier says %+v", whole, v)
	}
	for name, n := range v.Grades {
		if whole.ByGrade[name] != n {
			t.Errorf("grade %s: %d, the verifier says %d", name, whole.ByGrade[name], n)
		}
	}
	for _, at := range [][2]int{{0, 1}, {0, 5}, {5, 6}, {5, 300}, {256, 257}, {299, 512}, {699, 700}, {700, 701}, {0, 701}} {
		period := Period{From: entries[at[0]].Time}
		if at[1] < len(entries) {
			period.To = entries[at[1]].Time
		}
		got := reported(t, dir, "population", period, ledger.Verified).Figures.(*Population)
		kinds := map[string]int64{}
		for _, e := range entries[at[0]:at[1]] {
			kinds[string(e.Kind)]++
		}
		if !got.Reconciled || !maps.Equal(got.Kinds, kinds) || !maps.Equal(got.ByState, states[at[1]]) ||
			got.Entries.FirstWithin != ledger.Index(at[0]) || got.Entries.LastWithin != ledger.Index(at[1]-1) {
			t.Errorf("of %v: %+v, want the kinds %v and the states %v", at, got, kinds, states[at[1]])
		}
	}
	none := reported(t, dir, "population", Period{From: day(400)}, ledger.Verified).Figures.(*Population)
	if !none.Reconciled || none.Entries.Within != 0 || none.Entries.FirstWithin != -1 || none.Opened.Within != 0 || !maps.Equal(none.ByState, v.States) {
		t.Errorf("of a period after the log: %+v", none)
	}
}

func statesOf(t testing.TB, r *ledger.Replay) map[string]int64 {
	t.Helper()
	states := map[string]int64{}
	err := r.Consents(0, 1<<20, func(c ledger.Consent) {
		states[strings.Join(append([]string{c.State.String()}, c.Overlays.Names()...), " ")]++
	})
	if err != nil {
		t.Fatal(err)
	}
	return states
}

func TestErasures(t *testing.T) {
	l := newLogbook(t)
	ids := l.gives(8)
	for _, p := range []string{"mailer", "printer"} {
		l.add(ledger.Entry{Kind: ledger.ProcessorEngaged, Processor: p})
	}
	l.uses("mailer", ids[0], ids[1], ids[2])
	l.uses("printer", ids[1])
	l.uses("", ids[3])
	asks := func(article string, ids ...ledger.ConsentID) ledger.Index {
		return l.add(ledger.Entry{Kind: ledger.RequestReceived, Article: article, About: ids, Due: ledger.AnswerDue(l.now, 1)})
	}
	erases := func(reason string, ids ...ledger.ConsentID) ledger.Index {
		return l.changes(ledger.Entry{Kind: ledger.SubjectErased, Reason: reason}, ids...)
	}
	l.now = day(2)
	first, second := asks("art17", ids[0], ids[1]), asks("art17", ids[2])
	third, other := asks("art17"), asks("art15", ids[3])
	l.now = l.now.Add(6 * time.Hour)
	a := erases("art17", ids[0], ids[1])
	l.shreds(2, 40*time.Second, a)
	l.add(ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{first}})
	l.add(ledger.Entry{Kind: ledger.RequestRefused, Refers: []ledger.Index{second}, Refusal: "legal_claims"})
	l.add(ledger.Entry{Kind: ledger.RequestExtended, Refers: []ledger.Index{third}, Due: ledger.AnswerDue(day(2), 3)})
	l.add(ledger.Entry{Kind: ledger.RequestRefused, Refers: []ledger.Index{other}, Refusal: "excessive"})
	l.changes(ledger.Entry{Kind: ledger.SubjectLocked, Reason: "retention", Until: day(20)}, ids[3])
	b := erases("retention", ids[3])
	c := erases("art17", ids[2]) // refused first, and then done all the same
	l.shreds(3, 20*time.Second, b)
	told := l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{a}, Processor: "mailer"})
	l.add(ledger.Entry{Kind: ledger.RecipientAcknowledged, Refers: []ledger.Index{told}})
	l.rekeys(4, 48*time.Hour, a)
	l.now = day(6)
	l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{a}, Commits: []ledger.Commitment{{Claim: "recipient"}}})
	l.uses("", ids[4])

	r := l.report("erasures", Period{})
	want := `{"art17_requests":{"received":3,"answered":1,"refused":1,"refused_by_reason":{"legal_claims":1},"extended":1,"answered_or_refused_late":0,"open":1,"overdue":0},` +
		`"request_to_erasure":{"count":2,"p50_seconds":21600,"p95_seconds":21640,"max_seconds":21640},` +
		`"erasures":3,"records_erased":4,"erasures_by_reason":{"art17":2,"retention":1},"records_locked_first":1,` +
		`"erasure_to_contents_destroyed":{"count":2,"p50_seconds":20,"p95_seconds":40,"max_seconds":40},` +
		`"erasure_to_existence_destroyed":{"count":1,"p50_seconds":172860,"p95_seconds":172860,"max_seconds":172860},` +
		`"waiting":{"contents":1,"existence":1,"existence_overdue":1},` +
		`"root_generations_by_medium":{"file":3},"newest_root_generation":4,` +
		`"recipients":{"erasures_of_data_passed_on":2,"all_processors_told":0,"notifications_by_processor":{"(none)":1,"mailer":1},"notifications_acknowledged":1,"notifications_not_acknowledged":1}}`
	if got := figures(t, r); got != want {
		t.Errorf("figures\n%s\nwant\n%s", got, want)
	}
	says(t, r, "from the request to the erasure            2: p50 6 h, p95 6 h, longest 6 h", "from the erasure to the contents destroyed 2: p50 20 s, p95 40 s, longest 40 s",
		"Erasures: 3, of 4 records, 1 of which had been locked before.", "1  legal_claims")

	// The second processor is told, and the request is overdue; a batch of several parts.
	l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{a}, Processor: "printer"})
	l.now = day(2).AddDate(0, 4, 0)
	l.uses("mailer", ids[6])
	parts := l.group(func(*store.Group) []*ledger.Entry {
		return []*ledger.Entry{{Kind: ledger.SubjectErased, Source: "shop", Reason: "child", Part: 1, Parts: 2, Consents: l.links(ids[5:6])},
			{Kind: ledger.SubjectErased, Source: "shop", Reason: "child", Part: 2, Parts: 2, Consents: l.links(ids[6:7])}}
	})
	l.shreds(5, time.Minute, c, parts, parts+1)
	l.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{parts + 1}, Processor: "mailer"})
	l.add(ledger.Entry{Kind: ledger.RequestAnswered, Refers: []ledger.Index{third}})
	e := l.report("erasures", Period{}).Figures.(*Erasures)
	if q := e.Requests; q.Late != 1 || q.Open != 0 || e.Erasures != 4 || e.Records != 6 || e.ByReason["child"] != 1 {
		t.Errorf("later: %+v", e)
	}
	if e.Recipients.Passed != 3 || e.Recipients.Told != 2 || e.Waiting != (Waiting{0, 3, 1}) || e.Contents.summary().Count != 4 {
		t.Errorf("later: %+v", e)
	}
	// Of a period only what began in it.
	e = l.report("erasures", Period{From: day(3)}).Figures.(*Erasures)
	if e.Erasures != 1 || e.Records != 2 || e.Requests.Received != 0 || e.Contents.summary().Count != 1 || e.Existence.summary().Count != 0 ||
		e.Recipients.Passed != 1 || e.Recipients.Told != 1 || e.RootGenerations["file"] != 2 || e.Waiting != (Waiting{0, 3, 1}) {
		t.Errorf("of a period: %+v", e)
	}
}

func TestAccess(t *testing.T) {
	l := newLogbook(t)
	ids := l.gives(4)
	shows := func(source, occasion string, claims []string, commits []string, ids ...ledger.ConsentID) {
		t.Helper()
		e := ledger.Entry{Kind: ledger.EvidenceDisclosed, Source: source, Occasion: occasion, Shown: claims, About: ids}
		for _, c := range commits {
			e.Commits = append(e.Commits, ledger.Commitment{Claim: c})
		}
		l.add(e)
	}
	l.add(ledger.Entry{Kind: ledger.SourceDeclared, Name: "counsel", Role: "legal"})
	l.now = day(2)
	l.add(ledger.Entry{Kind: ledger.IdentityVerified, Means: "document", About: ids[:2]})
	shows("desk", "claims", []string{"email", "ip"}, []string{"reason"}, ids[0])
	shows("desk", "claims", []string{"email"}, []string{"reason"}, ids[1])
	shows("counsel", "access_report", nil, nil, ids[0], ids[1])
	shows("counsel", "bundle", []string{"email"}, []string{"reason", "recipient"}, ids[2])
	l.group(func(*store.Group) []*ledger.Entry {
		return []*ledger.Entry{{Kind: ledger.EvidenceDisclosed, Source: "desk", Occasion: "access_report", Part: 1, Parts: 2, About: ids[:1]},
			{Kind: ledger.EvidenceDisclosed, Source: "desk", Occasion: "access_report", Part: 2, Parts: 2, About: ids[1:]}}
	})
	l.now = day(3)
	shows("desk", "claims", []string{"name"}, []string{"reason"}, ids[0])

	r := l.report("access", Period{From: day(2), To: day(3)})
	want := `{"disclosures":5,"records_shown":9,"by_source":{"counsel":2,"desk":3},"by_occasion":{"access_report":2,"bundle":1,"claims":2},` +
		`"by_claim_shown":{"email":3,"ip":1},"showing_everything":2,"exports":3,"with_reason":3,"to_a_recipient":1,` +
		`"occasions_by_source":{"counsel":{"access_report":1,"bundle":1},"desk":{"access_report":1,"claims":2}},"identities_verified_by_means":{"document":1}}`
	if got := figures(t, r); got != want {
		t.Errorf("figures\n%s\nwant\n%s", got, want)
	}
	says(t, r, "Disclosures of personal values: 5, of 9 records; 3 with a reason, 1 to a recipient who is named.", "Exports among them (access reports and bundles): 3.",
		"2  (everything held)", "1  desk, access_report", "1  document")
	all := l.report("access", Period{}).Figures.(*Access)
	if all.Disclosures != 6 || all.ByClaim["name"] != 1 {
		t.Errorf("of everything: %+v", all)
	}
}

func TestWithdrawals(t *testing.T) {
	l := newLogbook(t)
	processor := func(kind ledger.Kind, id string, covers ...string) {
		l.add(ledger.Entry{Kind: kind, Processor: id, Covers: covers})
	}
	ends := func(kind ledger.Kind, ids ...ledger.ConsentID) {
		t.Helper()
		e := ledger.Entry{Kind: kind}
		if kind == ledger.ConsentRevoked || kind == ledger.ConsentInvalidated {
			e.Cause = "other"
		}
		l.changes(e, ids...)
	}
	effected := func(system string, ids ...ledger.ConsentID) {
		t.Helper()
		l.add(ledger.Entry{Kind: ledger.WithdrawalEffected, System: system, About: ids})
	}
	processor(ledger.ProcessorEngaged, "mailer", "newsletter")
	processor(ledger.ProcessorEngaged, "left", "newsletter")
	n := l.gives(9)
	daily, account := l.opens(ledger.ConsentGiven, "newsletter.daily", "email"), l.opens(ledger.ConsentGiven, "account", "post")
	gone := n[8]
	ends(ledger.ConsentRevoked, gone)
	l.now = day(2)
	ends(ledger.ConsentWithdrawn, n[0], n[1], daily)
	ends(ledger.ConsentInvalidated, gone) // which had been revoked
	ends(ledger.ConsentRevoked, n[2])
	ends(ledger.ConsentExpired, n[3])
	ends(ledger.ConsentWithdrawn, n[4])
	ends(ledger.ConsentWithdrawn, account)
	stranger := l.opens(ledger.ObjectionRecorded, "newsletter", "email")
	l.now = l.now.Add(time.Minute)
	ends(ledger.ConsentInvalidated, n[2]) // what had ended ends no more
	processor(ledger.ProcessorEnded, "left")
	processor(ledger.ProcessorEngaged, "late", "newsletter")
	effected("shop", n[0], n[1], n[2])
	effected("mailer", n[0], stranger)
	l.now = l.now.Add(time.Hour)
	effected("shop", n[0]) // once more
	effected("mailer", gone, daily)
	l.uses("mailer", n[5], n[6])
	late := l.uses("mailer", n[0], daily)
	l.add(ledger.Entry{Kind: ledger.ConsentUsed, About: []ledger.ConsentID{n[1]}, Occurred: day(1)})
	l.changes(ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, n[3])
	l.now = day(3).Add(time.Hour)
	effected("mailer", n[2])
	ends(ledger.ConsentWithdrawn, n[7]) // its time runs

	r := l.report("withdrawals", Period{From: day(2)})
	want := fmt.Sprintf(`{"ends":9,"ends_by_kind":{"consent.expired":1,"consent.revoked":1,"consent.withdrawn":6,"objection.recorded":1},`+
		`"ends_by_purpose":{"account":1,"newsletter":7,"newsletter.daily":1},"ends_by_channel":{"email":8,"post":1},`+
		`"end_to_effect_by_system":{"mailer":{"count":4,"p50_seconds":60,"p95_seconds":90000,"max_seconds":90000},"shop":{"count":3,"p50_seconds":60,"p95_seconds":60,"max_seconds":60}},`+
		`"purposes_with_a_time":{"ends":8,"in_time":2,"late":2,"not_effected":2,"time_running":1,"erased_without":1,"first_not_effected":[%d,%d]},`+
		`"end_to_use_after_it":{"count":2,"p50_seconds":3660,"p95_seconds":3660,"max_seconds":3660},"uses_after_end_by_kind_of_end":{"consent.withdrawn":2},`+
		`"uses_recorded_after_end_and_dated_before":1,`+
		`"first_uses_after_end":[{"entry":%d,"consent":%d,"seconds_after_end":3660},{"entry":%d,"consent":%d,"seconds_after_end":3660}]}`,
		n[1], n[4], late, n[0], late, daily)
	if got := figures(t, r); got != want {
		t.Errorf("figures\n%s\nwant\n%s", got, want)
	}
	says(t, r, "mailer  4: p50 1 min, p95 1 d 1 h, longest 1 d 1 h", fmt.Sprintf("entry %d, consent %d, 1 h 1 min", late, daily), fmt.Sprintf("%d %d", n[1], n[4]))
}
