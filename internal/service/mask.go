package service

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// MaskedClaim is a claim as whoever works with a record sees it: enough to
// recognise a value that they know, not enough to learn it. The value itself is
// shown by [Service.DiscloseClaims], with a reason and on record.
type MaskedClaim struct {
	Claim string
	// Shown is the masked value; of bytes their media type and their size. It is ""
	// where the vault has lost the value, as after a restore without its keys.
	Shown string
}

// hiddenPart stands for what a mask does not show.
const hiddenPart = "•••"

// mostHidden is how many characters a value may have of which nothing is shown.
const mostHidden = 3

// mask masks the value of a claim:
//
//	email, typed with an @     the first character of the local part, and the domain
//	phone, typed otherwise     the last four digits
//	name, guardian             the first character of each word
//	ip                         the network, /24 or /48
//	page_url, referrer, origin the scheme and the host
//	scanner, language,         as they are, if they are words of a vocabulary: they
//	checkbox_state, captcha      tell nobody who it was
//	what names bytes           their media type and their size
//	any other                  the first character
//
// Of a value, a local part or a number of up to three characters nothing is shown.
func mask(d ledger.Disclosure, blob *vault.BlobRef) MaskedClaim {
	return MaskedClaim{d.Claim, maskedValue(d.Claim, d.Value, blob)}
}

func maskedValue(claim, value string, blob *vault.BlobRef) string {
	if shown, ok := maskFile(value, blob); ok {
		return shown
	}
	switch claim {
	case "email":
		return maskEmail(value)
	case "phone":
		return maskPhone(value)
	case "typed":
		if strings.Contains(value, "@") {
			return maskEmail(value)
		}
		return maskPhone(value)
	case "name", "guardian":
		return maskName(value)
	case "ip":
		return maskIP(value)
	case "page_url", "referrer", "origin":
		return maskURL(value)
	case "scanner", "language", "checkbox_state", "captcha":
		if isWords(value) {
			return value
		}
	}
	return maskRest(value)
}

// maskRest shows the first character.
func maskRest(value string) string {
	first, _ := utf8.DecodeRuneInString(value)
	if utf8.RuneCountInString(value) <= mostHidden || !unicode.IsGraphic(first) || unicode.IsSpace(first) {
		return hiddenPart
	}
	return string(first) + hiddenPart
}

func maskEmail(value string) string {
	at := strings.LastIndex(value, "@")
	if at < 0 || utf8.RuneCountInString(value) <= mostHidden {
		return maskRest(value)
	}
	return maskRest(value[:at]) + value[at:]
}

// maskPhone shows the last four digits of a number that has more than twice as many.
func maskPhone(value string) string {
	var digits []rune
	for _, r := range value {
		if '0' <= r && r <= '9' {
			digits = append(digits, r)
		}
	}
	if len(digits) < 9 {
		return hiddenPart
	}
	return hiddenPart + string(digits[len(digits)-4:])
}

func maskName(value string) string {
	if utf8.RuneCountInString(value) <= mostHidden {
		return hiddenPart
	}
	words := strings.Fields(value)
	for i, w := range words {
		first, _ := utf8.DecodeRuneInString(w)
		words[i] = string(first) + hiddenPart
	}
	return strings.Join(words, " ")
}

// maskIP shows the network of an address: what is kept of it where a purpose says
// nothing, see [ipClaim].
func maskIP(value string) string {
	text, _, _ := strings.Cut(value, "/")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return maskRest(value)
	}
	bits, last := 24, ".0"
	if addr.Is6() {
		bits, last = 48, "::"
	}
	network := netip.PrefixFrom(addr, bits).Masked().Addr().String()
	return strings.TrimSuffix(network, last) + strings.TrimSuffix(last, "0") + "•"
}

func maskURL(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return maskRest(value)
	}
	return u.Scheme + "://" + u.Hostname() + "/" + hiddenPart
}

// isWords reports whether a value is a language, or words of letters, digits, _ and -
// that a vocabulary may have: neither numbers nor names with a dot.
func isWords(value string) bool {
	if ledger.IsLanguage(value) {
		return true
	}
	for _, w := range strings.Fields(value) {
		if !ledger.IsIdentifier(w) || strings.Contains(w, ".") || strings.Trim(w, "0123456789-_") == "" {
			return false
		}
	}
	return len(value) <= 128
}

// maskFile masks the value of a claim that names bytes.
func maskFile(value string, blob *vault.BlobRef) (string, bool) {
	file, ok := parseFile(value)
	if !ok {
		return "", false
	}
	kind := file.MediaType
	if kind == "" {
		kind = "bytes"
	}
	if blob == nil {
		return kind + ", only their hash is known", true
	}
	return fmt.Sprintf("%s, %d bytes", kind, blob.Size), true
}

// parseFile reads the value of a claim that names bytes. A caller may have sent a
// text that looks like one, so more than its form is looked at.
func parseFile(value string) (file fileValue, ok bool) {
	if json.Unmarshal([]byte(value), &file) != nil || len(file.SHA256) != 64 || strings.Trim(file.SHA256, "0123456789abcdef") != "" {
		return fileValue{}, false
	}
	again, err := json.Marshal(file)
	return file, err == nil && string(again) == value && (file.MediaType == "" || isMediaType(file.MediaType))
}
