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

	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// sending is a server that sends pieces and then ends with an error.
type sending struct {
	evidencev1connect.UnimplementedEvidenceServiceHandler
	pieces []string
	err    error
	begun  func() // called before the first piece
}

func (s *sending) ExportBundle(_ context.Context, _ *evidencev1.ExportBundleRequest, stream *connect.ServerStream[evidencev1.ExportBundleResponse]) error {
	if s.begun != nil {
		s.begun()
	}
	for _, p := range s.pieces {
		if err := stream.Send(&evidencev1.ExportBundleResponse{Data: []byte(p)}); err != nil {
			return err
		}
	}
	return s.err
}

// TestBundleThatIsNone: what is not a whole bundle leaves no file, under no name.
func TestBundleThatIsNone(t *testing.T) {
	gone := connect.NewError(connect.CodeNotFound, errors.New("subject: was erased while the bundle was written"))
	large := connect.NewError(connect.CodeResourceExhausted, errors.New("disclose: the bundle has more than 256 MiB"))
	for name, test := range map[string]struct {
		server sending
		says   string
	}{
		"nothing":            {sending{}, "what the server sent is not a whole bundle"},
		"something else":     {sending{pieces: []string{strings.Repeat("x", 70_000), "y"}}, "what the server sent is not a whole bundle"},
		"ends in it":         {sending{pieces: []string{"PK"}, err: gone}, "not_found: subject: was erased"},
		"becomes too large":  {sending{pieces: []string{"PK"}, err: large}, "resource_exhausted: disclose: "},
		"ends at the door":   {sending{err: gone}, "not_found: subject: was erased"},
		"only empty pieces":  {sending{pieces: []string{"", ""}}, "what the server sent is not a whole bundle"},
		"a person.s address": {sending{pieces: []string{"anna@example.org"}}, "what the server sent is not a whole bundle"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.Handle(evidencev1connect.NewEvidenceServiceHandler(&test.server))
			server := httptest.NewServer(mux)
			defer server.Close()
			dir := t.TempDir()
			test.server.begun = func() {
				if list, err := os.ReadDir(dir); err != nil || len(list) != 1 || list[0].Name() == "a.asice" {
					t.Errorf("while the bundle comes there are %v, %v", list, err)
				}
			}
			code, out, errs := runWithKey(t, "bundle", "--server", server.URL, "--email", "anna@example.org", "--recipient", "r", "--reason", "w",
				"--out", filepath.Join(dir, "a.asice"))
			if code != 1 || out != "" || !strings.Contains(errs, test.says) || strings.Contains(errs, "anna") {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
			if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
				t.Errorf("what is left is %v, %v", list, err)
			}
		})
	}
}
