package wire_test

import "time"

// engage engages a processor, ends it, and declares a further claim. Their ids are
// public by design; their titles, addresses and agreements are shown to administrators
// again.
func (g *garden) engage() {
	engage, end, declare := "AdminService/EngageProcessor", "AdminService/EndProcessor", "AdminService/DeclareClaim"
	address, reference := g.plant("address", engage+" claims.address"), g.plant("customer", engage+" claims.reference")
	address.shown, reference.shown = true, true // a company's
	req := object{"id": "canary-mailer", "title": g.title(engage), "country": "DE", "purposes": []string{"canaries"}, "agreement": g.document(engage, "agreement"),
		"claims": map[string]string{"address": address.text, "reference": reference.text}, "idempotency_key": g.key(engage), "proof": "log"}
	engaged := g.grow(engage, req)["processor"].(object)
	g.grow(engage, req)
	g.grow("AdminService/GetDocument", object{"index": engaged["index"]})
	g.do("AdminService/ListProcessors", object{})
	g.do("AdminService/EngageProcessor", object{"id": "canary-former", "title": "Former", "country": "DE", "agreement": agreement()})
	why := map[string]string{"reason": g.plant("name", end+" claims.reason").text, "reference": g.plant("customer", end+" claims.reference").text}
	g.grow(end, object{"id": "canary-former", "claims": why, "idempotency_key": g.key(end), "proof": "log"})
	g.grow(declare, object{"id": "x.canary", "title": g.title(declare), "idempotency_key": g.key(declare), "proof": "log"})
	g.do("AdminService/ListClaims", object{})
	rotate := "AdminService/RotateKey"
	g.grow(rotate, object{"idempotency_key": g.key(rotate), "proof": "log"})
}

func (g *garden) title(method string) string {
	p := g.plant("name", method+" title")
	p.shown = true
	return p.text
}

// document is one that administrators are shown again.
func (g *garden) document(method, field string) object {
	name, kind, content := g.plant("name", method+" "+field+".file_name"), g.plant("dialled", method+" "+field+".media_type"), g.plant("address", method+" "+field+".bytes")
	name.shown, kind.shown, content.shown = true, true, true
	return object{"file_name": name.text + ".pdf", "media_type": "application/" + kind.text, "bytes": []byte("%PDF " + content.text)}
}

// care lets a guardian speak, and a browser.
func (g *garden) care(who object, o opened, claims []string) {
	guardian, signal := "ConsentService/AuthoriseGuardian", "ConsentService/RecordSignal"
	req := object{"consent_ids": []string{o.id}, "method": "paper", "claims": g.claims(guardian, claims), "idempotency_key": g.key(guardian), "proof": "log"}
	g.attachFiles(guardian, req, "document", "recording")
	g.grow(guardian, req)
	g.grow(guardian, req)
	g.grow(signal, object{"subject": who, "signal": "gpc", "value": "1", "claims": g.claims(signal, claims), "idempotency_key": g.key(signal), "proof": "log"})
}

// effect tells where a withdrawal took effect.
func (g *garden) effect(o opened, claims []string) {
	method := "ConsentService/RecordWithdrawalEffected"
	g.grow(method, object{"consent_ids": []string{o.id}, "system": "canary-mailer", "at": stamp(time.Now().UTC()), "claims": g.claims(method, claims),
		"idempotency_key": g.key(method), "proof": "log"})
	g.grow("ConsentService/GetConsentReceipt", object{"consent_id": o.id})
}
