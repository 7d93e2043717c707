package wire_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// field is one field of a complete double opt-in proof, and where it is.
type field struct {
	field, place string
	found        func(p *proof) string
	want         func(rec *recorded) string
}

func is(want string) func(*recorded) string { return func(*recorded) string { return want } }

// onLine is a field on a line of the newest entry of a kind.
func onLine(name, kind, line string, want func(*recorded) string) field {
	return field{name, "line " + line + " of " + kind, func(p *proof) string { return p.line(kind, line) }, want}
}

// inClaim is a field in a claim that an entry of a kind commits to.
func inClaim(name, kind, claim string, want func(*recorded) string) field {
	return field{name, "claim " + claim + " of " + kind, func(p *proof) string { return p.claim(kind, claim) }, want}
}

// inFact is a field among the facts of the wording.
func inFact(name, fact string, want string) field {
	return field{name, "fact " + fact + " of the notice", func(p *proof) string { return p.fact("newsletter-de@1", fact) }, is(want)}
}

// inMail is a field in the header of the raw message.
func inMail(name, header, want string) field {
	return field{name, "header " + header + " of the raw message", func(p *proof) string { return p.mail.Header.Get(header) }, is(want)}
}

// inHistory is a field of an entry of the history.
func inHistory(name, kind, member string, want func(*recorded) string) field {
	return field{name, member + " of " + kind, func(p *proof) string { return p.member(kind, member) }, want}
}

// ofConsent is a field of the consent as it is now.
func ofConsent(name, member, want string) field {
	return field{name, member + " of the consent", func(p *proof) string { return fmt.Sprint(p.history["consent"].(object)[member]) }, is(want)}
}

// contains compares a part of what is found.
func contains(f field, part string) field {
	whole := f.found
	f.found = func(p *proof) string {
		if strings.Contains(whole(p), part) {
			return part
		}
		return whole(p)
	}
	f.want = is(part)
	return f
}

// fields are the fields of a complete proof: what courts asked for, and what of a log
// shows that it was not made up later.
var fields = []field{
	// The request.
	{"request id", "consent_id, the index of consent.requested",
		func(p *proof) string { return p.line("consent.requested", "index") }, func(rec *recorded) string { return rec.id }},
	onLine("received, by the ledger's clock", "consent.requested", "time", func(rec *recorded) string { return timeOf(rec.askedEntry) }),
	inHistory("received, by the source's clock", "consent.requested", "occurred_at", func(rec *recorded) string { return stamp(rec.asked) }),
	onLine("channel", "consent.requested", "channel", is("email")),
	inClaim("form and version", "consent.requested", "form", func(rec *recorded) string { return rec.form }),
	inClaim("page URL", "consent.requested", "page_url", func(rec *recorded) string { return rec.page }),
	inClaim("referrer", "consent.requested", "referrer", is("https://search.example/")),
	contains(inClaim("form as shown, its hash", "consent.requested", "form_snapshot", nil), hexSum("<form>…</form>")),
	{"form as shown", "bytes of the claim form_snapshot", func(p *proof) string {
		return fmt.Sprint(p.values["consent.requested"]["form_snapshot"][0]["bytes"])
	}, is(base64.StdEncoding.EncodeToString([]byte("<form>…</form>")))},
	{"checkbox texts verbatim", "text of the notice", func(p *proof) string { return fmt.Sprint(p.notices["newsletter-de@1"]["text"]) }, is(wordingText)},
	{"checkbox default", "checkbox_default of the notice",
		func(p *proof) string { return fmt.Sprint(p.notices["newsletter-de@1"]["checkbox_default"]) }, is("unticked")},
	inClaim("checkbox as left", "consent.requested", "checkbox_state", is("ticked by the person")),
	{"conditional on", "conditional_on of the notice", func(p *proof) string { return fmt.Sprint(p.notices["newsletter-de@1"]["conditional_on"]) }, is("none")},
	inClaim("language of the form", "consent.requested", "language", is("de-DE")),
	{"language of the notice", "language of the notice", func(p *proof) string { return fmt.Sprint(p.notices["newsletter-de@1"]["language"]) }, is("de")},
	onLine("notice, version and hash", "consent.requested", "notice", func(rec *recorded) string { return rec.wording + " " + base64Sum(wordingText) }),
	inFact("controller, name and address", "controller", "Shop GmbH, Hauptstr. 1, 10115 Berlin"),
	inFact("companies covered", "companies", "[Shop GmbH]"),
	inFact("products covered", "products", "[Tee]"),
	inFact("contents promised", "contents", "Angebote und Rezepte"),
	inFact("frequency promised", "frequency", "einmal im Monat"),
	{"names of the submitted fields", "claims of consent.requested",
		func(p *proof) string { return fmt.Sprint(namesOf(p.entries["consent.requested"][0]["claims"])) }, is("[captcha checkbox_state email form form_snapshot ip language name origin page_url referrer session typed user_agent]")},
	inClaim("address as typed", "consent.requested", "typed", func(rec *recorded) string { return rec.typed }),
	inClaim("address, normalised", "consent.requested", "email", func(rec *recorded) string { return rec.who["email"].(string) }),
	inClaim("IP address", "consent.requested", "ip", is("192.0.2.0/24")),
	onLine("IP policy", "consent.requested", "ip_policy", is("truncated")),
	contains(inClaim("IP class", "confirmation.opened", "scanner", nil), "datacentre"),
	inClaim("user agent", "consent.requested", "user_agent", is("Firefox/150")),
	inClaim("session", "consent.requested", "session", is("s-17")),
	inClaim("captcha", "consent.requested", "captcha", is("passed")),
	inClaim("campaign", "consent.requested", "origin", is("campaign spring")),
	onLine("actor: how", "consent.requested", "method", is("web_form")),
	inHistory("actor: which system", "consent.requested", "source", is("the-app")),
	onLine("age", "consent.requested", "age", is("old_enough")),
	onLine("explicit", "consent.requested", "explicit", is("yes")),

	// The confirmation mail.
	inMail("message id", "Message-ID", "<17@shop.example>"),
	inHistory("sent", "confirmation.sent", "occurred_at", func(rec *recorded) string { return stamp(rec.sent) }),
	inMail("from", "From", "Shop <news@shop.example>"),
	{"to", "header To of the raw message", func(p *proof) string { return p.mail.Header.Get("To") }, func(rec *recorded) string { return rec.typed }},
	inMail("subject", "Subject", "Bitte bestaetigen"),
	onLine("template and version", "confirmation.sent", "notice", func(rec *recorded) string { return rec.template + " " + base64Sum(mailText) }),
	{"template's words", "text of the template", func(p *proof) string { return fmt.Sprint(p.notices["confirm-de@1"]["text"]) }, is(mailText)},
	{"hash of the raw message", "claim message of confirmation.sent", func(p *proof) string {
		_, value, _ := strings.Cut(p.claim("confirmation.sent", "message"), `"sha256":"`)
		return strings.TrimSuffix(value, `"}`)
	}, func(rec *recorded) string { return hexSum(rec.message) }},
	contains(inMail("DKIM domain", "DKIM-Signature", ""), "d=shop.example;"),
	contains(inMail("DKIM selector", "DKIM-Signature", ""), "s=mail2026;"),
	{"rendered text", "body of the raw message", func(p *proof) string { return strings.TrimSpace(p.body) }, func(rec *recorded) string {
		return "Bitte bestätigen Sie Ihre Anmeldung zum Newsletter: https://shop.example/c#" + rec.token
	}},
	onLine("hash of the link's token", "confirmation.resent", "lock", func(rec *recorded) string { return base64Sum(rec.token) }),
	{"end of the link", "line expires of confirmation.resent",
		func(p *proof) string { return fmt.Sprint(len(p.line("confirmation.resent", "expires"))) }, is(fmt.Sprint(len("2026-11-28T22:36:10Z")))},
	{"free of advertising", "fact advertising_free of the template", func(p *proof) string { return p.fact("confirm-de@1", "advertising_free") }, is("true")},
	inClaim("answer of the mail server", "confirmation.sent", "mta_response", is("250 2.0.0 Ok: queued as 4711 by mx.example.org")),
	onLine("bounce", "confirmation.failed", "failure", is("temporary")),
	inClaim("bounce: what the mail server said", "confirmation.failed", "mta_response", is("450 4.2.2 mailbox full")),
	inHistory("bounce: when", "confirmation.failed", "occurred_at", func(rec *recorded) string { return stamp(rec.bounced) }),

	// The confirmation.
	inHistory("page opened", "confirmation.opened", "occurred_at", func(rec *recorded) string { return stamp(rec.opened) }),
	inHistory("confirmed", "consent.confirmed", "occurred_at", func(rec *recorded) string { return stamp(rec.clicked) }),
	inClaim("IP address of the click", "consent.confirmed", "ip", is("192.0.2.0/24")),
	inClaim("user agent of the click", "consent.confirmed", "user_agent", is("Firefox/150")),
	onLine("how it was clicked", "consent.confirmed", "click", is("button")),
	{"time since the mail", "since_sent of the history", func(p *proof) string { return fmt.Sprint(p.history["since_sent"]) },
		func(rec *recorded) string { return rec.sinceSent }},
	inClaim("challenge passed", "consent.confirmed", "captcha", is("passed")),
	onLine("token, used once", "consent.confirmed", "token", func(rec *recorded) string { return rec.token }),
	onLine("superseded token", "confirmation.resent", "former", func(rec *recorded) string { return base64Sum(rec.first) }),
	inClaim("scanner: verdict and signals", "confirmation.opened", "scanner", is("datacentre every_link")),
	inClaim("version of the page shown", "consent.confirmed", "form", is("confirm-page@3")),

	// The result.
	ofConsent("purpose granted", "purpose", "newsletter"),
	ofConsent("channel granted", "channel", "email"),
	ofConsent("state", "state", "withdrawn"),
	ofConsent("grade", "grade", "A"),
	{"receipt's id", "leaf hash of consent.confirmed", func(p *proof) string {
		return fmt.Sprint(p.entries["consent.confirmed"][0]["entry"].(object)["leaf_hash"])
	}, func(rec *recorded) string { return rec.clickedEntry["leaf_hash"].(string) }},
	{"receipt delivered", "consent.used of the mail that brought it", func(p *proof) string { return usedAt(p, "receipt 17") },
		func(rec *recorded) string { return stamp(rec.thanked) }},

	// Later.
	{"use: campaign and day", "reference and occurred_at of consent.used", func(p *proof) string { return usedAt(p, "campaign 2026-11") },
		func(rec *recorded) string { return stamp(rec.used) }},
	inHistory("renewal", "consent.renewed", "occurred_at", func(rec *recorded) string { return stamp(rec.renewed) }),
	onLine("renewal: how", "consent.renewed", "method", is("preference_centre")),
	inHistory("withdrawal", "consent.withdrawn", "occurred_at", func(rec *recorded) string { return stamp(rec.withdrawn) }),
	onLine("withdrawal: how", "consent.withdrawn", "method", is("email_reply")),
	inClaim("withdrawal: its words", "consent.withdrawn", "reason", is("Bitte keine Mails mehr.")),
	onLine("withdrawal: system in which it took effect", "withdrawal.effected", "system", is("mailer")),
	inHistory("withdrawal: when it took effect there", "withdrawal.effected", "occurred_at", func(rec *recorded) string { return stamp(rec.effected) }),
	{"withdrawal: delay", "delays of RecordWithdrawalEffected", func(*proof) string { return "120s" }, func(rec *recorded) string { return rec.delay }},
	{"recipients of the data", "processor of ListRecipients", func(p *proof) string { return fmt.Sprint(p.told[0]["processor"]) }, is("mailer")},
	{"uses by them", "uses of ListRecipients", func(p *proof) string { return fmt.Sprint(p.told[0]["uses"]) }, is("2")},
	{"recipients told", "acknowledgement of ListRecipients", func(p *proof) string {
		return fmt.Sprint(p.told[0]["notification_id"] != nil && p.told[0]["acknowledgement"] != nil)
	}, is("true")},

	// The chain.
	{"tenant", "origin in the receipt's checkpoint", func(p *proof) string {
		return strings.Split(checkpointOf(p), "\n")[0]
	}, is(origin)},
	onLine("number", "consent.requested", "index", func(rec *recorded) string { return rec.id }),
	{"hash of the entry before", "line prev", func(p *proof) string { return p.line("consent.requested", "prev") },
		func(rec *recorded) string { return lineOf(rec.askedEntry, "prev") }},
	{"hash of the entry", "leaf_hash", func(p *proof) string {
		return fmt.Sprint(p.entries["consent.requested"][0]["entry"].(object)["leaf_hash"])
	}, func(rec *recorded) string { return rec.askedEntry["leaf_hash"].(string) }},
	{"signatures with key ids, of both keys", "lines of the receipt's checkpoint", func(p *proof) string {
		return fmt.Sprint(strings.Count(checkpointOf(p), "\n\u2014 "+origin+" "))
	}, is("2")},
	{"external time stamp", "line size of checkpoint.anchored, which the auditor reads", func(p *proof) string {
		return lineOf(object{"text": p.stamped}, "size")
	}, func(rec *recorded) string { return fmt.Sprint(rec.stamped["size"]) }},
	{"when it was stamped, by the authority's clock", "line stamped of checkpoint.anchored", func(p *proof) string {
		at, err := time.Parse(time.RFC3339, lineOf(object{"text": p.stamped}, "stamped"))
		return fmt.Sprint(err == nil && time.Since(at) < time.Minute, at.Nanosecond()%1000)
	}, is("true 0")},
}

// checkpointOf gives the checkpoint of the request's receipt.
func checkpointOf(p *proof) string {
	_, checkpoint, _ := strings.Cut(p.entries["consent.requested"][0]["entry"].(object)["receipt"].(string), "\n\n")
	return checkpoint
}

// usedAt gives when a consent was used under a reference.
func usedAt(p *proof, reference string) string {
	for i, d := range p.values["consent.used"]["reference"] {
		if d["value"] == reference {
			return fmt.Sprint(p.entries["consent.used"][i]["occurred_at"])
		}
	}
	return ""
}

// lineOf gives the value of a line of an entry of an answer.
func lineOf(entry object, name string) string {
	_, rest, _ := strings.Cut(entry["text"].(string), "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

func timeOf(entry object) string { return lineOf(entry, "time") }
