package audit

import (
	"context"
	"time"

	"connectrpc.com/connect"

	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/refusal"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// Bundles says how the bundles of auditors are made.
type Bundles struct {
	// Zone is where the controller is; nil is UTC.
	Zone *time.Location
	// Tool is the program's name and version.
	Tool string
}

// ExportRange streams a bundle of a run of entries.
func (s *Service) ExportRange(ctx context.Context, req *auditv1.ExportRangeRequest, stream *connect.ServerStream[auditv1.ExportRangeResponse]) error {
	return apierrors.Connect(refusal.Unavailable("not made yet"), s.logger)
}

// GetRange answers a bundle of a run of entries at once.
func (s *Service) GetRange(ctx context.Context, req *auditv1.GetRangeRequest) (*auditv1.GetRangeResponse, error) {
	return nil, apierrors.Connect(refusal.Unavailable("not made yet"), s.logger)
}
