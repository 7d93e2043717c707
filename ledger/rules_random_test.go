package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRulesAgainstModel lets random histories run through the model and the
// code: what is refused, with which rule, what is irregular, and where every
// consent, hold and erasure stands must be the same after every entry.
func TestRulesAgainstModel(t *testing.T) {
	broken, accepted := map[string]int{}, map[Kind]int{}
	check := func(rt *rapid.T) {
		l := newLogForTest(t)
		l.terms()
		m := newModel(l)
		d := &drawing{rt, l, m}
		for range rapid.IntRange(40, 100).Draw(rt, "entries") {
			l.now = l.now.Add(time.Duration(d.below(4, "hours")) * time.Hour)
			e, rule, irregular := d.draw()
			e.Index, e.Prev = Index(len(l.texts)), l.prev
			text, err := e.Encode()
			if err != nil {
				rt.Fatal(err)
			}
			chain := l.replay.chain
			eff, err := l.replay.Add(mustParse(rt, text), LeafHash(text))
			if rule != "" {
				var violation *RuleError
				if !errors.As(err, &violation) || violation.Rule != rule {
					rt.Fatalf("%s: %v, the model says %s", e.Kind, err, rule)
				}
				broken[rule]++
				// The server refuses it: it takes no index and leaves no trace but in the
				// chain, which has it already.
				l.replay.chain = chain
				m.compare(rt, l.replay)
				continue
			}
			if err != nil {
				rt.Fatalf("%s: %v, the model allows it", e.Kind, err)
			}
			accepted[e.Kind]++
			l.texts, l.prev = append(l.texts, text), LeafHash(text)
			var names []string
			for _, irr := range eff.Irregular {
				names = append(names, irr.Name)
			}
			if !slices.Equal(names, irregular) {
				rt.Fatalf("%s: irregular is %v, the model says %v", e.Kind, names, irregular)
			}
			m.compare(rt, l.replay)
		}
	}
	for range 3 { // so that what is rare is drawn, too
		rapid.Check(t, check)
	}
	t.Logf("allowed %v, broke %v", accepted, broken)
	if testing.Short() {
		return
	}
	// What is never drawn is never compared.
	for _, kind := range randomKinds {
		if accepted[kind] == 0 {
			t.Errorf("no %s was ever allowed", kind)
		}
	}
	for _, rule := range []string{"role", "occurred", "keys", "size", "purpose", "version", "parent", "tracking", "channel", "notice", "notice_use", "notice_coverage",
		"basis", "basis_channel", "conditions", "balancing", "claim", "processor", "system", "informed", "due", "explicit", "age", "channel_proof", "ip_policy", "method", "expires", "lock_used", "former", "token",
		"token_expired", "not_expired", "consent", "after", "erased", "locked", "transition", "overlay", "held", "refers"} {
		if broken[rule] == 0 {
			t.Errorf("no history ever broke the rule %s", rule)
		}
	}
}

func mustParse(rt *rapid.T, text []byte) *Entry {
	e, err := ParseEntry(text)
	if err != nil {
		rt.Fatal(err)
	}
	return e
}

// compare demands that model and replay hold the same consents, locks, holds and
// erasures.
func (m *model) compare(rt *rapid.T, r *Replay) {
	n := 0
	err := r.Consents(0, 1<<40, func(c Consent) {
		n++
		want := m.consents[int(c.ID)]
		if want == nil || describe(c) != want.condition() || int(c.Last) != want.last || c.Purpose != want.purpose || int(c.Holds) != m.held(c.ID) ||
			c.Kept != want.kept() ||
			c.Channel != want.channel || int(c.Request) != want.request || c.Basis.String() != want.basis || c.Mode.String() != want.mode ||
			c.Grade().String() != naiveGrade(want.has) || c.Evidence.has(EvChild) != want.has["child"] ||
			c.Evidence.has(EvGuardian) != want.has["guardian"] || c.Evidence.has(EvSignalNo) != want.has["signal no"] {
			rt.Fatalf("consent %d is %+v, the model says %+v", c.ID, c, want)
		}
		leaf := string(AppendStateLeaf(nil, c))
		if !strings.HasSuffix(leaf, " state "+want.condition()+"\n") {
			rt.Fatalf("consent %d has the leaf %q", c.ID, leaf)
		}
	})
	if err != nil || n != len(m.consents) {
		rt.Fatalf("%d consents, the model has %d; %v", n, len(m.consents), err)
	}
	for token := 1; token <= randomTokens; token++ {
		got, ok, err := r.OpenRequest(Lock(tokenForTest(token)))
		want := m.open(token)
		if err != nil || ok != (want != nil) ||
			ok && (int(got.Request) != want.request || !got.Expires.Equal(want.expires) || got.Superseded != want.succeeded) {
			rt.Fatalf("the lock of token %d is %+v, %v, the model says %+v (%v)", token, got, ok, want, err)
		}
	}
	waiting := 0
	for _, e := range m.erasures {
		waiting += present(!e.contents)
	}
	overdue := m.overdue(r.Chain().Last())
	if r.PendingErasures() != waiting || !slices.Equal(r.Overdue(), overdue) {
		rt.Fatalf("%d erasures wait, %v are overdue, the model says %d and %v", r.PendingErasures(), r.Overdue(), waiting, overdue)
	}
	m.compareRights(rt, r)
	m.compareKeys(rt, r)
}
