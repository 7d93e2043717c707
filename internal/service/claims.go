package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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

// settableClaims are the claims that callers may set, besides those that an
// administrator declared. The identifiers are named by the subject and noted as
// typed by the service, signs of a machine and signals of a browser have a field of
// their own, titles come from an administrator, mails, documents and recordings are
// bytes.
var settableClaims = slices.DeleteFunc(ledger.ReservedClaims(), func(name string) bool {
	return ledger.IsIdentifierClaim(name) ||
		slices.Contains([]string{"typed", "scanner", "title", "message", "mta_response", "document", "recording", "signal"}, name)
})

// fileClaims are the claims whose value may be the bytes of an attachment.
var fileClaims = []string{"form_snapshot", "checkbox_state", "reference", "document", "recording"}

// splitClaims checks the claims of a request, and gives those that are kept as
// they are and the address of `ip`, zero if there is none, which the request's
// decision cuts: see [ipClaim]. Whether the others, `x.…`, are declared the rules
// say, because it may have happened in the decision's own group: see [refuse].
func splitClaims(values map[string]string) ([]claim, netip.Addr, error) {
	var addr netip.Addr
	if len(values) > maxClaims {
		return nil, addr, refusal.Invalid("claims", "at most %d claims", maxClaims)
	}
	list := make([]claim, 0, len(values)+4)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if !slices.Contains(settableClaims, name) && !ledger.IsDeclarableClaim(name) {
			// The name itself is not repeated: it may be anything.
			return nil, addr, refusal.Invalid("claims", "has a name that is not a claim callers may set; the claims are %s, and what is declared as x.…",
				strings.Join(settableClaims, ", "))
		}
		if err := checkValue("claims."+name, value); err != nil {
			return nil, addr, err
		}
		if name != "ip" {
			list = append(list, newClaim(name, value))
			continue
		}
		var err error
		if addr, err = netip.ParseAddr(value); err != nil {
			return nil, addr, refusal.Invalid("claims.ip", "is not an IP address")
		}
	}
	return list, addr, nil
}

// checkValue checks the value of a claim.
func checkValue(path, value string) error {
	switch {
	case value == "":
		return refusal.Invalid(path, "is empty; leave the claim out")
	case len(value) > ledger.MaxClaimValue:
		return refusal.Invalid(path, "has %d bytes, at most %d", len(value), ledger.MaxClaimValue)
	case !utf8.ValidString(value):
		return refusal.Invalid(path, "is not UTF-8")
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }):
		return refusal.Invalid(path, "has control characters")
	}
	return nil
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
		case !slices.Contains(fileClaims, a.Claim):
			return nil, refusal.Invalid(path+".name", "must be %s", strings.Join(fileClaims, " or "))
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

// putAttachments stores the bytes of attachments before the decision, because
// they do not fit a group, and notes them at their claims. A decision that does
// not keep the claims is followed by dropBytes.
func (s *Service) putAttachments(claims []claim, list []Attachment) error {
	if len(list) == 0 {
		return nil
	}
	if err := s.Fault(); err != nil {
		return err // nothing would name the bytes
	}
	for _, a := range list {
		ref, err := s.vault.PutBlob(a.Bytes)
		if err != nil {
			s.dropBytes(claims, nil)
			return err
		}
		for i := range claims {
			if claims[i].disclosure.Claim == a.Claim {
				claims[i].blob = &ref
			}
		}
	}
	return nil
}

// recordFiles is recordOnce with attachments, whose claims are among claims: their
// bytes are stored first, and deleted again unless they were recorded.
func (s *Service) recordFiles(ctx context.Context, src Source, claims []claim, files []Attachment, once once, decide func(*turn) (*outcome, error)) (*outcome, error) {
	if err := s.putAttachments(claims, files); err != nil {
		return nil, err
	}
	recorded := false
	out, err := s.recordOnce(ctx, src, once, func(t *turn) (out *outcome, err error) {
		out, err = decide(t)
		recorded = err == nil
		return out, err
	})
	if err != nil || !recorded {
		s.dropBytes(claims, err)
	}
	return out, err
}

// dropBytes deletes the bytes beside claims that were not recorded. After a
// fault it is not known whether they were.
func (s *Service) dropBytes(claims []claim, because error) {
	if errors.Is(because, errUnanswered) {
		return
	}
	var no *refusal.Error
	given := errors.Is(because, context.Canceled) || errors.Is(because, context.DeadlineExceeded)
	if because != nil && !given && (!errors.As(because, &no) || no.Code == refusal.UnavailableCode) {
		return
	}
	for _, c := range claims {
		if c.blob != nil {
			if err := s.vault.DropBlob(*c.blob); err != nil {
				s.logger.Warn("deleting the attachment of a refused request failed; it is ciphertext without a key", "error", err.Error())
			}
		}
	}
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

// seal gives the vault claims of the decision's entries, under one consent's key or the
// ledger's own.
func (t *turn) seal(key vault.ConsentKey, claims []claim) error {
	list := make([]vault.Claim, 0, len(claims))
	for _, c := range claims {
		list = append(list, vault.Claim{Disclosure: c.disclosure, Blob: c.blob})
	}
	return t.vault.AddClaims(key, t.log.Next(), list...)
}
