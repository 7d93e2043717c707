package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

// The two people of the story. Nobody lives at example.org (RFC 2606).
const (
	anna  = "anna@example.org"
	berta = "berta@example.org"
)

const noticeText = `Yes, send me the newsletter once a month. I can withdraw at any time with the link in every mail.
Responsible: Example Shop Ltd, 1 High Street, Exampletown.
`

// define is what an administrator does once.
func (s *story) define() error {
	s.page.act("The shop says what addresses are for, and in which words it asks")
	a, err := s.app.must(s.keys.admin, adminService+"DefinePurpose", fields{
		"id": "newsletter", "title": "Monthly newsletter", "marketing": true, "double_opt_in": true, "proof": "log"})
	if err != nil {
		return err
	}
	s.page.say("The administrator defines the purpose. An entry is short plain text; nothing in it is personal. " +
		"(Entry 0 says whose ledger this is. Before a key's first entry the ledger adds one that declares the key.)")
	s.page.entry(a.Entry)
	a, err = s.app.must(s.keys.admin, adminService+"PublishNotice", fields{
		"id": "newsletter-en", "language": "en", "text": noticeText, "purposes": []string{"newsletter"}, "proof": "log"})
	if err != nil {
		return err
	}
	if a.Notice != "newsletter-en@1" {
		return unexpected("the name of the notice", "newsletter-en@1", a.Notice)
	}
	s.page.say("The words that people will read become version 1 of a notice, kept for ever; the entry holds their SHA-256, a fingerprint.")
	s.page.entry(a.Entry)
	return nil
}

// anna asks, confirms, is written to and withdraws.
func (s *story) anna() error {
	s.page.act("Anna types her address into the shop's form")
	a, err := s.request(anna, "203.0.113.42")
	if err != nil {
		return err
	}
	id, token := a.Consents[0].ConsentID, a.Token
	s.page.say("Anybody can type anybody's address, so this alone allows nothing: the shop now mails %s a link with a secret token. "+
		"Her address and the computer's network (cut to 203.0.113.0/24) went to the vault. In the log stand commitments: salted "+
		"fingerprints that can prove those values later and reveal nothing. \"lock\" is the token's fingerprint.", anna)
	s.page.entry(a.Consents[0].Entry)
	if err := s.check(anna, false, "pending"); err != nil {
		return err
	}
	if err := s.guess(); err != nil {
		return err
	}
	if err := s.click(id, token); err != nil {
		return err
	}
	if err := s.use(id); err != nil {
		return err
	}
	return s.withdraw(id)
}

// request asks for the newsletter in somebody's name.
func (s *story) request(email, ip string) (*answer, error) {
	a, err := s.app.must(s.keys.shop, appService+"RequestConsent", fields{
		"subject": fields{"email": email}, "purposes": []string{"newsletter"}, "channel": "email",
		"notice": "newsletter-en@1", "method": "web_form", "proof": "log",
		"claims": fields{"ip": ip, "page_url": "https://shop.example.com/newsletter"}})
	if err != nil {
		return nil, err
	}
	if len(a.Consents) != 1 || a.Consents[0].State != "requested" || len(a.Token) != 43 {
		return nil, unexpected("the answer to the request", "one consent in state requested, and a token", fmt.Sprintf("%d consents", len(a.Consents)))
	}
	return a, nil
}

// check asks "may I send?" and compares the answer.
func (s *story) check(email string, allowed bool, reason string) error {
	a, err := s.app.must(s.keys.shop, appService+"CheckConsent", fields{
		"subject": fields{"email": email}, "purpose": "newsletter", "channel": "email"})
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(email, "@")
	question := "May the shop send " + strings.ToUpper(name[:1]) + name[1:] + " the newsletter?"
	if a.Allowed != allowed || a.Reason != reason {
		return unexpected(question, fmt.Sprintf("%v (%s)", allowed, reason), fmt.Sprintf("%v (%s)", a.Allowed, a.Reason))
	}
	s.page.asked(question, allowed, reason)
	return nil
}

// guess tries a token that nobody was sent.
func (s *story) guess() error {
	s.page.act("Somebody guesses a link")
	a, err := s.app.post(s.keys.shop, appService+"ConfirmConsent", fields{"token": strings.Repeat("A", 43)})
	if err != nil {
		return err
	}
	if a.status != http.StatusNotFound || a.Code != "not_found" {
		return unexpected("the answer to a bad token", "404 not_found", fmt.Sprintf("%d %s", a.status, a.Code))
	}
	s.page.say("The ledger answers %d %s (%s). A refusal leaves no trace and grants nothing.", a.status, a.Code, a.Message)
	return s.check(anna, false, "pending")
}

// click is what Anna does with the link: twice.
func (s *story) click(id, token string) error {
	s.page.act("Anna clicks the link in her mail, twice")
	click := fields{"token": token, "claims": fields{"ip": "203.0.113.42"}, "proof": "log"}
	first, err := s.app.must(s.keys.shop, appService+"ConfirmConsent", click)
	if err != nil {
		return err
	}
	if len(first.Consents) != 1 || first.Consents[0].State != "confirmed" || first.AlreadyConfirmed {
		return unexpected("the answer to the click", "one consent, confirmed now", fmt.Sprintf("%d consents", len(first.Consents)))
	}
	confirmed := first.Consents[0].Entry
	s.page.say("\"consent %s after %[1]s\" says which consent this changes, and which entry changed it last. The token is now public: "+
		"anybody can hash it and see that it fits the lock.", id)
	s.page.entry(confirmed)
	second, err := s.app.must(s.keys.shop, appService+"ConfirmConsent", click)
	if err != nil {
		return err
	}
	if len(second.Consents) != 1 || !second.AlreadyConfirmed || second.Consents[0].Entry.Index != confirmed.Index {
		return unexpected("the answer to the second click", "already_confirmed with the same entry", fmt.Sprintf("already_confirmed %v", second.AlreadyConfirmed))
	}
	s.page.say("The second click writes nothing. It is answered with already_confirmed and the same entry %s.", confirmed.Index)
	return s.check(anna, true, "confirmed")
}

// use is the mailing.
func (s *story) use(id string) error {
	s.page.act("The newsletter goes out")
	a, err := s.app.must(s.keys.shop, appService+"RecordUses", fields{
		"reference": "newsletter-2026-11", "consent_ids": []string{id}, "proof": "log"})
	if err != nil {
		return err
	}
	if len(a.Entries) != 1 || len(a.Irregular) != 0 {
		return unexpected("the answer to the use", "one entry, nothing irregular", fmt.Sprintf("%d entries, %d irregular", len(a.Entries), len(a.Irregular)))
	}
	s.page.say("The shop records that it relied on consent %s. Had Anna withdrawn before, the answer would call this use irregular, and every auditor's check would list it.", id)
	s.page.entry(a.Entries[0])
	return nil
}

// withdraw ends it.
func (s *story) withdraw(id string) error {
	s.page.act("Anna has had enough")
	a, err := s.app.must(s.keys.shop, appService+"WithdrawConsent", fields{
		"subject": fields{"email": anna}, "method": "one_click"})
	if err != nil {
		return err
	}
	if len(a.Withdrawn) != 1 || a.Withdrawn[0].ConsentID != id || a.Withdrawn[0].State != "withdrawn" {
		return unexpected("the answer to the withdrawal", "consent "+id+" withdrawn", fmt.Sprintf("%d consents", len(a.Withdrawn)))
	}
	s.page.say("Withdrawing is one call, as easy as consenting. It is never refused and counts from this moment.")
	s.page.entry(a.Withdrawn[0].Entry)
	return s.check(anna, false, "withdrawn")
}

// berta consents and is forgotten.
func (s *story) berta() error {
	s.page.act("Berta subscribes, too")
	a, err := s.request(berta, "2001:db8:17::5")
	if err != nil {
		return err
	}
	s.page.entry(a.Consents[0].Entry)
	confirmed, err := s.app.must(s.keys.shop, appService+"ConfirmConsent", fields{"token": a.Token, "proof": "log"})
	if err != nil {
		return err
	}
	if len(confirmed.Consents) != 1 || confirmed.Consents[0].State != "confirmed" {
		return unexpected("the answer to Berta's click", "one consent, confirmed", fmt.Sprintf("%d consents", len(confirmed.Consents)))
	}
	s.page.entry(confirmed.Consents[0].Entry)
	if err := s.check(berta, true, "confirmed"); err != nil {
		return err
	}
	s.page.act("Berta wants to be forgotten (Art. 17 GDPR)")
	erased, err := s.app.must(s.keys.shop, appService+"EraseSubject", fields{
		"subject": fields{"email": berta}, "reason": "art17", "mode": "shred_now"})
	if err != nil {
		return err
	}
	if erased.ConsentsErased != "1" || erased.Entry.Text == "" || erased.Shredded.Text == "" {
		return unexpected("the answer to the erasure", "1 consent erased, with both entries", erased.ConsentsErased+" consents erased")
	}
	s.page.say("Nothing is cut out of the log. Instead the keys under which the vault holds her data are destroyed, and with them the root key " +
		"over all keys, which is drawn afresh. What a backup or the disk may still hold of Berta opens only for somebody who kept a copy of " +
		"that old root key, the one file that must never be backed up. The log records both: that she is erased, and that the keys are gone.")
	s.page.entry(erased.Entry)
	s.page.entry(erased.Shredded)
	if err := s.receipt(erased.ErasureReceipt); err != nil {
		return err
	}
	if err := s.check(berta, false, "unknown_subject"); err != nil {
		return err
	}
	s.page.say("She is a stranger now; with the same address she could start anew, unlinked. Anna is still known:")
	return s.check(anna, false, "withdrawn")
}

// erasureReceipt is the file of what the erased person is given.
const erasureReceipt = "erasure-receipt.txt"

// receipt keeps Berta's receipt and verifies it as anybody can.
func (s *story) receipt(text string) error {
	if err := os.WriteFile(s.path(erasureReceipt), []byte(text), 0o644); err != nil {
		return err
	}
	s.page.say("The answer also carries a receipt for Berta to keep. Nothing in it is personal, and anybody can verify it:")
	out, err := s.verify(s.app.ctx, "receipt", erasureReceipt, 0)
	if err != nil {
		return err
	}
	shown := 0
	for line := range strings.Lines(out) {
		if name, _, _ := strings.Cut(line, " "); name == "contents" || name == "existence" {
			s.page.quote(line)
			shown++
		}
	}
	if shown != 2 {
		return unexpected("the report on the receipt", "two dates", out)
	}
	return nil
}

// unexpected is why the demo ends with exit code 1.
func unexpected(what, want, got string) error {
	return fmt.Errorf("%s: expected %s, got %s", what, want, got)
}
