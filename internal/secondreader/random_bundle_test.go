package secondreader

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
)

// TestRandomBundles has both verifiers judge bundles about records of histories that nobody wrote, with the answers of the one decision
// that there is; and the same bundles with something left out, exchanged or answered otherwise, and signed as they should be.
func TestRandomBundles(t *testing.T) {
	r, path := startReader(t), filepath.Join(t.TempDir(), "b.asice")
	policy := filepath.Join(vectors, "logs", "trust.policy")
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	random := newRandom(t)
	seen, reasons := map[int]int{}, map[string]int{}
	judge := func(what string, m *made) int {
		first, second, said, text := r.judges(m.written(), path, policy, nil)
		if first != second || what == "" && first != 0 {
			t.Errorf("%s: the first verifier %s (%s), verify.py %s (%s)", what, verdicts[first], said, verdicts[second], text)
		}
		seen[second]++
		return second
	}
	for range rounds {
		h := newHistory(t, random)
		for len(h.texts) < 120 {
			h.draw()
		}
		for range 3 {
			b := bookOf(h)
			m := b.export(b.someone(h), nil)
			m.ask(h)
			for _, q := range m.index.Questions {
				reasons[q.Reason]++
			}
			judge("", m)
			for range 3 {
				changed := *m
				changed.files, changed.index.Consents, changed.index.Questions = maps.Clone(m.files), slices.Clone(m.index.Consents), slices.Clone(m.index.Questions)
				delete(changed.files, "evidence/bundle.json")
				delete(changed.files, "custody.json")
				judge(changed.change(h), &changed)
			}
		}
	}
	t.Logf("exit codes and how often: %v; answers %v", seen, reasons)
	if seen[0] == 0 || seen[1] == 0 || len(reasons) < 8 && !testing.Short() {
		t.Errorf("the histories are too dull: exit codes and how often: %v; answers %v", seen, reasons)
	}
}

// TestRandomDecisions asks both verifiers about moments of histories that are full of what a decision looks at: terms, ages, grades,
// objections, restrictions, choices, and what was recorded later than it happened.
func TestRandomDecisions(t *testing.T) {
	r, path := startReader(t), filepath.Join(t.TempDir(), "b.asice")
	random, answers, hindsight := newRandom(t), map[string]int{}, 0
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		h := newHistory(t, random)
		for h.deciding = true; len(h.texts) < 90; {
			h.draw()
		}
		for range 4 {
			b := bookOf(h)
			m := b.export(b.someone(h), nil)
			m.ask(h)
			for _, q := range m.index.Questions {
				if answers[q.Reason]++; q.Allowed && !q.Hindsight {
					hindsight++
				}
			}
			if first, second, said, text := r.judges(m.written(), path, filepath.Join(vectors, "logs", "trust.policy"), nil); first != 0 || second != 0 {
				t.Errorf("the first verifier %s (%s), verify.py %s (%s)", verdicts[first], said, verdicts[second], text)
			}
		}
	}
	t.Logf("answers %v, %d not allowed in hindsight", answers, hindsight)
	if len(answers) < 12 && !testing.Short() {
		t.Errorf("the histories are too dull: %v", answers)
	}
}

// decisive draws a kind that a decision looks at.
func (h *history) decisive() ledger.Kind {
	h.now = h.now.Add(time.Duration(h.random.IntN(30)) * time.Hour)
	return pick(h, ledger.ConsentRequested, ledger.ConsentGiven, ledger.ConsentGiven, ledger.ConsentImported, ledger.BasisAsserted, ledger.ConsentConfirmed,
		ledger.ConsentConfirmed, ledger.ConsentRenewed, ledger.ConsentWithdrawn, ledger.ObjectionRecorded, ledger.RestrictionSet, ledger.RestrictionLifted,
		ledger.RestrictionLifted, ledger.ConsentUsed, ledger.ConsentUsed, ledger.SubjectLocked, ledger.ConsentInvalidated, ledger.TrackingChanged, ledger.TrackingChanged,
		ledger.GuardianAuthorised, ledger.SignalReceived, ledger.PurposeDefined, ledger.PurposeDefined, ledger.ConfirmationSent, ledger.ConfirmationAttached, ledger.ConfirmationResent)
}

// decide gives an entry terms, or a time at which it happened.
func (h *history) decide(e *ledger.Entry) {
	maybe := func(n ...int64) int64 { return n[h.random.IntN(len(n))] }
	switch e.Kind {
	case ledger.PurposeDefined:
		e.ValidityDays, e.UnusedDays, e.UnusedWarnDays = maybe(0, 0, 15), maybe(0, 0, 10), maybe(0, 5)
		e.UnusedMeasure, e.MinimumGrade, e.MinimumAge = pick(h, "", "warn", "block", "expire"), pick(h, "", "", "", "C", "E"), maybe(0, 0, 16)
		e.DoubleOptIn = pick(h, "yes", "no", "no")
	case ledger.ConsentInvalidated, ledger.SubjectLocked, ledger.ConfirmationAttached:
	default:
		if e.Channel != "" && h.often() {
			e.Channel = "email"
		}
		if h.random.IntN(2) == 0 {
			e.Occurred = h.now.Truncate(time.Second).Add(-time.Duration(h.random.IntN(240)) * time.Hour)
		}
	}
}

// bookOf is the log of a history, from which bundles can be exported.
func bookOf(h *history) *book {
	b := &book{T: h.t, now: h.now, desk: "desk", signers: []*pair{h.inForce(len(h.texts) + 2)}, consents: map[ledger.ConsentID]ledger.Consent{},
		opened: map[ledger.Index][]ledger.Disclosure{}, kept: map[string][]byte{}, anchors: map[ledger.Index][2][]byte{}, states: map[ledger.Index]func(ledger.ConsentID) []byte{}}
	beside := func(kind string, sum ledger.Hash) []byte { return h.beside[fmt.Sprintf("%s/%x", kind, sum[:])] }
	for path, text := range h.beside {
		b.kept[filepath.Base(path)] = text
	}
	for i, text := range h.texts {
		e, err := ledger.ParseEntry([]byte(text))
		if err != nil {
			h.t.Fatal(err)
		}
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), ledger.LeafHash([]byte(text)), b)
		if err != nil {
			h.t.Fatal(err)
		}
		b.texts, b.entries, b.hashes = append(b.texts, []byte(text)), append(b.entries, e), append(b.hashes, hashes...)
		if e.Kind == ledger.CheckpointAnchored {
			b.anchors[e.Index] = [2][]byte{beside("anchors", e.Checkpoint), beside("anchors", e.Stamp)}
		}
	}
	err := h.replay.Consents(0, ledger.ConsentID(len(h.texts)), func(c ledger.Consent) { b.consents[c.ID] = c })
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// someone picks up to five records.
func (b *book) someone(h *history) (ids []ledger.ConsentID) {
	all := slices.Sorted(maps.Keys(b.consents))
	start := h.random.IntN(len(all))
	for _, id := range all[start:min(len(all), start+8)] { // near each other, so of one request now and then
		if h.random.IntN(2) == 0 && len(ids) < 5 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		ids = all[start : start+1]
	}
	return ids
}

// ask asks about every purpose and channel of the bundle, at the end or before, and answers from the log.
func (m *made) ask(h *history) {
	pages := pagesOf(m.book)
	var consents []ledger.Consent
	for _, c := range m.index.Consents {
		consents = append(consents, m.consents[c.ID])
	}
	asked := map[[2]string]bool{}
	for _, c := range m.index.Consents {
		at := m.entries[*m.index.Exported].Time
		if pair := [2]string{c.Purpose, c.Channel}; asked[pair] {
			continue
		} else {
			asked[pair] = true
		}
		if h.random.IntN(3) > 0 {
			i := int(c.ID) + h.random.IntN(int(*m.index.Exported)-int(c.ID))
			at = m.entries[i].Time.Add(time.Duration(h.random.IntN(3)-1) * time.Microsecond)
		}
		size, _ := slices.BinarySearchFunc(m.entries, at, func(e *ledger.Entry, at time.Time) int {
			if e.Time.After(at) {
				return 1
			}
			return -1
		})
		a, err := decision.AsOf(pages, ledger.Size(size), consents, decision.Question{Purpose: c.Purpose, Channel: c.Channel, At: at})
		if err != nil {
			m.Fatal(err)
		}
		q := bundle.IndexedQuestion{Purpose: c.Purpose, Channel: c.Channel, At: at, Allowed: a.Allowed, Reason: a.Reason, Hindsight: a.Hindsight}
		if a.Consent != 0 {
			q.Consent = &a.Consent
		}
		m.index.Questions = append(m.index.Questions, q)
	}
}

// pages is what the decision reads of a whole log.
type pages struct {
	*book
	purposes []ledger.Purpose
}

func pagesOf(b *book) pages {
	p, replay := pages{book: b}, ledger.NewReplay()
	for _, text := range b.texts {
		e, err := ledger.ParseEntry(text)
		if err != nil {
			b.Fatal(err)
		}
		eff, err := replay.Add(e, ledger.LeafHash(text))
		if err != nil {
			b.Fatal(err)
		}
		if eff.Purpose != nil {
			p.purposes = append(p.purposes, *eff.Purpose)
		}
	}
	return p
}

// Entry implements [decision.Records].
func (p pages) Entry(i ledger.Index) (*ledger.Entry, error) { return p.entries[i], nil }

// Mentions implements [decision.Records].
func (p pages) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	for _, e := range slices.Backward(p.entries[:min(before, ledger.Index(len(p.entries)))]) {
		if slices.Contains(e.About, id) && !yield(e.Index, e.Kind) {
			break
		}
	}
	return nil
}

// PurposeAt implements [decision.Records].
func (p pages) PurposeAt(id string, size ledger.Size) (found ledger.Purpose, ok bool, err error) {
	for _, v := range p.purposes {
		if v.ID == id && ledger.Size(v.Index) < size {
			found, ok = v, true
		}
	}
	return found, ok, nil
}

// change changes the bundle before it is signed, and says how.
func (m *made) change(h *history) string {
	names := slices.Sorted(maps.Keys(m.files))
	entries := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, "evidence/entries/") })
	name := pick(h, names...)
	switch h.random.IntN(6) {
	case 0, 1:
		p, err := bundle.ParsePath(pick(h, entries...))
		if err != nil {
			m.Fatal(err)
		}
		m.omit(p.Index())
		return fmt.Sprintf("entry %d left out", p.Index())
	case 2:
		delete(m.files, name)
		m.files[name] = nil
		if name == "checkpoint.note" {
			m.files[name] = m.checkpoint(m.size - 1)
		}
		return name + " left out"
	case 3:
		same := slices.DeleteFunc(slices.Clone(names), func(other string) bool { return filepath.Dir(other) != filepath.Dir(name) })
		other := pick(h, same...)
		m.files[name] = m.files[other]
		return other + " in the place of " + name
	case 4:
		if len(m.index.Questions) > 0 {
			q := &m.index.Questions[h.random.IntN(len(m.index.Questions))]
			switch h.random.IntN(4) {
			case 0:
				q.Reason = pick(h, "withdrawn", "pending", "confirmed")
			case 1:
				q.At = q.At.Add(-time.Duration(h.random.IntN(1000)) * time.Hour)
			case 2:
				q.Hindsight = !q.Hindsight
			case 3:
				q.Allowed = !q.Allowed
			}
			return fmt.Sprintf("another question or answer: %+v", *q)
		}
	}
	c := &m.index.Consents[h.random.IntN(len(m.index.Consents))]
	i := h.random.IntN(len(c.Entries))
	c.Entries = slices.Delete(slices.Clone(c.Entries), i, i+1)
	return "an entry is not listed"
}
