package wire_test

import (
	"strings"
	"time"
)

// rights is what of a world requests about rights can be wrong about.
type rights struct {
	asker                        consent // verified, and data of hers were passed on
	iced                         consent // restricted by the legal role
	toAnswer, toExtend, toRefuse string  // requests of the asker that wait
	prolonged, done              string
	strange                      string // the request of somebody of whom nothing is held
	ending                       string // index of an entry of which recipients are to be told
	notified, acknowledged       string // notifications of it
}

// prepareRights makes a world's rights.
func (w *world) prepareRights() {
	w.asker, w.iced = w.ask("newsletter", nil), w.ask("newsletter", nil)
	for _, who := range []object{w.asker.who, w.misspelt.who} {
		w.do("EvidenceService/VerifyIdentity", object{"subject": who, "means": "login"})
	}
	w.do("EvidenceService/SetRestriction", object{"subject": w.iced.who, "ground": "art18_1_d"})
	open := func(req object) string { return w.do("EvidenceService/OpenRequest", req)["request_id"].(string) }
	for _, id := range []*string{&w.toAnswer, &w.toExtend, &w.toRefuse, &w.prolonged, &w.done} {
		*id = open(object{"subject": w.asker.who, "article": "art15"})
	}
	w.strange = open(object{"subject": object{"email": canary + ".strange@example.org"}, "article": "art15"})
	w.do("EvidenceService/ExtendRequest", object{"request_id": w.prolonged, "claims": object{"reason": canary}})
	w.do("EvidenceService/AnswerRequest", object{"request_id": w.done})

	w.do("ConsentService/RecordUses", object{"consent_ids": []string{w.asker.id}, "processor": "mailer"})
	ended := w.do("ConsentService/WithdrawConsent", object{"consent_ids": []string{w.asker.id}})["withdrawn"].([]any)[0].(object)
	w.ending = ended["entry"].(object)["index"].(string)
	tell := func() string {
		return w.do("EvidenceService/NotifyRecipient", object{"index": w.ending, "processor": "mailer"})["notification_id"].(string)
	}
	w.notified, w.acknowledged = tell(), tell()
	w.do("EvidenceService/AcknowledgeRecipient", object{"notification_id": w.acknowledged})
}

// badRights: people's rights, and who is told.
var badRights = map[string]badInput{
	evidence + "OpenRequest": {
		good: func(w *world) object {
			return object{"subject": w.asker.who, "article": "art17", "claims": object{"reason": canary}}
		},
		rows: func(*world) []row {
			stranger := set("subject", object{"email": canary + ".stranger@example.org"})
			return join(badSubject(""), badClaims(), badAttachments(), badTimeIn("received_at", true), badWrite(), badKey(), []row{
				bad("no article", "invalid_argument", "article", drop("article")),
				bad("another article", "invalid_argument", "article", set("article", "art23")),
				bad("an article in capitals", "invalid_argument", "article", set("article", "ART15")),
				bad("an objection's article", "invalid_argument", "article", set("article", "art21_2")),
				bad("an unknown article", "invalid_argument", "article", set("article", canary)),
				bad("a stranger's reason", "failed_precondition", "stranger", stranger),
				bad("a stranger's letter", "failed_precondition", "stranger", stranger, drop("claims"),
					set("attachments", []object{{"name": "document", "media_type": "application/pdf", "bytes": []byte(canary)}})),
			})
		},
	},
	evidence + "ExtendRequest": {
		good: func(w *world) object { return object{"request_id": w.toExtend, "claims": object{"reason": canary}} },
		rows: func(w *world) []row {
			return join(badStep(w), []row{
				bad("no reason", "invalid_argument", "claims.reason", drop("claims")),
				bad("a reference alone", "invalid_argument", "claims.reason", set("claims", object{"reference": canary})),
				bad("until the year 1", "invalid_argument", "until", set("until", "0001-01-01T00:00:00Z")),
				bad("until it was due", "failed_precondition", "due", set("until", ahead(1))),
				bad("four months", "failed_precondition", "due", set("until", ahead(4*31))),
				bad("an extension of one that has been extended", "failed_precondition", "due", set("request_id", w.prolonged)),
				bad("a stranger's without a reference", "invalid_argument", "claims.reference", set("request_id", w.strange), drop("claims")),
			})
		},
	},
	evidence + "AnswerRequest": {
		good: func(w *world) object { return object{"request_id": w.toAnswer, "claims": object{"reference": canary}} },
		rows: badStep,
	},
	evidence + "RefuseRequest": {
		good: func(w *world) object {
			return object{"request_id": w.toRefuse, "refusal": "unfounded", "claims": object{"reason": canary}}
		},
		rows: func(w *world) []row {
			return join(badStep(w), []row{
				bad("no ground", "invalid_argument", "refusal", drop("refusal")),
				bad("an unknown ground", "invalid_argument", "refusal", set("refusal", canary)),
				bad("a ground in capitals", "invalid_argument", "refusal", set("refusal", "UNFOUNDED")),
				bad("no reason", "invalid_argument", "claims.reason", drop("claims")),
			})
		},
	},
	evidence + "ListRequests": {good: nothing},
	evidence + "VerifyIdentity": {
		good: func(w *world) object {
			return object{"subject": w.asker.who, "means": "document", "claims": object{"operator": canary}}
		},
		rows: func(w *world) []row {
			return join(badSubject(""), badStranger(), badIDs(1000), badClaims(), badTime(true), badWrite(), badKey(), []row{
				bad("no means", "invalid_argument", "means", drop("means")),
				bad("unknown means", "invalid_argument", "means", set("means", canary)),
				bad("means in capitals", "invalid_argument", "means", set("means", "LOGIN")),
				bad("somebody else's consent", "not_found", "consent_ids[0]", set("consent_ids", []string{w.open.id})),
			})
		},
	},
	evidence + "SetRestriction": {
		good: func(w *world) object {
			return object{"subject": w.iced.who, "ground": "art18_1_a", "claims": object{"reason": canary}}
		},
		rows: func(*world) []row {
			return join(badSubject(""), badStranger(), badClaims(), badTime(false), badWrite(), badKey(), []row{
				bad("no ground", "invalid_argument", "ground", drop("ground")),
				bad("unknown ground", "invalid_argument", "ground", set("ground", canary)),
				bad("a ground in capitals", "invalid_argument", "ground", set("ground", "ART18_1_A")),
			})
		},
	},
	evidence + "LiftRestriction": {
		good: func(w *world) object {
			return object{"subject": w.iced.who, "informed_at": ahead(-1), "claims": object{"reason": canary}}
		},
		rows: func(*world) []row {
			return join(badSubject(""), badStranger(), badClaims(), badTime(true), badWrite(), badKey(), []row{
				bad("nobody was informed", "invalid_argument", "informed_at", drop("informed_at")),
				bad("informed in the year 1", "invalid_argument", "informed_at", set("informed_at", "0001-01-01T00:00:00Z")),
				bad("informed in 1999", "invalid_argument", "informed_at", set("informed_at", "1999-12-31T23:59:59Z")),
				bad("informed tomorrow", "failed_precondition", "informed", set("informed_at", ahead(1))),
			})
		},
	},
	evidence + "CorrectEntry": {
		good: func(w *world) object { return object{"index": w.asker.id, "claims": object{"reason": canary}} },
		rows: func(*world) []row {
			return join(badNumber("index"), badReasoned(), badAttachments(), badWrite(), badKey(), []row{
				bad("no reason", "invalid_argument", "claims.reason", drop("claims")),
				bad("a name where nobody is named", "failed_precondition", "stranger", set("index", 1),
					set("claims", object{"reason": canary, "name": canary})),
			})
		},
	},
	evidence + "NotifyRecipient": {
		good: func(w *world) object {
			return object{"index": w.ending, "processor": "mailer", "claims": object{"reference": canary}}
		},
		rows: func(*world) []row {
			return join(badNumber("index"), badRecipient(), badTime(true), badWrite(), badKey(), []row{
				bad("nobody", "invalid_argument", "claims.recipient", drop("processor")),
				bad("an unknown processor", "failed_precondition", "processor", set("processor", "postman")),
				bad("no processor's id", "invalid_argument", "processor", set("processor", canary+" ")),
			})
		},
	},
	evidence + "AcknowledgeRecipient": {
		good: func(w *world) object {
			return object{"notification_id": w.notified, "claims": object{"reference": canary}}
		},
		rows: func(w *world) []row {
			return join(badNumber("notification_id"), badRecipient(), badTime(true), badWrite(), badKey(), []row{
				bad("an entry that is no notification", "not_found", "notification_id", set("notification_id", w.ending)),
				bad("a notification that was answered", "not_found", "notification_id", set("notification_id", w.acknowledged)),
			})
		},
	},
	evidence + "ListRecipients": {
		good: func(w *world) object { return object{"index": w.ending} },
		rows: func(*world) []row { return badNumber("index") },
	},
	evidence + "ExportAccessReport": {good: wantsAll("json"), rows: badAccess},
	evidence + "GetAccessReport":    {good: wantsAll("csv"), rows: badAccess},
}

func wantsAll(format string) func(*world) object {
	return func(w *world) object { return object{"subject": w.asker.who, "format": format, "recipient": canary} }
}

func badAccess(w *world) []row {
	return join(badSubject(""), badKey(), []row{
		bad("no format", "invalid_argument", "format", drop("format")),
		bad("an unknown format", "invalid_argument", "format", set("format", canary)),
		bad("a format in capitals", "invalid_argument", "format", set("format", "CSV")),
		bad("oversized recipient", "invalid_argument", "recipient", set("recipient", strings.Repeat(canary, 7282))),
		bad("control characters in recipient", "invalid_argument", "recipient", set("recipient", canary+"\u0007")),
		bad("who was not verified", "failed_precondition", "identity", set("subject", w.open.who)),
	})
}

// badStep: what is said of a request.
func badStep(w *world) []row {
	return join(badNumber("request_id"), badReasoned(), badAttachments(), badTime(true), badWrite(), badKey(), []row{
		bad("an entry that is no request", "not_found", "request_id", set("request_id", w.ending)),
		bad("a request that was answered", "not_found", "request_id", set("request_id", w.done)),
		bad("a stranger's name", "failed_precondition", "stranger", set("request_id", w.strange),
			set("claims", object{"reference": canary, "name": canary})),
		bad("a letter to a stranger", "failed_precondition", "stranger", set("request_id", w.strange), set("claims", object{"reference": canary}),
			set("attachments", []object{{"name": "document", "media_type": "application/pdf", "bytes": []byte(canary)}})),
	})
}

// badReasoned is badClaims beside a reason, which has to be there.
func badReasoned() []row {
	rows := badClaims()
	for i, r := range rows {
		rows[i].change = func(req object) {
			r.change(req)
			req["claims"].(object)["reason"] = canary
		}
	}
	return rows
}

// badNumber: indexes of entries that are none.
func badNumber(field string) []row {
	return []row{
		bad("no number", "invalid_argument", field, drop(field)),
		bad("number 0", "invalid_argument", field, set(field, 0)),
		bad("a negative number", "invalid_argument", field, set(field, "-9223372036854775808")),
		bad("a number to come", "not_found", field, set(field, "9223372036854775807")),
	}
}

// badRecipient: what is said of a recipient, where nothing personal may stand.
func badRecipient() []row {
	return []row{
		bad("a person's name", "invalid_argument", "claims", set("claims", object{"name": canary})),
		bad("an unknown claim", "invalid_argument", "claims", set("claims", object{canary: "1"})),
		bad("empty reference", "invalid_argument", "claims.reference", set("claims", object{"reference": ""})),
		bad("oversized recipient", "invalid_argument", "claims.recipient", set("claims", object{"recipient": strings.Repeat(canary, 7282)})),
		bad("control characters in a recipient", "invalid_argument", "claims.recipient", set("claims", object{"recipient": canary + "\u001b[2J"})),
	}
}

// ahead is a time so many days from now.
func ahead(days int) string { return stamp(time.Now().UTC().AddDate(0, 0, days)) }
