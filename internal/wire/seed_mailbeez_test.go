package wire_test

import (
	"slices"
	"testing"
	"time"
)

// TestSeedMailBeez: a shop with several kinds of mail, each of which a customer can turn
// off by itself; existing customers who are written to without having asked, until they
// object; and a request for a rating, which needs a consent of its own.
func TestSeedMailBeez(t *testing.T) {
	m := &mailbeez{seed: newSeed(t)}
	m.registry()
	m.optedOut()
	m.existingCustomer()
	m.rating()
	m.paid()
	m.everythingOfACustomer()
	m.ends(map[string]int64{"consent.used.withdrawn": 1})
}

// mailbeez is the shop with its module.
type mailbeez struct {
	*seed
}

// registry: every kind of mail is a purpose below the shop's mails. What carries out an
// order is none of them.
func (m *mailbeez) registry() {
	purposes := []object{
		{"id": "shop-mails", "title": "Werbliche Mails des Shops", "marketing": true},
		{"id": "birthday", "title": "Geburtstag", "marketing": true, "parent": "shop-mails"},
		{"id": "win-back", "title": "Lange nicht gesehen", "marketing": true, "parent": "shop-mails"},
		{"id": "cart", "title": "Der Warenkorb wartet", "marketing": true, "parent": "shop-mails", "bases": []string{"consent", "existing_customer"}},
		{"id": "similar", "title": "Ähnliche Waren", "marketing": true, "parent": "shop-mails", "bases": []string{"consent", "existing_customer"}},
		{"id": "review_request", "title": "Bitte um eine Bewertung", "marketing": true, "parent": "shop-mails"},
		{"id": "recommendation", "title": "Empfehlungen aus Käufen anderer", "marketing": true, "parent": "shop-mails"},
		{"id": "order", "title": "Bestellung und Versand", "bases": []string{"contract"}},
	}
	m.define(purposes, []object{
		{"id": "kinds-de", "language": "de", "text": "Ja, schreibt mir zum Geburtstag, wenn ich lange nicht da war und mit Empfehlungen.", "checkbox_default": "unticked",
			"purposes": []string{"birthday", "win-back", "recommendation"}, "facts": object{"companies": []string{"Beispiel GmbH"}}},
		{"id": "review-de", "language": "de", "text": "Ja, fragt mich nach dem Kauf, wie zufrieden ich bin.", "checkbox_default": "unticked",
			"purposes": []string{"review_request"}, "facts": object{"companies": []string{"Beispiel GmbH"}}},
		{"id": "sale-de", "language": "de", "text": "Wir schreiben Ihnen zu ähnlichen Waren. Sie können jederzeit widersprechen.", "use": "privacy",
			"purposes": []string{"similar", "cart", "order"}},
	})
}

// optedOut: the link below a birthday mail ends birthday mails, the link for all ends
// every kind, and what carries out an order goes on.
func (m *mailbeez) optedOut() {
	grete := object{"email": "grete.kundin@example.org"}
	m.knows("grete.kundin@example.org")
	given := m.do("ConsentService/GiveConsent", object{"subject": grete, "purposes": []string{"birthday", "win-back", "recommendation"}, "channel": "email",
		"notice": "kinds-de@1", "method": "preference_centre"})
	order := m.do("ConsentService/AssertBasis", object{"subject": grete, "purpose": "order", "channel": "email", "basis": "contract",
		"claims": object{"reference": "order 1001"}})
	m.same("the order's record", order["consent"].(object)["state"], any("asserted"))
	link := given["manage_token"]

	m.do("ConsentService/WithdrawConsent", object{"manage_token": link, "purposes": []string{"birthday"}, "method": "link"})
	m.may(grete, "birthday", "email", false, "withdrawn")
	m.may(grete, "win-back", "email", true, "given")
	m.may(grete, "recommendation", "email", true, "given")
	used := m.do("ConsentService/RecordUses", object{"reference": "birthdays of may", "consent_ids": []any{given["consents"].([]any)[0].(object)["consent_id"]}})
	m.same("a birthday mail all the same", used["irregular"].([]any)[0].(object)["name"], any("consent.used.withdrawn"))

	m.do("ConsentService/WithdrawConsent", object{"manage_token": link, "purposes": []string{"shop-mails"}, "method": "link"})
	for _, kind := range []string{"birthday", "win-back", "recommendation"} {
		m.may(grete, kind, "email", false, "withdrawn")
	}
	m.may(grete, "order", "email", true, "contract")

	m.do("ConsentService/GiveConsent", object{"subject": grete, "purposes": []string{"win-back"}, "channel": "email", "notice": "kinds-de@1",
		"method": "preference_centre"})
	m.may(grete, "win-back", "email", true, "given")
	m.may(grete, "recommendation", "email", false, "withdrawn")
}

// existingCustomer: § 7(3) UWG with its four conditions, which carries similar goods by
// e-mail and nothing else, until the customer objects.
func (m *mailbeez) existingCustomer() {
	karl := object{"email": "karl.kaeufer@example.org"}
	m.knows("karl.kaeufer@example.org", "order 1002 of Karl")
	conditions := []string{"address_from_sale", "own_similar_goods", "no_objection", "notice_each_use"}
	sold := object{"subject": karl, "purpose": "similar", "channel": "email", "basis": "existing_customer", "conditions": conditions[:3],
		"notice": "sale-de@1", "claims": object{"reference": "order 1002 of Karl"}, "occurred_at": ago(24 * time.Hour)}
	m.refused("ConsentService/AssertBasis", sold, "failed_precondition", "conditions")
	sold["conditions"] = conditions
	m.do("ConsentService/AssertBasis", sold)
	m.same("basis", m.may(karl, "similar", "email", true, "existing_customer")["basis"], any("existing_customer"))
	m.may(karl, "cart", "email", false, "no_consent")
	m.may(karl, "similar", "phone", false, "no_consent")
	sold["channel"] = "phone"
	m.refused("ConsentService/AssertBasis", sold, "failed_precondition", "basis_channel")
	sold["channel"] = "email"

	sold["purpose"] = "cart"
	m.do("ConsentService/AssertBasis", sold)
	m.do("ConsentService/RecordObjection", object{"subject": karl, "article": "art21_2", "purposes": []string{"similar"}, "method": "link"})
	m.may(karl, "similar", "email", false, "objected")
	m.may(karl, "cart", "email", true, "existing_customer")
	m.do("ConsentService/RecordObjection", object{"subject": karl, "article": "art21_2", "purposes": []string{"shop-mails"}, "method": "email_reply"})
	m.may(karl, "cart", "email", false, "objected")
	for _, purpose := range []string{"similar", "cart"} {
		sold["purpose"] = purpose
		m.refused("ConsentService/AssertBasis", sold, "failed_precondition", "objected")
	}
}

// rating: that somebody bought something is no leave to ask how they liked it (BGH VI ZR
// 225/17).
func (m *mailbeez) rating() {
	rita := object{"email": "rita.richter@example.org"}
	m.knows("rita.richter@example.org")
	sold := object{"subject": rita, "purpose": "similar", "channel": "email", "basis": "existing_customer", "notice": "sale-de@1",
		"conditions": []string{"address_from_sale", "own_similar_goods", "no_objection", "notice_each_use"}}
	m.do("ConsentService/AssertBasis", sold)
	m.may(rita, "similar", "email", true, "existing_customer")
	m.may(rita, "review_request", "email", false, "no_consent")
	delete(sold, "notice")
	sold["purpose"] = "review_request"
	m.refused("ConsentService/AssertBasis", sold, "failed_precondition", "basis")

	asked := m.do("ConsentService/GiveConsent", object{"subject": rita, "purposes": []string{"review_request"}, "channel": "email",
		"notice": "review-de@1", "method": "web_form", "claims": object{"checkbox_state": "ticked", "reference": "order 1003"}})
	m.may(rita, "review_request", "email", true, "given")
	m.may(rita, "birthday", "email", false, "no_consent")
	used := m.do("ConsentService/RecordUses", object{"reference": "ratings of may", "consent_ids": []any{m.one(asked)["consent_id"]}})
	m.same("irregular", used["irregular"], any([]any{}))
	m.do("ConsentService/WithdrawConsent", object{"consent_ids": []any{m.one(asked)["consent_id"]}, "method": "link"})
	m.may(rita, "review_request", "email", false, "withdrawn")
	m.may(rita, "similar", "email", true, "existing_customer")
}

// paid: the payment partner is handed address and order beforehand, for the contract
// alone, and it stands there to whom.
func (m *mailbeez) paid() {
	m.do("AdminService/EngageProcessor", object{"id": "payment", "title": "Zahlung KG", "country": "DE", "purposes": []string{"order"},
		"agreement": object{"media_type": "application/pdf", "bytes": []byte("%PDF-1.4 (AVV)")}})
	list := m.do("ConsentService/ListConsents", object{"subject": object{"email": "grete.kundin@example.org"}})["consents"].([]any)
	order := slices.IndexFunc(list, func(c any) bool { return c.(object)["purpose"] == "order" })
	used := m.do("ConsentService/RecordUses", object{"reference": "Vorbefüllung", "consent_ids": []any{list[order].(object)["consent_id"]},
		"processor": "payment", "proof": "log"})
	m.same("irregular", used["irregular"], any([]any{}))
	use := used["entries"].([]any)[0].(object)
	m.receipt(use, "processor payment\n")
	recipients := m.do("EvidenceService/ListRecipients", object{"index": use["index"]})["recipients"].([]any)
	m.same("to whom", recipients[0].(object)["processor"], any("payment"))
}

// everythingOfACustomer: what the shop's export is asked for is found under the
// customer's number, too, by mail type and ground.
func (m *mailbeez) everythingOfACustomer() {
	grete, number := object{"email": "grete.kundin@example.org"}, object{"external_id": "customer-1001"}
	m.do("ConsentService/LinkSubject", object{"subject": grete, "add": number})
	held := map[any]any{}
	for _, r := range m.records(number) {
		c := r["consent"].(object)
		held[c["purpose"]] = c["state"] // the newest
	}
	m.same("what is held", held, map[any]any{"birthday": "withdrawn", "win-back": "given", "recommendation": "withdrawn", "order": "asserted"})
}
