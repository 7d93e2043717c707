package authn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
)

var quiet = slog.New(slog.DiscardHandler)

// clock is a clock that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func load(t *testing.T, path string, log *slog.Logger) (*Keys, *clock) {
	t.Helper()
	k, err := Load(path, log)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Now()}
	k.now, k.readAt = c.now, c.t
	return k, c
}

func TestAuthenticate(t *testing.T) {
	path := newFile(t)
	shop, audit := mustAdd(t, path, "shop", App), mustAdd(t, path, "wp", Auditor)
	k, _ := load(t, path, quiet)
	if id, _, ok := k.Authenticate(shop); !ok || id != (Identity{"shop", App}) {
		t.Errorf("shop's key: %v %v", id, ok)
	}
	if id, _, ok := k.Authenticate(audit); !ok || id != (Identity{"wp", Auditor}) {
		t.Errorf("wp's key: %v %v", id, ok)
	}
	last := shop[len(shop)-1]
	other := byte('A')
	if last == other {
		other = 'E'
	}
	for _, bad := range []string{
		"", "clk_", shop[4:], shop + "A", shop[:46], strings.ToUpper(shop), shop[:46] + string(other),
		shop[:20] + "\n" + shop[21:], "clk_" + strings.Repeat("A", 43),
	} {
		if id, _, ok := k.Authenticate(bad); ok || id != (Identity{}) {
			t.Errorf("%q was accepted as %v", bad, id)
		}
	}
}

func TestTheFileIsReadAgain(t *testing.T) {
	path := newFile(t)
	shop := mustAdd(t, path, "shop", App)
	k, c := load(t, path, quiet)

	// A new key works as soon as a tenth of a second has passed.
	app := mustAdd(t, path, "crm", App)
	if _, _, ok := k.Authenticate(app); ok {
		t.Error("the file was read again at once; unknown keys could make the server read without end")
	}
	c.advance(maxAgeUnknown)
	if id, _, ok := k.Authenticate(app); !ok || id.Name != "crm" {
		t.Errorf("a key added: %v %v", id, ok)
	}

	// A revoked key is refused after a second at the latest.
	if err := Revoke(path, "shop"); err != nil {
		t.Fatal(err)
	}
	c.advance(maxAgeKnown)
	if _, _, ok := k.Authenticate(shop); ok {
		t.Error("a revoked key was accepted")
	}
	if _, _, ok := k.Authenticate(app); !ok {
		t.Error("the other key was refused")
	}
}

// The same within real time, as a running server sees it.
func TestTheFileIsReadAgainWithinASecond(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	k, err := Load(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	key := mustAdd(t, path, "shop", App)
	begin := time.Now()
	for _, _, ok := k.Authenticate(key); !ok; _, _, ok = k.Authenticate(key) {
		if time.Since(begin) > time.Second {
			t.Fatal("the key that was added does not work after a second")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := Revoke(path, "shop"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(maxAgeKnown + 10*time.Millisecond)
	if _, _, ok := k.Authenticate(key); ok {
		t.Fatal("the key that was revoked works after a second")
	}
}

func TestAnUnreadableFileKeepsTheKeys(t *testing.T) {
	path := newFile(t)
	key := mustAdd(t, path, "shop", App)
	var log bytes.Buffer
	k, c := load(t, path, slog.New(slog.NewTextHandler(&log, nil)))
	good, _ := os.ReadFile(path)
	for range 3 {
		if err := os.WriteFile(path, []byte("damaged\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c.advance(maxAgeKnown)
		if _, _, ok := k.Authenticate(key); !ok {
			t.Fatal("the key was refused")
		}
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("the log says it %d times, want once: %s", n, log.String())
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	c.advance(maxAgeKnown)
	k.Authenticate(key)
	if !strings.Contains(log.String(), "can be read again") {
		t.Errorf("the log does not say that it is over: %s", log.String())
	}
}

func TestLimiter(t *testing.T) {
	c := &clock{time.Now()}
	l := NewLimiter(3)
	l.now = c.now
	fail := func(addr string, want bool) {
		t.Helper()
		if wait := l.Fail(addr); (wait > 0) != want || wait > time.Minute {
			t.Errorf("Fail(%s) = %v", addr, wait)
		}
	}
	for range 3 {
		fail("192.0.2.1:1", false)
	}
	fail("192.0.2.1:2", true)
	fail("[::ffff:192.0.2.1]:3", true) // the same address
	fail("192.0.2.2:1", false)
	for i := range 3 {
		fail(fmt.Sprintf("[2001:db8::%d]:1", i+1), false)
	}
	fail("[2001:db8::ffff]:1", true) // the same /64
	fail("[2001:db8:0:1::1]:1", false)
	c.advance(time.Minute)
	fail("192.0.2.1:1", false)

	for i := range 2 * maxAddresses {
		l.Fail(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))
	}
	if len(l.counts) > maxAddresses {
		t.Errorf("%d addresses are kept", len(l.counts))
	}
	fail("192.0.2.77:1", true) // counted with the rest
}

func TestMiddleware(t *testing.T) {
	path := newFile(t)
	app, audit := mustAdd(t, path, "shop", App), mustAdd(t, path, "wp", Auditor)
	k, _ := load(t, path, quiet)
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := FromContext(r.Context())
		fmt.Fprintf(w, "%s %s %t", id.Name, id.Role, ok)
	})
	h := k.Middleware(inner, func(role Role, path string) bool { return role == App && path == "/app" })

	for _, c := range []struct {
		name          string
		authorization []string
		status        int
		body          string
	}{
		{"works", []string{"Bearer " + app}, 200, "shop app true"},
		{"scheme in any case", []string{"bearer " + app}, 200, "shop app true"},
		{"no key", nil, 401, "unauthenticated"},
		{"unknown key", []string{"Bearer clk_" + strings.Repeat("A", 43)}, 401, "unauthenticated"},
		{"not bearer", []string{"Basic " + app}, 401, "unauthenticated"},
		{"bare", []string{app}, 401, "unauthenticated"},
		{"two headers", []string{"Bearer " + app, "Bearer " + app}, 401, "unauthenticated"},
		{"wrong role", []string{"Bearer " + audit}, 403, "permission_denied"},
	} {
		r := httptest.NewRequest("POST", "/app", nil)
		r.Header.Set("Content-Type", "application/json")
		for _, a := range c.authorization {
			r.Header.Add("Authorization", a)
		}
		ctx, observed := Observe(r.Context())
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(ctx))
		body := w.Body.String()
		if c.status != 200 {
			var e struct{ Code, Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" {
				t.Errorf("%s: body %q: %v", c.name, body, err)
			}
			body = e.Code
		}
		if w.Code != c.status || body != c.body {
			t.Errorf("%s: %d %s, want %d %s", c.name, w.Code, body, c.status, c.body)
		}
		if (w.Header().Get("WWW-Authenticate") != "") != (c.status == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", c.name, w.Header().Get("WWW-Authenticate"))
		}
		wantName := map[int]string{200: "shop", 401: "", 403: "wp"}[c.status]
		if observed.Identity.Name != wantName || observed.Allowed != (c.status == 200) {
			t.Errorf("%s: observed %+v", c.name, *observed)
		}
	}
}

// TestWhereNoKeyIsNeeded: a key that does not work does no harm there, and is
// not counted as a failure.
func TestWhereNoKeyIsNeeded(t *testing.T) {
	path := newFile(t)
	audit := mustAdd(t, path, "wp", Auditor)
	k, _ := load(t, path, quiet)
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := FromContext(r.Context())
		fmt.Fprintf(w, "%s %t", id.Name, ok)
	})
	h := k.Middleware(inner, func(_ Role, path string) bool { return path == "/open" })
	for range failuresPerMinute {
		for authorization, body := range map[string]string{"": " false", "Bearer wrong": " false", "Bearer " + audit: "wp true"} {
			r := httptest.NewRequest("GET", "/open", nil)
			r.Header.Set("Authorization", authorization)
			ctx, observed := Observe(r.Context())
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.WithContext(ctx))
			if w.Code != 200 || w.Body.String() != body || !observed.Allowed {
				t.Fatalf("%q: %d %q, observed %+v", authorization, w.Code, w.Body, *observed)
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/closed", nil))
	if w.Code != 401 {
		t.Errorf("elsewhere: %d, want 401", w.Code)
	}
}

func TestMiddlewareAnswersGRPC(t *testing.T) {
	path := newFile(t)
	key := mustAdd(t, path, "shop", App)
	k, _ := load(t, path, quiet)
	srv := httptest.NewUnstartedServer(k.Middleware(http.NotFoundHandler(), func(Role, string) bool { return false }))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	type empty = struct{}
	for auth, want := range map[string]connect.Code{"": connect.CodeUnauthenticated, "Bearer " + key: connect.CodePermissionDenied} {
		for name, opts := range map[string][]connect.ClientOption{
			"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
		} {
			client := connect.NewClient[empty, empty](srv.Client(), srv.URL+"/x.Y/Z", append(opts, connect.WithCodec(emptyCodec{}))...)
			req := connect.NewRequest(&empty{})
			if auth != "" {
				req.Header().Set("Authorization", auth)
			}
			_, err := client.CallUnary(t.Context(), req)
			if connect.CodeOf(err) != want {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	}
}

// TestRefusedKeysLookAlike: who holds a key that does not work learns nothing about
// why.
func TestRefusedKeysLookAlike(t *testing.T) {
	path := newFile(t)
	revoked := mustAdd(t, path, "revoked", App)
	expired, err := Add(path, "expired", App, Options{Expires: now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if err := Revoke(path, "revoked"); err != nil {
		t.Fatal(err)
	}
	k, c := load(t, path, quiet)
	h := k.Middleware(http.NotFoundHandler(), func(role Role, _ string) bool { return role != Nobody })
	answer := func(key string) (int, string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, fmt.Sprint(w.Header(), w.Body)
	}
	if code, _ := answer(expired); code != 404 {
		t.Fatalf("before it expires: %d, want the handler's 404", code)
	}
	c.advance(time.Minute)
	_, want := answer("clk_" + strings.Repeat("A", 43))
	for name, key := range map[string]string{"malformed": "x", "none": "", "revoked": revoked, "expired": expired} {
		if code, got := answer(key); code != 401 || got != want {
			t.Errorf("%s: %d %s, an unknown one %s", name, code, got, want)
		}
	}
}

func TestAKeyBeyondItsRate(t *testing.T) {
	path := newFile(t)
	key, err := Add(path, "shop", App, Options{Rate: 6})
	if err != nil {
		t.Fatal(err)
	}
	k, c := load(t, path, quiet)
	served := 0
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served++; http.NotFound(w, r) })
	var observed Observed
	outer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, o := Observe(r.Context())
			next.ServeHTTP(w, r.WithContext(ctx))
			observed = *o
		})
	}
	srv := httptest.NewUnstartedServer(outer(k.Middleware(inner, func(role Role, path string) bool { return path != "/x.Y/Legal" && role != Nobody })))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	type empty = struct{}
	call := func(method string, opts ...connect.ClientOption) *connect.Error {
		client := connect.NewClient[empty, empty](srv.Client(), srv.URL+"/x.Y/"+method, append(opts, connect.WithCodec(emptyCodec{}))...)
		req := connect.NewRequest(&empty{})
		req.Header().Set("Authorization", "Bearer "+key)
		_, err := client.CallUnary(t.Context(), req)
		var no *connect.Error
		if !errors.As(err, &no) {
			t.Fatalf("answered %v", err)
		}
		return no
	}
	ways := map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()}}
	for _, opts := range ways {
		call("Z", opts...)
		if no := call("Legal", opts...); no.Code() != connect.CodePermissionDenied { // counts, too
			t.Errorf("within the rate: %v", no)
		}
	}
	if served != 3 {
		t.Fatalf("%d calls served, want 3", served)
	}
	for name, opts := range ways {
		for _, method := range []string{"Z", "Legal"} {
			no := call(method, opts...)
			if no.Code() != connect.CodeResourceExhausted || no.Meta().Get("Retry-After") != "1" {
				t.Errorf("%s %s: %v, Retry-After %q", name, method, no, no.Meta().Get("Retry-After"))
			}
			if observed.Identity.Name != "shop" || observed.Allowed {
				t.Errorf("%s %s: observed %+v", name, method, observed)
			}
		}
	}
	if served != 3 {
		t.Errorf("%d calls served, want 3", served)
	}
	c.advance(time.Second/2 + time.Millisecond)
	for range 4 {
		call("Z")
	}
	if served != 6 {
		t.Errorf("after half a second %d calls served, want 3 more than 3", served)
	}
}

// TestAStreamEndsWithItsKey: what is sent after the key ended is not read, and the
// caller is told; before, everything is, and unary calls are finished.
func TestAStreamEndsWithItsKey(t *testing.T) {
	t.Parallel()
	type empty = struct{}
	for name, opts := range map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			key := mustAdd(t, path, "shop", App)
			k, err := Load(path, quiet)
			if err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			codec := connect.WithCodec(emptyCodec{})
			mux.Handle("/x.Y/Echo", connect.NewBidiStreamHandler("/x.Y/Echo", func(_ context.Context, s *connect.BidiStream[empty, empty]) error {
				for {
					m, err := s.Receive()
					if errors.Is(err, io.EOF) {
						return nil
					} else if err != nil {
						return err
					}
					if err := s.Send(m); err != nil {
						return err
					}
				}
			}, codec))
			arrived, finish := make(chan struct{}), make(chan struct{})
			mux.Handle("/x.Y/Slow", connect.NewUnaryHandler("/x.Y/Slow", func(ctx context.Context, _ *connect.Request[empty]) (*connect.Response[empty], error) {
				close(arrived)
				<-finish
				return connect.NewResponse(new(empty)), ctx.Err()
			}, codec))
			srv := httptest.NewUnstartedServer(k.Middleware(mux, func(role Role, _ string) bool { return role == App }))
			srv.EnableHTTP2 = true
			srv.StartTLS()
			defer srv.Close()
			opts := append(opts, codec)

			slow := make(chan error, 1)
			go func() {
				req := connect.NewRequest(new(empty))
				req.Header().Set("Authorization", "Bearer "+key)
				_, err := connect.NewClient[empty, empty](srv.Client(), srv.URL+"/x.Y/Slow", opts...).CallUnary(t.Context(), req)
				slow <- err
			}()
			<-arrived
			s := connect.NewClient[empty, empty](srv.Client(), srv.URL+"/x.Y/Echo", opts...).CallBidiStream(t.Context())
			defer s.CloseResponse()
			defer s.CloseRequest()
			s.RequestHeader().Set("Authorization", "Bearer "+key)
			echo := func() error {
				// What a broken stream says is said by Receive.
				_ = s.Send(new(empty))
				_, err := s.Receive()
				return err
			}
			for range 2 { // at once, and when the key was asked for again
				if err := echo(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(maxAgeKnown + 10*time.Millisecond)
			}
			if err := Revoke(path, "shop"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(maxAgeKnown + 10*time.Millisecond)
			if err := echo(); connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("after the key was revoked the stream says %v", err)
			}
			close(finish)
			if err := <-slow; err != nil {
				t.Errorf("a call that was accepted before: %v", err)
			}
		})
	}
}

type emptyCodec struct{}

func (emptyCodec) Name() string                { return "proto" }
func (emptyCodec) Marshal(any) ([]byte, error) { return nil, nil }
func (emptyCodec) Unmarshal([]byte, any) error { return nil }

func TestFailuresAreLimitedAndWorkingKeysAreNot(t *testing.T) {
	path := newFile(t)
	key := mustAdd(t, path, "shop", App)
	k, c := load(t, path, quiet)
	k.failures.now = c.now
	defer func() {
		if got := k.Failed(); got != 101 {
			t.Errorf("%d failures were counted", got)
		}
	}()
	h := k.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }),
		func(role Role, _ string) bool { return role != Nobody })
	var after string // Retry-After
	get := func(auth string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		after = w.Header().Get("Retry-After")
		return w.Code
	}
	for i := range failuresPerMinute {
		if got := get("Bearer wrong"); got != 401 {
			t.Fatalf("failure %d: %d", i+1, got)
		}
	}
	c.advance(20 * time.Second)
	if got := get("Bearer wrong"); got != 429 || after != "40" {
		t.Errorf("failure 101: %d, Retry-After %q, want 429 and 40", got, after)
	}
	if got := get("Bearer " + key); got != 200 || after != "" {
		t.Errorf("a working key: %d, Retry-After %q, want 200", got, after)
	}
}
