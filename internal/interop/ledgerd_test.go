package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/consentledger/consentledger/ledger"
	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// origin of every ledger that ledgerd serves here.
const origin = "ledger.example.com"

// ledgerServer is a ledger of ledgerd's, which is served while it runs.
type ledgerServer struct {
	*testing.T
	data string            // its directory
	keys map[string]string // by role
	addr string            // while it is served
	conn *grpc.ClientConn
	stop func()
	done int // calls of tryToRecord
}

// built builds programs, each once for all tests; TestMain removes them.
var built sync.Map

// build gives the path of a program: of a package, seen from a module's directory.
func build(t *testing.T, module, pkg string) string {
	t.Helper()
	program := filepath.Join(programs, filepath.Base(pkg))
	once, _ := built.LoadOrStore(program, sync.OnceValue(func() error {
		cmd := exec.Command("go", "build", "-o", program, pkg)
		cmd.Dir = module
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
		return nil
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return program
}

// makeLedger makes a ledger with a key for each role.
func makeLedger(t *testing.T) *ledgerServer {
	s := &ledgerServer{T: t, data: filepath.Join(t.TempDir(), "data"), keys: map[string]string{}, stop: func() {}}
	run := func(role string, args ...string) {
		out := s.ledgerd(args...)
		s.keys[role] = string(regexp.MustCompile(`clk_[A-Za-z0-9_-]{43}`).Find(out))
		if s.keys[role] == "" {
			t.Fatalf("ledgerd %v: %s", args, out)
		}
	}
	run("admin", "init", "--data", s.data, "--origin", origin)
	run("app", "apikey", "add", "--data", s.data, "--role", "app", "--name", "shop")
	run("auditor", "apikey", "add", "--data", s.data, "--role", "auditor", "--name", "auditor")
	return s
}

// ledgerd runs a command to its end, with an administrator's key, and gives what it
// says.
func (s *ledgerServer) ledgerd(args ...string) []byte {
	s.Helper()
	cmd := exec.Command(build(s.T, "../..", "./cmd/ledgerd"), args...)
	cmd.Env = append(os.Environ(), "LEDGERD_SERVER=http://"+s.addr, "LEDGERD_KEY="+s.keys["admin"])
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("ledgerd %v: %v\n%s", args, err, out)
	}
	return out
}

// startLedger serves a new ledger until the test ends, with these further flags.
func startLedger(t *testing.T, flags ...string) *ledgerServer {
	s := makeLedger(t)
	s.serve(flags...)
	return s
}

// serve serves the ledger until stop is called or the test ends.
func (s *ledgerServer) serve(flags ...string) {
	s.Helper()
	s.addr, s.stop = background(s.T, exec.Command(build(s.T, "../..", "./cmd/ledgerd"),
		append([]string{"serve", "--data", s.data, "--listen", "127.0.0.1:0"}, flags...)...))
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.Fatal(err)
	}
	s.conn = conn
	s.Cleanup(func() { conn.Close() })
}

// background starts a server, waits for the line that says at which address it is
// and lets it run until stop is called or the test ends.
func background(t *testing.T, cmd *exec.Cmd) (addr string, stop func()) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", cmd.Args, err, &said)
		}
	})
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		t.Fatalf("%v says %q, %v", cmd.Args, line, err)
	}
	return addr, stop
}

// as gives the context of a call with the key of a role.
func (s *ledgerServer) as(t *testing.T, role string) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.keys[role])
}

// call makes one call; the method is the service's name and its own.
func (s *ledgerServer) call(role, method string, req, resp proto.Message) error {
	s.Helper()
	return s.conn.Invoke(s.as(s.T, role), "/consent."+method, req, resp)
}

// record appends n entries, each durable before the next.
func (s *ledgerServer) record(n int) {
	s.Helper()
	for range n {
		if err := s.tryToRecord(); err != nil {
			s.Fatal(err)
		}
	}
}

// tryToRecord appends one entry: the next version of a purpose.
func (s *ledgerServer) tryToRecord() error {
	s.done++
	req := &adminv1.DefinePurposeRequest{Id: "newsletter", Title: fmt.Sprintf("News %d", s.done)}
	return s.call("admin", "admin.v1.AdminService/DefinePurpose", req, new(adminv1.DefinePurposeResponse))
}

// logURL is where the log is served.
func (s *ledgerServer) logURL() string { return "http://" + s.addr + "/log" }

// file reads a file of the log as an auditor; nil if it is not to be had.
func (s *ledgerServer) file(path string) []byte {
	s.Helper()
	req, err := http.NewRequestWithContext(s.as(s.T, "auditor"), http.MethodGet, s.logURL()+"/"+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.keys["auditor"])
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(rsp.Body)
	if err != nil {
		s.Fatal(err)
	}
	if rsp.StatusCode != http.StatusOK {
		return nil
	}
	return b
}

// entry reads an entry as an auditor.
func (s *ledgerServer) entry(i ledger.Index) string {
	s.Helper()
	resp := new(auditv1.BatchListEntriesResponse)
	err := s.call("auditor", "audit.v1.AuditService/BatchListEntries", &auditv1.BatchListEntriesRequest{Start: int64(i), Limit: 1}, resp)
	if err != nil || len(resp.GetEntries()) != 1 {
		s.Fatalf("%v, %v", resp, err)
	}
	return string(resp.GetEntries()[0].GetRaw())
}

// copy copies the directory of the stopped ledger.
func (s *ledgerServer) copy() (dir string) {
	s.Helper()
	dir = filepath.Join(s.TempDir(), "data")
	if out, err := exec.Command("cp", "-a", s.data, dir).CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// trust reads the policy that the ledger was made with.
func (s *ledgerServer) trust() string {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "trust.policy"))
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}
