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
//	litewitness                  cosigns what a running ledgerd publishes
//	tspclient-go                 reads time stamps
//	openssl ts                   makes them, over HTTP, and verifies them
//
// Left out because what they depend on is not to be had at the versions that they
// name: sigsum-go and the witness of transparency-dev. Tessera is used as a package:
// the fsck command of v1.0.4 exits with 0 after it found a fault. `go test -short`
// leaves out the large log; all of it takes about a minute on two cores.
package interop

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
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
