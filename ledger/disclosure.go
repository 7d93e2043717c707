package ledger

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// SaltSize is the size of a disclosure's salt in bytes. 256 random bits hide
// values that could be guessed, such as an address.
const SaltSize = 32

// MaxClaimValue is the largest value of a claim in bytes.
const MaxClaimValue = 64 << 10

// Disclosure opens one commitment: a salt, the name of a claim and its value.
// Its text form is the disclosure of RFC 9901 (SD-JWT) § 4.2.1.
type Disclosure struct {
	Salt  [SaltSize]byte
	Claim string
	Value string
}

// NewDisclosure makes a disclosure with a fresh random salt.
func NewDisclosure(claim, value string) Disclosure {
	d := Disclosure{Claim: claim, Value: value}
	rand.Read(d.Salt[:]) // never fails, crypto/rand
	return d
}

// Text gives the disclosure's one spelling: unpadded base64url of the compact
// JSON array ["salt","claim","value"], the salt in unpadded base64url, and no
// character escaped that JSON does not demand (RFC 8259 § 7). It is what
// JSON.stringify of ECMAScript gives.
func (d Disclosure) Text() string { return string(d.appendText(nil)) }

func (d Disclosure) appendText(b []byte) []byte {
	var room [512]byte
	json := base64.RawURLEncoding.AppendEncode(append(room[:0], `["`...), d.Salt[:])
	json = appendJSONString(append(json, `",`...), d.Claim)
	json = append(appendJSONString(append(json, ','), d.Value), ']')
	return base64.RawURLEncoding.AppendEncode(b, json)
}

// appendJSONString writes a JSON string with the fewest escapes. encoding/json
// would also escape U+2028 and U+2029, which other languages do not.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0 // of s
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i]...)
		done = i + 1
		switch {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c >= '\b' && c <= '\r' && c != '\v':
			b = append(b, '\\', "btn.fr"[c-'\b'])
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	return append(append(b, s[done:]...), '"')
}

// Digest gives the commitment: SHA-256 over the disclosure's text.
func (d Disclosure) Digest() Hash {
	var room [768]byte
	return sha256.Sum256(d.appendText(room[:0]))
}

// ParseDisclosure parses a disclosure's text. It refuses every spelling but the
// one that [Disclosure.Text] gives.
func ParseDisclosure(text string) (Disclosure, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return Disclosure{}, errors.New("disclosure: not unpadded base64url")
	}
	var parts []string
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) != 3 {
		return Disclosure{}, errors.New("disclosure: not a JSON array of three strings")
	}
	d := Disclosure{Claim: parts[1], Value: parts[2]}
	salt, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil || len(salt) != SaltSize {
		return Disclosure{}, fmt.Errorf("disclosure: salt is not %d bytes of unpadded base64url", SaltSize)
	}
	copy(d.Salt[:], salt)
	if !isClaim(d.Claim) {
		return Disclosure{}, errors.New("disclosure: not the name of a claim")
	}
	if len(d.Value) > MaxClaimValue || !utf8.ValidString(d.Value) {
		return Disclosure{}, errors.New("disclosure: value is too long or not UTF-8")
	}
	if d.Text() != text {
		return Disclosure{}, errors.New("disclosure: not in its one spelling")
	}
	return d, nil
}
