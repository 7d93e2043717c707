package verdict

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// story is a log in which one person confirms and withdraws, and another one asks, too.
type story struct {
	*testLog
	id, other                                  []ledger.ConsentID
	sent, confirmed, used, withdrawn, effected ledger.Index
	early                                      ledger.Index // a state.committed before the withdrawal
	confirmedAt                                time.Time
}

func newStory(t testing.TB) *story {
	t.Helper()
	return newStoryIn(newLog(t))
}

// newStoryIn tells the story in a log that begins.
func newStoryIn(l *testLog) *story {
	l.Helper()
	s := &story{testLog: l}
	s.anchor(0, "")
	s.id = s.ask("newsletter")
	s.other = s.ask("newsletter")
	s.sent = s.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", Mail: "kept", About: s.id}, "message", s.mail("Bitte bestätigen\n"))
	s.confirmed = s.confirm(s.id...)
	s.confirmedAt = s.now
	s.anchor(0, "")
	s.used = s.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{s.id[0], s.other[0]}})
	s.early = s.commitState()
	s.withdrawn = s.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn, Method: "link"}, s.id)
	s.effected = s.add(&ledger.Entry{Kind: ledger.WithdrawalEffected, Source: "shop", About: s.id, System: "shop"})
	return s
}

// exported makes a bundle of the person's record that discloses address and mail, after
// the withdrawal.
func (s *story) exported() *made {
	s.Helper()
	return s.export(s.id, []string{"email", "message"}, asked("newsletter", "withdrawn", s.id[0]))
}

// asked is a question about the present, and its answer.
func asked(purpose, reason string, by ledger.ConsentID) map[string]bundle.IndexedQuestion {
	q := bundle.IndexedQuestion{Reason: reason, Allowed: reason == "confirmed" || reason == "given" || reason == "renewed" || reason == "contract"}
	if q.Hindsight = q.Allowed; by != 0 {
		q.Consent = &by
	}
	return map[string]bundle.IndexedQuestion{purpose: q}
}

// Bundles of honest operators are verified, offline and against the log, which accepts
// the history itself.
func TestStories(t *testing.T) {
	for name, tell := range stories {
		t.Run(name, func(t *testing.T) {
			m := tell(newLog(t))
			rep, err := m.verified()
			wants(t, err, ledger.Verified, "")
			if err == nil {
				m.examine(rep)
			}
			rep, err = m.verified(against(m.whole()))
			wants(t, err, ledger.Verified, "")
			if rep.Log == nil || len(rep.Log.Reason) > 0 {
				t.Errorf("of the log: %+v", rep.Log)
			}
		})
	}
}

// examine looks for what no report may lack or hold.
func (m *made) examine(rep *Report) {
	m.Helper()
	if rep.Size != m.size || rep.Origin != testOrigin || rep.Controller != "shop.example" || rep.Anchors == "" || len(rep.Checked) < 8 || len(rep.CannotProve) < 5 {
		m.Errorf("%+v", rep)
	}
	if len(rep.Questions) != len(m.index.Questions) || len(rep.Consents) != len(m.index.Consents) {
		m.Errorf("%d answers, %d records", len(rep.Questions), len(rep.Consents))
	}
	for _, q := range rep.Questions {
		if len(q.Evidence) == 0 || !slices.IsSortedFunc(q.Evidence, func(a, b Evidence) int { return int(a.Entry - b.Entry) }) {
			m.Errorf("an answer without evidence, or not in its order: %+v", q)
		}
	}
	text, err := json.Marshal(rep)
	if err != nil {
		m.Fatal(err)
	}
	for _, list := range m.opened {
		for _, d := range list {
			if value, _ := json.Marshal(d.Value); strings.Contains(string(text), strings.Trim(string(value), `"`)) {
				m.Errorf("the report holds the value of %s", d.Claim)
			}
		}
	}
}

var stories = map[string]func(l *testLog) *made{
	"withdrawn": func(l *testLog) *made { return newStoryIn(l).exported() },
	"asked about the click": func(l *testLog) *made {
		s := newStoryIn(l)
		answers := asked("newsletter", "confirmed", s.id[0])
		q := answers["newsletter"]
		q.At = s.confirmedAt
		answers["newsletter"] = q
		return s.export(s.id, []string{"email", "ip", "form_snapshot", "message"}, answers)
	},
	"nothing disclosed": func(l *testLog) *made {
		s := newStoryIn(l)
		return s.export(s.id, nil, asked("newsletter", "withdrawn", s.id[0]))
	},
	"no question": func(l *testLog) *made { return l.export(newStoryIn(l).id, nil, nil) },
	"the first of one request": func(l *testLog) *made {
		ids := l.ask("newsletter", "email.open_tracking")
		l.confirm(ids...)
		return l.export(ids[:1], nil, asked("newsletter", "confirmed", ids[0]))
	},
	"the second of one request": func(l *testLog) *made {
		ids := l.ask("email.open_tracking", "newsletter")
		l.confirm(ids...)
		return l.export(ids[1:], []string{"ip"}, asked("newsletter", "confirmed", ids[1]))
	},
	"the first and the third of one request": func(l *testLog) *made {
		ids := l.ask("newsletter", "email.open_tracking", "newsletter")
		l.confirm(ids...)
		return l.export([]ledger.ConsentID{ids[0], ids[2]}, nil, asked("newsletter", "confirmed", ids[2]))
	},
	"pending, with another link": func(l *testLog) *made {
		ids := l.ask("newsletter")
		l.add(&ledger.Entry{Kind: ledger.ConfirmationResent, Source: "shop", About: ids, Lock: ledger.Lock("another"), Former: ledger.Lock(testToken(ledger.Index(ids[0]))),
			Expires: l.now.Add(48 * time.Hour).Truncate(time.Second)})
		return l.export(ids, nil, asked("newsletter", "pending", ids[0]))
	},
	"lists that were split": func(l *testLog) *made {
		s := newStoryIn(l)
		last := l.ask("newsletter")
		for part, ids := range [][]ledger.ConsentID{s.id, s.other, last} { // the bundle is about the last
			l.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", Part: part + 1, Parts: 3, About: ids}, map[int][]string{0: {"reference", "a mailing"}}[part]...)
		}
		l.confirm(last...)
		return l.export(last, nil, asked("newsletter", "confirmed", last[0]))
	},
	"erased": func(l *testLog) *made {
		s := newStoryIn(l)
		erased := l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17", Part: 1, Parts: 2}, s.id)
		l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17", Part: 2, Parts: 2}, s.other)
		l.add(&ledger.Entry{Kind: ledger.EvidenceShredded, Source: ledger.SourceLedger, Refers: []ledger.Index{erased, erased + 1}, Generation: 2, Medium: "file",
			Contents: l.now.Truncate(time.Second), ExistenceDue: l.now.Add(72 * time.Hour).Truncate(time.Second)})
		l.add(&ledger.Entry{Kind: ledger.EvidenceShredded, Source: ledger.SourceLedger, Refers: []ledger.Index{erased, erased + 1}, Generation: 3, Medium: "file", Existence: l.now.Truncate(time.Second)})
		return l.export(s.id, nil, asked("newsletter", "unknown_subject", 0))
	},
	"rights and recipients": func(l *testLog) *made {
		s := newStoryIn(l)
		at := l.now.Truncate(time.Second)
		received := l.add(&ledger.Entry{Kind: ledger.RequestReceived, Source: "counsel", About: s.id, Article: "art15", Occurred: at, Due: ledger.AnswerDue(at, 1)})
		l.add(&ledger.Entry{Kind: ledger.RequestExtended, Source: "counsel", Refers: []ledger.Index{received}, Due: ledger.AnswerDue(at, 2)}, "reason", "many")
		l.add(&ledger.Entry{Kind: ledger.RequestAnswered, Source: "counsel", Refers: []ledger.Index{received}, About: s.id})
		l.add(&ledger.Entry{Kind: ledger.ProcessorEngaged, Source: "admin", Processor: "mailer", Country: "DE", Covers: []string{"newsletter"}})
		told := l.add(&ledger.Entry{Kind: ledger.RecipientNotified, Source: "counsel", Refers: []ledger.Index{s.withdrawn}, Processor: "mailer"})
		l.add(&ledger.Entry{Kind: ledger.RecipientAcknowledged, Source: "counsel", Refers: []ledger.Index{told}}, "reference", "42")
		l.add(&ledger.Entry{Kind: ledger.ProcessorEnded, Source: "admin", Processor: "mailer"})
		hold := l.add(&ledger.Entry{Kind: ledger.HoldSet, Source: "counsel", About: slices.Concat(s.id, s.other)})
		l.add(&ledger.Entry{Kind: ledger.HoldLifted, Source: "counsel", About: slices.Concat(s.id, s.other), Refers: []ledger.Index{hold}})
		l.add(&ledger.Entry{Kind: ledger.EntryCorrected, Source: "counsel", Refers: []ledger.Index{s.sent}, About: s.id}, "reason", "another mail")
		return l.export(s.id, []string{"email", "reference"}, asked("newsletter", "withdrawn", s.id[0]))
	},
	"a request that was received from a stranger": func(l *testLog) *made {
		s := newStoryIn(l)
		at := l.now.Truncate(time.Second)
		received := l.add(&ledger.Entry{Kind: ledger.RequestReceived, Source: "counsel", Article: "art15", Occurred: at, Due: ledger.AnswerDue(at, 1)})
		l.add(&ledger.Entry{Kind: ledger.RequestAnswered, Source: "counsel", Refers: []ledger.Index{received}, About: s.id})
		return l.export(s.id, nil, asked("newsletter", "withdrawn", s.id[0]))
	},
	"restricted": func(l *testLog) *made {
		ids := l.ask("newsletter")
		l.confirm(ids...)
		l.change(&ledger.Entry{Kind: ledger.RestrictionSet, Source: "counsel", Ground: "art18_1_b"}, ids)
		return l.export(ids, nil, asked("newsletter", "restricted", ids[0]))
	},
	"an objection to all marketing": func(l *testLog) *made {
		ids := l.ask("newsletter")
		l.confirm(ids...)
		no := ledger.ConsentID(l.add(&ledger.Entry{Kind: ledger.ObjectionRecorded, Source: "shop", Purpose: ledger.AllMarketing, Channel: ledger.AnyChannel}, "email", "erika@example.com"))
		return l.export(append(ids, no), []string{"email"}, asked("newsletter", "objected", no))
	},
	"found to be invalid": func(l *testLog) *made {
		ids := l.ask("newsletter")
		l.confirm(ids...)
		answers := asked("newsletter", "confirmed", ids[0])
		q := answers["newsletter"]
		q.At, q.Hindsight = l.now, false
		answers["newsletter"] = q
		l.change(&ledger.Entry{Kind: ledger.ConsentInvalidated, Source: "counsel", Cause: "wording"}, ids)
		return l.export(ids, nil, answers)
	},
	"purposes, notices, claims": func(l *testLog) *made {
		l.add(&ledger.Entry{Kind: ledger.ClaimDeclared, Source: "admin", Claim: "x.shoe_size"})
		l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter.shoes", Version: 1, Marketing: "yes", DoubleOptIn: "no", Lifetime: 86400, Parent: "newsletter"})
		l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter.shoes", Version: 2, Marketing: "yes", DoubleOptIn: "no", Lifetime: 86400, Parent: "newsletter"})
		ref := ledger.NoticeRef{ID: "newsletter-de", Version: 2, SHA256: l.document("Neu: Schuhe.\n")}
		l.add(&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: ref, Language: "de", Covers: []string{"newsletter.shoes"}})
		id := ledger.ConsentID(l.add(&ledger.Entry{Kind: ledger.ConsentGiven, Source: "shop", Purpose: "newsletter.shoes", Channel: "email", Notice: ref, Method: "paper", IPPolicy: "none"},
			"email", "erika@example.com", "x.shoe_size", "38", "document", l.mail("scan")))
		m := l.export([]ledger.ConsentID{id}, []string{"document", "x.shoe_size"}, asked("newsletter.shoes", "given", id))
		for _, e := range l.entries { // version 1 is named by nobody, nor is the other purpose
			if e.Notice.Version == 1 || e.Purpose == "email.open_tracking" {
				m.omit(e.Index)
			}
		}
		return m
	},
	"rotated keys": func(l *testLog) *made {
		l.anchor(0, "qualified")
		l.rotate("second")
		l.anchor(0, "")
		ids := l.ask("newsletter")
		l.confirm(ids...)
		l.rotate("third")
		l.anchor(0, "")
		l.anchor(0, "")
		return l.export(ids, nil, asked("newsletter", "confirmed", ids[0]))
	},
	"two time stamps of one checkpoint": func(l *testLog) *made {
		ids := l.ask("newsletter")
		l.confirm(ids...)
		size := ledger.Size(l.next())
		note, at := l.checkpoint(size), l.now
		l.anchored(size, note, token(at, ledger.TextHash(note), ""), at)
		l.anchored(size, note, token(at.Add(time.Second), ledger.TextHash(note), "stranger"), at.Add(time.Second))
		return l.export(ids, nil, asked("newsletter", "confirmed", ids[0]))
	},
	"a range from the beginning": func(l *testLog) *made {
		s := newStoryIn(l)
		return l.exportRange(0, s.next())
	},
	"a range": func(l *testLog) *made {
		s := newStoryIn(l)
		s.rotate("second")
		s.anchor(0, "")
		return l.exportRange(s.sent, s.withdrawn)
	},
}

// What a report says of the story, field by field.
func TestReport(t *testing.T) {
	s := newStory(t)
	m := s.exported()
	m.token = func(manifest ledger.Hash) ([]byte, error) { return token(m.custody.Made, manifest, "qualified"), nil }
	rep, err := m.verified()
	wants(t, err, ledger.Verified, "")
	if rep.Disclosed != 4 || rep.Undisclosed != 3 || rep.Entries != 19-1 || rep.Files != len(m.files)+6 || *rep.Exported != *m.index.Exported || !rep.Made.Equal(m.custody.Made) {
		t.Errorf("%+v", rep)
	}
	if len(rep.Stamps) != 2 || rep.ManifestStamp == nil || !rep.ManifestStamp.Qualified || !strings.HasPrefix(rep.Anchors, "UNANCHORED") {
		t.Errorf("%+v", rep)
	}
	unknown, err := m.verified(func(o *Options) { o.Stamps = nil })
	wants(t, err, ledger.Verified, "")
	if unknown.ManifestStamp != nil || !slices.Contains(unknown.NotChecked, "the time stamp over the bundle: no authority is trusted") {
		t.Errorf("%+v", unknown)
	}
	c := rep.Consents[0]
	if c.State != "withdrawn" || c.Grade != "A" || c.Last != s.withdrawn || c.Committed != *m.index.Committed || c.Notice != "newsletter-de@1" || c.Erased != nil {
		t.Errorf("%+v", c)
	}
	q := rep.Questions[0]
	if q.Allowed || q.Reason != "withdrawn" || *q.Consent != s.id[0] || q.Grade != "A" {
		t.Errorf("%+v", q)
	}
	var kinds []string
	for _, e := range q.Evidence {
		kinds = append(kinds, e.Kind)
	}
	want := "purpose.defined notice.published consent.requested confirmation.sent consent.confirmed consent.used consent.withdrawn"
	if strings.Join(kinds, " ") != want {
		t.Errorf("evidence %v", kinds)
	}
	confirmed := q.Evidence[4]
	if confirmed.Bounds == nil || confirmed.Bounds.NotInLogAt == nil || confirmed.Bounds.InLogAt == nil || !strings.Contains(confirmed.Says, "visible button") {
		t.Errorf("%+v", confirmed)
	}
	if d := q.Evidence[2].Disclosed; !slices.Equal(d, []string{"email"}) {
		t.Errorf("disclosed %v", d)
	}
	missing := strings.Join(q.Missing, "\n")
	for _, want := range []string{
		fmt.Sprintf("Entry %d commits to values that the bundle does not disclose: form_snapshot, ip.", s.id[0]),
		fmt.Sprintf("No time stamp shows that entries %d, %d were there before the bundle was stamped", s.used, s.withdrawn),
	} {
		if !strings.Contains(missing, want) {
			t.Errorf("missing says %q, want %q", missing, want)
		}
	}
	// An answer rests on the record that decided.
	rep, err = stories["an objection to all marketing"](newLog(t)).verified()
	wants(t, err, ledger.Verified, "")
	if q := rep.Questions[0]; len(q.Evidence) != 2 || q.Evidence[0].Kind != "purpose.defined" || q.Evidence[1].Kind != "objection.recorded" || len(q.Missing) != 1 || q.Grade != "" {
		t.Errorf("%+v", q)
	}
	// Asked about the click, everything is stamped that it rests on.
	rep, err = stories["asked about the click"](newLog(t)).verified()
	wants(t, err, ledger.Verified, "")
	if rep.Anchors != "STAMPED" || rep.Questions[0].Anchors != "STAMPED" || !rep.Questions[0].Allowed {
		t.Errorf("%+v", rep)
	}
}

// What a lawyer must know that is not shown is said.
func TestMissing(t *testing.T) {
	request := func(l *testLog, claims ...string) []ledger.ConsentID {
		e := l.requested("newsletter", l.next(), l.now.Add(time.Hour).Truncate(time.Second))
		return []ledger.ConsentID{ledger.ConsentID(l.add(e, append(claims, "email", "erika@example.com")...))}
	}
	click := func(l *testLog, how string, ids []ledger.ConsentID, claims ...string) {
		l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: testToken(ledger.Index(ids[0])), Click: how}, ids, claims...)
	}
	none := "Whose record it is the bundle does not show"
	for _, c := range []struct {
		name     string
		do       func(l *testLog) []ledger.ConsentID
		reason   string
		disclose []string
		missing  []string // the beginnings of all sentences
	}{
		{"nothing but a link that was opened", func(l *testLog) []ledger.ConsentID {
			ids := request(l)
			click(l, "link", ids)
			return ids
		}, "confirmed", nil, []string{"The form as it was shown with the request was not kept.", "Neither an address nor a browser was recorded with the request.",
			"No entry before the click records that the mail", "Neither an address nor a browser was recorded with the click.", "To open the link was enough",
			none, "Entry 7 commits to values that the bundle does not disclose: email.", "No time stamp shows that entries 4, 6, 7, 8 were there"}},
		{"a script, and a mail that was not kept", func(l *testLog) []ledger.ConsentID {
			ids := request(l, "form_snapshot", "<form>", "user_agent", "Browser 1.0")
			l.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", About: ids})
			click(l, "script", ids, "ip", "203.0.113.7", "scanner", "it was fast")
			return ids
		}, "confirmed", []string{"email", "form_snapshot", "ip", "scanner", "user_agent"}, []string{"The mail with the link was not kept as it was sent", "Signs were recorded that a machine made the click.",
			"A script of the page made the click", "No time stamp shows"}},
		{"another system's word", func(l *testLog) []ledger.ConsentID {
			ids := request(l, "form_snapshot", "<form>", "user_agent", "Browser 1.0")
			l.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", About: ids, Mail: "kept"}, "message", l.mail("mail"))
			click(l, "event", ids, "ip", "203.0.113.7")
			return ids
		}, "confirmed", []string{"email", "form_snapshot", "ip", "message", "user_agent"}, []string{"The click is another system's word", "No time stamp shows"}},
		{"how is not said, and stamped", func(l *testLog) []ledger.ConsentID {
			ids := request(l, "form_snapshot", "<form>", "user_agent", "Browser 1.0")
			l.add(&ledger.Entry{Kind: ledger.ConfirmationSent, Source: "shop", About: ids})
			l.add(&ledger.Entry{Kind: ledger.ConfirmationAttached, Source: "shop", About: ids}, "message", l.mail("mail"))
			click(l, "", ids, "ip", "203.0.113.7")
			l.anchor(0, "")
			return ids
		}, "confirmed", []string{"email", "form_snapshot", "ip", "message", "user_agent"}, []string{"How the click was made was not recorded",
			"No time stamp shows that entries 4, 6, 7, 8, 9, 10 were not there before"}},
		{"somebody's word", func(l *testLog) []ledger.ConsentID {
			l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 2, Marketing: "yes", DoubleOptIn: "no", Lifetime: 86400})
			return []ledger.ConsentID{ledger.ConsentID(l.add(&ledger.Entry{Kind: ledger.ConsentGiven, Source: "shop", Purpose: "newsletter", Channel: "email", Notice: l.notice(), Method: "oral",
				IPPolicy: "none"}, "email", "erika@example.com"))}
		}, "given", []string{"email"}, []string{"No document and no recording", "The form as it was shown when the consent was given", "Neither an address nor a browser was recorded when", "No time stamp shows"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog(t)
			ids := c.do(l)
			m := l.export(ids, c.disclose, asked("newsletter", c.reason, ids[0]))
			rep, err := m.verified()
			wants(t, err, ledger.Verified, "")
			if err != nil {
				return
			}
			if got := rep.Questions[0].Missing; !slices.EqualFunc(got, c.missing, strings.HasPrefix) {
				t.Errorf("missing:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.missing, "\n"))
			}
		})
	}
	t.Run("a mail of which only the hash is there", func(t *testing.T) {
		m := newStory(t).exported()
		m.each(bundle.KindFile, func(name string) { delete(m.files, name) })
		rep, err := m.verified()
		wants(t, err, ledger.Verified, "")
		if !slices.Contains(rep.NotChecked, "1 files that disclosed values name: the bundle has only their hashes") {
			t.Errorf("%q", rep.NotChecked)
		}
	})
}

// Every kind that a report has a sentence for has a whole one.
func TestSays(t *testing.T) {
	for kind, say := range sayings {
		text := say(&ledger.Entry{Kind: kind})
		if !strings.HasSuffix(text, ".") || strings.ToUpper(text[:1]) != text[:1] || strings.Contains(text, "%!") {
			t.Errorf("%s: %q", kind, text)
		}
	}
	for _, how := range append(ledger.Clicks(), "") {
		if clicked[how] == "" || pressed[how] == "" && how != "button" {
			t.Errorf("no words for the click %q", how)
		}
	}
}
