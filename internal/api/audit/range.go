package audit

import (
	"context"

	"connectrpc.com/connect"

	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/refusal"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// ExportRange streams a bundle of a run of entries.
func (s *Service) ExportRange(ctx context.Context, req *auditv1.ExportRangeRequest, stream *connect.ServerStream[auditv1.ExportRangeResponse]) error {
	return apierrors.Connect(refusal.Unavailable("not made yet"), s.logger)
}

// GetRange answers a bundle of a run of entries at once.
func (s *Service) GetRange(ctx context.Context, req *auditv1.GetRangeRequest) (*auditv1.GetRangeResponse, error) {
	return nil, apierrors.Connect(refusal.Unavailable("not made yet"), s.logger)
}
