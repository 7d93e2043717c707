package evidence

import (
	"context"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/refusal"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// ExportBundle streams a proof bundle.
func (h *handler) ExportBundle(ctx context.Context, req *evidencev1.ExportBundleRequest, stream *connect.ServerStream[evidencev1.ExportBundleResponse]) error {
	return refusal.Unavailable("not made yet")
}

// GetBundle answers a proof bundle at once.
func (h *handler) GetBundle(ctx context.Context, req *evidencev1.GetBundleRequest) (*evidencev1.GetBundleResponse, error) {
	return nil, refusal.Unavailable("not made yet")
}
