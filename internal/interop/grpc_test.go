// Package interop tests the ledger against software that its authors did not
// write. It is a module of its own, so that what it needs never reaches the
// programs.
//
//	grpc-go                      calls a running ledgerd
//	Tessera's client and fsck    read the log live and as files, make proofs
//	torchwood                    reads it, too; checkpoints, cosignatures, policies, receipts
//	x/mod/sumdb                  verifies tiles, makes and checks proofs, opens notes
//	transparency-dev/merkle      hashes trees, verifies proofs
//	transparency-dev/formats     checkpoints, cosignatures, receipts
//	filippo.io/mldsa             verifies and makes ML-DSA-44 signatures
//
// Left out because what they depend on is not to be had at the versions that they
// name: sigsum-go and the witness of transparency-dev. Tessera is used as a package:
// the fsck command of v1.0.4 exits with 0 after it found a fault. `go test -short`
// leaves out the large log; all of it takes about half a minute on two cores.
package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
)

// TestGRPC lets grpc-go, an implementation of gRPC that shares no code with the
// server's, tell the story of a double opt-in to a real ledgerd: unary calls,
// a refusal with its status, and a stream.
func TestGRPC(t *testing.T) {
	server := startLedger(t)
	conn, err := grpc.NewClient(server.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	call := func(role, method string, req, resp any) error {
		return conn.Invoke(server.as(t, role), method, req, resp)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const app, admin = "/consent.app.v1.ConsentService/", "/consent.admin.v1.AdminService/"
	must(call("admin", admin+"DefinePurpose", &adminv1.DefinePurposeRequest{Id: "newsletter", Title: "News", Marketing: true, DoubleOptIn: true}, new(adminv1.DefinePurposeResponse)))
	must(call("admin", admin+"PublishNotice", &adminv1.PublishNoticeRequest{Id: "newsletter-en", Language: "en", Text: "Yes, please.", Purposes: []string{"newsletter"}}, new(adminv1.PublishNoticeResponse)))
	anna := &appv1.Subject{Email: "anna@example.com"}
	requested := new(appv1.RequestConsentResponse)
	must(call("app", app+"RequestConsent", &appv1.RequestConsentRequest{Subject: anna, Purposes: []string{"newsletter"},
		Channel: "email", Notice: "newsletter-en@1", Method: "web_form"}, requested))
	allowed := func() bool {
		t.Helper()
		answer := new(appv1.CheckConsentResponse)
		must(call("app", app+"CheckConsent", &appv1.CheckConsentRequest{Subject: anna, Purpose: "newsletter", Channel: "email"}, answer))
		return answer.Allowed
	}
	if allowed() {
		t.Error("allowed before the click")
	}
	must(call("app", app+"ConfirmConsent", &appv1.ConfirmConsentRequest{Token: requested.GetToken()}, new(appv1.ConfirmConsentResponse)))
	if !allowed() {
		t.Error("not allowed after the click")
	}
	err = call("app", app+"ConfirmConsent", &appv1.ConfirmConsentRequest{Token: "guessed"}, new(appv1.ConfirmConsentResponse))
	if s := status.Convert(err); s.Code() != codes.InvalidArgument || !strings.HasPrefix(s.Message(), "token: ") {
		t.Errorf("a bad token gives %v", err)
	}
	err = call("auditor", app+"CheckConsent", &appv1.CheckConsentRequest{}, new(appv1.CheckConsentResponse))
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("an auditor who asks about a person gets %v", err)
	}
	checks, err := conn.NewStream(server.as(t, "app"), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, app+"CheckConsents")
	must(err)
	for _, channel := range []string{"email", "pigeon", "email"} {
		must(checks.SendMsg(&appv1.CheckConsentRequest{Subject: anna, Purpose: "newsletter", Channel: channel}))
	}
	must(checks.CloseSend())
	for i, want := range []string{"", "invalid_argument: checks[1].channel: is not a channel", ""} {
		answer := new(appv1.CheckResult)
		must(checks.RecvMsg(answer))
		if answer.GetError() != want || answer.GetResponse().GetAllowed() != (want == "") {
			t.Errorf("answer %d of the stream: %v, want %q", i, answer, want)
		}
	}
	if err := checks.RecvMsg(new(appv1.CheckResult)); !errors.Is(err, io.EOF) {
		t.Errorf("the stream of checks ends with %v", err)
	}
	stream, err := conn.NewStream(server.as(t, "auditor"), &grpc.StreamDesc{ServerStreams: true}, "/consent.audit.v1.AuditService/ListEntries")
	must(err)
	must(stream.SendMsg(&auditv1.ListEntriesRequest{}))
	must(stream.CloseSend())
	entries := 0
	for ; ; entries++ {
		e := new(auditv1.ListEntriesResponse)
		if err := stream.RecvMsg(e); err != nil {
			break
		}
	}
	if entries != 7 { // created, 2 sources, purpose, notice, requested, confirmed
		t.Errorf("the stream gives %d entries, want 7", entries)
	}
}

// ledgerServer is a running ledgerd.
type ledgerServer struct {
	addr string
	data string            // its directory
	keys map[string]string // by role
}

// as gives the context of a call with the key of a role.
func (s *ledgerServer) as(t *testing.T, role string) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.keys[role])
}

// builtLedgerd builds ledgerd, once for all tests; TestMain removes it.
var builtLedgerd = sync.OnceValues(func() (program string, err error) {
	program = filepath.Join(programs, "ledgerd")
	build := exec.Command("go", "build", "-o", program, "./cmd/ledgerd")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building ledgerd: %w\n%s", err, out)
	}
	return program, nil
})

// startLedger serves a new ledger with ledgerd until the test ends, with these further
// flags.
func startLedger(t *testing.T, flags ...string) *ledgerServer {
	program, err := builtLedgerd()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	s := &ledgerServer{data: data, keys: map[string]string{}}
	run := func(role string, args ...string) {
		out, err := exec.Command(program, args...).CombinedOutput()
		key := regexp.MustCompile(`clk_[A-Za-z0-9_-]{43}`).Find(out)
		if err != nil || key == nil {
			t.Fatalf("ledgerd %v: %v\n%s", args, err, out)
		}
		s.keys[role] = string(key)
	}
	run("admin", "init", "--data", data, "--origin", "ledger.example.com")
	run("app", "apikey", "add", "--data", data, "--role", "app", "--name", "shop")
	run("auditor", "apikey", "add", "--data", data, "--role", "auditor", "--name", "auditor")
	serve := exec.Command(program, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, flags...)...)
	out, err := serve.StdoutPipe()
	if err == nil {
		err = serve.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Signal(os.Interrupt)
		if err := serve.Wait(); err != nil {
			t.Errorf("ledgerd serve: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		t.Fatalf("ledgerd serve says %q, %v", line, err)
	}
	s.addr = addr
	return s
}
