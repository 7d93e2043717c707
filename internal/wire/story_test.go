package wire_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/ledger"
	auditv1 "github.com/consentledger/consentledger/proto/consent/audit/v1"
	"github.com/consentledger/consentledger/proto/consent/audit/v1/auditv1connect"
)

// story is one run of the story: whoever calls, and what was learnt on the way.
type story struct {
	t    *testing.T
	r    *running
	call caller
}

// do makes a call that must succeed.
func (s *story) do(method string, req object) object {
	s.t.Helper()
	rsp, f := s.call(s.t, method, req)
	if f != nil {
		s.t.Fatalf("%s: %s: %s", method, f.code, f.message)
	}
	return rsp
}

// refused makes a call that must fail with this code and this field or rule.
func (s *story) refused(method string, req object, code, at string) {
	s.t.Helper()
	rsp, f := s.call(s.t, method, req)
	if f == nil {
		s.t.Fatalf("%s was answered with %v, want %s", method, rsp, code)
	}
	if f.code != code || !strings.HasPrefix(f.message, at+": ") {
		s.t.Errorf("%s: %s: %s, want %s: %s", method, f.code, f.message, code, at)
	}
}

func (s *story) same(what string, got, want any) {
	s.t.Helper()
	if !reflect.DeepEqual(got, want) {
		s.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// check asks "may I?" and compares the answer, and that of the batch.
func (s *story) check(who object, allowed bool, reason string) object {
	s.t.Helper()
	question := object{"subject": who, "purpose": "newsletter", "channel": "email"}
	rsp := s.do("ConsentService/CheckConsent", question)
	s.same("allowed", rsp["allowed"], allowed)
	s.same("reason", rsp["reason"], reason)
	asOf := rsp["as_of"].(object)
	s.same("as_of", asOf, object{"index": fmt.Sprint(s.r.size() - 1), "size": fmt.Sprint(s.r.size())})
	batch := s.do("ConsentService/BatchCheckConsents", object{"checks": []object{question}})
	s.same("the batch's answer", batch["results"].([]any)[0].(object)["response"], any(rsp))
	return rsp
}

// TestStory tells the same story by every way to the port.
func TestStory(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, call := range callers(t, r) {
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.registry()
			s.life(object{"email": strings.ReplaceAll(strings.ToLower(name), " ", ".") + "@Example.ORG"})
		})
	}
}

// registry defines what the story needs; again, it answers what stands.
func (s *story) registry() {
	purpose := object{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true,
		"double_opt_in_channels": []string{"sms", "email"}, "token_lifetime": "3600s"}
	defined := s.do("AdminService/DefinePurpose", purpose)
	shown := defined["purpose"].(object)
	s.same("purpose", shown, object{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true,
		"double_opt_in_channels": []any{"email", "sms"}, "token_lifetime": "3600s", "version": "1", "index": defined["entry"].(object)["index"],
		"lock_days": "30", "lapsed_days": "30", "unused_days": "0", "unused_measure": "", "evidence_days": "0", "validity_days": "0",
		"unused_warn_days": "0", "minimum_grade": "", "minimum_age": "0", "explicit": false, "ip_policy": "truncated", "parent": "",
		"bases": []any{"consent"}, "tracking_mode": "", "effect_hours": "0", "balancing_sha256": ""})
	size := s.r.size()
	s.same("the same purpose again", s.do("AdminService/DefinePurpose", purpose)["purpose"], any(shown))
	s.same("the size after defining it again", s.r.size(), size)

	s.do("AdminService/DefinePurpose", object{"id": "invoice", "title": "Rechnungen"})
	text := "Ja, ich möchte den Newsletter.\n"
	notice := object{"id": "newsletter-de", "language": "de", "text": text, "purposes": []string{"newsletter"}, "checkbox_default": "unticked",
		"conditional_on": "service", "facts": object{"controller": "Shop GmbH, Berlin", "recipients": []string{"none"}}, "proof": "log"}
	published := s.do("AdminService/PublishNotice", notice)
	missing := []any{"contact", "third_countries", "retention", "rights", "refusal", "automated_decisions", "authority"}
	s.same("missing", published["missing"], any(missing))
	s.same("findings", published["findings"], any([]any{"tied", "companies"}))
	ticked := maps.Clone(notice)
	ticked["checkbox_default"] = "ticked"
	s.refused("AdminService/PublishNotice", ticked, "invalid_argument", "checkbox_default")
	sum := sha256.Sum256([]byte(text))
	s.same("sha256", published["sha256"], any(base64.StdEncoding.EncodeToString(sum[:])))
	s.same("notice", published["notice"], any("newsletter-de@1"))
	s.receipt(published["entry"].(object), "kind notice.published\n")
	s.same("the text", s.do("AuditService/GetNotice", object{"sha256": published["sha256"]}),
		object{"notice": "newsletter-de@1", "language": "de", "text": text})

	list := s.do("AdminService/ListPurposes", object{})["purposes"].([]any)
	newsletter := slices.IndexFunc(list, func(p any) bool { return p.(object)["id"] == "newsletter" })
	s.same("the newsletter", list[newsletter], any(shown))
	invoice := slices.IndexFunc(list, func(p any) bool { return p.(object)["id"] == "invoice" })
	s.same("the invoices' lifetime", list[invoice].(object)["token_lifetime"], any("604800s"))
	notices := s.do("AdminService/ListNotices", object{})["notices"].([]any)
	listed := slices.IndexFunc(notices, func(n any) bool { return n.(object)["notice"] == "newsletter-de@1" })
	s.same("notice", notices[listed], any(object{"notice": "newsletter-de@1", "language": "de", "sha256": published["sha256"],
		"purposes": []any{"newsletter"}, "index": published["entry"].(object)["index"], "use": "wording", "checkbox_default": "unticked",
		"conditional_on": "service", "missing": missing, "findings": []any{"tied", "companies"}, "facts": notices[listed].(object)["facts"]}))
	facts := notices[listed].(object)["facts"].(object)
	s.same("controller", facts["controller"], any("Shop GmbH, Berlin"))
	s.same("recipients", facts["recipients"], any([]any{"none"}))
	s.same("retrying with another request is refused", s.retry(purpose), "failed_precondition: idempotency_key")
}

func (s *story) retry(purpose object) string {
	key := "retry " + s.t.Name()
	s.do("AdminService/DefinePurpose", object{"id": "invoice", "title": "Rechnungen", "idempotency_key": key})
	purpose["idempotency_key"] = key
	_, f := s.call(s.t, "AdminService/DefinePurpose", purpose)
	if f == nil {
		return "ok"
	}
	at, _, _ := strings.Cut(f.message, ":")
	return f.code + ": " + at
}

// receipt verifies an entry of an answer as whoever gets it would.
func (s *story) receipt(entry object, holds string) {
	s.t.Helper()
	text := entry["text"].(string)
	policy, keys := s.trust()
	if _, err := ledger.VerifyReceipt([]byte(entry["receipt"].(string)), []byte(text), policy, keys); err != nil {
		s.t.Errorf("the receipt: %v", err)
	}
	leaf := ledger.LeafHash([]byte(text))
	s.same("leaf_hash", entry["leaf_hash"], any(base64.StdEncoding.EncodeToString(leaf[:])))
	if !strings.Contains(text, holds) {
		s.t.Errorf("the entry has no %q:\n%s", holds, text)
	}
}

// trust gives what a verifier has to know of the log.
func (s *story) trust() (*ledger.Policy, []byte) {
	s.t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(s.r.dir, name))
		if err != nil {
			s.t.Fatal(err)
		}
		return b
	}
	policy, err := ledger.ParsePolicy(read("trust.policy"))
	if err != nil {
		s.t.Fatal(err)
	}
	return policy, read("trust.keys")
}

// life is one person's consent from the request to the erasure.
func (s *story) life(who object) {
	s.check(who, false, "unknown_subject")
	id, token, manage := s.request(who)
	s.check(who, false, "pending")
	s.confirm(id, token)
	decided := s.check(who, true, "confirmed")
	s.same("consent_id", decided["consent_id"], any(id))
	s.same("notice", decided["notice"], any("newsletter-de@1"))
	s.same("state", decided["state"], any("confirmed"))

	used := s.do("ConsentService/RecordUses", object{"reference": "campaign 7", "consent_ids": []any{id}})
	s.same("irregular", used["irregular"], any([]any{}))
	s.same("entries", len(used["entries"].([]any)), 1)

	s.restrict(who, id)
	s.withdraw(who, id, manage)
	s.audit()
	s.erase(who, id, token, manage)
}

func (s *story) request(who object) (id, token, manage string) {
	req := object{
		"subject": who, "purposes": []string{"newsletter"}, "channel": "email", "notice": "newsletter-de@1", "method": "web_form",
		"claims":          object{"ip": "192.0.2.77", "user_agent": "Mozilla/5.0"},
		"attachments":     []object{{"name": "form_snapshot", "file_name": "form.png", "media_type": "image/png", "bytes": "iVBORw0KGgo="}},
		"occurred_at":     time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano),
		"idempotency_key": "request " + s.t.Name(),
	}
	rsp := s.do("ConsentService/RequestConsent", req)
	size := s.r.size()
	req["proof"] = "log"
	again := s.do("ConsentService/RequestConsent", req)
	s.same("a retry's token", again["token"], rsp["token"])
	s.receipt(again["consents"].([]any)[0].(object)["entry"].(object), "kind consent.requested\n")
	s.same("the size after a retry", s.r.size(), size)
	consents := rsp["consents"].([]any)
	s.same("consents", len(consents), 1)
	consent := consents[0].(object)
	id, token, manage = consent["consent_id"].(string), rsp["token"].(string), rsp["manage_token"].(string)
	entry := consent["entry"].(object)
	s.same("the id is the entry's index", entry["index"], any(id))
	s.same("state", consent["state"], any("requested"))
	s.same("receipt", entry["receipt"], any(""))
	expires, err := time.Parse(time.RFC3339, rsp["expires_at"].(string))
	if left := time.Until(expires); err != nil || left < 58*time.Minute || left > time.Hour {
		s.t.Errorf("the token is good for %v, want about an hour: %v", left, err)
	}

	mail := []byte("Subject: Please confirm\r\n\r\n" + token)
	sum := sha256.Sum256(mail)
	sent := s.do("ConsentService/RecordConfirmationSent", object{"consent_ids": []any{id}, "message_sha256": sum[:], "message": mail,
		"mta_response": "250 2.0.0 Ok"})
	s.same("irregular", sent["irregular"], any([]any{}))
	return id, token, manage
}

func (s *story) confirm(id, token string) {
	click := object{"token": token, "claims": object{"ip": "2001:db8::1"}, "proof": "log"}
	rsp := s.do("ConsentService/ConfirmConsent", click)
	s.same("already_confirmed", rsp["already_confirmed"], any(false))
	consent := rsp["consents"].([]any)[0].(object)
	s.same("the confirmed consent", consent["consent_id"], any(id))
	s.receipt(consent["entry"].(object), "kind consent.confirmed\n")
	s.receipt(consent["entry"].(object), "token "+token+"\n")
	delete(click, "proof")
	again := s.do("ConsentService/ConfirmConsent", click)
	s.same("already_confirmed", again["already_confirmed"], any(true))
	s.same("the entry of the first click", again["consents"].([]any)[0].(object)["entry"].(object)["index"], consent["entry"].(object)["index"])
	s.refused("ConsentService/RejectConfirmation", object{"token": token}, "failed_precondition", "already_confirmed")
}

func (s *story) restrict(who object, id string) {
	set := s.do("ConsentService/SetRestriction", object{"subject": who, "ground": "art18_1_a"})
	s.same("overlays", set["consents"].([]any)[0].(object)["overlays"], any([]any{"restricted"}))
	s.check(who, false, "restricted")
	used := s.do("ConsentService/RecordUses", object{"consent_ids": []any{id}})
	s.same("irregular", used["irregular"], any([]any{object{"consent_id": id, "name": "consent.used.restricted", "state": "confirmed"}}))
	lifted := s.do("ConsentService/LiftRestriction", object{"subject": who, "informed_at": ago(0)})
	s.same("overlays", lifted["consents"].([]any)[0].(object)["overlays"], any([]any{}))
	s.check(who, true, "confirmed")
}

func (s *story) withdraw(who object, id, manage string) {
	rsp := s.do("ConsentService/WithdrawConsent", object{"manage_token": manage, "method": "one_click"})
	withdrawn := rsp["withdrawn"].([]any)[0].(object)
	s.same("withdrawn", withdrawn["consent_id"], any(id))
	s.same("state", withdrawn["state"], any("withdrawn"))
	s.receipt(withdrawn["entry"].(object), "kind consent.withdrawn\n") // proof is "log" by default
	s.check(who, false, "withdrawn")
	size := s.r.size()
	again := s.do("ConsentService/WithdrawConsent", object{"subject": who, "proof": "none"})
	s.same("the entry that stands", again["withdrawn"].([]any)[0].(object)["entry"].(object)["index"], withdrawn["entry"].(object)["index"])
	s.same("the size after withdrawing again", s.r.size(), size)
	used := s.do("ConsentService/RecordUses", object{"consent_ids": []any{id}})
	s.same("irregular", used["irregular"], any([]any{object{"consent_id": id, "name": "consent.used.withdrawn", "state": "withdrawn"}}))
	stranger := object{"phone": "+49 30 " + fmt.Sprint(1000000+s.r.size())}
	objected := s.do("ConsentService/WithdrawConsent", object{"subject": stranger})["withdrawn"].([]any)[0].(object)
	s.same("state", objected["state"], any("objected"))
	s.same("purpose", objected["purpose"], any("all-marketing"))
	s.same("channel", objected["channel"], any("any"))
	s.check(stranger, false, "objected")
	list := s.do("ConsentService/ListConsents", object{"subject": who})["consents"].([]any)
	s.same("consents", len(list), 1)
	s.same("the entry that changed it last", list[0].(object)["entry"].(object)["index"], withdrawn["entry"].(object)["index"])
}

// audit looks at the log through the auditor's door.
func (s *story) audit() {
	size := s.r.size()
	status := s.do("AdminService/GetStatus", object{})
	s.same("origin", status["origin"], any(origin))
	s.same("controller", status["controller"], any("ledger.example.com"))
	s.same("size", status["size"], any(fmt.Sprint(size)))
	s.same("recording", status["recording"], any(true))
	s.same("version", status["version"], any(versionOfTest))
	checkpoint := s.do("AuditService/GetCheckpoint", object{})["checkpoint"].(string)
	if want := fmt.Sprintf("%s\n%d\n%s\n", origin, size, status["root"]); !strings.HasPrefix(checkpoint, want) {
		s.t.Errorf("the checkpoint does not begin with %q:\n%s", want, checkpoint)
	}
	last := s.do("AuditService/BatchListEntries", object{"start": fmt.Sprint(size - 1), "limit": 5})["entries"].([]any)
	s.same("entries", len(last), 1)
	proof := s.do("AuditService/GetInclusionProof", object{"index": fmt.Sprint(size - 1)})
	raw, err := base64.StdEncoding.DecodeString(last[0].(object)["raw"].(string))
	if err != nil {
		s.t.Fatal(err)
	}
	s.receipt(object{"text": string(raw), "receipt": proof["receipt"], "leaf_hash": proof["leaf_hash"]}, "kind ")
	if n := len(s.do("AuditService/GetConsistencyProof", object{"old_size": 1, "new_size": fmt.Sprint(size)})["hashes"].([]any)); n == 0 {
		s.t.Error("the consistency proof is empty")
	}
	header := s.do("ConsentService/GetCheckpoint", object{})
	s.same("size", header["size"], any(fmt.Sprint(size)))
	s.same("header_name", header["header_name"], any(ledger.CheckpointHeader))
	s.same("header_value", header["header_value"], s.do("AuditService/GetCheckpoint", object{})["line"])
	found := s.do("AuditService/CheckCheckpoint", object{"checkpoint": fmt.Sprint(header["header_name"], ": ", header["header_value"])})
	s.same("verdict", found["verdict"], any("contained"))
	s.same("root", found["root"], status["root"])
	s.same("checkpoint", found["checkpoint"], any(checkpoint))
}

func (s *story) erase(who object, id, token, manage string) {
	rsp := s.do("ConsentService/EraseSubject", object{"subject": who, "reason": "art17", "mode": "shred_now"})
	s.same("consents_erased", rsp["consents_erased"], any("1"))
	s.receipt(rsp["entry"].(object), "kind subject.erased\n")
	s.receipt(rsp["shredded"].(object), "kind evidence.shredded\n")
	if at, err := time.Parse(time.RFC3339, rsp["contents_destroyed_at"].(string)); err != nil || time.Since(at) > time.Minute || time.Since(at) < 0 {
		s.t.Errorf("contents_destroyed_at: %v, %v", at, err)
	}
	// A stranger to every call.
	s.check(who, false, "unknown_subject")
	s.same("consents", s.do("ConsentService/ListConsents", object{"subject": who})["consents"], any([]any{}))
	sum := sha256.Sum256(nil)
	for _, c := range []struct {
		method string
		req    object
		at     string
	}{
		{"ConfirmConsent", object{"token": token}, "token"},
		{"RejectConfirmation", object{"token": token}, "token"},
		{"WithdrawConsent", object{"manage_token": manage}, "manage_token"},
		{"WithdrawConsent", object{"consent_ids": []any{id}}, "consent_ids[0]"},
		{"RecordUses", object{"consent_ids": []any{id}}, "consent_ids[0]"},
		{"RecordConfirmationSent", object{"consent_ids": []any{id}, "message_sha256": sum[:]}, "consent_ids[0]"},
		{"SetRestriction", object{"subject": who, "ground": "art18_1_a"}, "subject"},
		{"LiftRestriction", object{"subject": who, "informed_at": ago(0)}, "subject"},
		{"EraseSubject", object{"subject": who, "reason": "art17", "mode": "shred_now"}, "subject"},
	} {
		s.refused("ConsentService/"+c.method, c.req, "not_found", c.at)
	}
}

// TestStream reads the whole log as a stream, by every protocol that has one.
func TestStream(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	for name, options := range map[string][]connect.ClientOption{
		"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	} {
		client := auditv1connect.NewAuditServiceClient(&http.Client{Transport: h2c}, r.url, options...)
		ctx, call := connect.NewClientContext(t.Context())
		call.RequestHeader().Set("Authorization", "Bearer "+r.keys[authn.Auditor])
		stream, err := client.ListEntries(ctx, &auditv1.ListEntriesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var next int64
		for ; stream.Receive(); next++ {
			if m := stream.Msg(); m.Index != next || !strings.HasPrefix(string(m.Raw), fmt.Sprintf("consent-ledger/entry/v1\nindex %d\n", next)) {
				t.Fatalf("%s: message %d is entry %d: %s", name, next, m.Index, m.Raw)
			}
		}
		if err := errors.Join(stream.Err(), stream.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w.same(name, next, int64(r.size()))
	}
}
