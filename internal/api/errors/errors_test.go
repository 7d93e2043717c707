package apierrors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/refusal"
)

func TestRefusalsKeepCodeAndWords(t *testing.T) {
	for _, c := range []struct {
		err  error
		code connect.Code
		text string
	}{
		{refusal.Invalid("subject.email", "is not an address"), connect.CodeInvalidArgument, "subject.email: is not an address"},
		{refusal.NotFound("token", "is unknown"), connect.CodeNotFound, "token: is unknown"},
		{refusal.Precondition("token_expired", "the token has expired"), connect.CodeFailedPrecondition, "token_expired: the token has expired"},
		{refusal.Unavailable("the ledger only reads"), connect.CodeUnavailable, "the ledger only reads"},
		{&refusal.Error{Code: refusal.PermissionDenied, Reason: "not yours"}, connect.CodePermissionDenied, "not yours"},
		{&refusal.Error{Code: refusal.Unauthenticated, Reason: "no key"}, connect.CodeUnauthenticated, "no key"},
		{&refusal.Error{Code: refusal.ResourceExhausted, Reason: "too much"}, connect.CodeResourceExhausted, "too much"},
		{&refusal.Error{Code: refusal.Unimplemented, Reason: "not yet"}, connect.CodeUnimplemented, "not yet"},
		{fmt.Errorf("secret detail: %w", refusal.Invalid("a", "is b")), connect.CodeInvalidArgument, "a: is b"},
		{fmt.Errorf("deciding: %w", context.Canceled), connect.CodeCanceled, "the call was canceled; what it asked for may have been recorded"},
		{context.DeadlineExceeded, connect.CodeDeadlineExceeded, "the call took too long; what it asked for may have been recorded"},
	} {
		var log bytes.Buffer
		got := Connect(c.err, slog.New(slog.NewTextHandler(&log, nil)))
		var ce *connect.Error
		if !errors.As(got, &ce) || ce.Code() != c.code || ce.Message() != c.text {
			t.Errorf("Connect(%v) = %v, want %v %q", c.err, got, c.code, c.text)
		}
		if log.Len() != 0 {
			t.Errorf("Connect(%v) logged %s", c.err, log.String())
		}
	}
	if Connect(nil, nil) != nil || Item("items[0]", nil, nil) != "" {
		t.Error("nil is not nil")
	}
}

func TestRetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		0: "", 1: "1", time.Second: "1", time.Second + 1: "2", time.Minute: "60",
	} {
		var ce *connect.Error
		err := Connect(&refusal.Error{Code: refusal.ResourceExhausted, Reason: "too much", Wait: wait}, nil)
		if !errors.As(err, &ce) || ce.Meta().Get("Retry-After") != want {
			t.Errorf("%v: Retry-After %q, want %q", wait, ce.Meta().Get("Retry-After"), want)
		}
	}
}

func TestItem(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{refusal.Invalid("subject.email", "is not an address"), "invalid_argument: items[17].subject.email: is not an address"},
		{refusal.NotFound("idempotency_key", "is unknown"), "not_found: items[17].idempotency_key: is unknown"},
		{refusal.Invalid("", "must be an object"), "invalid_argument: items[17]: must be an object"},
		{refusal.Precondition("notice_coverage", "the notice does not cover it"), "failed_precondition: items[17]: notice_coverage: the notice does not cover it"},
		{refusal.Unavailable("the ledger only reads"), "unavailable: items[17]: the ledger only reads"},
		{fmt.Errorf("secret detail: %w", refusal.Invalid("a", "is b")), "invalid_argument: items[17].a: is b"},
		{context.DeadlineExceeded, "deadline_exceeded: the call took too long; what it asked for may have been recorded"},
	} {
		if got := Item("items[17]", c.err, nil); got != c.want {
			t.Errorf("Item(%v) = %q, want %q", c.err, got, c.want)
		}
	}
	var log bytes.Buffer
	got := Item("items[17]", errors.New("canary"), slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.HasPrefix(got, "internal: internal error ") || strings.Contains(got, "canary") || !strings.Contains(log.String(), "canary") {
		t.Errorf("an internal error: %q, logged %q", got, log.String())
	}
}

func TestEverythingElseIsInternal(t *testing.T) {
	for _, err := range []error{
		errors.New("entry 7: prev is canary"),
		&refusal.Error{Code: "odd", Reason: "canary"},
		connect.NewError(connect.CodeNotFound, errors.New("canary")),
	} {
		var log bytes.Buffer
		got := Connect(err, slog.New(slog.NewTextHandler(&log, nil)))
		if connect.CodeOf(got) != connect.CodeInternal || strings.Contains(got.Error(), "canary") {
			t.Errorf("Connect(%v) = %v, want internal without detail", err, got)
		}
		id := strings.Fields(got.Error())[3]
		id = strings.TrimSuffix(id, ";")
		if len(id) != 26 || !strings.Contains(log.String(), "error_id="+id) || !strings.Contains(log.String(), "canary") {
			t.Errorf("answer %q, log %q: want the same id and the detail in the log", got, log.String())
		}
		if again := Connect(err, slog.New(slog.DiscardHandler)); again.Error() == got.Error() {
			t.Error("the same id twice")
		}
	}
}
