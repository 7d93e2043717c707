package wire_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestProcessorsStory tells by every way to the port of those who act on the
// controller's behalf, of claims of one's own, and of how long an end takes.
func TestProcessorsStory(t *testing.T) {
	t.Parallel()
	r := start(t)
	n := 0
	for name, call := range callers(t, r) {
		n++
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.registry()
			mailer := fmt.Sprint("mailer", n)
			s.hired(mailer)
			s.usedBy(mailer)
			s.effected(mailer)
			s.letGo(mailer)
			s.declared(fmt.Sprint("x.membership", n))
		})
	}
}

// listed gives the member of a list that has an id.
func (s *story) listed(method, list string, id any) object {
	s.t.Helper()
	items := s.do(method, object{})[list].([]any)
	i := slices.IndexFunc(items, func(item any) bool { return item.(object)["id"] == id })
	if i < 0 {
		s.t.Fatalf("%s does not list %v: %v", method, id, items)
	}
	return items[i].(object)
}

// hired: a mailer is engaged, then on other terms.
func (s *story) hired(mailer string) {
	agreed := []byte("Vertrag zur Auftragsverarbeitung")
	engage := object{"id": mailer, "title": "Mailer GmbH", "country": "DE", "purposes": []string{"newsletter", "invoice"}, "occurred_at": ago(time.Hour),
		"agreement": object{"file_name": "avv.pdf", "media_type": "application/pdf", "bytes": agreed},
		"claims":    object{"address": "Hauptstr. 1, 10115 Berlin", "reference": "AVV 17"}, "proof": "log"}
	rsp := s.twice("AdminService/EngageProcessor", engage)
	s.receipt(rsp["entry"].(object), "kind processor.engaged\n")
	s.receipt(rsp["entry"].(object), "processor "+mailer+"\ncountry DE\n")
	s.receipt(rsp["entry"].(object), "commit document ")
	first := rsp["processor"].(object)
	s.shows(first, object{"id": mailer, "title": "Mailer GmbH", "country": "DE", "purposes": []any{"invoice", "newsletter"},
		"agreement_sha256": base64Sum(string(agreed)), "index": rsp["entry"].(object)["index"], "occurred_at": engage["occurred_at"],
		"claims": engage["claims"]})
	s.same("since", s.time(first["since"]).Format("2006-01-02T15:04:05.000000Z"), timeOf(rsp["entry"].(object)))
	if first["ended"] != nil {
		s.t.Errorf("engaged and ended: %v", first["ended"])
	}
	s.same("in the list", any(s.listed("AdminService/ListProcessors", "processors", mailer)), any(first))
	document := s.do("AdminService/GetDocument", object{"index": first["index"]})["document"].(object)
	s.same("the agreement's name", document["file_name"], any("avv.pdf"))

	sum := sha256.Sum256([]byte("Neufassung"))
	again := s.twice("AdminService/EngageProcessor", object{"id": mailer, "title": "Mailer AG", "country": "AT", "agreement_sha256": sum[:]})["processor"].(object)
	s.shows(again, object{"title": "Mailer AG", "country": "AT", "purposes": []any{}, "agreement_sha256": base64Sum("Neufassung"), "claims": object{},
		"since": first["since"]})
	s.same("in the list", any(s.listed("AdminService/ListProcessors", "processors", mailer)), any(again))
	s.refused("AdminService/GetDocument", object{"index": again["index"]}, "not_found", "index") // only its hash is known
}

// usedBy: data are passed to the mailer, and to a partner.
func (s *story) usedBy(mailer string) {
	tina := s.signUp(s.address("tina"), "email")
	used := s.twice("ConsentService/RecordUses", object{"consent_ids": []any{tina.id}, "reference": "campaign 8", "processor": mailer,
		"recipient": "Partner GmbH", "proof": "log"})
	entry := used["entries"].([]any)[0].(object)
	s.receipt(entry, "kind consent.used\n")
	s.receipt(entry, "processor "+mailer+"\n")
	s.receipt(entry, "commit recipient ")
	s.refused("ConsentService/RecordUses", object{"consent_ids": []any{tina.id}, "processor": "nobody"}, "failed_precondition", "processor")
}

// effected: an end takes an hour to take effect at the mailer, and two in a system.
func (s *story) effected(mailer string) {
	uwe := s.signUp(s.address("uwe"), "email")
	effected := object{"consent_ids": []any{uwe.id}, "system": mailer, "claims": object{"reference": "job 4"}, "proof": "log"}
	s.refused("ConsentService/RecordWithdrawalEffected", effected, "failed_precondition", "not_ended")
	now := time.Now().UTC().Truncate(time.Second)
	s.do("ConsentService/WithdrawConsent", object{"subject": uwe.who, "occurred_at": stamp(now.Add(-3 * time.Hour))})
	for system, hours := range map[string]int{mailer: 1, "the-app": 2} {
		effected["system"], effected["at"] = system, stamp(now.Add(time.Duration(hours-3)*time.Hour))
		done := s.twice("ConsentService/RecordWithdrawalEffected", effected)
		s.receipt(done["entry"].(object), "kind withdrawal.effected\n")
		s.receipt(done["entry"].(object), "system "+system+"\n")
		s.same("delays", done["delays"], any([]any{object{"consent_id": uwe.id, "delay": fmt.Sprint(hours*3600, "s")}}))
	}
	delete(effected, "idempotency_key")
	effected["system"] = "nobody"
	s.refused("ConsentService/RecordWithdrawalEffected", effected, "failed_precondition", "system")
}

// letGo: the mailer is engaged no longer.
func (s *story) letGo(mailer string) {
	end := object{"id": mailer, "claims": object{"reference": "cancelled"}, "occurred_at": ago(time.Minute), "proof": "log"}
	rsp := s.twice("AdminService/EndProcessor", end)
	s.receipt(rsp["entry"].(object), "kind processor.ended\n")
	s.receipt(rsp["entry"].(object), fmt.Sprintf("occurred %v\n", end["occurred_at"]))
	s.receipt(rsp["entry"].(object), "commit reference ")
	ended := rsp["processor"].(object)
	s.same("ended", s.time(ended["ended"]).Format("2006-01-02T15:04:05.000000Z"), timeOf(rsp["entry"].(object)))
	s.same("in the list", any(s.listed("AdminService/ListProcessors", "processors", mailer)), any(ended))
	for _, id := range []string{mailer, "nobody"} {
		s.refused("AdminService/EndProcessor", object{"id": id}, "failed_precondition", "processor")
	}
}

// declared: a claim of the company's own.
func (s *story) declared(claim string) {
	vic := s.address("vic")
	request := question(vic, "email", "web_form")
	request["claims"] = object{claim: "4711"}
	s.refused("ConsentService/RequestConsent", request, "invalid_argument", "claims")
	size := s.r.size()
	rsp := s.twice("AdminService/DeclareClaim", object{"id": claim, "title": "Mitgliedsnummer", "proof": "log"})
	s.same("entries", s.r.size(), size+1)
	s.receipt(rsp["entry"].(object), "kind claim.declared\n")
	s.receipt(rsp["entry"].(object), "claim "+claim+"\n")
	s.same("the claim", rsp["claim"], any(object{"id": claim, "title": "Mitgliedsnummer", "index": rsp["entry"].(object)["index"]}))
	s.same("in the list", any(s.listed("AdminService/ListClaims", "claims", claim)), rsp["claim"])
	again := s.do("AdminService/DeclareClaim", object{"id": claim, "title": "Mitgliedsnummer"})
	s.same("what stands", again["claim"], rsp["claim"])
	s.same("entries", s.r.size(), size+1)
	s.refused("AdminService/DeclareClaim", object{"id": claim, "title": "Kundennummer"}, "failed_precondition", "claim")

	named := object{"id": "x.anna.muster", "title": "Vorgang", "insist": true}
	s.do("AdminService/DeclareClaim", named)
	processor := object{"id": "anna.muster", "title": "Anna Muster IT", "agreement": agreement(), "insist": true}
	s.do("AdminService/EngageProcessor", processor)

	request["proof"] = "log"
	asked := s.one(s.twice("ConsentService/RequestConsent", request))
	s.receipt(asked["entry"].(object), "commit "+claim+" ")
	shown := s.do("EvidenceService/DiscloseClaims", object{"consent_id": asked["consent_id"], "claims": []string{claim}, "reason": "a", "recipient": "b"})
	s.same("the value", shown["disclosures"].([]any)[0].(object)["value"], any("4711"))
}

// TestStatusWatches lets time pass: GetStatus says what is late, and where.
func TestStatusWatches(t *testing.T) {
	t.Parallel()
	r := start(t)
	s := &story{t, r, r.callJSON}
	s.do("AdminService/DefinePurpose", object{"id": "newsletter", "title": "Newsletter", "marketing": true, "double_opt_in": true,
		"effect_hours": 24, "lock_days": 400})
	s.do("AdminService/PublishNotice", object{"id": "newsletter-de", "language": "de", "text": "Ja.", "purposes": []string{"newsletter"}})
	s.do("AdminService/EngageProcessor", object{"id": "mailer", "title": "Mailer GmbH", "purposes": []string{"newsletter"}, "agreement": agreement()})
	s.same("nothing to do", s.watched(), map[any]object{})

	wim := s.signUp(s.address("wim"), "email")
	s.do("ConsentService/WithdrawConsent", object{"subject": wim.who, "proof": "none"})
	s.same("in time", s.watched(), map[any]object{})
	r.clock.passes(2)
	late := s.watched()["withdrawal_not_effected"]
	s.same("late", late["count"], any("1"))
	first := late["first"].([]any)[0].(object)
	s.same("whose end", first["index"], any(wim.id))
	s.same("when it was due", first["due"], late["oldest"])
	if over := r.clock.now().Sub(s.time(first["due"])); over < 24*time.Hour || over > 25*time.Hour {
		t.Errorf("due %v ago, want a day", over)
	}
	s.do("ConsentService/RecordWithdrawalEffected", object{"consent_ids": []any{wim.id}, "system": "the-app"})
	s.same("unheard of at the mailer", s.watched()["withdrawal_not_effected"]["count"], any("1"))
	done := s.do("ConsentService/RecordWithdrawalEffected", object{"consent_ids": []any{wim.id}, "system": "mailer"})
	if delay, err := time.ParseDuration(done["delays"].([]any)[0].(object)["delay"].(string)); err != nil || delay < 48*time.Hour || delay > 49*time.Hour {
		t.Errorf("a delay of %v, want two days: %v", delay, err)
	}
	s.same("effected", s.watched(), map[any]object{})

	objected := s.do("ConsentService/RecordObjection", object{"subject": wim.who, "article": "art22", "purposes": []string{"newsletter"}})
	r.clock.passes(26)
	s.same("due", s.watched()["request_due"]["count"], any("1"))
	r.clock.passes(14)
	overdue := s.watched()["request_overdue"]
	s.same("overdue", overdue["first"].([]any)[0].(object)["index"], objected["request_id"])
	before := s.do("AdminService/GetStatus", object{})["watch"]
	r.clock.passes(1)
	s.same("without a new look", s.do("AdminService/GetStatus", object{})["watch"], before)
}

// watched looks at the clock, and gives what there is to do by its reason.
func (s *story) watched() map[any]object {
	s.t.Helper()
	watch := s.do("AdminService/GetStatus", object{"refresh": true})["watch"].(object)
	s.same("size", watch["size"], any(fmt.Sprint(s.r.size())))
	if past := s.r.clock.now().Sub(s.time(watch["as_of"])); past < 0 || past > time.Minute {
		s.t.Errorf("looked %v ago", past)
	}
	items := map[any]object{}
	for _, item := range watch["items"].([]any) {
		items[item.(object)["what"]] = item.(object)
	}
	return items
}
