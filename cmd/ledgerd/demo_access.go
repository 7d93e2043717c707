package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// accessFile is the file of what Anna is given.
const accessFile = "access-report.json"

// rightsAnswer is what the story reads from answers about the rights of a person; each
// has some of it.
type rightsAnswer struct {
	Code      string
	Message   string
	RequestID string `json:"request_id"`
	Due       time.Time
	Entry     demoEntry
	Report    []byte
	Bundle    []byte
}

// lawyer makes a call of role legal that must be answered with this code, "" for no
// error.
func (s *story) lawyer(method string, request fields, code string) (a rightsAnswer, err error) {
	_, err = s.app.send(s.keys.legal, evidenceService+method, request, &a)
	if err == nil && a.Code != code {
		err = unexpected("the answer to "+method, "code \""+code+"\"", fmt.Sprintf("%q, %s", a.Code, a.Message))
	}
	return a, err
}

// access answers Anna's request for a copy of everything.
func (s *story) access() error {
	s.page.act("Anna wants to know what the shop holds about her (Art. 15 GDPR)")
	subject := fields{"email": anna}
	asked, err := s.lawyer("OpenRequest", fields{"subject": subject, "article": "art15", "proof": "log"}, "")
	if err != nil {
		return err
	}
	s.page.say("The lawyer records the request, and the month begins within which it has to be answered, here until %s.", asked.Due.Format(time.DateOnly))
	s.page.entry(asked.Entry)
	report := fields{"subject": subject, "format": "json"}
	refused, err := s.lawyer("GetAccessReport", report, "failed_precondition")
	if err != nil {
		return err
	}
	if _, err := s.lawyer("VerifyIdentity", fields{"subject": subject, "means": "mailbox"}, ""); err != nil {
		return err
	}
	given, err := s.lawyer("GetAccessReport", report, "")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path(accessFile), given.Report, 0o600); err != nil {
		return err
	}
	rule, _, _ := strings.Cut(refused.Message, ":")
	s.page.say("Nothing is handed out before it is recorded how the lawyer made sure who asks (%s). Then Anna gets everything, in JSON or as a "+
		"table: %s. It says of her consent, in words:", rule, accessFile)
	if err := s.printHistory(given.Report); err != nil {
		return err
	}
	_, err = s.lawyer("AnswerRequest", fields{"request_id": asked.RequestID}, "")
	return err
}

// printHistory prints what an access report says of its first consent.
func (s *story) printHistory(report []byte) error {
	var read struct {
		Consents []struct {
			InWords string `json:"in_words"`
			History []struct {
				InWords string `json:"in_words"`
			}
		}
	}
	if err := json.Unmarshal(report, &read); err != nil {
		return fmt.Errorf("reading the access report: %w", err)
	}
	if len(read.Consents) != 1 || len(read.Consents[0].History) < 6 {
		return unexpected("the access report", "one consent with its history", fmt.Sprintf("%d consents", len(read.Consents)))
	}
	s.page.quote(wrap(read.Consents[0].InWords, pageWidth-7))
	for _, h := range read.Consents[0].History[:6] {
		s.page.quote("  " + strings.ReplaceAll(wrap(h.InWords, pageWidth-9), "\n", "\n    "))
	}
	return nil
}
