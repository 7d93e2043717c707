package app

import (
	"slices"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/service"
)

// TestDecisionIsShownWhole: nothing of a decision is left out, what takes months to come
// about among it.
func TestDecisionIsShownWhole(t *testing.T) {
	yes := true
	shown := showDecision(&service.Decision{Allowed: true, Reason: "confirmed", Consent: 7, State: "confirmed", Notice: "newsletter-de@3", Basis: "consent",
		Grade: "A", TrackingMode: "none", ExpiresAt: time.Unix(1800000000, 0), Warnings: []string{"dormant"}, Size: 9, Then: &yes, Hindsight: &yes})
	m := shown.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		if f := m.Descriptor().Fields().Get(i); !m.Has(f) {
			t.Errorf("%s is not shown", f.Name())
		}
	}
	if !slices.Equal(shown.Warnings, []string{"dormant"}) || shown.AsOf.Index != 8 || shown.ExpiresAt.Seconds != 1800000000 {
		t.Errorf("shown as %v", shown)
	}
}
