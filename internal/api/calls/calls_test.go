package calls_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// auditor answers with how long it has, or with err.
type auditor struct {
	auditv1connect.UnimplementedAuditServiceHandler
	err  error
	left time.Duration // until the deadline; 0 without one
}

func (a *auditor) look(ctx context.Context) error {
	a.left = 0
	if d, ok := ctx.Deadline(); ok {
		a.left = time.Until(d)
	}
	return a.err
}

func (a *auditor) GetCheckpoint(ctx context.Context, _ *auditv1.GetCheckpointRequest) (*auditv1.GetCheckpointResponse, error) {
	return &auditv1.GetCheckpointResponse{}, a.look(ctx)
}

func (a *auditor) GetNotice(ctx context.Context, _ *auditv1.GetNoticeRequest) (*auditv1.GetNoticeResponse, error) {
	return &auditv1.GetNoticeResponse{}, a.look(calls.Unlimited(ctx))
}

func (a *auditor) ListEntries(ctx context.Context, _ *auditv1.ListEntriesRequest, _ *connect.ServerStream[auditv1.ListEntriesResponse]) error {
	return a.look(ctx)
}

// serve serves a with a key of each role; nobody but calls looks at the roles.
func serve(t *testing.T, a *auditor, logger *slog.Logger) map[authn.Role]auditv1connect.AuditServiceClient {
	_, h := auditv1connect.NewAuditServiceHandler(a, append(calls.Options(authn.Auditor, 1000), calls.Refusals(logger))...)
	url, clients := listen(t, h, new(http.Transport), authn.Auditor, authn.Admin)
	services := map[authn.Role]auditv1connect.AuditServiceClient{}
	for role, client := range clients {
		services[role] = auditv1connect.NewAuditServiceClient(client, url)
	}
	return services
}

// listen serves h over HTTP/1.1 and h2c. It gives an HTTP client with a key of each
// role.
func listen(t *testing.T, h http.Handler, transport *http.Transport, roles ...authn.Role) (url string, clients map[authn.Role]*http.Client) {
	path := filepath.Join(t.TempDir(), "apikeys")
	if err := authn.Create(path); err != nil {
		t.Fatal(err)
	}
	clients = map[authn.Role]*http.Client{}
	for _, role := range roles {
		key, err := authn.Add(path, "the-"+string(role), role, authn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		clients[role] = &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			req.Header.Set("Authorization", "Bearer "+key)
			return transport.RoundTrip(req)
		})}
	}
	keys, err := authn.Load(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(keys.Middleware(h, func(authn.Role, string) bool { return true }))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return srv.URL, clients
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestDeadline(t *testing.T) {
	a := new(auditor)
	client := serve(t, a, slog.New(slog.DiscardHandler))[authn.Auditor]
	within := func(what string, atLeast, atMost time.Duration, err error) {
		t.Helper()
		if err != nil || a.left < atLeast || a.left > atMost {
			t.Errorf("%s: the deadline is in %v, want %v to %v: %v", what, a.left, atLeast, atMost, err)
		}
	}
	_, err := client.GetCheckpoint(t.Context(), &auditv1.GetCheckpointRequest{})
	within("an open-ended call", calls.MaxDuration-5*time.Second, calls.MaxDuration, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, err = client.GetCheckpoint(ctx, &auditv1.GetCheckpointRequest{})
	within("a patient caller", calls.MaxDuration-5*time.Second, calls.MaxDuration, err)
	_, err = client.GetNotice(ctx, &auditv1.GetNoticeRequest{})
	within("a patient caller of a method that takes long", time.Hour-5*time.Second, time.Hour, err)

	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = client.GetNotice(ctx, &auditv1.GetNoticeRequest{})
	within("a hasty caller of a method that takes long", 5*time.Second, 10*time.Second, err)
	_, err = client.GetCheckpoint(ctx, &auditv1.GetCheckpointRequest{})
	within("a hasty caller", 5*time.Second, 10*time.Second, err)

	stream, err := client.ListEntries(t.Context(), &auditv1.ListEntriesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
	}
	within("a stream", 0, 0, errors.Join(stream.Err(), stream.Close()))
}

func TestRole(t *testing.T) {
	client := serve(t, new(auditor), slog.New(slog.DiscardHandler))[authn.Admin]
	_, err := client.GetCheckpoint(t.Context(), &auditv1.GetCheckpointRequest{})
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a unary call by another role: %v", err)
	}
	stream, err := client.ListEntries(t.Context(), &auditv1.ListEntriesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
	}
	if err := stream.Err(); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a stream by another role: %v", err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	a, log := new(auditor), new(bytes.Buffer)
	client := serve(t, a, slog.New(slog.NewTextHandler(log, nil)))[authn.Auditor]
	for _, c := range []struct {
		err    error
		code   connect.Code
		says   string
		logged bool
	}{
		{refusal.Precondition("token_expired", "the link expired"), connect.CodeFailedPrecondition, "token_expired: the link expired", false},
		{context.DeadlineExceeded, connect.CodeDeadlineExceeded, "may have been recorded", false},
		{errors.New("anna@example.org"), connect.CodeInternal, "internal error", true},
	} {
		a.err = c.err
		log.Reset()
		_, err := client.GetCheckpoint(t.Context(), &auditv1.GetCheckpointRequest{})
		if connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "anna") {
			t.Errorf("%v: %v", c.err, err)
		}
		if logged := log.Len() > 0; logged != c.logged {
			t.Errorf("%v: the log says %q", c.err, log)
		}
	}
}

func TestReadLimit(t *testing.T) {
	client := serve(t, new(auditor), slog.New(slog.DiscardHandler))[authn.Auditor]
	_, err := client.GetNotice(t.Context(), &auditv1.GetNoticeRequest{Sha256: make([]byte, 1000)})
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("a request of more than 1000 bytes: %v", err)
	}
}
