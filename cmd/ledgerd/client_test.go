package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	"github.com/consentledger/consentledger/proto/consent/admin/v1/adminv1connect"
)

const strayKey = "clk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// TestOtherServers asks servers that are not a ledger's, or that send the caller
// elsewhere: the error says so, and the key reaches nobody else.
func TestOtherServers(t *testing.T) {
	var reached atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer elsewhere.Close()
	for name, answer := range map[string]http.HandlerFunc{
		"a page":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>Welcome</html>")) },
		"not here": http.NotFound,
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			code, _, errs := runWithKey(t, "erasure-status", "--server", server.URL)
			if code != 1 || !strings.Contains(errs, "what answers at "+server.URL+" is not a ledger's server") || strings.Contains(errs, strayKey) {
				t.Errorf("exit code %d: %s", code, errs)
			}
		})
	}
	if reached.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// TestPlainHTTPWarning: the key is not sent over a network in clear without a
// word.
func TestPlainHTTPWarning(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop() // nobody is really asked
	var errs bytes.Buffer
	t.Setenv("LEDGERD_KEY", strayKey)
	run(ctx, []string{"erasure-status", "--server", "http://consent.example.com"}, nil, &errs, &errs)
	if !strings.Contains(errs.String(), "the key in LEDGERD_KEY travels to consent.example.com unencrypted") {
		t.Error(errs.String())
	}
}

// stuck is a server that begins to replace the index key and gives up.
type stuck struct {
	adminv1connect.UnimplementedAdminServiceHandler
	asked atomic.Int64
}

func (s *stuck) RekeyIndex(context.Context, *adminv1.RekeyIndexRequest) (*adminv1.RekeyIndexResponse, error) {
	return &adminv1.RekeyIndexResponse{}, nil
}

func (s *stuck) GetErasureStatus(context.Context, *adminv1.GetErasureStatusRequest) (*adminv1.GetErasureStatusResponse, error) {
	n := s.asked.Add(1)
	return &adminv1.GetErasureStatusResponse{IndexEpoch: 4, Rekeying: n == 2 || n == 3, RekeyDone: n, RekeyTotal: 10}, nil
}

// TestRekeyThatFails: the end of a re-key is not taken for its success.
func TestRekeyThatFails(t *testing.T) {
	handler := new(stuck)
	mux := http.NewServeMux()
	mux.Handle(adminv1connect.NewAdminServiceHandler(handler))
	server := httptest.NewServer(mux)
	defer server.Close()
	code, out, errs := runWithKey(t, "vault", "rekey-index", "--server", server.URL)
	if code != 1 || out != "" || !strings.Contains(errs, "is not done; its log says why") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if handler.asked.Load() != 4 {
		t.Errorf("asked %d times, want until it ended", handler.asked.Load())
	}
}

func runWithKey(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Setenv("LEDGERD_KEY", strayKey)
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, nil, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}
