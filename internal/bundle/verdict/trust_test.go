package verdict

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// Whose signatures count is the reader's to say.
func TestTrust(t *testing.T) {
	witness, err := ledger.NewCosigner("witness.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	witnessed := func(l *testLog) []byte {
		text := replaced(t, string(ledger.NewPolicy(newSigner(t, "first").Keys())), "group hybrid all self-pq", string(witness.Keys().PolicyLines(""))+"group hybrid all self-pq witness.example")
		return []byte(text)
	}
	cosigned := func(l *testLog, size ledger.Size) []byte {
		lines, err := witness.Cosign(l.head(size), l.now.Unix())
		if err != nil {
			t.Fatal(err)
		}
		note := l.checkpoint(size)
		for _, line := range lines {
			note = append(note, line.String()+"\n"...)
		}
		return note
	}
	// cosigns puts the witness's signatures into a bundle.
	cosigns := func(m *made) {
		m.files["checkpoint.note"] = cosigned(m.testLog, m.size)
		for name := range m.files {
			if p, _ := bundle.ParsePath(name); p.Kind == bundle.KindEntry {
				m.put(p.Index())
			}
		}
	}
	rotated := func(s *story) *made {
		s.rotate("second")
		return s.exported()
	}
	policy := func(text []byte) func(*Options) { return func(o *Options) { o.Policy = policyOf(t, text) } }
	of := func(names ...string) func(*Options) { return policy(ledger.NewPolicy(newSigner(t, names[0]).Keys())) }
	for _, c := range []struct {
		name    string
		make    func(s *story) (*made, []func(*Options))
		verdict ledger.Verdict
		words   string
	}{
		{"a quorum that is not reached", func(s *story) (*made, []func(*Options)) {
			return s.exported(), []func(*Options){policy(witnessed(s.testLog))}
		},
			ledger.CannotTell, `quorum "hybrid" is not reached`},
		{"a quorum that is reached", func(s *story) (*made, []func(*Options)) {
			m := s.exported()
			cosigns(m)
			return m, []func(*Options){policy(witnessed(s.testLog))}
		}, ledger.Verified, ""},
		{"a quorum that the log reaches", func(s *story) (*made, []func(*Options)) {
			m := s.exported()
			c := s.whole()
			c.checkpoint = cosigned(s.testLog, c.size)
			return m, []func(*Options){policy(witnessed(s.testLog)), against(c)}
		}, ledger.Verified, ""},
		{"a quorum that the log does not reach either", func(s *story) (*made, []func(*Options)) {
			return s.exported(), []func(*Options){policy(witnessed(s.testLog)), against(s.whole())}
		}, ledger.CannotTell, "held against the log"},
		{"keys of others", func(s *story) (*made, []func(*Options)) { return s.exported(), []func(*Options){of("stranger")} }, ledger.CannotTell, "signed by the keys"},
		{"keys of others, with the log", func(s *story) (*made, []func(*Options)) {
			return s.exported(), []func(*Options){of("stranger"), against(s.whole())}
		}, ledger.CannotTell, "held against the log"},
		{"keys that were rotated since the policy", func(s *story) (*made, []func(*Options)) { return rotated(s), nil }, ledger.Verified, ""},
		{"keys that are newer than the bundle", func(s *story) (*made, []func(*Options)) { return s.exported(), []func(*Options){of("second")} }, ledger.CannotTell, "signed by the keys"},
		{"keys that are newer than the bundle, with their entries", func(s *story) (*made, []func(*Options)) {
			m := s.exported()
			s.rotate("second")
			keys := s.keys(ledger.Size(s.next()))
			return m, []func(*Options){of("second"), func(o *Options) { o.Keys = keys }}
		}, ledger.CannotTell, "signed by keys that were retired"},
		{"keys that are newer than the bundle, with the log", func(s *story) (*made, []func(*Options)) {
			m := s.exported()
			s.rotate("second")
			return m, []func(*Options){of("second"), against(s.whole())}
		}, ledger.Verified, ""},
		{"a keys file of the same entries", func(s *story) (*made, []func(*Options)) {
			m := rotated(s)
			return m, []func(*Options){func(o *Options) { o.Keys = m.keys(m.size) }}
		}, ledger.Verified, ""},
		{"a keys file that ends before", func(s *story) (*made, []func(*Options)) {
			m := rotated(s)
			return m, []func(*Options){func(o *Options) { o.Keys = m.texts[0] }}
		}, ledger.Verified, ""},
		{"a keys file that goes on behind the bundle", func(s *story) (*made, []func(*Options)) {
			m := rotated(s)
			m.rotate("third")
			return m, []func(*Options){func(o *Options) { o.Keys = m.keys(ledger.Size(m.next())) }}
		}, ledger.Verified, ""},
		{"a keys file of a log that began again", func(s *story) (*made, []func(*Options)) {
			again, err := ledger.NewLedger(s.signers[0], "other.example", s.now)
			if err != nil {
				s.Fatal(err)
			}
			text, err := again.Encode()
			if err != nil {
				s.Fatal(err)
			}
			return s.exported(), []func(*Options){func(o *Options) { o.Keys = text }}
		}, ledger.Invalid, "the keys file given holds other key entries than the bundle"},
		{"a keys file that cannot be read", func(s *story) (*made, []func(*Options)) {
			return s.exported(), []func(*Options){func(o *Options) { o.Keys = []byte("x") }}
		}, ledger.CannotTell, "the keys file"},
		{"a rotation left out, found by the keys file", func(s *story) (*made, []func(*Options)) {
			// Whoever has the first pair still signs with it.
			m := rotated(s)
			keys := m.keys(m.size)
			m.retired()
			return m, []func(*Options){func(o *Options) { o.Keys = keys }}
		}, ledger.CannotTell, "signed by the keys"},
		{"a rotation left out, found with the log", func(s *story) (*made, []func(*Options)) {
			m := rotated(s)
			c := s.whole()
			signers, at := s.signers, s.rotated
			m.retired()
			honest := *s.testLog
			honest.signers, honest.rotated = signers, at
			c.testLog = &honest
			return m, []func(*Options){against(c)}
		}, ledger.CannotTell, "held against the log"},
		{"key entries that lack one", func(s *story) (*made, []func(*Options)) {
			m := rotated(s)
			m.files["trust/trust.keys"] = m.texts[0]
			return m, nil
		}, ledger.CannotTell, "signed by the keys"},
		{"key entries of another log", func(s *story) (*made, []func(*Options)) {
			m := s.exported()
			m.files["trust/trust.keys"] = newLogOf(t, "stranger").texts[0]
			return m, nil
		}, ledger.Invalid, "the keys that signed the bundle are not those in force at its size"},
		{"key entries that the log does not have", func(s *story) (*made, []func(*Options)) {
			m := s.exported()
			later := *s.testLog
			later.rotate("second")
			m.files["trust/trust.keys"] = later.keys(ledger.Size(later.next()))
			return m, nil
		}, ledger.Invalid, "trust/trust.keys: holds other key entries than evidence/entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, options := c.make(newStory(t))
			rep, err := m.verified(options...)
			wants(t, err, c.verdict, c.words)
			if strings.HasPrefix(c.name, "a quorum") && err == nil && (rep.Anchors != "WITNESSED 1" || len(rep.Witnesses) != 2 || len(rep.Cosigned) != 2) {
				t.Errorf("%q, %q, %v", rep.Anchors, rep.Witnesses, rep.Cosigned)
			}
		})
	}
}

// retired makes a bundle as somebody does who has a pair that was replaced: of a log
// without the rotation.
func (m *made) retired() {
	at := m.rotated[0]
	m.signers, m.rotated = m.signers[:1], nil
	m.omit(at)
	m.files["checkpoint.note"] = m.checkpoint(m.size)
	m.files["trust/trust.keys"] = m.texts[0]
	for name := range m.files {
		if p, _ := bundle.ParsePath(name); p.Kind == bundle.KindEntry {
			m.put(p.Index())
		}
	}
}

func newLogOf(t testing.TB, name string) *testLog {
	t.Helper()
	l := newLog(t)
	l.signers = []*ledger.Signer{newSigner(t, name)}
	created, err := ledger.NewLedger(l.signers[0], "shop.example", l.now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := created.Encode()
	if err != nil {
		t.Fatal(err)
	}
	l.texts[0] = text
	return l
}

// A log with another history contradicts the bundle.
func TestDiverged(t *testing.T) {
	s := newStory(t)
	m := s.exported()
	other := newStory(t)
	other.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: other.id})
	other.exported()
	_, err := m.verified(against(other.whole()))
	wants(t, err, ledger.Diverged, "held against the log: diverged")
	// Whatever the log's verification says is the verdict, with or without a report.
	_, err = m.verified(func(o *Options) {
		o.Verify = func(context.Context, ledger.VerifyOptions) (*ledger.LogReport, error) {
			return nil, fmt.Errorf("%w: no such directory", ledger.ErrMissing)
		}
	})
	wants(t, err, ledger.CannotTell, "no such directory")
	// The log that goes on behind the bundle holds what does not belong in it.
	s.change(&ledger.Entry{Kind: ledger.ObjectionRecorded}, s.id)
	_, err = m.verified(against(s.whole()))
	wants(t, err, ledger.Verified, "")
}

// What the stamps in a bundle say.
func TestStamps(t *testing.T) {
	for _, c := range []struct {
		name    string
		tell    func(l *testLog)
		verdict ledger.Verdict
		words   string
		check   func(rep *Report) bool
	}{
		{"good", func(l *testLog) { l.anchor(0, "") }, ledger.Verified, "", func(r *Report) bool { return len(r.Stamps) == 1 && r.Anchors == "STAMPED" }},
		{"qualified", func(l *testLog) { l.anchor(0, "qualified") }, ledger.Verified, "", func(r *Report) bool { return r.Anchors == "STAMPED_QUALIFIED" }},
		{"by a stranger", func(l *testLog) { l.anchor(0, "stranger") }, ledger.Verified, "",
			func(r *Report) bool {
				return len(r.Stamps) == 0 && len(r.StampsNotCounted) == 1 && strings.HasPrefix(r.Anchors, "UNANCHORED")
			}},
		{"another time", func(l *testLog) {
			size := ledger.Size(l.next())
			note := l.checkpoint(size)
			l.anchored(size, note, token(l.now, ledger.TextHash(note), ""), l.now.Add(time.Minute))
		}, ledger.Invalid, "stamped is 2026", nil},
		{"over something else", func(l *testLog) {
			size := ledger.Size(l.next())
			l.anchored(size, l.checkpoint(size), token(l.now, ledger.Hash{}, ""), l.now)
		}, ledger.Invalid, "the token is about other bytes", nil},
		{"of another size", func(l *testLog) {
			size := ledger.Size(l.next())
			note := l.checkpoint(size - 1)
			l.anchored(size, note, token(l.now, ledger.TextHash(note), ""), l.now)
		}, ledger.Invalid, "the entry says", nil},
		{"of another history", func(l *testLog) {
			size := ledger.Size(l.next())
			note, err := l.signer(size).SignCheckpoint(ledger.Checkpoint{Origin: testOrigin, Size: size, Root: ledger.Hash{1}}, 1)
			if err != nil {
				l.Fatal(err)
			}
			l.anchored(size, note, token(l.now, ledger.TextHash(note), ""), l.now)
		}, ledger.Invalid, "the proof does not lead from one root to the other", nil},
		{"signed by others", func(l *testLog) {
			size := ledger.Size(l.next())
			note, err := newSigner(l, "stranger").SignCheckpoint(l.head(size), 1)
			if err != nil {
				l.Fatal(err)
			}
			l.anchored(size, note, token(l.now, ledger.TextHash(note), ""), l.now)
		}, ledger.Invalid, "the checkpoint that was stamped", nil},
		{"cosigned", func(l *testLog) {
			size := ledger.Size(l.next())
			note := append(l.checkpoint(size), "\u2014 stranger.example 3q2+7wAAAAAAAAAA\n"...)
			l.anchored(size, note, token(l.now, ledger.TextHash(note), ""), l.now)
		}, ledger.Invalid, "it carries other signatures than the log's two", nil},
		{"entries dated before it", func(l *testLog) { l.anchor(time.Hour, "") }, ledger.Verified, "",
			func(r *Report) bool {
				return len(r.Irregular) == 2 && r.Irregular[0].Name == "dated_before_stamp" && r.Irregular[0].Bounds != nil
			}},
		{"dated after it", func(l *testLog) { l.anchor(-time.Hour, "") }, ledger.Verified, "",
			func(r *Report) bool { return len(r.Irregular) == 1 && r.Irregular[0].Name == "dated_after_stamp" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog(t)
			ids := l.ask("newsletter")
			c.tell(l)
			m := l.export(ids, nil, nil)
			rep, err := m.verified()
			wants(t, err, c.verdict, c.words)
			if c.check != nil && !c.check(rep) {
				t.Errorf("%+v", rep)
			}
			rep, err = m.verified(func(o *Options) { o.Stamps = nil })
			if len(rep.Stamps) != 0 || err == nil && !strings.Contains(strings.Join(rep.NotChecked, "\n"), "1 time-stamp tokens: no authority is trusted") {
				t.Errorf("without an authority: %+v, %v", rep, err)
			}
		})
	}
}

// Nothing of an erased person is disclosed; of one who is not erased it may be, though
// the entry is about both.
func TestErasedDisclosure(t *testing.T) {
	for _, c := range []struct {
		name    string
		erase   int // of two
		verdict ledger.Verdict
		words   string
	}{
		{"none", 0, ledger.Verified, ""}, {"one", 1, ledger.Verified, ""}, {"both", 2, ledger.Invalid, "it discloses what was erased"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLog(t)
			ids := l.ask("newsletter", "email.open_tracking")
			confirmed := l.confirm(ids...)
			if c.erase > 0 {
				l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, ids[:c.erase])
			}
			m := l.export(ids, []string{"ip"}, nil)
			for _, id := range ids { // of the entry of both alone
				delete(m.files, bundle.DisclosurePath(ledger.Index(id), "ip"))
			}
			if m.files[bundle.DisclosurePath(confirmed, "ip")] == nil {
				t.Fatal("nothing is disclosed")
			}
			_, err := m.verified()
			wants(t, err, c.verdict, c.words)
		})
	}
}

// What an erased record's report says.
func TestErasedReport(t *testing.T) {
	m := stories["erased"](newLog(t))
	rep, err := m.verified()
	wants(t, err, ledger.Verified, "")
	m.index.Questions[0].Consent = new(ledger.ConsentID) // no record, in another spelling
	_, again := m.verified()
	wants(t, again, ledger.Invalid, "question 1: the bundle says not allowed (unknown_subject)")
	x := rep.Consents[0].Erased
	if x == nil || x.Reason != "art17" || x.Shredded == nil || *x.Shredded != x.Entry+2 || x.Generation != 2 || x.Medium != "file" || x.ContentsDestroyed.IsZero() ||
		x.ExistenceDue.IsZero() || x.ExistenceDestroyed.IsZero() || len(rep.Consents[0].Overlays) != 1 {
		t.Errorf("%+v, %+v", rep.Consents[0], x)
	}
	if !strings.Contains(strings.Join(rep.CannotProve, "\n"), "destroyed keys") || rep.Disclosed != 2 {
		t.Errorf("%+v", rep)
	}
}

// An auditor's bundle holds a range of the log, and nothing personal.
func TestRange(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(s *story, m *made)
		verdict ledger.Verdict
		words   string
	}{
		{"nothing", func(*story, *made) {}, ledger.Verified, ""},
		{"an entry left out", func(s *story, m *made) { m.omit(s.used) }, ledger.Invalid, "entry 13 of the range is not in the bundle"},
		{"an entry of another range", func(s *story, m *made) { m.put(s.effected) }, ledger.Invalid, "entry 16: is not of the range"},
		{"a longer range", func(s *story, m *made) { m.index.Range.End++ }, ledger.Invalid, "entry 15 of the range is not in the bundle"},
		{"a range behind the log", func(s *story, m *made) { m.index.Range.End = 99 }, ledger.Invalid, "a range from 10 to 99 in a log of 17 entries"},
		{"an empty range", func(s *story, m *made) { m.index.Range.End = m.index.Range.Start }, ledger.Invalid, "a range from 10 to 10"},
		{"no range", func(s *story, m *made) { m.index.Range = nil }, ledger.Invalid, "a bundle about a range has a range"},
		{"records", func(s *story, m *made) {
			m.index.Consents = []bundle.IndexedConsent{{ID: s.id[0], Entries: []ledger.Index{1}}}
		}, ledger.Invalid, "a bundle about a range has a range, and no consents"},
		{"a disclosure", func(s *story, m *made) {
			m.files[bundle.DisclosurePath(s.sent, "message")] = []byte(s.disclosure(s.sent, "message").Text())
		}, ledger.Invalid, "its entry is none of a record of the bundle"},
		{"a file", func(s *story, m *made) {
			for name, content := range s.kept {
				m.files["evidence/files/"+name] = content
			}
		}, ledger.Invalid, "no disclosed value names it"},
		{"a state proof", func(s *story, m *made) { m.files[bundle.StatePath(s.id[0])] = s.states[s.early].proof(s, s.id[0]) }, ledger.Invalid, "the bundle is not about this consent"},
		{"a reason", func(s *story, m *made) { m.custody.Reason = "an audit" }, ledger.Invalid, "an auditor's bundle leaves no entry"},
		{"another proof", func(s *story, m *made) { m.files[bundle.ProofPath(s.used)] = m.files[bundle.ProofPath(s.sent)] }, ledger.Invalid, "its proof is of entry 10"},
		{"no stamped checkpoints", func(s *story, m *made) {
			for _, size := range []ledger.Size{7, 12} {
				delete(m.files, bundle.BoundPath(size))
				delete(m.files, bundle.BoundTokenPath(size, 1))
			}
			delete(m.files, bundle.ConsistencyPath(7, 12))
			delete(m.files, bundle.ConsistencyPath(12, 17))
		}, ledger.Verified, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			m := s.exportRange(s.sent, s.withdrawn)
			c.change(s, m)
			rep, err := m.verified()
			wants(t, err, c.verdict, c.words)
			if err == nil && (rep.Range == nil || rep.Range.Start != s.sent || rep.Range.End != s.withdrawn || rep.Range.Kinds["consent.confirmed"] != 1 || rep.Disclosed != 0 || rep.Undisclosed != 2) {
				t.Errorf("%+v", rep.Range)
			}
		})
	}
	t.Run("what the range does not name", func(t *testing.T) {
		s := newStory(t)
		m := s.exportRange(s.sent, s.withdrawn)
		m.omit(purposeTracking)
		_, err := m.verified(against(s.whole()))
		wants(t, err, ledger.Verified, "")
	})
	t.Run("a notice of the range without its words", func(t *testing.T) {
		l := newLog(t)
		m := l.exportRange(0, l.next())
		delete(m.files, bundle.NoticePath(ledger.TextHash([]byte(noticeText))))
		_, err := m.verified()
		wants(t, err, ledger.Invalid, "of its notice is missing")
	})
	t.Run("what the rules forbid", func(t *testing.T) {
		l := newLog(t)
		ids := l.ask("newsletter")
		l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: testToken(1)}, ids)
		_, err := l.exportRange(0, l.next()).verified()
		wants(t, err, ledger.Invalid, "rule token")
		_, err = l.exportRange(1, l.next()).verified() // the history begins before
		wants(t, err, ledger.Verified, "")
		_, err = l.exportRange(1, l.next()).verified(against(l.whole()))
		wants(t, err, ledger.Invalid, "rule token")
	})
}
