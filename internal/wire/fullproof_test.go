package wire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/tlog"
)

// TestFullProof records a double opt-in with everything that belongs to a complete
// proof of one, reads it back with the legal role's two methods, and looks for each
// field at its place.
func TestFullProof(t *testing.T) {
	t.Parallel()
	r := create(t)
	r.authorities = []tlog.Authority{trusted(testauthority.New(t, testauthority.Options{}))}
	r.serve()
	s := &story{t, r, r.callJSON}
	rec := s.recordFully()
	p := s.readBack(rec)
	for _, f := range fields {
		got, want := f.found(p), f.want(rec)
		if got != want {
			t.Errorf("%s, %s: %q, want %q", f.field, f.place, got, want)
		}
		if want == "" {
			t.Errorf("%s: nothing is wanted", f.field)
		}
	}
	s.lapsed()
	s.erasedProof(rec)
}

// recorded is what was told while the proof was recorded, to be found again.
type recorded struct {
	id, token, first                      string
	asked, sent, bounced, opened, clicked time.Time
	thanked, used, renewed, withdrawn     time.Time
	effected                              time.Time
	delay                                 string
	typed, form, page, message            string
	wording, template                     string
	askedEntry, clickedEntry              object // entries of answers
	sinceSent                             string
	who                                   object
	stamped                               object // what an authority has stamped, by the answer
}

const (
	wordingText = "Ja, ich möchte den Newsletter der Shop GmbH über Tee, einmal im Monat. Widerruf jederzeit."
	mailText    = "Bitte bestätigen Sie Ihre Anmeldung zum Newsletter: {link}"
)

// namesOf gives the names of the claims of an entry of a history.
func namesOf(claims any) (names []string) {
	for _, c := range claims.([]any) {
		names = append(names, c.(object)["claim"].(string))
	}
	return names
}

// stamp is a time as the API writes it.
// stamp is a time as the API writes it.
func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// rawMail is a message as it was handed to the mail server.
func rawMail(to, token string) []byte {
	return []byte(strings.ReplaceAll("DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=mail2026; bh=x; b=y\n"+
		"Message-ID: <17@shop.example>\nFrom: Shop <news@shop.example>\nTo: "+to+"\nSubject: Bitte bestaetigen\n\n"+
		"Bitte bestätigen Sie Ihre Anmeldung zum Newsletter: https://shop.example/c#"+token+"\n", "\n", "\r\n"))
}

// recordFully records everything, as an application and an administrator.
func (s *story) recordFully() *recorded {
	began := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	after := func(m int) time.Time { return began.Add(time.Duration(m) * time.Minute) }
	rec := &recorded{asked: after(0), sent: after(4), bounced: after(2), opened: after(5), clicked: after(7), thanked: after(8), used: after(20),
		renewed: after(30), withdrawn: after(40), effected: after(42), typed: "Erika.Mustermann@Example.ORG", form: "footer-form@7",
		page: "https://shop.example/tee", first: newToken(), token: newToken(), who: object{"email": "erika.mustermann@example.org"}}
	s.publishFully(rec)
	s.askFully(rec)
	s.mailFully(rec)
	s.clickFully(rec)
	s.useFully(rec)
	rec.stamped = s.do("AdminService/AnchorCheckpoint", object{})["outcomes"].([]any)[0].(object)
	return rec
}

func (s *story) publishFully(rec *recorded) {
	s.do("AdminService/DefinePurpose", object{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true, "minimum_age": 16})
	rec.wording = s.do("AdminService/PublishNotice", object{"id": "newsletter-de", "language": "de", "text": wordingText, "purposes": []string{"newsletter"},
		"checkbox_default": "unticked", "conditional_on": "none", "facts": object{
			"controller": "Shop GmbH, Hauptstr. 1, 10115 Berlin", "contact": "datenschutz@shop.example", "authority": "BlnBDI",
			"retention": "bis zum Widerruf", "rights": "Auskunft, Widerruf, Löschung", "refusal": "kein Nachteil", "automated_decisions": "keine",
			"recipients": []string{"Mailer GmbH"}, "third_countries": []string{"none"}, "companies": []string{"Shop GmbH"}, "products": []string{"Tee"},
			"contents": "Angebote und Rezepte", "frequency": "einmal im Monat"}})["notice"].(string)
	rec.template = s.do("AdminService/PublishNotice", object{"id": "confirm-de", "language": "de", "text": mailText, "purposes": []string{"newsletter"},
		"use": "mail", "facts": object{"advertising_free": true}})["notice"].(string)
}

func (s *story) askFully(rec *recorded) {
	lock := sha256.Sum256([]byte(rec.first))
	asked := s.one(s.do("ConsentService/RequestConsent", object{
		"subject": object{"email": rec.typed}, "purposes": []string{"newsletter"}, "channel": "email", "notice": rec.wording, "method": "web_form",
		"lock": lock[:], "age": "old_enough", "explicit": true, "occurred_at": stamp(rec.asked), "proof": "log",
		"claims": object{"name": "Erika Mustermann", "ip": "192.0.2.77", "user_agent": "Firefox/150", "page_url": rec.page,
			"referrer": "https://search.example/", "form": rec.form, "checkbox_state": "ticked by the person", "language": "de-DE", "session": "s-17",
			"captcha": "passed", "origin": "campaign spring"},
		"attachments": []object{{"name": "form_snapshot", "file_name": "form.html", "media_type": "text/html", "bytes": []byte("<form>…</form>")}},
	}))
	rec.id, rec.askedEntry = asked["consent_id"].(string), asked["entry"].(object)
}

func (s *story) mailFully(rec *recorded) {
	ids := []any{rec.id}
	send := func(token string, at time.Time) []byte {
		message := rawMail(rec.typed, token)
		sum := sha256.Sum256(message)
		s.do("ConsentService/RecordConfirmationSent", object{"consent_ids": ids, "message_sha256": sum[:], "template": rec.template,
			"mta_response": "250 2.0.0 Ok: queued as 4711 by mx.example.org", "occurred_at": stamp(at)})
		return message
	}
	send(rec.first, rec.asked.Add(time.Minute))
	s.do("ConsentService/RecordConfirmationFailed", object{"consent_ids": ids, "failure": "temporary", "mta_response": "450 4.2.2 mailbox full",
		"occurred_at": stamp(rec.bounced)})
	lock := sha256.Sum256([]byte(rec.token))
	s.do("ConsentService/ResendConfirmation", object{"consent_ids": ids, "lock": lock[:], "occurred_at": stamp(rec.bounced.Add(time.Minute))})
	rec.message = string(send(rec.token, rec.sent))
}

func (s *story) clickFully(rec *recorded) {
	s.do("ConsentService/RecordConfirmationOpened", object{"token": rec.token, "occurred_at": stamp(rec.opened), "signals": []string{"every_link"},
		"claims": object{"ip": "203.0.113.9", "user_agent": "scanner"}}) // from a data centre
	click := s.do("ConsentService/ConfirmConsent", object{"token": rec.token, "click": "button", "occurred_at": stamp(rec.clicked), "proof": "log",
		"claims": object{"ip": "192.0.2.78", "user_agent": "Firefox/150", "captcha": "passed", "form": "confirm-page@3"}})
	rec.clickedEntry, rec.sinceSent = s.one(click)["entry"].(object), click["since_sent"].(string)
	s.same("since_sent", click["since_sent"], any("180s"))
	s.same("single use", s.do("ConsentService/ConfirmConsent", object{"token": rec.token})["already_confirmed"], any(true))
	s.do("ConsentService/AttachMessage", object{"consent_ids": []any{rec.id}, "message": []byte(rec.message)})
}

func (s *story) useFully(rec *recorded) {
	s.do("AdminService/EngageProcessor", object{"id": "mailer", "title": "Mailer GmbH", "country": "DE", "purposes": []string{"newsletter"},
		"agreement": agreement()})
	for reference, at := range map[string]time.Time{"receipt 17": rec.thanked, "campaign 2026-11": rec.used} {
		s.do("ConsentService/RecordUses", object{"consent_ids": []any{rec.id}, "reference": reference, "processor": "mailer", "occurred_at": stamp(at)})
	}
	s.do("ConsentService/RenewConsent", object{"consent_ids": []any{rec.id}, "method": "preference_centre", "occurred_at": stamp(rec.renewed)})
	ended := s.do("ConsentService/WithdrawConsent", object{"consent_ids": []any{rec.id}, "method": "email_reply", "occurred_at": stamp(rec.withdrawn),
		"claims": object{"reason": "Bitte keine Mails mehr."}})["withdrawn"].([]any)[0].(object)
	told := s.do("EvidenceService/NotifyRecipient", object{"index": ended["entry"].(object)["index"], "processor": "mailer"})
	s.do("EvidenceService/AcknowledgeRecipient", object{"notification_id": told["notification_id"]})
	effected := s.do("ConsentService/RecordWithdrawalEffected", object{"consent_ids": []any{rec.id}, "system": "mailer", "at": stamp(rec.effected)})
	rec.delay = effected["delays"].([]any)[0].(object)["delay"].(string)
}

// proof is what the legal role reads of one consent.
type proof struct {
	history object
	entries map[string][]object            // by kind, oldest first: each a HistoryEntry
	values  map[string]map[string][]object // by kind and claim, oldest first: each a Disclosure
	notices map[string]object
	told    []object // each a Recipient of the withdrawal
	mail    *mail.Message
	body    string // of the mail
	stamped string // the entry about the time stamp, as an auditor reads it
}

// readBack reads the proof as the legal role.
func (s *story) readBack(rec *recorded) *proof {
	p := &proof{entries: map[string][]object{}, values: map[string]map[string][]object{}, notices: map[string]object{}}
	p.history = s.do("EvidenceService/GetConsentHistory", object{"consent_id": rec.id})
	kinds, claims := map[any]string{}, map[string]bool{}
	for _, e := range p.history["entries"].([]any) {
		entry := e.(object)
		kind := entry["kind"].(string)
		p.entries[kind] = append(p.entries[kind], entry)
		kinds[entry["entry"].(object)["index"]] = kind
		for _, claim := range namesOf(entry["claims"]) {
			claims[claim] = true
		}
		s.receipt(entry["entry"].(object), "kind "+kind+"\n")
	}
	for _, n := range p.history["notices"].([]any) {
		p.notices[n.(object)["notice"].(string)] = n.(object)
	}
	names := make([]string, 0, len(claims))
	for claim := range claims {
		names = append(names, claim)
	}
	disclosed := s.do("EvidenceService/DiscloseClaims", object{"consent_id": rec.id, "claims": names, "reason": "7 O 1/26", "recipient": "Landgericht"})
	for _, d := range disclosed["disclosures"].([]any) {
		v := d.(object)
		kind := kinds[v["index"]]
		if p.values[kind] == nil {
			p.values[kind] = map[string][]object{}
		}
		p.values[kind][v["claim"].(string)] = append(p.values[kind][v["claim"].(string)], v)
	}
	list := s.do("AuditService/BatchListEntries", object{"start": rec.stamped["index"], "limit": 1})["entries"].([]any)
	text, err := base64.StdEncoding.DecodeString(list[0].(object)["raw"].(string))
	if err != nil {
		s.t.Error(err)
	}
	p.stamped = string(text)
	withdrawal := p.entries["consent.withdrawn"][0]["entry"].(object)["index"]
	for _, r := range s.do("EvidenceService/ListRecipients", object{"index": withdrawal})["recipients"].([]any) {
		p.told = append(p.told, r.(object))
	}
	s.readMail(p)
	return p
}

func (s *story) readMail(p *proof) {
	raw, err := base64.StdEncoding.DecodeString(p.values["confirmation.attached"]["message"][0]["bytes"].(string))
	if err == nil {
		p.mail, err = mail.ReadMessage(bytes.NewReader(raw))
	}
	if err != nil {
		s.t.Fatalf("the mail: %v", err)
	}
	body, err := io.ReadAll(p.mail.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	p.body = string(body)
}

// line gives the value of a line of the newest entry of a kind.
func (p *proof) line(kind, name string) string {
	list := p.entries[kind]
	if len(list) == 0 {
		return ""
	}
	for line := range strings.Lines(list[len(list)-1]["entry"].(object)["text"].(string)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

// claim gives the newest value of a claim of a kind.
func (p *proof) claim(kind, name string) string {
	list := p.values[kind][name]
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]["value"].(string)
}

// member gives a member of a history's entry, the newest of its kind.
func (p *proof) member(kind, name string) string {
	list := p.entries[kind]
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprint(list[len(list)-1][name])
}

// fact gives a fact of a notice.
func (p *proof) fact(notice, name string) string {
	var facts object
	text, _ := p.notices[notice]["facts"].(string)
	if json.Unmarshal([]byte(text), &facts) != nil {
		return ""
	}
	return fmt.Sprint(facts[name])
}

// lapsed: a request that nobody confirmed expires, and is gone when its time is over;
// what stays is that there was one.
func (s *story) lapsed() {
	s.do("AdminService/DefinePurpose", object{"id": "flash", "title": "Eine Sekunde", "double_opt_in": true, "token_lifetime": "1s", "lapsed_days": 1})
	s.do("AdminService/PublishNotice", object{"id": "flash-de", "language": "de", "text": "Ja.", "purposes": []string{"flash"}})
	asked := s.one(s.do("ConsentService/RequestConsent", object{"subject": object{"email": "nobody@example.org"}, "purposes": []string{"flash"},
		"channel": "email", "notice": "flash-de@1", "method": "web_form"}))
	time.Sleep(2 * time.Second)
	s.do("AdminService/RunRetention", object{"mode": "now"})
	history := s.do("EvidenceService/GetConsentHistory", object{"consent_id": asked["consent_id"]})
	s.same("state", history["consent"].(object)["state"], any("lapsed"))
	entries := history["entries"].([]any)
	s.same("its end", entries[len(entries)-1].(object)["kind"], any("request.expired"))
	due := s.do("AdminService/RunRetention", object{"mode": "dry_run", "ahead": "172800s"})["items"].([]any)
	s.same("to be shredded", len(due), 1)
	s.same("rule", due[0].(object)["rule"], any("lapsed"))
	s.same("measure", due[0].(object)["measure"], any("shred"))
}

// erasedProof: the erasure is what remains.
func (s *story) erasedProof(rec *recorded) {
	s.erased(s.do("ConsentService/EraseSubject", shred(rec.who)), 1)
	s.refused("EvidenceService/GetConsentHistory", object{"consent_id": rec.id}, "not_found", "consent_id")
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func base64Sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
