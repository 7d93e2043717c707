package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

var inBraces = regexp.MustCompile(`\{[a-z]*\}`)

// checkText demands both languages, with the same words in braces.
func checkText(t *testing.T, name string, x text) {
	t.Helper()
	if strings.TrimSpace(x.de) == "" || strings.TrimSpace(x.en) == "" {
		t.Errorf("%s: German %q, English %q", name, x.de, x.en)
	}
	de, en := inBraces.FindAllString(x.de, -1), inBraces.FindAllString(x.en, -1)
	slices.Sort(de)
	slices.Sort(en)
	if !slices.Equal(de, en) {
		t.Errorf("%s: in braces, German has %v and English %v", name, de, en)
	}
	for _, s := range []string{x.de, x.en} {
		if visible(s, func(rune) bool { return true }) != s || strings.Count(s, "{") != len(de) {
			t.Errorf("%s: %q", name, s)
		}
	}
}

func TestBothLanguages(t *testing.T) {
	all := reflect.ValueOf(texts)
	for i := range all.NumField() {
		f := all.Field(i)
		checkText(t, all.Type().Field(i).Name, text{f.Field(0).String(), f.Field(1).String()})
	}
	for list, words := range vocabulary {
		for name, x := range words {
			checkText(t, list+" "+name, x)
		}
	}
	for kind, x := range sentences {
		checkText(t, string(kind), x)
	}
	for reason, v := range verdicts {
		checkText(t, reason, v.why)
	}
	for word, x := range trusts {
		checkText(t, word, x)
	}
	for way, grades := range gradeRules {
		for grade, x := range grades {
			checkText(t, way+" "+grade, x)
		}
	}
	for _, x := range marks {
		checkText(t, "mark", x)
	}
	for _, x := range append(limits, recordLimits...) {
		checkText(t, "limit", x)
	}
	checkText(t, "unknown kind", unknownKind)
}

// declared reads the string constants of a type, and the lists of strings, that a
// file of package ledger declares.
func declared(t *testing.T, file, ofType string) (constants []string, lists map[string][]string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../../ledger/"+file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	lists = map[string][]string{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range g.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				continue
			}
			switch x := v.Values[0].(type) {
			case *ast.BasicLit:
				if id, ok := v.Type.(*ast.Ident); ok && id.Name == ofType {
					constants = append(constants, unquote(t, x))
				}
			case *ast.CompositeLit:
				for _, e := range x.Elts {
					if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						lists[v.Names[0].Name] = append(lists[v.Names[0].Name], unquote(t, lit))
					}
				}
			}
		}
	}
	return constants, lists
}

func unquote(t *testing.T, x *ast.BasicLit) string {
	t.Helper()
	s, err := strconv.Unquote(x.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever the log can say has words.
func TestVocabularyIsWhole(t *testing.T) {
	kinds, _ := declared(t, "kinds.go", "Kind")
	if len(kinds) < 50 {
		t.Fatalf("kinds.go declares %d kinds", len(kinds))
	}
	for _, k := range kinds {
		if _, ok := sentences[ledger.Kind(k)]; !ok {
			t.Errorf("there is no sentence for %s", k)
		}
	}
	if len(sentences) != len(kinds) {
		t.Errorf("%d sentences for %d kinds", len(sentences), len(kinds))
	}
	_, lists := declared(t, "vocabulary.go", "")
	_, terms := declared(t, "terms.go", "")
	for ours, theirs := range map[string][]string{
		"channel": lists["channels"], "method": lists["methods"], "role": lists["roles"], "ground": lists["grounds"], "cause": lists["causes"],
		"reason": lists["eraseReasons"], "media": lists["media"], "change": lists["rectifications"], "rule": lists["retentionRules"],
		"measure": append(lists["retentionMeasures"], lists["unusedMeasures"]...), "click": lists["clicks"], "failure": lists["failures"],
		"age": lists["ages"], "checkbox": lists["checkboxes"], "article": lists["articles"], "refusal": lists["refusals"], "means": lists["means"],
		"signal": lists["preferenceSignals"], "occasion": lists["occasions"], "claim": lists["claims"], "basis": terms["bases"], "mode": terms["modes"],
		"state": stateNames(), "overlay": ledger.Overlays(0xff).Names(),
	} {
		if len(theirs) == 0 {
			t.Errorf("%s: the list in package ledger is empty", ours)
		}
		for _, name := range theirs {
			if _, ok := vocabulary[ours][name]; !ok {
				t.Errorf("there is no word for %s %s", ours, name)
			}
		}
	}
}

func stateNames() (names []string) {
	for _, s := range ledger.States() {
		names = append(names, s.String())
	}
	return names
}

// Every reason of an answer (DESIGN.md § 8, CheckConsent) has a verdict.
func TestReasons(t *testing.T) {
	for _, reason := range strings.Fields("confirmed given renewed imported existing_customer contract legal_obligation legitimate_interest " +
		"unknown_subject unknown_purpose no_consent pending lapsed refused withdrawn objected suppressed restricted expired dormant grade_too_low " +
		"double_opt_in_missing guardian_missing revoked invalidated unavailable") {
		if verdicts[reason].head == nil {
			t.Errorf("there is no verdict for %s", reason)
		}
	}
}

// No word in braces is left in a sentence, whether its lines are there or not.
func TestSentencesAreWhole(t *testing.T) {
	some := ledger.Entry{Index: 7, Source: "shop", Purpose: "newsletter", Channel: "email", Method: "web_form", Notice: ledger.NoticeRef{ID: "n", Version: 1},
		Expires: time.Now(), Until: time.Now(), Informed: time.Now(), Due: time.Now(), Click: "button", Age: "child", Explicit: "yes", Article: "art22",
		Processor: "mailer", Country: "DE", Covers: []string{"a", "b"}, Checkbox: "unticked", Shown: []string{"email"}, Refers: []ledger.Index{3, 1},
		Grade: "C", Basis: "contract", System: "crm", Name: "shop", Role: "app"}
	for _, l := range Languages() {
		d := &teller{clock{l, time.UTC}, &Case{}}
		for kind := range sentences {
			for _, e := range []ledger.Entry{{}, some} {
				e.Kind = kind
				s := d.sentence(&held{Entry: &e, of: &Entry{}})
				if strings.ContainsAny(s, "{}") || s == "" {
					t.Errorf("%s: %q", kind, s)
				}
			}
		}
	}
	d := &teller{clock{English, time.UTC}, &Case{}}
	e := some
	e.Kind = "consent.dreamt"
	if s := d.sentence(&held{Entry: &e, of: &Entry{}}); s != "An entry of the kind consent.dreamt was recorded." {
		t.Error(s)
	}
	e.Kind = ledger.RecipientNotified
	if s := d.sentence(&held{Entry: &e, of: &Entry{}}); s != "A recipient of the data was told of entry 1, 3 (mailer)." {
		t.Error(s)
	}
	e.Kind = ledger.ConsentUsed
	named := &Entry{Disclosed: []ledger.Disclosure{{Claim: "recipient", Value: "Messe {purpose} GmbH"}}}
	if s := d.sentence(&held{Entry: &e, of: named}); s != "The data were used for this purpose and passed to mailer, Messe {purpose} GmbH." {
		t.Error(s)
	}
}

// Every grade has the sentence of the rule that gave it.
func TestEveryGradeHasItsRule(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Languages() {
		d := &teller{clock{l, time.UTC}, &Case{}}
		for v := range ledger.EvChild { // all bits before
			rule := d.gradeRule(v)
			if (v.Grade() == 0) != (rule == "") {
				t.Fatalf("evidence %b has grade %q and the rule %q", v, v.Grade(), rule)
			}
			seen[rule] = true
		}
	}
	both := &teller{clock{English, time.UTC}, &Case{}}
	if rule := both.gradeRule(ledger.EvConfirmed | ledger.EvGiven | ledger.EvGivenDocument); rule != "Given; a document or a recording was kept." {
		t.Errorf("of two ways, the rule is %q", rule)
	}
	rules := 0
	for _, grades := range gradeRules {
		rules += len(grades)
	}
	if len(seen) != 2*rules+1 {
		t.Errorf("%d rules are never given", 2*rules+1-len(seen))
	}
}

func TestClock(t *testing.T) {
	at := time.Date(2026, 3, 9, 23, 5, 6, 7000, time.UTC)
	for _, c := range []struct {
		l    Language
		zone *time.Location
		want string
	}{
		{German, berlin(t), "10.03.2026, 00:05:06 UTC+01:00 [2026-03-09T23:05:06.000007Z]"},
		{English, berlin(t), "10 Mar 2026, 00:05:06 UTC+01:00 [2026-03-09T23:05:06.000007Z]"},
		{English, time.FixedZone("", -5*3600), "9 Mar 2026, 18:05:06 UTC−05:00 [2026-03-09T23:05:06.000007Z]"},
	} {
		if got := (clock{c.l, c.zone}).both(at); got != c.want {
			t.Errorf("%s: %s, want %s", c.l, got, c.want)
		}
	}
}

// The list that every report prints holds what no check can show.
func TestLimitsArePrinted(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	for _, l := range Languages() {
		page := s.html(l)
		for _, x := range s.c.limits(l) {
			if !strings.Contains(page, escape(x)) {
				t.Errorf("%s lacks %q", l, x)
			}
		}
	}
	if len(limits) < 7 || len(s.c.limits(German)) != len(limits)+len(recordLimits) {
		t.Error("the list is too short")
	}
}
