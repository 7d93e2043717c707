package service

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

func TestCutAddress(t *testing.T) {
	for _, test := range []struct{ addr, truncated, full string }{
		{"203.0.113.77", "203.0.113.0/24", "203.0.113.77"},
		{"0.0.0.0", "0.0.0.0/24", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.0/24", "255.255.255.255"},
		{"::ffff:203.0.113.77", "203.0.113.0/24", "203.0.113.77"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1::/48", "2001:db8:1:2:3:4:5:6"},
		{"2001:0DB8:0001:0000:0000:0000:0000:0001", "2001:db8:1::/48", "2001:db8:1::1"},
		{"fe80::1%eth0", "fe80::/48", "fe80::1"},
		{"::", "::/48", "::"},
	} {
		addr := netip.MustParseAddr(test.addr)
		for policy, want := range map[string]string{"none": "", "truncated": test.truncated, "full": test.full} {
			got := ""
			for _, c := range ipClaim(policy, addr) {
				got += c.disclosure.Claim + " " + c.disclosure.Value
			}
			if want != "" {
				want = "ip " + want
			}
			if got != want {
				t.Errorf("%s, %s: %q, want %q", test.addr, policy, got, want)
			}
		}
	}
	for _, policy := range ledger.IPPolicies() {
		if c := ipClaim(policy, netip.Addr{}); c != nil {
			t.Errorf("%s: no address gives %v", policy, c)
		}
	}
}

// newPolicies is a ledger with a purpose for each policy, named by it, and a
// notice that covers all of them.
func newPolicies(t *testing.T) (f *fixture, notice string) {
	t.Helper()
	f = newService(t)
	for _, policy := range ledger.IPPolicies() {
		f.define(PurposeDefinition{ID: policy, Marketing: true, DoubleOptIn: true, IPPolicy: policy})
	}
	return f, f.covering(ledger.IPPolicies()...)
}

// With several purposes the strictest policy holds for all of them, in every
// entry of the request; what else was claimed stays.
func TestIPPolicyOfRequests(t *testing.T) {
	t.Parallel()
	f, notice := newPolicies(t)
	kept := map[string]string{"none": "", "truncated": "203.0.113.0/24", "full": "203.0.113.77"}
	for i, test := range []struct{ purposes, policy string }{
		{"full", "full"}, {"truncated", "truncated"}, {"none", "none"},
		{"full truncated", "truncated"}, {"truncated full", "truncated"}, {"full none", "none"}, {"none truncated full", "none"},
	} {
		for _, ip := range []string{"203.0.113.77", "::ffff:203.0.113.77", ""} {
			ask := asking(fmt.Sprintf("p%d@example.com", i), strings.Fields(test.purposes)...)
			ask.Notice, ask.Claims = notice, map[string]string{"user_agent": "Browser", "ip": ip}
			want := map[string]string{"user_agent": "Browser", "email": ask.Subject.Email, "ip": kept[test.policy]}
			if ip == "" {
				delete(ask.Claims, "ip")
				want["ip"] = ""
			}
			r, err := f.s.RequestConsent(ctx, shop, ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Consents {
				e := f.entry(c.Entry.Index)
				got := f.opened(e, c.ID)
				_, committed := e.Commit("ip")
				if e.IPPolicy != test.policy || committed != (want["ip"] != "") || got["ip"] != want["ip"] ||
					got["user_agent"] != want["user_agent"] || got["email"] != want["email"] {
					t.Errorf("%s, %q: policy %s, claims %v, want %s, %v", test.purposes, ip, e.IPPolicy, got, test.policy, want)
				}
			}
		}
	}
}

// The policy is the one that is in force when the request is decided, not when
// it was prepared.
func TestIPPolicyWhenDecided(t *testing.T) {
	t.Parallel()
	f, notice := newPolicies(t)
	ask := asking("a@example.com", "full")
	ask.Notice, ask.Claims, ask.IdempotencyKey = notice, map[string]string{"ip": "203.0.113.77"}, "once"
	var r *Requested
	var errs [2]error
	f.together(
		func() {
			_, _, errs[0] = f.s.DefinePurpose(ctx, admin, PurposeDefinition{ID: "full", Title: "Purpose full", Marketing: true, DoubleOptIn: true, IPPolicy: "none"})
		},
		func() { r, errs[1] = f.s.RequestConsent(ctx, shop, ask) })
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	e := f.entry(r.Consents[0].Entry.Index)
	if claims := f.opened(e, r.Consents[0].ID); e.IPPolicy != "none" || claims["ip"] != "" {
		t.Errorf("policy %s, claims %v", e.IPPolicy, claims)
	}
	// A retry is the same request, though nothing of its address was kept.
	before := f.size()
	again, err := f.s.RequestConsent(ctx, shop, ask)
	if err != nil || again.Token != r.Token {
		t.Errorf("the retry answers %+v, %v", again, err)
	}
	ask.Claims["ip"] = "203.0.113.78"
	_, err = f.s.RequestConsent(ctx, shop, ask)
	refused(t, err, refusal.FailedPrecondition, "idempotency_key")
	f.wrote(before, "")
}

// ipOf gives what an entry keeps of an address under a consent's key.
func (f *fixture) ipOf(i ledger.Index, id ledger.ConsentID) string {
	f.t.Helper()
	return f.opened(f.entry(i), id)["ip"]
}

// What follows a request, and what concerns several, keeps no more of an address
// than the purposes allow.
func TestIPPolicyOfOthers(t *testing.T) {
	t.Parallel()
	f, notice := newPolicies(t)
	claims := map[string]string{"ip": "2001:db8:1:2::3", "user_agent": "Browser"}
	request := func(address string, purposes ...string) *Requested {
		ask := asking(address, purposes...)
		ask.Notice = notice
		return f.ask(ask)
	}
	kept := map[string]string{"none": "", "truncated": "2001:db8:1::/48", "full": "2001:db8:1:2::3"}
	for _, policy := range ledger.IPPolicies() {
		address := policy + "@example.com"
		r := request(address, policy)
		id := r.Consents[0].ID
		click, err := f.s.ConfirmConsent(ctx, shop, Click{Token: r.Token, Claims: claims})
		if err != nil {
			t.Fatal(err)
		}
		linked := f.link(Link{Subject: email(address), Add: external(policy), Claims: claims})
		held, err := f.s.SetHold(ctx, legal, HoldRequest{ConsentIDs: []ledger.ConsentID{id}, Claims: claims})
		if err != nil {
			t.Fatal(err)
		}
		lifted, err := f.s.LiftHold(ctx, legal, HoldRelease{Hold: held.Hold, Claims: claims})
		if err != nil {
			t.Fatal(err)
		}
		f.withdraw(Withdrawal{ConsentIDs: []ledger.ConsentID{id}, Claims: claims})
		for doing, test := range map[string]struct {
			at   ledger.Index
			want string
		}{
			"the click":      {click.Consents[0].Entry.Index, kept[policy]},
			"the link":       {linked.Index, kept[policy]},
			"the withdrawal": {ledger.Index(f.size() - 1), kept[policy]},
			// A hold is about whatever there is: the strictest policy of all.
			"the hold":    {held.Entry.Index, ""},
			"its lifting": {lifted.Entry.Index, ""},
		} {
			if got := f.ipOf(test.at, id); got != test.want {
				t.Errorf("%s, %s: %q is kept, want %q", policy, doing, got, test.want)
			}
		}
	}
	// A withdrawal that names no purpose is about all of them.
	_, objection := f.size(), f.withdraw(Withdrawal{Subject: email("stranger@example.com"), Claims: claims})
	if got := f.ipOf(ledger.Index(f.size()-1), ledger.ConsentID(f.size()-1)); got != "" {
		t.Errorf("an objection to all marketing keeps %q; %+v", got, objection)
	}
	f.withdraw(Withdrawal{Subject: email("another@example.com"), Purposes: []string{"full"}, Claims: claims})
	if got := f.ipOf(ledger.Index(f.size()-1), ledger.ConsentID(f.size()-1)); got != kept["full"] {
		t.Errorf("an objection to one purpose keeps %q", got)
	}
}
