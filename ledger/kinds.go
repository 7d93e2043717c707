package ledger

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of this version. Each is one row of kindTable and, if it moves a
// state or an overlay, one row of the transition table in rules.go.
const (
	LedgerCreated         Kind = "ledger.created"
	SourceDeclared        Kind = "source.declared"
	PurposeDefined        Kind = "purpose.defined"
	NoticePublished       Kind = "notice.published"
	ConsentRequested      Kind = "consent.requested"
	ConfirmationSent      Kind = "confirmation.sent"
	ConfirmationResent    Kind = "confirmation.resent"
	ConfirmationFailed    Kind = "confirmation.failed"
	ConfirmationOpened    Kind = "confirmation.opened"
	ConfirmationAttached  Kind = "confirmation.attached"
	ConsentGiven          Kind = "consent.given"
	ConsentRefused        Kind = "consent.refused"
	ConsentImported       Kind = "consent.imported"
	ConsentRenewed        Kind = "consent.renewed"
	BasisAsserted         Kind = "basis.asserted"
	ConsentConfirmed      Kind = "consent.confirmed"
	ConfirmationRejected  Kind = "confirmation.rejected"
	RequestExpired        Kind = "request.expired"
	ConsentExpired        Kind = "consent.expired"
	ConsentWithdrawn      Kind = "consent.withdrawn"
	ConsentRevoked        Kind = "consent.revoked"
	ConsentInvalidated    Kind = "consent.invalidated"
	ObjectionRecorded     Kind = "objection.recorded"
	RestrictionSet        Kind = "restriction.set"
	RestrictionLifted     Kind = "restriction.lifted"
	ConsentUsed           Kind = "consent.used"
	SubjectLocked         Kind = "subject.locked"
	SubjectErased         Kind = "subject.erased"
	EvidenceShredded      Kind = "evidence.shredded"
	SubjectRectified      Kind = "subject.rectified"
	HoldSet               Kind = "hold.set"
	HoldLifted            Kind = "hold.lifted"
	RetentionApplied      Kind = "retention.applied"
	SuppressionAdded      Kind = "suppression.added"
	SuppressionRemoved    Kind = "suppression.removed"
	TrackingChanged       Kind = "tracking.changed"
	ClaimDeclared         Kind = "claim.declared"
	ProcessorEngaged      Kind = "processor.engaged"
	ProcessorEnded        Kind = "processor.ended"
	GuardianAuthorised    Kind = "guardian.authorised"
	SignalReceived        Kind = "signal.received"
	WithdrawalEffected    Kind = "withdrawal.effected"
	IdentityVerified      Kind = "identity.verified"
	RequestReceived       Kind = "request.received"
	RequestExtended       Kind = "request.extended"
	RequestAnswered       Kind = "request.answered"
	RequestRefused        Kind = "request.refused"
	RecipientNotified     Kind = "recipient.notified"
	RecipientAcknowledged Kind = "recipient.acknowledged"
	EntryCorrected        Kind = "entry.corrected"
	EvidenceDisclosed     Kind = "evidence.disclosed"
	KeyRotated            Kind = "key.rotated"
	CheckpointAnchored    Kind = "checkpoint.anchored"
	StateCommitted        Kind = "state.committed"
)

// effect is what a kind does to consents.
type effect uint8

const (
	concernsNone   effect = iota
	opens                 // its index becomes a ConsentID
	changes               // has consent lines, moves a state or an overlay
	opensOrChanges        // opens when it has no consent lines
	mentions              // has about lines, moves no state and no overlay
)

// listRule is which lists a kind carries.
type listRule uint8

const (
	listNone listRule = iota
	listConsents
	listConsentsOptional
	listAbout
	listAboutOptional
)

func (r listRule) check(p *parser, consents, about int) {
	switch {
	case consents > 0 && r != listConsents && r != listConsentsOptional:
		p.fail("consent: this kind changes no consent")
	case about > 0 && r != listAbout && r != listAboutOptional:
		p.fail("about: this kind mentions no consent")
	case r == listConsents && consents == 0 && p.err == nil:
		p.line++
		p.fail("want a line %q", "consent")
	case r == listAbout && about == 0 && p.err == nil:
		p.line++
		p.fail("want a line %q", "about")
	}
}

type commitRule uint8

const (
	commitNone commitRule = iota
	commitAny             // an opening entry needs at least one identifier
)

// slot is a place for the lines of one field in the order of a kind's lines.
type slot struct {
	field    fieldID
	min, max int
	when     condition
	of       fieldID // the other field of a condition that has one
}

// condition says when a slot has its lines; else it has none.
type condition uint8

const (
	always    condition = iota
	ifOpening           // in the opening form of an opensOrChanges kind
	ifWith              // when the entry has the line of
	ifWithout           // when it has not
)

// stands reports whether the entry, as far as it was read, has the slot's lines.
func (s *slot) stands(e *Entry) bool {
	switch s.when {
	case ifOpening:
		return len(e.Consents) == 0
	case ifWith:
		return fields[s.of].count(e) > 0
	case ifWithout:
		return fields[s.of].count(e) == 0
	}
	return true
}

// kindRow is one row of the kind table.
type kindRow struct {
	writers  []string // roles whose keys may write the kind; "ledger" is the ledger itself
	effect   effect
	lists    listRule
	occurred bool // may carry an occurred line
	slots    []slot
	commits  commitRule
}

func one(f fieldID) slot            { return slot{field: f, min: 1, max: 1} }
func optional(f fieldID) slot       { return slot{field: f, max: 1} }
func two(f fieldID) slot            { return slot{field: f, min: 2, max: 2} }
func four(f fieldID) slot           { return slot{field: f, min: 4, max: 4} }
func many(f fieldID, n int) slot    { return slot{field: f, min: 1, max: n} }
func upTo(f fieldID, n int) slot    { return slot{field: f, max: n} }
func whenOpening(f fieldID) slot    { return slot{f, 1, 1, ifOpening, 0} }
func oneWith(f, of fieldID) slot    { return slot{f, 1, 1, ifWith, of} }
func oneWithout(f, of fieldID) slot { return slot{f, 1, 1, ifWithout, of} }

// Limits on repeated lines.
const (
	// MaxPurposes is how many purposes one request or one notice may name.
	MaxPurposes = 32
	maxParts    = 9999
	maxShown    = 64
	maxRefers   = 256
)

var (
	byLedger     = []string{SourceLedger}
	byAdmin      = []string{"admin"}
	byApp        = []string{"app"}
	byLegal      = []string{"legal"}
	byAppLedger  = []string{"app", SourceLedger}
	byAppLegal   = []string{"app", "legal"}
	byAppAdmin   = []string{"app", "admin"}
	byAdminLegal = []string{"admin", "legal"}
)

// kindTable is the table of kinds; FORMAT.md prints the same table and a test
// compares them. A new kind is one new row.
var kindTable = map[Kind]*kindRow{
	LedgerCreated: {byLedger, concernsNone, listNone, false,
		[]slot{one(fController), one(fOrigin), one(fFormat), two(fAdd), two(fSign)}, commitNone},
	SourceDeclared: {byLedger, concernsNone, listNone, false,
		[]slot{one(fName), one(fRole)}, commitNone},
	PurposeDefined: {byAdmin, concernsNone, listNone, false,
		[]slot{one(fPurpose), one(fVersion), one(fMarketing), one(fDoubleOptIn), upTo(fDOIChannel, 9), one(fLifetime),
			optional(fLockDays), optional(fLapsedDays), optional(fUnusedDays), optional(fUnusedMeasure), optional(fEvidenceDays),
			optional(fValidityDays), optional(fUnusedWarnDays), optional(fMinimumGrade), optional(fMinimumAge), optional(fExplicit),
			optional(fIPPolicy), optional(fParent), upTo(fBases, len(bases)), optional(fTrackingMode), optional(fEffectHours)}, commitAny},
	NoticePublished: {byAdmin, concernsNone, listNone, false,
		[]slot{one(fNotice), one(fLanguage), many(fCovers, MaxPurposes),
			optional(fUse), optional(fCheckbox), optional(fConditionalOn), optional(fFacts)}, commitNone},
	ConsentRequested: {byApp, opens, listNone, true,
		[]slot{one(fPurpose), one(fChannel), one(fNotice), one(fMethod), one(fLock), one(fExpires), one(fIPPolicy),
			optional(fExplicit), optional(fAge)}, commitAny},
	ConsentGiven: {byApp, opens, listNone, true,
		[]slot{one(fPurpose), one(fChannel), one(fNotice), one(fMethod), one(fIPPolicy), optional(fExplicit), optional(fAge)}, commitAny},
	ConsentRefused: {byApp, opens, listNone, true,
		[]slot{one(fPurpose), one(fChannel), optional(fNotice), one(fMethod), one(fIPPolicy)}, commitAny},
	ConsentImported: {byApp, opens, listNone, true,
		[]slot{one(fPurpose), one(fChannel), optional(fNotice), one(fMethod), one(fIPPolicy), one(fGrade),
			optional(fExplicit), optional(fAge)}, commitAny},
	BasisAsserted: {byApp, opens, listNone, true,
		[]slot{one(fPurpose), one(fChannel), optional(fNotice), one(fBasis), upTo(fCondition, len(conditions)), one(fIPPolicy)}, commitAny},
	ConfirmationSent: {byApp, mentions, listAbout, true, []slot{optional(fNotice), optional(fMail)}, commitAny},
	ConfirmationResent: {byApp, mentions, listAbout, true,
		[]slot{optional(fNewLock), oneWith(fExpires, fNewLock), oneWith(fFormer, fNewLock)}, commitAny},
	ConfirmationFailed:   {byApp, mentions, listAbout, true, []slot{one(fFailure)}, commitAny},
	ConfirmationOpened:   {byApp, mentions, listAbout, true, nil, commitAny},
	ConfirmationAttached: {byApp, mentions, listAbout, false, nil, commitAny},
	ConsentConfirmed:     {byApp, changes, listConsents, true, []slot{one(fToken), optional(fClick)}, commitAny},
	ConsentRenewed:       {byApp, changes, listConsents, true, []slot{optional(fNotice), one(fMethod), one(fIPPolicy)}, commitAny},
	ConfirmationRejected: {byApp, changes, listConsents, true, []slot{one(fToken)}, commitAny},
	RequestExpired:       {byLedger, changes, listConsents, false, []slot{one(fLock)}, commitNone},
	ConsentExpired:       {byLedger, changes, listConsents, false, nil, commitNone},
	ConsentWithdrawn:     {byApp, changes, listConsents, true, []slot{optional(fMethod)}, commitAny},
	ConsentRevoked:       {byAdminLegal, changes, listConsents, true, []slot{one(fCause)}, commitAny},
	ConsentInvalidated:   {byAdminLegal, changes, listConsents, true, []slot{one(fCause)}, commitAny},
	ObjectionRecorded: {byApp, opensOrChanges, listConsentsOptional, true,
		[]slot{whenOpening(fPurpose), whenOpening(fChannel), optional(fMethod), optional(fArticle)}, commitAny},
	RestrictionSet:    {byAppLegal, changes, listConsents, true, []slot{one(fGround)}, commitAny},
	RestrictionLifted: {byAppLegal, changes, listConsents, true, []slot{one(fInformed)}, commitAny},
	ConsentUsed:       {byApp, mentions, listAbout, true, []slot{optional(fProcessor)}, commitAny},
	SubjectLocked:     {byAppLedger, changes, listConsents, false, []slot{one(fReason), one(fUntil)}, commitNone},
	SubjectErased:     {byAppLedger, changes, listConsents, false, []slot{one(fReason)}, commitNone},
	EvidenceShredded: {byLedger, concernsNone, listNone, false,
		[]slot{many(fRefers, maxRefers), one(fGeneration), one(fMedium),
			optional(fContents), oneWith(fExistenceDue, fContents), oneWithout(fExistence, fContents)}, commitNone},
	SubjectRectified:   {byAppLegal, mentions, listAbout, true, []slot{one(fChange)}, commitAny},
	HoldSet:            {byLegal, mentions, listAbout, false, nil, commitAny},
	HoldLifted:         {byLegal, mentions, listAbout, false, []slot{one(fRefers)}, commitAny},
	RetentionApplied:   {byLedger, mentions, listAbout, false, []slot{one(fRule), one(fMeasure)}, commitNone},
	SuppressionAdded:   {byAppAdmin, concernsNone, listNone, false, []slot{one(fPurpose)}, commitNone},
	SuppressionRemoved: {byAppAdmin, concernsNone, listNone, false, []slot{one(fPurpose)}, commitNone},
	TrackingChanged:    {byApp, mentions, listAbout, true, []slot{one(fPurpose), one(fMode), optional(fMethod)}, commitAny},
	EvidenceDisclosed:  {byLegal, mentions, listAbout, false, []slot{one(fOccasion), upTo(fShown, maxShown)}, commitAny},
	ClaimDeclared:      {byAdmin, concernsNone, listNone, false, []slot{one(fClaim)}, commitAny},
	ProcessorEngaged: {byAdmin, concernsNone, listNone, true,
		[]slot{one(fProcessor), optional(fCountry), upTo(fCovers, MaxPurposes)}, commitAny},
	ProcessorEnded:        {byAdmin, concernsNone, listNone, true, []slot{one(fProcessor)}, commitAny},
	GuardianAuthorised:    {byApp, mentions, listAbout, true, []slot{one(fMethod)}, commitAny},
	SignalReceived:        {byApp, mentions, listAbout, true, []slot{one(fSignal), one(fSays)}, commitAny},
	WithdrawalEffected:    {byApp, mentions, listAbout, true, []slot{one(fSystem)}, commitAny},
	IdentityVerified:      {byLegal, mentions, listAbout, true, []slot{one(fMeans)}, commitAny},
	RequestReceived:       {byAppLegal, mentions, listAboutOptional, true, []slot{one(fArticleAsked), one(fDue)}, commitAny},
	RequestExtended:       {byLegal, mentions, listAboutOptional, true, []slot{one(fRefers), one(fDue)}, commitAny},
	RequestAnswered:       {byLegal, mentions, listAboutOptional, true, []slot{one(fRefers)}, commitAny},
	RequestRefused:        {byLegal, mentions, listAboutOptional, true, []slot{one(fRefers), one(fRefusal)}, commitAny},
	RecipientNotified:     {byLegal, concernsNone, listNone, true, []slot{one(fRefers), optional(fProcessor)}, commitAny},
	RecipientAcknowledged: {byLegal, concernsNone, listNone, true, []slot{one(fRefers)}, commitAny},
	EntryCorrected:        {byAdminLegal, mentions, listAboutOptional, false, []slot{many(fRefers, maxRefers)}, commitAny},
	KeyRotated: {byAdmin, concernsNone, listNone, false,
		[]slot{one(fRefers), two(fAdd), two(fRetire), four(fSign)}, commitNone},
	CheckpointAnchored: {byLedger, concernsNone, listNone, false,
		[]slot{one(fSize), one(fCheckpoint), one(fStamp), one(fStamped)}, commitNone},
	StateCommitted: {byLedger, concernsNone, listNone, false, []slot{one(fStateRoot)}, commitNone},
}

// fieldID numbers the lines that kinds can have.
type fieldID uint8

const (
	fController fieldID = iota
	fOrigin
	fFormat
	fAdd
	fSign
	fName
	fRole
	fPurpose
	fVersion
	fMarketing
	fDoubleOptIn
	fDOIChannel
	fLifetime
	fLockDays
	fLapsedDays
	fUnusedDays
	fUnusedMeasure
	fEvidenceDays
	fValidityDays
	fUnusedWarnDays
	fMinimumGrade
	fMinimumAge
	fExplicit
	fParent
	fBases
	fTrackingMode
	fNotice
	fLanguage
	fCovers
	fUse
	fCheckbox
	fConditionalOn
	fFacts
	fChannel
	fMethod
	fLock
	fExpires
	fIPPolicy
	fAge
	fGrade
	fBasis
	fCondition
	fMail
	fNewLock
	fFormer
	fFailure
	fToken
	fClick
	fMode
	fGround
	fCause
	fReason
	fUntil
	fRefers
	fGeneration
	fMedium
	fContents
	fExistenceDue
	fExistence
	fChange
	fRule
	fMeasure
	fStateRoot
	fEffectHours
	fClaim
	fProcessor
	fCountry
	fSignal
	fSays
	fSystem
	fMeans
	fArticle      // of an objection
	fArticleAsked // of a request
	fRefusal
	fOccasion
	fShown
	fDue
	fInformed
	fRetire
	fSize
	fCheckpoint
	fStamp
	fStamped
)

// field says how the lines of one name are written and read.
type field struct {
	name  string
	count func(e *Entry) int
	put   func(b []byte, e *Entry, i int) []byte
	get   func(e *Entry, v string) error
}

// fields is filled in init order by fieldID; each row is the one place that
// knows the spelling of its value.
var fields = [...]field{
	fController:     word("controller", func(e *Entry) *string { return &e.Controller }, IsIdentifier, "not an identifier"),
	fOrigin:         word("origin", func(e *Entry) *string { return &e.Origin }, func(s string) bool { return ValidOrigin(s) == nil }, "not an origin"),
	fFormat:         formatField,
	fAdd:            words("add", func(e *Entry) *[]string { return &e.Add }, isVerifierKey, "not a verifier key", false),
	fSign:           signField,
	fName:           word("name", func(e *Entry) *string { return &e.Name }, isSourceName, "not an identifier, or reserved"),
	fRole:           word("role", func(e *Entry) *string { return &e.Role }, IsRole, "not a role"),
	fPurpose:        word("purpose", func(e *Entry) *string { return &e.Purpose }, IsIdentifier, "not an identifier"),
	fVersion:        number("version", func(e *Entry) *int64 { return &e.Version }, 1),
	fMarketing:      word("marketing", func(e *Entry) *string { return &e.Marketing }, isYesNo, "want yes or no"),
	fDoubleOptIn:    word("double_opt_in", func(e *Entry) *string { return &e.DoubleOptIn }, isYesNo, "want yes or no"),
	fDOIChannel:     words("double_opt_in_channel", func(e *Entry) *[]string { return &e.DOIChannels }, IsChannel, "not a channel", true),
	fLifetime:       number("token_lifetime", func(e *Entry) *int64 { return &e.Lifetime }, 1),
	fLockDays:       number("lock_days", func(e *Entry) *int64 { return &e.LockDays }, 1),
	fLapsedDays:     number("lapsed_days", func(e *Entry) *int64 { return &e.LapsedDays }, 1),
	fUnusedDays:     number("unused_days", func(e *Entry) *int64 { return &e.UnusedDays }, 1),
	fUnusedMeasure:  word("unused_measure", func(e *Entry) *string { return &e.UnusedMeasure }, IsUnusedMeasure, "want warn, block or expire"),
	fEvidenceDays:   number("evidence_days", func(e *Entry) *int64 { return &e.EvidenceDays }, 1),
	fValidityDays:   number("validity_days", func(e *Entry) *int64 { return &e.ValidityDays }, 1),
	fUnusedWarnDays: number("unused_warn_days", func(e *Entry) *int64 { return &e.UnusedWarnDays }, 1),
	fMinimumGrade:   word("minimum_grade", func(e *Entry) *string { return &e.MinimumGrade }, isGrade, "not a grade"),
	fMinimumAge:     number("minimum_age", func(e *Entry) *int64 { return &e.MinimumAge }, 1),
	fExplicit:       word("explicit", func(e *Entry) *string { return &e.Explicit }, isYes, "want yes, or no line"),
	fParent:         word("parent", func(e *Entry) *string { return &e.Parent }, IsIdentifier, "not an identifier"),
	fBases:          words("basis", func(e *Entry) *[]string { return &e.Bases }, IsBasis, "not a basis", true),
	fTrackingMode:   word("tracking_mode", func(e *Entry) *string { return &e.TrackingMode }, IsMode, "not a mode of tracking"),
	fNotice:         noticeField,
	fLanguage:       word("language", func(e *Entry) *string { return &e.Language }, IsLanguage, "not a language tag"),
	fCovers:         words("covers", func(e *Entry) *[]string { return &e.Covers }, IsIdentifier, "not an identifier", true),
	fUse:            word("use", func(e *Entry) *string { return &e.Use }, IsNoticeUse, "not a use of a notice"),
	fCheckbox:       word("checkbox", func(e *Entry) *string { return &e.Checkbox }, IsCheckbox, "want unticked or none"),
	fConditionalOn:  word("conditional_on", func(e *Entry) *string { return &e.ConditionalOn }, IsTie, "want none or service"),
	fFacts:          optionalHash("facts", func(e *Entry) *Hash { return &e.Facts }),
	fChannel:        word("channel", func(e *Entry) *string { return &e.Channel }, isChannelLine, "not a channel"),
	fMethod:         word("method", func(e *Entry) *string { return &e.Method }, IsMethod, "not a method"),
	fLock:           namedHash("lock", func(e *Entry) *Hash { return &e.Lock }),
	fExpires:        seconds("expires", func(e *Entry) *time.Time { return &e.Expires }),
	fIPPolicy:       word("ip_policy", func(e *Entry) *string { return &e.IPPolicy }, IsIPPolicy, "not a policy"),
	fAge:            word("age", func(e *Entry) *string { return &e.Age }, IsAge, "want old_enough or child"),
	fGrade:          word("grade", func(e *Entry) *string { return &e.Grade }, IsImportGrade, "want C, D or E"),
	fBasis:          word("basis", func(e *Entry) *string { return &e.Basis }, isAssertedBasis, "not a basis besides consent"),
	fCondition:      words("condition", func(e *Entry) *[]string { return &e.Conditions }, IsCondition, "not a condition", true),
	fMail:           word("mail", func(e *Entry) *string { return &e.Mail }, func(s string) bool { return s == mailKept }, "want kept, or no line"),
	fNewLock:        optionalHash("lock", func(e *Entry) *Hash { return &e.Lock }),
	fFormer:         optionalHash("former", func(e *Entry) *Hash { return &e.Former }),
	fFailure:        word("failure", func(e *Entry) *string { return &e.Failure }, IsFailure, "want permanent or temporary"),
	fToken:          word("token", func(e *Entry) *string { return &e.Token }, IsToken, "want 43 characters of unpadded base64url"),
	fClick:          word("click", func(e *Entry) *string { return &e.Click }, IsClick, "not a way of clicking"),
	fMode:           word("mode", func(e *Entry) *string { return &e.Mode }, IsMode, "not a mode of tracking"),
	fGround:         word("ground", func(e *Entry) *string { return &e.Ground }, IsGround, "not a ground"),
	fCause:          word("cause", func(e *Entry) *string { return &e.Cause }, IsCause, "not a cause"),
	fReason:         word("reason", func(e *Entry) *string { return &e.Reason }, IsEraseReason, "not a reason"),
	fUntil:          seconds("until", func(e *Entry) *time.Time { return &e.Until }),
	fRefers:         refersField,
	fGeneration:     number("generation", func(e *Entry) *int64 { return &e.Generation }, 1),
	fMedium:         word("medium", func(e *Entry) *string { return &e.Medium }, func(s string) bool { return slices.Contains(media, s) }, "not a medium"),
	fContents:       seconds("contents_destroyed", func(e *Entry) *time.Time { return &e.Contents }),
	fExistenceDue:   seconds("existence_due", func(e *Entry) *time.Time { return &e.ExistenceDue }),
	fExistence:      seconds("existence_destroyed", func(e *Entry) *time.Time { return &e.Existence }),
	fChange:         word("change", func(e *Entry) *string { return &e.Change }, IsRectification, "not a change"),
	fRule:           word("rule", func(e *Entry) *string { return &e.Rule }, IsRetentionRule, "not a rule of retention"),
	fMeasure:        word("measure", func(e *Entry) *string { return &e.Measure }, IsRetentionMeasure, "not a measure"),
	fStateRoot:      hash("state_root", func(e *Entry) *Hash { return &e.StateRoot }),
	fEffectHours:    number("effect_hours", func(e *Entry) *int64 { return &e.EffectHours }, 1),
	fClaim:          word("claim", func(e *Entry) *string { return &e.Claim }, IsDeclarableClaim, "want x. and an identifier"),
	fProcessor:      word("processor", func(e *Entry) *string { return &e.Processor }, IsIdentifier, "not an identifier"),
	fCountry:        word("country", func(e *Entry) *string { return &e.Country }, IsCountry, "want two upper-case letters"),
	fSignal:         word("signal", func(e *Entry) *string { return &e.Signal }, IsPreferenceSignal, "not a signal"),
	fSays:           word("says", func(e *Entry) *string { return &e.Says }, isYesNo, "want yes or no"),
	fSystem:         word("system", func(e *Entry) *string { return &e.System }, IsIdentifier, "not an identifier"),
	fMeans:          word("means", func(e *Entry) *string { return &e.Means }, IsMeans, "not a way of verifying who somebody is"),
	fArticle:        word("article", func(e *Entry) *string { return &e.Article }, func(s string) bool { return s == artDecision }, "want art22, or no line"),
	fArticleAsked:   word("article", func(e *Entry) *string { return &e.Article }, IsArticle, "not an article that gives a right to ask"),
	fRefusal:        word("refusal", func(e *Entry) *string { return &e.Refusal }, IsRefusal, "not a reason to refuse"),
	fOccasion:       word("occasion", func(e *Entry) *string { return &e.Occasion }, IsOccasion, "not an occasion"),
	fShown:          words("shown", func(e *Entry) *[]string { return &e.Shown }, isClaim, "not a claim", true),
	fDue:            seconds("due", func(e *Entry) *time.Time { return &e.Due }),
	fInformed:       seconds("informed", func(e *Entry) *time.Time { return &e.Informed }),
	fRetire:         words("retire", func(e *Entry) *[]string { return &e.Retire }, isVerifierKey, "not a verifier key", false),
	fSize:           number("size", func(e *Entry) *int64 { return (*int64)(&e.Size) }, 1),
	fCheckpoint:     namedHash("checkpoint", func(e *Entry) *Hash { return &e.Checkpoint }),
	fStamp:          namedHash("stamp", func(e *Entry) *Hash { return &e.Stamp }),
	fStamped:        micros("stamped", func(e *Entry) *time.Time { return &e.Stamped }),
}

func word(name string, at func(*Entry) *string, valid func(string) bool, wrong string) field {
	return field{
		name,
		func(e *Entry) int { return present(*at(e) != "") },
		func(b []byte, e *Entry, _ int) []byte { return append(b, *at(e)...) },
		func(e *Entry, v string) error {
			if !valid(v) {
				return errors.New(wrong)
			}
			*at(e) = v
			return nil
		},
	}
}

// words is a repeated line; ascending ones are a set, in byte order.
func words(name string, at func(*Entry) *[]string, valid func(string) bool, wrong string, ascending bool) field {
	return field{
		name,
		func(e *Entry) int { return len(*at(e)) },
		func(b []byte, e *Entry, i int) []byte { return append(b, (*at(e))[i]...) },
		func(e *Entry, v string) error {
			list := at(e)
			if !valid(v) {
				return errors.New(wrong)
			}
			if n := len(*list); ascending && n > 0 && (*list)[n-1] >= v {
				return errors.New("not ascending")
			}
			*list = append(*list, v)
			return nil
		},
	}
}

func number(name string, at func(*Entry) *int64, least int64) field {
	return field{
		name,
		func(e *Entry) int { return present(*at(e) != 0) },
		func(b []byte, e *Entry, _ int) []byte { return strconv.AppendInt(b, *at(e), 10) },
		func(e *Entry, v string) error {
			n, err := parseNumber(v)
			if err == nil && n < least {
				err = fmt.Errorf("want at least %d", least)
			}
			*at(e) = n
			return err
		},
	}
}

func hash(name string, at func(*Entry) *Hash) field {
	return field{
		name,
		func(e *Entry) int { return 1 },
		func(b []byte, e *Entry, _ int) []byte { return base64.StdEncoding.AppendEncode(b, at(e)[:]) },
		func(e *Entry, v string) (err error) { *at(e), err = ParseHash(v); return err },
	}
}

// namedHash is a hash that names something, so that 32 zero bytes are none.
func namedHash(name string, at func(*Entry) *Hash) field {
	f := hash(name, at)
	f.get = func(e *Entry, v string) (err error) {
		if *at(e), err = ParseHash(v); err == nil && *at(e) == (Hash{}) {
			err = errors.New("zeros are no hash")
		}
		return err
	}
	return f
}

// optionalHash is a namedHash that may be absent; zeros stand for its absence.
func optionalHash(name string, at func(*Entry) *Hash) field {
	f := namedHash(name, at)
	f.count = func(e *Entry) int { return present(*at(e) != Hash{}) }
	return f
}

func seconds(name string, at func(*Entry) *time.Time) field {
	return field{
		name,
		func(e *Entry) int { return present(!at(e).IsZero()) },
		func(b []byte, e *Entry, _ int) []byte { return at(e).UTC().AppendFormat(b, secondsLayout) },
		func(e *Entry, v string) (err error) { *at(e), err = parseTime(v, false); return err },
	}
}

// micros is a time to the microsecond.
func micros(name string, at func(*Entry) *time.Time) field {
	return field{
		name,
		func(e *Entry) int { return present(!at(e).IsZero()) },
		func(b []byte, e *Entry, _ int) []byte { return at(e).UTC().AppendFormat(b, microsLayout) },
		func(e *Entry, v string) (err error) { *at(e), err = parseTime(v, true); return err },
	}
}

// formatField is `format 1`: the version that the log began with, which is that
// of entry 0's own first line.
var formatField = func() field {
	f := number("format", func(e *Entry) *int64 { return &e.Format }, FormatVersion)
	get := f.get
	f.get = func(e *Entry, v string) error {
		if err := get(e, v); err != nil || e.Format != FormatVersion {
			return fmt.Errorf("want %d", FormatVersion)
		}
		return nil
	}
	return f
}()

// noticeField is `notice <id>@<version> <base64 sha256 of the text>`.
var noticeField = field{
	"notice",
	func(e *Entry) int { return present(e.Notice.ID != "") },
	func(b []byte, e *Entry, _ int) []byte {
		return base64.StdEncoding.AppendEncode(append(append(b, e.Notice.Name()...), ' '), e.Notice.SHA256[:])
	},
	func(e *Entry, v string) (err error) {
		name, sum, _ := strings.Cut(v, " ")
		if e.Notice.ID, e.Notice.Version, err = ParseNoticeName(name); err == nil {
			e.Notice.SHA256, err = ParseHash(sum)
		}
		return err
	},
}

// signField is `sign <key id, 8 hex digits> <base64 signature>`.
var signField = field{
	"sign",
	func(e *Entry) int { return len(e.Sign) },
	func(b []byte, e *Entry, i int) []byte {
		id := binary.BigEndian.AppendUint32(nil, e.Sign[i].KeyID)
		b = append(hex.AppendEncode(b, id), ' ')
		return base64.StdEncoding.AppendEncode(b, e.Sign[i].Signature)
	},
	func(e *Entry, v string) error {
		id, sig, _ := strings.Cut(v, " ")
		raw, err := hex.DecodeString(id)
		if err != nil || len(raw) != 4 || strings.ToLower(id) != id {
			return errors.New("want a key id of 8 lower-case hex digits")
		}
		s, err := base64.StdEncoding.Strict().DecodeString(sig)
		if err != nil || len(s) == 0 {
			return errors.New("want a signature in base64")
		}
		e.Sign = append(e.Sign, KeySignature{binary.BigEndian.Uint32(raw), s})
		return nil
	},
}

// refersField is `refers <index>`, ascending: earlier entries that are not consents.
var refersField = field{
	"refers",
	func(e *Entry) int { return len(e.Refers) },
	func(b []byte, e *Entry, i int) []byte { return strconv.AppendInt(b, int64(e.Refers[i]), 10) },
	func(e *Entry, v string) error {
		n, err := parseNumber(v)
		if err == nil && Index(n) >= e.Index {
			err = errors.New("not an earlier entry")
		}
		if err == nil && len(e.Refers) > 0 && e.Refers[len(e.Refers)-1] >= Index(n) {
			err = errors.New("not ascending")
		}
		e.Refers = append(e.Refers, Index(n))
		return err
	},
}

func present(b bool) int {
	if b {
		return 1
	}
	return 0
}

func isYesNo(s string) bool       { return s == "yes" || s == "no" }
func isYes(s string) bool         { return s == "yes" }
func isSourceName(s string) bool  { return IsIdentifier(s) && s != SourceLedger }
func isChannelLine(s string) bool { return IsChannel(s) || s == AnyChannel }
func isVerifierKey(s string) bool { _, err := ParseVerifierKey(s); return err == nil }

// IsCountry reports whether s has the shape of a country's code, ISO 3166-1 alpha-2:
// two upper-case letters.
func IsCountry(s string) bool {
	return len(s) == 2 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// IsLanguage reports whether s is a language tag: two or three lower-case
// letters (ISO 639), optionally `-` and two upper-case letters (ISO 3166-1), as
// in `de` or `de-AT`.
func IsLanguage(s string) bool {
	lang, region, ok := strings.Cut(s, "-")
	return len(lang) >= 2 && len(lang) <= 3 && strings.Trim(lang, "abcdefghijklmnopqrstuvwxyz") == "" &&
		(!ok || len(region) == 2 && strings.Trim(region, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "")
}
