package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/api/codec"
	"github.com/consentledger/consentledger/internal/authn"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// syncBuffer is a log that handlers and the test may use at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// lines waits until the log has n lines "request" and returns them.
func (s *syncBuffer) lines(t *testing.T, n int) []map[string]any {
	t.Helper()
	for range 200 {
		var found []map[string]any
		for line := range strings.Lines(s.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("log line %q: %v", line, err)
			}
			if m["msg"] == "request" {
				found = append(found, m)
			}
		}
		if len(found) >= n {
			return found
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the log never had %d requests: %s", n, s.String())
	return nil
}

type running struct {
	url     string
	addr    string
	keys    map[authn.Role]string
	log     *syncBuffer
	stop    context.CancelFunc
	stopped chan error
	server  *Server
}

// start runs a server with one key per role; change may edit the options.
func start(t *testing.T, handler http.Handler, change func(*Options)) *running {
	t.Helper()
	r := &running{keys: make(map[authn.Role]string), log: new(syncBuffer), stopped: make(chan error, 1)}
	path := filepath.Join(t.TempDir(), "apikeys")
	if err := authn.Create(path); err != nil {
		t.Fatal(err)
	}
	for _, role := range []authn.Role{authn.App, authn.Auditor, authn.Legal, authn.Admin} {
		key, err := authn.Add(path, "the-"+string(role), role, authn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r.keys[role] = key
	}
	logger := slog.New(slog.NewJSONHandler(r.log, nil))
	keys, err := authn.Load(path, logger)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{
		Handler: handler, Keys: keys, Logger: logger, Listen: "127.0.0.1:0",
		Ready: func() Readiness { return Readiness{Recording: true} },
	}
	if change != nil {
		change(&opts)
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.addr, r.url, r.server = cancel, s.Addr().String(), "http://"+s.Addr().String(), s
	if opts.TLS != nil {
		r.url = "https://" + r.addr
	}
	go func() { r.stopped <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); s.Close() })
	return r
}

// clients returns a client of HTTP/1.1 and one of h2c.
func clients(t *testing.T) map[string]*http.Client {
	t.Helper()
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	all := map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{}},
		"HTTP/2.0": {Transport: &http.Transport{Protocols: h2}},
	}
	t.Cleanup(func() {
		for _, c := range all {
			c.CloseIdleConnections()
		}
	})
	return all
}

// services answers CheckConsent and ListEntries, which here never ends.
type services struct {
	appv1connect.UnimplementedConsentServiceHandler
	entered chan struct{} // a message when a call has begun; may be nil
	release chan struct{} // CheckConsent waits for it; may be nil
	ended   chan error    // why ListEntries ended; may be nil
}

func (s *services) CheckConsent(ctx context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	if s.entered != nil {
		s.entered <- struct{}{}
		<-s.release
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if req.Purpose == "panic" {
		panic("canary in a panic")
	}
	if req.Purpose == "missing" {
		return nil, connect.NewError(connect.CodeNotFound, nil)
	}
	id, _ := authn.FromContext(ctx)
	return &appv1.CheckConsentResponse{Reason: id.Name}, nil
}

// auditor is what services are to auditors.
type auditor struct {
	auditv1connect.UnimplementedAuditServiceHandler
	*services
}

func (s auditor) ListEntries(ctx context.Context, _ *auditv1.ListEntriesRequest, stream *connect.ServerStream[auditv1.ListEntriesResponse]) error {
	if err := stream.Send(&auditv1.ListEntriesResponse{Index: 1}); err != nil {
		return err
	}
	<-ctx.Done()
	s.ended <- ctx.Err()
	return ctx.Err()
}

func (s *services) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(s, codec.HandlerOptions(1<<20)...))
	mux.Handle(auditv1connect.NewAuditServiceHandler(auditor{services: s}, codec.HandlerOptions(1<<20)...))
	mux.HandleFunc("GET /log/checkpoint", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "origin\n") })
	return mux
}

// bearer is a client interceptor that sends a key.
func bearer(key string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+key)
			return next(ctx, req)
		}
	}))
}

func TestOnePortSpeaksEverything(t *testing.T) {
	r := start(t, new(services).mux(), nil)
	for proto, client := range clients(t) {
		for name, opts := range map[string][]connect.ClientOption{
			"connect": nil, "json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
		} {
			if name == "grpc" && proto == "HTTP/1.1" {
				continue // gRPC needs HTTP/2
			}
			for role, key := range r.keys {
				c := appv1connect.NewConsentServiceClient(client, r.url, append(opts, bearer(key))...)
				resp, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{})
				if role == authn.App {
					if err != nil || resp.Reason != "the-app" {
						t.Errorf("%s %s: %v %v", proto, name, resp, err)
					}
				} else if connect.CodeOf(err) != connect.CodePermissionDenied {
					t.Errorf("%s %s: role %s: %v", proto, name, role, err)
				}
			}
			c := appv1connect.NewConsentServiceClient(client, r.url, opts...)
			if _, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{}); connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("%s %s: without a key: %v", proto, name, err)
			}
		}
		resp, err := client.Get(r.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Proto != proto || resp.StatusCode != 200 {
			t.Errorf("healthz over %s: %s %d", proto, resp.Proto, resp.StatusCode)
		}
	}
}

func TestAllow(t *testing.T) {
	want := map[string]authn.Role{
		"/consent.app.v1.ConsentService/CheckConsent":  authn.App,
		"/consent.audit.v1.AuditService/GetCheckpoint": authn.Auditor,
		"/log/checkpoint":                                   authn.Auditor,
		"/log/tile/0/000":                                   authn.Auditor,
		"/consent.admin.v1.AdminService/GetStatus":          authn.Admin,
		"/consent.evidence.v1.EvidenceService/ExportBundle": authn.Legal,
		"/": "", "": "", "/log": "", "/consent.app.v1.ConsentService": "", "/debug/pprof/": "", "//log/checkpoint": "",
	}
	for path, allowed := range want {
		for _, role := range []authn.Role{authn.App, authn.Auditor, authn.Legal, authn.Admin} {
			if Allow(role, path) != (role == allowed) {
				t.Errorf("Allow(%s, %q) = %t", role, path, Allow(role, path))
			}
		}
		if Allow(authn.Nobody, path) {
			t.Errorf("%q is everybody's", path)
		}
	}
}

// TestPublicLog: everybody reads the log, and nobody anything else by way of it.
func TestPublicLog(t *testing.T) {
	r := start(t, new(services).mux(), func(o *Options) { o.PublicLog = true })
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		method, path, key string
		want              int
	}{
		{"GET", "/log/checkpoint", "", 200},
		{"GET", "/log/checkpoint", "clk_revoked", 200},
		{"GET", "/log/checkpoint", r.keys[authn.App], 200},
		{"GET", "/log/checkpoint", r.keys[authn.Auditor], 200},
		{"GET", "/log/nothing", "", 404},
		{"GET", "/log", "", 401},
		{"GET", "//log/checkpoint", "", 401},
		{"GET", "/Log/checkpoint", "", 401},
		{"POST", check, "", 401},
		{"POST", auditv1connect.AuditServiceListEntriesProcedure, "", 401},
		{"POST", check, r.keys[authn.Auditor], 403},
		{"POST", "/log/.." + check, "", 307}, // to the path itself, which needs a key
		{"POST", "/log/%2e%2e" + check, "", 404},
		{"CONNECT", "/log/.." + check, "", 404},
	} {
		req, err := http.NewRequest(c.method, r.url+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if c.key != "" {
			req.Header.Set("Authorization", "Bearer "+c.key)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s %s with key %.5q: %d, want %d", c.method, c.path, c.key, resp.StatusCode, c.want)
		}
	}
}

func TestPlainHTTPStaysOnLoopback(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		_, err := New(minimal(t, addr))
		if err == nil || !strings.Contains(err.Error(), "plain HTTP") {
			t.Errorf("%s: %v, want a refusal", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1", "127.0.0.1:x", "", "nowhere.invalid:0"} {
		if s, err := New(minimal(t, addr)); err == nil {
			s.Close()
			t.Errorf("%q was accepted", addr)
		}
	}
	insisted := minimal(t, "0.0.0.0:0")
	insisted.AllowPlainHTTPBeyondLoopback = true
	for _, opts := range []Options{insisted, minimal(t, "127.0.0.1:0"), minimal(t, "localhost:0")} {
		s, err := New(opts)
		if err != nil {
			t.Errorf("%s: %v", opts.Listen, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	without := minimal(t, "127.0.0.1:0")
	without.Keys = nil
	if _, err := New(without); err == nil {
		t.Error("a server without keys was made")
	}
}

func minimal(t *testing.T, listen string) Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apikeys")
	if err := authn.Create(path); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	keys, err := authn.Load(path, logger)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Handler: http.NotFoundHandler(), Keys: keys, Logger: logger, Listen: listen,
		Ready: func() Readiness { return Readiness{Recording: true} },
	}
}

// A connection that does not finish its header, or its body, is closed.
func TestSlowRequestsAreClosed(t *testing.T) {
	t.Parallel()
	r := start(t, new(services).mux(), func(o *Options) { o.BodyTimeout, o.PublicLog = 10*time.Second, true })
	const (
		json   = " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
		post   = "POST /consent.app.v1.ConsentService/CheckConsent" + json
		health = "POST /grpc.health.v1.Health/Check" + json
	)
	for name, c := range map[string]struct {
		send    string
		timeout time.Duration
	}{
		"nothing sent":                 {"", readHeaderTimeout},
		"half a header":                {"GET /healthz HTTP/1.1\r\nHost: x\r\n", readHeaderTimeout},
		"half a preface":               {"PRI * HTTP/2.0\r\n", readHeaderTimeout},
		"half a body":                  {post + "Authorization: Bearer " + r.keys[authn.App] + "\r\n\r\n{", 10 * time.Second},
		"half a body without a key":    {post + "\r\n{", leftoverTimeout},
		"half a body with a wrong key": {post + "Authorization: Bearer " + r.keys[authn.Auditor] + "\r\n\r\n{", leftoverTimeout},
		"half a body for the log":      {"POST /log/checkpoint" + json + "\r\n{", leftoverTimeout},
		"half a body for the health":   {health + "\r\n{", readHeaderTimeout},
		"half a body for readyz":       {"POST /readyz" + json + "\r\n{", leftoverTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			begin := time.Now()
			io.WriteString(conn, c.send)
			conn.SetReadDeadline(begin.Add(c.timeout + 3*time.Second))
			answer, err := io.ReadAll(conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatalf("still open after %v (answered %q)", time.Since(begin), answer)
			}
			if took := time.Since(begin); took < c.timeout/2 {
				t.Errorf("closed after %v, want about %v", took, c.timeout)
			}
		})
	}
}

// The deadline for the body must not end an answer that takes longer.
func TestBodyTimeoutSparesLongAnswers(t *testing.T) {
	t.Parallel()
	s := &services{entered: make(chan struct{}), release: make(chan struct{})}
	r := start(t, s.mux(), func(o *Options) { o.BodyTimeout = 300 * time.Millisecond })
	for proto, client := range clients(t) {
		c := appv1connect.NewConsentServiceClient(client, r.url, bearer(r.keys[authn.App]), connect.WithProtoJSON())
		answered := make(chan error, 1)
		go func() {
			_, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{})
			answered <- err
		}()
		<-s.entered
		time.Sleep(600 * time.Millisecond)
		s.release <- struct{}{}
		if err := <-answered; err != nil {
			t.Errorf("%s: %v", proto, err)
		}
	}
}

func TestBodiesAndHeadersAreLimited(t *testing.T) {
	r := start(t, new(services).mux(), func(o *Options) { o.MaxBodyBytes = 1000 })
	for proto, client := range clients(t) {
		c := appv1connect.NewConsentServiceClient(client, r.url, bearer(r.keys[authn.App]))
		_, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{Purpose: strings.Repeat("x", 2000)})
		if connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Errorf("%s: a large body: %v", proto, err)
		}
	}
	req, _ := http.NewRequest("GET", r.url+"/healthz", nil)
	req.Header.Set("X-Large", strings.Repeat("x", 2*maxHeaderBytes))
	resp, err := clients(t)["HTTP/1.1"].Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %d", resp.StatusCode)
	}
}

func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	for proto, client := range clients(t) {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			s := &services{entered: make(chan struct{}), release: make(chan struct{}), ended: make(chan error, 1)}
			r := start(t, s.mux(), func(o *Options) { o.DrainTimeout = 4 * time.Second })

			answered := make(chan error, 1)
			go func() {
				c := appv1connect.NewConsentServiceClient(client, r.url, bearer(r.keys[authn.App]))
				_, err := c.CheckConsent(t.Context(), &appv1.CheckConsentRequest{})
				answered <- err
			}()
			<-s.entered
			stream := openStream(t, client, r)

			begin := time.Now()
			r.stop()
			time.Sleep(200 * time.Millisecond)
			if conn, err := net.Dial("tcp", r.addr); err == nil {
				conn.Close()
				t.Error("a new connection was accepted")
			}
			s.release <- struct{}{}
			if err := <-answered; err != nil {
				t.Errorf("the call that was being answered: %v", err)
			}
			if err := <-s.ended; !errors.Is(err, context.Canceled) || time.Since(begin) < time.Second {
				t.Errorf("the stream ended after %v with %v, want canceled after half of the time", time.Since(begin), err)
			}
			io.Copy(io.Discard, stream)
			if err := <-r.stopped; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// openStream begins a ListEntries and waits for its first message.
func openStream(t *testing.T, client *http.Client, r *running) io.Reader {
	t.Helper()
	body := "\x00\x00\x00\x00\x02{}"
	req, err := http.NewRequest("POST", r.url+auditv1connect.AuditServiceListEntriesProcedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/connect+json")
	req.Header.Set("Authorization", "Bearer "+r.keys[authn.Auditor])
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	first := bufio.NewReader(resp.Body)
	if _, err := first.Peek(6); err != nil {
		t.Fatal(err)
	}
	return first
}

// A handler that heeds nothing does not keep Run.
func TestShutdownHasADeadline(t *testing.T) {
	t.Parallel()
	s := &services{entered: make(chan struct{}), release: make(chan struct{})}
	r := start(t, s.mux(), func(o *Options) { o.DrainTimeout = 300 * time.Millisecond })
	go func() {
		c := appv1connect.NewConsentServiceClient(http.DefaultClient, r.url, bearer(r.keys[authn.App]))
		c.CheckConsent(context.Background(), &appv1.CheckConsentRequest{})
	}()
	<-s.entered
	defer close(s.release)
	r.stop()
	select {
	case err := <-r.stopped:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v, want the deadline", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Run does not return")
	}
}
