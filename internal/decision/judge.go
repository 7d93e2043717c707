package decision

import (
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// The send decision: may this person be reached for this purpose on this channel
// at this moment? [judge] is the whole of it. It reads no clock, no disk and no
// vault; what it must know are its facts.
//
//	of the person                                                     reason
//	1  the suppression list names the person for the purpose, one     suppressed
//	   above it or all marketing (marketing only; Art. 21(3) GDPR)
//	2  nothing is held about the person that the asker may see        unknown_subject
//	3  a record of the person, of whatever purpose, is restricted     restricted
//	   on ground (a), (b) or (c) of Art. 18(1) GDPR
//
//	of each record of the purpose on the channel                      reason
//	4  its state allows nothing: somebody was asked, refused,         pending lapsed refused expired
//	   withdrew (Art. 7(3)), objected, or it was ended                withdrawn objected revoked invalidated
//	5  an objection stands against the purpose, one above it or,      objected
//	   for marketing, all marketing, on this or any channel
//	   (Art. 21(2), (3)); it stops what was opened before it, and
//	   what somebody else than the person entered (asserted or
//	   imported) also after it; never what is no marketing and rests
//	   on a contract or a legal obligation
//	6  it is restricted on ground (d): an objection under             restricted
//	   Art. 21(1) waits for its answer
//	7  it rests on a basis that the purpose no longer names, or that  no_consent
//	   never carries it on this channel (§ 7(2), (3) UWG)
//	8  it is consent, and
//	   a  needs a double opt-in and has none                          double_opt_in_missing
//	   b  is proven worse than the purpose demands                    grade_too_low
//	   c  was granted longer ago than the purpose lets it count       expired
//	   d  was not used for longer than the purpose lets it rest       dormant, or expired where
//	                                                                  that is the measure
//	   e  is a child's, without a guardian, where age matters         guardian_missing
//	      (Art. 8 GDPR)
//	9  none of these: this record allows                              its state, or its basis
//
// One record that allows is enough. If several do, consent goes before what was
// asserted, what is not dormant before what is, what lasts longer before what
// ends sooner, and then the newest. If none does, the newest that failed at 6 or
// 8 says why; else the one that changed last; if there is none, no_consent. A
// request that waits for its click is pending until its newest link has expired,
// then lapsed: whoever tells the verdict looks that up, because it needs an entry.
//
// Limits. The age of a consent that was opened before its purpose asked for ages
// is not known and not asked. A withdrawal ends the records that it names and
// stops none that are opened after it; only an objection does.
func judge(d facts) Verdict {
	if d.suppressed {
		return Verdict{Reason: ReasonSuppressed}
	}
	if len(d.records) == 0 {
		return Verdict{Reason: ReasonUnknownSubject}
	}
	for _, r := range d.records {
		if r.restricts == wholePerson {
			return Verdict{Reason: ReasonRestricted, Record: r.Consent}
		}
	}
	best, failed, latest := Verdict{}, Verdict{Reason: ReasonNoConsent}, ledger.Consent{}
	objection := d.objection()
	for _, r := range d.records {
		if r.Consent != objection && (!d.concerns(r) || r.State.Allows() && !d.admits(r)) {
			continue
		}
		if latest.ID == 0 || r.Last > latest.Last {
			latest = r.Consent
		}
		v, decides := d.judgeRecord(r, objection)
		switch {
		case v.Allowed && (!best.Allowed || v.goesBefore(best)):
			best = v
		case decides && !v.Allowed && r.ID > failed.Record.ID:
			failed = v
		}
	}
	switch {
	case best.Allowed:
		return best
	case failed.Record.ID != 0 || latest.ID == 0:
		return failed
	case latest.State == ledger.Requested:
		return Verdict{Reason: ReasonPending, Record: latest}
	case latest.State.Allows():
		return Verdict{Reason: ledger.Objected.String(), Record: objection} // what else could have stopped it
	}
	return Verdict{Reason: latest.State.String(), Record: latest}
}

// facts is everything that a decision rests on.
type facts struct {
	purpose    ledger.Purpose
	stops      []string // the purposes of which an objection stops this one, see [StopsOf]
	channel    string
	at         time.Time
	suppressed bool
	records    []record // what the asker may see about the person; none for a stranger
}

// record is a record of a person with what else a decision looks at. Whoever
// fills it reads only what the purpose makes necessary.
type record struct {
	ledger.Consent
	restricts restricts // what the restriction that lies on it stops
	// grant and used are read for consents of a purpose with terms only.
	grant, used Stamp
}

// restricts is what a restriction stops, Art. 18 GDPR.
type restricts uint8

const (
	noRestriction restricts = iota
	thisRecord              // ground (d): what the objection that waits is about
	wholePerson             // grounds (a) to (c): everything, if one record of the person has it
)

// GroundObjection is the ground of a restriction that waits for the answer to an
// objection, Art. 18(1)(d) GDPR.
const GroundObjection = "art18_1_d"

// restrictsOn gives what a restriction on a ground stops.
func restrictsOn(ground string) restricts {
	switch ground {
	case "":
		return noRestriction
	case GroundObjection:
		return thisRecord
	}
	return wholePerson
}

// Verdict is what a decision says.
type Verdict struct {
	Allowed bool
	Reason  string         // of the vocabulary of CheckConsent
	Record  ledger.Consent // the one that decided; ID 0 if none did
	Dormant bool           // allowed, but not used for long
	Expires time.Time      // until when, by its terms, the record allows; zero for ever
	// Consented, of a tracking purpose: consent allows it, whether or not the mode
	// that holds is less.
	Consented bool
	asserted  bool
}

// Reasons that are not the name of a state or a basis.
const (
	ReasonUnknownSubject  = "unknown_subject"
	ReasonUnknownPurpose  = "unknown_purpose"
	ReasonNoConsent       = "no_consent"
	ReasonPending         = "pending"
	ReasonRestricted      = "restricted"
	ReasonSuppressed      = "suppressed"
	ReasonDoubleOptIn     = "double_opt_in_missing"
	ReasonGradeTooLow     = "grade_too_low"
	ReasonDormant         = "dormant"
	ReasonGuardianMissing = "guardian_missing"
)

// concerns reports whether a record speaks about the purpose on the channel.
func (d *facts) concerns(r record) bool {
	return r.Purpose == d.purpose.ID && (r.Channel == d.channel || r.Channel == ledger.AnyChannel)
}

// objection gives the newest objection that concerns the purpose on the channel;
// ID 0 for none. An objection opens its record, so the id says when it was made; a
// restriction that came and went since has moved Last.
func (d *facts) objection() (newest ledger.Consent) {
	for _, r := range d.records {
		if r.State == ledger.Objected && r.ID > newest.ID && slices.Contains(d.stops, r.Purpose) &&
			(r.Channel == d.channel || r.Channel == ledger.AnyChannel) {
			newest = r.Consent
		}
	}
	return newest
}

// admits is line 7: whether the purpose still rests on the record's basis, and
// may on this channel.
func (d *facts) admits(r record) bool {
	return d.purpose.Allows(r.Basis) && !r.Basis.Forbids(&d.purpose, d.channel)
}

// judgeRecord is lines 4 to 9 of one record. decides is false where it says
// nothing that the record's state does not say.
func (d *facts) judgeRecord(r record, objection ledger.Consent) (v Verdict, decides bool) {
	v.Record = r.Consent
	switch {
	case !r.State.Allows() || d.stopped(r, objection):
		return v, false
	case r.restricts != noRestriction:
		v.Reason = ReasonRestricted
	case r.State == ledger.Asserted:
		v.Allowed, v.Reason, v.asserted = true, r.Basis.String(), true
	default:
		d.judgeConsent(r, &v)
	}
	return v, true
}

// stopped is line 5.
func (d *facts) stopped(r record, objection ledger.Consent) bool {
	untouched := !d.purpose.Marketing && (r.Basis == ledger.Contract || r.Basis == ledger.LegalObligation)
	entered := r.State == ledger.Asserted || r.State == ledger.Imported
	return objection.ID != 0 && !untouched && (r.ID < objection.ID || entered)
}

// judgeConsent is line 8.
func (d *facts) judgeConsent(r record, v *Verdict) {
	p := &d.purpose
	valid, resting := ValidUntil(*p, r.grant), RestsUntil(*p, r.grant, r.used)
	switch {
	case p.NeedsDoubleOptIn(d.channel) && !doublyOptedIn(r.Consent):
		v.Reason = ReasonDoubleOptIn
	case !r.Grade().AtLeast(p.MinimumGrade):
		v.Reason = ReasonGradeTooLow
	case IsOver(valid, d.at):
		v.Reason = ledger.Expired.String()
	case IsOver(resting, d.at) && p.UnusedMeasure == MeasureExpire:
		v.Reason = ledger.Expired.String()
	case IsOver(resting, d.at):
		v.Reason = ReasonDormant
	case p.MinimumAge > 0 && r.Evidence&ledger.EvChild != 0 && r.Evidence&ledger.EvGuardian == 0:
		v.Reason = ReasonGuardianMissing
	default:
		v.Allowed, v.Reason, v.Expires = true, r.State.String(), Sooner(valid, resting)
		v.Dormant = IsOver(WarnedFrom(*p, r.grant, r.used), d.at)
	}
}

// doublyOptedIn reports whether a consent is good where a double opt-in is needed:
// the person confirmed it, or it was imported from a system that has it as
// confirmed (grade C or D; E is a claim only). What was only given is not, and does
// not become so by being renewed.
func doublyOptedIn(c ledger.Consent) bool {
	return c.Evidence&(ledger.EvConfirmed|ledger.EvImportC|ledger.EvImportD) != 0
}

// goesBefore reports whether a verdict that allows is told rather than another.
func (v *Verdict) goesBefore(other Verdict) bool {
	switch {
	case v.asserted != other.asserted:
		return other.asserted
	case v.Dormant != other.Dormant:
		return other.Dormant
	case !v.Expires.Equal(other.Expires):
		return v.Expires.IsZero() || !other.Expires.IsZero() && v.Expires.After(other.Expires)
	}
	return v.Record.ID > other.Record.ID
}
