package evidence

import (
	"context"
	"errors"
	"io"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	"github.com/consentledger/consentledger/internal/bundle"
	report "github.com/consentledger/consentledger/internal/evidence"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
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

// stampTimeout is how long a bundle waits for its time stamp.
const stampTimeout = 5 * time.Second

// bundleMessage is what the two ways of asking for a bundle have in common.
type bundleMessage interface {
	GetSubject() *appv1.Subject
	GetConsentIds() []int64
	GetPurposes() []string
	GetDisclose() []string
	GetRecipient() string
	GetReason() string
	GetAt() *timestamppb.Timestamp
	GetIdempotencyKey() string
}

// bundle gathers what goes into a bundle. That it is made is recorded when this returns.
func (h *handler) bundle(ctx context.Context, m bundleMessage) (*service.Bundle, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, err
	}
	r := service.BundleRequest{
		ConsentIDs:     convert.ConsentIDs(m.GetConsentIds()),
		Purposes:       m.GetPurposes(),
		Disclose:       m.GetDisclose(),
		Recipient:      m.GetRecipient(),
		Reason:         m.GetReason(),
		IdempotencyKey: m.GetIdempotencyKey(),
	}
	if r.Subject, err = convert.OptionalSubject("subject", m.GetSubject()); err != nil {
		return nil, err
	}
	if r.At, err = convert.Time("at", m.GetAt()); err != nil {
		return nil, err
	}
	return h.service.ExportBundle(ctx, src, r)
}

// writeBundle writes a bundle, with a time stamp if one can be had.
func (h *handler) writeBundle(ctx context.Context, w io.Writer, b *service.Bundle) error {
	opt := report.BundleOptions{Zone: h.bundles.Zone, Tool: h.bundles.Tool}
	if h.bundles.Token != nil {
		opt.Stamp = func(manifest ledger.Hash) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, stampTimeout)
			defer cancel()
			return h.bundles.Token(ctx, manifest), nil
		}
	}
	err := report.WriteBundle(w, b, opt)
	if errors.Is(err, bundle.ErrTooLarge) {
		return &refusal.Error{Code: refusal.ResourceExhausted, At: "disclose",
			Reason: "the bundle has more than 20,000 files or 256 MiB; name fewer claims or purposes"}
	}
	return err
}

// ExportBundle streams a proof bundle.
func (h *handler) ExportBundle(ctx context.Context, req *evidencev1.ExportBundleRequest, stream *connect.ServerStream[evidencev1.ExportBundleResponse]) error {
	b, err := h.bundle(ctx, req)
	if err != nil {
		return err
	}
	return calls.Stream(func(data []byte) error { return stream.Send(&evidencev1.ExportBundleResponse{Data: data}) },
		func(w io.Writer) error { return h.writeBundle(ctx, w, b) })
}

// GetBundle answers a proof bundle at once.
func (h *handler) GetBundle(ctx context.Context, req *evidencev1.GetBundleRequest) (*evidencev1.GetBundleResponse, error) {
	ctx = calls.Unlimited(ctx)
	b, err := h.bundle(ctx, req)
	if err != nil {
		return nil, err
	}
	whole, err := calls.Whole(ctx, "bundle", "ExportBundle", func(w io.Writer) error { return h.writeBundle(ctx, w, b) })
	if err != nil {
		return nil, err
	}
	return &evidencev1.GetBundleResponse{Bundle: whole}, nil
}
