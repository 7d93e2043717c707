package calls_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/refusal"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// canceled cancels the context of every call while it is at work, and answers with err.
type canceled struct {
	auditv1connect.UnimplementedAuditServiceHandler
	cause, err error
}

type cancelKey struct{}

func (c *canceled) end(ctx context.Context) error {
	ctx.Value(cancelKey{}).(context.CancelCauseFunc)(c.cause)
	return c.err
}

func (c *canceled) GetCheckpoint(ctx context.Context, _ *auditv1.GetCheckpointRequest) (*auditv1.GetCheckpointResponse, error) {
	return nil, c.end(ctx)
}

func (c *canceled) ListEntries(ctx context.Context, _ *auditv1.ListEntriesRequest, _ *connect.ServerStream[auditv1.ListEntriesResponse]) error {
	return c.end(ctx)
}

// TestEndedByTheServer: who ended a call tells its caller whether to try again.
func TestEndedByTheServer(t *testing.T) {
	for _, c := range []struct {
		name    string
		cause   error
		err     error // of the method
		code    connect.Code
		message string
	}{
		{"by the server", refusal.Unavailable("the server is shutting down"), context.Canceled, connect.CodeUnavailable, "the server is shutting down"},
		{"by anybody else", nil, context.Canceled, connect.CodeCanceled, "the call was canceled; what it asked for may have been recorded"},
		{"answered before", refusal.Unavailable("the server is shutting down"), refusal.Invalid("start", "is negative"),
			connect.CodeInvalidArgument, "start: is negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, h := auditv1connect.NewAuditServiceHandler(&canceled{cause: c.cause, err: c.err}, append(calls.Options(authn.Auditor, 1000), calls.Refusals(slog.New(slog.DiscardHandler)))...)
			url, clients := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancelCause(r.Context())
				h.ServeHTTP(w, r.WithContext(context.WithValue(ctx, cancelKey{}, cancel)))
			}), new(http.Transport), authn.Auditor)
			client := auditv1connect.NewAuditServiceClient(clients[authn.Auditor], url)
			check := func(what string, err error) {
				t.Helper()
				var said *connect.Error
				if !errors.As(err, &said) || said.Code() != c.code || said.Message() != c.message {
					t.Errorf("%s: %v, want %v: %s", what, err, c.code, c.message)
				}
			}
			_, err := client.GetCheckpoint(t.Context(), &auditv1.GetCheckpointRequest{})
			check("a unary call", err)
			stream, err := client.ListEntries(t.Context(), &auditv1.ListEntriesRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for stream.Receive() {
			}
			check("a stream", errors.Join(stream.Err(), stream.Close()))
		})
	}
}
