package wire_test

// rectify gives a person an identifier of another kind, and corrects that.
func (g *garden) rectify(i int, who object, claims []string) {
	another := func(method string) object {
		name, kind := []string{"phone", "external_id", "email"}[i], []string{"number", "customer", "address"}[i]
		return object{name: g.plant(kind, method+" add."+name).text}
	}
	link, rectify := "ConsentService/LinkSubject", "EvidenceService/RectifySubject"
	misspelt, right := another(link), another(rectify)
	g.grow(link, object{"subject": who, "add": misspelt, "claims": g.claims(link, claims), "idempotency_key": g.key(link), "proof": "log"})
	g.grow(rectify, object{"subject": who, "remove": misspelt, "add": right, "claims": g.claims(rectify, claims),
		"idempotency_key": g.key(rectify), "proof": "log"})
	g.refused(link, object{"subject": who, "add": right}, "failed_precondition", "identifier_taken")
}

// hold keeps an erasure from being carried out for a while.
func (g *garden) hold(who object, o opened, claims []string) {
	set, lift := "EvidenceService/SetHold", "EvidenceService/LiftHold"
	for _, req := range []object{{"subject": who}, {"consent_ids": []string{o.id}}} {
		req["claims"], req["idempotency_key"], req["proof"] = g.claims(set, claims), g.key(set), "log"
		hold := g.grow(set, req)["hold_id"]
		g.refused("ConsentService/EraseSubject", object{"subject": who, "reason": "art17", "mode": "shred_now"}, "failed_precondition", "held")
		g.grow("EvidenceService/ListConsents", object{"subject": who})
		g.grow(lift, object{"hold_id": hold, "claims": g.claims(lift, claims), "idempotency_key": g.key(lift), "proof": "log"})
	}
}

// suppress puts a person on the suppression list for a while.
func (g *garden) suppress(who object) {
	for _, method := range []string{"AdminService/AddSuppression", "AdminService/RemoveSuppression"} {
		g.grow(method, object{"subject": who, "purpose": "canaries", "idempotency_key": g.key(method), "proof": "log"})
		g.grow("ConsentService/CheckConsent", object{"subject": who, "purpose": "canaries", "channel": "email"})
	}
}

// lockAway forgets persons who are kept for legal claims, or on the suppression
// list, until the end.
func (g *garden) lockAway(claims []string) {
	method := "ConsentService/EraseSubject"
	for _, mode := range []string{"lock_then_shred", "shred_now"} {
		who := object{"email": g.plant("address", method+" subject.email, "+mode).text}
		g.click(g.request(who, "email", claims))
		also := object{"phone": g.plant("number", "LinkSubject add.phone, "+mode).text}
		g.grow("ConsentService/LinkSubject", object{"subject": who, "add": also})
		g.grow(method, object{"subject": who, "reason": "objection", "mode": mode, "keep_suppression": true, "idempotency_key": g.key(method)})
		for _, who := range []object{who, also} {
			g.grow("ConsentService/CheckConsent", object{"subject": who, "purpose": "canaries", "channel": "email"})
			g.grow("EvidenceService/ListConsents", object{"subject": who})
		}
	}
}
