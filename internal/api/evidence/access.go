package evidence

import (
	"bufio"
	"bytes"
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

const (
	// maxChunk is the largest piece of a report that a stream sends.
	maxChunk = 64 << 10
	// maxReport is the largest report that one answer carries.
	maxReport = 64 << 20
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
	w := bufio.NewWriterSize(chunks{stream}, maxChunk)
	if err := format.write(w, dossier); err != nil {
		return err
	}
	return w.Flush()
}

// chunks sends what is written as pieces of a stream.
type chunks struct {
	stream *connect.ServerStream[evidencev1.ExportAccessReportResponse]
}

// Write implements [io.Writer].
func (c chunks) Write(p []byte) (sent int, err error) {
	for sent < len(p) {
		chunk := p[sent:min(sent+maxChunk, len(p))]
		if err := c.stream.Send(&evidencev1.ExportAccessReportResponse{Chunk: chunk}); err != nil {
			return sent, err
		}
		sent += len(chunk)
	}
	return sent, nil
}

// GetAccessReport answers everything held about a person at once.
func (h *handler) GetAccessReport(ctx context.Context, req *evidencev1.GetAccessReportRequest) (*evidencev1.GetAccessReportResponse, error) {
	dossier, format, err := h.access(calls.Unlimited(ctx), req)
	if err != nil {
		return nil, err
	}
	var whole limited
	if err := format.write(&whole, dossier); err != nil {
		return nil, err
	}
	return &evidencev1.GetAccessReportResponse{About: showAccess(dossier, format), Report: whole.b.Bytes()}, nil
}

// limited is a buffer for a report that one answer can carry.
type limited struct{ b bytes.Buffer }

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > maxReport {
		return 0, &refusal.Error{Code: refusal.ResourceExhausted, At: "report",
			Reason: "is larger than 64 MiB; ExportAccessReport streams it"}
	}
	return l.b.Write(p)
}
