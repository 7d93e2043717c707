package server

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test's program be a crowd of clients, in a process of its own,
// because each end of a connection is an open file.
func TestMain(m *testing.M) {
	if addr := os.Getenv("SERVER_TEST_CROWD"); addr != "" {
		says, err := strconv.Unquote(os.Getenv("SERVER_TEST_SAYS"))
		if err != nil {
			panic(err) // the test is wrong
		}
		crowd(addr, says)
		return
	}
	// These tests wait, for deadlines and for each other; they hardly compute.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err) // package testing has changed
	}
	os.Exit(m.Run())
}

// crowd opens as many connections as the standard input says, which say something
// and then nothing more, and waits for the end of the input. It prints how many it
// opened, and at the end how many of them are open still.
func crowd(addr, says string) {
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	n, _ := strconv.Atoi(in.Text())
	conns := make([]net.Conn, 0, n)
	for range n {
		conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = io.WriteString(conn, says) // that the server closed it already is counted below
		conns = append(conns, conn)
	}
	fmt.Println(len(conns))
	in.Scan()
	var open atomic.Int64
	var all sync.WaitGroup
	for _, conn := range conns {
		all.Go(func() {
			conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); os.IsTimeout(err) {
				open.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Println(open.Load())
}

// gather starts a crowd of n. The function it returns ends it and gives how many of
// its connections were open.
func gather(t *testing.T, addr, says string, n int) func() int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "SERVER_TEST_CROWD="+addr, "SERVER_TEST_SAYS="+strconv.Quote(says))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	number := func(send string) int {
		io.WriteString(in, send)
		if !lines.Scan() {
			t.Fatalf("the crowd has gone: %v", lines.Err())
		}
		got, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the crowd says %q", lines.Text())
		}
		return got
	}
	if got := number(strconv.Itoa(n) + "\n"); got != n {
		t.Fatalf("%d connections, want %d", got, n)
	}
	return func() int { return number("\n") }
}

// halfHeader is a request that does not end.
const halfHeader = "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "

// TestTenThousandConnections: as many as say nothing, or begin a header and do not end
// it, shut nobody out.
func TestTenThousandConnections(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 10_000+filesLeft {
		t.Skipf("this process may open %d files only", limit.Cur)
	}
	r := start(t, new(services).mux(), nil)
	for name, says := range map[string]string{"silent": "", "half a header": halfHeader} {
		begin := time.Now()
		end := gather(t, r.addr, says, 10_000)
		gathered := time.Since(begin)
		slowest := time.Duration(0)
		for range 50 {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			begin := time.Now()
			if err := r.call(t.Context(), client); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			slowest = max(slowest, time.Since(begin))
		}
		l := r.server.Loads()["connections"]
		t.Logf("%s: 10,000 connections within %v; then 50 calls over new ones, the slowest took %v; %+v", name, gathered, slowest, l)
		if l.Used > l.Size || l.Size != 10_000 {
			t.Errorf("%s: %+v", name, l)
		}
		end()
	}
}

// Beyond the limit those go who have waited longest; who is being answered stays.
func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	s := &services{entered: make(chan struct{}), release: make(chan struct{})}
	r := start(t, s.mux(), func(o *Options) { o.MaxConnections = 20 })
	answered := make(chan error, 1)
	go func() { answered <- r.call(t.Context(), clients(t)["HTTP/2.0"]) }()
	<-s.entered
	idle := &http.Client{Transport: &http.Transport{}}
	defer idle.CloseIdleConnections()
	if resp, err := idle.Get(r.url + "/healthz"); err != nil {
		t.Fatal(err)
	} else {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	end := gather(t, r.addr, halfHeader, 100)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		resp, err := clients(t)[proto].Get(r.url + "/healthz")
		if err != nil {
			t.Fatalf("%s: %v", proto, err)
		}
		resp.Body.Close()
	}
	l := r.server.Loads()["connections"]
	if l.Used > 20 || l.Shed < 80 {
		t.Errorf("%+v", l)
	}
	if open := end(); open > 19 || open < 15 {
		t.Errorf("%d of the crowd's connections are open", open)
	}
	s.release <- struct{}{}
	if err := <-answered; err != nil {
		t.Errorf("the call that was being answered: %v", err)
	}
}

// The same over TLS, where the connection that net/http knows is not the socket.
func TestTLSConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	files := issue(t, t.TempDir(), "ledger")
	r := start(t, new(services).mux(), func(o *Options) { o.TLS, o.MaxConnections = &files, 20 })
	end := gather(t, r.addr, "\x16\x03\x01\x02\x00\x01", 100) // a ClientHello begins so
	if out := foreign(t, "curl", "-sS", "--max-time", "10", "--cacert", files.Certificate, r.url+"/healthz"); !strings.Contains(out, "ok") {
		t.Errorf("healthz: %q", out)
	}
	if open := end(); open > 20 || open < 15 {
		t.Errorf("%d of the crowd's connections are open", open)
	}
}

func TestMaxConnections(t *testing.T) {
	opts := minimal(t, "127.0.0.1:0")
	opts.MaxConnections = 1 << 41
	if _, err := New(opts); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("more than there are files: %v", err)
	}
	opts.MaxConnections = -1
	if _, err := New(opts); err == nil {
		t.Error("a negative number was accepted")
	}
	if most, err := maxConnections(0); err != nil || most < 100 || most > 10_000 {
		t.Errorf("by default %d: %v", most, err)
	}
}
