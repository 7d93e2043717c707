package convert

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
)

// restriction is what all requests have in common by which the roles app and legal
// restrict the processing of somebody's data and free it again.
type restriction interface {
	GetSubject() *appv1.Subject
	GetClaims() map[string]string
	GetOccurredAt() *timestamppb.Timestamp
	GetIdempotencyKey() string
	GetProof() string
}

// Restriction reads that; ground and informed_at are the caller's.
func Restriction(req restriction) (r service.Restriction, err error) {
	r = service.Restriction{Subject: Subject(req.GetSubject()), Claims: req.GetClaims(), IdempotencyKey: req.GetIdempotencyKey()}
	if r.OccurredAt, err = OccurredAt(req.GetOccurredAt()); err != nil {
		return r, err
	}
	r.Proof, err = Proof(req.GetProof(), false)
	return r, err
}
