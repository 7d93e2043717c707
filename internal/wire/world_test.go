package wire_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// canary stands in what tests send. No refusal and no line of the log may hold it.
const canary = "zqcanary7"

// world is a ledger in which everything is there that a request can be wrong
// about: requests in every state, a notice, purposes, a used idempotency key.
type world struct {
	*story
	rights
	open, other, spare, locked, confirmed, withdrawn, rejected, expired, frozen consent
	held, misspelt, phoned, renewable, revoked, invalid, resent, called         consent
	child                                                                       consent  // of a child, given
	ended                                                                       consent  // withdrawn, and nothing else
	suppressed                                                                  object   // of whom nothing else is known
	number                                                                      object   // of held
	objector                                                                    object   // to all marketing
	hold, lifted                                                                string   // the numbers of a hold on held and of one no more
	engaged                                                                     string   // an entry that engages a processor
	newest                                                                      string   // a consent whose state is not committed
	lock                                                                        [32]byte // of locked, which is open
	confirmedLock                                                               [32]byte // of confirmed
}

// consent is one that a request opened.
type consent struct {
	who               object
	id, token, manage string
}

func newWorld(t *testing.T, r *running) *world {
	w := &world{story: &story{t, r, r.callJSON}}
	for _, p := range []object{
		{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true},
		{"id": "invoice", "title": "Rechnungen"},
		{"id": "flash", "title": "Nur eine Sekunde", "double_opt_in": true, "token_lifetime": "1s"},
		{"id": "health", "title": "Gesundheit", "explicit": true},
		{"id": "kids", "title": "Nur mit sechzehn", "minimum_age": 16},
		{"id": "sport", "title": "Sport", "marketing": true, "parent": "newsletter"},
		{"id": "offers", "title": "Angebote", "marketing": true, "bases": []string{"consent", "existing_customer", "legitimate_interest"}},
		{"id": "email.open_tracking", "title": "Öffnungen"},
	} {
		w.do("AdminService/DefinePurpose", p)
	}
	w.do("AdminService/PublishNotice", object{"id": "newsletter-de", "language": "de", "text": "Ja, ich will.", "purposes": []string{"newsletter", "flash"}})
	w.do("AdminService/PublishNotice", object{"id": "more-de", "language": "de", "text": "Ja, auch das.",
		"purposes": []string{"health", "kids", "sport", "offers", "email.open_tracking"}})
	w.do("AdminService/PublishNotice", object{"id": "confirm-de", "language": "de", "text": "Bitte bestätigen.", "purposes": []string{"newsletter", "offers"}, "use": "mail"})
	w.expired = w.ask("flash", nil)
	w.open, w.other, w.spare = w.ask("newsletter", nil), w.ask("newsletter", nil), w.ask("newsletter", nil)
	w.locked, w.lock = w.askWithLock()
	w.confirmed, w.confirmedLock = w.askWithLock()
	sum := sha256.Sum256([]byte(canary))
	w.do("ConsentService/RecordConfirmationSent", object{"consent_ids": []any{w.confirmed.id}, "message_sha256": sum[:]})
	w.do("ConsentService/ConfirmConsent", object{"token": w.confirmed.token})
	w.resent = w.ask("newsletter", nil)
	w.called = w.askBy(object{"phone": "+4930901822"}, "sms", "newsletter", nil)
	w.withdrawn = w.ask("newsletter", nil)
	w.do("ConsentService/WithdrawConsent", object{"consent_ids": []any{w.withdrawn.id}, "idempotency_key": "used"})
	w.rejected = w.ask("newsletter", nil)
	w.do("ConsentService/RejectConfirmation", object{"token": w.rejected.token})
	w.frozen = w.ask("newsletter", nil)
	w.do("ConsentService/SetRestriction", object{"subject": w.frozen.who, "ground": "art18_1_b"})
	w.do("AdminService/DefinePurpose", object{"id": "survey", "title": "Umfrage", "idempotency_key": "used"})
	for _, c := range []*consent{&w.renewable, &w.revoked, &w.invalid} {
		*c = w.ask("newsletter", nil)
		w.do("ConsentService/ConfirmConsent", object{"token": c.token})
	}
	w.objector = object{"email": canary + ".no@example.org"}
	w.do("ConsentService/RecordObjection", object{"subject": w.objector, "article": "art21_2"})
	w.prepareErasures()
	w.prepareGrounds()
	w.prepareRights()
	confirmed, err := strconv.ParseInt(w.confirmed.id, 10, 64)
	if err == nil {
		_, err = r.service.CommitState(t.Context(), ledger.ConsentID(confirmed))
	}
	if err != nil {
		t.Fatal(err)
	}
	w.newest = w.ask("newsletter", nil).id
	time.Sleep(time.Second) // until the token of expired is
	return w
}

// prepareErasures makes what can keep an erasure from being carried out.
func (w *world) prepareErasures() {
	w.held, w.misspelt = w.ask("newsletter", nil), w.ask("newsletter", nil)
	set := w.do("EvidenceService/SetHold", object{"consent_ids": []any{w.held.id}, "idempotency_key": "used"})
	w.lifted = set["hold_id"].(string)
	w.do("EvidenceService/LiftHold", object{"hold_id": w.lifted})
	w.hold = w.do("EvidenceService/SetHold", object{"subject": w.held.who})["hold_id"].(string)
	w.number = object{"phone": "+4930901820"}
	w.do("ConsentService/LinkSubject", object{"subject": w.held.who, "add": w.number})
	w.phoned = w.askBy(object{"phone": "+4930901821"}, "phone", "newsletter", nil)
	w.do("ConsentService/ConfirmConsent", object{"token": w.phoned.token})
	w.suppressed = object{"email": canary + ".suppressed@example.org"}
	w.do("AdminService/AddSuppression", object{"subject": w.suppressed})
}

// prepareGrounds makes what guardians, processors and further claims are about.
func (w *world) prepareGrounds() {
	w.child.who = object{"email": canary + ".child@example.org"}
	given := w.do("ConsentService/GiveConsent", object{"subject": w.child.who, "purposes": []string{"kids"}, "channel": "email", "notice": "more-de@1",
		"method": "app", "age": "child"})
	w.child.id = given["consents"].([]any)[0].(object)["consent_id"].(string)
	w.ended = w.ask("newsletter", nil)
	w.do("ConsentService/WithdrawConsent", object{"consent_ids": []any{w.ended.id}})
	for _, id := range []string{"mailer", "former"} {
		rsp := w.do("AdminService/EngageProcessor", object{"id": id, "title": "Mailer GmbH", "agreement": agreement()})
		w.engaged = rsp["processor"].(object)["index"].(string)
	}
	w.do("AdminService/EndProcessor", object{"id": "former"})
	w.do("AdminService/DeclareClaim", object{"id": "x.declared", "title": "Mitgliedsnummer"})
}

// ask requests a consent of somebody new.
func (w *world) ask(purpose string, lock []byte) consent {
	w.t.Helper()
	return w.askBy(object{"email": fmt.Sprintf("%s.%d@example.org", canary, w.r.size())}, "email", purpose, lock)
}

func (w *world) askBy(who object, channel, purpose string, lock []byte) consent {
	w.t.Helper()
	req := object{"subject": who, "purposes": []string{purpose}, "channel": channel, "notice": "newsletter-de@1", "method": "web_form"}
	if lock != nil {
		req["lock"] = lock
	}
	rsp := w.do("ConsentService/RequestConsent", req)
	c := consent{who: req["subject"].(object), manage: rsp["manage_token"].(string),
		id: rsp["consents"].([]any)[0].(object)["consent_id"].(string)}
	c.token, _ = rsp["token"].(string)
	if (c.token == "") != (lock != nil) {
		w.t.Errorf("a token is answered exactly when the ledger drew it: %v", rsp)
	}
	return c
}

// askWithLock requests a consent with a token that the caller drew.
func (w *world) askWithLock() (consent, [32]byte) {
	token := newToken()
	lock := sha256.Sum256([]byte(token))
	c := w.ask("newsletter", lock[:])
	c.token = token
	return c, lock
}

func newToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
