package wire_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// TestErasureStory tells by every way to the port how people are corrected, kept
// and forgotten.
func TestErasureStory(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, call := range callers(t, r) {
		t.Run(name, func(t *testing.T) {
			s := &story{t, r, call}
			s.registry()
			anna, number := s.linked()
			anna = s.rectified(anna, number)
			s.kept(anna)
			s.locked(anna, number)
			s.telephone()
			s.suppression()
			s.retention()
			s.erasureStatus()
			s.timeStamps()
		})
	}
}

// address gives an e-mail address of somebody new.
func (s *story) address(name string) object {
	return object{"email": fmt.Sprintf("%s.%d@example.org", name, s.r.size())}
}

// signUp is somebody's own double opt-in.
func (s *story) signUp(who object, channel string) consent {
	s.t.Helper()
	rsp := s.ask(who, channel, "web_form")
	c := consent{who: who, id: rsp["consents"].([]any)[0].(object)["consent_id"].(string), token: rsp["token"].(string),
		manage: rsp["manage_token"].(string)}
	s.do("ConsentService/ConfirmConsent", object{"token": c.token})
	return c
}

func (s *story) ask(who object, channel, method string) object {
	s.t.Helper()
	return s.do("ConsentService/RequestConsent", question(who, channel, method))
}

// question is the body of a RequestConsent.
func question(who object, channel, method string) object {
	return object{"subject": who, "purposes": []string{"newsletter"}, "channel": channel, "notice": "newsletter-de@1", "method": method}
}

// consents gives the ids of what an application sees of somebody.
func (s *story) consents(who object) []any {
	s.t.Helper()
	ids := []any{}
	for _, c := range s.do("ConsentService/ListConsents", object{"subject": who})["consents"].([]any) {
		ids = append(ids, c.(object)["consent_id"])
	}
	return ids
}

// records gives what the legal role sees of somebody.
func (s *story) records(who object) []object {
	s.t.Helper()
	var list []object
	for _, r := range s.do("EvidenceService/ListConsents", object{"subject": who})["records"].([]any) {
		list = append(list, r.(object))
	}
	return list
}

func shred(who object) object {
	return object{"subject": who, "reason": "art17", "mode": "shred_now"}
}

func (s *story) time(value any) time.Time {
	s.t.Helper()
	text, _ := value.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		s.t.Errorf("%v is no time", value)
	}
	return at
}

// linked makes one person known by an address and a number. Nobody is merged.
func (s *story) linked() (anna, number object) {
	anna, number = s.address("anna"), object{"phone": fmt.Sprintf("+49 (30) %07d", s.r.size())}
	bob, bobs := s.signUp(s.address("bob"), "email"), object{"phone": fmt.Sprintf("+49 (89) %07d", s.r.size())}
	s.do("ConsentService/LinkSubject", object{"subject": bob.who, "add": bobs})
	c := s.signUp(anna, "email")
	s.refused("ConsentService/LinkSubject", object{"subject": anna, "add": bobs}, "failed_precondition", "identifier_taken")
	s.check(number, false, "unknown_subject")
	link := object{"subject": anna, "add": number, "claims": object{"operator": "desk 4"}, "proof": "log"}
	s.receipt(s.do("ConsentService/LinkSubject", link)["entry"].(object), "kind subject.rectified\n")
	s.same("the consent decides by number", s.check(number, true, "confirmed")["consent_id"], any(c.id))
	size := s.r.size()
	s.refused("ConsentService/LinkSubject", link, "failed_precondition", "identifier_taken")
	s.refused("ConsentService/LinkSubject", object{"subject": anna, "add": bob.who}, "failed_precondition", "identifier_kind")
	s.refused("ConsentService/LinkSubject", object{"subject": s.address("nobody"), "add": object{"external_id": "4711"}}, "not_found", "subject")
	s.same("the size after refusals", s.r.size(), size)
	s.same("anna's consents", s.consents(anna), []any{c.id})
	s.same("bob's consents", s.consents(bobs), []any{bob.id})
	return anna, number
}

// rectified corrects the address. The consents of its channel end; the new one
// needs a double opt-in of its own, and the old one is a stranger's.
func (s *story) rectified(anna, number object) (right object) {
	before := s.signUp(anna, "email") // a second one on the channel
	post := s.signUp(anna, "post")
	right = s.address("anna.right")
	rectify := object{"subject": number, "remove": anna, "add": right, "claims": object{"reason": "a typing error"},
		"idempotency_key": "rectify " + s.t.Name(), "proof": "log"}
	s.refused("EvidenceService/RectifySubject", rectify, "failed_precondition", "identity")
	s.do("EvidenceService/VerifyIdentity", object{"subject": number, "means": "phone_call"})
	rsp := s.do("EvidenceService/RectifySubject", rectify)
	size := s.r.size()
	again := s.do("EvidenceService/RectifySubject", rectify)
	s.same("a retry's entry", again["entry"].(object)["index"], rsp["entry"].(object)["index"])
	s.same("what ended, again", len(again["ended"].([]any)), len(rsp["ended"].([]any)))
	s.same("the size after a retry", s.r.size(), size)
	s.receipt(rsp["entry"].(object), "kind subject.rectified\n")
	ended := rsp["ended"].([]any)
	s.same("consents that ended", len(ended), 2)
	for _, c := range ended {
		s.same("state", c.(object)["state"], any("revoked"))
		s.receipt(c.(object)["entry"].(object), "kind consent.revoked\n")
	}
	s.same("the newer of them", ended[1].(object)["consent_id"], any(before.id))
	s.check(anna, false, "unknown_subject")
	s.same("consents of the old address", s.consents(anna), []any{})
	s.refused("ConsentService/WithdrawConsent", object{"manage_token": before.manage}, "not_found", "manage_token")
	s.check(right, false, "revoked")
	s.check(number, false, "revoked")
	byPost := s.do("ConsentService/CheckConsent", object{"subject": right, "purpose": "newsletter", "channel": "post"})
	s.same("the consent on the other channel", byPost["consent_id"], any(post.id))
	s.same("and it allows", byPost["allowed"], any(true))

	own := s.signUp(right, "email")
	s.same("the new address's own consent", s.check(number, true, "confirmed")["consent_id"], any(own.id))
	stranger := s.signUp(anna, "email")
	s.same("whoever has the old address now", s.consents(anna), []any{stranger.id})
	s.do("EvidenceService/VerifyIdentity", object{"subject": anna, "means": "mailbox"})
	s.refused("EvidenceService/RectifySubject", object{"subject": anna, "remove": anna}, "failed_precondition", "last_identifier")
	s.refused("EvidenceService/RectifySubject", object{"subject": anna, "remove": anna, "add": right}, "failed_precondition", "identifier_taken")
	return right
}

// kept is about what stops an erasure, and what does not.
func (s *story) kept(anna object) {
	held := s.do("EvidenceService/SetHold", object{"subject": anna, "claims": object{"reason": "a claim", "reference": "7 O 1/26"}, "proof": "log"})
	s.receipt(held["entry"].(object), "kind hold.set\n")
	s.same("consents held", held["consents"], any("4"))
	s.same("the hold's number", held["hold_id"], held["entry"].(object)["index"])
	for _, r := range s.records(anna) {
		s.same("holds", r["holds"], any("1"))
	}
	size := s.r.size()
	s.refused("ConsentService/EraseSubject", shred(anna), "failed_precondition", "held")
	s.same("the size after a refusal", s.r.size(), size)
	s.check(anna, true, "confirmed")

	s.do("ConsentService/SetRestriction", object{"subject": anna, "ground": "art18_1_c"})
	lift := object{"hold_id": held["hold_id"], "claims": object{"reason": "settled"}, "proof": "log"}
	lifted := s.do("EvidenceService/LiftHold", lift)
	s.receipt(lifted["entry"].(object), "kind hold.lifted\n")
	s.same("consents no longer held", lifted["consents"], any("4"))
	s.refused("EvidenceService/LiftHold", lift, "not_found", "hold_id")
	s.refused("ConsentService/EraseSubject", shred(anna), "failed_precondition", "held") // the restriction still does
	s.do("ConsentService/LiftRestriction", object{"subject": anna, "informed_at": ago(0)})
}

// locked forgets somebody for everybody but the legal role. The same address
// asks anew, as somebody else.
func (s *story) locked(anna, number object) {
	until := time.Now().AddDate(9, 0, 0).UTC().Truncate(time.Second)
	before := s.consents(anna)
	rsp := s.do("ConsentService/EraseSubject", object{"subject": anna, "reason": "consent_withdrawn", "mode": "lock_then_shred",
		"not_before": until.Format(time.RFC3339)})
	s.receipt(rsp["entry"].(object), "kind subject.locked\n")
	s.same("locked", rsp["consents_erased"], any(fmt.Sprint(len(before))))
	s.same("locked_until", rsp["locked_until"], any(until.Format(time.RFC3339)))
	for _, field := range []string{"shredded", "contents_destroyed_at", "existence_destroyed_by"} {
		if _, ok := rsp[field]; ok {
			s.t.Errorf("%s after a lock: %v", field, rsp[field])
		}
	}
	s.same("erasure_receipt", rsp["erasure_receipt"], any(""))
	for _, who := range []object{anna, number} {
		s.stranger(who, before)
		records := s.records(who)
		s.same("records", len(records), len(before))
		for i, r := range records {
			s.same("record", r["consent"].(object)["consent_id"], before[i])
			s.same("overlays", r["consent"].(object)["overlays"], any([]any{"locked"}))
			s.same("locked_until", r["locked_until"], any(until.Format(time.RFC3339)))
		}
	}
	anew := s.signUp(anna, "email")
	s.same("who asked anew", s.consents(anna), []any{anew.id})
	s.check(number, false, "unknown_subject")
	records := s.records(anna)
	s.same("records of both", len(records), len(before)+1)
	last := records[len(before)]
	s.same("the new one", last["consent"].(object)["consent_id"], any(anew.id))
	s.same("is not locked", last["locked_until"], any(nil))
	s.erased(s.do("ConsentService/EraseSubject", shred(anna)), 1)
	s.same("records that stay", len(s.records(anna)), len(before))
}

// stranger asks about somebody who must be one to applications.
func (s *story) stranger(who object, ids []any) {
	s.t.Helper()
	s.check(who, false, "unknown_subject")
	s.same("consents", s.consents(who), []any{})
	s.refused("ConsentService/RecordUses", object{"consent_ids": ids}, "not_found", "consent_ids[0]")
	s.refused("ConsentService/WithdrawConsent", object{"consent_ids": ids}, "not_found", "consent_ids[0]")
	s.refused("ConsentService/SetRestriction", object{"subject": who, "ground": "art18_1_a"}, "not_found", "subject")
	s.refused("ConsentService/LinkSubject", object{"subject": who, "add": object{"external_id": "4711"}}, "not_found", "subject")
	s.refused("ConsentService/EraseSubject", shred(who), "not_found", "subject")
}

// erased looks at the answer to an erasure that was carried out, and at the
// person's receipt.
func (s *story) erased(rsp object, consents int) {
	s.t.Helper()
	s.same("consents_erased", rsp["consents_erased"], any(fmt.Sprint(consents)))
	s.receipt(rsp["entry"].(object), "kind subject.erased\n")
	s.receipt(rsp["shredded"].(object), "kind evidence.shredded\n")
	contents, existence := s.time(rsp["contents_destroyed_at"]), s.time(rsp["existence_destroyed_by"])
	if lag := existence.Sub(contents); time.Since(contents) > time.Minute || lag < time.Hour || lag > 72*time.Hour {
		s.t.Errorf("contents destroyed %v, existence by %v", contents, existence)
	}
	s.same("locked_until", rsp["locked_until"], any(nil))
	policy, keys := s.trust()
	report, err := ledger.VerifyErasureReceipt([]byte(rsp["erasure_receipt"].(string)), policy, keys)
	if err != nil {
		s.t.Errorf("the erasure receipt: %v", err)
	}
	s.same("the receipt's medium", report.Medium, "file")
	s.same("the receipt's dates", []time.Time{report.ContentsDestroyed.UTC(), report.ExistenceDue.UTC()}, []time.Time{contents.UTC(), existence.UTC()})
	s.same("the receipt's consents", len(report.Consents), consents)
}

// telephone is about § 7a UWG: five years from the grant and from each use.
func (s *story) telephone() {
	carl := object{"phone": fmt.Sprintf("+49 40 %07d", s.r.size())}
	c := s.signUp(carl, "phone")
	s.do("ConsentService/RecordUses", object{"consent_ids": []any{c.id}})
	until := s.records(carl)[0]["evidence_until"].(string)
	if at := s.time(until); at.Before(time.Now().AddDate(5, 0, -1)) || at.After(time.Now().AddDate(5, 0, 1)) {
		s.t.Errorf("the evidence is kept until %v", at)
	}
	_, f := s.call(s.t, "ConsentService/EraseSubject", shred(carl))
	if f == nil || f.code != "failed_precondition" || !strings.HasPrefix(f.message, "uwg_7a: ") || !strings.Contains(f.message, until[:len("2031-11-21")]) {
		s.t.Errorf("shredding a telephone consent: %+v, want uwg_7a and %s", f, until)
	}
	rsp := s.do("ConsentService/EraseSubject", object{"subject": carl, "reason": "art17", "mode": "lock_then_shred"})
	if over := s.time(rsp["locked_until"]).Sub(s.time(until)); over < 0 || over >= time.Second { // a whole second
		s.t.Errorf("locked until %v, want %s", rsp["locked_until"], until)
	}
	s.check(carl, false, "unknown_subject")
}

// suppression forgets somebody who does not want to be written to again.
func (s *story) suppression() {
	dora := s.address("dora")
	s.signUp(dora, "email")
	req := shred(dora)
	req["keep_suppression"] = true
	rsp := s.do("ConsentService/EraseSubject", req)
	s.erased(rsp, 1)
	s.same("suppressed", len(rsp["suppressed"].([]any)), 1)
	s.receipt(rsp["suppressed"].([]any)[0].(object), "kind suppression.added\n")
	s.check(dora, false, "suppressed")
	other := s.do("ConsentService/CheckConsent", object{"subject": dora, "purpose": "invoice", "channel": "email"})
	s.same("what is no marketing", other["reason"], any("unknown_subject"))
	for _, method := range []string{"paper", "oral", "phone", "in_person", "api", "import"} {
		s.refused("ConsentService/RequestConsent", question(dora, "email", method), "failed_precondition", "suppressed")
	}
	s.check(dora, false, "suppressed")

	asked := s.ask(dora, "email", "web_form")
	s.check(dora, false, "suppressed")
	size := s.r.size()
	s.do("ConsentService/ConfirmConsent", object{"token": asked["token"]})
	s.check(dora, true, "confirmed")
	s.same("kinds", s.kinds(size), []string{"consent.confirmed", "suppression.removed"})
	s.ask(dora, "email", "paper")

	for i, purpose := range []string{"", "newsletter"} {
		list := object{"subject": dora, "purpose": purpose, "proof": "log"}
		added := s.do("AdminService/AddSuppression", list)
		s.same("added", added["added"], any(true))
		s.receipt(added["entry"].(object), "kind suppression.added\n")
		s.receipt(added["entry"].(object), "purpose "+[]string{"all-marketing", "newsletter"}[i]+"\n")
		size := s.r.size()
		s.same("added again", s.do("AdminService/AddSuppression", list), object{"added": false})
		s.same("the size after adding again", s.r.size(), size)
		s.check(dora, false, "suppressed")
		removed := s.do("AdminService/RemoveSuppression", list)
		s.same("removed", removed["removed"], any(true))
		s.receipt(removed["entry"].(object), "kind suppression.removed\n")
		s.same("removed again", s.do("AdminService/RemoveSuppression", list), object{"removed": false})
		s.check(dora, true, "confirmed")
	}
}
