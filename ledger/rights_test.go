package ledger

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// referredForTest knows one of everything that an entry can refer to, at index 5,
// or cannot read it.
type referredForTest struct{ fail bool }

func (r referredForTest) err() error {
	if r.fail {
		return errUnreadable
	}
	return nil
}

func (r referredForTest) Erasure(i Index) (ErasurePhase, error) {
	return map[Index]ErasurePhase{5: ContentsWait}[i], r.err()
}

func (r referredForTest) Held(i Index) ([]ConsentID, error) {
	return map[Index][]ConsentID{5: {4}}[i], r.err()
}

func (r referredForTest) RightsRequest(i Index) (RightsRequest, bool, error) {
	received := time.Date(2026, 10, 31, 8, 0, 0, 0, time.UTC)
	return RightsRequest{5, received, AnswerDue(received, 1), false}, i == 5, r.err()
}

func (r referredForTest) Notification(i Index) (bool, error) { return i == 5, r.err() }

// TestCheckRefers has every kind that refers to something that waits refer to it, to
// something else, and to what cannot be read.
func TestCheckRefers(t *testing.T) {
	for _, kind := range []Kind{EvidenceShredded, HoldLifted, RequestExtended, RequestAnswered, RequestRefused, RecipientAcknowledged} {
		e := arrowForTest(kind, "legal")
		e.Refers, e.Contents = []Index{5}, e.Time
		if kind == RequestExtended {
			e.Due = time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)
		}
		if err := CheckRefers(e, referredForTest{}, new(Effects)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := CheckRefers(e, referredForTest{fail: true}, new(Effects)); !errors.Is(err, errUnreadable) {
			t.Errorf("%s, unreadable: %v", kind, err)
		}
		e.Refers = []Index{6}
		var violation *RuleError
		if err := CheckRefers(e, referredForTest{}, new(Effects)); !errors.As(err, &violation) || violation.Rule != "refers" || violation.Index != 9 || violation.Consent != -1 {
			t.Errorf("%s, of another entry: %v", kind, err)
		}
		// Of a request of a person the first part speaks for all, of the rest each for itself.
		e.Part, e.Parts = 2, 2
		rights := kind == RequestExtended || kind == RequestAnswered || kind == RequestRefused
		if err := CheckRefers(e, referredForTest{}, new(Effects)); (err == nil) != rights {
			t.Errorf("%s, of another entry, in a second part: %v", kind, err)
		}
	}
	for kind, row := range kindTable {
		waits := []Kind{EvidenceShredded, HoldLifted, RequestExtended, RequestAnswered, RequestRefused, RecipientAcknowledged}
		refers := slices.ContainsFunc(row.slots, func(s slot) bool { return s.field == fRefers })
		// The first two refer to any entry, a rotation to what the rule keys says.
		if any := kind == RecipientNotified || kind == EntryCorrected || kind == KeyRotated; refers != (any || slices.Contains(waits, kind)) {
			t.Errorf("%s refers to entries: %v", kind, refers)
		}
	}
}

// TestRightsEffects: what a request does is told in its effects, with moments cut to
// the second.
func TestRightsEffects(t *testing.T) {
	at := time.Date(2026, 11, 30, 22, 36, 59, 999999000, time.UTC)
	cut := at.Truncate(time.Second)
	received := &Entry{Index: 9, Time: at, Kind: RequestReceived, Due: AnswerDue(at, 1)}
	told := &Entry{Index: 9, Time: at, Kind: RequestReceived, Occurred: cut.AddDate(0, 0, -1), Due: AnswerDue(at.AddDate(0, 0, -1), 1)}
	extended := &Entry{Index: 9, Time: at, Kind: RequestExtended, Refers: []Index{5}, Due: time.Date(2026, 12, 15, 12, 0, 0, 0, time.UTC)}
	for _, v := range []struct {
		e         *Entry
		want      *RightsRequest
		irregular []Irregularity
	}{
		{received, &RightsRequest{9, cut, time.Date(2026, 12, 30, 23, 59, 59, 0, time.UTC), false}, nil},
		{told, &RightsRequest{9, cut.AddDate(0, 0, -1), time.Date(2026, 12, 29, 23, 59, 59, 0, time.UTC), false}, nil},
		{extended, &RightsRequest{5, time.Date(2026, 10, 31, 8, 0, 0, 0, time.UTC), extended.Due, true}, nil},
		{&Entry{Index: 9, Time: at, Kind: RequestAnswered, Refers: []Index{5}}, nil, nil},
		{&Entry{Index: 9, Time: at.Add(2 * time.Hour), Kind: RequestRefused, Refers: []Index{5}}, nil, []Irregularity{{Name: "request.refused.late", Index: 9, Consent: -1}}},
		{&Entry{Index: 9, Time: at, Kind: EntryCorrected, Refers: []Index{6}}, nil, nil},
	} {
		eff := new(Effects)
		err := CheckRefers(v.e, referredForTest{}, eff)
		if err != nil || fmt.Sprint(eff.Rights) != fmt.Sprint(v.want) || !slices.Equal(eff.Irregular, v.irregular) {
			t.Errorf("%s: %+v, %v (%v), want %+v", v.e.Kind, eff.Rights, eff.Irregular, err, v.want)
		}
	}
}

// TestApplySignals: a guardian's word stays, of signals the newest counts, and
// neither moves a state.
func TestApplySignals(t *testing.T) {
	c := Consent{ID: 4, Last: 4, State: Given, Evidence: EvGiven}
	for i, v := range []struct {
		e    Entry
		want Evidence
	}{
		{Entry{Kind: SignalReceived, Says: "yes"}, EvGiven},
		{Entry{Kind: SignalReceived, Says: "no"}, EvGiven | EvSignalNo},
		{Entry{Kind: GuardianAuthorised}, EvGiven | EvSignalNo | EvGuardian},
		{Entry{Kind: SignalReceived, Says: "no"}, EvGiven | EvSignalNo | EvGuardian},
		{Entry{Kind: ConsentUsed}, EvGiven | EvSignalNo | EvGuardian},
		{Entry{Kind: SignalReceived, Says: "yes"}, EvGiven | EvGuardian},
	} {
		c = Apply(c, &v.e)
		if c.Evidence != v.want || c.State != Given || c.Last != 4 || c.Grade() != 'E' {
			t.Errorf("step %d, %s %s: %+v", i, v.e.Kind, v.e.Says, c)
		}
	}
}

// TestReplayForgetsWhatIsAnswered: requests and notifications are held for as long
// as they wait.
func TestReplayForgetsWhatIsAnswered(t *testing.T) {
	l := newLogForTest(t)
	id := l.confirmed()
	a, b := l.asked(id), l.asked()
	first, second := l.add(l.step(RecipientNotified, a)), l.add(l.step(RecipientNotified, a))
	holds := func(requests, notifications int) {
		t.Helper()
		if open, overdue := l.replay.OpenRights(); len(l.replay.rights) != requests || open != requests || overdue != 0 || len(l.replay.notifications) != notifications {
			t.Errorf("%d requests and %d notifications are held, want %d and %d", len(l.replay.rights), len(l.replay.notifications), requests, notifications)
		}
	}
	holds(2, 2)
	l.add(l.step(RequestAnswered, a, id))
	l.add(l.step(RecipientAcknowledged, second))
	holds(1, 1)
	if _, open, _ := l.replay.RightsRequest(a); open {
		t.Error("what was answered waits")
	}
	if q, open, _ := l.replay.RightsRequest(b); !open || q.Index != b || q.Extended || !q.Due.Equal(AnswerDue(q.Received, 1)) {
		t.Errorf("%+v, %v", q, open)
	}
	l.add(l.step(RequestRefused, b))
	l.add(l.step(RecipientAcknowledged, first))
	holds(0, 0)
}

// TestReplayProcessors: a processor is what its newest engagement says, and when that
// began and ended by the ledger's clock.
func TestReplayProcessors(t *testing.T) {
	l := newLogForTest(t)
	l.prelude()
	var began, ended time.Time
	is := func(index Index, country string, covers ...string) {
		t.Helper()
		p, ok, err := l.replay.Processor("mail-house")
		if err != nil || !ok || p.ID != "mail-house" || p.Index != index || p.Country != country || !slices.Equal(p.Covers, covers) ||
			!p.Since.Equal(began) || !p.Ended.Equal(ended) {
			t.Errorf("%+v, %v (%v)", p, ok, err)
		}
	}
	if _, ok, _ := l.replay.Processor("mail-house"); ok {
		t.Error("nobody has engaged it")
	}
	began = l.now
	first := l.add(l.engaged("mail-house", "newsletter", "survey"))
	is(first, "DE", "newsletter", "survey")
	ended = l.now
	l.end("mail-house")
	is(first, "DE", "newsletter", "survey")
	began, ended = l.now, time.Time{}
	e := l.engaged("mail-house")
	e.Country, e.Occurred = "", l.now.AddDate(-1, 0, 0).Truncate(time.Second)
	is(l.add(e), "")
	is(l.add(l.engaged("mail-house", "survey")), "DE", "survey") // new terms, no new beginning
}

// TestVerifyEach is told of every entry in its order, with the history that it ends,
// and can stop the verification.
func TestVerifyEach(t *testing.T) {
	l := storyForTest(t)
	var irregular []Irregularity
	next, opened := Index(0), 0
	each := func(e *Entry, eff *Effects, h History) error {
		if e.Index != next {
			t.Fatalf("entry %d, want %d", e.Index, next)
		}
		next++
		irregular = append(irregular, eff.Irregular...)
		if eff.Opened != nil {
			opened++
			if c, ok, err := h.Consent(eff.Opened.ID); err != nil || !ok || c != *eff.Opened {
				t.Errorf("the history lacks what entry %d opened", e.Index)
			}
		}
		return nil
	}
	rep, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy(), Each: each})
	if err != nil || Size(next) != rep.Size || opened == 0 {
		t.Errorf("%d entries of %d (%v)", next, rep.Size, err)
	}
	// What is only known at the end comes after them.
	if !slices.Equal(irregular, rep.IrregularFirst[:len(irregular)]) || len(irregular) != len(rep.IrregularFirst)-1 {
		t.Errorf("the effects have %v, the report %v", irregular, rep.IrregularFirst)
	}
	enough := errors.New("enough")
	n := 0
	_, err = VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy(), Each: func(*Entry, *Effects, History) error {
		if n++; n == 50 {
			return enough
		}
		return nil
	}})
	if n != 50 || !errors.Is(err, enough) {
		t.Errorf("%d entries, then %v", n, err)
	}
	// Entries that the rules cannot judge are passed over.
	later := newLogForTest(t)
	later.prelude()
	later.rewrite(&Entry{Kind: SourceDeclared, Source: SourceLedger, Name: "x", Role: "app"}, "kind source.declared", "kind source.retired")
	later.source("another", "app")
	n = 0
	rep, err = VerifyLog(t.Context(), later.files(), VerifyOptions{Policy: later.policy(), Each: func(*Entry, *Effects, History) error { n++; return nil }})
	if VerdictOf(err) != CannotTell || n != 7 || rep.RightsOpen != 0 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// TestRefersLimit: an entry refers to at most 256 others.
func TestRefersLimit(t *testing.T) {
	for _, kind := range []Kind{EntryCorrected, EvidenceShredded} {
		e := arrowForTest(kind, "legal")
		e.Index, e.About, e.Consents, e.Generation, e.Medium, e.Existence = 400, nil, nil, 2, "file", e.Time
		for i := range Index(256) {
			e.Refers = append(e.Refers, i)
		}
		text, err := e.Encode()
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if again, err := ParseEntry(text); err != nil || !slices.Equal(again.Refers, e.Refers) {
			t.Errorf("%s: %v", kind, err)
		}
		e.Refers = append(e.Refers, 256)
		if _, err := e.Encode(); err == nil {
			t.Errorf("%s refers to 257 entries", kind)
		}
	}
}
