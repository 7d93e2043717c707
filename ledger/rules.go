package ledger

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// transition is one row of the table of what leads where. Kinds with a `to` or
// with overlays move something: from any other state they are forbidden. Kinds
// without only mention: from any other state they are irregular facts.
type transition struct {
	kind  Kind
	opens bool
	from  states
	to    State    // NoState: the state stays
	set   Overlays // laid over the state; forbidden where it lies already, but for a restriction
	lift  Overlays // taken off; forbidden where it does not lie
	// against holds the overlays, besides erased, under which the kind is
	// forbidden if it moves something, irregular if it only mentions.
	against Overlays
	// afterErasure: a mention of who is erased is regular.
	afterErasure bool
}

// states is a set of states.
type states uint16

func in(list ...State) (s states) {
	for _, v := range list {
		s |= 1 << v
	}
	return s
}

func (s states) has(v State) bool { return s&(1<<v) != 0 }

var (
	anyState = ^states(0)
	allowing = in(Confirmed, Given, Renewed, Imported, Asserted)
)

// transitions is the one table of what leads where: the server asks it before
// it records, the verifier asks it of every log.
var transitions = []transition{
	{kind: "consent.requested", opens: true, to: Requested},
	{kind: "confirmation.sent", from: in(Requested), against: Locked},
	{kind: "confirmation.resent", from: in(Requested), against: Locked},
	{kind: "confirmation.failed", from: in(Requested), against: Locked},
	{kind: "confirmation.opened", from: in(Requested), against: Locked},
	{kind: "confirmation.rejected", from: in(Requested), to: Lapsed},
	{kind: "request.expired", from: in(Requested), to: Lapsed},
	{kind: "consent.confirmed", from: in(Requested), to: Confirmed, against: Locked},
	{kind: "consent.given", opens: true, to: Given},
	{kind: "consent.refused", opens: true, to: Refused},
	{kind: "consent.imported", opens: true, to: Imported},
	{kind: "basis.asserted", opens: true, to: Asserted},
	{kind: "objection.recorded", opens: true, from: anyState, to: Objected},
	{kind: "consent.used", from: allowing, against: Restricted | Locked},
	{kind: "withdrawal.effected", from: anyState},
	{kind: "guardian.authorised", from: in(Requested) | allowing, against: Locked},
	{kind: "signal.received", from: anyState},
	{kind: "identity.verified", from: anyState},
	{kind: "request.received", from: anyState},
	{kind: "request.extended", from: anyState},
	{kind: "request.answered", from: anyState},
	{kind: "request.refused", from: anyState},
	{kind: "entry.corrected", from: anyState},
	{kind: "confirmation.attached", from: anyState},
	{kind: "subject.rectified", from: anyState},
	{kind: "hold.set", from: anyState},
	{kind: "hold.lifted", from: anyState},
	{kind: "retention.applied", from: anyState},
	{kind: "tracking.changed", from: anyState},
	{kind: "evidence.disclosed", from: anyState},
	{kind: "bundle.exported", from: anyState, afterErasure: true}, // that somebody was erased can be proven, too
	{kind: "consent.renewed", from: in(Given, Confirmed, Renewed, Imported), to: Renewed, against: Locked},
	{kind: "consent.expired", from: in(Given, Confirmed, Renewed, Imported), to: Expired},
	{kind: "consent.withdrawn", from: anyState &^ in(Withdrawn), to: Withdrawn},
	{kind: "consent.revoked", from: anyState &^ in(Withdrawn, Objected), to: Revoked},
	{kind: "consent.invalidated", from: anyState &^ in(Withdrawn, Objected), to: Invalidated},
	{kind: "restriction.set", from: anyState, set: Restricted},
	{kind: "restriction.lifted", from: anyState, lift: Restricted},
	{kind: "subject.locked", from: anyState, set: Locked},
	{kind: "subject.erased", from: anyState, set: Erased},
}

// transitionOf gives the row of a kind, nil for one that concerns no consent.
func transitionOf(kind Kind) *transition {
	if k := knownKinds[kind]; k != nil {
		return k.moves
	}
	return nil
}

// forbids gives the rule that forbids the transition, "" if none does.
func (t *transition) forbids(c Consent) string {
	switch {
	case c.Overlays.Has(Erased):
		return "erased"
	case c.Overlays&t.against != 0:
		return "locked" // the only overlay that a kind which moves something is against
	case !t.from.has(c.State):
		return "transition"
	case c.Overlays&t.set&^Restricted != 0, c.Overlays&t.lift != t.lift:
		return "overlay"
	case t.set.Has(Erased) && (c.Kept || c.Holds > 0):
		return "held"
	}
	return ""
}

// Apply gives the record of a consent after an entry that opens, changes or
// mentions it. It checks nothing: that the entry may follow is up to [Step], which
// applies it in this way, too. So the record as of an earlier moment is that of all
// entries about it until then, applied one after the other.
func Apply(c Consent, e *Entry) Consent { return transitionOf(e.Kind).apply(c, e) }

// apply is [Apply] for an entry of the row's kind, or of one that has no row.
func (t *transition) apply(c Consent, e *Entry) Consent {
	waited := c.State == Requested
	if t != nil {
		if t.to != NoState {
			c.State, c.Last = t.to, e.Index
		}
		if t.set|t.lift != 0 {
			c.Overlays, c.Last = c.Overlays&^t.lift|t.set, e.Index
		}
	}
	switch e.Kind {
	case RestrictionSet: // another ground takes nothing away from one that keeps data
		c.Kept = c.Kept || KeepsData(e.Ground)
	case RestrictionLifted:
		c.Kept = false
	case HoldSet:
		c.Holds++
	case HoldLifted:
		c.Holds--
	case TrackingChanged:
		c.Mode, _ = ParseMode(e.Mode)
	case SignalReceived: // the newest one counts
		c.Evidence &^= EvSignalNo
	}
	if b := e.basis(); b != NoBasis {
		c.Basis = b
	}
	if e.Kind != ConfirmationSent || waited { // a mail after the click led to none
		c.Evidence |= e.evidence()
	}
	return c
}

// basis gives the ground of the record that an entry opens.
func (e *Entry) basis() Basis {
	switch e.Kind {
	case ConsentRequested, ConsentGiven, ConsentRefused, ConsentImported:
		return ByConsent
	case BasisAsserted:
		b, _ := ParseBasis(e.Basis)
		return b
	}
	return NoBasis
}

// irregular names the irregularity of mentioning the consent, "" if there is
// none: the kind, a dot, and the state or overlay that makes it so.
func (t *transition) irregular(kind Kind, c Consent) string {
	switch {
	case c.Overlays.Has(Erased) && !t.afterErasure:
		return string(kind) + ".erased"
	case !t.from.has(c.State):
		return string(kind) + "." + c.State.String()
	case c.Overlays&t.against&Locked != 0:
		return string(kind) + ".locked"
	case c.Overlays&t.against&Restricted != 0:
		return string(kind) + ".restricted"
	}
	return ""
}

// MaxClockAhead is how far an `occurred` may lie after the entry's time. Only
// withdrawals, objections and restrictions are accepted beyond it, as irregular
// facts that count from the ledger's time.
const MaxClockAhead = 5 * time.Minute

// MaxHolds is how many holds may lie on one consent at a time.
const MaxHolds = 127

// Consent is what the rules know of one consent.
type Consent struct {
	ID       ConsentID
	Last     Index // the entry that changed it last; its own index at first
	State    State
	Overlays Overlays
	Kept     bool  // restricted on a ground that forbids erasure, Art. 18(1)(b) or (c)
	Holds    uint8 // holds that lie on it, at most MaxHolds
	Basis    Basis
	Mode     Mode     // of tracking, as the person set it
	Evidence Evidence // of how it came about
	Purpose  string
	Channel  string
	// Request is the lowest ConsentID of the request that opened it; its own ID
	// for consents that no request opened.
	Request ConsentID
}

// Grade says how well the consent is proven.
func (c Consent) Grade() Grade { return c.Evidence.Grade() }

// OpenRequest is a request whose token has not been revealed and whose expiry
// has not been recorded.
type OpenRequest struct {
	Lock    Hash      // SHA-256 of the token's text
	Request ConsentID // its lowest ConsentID
	Expires time.Time // the token is good up to and including this moment
	// Superseded: a resend gave the request a newer lock. This one still confirms
	// until it expires, but its expiry is not that of the request.
	Superseded bool
}

// Purpose is what the rules know of a purpose in force.
type Purpose struct {
	ID          string
	Version     int64
	Index       Index // the entry that defined this version
	Marketing   bool
	DoubleOptIn bool
	DOIChannels []string // narrows DoubleOptIn; empty means every channel
	Lifetime    time.Duration
	// The terms of retention in days, 0 and "" where the entry says nothing:
	// from a withdrawal to the lock, from the end of a request that was not
	// confirmed to its erasure, without use until UnusedMeasure ("warn" or
	// "expire"), and for how long evidence of what has ended is kept.
	LockDays, LapsedDays, UnusedDays int64
	UnusedMeasure                    string
	EvidenceDays                     int64
	// ValidityDays is for how long a grant counts, UnusedWarnDays after how many
	// days without use it is to be looked at; 0 for ever and never.
	ValidityDays, UnusedWarnDays int64
	MinimumGrade                 Grade
	MinimumAge                   int64 // years; 0 for everybody
	Explicit                     bool  // Art. 9(2)(a) GDPR: consent must be declared explicitly
	IPPolicy                     string
	Parent                       string // the purpose above it, or ""
	Bases                        []Basis
	TrackingMode                 Mode // the default of a tracking purpose
	// EffectHours is within how many hours an end must have taken effect in every
	// system; 0 where nothing is said.
	EffectHours int64
	Balanced    bool // the definition commits to a document that balances interests
}

// Allows reports whether records of the purpose may rest on the basis. A purpose
// that names none rests on consent alone.
func (p *Purpose) Allows(b Basis) bool {
	return slices.Contains(p.Bases, b) || len(p.Bases) == 0 && b == ByConsent
}

// purposeOf gives the purpose that an entry defines.
func purposeOf(e *Entry) Purpose {
	p := Purpose{ID: e.Purpose, Version: e.Version, Index: e.Index, Marketing: e.Marketing == "yes", DoubleOptIn: e.DoubleOptIn == "yes",
		DOIChannels: e.DOIChannels, Lifetime: time.Duration(e.Lifetime) * time.Second,
		LockDays: e.LockDays, LapsedDays: e.LapsedDays, UnusedDays: e.UnusedDays, UnusedMeasure: e.UnusedMeasure, EvidenceDays: e.EvidenceDays,
		ValidityDays: e.ValidityDays, UnusedWarnDays: e.UnusedWarnDays, MinimumAge: e.MinimumAge, Explicit: e.Explicit != "",
		IPPolicy: e.IPPolicy, Parent: e.Parent, EffectHours: e.EffectHours, Balanced: e.commits("document")}
	// The parser has accepted the words.
	p.MinimumGrade, _ = ParseGrade(e.MinimumGrade)
	p.TrackingMode, _ = ParseMode(e.TrackingMode)
	if p.IPPolicy == "" {
		p.IPPolicy = DefaultIPPolicy
	}
	for _, name := range e.Bases {
		b, _ := ParseBasis(name)
		p.Bases = append(p.Bases, b)
	}
	return p
}

// NeedsDoubleOptIn reports whether consent on the channel needs a confirmation.
func (p *Purpose) NeedsDoubleOptIn(channel string) bool {
	return p.DoubleOptIn && (len(p.DOIChannels) == 0 || slices.Contains(p.DOIChannels, channel))
}

// Notice is what the rules know of one version of a notice.
type Notice struct {
	NoticeRef
	Index    Index
	Language string
	Covers   []string
	// Use is what it is for, "wording" where the entry says nothing. Checkbox and
	// ConditionalOn are "" and Facts zeros where it says nothing.
	Use, Checkbox, ConditionalOn string
	Facts                        Hash // SHA-256 of the document with its facts
}

// noticeOf gives the notice that an entry publishes.
func noticeOf(e *Entry) Notice {
	n := Notice{NoticeRef: e.Notice, Index: e.Index, Language: e.Language, Covers: e.Covers,
		Use: e.Use, Checkbox: e.Checkbox, ConditionalOn: e.ConditionalOn, Facts: e.Facts}
	if n.Use == "" {
		n.Use = useWording
	}
	return n
}

// Source is a declared API key name and its role.
type Source struct{ Name, Role string }

// Processor is somebody who processes the data on the controller's behalf, Art. 28
// GDPR, under the terms of its newest engagement.
type Processor struct {
	ID      string
	Index   Index  // the entry that engaged it
	Country string // ISO 3166-1 alpha-2, "" where nothing is said
	Covers  []string
	// Since and Ended are the ledger's times: since when it has been engaged without a
	// break, and when that ended, zero while it goes on.
	Since, Ended time.Time
}

// RightsRequest is what a person asks for under Art. 15 to 22 GDPR and waits for.
type RightsRequest struct {
	Index         Index     // the request.received entry, the first if there are several
	Received, Due time.Time // UTC, whole seconds
	Extended      bool
}

// AnswerDue gives the moment until which a request that was received then must be
// answered: the end of the day with the same number so many months on, or of that
// month's last day, by UTC (Art. 12(3) GDPR; Art. 3(2)(c) Regulation 1182/71,
// without what it adds for holidays).
func AnswerDue(received time.Time, months int) time.Time {
	year, month, day := received.UTC().Date()
	first := time.Date(year, month+time.Month(months), 1, 23, 59, 59, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day, last)-1)
}

// History answers what the rules must know of the log before an entry. A false
// means that there is no such thing; an error that it cannot be read.
type History interface {
	Consent(ConsentID) (Consent, bool, error)
	OpenRequest(lock Hash) (OpenRequest, bool, error)
	Purpose(id string) (Purpose, bool, error)
	// Notice gives one version, or the newest when version is 0.
	Notice(id string, version int64) (Notice, bool, error)
	Source(name string) (Source, bool, error)
	// Processor gives one that is or was engaged.
	Processor(id string) (Processor, bool, error)
	// Claim reports whether an administrator declared the claim.
	Claim(name string) (bool, error)
	// KeyEntry gives the newest key entry; there is one in every log that is not empty.
	KeyEntry() (KeyEntry, error)
}

// Effects is what an entry did: the values that the next entry's History holds.
type Effects struct {
	Opened  *Consent
	Changed []Consent
	Open    *OpenRequest // a request, or a lock of it, that became open
	Former  *OpenRequest // the lock that it succeeds
	Closed  *Hash        // the lock of a request that was open before
	// Noted are consents of which Holds, Mode or Evidence changed; no entry changed
	// them, so Last stays.
	Noted   []Consent
	Purpose *Purpose
	Notice  *Notice
	Source  *Source
	// Processor is one that was engaged or ended.
	Processor *Processor
	Claim     string // the claim that was declared, or ""
	// KeyEntry is the pair that signs from this entry on.
	KeyEntry *KeyEntry
	// Rights is a request under Art. 15 to 22 GDPR that began to wait or waits longer.
	Rights *RightsRequest
	// Irregular lists facts that happened though they should not have.
	Irregular []Irregularity
}

// Irregularity is a recorded fact that the rules regret but do not forbid.
type Irregularity struct {
	Name    string    `json:"name"` // kind and state, as in consent.used.withdrawn; or notice.published.tied, request.answered.late, occurred_ahead, existence_overdue, dated_before_stamp, dated_after_stamp
	Index   Index     `json:"index"`
	Consent ConsentID `json:"consent"` // -1 when it concerns no consent
	// Bounds bounds the time of the entry, where a report of a whole log can.
	Bounds *Interval `json:"bounds,omitempty"`
}

// RuleError is a violation: the server refuses such an entry, the verifier says
// INVALID.
type RuleError struct {
	Rule    string // the name of the rule, FORMAT.md lists them
	Index   Index
	Consent ConsentID // -1 when it concerns no consent
	Detail  string
}

func (e *RuleError) Error() string {
	if e.Consent < 0 {
		return fmt.Sprintf("entry %d: rule %s: %s", e.Index, e.Rule, e.Detail)
	}
	return fmt.Sprintf("entry %d: consent %d: rule %s: %s", e.Index, e.Consent, e.Rule, e.Detail)
}

// Lock gives the lock of a token: the SHA-256 of its ASCII text, as in
// `printf %s TOKEN | sha256sum`.
func Lock(token string) Hash { return sha256.Sum256([]byte(token)) }

// TextHash gives the hash by which a notice's text is named: SHA-256 of its bytes.
func TextHash(text []byte) Hash { return sha256.Sum256(text) }

// IrregularMention names the irregularity of an entry of this kind that mentions
// the consent, or gives "" if it is regular.
func IrregularMention(kind Kind, c Consent) string {
	t := transitionOf(kind)
	if t == nil {
		return ""
	}
	return t.irregular(kind, c)
}
