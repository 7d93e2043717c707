package vault

import "testing"

// A re-key carries out nothing that is planned, also after a start: its pass is
// one without people. (A start numbers all plans of older groups 0, and noPlans
// is 0.)
func TestReindexCarriesOutNothing(t *testing.T) {
	opt := testOptions(t)
	v := newVault(t, opt)
	p := addPeople(t, v, 3, 1)[0]
	plan(t, v, Change{Erase: true}, p)
	addPeople(t, v, 1, 10) // the plan is not the newest group's
	check(t, v.Close())
	v = openVault(t, opt)
	if v.Planned() != 1 {
		t.Fatalf("%d plans", v.Planned())
	}
	reindex(t, v)
	if v.Planned() != 1 {
		t.Errorf("%d plans are left after a re-key, want 1", v.Planned())
	}
}
