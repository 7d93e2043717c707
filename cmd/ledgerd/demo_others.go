package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// carl is confirmed by a machine.
func (s *story) carl() error {
	s.page.act("A scanner clicks Carl's link")
	a, err := s.request(carl, "198.51.100.7", time.Now().UTC())
	if err != nil {
		return err
	}
	if _, _, err := s.mail(carl, a.Consents[0].ConsentID, a.Token, time.Now().UTC()); err != nil {
		return err
	}
	clicked, err := s.app.must(s.keys.shop, appService+"ConfirmConsent", fields{
		"token": a.Token, "click": "link", "claims": fields{"user_agent": "curl/8.5.0"}, "proof": "log", "occurred_at": time.Now().UTC()})
	if err != nil {
		return err
	}
	if len(clicked.Consents) != 1 || clicked.Consents[0].Grade != "D" {
		return unexpected("the answer to the scanner's click", "one consent of grade D", fmt.Sprint(clicked.Consents))
	}
	s.page.say("The link was opened %s after the mail, and no button was pressed: so do programs that look for viruses. The click is recorded, "+
		"with the sign of a machine (\"commit scanner\"), and gives grade D. The purpose wants C.", clicked.SinceSent)
	s.page.entry(clicked.Consents[0].Entry)
	_, err = s.check(carl, "email", false, "grade_too_low")
	return err
}

// berta consents on paper and is forgotten.
func (s *story) berta() error {
	s.page.act("Berta signs a card in the shop")
	a, err := s.app.must(s.keys.shop, appService+"GiveConsent", fields{
		"subject": fields{"email": berta}, "purposes": []string{"newsletter"}, "channel": "post", "notice": "newsletter-en@1",
		"method": "paper", "claims": fields{"name": "Berta Example", "address": "2 Low Street, Exampletown", "operator": "till 3"},
		"attachments": []fields{{"name": "document", "file_name": "card.pdf", "media_type": "application/pdf", "bytes": []byte("%PDF-1.4 (the scan of the card)")}},
		"proof":       "log"})
	if err != nil {
		return err
	}
	if len(a.Consents) != 1 || a.Consents[0].State != "given" || a.Consents[0].Grade != "B" {
		return unexpected("the answer to the card", "one consent, given with grade B", fmt.Sprint(a.Consents))
	}
	s.page.say("By post no click can be had. The scan of the card went to the vault, which makes grade B.")
	s.page.entry(a.Consents[0].Entry)
	if _, err := s.check(berta, "post", true, "given"); err != nil {
		return err
	}
	s.page.say("Each channel has a consent of its own:")
	if _, err := s.check(berta, "email", false, "no_consent"); err != nil {
		return err
	}
	return s.forget()
}

// forget erases Berta.
func (s *story) forget() error {
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
	if _, err := s.check(berta, "post", false, "unknown_subject"); err != nil {
		return err
	}
	s.page.say("She is a stranger now; with the same address she could start anew, unlinked. Anna is still known:")
	_, err = s.check(anna, "email", false, "withdrawn")
	return err
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
