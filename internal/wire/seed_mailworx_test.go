package wire_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSeedMailworx: an account that is switched to anonymous tracking, in which one
// person chooses otherwise, and subscribers that come along from another system.
func TestSeedMailworx(t *testing.T) {
	m := &mailworx{seed: newSeed(t)}
	m.registry()
	m.accountIsAnonymous()
	m.imported()
	m.askedAgain()
	m.personal()
	m.anonymousAgain()
	m.ends(map[string]int64{})
}

// mailworx is the adapter.
type mailworx struct {
	*seed
	max    object
	stock  mailworxImport
	manage any // the token in the footer of max's mails
}

type mailworxImport struct {
	DuplicateCriteria string
	Subscribers       []mailworxSubscriber
}

type mailworxSubscriber struct {
	Optin      bool
	Mailformat int
	Language   string
	Status     int
	Fields     []struct{ InternalName, UntypedValue string }
}

func (s *mailworxSubscriber) field(name string) string {
	for _, f := range s.Fields {
		if f.InternalName == name {
			return f.UntypedValue
		}
	}
	return ""
}

// mailworxTracking is what it measures of a mail.
var mailworxTracking = []string{"email.open_tracking", "email.click_tracking"}

// registry: the newsletter demands better evidence than a mere status. The mailer is
// engaged as a processor, with the agreement's hash.
func (m *mailworx) registry() {
	m.define([]object{
		{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true, "minimum_grade": "C"},
		{"id": "email.open_tracking", "title": "Öffnungen"},
		{"id": "email.click_tracking", "title": "Klicks"},
	}, []object{
		{"id": "newsletter-de", "language": "de", "text": "Ja, ich möchte den Newsletter.", "purposes": []string{"newsletter"}, "checkbox_default": "unticked",
			"facts": object{"companies": []string{"Beispiel GmbH"}, "recipients": []string{"mailworx, Österreich"}, "third_countries": []string{"none"}}},
		{"id": "tracking-de", "language": "de", "text": "Ja, passt den Newsletter an das an, was ich lese.", "purposes": mailworxTracking},
	})
	engaged := m.do("AdminService/EngageProcessor", object{"id": "mailworx", "title": "mailworx", "country": "AT", "purposes": []string{"newsletter"},
		"agreement": object{"file_name": "avv.pdf", "media_type": "application/pdf", "bytes": []byte("%PDF-1.4 (AVV)")}, "proof": "log"})
	m.receipt(engaged["entry"].(object), "kind processor.engaged\n")
	m.same("where it is", engaged["processor"].(object)["country"], any("AT"))
}

// accountIsAnonymous switches the account: the purposes' default, which counts for
// everybody who has not chosen, also for those who are not known yet.
func (m *mailworx) accountIsAnonymous() {
	stranger := object{"email": "nobody@example.org"}
	for _, purpose := range mailworxTracking {
		m.tracked(stranger, purpose, "email", "none")
		m.do("AdminService/DefinePurpose", object{"id": purpose, "title": purpose, "tracking_mode": "anonymous"})
		m.tracked(stranger, purpose, "email", "anonymous")
	}
}

// onImport is what the adapter makes of an ImportSubscribers: a status, grade D. Optin
// false is no consent and nothing to import.
func (m *mailworx) onImport(call mailworxImport) (items []object) {
	for i, s := range call.Subscribers {
		if !s.Optin {
			continue
		}
		raw, err := json.Marshal(s)
		if err != nil {
			m.t.Fatal(err)
		}
		items = append(items, object{"subject": object{"email": s.field(call.DuplicateCriteria)}, "purpose": "newsletter", "channel": "email",
			"method": "import", "grade": "D", "occurred_at": "2024-05-17T09:30:00Z", "claims": object{"language": strings.ToLower(s.Language)},
			"attachments":     []object{{"name": "reference", "file_name": "subscriber.json", "media_type": "application/json", "bytes": raw}},
			"idempotency_key": fmt.Sprint("mailworx/import/", i)})
	}
	return items
}

// imported: once, however often it is sent. A mere status does not carry the newsletter.
func (m *mailworx) imported() {
	m.stock = payload[mailworxImport](m.t, "mailworx_import.json")
	address := m.stock.Subscribers[0].field("email")
	m.max = object{"email": address}
	m.knows(address, "eva@example.org")
	m.stock.Subscribers = append(m.stock.Subscribers, m.stock.Subscribers[0])
	m.stock.Subscribers[1].Optin = false
	m.stock.Subscribers[1].Fields = []struct{ InternalName, UntypedValue string }{{"email", "eva@example.org"}}
	results := m.do("ConsentService/BatchImportConsents", object{"items": m.onImport(m.stock)})["results"].([]any)
	m.same("results", len(results), 1)
	consent := results[0].(object)["consent"].(object)
	m.same("state", consent["state"], any("imported"))
	m.same("grade", consent["grade"], any("D"))
	m.may(m.max, "newsletter", "email", false, "grade_too_low")
	m.may(object{"email": "eva@example.org"}, "newsletter", "email", false, "unknown_subject")
	m.r.clock.passes(3) // until retries are forgotten
	again := m.do("ConsentService/BatchImportConsents", object{"items": m.onImport(m.stock)})["results"].([]any)
	m.same("imported again", again[0].(object)["skipped"], any("exists"))
}

// askedAgain: the person confirms by a double opt-in of their own, and the mailing names
// the processor that had their address.
func (m *mailworx) askedAgain() {
	asked := m.do("ConsentService/RequestConsent", question(m.max, "email", "link"))
	done := m.do("ConsentService/ConfirmConsent", object{"token": asked["token"], "click": "button", "occurred_at": stamp(m.r.clock.now())})
	m.manage = asked["manage_token"]
	m.same("grade", m.one(done)["grade"], any("C"))
	m.may(m.max, "newsletter", "email", true, "confirmed")
	used := m.do("ConsentService/RecordUses", object{"reference": "KW 48", "consent_ids": []any{m.one(done)["consent_id"]}, "processor": "mailworx", "proof": "log"})
	m.same("irregular", used["irregular"], any([]any{}))
	m.receipt(used["entries"].([]any)[0].(object), "processor mailworx\n")
}

// personal: one person wants a newsletter that fits what they read. Nobody else is
// measured any closer for it.
func (m *mailworx) personal() {
	set := object{"subject": m.max, "purpose": "email.open_tracking", "mode": "personal", "method": "preference_centre"}
	m.refused("ConsentService/SetTrackingMode", set, "failed_precondition", "no_consent")
	m.do("ConsentService/GiveConsent", object{"subject": m.max, "purposes": mailworxTracking, "channel": "email", "notice": "tracking-de@1",
		"method": "preference_centre"})
	for _, purpose := range mailworxTracking {
		m.tracked(m.max, purpose, "email", "anonymous") // still the account's
		set["purpose"] = purpose
		m.do("ConsentService/SetTrackingMode", set)
		m.tracked(m.max, purpose, "email", "personal")
		m.may(m.max, purpose, "email", true, "given")
		m.tracked(object{"email": "eva@example.org"}, purpose, "email", "anonymous")
	}
	m.same("measure no closer than this", m.may(m.max, "newsletter", "email", true, "confirmed")["tracking_mode"], any("personal"))
}

// anonymousAgain: from the footer of a mail, at any time. The newsletter goes on.
func (m *mailworx) anonymousAgain() {
	m.r.clock.passes(30)
	m.do("ConsentService/SetTrackingMode", object{"manage_token": m.manage, "purpose": "email.open_tracking", "mode": "anonymous", "method": "link",
		"occurred_at": stamp(m.r.clock.now().Add(-time.Minute))})
	m.tracked(m.max, "email.open_tracking", "email", "anonymous")
	m.tracked(m.max, "email.click_tracking", "email", "personal")
	m.same("measure no closer than this", m.may(m.max, "newsletter", "email", true, "confirmed")["tracking_mode"], any("anonymous"))
	m.may(m.max, "email.open_tracking", "email", false, "refused")

	m.do("ConsentService/WithdrawConsent", object{"manage_token": m.manage, "purposes": []string{"newsletter"}, "method": "link"})
	m.r.clock.passes(3)
	again := m.do("ConsentService/BatchImportConsents", object{"items": m.onImport(m.stock)})["results"].([]any)
	m.same("an import brings no withdrawn consent back", again[0].(object)["skipped"], any("exists"))
	m.may(m.max, "newsletter", "email", false, "withdrawn")
}
