package wire_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSeedMautic: a campaign whose addresses are cut off, whose people confirm by a
// double opt-in, and whose leavers are cleaned up after 30 days. Mautic calls the
// adapter by webhooks.
func TestSeedMautic(t *testing.T) {
	m := &mautic{seed: newSeed(t)}
	m.registry()
	id, token := m.submitted()
	m.confirmed(id, token)
	m.onlyWhatWasAgreed()
	m.bounced(id)
	m.barred()
	m.unsubscribed(id)
	m.cleanedUp(id)
	m.ends(map[string]int64{})
}

// mautic is the adapter.
type mautic struct {
	*seed
	erika object
}

// mauticEvents is the body of a webhook: events by their type.
type mauticEvents map[string][]json.RawMessage

type mauticContact struct {
	ID     int
	Fields struct {
		Core map[string]struct{ Value string }
	}
	DoNotContact []mauticDNC
}

// mauticDNC is one row of "do not contact". Reasons: 0 contactable, 1 unsubscribed, 2
// bounced, 3 set by an operator.
type mauticDNC struct {
	ID, Reason int
	Channel    string
}

type mauticSubmission struct {
	Submission struct {
		ID        int
		IPAddress struct{ IPAddress string }
		Form      struct {
			ID    int
			Alias string
		}
		Lead          mauticContact
		TrackingID    string
		DateSubmitted time.Time
		Referer       string
		Results       map[string]string
	}
}

type mauticChange struct {
	Contact   mauticContact
	Channel   string
	OldStatus string `json:"old_status"`
	NewStatus string `json:"new_status"`
	Timestamp time.Time
}

// event gives the only event of a webhook of one type, and its bytes.
func event[T any](t *testing.T, name, kind string) (e T, raw []byte) {
	t.Helper()
	events := payload[mauticEvents](t, name)
	if len(events) != 1 || len(events[kind]) != 1 {
		t.Fatalf("%s holds no single %s", name, kind)
	}
	raw = events[kind][0]
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	return e, raw
}

func (m *mautic) registry() {
	m.define([]object{
		{"id": "newsletter", "title": "Kampagne", "marketing": true, "double_opt_in": true, "ip_policy": "truncated", "lock_days": 30, "lapsed_days": 30,
			"unused_days": 365, "unused_measure": "expire"},
		{"id": "email.open_tracking", "title": "Öffnungen", "tracking_mode": "anonymous"},
		{"id": "email.click_tracking", "title": "Klicks"},
		{"id": "web.tracking", "title": "Seitenaufrufe und Cookies"},
	}, []object{
		{"id": "newsletter-de", "language": "de", "text": "Ja, ich möchte Werbung der Beispiel GmbH per E-Mail.", "purposes": []string{"newsletter"},
			"checkbox_default": "unticked", "facts": object{"companies": []string{"Beispiel GmbH"}, "retention": "30 Tage nach der Abmeldung"}},
		{"id": "confirm-de", "language": "de", "text": "Bitte bestätigen: {confirm_link}", "purposes": []string{"newsletter"}, "use": "mail",
			"facts": object{"advertising_free": true}},
		{"id": "tracking-de", "language": "de", "text": "Ja, die Beispiel GmbH darf messen, was ich öffne und anklicke.",
			"purposes": []string{"email.open_tracking", "email.click_tracking", "web.tracking"}},
		{"id": "privacy-de", "language": "de", "text": "Was wir mit Mautic messen, und wie man es abstellt.", "use": "privacy",
			"purposes": []string{"email.open_tracking", "email.click_tracking", "web.tracking"}},
	})
}

// onSubmit is what the adapter makes of a form that somebody sent off: nothing but a
// request, whose purposes are the boxes that were ticked.
func (m *mautic) onSubmit(e mauticSubmission, raw []byte) object {
	var purposes []string
	for box, value := range e.Submission.Results {
		if purpose, ok := strings.CutPrefix(box, "optin_"); ok && value == "1" {
			purposes = append(purposes, purpose)
		}
	}
	return object{
		"subject": object{"email": e.Submission.Results["email"]}, "purposes": purposes, "channel": "email", "notice": "newsletter-de@1",
		"method": "web_form", "occurred_at": stamp(e.Submission.DateSubmitted),
		"claims": object{"ip": e.Submission.IPAddress.IPAddress, "page_url": e.Submission.Referer, "session": e.Submission.TrackingID,
			"form": fmt.Sprint(e.Submission.Form.ID, " ", e.Submission.Form.Alias)},
		"attachments":     []object{{"name": "form_snapshot", "file_name": "webhook.json", "media_type": "application/json", "bytes": raw}},
		"idempotency_key": fmt.Sprint("mautic/form_on_submit/", e.Submission.ID),
	}
}

// submitted: the webhook comes twice and is recorded once; of the address of the
// visitor's computer the network is kept.
func (m *mautic) submitted() (id any, token string) {
	e, raw := event[mauticSubmission](m.t, "mautic_form_on_submit.json", "mautic.form_on_submit")
	m.erika = object{"email": e.Submission.Results["email"]}
	m.knows(e.Submission.Results["email"], e.Submission.IPAddress.IPAddress, e.Submission.TrackingID, e.Submission.Referer)
	asked := m.do("ConsentService/RequestConsent", m.onSubmit(e, raw))
	size := m.r.size()
	again := m.do("ConsentService/RequestConsent", m.onSubmit(e, raw))
	m.same("the webhook again", again["token"], asked["token"])
	m.same("the size after the webhook again", m.r.size(), size)
	id, token = m.one(asked)["consent_id"], asked["token"].(string)
	m.same("purpose", m.one(asked)["purpose"], any("newsletter"))
	m.may(m.erika, "newsletter", "email", false, "pending")
	m.same("what is kept of the address", m.disclosed(id, "ip"), any("203.0.113.0/24"))
	m.do("ConsentService/LinkSubject", object{"subject": m.erika, "add": object{"external_id": fmt.Sprint("mautic-contact-", e.Submission.Lead.ID)}})

	mail := []byte("Subject: Bitte bestätigen\r\n\r\nhttps://www.example.org/confirm#" + token)
	sum := sha256.Sum256(mail)
	sent := m.do("ConsentService/RecordConfirmationSent", object{"consent_ids": []any{id}, "message_sha256": sum[:], "message": mail,
		"template": "confirm-de@1", "mta_response": "250 2.0.0 Ok", "occurred_at": ago(time.Minute)})
	m.same("irregular", sent["irregular"], any([]any{}))
	return id, token
}

// confirmed: the browser says that it does not want to be tracked. That is recorded for
// what it means, and the click counts all the same.
func (m *mautic) confirmed(id any, token string) {
	click := httptest.NewRequest(http.MethodPost, "https://www.example.org/confirm", nil)
	click.Header.Set("Sec-GPC", "1")
	click.Header.Set("User-Agent", "Mozilla/5.0")
	click.RemoteAddr = "198.51.100.23:50000"
	m.knows("198.51.100.23")
	m.tracked(m.erika, "email.open_tracking", "email", "anonymous")
	done := m.onClick(click, token)
	m.same("the consent", m.one(done)["consent_id"], id)
	m.same("its state", m.one(done)["state"], any("confirmed"))
	m.same("its grade", m.one(done)["grade"], any("A"))
	m.may(m.erika, "newsletter", "email", true, "confirmed")
	for purpose, channel := range map[string]string{"email.open_tracking": "email", "email.click_tracking": "email", "web.tracking": "web"} {
		m.tracked(m.erika, purpose, channel, "none")
	}
}

// onClick is what the adapter makes of the button on the page behind the link.
func (m *mautic) onClick(r *http.Request, token string) object {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		m.t.Fatal(err)
	}
	claims := object{"ip": host, "user_agent": r.UserAgent()}
	done := m.do("ConsentService/ConfirmConsent", object{"token": token, "click": "button", "claims": claims, "occurred_at": ago(0)})
	if value := r.Header.Get("Sec-GPC"); value != "" {
		signal := m.do("ConsentService/RecordSignal", object{"subject": m.erika, "signal": "gpc", "value": value, "claims": claims, "proof": "log"})
		m.same("the signal says", signal["says"], any("no"))
		m.receipt(signal["entry"].(object), "signal gpc\nsays no\n")
	}
	return done
}

// onlyWhatWasAgreed: one cookie is agreed to, by a click of its own, and nothing else.
// A browser's setting does not block what the person says expressly.
func (m *mautic) onlyWhatWasAgreed() {
	m.do("ConsentService/GiveConsent", object{"subject": m.erika, "purposes": []string{"email.click_tracking"}, "channel": "email",
		"notice": "tracking-de@1", "method": "preference_centre"})
	m.may(m.erika, "email.click_tracking", "email", true, "given")
	m.do("ConsentService/RefuseConsent", object{"subject": m.erika, "purposes": []string{"web.tracking"}, "channel": "web", "notice": "tracking-de@1", "method": "web_form"})
	m.may(m.erika, "web.tracking", "web", false, "refused")
	m.tracked(m.erika, "web.tracking", "web", "none")
	m.same("a stranger's cookies", m.may(object{"email": "otto@example.org"}, "web.tracking", "web", false, "unknown_subject")["tracking_mode"], any("none"))
}

// bounced: Mautic does not write to an address that bounced. That is no withdrawal, and
// the next campaign is used as allowed.
func (m *mautic) bounced(id any) {
	rows := payload[mauticContact](m.t, "mautic_dnc_api.json").DoNotContact
	m.same("reason", rows[0].Reason, 2)
	m.same("calls for a bounce", m.onStatus(mauticStatus[rows[0].Reason], m.erika, time.Time{}), "")
	for _, status := range []string{"contactable", "invented"} {
		m.same("calls for "+status, m.onStatus(status, m.erika, time.Time{}), "")
	}
	m.may(m.erika, "newsletter", "email", true, "confirmed")
	used := m.do("ConsentService/RecordUses", object{"reference": "campaign 12", "consent_ids": []any{id}})
	m.same("irregular", used["irregular"], any([]any{}))
}

var mauticStatus = map[int]string{0: "contactable", 1: "unsubscribed", 2: "bounced", 3: "manual"}

// onStatus makes the call for a contact's new status, and names it. Contactable grants
// nothing, and what is not known neither.
func (m *mautic) onStatus(status string, who object, at time.Time) string {
	switch status {
	case "unsubscribed":
		m.do("ConsentService/WithdrawConsent", object{"subject": who, "channel": "email", "method": "link", "occurred_at": stamp(at)})
		return "WithdrawConsent"
	case "manual":
		m.do("AdminService/RevokeConsents", object{"consent_ids": m.consents(who), "cause": "other", "claims": object{"operator": "Mautic"},
			"occurred_at": stamp(at)})
		return "RevokeConsents"
	}
	return ""
}

// barred: an operator of Mautic takes somebody off. That is the company's doing, and not
// said to be the person's.
func (m *mautic) barred() {
	ulla := m.signUp(m.address("ulla"), "email").who
	m.may(ulla, "newsletter", "email", true, "confirmed")
	m.same("a call", m.onStatus(mauticStatus[3], ulla, time.Now()), "RevokeConsents")
	m.may(ulla, "newsletter", "email", false, "revoked")
	m.do("ConsentService/EraseSubject", shred(ulla))
}

// unsubscribed: the webhook ends the consent at once, and Mautic says when it had taken
// effect there.
func (m *mautic) unsubscribed(id any) {
	e, _ := event[mauticChange](m.t, "mautic_channel_subscription_changed.json", "mautic.lead_channel_subscription_changed")
	m.same("the contact", e.Contact.Fields.Core["email"].Value, m.erika["email"].(string))
	m.same("the channel", e.Channel, "email")
	m.same("the status before", e.OldStatus, "contactable")
	m.same("a call", m.onStatus(e.NewStatus, m.erika, e.Timestamp), "WithdrawConsent")
	m.may(m.erika, "newsletter", "email", false, "withdrawn")
	effected := m.do("ConsentService/RecordWithdrawalEffected", object{"consent_ids": []any{id}, "system": "the-app",
		"at": stamp(e.Timestamp.Add(90 * time.Second))})
	delay := effected["delays"].([]any)[0].(object)
	m.same("whose", delay["consent_id"], id)
	m.same("the delay", delay["delay"], any("90s"))
}

// cleanedUp: whoever left is gone after 30 days, so is who never confirmed, and whom
// nobody wrote to for a year has to be asked anew. What
// proves that the campaign was allowed stays for the lawyers, until its time is over.
func (m *mautic) cleanedUp(id any) {
	otto := object{"email": "otto@example.org"}
	m.knows("otto@example.org")
	nora := m.signUp(m.address("nora"), "email").who
	e, raw := event[mauticSubmission](m.t, "mautic_form_on_submit.json", "mautic.form_on_submit")
	e.Submission.ID, e.Submission.Results["email"] = 8, "otto@example.org"
	m.do("ConsentService/RequestConsent", m.onSubmit(e, raw))
	m.same("on the same day", m.retain(), map[string]any{})
	m.r.clock.passes(8)
	m.same("after a week", m.retain(), map[string]any{"lapsed expire newsletter": "1"})
	m.may(otto, "newsletter", "email", false, "lapsed")
	m.may(m.erika, "newsletter", "email", false, "withdrawn")
	m.r.clock.passes(22)
	m.same("after thirty days", m.retain(), map[string]any{"withdrawn lock newsletter": "1"})
	m.may(m.erika, "newsletter", "email", false, "no_consent")
	m.same("what the lawyers see", m.overlays(id), any([]any{"locked"}))
	m.r.clock.passes(8)
	m.same("thirty days after the link expired", m.retain(), map[string]any{"lapsed shred newsletter": "1"})
	m.may(otto, "newsletter", "email", false, "unknown_subject")
	m.rekeys()

	gone, _ := event[struct{ Contact mauticContact }](m.t, "mautic_lead_post_delete.json", "mautic.lead_post_delete")
	left := m.do("ConsentService/EraseSubject", object{"subject": object{"email": gone.Contact.Fields.Core["email"].Value}, "reason": "other", "mode": "lock_then_shred"})
	m.same("choices of tracking that were left", left["consents_erased"], any("5"))
	m.may(m.erika, "newsletter", "email", false, "unknown_subject")
	m.same("and the evidence stays", m.overlays(id), any([]any{"locked"}))
	m.r.clock.passes(366)
	m.same("after a year without a mail", m.retain(), map[string]any{"unused expire newsletter": "1"})
	m.may(nora, "newsletter", "email", false, "expired")
	m.do("ConsentService/EraseSubject", shred(nora))
	m.r.clock.passes(3 * 366)
	m.same("after the evidence's time", m.retain(), map[string]any{"evidence shred newsletter": "1", "evidence shred web.tracking": "2",
		"evidence shred email.click_tracking": "2", "evidence shred email.open_tracking": "1"})
	m.same("nothing is left", len(m.records(m.erika)), 0)
	m.rekeys()
}

// overlays gives what lies over one consent, as the legal role sees it.
func (m *mautic) overlays(id any) any {
	m.t.Helper()
	for _, r := range m.records(m.erika) {
		if c := r["consent"].(object); c["consent_id"] == id {
			return c["overlays"]
		}
	}
	return nil
}
