package wire_test

import (
	"maps"
	"strings"
)

// badGrounds: guardians, signals of browsers, ends that took effect, and receipts.
var badGrounds = map[string]badInput{
	app + "AuthoriseGuardian": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.child.id}, "method": "paper", "claims": object{"guardian": canary}}
		},
		rows: func(w *world) []row {
			return join(badIDs(1000), badPersonal(), guarded(badClaims()), guarded(badAttachments()), badTime(true), badWrite(), badKey(), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("two people", "invalid_argument", "consent_ids[1]", set("consent_ids", []string{w.child.id, w.confirmed.id})),
				bad("nobody", "invalid_argument", "claims.guardian", drop("claims")),
				bad("somebody else", "invalid_argument", "claims.guardian", set("claims", object{"name": canary})),
			})
		},
	},
	app + "RecordSignal": {
		good: func(*world) object {
			return object{"subject": object{"email": canary + ".browser@example.org"}, "signal": "gpc", "value": "1",
				"purposes": []string{"email.open_tracking"}, "claims": object{"user_agent": canary}}
		},
		rows: func(*world) []row {
			tcf := func(value string) []func(object) { return []func(object){set("signal", "tcf"), set("value", value)} }
			many := make([]string, 33)
			for i := range many {
				many[i] = "email.open_tracking"
			}
			return join(badSubject(""), badClaims(), badTime(true), badWrite(), badKey(), []row{
				bad("no signal", "invalid_argument", "signal", drop("signal")),
				bad("an unknown signal", "invalid_argument", "signal", set("signal", canary)),
				bad("a signal in capitals", "invalid_argument", "signal", set("signal", "GPC")),
				bad("no value", "invalid_argument", "value", drop("value")),
				bad("gpc of 0", "invalid_argument", "value", set("value", "0")),
				bad("gpc of two", "invalid_argument", "value", set("value", "1, 1")),
				bad("another value of gpc", "invalid_argument", "value", set("value", canary)),
				bad("no TC string", "invalid_argument", "value", tcf(canary)...),
				bad("an empty TC string", "invalid_argument", "value", tcf("")...),
				bad("version 1 of a TC string", "invalid_argument", "value", tcf("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA")...),
				bad("half a TC string", "invalid_argument", "value", tcf(tcString(true)[:12])...),
				bad("a TC string with a line end", "invalid_argument", "value", tcf(tcString(true)+"\n")...),
				bad("an oversized TC string", "invalid_argument", "value", tcf(strings.Repeat(canary, 7282))...),
				bad("33 purposes", "invalid_argument", "purposes", set("purposes", many)),
				bad("a purpose twice", "invalid_argument", "purposes[1]", set("purposes", many[:2])),
				bad("an unknown purpose", "invalid_argument", "purposes[1]", set("purposes", []string{"email.open_tracking", canary})),
				bad("a tracking purpose that nobody defined", "invalid_argument", "purposes[0]", set("purposes", []string{"web.tracking"})),
				bad("a purpose that tracks nobody", "invalid_argument", "purposes[0]", set("purposes", []string{"newsletter"})),
			})
		},
	},
	app + "RecordWithdrawalEffected": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.ended.id}, "system": "mailer", "claims": object{"reference": canary}}
		},
		rows: func(w *world) []row {
			return join(badIDs(1000), badTimeIn("at", true), badClaims(), badWrite(), badKey(), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("no system", "invalid_argument", "system", drop("system")),
				bad("no id of a system", "invalid_argument", "system", set("system", canary+"@example.org")),
				bad("an unknown system", "failed_precondition", "system", set("system", canary)),
				bad("what goes on", "failed_precondition", "not_ended", set("consent_ids", []string{w.ended.id, w.confirmed.id})),
				bad("what waits", "failed_precondition", "not_ended", set("consent_ids", []string{w.open.id})),
			})
		},
	},
	app + "GetConsentReceipt": {
		good: func(w *world) object { return object{"consent_id": w.confirmed.id} },
		rows: func(*world) []row { return badID1("consent_id") },
	},
	app + "GetCheckpoint": {good: nothing},
}

// guarded names a guardian in each row, too.
func guarded(rows []row) []row {
	list := make([]row, len(rows))
	for i, r := range rows {
		list[i] = bad(r.name, r.code, r.at, r.change, func(req object) {
			req["claims"] = maps.Clone(req["claims"].(object))
			req["claims"].(object)["guardian"] = canary
		})
	}
	return list
}

// badProcessors: processors and further claims.
var badProcessors = map[string]badInput{
	admin + "EngageProcessor": {
		good: func(*world) object {
			return object{"id": "host", "title": canary, "country": "DE", "purposes": []string{"newsletter"}, "agreement": agreement(),
				"claims": object{"address": canary, "reference": canary}}
		},
		rows: func(*world) []row {
			sum := lockOf(canary)
			byHash := func(sum any) []func(object) { return []func(object){drop("agreement"), set("agreement_sha256", sum)} }
			return join(badID(), badTitle(), badPurposes(false), badDocument("agreement"), badTime(true), badWrite(), badKey(), []row{
				bad("a country in small letters", "invalid_argument", "country", set("country", "de")),
				bad("a country of three letters", "invalid_argument", "country", set("country", "DEU")),
				bad("an unknown country", "invalid_argument", "country", set("country", canary)),
				bad("no agreement", "invalid_argument", "agreement", drop("agreement")),
				bad("an agreement and a hash", "invalid_argument", "agreement", set("agreement_sha256", sum)),
				bad("31 bytes", "invalid_argument", "agreement_sha256", byHash(sum[:31])...),
				bad("33 bytes", "invalid_argument", "agreement_sha256", byHash(append(sum, 0))...),
				bad("an empty hash", "invalid_argument", "agreement_sha256", byHash("")...),
			}, badDetails("address"))
		},
	},
	admin + "EndProcessor": {
		good: func(*world) object { return object{"id": "mailer", "claims": object{"reference": canary}} },
		rows: func(*world) []row {
			return join(badTime(true), badWrite(), badKey(), badDetails("reason"), []row{
				bad("no id", "invalid_argument", "id", drop("id")),
				bad("no id of a processor", "invalid_argument", "id", set("id", canary+"@example.org")),
				bad("an unknown processor", "failed_precondition", "processor", set("id", canary)),
				bad("one that is engaged no longer", "failed_precondition", "processor", set("id", "former")),
			})
		},
	},
	admin + "DeclareClaim": {
		good: func(*world) object { return object{"id": "x.birthday", "title": canary} },
		rows: func(*world) []row {
			return join(badID(), badTitle(), badWrite(), badKey(), []row{
				bad("no x", "invalid_argument", "id", set("id", "birthday")),
				bad("nothing but x", "invalid_argument", "id", set("id", "x.")),
				bad("a reserved name", "invalid_argument", "id", set("id", "guardian")),
				bad("like a name", "invalid_argument", "id", set("id", "x.anna.muster")),
				bad("like a number", "invalid_argument", "id", set("id", "x.0151-1234567")),
				bad("x and capitals", "invalid_argument", "id", set("id", "x."+strings.ToUpper(canary))),
				bad("another title than before", "failed_precondition", "claim", set("id", "x.declared")),
			})
		},
	},
	admin + "GetDocument": {
		good: func(w *world) object { return object{"index": w.engaged} },
		rows: func(*world) []row {
			return []row{
				bad("no index", "invalid_argument", "index", drop("index")),
				bad("a negative index", "invalid_argument", "index", set("index", -1)),
				bad("an index to come", "not_found", "index", set("index", "9223372036854775807")),
				bad("the first entry", "not_found", "index", set("index", 1)),
				bad("a purpose without a document", "not_found", "index", set("index", 3)),
			}
		},
	},
	admin + "ListProcessors": {good: nothing},
	admin + "ListClaims":     {good: nothing},
}

// agreement is a document.
func agreement() object {
	return object{"file_name": canary + ".pdf", "media_type": "application/pdf", "bytes": []byte(canary)}
}

// badDetails: what may not be said of a processor, which is about no person. reference and
// the claim allowed may.
func badDetails(allowed string) []row {
	return []row{
		bad("unknown claim", "invalid_argument", "claims", set("claims", object{canary: "1"})),
		bad("somebody's name", "invalid_argument", "claims", set("claims", object{"name": canary})),
		bad("somebody's address", "invalid_argument", "claims", set("claims", object{"email": canary + "@example.org"})),
		bad("the agreement as a claim", "invalid_argument", "claims", set("claims", object{"document": canary})),
		bad("an empty claim", "invalid_argument", "claims.reference", set("claims", object{"reference": ""})),
		bad("an oversized claim", "invalid_argument", "claims."+allowed, set("claims", object{allowed: strings.Repeat(canary, 7282)})),
		bad("control characters", "invalid_argument", "claims.reference", set("claims", object{"reference": canary + "\u001b[2J"})),
	}
}

// badTitle: what cannot be read out.
func badTitle() []row {
	return []row{
		bad("no title", "invalid_argument", "title", drop("title")),
		bad("blank title", "invalid_argument", "title", set("title", " \u00a0")),
		bad("long title", "invalid_argument", "title", set("title", strings.Repeat(canary, 29))),
		bad("title of two lines", "invalid_argument", "title", set("title", canary+"\n"+canary)),
	}
}

// badDocument: files that are none.
func badDocument(field string) []row {
	with := func(name string, value any) func(object) {
		return func(req object) {
			file := agreement()
			file[name] = value
			req[field] = file
		}
	}
	return []row{
		bad("an empty document", "invalid_argument", field+".bytes", set(field, object{})),
		bad("a document of no type", "invalid_argument", field+".media_type", with("media_type", "")),
		bad("a document of a type with a parameter", "invalid_argument", field+".media_type", with("media_type", "text/plain; charset="+canary)),
		bad("a document without bytes", "invalid_argument", field+".bytes", with("bytes", "")),
		bad("a document of more than 10 MiB", "invalid_argument", field, with("bytes", make([]byte, 10<<20+1))),
		bad("a document with a long name", "invalid_argument", field+".file_name", with("file_name", strings.Repeat(canary, 29))),
		bad("a document whose name has control characters", "invalid_argument", field+".file_name", with("file_name", canary+"\r\n")),
	}
}

// badBalancing: tests of interests, and hours until an end has taken effect.
func badBalancing() []row {
	return join(badDocument("balancing"), []row{
		bad("a test of no interest", "invalid_argument", "balancing", set("balancing", agreement()), set("bases", []string{"consent"})),
		bad("no hours", "invalid_argument", "effect_hours", set("effect_hours", 0)),
		bad("hours ago", "invalid_argument", "effect_hours", set("effect_hours", -1)),
		bad("more than a year of hours", "invalid_argument", "effect_hours", set("effect_hours", 8785)),
	})
}
