package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// breaking is a server that sends a report and then ends with an error.
type breaking struct {
	evidencev1connect.UnimplementedEvidenceServiceHandler
	pieces []*evidencev1.ExportAccessReportResponse
	err    error
}

func (b *breaking) ExportAccessReport(_ context.Context, _ *evidencev1.ExportAccessReportRequest,
	stream *connect.ServerStream[evidencev1.ExportAccessReportResponse]) error {
	for _, p := range b.pieces {
		if err := stream.Send(p); err != nil {
			return err
		}
	}
	return b.err
}

// TestAccessReportThatBreaksOff: half a report is no report, and leaves no file.
func TestAccessReportThatBreaksOff(t *testing.T) {
	about := &evidencev1.ExportAccessReportResponse{About: &evidencev1.AccessReport{Entries: []*appv1.Entry{{Index: 42}}, Unverified: 2}}
	some := &evidencev1.ExportAccessReportResponse{Chunk: []byte("half of it")}
	gone := connect.NewError(connect.CodeNotFound, errors.New("subject: was erased while the report was written"))
	for name, test := range map[string]struct {
		server breaking
		code   int
		says   string // in what is printed
	}{
		"whole":            {breaking{pieces: []*evidencev1.ExportAccessReportResponse{about, some, some}}, 0, "20 bytes"},
		"empty":            {breaking{}, 1, "the server sent no report"},
		"ends in it":       {breaking{pieces: []*evidencev1.ExportAccessReportResponse{about, some}, err: gone}, 1, "not_found: subject: was erased"},
		"ends before it":   {breaking{pieces: []*evidencev1.ExportAccessReportResponse{about}, err: gone}, 1, "not_found: subject: was erased"},
		"ends at the door": {breaking{err: gone}, 1, "not_found: subject: was erased"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.Handle(evidencev1connect.NewEvidenceServiceHandler(&test.server))
			server := httptest.NewServer(mux)
			defer server.Close()
			file := filepath.Join(t.TempDir(), "report.json")
			code, out, errs := runWithKey(t, "access-report", "--server", server.URL, "--email", "anna@example.org", "--format", "json", "--out", file)
			if code != test.code || !strings.Contains(out+errs, test.says) || strings.Contains(out+errs, "anna") {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
			text, err := os.ReadFile(file)
			if code == 0 {
				if err != nil || string(text) != "half of ithalf of it" || !strings.Contains(out, "in entry 42.") || !strings.Contains(out, "2 more records are kept under the same address") {
					t.Errorf("%q, %v: %s", text, err, out)
				}
			} else if !errors.Is(err, os.ErrNotExist) || out != "" {
				t.Errorf("what is left is %q, %v; printed %q", text, err, out)
			}
		})
	}
}
