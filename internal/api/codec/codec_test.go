package codec

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

const canary = "anna.canary@example.org"

func TestJSONRefusals(t *testing.T) {
	for _, c := range []struct {
		message proto.Message
		json    string
		want    string
	}{
		{&appv1.CheckConsentRequest{}, ``, "the body: is empty; the smallest request is {}"},
		{&appv1.CheckConsentRequest{}, `{"subject":{"email":"anna.canary@example.org"},}`, "the body: is not valid JSON at byte 48"},
		{&appv1.CheckConsentRequest{}, `{} {"anna.canary@example.org":1}`, "the body: is not valid JSON at byte 4"},
		{&appv1.CheckConsentRequest{}, `"anna.canary@example.org"`, "the body: must be an object"},
		{&appv1.CheckConsentRequest{}, `["anna.canary@example.org"]`, "the body: must be an object"},
		{&appv1.CheckConsentRequest{}, `null`, "the body: must be an object"},
		{&appv1.CheckConsentRequest{}, `{"purpos":"anna.canary@example.org"}`, "purpos: is unknown"},
		{&appv1.CheckConsentRequest{}, `{"anna.canary@example.org":1}`, "the body: has a field that is unknown"},
		{&appv1.CheckConsentRequest{}, `{"subject":{"anna.canary@example.org":1}}`, "subject: has a field that is unknown"},
		{&appv1.CheckConsentRequest{}, `{"subject":{"mail":"anna.canary@example.org"}}`, "subject.mail: is unknown"},
		{&appv1.CheckConsentRequest{}, `{"subject":"anna.canary@example.org"}`, "subject: must be an object"},
		{&appv1.CheckConsentRequest{}, `{"subject":{"email":["anna.canary@example.org"]}}`, "subject.email: must be a string of valid Unicode"},
		{&appv1.CheckConsentRequest{}, `{"subject":{"email":"anna.canary@example.org\ud800"}}`, "subject.email: must be a string of valid Unicode"},
		{&appv1.CheckConsentRequest{}, `{"purpose":"a","purpose":"anna.canary@example.org"}`, "purpose: is given twice"},
		{&appv1.RecordUsesRequest{}, `{"consent_ids":[1],"consentIds":["anna.canary@example.org"]}`, "consent_ids: is given twice"},
		{&appv1.RecordUsesRequest{}, `{"consent_ids":[1,"anna.canary@example.org"]}`, "consent_ids[1]: must be a whole number of 64 bits, best written as a string"},
		{&appv1.RecordUsesRequest{}, `{"consent_ids":["9223372036854775808"]}`, "consent_ids[0]: must be a whole number of 64 bits, best written as a string"},
		{&appv1.RecordUsesRequest{}, `{"consent_ids":"anna.canary@example.org"}`, "consent_ids: must be an array"},
		{&appv1.RecordUsesRequest{}, `{"occurred_at":"anna.canary@example.org"}`, `occurred_at: must be a time in RFC 3339 such as "2026-11-21T22:36:10Z"`},
		{&appv1.RecordUsesRequest{}, `{"occurred_at":{"anna.canary@example.org":1}}`, `occurred_at: must be a time in RFC 3339 such as "2026-11-21T22:36:10Z"`},
		{&appv1.RequestConsentRequest{}, `{"claims":{"anna.canary@example.org":1}}`, "claims: must map names to a string of valid Unicode"},
		{&appv1.RequestConsentRequest{}, `{"claims":{"ip":"1","ip":"anna.canary@example.org"}}`, "claims: has a name that is given twice"},
		{&appv1.RequestConsentRequest{}, `{"claims":["anna.canary@example.org"]}`, "claims: must be an object"},
		{&appv1.RequestConsentRequest{}, `{"lock":"anna.canary@example.org"}`, "lock: must be a string in base64"},
		{&appv1.RequestConsentRequest{}, `{"attachments":[{},{"bytes":"anna.canary@example.org"}]}`, "attachments[1].bytes: must be a string in base64"},
		{&appv1.RequestConsentRequest{}, `{"attachments":[null]}`, "attachments[0]: must be an object"},
		{&appv1.BatchCheckConsentsRequest{}, `{"checks":[{},{"subject":{"emial":"anna.canary@example.org"}}]}`, "checks[1].subject.emial: is unknown"},
		{&appv1.CheckConsentRequest{}, "{\"purpose\":\"\xff" + canary + "\"}", "the body: is not valid UTF-8 at byte 12"},
	} {
		err := jsonCodec{"json"}.Unmarshal([]byte(c.json), c.message)
		switch {
		case err == nil:
			t.Errorf("%s was accepted", c.json)
		case strings.Contains(err.Error(), "canary"):
			t.Errorf("%s: the error quotes the value: %v", c.json, err)
		case err.Error() != c.want:
			t.Errorf("%s\n got %v\nwant %s", c.json, err, c.want)
		}
	}
}

func TestJSONAccepts(t *testing.T) {
	var got appv1.RecordUsesRequest
	in := `{"consent_ids":[1,"2"],"idempotencyKey":"k","occurred_at":"2026-11-21T22:36:10Z","proof":null}`
	if err := (jsonCodec{"json"}).Unmarshal([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.ConsentIds) != 2 || got.ConsentIds[1] != 2 || got.IdempotencyKey != "k" || got.OccurredAt.Seconds != 1795300570 {
		t.Errorf("decoded %v", &got)
	}
}

func TestJSONAnswersShowZeroValues(t *testing.T) {
	got, err := jsonCodec{"json"}.Marshal(&appv1.CheckConsentResponse{Reason: "unknown_subject", AsOf: &appv1.AsOf{Index: 6, Size: 7}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"allowed":false,"reason":"unknown_subject","consent_id":"0","state":"","notice":"","as_of":{"index":"6","size":"7"},` +
		`"basis":"","grade":"","tracking_mode":"","warnings":[]}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// unknownField is a field number 99 that holds the canary.
func unknownBytes() []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), canary)
}

func TestBinaryRefusals(t *testing.T) {
	subject := &appv1.Subject{Email: "a@example.org"}
	subject.ProtoReflect().SetUnknown(unknownBytes())
	top := &appv1.CheckConsentRequest{Purpose: "p"}
	top.ProtoReflect().SetUnknown(unknownBytes())
	for _, c := range []struct {
		name    string
		data    []byte
		message proto.Message
		want    string
	}{
		{"unknown at the top", mustMarshal(t, top), &appv1.CheckConsentRequest{}, "the body: field number 99 is unknown"},
		{"unknown inside", mustMarshal(t, &appv1.CheckConsentRequest{Subject: subject}), &appv1.CheckConsentRequest{}, "subject: field number 99 is unknown"},
		{"unknown in a list", mustMarshal(t, &appv1.BatchCheckConsentsRequest{Checks: []*appv1.CheckConsentRequest{{}, {Subject: subject}}}), &appv1.BatchCheckConsentsRequest{}, "checks[1].subject: field number 99 is unknown"},
		{"not UTF-8", protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "\xff"+canary), &appv1.CheckConsentRequest{}, "the body: is not a valid consent.app.v1.CheckConsentRequest (wire format, or text that is not UTF-8)"},
		{"not protobuf", []byte(canary), &appv1.CheckConsentRequest{}, "the body: is not a valid consent.app.v1.CheckConsentRequest (wire format, or text that is not UTF-8)"},
	} {
		err := binaryCodec{}.Unmarshal(c.data, c.message)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if err := (binaryCodec{}).Unmarshal(mustMarshal(t, &appv1.CheckConsentRequest{Subject: &appv1.Subject{Email: canary}, Purpose: "p"}), &appv1.CheckConsentRequest{}); err != nil {
		t.Error(err)
	}
}

func mustMarshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// answers is a service that answers CheckConsent for real and nothing else.
type answers struct {
	appv1connect.UnimplementedConsentServiceHandler
}

func (answers) CheckConsent(_ context.Context, req *appv1.CheckConsentRequest) (*appv1.CheckConsentResponse, error) {
	return &appv1.CheckConsentResponse{Reason: "unknown_subject", Notice: req.Purpose}, nil
}

func TestOverHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle(appv1connect.NewConsentServiceHandler(answers{}, HandlerOptions(1000)...))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	url := srv.URL + appv1connect.ConsentServiceCheckConsentProcedure

	post := func(contentType, body string) (int, map[string]any) {
		t.Helper()
		resp, err := http.Post(url, contentType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if bytes.Contains(data, []byte("canary")) {
			t.Errorf("the answer quotes the value: %s", data)
		}
		return resp.StatusCode, m
	}
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8"} {
		if status, m := post(contentType, `{"purpose":"newsletter"}`); status != 200 || m["allowed"] != false || m["notice"] != "newsletter" {
			t.Errorf("%s: %d %v", contentType, status, m)
		}
		status, m := post(contentType, `{"purpos":"`+canary+`"}`)
		if status != 400 || m["code"] != "invalid_argument" || m["message"] != "unmarshal message: purpos: is unknown" {
			t.Errorf("%s: %d %v", contentType, status, m)
		}
	}
	if status, m := post("application/json", `{"purpose":"`+strings.Repeat("x", 1000)+`"}`); status != 429 || m["code"] != "resource_exhausted" {
		t.Errorf("oversized: %d %v", status, m)
	}

	req := &appv1.CheckConsentRequest{Purpose: "p"}
	req.ProtoReflect().SetUnknown(unknownBytes())
	for name, opts := range map[string][]connect.ClientOption{
		"connect": nil, "grpc-web": {connect.WithGRPCWeb()}, "connect json": {connect.WithProtoJSON()},
	} {
		client := appv1connect.NewConsentServiceClient(srv.Client(), srv.URL, opts...)
		if resp, err := client.CheckConsent(t.Context(), &appv1.CheckConsentRequest{Purpose: "p"}); err != nil || resp.Notice != "p" {
			t.Errorf("%s: %v %v", name, resp, err)
		}
		if name == "connect json" {
			continue // JSON has no room for an unknown field number
		}
		_, err := client.CheckConsent(t.Context(), req)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "field number 99") {
			t.Errorf("%s: unknown field: %v", name, err)
		}
	}
}

// FuzzJSON looks for a refusal that quotes the request or for one that explain
// cannot find.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"subject":{"email":"a"},"purposes":["b"],"claims":{"ip":"c"},"occurred_at":"2026-11-21T22:36:10Z"}`))
	f.Add([]byte(`{"attachments":[{"name":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m appv1.RequestConsentRequest
		err := jsonCodec{"json"}.Unmarshal(data, &m)
		if err == nil {
			if _, err := (jsonCodec{"json"}).Marshal(&m); err != nil {
				t.Errorf("accepted, but cannot be encoded: %v", err)
			}
			return
		}
		if err.Error() == "" || len(err.Error()) > 300 {
			t.Errorf("answered %q", err)
		}
	})
}

// What compact makes of protojson's answers is what json.Compact makes of them.
func TestCompact(t *testing.T) {
	for _, s := range []string{`{}`, ` { } `, `{"a":1, "b":[1, 2,  3]}`, `{"a b":"c, d", "e":"\\", "f":"\" x \\\" y"}`, `{"a":null, "b":[{}, {"":" "}], "c":-1.5e3}`, `" "`, `""`, `7 `} {
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(s)); err != nil {
			t.Fatal(err)
		}
		if got := compact([]byte(s)); string(got) != want.String() {
			t.Errorf("%s became %s, want %s", s, got, want.String())
		}
	}
}
