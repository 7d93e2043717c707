package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// convinces verifies a bundle, as somebody does who has the log's first keys from elsewhere.
func (s *story) convinces(file []byte) *verdict.Report {
	s.t.Helper()
	keys, err := s.r.service.Log().Keys()
	if err != nil {
		s.t.Fatal(err)
	}
	ring, err := ledger.ParseKeyRing(keys)
	if err != nil {
		s.t.Fatal(err)
	}
	policy, err := ledger.ParsePolicy(ledger.NewPolicy(ring.Entries()[0].Keys))
	if err != nil {
		s.t.Fatal(err)
	}
	rep, err := verdict.Verify(s.t.Context(), bytes.NewReader(file), int64(len(file)), verdict.Options{Policy: policy})
	if err != nil {
		s.t.Fatal(err)
	}
	return rep
}

// bundleStream begins to stream a bundle about somebody.
func (r *running) bundleStream(ctx context.Context, client *http.Client, who object, disclose []string, options ...connect.ClientOption) *connect.ServerStreamForClient[evidencev1.ExportBundleResponse] {
	r.t.Helper()
	ctx, call := connect.NewClientContext(ctx)
	call.RequestHeader().Set("Authorization", "Bearer "+r.keys[authn.Legal])
	stream, err := evidencev1connect.NewEvidenceServiceClient(client, r.url, options...).ExportBundle(ctx, &evidencev1.ExportBundleRequest{
		Subject: &appv1.Subject{Email: who["email"].(string)}, Disclose: disclose, Recipient: "the court", Reason: "7 O 1/26", IdempotencyKey: "bundle"})
	if err != nil {
		r.t.Fatal(err)
	}
	return stream
}

// TestBundleStream: a bundle comes in pieces, by every protocol that has streams, or in
// one answer, and each convinces; retries are one export.
func TestBundleStream(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := &story{t, r, r.callJSON}
	s.registry()
	anna := s.address("anna")
	s.signUp(anna, "email")
	client, exported, size := overHTTP2(t), ledger.Index(-1), ledger.Size(0)
	convinces := func(name string, file []byte) {
		t.Helper()
		rep := s.convinces(file)
		if rep.About != "consents" || len(rep.Questions) != 1 || !rep.Questions[0].Allowed || rep.Questions[0].Reason != "confirmed" || rep.Exported == nil {
			t.Errorf("%s: the verdict is %+v", name, rep)
			return
		}
		if exported < 0 {
			exported, size = *rep.Exported, r.size()
		}
		if *rep.Exported != exported || r.size() != size {
			t.Errorf("%s: exported as entry %d of %d, want %d of %d", name, *rep.Exported, r.size(), exported, size)
		}
	}
	for name, options := range map[string][]connect.ClientOption{
		"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	} {
		stream := r.bundleStream(t.Context(), client, anna, []string{"email"}, options...)
		var file []byte
		for stream.Receive() {
			if n := len(stream.Msg().Data); n == 0 || n > 64<<10 {
				t.Errorf("%s: a piece of %d bytes", name, n)
			}
			file = append(file, stream.Msg().Data...)
		}
		if err := errors.Join(stream.Err(), stream.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		convinces(name, file)
	}
	convinces("one answer", r.fileOf(evidence+"GetBundle", object{"subject": anna, "disclose": []string{"email"}, "recipient": "the court",
		"reason": "7 O 1/26", "idempotency_key": "bundle"}))
	s.refused("EvidenceService/GetBundle", object{"subject": anna, "recipient": "the court", "reason": "7 O 1/26", "idempotency_key": "bundle"},
		"failed_precondition", "idempotency_key")
}

// TestBundleEndsWithThePerson: who is erased while a bundle about them is handed out is
// in the rest of it no more, and the stream says that it is not whole.
func TestBundleEndsWithThePerson(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := &story{t, r, r.callJSON}
	s.registry()
	who := s.thick()
	endsWith(s, who, r.bundleStream(t.Context(), overHTTP2(t), who, []string{"document"}), (*evidencev1.ExportBundleResponse).GetData)
}

// TestBundleOfTwo: who has the address now is not who had it before; whose bundle is
// meant has to be said.
func TestBundleOfTwo(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := &story{t, r, r.callJSON}
	s.registry()
	shared := s.address("shared")
	before := s.signUp(shared, "email")
	s.do("ConsentService/EraseSubject", object{"subject": shared, "reason": "art17", "mode": "lock_then_shred"})
	now := s.signUp(shared, "email")
	to := func(about object) object {
		about["recipient"], about["reason"] = "the court", "7 O 1/26"
		return about
	}
	s.refused("EvidenceService/GetBundle", to(object{"subject": shared}), "failed_precondition", "subject")
	s.refused("EvidenceService/GetBundle", to(object{"consent_ids": []string{before.id, now.id}}), "invalid_argument", "consent_ids[1]")
	for _, id := range []string{before.id, now.id} {
		rep := s.convinces(r.fileOf(evidence+"GetBundle", to(object{"consent_ids": []string{id}})))
		if len(rep.Consents) != 1 || fmt.Sprint(rep.Consents[0].Consent) != id || rep.Disclosed != 2 { // for whom, and why
			t.Errorf("consent %s: %d records, %d values", id, len(rep.Consents), rep.Disclosed)
		}
	}
}
