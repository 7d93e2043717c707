package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The people of the story. Nobody lives at example.org (RFC 2606).
const (
	anna  = "anna@example.org"
	berta = "berta@example.org"
	carl  = "carl@example.org"
)

const noticeText = `Yes, send me the newsletter once a month. I can withdraw at any time with the link in every mail.
Responsible: Example Shop Ltd, 1 High Street, Exampletown.
`

// mailTemplate is the confirmation mail before it is filled in.
const mailTemplate = `Please confirm that you want the newsletter of Example Shop Ltd:
{{link}}
If that was not you, do nothing.
`

// form is the page on which people ask, as the shop's server sent it.
const form = `<form method="post"><label><input type="checkbox" name="yes"> ` + noticeText + `</label> <input name="email"> <button>Sign up</button></form>`

// define is what an administrator does once.
func (s *story) define() error {
	s.page.act("The shop says what addresses are for, and in which words it asks")
	a, err := s.app.must(s.keys.admin, adminService+"DefinePurpose", fields{
		"id": "newsletter", "title": "Monthly newsletter", "marketing": true, "double_opt_in": true, "double_opt_in_channels": []string{"email"},
		"minimum_grade": "C", "validity_days": 730, "proof": "log"})
	if err != nil {
		return err
	}
	s.page.say("The administrator defines the purpose and its terms: by e-mail nothing without a click in a confirmation mail (double opt-in), " +
		"no evidence weaker than grade C (A is the best, E the least), and a yes counts for two years. An entry is short plain text; " +
		"nothing in it is personal. (Entry 0 says whose ledger this is. Before a key's first entry the ledger adds one that declares the key.)")
	s.page.entry(a.Entry)
	if err := s.publish(); err != nil {
		return err
	}
	a, err = s.app.must(s.keys.admin, adminService+"PublishNotice", fields{
		"id": "confirm-en", "use": "mail", "language": "en", "text": mailTemplate, "purposes": []string{"newsletter"},
		"facts": fields{"advertising_free": true}})
	if err != nil {
		return err
	}
	s.page.say("The confirmation mail's template is published as well: %s, free of advertising.", a.Notice)
	return nil
}

// publish publishes the words that people will read.
func (s *story) publish() error {
	a, err := s.app.must(s.keys.admin, adminService+"PublishNotice", fields{
		"id": "newsletter-en", "language": "en", "text": noticeText, "purposes": []string{"newsletter"},
		"checkbox_default": "unticked", "conditional_on": "none", "facts": fields{
			"controller": "Example Shop Ltd, 1 High Street, Exampletown", "contact": "privacy@shop.example.com",
			"recipients": []string{"none"}, "third_countries": []string{"none"}, "retention": "until you withdraw, then three years as evidence",
			"rights": "access, rectification, erasure, restriction, portability; you can withdraw at any time", "refusal": "no newsletter, nothing else",
			"automated_decisions": "none", "companies": []string{"Example Shop Ltd"}, "products": []string{"garden tools"},
			"contents": "new products and offers", "frequency": "once a month"},
		"proof": "log"})
	if err != nil {
		return err
	}
	if a.Notice != "newsletter-en@1" || !slices.Equal(a.Missing, []string{"authority"}) {
		return unexpected("the notice", "newsletter-en@1, in which the authority is missing", fmt.Sprint(a.Notice, a.Missing))
	}
	s.page.say("The words that people will read become version 1 of a notice, kept for ever with the facts that it tells; the entry holds " +
		"their SHA-256, a fingerprint. A box that is ticked beforehand would be refused. The answer names what Art. 13 GDPR asks for and the " +
		"notice does not say: authority, where to complain. (From here on index, prev and time of entries are left out.)")
	s.page.entry(a.Entry)
	return nil
}

// request asks for the newsletter in somebody's name.
func (s *story) request(email, ip string, occurred time.Time) (*answer, error) {
	a, err := s.app.must(s.keys.shop, appService+"RequestConsent", fields{
		"subject": fields{"email": email}, "purposes": []string{"newsletter"}, "channel": "email",
		"notice": "newsletter-en@1", "method": "web_form", "proof": "log", "occurred_at": occurred,
		"claims":      fields{"ip": ip, "user_agent": browser, "page_url": "https://shop.example.com/newsletter"},
		"attachments": []fields{{"name": "form_snapshot", "media_type": "text/html", "bytes": []byte(form)}}})
	if err != nil {
		return nil, err
	}
	if len(a.Consents) != 1 || a.Consents[0].State != "requested" || len(a.Token) != 43 {
		return nil, unexpected("the answer to the request", "one consent in state requested, and a token", fmt.Sprintf("%d consents", len(a.Consents)))
	}
	return a, nil
}

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// mail records the confirmation mail and gives it: the template, filled in.
func (s *story) mail(email, id, token string, occurred time.Time) ([]byte, *answer, error) {
	message := []byte(strings.ReplaceAll("From: Example Shop <news@shop.example.com>\nTo: "+email+"\nSubject: Please confirm\n\n"+
		strings.Replace(mailTemplate, "{{link}}", "https://shop.example.com/confirm#"+token, 1), "\n", "\r\n"))
	a, err := s.app.must(s.keys.shop, appService+"RecordConfirmationSent", fields{
		"consent_ids": []string{id}, "template": "confirm-en@1", "message": message, "message_sha256": hash(message),
		"mta_response": "250 2.0.0 Ok: queued as 4Kx7Wq", "proof": "log", "occurred_at": occurred})
	if err != nil {
		return nil, nil, err
	}
	if len(a.Irregular) != 0 {
		return nil, nil, unexpected("the answer to the mail", "nothing irregular", fmt.Sprintf("%d irregular", len(a.Irregular)))
	}
	return message, a, nil
}

// check asks "may I send?" and compares the answer.
func (s *story) check(email, channel string, allowed bool, reason string) (*answer, error) {
	a, err := s.app.must(s.keys.shop, appService+"CheckConsent", fields{
		"subject": fields{"email": email}, "purpose": "newsletter", "channel": channel})
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(email, "@")
	question := "May the shop send " + strings.ToUpper(name[:1]) + name[1:] + " the newsletter by " + channel + "?"
	if a.Allowed != allowed || a.Reason != reason {
		return nil, unexpected(question, fmt.Sprintf("%v (%s)", allowed, reason), fmt.Sprintf("%v (%s)", a.Allowed, a.Reason))
	}
	if allowed || reason == "grade_too_low" {
		reason += ", grade " + a.Grade
	}
	s.page.asked(question, allowed, reason)
	return a, nil
}

// unexpected is why the demo ends with exit code 1.
func unexpected(what, want, got string) error {
	return fmt.Errorf("%s: expected %s, got %s", what, want, got)
}
