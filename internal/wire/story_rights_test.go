package wire_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// TestRightsStory tells by every way to the port how people get their rights: from the
// request to its answer, late and in time, by people who are known, strangers and
// people who were forgotten meanwhile.
func TestRightsStory(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, call := range callers(t, r) {
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.registry()
			mailer := s.processor()
			anna := s.signUp(s.address("anna"), "email")
			s.do("ConsentService/RecordUses", object{"consent_ids": []any{anna.id}, "reference": "campaign 7", "processor": mailer})
			id := s.requested(anna)
			s.extended(id)
			s.identified(anna)
			right := s.corrected(anna, mailer)
			s.restricted(right)
			s.masked(right)
			s.answered(id)
			s.lateRequests(right)
			s.reported(right, mailer)
			s.strangers()
			s.forgottenMeanwhile()
			s.machines()
		})
	}
}

// processor engages one of this story's own.
func (s *story) processor() (id string) {
	id = fmt.Sprintf("mailer-%d", s.r.size())
	s.do("AdminService/EngageProcessor", object{"id": id, "title": "Mailer GmbH", "country": "DE", "purposes": []string{"newsletter"}, "agreement": agreement()})
	return id
}

// step writes a step of a request and looks at the receipt.
func (s *story) step(method string, req object, kind string) object {
	s.t.Helper()
	req["proof"] = "log"
	rsp := s.do("EvidenceService/"+method, req)
	s.receipt(rsp["entry"].(object), "kind "+kind+"\n")
	return rsp
}

// open opens a request that reached the company so many days ago.
func (s *story) open(who object, article string, days int) (id string, received time.Time) {
	s.t.Helper()
	received = time.Now().UTC().AddDate(0, 0, -days).Truncate(time.Second)
	rsp := s.step("OpenRequest", object{"subject": who, "article": article, "received_at": stamp(received)}, "request.received")
	s.same("due", rsp["due"], any(stamp(ledger.AnswerDue(received, 1))))
	return rsp["request_id"].(string), received
}

// waiting gives the open request of a number; nil when it waits no more.
func (s *story) waiting(id string) object {
	s.t.Helper()
	list := s.do("EvidenceService/ListRequests", object{})["requests"].([]any)
	if i := slices.IndexFunc(list, func(r any) bool { return r.(object)["request_id"] == id }); i >= 0 {
		return list[i].(object)
	}
	return nil
}

// letter is a document that comes with a request.
func letter(name string) []object {
	return []object{{"name": "document", "file_name": name, "media_type": "application/pdf", "bytes": []byte("%PDF-1.7 " + name)}}
}

// requested opens a request. A retry opens no second one.
func (s *story) requested(anna consent) (id string) {
	received := time.Now().UTC().AddDate(0, 0, -10).Truncate(time.Second)
	req := object{"subject": anna.who, "article": "art16", "received_at": stamp(received), "idempotency_key": "open " + s.t.Name(),
		"claims":      object{"reason": "My name is spelt differently.", "reference": "ticket 4711"},
		"attachments": letter("letter.pdf")}
	opened := s.step("OpenRequest", req, "request.received")
	size := s.r.size()
	s.same("a retry", s.step("OpenRequest", req, "request.received")["request_id"], opened["request_id"])
	s.same("the size after a retry", s.r.size(), size)
	id = opened["request_id"].(string)
	s.same("the number is the entry's index", opened["entry"].(object)["index"], any(id))
	s.same("consents", opened["consents"], any("1"))
	due := stamp(ledger.AnswerDue(received, 1))
	s.same("due", opened["due"], any(due))
	s.receipt(opened["entry"].(object), "article art16\ndue "+due+"\n")
	s.same("what waits", s.waiting(id), object{"request_id": id, "article": "art16", "received_at": stamp(received), "due": due,
		"extended": false, "overdue": false, "consent_ids": []any{anna.id}})
	s.check(anna.who, true, "confirmed") // a request changes nothing by itself
	return id
}

// extended gives the request more time, once and not for ever.
func (s *story) extended(id string) {
	received := s.time(s.waiting(id)["received_at"])
	reason, told := object{"reason": "There are four hundred mails."}, letter("extension.pdf")
	s.refused("EvidenceService/ExtendRequest", object{"request_id": id}, "invalid_argument", "claims.reason")
	late := ledger.AnswerDue(received, 3).Add(time.Second)
	s.refused("EvidenceService/ExtendRequest", object{"request_id": id, "claims": reason, "until": stamp(late)}, "failed_precondition", "due")
	rsp := s.step("ExtendRequest", object{"request_id": id, "claims": reason, "attachments": told}, "request.extended")
	s.same("due", rsp["due"], any(stamp(ledger.AnswerDue(received, 3))))
	s.same("irregular", rsp["irregular"], any([]any{}))
	s.refused("EvidenceService/ExtendRequest", object{"request_id": id, "claims": reason}, "failed_precondition", "due")
	s.same("extended", s.waiting(id)["extended"], any(true))
	s.same("until", s.waiting(id)["due"], rsp["due"])
}

// identified makes sure who asks, without which nothing is corrected or shown.
func (s *story) identified(anna consent) {
	size := s.r.size()
	for _, format := range []string{"json", "csv"} {
		s.refused("EvidenceService/GetAccessReport", object{"subject": anna.who, "format": format}, "failed_precondition", "identity")
	}
	s.refused("EvidenceService/RectifySubject", object{"subject": anna.who, "add": object{"external_id": "4711"}}, "failed_precondition", "identity")
	s.same("the size after refusals", s.r.size(), size)
	s.same("verified until", s.records(anna.who)[0]["verified_until"], any(nil))
	at := time.Now().UTC().AddDate(0, 0, -2).Truncate(time.Second)
	rsp := s.step("VerifyIdentity", object{"subject": anna.who, "means": "mailbox", "occurred_at": stamp(at),
		"claims": object{"operator": "desk 4"}}, "identity.verified")
	s.receipt(rsp["entry"].(object), "means mailbox\n")
	s.same("consents", rsp["consents"], any("1"))
	s.same("until", rsp["until"], any(stamp(at.AddDate(0, 0, 92))))
	s.same("verified until", s.records(anna.who)[0]["verified_until"], rsp["until"])
}

// corrected corrects the address and tells the processor, and notes that an entry is
// wrong.
func (s *story) corrected(anna consent, mailer string) (right object) {
	right = s.address("anna.right")
	rectified := s.step("RectifySubject", object{"subject": anna.who, "remove": anna.who, "add": right, "claims": object{"operator": "desk 5"}}, "subject.rectified")["entry"].(object)
	s.told(rectified["index"].(string), mailer)

	own := s.signUp(right, "email")
	s.check(right, true, "confirmed")
	used := s.do("ConsentService/RecordUses", object{"consent_ids": []any{own.id}, "reference": "a mail that was never sent"})
	index := used["entries"].([]any)[0].(object)["index"].(string)
	s.refused("EvidenceService/CorrectEntry", object{"index": index}, "invalid_argument", "claims.reason")
	noted := s.step("CorrectEntry", object{"index": index, "claims": object{"reason": "It was not sent."},
		"attachments": letter("mail.pdf")}, "entry.corrected")["entry"].(object)
	s.receipt(noted, "refers "+index+"\n")
	s.receipt(noted, "about "+own.id+"\n")
	s.check(right, true, "confirmed") // it changes nothing
	return right
}

// told tells a processor of an entry, who answers.
func (s *story) told(index, mailer string) {
	s.t.Helper()
	recipients := func() object {
		s.t.Helper()
		list := s.do("EvidenceService/ListRecipients", object{"index": index})["recipients"].([]any)
		if len(list) != 1 {
			s.t.Fatalf("recipients: %v", list)
		}
		return list[0].(object)
	}
	before := recipients()
	s.same("processor", before["processor"], any(mailer))
	s.same("uses", before["uses"], any("1"))
	if last, ok := before["last_use"].(string); !ok || last == "0" {
		s.t.Errorf("the last use: %v", before["last_use"])
	}
	s.same("not told", before["notification_id"], any(nil))
	s.refused("EvidenceService/NotifyRecipient", object{"index": index, "processor": "nobody"}, "failed_precondition", "processor")
	at := stamp(time.Now().UTC())
	told := s.step("NotifyRecipient", object{"index": index, "processor": mailer, "claims": object{"reference": "ticket 4712"}, "occurred_at": at},
		"recipient.notified")
	s.receipt(told["entry"].(object), "occurred "+at+"\n")
	s.receipt(told["entry"].(object), "refers "+index+"\n")
	s.receipt(told["entry"].(object), "processor "+mailer+"\n")
	s.same("the number is the entry's index", told["entry"].(object)["index"], told["notification_id"])
	s.same("told", recipients()["notification_id"], told["notification_id"])
	s.same("not answered", recipients()["acknowledgement"], any(nil))
	answer := object{"notification_id": told["notification_id"], "claims": object{"reference": "done"}, "occurred_at": at}
	answered := s.step("AcknowledgeRecipient", answer, "recipient.acknowledged")["entry"].(object)
	s.receipt(answered, "occurred "+at+"\n")
	s.same("answered", recipients()["acknowledgement"], answered["index"])
	s.refused("EvidenceService/AcknowledgeRecipient", answer, "not_found", "notification_id")
}

// restricted: what a person does under a restriction counts, and nothing is sent.
func (s *story) restricted(anna object) {
	asked := s.ask(anna, "email", "web_form")
	since := ahead(-2)
	set := s.do("EvidenceService/SetRestriction", object{"subject": anna, "ground": "art18_1_a", "claims": object{"reason": "The name is wrong."},
		"occurred_at": since, "proof": "log"})
	for _, c := range set["consents"].([]any) {
		s.same("overlays", c.(object)["overlays"], any([]any{"restricted"}))
		s.receipt(c.(object)["entry"].(object), "\nground art18_1_a\n")
		s.same("since", lineOf(c.(object)["entry"].(object), "occurred"), since)
	}
	s.check(anna, false, "restricted")
	confirmed := s.do("ConsentService/ConfirmConsent", object{"token": asked["token"]})["consents"].([]any)[0].(object)
	s.same("a click under a restriction", confirmed["state"], any("confirmed"))
	s.check(anna, false, "restricted")

	lift := object{"subject": anna, "claims": object{"reason": "The name is right."}, "proof": "log"}
	s.refused("EvidenceService/LiftRestriction", lift, "invalid_argument", "informed_at")
	lift["informed_at"] = ahead(1)
	s.refused("EvidenceService/LiftRestriction", lift, "failed_precondition", "informed")
	s.check(anna, false, "restricted")
	lift["informed_at"], lift["occurred_at"] = ahead(-1), ahead(-1)
	for _, c := range s.do("EvidenceService/LiftRestriction", lift)["consents"].([]any) {
		s.same("overlays", c.(object)["overlays"], any([]any{}))
		s.receipt(c.(object)["entry"].(object), "informed "+lift["informed_at"].(string)+"\n")
		s.receipt(c.(object)["entry"].(object), "occurred "+lift["occurred_at"].(string)+"\n")
	}
	s.check(anna, true, "confirmed")
}

// masked: the legal role is shown who it is about, and no more than that; seeing the
// rest leaves an entry.
func (s *story) masked(anna object) {
	address := anna["email"].(string)
	mask := "a•••@example.org"
	record := s.records(anna)[0]
	s.same("identifiers", record["identifiers"], any([]any{object{"claim": "email", "masked": mask}}))
	id := record["consent"].(object)["consent_id"]
	history := s.do("EvidenceService/GetConsentHistory", object{"consent_id": id})
	if text := fmt.Sprint(history); strings.Contains(text, address) || !strings.Contains(text, "masked:"+mask) {
		s.t.Errorf("the history shows %s, or does not show %s: %s", address, mask, text)
	}
	size := s.r.size()
	ask := object{"consent_id": id, "claims": []string{"email"}, "recipient": "Landgericht"}
	s.refused("EvidenceService/DiscloseClaims", ask, "invalid_argument", "reason")
	s.same("the size after a refusal", s.r.size(), size)
	ask["reason"] = "7 O 1/26"
	shown := s.step("DiscloseClaims", ask, "evidence.disclosed")
	s.receipt(shown["entry"].(object), "occasion claims\nshown email\n")
	var values []any
	for _, d := range shown["disclosures"].([]any) {
		values = append(values, d.(object)["value"])
	}
	if !slices.Contains(values, any(address)) {
		s.t.Errorf("disclosed: %v, want %s", values, address)
	}
}

// answered answers the request, once.
func (s *story) answered(id string) {
	answer := object{"request_id": id, "claims": object{"reason": "The address was corrected."}, "attachments": letter("answer.pdf")}
	rsp := s.step("AnswerRequest", answer, "request.answered")
	s.receipt(rsp["entry"].(object), "refers "+id+"\n")
	s.same("irregular", rsp["irregular"], any([]any{}))
	if r := s.waiting(id); r != nil {
		s.t.Errorf("it waits still: %v", r)
	}
	for _, method := range []string{"AnswerRequest", "ExtendRequest"} {
		s.refused("EvidenceService/"+method, answer, "not_found", "request_id")
	}
	s.refused("EvidenceService/RefuseRequest", object{"request_id": id, "refusal": "other", "claims": answer["claims"]}, "not_found", "request_id")
}

// lateRequests: what is late is recorded, and irregular.
func (s *story) lateRequests(anna object) {
	const days = 62 // two months at most: three are not over
	reason := object{"reason": "It was late."}
	irregular := func(rsp object, name string) {
		s.t.Helper()
		list := rsp["irregular"].([]any)
		if len(list) != 1 || list[0].(object)["name"] != name {
			s.t.Errorf("irregular: %v, want %s", list, name)
		}
	}
	id, received := s.open(anna, "art17", days)
	s.same("overdue", s.waiting(id)["overdue"], any(true))
	irregular(s.step("AnswerRequest", object{"request_id": id}, "request.answered"), "request.answered.late")

	id, _ = s.open(anna, "art20", days)
	refuse := object{"request_id": id, "refusal": "unfounded", "claims": reason, "attachments": letter("refusal.pdf")}
	refused := s.step("RefuseRequest", refuse, "request.refused")
	s.receipt(refused["entry"].(object), "refusal unfounded\n")
	irregular(refused, "request.refused.late")

	id, _ = s.open(anna, "art15", days)
	irregular(s.step("ExtendRequest", object{"request_id": id, "claims": reason}, "request.extended"), "request.extended.late")
	s.same("overdue", s.waiting(id)["overdue"], any(false))
	s.same("in time after all", s.step("AnswerRequest", object{"request_id": id}, "request.answered")["irregular"], any([]any{}))

	id, _ = s.open(anna, "art15", days)
	said := s.step("AnswerRequest", object{"request_id": id, "occurred_at": stamp(received.AddDate(0, 0, 20))}, "request.answered")
	s.same("answered in time and recorded late", said["irregular"], any([]any{}))
}

// strangers ask, too, and are answered; nothing of them is kept.
func (s *story) strangers() {
	nobody := s.address("nobody")
	ask := object{"subject": nobody, "article": "art15", "claims": object{"reason": "What do you have?"}}
	s.refused("EvidenceService/OpenRequest", ask, "failed_precondition", "stranger")
	ask["claims"] = object{"reference": "ticket 4713"}
	opened := s.step("OpenRequest", ask, "request.received")
	id := opened["request_id"].(string)
	s.same("consents", opened["consents"], any("0"))
	s.same("whose", s.waiting(id)["consent_ids"], any([]any{}))
	if text := opened["entry"].(object)["text"].(string); strings.Contains(text, "\nabout ") {
		s.t.Errorf("the entry names somebody:\n%s", text)
	}
	s.check(nobody, false, "unknown_subject")
	s.refused("EvidenceService/VerifyIdentity", object{"subject": nobody, "means": "mailbox"}, "not_found", "subject")
	s.refused("EvidenceService/ExtendRequest", object{"request_id": id, "claims": object{"reason": "Much."}}, "failed_precondition", "stranger")
	s.step("ExtendRequest", object{"request_id": id, "claims": object{"reference": "ticket 4713"}}, "request.extended")
	refuse := object{"request_id": id, "refusal": "unidentified", "claims": object{"reference": "ticket 4713"}}
	s.same("irregular", s.step("RefuseRequest", refuse, "request.refused")["irregular"], any([]any{}))
}

// forgottenMeanwhile: who is erased while they wait is a stranger then.
func (s *story) forgottenMeanwhile() {
	bob := s.signUp(s.address("bob"), "email")
	id, _ := s.open(bob.who, "art17", 1)
	entry := s.do("ConsentService/EraseSubject", shred(bob.who))["entry"].(object)
	s.same("whose", s.waiting(id)["consent_ids"], any([]any{}))
	s.refused("EvidenceService/AnswerRequest", object{"request_id": id, "claims": object{"reason": "done"}}, "failed_precondition", "stranger")
	s.step("AnswerRequest", object{"request_id": id, "claims": object{"reference": "ticket 4714"}}, "request.answered")
	s.same("recipients", s.do("EvidenceService/ListRecipients", object{"index": entry["index"]})["recipients"], any([]any{}))
}

// machines: who objects to decisions by machines alone (Art. 22 GDPR) is answered by a
// human in time.
func (s *story) machines() {
	carla := s.signUp(s.address("carla"), "email")
	objected := s.do("ConsentService/RecordObjection", object{"subject": carla.who, "article": "art22", "purposes": []string{"invoice"},
		"claims": object{"reason": "A human, please."}})
	id := objected["request_id"].(string)
	s.same("article", s.waiting(id)["article"], any("art22"))
	s.same("of what", s.waiting(id)["consent_ids"], any([]any{objected["consents"].([]any)[0].(object)["consent_id"]}))
	decided := s.do("ConsentService/CheckConsent", object{"subject": carla.who, "purpose": "invoice", "channel": "email"})
	s.same("the decision by machines", decided["reason"], any("objected"))
	s.check(carla.who, true, "confirmed") // it is no objection to mail
	s.step("AnswerRequest", object{"request_id": id, "claims": object{"operator": "desk 4"}}, "request.answered")
	for _, at := range []string{ahead(2), "9999-12-31T23:59:59Z"} { // an objection is not refused for a clock that is wrong
		dora := s.address("dora")
		said := s.do("ConsentService/RecordObjection", object{"subject": dora, "article": "art22", "purposes": []string{"invoice"}, "occurred_at": at})
		due := s.time(s.waiting(said["request_id"].(string))["due"])
		if left := time.Until(due); left < 27*24*time.Hour || left > 32*24*time.Hour {
			s.t.Errorf("due in %v", left)
		}
	}
}
