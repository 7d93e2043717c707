package wire_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSeedInxmail: whoever downloads a whitepaper has not subscribed to a newsletter; the
// events that Inxmail hands over say who has; one subscriber switches tracking.
func TestSeedInxmail(t *testing.T) {
	x := &inxmail{seed: newSeed(t)}
	x.registry()
	x.whitepaper()
	x.namesAreKnown()
	x.subscribed()
	x.timedOut()
	x.entered()
	x.switches()
	x.ends(map[string]int64{"notice.published.tied": 1, "confirmation.failed.confirmed": 1}) // the bounce came after the click
}

// inxmail is the adapter. It pulls lists of events.
type inxmail struct {
	*seed
	open map[string]string // tokens of the requests that wait, by address
}

// inxmailNames are the types of events that its API knows.
type inxmailNames struct {
	Subscriptions, Unsubscriptions struct{ Successful, Failed []string }
}

// inxmailEvent is one of them.
type inxmailEvent struct {
	ID    int
	Type  string
	Email string
	Date  time.Time
}

func (x *inxmail) registry() {
	x.define([]object{
		{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true, "token_lifetime": "604800s"},
		{"id": "whitepaper", "title": "Zusendung eines Whitepapers", "bases": []string{"consent", "contract"}},
		{"id": "email.open_tracking", "title": "Öffnungen"},
	}, []object{
		{"id": "newsletter-de", "language": "de", "text": "Ja, ich möchte den Newsletter.", "purposes": []string{"newsletter"}, "checkbox_default": "unticked",
			"conditional_on": "none", "facts": object{"companies": []string{"Beispiel GmbH"}}},
		{"id": "whitepaper-de", "language": "de", "text": "Schickt mir das Whitepaper.", "purposes": []string{"whitepaper"}, "checkbox_default": "none"},
		{"id": "tracking-de", "language": "de", "text": "Ja, ihr dürft messen, was ich öffne.", "purposes": []string{"email.open_tracking"}},
	})
	x.open = map[string]string{}
}

// whitepaper: the download rests on what it is for, and grants nothing else. Words that
// give it only to subscribers are taken, and flagged.
func (x *inxmail) whitepaper() {
	who := object{"email": "pauline.leser@example.org"}
	x.knows("pauline.leser@example.org")
	download := object{"subject": who, "purposes": []string{"whitepaper"}, "channel": "email", "notice": "whitepaper-de@1", "method": "web_form"}
	x.do("ConsentService/GiveConsent", download)
	x.may(who, "whitepaper", "email", true, "given")
	x.may(who, "newsletter", "email", false, "no_consent")

	download["purposes"] = []string{"whitepaper", "newsletter"}
	x.refused("ConsentService/RequestConsent", download, "failed_precondition", "notice_coverage")
	x.may(who, "newsletter", "email", false, "no_consent")

	tied := x.do("AdminService/PublishNotice", object{"id": "tied-de", "language": "de", "text": "Das Whitepaper gibt es nur mit dem Newsletter.",
		"purposes": []string{"newsletter", "whitepaper"}, "checkbox_default": "unticked", "conditional_on": "service",
		"facts": object{"companies": []string{"Beispiel GmbH"}}})
	x.same("findings", tied["findings"], any([]any{"tied"}))
	listed := x.do("AdminService/ListNotices", object{})["notices"].([]any)
	at := slices.IndexFunc(listed, func(n any) bool { return n.(object)["notice"] == "tied-de@1" })
	x.same("and so it is listed", listed[at].(object)["findings"], any([]any{"tied"}))
}

// on is what the adapter makes of an event: the call that it made, "" for what changes
// nothing, and false for what it does not know, which it puts aside.
func (x *inxmail) on(e inxmailEvent) (call string, known bool) {
	who, at, key := object{"email": e.Email}, stamp(e.Date), fmt.Sprint("inxmail/", e.ID)
	switch {
	case e.Type == "PENDING_SUBSCRIPTION":
		req := question(who, "email", "web_form")
		req["occurred_at"], req["idempotency_key"] = at, key
		x.open[e.Email] = x.do("ConsentService/RequestConsent", req)["token"].(string)
		return "RequestConsent", true
	case e.Type == "VERIFIED_SUBSCRIPTION":
		x.do("ConsentService/ConfirmConsent", object{"token": x.open[e.Email], "click": "event", "occurred_at": at})
		return "ConfirmConsent", true
	case e.Type == "MANUAL_SUBSCRIPTION": // an operator typed it in: a mere claim
		x.do("ConsentService/BatchImportConsents", object{"items": []object{{"subject": who, "purpose": "newsletter", "channel": "email",
			"method": "import", "grade": "E", "occurred_at": at, "idempotency_key": key}}})
		return "BatchImportConsents", true
	case e.Type == "VERIFIED_UNSUBSCRIPTION", e.Type == "MANUAL_UNSUBSCRIPTION":
		x.do("ConsentService/WithdrawConsent", object{"subject": who, "channel": "email", "method": "link", "occurred_at": at, "idempotency_key": key})
		return "WithdrawConsent", true
	case e.Type == "BLACKLISTED":
		x.do("AdminService/AddSuppression", object{"subject": who, "idempotency_key": key})
		return "AddSuppression", true
	case e.Type == "SUBSCRIPTION_VERIFICATION_BOUNCED":
		ids := []any{x.newest(who)["consent_id"]}
		x.do("ConsentService/RecordConfirmationFailed", object{"consent_ids": ids, "failure": "permanent", "occurred_at": at, "idempotency_key": key})
		return "RecordConfirmationFailed", true
	}
	// A link that timed out is one that the ledger knows the end of. The other names say
	// that nothing happened, or repeat what did.
	quiet := []string{"_DONE", "_TIMED_OUT", "_ID_NOT_VALID", "_EMAIL_MISSMATCH", "_INTERNAL_ERROR", "INVALID_ADDRESS_ERROR", "UNSUBSCRIPTION_VERIFICATION_BOUNCED"}
	known = strings.HasPrefix(e.Type, "DUPLICATE_") || e.Type == "PENDING_UNSUBSCRIPTION" ||
		slices.ContainsFunc(quiet, func(end string) bool { return strings.HasSuffix(e.Type, end) })
	return "", known
}

// newest gives somebody's newest record.
func (x *inxmail) newest(who object) object {
	x.t.Helper()
	list := x.do("ConsentService/ListConsents", object{"subject": who})["consents"].([]any)
	return list[len(list)-1].(object)
}

// namesAreKnown: every name in the API's own lists leads to something, and what is not
// in them grants nothing.
func (x *inxmail) namesAreKnown() {
	names := payload[inxmailNames](x.t, "inxmail_events.json")
	all := slices.Concat(names.Subscriptions.Successful, names.Subscriptions.Failed, names.Unsubscriptions.Successful, names.Unsubscriptions.Failed)
	x.same("names", len(all), 22)
	address := "walk.through@example.org"
	x.knows(address)
	calls := map[string]int{}
	x.do("ConsentService/RequestConsent", question(object{"email": address}, "email", "web_form"))
	for i, name := range all {
		call, known := x.on(inxmailEvent{ID: 100 + i, Type: name, Email: address, Date: x.r.clock.now()})
		if !known {
			x.t.Errorf("%s is put aside", name)
		}
		calls[call]++
	}
	x.same("calls", calls, map[string]int{"RequestConsent": 1, "ConfirmConsent": 1, "BatchImportConsents": 1, "RecordConfirmationFailed": 1, "AddSuppression": 1,
		"WithdrawConsent": 2, "": 15})
	x.may(object{"email": address}, "newsletter", "email", false, "suppressed")
	if call, known := x.on(inxmailEvent{ID: 1, Type: "SUPER_SUBSCRIPTION", Email: "who@example.org", Date: x.r.clock.now()}); call != "" || known {
		x.t.Errorf("what is not known makes a %s", call)
	}
	x.may(object{"email": "who@example.org"}, "newsletter", "email", false, "unknown_subject")
}

// subscribed: the events come in one pull, after the fact, and twice. The ledger keeps
// Inxmail's times beside its own; an event is worth less than a button.
func (x *inxmail) subscribed() {
	began := x.r.clock.now().Add(-2 * time.Hour)
	address := "vera.leserin@example.org"
	x.knows(address)
	pull := []inxmailEvent{{201, "PENDING_SUBSCRIPTION", address, began}, {202, "PENDING_SUBSCRIPTION_DONE", address, began.Add(time.Second)},
		{203, "VERIFIED_SUBSCRIPTION", address, began.Add(20 * time.Minute)}}
	for _, e := range pull {
		x.on(e)
	}
	decided := x.may(object{"email": address}, "newsletter", "email", true, "confirmed")
	x.same("grade", decided["grade"], any("C"))
	size := x.r.size()
	for _, e := range pull {
		x.on(e)
	}
	x.same("the size after the same pull again", x.r.size(), size)
	history := x.do("EvidenceService/GetConsentHistory", object{"consent_id": decided["consent_id"]})["entries"].([]any)
	x.same("when it was confirmed", history[1].(object)["occurred_at"], any(stamp(pull[2].Date)))
}

// timedOut: whoever does not answer the mail has not subscribed.
func (x *inxmail) timedOut() {
	late := object{"email": "lotte.lesezeit@example.org"}
	x.knows("lotte.lesezeit@example.org")
	x.on(inxmailEvent{301, "PENDING_SUBSCRIPTION", "lotte.lesezeit@example.org", x.r.clock.now()})
	x.may(late, "newsletter", "email", false, "pending")
	x.r.clock.passes(8)
	x.on(inxmailEvent{302, "SUBSCRIPTION_TIMED_OUT", "lotte.lesezeit@example.org", x.r.clock.now()})
	x.may(late, "newsletter", "email", false, "lapsed")
	x.same("retention", x.retain(), map[string]any{"lapsed expire newsletter": "1"})
	x.same("state", x.newest(late)["state"], any("lapsed"))
	x.refused("ConsentService/ConfirmConsent", object{"token": x.open["lotte.lesezeit@example.org"]}, "failed_precondition", "token_expired")
}

// entered: what an operator typed in is a claim, and no double opt-in.
func (x *inxmail) entered() {
	x.knows("udo.umstand@example.org")
	x.on(inxmailEvent{401, "MANUAL_SUBSCRIPTION", "udo.umstand@example.org", x.r.clock.now()})
	x.same("grade", x.may(object{"email": "udo.umstand@example.org"}, "newsletter", "email", false, "double_opt_in_missing")["grade"], any("E"))
}

// switches: from personal to anonymous and back, whenever the subscriber likes.
func (x *inxmail) switches() {
	vera := object{"email": "vera.leserin@example.org"}
	x.tracked(vera, "email.open_tracking", "email", "none")
	x.do("ConsentService/GiveConsent", object{"subject": vera, "purposes": []string{"email.open_tracking"}, "channel": "email", "notice": "tracking-de@1",
		"method": "preference_centre"})
	x.tracked(vera, "email.open_tracking", "email", "personal")
	for _, mode := range []string{"anonymous", "pseudonymous", "none", "personal", "anonymous"} {
		changed := x.do("ConsentService/SetTrackingMode", object{"subject": vera, "purpose": "email.open_tracking", "mode": mode,
			"method": "preference_centre", "proof": "log"})
		x.receipt(changed["entry"].(object), "mode "+mode+"\n")
		x.tracked(vera, "email.open_tracking", "email", mode)
	}
	x.same("the newsletter", x.may(vera, "newsletter", "email", true, "confirmed")["tracking_mode"], any("anonymous"))
}
