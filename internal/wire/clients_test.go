package wire_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/proto/consent/admin/v1/adminv1connect"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// object is a message as JSON has it.
type object = map[string]any

// caller makes unary calls of one kind: "ConsentService/RequestConsent" and the
// request as JSON. An error is the code and the message.
type caller func(t *testing.T, method string, req object) (object, *failure)

type failure struct{ code, message string }

// callers are the three ways to the same port.
func callers(t *testing.T, r *running) map[string]caller {
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	h1 := &http.Transport{}
	t.Cleanup(func() {
		h2c.CloseIdleConnections()
		h1.CloseIdleConnections()
	})
	return map[string]caller{
		"JSON over HTTP/1.1": r.callJSON,
		"Connect":            generated(r, &http.Client{Transport: h1}),
		"gRPC over h2c":      generated(r, &http.Client{Transport: h2c}, connect.WithGRPC()),
	}
}

var packages = map[string]string{"ConsentService": "app", "AuditService": "audit", "AdminService": "admin", "EvidenceService": "evidence"}

// callJSON knows of the API only what a person with curl knows.
func (r *running) callJSON(t *testing.T, method string, req object) (object, *failure) {
	t.Helper()
	body, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	service, _, _ := strings.Cut(method, "/")
	procedure := "/consent." + packages[service] + ".v1." + method
	contentType, stream := "application/json", methods()[procedure].IsStreamingServer()
	if stream { // one message, the first answer
		contentType, body = "application/connect+json", envelope(body)
	}
	a := r.post(procedure, r.keys[roleOf(procedure)], contentType, body)
	if a.code != "ok" {
		return nil, &failure{a.code, a.message}
	}
	text, _, _ := strings.Cut(a.body, "\n")
	if stream {
		text = string(a.stream[0])
	}
	var rsp object
	if err := json.Unmarshal([]byte(text), &rsp); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return rsp, nil
}

// generated calls by the generated clients. The request goes through the
// generated messages, and so does the answer.
func generated(r *running, client *http.Client, options ...connect.ClientOption) caller {
	with := func(role authn.Role) []connect.ClientOption {
		key := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
				req.Header().Set("Authorization", "Bearer "+r.keys[role])
				return next(ctx, req)
			}
		})
		return append([]connect.ClientOption{connect.WithInterceptors(key)}, options...)
	}
	clients := map[string]any{
		"ConsentService":  appv1connect.NewConsentServiceClient(client, r.url, with(authn.App)...),
		"AuditService":    auditv1connect.NewAuditServiceClient(client, r.url, with(authn.Auditor)...),
		"AdminService":    adminv1connect.NewAdminServiceClient(client, r.url, with(authn.Admin)...),
		"EvidenceService": evidencev1connect.NewEvidenceServiceClient(client, r.url, with(authn.Legal)...),
	}
	return func(t *testing.T, method string, req object) (object, *failure) {
		t.Helper()
		service, name, _ := strings.Cut(method, "/")
		call := reflect.ValueOf(clients[service]).MethodByName(name)
		if !call.IsValid() {
			t.Fatalf("there is no method %s", method)
		}
		message := reflect.New(call.Type().In(1).Elem())
		text, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := protojson.Unmarshal(text, message.Interface().(proto.Message)); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		out := call.Call([]reflect.Value{reflect.ValueOf(t.Context()), message})
		if err, _ := out[1].Interface().(error); err != nil {
			f := &failure{code: connect.CodeOf(err).String()}
			f.message = strings.TrimPrefix(err.Error(), f.code+": ")
			return nil, f
		}
		text, err = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(out[0].Interface().(proto.Message))
		if err != nil {
			t.Fatal(err)
		}
		var rsp object
		if err := json.Unmarshal(text, &rsp); err != nil {
			t.Fatal(err)
		}
		return rsp, nil
	}
}
