package wire_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestConsentStory tells by every way to the port how consent comes about and ends
// besides the click and the withdrawal.
func TestConsentStory(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, call := range callers(t, r) {
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.registry()
			s.furtherRegistry()
			s.confirmed()
			s.ownLock()
			s.paper()
			s.terms()
			s.refusal()
			s.imports()
			s.grounds()
			s.objections()
			s.tracking()
			s.several()
			s.endings()
			s.disclosure()
		})
	}
}

// furtherRegistry defines what this story needs besides registry.
func (s *story) furtherRegistry() {
	for _, p := range []object{
		{"id": "offers", "title": "Angebote", "marketing": true, "bases": []string{"consent", "existing_customer"}},
		{"id": "brief", "title": "Nur kurz", "marketing": true, "validity_days": 10},
		{"id": "analysis", "title": "Auswertung", "bases": []string{"legitimate_interest"}, "balancing": weighed},
		{"id": "email.open_tracking", "title": "Öffnungen", "tracking_mode": "anonymous"},
	} {
		s.do("AdminService/DefinePurpose", p)
	}
	for _, n := range []object{
		{"id": "confirm-de", "language": "de", "text": "Bitte bestätigen.", "purposes": []string{"newsletter"}, "use": "mail"},
		{"id": "offers-de", "language": "de", "text": "Angebote, ja.", "purposes": []string{"offers", "brief", "email.open_tracking"}},
	} {
		s.do("AdminService/PublishNotice", n)
	}
}

// one gives the only consent of an answer.
func (s *story) one(rsp object) object {
	s.t.Helper()
	list, _ := rsp["consents"].([]any)
	if len(list) != 1 {
		s.t.Fatalf("%d consents, want one: %v", len(list), rsp)
	}
	return list[0].(object)
}

// ago is a time for occurred_at.
func ago(d time.Duration) string {
	return time.Now().Add(-d).UTC().Truncate(time.Second).Format(time.RFC3339)
}

// twice makes a call that writes, and again as a retry, which answers the same and
// writes nothing.
func (s *story) twice(method string, req object) object {
	s.t.Helper()
	req["idempotency_key"] = fmt.Sprint(method, " ", s.r.size(), s.t.Name())
	rsp := s.do(method, req)
	size := s.r.size()
	again := s.do(method, req)
	s.same(method+" again", unsized(again), unsized(rsp))
	s.same("the size after "+method+" again", s.r.size(), size)
	return rsp
}

// unsized drops what of an answer says how large the log was, and the proof of it.
func unsized(value any) any {
	switch v := value.(type) {
	case object:
		c := object{}
		for name, member := range v {
			if name != "size" && name != "receipt" {
				c[name] = unsized(member)
			}
		}
		return c
	case []any:
		var list []any
		for _, member := range v {
			list = append(list, unsized(member))
		}
		return list
	}
	return value
}

// carefully is the body of a RequestConsent as a careful form makes it.
func carefully(who object) object {
	req := question(who, "email", "web_form")
	req["claims"] = object{"ip": "192.0.2.77", "user_agent": "Mozilla/5.0"}
	req["attachments"] = []object{{"name": "form_snapshot", "file_name": "form.html", "media_type": "text/html", "bytes": []byte("<form>")}}
	req["age"], req["explicit"] = "old_enough", true
	req["occurred_at"] = ago(time.Hour)
	return req
}

// confirmed: a mail that bounces, another one, its opening, a button; the best
// evidence there is.
func (s *story) confirmed() {
	ida := s.address("ida")
	began := time.Now().UTC().Truncate(time.Second)
	ago := func(d time.Duration) string { return stamp(began.Add(-d)) }
	asked := s.do("ConsentService/RequestConsent", carefully(ida))
	id, token := s.one(asked)["consent_id"], asked["token"]
	s.same("no grade yet", s.one(asked)["grade"], any(""))
	mail := func(at time.Duration) object {
		text := []byte("Subject: Bitte bestätigen\r\n\r\n" + fmt.Sprint(token, at))
		sum := sha256.Sum256(text)
		return object{"consent_ids": []any{id}, "message_sha256": sum[:], "message": text, "template": "confirm-de@1",
			"mta_response": "250 2.0.0 Ok", "occurred_at": ago(at), "proof": "log"}
	}
	sent := s.twice("ConsentService/RecordConfirmationSent", mail(50*time.Minute))
	s.receipt(sent["entry"].(object), "notice confirm-de@1 ")
	failed := s.twice("ConsentService/RecordConfirmationFailed", object{"consent_ids": []any{id}, "failure": "temporary",
		"mta_response": "450 4.2.0 mailbox busy", "claims": object{"reference": "queue 7"}, "proof": "log"})
	s.receipt(failed["entry"].(object), "failure temporary\n")
	s.same("irregular", failed["irregular"], any([]any{}))
	s.check(ida, false, "pending")

	resent := s.twice("ConsentService/ResendConfirmation", object{"consent_ids": []any{id}, "proof": "log"})
	s.receipt(resent["entry"].(object), "kind confirmation.resent\n")
	s.same("the same token", resent["token"], token)
	s.same("the same end", resent["expires_at"], asked["expires_at"])
	s.do("ConsentService/RecordConfirmationSent", mail(30*time.Minute))
	s.do("ConsentService/ResendConfirmation", object{"consent_ids": []any{id}})
	_, f := s.call(s.t, "ConsentService/ResendConfirmation", object{"consent_ids": []any{id}})
	if f == nil || f.code != "resource_exhausted" {
		s.t.Errorf("a fourth mail within a day: %v", f)
	}

	opened := s.twice("ConsentService/RecordConfirmationOpened", object{"token": token, "claims": object{"ip": "192.0.2.78"},
		"occurred_at": ago(29 * time.Minute), "proof": "log"})
	s.receipt(opened["entry"].(object), "kind confirmation.opened\n")
	if strings.Contains(opened["entry"].(object)["text"].(string), token.(string)) {
		s.t.Error("an opening burns the token")
	}
	s.check(ida, false, "pending")

	click := s.do("ConsentService/ConfirmConsent", object{"token": token, "click": "button", "occurred_at": ago(28 * time.Minute),
		"claims": object{"ip": "192.0.2.79", "user_agent": "Mozilla/5.0"}, "proof": "log"})
	s.receipt(s.one(click)["entry"].(object), "click button\n")
	s.same("since_sent", click["since_sent"], any("120s"))
	s.same("grade", s.one(click)["grade"], any("A"))
	decided := s.check(ida, true, "confirmed")
	s.same("the decision's grade", decided["grade"], any("A"))
	s.same("the decision's basis", decided["basis"], any("consent"))

	late := s.do("ConsentService/RecordConfirmationFailed", object{"consent_ids": []any{id}, "failure": "permanent"})
	s.same("irregular", late["irregular"], any([]any{object{"consent_id": id, "name": "confirmation.failed.confirmed", "state": "confirmed"}}))
}

// ownLock: the caller draws the tokens, also that of the second mail, and hands the
// mail over after the click. Both tokens are good; the ledger's scanner signals lower
// the grade.
func (s *story) ownLock() {
	jan := s.address("jan")
	first, second := newToken(), newToken()
	lock := func(token string) []byte { sum := sha256.Sum256([]byte(token)); return sum[:] }
	req := question(jan, "email", "web_form")
	req["lock"] = lock(first)
	id := s.one(s.do("ConsentService/RequestConsent", req))["consent_id"]
	resent := s.twice("ConsentService/ResendConfirmation", object{"consent_ids": []any{id}, "lock": lock(second), "proof": "log"})
	s.same("no token", resent["token"], any(nil))
	s.receipt(resent["entry"].(object), "\nformer ")
	s.refused("ConsentService/ResendConfirmation", object{"consent_ids": []any{id}, "lock": lock(first)}, "failed_precondition", "lock_used")

	mail := []byte("Subject: Bitte\r\n\r\n" + second)
	sum := sha256.Sum256(mail)
	s.do("ConsentService/RecordConfirmationSent", object{"consent_ids": []any{id}, "message_sha256": sum[:]})
	attach := object{"consent_ids": []any{id}, "message": mail, "proof": "log"}
	s.refused("ConsentService/AttachMessage", attach, "failed_precondition", "message")
	click := s.do("ConsentService/ConfirmConsent", object{"token": second, "signals": []string{"every_link"}})
	s.same("grade", s.one(click)["grade"], any("D"))
	s.same("the other token", s.do("ConsentService/ConfirmConsent", object{"token": first})["already_confirmed"], any(true))
	s.refused("ConsentService/AttachMessage", object{"consent_ids": []any{id}, "message": []byte("another")}, "failed_precondition", "message")
	s.receipt(s.twice("ConsentService/AttachMessage", attach)["entry"].(object), "kind confirmation.attached\n")
}

// paper: given with a scan, good for the post, not for mails that demand a double
// opt-in; renewed.
func (s *story) paper() {
	kim := s.address("kim")
	give := object{"subject": kim, "purposes": []string{"newsletter"}, "channel": "post", "notice": "newsletter-de@1", "method": "paper",
		"claims":      object{"name": "Kim", "address": "Hauptstr. 1, 10115 Berlin", "operator": "desk 4"},
		"attachments": []object{{"name": "document", "file_name": "scan.pdf", "media_type": "application/pdf", "bytes": []byte("%PDF-")}},
		"age":         "old_enough", "explicit": true, "occurred_at": ago(48 * time.Hour), "proof": "log"}
	rsp := s.twice("ConsentService/GiveConsent", give)
	given := s.one(rsp)
	s.receipt(given["entry"].(object), "kind consent.given\n")
	s.receipt(given["entry"].(object), "explicit yes\n")
	s.same("state", given["state"], any("given"))
	s.same("grade", given["grade"], any("B"))
	byPost := object{"subject": kim, "purpose": "newsletter", "channel": "post"}
	s.same("by post", s.do("ConsentService/CheckConsent", byPost)["reason"], any("given"))
	give["channel"] = "email"
	s.twice("ConsentService/GiveConsent", give)
	s.check(kim, false, "double_opt_in_missing")

	renewed := s.twice("ConsentService/RenewConsent", object{"consent_ids": []any{given["consent_id"]}, "method": "phone",
		"notice": "newsletter-de@1", "claims": object{"operator": "desk 5"}, "proof": "log",
		"attachments": []object{{"name": "recording", "media_type": "audio/ogg", "bytes": []byte("OggS")}}})
	s.same("state", s.one(renewed)["state"], any("renewed"))
	s.receipt(s.one(renewed)["entry"].(object), "kind consent.renewed\n")
	s.same("by post", s.do("ConsentService/CheckConsent", byPost)["reason"], any("renewed"))
	s.same("withdrawn", len(s.do("ConsentService/WithdrawConsent", object{"manage_token": rsp["manage_token"]})["withdrawn"].([]any)), 1)
	s.refused("ConsentService/RenewConsent", object{"consent_ids": []any{given["consent_id"]}, "method": "phone"}, "failed_precondition", "transition")
}

// terms: a grant ends by itself.
func (s *story) terms() {
	lou, at := s.address("lou"), time.Now().UTC().Truncate(time.Second).AddDate(0, 0, -3)
	s.do("ConsentService/GiveConsent", object{"subject": lou, "purposes": []string{"brief"}, "channel": "post", "notice": "offers-de@1",
		"method": "oral", "occurred_at": stamp(at)})
	decided := s.do("ConsentService/CheckConsent", object{"subject": lou, "purpose": "brief", "channel": "post"})
	s.same("allowed", decided["allowed"], any(true))
	s.same("warnings", decided["warnings"], any([]any{}))
	s.same("expires_at", decided["expires_at"], any(stamp(at.AddDate(0, 0, 10))))
	s.same("grade", decided["grade"], any("E"))
}

func (s *story) refusal() {
	lea := s.address("lea")
	rsp := s.twice("ConsentService/RefuseConsent", object{"subject": lea, "purposes": []string{"newsletter"}, "channel": "email",
		"notice": "newsletter-de@1", "method": "web_form", "claims": object{"session": "7"}, "proof": "log"})
	s.same("state", s.one(rsp)["state"], any("refused"))
	s.receipt(s.one(rsp)["entry"].(object), "kind consent.refused\n")
	s.check(lea, false, "refused")
}

// imports: a batch with a duplicate, with what is wrong and with what must not be
// imported; sent again it records nothing.
func (s *story) imports() {
	never := s.address("never")
	s.do("AdminService/AddSuppression", object{"subject": never})
	known := s.signUp(s.address("known"), "email")
	items := s.stock(object{"subject": never}, object{"subject": known.who})
	before := s.r.size()
	first := s.do("ConsentService/BatchImportConsents", object{"items": items})["results"].([]any)
	s.imported(items, first)
	s.same("the entry that stands", first[6].(object)["consent"].(object)["consent_id"], any(known.id))
	s.same("suppressed", first[5], any(object{"skipped": "suppressed", "error": ""}))
	s.same("entries", int(s.r.size()-before), 2)
	s.same("sent again", unsized(s.do("ConsentService/BatchImportConsents", object{"items": items})["results"]), unsized(any(first)))
	s.same("entries after it was sent again", int(s.r.size()-before), 2)
	who := items[0]["subject"].(object)
	byPost := s.do("ConsentService/CheckConsent", object{"subject": who, "purpose": "newsletter", "channel": "post"})
	s.same("by post", byPost["reason"], any("imported"))
	s.same("its grade", byPost["grade"], any("C"))
}

// stock is old stock: two good items, a duplicate of the first, two that are wrong, and
// others, made of more.
func (s *story) stock(more ...object) []object {
	item := func(name string) object {
		return object{"subject": s.address(name), "purpose": "newsletter", "channel": "post", "notice": "newsletter-de@1", "method": "import",
			"grade": "C", "claims": object{"reference": "row 7 of " + name}, "occurred_at": "2019-02-28T23:59:59+14:00", "age": "old_enough",
			"explicit": true, "proof": "log"}
	}
	items := []object{item("mia"), item("noa"), item("mia"), item("bad"), item("bad")}
	items[3]["subject"] = object{"email": canary}
	items[4]["purpose"] = canary
	for _, changes := range more {
		next := item("more")
		next["channel"] = "email"
		for name, value := range changes {
			next[name] = value
		}
		items = append(items, next)
	}
	for i, item := range items {
		item["idempotency_key"] = fmt.Sprint("row ", i, s.r.size(), s.t.Name())
	}
	return items
}

// imported compares the results of a stock.
func (s *story) imported(items []object, results []any) {
	s.t.Helper()
	if len(results) != len(items) {
		s.t.Fatalf("%d results for %d items", len(results), len(items))
	}
	skipped := map[int]string{2: "exists", 5: "suppressed", 6: "exists"}
	wrong := map[int]string{3: "invalid_argument: items[3].subject.email: ", 4: "invalid_argument: items[4].purpose: "}
	for i, result := range results {
		r := result.(object)
		s.same(fmt.Sprint("skipped ", i), r["skipped"], any(skipped[i]))
		if text := r["error"].(string); (text == "") != (wrong[i] == "") || !strings.HasPrefix(text, wrong[i]) || strings.Contains(text, canary) {
			s.t.Errorf("error %d: %s, want %s", i, text, wrong[i])
		}
		if c, ok := r["consent"].(object); ok && i < 2 {
			s.same(fmt.Sprint("state ", i), c["state"], any("imported"))
			s.receipt(c["entry"].(object), "grade C\n")
			s.receipt(c["entry"].(object), "explicit yes\n")
			s.receipt(c["entry"].(object), "occurred 2019-02-28T09:59:59Z\n")
		}
	}
	s.same("the duplicate stands for the first", results[2].(object)["consent"].(object)["consent_id"],
		results[0].(object)["consent"].(object)["consent_id"])
}

// grounds: an existing customer, whose address came with a sale.
func (s *story) grounds() {
	oda := s.address("oda")
	assert := object{"subject": oda, "purpose": "offers", "channel": "email", "basis": "existing_customer",
		"conditions": []string{"address_from_sale", "own_similar_goods", "no_objection", "notice_each_use"},
		"notice":     "offers-de@1", "claims": object{"reference": "order 4711"}, "occurred_at": ago(time.Hour), "proof": "log"}
	record := s.twice("ConsentService/AssertBasis", assert)["consent"].(object)
	s.same("state", record["state"], any("asserted"))
	s.receipt(record["entry"].(object), "basis existing_customer\ncondition address_from_sale\n")
	check := object{"subject": oda, "purpose": "offers", "channel": "email"}
	decided := s.do("ConsentService/CheckConsent", check)
	s.same("allowed", decided["allowed"], any(true))
	s.same("reason", decided["reason"], any("existing_customer"))
	s.same("basis", decided["basis"], any("existing_customer"))
	for _, channel := range []string{"phone", "fax"} {
		assert["channel"] = channel
		delete(assert, "idempotency_key")
		s.refused("ConsentService/AssertBasis", assert, "failed_precondition", "basis_channel")
	}
	objected := s.twice("ConsentService/RecordObjection", object{"subject": oda, "article": "art21_2", "method": "email_reply",
		"claims": object{"reason": "no more"}})
	s.receipt(objected["consents"].([]any)[0].(object)["entry"].(object), "kind objection.recorded\n") // proof is "log" by default
	s.same("reason", s.do("ConsentService/CheckConsent", check)["reason"], any("objected"))
	assert["channel"] = "email"
	s.refused("ConsentService/AssertBasis", assert, "failed_precondition", "objected")
}

// objections: on grounds of one's own situation, until they are answered; and of
// somebody who was never seen.
func (s *story) objections() {
	pia := s.address("pia")
	s.do("ConsentService/AssertBasis", object{"subject": pia, "purpose": "analysis", "channel": "web", "basis": "legitimate_interest"})
	check := object{"subject": pia, "purpose": "analysis", "channel": "web"}
	s.same("reason", s.do("ConsentService/CheckConsent", check)["reason"], any("legitimate_interest"))
	objected := s.twice("ConsentService/RecordObjection", object{"subject": pia, "article": "art21_1"})
	s.same("overlays", s.one(objected)["overlays"], any([]any{"restricted"}))
	s.same("reason", s.do("ConsentService/CheckConsent", check)["reason"], any("restricted"))
	s.do("ConsentService/LiftRestriction", object{"subject": pia, "informed_at": ago(0)})
	s.same("reason", s.do("ConsentService/CheckConsent", check)["reason"], any("legitimate_interest"))

	stranger := s.address("quinn")
	stands := s.one(s.twice("ConsentService/RecordObjection", object{"subject": stranger, "article": "art21_2", "purposes": []string{"newsletter"}}))
	s.same("state", stands["state"], any("objected"))
	s.check(stranger, false, "objected")
	again := s.do("ConsentService/RecordObjection", object{"subject": stranger, "article": "art21_2", "purposes": []string{"newsletter"}})
	s.same("what stands", s.one(again)["consent_id"], stands["consent_id"])
}

// tracking: nobody is measured beyond the ledger's default without consent; who
// consented is, until they choose less.
func (s *story) tracking() {
	ron := s.address("ron")
	mode := func() any { return s.check(ron, false, "unknown_subject")["tracking_mode"] }
	s.same("a stranger's mode", mode(), any("anonymous"))
	set := object{"subject": ron, "purpose": "email.open_tracking", "mode": "personal", "method": "preference_centre"}
	s.refused("ConsentService/SetTrackingMode", set, "failed_precondition", "no_consent")
	given := s.do("ConsentService/GiveConsent", object{"subject": ron, "purposes": []string{"email.open_tracking"}, "channel": "email",
		"notice": "offers-de@1", "method": "web_form"})
	set["proof"] = "log"
	changed := s.twice("ConsentService/SetTrackingMode", set)
	s.receipt(changed["entry"].(object), "mode personal\n")
	s.same("whose", s.one(changed)["consent_id"], s.one(given)["consent_id"])
	question := object{"subject": ron, "purpose": "email.open_tracking", "channel": "email"}
	decided := s.do("ConsentService/CheckConsent", question)
	s.same("allowed", decided["allowed"], any(true))
	s.same("mode", decided["tracking_mode"], any("personal"))
	s.do("ConsentService/SetTrackingMode", object{"manage_token": given["manage_token"], "purpose": "email.open_tracking", "mode": "none"})
	decided = s.do("ConsentService/CheckConsent", question)
	s.same("allowed", decided["allowed"], any(false))
	s.same("mode", decided["tracking_mode"], any("none"))
	s.refused("ConsentService/SetTrackingMode", object{"manage_token": given["manage_token"], "purpose": "email.open_tracking", "mode": "anonymous"},
		"failed_precondition", "manage_token")

	sue := s.address("sue")
	refused := s.one(s.do("ConsentService/SetTrackingMode", object{"subject": sue, "purpose": "email.open_tracking", "mode": "none",
		"method": "link"}))
	s.same("a stranger's record", refused["state"], any("refused"))
}

// several: three consents for one purpose, of which one is withdrawn.
func (s *story) several() {
	tom := s.address("tom")
	var ids []any
	for range 3 {
		ids = append(ids, s.signUp(tom, "email").id)
	}
	rsp := s.do("ConsentService/WithdrawConsent", object{"consent_ids": ids[1:2]})
	s.same("withdrawn", len(rsp["withdrawn"].([]any)), 1)
	s.same("remaining", rsp["remaining"], any([]any{ids[0], ids[2]}))
	s.same("what decides", s.check(tom, true, "confirmed")["consent_id"], ids[2])
	rsp = s.do("ConsentService/WithdrawConsent", object{"subject": tom})
	s.same("withdrawn", len(rsp["withdrawn"].([]any)), 2)
	s.same("remaining", rsp["remaining"], any([]any{}))
}

// endings: a wording is found to be wrong, a scanner found out. What was allowed then
// is no longer, in hindsight.
func (s *story) endings() {
	notice := s.do("AdminService/PublishNotice", object{"id": "wrong-de", "language": "de", "text": "Wörtlich " + s.t.Name(),
		"purposes": []string{"newsletter"}})["notice"]
	var people []object
	for _, name := range []string{"uma", "vera"} {
		who := s.address(name)
		req := question(who, "email", "web_form")
		req["notice"] = notice
		asked := s.do("ConsentService/RequestConsent", req)
		s.do("ConsentService/ConfirmConsent", object{"token": asked["token"]})
		people = append(people, who)
	}
	other := s.signUp(s.address("will"), "email")
	was := object{"subject": people[0], "purpose": "newsletter", "channel": "email", "at": time.Now().UTC().Format(time.RFC3339Nano)}

	invalid := object{"notice": notice, "cause": "scanner", "claims": object{"reason": "all of one provider"}, "proof": "log"}
	rsp := s.twice("EvidenceService/InvalidateConsents", invalid)
	s.same("consents", rsp["consents"], any("2"))
	s.receipt(rsp["entries"].([]any)[0].(object), "kind consent.invalidated\n")
	for _, who := range people {
		s.check(who, false, "invalidated")
	}
	s.check(other.who, true, "confirmed")
	decided := s.do("ConsentService/CheckConsent", was)
	s.same("allowed", decided["allowed"], any(false))
	s.same("allowed_then", decided["allowed_then"], any(true))
	s.same("allowed_in_hindsight", decided["allowed_in_hindsight"], any(false))
	if _, ok := s.check(people[0], false, "invalidated")["allowed_then"]; ok {
		s.t.Error("allowed_then without at")
	}

	revoked := s.twice("AdminService/RevokeConsents", object{"consent_ids": []any{other.id}, "cause": "wording", "claims": object{"reason": "unclear"}, "proof": "log"})
	s.same("consents", revoked["consents"], any("1"))
	s.receipt(revoked["entries"].([]any)[0].(object), "cause wording\n")
	s.check(other.who, false, "revoked")
	again := s.do("EvidenceService/InvalidateConsents", object{"consent_ids": []any{other.id}, "cause": "wording"})
	s.same("consents", again["consents"], any("1"))
	s.check(other.who, false, "invalidated")
}

// commits checks that an entry commits to a disclosure.
func (s *story) commits(entry object, claim string, sum [32]byte) {
	s.t.Helper()
	line := fmt.Sprintf("commit %s %s\n", claim, base64.StdEncoding.EncodeToString(sum[:]))
	if text := entry["text"].(string); !strings.Contains(text, line) {
		s.t.Errorf("the entry has no %q:\n%s", line, text)
	}
}

// disclosure: what the log has of one consent, and what is behind it.
func (s *story) disclosure() {
	xaver := s.address("Xaver")
	req := carefully(xaver)
	asked := s.do("ConsentService/RequestConsent", req)
	id := s.one(asked)["consent_id"]
	s.do("ConsentService/ConfirmConsent", object{"token": asked["token"]})
	history := s.do("EvidenceService/GetConsentHistory", object{"consent_id": id})
	s.same("consent", history["consent"].(object)["state"], any("confirmed"))
	var kinds []any
	for _, e := range history["entries"].([]any) {
		entry := e.(object)
		kinds = append(kinds, entry["kind"])
		s.receipt(entry["entry"].(object), "kind "+entry["kind"].(string)+"\n")
	}
	s.same("kinds", kinds, []any{"consent.requested", "consent.confirmed"})
	opening := history["entries"].([]any)[0].(object)
	masked := object{}
	for _, c := range opening["claims"].([]any) {
		masked[c.(object)["claim"].(string)] = c.(object)["masked"]
	}
	s.same("claims", masked, object{"email": "x•••@example.org", "form_snapshot": "text/html, 6 bytes", "ip": "192.0.2.•", "typed": "X•••@example.org",
		"user_agent": "M•••"})
	s.same("occurred_at", opening["occurred_at"], req["occurred_at"])
	s.same("source", opening["source"], any("the-app"))
	notice := history["notices"].([]any)[0].(object)
	s.same("notice", notice["notice"], any("newsletter-de@1"))
	s.same("its words", notice["text"], any("Ja, ich möchte den Newsletter.\n"))
	s.same("its hash", notice["sha256"], any(base64Sum(notice["text"].(string))))
	s.same("its facts' hash", notice["facts_sha256"], any(base64Sum(notice["facts"].(string))))
	s.same("its use", notice["use"], any("wording"))
	published := s.do("AuditService/BatchListEntries", object{"start": notice["index"], "limit": 1})["entries"].([]any)[0].(object)
	if raw, _ := base64.StdEncoding.DecodeString(published["raw"].(string)); !strings.Contains(string(raw), "\nnotice newsletter-de@1 "+notice["sha256"].(string)) {
		s.t.Errorf("entry %v does not publish the notice:\n%s", notice["index"], raw)
	}
	s.same("time", s.time(opening["time"]).Format("2006-01-02T15:04:05.000000Z"), timeOf(opening["entry"].(object)))

	ask := object{"consent_id": id, "claims": []string{"email", "typed", "ip", "form_snapshot"}, "reason": "7 O 1/26", "recipient": "the court",
		"proof": "log"}
	disclosed := s.twice("EvidenceService/DiscloseClaims", ask)
	s.receipt(disclosed["entry"].(object), "kind evidence.disclosed\n")
	values := map[any]object{}
	for _, d := range disclosed["disclosures"].([]any) {
		v := d.(object)
		values[v["claim"]] = v
		sum := sha256.Sum256([]byte(v["text"].(string)))
		s.commits(opening["entry"].(object), v["claim"].(string), sum)
	}
	s.same("email", values["email"]["value"], any(strings.ToLower(xaver["email"].(string))))
	s.same("typed", values["typed"]["value"], xaver["email"])
	s.same("ip", values["ip"]["value"], any("192.0.2.0/24"))
	s.same("form_snapshot", values["form_snapshot"]["bytes"], any("PGZvcm0+"))
	s.same("its media type", values["form_snapshot"]["media_type"], any("text/html"))
	s.same("its name", values["form_snapshot"]["file_name"], any("form.html"))
	s.refused("EvidenceService/DiscloseClaims", object{"consent_id": id, "claims": []string{"message"}, "reason": "a", "recipient": "b"},
		"not_found", "claims[0]")
	s.do("ConsentService/EraseSubject", shred(xaver))
	s.refused("EvidenceService/GetConsentHistory", object{"consent_id": id}, "not_found", "consent_id")
	delete(ask, "idempotency_key")
	s.refused("EvidenceService/DiscloseClaims", ask, "not_found", "consent_id")
}
