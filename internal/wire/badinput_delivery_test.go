package wire_test

import (
	"crypto/sha256"
	"strings"
)

// badDeliveries: what becomes of confirmation mails.
var badDeliveries = map[string]badInput{
	app + "RecordConfirmationSent": {
		good: func(w *world) object {
			sum := sha256.Sum256([]byte(canary))
			return object{"consent_ids": []string{w.open.id}, "message_sha256": sum[:], "message": []byte(canary)}
		},
		rows: func(w *world) []row {
			sum := sha256.Sum256([]byte(canary))
			return join(badIDs(32), badTime(true), badWrite(), badKey(), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("ids of two requests", "invalid_argument", "consent_ids[1]", set("consent_ids", []string{w.open.id, w.other.id})),
				bad("no hash", "invalid_argument", "message_sha256", drop("message_sha256")),
				bad("31 bytes of hash", "invalid_argument", "message_sha256", set("message_sha256", sum[:31])),
				bad("33 bytes of hash", "invalid_argument", "message_sha256", set("message_sha256", append(sum[:], 0))),
				bad("hash in hex", "invalid_argument", "message_sha256", set("message_sha256", strings.Repeat("ab", 32))),
				bad("another message", "invalid_argument", "message_sha256", set("message", []byte(canary+"!"))),
				bad("empty message", "invalid_argument", "message", set("message", "")),
				bad("oversized message", "invalid_argument", "message", set("message", make([]byte, 10<<20+1))),
				bad("the caller's token in a message", "failed_precondition", "message", set("consent_ids", []string{w.locked.id})),
				bad("empty answer of the mail server", "invalid_argument", "mta_response", set("mta_response", "")),
				bad("oversized answer", "invalid_argument", "mta_response", set("mta_response", strings.Repeat(canary, 7282))),
				bad("answer with control characters", "invalid_argument", "mta_response", set("mta_response", canary+"\u0000")),
				bad("words that are no template", "failed_precondition", "notice_use", set("template", "newsletter-de@1")),
				bad("media type with a parameter", "invalid_argument", "media_type", set("media_type", "text/plain; charset="+canary)),
				bad("no media type", "invalid_argument", "media_type", set("media_type", canary)),
				bad("a mail to a telephone", "failed_precondition", "channel_proof", set("consent_ids", []string{w.called.id})),
			}, badVersion("template"))
		},
	},
	app + "ResendConfirmation": {
		good: func(w *world) object { return object{"consent_ids": []string{w.resent.id}} },
		rows: func(w *world) []row {
			return join(badIDs(32), badTime(true), badWrite(), badKey(), badLock(w), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("ids of two requests", "invalid_argument", "consent_ids[1]", set("consent_ids", []string{w.resent.id, w.other.id})),
				bad("no lock of a caller who draws", "failed_precondition", "lock", set("consent_ids", []string{w.locked.id})),
			})
		},
	},
	app + "AttachMessage": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.confirmed.id}, "message": []byte(canary)}
		},
		rows: func(w *world) []row {
			return join(badIDs(32), badWrite(), badKey(), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("ids of two requests", "invalid_argument", "consent_ids[1]", set("consent_ids", []string{w.confirmed.id, w.other.id})),
				bad("no message", "invalid_argument", "message", drop("message")),
				bad("oversized message", "invalid_argument", "message", set("message", make([]byte, 10<<20+1))),
				bad("another message", "failed_precondition", "message", set("message", []byte(canary+"!"))),
				bad("the caller's token before the click", "failed_precondition", "message", set("consent_ids", []string{w.locked.id})),
			})
		},
	},
	app + "RecordConfirmationFailed": {
		good: func(w *world) object {
			return object{"consent_ids": []string{w.resent.id}, "failure": "temporary", "mta_response": canary, "claims": object{"reference": canary}}
		},
		rows: func(w *world) []row {
			return join(badIDs(32), badClaims(), badTime(true), badWrite(), badKey(), []row{
				bad("no ids", "invalid_argument", "consent_ids", drop("consent_ids")),
				bad("ids of two requests", "invalid_argument", "consent_ids[1]", set("consent_ids", []string{w.resent.id, w.other.id})),
				bad("no failure", "invalid_argument", "failure", drop("failure")),
				bad("unknown failure", "invalid_argument", "failure", set("failure", canary)),
				bad("failure in capitals", "invalid_argument", "failure", set("failure", "PERMANENT")),
				bad("empty answer of the mail server", "invalid_argument", "mta_response", set("mta_response", "")),
				bad("oversized answer", "invalid_argument", "mta_response", set("mta_response", strings.Repeat(canary, 7282))),
				bad("answer with control characters", "invalid_argument", "mta_response", set("mta_response", canary+"\u0000")),
			})
		},
	},
	app + "RecordConfirmationOpened": {
		good: func(w *world) object {
			return object{"token": w.resent.token, "claims": object{"user_agent": canary}, "signals": []string{"honeypot"}}
		},
		rows: func(w *world) []row {
			byID := []func(object){drop("token"), set("consent_ids", []string{w.resent.id})}
			return join(first(badIDs(32), byID...), badClaims(), badTime(true), badWrite(), badKey(), badSignals(), []row{
				bad("nothing", "invalid_argument", "consent_ids", drop("token")),
				bad("ids and a token", "invalid_argument", "consent_ids", set("consent_ids", []string{w.resent.id})),
				bad("ids of two requests", "invalid_argument", "consent_ids[1]", drop("token"), set("consent_ids", []string{w.resent.id, w.other.id})),
				bad("short token", "invalid_argument", "token", set("token", canary)),
				bad("unknown token", "not_found", "token", set("token", newToken())),
			})
		},
	},
}

// badSignals: what nobody can have seen of a scanner.
func badSignals() []row {
	return []row{
		bad("unknown signal", "invalid_argument", "signals[1]", set("signals", []string{"honeypot", canary})),
		bad("a signal twice", "invalid_argument", "signals[1]", set("signals", []string{"honeypot", "honeypot"})),
	}
}

// badLock: locks that are none, or that any request ever had.
func badLock(w *world) []row {
	return []row{
		bad("empty lock", "invalid_argument", "lock", set("lock", "")),
		bad("31 bytes of lock", "invalid_argument", "lock", set("lock", w.lock[:31])),
		bad("33 bytes of lock", "invalid_argument", "lock", set("lock", append(w.lock[:], 0))),
		bad("text for a lock", "invalid_argument", "lock", set("lock", []byte((canary + canary + canary + canary)[:32]))),
		bad("text and zeros for a lock", "invalid_argument", "lock", set("lock", append([]byte(canary), make([]byte, 23)...))),
		bad("lock of an open request", "failed_precondition", "lock_used", set("lock", w.lock[:])),
		bad("lock of an expired request", "failed_precondition", "lock_used", set("lock", lockOf(w.expired.token))),
		bad("lock of a rejected request", "failed_precondition", "lock_used", set("lock", lockOf(w.rejected.token))),
		bad("lock of a withdrawn request", "failed_precondition", "lock_used", set("lock", lockOf(w.withdrawn.token))),
		bad("lock of a confirmed request", "failed_precondition", "lock_used", set("lock", w.confirmedLock[:])),
	}
}
