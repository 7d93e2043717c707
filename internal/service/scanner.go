package service

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// Mail servers open the links of mails, and some press buttons, to look for
// malware. What tells of such a machine is one claim of the opening or the click,
// `scanner`; that there is one is public and lowers the grade.

// Signals that the ledger sees for itself. The others, every_link and honeypot, only
// the caller can see.
const (
	fastClick     = "fast_click"     // sooner after the mail than a person reads
	manyAddresses = "many_addresses" // opened from elsewhere at the same time
	datacentre    = "datacentre"     // from a network where no person sits
)

const (
	// tooFast is the time from the newest mail to a click below which it is fast_click.
	tooFast = 10 * time.Second
	// atOnce is the time between an opening and a click within which they are many_addresses.
	atOnce = time.Minute
	// maxOpeningsRead is how many of the newest openings are looked at.
	maxOpeningsRead = 32
)

// signals checks the signals that a caller reports, and adds what the raw address
// tells before it is cut.
func (s *Service) signals(reported []string, addr netip.Addr) ([]string, error) {
	for i, name := range reported {
		if !ledger.IsSignal(name) {
			return nil, refusal.Invalid(path("signals", i), "is not a signal; the signals are %s", strings.Join(ledger.Signals(), ", "))
		}
		if slices.Contains(reported[:i], name) {
			return nil, refusal.Invalid(path("signals", i), "stands twice in the list")
		}
	}
	all := slices.Clone(reported)
	if s.datacentres.contain(addr) {
		all = append(all, datacentre)
	}
	return all, nil
}

// scannerClaim gives the claim of what tells of a machine: the signals, sorted, with
// one blank between them; none if nothing does.
func scannerClaim(signals []string) []claim {
	if len(signals) == 0 {
		return nil
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(signals)))
	return []claim{newClaim("scanner", strings.Join(sorted, " "))}
}

// clickSignals gives the signals that the history of a request adds to a click on
// it. e is the click, with its time; claims are those that are kept of it.
func (t *turn) clickSignals(e *ledger.Entry, request []ledger.Consent, claims []claim) (signals []string, err error) {
	since, ok, err := sinceSent(deciding{t}, request, e)
	if err != nil {
		return nil, err
	}
	if ok && since < tooFast {
		signals = append(signals, fastClick)
	}
	openings, err := newest(deciding{t}, request, ledger.ConfirmationOpened, endOfLog, maxOpeningsRead)
	if err != nil {
		return nil, err
	}
	here := traceOf(claims)
	for _, o := range openings {
		if between(o, e).Abs() > atOnce {
			continue
		}
		there, err := t.traceOf(o, request)
		if err != nil {
			return nil, err
		}
		if here.differs(there) {
			return append(signals, manyAddresses), nil
		}
	}
	return signals, nil
}

// sinceSent gives the time from the newest mail of a request to a click on it;
// false if no mail was recorded before.
func sinceSent(r requests, request []ledger.Consent, click *ledger.Entry) (time.Duration, bool, error) {
	before := click.Index
	if before == 0 {
		before = endOfLog // the click is being decided
	}
	sent, err := newest(r, request, ledger.ConfirmationSent, before, 1)
	if len(sent) == 0 || err != nil {
		return 0, false, err
	}
	return sinceMail(sent[0], click), true, nil
}

// sinceMail gives the time from a mail to the click on it, never a negative one.
func sinceMail(sent, click *ledger.Entry) time.Duration {
	if d := between(sent, click); d >= 0 {
		return d
	}
	// Nobody clicks before the mail is sent: the sources' clocks disagree.
	return click.Time.Sub(sent.Time)
}

// trace is what tells one browser from another; "" is not known.
type trace struct{ network, userAgent string }

func traceOf(claims []claim) (t trace) {
	for _, c := range claims {
		switch c.disclosure.Claim {
		case "ip":
			t.network = networkOf(c.disclosure.Value)
		case "user_agent":
			t.userAgent = c.disclosure.Value
		}
	}
	return t
}

// traceOf gives what is kept of an entry that mentions one of the consents.
func (t *turn) traceOf(e *ledger.Entry, consents []ledger.Consent) (found trace, err error) {
	ip, _, err := t.open(e, consents, "ip")
	if err != nil {
		return found, err
	}
	found.network = networkOf(ip)
	found.userAgent, _, err = t.open(e, consents, "user_agent")
	return found, err
}

// differs reports whether two traces are of two browsers, as far as both are known.
func (t trace) differs(o trace) bool {
	other := func(a, b string) bool { return a != "" && b != "" && a != b }
	return other(t.network, o.network) || other(t.userAgent, o.userAgent)
}

// networkOf gives the network of a claim `ip`, which is one already unless the
// whole address was kept.
func networkOf(value string) string {
	if addr, err := netip.ParseAddr(value); err == nil {
		return ipClaim(ledger.DefaultIPPolicy, addr)[0].disclosure.Value
	}
	return value
}

// networks is a set of networks of whatever size.
type networks struct {
	set  map[netip.Prefix]bool
	bits []int // the lengths that occur
}

func newNetworks(list []netip.Prefix) (n networks) {
	n.set = make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		n.set[p] = true
		if !slices.Contains(n.bits, p.Bits()) {
			n.bits = append(n.bits, p.Bits())
		}
	}
	return n
}

// contain reports whether the address lies in one of the networks. The zero
// address lies in none.
func (n networks) contain(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, bits := range n.bits {
		if p, err := addr.Prefix(bits); err == nil && p.IsValid() && n.set[p] {
			return true
		}
	}
	return false
}
