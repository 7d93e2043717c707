package verdict

import (
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Format names the form of [Report] as JSON. Within a version members are added, never
// renamed.
const Format = "consent-ledger/verify-bundle/v1"

// Report says what a bundle shows, in words that JSON can carry. It holds no personal
// data: of disclosures the names of the claims, never a value.
type Report struct {
	Format  string `json:"format"` // [Format]
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"` // why the verdict is not VERIFIED
	// About is what evidence/bundle.json says that the bundle is about: consents, or a
	// range of the log.
	About      string `json:"about,omitempty"`
	Origin     string `json:"origin,omitempty"`
	Controller string `json:"controller,omitempty"`
	// Size and Root are those of checkpoint.note.
	Size ledger.Size `json:"size"`
	Root string      `json:"root,omitempty"`
	// Made is when the bundle was made, by the operator's clock, as custody.json says.
	Made time.Time `json:"made,omitzero"`
	// Exported is the bundle.exported that records it; nil in an auditor's bundle.
	Exported *ledger.Index `json:"exported,omitempty"`
	// Anchors says whose word the history rests on, of the weakest entry that a question
	// rests on: UNANCHORED, or the witnesses and the time stamps.
	Anchors   string            `json:"anchors,omitempty"`
	Witnesses []string          `json:"witnesses,omitempty"`
	Cosigned  []ledger.Cosigned `json:"cosigned,omitempty"`
	// Stamps are the time stamps that count, in the order of their entries.
	Stamps           []ledger.Anchored   `json:"stamps,omitempty"`
	StampsNotCounted []ledger.NotCounted `json:"stamps_not_counted,omitempty"`
	// ManifestStamp is the time stamp over the whole bundle; nil where it has none.
	ManifestStamp *ManifestStamp `json:"manifest_stamp,omitempty"`

	Files       int `json:"files"` // of the container
	Entries     int `json:"entries"`
	Disclosed   int `json:"claims_disclosed"`
	Undisclosed int `json:"claims_not_disclosed"` // that the entries commit to besides

	Questions []Answered      `json:"questions,omitempty"`
	Consents  []ConsentReport `json:"consents,omitempty"`
	Range     *RangeReport    `json:"range,omitempty"`
	// Irregular are facts in the entries that happened though they should not have, at
	// most [ledger.MaxIrregular].
	Irregular []ledger.Irregularity `json:"irregular,omitempty"`
	// Log is the report about the whole copy of the log that the bundle was held
	// against; nil without one.
	Log *ledger.LogReport `json:"log,omitempty"`

	Checked    []string `json:"checked"`
	NotChecked []string `json:"not_checked"`
	// CannotProve lists what no verification of this bundle can show.
	CannotProve []string `json:"cannot_prove"`
}

// ManifestStamp is a time stamp over a bundle's manifest, and so over every file that it
// lists.
type ManifestStamp struct {
	Time      time.Time `json:"time,omitzero"`
	Accuracy  float64   `json:"accuracy_seconds,omitempty"`
	Authority string    `json:"authority,omitempty"`
	Qualified bool      `json:"qualified"`
	// NotCounted says why it counts for nothing; then the rest is empty.
	NotCounted string `json:"not_counted,omitempty"`
}

// Answered is a question that the report inside the bundle answers, answered anew from
// the entries: might this person be reached for this purpose on this channel at this
// moment, by what the ledger knew then?
type Answered struct {
	Purpose string    `json:"purpose"`
	Channel string    `json:"channel"`
	At      time.Time `json:"at"`
	Allowed bool      `json:"allowed"`
	Reason  string    `json:"reason"` // as CheckConsent gives it
	// Consent is the record that decided; nil if none did.
	Consent *ledger.ConsentID `json:"consent,omitempty"`
	// Hindsight is the answer less what was recorded later and bears on that moment.
	Hindsight bool `json:"hindsight"`
	// Grade says how well the consent that decided is proven; "" where there is none.
	Grade string `json:"grade,omitempty"`
	// Anchors is as in [Report], of the weakest entry of Evidence.
	Anchors  string     `json:"anchors"`
	Evidence []Evidence `json:"evidence"`
	// Missing says in whole sentences what would make it stronger and is not here.
	Missing []string `json:"missing"`
}

// Evidence is an entry that an answer rests on.
type Evidence struct {
	Entry ledger.Index `json:"entry"`
	Kind  string       `json:"kind"`
	Time  time.Time    `json:"time"` // the operator's clock
	// Bounds bounds the time by what others say; nil where nobody says anything.
	Bounds *ledger.Interval `json:"bounds,omitempty"`
	// Disclosed are the claims of the entry whose values the bundle discloses.
	Disclosed []string `json:"disclosed,omitempty"`
	// Says is what the entry shows: one sentence, without personal data.
	Says string `json:"says"`
}

// ConsentReport is a record that the bundle is about, as its entries lead to it.
type ConsentReport struct {
	Consent  ledger.ConsentID `json:"consent"`
	Purpose  string           `json:"purpose"`
	Channel  string           `json:"channel"`
	State    string           `json:"state"`
	Overlays []string         `json:"overlays,omitempty"`
	Grade    string           `json:"grade,omitempty"` // "" where it was never granted
	// Last is the entry that changed it last before the state.committed with the index
	// Committed: the state proof shows that none is missing.
	Last      ledger.Index `json:"last"`
	Committed ledger.Index `json:"committed"`
	// Entries are all of the bundle that belong to it.
	Entries []ledger.Index `json:"entries"`
	// Notice is the words that it was opened under, as in newsletter-de@3; "" for none.
	Notice string   `json:"notice,omitempty"`
	Erased *Erasure `json:"erased,omitempty"`
}

// Erasure says what became of a record whose evidence was erased.
type Erasure struct {
	Entry  ledger.Index `json:"entry"` // the subject.erased
	Time   time.Time    `json:"time"`  // of it, the operator's clock
	Reason string       `json:"reason"`
	// Shredded is the evidence.shredded that says that the keys were destroyed; nil
	// while none does. What follows is its word.
	Shredded          *ledger.Index `json:"shredded,omitempty"`
	Generation        int64         `json:"generation,omitempty"` // of the root key that replaced the destroyed one
	Medium            string        `json:"medium,omitempty"`     // where the destroyed one lay
	ContentsDestroyed time.Time     `json:"contents_destroyed,omitzero"`
	ExistenceDue      time.Time     `json:"existence_due,omitzero"`
	// ExistenceDestroyed is zero unless an entry of the bundle records it.
	ExistenceDestroyed time.Time `json:"existence_destroyed,omitzero"`
}

// RangeReport says which entries an auditor's bundle holds: all with start ≤ index < end.
type RangeReport struct {
	Start ledger.Index   `json:"start"`
	End   ledger.Index   `json:"end"`
	Kinds map[string]int `json:"entries_by_kind"`
}
