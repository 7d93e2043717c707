package service

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Limits on purposes.
const (
	maxTitle        = 256
	defaultLifetime = 7 * 24 * time.Hour
	minLifetime     = time.Second
	maxLifetime     = 90 * 24 * time.Hour
	maxDays         = 36500
	maxEffectHours  = 366 * 24
	maxMinimumAge   = 21
)

// PurposeDefinition is what data are used for, in the words of an administrator.
type PurposeDefinition struct {
	ID        string
	Insist    bool // an ID that looks personal is none
	Title     string
	Marketing bool
	// Parent is the purpose above it, such as `newsletter` above
	// `newsletter.sport`; "" for none. A withdrawal of the parent ends what is
	// below it. Both are marketing or neither is, and the first version's parent
	// stays for ever.
	Parent string
	// Bases are the legal bases that records may rest on (ledger.Bases, Art. 6(1)
	// GDPR, § 7(3) UWG); empty means consent alone.
	Bases []string
	// Explicit: consent must be declared explicitly (Art. 9(2)(a) GDPR), and is
	// the only basis.
	Explicit    bool
	DoubleOptIn bool
	// DoubleOptInChannels narrows DoubleOptIn; empty means every channel.
	DoubleOptInChannels []string
	// TokenLifetime is how long a confirmation link is good, in whole seconds
	// from 1 s to 90 days; 0 means 7 days.
	TokenLifetime time.Duration
	// MinimumGrade is the evidence that a consent must have to be used, A to E;
	// "" means any.
	MinimumGrade string
	// MinimumAge is the age in years, 1 to 21, below which a guardian must consent
	// (Art. 8 GDPR); 0 means none.
	MinimumAge int64
	// IPPolicy is what is kept of IP addresses: none, truncated (the network, /24
	// or /48; "" means this) or full.
	IPPolicy string
	// TrackingMode is how far people are tracked who have said nothing; for the
	// tracking purposes only (ledger.TrackingPurposes).
	TrackingMode string
	// ValidityDays is how long a grant is good, in days, at most 36,500; 0 means
	// until it is withdrawn: consent does not lapse by time alone (BGH III ZR
	// 196/17).
	ValidityDays int64
	// Retention, in days; at most 36,500. LockDays: after a consent has ended it
	// is locked (0 means 30). LapsedDays: after a request has lapsed it is
	// shredded (0 means 30). UnusedDays: a consent that is not used for so long
	// is treated as UnusedMeasure says, warn (the default), block or expire; 0
	// means never. UnusedWarnDays: before it is blocked or expires, checks warn
	// from then on. EvidenceDays: for how long the evidence of a locked consent is
	// kept after whatever happened last; 0 means until the end of the third
	// calendar year after it.
	LockDays, LapsedDays, UnusedDays, UnusedWarnDays, EvidenceDays int64
	UnusedMeasure                                                  string
	// EffectHours is within how many hours the end of a consent must have taken
	// effect in every system that works with it, at most 8,784 (a leap year); 0 says
	// nothing. What is late is reported: see [Service.RecordWithdrawalEffected].
	EffectHours int64
	// Balancing is the document that weighs the controller's legitimate interest
	// against the person's (Art. 6(1)(f) GDPR), of the claim `document`; nil leaves
	// it to each assertion. It is kept with the ledger's own claims.
	Balancing      *Attachment `json:"-"`
	IdempotencyKey string      `json:"-"`
	Proof          bool        `json:"-"`
}

// Purpose is a purpose in force.
type Purpose struct {
	PurposeDefinition // its Balancing is nil
	Version           int64
	Index             ledger.Index
	// BalancingSHA256 is that of the document, zero if there is none; its bytes:
	// [Service.Document].
	BalancingSHA256 ledger.Hash
}

// DefinePurpose defines a purpose, or supersedes it with a new version. The same
// definition again writes nothing.
func (s *Service) DefinePurpose(ctx context.Context, src Source, d PurposeDefinition) (*Purpose, *Entry, error) {
	if err := d.check(); err != nil {
		return nil, nil, err
	}
	claims, files, err := documented("balancing", d.Balancing, nil)
	if err != nil {
		return nil, nil, err
	}
	once, err := s.once(src, d.IdempotencyKey, []any{"DefinePurpose", d, valuesOf(claims)})
	if err != nil {
		return nil, nil, err
	}
	claims = append(claims, newClaim("title", d.Title))
	at, err := s.declareWith(ctx, src, once, claims, files, func(t *turn) (*declaration, error) {
		before, again, err := t.log.Purpose(d.ID)
		if err != nil {
			return nil, err
		}
		if err := d.checkTree(t, before); err != nil {
			return nil, err
		}
		if again {
			if same, err := t.samePurpose(before, d, claims); same || err != nil {
				return &declaration{stands: before.Index}, err
			}
		}
		e := d.entry()
		e.Version, e.Commits = before.Version+1, commitments(claims)
		return &declaration{entry: e}, t.seal(s.vault.LedgerKey(), claims)
	})
	if err != nil {
		return nil, nil, err
	}
	return s.definedPurpose(at, d.Proof)
}

// check checks a definition by itself, and fills in what is left out.
func (d *PurposeDefinition) check() error {
	if err := checkID(d.ID, d.Insist); err != nil {
		return err
	}
	if d.ID == ledger.AllMarketing {
		return refusal.Invalid("id", "is reserved")
	}
	if err := checkText("title", d.Title, maxTitle, false); err != nil {
		return err
	}
	if d.Parent != "" && (!ledger.IsIdentifier(d.Parent) || d.Parent == d.ID) {
		return refusal.Invalid("parent", "is not the id of another purpose")
	}
	for _, check := range []func() error{d.checkBases, d.checkDoubleOptIn, d.checkDemands, d.checkPeriods} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (d *PurposeDefinition) checkBases() error {
	for i, b := range d.Bases {
		switch {
		case !ledger.IsBasis(b):
			return refusal.Invalid(path("bases", i), "is not a legal basis; they are %s", strings.Join(ledger.Bases(), ", "))
		case b == ledger.ExistingCustomer.String() && !d.Marketing:
			return refusal.Invalid(path("bases", i), "carries marketing only, § 7(3) UWG")
		}
	}
	d.Bases = asSet(d.Bases)
	if len(d.Bases) == 0 {
		d.Bases = []string{ledger.ByConsent.String()}
	}
	if d.Explicit && (len(d.Bases) > 1 || d.Bases[0] != ledger.ByConsent.String()) {
		return refusal.Invalid("explicit", "needs consent as the only basis, Art. 9(2)(a) GDPR")
	}
	if d.Balancing != nil && !slices.Contains(d.Bases, ledger.LegitimateInterest.String()) {
		return refusal.Invalid("balancing", "belongs to legitimate_interest, which is none of the bases")
	}
	return nil
}

func (d *PurposeDefinition) checkDoubleOptIn() error {
	for i, c := range d.DoubleOptInChannels {
		if !ledger.IsChannel(c) {
			return refusal.Invalid(path("double_opt_in_channels", i), "is not a channel")
		}
	}
	d.DoubleOptInChannels = asSet(d.DoubleOptInChannels)
	if len(d.DoubleOptInChannels) > 0 && !d.DoubleOptIn {
		return refusal.Invalid("double_opt_in_channels", "narrow double_opt_in, which is not set")
	}
	if d.TokenLifetime == 0 {
		d.TokenLifetime = defaultLifetime
	}
	if d.TokenLifetime < minLifetime || d.TokenLifetime > maxLifetime || d.TokenLifetime%time.Second != 0 {
		return refusal.Invalid("token_lifetime", "must be whole seconds from %v to %v", minLifetime, maxLifetime)
	}
	return nil
}

// checkDemands checks what a purpose demands of a consent, and what is kept or
// recorded under it.
func (d *PurposeDefinition) checkDemands() error {
	if _, ok := ledger.ParseGrade(d.MinimumGrade); !ok {
		return refusal.Invalid("minimum_grade", "must be a grade from A to E")
	}
	if d.MinimumAge < 0 || d.MinimumAge > maxMinimumAge {
		return refusal.Invalid("minimum_age", "must lie between 0 and %d years", maxMinimumAge)
	}
	if d.IPPolicy == "" {
		d.IPPolicy = ledger.DefaultIPPolicy
	}
	switch {
	case !ledger.IsIPPolicy(d.IPPolicy):
		return refusal.Invalid("ip_policy", "must be %s", strings.Join(ledger.IPPolicies(), " or "))
	case d.TrackingMode != "" && !ledger.IsTracking(d.ID):
		return refusal.Invalid("tracking_mode", "belongs to the purposes %s", strings.Join(ledger.TrackingPurposes(), ", "))
	case d.TrackingMode != "" && !ledger.IsMode(d.TrackingMode):
		return refusal.Invalid("tracking_mode", "must be %s", strings.Join(ledger.Modes(), " or "))
	}
	return nil
}

// checkPeriods checks the periods of a purpose and fills in what is left out.
func (d *PurposeDefinition) checkPeriods() error {
	for _, f := range []struct {
		path string
		days int64
	}{{"validity_days", d.ValidityDays}, {"lock_days", d.LockDays}, {"lapsed_days", d.LapsedDays}, {"unused_days", d.UnusedDays},
		{"unused_warn_days", d.UnusedWarnDays}, {"evidence_days", d.EvidenceDays}} {
		if f.days < 0 || f.days > maxDays {
			return refusal.Invalid(f.path, "must lie between 0 and %d", maxDays)
		}
	}
	if d.EffectHours < 0 || d.EffectHours > maxEffectHours {
		return refusal.Invalid("effect_hours", "must lie between 0 and %d", maxEffectHours)
	}
	d.LockDays, d.LapsedDays = orDefault(d.LockDays, defaultLockDays), orDefault(d.LapsedDays, defaultLapsedDays)
	if d.UnusedDays > 0 && d.UnusedMeasure == "" {
		d.UnusedMeasure = measureWarn
	}
	switch {
	case d.UnusedDays == 0 && d.UnusedMeasure != "":
		return refusal.Invalid("unused_measure", "belongs to unused_days, which is not set")
	case d.UnusedMeasure != "" && !ledger.IsUnusedMeasure(d.UnusedMeasure):
		return refusal.Invalid("unused_measure", "must be %s", strings.Join(ledger.UnusedMeasures(), " or "))
	case d.UnusedWarnDays > 0 && (d.UnusedDays == 0 || d.UnusedMeasure == measureWarn):
		return refusal.Invalid("unused_warn_days", "warn of a block or an expiry, which unused_days and unused_measure do not set")
	case d.UnusedWarnDays > 0 && d.UnusedWarnDays >= d.UnusedDays:
		return refusal.Invalid("unused_warn_days", "must be fewer than unused_days")
	}
	return nil
}

// checkTree checks the neighbours of a purpose in the tree of purposes; before is
// its version in force. That it keeps its parent, and is of the same sort, the
// rules see to: [ledger.Step].
func (d *PurposeDefinition) checkTree(t *turn, before ledger.Purpose) (err error) {
	if d.Parent != "" {
		if _, err := knownPurpose(t.log, "parent", d.Parent); err != nil {
			return err
		}
	}
	if before.Version == 0 || before.Marketing == d.Marketing {
		return nil
	}
	t.log.Purposes(func(p ledger.Purpose) {
		if p.Parent == d.ID {
			err = refusal.Precondition("parent", "purposes below this one are marketing, or are not, as it was")
		}
	})
	return err
}

// entry gives the entry that defines the purpose, without its version. What is
// the default is not written.
func (d *PurposeDefinition) entry() *ledger.Entry {
	e := &ledger.Entry{Kind: ledger.PurposeDefined, Purpose: d.ID, Parent: d.Parent, Marketing: yesNo(d.Marketing), Bases: d.Bases,
		DoubleOptIn: yesNo(d.DoubleOptIn), DOIChannels: d.DoubleOptInChannels, Lifetime: int64(d.TokenLifetime / time.Second),
		MinimumGrade: d.MinimumGrade, MinimumAge: d.MinimumAge, IPPolicy: d.IPPolicy, TrackingMode: d.TrackingMode,
		ValidityDays: d.ValidityDays, LockDays: d.LockDays, LapsedDays: d.LapsedDays, UnusedDays: d.UnusedDays,
		UnusedMeasure: d.UnusedMeasure, UnusedWarnDays: d.UnusedWarnDays, EvidenceDays: d.EvidenceDays, Explicit: onlyYes(d.Explicit), EffectHours: d.EffectHours}
	if slices.Equal(e.Bases, []string{ledger.ByConsent.String()}) {
		e.Bases = nil
	}
	if e.IPPolicy == ledger.DefaultIPPolicy {
		e.IPPolicy = ""
	}
	return e
}

// definition gives back what an administrator defined; it is the inverse of
// check and entry.
func definition(p ledger.Purpose, title string) PurposeDefinition {
	d := PurposeDefinition{ID: p.ID, Title: title, Parent: p.Parent, Marketing: p.Marketing, Explicit: p.Explicit,
		DoubleOptIn: p.DoubleOptIn, DoubleOptInChannels: p.DOIChannels, TokenLifetime: p.Lifetime,
		MinimumGrade: p.MinimumGrade.String(), MinimumAge: p.MinimumAge, IPPolicy: p.IPPolicy, TrackingMode: p.TrackingMode.String(),
		ValidityDays: p.ValidityDays, LockDays: p.LockDays, LapsedDays: p.LapsedDays, UnusedDays: p.UnusedDays,
		UnusedMeasure: p.UnusedMeasure, UnusedWarnDays: p.UnusedWarnDays, EvidenceDays: p.EvidenceDays, EffectHours: p.EffectHours}
	for _, b := range p.Bases {
		d.Bases = append(d.Bases, b.String())
	}
	if len(d.Bases) == 0 {
		d.Bases = []string{ledger.ByConsent.String()}
	}
	return d
}

// samePurpose reports whether a definition with these claims says what stands
// already.
func (t *turn) samePurpose(before ledger.Purpose, d PurposeDefinition, claims []claim) (bool, error) {
	own, err := t.ownClaims(before.Index)
	d.Balancing, d.IdempotencyKey, d.Proof = nil, "", false
	return own.say(claims) && reflect.DeepEqual(definition(before, d.Title), d), err
}

// definedPurpose shows the purpose as the entry at i defined it.
func (s *Service) definedPurpose(i ledger.Index, proof bool) (*Purpose, *Entry, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	entry, parsed, err := s.entry(snap, i, proof)
	if err != nil {
		return nil, nil, err
	}
	p, _, err := snap.PurposeAt(parsed.Purpose, ledger.Size(i)+1)
	if err != nil {
		return nil, nil, err
	}
	shown, err := s.showPurpose(snap, p)
	return shown, &entry, err
}

func (s *Service) showPurpose(snap *store.Snapshot, p ledger.Purpose) (*Purpose, error) {
	_, e, err := readEntry(snap, p.Index)
	if err != nil {
		return nil, err
	}
	own, err := s.ownClaims(e)
	return &Purpose{definition(p, own["title"].value), p.Version, p.Index, own["document"].sha256()}, err
}

// ListPurposes lists the newest version of every purpose, by id.
func (s *Service) ListPurposes() ([]*Purpose, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	var list []*Purpose
	var failed error
	snap.Purposes(func(p ledger.Purpose) {
		shown, err := s.showPurpose(snap, p)
		if err != nil {
			failed = err
		}
		list = append(list, shown)
	})
	if failed != nil {
		return nil, failed
	}
	slices.SortFunc(list, func(a, b *Purpose) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}
