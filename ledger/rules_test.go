package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// historyForTest is a history that holds one consent in any state, a request
// for it, a purpose, a notice and a source.
type historyForTest struct {
	consent Consent
	ref     NoticeRef
}

func (h historyForTest) Consent(id ConsentID) (Consent, bool, error) {
	return h.consent, id == h.consent.ID, nil
}

func (h historyForTest) OpenRequest(lock Hash) (OpenRequest, bool, error) {
	return OpenRequest{lock, h.consent.Request, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}, lock == Lock(tokenForTest(1)), nil
}

func (h historyForTest) Purpose(id string) (Purpose, bool, error) {
	return Purpose{ID: "newsletter", Version: 1}, id == "newsletter", nil
}

func (h historyForTest) Notice(id string, version int64) (Notice, bool, error) {
	return Notice{NoticeRef: h.ref, Covers: []string{"newsletter"}}, id == h.ref.ID && version == h.ref.Version, nil
}

func (h historyForTest) Source(name string) (Source, bool, error) {
	return Source{"shop-frontend", "app"}, name == "shop-frontend", nil
}

// arrows is the table of DESIGN's "what leads where" once more, by hand, for the
// kinds of this version: the states from which each kind is allowed (changes) or
// regular (mentions), and where it leads.
var arrows = map[Kind]struct {
	from    string // states by name, or "any", or "any but …"
	to      string // "" when the state stays
	overlay string // +name sets it, -name lifts it
}{
	ConsentConfirmed:     {from: "requested", to: "confirmed"},
	ConfirmationRejected: {from: "requested", to: "lapsed"},
	ConsentWithdrawn:     {from: "any but withdrawn", to: "withdrawn"},
	ObjectionRecorded:    {from: "any", to: "objected"},
	RestrictionSet:       {from: "any", overlay: "+restricted"},
	RestrictionLifted:    {from: "any", overlay: "-restricted"},
	SubjectErased:        {from: "any", overlay: "+erased"},
	ConfirmationSent:     {from: "requested"},
	ConsentUsed:          {from: "confirmed given renewed imported asserted"},
}

func allowedFrom(from, state string) bool {
	if but, ok := strings.CutPrefix(from, "any but "); ok {
		return !slices.Contains(strings.Fields(but), state)
	}
	return from == "any" || slices.Contains(strings.Fields(from), state)
}

// TestStepEveryArrow walks every kind of this version from every state under
// every set of overlays.
func TestStepEveryArrow(t *testing.T) {
	at := time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC)
	walked := 0
	for kind, row := range kindTable {
		want, listed := arrows[kind]
		if concerns := row.effect == changes || row.effect == opensOrChanges || row.effect == mentions; concerns != listed {
			t.Errorf("%s: concerns consents is %v, listed in the test is %v", kind, concerns, listed)
		}
		if !listed {
			continue
		}
		for _, state := range States() {
			for overlays := Overlays(0); overlays <= Restricted|Locked|Erased; overlays++ {
				walked++
				h := historyForTest{consent: Consent{ID: 4, Last: 6, State: state, Overlays: overlays, Request: 4}}
				e := &Entry{Index: 9, Time: at, Kind: kind, Source: "shop-frontend", Ground: "art18_1_a", Reason: "art17"}
				if row.effect == mentions {
					e.About = []ConsentID{4}
				} else {
					e.Consents = []Link{{4, 6}}
				}
				if kind == ConsentConfirmed || kind == ConfirmationRejected {
					e.Token = tokenForTest(1)
				}
				eff, err := Step(e, h)
				at := string(kind) + " after " + describe(h.consent)
				if row.effect == mentions {
					checkMention(t, at, eff, err, irregularByHand(kind, want.from, h.consent))
				} else {
					checkChange(t, at, eff, err, h.consent, want.from, want.to, want.overlay)
				}
			}
		}
	}
	if want := 9 * 13 * 8; walked != want {
		t.Errorf("walked %d arrows, want %d", walked, want)
	}
}

func irregularByHand(kind Kind, from string, c Consent) string {
	switch {
	case slices.Contains(c.Overlays.Names(), "erased"):
		return string(kind) + ".erased"
	case !allowedFrom(from, c.State.String()):
		return string(kind) + "." + c.State.String()
	case kind == ConsentUsed && slices.Contains(c.Overlays.Names(), "restricted"):
		return "consent.used.restricted"
	}
	return ""
}

func checkMention(t *testing.T, at string, eff *Effects, err error, irregular string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	var names []string
	for _, irr := range eff.Irregular {
		names = append(names, irr.Name)
	}
	if got := strings.Join(names, " "); got != irregular || len(eff.Changed) != 0 || eff.Opened != nil {
		t.Errorf("%s: irregular is %q, want %q; %+v", at, got, irregular, eff)
	}
}

func checkChange(t *testing.T, at string, eff *Effects, err error, c Consent, from, to, overlay string) {
	t.Helper()
	set := c.Overlays.Names()
	rule := ""
	switch {
	case slices.Contains(set, "erased"):
		rule = "erased"
	case !allowedFrom(from, c.State.String()):
		rule = "transition"
	case overlay != "" && (overlay[0] == '+') == slices.Contains(set, overlay[1:]):
		rule = "overlay"
	}
	if rule != "" {
		var violation *RuleError
		if !errors.As(err, &violation) || violation.Rule != rule || violation.Consent != c.ID || violation.Index != 9 {
			t.Errorf("%s: %v, want rule %s", at, err, rule)
		}
		return
	}
	if err != nil || len(eff.Changed) != 1 {
		t.Errorf("%s: %v", at, err)
		return
	}
	state := c.State.String()
	if to != "" {
		state = to
	}
	if overlay != "" && overlay[0] == '+' {
		set = append(set, overlay[1:])
	} else if overlay != "" {
		set = slices.DeleteFunc(set, func(s string) bool { return s == overlay[1:] })
	}
	slices.Sort(set)
	got := eff.Changed[0]
	if got.State.String() != state || !slices.Equal(slices.Sorted(slices.Values(got.Overlays.Names())), set) || got.Last != 9 || got.ID != 4 || got.Request != 4 {
		t.Errorf("%s: %+v, want %s %v", at, got, state, set)
	}
}

// errHistory fails at every question, to see that Step passes errors on.
type errHistory struct {
	historyForTest
	fail string
}

var errUnreadable = errors.New("unreadable")

func (h errHistory) Consent(id ConsentID) (Consent, bool, error) {
	if h.fail == "consent" {
		return Consent{}, false, errUnreadable
	}
	return h.historyForTest.Consent(id)
}

func (h errHistory) OpenRequest(lock Hash) (OpenRequest, bool, error) {
	if h.fail == "request" {
		return OpenRequest{}, false, errUnreadable
	}
	return h.historyForTest.OpenRequest(lock)
}

func (h errHistory) Purpose(id string) (Purpose, bool, error) {
	if h.fail == "purpose" {
		return Purpose{}, false, errUnreadable
	}
	return h.historyForTest.Purpose(id)
}

func (h errHistory) Notice(id string, version int64) (Notice, bool, error) {
	if h.fail == "notice" {
		return Notice{}, false, errUnreadable
	}
	return h.historyForTest.Notice(id, version)
}

func (h errHistory) Source(name string) (Source, bool, error) {
	if h.fail == "source" {
		return Source{}, false, errUnreadable
	}
	return h.historyForTest.Source(name)
}

// TestStepUnreadableHistory demands that what cannot be read is neither a
// violation nor passed over.
func TestStepUnreadableHistory(t *testing.T) {
	at := time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC)
	ref := NoticeRef{ID: "newsletter-de", Version: 1}
	consent := Consent{ID: 4, Last: 4, State: Requested, Purpose: "newsletter", Channel: "email", Request: 4}
	expires := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	request := &Entry{Index: 5, Time: at, Kind: ConsentRequested, Source: "shop-frontend", Purpose: "newsletter", Channel: "email",
		Notice: ref, Lock: Lock(tokenForTest(1)), Expires: expires}
	confirm := &Entry{Index: 9, Time: at, Kind: ConsentConfirmed, Source: "shop-frontend", Token: tokenForTest(1), Consents: []Link{{4, 4}}}
	use := &Entry{Index: 9, Time: at, Kind: ConsentUsed, Source: "shop-frontend", About: []ConsentID{4}}
	for _, v := range []struct {
		e    *Entry
		fail []string
	}{
		{request, []string{"source", "purpose", "notice", "request", "consent"}},
		{confirm, []string{"source", "request", "consent"}},
		{use, []string{"source", "consent"}},
		{&Entry{Kind: SourceDeclared, Source: SourceLedger, Name: "x"}, []string{"source"}},
	} {
		good := historyForTest{consent, ref}
		if _, err := Step(v.e, good); err != nil {
			t.Errorf("%s: %v", v.e.Kind, err)
		}
		for _, fail := range v.fail {
			if _, err := Step(v.e, errHistory{good, fail}); !errors.Is(err, errUnreadable) {
				t.Errorf("%s, %s unreadable: %v", v.e.Kind, fail, err)
			}
		}
	}
}

// TestStates holds the vocabulary of states and overlays to each other.
func TestStates(t *testing.T) {
	for _, s := range States() {
		if s.Allows() && !s.Live() {
			t.Errorf("%s allows but is not live", s)
		}
		if s.Allows() != allowing.has(s) {
			t.Errorf("%s: Allows differs from the table's set", s)
		}
	}
	if got := (Erased | Restricted | Locked).Names(); !slices.Equal(got, []string{"restricted", "locked", "erased"}) {
		t.Error(got)
	}
	p := Purpose{DoubleOptIn: true, DOIChannels: []string{"email"}}
	if !p.NeedsDoubleOptIn("email") || p.NeedsDoubleOptIn("post") {
		t.Error("the channels do not narrow double opt-in")
	}
	p.DOIChannels = nil
	if !p.NeedsDoubleOptIn("post") {
		t.Error("no channels should mean every channel")
	}
	if (&Purpose{DOIChannels: []string{"email"}}).NeedsDoubleOptIn("email") {
		t.Error("double opt-in without being asked for")
	}
}
