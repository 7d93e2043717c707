package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// hash gives a SHA-256 as it is posted.
func hash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// anna asks, confirms, is written to and withdraws; the shop shows that it was so,
// and gives her a copy.
func (s *story) anna() error {
	asked := time.Now().UTC().Truncate(time.Second).Add(-10 * time.Minute)
	id, token, err := s.ask(asked)
	if err != nil {
		return err
	}
	message, err := s.sendMail(id, token, asked.Add(2*time.Second))
	if err != nil {
		return err
	}
	for _, act := range []func() error{
		s.guess,
		func() error { return s.click(id, token, asked.Add(9*time.Minute)) },
		func() error { return s.use(id) },
		func() error { return s.withdraw(id) },
		func() error { return s.court(id, message) },
		s.access,
	} {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// ask is what Anna does first.
func (s *story) ask(asked time.Time) (id, token string, err error) {
	s.page.act("Anna types her address into the shop's form")
	a, err := s.request(anna, "203.0.113.42", asked)
	if err != nil {
		return "", "", err
	}
	s.page.say("Her address, the form as it was shown, her browser and her computer's network (cut to 203.0.113.0/24) went to the vault. " +
		"In the log stand commitments: salted fingerprints that can prove those values later and reveal nothing. \"lock\" is the fingerprint " +
		"of the secret token in the link that the shop will mail, \"occurred\" when she asked, by the shop's clock.")
	s.page.entry(a.Consents[0].Entry)
	_, err = s.check(anna, "email", false, "pending")
	return a.Consents[0].ConsentID, a.Token, err
}

// sendMail is what the shop does then.
func (s *story) sendMail(id, token string, sent time.Time) ([]byte, error) {
	s.page.act("The shop mails her the link")
	message, a, err := s.mail(anna, id, token, sent)
	if err != nil {
		return nil, err
	}
	s.page.say("Anybody can type anybody's address, so the mailbox has to answer. The raw message and the mail server's answer went to the " +
		"vault (\"mail kept\"), and the template to which the message belongs is named. A bounce would be recorded, too, and a second mail.")
	s.page.entry(a.Entry)
	return message, nil
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
	return nil
}

// click is what Anna does with the link: she opens the page behind it and presses
// the button there, twice.
func (s *story) click(id, token string, clicked time.Time) error {
	s.page.act("Anna opens the link in her mail and presses the button, twice")
	who := fields{"ip": "203.0.113.42", "user_agent": browser}
	opened, err := s.app.must(s.keys.shop, appService+"RecordConfirmationOpened", fields{
		"token": token, "claims": who, "occurred_at": clicked.Add(-5 * time.Second), "proof": "log"})
	if err != nil {
		return err
	}
	s.page.say("Opening the page moves nothing (entry %s), because programs that look for viruses open links, too.", opened.Entry.Index)
	if _, err := s.check(anna, "email", false, "pending"); err != nil {
		return err
	}
	click := fields{"token": token, "click": "button", "claims": who, "occurred_at": clicked, "proof": "log"}
	first, err := s.app.must(s.keys.shop, appService+"ConfirmConsent", click)
	if err != nil {
		return err
	}
	if len(first.Consents) != 1 || first.Consents[0].State != "confirmed" || first.Consents[0].Grade != "A" || first.AlreadyConfirmed || first.SinceSent != "538s" {
		return unexpected("the answer to the click", "one consent, confirmed now with grade A, 538s after the mail", fmt.Sprint(first.Consents, first.SinceSent))
	}
	confirmed := first.Consents[0].Entry
	s.page.say("The click does. \"consent %s after %[1]s\" says which consent this changes, and which entry changed it last. The token is now "+
		"public: anybody can hash it and see that it fits the lock. It came %s after the mail.", id, first.SinceSent)
	s.page.entry(confirmed)
	second, err := s.app.must(s.keys.shop, appService+"ConfirmConsent", click)
	if err != nil {
		return err
	}
	if len(second.Consents) != 1 || !second.AlreadyConfirmed || second.Consents[0].Entry.Index != confirmed.Index {
		return unexpected("the answer to the second click", "already_confirmed with the same entry", fmt.Sprintf("already_confirmed %v", second.AlreadyConfirmed))
	}
	s.page.say("The second click writes nothing. It is answered with already_confirmed and the same entry %s.", confirmed.Index)
	a, err := s.check(anna, "email", true, "confirmed")
	if err != nil {
		return err
	}
	if a.Grade != "A" || a.ExpiresAt.IsZero() {
		return unexpected("the answer to the check", "grade A and an end", fmt.Sprint(a.Grade, a.ExpiresAt))
	}
	s.page.say("Grade A: a button, no sign of a machine, and form, mail and both computers on record. It counts until %s.", a.ExpiresAt.Format(time.DateOnly))
	return nil
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
	s.page.entry(a.Entries[0].demoEntry)
	return nil
}

// withdraw ends it.
func (s *story) withdraw(id string) error {
	s.page.act("Anna has had enough")
	s.mailed = time.Now().UTC()
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
	if _, err := s.check(anna, "email", false, "withdrawn"); err != nil {
		return err
	}
	then, err := s.app.must(s.keys.shop, appService+"CheckConsent", fields{
		"subject": fields{"email": anna}, "purpose": "newsletter", "channel": "email", "at": s.mailed})
	if err != nil {
		return err
	}
	if then.Allowed || !then.AllowedThen || !then.AllowedInHindsight {
		return unexpected("whether the mailing was allowed", "then and in hindsight, but not now", fmt.Sprint(then.Allowed, then.AllowedThen, then.AllowedInHindsight))
	}
	s.page.say("The newsletter that had gone out stays lawful. Asked \"at\" a moment before, a check answers: allowed_then YES (by what the log " +
		"knew), allowed_in_hindsight YES (by what is known now), allowed NO.")
	return nil
}

// court shows what there is to show, as role legal.
func (s *story) court(id string, message []byte) error {
	s.page.act("Anna complains: where did the shop have her address from?")
	a, err := s.app.must(s.keys.legal, evidenceService+"GetConsentHistory", fields{"consent_id": id})
	if err != nil {
		return err
	}
	s.page.say("A key of role legal lists what the log has. Personal values are masked:")
	for _, e := range a.Entries {
		head := fmt.Sprintf("%3s  %-21s ", e.Entry.Index, e.Kind)
		claims := wrap(e.masked(), pageWidth-7-len(head))
		s.page.quote(strings.TrimRight(head+strings.ReplaceAll(claims, "\n", "\n"+strings.Repeat(" ", len(head))), " "))
	}
	shown, err := s.app.must(s.keys.legal, evidenceService+"DiscloseClaims", fields{
		"consent_id": id, "claims": []string{"message"}, "reason": "complaint 17", "recipient": "Local Court of Exampletown"})
	if err != nil {
		return err
	}
	if len(shown.Disclosures) != 1 || !bytes.Equal(shown.Disclosures[0].Bytes, message) {
		return unexpected("what is disclosed", "the mail", fmt.Sprintf("%d values", len(shown.Disclosures)))
	}
	d := shown.Disclosures[0]
	commit := "commit message " + base64.StdEncoding.EncodeToString(hash([]byte(d.Text)))
	for _, e := range a.Entries {
		if e.Entry.Index == d.Index && strings.Contains(e.Entry.Text, commit+"\n") {
			s.page.say("Then it shows the court the mail as it was sent, byte for byte, and a disclosure, which holds the mail's SHA-256 and a "+
				"salt; hashed, it gives the line of entry %s that was signed then. Who asked for it, and why, is on record now, too.", d.Index)
			s.page.quote(commit)
			return nil
		}
	}
	return unexpected("the entry of the mail", commit, "another commitment")
}
