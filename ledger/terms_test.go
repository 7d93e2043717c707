package ledger

import (
	"slices"
	"testing"
)

// TestBasisForbids holds the two prohibitions to a table by hand: x is forbidden
// for advertising, and no basis for anything else.
func TestBasisForbids(t *testing.T) {
	table := map[string]string{ // in the order of channels
		"consent":             "         ",
		"contract":            "         ",
		"legal_obligation":    "         ",
		"legitimate_interest": "xxxxx    ",
		"existing_customer":   " x  x    ",
	}
	for _, name := range Bases() {
		b, ok := ParseBasis(name)
		if !ok || b.String() != name || !IsBasis(name) {
			t.Fatalf("%s is no basis", name)
		}
		for i, channel := range channels {
			want := table[name][i] == 'x'
			if got := b.Forbids(&Purpose{Marketing: true}, channel); got != want {
				t.Errorf("advertising by %s on %s is forbidden: %v", channel, name, got)
			}
			other := want && name == "existing_customer" // which no such purpose can rest on
			if got := b.Forbids(&Purpose{}, channel); got != other {
				t.Errorf("%s on %s is forbidden: %v", channel, name, got)
			}
		}
	}
	if len(table) != len(Bases()) || NoBasis.String() != "" || IsBasis("") || IsBasis("interest") {
		t.Error("the bases are others")
	}
}

func TestPurposeAllows(t *testing.T) {
	for _, v := range []struct{ has, want []Basis }{
		{nil, []Basis{ByConsent}},
		{[]Basis{ByConsent}, []Basis{ByConsent}},
		{[]Basis{Contract, ExistingCustomer}, []Basis{Contract, ExistingCustomer}},
	} {
		p := Purpose{Bases: v.has}
		for b := NoBasis; b <= ExistingCustomer; b++ {
			if got := p.Allows(b); got != slices.Contains(v.want, b) {
				t.Errorf("a purpose with %v allows %q: %v", v.has, b, got)
			}
		}
	}
}

// TestProves: what is sent to an identifier of a kind, and confirmed, proves which
// channels.
func TestProves(t *testing.T) {
	table := map[string]string{ // in the order of channels
		"email":       "x    xxxx",
		"phone":       " xxxxxxxx",
		"external_id": "xxxxxxxxx",
	}
	for _, identifier := range identifiers {
		for i, channel := range channels {
			if got, want := Proves(identifier, channel), table[identifier][i] == 'x'; got != want {
				t.Errorf("%s proves %s: %v, want %v", identifier, channel, got, want)
			}
		}
	}
}

func TestStrictestIPPolicy(t *testing.T) {
	for _, v := range []struct {
		want string
		of   []string
	}{
		{"full", nil}, {"none", []string{"none"}}, {"truncated", []string{"truncated"}}, {"full", []string{"full"}},
		{"truncated", []string{"full", "truncated"}}, {"none", []string{"full", "none", "truncated"}}, {"full", []string{"full", "full"}},
	} {
		if got := StrictestIPPolicy(v.of...); got != v.want {
			t.Errorf("the strictest of %v is %s", v.of, got)
		}
	}
}

func TestModes(t *testing.T) {
	if !slices.Equal(Modes(), []string{"none", "anonymous", "pseudonymous", "personal"}) {
		t.Error(Modes())
	}
	for i, name := range Modes() {
		if m, ok := ParseMode(name); !ok || m != Mode(i+1) || m.String() != name || !IsMode(name) {
			t.Errorf("%s is %d", name, m)
		}
	}
	if m, ok := ParseMode("off"); ok || m != NoMode || m.String() != "" || IsMode("") {
		t.Error("off is a mode")
	}
	for _, p := range TrackingPurposes() {
		if !IsTracking(p) || IsTracking("x"+p) {
			t.Errorf("%s is no tracking", p)
		}
	}
}
