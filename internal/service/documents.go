package service

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// Documents that belong to what an administrator declares, such as an agreement
// with a processor, are claims of the ledger's own, as titles are: about nobody,
// never erased.

const documentClaim = "document"

// documented gives the claim of a document and, if its bytes were handed in and not
// only their SHA-256, the file; neither where there is neither. path is the field's.
func documented(path string, file *Attachment, sum *ledger.Hash) ([]claim, []Attachment, error) {
	if file == nil && sum == nil {
		return nil, nil, nil
	}
	if file == nil {
		return []claim{fileClaim(documentClaim, fileValue{SHA256: hex.EncodeToString(sum[:])})}, nil, nil
	}
	one := *file
	one.Claim = documentClaim
	files := []Attachment{one}
	claims, err := attachmentClaims(files, nil)
	var no *refusal.Error
	if errors.As(err, &no) {
		_, field, _ := strings.Cut(no.At, ".")
		err = &refusal.Error{Code: no.Code, At: strings.TrimSuffix(path+"."+field, "."), Reason: no.Reason}
	}
	return claims, files, err
}

// valuesOf gives what claims say, which is what makes two requests the same.
func valuesOf(claims []claim) (values []string) {
	for _, c := range claims {
		values = append(values, c.disclosure.Claim, c.disclosure.Value)
	}
	return values
}

// declareWith is declare with claims of which some may be files: their bytes are
// stored first, and deleted again unless decide declared something.
func (s *Service) declareWith(ctx context.Context, src Source, once once, claims []claim, files []Attachment,
	decide func(*turn) (*declaration, error)) (ledger.Index, error) {
	if err := s.putAttachments(claims, files); err != nil {
		return 0, err
	}
	recorded := false
	at, err := s.declare(ctx, src, once, func(t *turn) (*declaration, error) {
		d, err := decide(t)
		recorded = err == nil && d.entry != nil
		return d, err
	})
	if err != nil || !recorded {
		s.dropBytes(claims, err)
	}
	return at, err
}

// ownClaims is what an entry that an administrator wrote says besides its lines, by
// the names of the claims.
type ownClaims map[string]ownClaim

type ownClaim struct {
	value string
	blob  *vault.BlobRef // nil if the value names no bytes, or they are not kept
}

// ownClaims opens the claims of an entry that are the ledger's own.
func (s *Service) ownClaims(e *ledger.Entry) (ownClaims, error) {
	own := ownClaims{}
	for _, c := range e.Commits {
		d, blob, ok, err := s.vault.OpenClaim(s.vault.LedgerKey(), e.Index, c.Digest)
		if err == nil && !ok {
			err = fmt.Errorf("%w: the claim %s of entry %d is missing", vault.ErrDamaged, c.Claim, e.Index)
		}
		if err != nil {
			return nil, err
		}
		own[c.Claim] = ownClaim{d.Value, blob}
	}
	return own, nil
}

// ownClaims is [Service.ownClaims] of an entry that a decision reads.
func (t *turn) ownClaims(i ledger.Index) (ownClaims, error) {
	e, err := t.entry(i)
	if err != nil {
		return nil, err
	}
	return t.s.ownClaims(e)
}

// say reports whether claims say nothing else. Bytes of which only the SHA-256 was
// known say something new: their media type.
func (o ownClaims) say(claims []claim) bool {
	return len(o) == len(claims) && !slices.ContainsFunc(claims, func(c claim) bool {
		own, ok := o[c.disclosure.Claim]
		return !ok || own.value != c.disclosure.Value
	})
}

// text gives the claims that are words, without the title.
func (o ownClaims) text() map[string]string {
	list := map[string]string{}
	for name, c := range o {
		if name != "title" && name != documentClaim {
			list[name] = c.value
		}
	}
	return list
}

// sha256 gives the hash of the bytes that the value names, zero if it names none.
func (c ownClaim) sha256() (sum ledger.Hash) {
	var file fileValue
	if json.Unmarshal([]byte(c.value), &file) == nil {
		if b, err := hex.DecodeString(file.SHA256); err == nil {
			copy(sum[:], b)
		}
	}
	return sum
}

// Document gives the document of a purpose or of the engagement of a processor, by
// the index of the entry. It is not found if there is none, and while only its hash
// is known.
func (s *Service) Document(i ledger.Index) (*Attachment, error) {
	unknown := refusal.NotFound("index", "no document of the entry is kept")
	snap := s.log.Snapshot()
	defer snap.Release()
	if i < 0 || ledger.Size(i) >= snap.Size() {
		return nil, unknown
	}
	_, e, err := readEntry(snap, i)
	if err != nil {
		return nil, err
	}
	if e.Kind != ledger.PurposeDefined && e.Kind != ledger.ProcessorEngaged {
		return nil, unknown
	}
	own, err := s.ownClaims(e)
	if err != nil {
		return nil, err
	}
	c := own[documentClaim]
	if c.blob == nil {
		return nil, unknown
	}
	shown := DisclosedClaim{Index: i, Claim: documentClaim, Value: c.value}
	if err := s.addBytes(&shown, c.blob); err != nil {
		return nil, err
	}
	return &Attachment{documentClaim, shown.FileName, shown.MediaType, shown.Bytes}, nil
}
