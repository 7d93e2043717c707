package attacks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// patience is how long anything may take that is waited for.
const patience = 30 * time.Second

// testLedger is a ledger that `ledgerd` made, in a process of its own when it serves.
type testLedger struct {
	*trial
	dir, key, url string
	purposes      int
	cmd           *exec.Cmd
	log           *lockedBuffer
}

// ledger makes a ledger.
func (t *trial) ledger() *testLedger {
	t.Helper()
	l := &testLedger{trial: t, dir: t.newDir("ledger")}
	out := l.command("init", "--data", l.dir, "--origin", "ledger.example.com/shop")
	l.key = regexp.MustCompile(`clk_[A-Za-z0-9_-]+`).FindString(out)
	return l
}

// command runs ledgerd to its end, and demands that it succeeds.
func (l *testLedger) command(args ...string) string {
	l.Helper()
	out, err := l.try(args...)
	if err != nil {
		l.Fatalf("ledgerd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (l *testLedger) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(l.Context(), patience) // what should not start may serve
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "ledgerd"), args...)
	cmd.Env = append(cmd.Environ(), "LEDGERD_SERVER="+l.url, "LEDGERD_KEY="+l.key)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// serve starts the ledger; everybody may read its log.
func (l *testLedger) serve(flags ...string) {
	l.Helper()
	l.log = new(lockedBuffer)
	l.cmd = exec.Command(filepath.Join(bin, "ledgerd"), append([]string{"serve", "--data", l.dir, "--listen", "127.0.0.1:0", "--public-log",
		"--publish-interval", "50ms"}, flags...)...)
	l.cmd.Stderr = l.log
	out, err := l.cmd.StdoutPipe()
	if err == nil {
		err = l.cmd.Start()
	}
	if err != nil {
		l.Fatal(err)
	}
	cmd := l.cmd
	l.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) // it may have ended before
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Wait()
		l.Fatalf("the ledger does not serve: %v\n%s", err, l.log)
	}
	_, url, _ := strings.Cut(strings.TrimSpace(line), " at ")
	l.url = url
}

// stop ends the ledger as an operator does.
func (l *testLedger) stop() {
	l.Helper()
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		l.Fatal(err)
	}
	if err := l.cmd.Wait(); err != nil {
		l.Fatalf("the ledger ended: %v\n%s", err, l.log)
	}
}

// post calls a method of the admin's API.
func (l *testLedger) post(method, body string) (int, []byte) {
	l.Helper()
	req, err := http.NewRequest(http.MethodPost, l.url+"/consent.admin.v1.AdminService/"+method, strings.NewReader(body))
	if err != nil {
		l.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.key)
	req.Header.Set("Content-Type", "application/json")
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.Fatal(err)
	}
	defer rsp.Body.Close()
	answer, err := io.ReadAll(rsp.Body)
	if err != nil {
		l.Fatal(err)
	}
	return rsp.StatusCode, answer
}

// record records entries; want is the status of the answer.
func (l *testLedger) record(n, want int) []byte {
	l.Helper()
	var answer []byte
	for range n {
		var status int
		l.purposes++
		if status, answer = l.post("DefinePurpose", fmt.Sprintf(`{"id":"%s","title":"News"}`, strings.Repeat("p", l.purposes))); status != want {
			l.Fatalf("recording is answered with %d, want %d: %s\n%s", status, want, answer, l.log)
		}
	}
	return answer
}

// status is what GetStatus answers, as far as it matters here.
type status struct {
	Size           int64 `json:",string"`
	CosignedSize   int64 `json:"cosigned_size,string"`
	Recording      bool
	Fault          string
	WitnessesFault string `json:"witnesses_fault"`
	Witnesses      []struct{ URL, Error string }
	Authorities    []struct {
		Name, Error, Detail string
		ClockDifference     string `json:"clock_difference"`
		Size                int64  `json:",string"`
	} `json:"timestamp_authorities"`
}

func (l *testLedger) status() *status {
	l.Helper()
	code, answer := l.post("GetStatus", "{}")
	s := new(status)
	if err := json.Unmarshal(answer, s); err != nil || code != http.StatusOK {
		l.Fatalf("the status is %d %s: %v", code, answer, err)
	}
	return s
}

// until waits until the status is so.
func (l *testLedger) until(what string, ok func(*status) bool) {
	l.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		s := l.status()
		if ok(s) {
			return
		}
		if time.Now().After(end) {
			l.Fatalf("not within %v: %s; the status is %+v\n%s", patience, what, s, l.log)
		}
	}
}

// cosigned waits until what is published is the whole log.
func (l *testLedger) cosigned() {
	l.Helper()
	l.until("all is cosigned", func(s *status) bool { return s.CosignedSize == s.Size })
}

// signer gives the keys' names, to make witnesses of the log.
func (l *testLedger) keys() ledger.KeyPair {
	l.Helper()
	p, err := ledger.ParsePolicy(l.read(filepath.Join(l.dir, "trust.policy")))
	if err != nil {
		l.Fatal(err)
	}
	return p.Keys()
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String gives what the ledger said, but for the requests.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var said strings.Builder
	for line := range strings.Lines(l.b.String()) {
		if !strings.Contains(line, `"msg":"request"`) {
			said.WriteString(line)
		}
	}
	return said.String()
}
