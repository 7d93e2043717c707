package evidence

import (
	"context"
	"io"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/api/convert"
	report "github.com/consentledger/consentledger/internal/evidence"
	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/service"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// accessFormat is a way of writing an access report.
type accessFormat struct {
	mediaType string
	write     func(io.Writer, *service.Dossier) error
}

var accessFormats = map[string]accessFormat{
	"json": {"application/json", report.WriteAccessJSON},
	"csv":  {"text/csv; charset=utf-8", report.WriteAccessCSV},
}

// accessMessage is what the two ways of asking for a report have in common.
type accessMessage interface {
	GetSubject() *appv1.Subject
	GetFormat() string
	GetRecipient() string
	GetIdempotencyKey() string
}

// access gathers what is held about a person, and how it is to be written. That
// it is handed out is recorded when this returns.
func (h *handler) access(ctx context.Context, m accessMessage) (*service.Dossier, accessFormat, error) {
	src, err := convert.Source(ctx)
	if err != nil {
		return nil, accessFormat{}, err
	}
	format, ok := accessFormats[m.GetFormat()]
	if !ok {
		return nil, format, refusal.Invalid("format", "must be json or csv")
	}
	dossier, err := h.service.AccessReport(ctx, src, service.AccessRequest{
		Subject:        convert.Subject(m.GetSubject()),
		Recipient:      m.GetRecipient(),
		IdempotencyKey: m.GetIdempotencyKey(),
	})
	return dossier, format, err
}

func showAccess(d *service.Dossier, format accessFormat) *evidencev1.AccessReport {
	return &evidencev1.AccessReport{
		Entries:    convert.Entries(d.Disclosed),
		Unverified: int64(d.Unverified),
		MediaType:  format.mediaType,
	}
}

// ExportAccessReport streams everything held about a person.
func (h *handler) ExportAccessReport(ctx context.Context, req *evidencev1.ExportAccessReportRequest, stream *connect.ServerStream[evidencev1.ExportAccessReportResponse]) error {
	dossier, format, err := h.access(ctx, req)
	if err != nil {
		return err
	}
	if err := stream.Send(&evidencev1.ExportAccessReportResponse{About: showAccess(dossier, format)}); err != nil {
		return err
	}
	return calls.Stream(func(chunk []byte) error { return stream.Send(&evidencev1.ExportAccessReportResponse{Chunk: chunk}) },
		func(w io.Writer) error { return format.write(w, dossier) })
}

// GetAccessReport answers everything held about a person at once.
func (h *handler) GetAccessReport(ctx context.Context, req *evidencev1.GetAccessReportRequest) (*evidencev1.GetAccessReportResponse, error) {
	dossier, format, err := h.access(calls.Unlimited(ctx), req)
	if err != nil {
		return nil, err
	}
	whole, err := calls.Whole(ctx, "report", "ExportAccessReport", func(w io.Writer) error { return format.write(w, dossier) })
	if err != nil {
		return nil, err
	}
	return &evidencev1.GetAccessReportResponse{About: showAccess(dossier, format), Report: whole}, nil
}
