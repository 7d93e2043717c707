package wire_test

import "strings"

// badHistories: what the legal role is shown of one consent.
var badHistories = map[string]badInput{
	evidence + "GetConsentHistory": {
		good: func(w *world) object { return object{"consent_id": w.confirmed.id} },
		rows: func(*world) []row { return badID1("consent_id") },
	},
	evidence + "DiscloseClaims": {
		good: func(w *world) object {
			return object{"consent_id": w.confirmed.id, "claims": []string{"email"}, "reason": canary, "recipient": canary}
		},
		rows: func(*world) []row {
			many := make([]string, 33)
			for i := range many {
				many[i] = "email"
			}
			return join(badID1("consent_id"), badText("reason"), badText("recipient"), badWrite(), badKey(), []row{
				bad("no claims", "invalid_argument", "claims", drop("claims")),
				bad("an empty list of claims", "invalid_argument", "claims", set("claims", []string{})),
				bad("too many claims", "invalid_argument", "claims", set("claims", many)),
				bad("a claim twice", "invalid_argument", "claims[1]", set("claims", many[:2])),
				bad("an unknown claim", "invalid_argument", "claims[1]", set("claims", []string{"email", canary})),
				bad("a claim that is not there", "not_found", "claims[1]", set("claims", []string{"email", "recording"})),
			})
		},
	},
	evidence + "InvalidateConsents": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.invalid.id}, "cause": "scanner", "claims": object{"reason": canary}}
		},
		rows: badEnding,
	},
	admin + "RevokeConsents": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.revoked.id}, "cause": "wording", "claims": object{"reason": canary}}
		},
		rows: badEnding,
	},
}

func badEnding(w *world) []row {
	byNotice := func(name string) []func(object) { return []func(object){drop("consent_ids"), set("notice", name)} }
	rows := join(badIDs(1000), badClaims(), badTime(true), badWrite(), badKey(), []row{
		bad("nothing", "invalid_argument", "consent_ids", drop("consent_ids")),
		bad("ids and a notice", "invalid_argument", "consent_ids", set("notice", "newsletter-de@1")),
		bad("no cause", "invalid_argument", "cause", drop("cause")),
		bad("an unknown cause", "invalid_argument", "cause", set("cause", canary)),
		bad("much under many keys", "invalid_argument", "claims", manyClaims(w)...),
	})
	return append(rows, first(badVersion("notice"), byNotice("newsletter-de@1")...)...)
}

// badID1: ids of one consent that is none.
func badID1(field string) []row {
	return []row{
		bad("no id", "invalid_argument", field, drop(field)),
		bad("id 0", "invalid_argument", field, set(field, 0)),
		bad("a negative id", "invalid_argument", field, set(field, "-9223372036854775808")),
		bad("the highest id", "not_found", field, set(field, "9223372036854775807")),
		bad("an entry that opened nothing", "not_found", field, set(field, 1)),
	}
}

// badText: a text that must be there.
func badText(field string) []row {
	return []row{
		bad("no "+field, "invalid_argument", field, drop(field)),
		bad("oversized "+field, "invalid_argument", field, set(field, strings.Repeat(canary, 7282))),
		bad("control characters in "+field, "invalid_argument", field, set(field, canary+"\u0007")),
	}
}
