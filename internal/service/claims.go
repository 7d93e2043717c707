package service

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"crypto/sha256"
	"encoding/hex"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Limits on what one request carries.
const (
	// MaxAttachment is the largest attachment or mail, 10 MiB.
	MaxAttachment = 10 << 20
	// maxClaims is how many claims and attachments a request may have.
	maxClaims = 32
	// maxSealed bounds the claims of a request times the consents under whose
	// keys each is sealed: a decision must fit a fraction of a transaction.
	maxSealed = 1 << 20
)

// Attachment is bytes that belong to a request, such as the form as it was shown.
type Attachment struct {
	Claim     string // the claim under which the bytes are committed
	FileName  string // optional
	MediaType string
	Bytes     []byte
}

// claim is a disclosure on its way into the vault, and the bytes beside it.
type claim struct {
	disclosure ledger.Disclosure
	digest     ledger.Hash
	blob       *vault.BlobRef
}

func newClaim(name, value string) claim {
	d := ledger.NewDisclosure(name, value)
	return claim{disclosure: d, digest: d.Digest()}
}

// settableClaims are the claims that callers may set. The identifiers are named
// by the subject, titles by an administrator, mails by their own method.
var settableClaims = slices.DeleteFunc(ledger.ReservedClaims(), func(name string) bool {
	return ledger.IsIdentifierClaim(name) || name == "message" || name == "mta_response" || name == "title"
})

// callerClaims checks the claims of a request.
func callerClaims(values map[string]string) ([]claim, error) {
	if len(values) > maxClaims {
		return nil, refusal.Invalid("claims", "at most %d claims", maxClaims)
	}
	list := make([]claim, 0, len(values)+4)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(settableClaims, name) {
			// The name itself is not repeated: it may be anything.
			return nil, refusal.Invalid("claims", "has a name that is not a claim callers may set; the claims are %s",
				strings.Join(settableClaims, ", "))
		}
		value, err := claimValue("claims."+name, name, values[name])
		if err != nil {
			return nil, err
		}
		list = append(list, newClaim(name, value))
	}
	return list, nil
}

// claimValue checks a value, and cuts an IP address before anything is stored.
func claimValue(path, name, value string) (string, error) {
	switch {
	case value == "":
		return "", refusal.Invalid(path, "is empty; leave the claim out")
	case len(value) > ledger.MaxClaimValue:
		return "", refusal.Invalid(path, "has %d bytes, at most %d", len(value), ledger.MaxClaimValue)
	case !utf8.ValidString(value):
		return "", refusal.Invalid(path, "is not UTF-8")
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }):
		return "", refusal.Invalid(path, "has control characters")
	}
	if name != "ip" {
		return value, nil
	}
	truncated, err := truncateIP(value)
	if err != nil {
		return "", refusal.Invalid(path, "is not an IP address")
	}
	return truncated, nil
}

// ipPolicy is what is kept of an IP address: its network.
const ipPolicy = "truncated"

// truncateIP gives the network of an address: /24 for IPv4, /48 for IPv6.
func truncateIP(s string) (string, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return "", err
	}
	addr, bits := addr.Unmap().WithZone(""), 24
	if addr.Is6() {
		bits = 48
	}
	prefix, err := addr.Prefix(bits)
	return prefix.String(), err
}

// fileValue is the value of a claim whose value is bytes; absent members are
// omitted, and the order is fixed.
type fileValue struct {
	Name      string `json:"name,omitempty"`
	MediaType string `json:"media_type,omitempty"`
	SHA256    string `json:"sha256"` // lower-case hex, as sha256sum prints it
}

func fileClaim(name string, v fileValue) claim {
	// Strings of valid UTF-8 always encode.
	b, err := json.Marshal(v)
	if err != nil {
		panic("service: encoding strings: " + err.Error())
	}
	return newClaim(name, string(b))
}

// attachmentClaims checks the attachments; their bytes are not stored yet.
func attachmentClaims(list []Attachment, taken []claim) ([]claim, error) {
	if len(list)+len(taken) > maxClaims {
		return nil, refusal.Invalid("attachments", "at most %d claims and attachments", maxClaims)
	}
	names := map[string]bool{}
	for _, c := range taken {
		names[c.disclosure.Claim] = true
	}
	total := 0
	claims := make([]claim, 0, len(list))
	for i, a := range list {
		path := fmt.Sprintf("attachments[%d]", i)
		switch {
		case a.Claim != "form_snapshot" && a.Claim != "checkbox_state" && a.Claim != "reference":
			return nil, refusal.Invalid(path+".name", "must be form_snapshot, checkbox_state or reference")
		case names[a.Claim]:
			return nil, refusal.Invalid(path+".name", "stands twice in the request")
		case len(a.Bytes) == 0:
			return nil, refusal.Invalid(path+".bytes", "is empty")
		case !isMediaType(a.MediaType):
			return nil, refusal.Invalid(path+".media_type", "is not a media type such as image/png")
		case len(a.FileName) > 255 || !utf8.ValidString(a.FileName) || strings.ContainsFunc(a.FileName, unicode.IsControl):
			return nil, refusal.Invalid(path+".file_name", "is longer than 255 bytes or has control characters")
		}
		if total += len(a.Bytes); total > MaxAttachment {
			return nil, refusal.Invalid("attachments", "have more than %d bytes together", MaxAttachment)
		}
		names[a.Claim] = true
		sum := sha256.Sum256(a.Bytes)
		claims = append(claims, fileClaim(a.Claim, fileValue{a.FileName, a.MediaType, hex.EncodeToString(sum[:])}))
	}
	return claims, nil
}

func isMediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	token := func(p string) bool {
		return p != "" && strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-") == ""
	}
	return ok && len(s) <= 127 && token(kind) && token(sub)
}

// checkSealed bounds what is sealed once per consent.
func checkSealed(claims []claim, consents int) error {
	total := 0
	for _, c := range claims {
		total += len(c.disclosure.Value)
	}
	if total*consents > maxSealed {
		return refusal.Invalid("claims", "%d bytes for %d consents; together at most %d", total, consents, maxSealed)
	}
	return nil
}

// commitments gives the entry's commit lines, in their order.
func commitments(claims []claim) []ledger.Commitment {
	list := make([]ledger.Commitment, 0, len(claims))
	for _, c := range claims {
		list = append(list, ledger.Commitment{Claim: c.disclosure.Claim, Digest: c.digest})
	}
	slices.SortFunc(list, func(a, b ledger.Commitment) int { return strings.Compare(a.Claim, b.Claim) })
	return list
}

// seal seals the claims under one consent's key.
func seal(key vault.ConsentKey, claims []claim) []vault.SealedClaim {
	list := make([]vault.SealedClaim, 0, len(claims))
	for _, c := range claims {
		list = append(list, vault.SealClaim(key, c.disclosure, c.blob))
	}
	return list
}
