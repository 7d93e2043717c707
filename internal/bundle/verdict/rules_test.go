package verdict

import (
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// An operator recorded what the rules forbid, and made a bundle of it that is good but
// for that.
func TestRules(t *testing.T) {
	ask := func(l *testLog) []ledger.ConsentID { return l.ask("newsletter") }
	for _, c := range []struct {
		name  string
		do    func(l *testLog) (ids []ledger.ConsentID)
		words string
	}{
		{"confirmed with another token", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: testToken(1)}, ids)
			return ids
		}, "rule token: no open request has this lock"},
		{"confirmed with another request's token", func(l *testLog) []ledger.ConsentID {
			ids, more := ask(l), ask(l)
			l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: testToken(ledger.Index(more[0]))}, ids)
			return append(ids, more...)
		}, "rule token: the token or lock belongs to another request"},
		{"confirmed too late", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.now = l.now.AddDate(0, 0, 2)
			l.confirm(ids...)
			return ids
		}, "rule token_expired"},
		{"confirmed after the withdrawal", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn}, ids)
			l.confirm(ids...)
			return ids
		}, "rule transition"},
		{"a lock used twice", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.commitState()
			again := l.add(l.requested("newsletter", ledger.Index(ids[0]), l.now.Add(24*time.Hour).Truncate(time.Second)), "email", "x@example.com")
			return append(ids, ledger.ConsentID(again))
		}, "rule lock_used"},
		{"a source of another role", func(l *testLog) []ledger.ConsentID {
			e := l.requested("newsletter", l.next(), l.now.Add(time.Hour).Truncate(time.Second))
			e.Source = "counsel"
			return []ledger.ConsentID{ledger.ConsentID(l.add(e, "email", "x@example.com"))}
		}, "rule role"},
		{"a claim that nobody declared", func(l *testLog) []ledger.ConsentID {
			e := l.requested("newsletter", l.next(), l.now.Add(time.Hour).Truncate(time.Second))
			return []ledger.ConsentID{ledger.ConsentID(l.add(e, "email", "x@example.com", "x.shoe_size", "38"))}
		}, "rule claim"},
		{"a system that nobody declared", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.add(&ledger.Entry{Kind: ledger.WithdrawalEffected, Source: "shop", About: ids, System: "mailer"})
			return ids
		}, "rule system"},
		{"a processor that nobody engaged", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: ids, Processor: "mailer"})
			return ids
		}, "rule processor"},
		{"a purpose whose version was passed over", func(l *testLog) []ledger.ConsentID {
			l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 3, Marketing: "yes", DoubleOptIn: "no", Lifetime: 86400})
			return ask(l)
		}, "rule version"},
		{"a version of a notice again", func(l *testLog) []ledger.ConsentID {
			l.add(&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: l.notice(), Language: "de", Covers: []string{"newsletter"}})
			return ask(l)
		}, "rule version"},
		{"a notice for something else", func(l *testLog) []ledger.ConsentID {
			ref := ledger.NoticeRef{ID: "other", Version: 1, SHA256: l.document("x")}
			l.add(&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: ref, Language: "de", Covers: []string{"something"}})
			e := l.requested("newsletter", l.next(), l.now.Add(time.Hour).Truncate(time.Second))
			e.Notice = ref
			return []ledger.ConsentID{ledger.ConsentID(l.add(e, "email", "x@example.com"))}
		}, "rule notice_coverage"},
		{"a hold lifted twice", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			hold := l.add(&ledger.Entry{Kind: ledger.HoldSet, Source: "counsel", About: ids})
			l.add(&ledger.Entry{Kind: ledger.HoldSet, Source: "counsel", About: ids})
			l.add(&ledger.Entry{Kind: ledger.HoldLifted, Source: "counsel", About: ids, Refers: []ledger.Index{hold}})
			l.add(&ledger.Entry{Kind: ledger.HoldLifted, Source: "counsel", About: ids, Refers: []ledger.Index{hold}})
			return ids
		}, "is no open hold of exactly these consents"},
		{"a request answered twice", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			at := l.now.Truncate(time.Second)
			received := l.add(&ledger.Entry{Kind: ledger.RequestReceived, Source: "counsel", About: ids, Article: "art15", Occurred: at, Due: ledger.AnswerDue(at, 1)})
			l.add(&ledger.Entry{Kind: ledger.RequestAnswered, Source: "counsel", Refers: []ledger.Index{received}, About: ids})
			l.add(&ledger.Entry{Kind: ledger.RequestAnswered, Source: "counsel", Refers: []ledger.Index{received}})
			return ids
		}, "is no request that waits for its answer"},
		{"a request that is due later than the law says", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.add(&ledger.Entry{Kind: ledger.RequestReceived, Source: "counsel", About: ids, Article: "art15", Due: ledger.AnswerDue(l.now, 3)})
			return ids
		}, "rule due"},
		{"shredded twice", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			erased := l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, ids)
			for range 2 {
				l.add(&ledger.Entry{Kind: ledger.EvidenceShredded, Source: ledger.SourceLedger, Refers: []ledger.Index{erased}, Generation: 2, Medium: "file",
					Contents: l.now.Truncate(time.Second), ExistenceDue: l.now.Truncate(time.Second)})
			}
			return ids
		}, "is no erasure that waits for its keys to be shredded"},
		{"changed after the erasure", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, ids)
			l.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn}, ids)
			return ids
		}, "rule erased"},
		{"an acknowledgement of nothing", func(l *testLog) []ledger.ConsentID {
			ids := ask(l)
			l.add(&ledger.Entry{Kind: ledger.RecipientAcknowledged, Source: "counsel", Refers: []ledger.Index{ledger.Index(ids[0])}})
			return ids
		}, "is no notification that waits to be acknowledged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog(t)
			_, err := l.export(c.do(l), nil, nil).verified()
			wants(t, err, ledger.Invalid, c.words)
		})
	}
}

// What happened though it should not have is told, and is no fault of the bundle.
func TestIrregular(t *testing.T) {
	s := newStory(t)
	late := s.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: s.id})
	rep, err := s.exported().verified()
	wants(t, err, ledger.Verified, "")
	if len(rep.Irregular) != 1 || rep.Irregular[0].Name != "consent.used.withdrawn" || rep.Irregular[0].Index != late || rep.Irregular[0].Bounds == nil {
		t.Errorf("irregular: %+v", rep.Irregular)
	}
	uses := slices.DeleteFunc(rep.Questions[0].Evidence, func(e Evidence) bool { return e.Kind != string(ledger.ConsentUsed) })
	if len(uses) != 1 || uses[0].Entry != late { // of many the newest
		t.Errorf("uses: %+v", uses)
	}
}

// The entries of a log that was forged do not hang together.
func TestChain(t *testing.T) {
	for _, c := range []struct {
		name  string
		forge func(l *testLog, e *ledger.Entry)
		words string
	}{
		{"prev", func(_ *testLog, e *ledger.Entry) { e.Prev[0]++ }, "prev is"},
		{"time", func(_ *testLog, e *ledger.Entry) { e.Time = e.Time.Add(-time.Minute) }, "time is before that of entry"},
		{"a second beginning", func(l *testLog, e *ledger.Entry) {
			again := *l.entries[0]
			again.Index, again.Prev = e.Index, e.Prev
			*e = again
		}, "ledger.created stands at index 0 and only there"},
		{"a part without the first", func(_ *testLog, e *ledger.Entry) { e.Part, e.Parts = 2, 2 }, "part 2 of 2 without the first"},
		{"a list that goes on behind the log", func(_ *testLog, e *ledger.Entry) { e.Part, e.Parts = 1, 999 }, "its list would end with entry"},
		{"a list that does not go on", func(_ *testLog, e *ledger.Entry) { e.Part, e.Parts = 1, 2 }, "is not part 2 of 2 of entry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog(t)
			ids := l.ask("newsletter")
			e := &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: ids, Index: l.next(), Prev: ledger.LeafHash(l.texts[l.next()-1]), Time: l.now}
			c.forge(l, e)
			text, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			l.addText(e, text)
			m := l.export(ids, nil, nil)
			m.put(e.Index)
			_, err = m.verified()
			wants(t, err, ledger.Invalid, c.words)
		})
	}
	for _, c := range []struct {
		name   string
		second func(e *ledger.Entry)
		words  string
	}{
		{"a part that says something else", func(e *ledger.Entry) { e.Processor = "mailer" }, "is not part 2 of 3 of entry"},
		{"a part with another time", func(e *ledger.Entry) { e.Time = e.Time.Add(1000) }, "is not part 2 of 3 of entry"},
		{"a part that goes back", func(e *ledger.Entry) { e.About = []ledger.ConsentID{7} }, "its list does not go on where that of entry"},
		{"a part of more", func(e *ledger.Entry) { e.Parts = 2 }, "is not part 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog(t)
			ids := append(l.ask("newsletter"), append(l.ask("newsletter"), l.ask("newsletter")...)...)
			for n, id := range ids {
				e := &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{id}, Part: n + 1, Parts: 3, Time: l.now,
					Index: l.next(), Prev: ledger.LeafHash(l.texts[l.next()-1])}
				if n == 1 {
					c.second(e)
				}
				text, err := e.Encode()
				if err != nil {
					t.Fatal(err)
				}
				l.addText(e, text)
			}
			_, err := l.export(ids, nil, nil).verified()
			wants(t, err, ledger.Invalid, c.words)
		})
	}
}

// A kind of a later version is proven to be in the log, and not understood.
func TestNewerEntry(t *testing.T) {
	l := newLog(t)
	ids := l.ask("newsletter")
	e := &ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: ids, Index: l.next(), Prev: ledger.LeafHash(l.texts[l.next()-1]), Time: l.now}
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	later := l.addText(&ledger.Entry{Index: e.Index, Kind: "consent.dreamt"}, []byte(replaced(t, string(text), "kind consent.used", "kind consent.dreamt")))
	m := l.export(ids, nil, nil)
	m.put(later)
	_, err = m.verified()
	wants(t, err, ledger.CannotTell, "needs a newer verifier: unknown kind consent.dreamt")
	m.files[bundle.ProofPath(later)] = m.receipt(later-1, m.size, m.files["checkpoint.note"]).Text()
	_, err = m.verified()
	wants(t, err, ledger.Invalid, "its proof is of entry")
}
