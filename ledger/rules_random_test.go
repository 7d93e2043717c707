package ledger

import (
	"errors"
	"maps"
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
	rapid.Check(t, func(rt *rapid.T) {
		l := newLogForTest(t)
		ref := l.prelude()
		l.source("legal-desk", "legal")
		m := newModel()
		for range rapid.IntRange(30, 90).Draw(rt, "entries") {
			l.now = l.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "hours")) * time.Hour)
			e, rule, irregular := m.draw(rt, l, ref)
			e.Index, e.Prev, e.Time = Index(len(l.texts)), l.prev, l.now
			text, err := e.Encode()
			if err != nil {
				rt.Fatal(err)
			}
			eff, err := l.replay.Add(mustParse(rt, text), LeafHash(text))
			if rule != "" {
				var violation *RuleError
				if !errors.As(err, &violation) || violation.Rule != rule {
					rt.Fatalf("%s: %v, the model says %s", e.Kind, err, rule)
				}
				broken[rule]++
				// The server refuses it: it takes no index and leaves no trace. The
				// chain of the replay has it already, so the replay is built anew.
				l.rebuild()
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
	})
	if testing.Short() {
		return
	}
	// What is never drawn is never compared.
	for _, kind := range randomKinds {
		if accepted[kind] == 0 {
			t.Errorf("no %s was ever allowed", kind)
		}
	}
	for _, rule := range []string{"role", "purpose", "channel", "notice_coverage", "expires", "lock_used", "token", "token_expired", "not_expired",
		"consent", "after", "erased", "locked", "transition", "overlay", "held", "refers"} {
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

// rebuild replays the log's entries into a fresh replay.
func (l *logForTest) rebuild() {
	l.replay = NewReplay()
	for _, text := range l.texts {
		e, err := ParseEntry(text)
		if err != nil {
			l.Fatal(err)
		}
		if _, err := l.replay.Add(e, LeafHash(text)); err != nil {
			l.Fatal(err)
		}
	}
}

// randomKinds are drawn equally often, those that the others need more often.
var randomKinds = []Kind{ConsentRequested, ConsentRequested, ConsentRequested, ConsentRequested, ConsentRequested, ConsentConfirmed, ConsentConfirmed,
	ConsentConfirmed, ConfirmationRejected, RequestExpired, RequestExpired, ConsentExpired, ConsentWithdrawn, ConsentRevoked, ObjectionRecorded,
	RestrictionSet, RestrictionLifted, SubjectLocked, SubjectLocked, SubjectErased, EvidenceShredded, EvidenceShredded, EvidenceShredded,
	ConfirmationSent, ConsentUsed, SubjectRectified, RetentionApplied, HoldSet, HoldLifted, HoldLifted, SuppressionAdded, SuppressionRemoved}

// seldom is true in about one case of ten. Its number lies in the middle, because
// rapid prefers the ends.
func seldom(rt *rapid.T, label string) bool { return rapid.IntRange(0, 15).Draw(rt, label) == 9 }

// draw draws an entry, and the model's word on it.
func (m *model) draw(rt *rapid.T, l *logForTest, ref NoticeRef) (e *Entry, rule string, irregular []string) {
	kind := rapid.SampledFrom(randomKinds).Draw(rt, "kind")
	token := m.drawToken(rt, kind, l.now)
	var judge func() (string, []string)
	switch kind {
	case ConsentRequested:
		e, judge = m.drawRequest(rt, l, ref, token)
	case EvidenceShredded:
		e = m.drawShredded(rt, l)
		judge = func() (string, []string) { return m.shred(e), nil }
	case SuppressionAdded, SuppressionRemoved:
		e = &Entry{Kind: kind, Source: "shop-frontend", Purpose: rapid.SampledFrom([]string{AllMarketing, "survey", "catalogue"}).Draw(rt, "purpose")}
		judge = func() (string, []string) {
			return map[bool]string{true: "purpose"}[e.Purpose == "catalogue"], nil
		}
	default:
		e, judge = m.drawConcerning(rt, l, kind, token)
	}
	if seldom(rt, "stranger") {
		e.Source = "admin"
		if kind != ConsentRevoked && kind != SuppressionAdded && kind != SuppressionRemoved {
			return e, "role", nil
		}
	}
	rule, irregular = judge()
	return e, rule, irregular
}

func (m *model) drawRequest(rt *rapid.T, l *logForTest, ref NoticeRef, token int) (*Entry, func() (string, []string)) {
	e := l.requested(token, rapid.SampledFrom([]string{"newsletter", "newsletter", "newsletter", "email.open_tracking", "newsletter", "survey", "newsletter", "catalogue", "newsletter"}).Draw(rt, "purpose"), ref)
	e.Channel = rapid.SampledFrom([]string{"email", "email", "email", "sms", "email", "any", "email"}).Draw(rt, "channel")
	e.Expires = l.now.Add(time.Duration(rapid.SampledFrom([]int{9, 40, 2, -1, 1}).Draw(rt, "lifetime")) * time.Hour).Truncate(time.Second)
	if r := m.newest(token); r != nil && !l.now.After(r.expires) && !seldom(rt, "not joined") {
		e.Expires, e.Channel = r.expires, r.channel
	}
	return e, func() (string, []string) {
		return m.request(len(l.texts), token, e.Purpose, e.Channel, l.now, e.Expires), nil
	}
}

// drawShredded draws either phase, mostly of an erasure that there is.
func (m *model) drawShredded(rt *rapid.T, l *logForTest) *Entry {
	e := &Entry{Kind: EvidenceShredded, Source: SourceLedger, Generation: 2, Medium: "file"}
	existence := rapid.Bool().Draw(rt, "existence")
	if second := l.now.Truncate(time.Second); existence {
		e.Existence = second
	} else {
		e.Contents, e.ExistenceDue = second, second.Add(time.Duration(rapid.IntRange(-2, 9).Draw(rt, "due"))*time.Hour)
	}
	refers := map[Index]bool{}
	for _, i := range slices.Sorted(maps.Keys(m.erasures)) {
		fits := m.erasures[i].contents == existence && !m.erasures[i].existence
		if fits || seldom(rt, "out of turn") {
			refers[Index(i)] = true
		}
	}
	if len(refers) == 0 {
		refers[Index(rapid.IntRange(0, len(l.texts)-1).Draw(rt, "refers"))] = true
	}
	e.Refers = slices.Sorted(maps.Keys(refers))
	return e
}

func (m *model) drawConcerning(rt *rapid.T, l *logForTest, kind Kind, token int) (*Entry, func() (string, []string)) {
	index := len(l.texts)
	ids := m.drawIDs(rt, index, kind, token)
	var hold Index
	if kind == HoldLifted {
		hold = Index(rapid.IntRange(0, index-1).Draw(rt, "hold"))
		for _, i := range slices.Sorted(maps.Keys(m.holds)) {
			if hold = Index(i); !seldom(rt, "other consents") {
				ids = m.holds[i]
			}
		}
	}
	e := l.changed(kind, ids...)
	switch kind {
	case HoldLifted:
		e.Refers = []Index{hold}
	case RequestExpired:
		e.Lock = Lock(tokenForTest(token))
	case ConsentConfirmed, ConfirmationRejected:
		e.Token = tokenForTest(token)
	case RestrictionSet:
		e.Ground = rapid.SampledFrom(Grounds()).Draw(rt, "ground")
	case SubjectErased, SubjectLocked:
		e.Source = rapid.SampledFrom([]string{"shop-frontend", SourceLedger}).Draw(rt, "source")
	case ConsentRevoked, SubjectRectified:
		if rapid.Bool().Draw(rt, "legal") {
			e.Source = "legal-desk"
		}
	}
	for i, link := range e.Consents {
		e.Consents[i].After = Index(link.Consent)
		if c := m.consents[int(link.Consent)]; c != nil && !seldom(rt, "after") {
			e.Consents[i].After = Index(c.last)
		}
	}
	if len(e.About) > 0 {
		return e, func() (string, []string) { return m.mention(index, e) }
	}
	return e, func() (string, []string) { return m.change(index, kind, token, e, l.now), nil }
}

// drawToken draws the number of a token, mostly of one that the kind can close.
func (m *model) drawToken(rt *rapid.T, kind Kind, now time.Time) int {
	var good []int
	for token := 1; token <= 4; token++ {
		if _, rule := m.closes(kind, token, now); rule == "" && kind != ConsentRequested {
			good = append(good, token)
		}
	}
	if len(good) > 0 && !seldom(rt, "other token") {
		return rapid.SampledFrom(good).Draw(rt, "good token")
	}
	return rapid.IntRange(1, 4).Draw(rt, "token")
}

// drawIDs draws one to three ids, mostly of consents that the kind fits but for
// what few are under.
func (m *model) drawIDs(rt *rapid.T, index int, kind Kind, token int) []ConsentID {
	var fit []ConsentID
	for _, i := range slices.Sorted(maps.Keys(m.consents)) {
		closes := kind == ConsentConfirmed || kind == ConfirmationRejected || kind == RequestExpired
		if rule := m.allows(kind, ConsentID(i)); (rule == "" || rule == "locked" || rule == "held") && (!closes || m.consents[i].request == m.newest(token)) {
			fit = append(fit, ConsentID(i))
		}
	}
	ids := map[ConsentID]bool{}
	for range rapid.IntRange(1, 3).Draw(rt, "consents") {
		if len(fit) > 0 && !seldom(rt, "unfit") {
			ids[rapid.SampledFrom(fit).Draw(rt, "fit")] = true
		} else {
			ids[ConsentID(rapid.IntRange(min(8, index-1), index-1).Draw(rt, "id"))] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// compare demands that model and replay hold the same consents, holds and
// erasures.
func (m *model) compare(rt *rapid.T, r *Replay) {
	n := 0
	err := r.Consents(0, 1<<40, func(c Consent) {
		n++
		want := m.consents[int(c.ID)]
		if want == nil || describe(c) != want.condition() || int(c.Last) != want.last || c.Purpose != want.purpose || int(c.Holds) != m.held(c.ID) ||
			c.Kept != (want.restricted && (want.ground == "art18_1_b" || want.ground == "art18_1_c")) {
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
	waiting := 0
	for _, e := range m.erasures {
		waiting += present(!e.contents)
	}
	overdue := m.overdue(r.Chain().Last())
	if r.PendingErasures() != waiting || !slices.Equal(r.Overdue(), overdue) {
		rt.Fatalf("%d erasures wait, %v are overdue, the model says %d and %v", r.PendingErasures(), r.Overdue(), waiting, overdue)
	}
}
