package wire_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/wire"
)

// asker is somebody with a key, or without one that works.
type asker struct {
	name, key string
	role      authn.Role
}

// askers are all kinds of them. It waits until a key has expired.
func (r *running) askers() []asker {
	soon := time.Now().Truncate(time.Second).Add(2 * time.Second)
	expired, err := authn.Add(filepath.Join(r.dir, "apikeys"), "shop-expired", authn.App, authn.Options{Expires: soon})
	if err != nil {
		r.t.Fatal(err)
	}
	list := []asker{{"without a key", "", authn.Nobody}, {"with a malformed key", "clk_x", authn.Nobody}, {"with an unknown key", "clk_" + strings.Repeat("A", 43), authn.Nobody},
		{"with a revoked key", r.revoked, authn.Nobody}, {"with an expired key", expired, authn.Nobody}}
	for _, role := range everyRole[1:] {
		list = append(list, asker{"of role " + string(role), r.keys[role], role})
	}
	time.Sleep(time.Until(soon))
	return list
}

// outcome is what a caller gets: "answered", whatever the answer, or why not.
func outcome(a answer) string {
	switch code := grpcCode.FindStringSubmatch(a.body); {
	case a.code == "unauthenticated" || code != nil && code[1] == "16":
		return "unauthenticated"
	case a.code == "permission_denied" || code != nil && code[1] == "7":
		return "permission_denied"
	case a.status == 429 || code != nil && code[1] == "8":
		return "resource_exhausted"
	}
	return "answered"
}

var grpcCode = regexp.MustCompile(`(?i)\bgrpc-status: ?([0-9]+)`)

// TestMatrix has every kind of caller ask for every path that there is, and for some
// that there are not, over Connect and gRPC-Web; with the log for auditors and with a
// public one.
func TestMatrix(t *testing.T) {
	t.Parallel()
	r := start(t)
	before := r.size()
	askers := r.askers()
	for _, public := range []bool{false, true} {
		of := *r
		of.url = r.again(t, public)
		failures := 0
		asking, done := &of, func() {}
		for path, want := range access(public) {
			m := methods()[path]
			req, streams := "{}", m != nil && m.IsStreamingServer()
			switch {
			case m != nil && m.Name() == "RotateKey": // which is content with that
				req = `{"proof":"?"}`
			case strings.HasSuffix(path, "ServerReflectionInfo"):
				streams = true
			}
			bodies := map[string][]byte{"application/json": []byte(req), "application/grpc-web+json": envelope([]byte(req))}
			if streams {
				delete(bodies, "application/json")
				bodies["application/connect+json"] = envelope([]byte(req))
			}
			for contentType, body := range bodies {
				for _, c := range askers {
					if want(c.role) == "unauthenticated" {
						if failures%90 == 0 { // of a hundred that an address has in a minute
							done()
							asking, done = of.from(fmt.Sprintf("127.0.%d.%d", 1+failures/90, map[bool]int{false: 1, true: 2}[public]))
						}
						failures++
					}
					if got := outcome(asking.post(path, c.key, contentType, body)); got != want(c.role) {
						t.Errorf("public %t: %s as %s by somebody %s: %s, want %s", public, path, contentType, c.name, got, want(c.role))
					}
				}
			}
		}
		done()
		if failures < 5*80 {
			t.Errorf("only %d callers were nobody", failures)
		}
	}
	if r.size() != before {
		t.Errorf("the log grew from %d to %d entries", before, r.size())
	}
}

// access says what each path answers to a role.
func access(public bool) map[string]func(authn.Role) string {
	only := func(roles ...authn.Role) func(authn.Role) string {
		return func(role authn.Role) string {
			switch {
			case slices.Contains(roles, role):
				return "answered"
			case role == authn.Nobody:
				return "unauthenticated"
			}
			return "permission_denied"
		}
	}
	all := map[string]func(authn.Role) string{}
	for procedure := range methods() {
		all[procedure] = only(rules[procedure])
		if rules[procedure] == authn.Nobody {
			all[procedure] = only() // it has no rule
		}
	}
	for _, path := range []string{"/log/checkpoint", "/log/trust.keys", "/log/tile/0/000", "/log/nothing", "/log/../" + app + "CheckConsent"} {
		all[path] = only(authn.Auditor)
		if public {
			all[path] = only(everyRole...)
		}
	}
	for _, version := range []string{"v1", "v1alpha"} {
		all["/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo"] = only(everyRole[1:]...)
	}
	for _, path := range server.HealthPaths() {
		all[path] = only(everyRole...)
	}
	for _, path := range []string{"/", "/log", "/Log/checkpoint", "/metrics", "/debug/pprof/", "/healthz/", "/readyz/../" + admin + "GetStatus", strings.TrimSuffix(app, "/"),
		"/consent.app.v1.consentservice/CheckConsent", "/consent.app.v2.ConsentService/CheckConsent", "/" + app + "CheckConsent", "/grpc.health.v1.Health/List",
		"/grpc.reflection.v1.Other/ServerReflectionInfo"} {
		all[path] = only()
	}
	for path, role := range map[string]authn.Role{app + "Nothing": authn.App, admin: authn.Admin, audit + "GetCheckpoint/": authn.Auditor} {
		all[path] = only(role)
	}
	return all
}

// again serves the ledger on a listener more, and gives where.
func (r *running) again(t *testing.T, public bool) string {
	logger := slog.New(slog.DiscardHandler)
	keys, err := authn.Load(filepath.Join(r.dir, "apikeys"), logger)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Handler: wire.Handler(r.service, wire.Options{Stamper: r.stamper, Logger: logger}), Keys: keys, Logger: logger,
		Listen: "127.0.0.1:0", PublicLog: public, Ready: func() server.Readiness { return server.Readiness{Recording: true} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr().String()
}
