package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/consentledger/consentledger/internal/authn"
)

// large answers with as many bytes as it is asked for, and tells how that ended.
type large struct {
	bytes  int
	thinks time.Duration // before each MiB
	ended  chan error
}

func (l *large) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	piece := make([]byte, min(l.bytes, 1<<20))
	for n := 0; n < l.bytes; n += len(piece) {
		time.Sleep(l.thinks)
		if _, err := w.Write(piece); err != nil {
			l.ended <- err
			return
		}
		w.(http.Flusher).Flush()
	}
	l.ended <- nil
}

const checkpoint = "/log/checkpoint"

// A reader who takes nothing, or next to nothing, is given up, over HTTP/1.1, HTTP/2
// and TLS, and its place is free again.
func TestSlowReadersAreGivenUp(t *testing.T) {
	t.Parallel()
	files := issue(t, t.TempDir(), "ledger")
	for name, change := range map[string]func(*Options){"plain": nil, "TLS": func(o *Options) { o.TLS = &files }} {
		for _, how := range []string{"HTTP/1.1", "HTTP/2"} {
			for _, rate := range []int{0, 1000} { // bytes per 100 ms
				t.Run(fmt.Sprintf("%s %s %d", name, how, rate), func(t *testing.T) {
					t.Parallel()
					l := &large{bytes: 64 << 20, ended: make(chan error, 1)}
					r := start(t, l, func(o *Options) {
						o.WriteTimeout, o.Places.Log = time.Second, 1
						if change != nil {
							change(o)
						}
					})
					body := r.slowly(t, how)
					begin := time.Now()
					go func() {
						piece := make([]byte, max(rate, 1))
						for rate > 0 {
							if _, err := body.Read(piece); err != nil {
								return
							}
							time.Sleep(100 * time.Millisecond)
						}
					}()
					select {
					case err := <-l.ended:
						if err == nil {
							t.Error("everything was written to somebody who reads nothing")
						}
						if took := time.Since(begin); took < 500*time.Millisecond {
							t.Errorf("given up after %v", took)
						}
					case <-time.After(15 * time.Second):
						t.Fatal("still writing")
					}
					r.empty(t)
				})
			}
		}
	}
}

// slowly asks for the checkpoint and returns the answer's body, of which nothing has
// been read; curl stops reading when its pipe is full.
func (r *running) slowly(t *testing.T, how string) io.Reader {
	t.Helper()
	version := "--http1.1"
	switch tls := strings.HasPrefix(r.url, "https"); {
	case how == "HTTP/2" && tls:
		version = "--http2"
	case how == "HTTP/2":
		version = "--http2-prior-knowledge"
	}
	return curlPipe(t, "-sS", "-N", "-k", "--max-time", "60", version, "-H", "Authorization: Bearer "+r.keys[authn.Auditor], r.url+checkpoint)
}

// Whoever reads fast enough has all the time there is, also while the handler thinks
// for longer than a reader may wait.
func TestReadersThatKeepUp(t *testing.T) {
	t.Parallel()
	l := &large{bytes: 4 << 20, thinks: 400 * time.Millisecond, ended: make(chan error, 2)}
	r := start(t, l, func(o *Options) { o.WriteTimeout = 300 * time.Millisecond })
	for proto, client := range clients(t) {
		req, _ := http.NewRequest("GET", r.url+checkpoint, nil)
		req.Header.Set("Authorization", "Bearer "+r.keys[authn.Auditor])
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		// One MiB in 0.4 s is far more than must be taken.
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if n != int64(l.bytes) || err != nil {
			t.Errorf("%s: %d bytes: %v", proto, n, err)
		}
		if err := <-l.ended; err != nil {
			t.Errorf("%s: %v", proto, err)
		}
	}
}

// The time that was given to one request is not taken from the next of a connection.
func TestConnectionsOutliveTheirDeadlines(t *testing.T) {
	t.Parallel()
	r := start(t, new(services).mux(), func(o *Options) { o.WriteTimeout, o.BodyTimeout = 200*time.Millisecond, 200*time.Millisecond })
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for i := range 4 {
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nAuthorization: Bearer %s\r\n\r\n{}", check, r.keys[authn.App])
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != 200 {
			t.Errorf("request %d: %d", i, resp.StatusCode)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// A message that comes byte by byte does not keep a stream.
func TestStreamsThatTrickle(t *testing.T) {
	t.Parallel()
	s := &services{ended: make(chan error, 1)}
	r := start(t, s.mux(), func(o *Options) { o.BodyTimeout = 600 * time.Millisecond })
	body, send := io.Pipe()
	req, err := http.NewRequest("POST", r.url+appPrefix+"CheckConsents", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/connect+json")
	req.Header.Set("Authorization", "Bearer "+r.keys[authn.App])
	go func() {
		if resp, err := clients(t)["HTTP/2.0"].Do(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	begin := time.Now()
	go func() {
		for _, c := range []byte("\x00\x00\x00\x01\x00" + strings.Repeat(" ", 256)) {
			if _, err := send.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(30 * time.Millisecond)
		}
	}()
	select {
	case err := <-s.ended:
		if errors.Is(err, io.EOF) {
			t.Errorf("the handler takes it for the end: %v", err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("after %v", took)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it is still read")
	}
}

// Where messages end is found, however they come in pieces.
func TestCountingMessages(t *testing.T) {
	var stream []byte
	ends, lengths := make(map[int]bool), []int{0, 1, 300, 0, 0, 7, 70000}
	for i, n := range lengths {
		stream = append(binary.BigEndian.AppendUint32(append(stream, byte(i)), uint32(n)), bytes.Repeat([]byte{255}, n)...)
		ends[len(stream)] = true
	}
	for _, step := range []int{1, 2, 3, 5, 7, 64, 1000} {
		e, begun := new(envelopes), 0
		for at := 0; at < len(stream); {
			next := min(at+step, len(stream))
			e.follow(stream[at:next], func(flags byte, n int64) error {
				if begun >= len(lengths) || flags != byte(begun) || n != int64(lengths[begun]) {
					t.Fatalf("in steps of %d: message %d has the flags %d and %d bytes", step, begun, flags, n)
				}
				begun++
				return nil
			})
			if at = next; ends[at] != e.between() {
				t.Fatalf("in steps of %d: at %d: %v %d", step, at, e.header, e.left)
			}
		}
		if begun != len(lengths) {
			t.Errorf("in steps of %d: %d messages", step, begun)
		}
	}
}

// Shutdown does not wait for a body that does not come, and what had come whole is
// answered.
func TestShutdownEndsSlowSenders(t *testing.T) {
	t.Parallel()
	s := &services{entered: make(chan struct{}), release: make(chan struct{})}
	r := start(t, s.mux(), func(o *Options) { o.DrainTimeout = 4 * time.Second })
	answered := make(chan error, 1)
	go func() { answered <- r.call(t.Context(), http.DefaultClient) }()
	<-s.entered
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nAuthorization: Bearer %s\r\n\r\n{", check, r.keys[authn.App])
	for r.server.Loads()["small_bodies"].Used < 1001 {
		time.Sleep(10 * time.Millisecond)
	}
	begin := time.Now()
	r.stop()
	time.Sleep(300 * time.Millisecond)
	s.release <- struct{}{}
	if err := <-answered; err != nil {
		t.Errorf("what had its place: %v", err)
	}
	if err := <-r.stopped; err != nil || time.Since(begin) > 3500*time.Millisecond {
		t.Errorf("Run: %v after %v", err, time.Since(begin))
	}
	if code := connect.CodeOf(r.call(t.Context(), http.DefaultClient)); code != connect.CodeUnavailable {
		t.Errorf("afterwards: %v", code)
	}
}

// paced takes what is written at a rate, bytes per second, until its deadline.
type paced struct {
	http.ResponseWriter
	rate  int
	ended atomic.Bool
}

func (p *paced) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * time.Second / time.Duration(p.rate))
	if p.ended.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return len(b), nil
}

// What must be taken in the long run is minReadRate, and a reader may fall behind by
// as much as can be waited for.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		rate, bytes int
		ends        bool
	}{
		{minReadRate * 9 / 10, 2 << 20, false}, // behind, and not for long
		{minReadRate * 9 / 10, 1 << 30, true},
		{minReadRate * 11 / 10, 1 << 30, false},
		{minReadRate / 32, 1 << 20, true},
		{minReadRate / 32, 16 << 10, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			to := &paced{rate: c.rate}
			p := &pacedWriter{ResponseWriter: to, most: 30 * time.Second, credit: 30 * time.Second,
				set: func(at time.Time) error { to.ended.Store(at.Before(time.Now())); return nil }}
			begin := time.Now()
			n, err := p.Write(make([]byte, c.bytes))
			if (err != nil) != c.ends || !c.ends && n != c.bytes {
				t.Errorf("%d bytes at %d/s: %d written, %v", c.bytes, c.rate, n, err)
			}
			// Nine tenths of the rate use up 30 s within five minutes and a piece.
			if took := time.Since(begin); c.ends && took > 310*time.Second {
				t.Errorf("at %d/s it ended after %v", c.rate, took)
			}
			p.finish()
		})
	}
}

// Strangers who open no window for the answers of HTTP/2 hold what answers them for
// seconds, not for the time that an answer may take.
func TestStrangersWithClosedWindows(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/log/checkpoint", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a checkpoint") })
	r := start(t, mux, func(o *Options) { o.PublicLog = true })
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	conn.SetDeadline(begin.Add(20 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(conn, conn)
	if err := frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/", check, "/healthz", "/readyz", "/log/checkpoint", "/log/nothing"}
	for i, path := range paths {
		var fields bytes.Buffer
		encoder := hpack.NewEncoder(&fields)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", path}} {
			encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		if err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), EndHeaders: true, EndStream: true, BlockFragment: fields.Bytes()}); err != nil {
			t.Fatal(err)
		}
	}
	for reset := 0; reset < len(paths); {
		f, err := frames.ReadFrame()
		if err != nil {
			t.Fatalf("after %v: %d of %d streams have ended: %v", time.Since(begin), reset, len(paths), err)
		}
		if _, ok := f.(*http2.RSTStreamFrame); ok {
			reset++
		}
	}
}
