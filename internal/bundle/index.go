package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// Index is evidence/bundle.json: what a bundle is about, and where its pieces are. It
// proves nothing. Whatever it says that the entries say, too, must agree with them.
type Index struct {
	Format string `json:"format"` // [Format]; the first member
	// About is AboutConsents or AboutRange.
	About  string      `json:"about"`
	Origin string      `json:"origin"`
	Size   ledger.Size `json:"size"` // of checkpoint.note
	// Exported is the first part of the bundle.exported that says that this file was
	// made; nil in an auditor's bundle, which shows nobody's data and leaves no entry.
	Exported *ledger.Index `json:"exported,omitempty"`
	// Committed is the state.committed that the files of evidence/state belong to; nil
	// where there are none.
	Committed *ledger.Index     `json:"committed,omitempty"`
	Consents  []IndexedConsent  `json:"consents,omitempty"`  // ascending
	Questions []IndexedQuestion `json:"questions,omitempty"` // in the order of the report
	Range     *IndexedRange     `json:"range,omitempty"`
}

// What a bundle can be about.
const (
	AboutConsents = "consents" // records of one person
	AboutRange    = "range"    // consecutive entries, for an auditor
)

// IndexedConsent is a record that the bundle is about.
type IndexedConsent struct {
	ID      ledger.ConsentID `json:"consent"`
	Purpose string           `json:"purpose"`
	Channel string           `json:"channel"`
	// Entries are all entries of the log, as of the size of checkpoint.note, that opened
	// the record, changed or mention it, those that refer to one of these and name
	// nobody, and the first parts of lists of which a later part is here; ascending.
	Entries []ledger.Index `json:"entries"`
}

// IndexedQuestion is a question that the report answers: was there consent?
type IndexedQuestion struct {
	Purpose string    `json:"purpose"`
	Channel string    `json:"channel"`
	At      time.Time `json:"at"`
	// Allowed and Reason are what the ledger said; the verifier makes its own answer of
	// the entries. Reason is of the vocabulary of CheckConsent.
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
	// Consent is the record that decided; nil if none did.
	Consent *ledger.ConsentID `json:"consent,omitempty"`
	// Hindsight is the answer less what was recorded later and bears on that moment.
	Hindsight bool `json:"hindsight"`
}

// IndexedRange says that all entries start ≤ index < end are there.
type IndexedRange struct {
	Start ledger.Index `json:"start"`
	End   ledger.Index `json:"end"`
}

// Custody is custody.json: who made the bundle, when, why, for whom and with what
// (ISO/IEC 27037). It is the exporter's word; but that the bundle was made is an entry.
type Custody struct {
	Format    string         `json:"format"` // consent-ledger/custody/v1
	Origin    string         `json:"origin"`
	Made      time.Time      `json:"made"`
	Exporter  string         `json:"exporter"` // the name of the API key
	Recipient string         `json:"recipient,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Tool      string         `json:"tool"`                // name and version
	Exported  *ledger.Index  `json:"exported,omitempty"`  // as in [Index]
	Disclosed []ledger.Index `json:"disclosed,omitempty"` // the evidence.disclosed, all parts
	Size      ledger.Size    `json:"size"`
}

// CustodyFormat names the form of custody.json.
const CustodyFormat = "consent-ledger/custody/v1"

// Text gives the one spelling of evidence/bundle.json: indented JSON (RFC 8259), LF at
// the end.
func (x *Index) Text() []byte { return indented(x) }

// Text gives the one spelling of custody.json.
func (c *Custody) Text() []byte { return indented(c) }

// minNumberLine is the size in bytes of the shortest line with one of
// [IndexedConsent.Entries]: eight spaces, a digit, a comma, LF. Lines with other members
// are longer than that on an average.
const minNumberLine = 11

// ParseIndex parses evidence/bundle.json. It refuses members that it does not know and
// every spelling but that of [Index.Text], which is that of times in UTC.
func ParseIndex(b []byte) (*Index, error) {
	// What is parsed is not much larger than b: each record has a file and at most one
	// question, and in the one spelling a number takes a line.
	switch {
	case bytes.Count(b, []byte("{")) > 2*MaxFiles+2:
		return nil, fmt.Errorf("%s: more records and questions than a container has files", KindIndex)
	case bytes.Count(b, []byte(",")) > len(b)/minNumberLine:
		return nil, fmt.Errorf("%s: not in its one spelling", KindIndex)
	}
	x := new(Index)
	if err := parse(b, x, x.Text); err != nil {
		return nil, fmt.Errorf("%s: %w", KindIndex, err)
	}
	for _, q := range x.Questions {
		if q.At.Location() != time.UTC {
			return nil, fmt.Errorf("%s: a time is not in UTC", KindIndex)
		}
	}
	return x, nil
}

// ParseCustody parses custody.json, as strictly.
func ParseCustody(b []byte) (*Custody, error) {
	c := new(Custody)
	if err := parse(b, c, c.Text); err != nil {
		return nil, fmt.Errorf("%s: %w", KindCustody, err)
	}
	switch {
	case c.Format != CustodyFormat:
		return nil, fmt.Errorf("%s: format %q, want %q", KindCustody, c.Format, CustodyFormat)
	case c.Made.Location() != time.UTC:
		return nil, fmt.Errorf("%s: a time is not in UTC", KindCustody)
	}
	return c, nil
}

// parse parses what text spells.
func parse(b []byte, v any, text func() []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("not as expected: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something follows the document")
	}
	if !bytes.Equal(text(), b) {
		return fmt.Errorf("not in its one spelling")
	}
	return nil
}

func indented(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err) // neither a cycle nor a NaN
	}
	return b.Bytes()
}
