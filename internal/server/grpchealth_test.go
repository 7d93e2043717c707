package server

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/grpchealth"

	"github.com/consentledger/consentledger/internal/authn"
)

// post gives status, gRPC's code and body of an answer.
func post(t *testing.T, client *http.Client, url, contentType string, body []byte) (int, string, string) {
	t.Helper()
	rsp, err := client.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode, rsp.Trailer.Get("Grpc-Status") + rsp.Header.Get("Grpc-Status"), string(text)
}

// TestGRPCHealth asks without a key, over gRPC with bytes made by hand and as JSON.
func TestGRPCHealth(t *testing.T) {
	recording, logOnly := true, false
	r := start(t, http.NotFoundHandler(), func(o *Options) {
		o.Ready = func() Readiness { return Readiness{Recording: recording, LogOnly: logOnly, Fault: "anna@example.org"} }
	})
	const path = "/grpc.health.v1.Health/"
	h2 := clients(t)["HTTP/2.0"]
	frame := func(b string) []byte { return append([]byte{0, 0, 0, 0, byte(len(b))}, b...) }
	// HealthCheckResponse.status is field 1: SERVING is 1.
	if status, code, body := post(t, h2, r.url+path+"Check", "application/grpc", frame("")); status != 200 || code != "0" || body != string(frame("\x08\x01")) {
		t.Errorf("over gRPC: %d, code %q, %x", status, code, body)
	}
	if _, code, _ := post(t, h2, r.url+path+"Check", "application/grpc", frame("\x0a\x01x")); code != "5" {
		t.Errorf("an unknown service: code %q, want 5", code)
	}
	if _, code, _ := post(t, h2, r.url+path+"Watch", "application/grpc", frame("")); code != "12" {
		t.Errorf("watching: code %q, want 12", code)
	}
	check := func(service string) string {
		_, _, body := post(t, http.DefaultClient, r.url+path+"Check", "application/json", []byte(`{"service":"`+service+`"}`))
		return body
	}
	for _, mode := range []struct {
		recording bool
		want      string
	}{{true, `{"status":"SERVING_STATUS_SERVING"}`}, {false, `{"status":"SERVING_STATUS_NOT_SERVING"}`}} {
		recording = mode.recording
		if got := check("recording"); got != mode.want {
			t.Errorf("recording is %v: %s", recording, got)
		}
		for _, service := range []string{"", "consent.app.v1.ConsentService", "consent.audit.v1.AuditService"} {
			if got := check(service); got != `{"status":"SERVING_STATUS_SERVING"}` {
				t.Errorf("%q: %s", service, got)
			}
		}
	}
	logOnly = true
	for service, want := range map[string]string{"": "SERVING", "consent.audit.v1.AuditService": "SERVING", "consent.app.v1.ConsentService": "NOT_SERVING",
		"grpc.reflection.v1.ServerReflection": "NOT_SERVING", "recording": "NOT_SERVING"} {
		if got := check(service); got != `{"status":"SERVING_STATUS_`+want+`"}` {
			t.Errorf("with the log only, %q: %s", service, got)
		}
	}
	for _, service := range []string{"log", "consent.app.v1", "anna@example.org"} {
		if got := check(service); !strings.Contains(got, "not_found") || strings.Contains(got, "anna") {
			t.Errorf("%q: %s", service, got)
		}
	}
	if status, _, _ := post(t, http.DefaultClient, r.url+path+"Check", "application/json", bytes.Repeat([]byte(" "), 2000)); status != http.StatusTooManyRequests {
		t.Errorf("a long request: %d", status)
	}
	// What is not exactly one of these paths needs a key, as everything else does.
	for _, other := range []string{path, path + "Check/", path + "check", "/" + path + "Check", path + "../x"} {
		if status, _, _ := post(t, http.DefaultClient, r.url+other, "application/json", []byte("{}")); status != http.StatusUnauthorized {
			t.Errorf("POST %s: %d", other, status)
		}
	}
}

// TestGRPCHealthWhileDraining: nobody is to be sent here any more.
func TestGRPCHealthWhileDraining(t *testing.T) {
	h := &health{ready: func() Readiness { return Readiness{Recording: true} }}
	h.draining.Store(true)
	for _, service := range []string{"", "recording", "consent.admin.v1.AdminService"} {
		if got, err := h.Check(t.Context(), &grpchealth.CheckRequest{Service: service}); err != nil || got.Status != grpchealth.StatusNotServing {
			t.Errorf("%q: %v, %v", service, got, err)
		}
	}
}

// TestReflectionTakesAKey, whosever.
func TestReflectionTakesAKey(t *testing.T) {
	for _, path := range []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"} {
		for _, role := range []authn.Role{authn.Nobody, authn.App, authn.Auditor, authn.Legal, authn.Admin} {
			if got := Allow(role, path); got != (role != authn.Nobody) {
				t.Errorf("Allow(%q, %s) = %v", role, path, got)
			}
		}
	}
}

// counted remembers what a server told of its requests.
type counted struct{ ended chan [2]any }

func (c *counted) Begin() func(path string, status int) {
	return func(path string, status int) { c.ended <- [2]any{path, status} }
}

// TestRequestsAreCounted: with a path that is ours and one status for all protocols.
func TestRequestsAreCounted(t *testing.T) {
	c := &counted{make(chan [2]any, 1)}
	r := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), func(o *Options) { o.Requests = c })
	want := func(path string, status int) {
		t.Helper()
		select {
		case got := <-c.ended:
			if got != [2]any{path, status} {
				t.Errorf("counted %v, want %s %d", got, path, status)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was counted")
		}
	}
	h2 := clients(t)["HTTP/2.0"]
	post(t, h2, r.url+"/anna@example.org", "application/json", nil)
	want("other", 401)
	post(t, h2, r.url+"/consent.app.v1.ConsentService/Anna", "application/grpc", nil)
	want("/consent.app.v1.ConsentService/", 401)
	post(t, h2, r.url+"/grpc.health.v1.Health/Check", "application/grpc", []byte{0, 0, 0, 0, 3, 10, 1, 'x'})
	want("/grpc.health.v1.Health/Check", 404)
	post(t, h2, r.url+"/grpc.health.v1.Health/Check", "application/json", []byte("{}"))
	want("/grpc.health.v1.Health/Check", 200)
	req, _ := http.NewRequest("POST", r.url+"/consent.app.v1.ConsentService/CheckConsent", nil)
	req.Header.Set("Authorization", "Bearer "+r.keys["app"])
	if rsp, err := h2.Do(req); err == nil {
		rsp.Body.Close()
		t.Error("an aborted request was answered")
	}
	want("/consent.app.v1.ConsentService/CheckConsent", 0)
}
