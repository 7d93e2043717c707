package storm

import (
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// history is a log, and what clients were told of it.
type history struct {
	entries [][]byte
	storm   *Storm
}

func newHistory(t *testing.T) *history {
	log := testledger.New(t)
	testledger.Fill(t, log, 40)
	h := &history{storm: New("clk_key")}
	snap := log.Snapshot()
	defer snap.Release()
	err := snap.Entries(0, int(snap.Size()), func(i ledger.Index, text []byte) error {
		h.entries = append(h.entries, slices.Clone(text))
		e, err := ledger.ParseEntry(text)
		if err != nil || e.Kind != ledger.ConsentRequested && e.Kind != ledger.ConsentConfirmed {
			return err
		}
		id := int64(i)
		if e.Kind == ledger.ConsentConfirmed {
			id = int64(e.Consents[0].Consent)
		}
		h.storm.told = append(h.storm.told, Told{consent: id, kind: e.Kind, index: i, leaf: ledger.LeafHash(text)})
		h.storm.kinds[e.Kind]++
		return nil
	})
	if err != nil || len(h.storm.told) < 10 {
		t.Fatalf("%d answers: %v", len(h.storm.told), err)
	}
	return h
}

// read gives the entries.
func (h *history) read(start ledger.Index, each func(ledger.Index, []byte) error) error {
	for i, text := range h.entries[min(int(start), len(h.entries)):] {
		if err := each(start+ledger.Index(i), text); err != nil {
			return err
		}
	}
	return nil
}

// TestComparison: what clients were told is found, and whatever is wrong with it, too.
func TestComparison(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*history)
		says   string // "": nothing
	}{
		{"as it was told", func(*history) {}, ""},
		{"the last answer's entry and those after it are gone", func(h *history) {
			h.entries = h.entries[:h.storm.told[len(h.storm.told)-1].index]
		}, "1 acknowledged entries are missing"},
		{"everything is gone", func(h *history) { h.entries = nil }, "acknowledged entries are missing"},
		{"another history", func(h *history) { h.storm.told[3].leaf[0] ^= 1 }, "is now:"},
		{"another consent", func(h *history) { h.storm.told[3].consent++ }, "is now:"},
		{"another kind", func(h *history) { h.storm.told[3].kind = ledger.ConsentWithdrawn }, "is now:"},
		{"two answers with one entry", func(h *history) { h.storm.told = append(h.storm.told, h.storm.told[2]) }, "two answers"},
		{"recorded, and nobody was told", func(h *history) {
			h.storm.told = h.storm.told[1:]
			h.storm.kinds[ledger.ConsentRequested]--
		}, "consents by the log"},
		{"an erasure that the log does not know", func(h *history) { h.storm.kinds[ledger.SubjectErased]++ }, "subject.erased: 0 consents by the log, 1"},
	} {
		h := newHistory(t)
		c.change(h)
		err := NewComparison().Continue(h.storm, h.read)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// TestComparisonContinues: a log that has lost what was compared before is noticed, and
// one that has grown is compared from there.
func TestComparisonContinues(t *testing.T) {
	h := newHistory(t)
	whole, told := h.entries, h.storm.told
	half := h.storm.told[len(told)/2].index
	h.entries, h.storm.told = whole[:half], told[:len(told)/2]
	h.storm.kinds = map[ledger.Kind]int{}
	c := NewComparison()
	if err := c.Continue(h.storm, h.read); err != nil || c.Size != half {
		t.Fatalf("%d of %d entries: %v", c.Size, half, err)
	}
	h.entries, h.storm.told = whole, told
	if err := c.Continue(h.storm, h.read); err != nil || int(c.Size) != len(whole) {
		t.Errorf("%d of %d entries: %v", c.Size, len(whole), err)
	}
	h.entries = whole[:half]
	h.storm.told = append(told, Told{index: half - 1})
	if err := c.Continue(h.storm, h.read); err == nil {
		t.Error("an answer about an entry that was compared before is not noticed")
	}
}

// TestKnown: what was known at a moment must be there later, and more may be.
func TestKnown(t *testing.T) {
	h := newHistory(t)
	told := h.storm.told
	h.storm.told = told[:3]
	known := h.storm.Known()
	h.storm.told = told
	if err := NewComparison().HoldKnown(known, h.read); err != nil {
		t.Error(err)
	}
	known.erased++
	if err := NewComparison().HoldKnown(known, h.read); err == nil {
		t.Error("an erasure that is missing is not noticed")
	}
	known = h.storm.Known()
	h.entries = h.entries[:told[len(told)-1].index]
	if err := NewComparison().HoldKnown(known, h.read); err == nil {
		t.Error("an answer that is missing is not noticed")
	}
}

// TestLogCheck: what is personal or no JSON is found in a server's log, and half a line
// is what a kill leaves.
func TestLogCheck(t *testing.T) {
	for text, sound := range map[string]bool{
		"":                                       true,
		"{\"a\":1}\n{\"b\":":                     true,
		"{\"a\":1}\nno JSON\n":                   false,
		`{"who":"c1.1@example.org"`:              false,
		"{\"ip\":\"203.0.113.42\"}\n{\"a\":1}\n": false,
	} {
		l := new(Log)
		l.b.WriteString(text)
		if err := l.Check(); (err == nil) != sound {
			t.Errorf("%q: %v", text, err)
		}
	}
}
