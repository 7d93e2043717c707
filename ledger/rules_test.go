package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// historyForTest is a history that holds one consent in any state, a request
// for it, two purposes, a notice and a source.
type historyForTest struct {
	consent Consent
	ref     NoticeRef
}

func (h historyForTest) Consent(id ConsentID) (Consent, bool, error) {
	return h.consent, id == h.consent.ID, nil
}

func (h historyForTest) OpenRequest(lock Hash) (OpenRequest, bool, error) {
	return OpenRequest{Lock: lock, Request: h.consent.Request, Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}, lock == Lock(tokenForTest(1)), nil
}

func (h historyForTest) Purpose(id string) (Purpose, bool, error) {
	if id != "newsletter" && id != "email.open_tracking" {
		return Purpose{}, false, nil
	}
	return Purpose{ID: id, Version: 1, IPPolicy: "truncated"}, true, nil
}

func (h historyForTest) Notice(id string, version int64) (Notice, bool, error) {
	if id != h.ref.ID || version != h.ref.Version {
		return Notice{}, false, nil
	}
	return Notice{NoticeRef: h.ref, Use: "wording", Covers: []string{"newsletter"}}, true, nil
}

func (h historyForTest) Processor(id string) (Processor, bool, error) {
	return Processor{ID: id, Index: 2}, id == "mail-house", nil
}

func (h historyForTest) Claim(name string) (bool, error) { return name == "x.ticket", nil }

func (h historyForTest) KeyEntry() (KeyEntry, error) {
	s, err := NewSigner(originForLog, [32]byte{1}, [32]byte{2})
	return KeyEntry{0, s.Keys()}, err
}

// rotationForTest follows historyForTest's key entry.
func rotationForTest(at Index) *Entry {
	old, _ := NewSigner(originForLog, [32]byte{1}, [32]byte{2})
	next, _ := NewSigner(originForLog, [32]byte{3}, [32]byte{4})
	e, err := Rotate(old.Deterministic(), next.Deterministic(), 0, at, Hash{})
	if err != nil {
		panic(err)
	}
	e.Source = "admin"
	return e
}

// Source knows one app key, and a key of each role by the role's name.
func (h historyForTest) Source(name string) (Source, bool, error) {
	if name == "shop-frontend" {
		return Source{name, "app"}, true, nil
	}
	return Source{name, name}, IsRole(name), nil
}

// arrows is the table of DESIGN's "what leads where" once more, by hand, for the
// kinds of this version: the states from which each kind is allowed (changes) or
// regular (mentions), and where it leads.
var arrows = map[Kind]struct {
	from    string // states by name, or "any", or "any but …"
	to      string // "" when the state stays
	overlay string // +name sets it, -name lifts it
	not     string // the overlays under which it is not allowed or not regular, the strongest first
	by      string // the source
}{
	ConsentConfirmed:     {from: "requested", to: "confirmed", not: "erased locked", by: "app"},
	ConfirmationRejected: {from: "requested", to: "lapsed", not: "erased", by: "app"},
	RequestExpired:       {from: "requested", to: "lapsed", not: "erased", by: "ledger"},
	ConsentRenewed:       {from: "given confirmed renewed imported", to: "renewed", not: "erased locked", by: "app"},
	ConsentExpired:       {from: "given confirmed renewed imported", to: "expired", not: "erased", by: "ledger"},
	ConsentWithdrawn:     {from: "any but withdrawn", to: "withdrawn", not: "erased", by: "app"},
	ConsentRevoked:       {from: "any but withdrawn objected", to: "revoked", not: "erased", by: "admin legal"},
	ConsentInvalidated:   {from: "any but withdrawn objected", to: "invalidated", not: "erased", by: "admin legal"},
	ObjectionRecorded:    {from: "any", to: "objected", not: "erased", by: "app"},
	RestrictionSet:       {from: "any", overlay: "+restricted", not: "erased", by: "app legal"},
	RestrictionLifted:    {from: "any", overlay: "-restricted", not: "erased", by: "app legal"},
	SubjectLocked:        {from: "any", overlay: "+locked", not: "erased", by: "app ledger"},
	SubjectErased:        {from: "any", overlay: "+erased", not: "erased", by: "app ledger"},
	ConfirmationSent:     {from: "requested", not: "erased locked", by: "app"},
	ConfirmationResent:   {from: "requested", not: "erased locked", by: "app"},
	ConfirmationFailed:   {from: "requested", not: "erased locked", by: "app"},
	ConfirmationOpened:   {from: "requested", not: "erased locked", by: "app"},
	ConfirmationAttached: {from: "any", not: "erased", by: "app"},
	TrackingChanged:      {from: "any", not: "erased", by: "app"},
	EvidenceDisclosed:    {from: "any", not: "erased", by: "legal"},
	BundleExported:       {from: "any", by: "legal"},
	ConsentUsed:          {from: "confirmed given renewed imported asserted", not: "erased locked restricted", by: "app"},
	SubjectRectified:     {from: "any", not: "erased", by: "app legal"},
	HoldSet:              {from: "any", not: "erased", by: "legal"},
	HoldLifted:           {from: "any", not: "erased", by: "legal"},
	RetentionApplied:     {from: "any", not: "erased", by: "ledger"},
	GuardianAuthorised:   {from: "requested confirmed given renewed imported asserted", not: "erased locked", by: "app"},
	SignalReceived:       {from: "any", not: "erased", by: "app"},
	WithdrawalEffected:   {from: "any", not: "erased", by: "app"},
	IdentityVerified:     {from: "any", not: "erased", by: "legal"},
	RequestReceived:      {from: "any", not: "erased", by: "app legal"},
	RequestExtended:      {from: "any", not: "erased", by: "legal"},
	RequestAnswered:      {from: "any", not: "erased", by: "legal"},
	RequestRefused:       {from: "any", not: "erased", by: "legal"},
	EntryCorrected:       {from: "any", not: "erased", by: "admin legal"},
}

func allowedFrom(from, state string) bool {
	if but, ok := strings.CutPrefix(from, "any but "); ok {
		return !slices.Contains(strings.Fields(but), state)
	}
	return from == "any" || slices.Contains(strings.Fields(from), state)
}

// TestStepEveryArrow walks every kind of this version from every state under
// every set of overlays, with and without what forbids an erasure.
func TestStepEveryArrow(t *testing.T) {
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
				for _, held := range []Consent{{}, {Kept: true}, {Holds: 1}, {Holds: 127, Kept: true}} {
					walked++
					c := Consent{ID: 4, Last: 6, State: state, Overlays: overlays, Request: 4, Kept: held.Kept, Holds: held.Holds,
						Purpose: "newsletter", Channel: "email", Basis: ByConsent, Mode: Anonymous, Evidence: EvForm}
					if kind == TrackingChanged || kind == SignalReceived {
						c.Purpose = "email.open_tracking"
					}
					source := strings.Fields(want.by)[walked%len(strings.Fields(want.by))]
					eff, err := Step(arrowForTest(kind, source), historyForTest{consent: c})
					a := arrow{t, fmt.Sprintf("%s after %s, kept %v, %d holds", kind, describe(c), c.Kept, c.Holds), kind, c, want.from, want.not}
					if row.effect == mentions {
						a.checkMention(eff, err)
					} else {
						a.checkChange(eff, err, want.to, want.overlay)
					}
				}
			}
		}
	}
	if want := 35 * 13 * 8 * 4; walked != want {
		t.Errorf("walked %d arrows, want %d", walked, want)
	}
}

// arrowForTest gives an entry at index 9 that concerns consent 4 of
// historyForTest and breaks no rule of its own.
func arrowForTest(kind Kind, source string) *Entry {
	e := &Entry{Index: 9, Time: time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC), Kind: kind, Source: source, Ground: "art18_1_a"}
	if kindTable[kind].effect == mentions {
		e.About = []ConsentID{4}
	} else {
		e.Consents = []Link{{4, 6}}
	}
	switch kind {
	case ConsentConfirmed, ConfirmationRejected:
		e.Token = tokenForTest(1)
	case RequestExpired:
		e.Lock, e.Time = Lock(tokenForTest(1)), e.Time.AddDate(1, 0, 0)
	case HoldLifted:
		e.Refers = []Index{5}
	case ConsentRenewed:
		e.Method, e.IPPolicy = "link", "truncated"
	case TrackingChanged:
		e.Purpose, e.Mode = "email.open_tracking", "pseudonymous"
	case SignalReceived:
		e.Signal, e.Says = "gpc", "no"
	case WithdrawalEffected:
		e.System = "mail-house"
	}
	return e
}

// noted gives what a mention changes of the consent besides its holds.
func (a arrow) noted() Consent {
	c := a.c
	switch a.kind {
	case ConfirmationSent:
		if c.State == Requested {
			c.Evidence |= EvSent
		}
	case ConfirmationAttached:
		c.Evidence |= EvMail
	case TrackingChanged:
		c.Mode = Pseudonymous
	case GuardianAuthorised:
		c.Evidence |= EvGuardian
	case SignalReceived:
		c.Evidence |= EvSignalNo
	}
	return c
}

// arrow is one way from one consent, and what the table by hand says of it.
type arrow struct {
	*testing.T
	name      string
	kind      Kind
	c         Consent
	from, not string
}

// under gives the strongest overlay that stands in the way.
func (a arrow) under() string {
	for _, overlay := range strings.Fields(a.not) {
		if slices.Contains(a.c.Overlays.Names(), overlay) {
			return overlay
		}
	}
	return ""
}

func (a arrow) checkMention(eff *Effects, err error) {
	a.Helper()
	holds := int(a.c.Holds)
	switch a.kind {
	case HoldSet:
		holds++
	case HoldLifted:
		holds--
	}
	if holds < 0 || holds > 127 {
		a.checkRule(err, map[bool]string{true: "refers", false: "holds"}[holds < 0])
		return
	}
	if err != nil {
		a.Errorf("%s: %v", a.name, err)
		return
	}
	// An overlay outweighs the state only where it is erased.
	irregular := ""
	if under := a.under(); under == "erased" || under != "" && allowedFrom(a.from, a.c.State.String()) {
		irregular = string(a.kind) + "." + under
	} else if !allowedFrom(a.from, a.c.State.String()) {
		irregular = string(a.kind) + "." + a.c.State.String()
	}
	var names []string
	for _, irr := range eff.Irregular {
		names = append(names, irr.Name)
	}
	want := a.noted()
	want.Holds = uint8(holds)
	var held []Consent
	if want != a.c {
		held = []Consent{want}
	}
	if got := strings.Join(names, " "); got != irregular || len(eff.Changed) != 0 || eff.Opened != nil || !slices.Equal(eff.Noted, held) {
		a.Errorf("%s: irregular is %q, want %q; %+v", a.name, got, irregular, eff)
	}
}

func (a arrow) checkRule(err error, rule string) {
	a.Helper()
	var violation *RuleError
	if !errors.As(err, &violation) || violation.Rule != rule || violation.Consent != a.c.ID || violation.Index != 9 {
		a.Errorf("%s: %v, want rule %s", a.name, err, rule)
	}
}

func (a arrow) checkChange(eff *Effects, err error, to, overlay string) {
	a.Helper()
	set := a.c.Overlays.Names()
	rule := a.under()
	switch {
	case rule != "":
	case !allowedFrom(a.from, a.c.State.String()):
		rule = "transition"
	case a.kind == RestrictionSet: // over a restriction, too: it has another ground
	case overlay != "" && (overlay[0] == '+') == slices.Contains(set, overlay[1:]):
		rule = "overlay"
	case overlay == "+erased" && (a.c.Kept || a.c.Holds > 0):
		rule = "held"
	}
	if rule != "" {
		a.checkRule(err, rule)
		return
	}
	if err != nil || len(eff.Changed) != 1 || len(eff.Noted) != 0 {
		a.Errorf("%s: %+v, %v", a.name, eff, err)
		return
	}
	want := a.c
	want.Last = 9
	switch a.kind {
	case ConsentConfirmed:
		want.Evidence |= EvConfirmed
	case ConsentRenewed:
		want.Evidence |= EvGiven
	}
	for _, s := range States() {
		if s.String() == to {
			want.State = s
		}
	}
	switch overlay {
	case "+restricted": // on the ground (a), which takes nothing away from a better one
		want.Overlays |= Restricted
	case "-restricted":
		want.Overlays &^= Restricted
		want.Kept = false
	case "+locked":
		want.Overlays ^= Locked
	case "+erased":
		want.Overlays ^= Erased
	}
	if eff.Changed[0] != want {
		a.Errorf("%s: %+v, want %+v", a.name, eff.Changed[0], want)
	}
}

// TestStepOpens has every opening kind open a record.
func TestStepOpens(t *testing.T) {
	ref := NoticeRef{ID: "newsletter-de", Version: 1}
	for kind, want := range map[Kind]Consent{
		ConsentRequested:  {State: Requested, Basis: ByConsent},
		ConsentGiven:      {State: Given, Basis: ByConsent, Evidence: EvGiven},
		ConsentRefused:    {State: Refused, Basis: ByConsent},
		ConsentImported:   {State: Imported, Basis: ByConsent, Evidence: EvImported | EvImportD},
		BasisAsserted:     {State: Asserted, Basis: Contract},
		ObjectionRecorded: {State: Objected},
	} {
		if effect := kindTable[kind].effect; effect != opens && effect != opensOrChanges {
			t.Errorf("%s opens nothing", kind)
		}
		e := &Entry{Index: 9, Time: time.Date(2026, 11, 21, 22, 36, 0, 0, time.UTC), Kind: kind, Source: "shop-frontend", Purpose: "newsletter",
			Channel: "email", Notice: ref, Commits: []Commitment{{Claim: "email"}}}
		switch kind {
		case ConsentRequested:
			e.Lock, e.Expires = Lock(tokenForTest(2)), e.Time.Add(time.Hour)
		case ConsentImported:
			e.Grade = "D"
		case BasisAsserted:
			e.Basis = "contract"
		}
		eff, err := Step(e, openHistory{historyForTest{ref: ref}})
		if want.ID, want.Last, want.Purpose, want.Channel, want.Request = 9, 9, "newsletter", "email", 9; err != nil || *eff.Opened != want {
			t.Errorf("%s: %+v, %v, want %+v", kind, eff, err, want)
		}
	}
	for kind, row := range kindTable {
		if row.effect == opens && transitionOf(kind) == nil {
			t.Errorf("%s opens, and no transition says which state", kind)
		}
	}
	for _, tr := range transitions {
		if kindTable[tr.kind] == nil {
			t.Errorf("%s is a transition and no kind", tr.kind)
		}
	}
}

// openHistory is a history whose purposes rest on every basis.
type openHistory struct{ historyForTest }

func (h openHistory) Purpose(id string) (Purpose, bool, error) {
	p, ok, err := h.historyForTest.Purpose(id)
	p.Bases = []Basis{ByConsent, Contract}
	return p, ok, err
}

// TestStepRoles has keys of every role write every kind.
func TestStepRoles(t *testing.T) {
	consent := Consent{ID: 4, Last: 6, State: Requested, Request: 4, Holds: 1, Purpose: "newsletter"}
	for kind := range arrows {
		if kind == ConsentExpired || kind == ConsentUsed || kind == ConsentRenewed {
			consent.State = Confirmed
		}
		c := consent
		if kind == TrackingChanged || kind == SignalReceived {
			c.Purpose = "email.open_tracking"
		}
		if kind == RestrictionLifted {
			c.Overlays = Restricted
		}
		if kind == SubjectErased {
			c.Holds = 0
		}
		for _, role := range append(slices.Clone(roles), SourceLedger) {
			_, err := Step(arrowForTest(kind, role), historyForTest{consent: c})
			var violation *RuleError
			refused := errors.As(err, &violation) && violation.Rule == "role"
			if allowed := slices.Contains(strings.Fields(arrows[kind].by), role); allowed != (err == nil) || allowed == refused {
				t.Errorf("%s by %s: %v", kind, role, err)
			}
		}
		consent.State = Requested
	}
}

// TestStepKept restricts on every ground: two of them forbid an erasure until
// the restriction is lifted.
func TestStepKept(t *testing.T) {
	for _, ground := range Grounds() {
		e := arrowForTest(RestrictionSet, "shop-frontend")
		e.Ground = ground
		eff, err := Step(e, historyForTest{consent: Consent{ID: 4, Last: 6, State: Confirmed}})
		if err != nil || eff.Changed[0].Kept != (ground == "art18_1_b" || ground == "art18_1_c") {
			t.Errorf("%s: %+v, %v", ground, eff, err)
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
