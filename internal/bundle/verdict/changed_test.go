package verdict

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// A malicious operator, who has the keys, changes one thing in a good bundle and signs
// it again.
func TestChanged(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(s *story, m *made)
		verdict ledger.Verdict
		words   string // of the reason
	}{
		{"nothing", func(*story, *made) {}, ledger.Verified, ""},

		{"withdrawal left out at the end", func(s *story, m *made) { m.omit(s.withdrawn) }, ledger.Invalid,
			"the entries end with entry 11, the state proof says that entry 15 changed it last"},
		{"confirmation left out in between", func(s *story, m *made) { m.omit(s.confirmed) }, ledger.Invalid, "consent 8: entry 15 follows entry 11, not 8"},
		{"withdrawal left out, with an older state", func(s *story, m *made) { m.omitLate(s) }, ledger.Invalid,
			"the state was committed with entry 14, before entry 17, which records the export"},
		{"state proof of an older state", func(s *story, m *made) { m.files[bundle.StatePath(s.id[0])] = s.states[s.early].proof(s, s.id[0]) }, ledger.Invalid,
			"of 14 entries, the state was committed with entry 19"},
		{"older state", func(s *story, m *made) {
			m.files[bundle.StatePath(s.id[0])] = s.states[s.early].proof(s, s.id[0])
			m.put(s.early)
			m.index.Committed = &s.early
		}, ledger.Invalid, "the state was committed with entry 14, before entry 17"},
		{"state proof of another record", func(s *story, m *made) {
			m.files[bundle.StatePath(s.id[0])] = s.states[*m.index.Committed].proof(s, s.other[0])
		}, ledger.Invalid, "is about consent 9, not 8"},
		{"state proof that says more", func(s *story, m *made) {
			m.replace(bundle.StatePath(s.id[0]), "withdrawn", "withdrawn locked")
		}, ledger.Invalid, "does not prove that the state of consent 8 was committed"},
		{"no state proof", func(s *story, m *made) { delete(m.files, bundle.StatePath(s.id[0])) }, ledger.Invalid, `file "evidence/state/8.txt" is missing`},
		{"a state proof too many", func(s *story, m *made) {
			m.files[bundle.StatePath(s.other[0])] = s.states[*m.index.Committed].proof(s, s.other[0])
		}, ledger.Invalid, `file "evidence/state/9.txt": the bundle is not about this consent`},
		{"state committed by another entry", func(s *story, m *made) { i := *m.index.Exported + 1; m.index.Committed = &i }, ledger.Invalid, "is no state.committed"},
		{"state committed by no entry", func(s *story, m *made) { i := s.early; m.index.Committed = &i }, ledger.Invalid, "entry 14, which committed the state, is not in the bundle"},

		{"answer", func(_ *story, m *made) { q := &m.index.Questions[0]; q.Allowed, q.Hindsight = true, true }, ledger.Invalid,
			"question 1: the bundle says allowed (withdrawn) by consent 8, the entries say not allowed (withdrawn) by consent 8"},
		{"reason", func(_ *story, m *made) { m.index.Questions[0].Reason = "expired" }, ledger.Invalid, "question 1: the bundle says not allowed (expired)"},
		{"who decided", func(_ *story, m *made) { m.index.Questions[0].Consent = nil }, ledger.Invalid, "question 1: the bundle says not allowed (withdrawn), the entries say"},
		{"hindsight", func(_ *story, m *made) { m.index.Questions[0].Hindsight = true }, ledger.Invalid, "question 1: the bundle says"},
		{"moment", func(s *story, m *made) { m.index.Questions[0].At = s.confirmedAt }, ledger.Invalid, "the entries say allowed (confirmed) by consent 8"},
		{"moment to come", func(_ *story, m *made) { m.index.Questions[0].At = m.now.AddDate(1, 0, 0) }, ledger.Invalid, "question 1: asks about a moment after entry 17"},
		{"asked twice", func(_ *story, m *made) { m.index.Questions = append(m.index.Questions, m.index.Questions[0]) }, ledger.Invalid, "question 2: is asked twice"},
		{"asked about something else", func(_ *story, m *made) { m.index.Questions[0].Channel = "post" }, ledger.Invalid, "question 1: the bundle is about no record of this purpose on this channel"},
		{"not asked", func(_ *story, m *made) { m.index.Questions = nil }, ledger.Verified, ""},

		{"mention left out", func(s *story, m *made) { m.omit(s.used) }, ledger.Verified, ""},
		{"mention that is not listed", func(s *story, m *made) { m.index.Consents[0].Entries = without(m.index.Consents[0].Entries, s.used) }, ledger.Invalid,
			"consent 8: entry 13, which belongs to it, is not listed"},
		{"entry that is listed and not there", func(s *story, m *made) {
			entries := slices.Clone(m.index.Consents[0].Entries)
			m.omit(s.used)
			m.index.Consents[0].Entries = entries
		}, ledger.Invalid, "consent 8: entry 13 is not in the bundle"},
		{"entry that is listed and about others", func(_ *story, m *made) {
			m.index.Consents[0].Entries = append([]ledger.Index{purposeNews}, m.index.Consents[0].Entries...)
		}, ledger.Invalid, "consent 8: entry 4 does not belong to it"},
		{"entries listed in disorder", func(_ *story, m *made) { slices.Reverse(m.index.Consents[0].Entries) }, ledger.Invalid, "follows entry"},
		{"another person's record", func(s *story, m *made) { m.put(ledger.Index(s.other[0])) }, ledger.Invalid, "entry 9: opened a record that the bundle is not about"},
		{"another person's record, listed as well", func(s *story, m *made) {
			m.put(ledger.Index(s.other[0]))
			m.index.Consents = append(m.index.Consents, bundle.IndexedConsent{ID: s.other[0], Purpose: "newsletter", Channel: "email", Entries: []ledger.Index{ledger.Index(s.other[0]), s.used}})
			m.files[bundle.StatePath(s.other[0])] = s.states[*m.index.Committed].proof(s, s.other[0])
		}, ledger.Invalid, "entry 17: is not about the records of the bundle"},
		{"record listed twice", func(_ *story, m *made) { m.index.Consents = append(m.index.Consents, m.index.Consents[0]) }, ledger.Invalid, "consent 8 follows consent 8"},
		{"purpose of a record", func(_ *story, m *made) { m.index.Consents[0].Purpose = "email.open_tracking" }, ledger.Invalid, "purpose and channel are not those of its entry"},
		{"no records", func(_ *story, m *made) { m.index.Consents = nil }, ledger.Invalid, "a bundle about consents has consents"},

		{"proof of another entry", func(s *story, m *made) { m.files[bundle.ProofPath(s.used)] = m.files[bundle.ProofPath(s.sent)] }, ledger.Invalid,
			"entry 13: its proof is of entry 10"},
		{"hashes of another entry's proof", func(s *story, m *made) {
			r := m.receipt(s.sent, m.size, m.files["checkpoint.note"])
			r.Index = s.used
			m.files[bundle.ProofPath(s.used)] = r.Text()
		}, ledger.Invalid, "entry 13: its proof does not show that it is in the log"},
		{"proof to another checkpoint", func(s *story, m *made) {
			m.files[bundle.ProofPath(s.used)] = m.receipt(s.used, m.size-1, m.checkpoint(m.size-1)).Text()
		}, ledger.Invalid, "entry 13: its proof carries another checkpoint than checkpoint.note"},
		{"proof with a stowaway", func(s *story, m *made) {
			r := m.receipt(s.used, m.size, m.files["checkpoint.note"])
			r.Extra = []byte("erika@example.com")
			m.files[bundle.ProofPath(s.used)] = r.Text()
		}, ledger.Invalid, "entry 13: its proof carries extra bytes"},
		{"proof that is none", func(s *story, m *made) { m.files[bundle.ProofPath(s.used)] = []byte("x\n") }, ledger.Invalid, "entry 13: receipt: no blank line"},
		{"no proof", func(s *story, m *made) { delete(m.files, bundle.ProofPath(s.used)) }, ledger.Invalid, `entry 13: file "evidence/proofs/13.tlog-proof" is missing`},
		{"proof without its entry", func(s *story, m *made) {
			r := m.receipt(s.early, m.size, m.files["checkpoint.note"])
			m.files[bundle.ProofPath(s.early)] = r.Text()
		}, ledger.Invalid, `file "evidence/proofs/14.tlog-proof": its entry is not in the bundle`},
		{"entry edited", func(s *story, m *made) { m.replace(bundle.EntryPath(s.withdrawn), "method link", "method paper") }, ledger.Invalid,
			"entry 15: its proof does not show that it is in the log"},
		{"entry under another number", func(s *story, m *made) {
			m.files[bundle.EntryPath(s.early)], m.files[bundle.ProofPath(s.early)] = m.files[bundle.EntryPath(s.used)], m.receipt(s.early, m.size, m.files["checkpoint.note"]).Text()
		}, ledger.Invalid, "entry 13: stands as entry 14 in the bundle"},
		{"entry that is none", func(s *story, m *made) { m.files[bundle.EntryPath(s.used)] = []byte("hello\n") }, ledger.Invalid, "entry 13: line 1: not a consent ledger entry"},
		{"older checkpoint", func(_ *story, m *made) { m.files["checkpoint.note"] = m.checkpoint(m.size - 1) }, ledger.Invalid, "evidence/bundle.json: size is 20, the checkpoint's is 19"},
		{"older checkpoint, which the index names", func(_ *story, m *made) {
			m.files["checkpoint.note"] = m.checkpoint(m.size - 1)
			m.index.Size, m.custody.Size = m.size-1, m.size-1
		}, ledger.Invalid, "its proof carries another checkpoint"},
		{"checkpoint that strangers signed", func(s *story, m *made) {
			signed, err := newSigner(s, "stranger").SignCheckpoint(m.head(m.size), 1)
			if err != nil {
				s.Fatal(err)
			}
			m.files["checkpoint.note"] = signed
		}, ledger.CannotTell, "if the log's keys were rotated"},
		{"checkpoint with one signature", func(_ *story, m *made) {
			lines := strings.SplitAfter(string(m.files["checkpoint.note"]), "\n")
			m.files["checkpoint.note"] = []byte(strings.Join(lines[:5], ""))
		}, ledger.Invalid, "no signature by the log's key"},

		{"purpose left out", func(_ *story, m *made) { m.omit(purposeNews) }, ledger.Invalid, "entry 8: rule purpose: the purpose is not defined"},
		{"source left out", func(_ *story, m *made) { m.omit(sourceShop) }, ledger.Invalid, "entry 8: rule source: the source is not declared"},
		{"notice left out", func(_ *story, m *made) { m.omit(noticeNews) }, ledger.Invalid, "entry 8: rule notice"},
		{"what nobody names left out", func(_ *story, m *made) { m.omit(purposeTracking) }, ledger.Verified, ""},
		{"entry 0 left out", func(_ *story, m *made) { m.omit(0) }, ledger.Invalid, "holds other key entries than evidence/entries"},

		{"words of a notice swapped", func(_ *story, m *made) {
			m.files[bundle.NoticePath(ledger.TextHash([]byte(noticeText)))] = []byte("Ich will alles.\n")
		}, ledger.Invalid, "its content has another hash"},
		{"another notice", func(_ *story, m *made) {
			delete(m.files, bundle.NoticePath(ledger.TextHash([]byte(noticeText))))
			m.files[bundle.NoticePath(ledger.TextHash([]byte("Ich will alles.\n")))] = []byte("Ich will alles.\n")
		}, ledger.Invalid, "no entry published it"},
		{"no words of a notice", func(_ *story, m *made) { delete(m.files, bundle.NoticePath(ledger.TextHash([]byte(noticeText)))) }, ledger.Invalid, "of its notice is missing"},
		{"no facts of a notice", func(_ *story, m *made) { delete(m.files, bundle.NoticePath(ledger.TextHash([]byte(noticeFacts)))) }, ledger.Invalid, "of its notice is missing"},

		{"another value", func(s *story, m *made) {
			d := s.disclosure(ledger.Index(s.id[0]), "email")
			d.Value = "max@example.com"
			m.files[bundle.DisclosurePath(ledger.Index(s.id[0]), "email")] = []byte(d.Text())
		}, ledger.Invalid, `file "evidence/disclosures/8.email.txt": the entry did not commit to it`},
		{"value under another claim", func(s *story, m *made) {
			d := s.disclosure(ledger.Index(s.id[0]), "ip")
			m.files[bundle.DisclosurePath(ledger.Index(s.id[0]), "email")] = []byte(d.Text())
		}, ledger.Invalid, "it discloses ip"},
		{"value that no entry committed to", func(s *story, m *made) {
			m.files[bundle.DisclosurePath(s.withdrawn, "name")] = []byte(ledger.NewDisclosure("name", "Erika").Text())
		}, ledger.Invalid, "15.name.txt\": the entry did not commit to it"},
		{"value of another person", func(s *story, m *made) {
			m.files[bundle.DisclosurePath(ledger.Index(s.other[0]), "email")] = []byte(s.disclosure(ledger.Index(s.other[0]), "email").Text())
		}, ledger.Invalid, "its entry is none of a record of the bundle"},
		{"value that is not recorded as shown", func(s *story, m *made) {
			m.files[bundle.DisclosurePath(ledger.Index(s.id[0]), "ip")] = []byte(s.disclosure(ledger.Index(s.id[0]), "ip").Text())
		}, ledger.Invalid, "entry 18: records that [email message] was shown, the bundle discloses [email ip message]"},
		{"value that is recorded as shown and is not", func(s *story, m *made) { delete(m.files, bundle.DisclosurePath(ledger.Index(s.id[0]), "email")) }, ledger.Invalid,
			"entry 18: records that [email message] was shown, the bundle discloses [message]"},
		{"values that nothing records", func(s *story, m *made) { m.omit(*m.index.Exported + 1); m.custody.Disclosed = nil }, ledger.Invalid,
			"what the bundle discloses is not recorded: entry 18 is no evidence.disclosed"},
		{"value that is none", func(s *story, m *made) {
			m.files[bundle.DisclosurePath(ledger.Index(s.id[0]), "email")] = []byte("erika@example.com")
		}, ledger.Invalid,
			"disclosure: not"},
		{"another mail", func(_ *story, m *made) {
			m.each(bundle.KindFile, func(name string) { m.files[name] = []byte("Hallo\n") })
		}, ledger.Invalid, "its content has another hash"},
		{"mail that no value names", func(_ *story, m *made) {
			m.mail("Hallo\n")
			for name, content := range m.kept {
				m.files["evidence/files/"+name] = content
			}
		}, ledger.Invalid, "no disclosed value names it"},
		{"no mail", func(_ *story, m *made) { m.each(bundle.KindFile, func(name string) { delete(m.files, name) }) }, ledger.Verified, ""},

		{"exporter", func(_ *story, m *made) { m.custody.Exporter = "somebody" }, ledger.Invalid, "custody.json: exporter is not the source of entry 17"},
		{"why it was made", func(_ *story, m *made) { m.custody.Reason = "curiosity" }, ledger.Invalid, "custody.json: reason or recipient is not what entry 17"},
		{"for whom it was made", func(_ *story, m *made) { m.custody.Recipient = "" }, ledger.Invalid, "custody.json: reason or recipient"},
		{"why it was made, hidden", func(_ *story, m *made) {
			m.custody.Reason = ""
			delete(m.files, bundle.DisclosurePath(*m.index.Exported, "reason"))
		}, ledger.Invalid, "entry 17: the bundle does not disclose its reason and recipient"},
		{"when it was made", func(_ *story, m *made) { m.custody.Made = m.entries[*m.index.Exported].Time.Add(-time.Second) }, ledger.Invalid, "custody.json: made is before entry 17"},
		{"custody of another export", func(s *story, m *made) { m.custody.Exported = &s.used }, ledger.Invalid, "custody.json: exported is not that of"},
		{"custody of another disclosure", func(s *story, m *made) { m.custody.Disclosed = []ledger.Index{s.used} }, ledger.Invalid, "custody.json: disclosed is not what entry 18 records"},
		{"custody without a disclosure", func(s *story, m *made) { m.custody.Disclosed = nil }, ledger.Invalid, "custody.json: disclosed is not what entry 18 records"},
		{"custody of another size", func(s *story, m *made) { m.custody.Size-- }, ledger.Invalid, "custody.json: size is 19, the checkpoint's is 20"},
		{"custody of another log", func(s *story, m *made) { m.custody.Origin = "example.com/other" }, ledger.Invalid, "custody.json: origin is"},
		{"custody that is none", func(s *story, m *made) { m.files["custody.json"] = []byte("{}\n") }, ledger.Invalid, "custody.json"},
		{"no custody", func(s *story, m *made) { m.custody = bundle.Custody{}; m.files["custody.json"] = []byte("\n") }, ledger.Invalid, "custody.json"},
		{"export by another entry", func(s *story, m *made) { m.index.Exported, m.custody.Exported = &s.used, &s.used }, ledger.Invalid, "is no bundle.exported"},
		{"index of another size", func(s *story, m *made) { m.index.Size++ }, ledger.Invalid, "evidence/bundle.json: size is 21, the checkpoint's is 20"},
		{"index of another log", func(s *story, m *made) { m.index.Origin = "example.com/other" }, ledger.Invalid, "evidence/bundle.json: origin is"},
		{"index in another spelling", func(s *story, m *made) {
			m.files["evidence/bundle.json"] = bytes.Replace(m.index.Text(), []byte("\n  \"about\""), []byte("\n \"about\""), 1)
		}, ledger.Invalid, "evidence/bundle.json: not in its one spelling"},
		{"checkpoint that is none", func(s *story, m *made) { m.files["checkpoint.note"] = []byte("x\n") }, ledger.Invalid, "checkpoint.note: checkpoint:"},
		{"index about something else", func(s *story, m *made) { m.index.About = "people" }, ledger.Invalid, `about is "people"`},
		{"index about a range, too", func(s *story, m *made) { m.index.Range = &bundle.IndexedRange{End: 3} }, ledger.Invalid, "and no range"},

		{"no key entries", func(s *story, m *made) { delete(m.files, "trust/trust.keys") }, ledger.Invalid, `file "trust/trust.keys" is missing`},
		{"key entries that are none", func(s *story, m *made) { m.files["trust/trust.keys"] = []byte("x\n") }, ledger.Invalid, "trust/trust.keys"},

		{"token over something else", func(s *story, m *made) { s.retoken(m, token(s.confirmedAt, ledger.Hash{}, "")) }, ledger.Invalid, "no token over file"},
		{"no token", func(s *story, m *made) { delete(m.files, bundle.BoundTokenPath(7, 1)) }, ledger.Invalid, `entry 7: no token over file "evidence/checkpoints/7.note"`},
		{"no stamped checkpoint", func(s *story, m *made) {
			delete(m.files, bundle.BoundPath(7))
			delete(m.files, bundle.BoundTokenPath(7, 1))
		}, ledger.Invalid,
			`entry 7: file "evidence/checkpoints/7.note" is missing`},
		{"another stamped checkpoint", func(s *story, m *made) {
			m.files[bundle.BoundPath(7)] = m.checkpoint(7)
			m.now = m.now.Add(time.Hour)
			m.files[bundle.BoundPath(7)] = m.checkpoint(7)
		}, ledger.Invalid,
			"entry 7: file \"evidence/checkpoints/7.note\": its content has another hash"},
		{"a token too many", func(s *story, m *made) { m.files[bundle.BoundTokenPath(7, 2)] = []byte("x") }, ledger.Invalid, `7.2.tst": no entry of the bundle is about it`},
		{"a checkpoint too many", func(s *story, m *made) { m.files[bundle.BoundPath(5)] = m.checkpoint(5) }, ledger.Invalid, `5.note": no entry of the bundle is about it`},
		{"no proof of consistency", func(s *story, m *made) { delete(m.files, bundle.ConsistencyPath(7, 12)) }, ledger.Invalid, `consistency/7-12.txt" is missing`},
		{"another proof of consistency", func(s *story, m *made) { m.files[bundle.ConsistencyPath(7, 12)] = m.consistency(7, 11) }, ledger.Invalid, "consistency of 7 with 12 entries"},
		{"a proof of consistency too many", func(s *story, m *made) { m.files[bundle.ConsistencyPath(7, 11)] = m.consistency(7, 11) }, ledger.Invalid, "3 files of proofs of consistency, want 2"},
		{"a proof of consistency in another spelling", func(s *story, m *made) { m.replace(bundle.ConsistencyPath(7, 12), "\n", "\r\n") }, ledger.Invalid, "7-12.txt"},
		{"a proof of consistency that is cut", func(s *story, m *made) {
			m.files[bundle.ConsistencyPath(7, 12)] = bytes.TrimSuffix(m.files[bundle.ConsistencyPath(7, 12)], []byte("\n"))
		}, ledger.Invalid, "does not end with a newline"},
		{"stamp left out", func(s *story, m *made) {
			m.omit(7)
			delete(m.files, bundle.BoundPath(7))
			delete(m.files, bundle.BoundTokenPath(7, 1))
			delete(m.files, bundle.ConsistencyPath(7, 12))
		}, ledger.Verified, ""},
		{"token over another bundle", func(s *story, m *made) {
			m.token = func(ledger.Hash) ([]byte, error) { return token(s.now, ledger.Hash{}, ""), nil }
		}, ledger.Invalid,
			"META-INF/timestamp001.tst: the token is about other bytes"},
		{"token by a stranger", func(s *story, m *made) {
			m.token = func(sum ledger.Hash) ([]byte, error) { return token(s.now, sum, "stranger"), nil }
		}, ledger.Verified, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			m := s.exported()
			c.change(s, m)
			_, err := m.verified()
			wants(t, err, c.verdict, c.words)
		})
	}
}

// omitLate leaves the withdrawal out as well as it can be done: with the state of before,
// and everything that tells of it.
func (m *made) omitLate(s *story) {
	m.omit(s.withdrawn)
	m.omit(*m.index.Committed)
	m.put(s.early)
	m.index.Committed = &s.early
	m.files[bundle.StatePath(s.id[0])] = s.states[s.early].proof(s, s.id[0])
	q := &m.index.Questions[0]
	q.Allowed, q.Reason, q.Hindsight = true, "confirmed", true
}

func (m *made) replace(name, before, after string) {
	m.Helper()
	if !bytes.Contains(m.files[name], []byte(before)) {
		m.Fatalf("%s holds no %q", name, before)
	}
	m.files[name] = bytes.ReplaceAll(m.files[name], []byte(before), []byte(after))
}

// each calls do for the files of a kind, of which there must be one.
func (m *made) each(kind bundle.Kind, do func(name string)) {
	m.Helper()
	n := 0
	for name := range m.files {
		if p, err := bundle.ParsePath(name); err == nil && p.Kind == kind {
			do(name)
			n++
		}
	}
	if n == 0 {
		m.Fatalf("no file of %s", kind)
	}
}

func (l *testLog) disclosure(i ledger.Index, claim string) ledger.Disclosure {
	l.Helper()
	n := slices.IndexFunc(l.opened[i], func(d ledger.Disclosure) bool { return d.Claim == claim })
	if n < 0 {
		l.Fatalf("entry %d has no %s", i, claim)
	}
	return l.opened[i][n]
}

// retoken puts another token where the first one stands.
func (s *story) retoken(m *made, token []byte) { m.files[bundle.BoundTokenPath(7, 1)] = token }

func without(list []ledger.Index, i ledger.Index) []ledger.Index {
	return slices.DeleteFunc(slices.Clone(list), func(at ledger.Index) bool { return at == i })
}

// What is left out of a bundle and does not show is found with the whole log.
func TestLeftOut(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(s *story, m *made)
		words string
	}{
		{"use", func(s *story, m *made) { m.omit(s.used) }, "entry 13 (consent.used), which mentions consent 8, was left out of the bundle"},
		{"what is told of it", func(s *story, m *made) { m.omit(s.effected) }, "entry 16 (withdrawal.effected), which mentions consent 8, was left out of the bundle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			m := s.exported()
			c.leave(s, m)
			rep, err := m.verified()
			wants(t, err, ledger.Verified, "")
			if !slices.ContainsFunc(rep.NotChecked, func(line string) bool { return strings.Contains(line, "left out") }) {
				t.Errorf("not checked: %q", rep.NotChecked)
			}
			_, err = m.verified(against(s.whole()))
			wants(t, err, ledger.Invalid, c.words)
		})
	}
	t.Run("withdrawal", func(t *testing.T) { // recorded between the state and the checkpoint
		l := newLog(t)
		ids := l.ask("newsletter")
		l.confirm(ids...)
		var withdrawn ledger.Index
		l.later = func() { withdrawn = l.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn}, ids) }
		m := l.export(ids, nil, asked("newsletter", "confirmed", ids[0]))
		_, err := m.verified()
		wants(t, err, ledger.Invalid, fmt.Sprintf("the entries end with entry %d, the state proof says", withdrawn))
		m.omit(withdrawn)
		rep, err := m.verified()
		wants(t, err, ledger.Verified, "")
		if want := fmt.Sprintf("what happened to the records in entries %d to %d", withdrawn, withdrawn); !strings.Contains(strings.Join(rep.NotChecked, "\n"), want) {
			t.Errorf("not checked: %q", rep.NotChecked)
		}
		_, err = m.verified(against(l.whole()))
		wants(t, err, ledger.Invalid, fmt.Sprintf("entry %d (consent.withdrawn), which changes consent %d, was left out of the bundle", withdrawn, ids[0]))
	})
	t.Run("a withdrawal, and the state is a lie", func(t *testing.T) {
		s := newStory(t)
		c := s.consents[s.id[0]]
		c.State, c.Last = ledger.Confirmed, s.confirmed
		s.consents[s.id[0]] = c
		m := s.export(s.id, nil, asked("newsletter", "confirmed", s.id[0]))
		m.omit(s.withdrawn)
		_, err := m.verified()
		wants(t, err, ledger.Verified, "")
		_, err = m.verified(against(s.whole()))
		wants(t, err, ledger.Invalid, "rule state_root")
	})
	t.Run("purpose", func(t *testing.T) { // which its newest version does not demand
		l := newLog(t)
		ids := l.ask("newsletter")
		l.confirm(ids...)
		again := l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 2, Marketing: "yes", DoubleOptIn: "yes", Lifetime: 86400, MinimumGrade: "A"})
		m := l.export(ids, nil, asked("newsletter", "grade_too_low", ids[0]))
		_, err := m.verified()
		wants(t, err, ledger.Verified, "")
		m = l.export(ids, nil, asked("newsletter", "confirmed", ids[0]))
		m.omit(again)
		_, err = m.verified()
		wants(t, err, ledger.Verified, "")
		_, err = m.verified(against(l.whole()))
		wants(t, err, ledger.Invalid, fmt.Sprintf("entry %d (purpose.defined), which defines a purpose of the bundle, was left out", again))
	})
	t.Run("what refers to an entry", func(t *testing.T) {
		s := newStory(t)
		told := s.add(&ledger.Entry{Kind: ledger.RecipientNotified, Source: "counsel", Refers: []ledger.Index{s.withdrawn}})
		m := s.exported()
		m.omit(told)
		_, err := m.verified()
		wants(t, err, ledger.Verified, "")
		_, err = m.verified(against(s.whole()))
		wants(t, err, ledger.Invalid, fmt.Sprintf("entry %d (recipient.notified), which refers to entry %d, was left out", told, s.withdrawn))
	})
}

// What does not belong in a bundle is not carried along.
func TestForeign(t *testing.T) {
	s := newStory(t)
	ended := s.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn}, s.other)
	m := s.exported()
	m.put(ended)
	_, err := m.verified()
	wants(t, err, ledger.Invalid, fmt.Sprintf("entry %d: belongs to no record of the bundle", ended))

	m = s.export(s.id, nil, nil)
	m.custody.Disclosed = []ledger.Index{ended}
	_, err = m.verified()
	wants(t, err, ledger.Invalid, "custody.json: nothing is disclosed that an entry would have to record")
}
