package ledger

import "slices"

// Basis is the legal ground on which a record rests, Art. 6(1) GDPR and § 7(3) UWG.
type Basis uint8

// The bases; a record that grants nothing, such as an objection, has none.
const (
	NoBasis            Basis = iota
	ByConsent                // Art. 6(1)(a) GDPR
	Contract                 // Art. 6(1)(b)
	LegalObligation          // Art. 6(1)(c)
	LegitimateInterest       // Art. 6(1)(f)
	ExistingCustomer         // § 7(3) UWG, Art. 13(2) Directive 2002/58/EC
)

var bases = [...]string{"consent", "contract", "legal_obligation", "legitimate_interest", "existing_customer"}

func (b Basis) String() string {
	if b == NoBasis {
		return ""
	}
	return bases[b-1]
}

// ParseBasis parses a basis.
func ParseBasis(s string) (Basis, bool) {
	i := slices.Index(bases[:], s)
	return Basis(i + 1), i >= 0
}

// IsBasis reports whether s is a legal basis.
func IsBasis(s string) bool { _, ok := ParseBasis(s); return ok }

// Bases lists the legal bases.
func Bases() []string { return slices.Clone(bases[:]) }

func isAssertedBasis(s string) bool { return IsBasis(s) && s != ByConsent.String() }

// Forbids reports whether the law forbids the basis for a purpose on a channel:
// who is a customer may be written to, but neither called nor faxed (§ 7(2), (3)
// UWG), and legitimate interest carries no advertising on a channel for which
// § 7 UWG demands consent.
func (b Basis) Forbids(p *Purpose, channel string) bool {
	switch b {
	case ExistingCustomer:
		return channel == "phone" || channel == "fax"
	case LegitimateInterest:
		return p.Marketing && slices.Contains([]string{"email", "phone", "sms", "messenger", "fax"}, channel)
	}
	return false
}

// Mode is how far a person may be tracked.
type Mode uint8

// The modes, from the least to the most.
const (
	NoMode       Mode = iota // nothing was said
	ModeNone                 // nothing is recorded
	Anonymous                // figures that cannot be assigned to anybody
	Pseudonymous             // under a number that is kept apart from the person
	Personal                 // under the person
)

var modes = [...]string{"none", "anonymous", "pseudonymous", "personal"}

func (m Mode) String() string {
	if m == NoMode {
		return ""
	}
	return modes[m-1]
}

// ParseMode parses a mode.
func ParseMode(s string) (Mode, bool) {
	i := slices.Index(modes[:], s)
	return Mode(i + 1), i >= 0
}

// IsMode reports whether s is a mode of tracking.
func IsMode(s string) bool { _, ok := ParseMode(s); return ok }

// Modes lists the modes of tracking, from the least to the most.
func Modes() []string { return slices.Clone(modes[:]) }

// The policies for IP addresses, from the strictest: none is kept, its network
// (/24 or /48) is, or the whole address.
var ipPolicies = []string{"none", "truncated", "full"}

// DefaultIPPolicy is the policy of a purpose that says nothing else.
const DefaultIPPolicy = "truncated"

// IsIPPolicy reports whether s is a policy for IP addresses.
func IsIPPolicy(s string) bool { return slices.Contains(ipPolicies, s) }

// IPPolicies lists the policies, the strictest first.
func IPPolicies() []string { return slices.Clone(ipPolicies) }

// StrictestIPPolicy gives the strictest of several policies, of none "full".
func StrictestIPPolicy(policies ...string) string {
	strictest := len(ipPolicies) - 1
	for _, p := range policies {
		strictest = min(strictest, slices.Index(ipPolicies, p))
	}
	return ipPolicies[strictest]
}

// phoneLike are the channels that reach a telephone number.
var phoneLike = []string{"phone", "sms", "messenger", "fax"}

// Proves reports whether whoever confirms what was sent to an identifier of this
// kind proves that the channel reaches them: a click in a mail says nothing about a
// telephone number (BGH I ZR 164/09). A customer number stands for whatever the
// sender knows to belong to it.
func Proves(identifier, channel string) bool {
	switch {
	case identifier == "external_id":
		return true
	case channel == "email":
		return identifier == "email"
	case slices.Contains(phoneLike, channel):
		return identifier == "phone"
	}
	return true
}
