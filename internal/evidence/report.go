package evidence

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// The document of [WriteAccessJSON] without its files. ACCESS.md says what each field
// means; a test compares the two.

type report struct {
	Format      string           `json:"format"`
	Made        reportMade       `json:"made"`
	Summary     []string         `json:"summary"`
	Identifiers []reportID       `json:"identifiers"`
	Suppressed  []reportListed   `json:"suppressed"`
	Consents    []reportConsent  `json:"consents"`
	Tracking    []reportTracking `json:"tracking"`
	Requests    []reportRequest  `json:"requests"`
	Purposes    []reportPurpose  `json:"purposes"`
	Processors  []reportParty    `json:"processors"`
	Notices     []reportNotice   `json:"notices"`
	Entries     []reportEntry    `json:"entries"`
}

type reportMade struct {
	At         string         `json:"at"`
	Controller string         `json:"controller"`
	Ledger     string         `json:"ledger"`
	LogSize    int64          `json:"log_size"`
	RecordedBy []ledger.Index `json:"recorded_by"`
}

type reportID struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

type reportListed struct {
	Identifier reportID `json:"identifier"`
	Purpose    string   `json:"purpose"`
}

type reportConsent struct {
	ConsentID     ledger.ConsentID `json:"consent_id"`
	InWords       string           `json:"in_words"`
	Purpose       string           `json:"purpose"`
	PurposeAt     int64            `json:"purpose_version,omitempty"`
	Channel       string           `json:"channel"`
	Basis         string           `json:"legal_basis"`
	State         string           `json:"state"`
	Overlays      []string         `json:"overlays,omitempty"`
	Grade         string           `json:"grade,omitempty"`
	Notice        string           `json:"notice,omitempty"`
	Request       ledger.ConsentID `json:"request"`
	GrantedAt     string           `json:"granted_at,omitempty"`
	UsedAt        string           `json:"last_used_at,omitempty"`
	EndedAt       string           `json:"ended_at,omitempty"`
	ClickedAfter  *float64         `json:"clicked_after_seconds,omitempty"`
	ValidUntil    string           `json:"valid_until,omitempty"`
	Restriction   string           `json:"restricted_on,omitempty"`
	Holds         []ledger.Index   `json:"holds,omitempty"`
	LockedUntil   string           `json:"locked_until,omitempty"`
	EvidenceUntil string           `json:"evidence_until"`
	Next          []reportDue      `json:"next,omitempty"`
	PassedTo      []reportPassed   `json:"passed_to,omitempty"`
	History       []reportEvent    `json:"history"`
}

type reportDue struct {
	Rule    string `json:"rule"`
	Measure string `json:"measure"`
	At      string `json:"at"`
}

type reportPassed struct {
	Processor string       `json:"processor,omitempty"`
	Recipient string       `json:"recipient,omitempty"`
	Uses      int          `json:"uses"`
	Last      ledger.Index `json:"last_entry"`
}

type reportEvent struct {
	Entry   ledger.Index `json:"entry"`
	InWords string       `json:"in_words"`
}

type reportTracking struct {
	Purpose string `json:"purpose"`
	Channel string `json:"channel"`
	Mode    string `json:"mode"`
}

type reportRequest struct {
	Entry    ledger.Index   `json:"entry"`
	Article  string         `json:"article"`
	Received string         `json:"received_at"`
	Due      string         `json:"due"`
	Extended bool           `json:"extended"`
	Outcome  string         `json:"outcome,omitempty"`
	Refusal  string         `json:"refusal,omitempty"`
	Closed   string         `json:"closed_at,omitempty"`
	Entries  []ledger.Index `json:"entries"`
}

type reportPurpose struct {
	ID             string   `json:"purpose"`
	Version        int64    `json:"version"`
	Entry          int64    `json:"entry"`
	Title          string   `json:"title"`
	Parent         string   `json:"parent,omitempty"`
	Marketing      bool     `json:"marketing"`
	Bases          []string `json:"legal_bases"`
	Explicit       bool     `json:"explicit"`
	DoubleOptIn    bool     `json:"double_opt_in"`
	DoubleOptInOn  []string `json:"double_opt_in_channels,omitempty"`
	MinimumGrade   string   `json:"minimum_grade,omitempty"`
	MinimumAge     int64    `json:"minimum_age,omitempty"`
	IPPolicy       string   `json:"ip_policy"`
	TrackingMode   string   `json:"tracking_mode,omitempty"`
	ValidityDays   int64    `json:"validity_days,omitempty"`
	UnusedDays     int64    `json:"unused_days,omitempty"`
	UnusedMeasure  string   `json:"unused_measure,omitempty"`
	UnusedWarnDays int64    `json:"unused_warn_days,omitempty"`
	LockDays       int64    `json:"lock_days,omitempty"`
	LapsedDays     int64    `json:"lapsed_days,omitempty"`
	EvidenceDays   int64    `json:"evidence_days,omitempty"`
	EffectHours    int64    `json:"effect_hours,omitempty"`
}

type reportParty struct {
	Processor string   `json:"processor"`
	Name      string   `json:"name"`
	Address   string   `json:"address,omitempty"`
	Country   string   `json:"country,omitempty"`
	Covers    []string `json:"covers"`
	Since     string   `json:"since"`
	Ended     string   `json:"ended_at,omitempty"`
}

type reportNotice struct {
	Notice      string              `json:"notice"`
	Shown       bool                `json:"shown"`
	Entry       ledger.Index        `json:"entry"`
	Language    string              `json:"language"`
	Use         string              `json:"use"`
	Checkbox    string              `json:"checkbox,omitempty"`
	Conditional string              `json:"conditional_on,omitempty"`
	Covers      []string            `json:"covers"`
	SHA256      string              `json:"sha256"`
	Text        string              `json:"text"`
	Facts       service.NoticeFacts `json:"facts"`
	Missing     []string            `json:"missing,omitempty"`
}

type reportEntry struct {
	Entry    ledger.Index       `json:"entry"`
	InWords  string             `json:"in_words"`
	Time     string             `json:"time"`
	Occurred string             `json:"occurred_at,omitempty"`
	Kind     string             `json:"kind"`
	Source   string             `json:"source"`
	Consents []ledger.ConsentID `json:"consents"`
	LeafHash string             `json:"leaf_hash"`
	Text     string             `json:"text"`
	LeftOut  int                `json:"lines_left_out,omitempty"`
	Claims   []reportClaim      `json:"claims,omitempty"`
}

type reportClaim struct {
	Claim string      `json:"claim"`
	Value string      `json:"value"`
	Salt  string      `json:"salt"`
	File  *reportFile `json:"file,omitempty"`
}

type reportFile struct {
	Name      string `json:"name,omitempty"`
	MediaType string `json:"media_type,omitempty"`
	SHA256    string `json:"sha256"`
	Kept      bool   `json:"kept"`
}

// newReport gives a dossier the form of the document.
func newReport(d *service.Dossier) *report {
	t := newTeller(d)
	r := &report{Format: AccessFormat, Summary: summary(d, t), Identifiers: []reportID{}, Suppressed: []reportListed{}, Consents: []reportConsent{},
		Tracking: []reportTracking{}, Requests: []reportRequest{}, Purposes: []reportPurpose{}, Processors: []reportParty{},
		Notices: []reportNotice{}, Entries: []reportEntry{}}
	r.Made = reportMade{stamp(d.At), d.Controller, d.Origin, int64(d.Size), []ledger.Index{}}
	for _, e := range d.Disclosed {
		r.Made.RecordedBy = append(r.Made.RecordedBy, e.Index)
	}
	for _, id := range d.Identifiers {
		r.Identifiers = append(r.Identifiers, reportID{string(id.Kind), id.Value})
	}
	for _, l := range d.Suppressed {
		r.Suppressed = append(r.Suppressed, reportListed{reportID{string(l.Identifier.Kind), l.Identifier.Value}, l.Purpose})
	}
	byIndex := map[ledger.Index]*service.HeldEntry{}
	for i := range d.Entries {
		byIndex[d.Entries[i].Index] = &d.Entries[i]
		r.Entries = append(r.Entries, entryOf(&d.Entries[i], t))
	}
	for i := range d.Consents {
		r.Consents = append(r.Consents, consentOf(&d.Consents[i], t, byIndex))
	}
	for _, x := range d.Tracking {
		r.Tracking = append(r.Tracking, reportTracking(x))
	}
	for _, x := range d.Requests {
		r.Requests = append(r.Requests, reportRequest{x.Index, x.Article, stamp(x.Received), stamp(x.Due), x.Extended, x.Outcome, x.Refusal, stamp(x.Closed), x.Entries})
	}
	for _, p := range d.Purposes {
		r.Purposes = append(r.Purposes, purposeOf(p))
	}
	for _, p := range d.Processors {
		r.Processors = append(r.Processors, reportParty{p.ID, p.Title, p.Claims["address"], p.Country, nonNil(p.Covers), stamp(p.Since), stamp(p.Ended)})
	}
	for _, n := range d.Notices {
		r.Notices = append(r.Notices, reportNotice{n.Name, n.Shown, n.Index, n.Language, n.Use, n.Checkbox, n.ConditionalOn, n.Covers,
			hex.EncodeToString(n.SHA256[:]), n.Text, n.Facts, n.Missing})
	}
	return r
}

// summary says in a few sentences what follows.
func summary(d *service.Dossier, t *teller) (list []string) {
	if !d.Held() {
		list = append(list, "Nothing is held about you in this ledger.")
	} else {
		list = append(list, fmt.Sprintf("This ledger of %s holds %d records about you, and %d entries about them. Each record is one consent or other ground, for one purpose on one channel.",
			d.Controller, len(d.Consents), len(d.Entries)),
			"What is written here is what was recorded. Personal values stand in the claims of the entries; all other lines of an entry are public to whoever audits the ledger, and name no person.",
			"You may have wrong data corrected (Art. 16 GDPR) or data erased (Art. 17), have their use restricted (Art. 18), take them elsewhere (Art. 20), object (Art. 21), withdraw a consent at any time (Art. 7(3)), "+
				"and complain to a supervisory authority (Art. 77). The notices say how to reach the controller.")
	}
	for _, l := range d.Suppressed {
		list = append(list, fmt.Sprintf("Your %s stands on the list of those who must not be written to for %s. The list keeps a keyed hash of it, the purpose and the month.",
			strings.ReplaceAll(string(l.Identifier.Kind), "_", " "), t.purpose(l.Purpose)))
	}
	return list
}

func consentOf(c *service.HeldConsent, t *teller, entries map[ledger.Index]*service.HeldEntry) reportConsent {
	r := reportConsent{ConsentID: c.ID, Purpose: c.Purpose, PurposeAt: c.PurposeVersion, Channel: c.Channel, Basis: c.Basis, State: c.State.String(),
		Overlays: c.Overlays, Grade: c.Grade, Notice: c.Notice, Request: c.Request, GrantedAt: stamp(c.Granted), UsedAt: stamp(c.Used),
		EndedAt: stamp(c.Ended), ValidUntil: stamp(c.ValidUntil), Restriction: c.Restriction, Holds: c.Holds,
		LockedUntil: stamp(c.LockedUntil), EvidenceUntil: stamp(c.EvidenceUntil), InWords: inWords(c, t)}
	if c.SinceSent != nil {
		seconds := c.SinceSent.Seconds()
		r.ClickedAfter = &seconds
	}
	for _, x := range c.Due {
		r.Next = append(r.Next, reportDue{x.Rule, x.Measure, stamp(x.At)})
	}
	for _, x := range c.Passed {
		r.PassedTo = append(r.PassedTo, reportPassed(x))
	}
	for _, i := range c.Entries {
		r.History = append(r.History, reportEvent{i, t.sentence(entries[i])})
	}
	return r
}

// inWords says how a record stands.
func inWords(c *service.HeldConsent, t *teller) string {
	s := fmt.Sprintf("%s %s: %s", t.purpose(c.Purpose), words(channelWords, c.Channel), words(stateWords, c.State.String()))
	if c.Basis != "" && c.State == ledger.Asserted {
		s += " The ground is " + words(basisWords, c.Basis) + "."
	}
	if c.Restriction != "" {
		s += " Its use is restricted: " + words(groundWords, c.Restriction) + "."
	}
	if !c.LockedUntil.IsZero() && slices.Contains(c.Overlays, "locked") {
		s += " It is locked until " + moment(c.LockedUntil) + " and kept for legal claims only."
	}
	if len(c.Holds) > 0 {
		s += " A hold keeps it from being destroyed."
	}
	if !c.ValidUntil.IsZero() {
		s += " Unless it is used or renewed it ends on " + moment(c.ValidUntil) + "."
	}
	return s
}

func entryOf(e *service.HeldEntry, t *teller) reportEntry {
	r := reportEntry{e.Index, t.sentence(e), exact(e.Time), stamp(e.Occurred), string(e.Kind), e.Source, e.Of,
		hash(e.Leaf), e.Text, e.Omitted, nil}
	for _, c := range e.Claims {
		claim := reportClaim{c.Claim, c.Value, salt(c), nil}
		if f := c.File; f != nil {
			claim.File = &reportFile{f.Name, f.MediaType, f.SHA256, f.Kept}
		}
		r.Claims = append(r.Claims, claim)
	}
	return r
}

func purposeOf(p *service.Purpose) reportPurpose {
	return reportPurpose{p.ID, p.Version, int64(p.Index), p.Title, p.Parent, p.Marketing, nonNil(p.Bases), p.Explicit, p.DoubleOptIn, p.DoubleOptInChannels,
		p.MinimumGrade, p.MinimumAge, p.IPPolicy, p.TrackingMode, p.ValidityDays, p.UnusedDays, p.UnusedMeasure, p.UnusedWarnDays,
		p.LockDays, p.LapsedDays, p.EvidenceDays, p.EffectHours}
}

// hash spells a hash as entries do.
func hash(h ledger.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

// salt spells a salt as RFC 9901 disclosures do.
func salt(c service.HeldClaim) string { return base64.RawURLEncoding.EncodeToString(c.Salt[:]) }

// nonNil makes an empty list one that JSON writes as such.
func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// stamp gives a time to the second (RFC 3339, UTC), "" for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// exact gives the ledger's time as entries spell it.
func exact(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
