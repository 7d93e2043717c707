package audit

import (
	"context"
	"errors"
	"io"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	apierrors "github.com/consentledger/consentledger/internal/api/errors"
	"github.com/consentledger/consentledger/internal/auditbundle"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/pack"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
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
	contents, err := s.gather(ctx, req.GetStart(), req.GetLimit())
	if err != nil {
		return apierrors.Connect(err, s.logger)
	}
	err = calls.Stream(func(data []byte) error { return stream.Send(&auditv1.ExportRangeResponse{Data: data}) },
		func(w io.Writer) error { return writeRange(w, contents) })
	var said *connect.Error
	if errors.As(err, &said) { // about the connection
		return err
	}
	return apierrors.Connect(err, s.logger)
}

// GetRange answers a bundle of a run of entries at once.
func (s *Service) GetRange(ctx context.Context, req *auditv1.GetRangeRequest) (*auditv1.GetRangeResponse, error) {
	contents, err := s.gather(ctx, req.GetStart(), req.GetLimit())
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	whole, err := calls.Whole(ctx, "bundle", "ExportRange", func(w io.Writer) error { return writeRange(w, contents) })
	if err != nil {
		return nil, apierrors.Connect(err, s.logger)
	}
	return &auditv1.GetRangeResponse{Bundle: whole}, nil
}

// gather reads what goes into a bundle of entries start ≤ index < start+limit.
func (s *Service) gather(ctx context.Context, start, limit int64) (*pack.Contents, error) {
	if limit < 1 || limit > auditbundle.MaxEntries {
		return nil, refusal.Invalid("limit", "must be 1 to %d", auditbundle.MaxEntries)
	}
	id, _ := authn.FromContext(ctx)
	r := auditbundle.Request{Start: ledger.Index(start), Limit: int(limit), Made: time.Now().UTC().Truncate(time.Second),
		Exporter: id.Name, Tool: s.bundles.Tool, Zone: s.bundles.Zone}
	// What has been cosigned is worth more, if the log can still sign for it.
	contents, err := s.gatherAs(r, s.log.Checkpoint)
	if errors.Is(err, store.ErrRetired) {
		contents, err = s.gatherAs(r, s.whole.Checkpoint)
	}
	return contents, tooLarge(err)
}

func (s *Service) gatherAs(r auditbundle.Request, newest func() ([]byte, ledger.Size)) (*pack.Contents, error) {
	signed, size := newest()
	switch {
	case r.Start < 0:
		return nil, refusal.Invalid("start", "is below 0")
	case size == 0:
		return nil, errNoCheckpoint
	case ledger.Size(r.Start) >= size:
		return nil, refusal.NotFound("start", "the newest checkpoint has %d entries", size)
	}
	r.Checkpoint = signed
	return auditbundle.Gather(s.whole, r)
}

func writeRange(w io.Writer, contents *pack.Contents) error { return tooLarge(pack.Write(w, contents)) }

// tooLarge says what to do about a bundle that no container holds.
func tooLarge(err error) error {
	if errors.Is(err, bundle.ErrTooLarge) {
		return &refusal.Error{Code: refusal.ResourceExhausted, At: "limit", Reason: "the bundle has more than 20,000 files or 256 MiB; ask for fewer entries"}
	}
	return err
}
