package app

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
)

// hash reads a field of exactly 32 bytes.
func hash(path string, b []byte) (ledger.Hash, error) {
	var h ledger.Hash
	if len(b) != len(h) {
		return h, refusal.Invalid(path, "has %d bytes, want %d", len(b), len(h))
	}
	copy(h[:], b)
	return h, nil
}

// isText reports whether bytes are printable text, perhaps with zeros around it.
// A lock stands in the log for ever and must not be an address or a number that
// somebody put there. One hash in about 10^11 is text, too; whoever drew it draws
// again.
func isText(b []byte) bool {
	b = bytes.Trim(b, "\x00")
	return len(b) > 0 && utf8.Valid(b) && !bytes.ContainsFunc(b, unicode.IsControl)
}

// lock reads a lock that the caller drew; nil when the field is not set.
func lock(b []byte) (*ledger.Hash, error) {
	if b == nil {
		return nil, nil
	}
	h, err := hash("lock", b)
	if err != nil {
		return nil, err
	}
	if isText(b) {
		return nil, refusal.Invalid("lock", "is text, want the 32 bytes of a SHA-256")
	}
	return &h, nil
}

// notEmpty refuses a text that is set and empty: it would pass for "not set".
func notEmpty(path string, text *string) error {
	if text != nil && *text == "" {
		return refusal.Invalid(path, "is empty; leave it out")
	}
	return nil
}
