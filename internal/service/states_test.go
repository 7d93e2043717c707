package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/decision"
	"github.com/consentledger/consentledger/ledger"
)

// Every state there is is reached by a call, is what the log and the list say, and
// is what a check answers.
func TestEveryState(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.define(PurposeDefinition{ID: "brief", Marketing: true, ValidityDays: 1})
	brief := f.notice("brief-de", "brief")
	give := func(who string) []Consent { return f.give(email(who), "email", catalogue) }
	one := func(list []Consent) ledger.ConsentID { return list[0].ID }
	ways := map[ledger.State]struct {
		reach   func(who string) ledger.ConsentID
		reason  string
		allowed bool
	}{
		ledger.Requested: {func(who string) ledger.ConsentID { return one(f.ask(askingFor(who)).Consents) }, "pending", false},
		ledger.Confirmed: {func(who string) ledger.ConsentID {
			r := f.ask(askingFor(who))
			f.confirm(r.Token)
			return one(r.Consents)
		}, "confirmed", true},
		ledger.Given: {func(who string) ledger.ConsentID { return one(give(who)) }, "given", true},
		ledger.Renewed: {func(who string) ledger.ConsentID {
			list, err := f.s.RenewConsent(ctx, shop, Renewal{ConsentIDs: ids(give(who)), Method: "app"})
			if err != nil {
				t.Fatal(err)
			}
			return one(list)
		}, "renewed", true},
		ledger.Imported: {func(who string) ledger.ConsentID { return f.imports(importing(email(who), catalogue, "email"), "").ID }, "imported", true},
		ledger.Asserted: {func(who string) ledger.ConsentID {
			return f.asserted(email(who), catalogue, "email", "existing_customer").ID
		}, "existing_customer", true},
		ledger.Lapsed: {func(who string) ledger.ConsentID {
			list, err := f.s.RejectConfirmation(ctx, shop, Click{Token: f.ask(askingFor(who)).Token})
			if err != nil {
				t.Fatal(err)
			}
			return one(list)
		}, "lapsed", false},
		ledger.Refused: {func(who string) ledger.ConsentID {
			list, err := f.s.RefuseConsent(ctx, shop, Refusal{Subject: email(who), Purposes: []string{catalogue}, Channel: "email", Method: "app"})
			if err != nil {
				t.Fatal(err)
			}
			return one(list)
		}, "refused", false},
		ledger.Withdrawn: {func(who string) ledger.ConsentID {
			give(who)
			return one(f.withdraw(Withdrawal{Subject: email(who)}))
		}, "withdrawn", false},
		ledger.Objected: {func(who string) ledger.ConsentID {
			give(who)
			return one(f.object(Objection{Subject: email(who), Article: "art21_2"}, "objection.recorded objection.recorded"))
		}, "objected", false},
		ledger.Revoked: {func(who string) ledger.ConsentID {
			list := give(who)
			f.end(Ending{Kind: ledger.ConsentRevoked, ConsentIDs: ids(list), Cause: "other"}, 1)
			return one(list)
		}, "revoked", false},
		ledger.Invalidated: {func(who string) ledger.ConsentID {
			list := give(who)
			f.end(Ending{Kind: ledger.ConsentInvalidated, ConsentIDs: ids(list), Cause: "authority"}, 1)
			return one(list)
		}, "invalidated", false},
	}
	for _, state := range ledger.States() {
		if state == ledger.Expired {
			continue // by retention, below
		}
		way, ok := ways[state]
		if !ok {
			t.Errorf("no way leads to %s", state)
			continue
		}
		who := fmt.Sprintf("%s@example.com", state)
		f.inState(way.reach(who), state)
		d, err := f.s.CheckConsent(ctx, Question{Subject: email(who), Purpose: catalogue, Channel: "email"})
		if err != nil || d.Reason != way.reason || d.Allowed != way.allowed {
			t.Errorf("%s: %+v, want %s; %v", state, d, way.reason, err)
		}
	}
	g := giving(email("expired@example.com"), "email", "brief")
	g.Notice = brief
	given, err := f.s.GiveConsent(ctx, shop, g)
	if err != nil {
		t.Fatal(err)
	}
	f.clock.advance(decision.Days(1) + time.Minute)
	if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
		t.Fatal(err)
	}
	f.inState(given.Consents[0].ID, ledger.Expired)
	f.checks("expired@example.com", "brief", "expired")
}

// inState checks the state of a consent, in the log and for its person.
func (f *fixture) inState(id ledger.ConsentID, want ledger.State) {
	f.t.Helper()
	h, _ := f.history(id)
	if h.Consent.State != want {
		f.t.Errorf("consent %d is %s, want %s", id, h.Consent.State, want)
	}
}

// askingFor is a request for what may rest on anything.
func askingFor(who string) ConsentRequest {
	ask := asking(who, catalogue)
	ask.Notice = grounds
	return ask
}
