package service

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// IdentifierKind says what kind of value identifies a person.
type IdentifierKind string

// The kinds of identifiers.
const (
	Email      IdentifierKind = "email"
	Phone      IdentifierKind = "phone"
	ExternalID IdentifierKind = "external_id"
)

// Identifier is one value by which a person is found again. Two spellings of
// one identifier have the same Value, which is what the vault's blind index is
// made of. Value is personal data.
type Identifier struct {
	Kind  IdentifierKind
	Value string // Normalised by the function for Kind.
}

// NormalisationVersion is the version of the rules by which identifiers are
// normalised: those of [NormaliseEmail], [NormalisePhone] and
// [NormaliseExternalID] together. The rows of the blind index are made of their
// results, and entries commit to them, so a change of any result is a new version
// and needs every identifier in the vault to be indexed again. GetStatus says it.
const NormalisationVersion = 1

// Limits of e-mail addresses, in bytes: RFC 5321, section 4.5.3.1, where the
// path of 256 bytes includes its angle brackets; labels are those of RFC 1035.
const (
	maxEmailBytes     = 254
	maxLocalPartBytes = 64
	maxLabelBytes     = 63
	// maxEmailInputBytes bounds the work on input that cannot become an address.
	maxEmailInputBytes = 1024
)

// maxPhoneInputBytes is room for 15 digits and whatever people put between them.
const maxPhoneInputBytes = 64

// NormaliseEmail returns the one spelling of an e-mail address under which a
// person is found. An error is a reason without any part of the address, to
// stand behind "the e-mail address".
//
// The rules, by [NormalisationVersion]:
//
//  1. Unicode NFC. Nothing is trimmed or repaired. Refused: invalid UTF-8,
//     white space, control, invisible and unassigned characters, the specials
//     of RFC 5322 ( ) < > [ ] : ; \ , " and therefore display names and quoted
//     local parts.
//  2. There is exactly one @.
//  3. Local part: lower-cased with golang.org/x/text/cases for no language in
//     particular (full mapping, no rule for the final sigma, so that it does
//     not depend on the neighbours), then NFC again; 1 to 64 bytes; no dot at
//     its start or end and no two in a row. Dots and plus tags are kept: other
//     people may own those addresses.
//  4. Domain: IDNA (UTS #46 and RFC 5891, non-transitional) with the Lookup
//     profile of golang.org/x/net/idna, to lower-case A-labels of 1 to 63
//     bytes, which must pass the profile unchanged; at least two of them, the
//     last one not all digits; no dot at the end.
//  5. The whole is at most 254 bytes.
//
// RFC 5321 lets a server tell A from a in a local part. None that the public
// uses does, and people type both, so they are taken for one person. Characters
// that merely look alike stay different.
func NormaliseEmail(s string) (string, error) {
	if len(s) > maxEmailInputBytes {
		return "", errors.New("is longer than 254 bytes")
	}
	if !utf8.ValidString(s) {
		return "", errors.New("is not valid UTF-8")
	}
	// First of all, because NFC makes some specials: the Greek question mark
	// becomes a semicolon.
	s = norm.NFC.String(s)
	if err := refuseEmailCharacters(s); err != nil {
		return "", err
	}
	local, domain, found := strings.Cut(s, "@")
	if !found {
		return "", errors.New("has no @")
	}
	if strings.Contains(domain, "@") {
		return "", errors.New("has more than one @")
	}
	local, err := normaliseLocalPart(local)
	if err != nil {
		return "", err
	}
	domain, err = normaliseDomain(domain)
	if err != nil {
		return "", err
	}
	if len(local)+1+len(domain) > maxEmailBytes {
		return "", errors.New("is longer than 254 bytes")
	}
	return local + "@" + domain, nil
}

func refuseEmailCharacters(s string) error {
	for _, r := range s {
		switch {
		case unicode.IsControl(r):
			return errors.New("has a control character")
		case unicode.IsSpace(r) || unicode.Is(unicode.Zs, r):
			return errors.New("has white space")
		case !unicode.IsGraphic(r) || r > unicode.MaxASCII && unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
			// Beyond unicode.Cf: private and unassigned characters, and letters
			// and marks that are drawn as nothing.
			return errors.New("has an invisible or unassigned character")
		case strings.ContainsRune(`()<>[]:;\,"`, r):
			return errors.New("has a character that stands for itself only in quotes")
		}
	}
	return nil
}

func normaliseLocalPart(s string) (string, error) {
	if s == "" {
		return "", errors.New("has nothing before the @")
	}
	// A Caser must not be shared between goroutines, so it is made here.
	lower := cases.Lower(language.Und, cases.HandleFinalSigma(false))
	s = norm.NFC.String(lower.String(s))
	if len(s) > maxLocalPartBytes {
		return "", errors.New("has more than 64 bytes before the @")
	}
	if s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return "", errors.New("has a misplaced dot before the @")
	}
	return s, nil
}

func normaliseDomain(s string) (string, error) {
	invalid := errors.New("domain is not valid")
	if s == "" {
		return "", errors.New("has nothing after the @")
	}
	// What is of these characters alone the profile leaves as it is.
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.") != "" {
		var err error
		if s, err = idna.Lookup.ToASCII(s); err != nil {
			return "", invalid // The cause quotes the domain.
		}
		// The profile looks at the direction of the characters before it maps them,
		// so a few results would not pass themselves.
		if again, err := idna.Lookup.ToASCII(s); err != nil || again != s {
			return "", invalid
		}
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		// The Lookup profile does not look at lengths.
		if label == "" || len(label) > maxLabelBytes {
			return "", invalid
		}
	}
	if len(labels) < 2 {
		return "", errors.New("domain has no dot")
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "", invalid // An IPv4 address, RFC 1123, section 2.1.
	}
	return s, nil
}

// NormalisePhone returns a telephone number as ITU-T E.164 writes it: + and 7
// to 15 digits, the first of them 1 to 9. Spaces ( ) - . / after the + are
// removed, of at most 64 bytes. An error is a reason without any part of the
// number.
//
// A zero alone in brackets, as in the German habit of writing the trunk prefix
// behind the country code, is refused: it is not part of the number, and removing
// only its brackets would make another number. National numbers and 00 for + are
// refused because the country is not known here. The rules are versioned by
// [NormalisationVersion].
func NormalisePhone(s string) (string, error) {
	if len(s) > maxPhoneInputBytes {
		return "", errors.New("is longer than 64 bytes")
	}
	rest, found := strings.CutPrefix(s, "+")
	if !found {
		return "", errors.New("does not begin with + and a country code")
	}
	if strings.Contains(strings.ReplaceAll(rest, " ", ""), "(0)") {
		return "", errors.New("has a zero in brackets, which is not dialled after the country code")
	}
	digits := make([]byte, 0, 15)
	for _, r := range rest {
		switch {
		case strings.ContainsRune(" ()-./", r):
			continue
		case r < '0' || r > '9':
			return "", errors.New("has a character that is neither a digit nor a separator")
		case len(digits) == 15:
			return "", errors.New("has more than 15 digits")
		}
		digits = append(digits, byte(r))
	}
	if len(digits) < 7 {
		return "", errors.New("has fewer than 7 digits")
	}
	if digits[0] == '0' {
		return "", errors.New("has a country code that begins with 0")
	}
	return "+" + string(digits), nil
}

// NormaliseExternalID accepts an id that another system gave to a person: 1 to
// 128 bytes of printable ASCII without the space, kept as it is; capital and
// small letters differ. An error is a reason without any part of the id. The
// rules are versioned by [NormalisationVersion].
func NormaliseExternalID(s string) (string, error) {
	if s == "" {
		return "", errors.New("is empty")
	}
	if len(s) > 128 {
		return "", errors.New("is longer than 128 bytes")
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", errors.New("has a character that is not printable ASCII")
		}
	}
	return s, nil
}
