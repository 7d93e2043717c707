package report

import (
	"bytes"
	"context"
	"encoding/json"
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
