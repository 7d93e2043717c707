package wire_test

// badGivings: consent that no link confirms, and what is none.
var badGivings = map[string]badInput{
	app + "GiveConsent": {
		good: func(*world) object { return given("paper") },
		rows: func(w *world) []row {
			return join(badSubject(""), badPurposes(true), badChannel(), badNotice(true), badPersonal(), badDemands(), badClaims(),
				badAttachments(), badTime(true), badWrite(), badKey(), []row{
					bad("a purpose that the notice does not cover", "failed_precondition", "notice_coverage", set("purposes", []string{"invoice"})),
					bad("a suppressed address", "failed_precondition", "suppressed", set("subject", w.suppressed)),
				})
		},
	},
	app + "RefuseConsent": {
		good: func(*world) object { return given("web_form") },
		rows: func(*world) []row {
			return join(badSubject(""), badPurposes(true), badChannel(), badNotice(false), badMethod(true), badClaims(), badTime(true), badWrite(),
				badKey(), []row{
					bad("a purpose that the notice does not cover", "failed_precondition", "notice_coverage", set("purposes", []string{"invoice"})),
				})
		},
	},
	app + "RenewConsent": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.renewable.id}, "notice": "newsletter-de@1", "method": "link", "claims": object{"name": canary}}
		},
		rows: func(w *world) []row {
			return join(badIDs(1000), badNotice(false), badPersonal(), badClaims(), badAttachments(), badTime(true), badWrite(), badKey(), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("two people", "invalid_argument", "consent_ids[1]", set("consent_ids", []string{w.renewable.id, w.confirmed.id})),
				bad("what was withdrawn", "failed_precondition", "transition", set("consent_ids", []string{w.withdrawn.id})),
				bad("what was never confirmed", "failed_precondition", "transition", set("consent_ids", []string{w.open.id})),
				bad("a notice that does not cover it", "failed_precondition", "notice_coverage", set("notice", "more-de@1")),
				bad("much under many keys", "invalid_argument", "claims", manyClaims(w)...),
			})
		},
	},
	app + "ImportConsents": {
		good: func(*world) object { return imported(".stream") },
		rows: func(*world) []row {
			return join(badSubject(""), badChannel(), badNotice(false), badMethod(true), badClaims(), badAttachments(), badTime(true), badWrite(),
				badKey(), []row{
					bad("no purpose", "invalid_argument", "purpose", drop("purpose")),
					bad("an unknown purpose", "invalid_argument", "purpose", set("purpose", canary)),
					bad("the reserved purpose", "invalid_argument", "purpose", set("purpose", "all-marketing")),
					bad("a grade of what the ledger has seen", "invalid_argument", "grade", set("grade", "A")),
					bad("no grade", "invalid_argument", "grade", set("grade", canary)),
					bad("grade C without anything of the click", "invalid_argument", "grade", set("grade", "C"), drop("claims")),
					bad("unknown age", "invalid_argument", "age", set("age", canary)),
					bad("no time", "invalid_argument", "occurred_at", drop("occurred_at")),
					bad("a purpose that the notice does not cover", "failed_precondition", "notice_coverage", set("purpose", "invoice")),
					bad("not explicitly", "failed_precondition", "explicit", set("purpose", "health"), drop("notice")),
					bad("of no age", "failed_precondition", "age", set("purpose", "kids"), drop("notice")),
				})
		},
	},
	app + "BatchImportConsents": {
		good: func(*world) object { return object{"items": []object{imported(".batch")}} },
		rows: func(*world) []row {
			return []row{
				bad("no items", "invalid_argument", "items", drop("items")),
				bad("an empty list", "invalid_argument", "items", set("items", []object{})),
				bad("1001 items", "invalid_argument", "items", set("items", make([]struct{}, 1001))),
				bad("null for an item", "invalid_argument", "items[0]", set("items", []any{nil})),
			}
		},
	},
}

// given is consent, or the refusal of it, by somebody new.
func given(method string) object {
	return object{"subject": object{"email": canary + "." + method + "@example.org"}, "purposes": []string{"newsletter"}, "channel": "email",
		"notice": "newsletter-de@1", "method": method, "claims": object{"name": canary}}
}

// imported is an item of old stock.
func imported(who string) object {
	return object{"subject": object{"email": canary + who + "@example.org"}, "purpose": "newsletter", "channel": "email",
		"notice": "newsletter-de@1", "method": "import", "grade": "D", "claims": object{"reference": canary}, "occurred_at": "2020-02-29T12:00:00Z"}
}
