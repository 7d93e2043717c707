package evidence

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// Bundles says how proof bundles are made.
type Bundles struct {
	// Zone is where the controller is; nil is UTC.
	Zone *time.Location
	// Tool is the program's name and version.
	Tool string
	// Token gives a time-stamp token over an imprint, or nil if nobody gives one until ctx
	// ends. It may be nil.
	Token func(ctx context.Context, imprint ledger.Hash) []byte
}

// ExportBundle streams a proof bundle.
func (h *handler) ExportBundle(ctx context.Context, req *evidencev1.ExportBundleRequest, stream *connect.ServerStream[evidencev1.ExportBundleResponse]) error {
	return refusal.Unavailable("not made yet")
}

// GetBundle answers a proof bundle at once.
func (h *handler) GetBundle(ctx context.Context, req *evidencev1.GetBundleRequest) (*evidencev1.GetBundleResponse, error) {
	return nil, refusal.Unavailable("not made yet")
}
