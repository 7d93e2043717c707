package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/consentledger/consentledger/internal/authn"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// streamers are the ways to the streams of applications.
func streamers(t *testing.T, r *running) map[string]appv1connect.ConsentServiceClient {
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2c.CloseIdleConnections)
	clients := map[string]appv1connect.ConsentServiceClient{}
	for name, options := range map[string][]connect.ClientOption{
		"Connect": nil, "JSON": {connect.WithProtoJSON()}, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	} {
		clients[name] = appv1connect.NewConsentServiceClient(&http.Client{Transport: h2c}, r.url, options...)
	}
	return clients
}

// asApp is the context of a stream that an application opens.
func asApp(t *testing.T, r *running) context.Context {
	ctx, call := connect.NewClientContext(t.Context())
	call.RequestHeader().Set("Authorization", "Bearer "+r.keys[authn.App])
	return ctx
}

// through sends all messages of a list without waiting, and gives all answers, as JSON
// has them.
func through[Req, Res any](s *story, open func() (*connect.BidiStreamForClientSimple[Req, Res], error), list []object) (results []any) {
	s.t.Helper()
	stream, err := open()
	if err != nil {
		s.t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		for _, item := range list {
			text, err := json.Marshal(item)
			message := new(Req)
			if err == nil {
				err = protojson.Unmarshal(text, any(message).(proto.Message))
			}
			if err == nil {
				err = stream.Send(message)
			}
			if err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseRequest()
	}()
	for {
		answer, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			s.t.Fatalf("after %d answers: %v", len(results), err)
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(any(answer).(proto.Message))
		if err != nil {
			s.t.Fatal(err)
		}
		var shown any
		if err := json.Unmarshal(text, &shown); err != nil {
			s.t.Fatal(err)
		}
		results = append(results, shown)
	}
	if err := errors.Join(<-sent, stream.CloseResponse()); err != nil {
		s.t.Error(err)
	}
	return results
}

// TestStreams checks and imports by every protocol that has streams.
func TestStreams(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	(&story{t, r, r.callJSON}).do("AdminService/AddSuppression", object{"subject": object{"external_id": "never"}})
	for name, client := range streamers(t, r) {
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, r.callJSON}
			s.checksStreamed(w, client)
			s.importsStreamed(w, client)
		})
	}
}

// checksStreamed asks a thousand questions, of which some are wrong, and compares with
// the batch.
func (s *story) checksStreamed(w *world, client appv1connect.ConsentServiceClient) {
	people := []object{w.confirmed.who, w.open.who, w.withdrawn.who, w.rejected.who, w.frozen.who, w.suppressed, w.objector, {"email": canary}, {}}
	questions := make([]object, 1000)
	for i := range questions {
		questions[i] = object{"subject": people[i%len(people)], "purpose": "newsletter", "channel": "email"}
	}
	questions[500]["channel"] = canary
	open := func() (*connect.BidiStreamForClientSimple[appv1.CheckConsentRequest, appv1.CheckResult], error) {
		return client.CheckConsents(asApp(s.t, s.r))
	}
	results := through(s, open, questions)
	batch := s.do("ConsentService/BatchCheckConsents", object{"checks": questions})["results"].([]any)
	s.same("answers", len(results), len(batch))
	for i := range results {
		s.same(fmt.Sprint("answer ", i), results[i], batch[i])
	}
	s.same("wrong", results[500].(object)["error"], any("invalid_argument: checks[500].channel: is not a channel"))
}

// importsStreamed imports old stock with a duplicate and with what is wrong, and again.
func (s *story) importsStreamed(w *world, client appv1connect.ConsentServiceClient) {
	open := func() (*connect.BidiStreamForClientSimple[appv1.ImportItem, appv1.ImportResult], error) {
		return client.ImportConsents(asApp(s.t, s.r))
	}
	items := s.stock(object{"subject": object{"external_id": "never"}}, object{"subject": w.confirmed.who})
	for i := range 300 {
		items = append(items, s.stock()[i%2])
		items[len(items)-1]["subject"] = object{"external_id": fmt.Sprint("s", s.r.size(), ".", i)}
		items[len(items)-1]["idempotency_key"] = fmt.Sprint("row ", len(items), s.r.size(), s.t.Name())
	}
	before := s.r.size()
	first := through(s, open, items)
	s.imported(items, first)
	s.same("entries", int(s.r.size()-before), 302)
	again := through(s, open, items)
	s.same("sent again", unsized(again), unsized(any(first)))
	s.same("entries after it was sent again", int(s.r.size()-before), 302)
}

// TestStreamOfJSON: messages with fields that the service does not know, or that are
// no JSON at all, are refused one by one.
func TestStreamOfJSON(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	before := r.size()
	var body []byte
	for _, m := range []any{imported(".a"), object{"subjct": object{"email": canary}}, imported(".b"), []string{canary}, imported(".c")} {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		body = append(body, envelope(text)...)
	}
	a := r.post(app+"ImportConsents", r.keys[authn.App], "application/connect+json", body)
	want := []string{"", "invalid_argument: items[1].subjct: is unknown", "", "invalid_argument: items[3]: must be an object", ""}
	if len(a.stream) != len(want)+1 || strings.Contains(a.body, canary) {
		t.Fatalf("%d messages: %s", len(a.stream), a.body)
	}
	for i, m := range want {
		var result object
		if err := json.Unmarshal(a.stream[i], &result); err != nil {
			t.Fatal(err)
		}
		w.same(fmt.Sprint("error ", i), result["error"], any(m))
		w.same(fmt.Sprint("recorded ", i), result["consent"] != nil, m == "")
	}
	w.same("the end", string(a.stream[len(want)]), "{}")
	w.same("entries", int(r.size()-before), 3)
}
