package wire_test

import "strings"

const evidence = "/consent.evidence.v1.EvidenceService/"

// badSubjects: linking and forgetting persons.
var badSubjects = map[string]badInput{
	app + "LinkSubject": {
		good: func(w *world) object {
			return object{"subject": w.spare.who, "add": object{"external_id": canary + "-4711"}, "claims": object{"reference": canary}}
		},
		rows: func(w *world) []row {
			return join(badSubject(""), badStranger(), badPerson("add"), badClaims(), badTime(true), badWrite(), badKey(), []row{
				bad("nothing to add", "invalid_argument", "add", drop("add")),
				bad("somebody else's", "failed_precondition", "identifier_taken", set("add", w.number)),
				bad("their own", "failed_precondition", "identifier_taken", set("add", w.spare.who)),
				bad("another address", "failed_precondition", "identifier_kind", set("add", object{"email": canary + ".2@example.org"})),
				bad("somebody else's address", "failed_precondition", "identifier_kind", set("add", w.other.who)),
			})
		},
	},
	app + "EraseSubject": {
		good: func(w *world) object {
			return object{"subject": w.withdrawn.who, "reason": "art17", "mode": "shred_now"}
		},
		rows: func(w *world) []row {
			lock := func(notBefore string) []func(object) {
				return []func(object){set("mode", "lock_then_shred"), set("not_before", notBefore)}
			}
			return join(badSubject(""), badWrite(), badKey(), badStranger(), []row{
				bad("no reason", "invalid_argument", "reason", drop("reason")),
				bad("unknown reason", "invalid_argument", "reason", set("reason", canary)),
				bad("no mode", "invalid_argument", "mode", drop("mode")),
				bad("unknown mode", "invalid_argument", "mode", set("mode", canary)),
				bad("mode in capitals", "invalid_argument", "mode", set("mode", "SHRED_NOW")),
				bad("now and not before", "invalid_argument", "not_before", set("not_before", inTenMinutes())),
				bad("not before the year 1", "invalid_argument", "not_before", lock("0001-01-01T00:00:00Z")...),
				bad("not before 1999", "invalid_argument", "not_before", lock("1999-12-31T23:59:59Z")...),
				bad("not before the year 9999", "invalid_argument", "not_before", lock("9999-12-31T23:59:59Z")...),
				bad("a telephone consent", "failed_precondition", "uwg_7a", set("subject", w.phoned.who)),
				bad("restricted on art18_1_b", "failed_precondition", "held", set("subject", w.frozen.who)),
				bad("under a hold", "failed_precondition", "held", set("subject", w.held.who)),
			})
		},
	},
}

// badEvidence: what the legal role calls.
var badEvidence = map[string]badInput{
	evidence + "RectifySubject": {
		good: func(w *world) object {
			return object{"subject": w.misspelt.who, "remove": w.misspelt.who, "add": object{"email": canary + ".right@example.org"},
				"claims": object{"operator": canary}}
		},
		rows: func(w *world) []row {
			return join(badSubject(""), badStranger(), badPerson("remove"), badPerson("add"), badClaims(), badTime(true), badWrite(), badKey(), []row{
				bad("nothing to do", "invalid_argument", "add", drop("remove"), drop("add")),
				bad("nothing changes", "invalid_argument", "add", set("add", w.misspelt.who)),
				bad("another kind", "invalid_argument", "add", set("add", object{"external_id": canary})),
				bad("not theirs", "not_found", "remove", set("remove", w.other.who)),
				bad("nobody's", "not_found", "remove", set("remove", object{"email": canary + ".stranger@example.org"})),
				bad("somebody else's", "failed_precondition", "identifier_taken", set("add", w.other.who)),
				bad("somebody else's number", "failed_precondition", "identifier_taken", drop("remove"), set("add", w.number)),
				bad("their own", "failed_precondition", "identifier_taken", drop("remove"), set("add", w.misspelt.who)),
				bad("another address", "failed_precondition", "identifier_kind", drop("remove")),
				bad("the only one", "failed_precondition", "last_identifier", drop("add")),
				bad("who was not verified", "failed_precondition", "identity", set("subject", w.spare.who), set("remove", w.spare.who)),
			})
		},
	},
	evidence + "SetHold": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.confirmed.id}, "claims": object{"reason": canary, "reference": canary}}
		},
		rows: func(w *world) []row {
			bySubject := []func(object){drop("consent_ids"), set("subject", w.confirmed.who)}
			return join(badIDs(1000), first(badPerson("subject"), bySubject...), first(badStranger(), bySubject...), badClaims(), badWrite(), badKey(), []row{
				bad("nothing", "invalid_argument", "subject", drop("consent_ids")),
				bad("an empty list of ids", "invalid_argument", "subject", set("consent_ids", []string{})),
				bad("a person and ids", "invalid_argument", "subject", set("subject", w.confirmed.who)),
				bad("an empty person and ids", "invalid_argument", "subject", set("subject", object{})),
				bad("much under many keys", "invalid_argument", "claims", manyClaims(w)...),
			})
		},
	},
	evidence + "LiftHold": {
		good: func(w *world) object { return object{"hold_id": w.hold, "claims": object{"reason": canary}} },
		rows: func(w *world) []row {
			return join(badClaims(), badWrite(), badKey(), []row{
				bad("no number", "invalid_argument", "hold_id", drop("hold_id")),
				bad("number 0", "invalid_argument", "hold_id", set("hold_id", 0)),
				bad("a negative number", "invalid_argument", "hold_id", set("hold_id", "-9223372036854775808")),
				bad("a number to come", "not_found", "hold_id", set("hold_id", "9223372036854775807")),
				bad("an entry that is no hold", "not_found", "hold_id", set("hold_id", 1)),
				bad("a consent", "not_found", "hold_id", set("hold_id", w.held.id)),
				bad("a hold that is lifted", "not_found", "hold_id", set("hold_id", w.lifted)),
			})
		},
	},
	evidence + "ListConsents": {
		good: func(w *world) object { return object{"subject": w.held.who} },
		rows: func(*world) []row { return badSubject("") },
	},
}

// manyClaims names claims of 256 KiB for five consents.
func manyClaims(w *world) []func(object) {
	large := object{}
	for _, name := range []string{"name", "user_agent", "page_url", "referrer"} {
		large[name] = strings.Repeat("x", 64<<10)
	}
	ids := []string{w.open.id, w.other.id, w.spare.id, w.confirmed.id, w.withdrawn.id}
	return []func(object){set("claims", large), set("consent_ids", ids)}
}
