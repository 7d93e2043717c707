package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func (f *fixture) effected(e Effected, kinds string) *EffectedIn {
	f.t.Helper()
	before := f.size()
	done, err := f.s.RecordWithdrawalEffected(ctx, shop, e)
	if err != nil {
		f.t.Fatal(err)
	}
	f.wrote(before, kinds)
	return done
}

// The delay counts from the end, whatever ended it, as its source dates it.
func TestDelays(t *testing.T) {
	t.Parallel()
	f, cal := newDated(t)
	cal.set(on("2027-03-01T12:00:00Z"))
	withdrawn := f.confirmed("withdrawn@example.com").Consents[0].ID
	dated := f.confirmed("dated@example.com").Consents[0].ID
	ahead := f.confirmed("ahead@example.com").Consents[0].ID
	revoked := f.confirmed("revoked@example.com").Consents[0].ID
	again := f.confirmed("again@example.com").Consents[0].ID
	rejected := f.request("rejected@example.com")
	cal.set(on("2027-03-02T12:00:00Z"))
	f.withdraw(Withdrawal{Subject: email("withdrawn@example.com")})
	f.withdraw(Withdrawal{Subject: email("dated@example.com"), OccurredAt: on("2027-03-01T18:00:00Z")})
	f.withdraw(Withdrawal{Subject: email("ahead@example.com"), OccurredAt: on("2027-03-05T00:00:00Z")}) // a clock that is wrong
	end := Ending{Kind: ledger.ConsentRevoked, ConsentIDs: []ledger.ConsentID{revoked, again}, Cause: "other"}
	if _, err := f.s.EndConsents(ctx, legal, end); err != nil {
		t.Fatal(err)
	}
	if _, err := f.s.RejectConfirmation(ctx, shop, Click{Token: rejected.Token}); err != nil {
		t.Fatal(err)
	}
	objected := f.withdraw(Withdrawal{Subject: email("stranger@example.com")})[0].ID
	cal.set(on("2027-03-02T14:00:00Z"))
	f.withdraw(Withdrawal{ConsentIDs: []ledger.ConsentID{again}})
	cal.set(on("2027-03-03T12:00:00Z"))
	e := Effected{System: shop.Name, IdempotencyKey: "one", Proof: true, Claims: map[string]string{"reference": "job 7"},
		ConsentIDs: []ledger.ConsentID{withdrawn, objected, dated, ahead, revoked, again, rejected.Consents[0].ID}}
	want := []time.Duration{24, 24, 42, 24, 24, 22, 24}
	check := func(done *EffectedIn) {
		t.Helper()
		for i, d := range done.Delays {
			if d.ConsentID != e.ConsentIDs[i] || d.Delay.Round(time.Second) != want[i]*time.Hour {
				t.Errorf("delays[%d] %v, want %d hours", i, d, want[i])
			}
		}
		if len(done.Delays) != len(want) || done.Entry.Receipt == "" {
			t.Errorf("%+v", done)
		}
	}
	first := f.effected(e, "withdrawal.effected")
	check(first)
	if entry := f.entry(first.Entry.Index); entry.System != shop.Name || !entry.Occurred.IsZero() || f.opened(entry, revoked)["reference"] != "job 7" ||
		f.opened(entry, dated)["reference"] != "job 7" {
		t.Errorf("%+v", entry)
	}
	// What ends again later changes no answer that was given.
	cal.set(on("2027-03-03T18:00:00Z"))
	f.withdraw(Withdrawal{ConsentIDs: []ledger.ConsentID{revoked}})
	check(f.effected(e, ""))

	// Before the end was recorded there is no delay.
	done := f.effected(Effected{System: shop.Name, ConsentIDs: []ledger.ConsentID{withdrawn, dated}, At: on("2027-03-01T19:00:00.9Z")}, "withdrawal.effected")
	if fmt.Sprint(done.Delays) != fmt.Sprint([]EffectDelay{{withdrawn, 0}, {dated, time.Hour}}) {
		t.Errorf("delays %v", done.Delays)
	}
	f.checked()
}

// A system is a source that is declared, or a processor that is or was engaged.
func TestSystems(t *testing.T) {
	t.Parallel()
	f := newService(t)
	id := f.confirmed("a@example.com").Consents[0].ID
	f.withdraw(Withdrawal{Subject: email("a@example.com")})
	e := Effected{ConsentIDs: []ledger.ConsentID{id}}
	systems := func(want map[string]string) {
		t.Helper()
		for system, at := range want {
			e.System = system
			if at == "" {
				f.effected(e, "withdrawal.effected")
				continue
			}
			_, err := f.s.RecordWithdrawalEffected(ctx, shop, e)
			refused(t, err, refusal.FailedPrecondition, at)
		}
	}
	systems(map[string]string{shop.Name: "", admin.Name: "", other.Name: "system", "mailhouse": "system"})
	f.engages(mailhouse())
	f.use(Uses{ConsentIDs: []ledger.ConsentID{f.confirmed("b@example.com").Consents[0].ID}, Processor: "mailhouse"})
	systems(map[string]string{"mailhouse": ""})
	if _, _, err := f.s.EndProcessor(ctx, admin, ProcessorEnd{ID: "mailhouse"}); err != nil {
		t.Fatal(err)
	}
	systems(map[string]string{"mailhouse": ""})
}

func TestBadEffects(t *testing.T) {
	t.Parallel()
	f := newService(t)
	live, waits := f.confirmed("live@example.com").Consents[0].ID, f.request("waits@example.com").Consents[0].ID
	ended := f.confirmed("ended@example.com").Consents[0].ID
	f.withdraw(Withdrawal{Subject: email("ended@example.com")})
	gone := f.confirmed("gone@example.com").Consents[0].ID
	f.erase("gone@example.com")
	good := Effected{ConsentIDs: []ledger.ConsentID{ended}, System: shop.Name}
	for _, c := range []struct {
		at     string
		code   refusal.Code
		change func(*Effected)
	}{
		{"not_ended", refusal.FailedPrecondition, func(e *Effected) { e.ConsentIDs = []ledger.ConsentID{ended, live} }},
		{"not_ended", refusal.FailedPrecondition, func(e *Effected) { e.ConsentIDs = []ledger.ConsentID{waits} }},
		{"consent_ids[1]", refusal.NotFoundCode, func(e *Effected) { e.ConsentIDs = []ledger.ConsentID{ended, gone} }},
		{"consent_ids", refusal.InvalidArgument, func(e *Effected) { e.ConsentIDs = nil }},
		{"consent_ids", refusal.InvalidArgument, func(e *Effected) { e.ConsentIDs = make([]ledger.ConsentID, MaxConsentIDs+1) }},
		{"system", refusal.InvalidArgument, func(e *Effected) { e.System = "" }},
		{"system", refusal.InvalidArgument, func(e *Effected) { e.System = "Mail House" }},
		{"at", refusal.InvalidArgument, func(e *Effected) { e.At = on("1999-12-31T00:00:00Z") }},
		{"at", refusal.InvalidArgument, func(e *Effected) { e.At = f.clock.now().Add(time.Hour) }},
		{"claims", refusal.InvalidArgument, func(e *Effected) { e.Claims = map[string]string{"title": "T"} }},
	} {
		bad := good
		c.change(&bad)
		before := f.size()
		_, err := f.s.RecordWithdrawalEffected(ctx, shop, bad)
		refused(t, err, c.code, c.at)
		f.wrote(before, "")
	}
}

// As many as one call takes, in as many parts as they need.
func TestEffectOfManyWithdrawals(t *testing.T) {
	t.Parallel()
	f := newService(t)
	all := f.requests("many@example.com", aboutPerEntry+1)
	f.withdraw(Withdrawal{Subject: email("many@example.com")})
	done := f.effected(Effected{ConsentIDs: all, System: shop.Name}, "withdrawal.effected withdrawal.effected")
	if len(done.Delays) != len(all) {
		t.Errorf("%d delays", len(done.Delays))
	}
}
