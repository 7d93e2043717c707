package wire_test

// badBases: other grounds, objections and choices of tracking.
var badBases = map[string]badInput{
	app + "AssertBasis": {
		good: func(*world) object {
			return object{"subject": object{"email": canary + ".customer@example.org"}, "purpose": "offers", "channel": "email", "basis": "existing_customer",
				"conditions": []string{"no_objection", "address_from_sale", "notice_each_use", "own_similar_goods"}, "claims": object{"reference": canary}}
		},
		rows: func(w *world) []row {
			return join(badSubject(""), badChannel(), badVersion("notice"), badClaims(), badAttachments(), badTime(true), badWrite(), badKey(), []row{
				bad("no purpose", "invalid_argument", "purpose", drop("purpose")),
				bad("an unknown purpose", "invalid_argument", "purpose", set("purpose", canary)),
				bad("the reserved purpose", "invalid_argument", "purpose", set("purpose", "all-marketing")),
				bad("no ground", "invalid_argument", "basis", drop("basis")),
				bad("an unknown ground", "invalid_argument", "basis", set("basis", canary)),
				bad("consent", "invalid_argument", "basis", set("basis", "consent")),
				bad("an unknown condition", "invalid_argument", "conditions[1]", set("conditions", []string{"no_objection", canary})),
				bad("a condition twice", "invalid_argument", "conditions[1]", set("conditions", []string{"no_objection", "no_objection"})),
				bad("three of four", "failed_precondition", "conditions", set("conditions", []string{"no_objection", "address_from_sale", "notice_each_use"})),
				bad("none of four", "failed_precondition", "conditions", drop("conditions")),
				bad("conditions of another ground", "invalid_argument", "conditions", set("basis", "legitimate_interest"), set("channel", "post")),
				bad("a ground that the purpose does not allow", "failed_precondition", "basis", set("purpose", "newsletter")),
				bad("existing customers by telephone", "failed_precondition", "basis_channel", set("channel", "phone")),
				bad("existing customers by fax", "failed_precondition", "basis_channel", set("channel", "fax")),
				bad("interest that nobody weighed", "failed_precondition", "balancing", set("basis", "legitimate_interest"), set("channel", "post"), drop("conditions")),
				bad("interest in marketing by mail", "failed_precondition", "basis_channel", set("basis", "legitimate_interest"), drop("conditions")),
				bad("a notice that does not cover it", "failed_precondition", "notice_coverage", set("notice", "newsletter-de@1")),
				bad("a suppressed address", "failed_precondition", "suppressed", set("subject", w.suppressed)),
				bad("who objected", "failed_precondition", "objected", set("subject", w.objector)),
			})
		},
	},
	app + "RecordObjection": {
		good: func(*world) object {
			return object{"subject": object{"email": canary + ".objector@example.org"}, "article": "art21_2", "purposes": []string{"newsletter"},
				"channel": "email", "method": "email_reply", "claims": object{"reason": canary}}
		},
		rows: func(*world) []row {
			return join(badSubject(""), badPurposes(false), badMethod(false), badClaims(), badTime(false), badWrite(), badKey(), []row{
				bad("no article", "invalid_argument", "article", drop("article")),
				bad("another article", "invalid_argument", "article", set("article", "art21_3")),
				bad("an unknown article", "invalid_argument", "article", set("article", canary)),
				bad("unknown channel", "invalid_argument", "channel", set("channel", canary)),
				bad("the objections' channel", "invalid_argument", "channel", set("channel", "any")),
				bad("what is no marketing", "failed_precondition", "marketing", set("purposes", []string{"invoice"})),
				bad("an interest that nobody has", "invalid_argument", "purposes", set("article", "art21_1"), drop("purposes")),
				bad("decisions on nothing", "invalid_argument", "purposes", set("article", "art22"), drop("purposes")),
			})
		},
	},
	app + "SetTrackingMode": {
		good: func(*world) object {
			return object{"subject": object{"email": canary + ".tracked@example.org"}, "purpose": "email.open_tracking", "mode": "none",
				"method": "preference_centre", "claims": object{"name": canary}}
		},
		rows: func(w *world) []row {
			byToken := []func(object){drop("subject"), set("manage_token", w.confirmed.manage)}
			return join(badSubject(""), badMethod(false), badClaims(), badTime(true), badWrite(), badKey(), []row{
				bad("a person and a token", "invalid_argument", "subject", set("manage_token", w.open.manage)),
				bad("an empty person and a token", "invalid_argument", "subject", append(byToken, set("subject", object{}))...),
				bad("unknown manage token", "not_found", "manage_token", drop("subject"), set("manage_token", newToken())),
				bad("malformed manage token", "not_found", "manage_token", drop("subject"), set("manage_token", canary)),
				bad("no purpose", "invalid_argument", "purpose", drop("purpose")),
				bad("a purpose that tracks nobody", "invalid_argument", "purpose", set("purpose", "newsletter")),
				bad("a purpose that nobody defined", "invalid_argument", "purpose", set("purpose", "web.tracking")),
				bad("an unknown purpose", "invalid_argument", "purpose", set("purpose", canary)),
				bad("no mode", "invalid_argument", "mode", drop("mode")),
				bad("an unknown mode", "invalid_argument", "mode", set("mode", canary)),
				bad("more than anonymous", "failed_precondition", "no_consent", set("mode", "pseudonymous")),
				bad("a token that raises", "failed_precondition", "manage_token", append(byToken, set("mode", "anonymous"))...),
			})
		},
	},
}
