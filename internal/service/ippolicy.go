package service

import (
	"net/netip"
	"slices"

	"github.com/consentledger/consentledger/ledger"
)

// What is kept of an IP address is up to the purposes that it was given for:
// nothing, its network, or all of it. With several purposes the strictest
// policy holds for all of them. The policy stands in the log, so the address is
// parsed when a request is prepared and cut inside its decision, before it is
// committed to and sealed; nowhere else is it kept.

// ipClaim gives the claim of an address under a policy: none for "none" and for
// the zero address. Truncated, a claim is the network, /24 for IPv4 and /48 for
// IPv6. An IPv4 address that is mapped into IPv6 is taken for what it is, and a
// zone is not kept, because it means something on the sender's machine only.
func ipClaim(policy string, addr netip.Addr) []claim {
	if !addr.IsValid() || policy == "none" {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	if policy == "full" {
		return []claim{newClaim("ip", addr.String())}
	}
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	// An address is never shorter than these.
	return []claim{newClaim("ip", netip.PrefixFrom(addr, bits).Masked().String())}
}

// ipPolicy gives the strictest policy of purposes: of every purpose that is
// defined when the list is empty or names all-marketing. Where none is defined it
// is the default.
func (t *turn) ipPolicy(purposes []string) (string, error) {
	var policies []string
	if len(purposes) == 0 || slices.Contains(purposes, ledger.AllMarketing) {
		t.log.Purposes(func(p ledger.Purpose) { policies = append(policies, p.IPPolicy) })
	} else {
		for _, name := range purposes {
			p, ok, err := t.log.Purpose(name)
			if err != nil {
				return "", err
			} else if ok { // otherwise the rules refuse the entry
				policies = append(policies, p.IPPolicy)
			}
		}
	}
	if len(policies) == 0 {
		return ledger.DefaultIPPolicy, nil
	}
	return ledger.StrictestIPPolicy(policies...), nil
}

// withIP gives claims and, under the policy of purposes, that of an address.
func (t *turn) withIP(claims []claim, addr netip.Addr, purposes []string) ([]claim, error) {
	policy, err := t.ipPolicy(purposes)
	return slices.Concat(claims, ipClaim(policy, addr)), err
}

// idsOf gives the ids of consents.
func idsOf(consents []ledger.Consent) []ledger.ConsentID {
	ids := make([]ledger.ConsentID, 0, len(consents))
	for _, c := range consents {
		ids = append(ids, c.ID)
	}
	return ids
}

// purposesOf names the purposes of consents.
func purposesOf(consents []ledger.Consent) []string {
	names := make([]string, 0, len(consents))
	for _, c := range consents {
		names = append(names, c.Purpose)
	}
	return names
}
