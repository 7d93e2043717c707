package service

import (
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func (f *fixture) use(u Uses) ([]Entry, []Irregular) {
	f.t.Helper()
	entries, irregular, err := f.s.RecordUses(ctx, shop, u)
	if err != nil {
		f.t.Fatal(err)
	}
	return entries, irregular
}

func TestIrregularUses(t *testing.T) {
	t.Parallel()
	f := newService(t)
	good := f.confirmed("good@example.com").Consents[0].ID
	if _, irregular := f.use(Uses{Reference: "spring", ConsentIDs: []ledger.ConsentID{good}}); len(irregular) != 0 {
		t.Errorf("irregular %v", irregular)
	}
	want := map[ledger.ConsentID]Irregular{}
	all := []ledger.ConsentID{good}
	bad := func(c Consent, name, state string) {
		want[c.ID] = Irregular{c.ID, name, state}
		all = append(all, c.ID)
	}
	bad(f.request("pending@example.com").Consents[0], "consent.used.requested", "requested")
	withdrawn := f.confirmed("withdrawn@example.com")
	f.withdraw(Withdrawal{Subject: email("withdrawn@example.com")})
	bad(withdrawn.Consents[0], "consent.used.withdrawn", "withdrawn")
	bad(f.withdraw(Withdrawal{Subject: email("objected@example.com")})[0], "consent.used.objected", "objected")
	bad(f.confirmed("restricted@example.com").Consents[0], "consent.used.restricted", "confirmed")
	f.restrict("restricted@example.com")

	before := f.size()
	entries, irregular := f.use(Uses{Reference: "summer", ConsentIDs: all})
	f.wrote(before, "consent.used")
	if len(entries) != 1 || len(irregular) != len(want) {
		t.Errorf("%d entries, irregular %v", len(entries), irregular)
	}
	for _, irr := range irregular {
		if irr != want[irr.Consent] {
			t.Errorf("irregular %v, want %v", irr, want[irr.Consent])
		}
	}
	rep := f.verify()
	for _, irr := range want {
		if rep.Irregular[irr.Name] != 1 {
			t.Errorf("the verifier counts %v", rep.Irregular)
		}
	}
	if len(rep.IrregularFirst) != len(want) || rep.IrregularFirst[0].Index != entries[0].Index || rep.Verdict != "VERIFIED" {
		t.Errorf("the verifier lists %v, verdict %s", rep.IrregularFirst, rep.Verdict)
	}

	// Somebody who was erased is a stranger, and nothing of the list is recorded.
	f.erase("withdrawn@example.com")
	before = f.size()
	_, _, err := f.s.RecordUses(ctx, shop, Uses{ConsentIDs: []ledger.ConsentID{good, withdrawn.Consents[0].ID}})
	refused(t, err, refusal.NotFoundCode, "consent_ids[1]")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{ConsentIDs: []ledger.ConsentID{good, 1 << 40}})
	refused(t, err, refusal.NotFoundCode, "consent_ids[1]")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{ConsentIDs: []ledger.ConsentID{1}}) // an entry that is no consent
	refused(t, err, refusal.NotFoundCode, "consent_ids[0]")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{})
	refused(t, err, refusal.InvalidArgument, "consent_ids")
	_, _, err = f.s.RecordUses(ctx, shop, Uses{ConsentIDs: make([]ledger.ConsentID, MaxUses+1)})
	refused(t, err, refusal.InvalidArgument, "consent_ids")
	f.wrote(before, "")
}

// To whom data were passed is on record beside the mailing, and about nobody.
func TestUsesByOthers(t *testing.T) {
	t.Parallel()
	f := newService(t)
	id := f.confirmed("a@example.com").Consents[0].ID
	u := Uses{Reference: "spring", ConsentIDs: []ledger.ConsentID{id}, Processor: "mailhouse", Recipient: "Post AG", IdempotencyKey: "spring"}
	_, _, err := f.s.RecordUses(ctx, shop, u)
	refused(t, err, refusal.FailedPrecondition, "processor") // never engaged
	f.engages(mailhouse())
	entries, irregular := f.use(u)
	e := f.entry(entries[0].Index)
	own, err := f.s.ownClaims(e)
	if err != nil || len(irregular) > 0 || e.Processor != "mailhouse" || len(own) != 2 || own["reference"].value != "spring" || own["recipient"].value != "Post AG" {
		t.Errorf("%+v, %v, %v", e, own, err)
	}
	u.Processor = ""
	_, _, err = f.s.RecordUses(ctx, shop, u)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	for at, change := range map[string]func(*Uses){
		"processor": func(u *Uses) { u.Processor = "Mail House" },
		"recipient": func(u *Uses) { u.Recipient = "a\x00" },
		"reference": func(u *Uses) { u.Reference = strings.Repeat("r", ledger.MaxClaimValue+1) },
	} {
		bad := u
		change(&bad)
		_, _, err := f.s.RecordUses(ctx, shop, bad)
		refused(t, err, refusal.InvalidArgument, at)
	}
	f.checked()
}

// The longest list there may be, all of it irregular, remembered under a key.
func TestTenThousandUses(t *testing.T) {
	t.Parallel()
	f := newService(t, asServed)
	n := MaxUses
	if underRace {
		n = 2 * aboutPerEntry
	}
	purposes := make([]string, ledger.MaxPurposes)
	for i := range purposes {
		purposes[i] = "purpose_" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if _, _, err := f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: purposes[i], Title: "One of many"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.s.PublishNotice(ctx, admin, NoticePublication{ID: "many", Language: "en", Text: "Many.", Purposes: purposes}); err != nil {
		t.Fatal(err)
	}
	requests := (n + ledger.MaxPurposes - 1) / ledger.MaxPurposes
	lists := make([][]ledger.ConsentID, requests)
	each(requests, func(i int) {
		ask := asking("a"+string(rune('a'+i%26))+string(rune('a'+i/26))+"@example.com", purposes...)
		ask.Notice = "many@1"
		r, err := f.s.RequestConsent(ctx, shop, ask)
		if err != nil {
			t.Error(err)
			return
		}
		lists[i] = ids(r.Consents)
	})
	var all []ledger.ConsentID
	for _, list := range lists {
		all = append(all, list...)
	}
	u := Uses{Reference: "everybody", ConsentIDs: all[:n], IdempotencyKey: "everybody", OccurredAt: f.clock.now().Add(-time.Hour)}
	before := f.size()
	entries, irregular := f.use(u)
	if want := (n + aboutPerEntry - 1) / aboutPerEntry; len(entries) != want || f.size() != before+ledger.Size(want) || len(irregular) != n {
		t.Errorf("%d entries, %d irregular", len(entries), len(irregular))
	}
	mentioned := map[ledger.ConsentID]int{}
	for i, e := range f.entriesFrom(before) {
		if e.Part != i+1 || e.Parts != len(entries) || (len(e.Commits) > 0) != (i == 0) {
			t.Errorf("entry %d is part %d of %d with %d commitments", e.Index, e.Part, e.Parts, len(e.Commits))
		}
		for _, id := range e.About {
			mentioned[id]++
		}
	}
	if len(mentioned) != n {
		t.Errorf("%d consents are mentioned", len(mentioned))
	}
	again, irregularAgain := f.use(u)
	if len(again) != len(entries) || again[0].Leaf != entries[0].Leaf || len(irregularAgain) != n {
		t.Errorf("a retry answers %d entries, %d irregular", len(again), len(irregularAgain))
	}
	if rep := f.verify(); rep.Irregular["consent.used.requested"] != int64(n) || len(rep.IrregularFirst) != ledger.MaxIrregular {
		t.Errorf("irregular %v", rep.Irregular)
	}
}
