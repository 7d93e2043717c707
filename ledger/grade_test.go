package ledger

import (
	"slices"
	"strings"
	"testing"
)

// wayTo is a way to a grade, as FORMAT.md puts it: a consent has the grade of the
// first way in the list of which it has every bit, and none that is named with a
// minus.
var waysTo = []struct{ grade, has, but string }{
	{"A", "confirmed button form sent mail trace clickTrace", "scanner"},
	{"B", "confirmed button form sent", "scanner"},
	{"B", "given document", ""},
	{"C", "confirmed", "scanner"},
	{"C", "confirmed button", ""},
	{"C", "given givenForm givenTrace", ""},
	{"C", "imported importC", ""},
	{"D", "confirmed", ""},
	{"D", "given givenForm", ""},
	{"D", "given givenTrace", ""},
	{"D", "imported importD", ""},
	{"E", "given", ""},
	{"E", "imported", ""},
}

var bitsByName = map[string]Evidence{"form": EvForm, "trace": EvTrace, "sent": EvSent, "mail": EvMail, "button": EvButton,
	"clickTrace": EvClickTrace, "scanner": EvScanner, "confirmed": EvConfirmed, "given": EvGiven, "document": EvGivenDocument,
	"givenForm": EvGivenForm, "givenTrace": EvGivenTrace, "imported": EvImported, "importC": EvImportC, "importD": EvImportD, "child": EvChild}

// naiveGrade is the rule once more, from the best way down.
func naiveGrade(has map[string]bool) string {
	for _, way := range waysTo {
		lacks := func(bit string) bool { return !has[bit] }
		if !slices.ContainsFunc(strings.Fields(way.has), lacks) && (way.but == "" || !has[way.but]) {
			return way.grade
		}
	}
	return ""
}

// TestGradeOfEveryEvidence asks for the grade of every set of bits there is.
func TestGradeOfEveryEvidence(t *testing.T) {
	all := Evidence(0)
	for _, bit := range bitsByName {
		all |= bit
	}
	if all != 1<<len(bitsByName)-1 {
		t.Fatalf("%d names stand for the bits %b", len(bitsByName), all)
	}
	counted := map[string]int{}
	for v := range all + 1 {
		has := map[string]bool{}
		for name, bit := range bitsByName {
			has[name] = v&bit != 0
		}
		want := naiveGrade(has)
		counted[want]++
		if got := (Consent{Evidence: v}).Grade(); got.String() != want {
			t.Errorf("%v has the grade %q, want %q", has, got, want)
		}
	}
	if len(counted) != 6 {
		t.Errorf("grades and how often: %v", counted)
	}
}

// confirmation is one way in which a double opt-in can have gone.
type confirmation struct {
	form, sent, scanner bool
	mail                string // "", kept with the mail, or attached after the click
	click               string
	at, clicked         string // what was recorded of the browser at the request and at the click
}

// TestGradeOfEveryConfirmation applies the entries of every way, and counts what
// they commit to by itself.
func TestGradeOfEveryConfirmation(t *testing.T) {
	traces := []string{"", "ip", "user_agent", "ip user_agent"}
	no, walked := []bool{false, true}, 0
	for _, form := range no {
		for _, sent := range no {
			for _, scanner := range no {
				for _, mail := range []string{"", "kept", "attached"} {
					for _, click := range append(Clicks(), "") {
						for _, at := range traces {
							for _, clicked := range traces {
								walked++
								confirmation{form, sent, scanner, mail, click, at, clicked}.check(t)
							}
						}
					}
				}
			}
		}
	}
	if walked != 8*3*5*16 {
		t.Errorf("walked %d ways", walked)
	}
}

func (w confirmation) check(t *testing.T) {
	t.Helper()
	commits := func(claims ...string) (list []Commitment) {
		for _, c := range strings.Fields(strings.Join(claims, " ")) {
			list = append(list, Commitment{Claim: c})
		}
		return list
	}
	claim := func(is bool, name string) string { return map[bool]string{true: name}[is] }
	entries := []*Entry{{Index: 4, Kind: ConsentRequested, Commits: commits("email page_url", claim(w.form, "form_snapshot"), w.at)}}
	if w.sent {
		entries = append(entries, &Entry{Index: 5, Kind: ConfirmationSent, Mail: claim(w.mail == "kept", "kept"), Commits: commits("message")})
	}
	entries = append(entries,
		&Entry{Index: 6, Kind: ConfirmationOpened, Commits: commits("ip scanner user_agent")},
		&Entry{Index: 7, Kind: ConsentConfirmed, Click: w.click, Commits: commits(claim(w.scanner, "scanner"), w.clicked)},
		&Entry{Index: 8, Kind: ConfirmationSent, Mail: "kept", Commits: commits("message")}) // too late to lead to the click
	if w.mail == "attached" {
		entries = append(entries, &Entry{Index: 9, Kind: ConfirmationAttached, Commits: commits("message")})
	}
	c := Consent{ID: 4, Request: 4}
	for _, e := range entries {
		c = Apply(c, e)
	}
	button, kept := w.click == "button", w.sent && w.mail != ""
	want := "C"
	switch {
	case w.scanner && !button:
		want = "D"
	case !w.scanner && button && w.form && w.sent && kept && w.at != "" && w.clicked != "":
		want = "A"
	case !w.scanner && button && w.form && w.sent:
		want = "B"
	}
	if got := c.Grade().String(); got != want || c.State != Confirmed {
		t.Errorf("%+v: grade %s, want %s; %+v", w, got, want, c)
	}
}

// TestGradeOfSeveralWays has consents come about in more than one way: the best
// counts, and what is taken back keeps its grade.
func TestGradeOfSeveralWays(t *testing.T) {
	of := func(claims ...string) (list []Commitment) {
		for _, c := range claims {
			list = append(list, Commitment{Claim: c})
		}
		return list
	}
	imported := func(grade string) *Entry { return &Entry{Kind: ConsentImported, Grade: grade} }
	renewed := func(claims ...string) *Entry { return &Entry{Kind: ConsentRenewed, Commits: of(claims...)} }
	for _, v := range []struct {
		want    string
		entries []*Entry
	}{
		{"", []*Entry{{Kind: ConsentRequested, Commits: of("form_snapshot", "ip")}}},
		{"", []*Entry{{Kind: ConsentRefused, Commits: of("document")}}},
		{"", []*Entry{{Kind: BasisAsserted, Basis: "contract", Commits: of("document")}}},
		{"", []*Entry{{Kind: ObjectionRecorded, Commits: of("document")}}},
		{"", []*Entry{{Kind: ConsentRequested}, {Kind: ConfirmationRejected, Commits: of("ip")}}},
		{"", []*Entry{{Kind: ConsentRequested}, {Kind: ConsentWithdrawn}}},
		{"C", []*Entry{{Kind: ConsentRequested}, {Kind: ConsentConfirmed}, {Kind: ConsentWithdrawn}, {Kind: SubjectErased}}},
		{"C", []*Entry{imported("C")}},
		{"D", []*Entry{imported("D")}},
		{"E", []*Entry{imported("E")}},
		{"D", []*Entry{imported("D"), renewed()}},
		{"D", []*Entry{imported("E"), renewed("ip", "user_agent")}},
		{"C", []*Entry{imported("E"), renewed("form_snapshot", "user_agent")}},
		{"B", []*Entry{imported("E"), renewed("recording")}},
		{"C", []*Entry{{Kind: ConsentGiven, Commits: of("form_snapshot")}, renewed("ip")}},
		{"B", []*Entry{{Kind: ConsentRequested}, {Kind: ConsentConfirmed}, renewed("document")}},
		{"C", []*Entry{{Kind: ConsentRequested}, {Kind: ConsentConfirmed}, renewed()}},
		{"E", []*Entry{{Kind: ConsentGiven, Commits: of("captcha", "email", "form", "message", "x.scan")}}},
	} {
		c := Consent{}
		for _, e := range v.entries {
			c = Apply(c, e)
		}
		if got := c.Grade().String(); got != v.want {
			t.Errorf("%s, %d entries: grade %q, want %q", v.entries[0].Kind, len(v.entries), got, v.want)
		}
	}
	for age, child := range map[string]bool{"": false, "old_enough": false, "child": true} {
		for _, kind := range []Kind{ConsentRequested, ConsentGiven, ConsentImported} {
			if c := Apply(Consent{}, &Entry{Kind: kind, Age: age}); c.Evidence.has(EvChild) != child {
				t.Errorf("%s with the age %q: %b", kind, age, c.Evidence)
			}
		}
	}
}

func TestGradeAtLeast(t *testing.T) {
	order := []Grade{'A', 'B', 'C', 'D', 'E', 0}
	for i, g := range order {
		for j, minimum := range order {
			want := i <= j // the worst of all is none, which no minimum asks more of than there is
			if got := g.AtLeast(minimum); got != want {
				t.Errorf("%q at least %q: %v, want %v", g, minimum, got, want)
			}
		}
	}
	for _, s := range append(grades, "") {
		if g, ok := ParseGrade(s); !ok || g.String() != s {
			t.Errorf("%q is %q, %v", s, g, ok)
		}
	}
	for _, s := range []string{"F", "a", "AA", "A ", "@", "\x00"} {
		if _, ok := ParseGrade(s); ok {
			t.Errorf("%q is a grade", s)
		}
	}
}
