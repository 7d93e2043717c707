package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
)

// Limits on the facts of a notice.
const (
	maxFact      = 4 << 10  // bytes of one text
	maxFactItems = 64       // texts of one list
	maxFacts     = 64 << 10 // bytes of the document
)

// NoticeFacts is what a notice tells, as fields: the information of Art. 13 GDPR,
// and what courts look for in the wording of a consent or in a mail. All of it is
// public, like the text: it is handed to every auditor, so it names functions
// (`datenschutz@…`), not people.
//
// A text has at most 4,096 bytes, a list at most 64 texts, and all of them
// together at most 65,536 bytes as JSON. What is left out is not given. That there
// are no recipients, or that nothing goes to third countries, is said by a list
// whose one item is `none`.
//
// In the log a notice's facts are the SHA-256 of one JSON document, which is
// stored and exported beside the text: the members of this struct in this order,
// under these names, absent ones left out, without white space between tokens, in
// UTF-8; in strings only `"`, `\`, U+2028, U+2029 and control characters are
// escaped, as encoding/json does.
type NoticeFacts struct {
	Controller         string   `json:"controller,omitempty"`          // Art. 13(1)(a): name and address
	Contact            string   `json:"contact,omitempty"`             // (1)(a), (b): how to reach it, and its data protection officer
	Recipients         []string `json:"recipients,omitempty"`          // (1)(e)
	ThirdCountries     []string `json:"third_countries,omitempty"`     // (1)(f)
	Retention          string   `json:"retention,omitempty"`           // (2)(a)
	Rights             string   `json:"rights,omitempty"`              // (2)(b), (c): access to portability, and to withdraw
	Refusal            string   `json:"refusal,omitempty"`             // (2)(e): what refusing means for the person
	AutomatedDecisions string   `json:"automated_decisions,omitempty"` // (2)(f)
	Authority          string   `json:"authority,omitempty"`           // (2)(d): where to complain
	Companies          []string `json:"companies,omitempty"`           // whose advertising it is
	Products           []string `json:"products,omitempty"`            // what is advertised
	Contents           string   `json:"contents,omitempty"`            // what the mails contain
	Frequency          string   `json:"frequency,omitempty"`           // how often they come
	Justification      string   `json:"justification,omitempty"`       // why a service depends on the consent
	AdvertisingFree    *bool    `json:"advertising_free,omitempty"`    // of a mail: it holds no advertising
}

// nothing is the one item of a list that says that there is nothing to list.
const nothing = "none"

// lists gives the lists by the names of their members.
func (f *NoticeFacts) lists() []factList {
	return []factList{{"recipients", f.Recipients, true}, {"third_countries", f.ThirdCountries, true},
		{"companies", f.Companies, false}, {"products", f.Products, false}}
}

type factList struct {
	name      string
	items     []string
	mayBeNone bool
}

func (f *NoticeFacts) texts() []factText {
	return []factText{{"controller", f.Controller}, {"contact", f.Contact}, {"retention", f.Retention}, {"rights", f.Rights},
		{"refusal", f.Refusal}, {"automated_decisions", f.AutomatedDecisions}, {"authority", f.Authority},
		{"contents", f.Contents}, {"frequency", f.Frequency}, {"justification", f.Justification}}
}

type factText struct{ name, text string }

// check checks each text and list; what is absent is.
func (f *NoticeFacts) check() error {
	for _, t := range f.texts() {
		if t.text == "" {
			continue
		}
		if err := checkText("facts."+t.name, t.text, maxFact, true); err != nil {
			return err
		}
	}
	for _, l := range f.lists() {
		if len(l.items) > maxFactItems {
			return refusal.Invalid("facts."+l.name, "has %d items, at most %d", len(l.items), maxFactItems)
		}
		for i, item := range l.items {
			at := path("facts."+l.name, i)
			if err := checkText(at, item, maxFact, true); err != nil {
				return err
			}
			if item == nothing && !(l.mayBeNone && len(l.items) == 1) {
				return refusal.Invalid(at, "stands alone, in recipients or third_countries, and says that there are none")
			}
			if slices.Contains(l.items[:i], item) {
				return refusal.Invalid(at, "stands twice in the list")
			}
		}
	}
	return nil
}

// document encodes the facts; nil when none is given.
func (f *NoticeFacts) document() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		panic("service: encoding strings: " + err.Error()) // strings always encode
	}
	document := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if string(document) == "{}" {
		return nil
	}
	return document
}

// parseFacts reads a document that document encoded.
func parseFacts(document []byte) (f NoticeFacts, err error) {
	if err = json.Unmarshal(document, &f); err != nil {
		err = fmt.Errorf("reading the facts of a notice: %w", err)
	}
	return f, err
}

// missing names the facts of Art. 13 GDPR that are not given, in the order of the
// fields.
func (f *NoticeFacts) missing() (names []string) {
	for _, m := range []struct {
		name  string
		given bool
	}{
		{"controller", f.Controller != ""}, {"contact", f.Contact != ""}, {"recipients", len(f.Recipients) > 0},
		{"third_countries", len(f.ThirdCountries) > 0}, {"retention", f.Retention != ""}, {"rights", f.Rights != ""},
		{"refusal", f.Refusal != ""}, {"automated_decisions", f.AutomatedDecisions != ""}, {"authority", f.Authority != ""},
	} {
		if !m.given {
			names = append(names, m.name)
		}
	}
	return names
}

// All gives the facts that are given, by the names of their members: the texts, each
// item of the lists, and whether the notice is free of advertising.
func (f *NoticeFacts) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, t := range f.texts() {
			if t.text != "" && !yield(t.name, t.text) {
				return
			}
		}
		for _, l := range f.lists() {
			for _, item := range l.items {
				if !yield(l.name, item) {
					return
				}
			}
		}
		if f.AdvertisingFree != nil {
			yield("advertising_free", yesNo(*f.AdvertisingFree))
		}
	}
}
