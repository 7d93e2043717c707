package ledger

import (
	"slices"
	"strings"
)

// Kind is what an entry records. The kinds and their lines are the table in
// kinds.go.
type Kind string

// State is where a consent stands. Every state but unknown is reached by an
// entry; only a new consent leaves lapsed, refused, expired, withdrawn,
// objected, revoked and invalidated.
type State uint8

// The states, in the order of their numbers. The names are those of the log,
// of JSON and of FORMAT.md.
const (
	NoState State = iota
	Requested
	Confirmed
	Given
	Renewed
	Imported
	Asserted
	Lapsed
	Refused
	Expired
	Withdrawn
	Objected
	Revoked
	Invalidated
)

var stateNames = [...]string{
	"", "requested", "confirmed", "given", "renewed", "imported", "asserted",
	"lapsed", "refused", "expired", "withdrawn", "objected", "revoked", "invalidated",
}

func (s State) String() string { return stateNames[s] }

// States lists all states in the order of their numbers.
func States() []State {
	all := make([]State, 0, len(stateNames)-1)
	for s := Requested; int(s) < len(stateNames); s++ {
		all = append(all, s)
	}
	return all
}

// Allows reports whether the state itself permits use. Overlays, expiry,
// objections and grades may still forbid it.
func (s State) Allows() bool {
	switch s {
	case Confirmed, Given, Renewed, Imported, Asserted:
		return true
	}
	return false
}

// Live reports whether the record allows use or may still come to allow it. A
// withdrawal moves exactly the live records in its scope.
func (s State) Live() bool { return s == Requested || s.Allows() }

// DPV gives the W3C Data Privacy Vocabulary's consent status for the state
// (DPV 2.3, ConsentStatus), or "" for the three states that DPV does not know.
func (s State) DPV() string {
	switch s {
	case Requested:
		return "ConsentRequested"
	case Confirmed, Given:
		return "ConsentGiven"
	case Renewed:
		return "RenewedConsentGiven"
	case Imported:
		return "ConsentUnknown"
	case Refused:
		return "ConsentRefused"
	case Expired:
		return "ConsentExpired"
	case Withdrawn:
		return "ConsentWithdrawn"
	case Revoked:
		return "ConsentRevoked"
	case Invalidated:
		return "ConsentInvalidated"
	}
	return ""
}

// Overlays lie over a state without moving it.
type Overlays uint8

// The overlays, in the order in which they are spelled.
const (
	Restricted Overlays = 1 << iota // Art. 18 GDPR
	Locked                          // kept for legal claims only
	Erased                          // Art. 17 GDPR: nothing changes any more
)

var overlayNames = [...]string{"restricted", "locked", "erased"}

// Has reports whether all overlays of o are set.
func (v Overlays) Has(o Overlays) bool { return v&o == o }

// Names lists the overlays that are set, in the order in which they are spelled.
func (v Overlays) Names() []string {
	var names []string
	for i, n := range overlayNames {
		if v&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// SourceLedger is the source of the ledger's own entries.
const SourceLedger = "ledger"

// AllMarketing is the purpose, reserved for objections, that stands for every
// marketing purpose.
const AllMarketing = "all-marketing"

// AnyChannel is the channel, reserved for objections, that stands for every
// channel.
const AnyChannel = "any"

// The vocabularies: the only identifiers that the log knows besides those that
// an administrator declares. FORMAT.md lists the same words; a test compares.
var (
	channels = []string{"email", "phone", "sms", "messenger", "fax", "post", "push", "app", "web"}
	methods  = []string{
		"web_form", "app", "preference_centre", "link", "one_click", "email_reply",
		"paper", "oral", "phone", "in_person", "api", "import",
	}
	roles             = []string{"app", "auditor", "legal", "admin"}
	grounds           = []string{"art18_1_a", "art18_1_b", "art18_1_c", "art18_1_d"}
	causes            = []string{"rectified", "scanner", "wording", "authority", "error", "other"}
	eraseReasons      = []string{"art17", "consent_withdrawn", "retention", "unlawful", "objection", "child", "other"}
	media             = []string{"file"}
	rectifications    = []string{"added", "replaced", "removed"}
	unusedMeasures    = []string{"warn", "block", "expire"}
	retentionRules    = []string{"withdrawn", "lapsed", "unused", "validity", "evidence"}
	retentionMeasures = []string{"lock", "shred", "expire"}
	identifiers       = []string{"email", "phone", "external_id"}
	conditions        = []string{"address_from_sale", "no_objection", "notice_each_use", "own_similar_goods"}
	clicks            = []string{"button", "link", "script", "event"}
	failures          = []string{"permanent", "temporary"}
	importGrades      = []string{"C", "D", "E"}
	ages              = []string{"old_enough", "child"}
	noticeUses        = []string{"wording", "privacy", "mail"}
	checkboxes        = []string{"unticked", "none"}
	ties              = []string{"none", "service"}
	signals           = []string{"datacentre", "every_link", "fast_click", "honeypot", "many_addresses"}
	articles          = []string{"art15", "art16", "art17", "art18", "art19", "art20", "art21", "art22"}
	refusals          = []string{
		"excessive", "legal_claims", "legal_obligation", "not_applicable", "other",
		"overriding_grounds", "unfounded", "unidentified",
	}
	means             = []string{"document", "eid", "login", "mailbox", "other", "phone_call", "question"}
	preferenceSignals = []string{"gpc", "tcf"}
	occasions         = []string{"access_report", "bundle", "claims"}
	trackingPurposes  = []string{"email.open_tracking", "email.click_tracking", "web.tracking"}
	claims            = []string{
		"email", "phone", "external_id", "name", "ip", "user_agent", "page_url", "referrer",
		"form_snapshot", "checkbox_state", "language", "session", "captcha", "origin",
		"operator", "reference", "recipient", "reason", "message", "mta_response", "title",
		"typed", "address", "form", "document", "recording", "scanner", "guardian", "signal",
	}
)

// IsChannel reports whether s is a channel on which a person can be reached.
func IsChannel(s string) bool { return slices.Contains(channels, s) }

// IsMethod reports whether s is a way of asking, granting or withdrawing.
func IsMethod(s string) bool { return slices.Contains(methods, s) }

// IsGround reports whether s is a ground of restriction, Art. 18(1) GDPR.
func IsGround(s string) bool { return slices.Contains(grounds, s) }

// KeepsData reports whether a restriction on this ground forbids erasure:
// Art. 18(1)(b), the person opposes it, and (c), the person needs the data for
// legal claims.
func KeepsData(ground string) bool { return ground == "art18_1_b" || ground == "art18_1_c" }

// IsEraseReason reports whether s is a reason of erasure, and of the lock before it.
func IsEraseReason(s string) bool { return slices.Contains(eraseReasons, s) }

// IsCause reports whether s is a cause of a revocation or an invalidation:
// `rectified`, the address that had consented is the person's no longer;
// `scanner`, a machine clicked; `wording`, the notice does not bear it;
// `authority`, a court or an authority said so; `error`; `other`.
func IsCause(s string) bool { return slices.Contains(causes, s) }

// IsRectification reports whether s says what became of a person's identifier,
// Art. 16 GDPR.
func IsRectification(s string) bool { return slices.Contains(rectifications, s) }

// IsUnusedMeasure reports whether s says what shall happen to a consent that
// nobody uses: it is listed, checks stop it, or it expires.
func IsUnusedMeasure(s string) bool { return slices.Contains(unusedMeasures, s) }

// IsRetentionRule reports whether s is a reason why retention acts.
func IsRetentionRule(s string) bool { return slices.Contains(retentionRules, s) }

// IsRetentionMeasure reports whether s is what retention does.
func IsRetentionMeasure(s string) bool { return slices.Contains(retentionMeasures, s) }

// UnusedMeasures lists what can happen to a consent that nobody uses.
func UnusedMeasures() []string { return slices.Clone(unusedMeasures) }

// Grounds lists the grounds of restriction.
func Grounds() []string { return slices.Clone(grounds) }

// EraseReasons lists the reasons of erasure.
func EraseReasons() []string { return slices.Clone(eraseReasons) }

// ReservedClaims lists the claims that need no declaration.
func ReservedClaims() []string { return slices.Clone(claims) }

// IsRole reports whether s is a role of an API key.
func IsRole(s string) bool { return slices.Contains(roles, s) }

// IsCondition reports whether s is a condition of § 7(3) UWG.
func IsCondition(s string) bool { return slices.Contains(conditions, s) }

// Conditions lists the four conditions of § 7(3) UWG, under which customers may be
// written to without their consent.
func Conditions() []string { return slices.Clone(conditions) }

// IsClick reports whether s is a way of clicking: `button`, a visible button of
// the page behind the link was pressed; `link`, opening the link was enough;
// `script`, the page pressed its button itself; `event`, another system says so.
func IsClick(s string) bool { return slices.Contains(clicks, s) }

// Clicks lists the ways of clicking.
func Clicks() []string { return slices.Clone(clicks) }

// IsFailure reports whether s says how a mail failed: RFC 3463 classes 5 and 4.
func IsFailure(s string) bool { return slices.Contains(failures, s) }

// IsImportGrade reports whether s is a grade that an import may have.
func IsImportGrade(s string) bool { return slices.Contains(importGrades, s) }

// IsAge reports whether s says whether somebody is old enough for a purpose.
func IsAge(s string) bool { return slices.Contains(ages, s) }

// IsNoticeUse reports whether s is what a notice is for: the wording of a consent,
// a privacy notice, or the template of a mail.
func IsNoticeUse(s string) bool { return slices.Contains(noticeUses, s) }

// IsCheckbox reports whether s says how a checkbox is shown. A ticked one is no
// consent (recital 32 GDPR; CJEU C-673/17) and has no word.
func IsCheckbox(s string) bool { return slices.Contains(checkboxes, s) }

// IsTie reports whether s says what consent is a condition of, Art. 7(4) GDPR.
func IsTie(s string) bool { return slices.Contains(ties, s) }

// IsSignal reports whether s is a sign that a machine opened or clicked.
func IsSignal(s string) bool { return slices.Contains(signals, s) }

// Signals lists the signs that a machine opened or clicked.
func Signals() []string { return slices.Clone(signals) }

// IsArticle reports whether s is an article of the GDPR that gives the person a
// right to ask for something: Art. 15 to 22.
func IsArticle(s string) bool { return slices.Contains(articles, s) }

// Articles lists the articles that give the person a right to ask for something.
func Articles() []string { return slices.Clone(articles) }

// IsRefusal reports whether s is a reason to refuse what a person asked for:
// `unfounded` and `excessive`, Art. 12(5) GDPR; `unidentified`, Art. 12(2), (6);
// `legal_obligation` and `legal_claims`, Art. 17(3)(b), (e); `overriding_grounds`,
// Art. 21(1); `not_applicable`, the article gives no such right here; `other`.
func IsRefusal(s string) bool { return slices.Contains(refusals, s) }

// Refusals lists the reasons to refuse what a person asked for.
func Refusals() []string { return slices.Clone(refusals) }

// IsMeans reports whether s is a way of verifying who somebody is.
func IsMeans(s string) bool { return slices.Contains(means, s) }

// Means lists the ways of verifying who somebody is.
func Means() []string { return slices.Clone(means) }

// IsPreferenceSignal reports whether s is a signal by which software speaks for a
// person: `gpc`, Global Privacy Control (W3C); `tcf`, a TC string (IAB Europe).
func IsPreferenceSignal(s string) bool { return slices.Contains(preferenceSignals, s) }

// PreferenceSignals lists the signals by which software speaks for a person.
func PreferenceSignals() []string { return slices.Clone(preferenceSignals) }

// IsOccasion reports whether s is an occasion on which personal values were shown.
func IsOccasion(s string) bool { return slices.Contains(occasions, s) }

// Occasions lists the occasions on which personal values are shown.
func Occasions() []string { return slices.Clone(occasions) }

// IsTracking reports whether the purpose is the tracking of persons, of which the
// person sets the mode.
func IsTracking(purpose string) bool { return slices.Contains(trackingPurposes, purpose) }

// TrackingPurposes lists the purposes of which the person sets a mode.
func TrackingPurposes() []string { return slices.Clone(trackingPurposes) }

// Words that the rules themselves use.
const (
	mailKept    = "kept" // of the line `mail`: the message is in the vault
	clickButton = "button"
	ageChild    = "child"
	useWording  = "wording"
	useMail     = "mail"
	tieService  = "service"
	signalNo    = "no"
	artDecision = "art22" // the only article that an objection names
)

// IsReservedClaim reports whether s is a claim that needs no declaration.
func IsReservedClaim(s string) bool { return slices.Contains(claims, s) }

// IsIdentifierClaim reports whether s names a person: email, phone or external_id.
func IsIdentifierClaim(s string) bool { return slices.Contains(identifiers, s) }

// isClaim reports whether s can be the name of a claim: a reserved one, or
// `x.` and an identifier.
func isClaim(s string) bool { return IsReservedClaim(s) || IsDeclarableClaim(s) }

// IsDeclarableClaim reports whether s can be the name of a claim that an
// administrator declares: `x.` and an identifier, at most 64 characters.
func IsDeclarableClaim(s string) bool {
	return len(s) <= 64 && strings.HasPrefix(s, "x.") && IsIdentifier(s[2:])
}

// IsIdentifier reports whether s is an identifier: 1 to 64 characters, lower-case
// letters, digits, `.`, `_` and `-`, the first a letter or a digit.
func IsIdentifier(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}
