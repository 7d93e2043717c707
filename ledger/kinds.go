package ledger

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
	BundleExported        Kind = "bundle.exported"
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

// knownKind is all that this version knows of a kind.
type knownKind struct {
	*kindRow
	kind   Kind // the constant, which keeps no entry's text in memory
	number int  // from 0, below len(knownKinds)
	moves  *transition
}

// knownKinds finds the rows of kindTable and transitions.
var knownKinds = func() map[Kind]*knownKind {
	known := make(map[Kind]*knownKind, len(kindTable))
	for kind, row := range kindTable {
		known[kind] = &knownKind{kindRow: row, kind: kind, number: len(known)}
	}
	for i := range transitions {
		known[transitions[i].kind].moves = &transitions[i]
	}
	return known
}()

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
	BundleExported:     {byLegal, mentions, listAbout, false, nil, commitAny},
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
