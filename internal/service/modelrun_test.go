package service

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestChecksAgainstModel compares every answer with the naive model's, over
// random sequences of calls about two people.
func TestChecksAgainstModel(t *testing.T) {
	t.Parallel()
	f := withGrounds(t)
	f.define(PurposeDefinition{ID: opens, TrackingMode: "anonymous"})
	// Stories of some length: many things matter only after others.
	set := map[string]string{"rapid.steps": "100", "rapid.checks": "30"}
	if underRace {
		set["rapid.checks"] = "10"
	}
	for name, value := range set {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		var people []*naive
		for i := range 2 {
			people = append(people, &naive{f: f, who: fmt.Sprintf("run%d-%d@example.com", runs, i), tokens: map[string][]*naiveRecord{}})
		}
		on := func(act func(*naive, *rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) { act(rapid.SampledFrom(people).Draw(t, "person"), t) }
		}
		confirm := func(n *naive, t *rapid.T) {
			n.click(t, "confirmed", func(c Click) error { _, err := f.s.ConfirmConsent(ctx, shop, c); return err })
		}
		t.Repeat(map[string]func(*rapid.T){
			"":              func(t *rapid.T) { people[0].compare(t); people[1].compare(t) },
			"request":       on((*naive).request),
			"confirm":       on(confirm),
			"confirm again": on(confirm),
			// Steps that belong together, so that long stories are told, too.
			"request and confirm": on(func(n *naive, t *rapid.T) { n.request(t); confirm(n, t); confirm(n, t) }),
			"restrict and lift":   on(func(n *naive, t *rapid.T) { n.restrict(t, true); n.restrict(t, false) }),
			"reject": on(func(n *naive, t *rapid.T) {
				n.click(t, "lapsed", func(c Click) error { _, err := f.s.RejectConfirmation(ctx, shop, c); return err })
			}),
			"withdraw":       on((*naive).withdraw),
			"withdraw by id": on((*naive).withdrawByID),
			"give":           on((*naive).give),
			"refuse":         on((*naive).refuse),
			"signal":         on((*naive).signal),
			"renew":          on((*naive).renew),
			"import":         on((*naive).imports),
			"assert":         on((*naive).assert),
			"object":         on((*naive).object),
			"object to use":  on((*naive).objectToInterest),
			"end":            on((*naive).endByOperator),
			"history":        on((*naive).compareHistory),
			"restrict":       on(func(n *naive, t *rapid.T) { n.restrict(t, true) }),
			"lift":           on(func(n *naive, t *rapid.T) { n.restrict(t, false) }),
			"erase":          on((*naive).erase),
			"lock":           on((*naive).lock),
			"hold":           on((*naive).hold),
			"lift a hold":    on((*naive).liftHold),
			"legal list":     on((*naive).compareAll),
			"ask":            on((*naive).ask),
			"answer":         on((*naive).answerTo),
			"requests":       on((*naive).compareRequests),
			"decisions":      on((*naive).objectToDecisions),
			"retention": func(t *rapid.T) {
				if _, err := f.s.RunRetention(ctx, RetentionRun{}); err != nil {
					t.Fatal(err)
				}
				people[0].retain()
				people[1].retain()
			},
			"a month": func(*rapid.T) { f.clock.advance(month) },
			"time":    func(t *rapid.T) { f.clock.advance(time.Duration(rapid.IntRange(1, 100).Draw(t, "hours")) * time.Hour) },
			"stale token": on(func(n *naive, t *rapid.T) {
				if len(n.stale) == 0 {
					t.Skip("none")
				}
				if _, err := f.s.ConfirmConsent(ctx, shop, Click{Token: rapid.SampledFrom(n.stale).Draw(t, "token")}); rule(t, err) != "token" {
					t.Fatalf("a token of before the erasure: %v", err)
				}
				if len(n.staleManage) == 0 {
					return
				}
				manage := rapid.SampledFrom(n.staleManage).Draw(t, "manage token")
				if _, err := f.s.WithdrawConsent(ctx, shop, Withdrawal{ManageToken: manage}); rule(t, err) != "manage_token" {
					t.Fatalf("a manage token of before the erasure: %v", err)
				}
			}),
		})
	})
}
