package wire_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	evidencev1 "github.com/consentledger/consentledger/proto/consent/evidence/v1"
	"github.com/consentledger/consentledger/proto/consent/evidence/v1/evidencev1connect"
)

// wantReport asks for a report and gives what is said about it, and the report.
func (s *story) wantReport(who object, format string) (about object, report []byte) {
	s.t.Helper()
	rsp := s.do("EvidenceService/GetAccessReport", object{"subject": who, "format": format})
	report, err := base64.StdEncoding.DecodeString(rsp["report"].(string))
	if err != nil {
		s.t.Fatal(err)
	}
	return rsp["about"].(object), report
}

// fileOf gives the bytes of an access report or a bundle, by a stream or in one answer.
func (r *running) fileOf(procedure string, req object) (file []byte) {
	r.t.Helper()
	body, err := json.Marshal(req)
	if err != nil {
		r.t.Fatal(err)
	}
	contentType, body := (&badCaller{method: methods()[procedure]}).frame("json", body)
	a := r.post(procedure, r.keys[roleOf(procedure)], contentType, body)
	if a.code != "ok" {
		r.t.Fatalf("%s: %s: %s", procedure, a.code, a.message)
	}
	messages := a.stream
	if messages == nil {
		whole, _, _ := strings.Cut(a.body, "\n")
		messages = [][]byte{[]byte(whole)}
	}
	for _, m := range messages {
		var part struct{ Report, Chunk, Bundle, Data []byte }
		if err := json.Unmarshal(m, &part); err != nil {
			r.t.Fatal(err)
		}
		file = slices.Concat(file, part.Report, part.Chunk, part.Bundle, part.Data)
	}
	return file
}

// readable checks that a report is what its format says, and holds these words.
func (s *story) readable(format string, report []byte, words ...string) {
	s.t.Helper()
	if format == "json" && !json.Valid(report) {
		s.t.Errorf("the report is no JSON:\n%.300s", report)
	}
	if format == "csv" {
		r := csv.NewReader(bytes.NewReader(report))
		if rows, err := r.ReadAll(); err != nil || strings.Join(rows[0], " ") != "section consent_id entry time occurred_at item value" {
			s.t.Errorf("the report is no table of the columns: %v:\n%.300s", err, report)
		}
	}
	for _, word := range words {
		if !bytes.Contains(report, []byte(word)) {
			s.t.Errorf("the report as %s does not hold %q", format, word)
		}
	}
}

// reported hands out everything held about somebody.
func (s *story) reported(anna object, mailer string) {
	id := s.records(anna)[0]["consent"].(object)["consent_id"].(string)
	s.do("EvidenceService/GetAccessReport", object{"subject": anna, "format": "json", "recipient": "Andere Bank AG"})
	for format, media := range map[string]string{"json": "application/json", "csv": "text/csv; charset=utf-8"} {
		about, report := s.wantReport(anna, format)
		s.same("media type", about["media_type"], any(media))
		s.same("unverified", about["unverified"], any("0"))
		entries := about["entries"].([]any)
		s.same("entries", len(entries), 1)
		s.receipt(entries[0].(object), "kind evidence.disclosed\n")
		s.receipt(entries[0].(object), "occasion access_report\n")
		s.readable(format, report, anna["email"].(string), "Ja, ich möchte den Newsletter.", mailer, id, "campaign 7",
			"My name is spelt differently.", "ticket 4711", "letter.pdf", "There are four hundred mails.", "extension.pdf", "mailbox", "desk 4", "desk 5",
			"It was not sent.", "mail.pdf", "art18_1_a", "The name is wrong.", "The name is right.", "ticket 4712", "Landgericht", "7 O 1/26", "Andere Bank AG",
			"The address was corrected.", "answer.pdf", "It was late.", "refusal.pdf")
	}
	nobody := s.address("nobody")
	size := s.r.size()
	about, report := s.wantReport(nobody, "json")
	s.same("entries about a stranger", about["entries"], any([]any{}))
	s.same("the size after a stranger's report", s.r.size(), size)
	s.readable("json", report)
}

func overlays(consents []any) (list []any) {
	for _, c := range consents {
		list = append(list, c.(object)["overlays"])
	}
	return list
}

// TestAccessReportOfOneOfTwo: who has the address now is not who had it before, and is
// told nothing of them.
func TestAccessReportOfOneOfTwo(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := &story{t, r, r.callJSON}
	s.registry()
	shared := s.address("shared")
	before := s.signUp(shared, "email")
	s.do("ConsentService/RecordUses", object{"consent_ids": []any{before.id}, "reference": "campaign of the first"})
	s.do("ConsentService/EraseSubject", object{"subject": shared, "reason": "art17", "mode": "lock_then_shred"})
	now := s.signUp(shared, "email")
	s.refused("EvidenceService/VerifyIdentity", object{"subject": shared, "means": "login", "consent_ids": []string{"2"}}, "not_found", "consent_ids[0]")
	verified := s.do("EvidenceService/VerifyIdentity", object{"subject": shared, "means": "login", "consent_ids": []string{now.id}})
	s.same("consents", verified["consents"], any("1"))
	about, report := s.wantReport(shared, "json")
	s.same("unverified", about["unverified"], any("1"))
	s.readable("json", report, shared["email"].(string))
	if bytes.Contains(report, []byte("campaign of the first")) || bytes.Contains(report, []byte(`"consent_id": "`+before.id+`"`)) ||
		bytes.Contains(report, fmt.Appendf(nil, `"consent_id": %s,`, before.id)) {
		t.Errorf("the report tells of the first:\n%s", report)
	}

	set := s.do("EvidenceService/SetRestriction", object{"subject": shared, "ground": "art18_1_a"})["consents"].([]any)
	s.same("what the legal role restricts", overlays(set), []any{[]any{"restricted", "locked"}, []any{"restricted"}})
	lifted := s.do("EvidenceService/LiftRestriction", object{"subject": shared, "informed_at": ahead(-1)})["consents"].([]any)
	s.same("what it frees", overlays(lifted), []any{[]any{"locked"}, []any{}})
	opened := s.do("EvidenceService/OpenRequest", object{"subject": shared, "article": "art15"})
	s.same("consents of a request of either", opened["consents"], any("2"))

	s.do("EvidenceService/VerifyIdentity", object{"subject": shared, "means": "document"})
	about, report = s.wantReport(shared, "json")
	s.same("unverified", about["unverified"], any("0"))
	s.readable("json", report, "campaign of the first")

	s.do("ConsentService/EraseSubject", shred(shared))
	about, _ = s.wantReport(shared, "json") // who is locked is there still, and was verified
	s.same("entries", len(about["entries"].([]any)), 1)
}

// thick gives somebody of whom five documents of 10 MiB are kept, verified.
func (s *story) thick() (who object) {
	s.t.Helper()
	who = s.address("thick")
	document := make([]byte, 10<<20)
	for i := range 5 {
		document[0] = byte(i) // the same bytes stand in a report once
		s.do("ConsentService/GiveConsent", object{"subject": who, "purposes": []string{"newsletter"}, "channel": "email", "notice": "newsletter-de@1",
			"method": "paper", "attachments": []object{{"name": "document", "media_type": "application/pdf", "bytes": document}}})
	}
	s.do("EvidenceService/VerifyIdentity", object{"subject": who, "means": "login"})
	return who
}

// reportStream begins to stream the report about somebody as JSON.
func (r *running) reportStream(ctx context.Context, client *http.Client, who object, options ...connect.ClientOption) *connect.ServerStreamForClient[evidencev1.ExportAccessReportResponse] {
	r.t.Helper()
	ctx, call := connect.NewClientContext(ctx)
	call.RequestHeader().Set("Authorization", "Bearer "+r.keys[authn.Legal])
	stream, err := evidencev1connect.NewEvidenceServiceClient(client, r.url, options...).ExportAccessReport(ctx, &evidencev1.ExportAccessReportRequest{
		Subject: &appv1.Subject{Email: who["email"].(string)}, Format: "json", IdempotencyKey: "report"})
	if err != nil {
		r.t.Fatal(err)
	}
	return stream
}

// overHTTP2 is a client whose streams may be long.
func overHTTP2(t *testing.T) *http.Client {
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2c.CloseIdleConnections)
	return &http.Client{Transport: h2c}
}

// endsWith erases a person while a file about them is streamed, of which data gives a
// piece, and demands that the stream says that it is not whole.
func endsWith[T any](s *story, who object, stream *connect.ServerStreamForClient[T], data func(*T) []byte) {
	s.t.Helper()
	for range 3 {
		if !stream.Receive() {
			s.t.Fatal(stream.Err())
		}
	}
	s.erased(s.do("ConsentService/EraseSubject", shred(who)), 5)
	received := 0
	for stream.Receive() {
		received += len(data(stream.Msg()))
	}
	if err := stream.Err(); connect.CodeOf(err) != connect.CodeNotFound || received > 40<<20 {
		s.t.Errorf("after the erasure came %d bytes and %v", received, err)
	}
	stream.Close()
}

// TestAccessReportEndsWithThePerson: who is erased while the report about them is
// handed out is in the rest of it no more, and the stream says that it is not whole.
func TestAccessReportEndsWithThePerson(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := &story{t, r, r.callJSON}
	s.registry()
	who := s.thick()
	endsWith(s, who, r.reportStream(t.Context(), overHTTP2(t), who), (*evidencev1.ExportAccessReportResponse).GetChunk)
}

// TestAccessReportStream: the stream is the report in pieces, by every protocol that
// has streams, and takes one that is too large for one answer.
func TestAccessReportStream(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := &story{t, r, r.callJSON}
	s.registry()
	anna := s.thick()
	req := object{"subject": anna, "format": "json", "idempotency_key": "report"}
	s.refused("EvidenceService/GetAccessReport", req, "resource_exhausted", "report")
	size := r.size()
	client := overHTTP2(t)
	var first []byte
	for name, options := range map[string][]connect.ClientOption{
		"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	} {
		stream := r.reportStream(t.Context(), client, anna, options...)
		var report []byte
		for n := 0; stream.Receive(); n++ {
			m := stream.Msg()
			if (n == 0) != (m.About != nil) || (n == 0) != (len(m.Chunk) == 0) || len(m.Chunk) > 64<<10 {
				t.Errorf("%s: message %d has %d bytes and says %v", name, n, len(m.Chunk), m.About)
			}
			report = append(report, m.Chunk...)
		}
		if err := errors.Join(stream.Err(), stream.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(report) < 64<<20 {
			t.Errorf("%s: the report has %d bytes", name, len(report))
		}
		if first == nil {
			first = report
			s.readable("json", report, anna["email"].(string))
		}
	}
	s.same("the size after retries", r.size(), size)
	// As a table it has the files' hashes only, and fits one answer, which is the same.
	streamed := r.fileOf(evidence+"ExportAccessReport", object{"subject": anna, "format": "csv", "idempotency_key": "report"})
	s.readable("csv", streamed, anna["email"].(string), "10485760")
	whole := r.fileOf(evidence+"GetAccessReport", object{"subject": anna, "format": "csv", "idempotency_key": "report"})
	s.same("the report in one answer", string(whole), string(streamed))
}
