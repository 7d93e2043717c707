package server

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

const check = appv1connect.ConsentServiceCheckConsentProcedure

func TestTheRequestLogRepeatsNothing(t *testing.T) {
	r := start(t, new(services).mux(), func(o *Options) { o.MaxBodyBytes = 100 })
	app, audit := r.keys[authn.App], r.keys[authn.Auditor]
	service := strings.TrimSuffix(check, "CheckConsent")
	cases := []struct {
		method, path, key, body string
		wantPath, wantKey       string
		wantStatus              float64
	}{
		{"POST", check + "?canary=canary", app, `{"purpose":"canary"}`, check, "the-app", 200},
		{"POST", check, app, `{"canary.x":1}`, check, "the-app", 400},
		{"POST", check, "canary", `{}`, service, "", 401},
		{"POST", check, audit, `{}`, service, "the-auditor", 403},
		{"POST", check, app, `{"purpose":"missing"}`, check, "the-app", 404},
		{"POST", service + "Canary", app, `{}`, service, "the-app", 404},
		{"POST", service + "Canary", app, strings.Repeat(" ", 101), service, "the-app", 429},
		{"POST", service + "/Canary", app, `{}`, service, "the-app", 307},
		{"POST", service + "canary@example.org", app, `{}`, service, "the-app", 404},
		{"GET", "/log/checkpoint", audit, ``, "/log/checkpoint", "the-auditor", 200},
		{"GET", "/log/canary", audit, ``, "/log/", "the-auditor", 404},
		{"GET", "/log/../canary", audit, ``, "/log/", "the-auditor", 307},
		{"GET", "/canary@example.org", app, ``, "other", "the-app", 403},
		{"CANARY", "/healthz?canary", "", ``, "/healthz", "", 405},
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for i, c := range cases {
		req, err := http.NewRequest(c.method, r.url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+c.key)
		req.Header.Set("X-Request-Id", "canary")
		req.Header.Set("X-Forwarded-For", "canary")
		req.Header.Set("User-Agent", "canary")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		line := r.log.lines(t, i+1)[i]
		id := resp.Header.Get("X-Request-Id")
		if len(id) != 26 || line["request_id"] != id {
			t.Errorf("%s %s: id %q in the answer, %q in the log", c.method, c.path, id, line["request_id"])
		}
		if line["path"] != c.wantPath || line["key"] != c.wantKey || line["status"] != c.wantStatus {
			t.Errorf("%s %s: logged %v, want path %s, key %s, status %v", c.method, c.path, line, c.wantPath, c.wantKey, c.wantStatus)
		}
		if d, ok := line["duration_us"].(float64); !ok || d < 0 {
			t.Errorf("%s %s: duration %v", c.method, c.path, line["duration_us"])
		}
	}
	if log := strings.ToLower(r.log.String()); strings.Contains(log, "canary") || strings.Contains(log, "127.0.0.1") {
		t.Errorf("the log repeats what a caller sent: %s", log)
	}
}

func TestTheRequestLogKnowsGRPC(t *testing.T) {
	r := start(t, new(services).mux(), nil)
	c := appv1connect.NewConsentServiceClient(clients(t)["HTTP/2.0"], r.url, connect.WithGRPC(), bearer(r.keys[authn.App]))
	if _, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListConsents(t.Context(), &appv1.ListConsentsRequest{}); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Fatal(err)
	}
	lines := r.log.lines(t, 2)
	if lines[0]["grpc_status"] != "0" || lines[1]["grpc_status"] != "12" {
		t.Errorf("logged %v and %v, want grpc_status 0 and 12", lines[0], lines[1])
	}
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	r := start(t, new(services).mux(), nil)
	for proto, client := range clients(t) {
		for name, opts := range map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}} {
			if name == "grpc" && proto == "HTTP/1.1" {
				continue
			}
			c := appv1connect.NewConsentServiceClient(client, r.url, append(opts, bearer(r.keys[authn.App]))...)
			_, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{Purpose: "panic"})
			if connect.CodeOf(err) != connect.CodeInternal || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s %s: %v, want internal without the panic's value", proto, name, err)
			}
			if _, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{}); err != nil {
				t.Errorf("%s %s: after the panic: %v", proto, name, err)
			}
		}
	}
	log := r.log.String()
	if strings.Contains(log, "canary") {
		t.Errorf("the log has the panic's value: %s", log)
	}
	if !strings.Contains(log, "a value of type string") || !strings.Contains(log, "(*services).CheckConsent server_test.go:") {
		t.Errorf("the log does not say where it was: %s", log)
	}
}

func TestAPanicAmidAnAnswerCutsItOff(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/log/half", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half of it")
		w.(http.Flusher).Flush()
		var none []int
		_ = none[len(none)]
	})
	r := start(t, mux, nil)
	req, _ := http.NewRequest("GET", r.url+"/log/half", nil)
	req.Header.Set("Authorization", "Bearer "+r.keys[authn.Auditor])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the answer %q looks whole", data)
	}
	r.log.lines(t, 1)
	if !strings.Contains(r.log.String(), "index out of range [0] with length 0") {
		t.Errorf("the log lacks the runtime's words: %s", r.log.String())
	}
}

func TestReadiness(t *testing.T) {
	var now Readiness
	r := start(t, http.NotFoundHandler(), func(o *Options) { o.Ready = func() Readiness { return now } })
	for _, c := range []struct {
		now  Readiness
		want string
	}{
		{Readiness{Recording: true}, `{"ready":true,"recording":true,"mode":"recording"}`},
		{Readiness{Fault: "the disk is full"}, `{"ready":true,"recording":false,"mode":"reading","fault":"the disk is full"}`},
	} {
		now = c.now
		resp, err := http.Get(r.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := strings.TrimSpace(string(body)); resp.StatusCode != 200 || got != c.want {
			t.Errorf("%d %s, want 200 %s", resp.StatusCode, got, c.want)
		}
	}
	var h health
	h.ready = func() Readiness { return Readiness{Recording: true} }
	h.draining.Store(true)
	w := httptest.NewRecorder()
	h.readyz(w, nil)
	if w.Code != 503 || !json.Valid(w.Body.Bytes()) || !strings.Contains(w.Body.String(), `"mode":"draining"`) {
		t.Errorf("draining: %d %s", w.Code, w.Body)
	}
}

func TestNetHTTPsOwnLinesNameNoAddress(t *testing.T) {
	var b bytes.Buffer
	l := errorLog(slog.New(slog.NewTextHandler(&b, nil)))
	l.Printf("http: TLS handshake error from 192.0.2.7:4711: EOF")
	l.Printf("http2: server: error reading preface from client [2001:db8::7%%eth0]:4711: bad\nsecond line")
	for _, bad := range []string{"192.0.2.7", "2001:db8", "4711", "second"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("logged %q: %s", bad, b.String())
		}
	}
	if strings.Count(b.String(), "(address)") != 2 {
		t.Errorf("logged %s", b.String())
	}
}
