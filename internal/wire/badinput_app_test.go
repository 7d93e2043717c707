package wire_test

import (
	"crypto/sha256"
	"strings"
	"time"
)

const app = "/consent.app.v1.ConsentService/"

func inTenMinutes() string { return time.Now().Add(10 * time.Minute).UTC().Format(time.RFC3339) }

var badConfirmations = map[string]badInput{
	app + "RequestConsent": {
		good: func(*world) object {
			return object{"subject": object{"email": canary + "@example.org"}, "purposes": []string{"newsletter"}, "channel": "email",
				"notice": "newsletter-de@1", "method": "web_form", "claims": object{"page_url": "https://" + canary + ".example/"}}
		},
		rows: func(w *world) []row {
			return join(badSubject(""), badPurposes(true), badClaims(), badTime(true), badWrite(), badRequest(w), badAttachments())
		},
	},
	app + "ConfirmConsent": {
		good: func(w *world) object {
			return object{"token": w.open.token, "claims": object{"name": canary}, "click": "button", "signals": []string{"datacentre"}}
		},
		rows: func(w *world) []row {
			return join(badTime(true), badWrite(), badClaims(), badToken(w), badSignals(), []row{
				bad("unknown click", "invalid_argument", "click", set("click", canary)),
				bad("click in capitals", "invalid_argument", "click", set("click", "BUTTON")),
				bad("expired token", "failed_precondition", "token_expired", set("token", w.expired.token)),
				bad("token of a rejected request", "failed_precondition", "request_rejected", set("token", w.rejected.token)),
			})
		},
	},
	app + "RejectConfirmation": {
		good: func(w *world) object { return object{"token": w.spare.token} },
		rows: func(w *world) []row {
			return join(badTime(true), badWrite(), badToken(w), []row{
				bad("expired token", "failed_precondition", "token_expired", set("token", w.expired.token)),
				bad("token of a confirmed request", "failed_precondition", "already_confirmed", set("token", w.confirmed.token)),
			})
		},
	},
}

func badToken(w *world) []row {
	return []row{
		bad("no token", "invalid_argument", "token", drop("token")),
		bad("short token", "invalid_argument", "token", set("token", canary)),
		bad("padded token", "invalid_argument", "token", set("token", w.open.token+"=")),
		bad("token with a line end", "invalid_argument", "token", set("token", w.open.token+"\n")),
		bad("token in standard base64", "invalid_argument", "token", set("token", "+"+w.open.token[1:])),
		bad("long token", "invalid_argument", "token", set("token", strings.Repeat(canary, 1000))),
		bad("unknown token", "not_found", "token", set("token", newToken())),
		bad("manage token", "invalid_argument", "token", set("token", w.open.manage)),
		bad("token of a withdrawn consent", "failed_precondition", "withdrawn", set("token", w.withdrawn.token)),
	}
}

func badRequest(w *world) []row {
	large, purposes := object{}, make([]string, 0, 32)
	for _, name := range []string{"name", "user_agent", "page_url", "referrer"} {
		large[name] = strings.Repeat("x", 64<<10)
	}
	for _, c := range "abcdefghijkl" {
		purposes = append(purposes, string(c))
	}
	var operators []row
	for _, method := range []string{"paper", "oral", "phone", "in_person", "api", "import"} {
		operators = append(operators, bad("a suppressed address by "+method, "failed_precondition", "suppressed",
			set("subject", w.suppressed), set("method", method)))
	}
	return join(badKey(), operators, badChannel(), badNotice(true), badMethod(true), badDemands(), badLock(w), []row{
		bad("an address for a telephone", "failed_precondition", "channel_proof", set("channel", "phone")),
		bad("an address for messages", "failed_precondition", "channel_proof", set("channel", "sms")),
		bad("a number for a mail", "failed_precondition", "channel_proof", set("subject", w.number)),
		bad("a purpose that the notice does not cover", "failed_precondition", "notice_coverage", set("purposes", []string{"newsletter", "invoice"})),
		bad("much under many keys", "invalid_argument", "claims", set("claims", large), set("purposes", purposes)),
	})
}

func lockOf(token string) []byte {
	lock := sha256.Sum256([]byte(token))
	return lock[:]
}

func badAttachments() []row {
	file := func(changes object) []object {
		f := object{"name": "form_snapshot", "file_name": "form.png", "media_type": "image/png", "bytes": []byte(canary)}
		for name, value := range changes {
			f[name] = value
		}
		return []object{f}
	}
	many := make([]object, 33)
	for i := range many {
		many[i] = file(nil)[0]
	}
	return []row{
		bad("attachment without a name", "invalid_argument", "attachments[0].name", set("attachments", file(object{"name": ""}))),
		bad("attachment of another name", "invalid_argument", "attachments[0].name", set("attachments", file(object{"name": canary}))),
		bad("claim and attachment", "invalid_argument", "attachments[0].name", set("claims", object{"form_snapshot": "1"}), set("attachments", file(nil))),
		bad("two of one name", "invalid_argument", "attachments[1].name", set("attachments", append(file(nil), file(nil)...))),
		bad("no media type", "invalid_argument", "attachments[0].media_type", set("attachments", file(object{"media_type": ""}))),
		bad("media type with a parameter", "invalid_argument", "attachments[0].media_type", set("attachments", file(object{"media_type": "text/plain; charset=" + canary}))),
		bad("no bytes", "invalid_argument", "attachments[0].bytes", set("attachments", file(object{"bytes": ""}))),
		bad("more than 10 MiB", "invalid_argument", "attachments", set("attachments", file(object{"bytes": make([]byte, 10<<20+1)}))),
		bad("long file name", "invalid_argument", "attachments[0].file_name", set("attachments", file(object{"file_name": strings.Repeat(canary, 29)}))),
		bad("control characters", "invalid_argument", "attachments[0].file_name", set("attachments", file(object{"file_name": canary + "\r\n"}))),
		bad("too many attachments", "invalid_argument", "attachments", set("attachments", many)),
	}
}

var badChecks = map[string]badInput{
	app + "CheckConsent": {
		good: func(*world) object {
			return object{"subject": object{"email": canary + "@example.org"}, "purpose": "newsletter", "channel": "email"}
		},
		rows: func(*world) []row { return badQuestion() },
	},
	app + "CheckConsents": {
		good: func(*world) object {
			return object{"subject": object{"email": canary + "@example.org"}, "purpose": "newsletter", "channel": "email", "at": "2026-01-01T00:00:00Z"}
		},
		rows: func(*world) []row { return badQuestion() },
	},
	app + "BatchCheckConsents": {
		good: func(*world) object {
			return object{"checks": []object{{"subject": object{"email": canary + "@example.org"}, "purpose": "newsletter", "channel": "email"}}}
		},
		rows: func(*world) []row {
			return []row{
				bad("no questions", "invalid_argument", "checks", drop("checks")),
				bad("an empty list", "invalid_argument", "checks", set("checks", []object{})),
				bad("1001 questions", "invalid_argument", "checks", set("checks", make([]struct{}, 1001))),
				bad("null for a question", "invalid_argument", "checks[0]", set("checks", []any{nil})),
			}
		},
	},
	app + "ListConsents": {
		good: func(*world) object { return object{"subject": object{"email": canary + "@example.org"}} },
		rows: func(*world) []row { return badSubject("") },
	},
	app + "RecordUses": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.confirmed.id}, "reference": canary, "processor": "mailer", "recipient": canary}
		},
		rows: func(*world) []row {
			return join(badIDs(10000), badTime(true), badWrite(), badKey(), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("oversized reference", "invalid_argument", "reference", set("reference", strings.Repeat(canary, 7282))),
				bad("control characters", "invalid_argument", "reference", set("reference", canary+"\u0000")),
				bad("no id of a processor", "invalid_argument", "processor", set("processor", canary+"@example.org")),
				bad("an unknown processor", "failed_precondition", "processor", set("processor", canary)),
				bad("oversized recipient", "invalid_argument", "recipient", set("recipient", strings.Repeat(canary, 7282))),
				bad("a recipient of two lines", "invalid_argument", "recipient", set("recipient", canary+"\u0000")),
			})
		},
	},
}

func badQuestion() []row {
	return join(badSubject(""), badChannel(), []row{
		bad("no purpose", "invalid_argument", "purpose", drop("purpose")),
		bad("no id of a purpose", "invalid_argument", "purpose", set("purpose", canary+" ")),
		bad("at a time before 2000", "invalid_argument", "at", set("at", "1999-12-31T23:59:59Z")),
		bad("at a time to come", "invalid_argument", "at", set("at", inTenMinutes())),
		bad("at the year 1", "invalid_argument", "at", set("at", "0001-01-01T00:00:00Z")),
	})
}

var badWithdrawals = map[string]badInput{
	app + "WithdrawConsent": {
		good: func(w *world) object {
			return object{"subject": w.other.who, "purposes": []string{"newsletter"}, "channel": "email", "method": "web_form", "claims": object{"reason": canary}}
		},
		rows: func(w *world) []row {
			ids := func(change row) row {
				inner := change.change
				change.change = func(req object) {
					for name := range req {
						delete(req, name)
					}
					inner(req)
				}
				return change
			}
			rows := join(badSubject(""), badPurposes(false), badTime(false), badClaims(), badWrite(), badKey(), []row{
				bad("a person and a token", "invalid_argument", "subject", set("manage_token", w.open.manage)),
				bad("a person and ids", "invalid_argument", "subject", set("consent_ids", []string{w.open.id})),
				bad("an empty person and a token", "invalid_argument", "subject", set("subject", object{}), set("manage_token", w.open.manage)),
				bad("a token and ids", "invalid_argument", "subject", drop("subject"), set("manage_token", w.open.manage), set("consent_ids", []string{w.open.id})),
				bad("unknown manage token", "not_found", "manage_token", drop("subject"), set("manage_token", newToken())),
				bad("malformed manage token", "not_found", "manage_token", drop("subject"), set("manage_token", canary)),
				bad("unknown channel", "invalid_argument", "channel", set("channel", canary)),
				bad("the objections' channel", "invalid_argument", "channel", set("channel", "any")),
				bad("unknown method", "invalid_argument", "method", set("method", canary)),
				bad("ids and purposes", "invalid_argument", "consent_ids", drop("subject"), drop("channel"), set("consent_ids", []string{w.open.id})),
				bad("ids and a channel", "invalid_argument", "consent_ids", drop("subject"), drop("purposes"), set("consent_ids", []string{w.open.id})),
			})
			for _, r := range badIDs(1000) {
				rows = append(rows, ids(r))
			}
			return rows
		},
	},
	app + "SetRestriction": {
		good: func(w *world) object {
			return object{"subject": w.open.who, "ground": "art18_1_d", "claims": object{"reason": canary}}
		},
		rows: func(*world) []row {
			return join(badSubject(""), badTime(false), badClaims(), badWrite(), badKey(), badStranger(), []row{
				bad("no ground", "invalid_argument", "ground", drop("ground")),
				bad("unknown ground", "invalid_argument", "ground", set("ground", canary)),
			})
		},
	},
	app + "LiftRestriction": {
		good: func(w *world) object {
			return object{"subject": w.frozen.who, "informed_at": ago(time.Minute), "claims": object{"reason": canary}}
		},
		rows: func(*world) []row {
			return join(badSubject(""), badTime(true), badTimeIn("informed_at", false), badClaims(), badWrite(), badKey(), badStranger(), []row{
				bad("nobody was told", "invalid_argument", "informed_at", drop("informed_at")),
				bad("to be told in ten minutes", "failed_precondition", "informed", set("informed_at", inTenMinutes())),
			})
		},
	},
}
