package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// CheckConsents answers every message, each with its purpose.
func (s *services) CheckConsents(_ context.Context, stream *connect.BidiStream[appv1.CheckConsentRequest, appv1.CheckResult]) error {
	for {
		req, err := stream.Receive()
		if err != nil {
			if s.ended != nil {
				s.ended <- err
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.Send(&appv1.CheckResult{Error: req.Purpose}); err != nil {
			return err
		}
	}
}

// checks opens a stream over h2c.
func checks(t *testing.T, r *running) *connect.BidiStreamForClientSimple[appv1.CheckConsentRequest, appv1.CheckResult] {
	t.Helper()
	client := appv1connect.NewConsentServiceClient(clients(t)["HTTP/2.0"], r.url, connect.WithGRPC())
	ctx, call := connect.NewClientContext(t.Context())
	call.RequestHeader().Set("Authorization", "Bearer "+r.keys[authn.App])
	stream, err := client.CheckConsents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// A stream may be longer than any body, in bytes and in time, as long as something
// comes.
func TestStreamsHaveNoEnd(t *testing.T) {
	t.Parallel()
	r := start(t, new(services).mux(), func(o *Options) { o.MaxBodyBytes, o.BodyTimeout = 1000, 2*time.Second })
	stream := checks(t, r)
	begin := time.Now()
	for n := 0; n < 20 || time.Since(begin) < 5*time.Second; n++ {
		purpose := strings.Repeat("x", 200)
		if err := stream.Send(&appv1.CheckConsentRequest{Purpose: purpose}); err != nil {
			t.Fatalf("message %d after %v: %v", n, time.Since(begin), err)
		}
		if got, err := stream.Receive(); err != nil || got.Error != purpose {
			t.Fatalf("message %d after %v: %v, %v", n, time.Since(begin), got, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := stream.CloseRequest(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}

func TestSilentStreamsAreEnded(t *testing.T) {
	t.Parallel()
	s := &services{ended: make(chan error, 1)}
	r := start(t, s.mux(), func(o *Options) { o.BodyTimeout = 300 * time.Millisecond })
	stream := checks(t, r)
	if err := stream.Send(&appv1.CheckConsentRequest{Purpose: "p"}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := stream.Receive(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a stream that says nothing: %v", err)
	}
	if took := time.Since(begin); took < 100*time.Millisecond || took > 3*time.Second {
		t.Errorf("it ended after %v", took)
	}
	if err := <-s.ended; errors.Is(err, io.EOF) {
		t.Errorf("the handler takes silence for the end: %v", err)
	}
}

// A stream that waits for its caller does not hold up the end.
func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	r := start(t, new(services).mux(), func(o *Options) { o.DrainTimeout = 10 * time.Second })
	stream := checks(t, r)
	if err := stream.Send(&appv1.CheckConsentRequest{Purpose: "p"}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	r.stop()
	if err := <-r.stopped; err != nil {
		t.Errorf("Run after %v: %v", time.Since(begin), err)
	}
	if took := time.Since(begin); took < 3*time.Second || took > 9500*time.Millisecond {
		t.Errorf("Run returned after %v, want half of the time", took)
	}
}

func TestIsStream(t *testing.T) {
	for path, want := range map[string]bool{
		"/consent.app.v1.ConsentService/CheckConsents":  true,
		"/consent.app.v1.ConsentService/ImportConsents": true,
		"/consent.app.v1.ConsentService/CheckConsent":   false,
		"/consent.app.v1.ConsentService/CheckConsents/": false,
		"/consent.audit.v1.AuditService/CheckConsents":  false,
		"/consent.app.v1.ConsentService/RequestConsent": false,
		"/": false, "": false,
	} {
		if IsStream(path) != want {
			t.Errorf("IsStream(%q) = %t", path, !want)
		}
	}
}
