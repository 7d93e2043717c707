package wire_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestGroundsStory tells by every way to the port what consent can rest on besides the
// person's own yes, and what stands against it.
func TestGroundsStory(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, call := range callers(t, r) {
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.registry()
			s.groundsRegistry()
			s.guardian()
			s.signals()
			s.signalsOfStrangers()
			s.balanced()
			s.automated()
			s.informed()
			s.consentReceipt()
		})
	}
}

// weighed is a balancing test, the words of which are weighing.
var weighed = object{"file_name": "abwaegung.txt", "media_type": "text/plain", "bytes": []byte(weighing)}

const weighing = "Unser Interesse überwiegt, weil …"

// groundsRegistry defines what this story needs besides registry.
func (s *story) groundsRegistry() {
	for _, p := range []object{
		{"id": "club", "title": "Jugendclub", "marketing": true, "minimum_age": 16},
		{"id": "email.open_tracking", "title": "Öffnungen", "tracking_mode": "anonymous"},
		{"id": "web.tracking", "title": "Messung", "tracking_mode": "pseudonymous"},
		{"id": "analysis", "title": "Auswertung", "bases": []string{"legitimate_interest"}},
		{"id": "fraud", "title": "Betrugsabwehr", "bases": []string{"legitimate_interest"}, "balancing": weighed},
		{"id": "scoring", "title": "Bonität", "bases": []string{"consent", "contract"}},
	} {
		s.do("AdminService/DefinePurpose", p)
	}
	s.do("AdminService/PublishNotice", object{"id": "grounds-de", "language": "de", "text": "Ja, dazu auch.",
		"purposes": []string{"club", "email.open_tracking", "web.tracking", "scoring"}})
}

// given is what somebody gave in an app, for one purpose.
func (s *story) given(who object, purpose, channel string, more object) object {
	s.t.Helper()
	req := object{"subject": who, "purposes": []string{purpose}, "channel": channel, "notice": "grounds-de@1", "method": "app"}
	for name, value := range more {
		req[name] = value
	}
	return s.one(s.do("ConsentService/GiveConsent", req))
}

// may asks "may I?" about one purpose and channel, and compares the answer.
func (s *story) may(who object, purpose, channel string, allowed bool, reason string) object {
	s.t.Helper()
	decided := s.do("ConsentService/CheckConsent", object{"subject": who, "purpose": purpose, "channel": channel})
	s.same("allowed", decided["allowed"], any(allowed))
	s.same("reason", decided["reason"], any(reason))
	return decided
}

// guardian: a child's consent counts when whoever has parental responsibility
// authorised it.
func (s *story) guardian() {
	kim := s.address("kim")
	child := s.given(kim, "club", "email", object{"age": "child"})
	s.may(kim, "club", "email", false, "guardian_missing")
	authorise := object{"consent_ids": []any{child["consent_id"]}, "method": "paper", "occurred_at": ago(time.Hour), "proof": "log",
		"claims":      object{"guardian": "Petra Muster"},
		"attachments": []object{{"name": "document", "file_name": "form.pdf", "media_type": "application/pdf", "bytes": []byte("signed")}}}
	done := s.twice("ConsentService/AuthoriseGuardian", authorise)
	s.receipt(done["entry"].(object), "kind guardian.authorised\n")
	s.receipt(done["entry"].(object), fmt.Sprintf("about %v\n", child["consent_id"]))
	s.receipt(done["entry"].(object), "commit guardian ")
	s.receipt(done["entry"].(object), fmt.Sprintf("occurred %v\n", authorise["occurred_at"]))
	s.same("irregular", done["irregular"], any([]any{}))
	s.may(kim, "club", "email", true, "given")

	shown := s.do("EvidenceService/DiscloseClaims", object{"consent_id": child["consent_id"], "claims": []string{"guardian", "document"},
		"reason": "a question", "recipient": "the authority"})
	values := map[any]any{}
	for _, d := range shown["disclosures"].([]any) {
		values[d.(object)["claim"]] = d.(object)["value"]
		s.same("the entry", d.(object)["index"], done["entry"].(object)["index"])
	}
	s.same("guardian", values["guardian"], any("Petra Muster"))
	s.same("document", values["document"], any(`{"name":"form.pdf","media_type":"application/pdf","sha256":"`+hexSum("signed")+`"}`))

	s.do("ConsentService/WithdrawConsent", object{"subject": kim})
	delete(authorise, "idempotency_key")
	late := s.do("ConsentService/AuthoriseGuardian", authorise)
	s.same("irregular", late["irregular"], any([]any{object{"consent_id": child["consent_id"], "name": "guardian.authorised.withdrawn", "state": "withdrawn"}}))
	s.may(kim, "club", "email", false, "withdrawn")
}

// signals: what a browser says stands against the ledger's default, and never against
// what the person said themselves.
func (s *story) signals() {
	lea := s.address("lea")
	s.do("ConsentService/RefuseConsent", object{"subject": lea, "purposes": []string{"web.tracking"}, "channel": "web", "method": "web_form"})
	gpc := object{"subject": lea, "signal": "gpc", "value": "1", "purposes": []string{"web.tracking"}, "claims": object{"user_agent": "Firefox/150"},
		"occurred_at": ago(time.Hour), "proof": "log"}
	mode := func() any {
		return s.do("ConsentService/CheckConsent", object{"subject": lea, "purpose": "web.tracking", "channel": "web"})["tracking_mode"]
	}
	s.same("the mode", mode(), any("anonymous"))
	no := s.twice("ConsentService/RecordSignal", gpc)
	s.same("says", no["says"], any("no"))
	record := s.one(no)
	s.same("state", record["state"], any("refused"))
	s.receipt(no["entry"].(object), "signal gpc\nsays no\n")
	s.receipt(no["entry"].(object), "commit signal ")
	s.receipt(no["entry"].(object), "commit user_agent ")
	s.receipt(no["entry"].(object), fmt.Sprintf("occurred %v\n", gpc["occurred_at"]))
	s.same("the mode", mode(), any("none"))

	own := s.given(lea, "web.tracking", "web", nil)
	s.may(lea, "web.tracking", "web", true, "given")
	s.same("the mode", mode(), any("pseudonymous"))
	delete(gpc, "idempotency_key")
	s.same("records", len(s.do("ConsentService/RecordSignal", gpc)["consents"].([]any)), 2)
	s.may(lea, "web.tracking", "web", true, "given")

	s.do("ConsentService/WithdrawConsent", object{"consent_ids": []any{own["consent_id"]}})
	s.same("the mode", mode(), any("none"))
	tcf := object{"subject": lea, "signal": "tcf", "value": tcString(true), "proof": "log"}
	yes := s.twice("ConsentService/RecordSignal", tcf)
	s.same("says", yes["says"], any("yes"))
	s.receipt(yes["entry"].(object), "signal tcf\nsays yes\n")
	s.same("the mode", mode(), any("anonymous"))
	s.may(lea, "web.tracking", "web", false, "withdrawn") // a signal grants nothing

	tcf["value"] = tcString(false)
	delete(tcf, "idempotency_key")
	s.same("says", s.do("ConsentService/RecordSignal", tcf)["says"], any("no"))
	s.same("the mode", mode(), any("none"))
	shown := s.do("EvidenceService/DiscloseClaims", object{"consent_id": record["consent_id"], "claims": []string{"signal"}, "reason": "a", "recipient": "b"})
	var values []any
	for _, d := range shown["disclosures"].([]any) {
		values = append(values, d.(object)["value"])
	}
	s.same("the signals as they came", values, []any{"1", "1", tcString(true), tcString(false)})
}

// signalsOfStrangers: a no is kept for who was never seen, a yes is nothing to keep.
func (s *story) signalsOfStrangers() {
	max := s.address("max")
	yes := s.do("ConsentService/RecordSignal", object{"subject": max, "signal": "tcf", "value": tcString(true)})
	s.same("says", yes["says"], any("yes"))
	s.same("records", yes["consents"], any([]any{}))
	if yes["entry"] != nil {
		s.t.Errorf("a yes of a stranger was recorded: %v", yes["entry"])
	}
	s.check(max, false, "unknown_subject")
	no := s.twice("ConsentService/RecordSignal", object{"subject": max, "signal": "gpc", "value": "1"})
	var purposes []any
	for _, c := range no["consents"].([]any) {
		s.same("state", c.(object)["state"], any("refused"))
		purposes = append(purposes, c.(object)["purpose"])
	}
	s.same("all tracking purposes", purposes, []any{"email.open_tracking", "web.tracking"})
	s.same("the mode", s.may(max, "email.open_tracking", "email", false, "refused")["tracking_mode"], any("none"))
	s.refused("ConsentService/RecordSignal", object{"subject": max, "signal": "gpc", "value": "1", "purposes": []string{"newsletter"}},
		"invalid_argument", "purposes[0]")
	s.check(max, false, "no_consent") // of what tracks nobody it says nothing
}

// balanced: an interest counts when it was weighed, once for all or for the person.
func (s *story) balanced() {
	nora := s.address("nora")
	assert := func(purpose string) object {
		return object{"subject": nora, "purpose": purpose, "channel": "web", "basis": "legitimate_interest", "proof": "log"}
	}
	s.refused("ConsentService/AssertBasis", assert("analysis"), "failed_precondition", "balancing")
	own := assert("analysis")
	own["attachments"] = []object{{"name": "document", "file_name": "abwaegung.txt", "media_type": "text/plain", "bytes": []byte(weighing)}}
	record := s.twice("ConsentService/AssertBasis", own)["consent"].(object)
	s.receipt(record["entry"].(object), "commit document ")
	s.may(nora, "analysis", "web", true, "legitimate_interest")
	s.do("ConsentService/AssertBasis", assert("fraud"))
	s.may(nora, "fraud", "web", true, "legitimate_interest")

	for _, p := range s.do("AdminService/ListPurposes", object{})["purposes"].([]any) {
		switch purpose := p.(object); purpose["id"] {
		case "fraud":
			s.same("its test", purpose["balancing_sha256"], any(base64Sum(weighing)))
			document := s.do("AdminService/GetDocument", object{"index": purpose["index"]})["document"].(object)
			s.same("the words", document["bytes"], any(base64.StdEncoding.EncodeToString([]byte(weighing))))
			s.same("the name", document["file_name"], any("abwaegung.txt"))
			s.same("the type", document["media_type"], any("text/plain"))
		case "analysis":
			s.same("its test", purpose["balancing_sha256"], any(""))
			s.refused("AdminService/GetDocument", object{"index": purpose["index"]}, "not_found", "index")
		}
	}
}

// automated: who does not want to be decided about by a machine gets a human, within
// the time of a rights request.
func (s *story) automated() {
	otto := s.address("otto")
	s.given(otto, "scoring", "web", nil)
	s.may(otto, "scoring", "web", true, "given")
	objection := object{"subject": otto, "article": "art22", "purposes": []string{"scoring"}, "channel": "web", "method": "web_form", "claims": object{"reason": "ask a human"}}
	objected := s.twice("ConsentService/RecordObjection", objection)
	var ids []any // of what ended, and of the objection that stands
	for _, c := range objected["consents"].([]any) {
		s.same("state", c.(object)["state"], any("objected"))
		ids = append(ids, c.(object)["consent_id"])
	}
	s.same("records", len(ids), 2)
	s.may(otto, "scoring", "web", false, "objected")
	for _, request := range s.do("EvidenceService/ListRequests", object{})["requests"].([]any) {
		if r := request.(object); r["request_id"] == objected["request_id"] {
			s.same("article", r["article"], any("art22"))
			s.same("whose", r["consent_ids"], any(ids))
			return
		}
	}
	s.t.Errorf("nobody has to answer request %v", objected["request_id"])
}

// informed: a restriction ends when the person was told.
func (s *story) informed() {
	rita := s.signUp(s.address("rita"), "email")
	set := s.twice("ConsentService/SetRestriction", object{"subject": rita.who, "ground": "art18_1_a", "claims": object{"reason": "not my address"}, "proof": "log"})
	s.receipt(s.one(set)["entry"].(object), "commit reason ")
	replaced := s.do("ConsentService/SetRestriction", object{"subject": rita.who, "ground": "art18_1_c", "proof": "log"})
	s.receipt(s.one(replaced)["entry"].(object), "ground art18_1_c\n")
	s.refused("ConsentService/LiftRestriction", object{"subject": rita.who}, "invalid_argument", "informed_at")
	told := ago(time.Hour)
	lift := object{"subject": rita.who, "informed_at": told, "claims": object{"reason": "settled"}, "proof": "log"}
	lifted := s.twice("ConsentService/LiftRestriction", lift)
	s.receipt(s.one(lifted)["entry"].(object), "informed "+told+"\n")
	s.check(rita.who, true, "confirmed")
}

// consentReceipt: what the person keeps.
func (s *story) consentReceipt() {
	sven := s.signUp(s.address("sven"), "email")
	size := s.r.size()
	receipt := s.do("ConsentService/GetConsentReceipt", object{"consent_id": sven.id})["receipt"].(string)
	var document object
	if err := json.Unmarshal([]byte(receipt), &document); err != nil || document["@context"] == nil {
		s.t.Fatalf("no JSON-LD: %v: %s", err, receipt)
	}
	record := document["dpv:hasRecordOfActivity"].(object)
	s.same("what it is", document["@type"], any("dpv:ConsentReceipt"))
	s.same("the notice", record["dpv:hasNotice"].([]any)[0].(object)["dct:identifier"], any("newsletter-de@1"))
	s.same("the purpose", record["dpv:hasProcess"].([]any)[0].(object)["dpv:hasPurpose"].(object)["dct:identifier"], any("newsletter"))
	s.same("states", len(record["dpv:hasConsentStatus"].([]any)), 2)
	if strings.Contains(receipt, "sven") {
		s.t.Errorf("the receipt names the person: %s", receipt)
	}
	s.same("the same receipt", s.do("ConsentService/GetConsentReceipt", object{"consent_id": sven.id})["receipt"], any(receipt))
	s.same("the size after reading", s.r.size(), size)
	s.do("ConsentService/WithdrawConsent", object{"subject": sven.who})
	if later := s.do("ConsentService/GetConsentReceipt", object{"consent_id": sven.id})["receipt"]; later == receipt {
		s.t.Error("the receipt does not say that the consent was withdrawn")
	}
	s.refused("ConsentService/GetConsentReceipt", object{"consent_id": s.asserted(sven.who)}, "failed_precondition", "basis")
	s.do("ConsentService/EraseSubject", shred(sven.who))
	s.refused("ConsentService/GetConsentReceipt", object{"consent_id": sven.id}, "not_found", "consent_id")
}

// asserted gives the id of a record that rests on an interest.
func (s *story) asserted(who object) any {
	s.t.Helper()
	record := s.do("ConsentService/AssertBasis", object{"subject": who, "purpose": "fraud", "channel": "web", "basis": "legitimate_interest"})
	return record["consent"].(object)["consent_id"]
}

// tcString is a TC string of version 2 (IAB Transparency and Consent Framework) that
// consents to purposes 1 and 7, or to none, and to no vendor.
func tcString(consents bool) string {
	var bits []byte
	add := func(width int, value uint64) {
		for i := width - 1; i >= 0; i-- {
			bits = append(bits, byte(value>>i&1))
		}
	}
	purposes := uint64(0)
	if consents {
		purposes = 1<<23 | 1<<17
	}
	const decisecond, en = 17_000_000_000, 'e' - 'a'
	for _, field := range []struct {
		width int
		value uint64
	}{
		{6, 2}, {36, decisecond}, {36, decisecond}, {12, 10}, {12, 1}, {6, 1}, {6, en}, {6, 'n' - 'a'}, // version … language
		{12, 200}, {6, 4}, {1, 1}, {1, 0}, {12, 0}, {24, purposes}, {24, 0}, {1, 0}, {6, 'd' - 'a'}, {6, en}, // vendor list … country
		{16, 8}, {1, 0}, {8, 0}, // vendors that have consent
		{16, 8}, {1, 0}, {8, 0}, // vendors with a legitimate interest
		{12, 0}, // restrictions
	} {
		add(field.width, field.value)
	}
	raw := make([]byte, (len(bits)+7)/8)
	for i, bit := range bits {
		raw[i/8] |= bit << (7 - i%8)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}
