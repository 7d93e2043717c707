package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// numbered is the telephone number of a case, and of nobody else.
func numbered(i int) Subject { return Subject{Phone: fmt.Sprintf("+4930%07d", i)} }

// keptUntil checks until when the evidence of the only record of a person is kept.
func (f *fixture) keptUntil(name string, who Subject, want string) {
	f.t.Helper()
	list, err := f.s.ListAll(ctx, who)
	if err != nil || len(list) != 1 || !list[0].EvidenceUntil.Equal(on(want)) {
		f.t.Errorf("%s: %+v, %v, want evidence until %s", name, list, err, want)
	}
}

// However consent to calls came about, its proof is kept for five years from the
// grant and from each use, until the end of the day by UTC: from the later of what
// the source says and when it was recorded.
func TestCallsGrantedOtherwise(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const calls = "calls"
	f.define(PurposeDefinition{ID: calls, Marketing: true, Bases: []string{"consent", "contract"}})
	notice := f.covering(calls)
	give := func(who Subject, at string) ledger.ConsentID {
		g := giving(who, "phone", calls)
		if g.Notice = notice; at != "" {
			g.OccurredAt = on(at)
		}
		done, err := f.s.GiveConsent(ctx, shop, g)
		if err != nil {
			t.Fatal(err)
		}
		return done.Consents[0].ID
	}
	for i, c := range []struct {
		name  string
		at    string
		do    func(who Subject)
		until string
	}{
		{"given", noon, func(who Subject) { give(who, "") }, "2032-03-02T00:00:00Z"},
		{"given in the first moment of a day", "2027-03-02T00:00:00Z", func(who Subject) { give(who, "") }, "2032-03-03T00:00:00Z"},
		{"given in the last moment of a day", "2027-03-02T23:59:59.999999Z", func(who Subject) { give(who, "") }, "2032-03-03T00:00:00Z"},
		{"entered later than signed", "2027-03-03T12:00:00Z", func(who Subject) { give(who, "2026-12-24T12:00:00Z") }, "2032-03-04T00:00:00Z"},
		{"the clock of its source is a day ahead", "2027-03-03T23:58:00Z", func(who Subject) { give(who, "2027-03-04T00:01:00Z") }, "2032-03-05T00:00:00Z"},
		{"imported", "2027-03-05T12:00:00Z", func(who Subject) {
			i := importing(who, calls, "phone")
			i.OccurredAt = on("2019-05-01T12:00:00Z")
			f.imports(i, "")
		}, "2032-03-06T00:00:00Z"},
		{"renewed", "2027-03-06T12:00:00Z", func(who Subject) {
			id := give(who, "2026-01-01T00:00:00Z")
			cal.set(on("2028-02-29T12:00:00Z"))
			if _, err := f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: []ledger.ConsentID{id}, Method: "oral"}); err != nil {
				t.Error(err)
			}
		}, "2033-03-01T00:00:00Z"}, // there is no 29 February 2033, § 188(3) BGB
		{"used, and reported later", "2028-03-01T12:00:00Z", func(who Subject) {
			id := give(who, "")
			cal.set(on("2028-03-10T12:00:00Z"))
			f.use(Uses{ConsentIDs: []ledger.ConsentID{id}, OccurredAt: on("2028-03-05T12:00:00Z")})
		}, "2033-03-11T00:00:00Z"},
		{"found to be invalid", "2028-03-11T12:00:00Z", func(who Subject) {
			id := give(who, "")
			if _, err := f.s.EndConsents(ctx, legal, Ending{Kind: ledger.ConsentInvalidated, Cause: "error", ConsentIDs: []ledger.ConsentID{id}}); err != nil {
				t.Error(err)
			}
		}, "2033-03-12T00:00:00Z"},
		{"refused", "2028-03-12T12:00:00Z", func(who Subject) {
			if _, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: who, Purposes: []string{calls}, Channel: "phone", Method: "oral"}); err != nil {
				t.Error(err)
			}
		}, "2032-01-01T00:00:00Z"},
		{"no consent at all", "2028-03-13T12:00:00Z", func(who Subject) { f.asserted(who, calls, "phone", "contract") }, "2032-01-01T00:00:00Z"},
	} {
		cal.set(on(c.at))
		c.do(numbered(i))
		f.keptUntil(c.name, numbered(i), c.until)
	}
	f.checked()
}

// What is no marketing any more keeps the period that it had while it was.
func TestCallsThatAreNoMarketingAnyMore(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	const calls = "calls"
	define := func(at string, marketing bool) {
		cal.set(on(at))
		f.define(PurposeDefinition{ID: calls, Marketing: marketing})
	}
	give := func(i int) {
		g := giving(numbered(i), "phone", calls)
		g.Notice = "more-de@1"
		if _, err := f.s.GiveConsent(ctx, shop, g); err != nil {
			t.Fatal(err)
		}
	}
	f.define(PurposeDefinition{ID: calls, Marketing: true})
	f.covering(calls)
	give(0) // while it was marketing
	define("2027-04-01T12:00:00Z", false)
	give(1) // while it was not, and used when it was again
	give(2) // while it was not
	define("2027-05-01T12:00:00Z", true)
	list, err := f.s.ListConsents(ctx, numbered(1))
	if err != nil {
		t.Fatal(err)
	}
	f.use(Uses{ConsentIDs: ids(list)})
	define("2027-06-01T12:00:00Z", false)
	for i, until := range []string{"2032-03-02T00:00:00Z", "2032-05-02T00:00:00Z", "2031-01-01T00:00:00Z"} {
		f.keptUntil(fmt.Sprint("case ", i), numbered(i), until)
		_, err := f.s.EraseSubject(ctx, shop, Erasure{Subject: numbered(i), Reason: "art17", Mode: "shred_now"})
		if i < 2 {
			refused(t, err, refusal.FailedPrecondition, "uwg_7a")
		} else if err != nil {
			t.Error(err)
		}
	}
	f.checked()
}

// The end of a period of five years from each day of two years is the end of the
// day of that name, or of the last day of February.
func TestUwgOfEachDay(t *testing.T) {
	t.Parallel()
	c := ledger.Consent{Channel: "phone"}
	for day := on("2027-01-01T00:00:00Z"); day.Year() < 2029; day = day.AddDate(0, 0, 1) {
		name := day.Format("-01-02")
		if name == "-02-29" {
			name = "-02-28"
		}
		last := on(fmt.Sprint(day.Year()+5, name, "T23:59:59Z"))
		for _, of := range []time.Duration{0, time.Second, 12 * time.Hour, 24*time.Hour - 1} {
			h := history{grant: decision.Stamp{Recorded: day.Add(of)}}
			if got := h.uwgUntil(c, ledger.Purpose{Marketing: true}); !got.Equal(last.Add(time.Second)) {
				t.Fatalf("%s: until %s, want %s", day.Add(of), got, last.Add(time.Second))
			}
		}
	}
}
