package wire_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/authn"
)

// TestUnknownTokens: an address may guess a hundred times a minute, whatever kind
// of token it is; a token that is known is answered all the while.
func TestUnknownTokens(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	before := r.size()
	guess := func(i int) *failure {
		method, field := "ConfirmConsent", "token"
		req := object{}
		switch i % 5 {
		case 1:
			method = "RejectConfirmation"
		case 2:
			method = "RecordConfirmationOpened"
		case 3:
			method, field = "WithdrawConsent", "manage_token"
		case 4:
			method, field = "SetTrackingMode", "manage_token"
			req["purpose"], req["mode"] = "email.open_tracking", "none"
		}
		req[field] = newToken()
		_, f := r.callJSON(t, "ConsentService/"+method, req)
		if f == nil || !strings.HasPrefix(f.message, field+": ") {
			t.Fatalf("a guessed token: %v", f)
		}
		return f
	}
	for i := range 100 {
		if f := guess(i); f.code != "not_found" {
			t.Fatalf("guess %d: %s: %s", i+1, f.code, f.message)
		}
		// Neither malformed tokens nor other unknown things count.
		w.refused("ConsentService/ConfirmConsent", object{"token": canary}, "invalid_argument", "token")
		w.refused("ConsentService/RecordUses", object{"consent_ids": []int{1}}, "not_found", "consent_ids[0]")
	}
	for i := range 10 {
		if f := guess(i); f.code != "resource_exhausted" {
			t.Errorf("guess %d: %s: %s", 101+i, f.code, f.message)
		}
	}
	if a := guessFrom(r, "127.0.0.1"); a.code != "resource_exhausted" || !retryAfter.MatchString(a.body) {
		t.Errorf("it is not told how long to wait: %s: %s", a.code, a.body)
	}
	if a := guessFrom(r, "127.0.0.2"); a.code != "not_found" {
		t.Errorf("a guess from another address: %s: %s", a.code, a.message)
	}
	if r.size() != before {
		t.Errorf("the log grew from %d to %d entries", before, r.size())
	}
	w.do("ConsentService/ConfirmConsent", object{"token": w.open.token})
	w.do("ConsentService/WithdrawConsent", object{"manage_token": w.open.manage})
	w.do("ConsentService/RejectConfirmation", object{"token": w.other.token})
}

// retryAfter finds up to a minute among the headers.
var retryAfter = regexp.MustCompile(`\nRetry-After: ([1-9]|[1-5][0-9]|60)(\n|$)`)

// guessFrom presents an unknown token from another address of this machine.
func guessFrom(r *running, ip string) answer {
	other, done := r.from(ip)
	defer done()
	return other.post(app+"ConfirmConsent", r.keys[authn.App], "application/json", fmt.Appendf(nil, `{"token": %q}`, newToken()))
}

// from is the ledger as it is reached from another address of this machine, until
// done is called.
func (r *running) from(ip string) (other *running, done func()) {
	transport := newTransports(ip)
	c := *r
	c.client = &http.Client{Transport: transport}
	return &c, transport.close
}

// TestBatchChecks: each question has its own result, in the order asked.
func TestBatchChecks(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	question := func(who object) object {
		return object{"subject": who, "purpose": "newsletter", "channel": "email"}
	}
	unlike := func(field string, value any) object {
		q := question(w.confirmed.who)
		q[field] = value
		return q
	}
	checks := make([]object, 1000)
	for i := range checks {
		checks[i] = question(object{"external_id": fmt.Sprint(canary, i)})
	}
	wrong := map[int]string{
		17:  "invalid_argument: checks[17].subject.email: ",
		18:  "invalid_argument: checks[18].subject: ",
		19:  "invalid_argument: checks[19].purpose: ",
		999: "invalid_argument: checks[999].channel: ",
	}
	checks[17], checks[18], checks[19] = question(object{"email": canary}), object{}, unlike("purpose", canary+"!")
	checks[999] = unlike("channel", canary)
	reasons := map[int]string{0: "confirmed", 1: "pending", 2: "withdrawn", 3: "lapsed", 4: "unknown_purpose", 5: "no_consent", 6: "no_consent", 7: "restricted"}
	checks[0], checks[1], checks[2] = question(w.confirmed.who), question(w.open.who), question(w.withdrawn.who)
	reasons[8], checks[8] = "suppressed", question(w.suppressed)
	checks[3], checks[4] = question(w.rejected.who), unlike("purpose", canary)
	checks[5], checks[6], checks[7] = unlike("purpose", "invoice"), unlike("channel", "phone"), question(w.frozen.who)

	rsp := w.do("ConsentService/BatchCheckConsents", object{"checks": checks})
	results := rsp["results"].([]any)
	if len(results) != len(checks) {
		t.Fatalf("%d results for %d questions", len(results), len(checks))
	}
	for i, result := range results {
		got := result.(object)
		if text := got["error"].(string); text != "" || wrong[i] != "" {
			if wrong[i] == "" || !strings.HasPrefix(text, wrong[i]) || strings.Contains(text, canary) || got["response"] != nil {
				t.Errorf("result %d: %v, want %s", i, got, wrong[i])
			}
			continue
		}
		want := reasons[i]
		if want == "" {
			want = "unknown_subject"
		}
		answer := got["response"].(object)
		w.same(fmt.Sprintf("reason %d", i), answer["reason"], any(want))
		w.same(fmt.Sprintf("allowed %d", i), answer["allowed"], any(want == "confirmed"))
	}
	// A request whose token expired is as lapsed as one that was rejected.
	expired := question(w.expired.who)
	expired["purpose"] = "flash"
	w.same("reason", w.do("ConsentService/CheckConsent", expired)["reason"], any("lapsed"))
}

// TestUnknownMethods: what does not exist says so, in words that repeat nothing.
func TestUnknownMethods(t *testing.T) {
	t.Parallel()
	r := start(t)
	for path, status := range map[string]int{
		app + canary: http.StatusNotFound, app: http.StatusNotFound, app + "CheckConsent/": http.StatusNotFound,
	} {
		a := r.post(path, r.keys[authn.App], "application/json", []byte("{}"))
		if a.status != status || strings.Contains(a.body, canary) {
			t.Errorf("%s: %d: %s", path, a.status, a.body)
		}
	}
	a := r.post(app+"CheckConsent", r.keys[authn.App], "text/"+canary, []byte("{}"))
	if a.status != http.StatusUnsupportedMediaType || strings.Contains(a.body, canary) {
		t.Errorf("another content type: %d: %s", a.status, a.body)
	}
}

// TestLargestRequests: attachments and mails of 10 MiB pass the limits.
func TestLargestRequests(t *testing.T) {
	t.Parallel()
	r := start(t)
	w := newWorld(t, r)
	bytes := make([]byte, 10<<20)
	w.do("ConsentService/RequestConsent", object{"subject": object{"external_id": "4711"}, "purposes": []string{"newsletter"}, "channel": "post",
		"notice": "newsletter-de@1", "method": "paper",
		"attachments": []object{{"name": "form_snapshot", "media_type": "application/pdf", "bytes": bytes}}})
	// A stream as a whole may be larger than any body.
	var body []byte
	for i := range 4 {
		item := imported(fmt.Sprint(".large", i))
		item["attachments"] = []object{{"name": "document", "media_type": "application/pdf", "bytes": bytes}}
		text, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		body = append(body, envelope(text)...)
	}
	a := r.post(app+"ImportConsents", r.keys[authn.App], "application/connect+json", body)
	w.same("answers", len(a.stream), 4+1)
	for _, answer := range a.stream[:len(a.stream)-1] {
		if !strings.Contains(string(answer), `"state":"imported"`) {
			t.Errorf("a large item: %s", answer)
		}
	}
	notice := strings.Repeat("\u00e4", 128<<10)
	w.do("AdminService/PublishNotice", object{"id": "large", "language": "de", "text": notice, "purposes": []string{"newsletter"}})
}
