package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/wire"
)

// TestLogOnlyMatrix: with the log only, each role may ask for what it always may, and
// everything but the log is unavailable.
func TestLogOnlyMatrix(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := createLedger(dir, "ledger.example.com", ""); err != nil {
		t.Fatal(err)
	}
	keys := map[authn.Role]string{}
	for _, role := range []authn.Role{authn.App, authn.Auditor, authn.Legal, authn.Admin} {
		key, err := authn.Add(apiKeys(dir), "the-"+string(role), role, authn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		keys[role] = key
	}
	s, err := startLogOnly(service.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}, othersFlags{}, time.UTC, server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.run(ctx) }()
	defer func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	ask := func(path, key, request string) (int, string) {
		req, err := http.NewRequest("POST", s.url()+path, strings.NewReader(request))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	prefixes := map[string]authn.Role{"/consent.app.v1.ConsentService/": authn.App, "/consent.audit.v1.AuditService/": authn.Auditor,
		"/consent.evidence.v1.EvidenceService/": authn.Legal, "/consent.admin.v1.AdminService/": authn.Admin}
	paths := append(wire.Paths(), "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/log/checkpoint")
	if len(paths) < 80 {
		t.Fatalf("%d paths", len(paths))
	}
	for _, path := range paths {
		of := authn.Auditor
		for prefix, role := range prefixes {
			if strings.HasPrefix(path, prefix) {
				of = role
			}
		}
		for role, key := range keys {
			status, body := ask(path, key, "{}")
			unavailable := status == http.StatusServiceUnavailable && strings.Contains(body, logOnlyReason)
			switch {
			case strings.HasPrefix(path, "/grpc."):
				if !unavailable {
					t.Errorf("%s by %s: %d", path, role, status)
				}
			case role != of:
				if status != http.StatusForbidden {
					t.Errorf("%s by %s: %d", path, role, status)
				}
			case role == authn.Auditor:
				if unavailable || status == http.StatusForbidden || status == http.StatusUnauthorized {
					t.Errorf("%s by %s: %d", path, role, status)
				}
			case !unavailable:
				t.Errorf("%s by %s: %d", path, role, status)
			}
		}
	}
	for _, path := range []string{paths[1], "/log/checkpoint", "/"} {
		if status, _ := ask(path, "", "{}"); status != http.StatusUnauthorized {
			t.Errorf("%s by nobody: %d", path, status)
		}
	}
	for name, want := range map[string]string{"": "SERVING", "consent.audit.v1.AuditService": "SERVING", "consent.admin.v1.AdminService": "NOT_SERVING", "recording": "NOT_SERVING"} {
		if _, body := ask("/grpc.health.v1.Health/Check", "", `{"service":"`+name+`"}`); !strings.Contains(body, `_STATUS_`+want+`"`) {
			t.Errorf("health of %q: %s", name, body)
		}
	}
}
