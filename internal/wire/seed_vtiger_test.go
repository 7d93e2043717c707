package wire_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// TestSeedVtiger: a contact of a CRM is frozen, confirms meanwhile, is corrected after
// proving who they are, gets a copy of everything, and is erased, of which everybody is
// told who had the data.
func TestSeedVtiger(t *testing.T) {
	v := &vtiger{seed: newSeed(t)}
	v.registry()
	v.contact()
	v.frozen()
	v.confirmedMeanwhile()
	v.corrected()
	v.released()
	v.passedOn()
	v.objected()
	v.exported()
	v.erased()
	report := v.ends(map[string]int64{"consent.used.restricted": 1})
	v.same("requests that wait", report.RightsOpen, 0)
}

// vtiger is the CRM with its module for privacy.
type vtiger struct {
	*seed
	who, phone      object
	id, token       any // of the newsletter
	freeze, correct any // the numbers of requests
	erasure         any // the index of the entry
}

// registry: everything that Art. 13 GDPR asks for is said at collection, and who gets the
// data is known by contract.
func (v *vtiger) registry() {
	v.define([]object{
		{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true, "effect_hours": 24},
		{"id": "contact", "title": "Speichern der Kontaktdaten", "bases": []string{"consent", "contract"}},
		{"id": "document_tracking", "title": "Ob Dokumente gelesen werden"},
		{"id": "email.open_tracking", "title": "Öffnungen", "tracking_mode": "anonymous"},
		{"id": "partner", "title": "Weitergabe an Vertriebspartner", "bases": []string{"legitimate_interest"},
			"balancing": object{"file_name": "abwaegung.pdf", "media_type": "application/pdf", "bytes": []byte("%PDF-1.4 (Abwägung)")}},
		{"id": "scoring", "title": "Bewertung von Anfragen durch ein Programm"},
	}, nil)
	published := v.do("AdminService/PublishNotice", object{"id": "crm-de", "language": "de", "text": "Ja, ich möchte den Newsletter. Ihr dürft messen und bewerten.",
		"purposes": []string{"newsletter", "contact", "document_tracking", "email.open_tracking", "scoring"}, "checkbox_default": "unticked", "conditional_on": "none",
		"facts": object{"controller": "Beispiel GmbH, Hauptstr. 1, 10115 Berlin", "contact": "datenschutz@example.com", "companies": []string{"Beispiel GmbH"},
			"authority": "Berliner Beauftragte für Datenschutz", "retention": "bis zum Widerruf, dann drei Jahre als Nachweis", "rights": "Auskunft, Widerruf, …",
			"refusal": "keine Folgen", "automated_decisions": "Bewertung von Anfragen", "recipients": []string{"Versand GmbH"}, "third_countries": []string{"none"}}})
	v.same("missing of Art. 13", published["missing"], any([]any{}))
	v.same("findings", published["findings"], any([]any{}))
	sum := sha256.Sum256([]byte("der Vertrag"))
	for _, p := range []object{
		{"id": "mailer", "title": "Versand GmbH", "country": "DE", "purposes": []string{"newsletter"}, "agreement_sha256": sum[:]},
		{"id": "host", "title": "Rechenzentrum AG", "country": "CH", "agreement_sha256": sum[:]},
	} {
		v.do("AdminService/EngageProcessor", p)
	}
	v.do("AdminService/DeclareClaim", object{"id": "x.lead_source", "title": "Woher der Kontakt kommt"})
}

// contact: consent given at a fair, by word of mouth, for each purpose by itself. The
// newsletter waits for the mail.
func (v *vtiger) contact() {
	v.who, v.phone = object{"email": "toni.kontakt@example.org"}, object{"phone": "+49 30 9018220"}
	v.knows("toni.kontakt@example.org", "+49 30 9018220", "Toni Kontakt", "Messe Hannover, Stand 4")
	claims := object{"name": "Toni Kontakt", "operator": "desk 4", "x.lead_source": "Messe Hannover, Stand 4"}
	v.do("ConsentService/GiveConsent", object{"subject": v.who, "purposes": []string{"contact", "document_tracking", "scoring"}, "channel": "app",
		"notice": "crm-de@1", "method": "oral", "claims": claims})
	v.do("ConsentService/LinkSubject", object{"subject": v.who, "add": v.phone})
	asked := v.do("ConsentService/RequestConsent", object{"subject": v.who, "purposes": []string{"newsletter"}, "channel": "email", "notice": "crm-de@1",
		"method": "oral", "claims": claims})
	v.id, v.token = v.one(asked)["consent_id"], asked["token"]
	v.may(v.who, "contact", "app", true, "given")
	v.may(v.who, "newsletter", "email", false, "pending")
}

// frozen: the contact says that the number is wrong. Until that is clear nothing is done
// with the record (Art. 18(1)(a) GDPR), and there is a month to answer.
func (v *vtiger) frozen() {
	opened := v.do("EvidenceService/OpenRequest", object{"subject": v.who, "article": "art18", "claims": object{"reason": "Die Nummer ist falsch."}, "proof": "log"})
	v.freeze = opened["request_id"]
	v.receipt(opened["entry"].(object), "article art18\n")
	v.same("consents concerned", opened["consents"], any("4"))
	v.same("due", v.time(opened["due"]), ledger.AnswerDue(v.time(timeOf(opened["entry"].(object))), 1))
	v.correct = v.do("EvidenceService/OpenRequest", object{"subject": v.who, "article": "art16"})["request_id"]
	set := v.do("EvidenceService/SetRestriction", object{"subject": v.who, "ground": "art18_1_a", "claims": object{"reason": "Nummer bestritten"}})
	v.same("restricted", len(set["consents"].([]any)), 4)
	for purpose, channel := range map[string]string{"contact": "app", "document_tracking": "app", "scoring": "app", "newsletter": "email"} {
		v.may(v.who, purpose, channel, false, "restricted")
	}
}

// confirmedMeanwhile: the click is recorded, because it happened. Sending stays blocked,
// and what is sent all the same is irregular.
func (v *vtiger) confirmedMeanwhile() {
	done := v.one(v.do("ConsentService/ConfirmConsent", object{"token": v.token, "click": "button"}))
	v.same("state", done["state"], any("confirmed"))
	v.same("overlays", done["overlays"], any([]any{"restricted"}))
	v.may(v.who, "newsletter", "email", false, "restricted")
	used := v.do("ConsentService/RecordUses", object{"consent_ids": []any{v.id}})
	v.same("a mail all the same", used["irregular"].([]any)[0].(object)["name"], any("consent.used.restricted"))
}

// corrected: only for somebody who has shown who they are (Art. 12(6) and 16 GDPR). The
// person is found under the new number, and nobody under the old one.
func (v *vtiger) corrected() {
	right := object{"phone": "+49 30 9018222"}
	v.knows("+49 30 9018222")
	rectify := object{"subject": v.who, "remove": v.phone, "add": right, "claims": object{"reason": "verwählt"}}
	v.refused("EvidenceService/RectifySubject", rectify, "failed_precondition", "identity")
	verified := v.do("EvidenceService/VerifyIdentity", object{"subject": v.who, "means": "question", "claims": object{"operator": "desk 7"}, "proof": "log"})
	v.receipt(verified["entry"].(object), "means question\n")
	v.do("EvidenceService/RectifySubject", rectify)
	v.same("under the wrong number", len(v.consents(v.phone)), 0)
	v.same("under the right one", len(v.consents(right)), 4)
	v.phone = right
	answered := v.do("EvidenceService/AnswerRequest", object{"request_id": v.correct, "claims": object{"reason": "berichtigt"}})
	v.same("irregular", answered["irregular"], any([]any{}))
}

// released: the person is told before the restriction is lifted (Art. 18(3) GDPR).
func (v *vtiger) released() {
	lift := object{"subject": v.who, "claims": object{"reason": "Nummer berichtigt"}}
	v.refused("EvidenceService/LiftRestriction", lift, "invalid_argument", "informed_at")
	lift["informed_at"] = ago(0)
	lifted := v.do("EvidenceService/LiftRestriction", lift)
	v.same("overlays", lifted["consents"].([]any)[0].(object)["overlays"], any([]any{}))
	v.do("EvidenceService/AnswerRequest", object{"request_id": v.freeze})
	v.same("requests that wait", v.do("EvidenceService/ListRequests", object{})["requests"], any([]any{}))
	v.may(v.who, "newsletter", "email", true, "confirmed")
}

// passedOn: every use says to whom the data went. One was recorded by mistake, which is
// noted; what stands is not rewritten.
func (v *vtiger) passedOn() {
	use := object{"reference": "campaign 3", "consent_ids": []any{v.id}, "processor": "mailer", "recipient": "Versand GmbH"}
	v.do("ConsentService/RecordUses", use)
	use["processor"] = "nobody"
	v.refused("ConsentService/RecordUses", use, "failed_precondition", "processor")
	wrong := v.do("ConsentService/RecordUses", object{"reference": "campaign 4", "consent_ids": []any{v.id}})["entries"].([]any)[0].(object)["index"]
	noted := v.do("EvidenceService/CorrectEntry", object{"index": wrong, "claims": object{"reason": "Kampagne 4 ging nie hinaus."}, "proof": "log"})
	v.receipt(noted["entry"].(object), "kind entry.corrected\n")
	v.receipt(noted["entry"].(object), "refers "+wrong.(string)+"\n")
}

// objected: to one ground, to one purpose, and to being judged by a program, which a
// human has to look at. More time is asked for, once.
func (v *vtiger) objected() {
	v.do("ConsentService/AssertBasis", object{"subject": v.who, "purpose": "partner", "channel": "app", "basis": "legitimate_interest"})
	v.may(v.who, "partner", "app", true, "legitimate_interest")
	v.do("ConsentService/RecordObjection", object{"subject": v.who, "article": "art21_1", "purposes": []string{"partner"}, "method": "email_reply"})
	v.may(v.who, "partner", "app", false, "restricted")
	v.may(v.who, "newsletter", "email", true, "confirmed")

	v.do("ConsentService/WithdrawConsent", object{"subject": v.who, "purposes": []string{"document_tracking"}, "method": "link"})
	v.may(v.who, "document_tracking", "app", false, "withdrawn")
	judged := v.do("ConsentService/RecordObjection", object{"subject": v.who, "article": "art22", "purposes": []string{"scoring"}, "method": "email_reply"})
	v.may(v.who, "scoring", "app", false, "objected")
	v.r.clock.passes(25)
	v.same("what is due", v.watched(), map[any]any{"request_due": "1"})
	extended := v.do("EvidenceService/ExtendRequest", object{"request_id": judged["request_id"], "claims": object{"reason": "Der Fachbereich muss prüfen."}})
	v.same("irregular", extended["irregular"], any([]any{}))
	v.refused("EvidenceService/ExtendRequest", object{"request_id": judged["request_id"], "claims": object{"reason": "noch länger"}}, "failed_precondition", "due")
	v.r.clock.passes(30)
	v.same("what is due then", v.watched(), map[any]any{"retention_due": "1"})
	v.same("retention", v.retain(), map[string]any{"withdrawn lock document_tracking": "1"})
	v.same("what is due after it", v.watched(), map[any]any{})
	waiting := v.do("EvidenceService/ListRequests", object{})["requests"].([]any)[0].(object)
	v.same("extended", waiting["extended"], any(true))
	v.same("overdue", waiting["overdue"], any(false))
	done := v.do("EvidenceService/AnswerRequest", object{"request_id": judged["request_id"], "claims": object{"reason": "Von Hand geprüft: keine Bewertung mehr."}})
	v.same("irregular", done["irregular"], any([]any{}))
}

// watched gives what the status says is due: how many of what.
func (v *vtiger) watched() map[any]any {
	v.t.Helper()
	due := map[any]any{}
	for _, item := range v.do("AdminService/GetStatus", object{"refresh": true})["watch"].(object)["items"].([]any) {
		due[item.(object)["what"]] = item.(object)["count"]
	}
	return due
}

// exported: a copy of everything, for the person and for another company (Art. 15 and 20
// GDPR), with values that the lawyer does not see otherwise.
func (v *vtiger) exported() {
	for _, r := range v.records(v.who) {
		for _, i := range r["identifiers"].([]any) {
			if masked := i.(object)["masked"].(string); strings.Contains(masked, "toni") || strings.Contains(masked, "901822") {
				v.t.Errorf("the lawyer sees %s", masked)
			}
		}
	}
	request := v.do("EvidenceService/OpenRequest", object{"subject": v.who, "article": "art15"})["request_id"]
	for _, format := range []string{"json", "csv"} {
		rsp := v.do("EvidenceService/GetAccessReport", object{"subject": v.who, "format": format, "recipient": "ein anderes CRM", "idempotency_key": "copy"})
		report, err := base64.StdEncoding.DecodeString(rsp["report"].(string))
		if err != nil || format == "json" && !json.Valid(report) {
			v.t.Errorf("the report is no %s: %v", format, err)
		}
		for what, words := range map[string]string{"the address": "toni.kontakt@example.org", "the name": "Toni Kontakt", "the source": "Messe Hannover, Stand 4",
			"the wording": "Ihr dürft messen und bewerten.", "the recipient": "Versand GmbH", "the purpose": "Ob Dokumente gelesen werden"} {
			if !strings.Contains(string(report), words) {
				v.t.Errorf("the %s report lacks %s", format, what)
			}
		}
	}
	v.do("EvidenceService/AnswerRequest", object{"request_id": request, "claims": object{"reason": "Kopie übersandt"}})
	receipt := v.do("ConsentService/GetConsentReceipt", object{"consent_id": v.id})["receipt"].(string)
	if !json.Valid([]byte(receipt)) || !strings.Contains(receipt, "dpv") {
		v.t.Errorf("no receipt in words of DPV:\n%s", receipt)
	}
}

// erased: the contents are destroyed, and who had the data is told and answers (Art. 17
// and 19 GDPR). What is left says that somebody asked and was answered, not who.
func (v *vtiger) erased() {
	request := v.do("EvidenceService/OpenRequest", object{"subject": v.who, "article": "art17"})["request_id"]
	rsp := v.do("ConsentService/EraseSubject", shred(v.who))
	v.same("erased", rsp["consents_erased"], any("6"))
	v.receipt(rsp["entry"].(object), "kind subject.erased\n")
	if rsp["erasure_receipt"] == "" {
		v.t.Error("there is no receipt for the person")
	}
	v.erasure = rsp["entry"].(object)["index"]
	v.do("EvidenceService/AnswerRequest", object{"request_id": request, "claims": object{"reference": "ticket 17"}})
	v.told()
	for _, who := range []object{v.who, v.phone} {
		v.may(who, "newsletter", "email", false, "unknown_subject")
		v.same("records", len(v.records(who)), 0)
		nothing := v.do("EvidenceService/GetAccessReport", object{"subject": who, "format": "json"})
		v.same("what a copy rests on", nothing["about"].(object)["entries"], any([]any{}))
	}
	v.rekeys()
}

func (v *vtiger) told() {
	v.same("who is to be told", v.watched(), map[any]any{"recipient_untold": "1"})
	recipients := v.do("EvidenceService/ListRecipients", object{"index": v.erasure})["recipients"].([]any)
	mailer := recipients[0].(object)
	v.same("to whom data were passed", mailer["processor"], any("mailer"))
	v.same("how often", mailer["uses"], any("1"))
	told := v.do("EvidenceService/NotifyRecipient", object{"index": v.erasure, "processor": "mailer", "claims": object{"reference": "ticket 18"}, "proof": "log"})
	v.receipt(told["entry"].(object), "kind recipient.notified\n")
	v.same("who is to be told then", v.watched(), map[any]any{})
	v.r.clock.passes(31)
	v.same("who has not answered", v.watched(), map[any]any{"recipient_silent": "1"})
	v.do("EvidenceService/AcknowledgeRecipient", object{"notification_id": told["notification_id"], "claims": object{"reference": "their ticket 4"}})
	v.same("and then", v.watched(), map[any]any{})
	after := v.do("EvidenceService/ListRecipients", object{"index": v.erasure})["recipients"].([]any)[0].(object)
	v.same("told", after["notification_id"], told["notification_id"])
	if after["acknowledgement"] == nil {
		v.t.Error("the recipient's answer is missing")
	}
}
