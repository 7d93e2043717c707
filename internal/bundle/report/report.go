// Package report writes what a proof bundle shows, as a court reads it: the question
// answered on the first page, then the course of events as a picture and as sentences,
// the words that were shown, how the click was made and how well it is proven, who was
// told, the technique, what cannot be proven, and every entry verbatim.
//
// Start with [Case] and with [HTML] or [PDF]. Both say the same, in German or English:
// they print one document that is made of the entries. What an entry records, the state
// and the grade that follow from it are derived here from its bytes; of what the caller
// says besides, disclosures, notices and files must have the hash that an entry names.
// A report proves nothing by itself, and says so: the verifier makes its verdict of the
// evidence. Of an auditor's bundle, which is about a range of the log, it tells on one
// page what is there.
//
// Equal input gives equal bytes. All functions are safe for concurrent use as long as
// nobody changes the case. A report is made in memory: about 40 KB per page of PDF.
package report

import (
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/consentledger/consentledger/ledger"
)

// Language is the language of a report.
type Language string

// The languages.
const (
	German  Language = "de"
	English Language = "en"
)

// Languages lists the languages in which a report can be written.
func Languages() []Language { return []Language{German, English} }

// ErrCase says that a case contradicts itself, so that no report can be made of it.
var ErrCase = errors.New("case contradicts itself")

// Case is what a report is about.
type Case struct {
	Origin     string // of the log
	Controller string // as entry 0 names it
	// Company is the controller's name and address as its notices give them, "" where
	// none does.
	Company string
	// Size and Root are those of the checkpoint in whose tree the entries are proven.
	Size ledger.Size
	Root ledger.Hash
	// Zone is the controller's time zone; nil is UTC. Every time is given in both.
	Zone *time.Location

	Custody   Custody
	Questions []Question
	Consents  []Consent // the records that the report is about, ascending
	Entries   []Entry   // each once, ascending
	Notices   []Notice  // every one that an entry names as shown, by name
	Files     []File    // what disclosed values name
	// Range, if set, says that the report is about these entries, for an auditor; then
	// there are no Consents and no Questions.
	Range *Range

	// Purposes and Processors give titles by id; what has none stands for itself.
	Purposes, Processors map[string]string
	// Trust are the words of the verdict on times and history: UNANCHORED, or those
	// of STAMPED, STAMPED_QUALIFIED and `WITNESSED 2` that hold.
	Trust []string
}

// Range is entries that follow one another, those start ≤ index < end. Entries may
// hold others beside them.
type Range struct{ Start, End ledger.Index }

// Custody says who made the report, when and why.
type Custody struct {
	Made      time.Time
	Exporter  string       // the name of the API key
	Recipient string       // for whom
	Reason    string       // why
	Tool      string       // name and version
	Export    ledger.Index // the bundle.exported; 0 for none
}

// Question asks whether there was consent at a moment.
type Question struct {
	Purpose, Channel string
	At               time.Time
	// Reason is the answer in the vocabulary of CheckConsent.
	Reason string
	// Consent is the record that decided, 0 if none did.
	Consent ledger.ConsentID
	// Hindsight, if set, says what the answer is less what was recorded later and
	// bears on that moment, such as an invalidation.
	Hindsight *bool
}

// Consent is a record that a report is about.
type Consent struct {
	ID ledger.ConsentID
	// Proven is the state.committed as of which the state is proven, 0 for none.
	Proven ledger.Index
}

// Entry is an entry with what the bundle knows of it.
type Entry struct {
	Text      []byte // the exact bytes
	Interval  ledger.Interval
	Disclosed []ledger.Disclosure // chosen for this recipient; other claims stay commitments
	// Irregular names its irregularities, as in consent.used.withdrawn.
	Irregular []string
}

// Notice is a text as it was shown.
type Notice struct {
	ledger.NoticeRef
	Language string
	Text     []byte
	// Facts is the JSON document with what it tells as fields, in the controller's
	// words; nil if it has none.
	Facts []byte
}

// File is the bytes that a disclosed value names, such as a mail.
type File struct {
	SHA256 ledger.Hash
	Size   int64
	Head   []byte // its first [FileHead] bytes, all if it has fewer
}

// FileHead is how many bytes of a file a report needs: at most 16 KiB are printed, and
// not a part of a letter.
const FileHead = maxFileShown + utf8.UTFMax

// HTML writes the report as one file: it needs nothing else, runs no script, loads
// nothing, and prints well.
func HTML(w io.Writer, c *Case, l Language) error {
	d, err := newDocument(c, l)
	if err != nil {
		return err
	}
	return writeHTML(w, d)
}

// PDF writes the report as PDF, A4. Characters that its fonts do not have are
// printed as codes, as in ⟨U+4E2D⟩: nothing vanishes.
func PDF(w io.Writer, c *Case, l Language) error {
	d, err := newDocument(c, l)
	if err != nil {
		return err
	}
	return writePDF(w, d)
}

// wrong gives an error that wraps ErrCase.
func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCase}, args...)...)
}
