package wire_test

import (
	"crypto/sha256"
	"fmt"
)

// deliver is what becomes of a confirmation mail before the click.
func (g *garden) deliver(o opened, claims []string) {
	failed, opened, resend := "ConsentService/RecordConfirmationFailed", "ConsentService/RecordConfirmationOpened", "ConsentService/ResendConfirmation"
	g.grow(failed, object{"consent_ids": []string{o.id}, "failure": "temporary", "mta_response": "450 " + g.plant("address", failed+" mta_response").text,
		"claims": g.claims(failed, claims), "idempotency_key": g.key(failed), "proof": "log"})
	g.grow(resend, object{"consent_ids": []string{o.id}, "idempotency_key": g.key(resend), "proof": "log"})
	for _, req := range []object{{"consent_ids": []string{o.id}}, {"token": o.token}} {
		req["claims"], req["idempotency_key"], req["signals"], req["proof"] = g.claims(opened, claims), g.key(opened), []string{"honeypot"}, "log"
		g.grow(opened, req)
	}
}

// attach hands over, after the click, a mail with a token that the caller drew.
func (g *garden) attach(who object, channel string) {
	method, token := "ConsentService/AttachMessage", newToken()
	lock := sha256.Sum256([]byte(token))
	asked := g.do("ConsentService/RequestConsent", object{"subject": who, "purposes": []string{"canaries"}, "channel": channel,
		"notice": "canaries-de@1", "method": "web_form", "lock": lock[:]})
	ids := []string{asked["consents"].([]any)[0].(object)["consent_id"].(string)}
	mail := []byte("To: " + g.plant("address", method+" message").text + "\r\n\r\n" + token)
	sum := sha256.Sum256(mail)
	g.grow("ConsentService/RecordConfirmationSent", object{"consent_ids": ids, "message_sha256": sum[:], "media_type": "text/plain"})
	attach := object{"consent_ids": ids, "message": mail, "idempotency_key": g.key(method), "proof": "log"}
	g.refused(method, object{"consent_ids": ids, "message": mail}, "failed_precondition", "message")
	g.click(opened{token: token})
	g.grow(method, attach)
}

// give gives, refuses and renews without a link.
func (g *garden) give(who object, claims []string) {
	give, refuse, renew := "ConsentService/GiveConsent", "ConsentService/RefuseConsent", "ConsentService/RenewConsent"
	req := object{"subject": who, "purposes": []string{"canaries"}, "channel": "post", "notice": "canaries-de@1", "method": "paper",
		"claims": g.claims(give, claims), "idempotency_key": g.key(give), "age": "old_enough", "explicit": true, "proof": "log"}
	g.attachFiles(give, req, "document", "recording")
	given := g.grow(give, req)["consents"].([]any)[0].(object)
	g.grow(give, req)

	req = object{"subject": who, "purposes": []string{"canaries"}, "channel": "push", "method": "web_form", "claims": g.claims(refuse, claims),
		"idempotency_key": g.key(refuse), "proof": "log"}
	g.grow(refuse, req)
	g.grow(refuse, req)

	req = object{"consent_ids": []any{given["consent_id"]}, "method": "in_person", "claims": g.claims(renew, claims),
		"idempotency_key": g.key(renew), "proof": "log"}
	g.attachFiles(renew, req, "document", "reference")
	g.grow(renew, req)
	g.grow(renew, req)
}

// takeOver imports somebody's consents from another system, by the batch and the stream.
func (g *garden) takeOver(who object, claims []string) {
	batch, stream := "ConsentService/BatchImportConsents", "ConsentService/ImportConsents"
	item := func(method, channel string) object {
		req := object{"subject": who, "purpose": "canaries", "channel": channel, "method": "import", "grade": "C", "claims": g.claims(method, claims),
			"occurred_at": "2020-02-29T12:00:00Z", "idempotency_key": g.key(method), "proof": "log"}
		g.attachFiles(method, req, "form_snapshot", "document")
		return req
	}
	req := object{"items": []object{item(batch, "fax")}}
	for range 2 {
		result := g.grow(batch, req)["results"].([]any)[0].(object)
		if result["error"] != "" || result["skipped"] != "" {
			g.t.Errorf("%s: %v", batch, result)
		}
	}
	req = item(stream, "messenger")
	if result := g.grow(stream, req); result["skipped"] != "" {
		g.t.Errorf("%s: %v", stream, result)
	}
	g.grow(stream, req)
	g.grow("ConsentService/CheckConsents", object{"subject": who, "purpose": "canaries", "channel": "fax", "at": "2026-01-01T00:00:00Z"})
}

// ground says that something rests on a contract.
func (g *garden) ground(who object, claims []string) {
	method := "ConsentService/AssertBasis"
	req := object{"subject": who, "purpose": "canaries-contract", "channel": "post", "basis": "contract", "claims": g.claims(method, claims),
		"idempotency_key": g.key(method), "proof": "log"}
	g.attachFiles(method, req, "document", "reference")
	g.grow(method, req)
	g.grow(method, req)
}

// track chooses how far somebody is tracked.
func (g *garden) track(i int, who object, o opened, claims []string) {
	method := "ConsentService/SetTrackingMode"
	req := object{"subject": who, "purpose": "email.open_tracking", "mode": "none", "method": "preference_centre",
		"claims": g.claims(method, claims), "idempotency_key": g.key(method), "proof": "log"}
	g.grow(method, req)
	if i == 0 {
		delete(req, "subject")
		req["manage_token"], req["idempotency_key"] = o.manage, g.key(method)
		g.grow(method, req)
	}
}

// object objects, to marketing and to an interest.
func (g *garden) object(who object, claims []string) {
	method := "ConsentService/RecordObjection"
	stranger := object{"email": g.plant("address", method+" subject.email of a stranger").text}
	for _, who := range []object{who, stranger} {
		g.grow(method, object{"subject": who, "article": "art21_2", "claims": g.claims(method, claims), "idempotency_key": g.key(method), "proof": "log"})
		g.grow(method, object{"subject": who, "article": "art21_1", "purposes": []string{"canaries-contract"}, "claims": g.claims(method, claims)})
	}
}

// end ends consents on the operator's side.
func (g *garden) end(claims []string) {
	for _, method := range []string{"AdminService/RevokeConsents", "EvidenceService/InvalidateConsents"} {
		who := object{"email": g.plant("address", method+" of whom").text}
		o := g.request(who, "email", claims)
		g.persons = append(g.persons, who)
		g.grow(method, object{"consent_ids": []string{o.id}, "cause": "other", "claims": g.claims(method, claims), "idempotency_key": g.key(method), "proof": "log"})
	}
}

// disclose shows personal values to the legal role, which is what it is for.
func (g *garden) disclose(o opened) {
	method := "EvidenceService/DiscloseClaims"
	g.grow("EvidenceService/GetConsentHistory", object{"consent_id": o.id})
	req := object{"consent_id": o.id, "claims": []string{"name", "user_agent", "form_snapshot"}, "reason": g.plant("name", method+" reason").text,
		"recipient": g.plant("address", method+" recipient").text, "idempotency_key": g.key(method), "proof": "log"}
	g.grow(method, req)
	if rsp := g.grow(method, req); len(rsp["disclosures"].([]any)) < 4 {
		g.t.Errorf("%s: %v", method, fmt.Sprint(rsp))
	}
}
