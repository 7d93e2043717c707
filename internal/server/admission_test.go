package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/authn"
	_ "github.com/consentledger/consentledger/proto/consent/admin/v1"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
	_ "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// TestMethods compares the table with the API's descriptors.
func TestMethods(t *testing.T) {
	known := make(map[string]bool)
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				path := fmt.Sprintf("/%s/%s", s.FullName(), m.Name())
				if !strings.HasPrefix(path, "/consent.") {
					continue
				}
				known[path] = true
				is, ok := methodAt(path)
				if !ok || is.work == "" || is.deadline < callDeadline {
					t.Errorf("%s: %+v %t", path, is, ok)
				}
				if _, listed := methods[path]; !listed && (m.IsStreamingClient() || m.IsStreamingServer()) {
					t.Errorf("%s is a stream and has no row", path)
				}
				if IsStream(path) != m.IsStreamingClient() {
					t.Errorf("IsStream(%s) = %t", path, IsStream(path))
				}
			}
		}
		return true
	})
	if len(known) < 80 {
		t.Errorf("only %d methods are known", len(known))
	}
	for path := range methods {
		if !known[path] && !strings.HasPrefix(path, "/grpc.reflection.") {
			t.Errorf("%s has a row and does not exist", path)
		}
	}
	opts := minimal(t, "127.0.0.1:0")
	a, err := newAdmission(&opts)
	if err != nil {
		t.Fatal(err)
	}
	for path := range known {
		if m, _ := methodAt(path); a.places[m.work] == nil {
			t.Errorf("%s: there are no places for %q", path, m.work)
		}
	}
	for _, wrong := range []Places{{App: -1}, {All: 100_001}} {
		opts.Places = wrong
		if _, err := newAdmission(&opts); err == nil {
			t.Errorf("%+v was accepted", wrong)
		}
	}
}

// calls sends CheckConsent and gives what came of it.
func (r *running) call(ctx context.Context, client *http.Client, opts ...connect.ClientOption) error {
	_, err := appv1connect.NewConsentServiceClient(client, r.url, append(opts, bearer(r.keys[authn.App]))...).CheckConsent(ctx, &appv1.CheckConsentRequest{})
	return err
}

// What is too much is refused at once, in every protocol, with the time to come back;
// what was let in is answered, and nobody else's places are touched.
func TestLoadIsShed(t *testing.T) {
	t.Parallel()
	s := &services{entered: make(chan struct{}), release: make(chan struct{})}
	r := start(t, s.mux(), func(o *Options) { o.Places.App = 4 })
	const share = 3 // of four places, for one key
	all := clients(t)
	answered := make(chan error, share)
	for range share {
		go func() { answered <- r.call(t.Context(), all["HTTP/1.1"]) }()
		<-s.entered
	}
	for proto, client := range all {
		for name, opts := range map[string][]connect.ClientOption{
			"connect": nil, "json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
		} {
			if name == "grpc" && proto == "HTTP/1.1" {
				continue // gRPC needs HTTP/2
			}
			begin := time.Now()
			err := r.call(t.Context(), client, opts...)
			var said *connect.Error
			if !errors.As(err, &said) || said.Code() != connect.CodeResourceExhausted || said.Meta().Get("Grpc-Retry-Pushback-Ms") != "1000" {
				t.Errorf("%s %s: %v after %v, %v", proto, name, err, time.Since(begin), said.Meta())
			}
		}
	}
	resp := r.post(t, check, "{}", nil)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("over HTTP: %d %v", resp.StatusCode, resp.Header)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/log/checkpoint": 200} {
		req, _ := http.NewRequest("GET", r.url+path, nil)
		req.Header.Set("Authorization", "Bearer "+r.keys[authn.Auditor])
		if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != want {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
	if l := r.server.Loads()["app"]; l.Used != share || l.Size != 4 || l.Shed != 8 {
		t.Errorf("%+v", l)
	}
	for range share {
		s.release <- struct{}{}
	}
	for range share {
		if err := <-answered; err != nil {
			t.Errorf("what was let in: %v", err)
		}
	}
	r.empty(t)
}

// post sends JSON with the key of the app.
func (r *running) post(t *testing.T, path, body string, header map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequest("POST", r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.keys[authn.App])
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp
}

// empty waits until no place and no room for bodies is held.
func (r *running) empty(t *testing.T) {
	t.Helper()
	var held string
	for range 500 {
		held = ""
		for name, l := range r.server.Loads() {
			if name != "connections" && l.Used != 0 {
				held += fmt.Sprintf(" %s %d", name, l.Used)
			}
		}
		if held == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("still held:%s", held)
}

// All that is answered at once is bounded, too, and a call that cannot enter there
// leaves no place taken behind.
func TestAllPlacesTogether(t *testing.T) {
	t.Parallel()
	s := &services{entered: make(chan struct{}), release: make(chan struct{})}
	r := start(t, s.mux(), func(o *Options) { o.Places.All = 1 })
	answered := make(chan error, 1)
	go func() { answered <- r.call(t.Context(), http.DefaultClient) }()
	<-s.entered
	req, _ := http.NewRequest("GET", r.url+"/log/checkpoint", nil)
	req.Header.Set("Authorization", "Bearer "+r.keys[authn.Auditor])
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v %v", resp, err)
	}
	if l := r.server.Loads(); l["log"].Used != 0 || l["all"].Used != 1 {
		t.Errorf("%+v", l)
	}
	s.release <- struct{}{}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	r.empty(t)
}

// Whoever sends slowly holds no place: with one place for all, a hundred slow ones
// keep nobody waiting.
func TestSlowSendersHoldNoPlace(t *testing.T) {
	t.Parallel()
	r := start(t, new(services).mux(), func(o *Options) { o.Places.App, o.BodyTimeout = 1, time.Minute })
	var slow []net.Conn
	for range 100 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		slow = append(slow, conn)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nAuthorization: Bearer %s\r\n\r\n{", check, r.keys[authn.App])
	}
	for begin := time.Now(); r.server.Loads()["small_bodies"].Used < 100*1001; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 50*time.Second {
			t.Fatalf("of the slow ones %+v has come", r.server.Loads()["small_bodies"])
		}
	}
	for range 20 {
		if err := r.call(t.Context(), http.DefaultClient); err != nil {
			t.Errorf("beside the slow ones: %v", err)
		}
	}
	for _, conn := range slow {
		conn.Close()
	}
	r.empty(t)
}

// What is received at once is bounded in bytes, and what a body may unpack to counts.
func TestRoomForBodies(t *testing.T) {
	t.Parallel()
	opts := &Options{MaxBodyBytes: 32 << 20}
	a, err := newAdmission(opts)
	if err != nil {
		t.Fatal(err)
	}
	read := func(key string, body io.Reader, header ...string) (*received, error) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "/", struct{ io.Reader }{body})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = -1
		if l, ok := body.(*bytes.Reader); ok {
			req.ContentLength = int64(l.Len())
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		req.Body = http.MaxBytesReader(nil, req.Body, opts.MaxBodyBytes)
		return a.receive(req, key)
	}
	used := func() [2]int64 { return [2]int64{a.small.load().Used, a.large.load().Used} }

	for _, n := range []int{0, 1, 4095, 4096, 4097, smallBody - 1, smallBody, smallBody + 1, 3 << 20} {
		text := bytes.Repeat([]byte{'x'}, n)
		for name, body := range map[string]io.Reader{"announced": bytes.NewReader(text), "not announced": bytes.NewBuffer(text)} {
			b, err := read("k", body)
			if err != nil || !bytes.Equal(b.data, text) {
				t.Errorf("%d bytes, %s: %d read, %v", n, name, len(b.data), err)
			}
			if b.held < int64(n) || b.held > int64(2*n)+4<<10 {
				t.Errorf("%d bytes, %s: %d held", n, name, b.held)
			}
			b.release()
		}
	}
	if used() != [2]int64{} {
		t.Fatalf("left over: %v", used())
	}

	_, err = read("k", &endless{})
	if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a body without end: %v", err)
	}
	a.large = newPool(a.large.size) // it was not released

	// Three quarters for one key: three of the largest bodies, and another key's.
	var held []*received
	for range 3 {
		b, err := read("k", bytes.NewReader(make([]byte, opts.MaxBodyBytes)))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, b)
	}
	if b, err := read("k", bytes.NewReader(make([]byte, smallBody+1))); err != errMemory {
		t.Errorf("beyond the share: %v", err)
	} else {
		b.release()
	}
	for _, key := range []string{"k", "other"} { // small ones are let in
		b, err := read(key, bytes.NewReader(make([]byte, 1000)))
		if err != nil {
			t.Errorf("a small body of %s: %v", key, err)
		}
		held = append(held, b)
	}
	for _, b := range held {
		b.release()
	}
	if used() != [2]int64{} {
		t.Fatalf("left over: %v", used())
	}

	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	z.Write(make([]byte, 30<<20))
	z.Close()
	for _, header := range []string{"Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"} {
		b, err := read("k", bytes.NewReader(packed.Bytes()), header, "gzip")
		if err != nil || b.held < 30<<20 {
			t.Errorf("%s: a bomb of %d bytes holds %d: %v", header, packed.Len(), b.held, err)
		}
		b.release()
		b, err = read("k", bytes.NewReader(packed.Bytes()), header, "identity")
		if err != nil || b.held > 1<<20 {
			t.Errorf("%s identity: %d held: %v", header, b.held, err)
		}
		b.release()
	}
}

// Room goes with memory, and is never too little for the largest body.
func TestRoomGoesWithMemory(t *testing.T) {
	for memory, want := range map[int64][3]int64{0: {64 << 20, 128 << 20, 256 << 20}, 4 << 30: {256 << 20, 512 << 20, 1 << 30}, 128 << 20: {8 << 20, 64 << 20, 32 << 20}} {
		a, err := newAdmission(&Options{MaxBodyBytes: 32 << 20, Memory: memory})
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]int64{a.small.size, a.large.size, a.answers.size}; got != want || a.large.share() < 32<<20 {
			t.Errorf("with %d bytes of memory: %v, want %v", memory, got, want)
		}
	}
}

// Whole files in answers take room until they are answered, and no key has all of it.
func TestRoomForAnswers(t *testing.T) {
	t.Parallel()
	a, err := newAdmission(&Options{MaxBodyBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(sizes ...int) (got []error) {
		h := a.middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, size := range sizes {
				_, err := calls.Whole(r.Context(), "bundle", "Other", func(w io.Writer) error {
					_, err := w.Write(make([]byte, size))
					return err
				})
				got = append(got, err)
			}
			if used := a.answers.load().Used; used < int64(answerCopies*sizes[0]) {
				t.Errorf("%d bytes are held for %d", used, sizes)
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", evidencePrefix+"GetBundle", nil))
		if used := a.answers.load().Used; used != 0 {
			t.Errorf("%d bytes are still held", used)
		}
		return got
	}
	if got := ask(64 << 20); got[0] != nil {
		t.Errorf("the largest file: %v", got[0])
	}
	if got := ask(40<<20, 30<<20, 20<<20); got[0] != nil || got[1] == nil || !strings.Contains(got[1].Error(), "room") || got[2] != nil {
		t.Errorf("files one after the other: %v", got)
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

// The deadline is the table's, or what the caller asks for if that is less.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	left := make(chan time.Duration, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, ok := r.Context().Deadline()
		if !ok {
			at = time.Now().Add(1000 * time.Hour)
		}
		left <- time.Until(at)
	})
	r := start(t, handler, nil)
	for path, want := range map[string]time.Duration{check: callDeadline, appPrefix + "EraseSubject": longDeadline, appPrefix + "ImportConsents": streamDeadline} {
		r.post(t, path, "{}", nil)
		if got := <-left; got > want || got < want-10*time.Second {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	s := new(waiting)
	s.left = left
	r = start(t, s.mux(), nil)
	for _, c := range []struct {
		name, value string
		most, least time.Duration
	}{
		{"Connect-Timeout-Ms", "9999999999", callDeadline, callDeadline - 10*time.Second},
		{"Connect-Timeout-Ms", "20000", 20 * time.Second, 10 * time.Second},
		{"Grpc-Timeout", "99999999H", callDeadline, callDeadline - 10*time.Second},
		{"Grpc-Timeout", "20S", 20 * time.Second, 10 * time.Second},
	} {
		body, header := "{}", map[string]string{c.name: c.value}
		if c.name == "Grpc-Timeout" {
			body, header["Content-Type"] = "\x00\x00\x00\x00\x02{}", "application/grpc-web+json"
		}
		r.post(t, check, body, header)
		if got := <-left; got > c.most || got < c.least {
			t.Errorf("%s: %s: %v", c.name, c.value, got)
		}
	}
	for _, value := range []string{"10000000000", "-1", "x"} {
		if resp := r.post(t, check, "{}", map[string]string{"Connect-Timeout-Ms": value}); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("a timeout of %s: %d", value, resp.StatusCode)
		}
	}
}

// waiting tells how long a call has.
type waiting struct {
	services
	left chan time.Duration
}

func (s *waiting) CheckConsent(ctx context.Context, _ *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	at, _ := ctx.Deadline()
	s.left <- time.Until(at)
	return &appv1.CheckConsentResponse{}, nil
}

func (s *waiting) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(s))
	return mux
}
