package decision

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// handful is what a proof bundle has of a log: some entries and the purposes that
// they name. In the tests of this file the entry with index n is of day n, at noon.
type handful struct {
	entries  map[ledger.Index]*ledger.Entry
	purposes map[ledger.Index]ledger.Purpose // by the entry that defined them
	missing  ledger.Index                    // an entry that is listed and not there
}

func (h handful) Entry(i ledger.Index) (*ledger.Entry, error) {
	e, ok := h.entries[i]
	if !ok || i == h.missing {
		return nil, fmt.Errorf("entry %d is not here", i)
	}
	return e, nil
}

func (h handful) Mentions(id ledger.ConsentID, before ledger.Index, yield func(ledger.Index, ledger.Kind) bool) error {
	for _, i := range slices.Backward(slices.Sorted(maps.Keys(h.entries))) {
		if e := h.entries[i]; i < before && slices.Contains(e.About, id) && !yield(i, e.Kind) {
			return nil
		}
	}
	return nil
}

func (h handful) PurposeAt(id string, size ledger.Size) (p ledger.Purpose, ok bool, err error) {
	for _, i := range slices.Sorted(maps.Keys(h.purposes)) {
		if h.purposes[i].ID == id && ledger.Size(i) < size {
			p, ok = h.purposes[i], true
		}
	}
	return p, ok, nil
}

func day(n int) time.Time { return on(noon).Add(Days(int64(n))) }

// entriesAt numbers entries by their index.
func entriesAt(list ...ledger.Entry) map[ledger.Index]*ledger.Entry {
	all := map[ledger.Index]*ledger.Entry{}
	for _, e := range list {
		e.Time = day(int(e.Index))
		all[e.Index] = &e
	}
	return all
}

// Entries about consent 10.
func opened(kind ledger.Kind) ledger.Entry { return ledger.Entry{Index: 10, Kind: kind} }
func requested(expires int) ledger.Entry {
	return ledger.Entry{Index: 10, Kind: ledger.ConsentRequested, Expires: day(expires)}
}
func changed(i ledger.Index, kind ledger.Kind, after ledger.Index) ledger.Entry {
	return ledger.Entry{Index: i, Kind: kind, Consents: []ledger.Link{{Consent: 10, After: after}}}
}
func mentioned(i ledger.Index, kind ledger.Kind) ledger.Entry {
	return ledger.Entry{Index: i, Kind: kind, About: []ledger.ConsentID{10}}
}
func occurred(d int, e ledger.Entry) ledger.Entry { e.Occurred = day(d); return e }
func because(ground string, e ledger.Entry) ledger.Entry {
	e.Ground = ground
	return e
}

// A few entries are enough to say how it was, and what is known now about it.
func TestAsOfAHandful(t *testing.T) {
	t.Parallel()
	plain := map[ledger.Index]ledger.Purpose{
		1: {ID: news, Marketing: true, Bases: everyBasis},
		2: {ID: shoes, Parent: news, Marketing: true, Bases: everyBasis},
	}
	at := func(p ledger.Purpose, from ledger.Index) map[ledger.Index]ledger.Purpose {
		all := maps.Clone(plain)
		p.ID, p.Marketing, p.Bases = shoes, true, everyBasis
		all[from] = p
		return all
	}
	tracking := map[ledger.Index]ledger.Purpose{2: {ID: opens, Bases: everyBasis}}
	resent := mentioned(15, ledger.ConfirmationResent)
	resent.Lock, resent.Expires = ledger.Lock("another token"), day(20)
	again := mentioned(16, ledger.ConfirmationResent) // with the token of the mail before
	third := mentioned(18, ledger.ConfirmationResent)
	third.Lock, third.Expires = ledger.Lock("a third token"), day(25)
	choice := mentioned(14, ledger.TrackingChanged)
	choice.Mode = "none"
	full := requested(17)
	full.Commits = []ledger.Commitment{{Claim: "ip"}, {Claim: "form_snapshot"}}
	click := changed(14, ledger.ConsentConfirmed, 10)
	click.Commits, click.Click = []ledger.Commitment{{Claim: "ip"}}, "button"
	for _, c := range []struct {
		name     string
		purposes map[ledger.Index]ledger.Purpose
		entries  map[ledger.Index]*ledger.Entry
		consents []ledger.Consent // Last only of others than consent 10
		last     ledger.Index     // of consent 10
		want     string           // day: yes or no, why, by which record, and whether also in hindsight
	}{
		{"before everything", plain, entriesAt(opened(ledger.ConsentGiven)), nil, 10,
			"0: no unknown_purpose 0; 2: no unknown_subject 0; 9: no unknown_subject 0; 10: yes given 10 yes"},
		{"a request, a click, a withdrawal", plain, entriesAt(requested(17), mentioned(11, ledger.ConfirmationSent), changed(14, ledger.ConsentConfirmed, 10),
			changed(30, ledger.ConsentWithdrawn, 14)), nil, 30, "10: no pending 10; 13: no pending 10; 14: yes confirmed 10 yes; 29: yes confirmed 10 yes; 30: no withdrawn 10"},
		{"a request that nobody confirmed", plain, entriesAt(requested(17)), nil, 10, "17: no pending 10; 18: no lapsed 10"},
		{"a resend with a token of its own", plain, entriesAt(requested(17), resent), nil, 10, "17: no pending 10; 20: no pending 10; 21: no lapsed 10"},
		{"and one without", plain, entriesAt(requested(17), resent, again), nil, 10, "18: no pending 10; 20: no pending 10; 21: no lapsed 10"},
		{"two resends with tokens of their own", plain, entriesAt(requested(17), resent, third), nil, 10, "20: no pending 10; 25: no pending 10; 26: no lapsed 10"},
		{"one without only", plain, entriesAt(requested(17), again), nil, 10, "17: no pending 10; 18: no lapsed 10"},
		{"the expiry is recorded", plain, entriesAt(requested(17), changed(19, ledger.RequestExpired, 10)), nil, 19, "17: no pending 10; 18: no lapsed 10; 19: no lapsed 10"},
		{"withdrawn by letter, entered late", plain, entriesAt(opened(ledger.ConsentGiven), occurred(20, changed(30, ledger.ConsentWithdrawn, 10))), nil, 30,
			"19: yes given 10 yes; 20: yes given 10 no; 29: yes given 10 no; 30: no withdrawn 10"},
		{"invalid all the time", plain, entriesAt(opened(ledger.ConsentGiven), changed(30, ledger.ConsentInvalidated, 10)), nil, 30,
			"10: yes given 10 no; 30: no invalidated 10"},
		{"an objection of its own, entered late", plain, entriesAt(opened(ledger.ConsentGiven), occurred(20, ledger.Entry{Index: 30, Kind: ledger.ObjectionRecorded})),
			[]ledger.Consent{{ID: 30, Purpose: ledger.AllMarketing, Channel: ledger.AnyChannel, Last: 30}}, 10,
			"19: yes given 10 yes; 20: yes given 10 no; 30: no objected 30"},
		{"restricted by letter, entered late", plain, entriesAt(opened(ledger.ConsentGiven), occurred(20, because("art18_1_a", changed(30, ledger.RestrictionSet, 10)))), nil, 30,
			"19: yes given 10 yes; 20: yes given 10 no; 30: no restricted 10"},
		{"withdrawn, and another one, both entered late", plain, entriesAt(opened(ledger.ConsentGiven), occurred(20, changed(30, ledger.ConsentWithdrawn, 10)),
			occurred(15, ledger.Entry{Index: 31, Kind: ledger.ConsentGiven})), []ledger.Consent{{ID: 31, Purpose: shoes, Channel: "email", Last: 31}}, 30,
			"25: yes given 10 no; 30: no withdrawn 10; 31: yes given 31 yes"},
		{"what befell a record of later before it was there", plain, entriesAt(opened(ledger.ConsentGiven), ledger.Entry{Index: 31, Kind: ledger.ConsentGiven},
			ledger.Entry{Index: 32, Kind: ledger.RestrictionSet, Ground: "art18_1_a", Occurred: day(20), Consents: []ledger.Link{{Consent: 31, After: 31}}},
			ledger.Entry{Index: 33, Kind: ledger.ConsentWithdrawn, Occurred: day(20), Consents: []ledger.Link{{Consent: 31, After: 32}}}),
			[]ledger.Consent{{ID: 31, Purpose: shoes, Channel: "email", Last: 33}}, 10, "25: yes given 10 yes; 31: yes given 31 no; 33: no restricted 31"},
		{"restricted and lifted", plain, entriesAt(opened(ledger.ConsentGiven), because("art18_1_a", changed(12, ledger.RestrictionSet, 10)),
			changed(20, ledger.RestrictionLifted, 12)), nil, 20, "11: yes given 10 yes; 12: no restricted 10; 19: no restricted 10; 20: yes given 10 yes"},
		{"restricted, on two grounds", plain, entriesAt(opened(ledger.ConsentGiven), because("art18_1_d", changed(12, ledger.RestrictionSet, 10)),
			because("art18_1_b", changed(14, ledger.RestrictionSet, 12))), nil, 14, "12: no restricted 10; 14: no restricted 10"},
		{"locked, then erased", plain, entriesAt(opened(ledger.ConsentGiven), changed(20, ledger.SubjectLocked, 10), changed(30, ledger.SubjectErased, 20)), nil, 30,
			"19: yes given 10 yes; 20: no unknown_subject 0; 29: no unknown_subject 0; 30: no unknown_subject 0"},
		{"a better proof is needed", at(ledger.Purpose{MinimumGrade: 'C'}, 15), entriesAt(opened(ledger.ConsentGiven)), nil, 10,
			"14: yes given 10 yes; 15: no grade_too_low 10"},
		{"and is there when the mail is", at(ledger.Purpose{MinimumGrade: 'A'}, 15), entriesAt(full, mentioned(11, ledger.ConfirmationSent), click,
			mentioned(20, ledger.ConfirmationAttached)), nil, 14, "14: yes confirmed 10 yes; 15: no grade_too_low 10; 20: yes confirmed 10 yes"},
		{"valid for ten days, renewed", at(ledger.Purpose{ValidityDays: 10}, 3), entriesAt(opened(ledger.ConsentGiven), changed(25, ledger.ConsentRenewed, 10)), nil, 25,
			"20: yes given 10 yes; 21: no expired 10; 25: yes renewed 10 yes; 35: yes renewed 10 yes; 36: no expired 10"},
		{"renewed on paper, entered late", at(ledger.Purpose{ValidityDays: 20}, 3), entriesAt(opened(ledger.ConsentGiven), occurred(22, changed(35, ledger.ConsentRenewed, 10))), nil, 35,
			"25: yes given 10 yes; 31: no expired 10; 35: yes renewed 10 yes; 42: yes renewed 10 yes; 43: no expired 10"},
		{"used, and at rest", at(ledger.Purpose{UnusedDays: 10, UnusedMeasure: "block"}, 3), entriesAt(opened(ledger.ConsentGiven), mentioned(15, ledger.ConsentUsed),
			mentioned(40, ledger.ConsentUsed)), nil, 10, "21: yes given 10 yes; 25: yes given 10 yes; 26: no dormant 10; 40: yes given 10 yes"},
		{"of another channel", plain, entriesAt(opened(ledger.ConsentGiven), ledger.Entry{Index: 12, Kind: ledger.ObjectionRecorded}),
			[]ledger.Consent{{ID: 12, Purpose: shoes, Channel: "post", Last: 12}}, 10, "12: yes given 10 yes"},
		{"tracking, and a choice", tracking, entriesAt(opened(ledger.ConsentGiven), choice), nil, 10, "13: yes given 10 yes; 14: no refused 10"},
		{"tracking, asked and not answered", tracking, entriesAt(requested(17)), nil, 10, "17: no pending 10; 18: no lapsed 10"},
	} {
		h := handful{entries: c.entries, purposes: c.purposes}
		purpose := shoes
		if _, ok, _ := h.PurposeAt(opens, 100); ok {
			purpose = opens
		}
		consents := append([]ledger.Consent{{ID: 10, Purpose: purpose, Channel: "email", Last: c.last}}, c.consents...)
		for part := range strings.SplitSeq(c.want, "; ") {
			var n int
			moment, want, _ := strings.Cut(part, ": ")
			fmt.Sscan(moment, &n)
			a, err := AsOf(h, ledger.Size(n+1), consents, Question{Purpose: purpose, Channel: "email", At: day(n)})
			got := fmt.Sprint("no ", a.Reason, " ", a.Consent)
			if a.Allowed {
				got = fmt.Sprint("yes ", a.Reason, " ", a.Consent, map[bool]string{true: " yes", false: " no"}[a.Hindsight])
			}
			if err != nil || got != want || a.Hindsight && !a.Allowed {
				t.Errorf("%s, on day %d: %q, want %q; %v", c.name, n, got, want, err)
			}
		}
	}
}

// What is needed and not there is an error, as is what leads nowhere; what is not
// needed is not asked for.
func TestAsOfNeedsItsEntries(t *testing.T) {
	t.Parallel()
	terms := ledger.Purpose{ID: shoes, Marketing: true, Bases: everyBasis, ValidityDays: 100, UnusedDays: 50, UnusedMeasure: "warn"}
	all := entriesAt(requested(17), mentioned(11, ledger.ConfirmationSent), mentioned(12, ledger.HoldSet), changed(14, ledger.ConsentConfirmed, 10),
		mentioned(16, ledger.ConsentUsed), mentioned(18, ledger.EvidenceDisclosed), changed(20, ledger.RestrictionSet, 14), changed(25, ledger.RestrictionLifted, 20))
	ask := func(h handful, at int) (Answer, error) {
		return AsOf(h, ledger.Size(at+1), []ledger.Consent{{ID: 10, Purpose: shoes, Channel: "email", Last: 25}}, Question{Purpose: shoes, Channel: "email", At: day(at)})
	}
	h := handful{entries: all, purposes: map[ledger.Index]ledger.Purpose{1: terms}}
	if a, err := ask(h, 30); err != nil || !a.Allowed {
		t.Fatalf("%+v, %v", a, err)
	}
	for i, e := range all {
		h.missing = i
		needed := e.Kind != ledger.HoldSet && e.Kind != ledger.EvidenceDisclosed
		if _, err := ask(h, 30); needed != (err != nil) {
			t.Errorf("without entry %d: %v", i, err)
		}
	}
	for name, e := range map[string]ledger.Entry{
		"of another consent": {Index: 14, Kind: ledger.ConsentConfirmed, Consents: []ledger.Link{{Consent: 9, After: 8}}},
		"after itself":       changed(14, ledger.ConsentConfirmed, 14),
		"after a later one":  changed(14, ledger.ConsentConfirmed, 20),
		"past the first":     changed(14, ledger.ConsentConfirmed, 9),
	} {
		bad := handful{entries: maps.Clone(all), purposes: h.purposes}
		bad.entries[14] = &e
		bad.entries[9] = &ledger.Entry{Index: 9, Kind: ledger.ConsentGiven}
		if _, err := ask(bad, 30); err == nil || !strings.Contains(err.Error(), "does not lead") {
			t.Errorf("an entry %s: %v", name, err)
		}
	}
	terms.Parent = shoes
	if _, err := ask(handful{entries: all, purposes: map[ledger.Index]ledger.Purpose{1: terms}}, 30); err == nil || !strings.Contains(err.Error(), "above itself") {
		t.Errorf("a purpose below itself: %v", err)
	}
}
