package main

import (
	"context"
	"os"
	"strings"
)

// bundleFile is the file that the court is given.
const bundleFile = "anna.asice"

// bundle makes one file for the court about the moment of the mailing.
func (s *story) bundle() error {
	s.page.act("A court asks: was there consent when the newsletter went out?")
	made, err := s.lawyer("GetBundle", fields{"subject": fields{"email": anna}, "purposes": []string{"newsletter"}, "disclose": []string{"email", "message"},
		"at": s.mailed, "recipient": "Local Court of Exampletown", "reason": "complaint 17"}, "")
	if err != nil {
		return err
	}
	s.page.say(`The lawyer makes one file, as "ledgerd bundle" does: %s. In it are the entries, the proofs that they are in the log and that none was `+
		"left out, the words and the mail that she saw, a report in German and English, and of her data the address and the mail that the lawyer "+
		"chose. That it was made, for whom and why is on record, in the file, too.", bundleFile)
	return os.WriteFile(s.path(bundleFile), made.Bundle, 0o600)
}

// checkBundle has the verifier answer the court's question.
func (s *story) checkBundle(ctx context.Context) error {
	s.page.act("The court's expert checks the file, offline and without asking us")
	out, err := s.verify(ctx, "bundle", bundleFile, 0)
	if err != nil {
		return err
	}
	verdict, _, _ := strings.Cut(out, "\n")
	answer, _, answered := strings.Cut(out, "\n  evidence:\n")
	answer = answer[strings.LastIndex(answer, "\n\n")+2:]
	question, yes, _ := strings.Cut(answer, "\n")
	if !answered || !strings.HasPrefix(verdict, "VERIFIED") || !strings.Contains(question, s.mailed.Format("2006-01-02T15:04:05")) ||
		!strings.HasPrefix(yes, "  YES: confirmed") {
		return unexpected("the verdict on the bundle", "VERIFIED, and YES: confirmed", out)
	}
	s.page.quote(verdict)
	s.page.quote(wrap(question, pageWidth-7) + "\n" + yes)
	s.page.say("Exit code 0. It made its own answer of the entries and took none from the report, which is there for people to read: unzip the file " +
		"and open docs/report.en.pdf. docs/VERIFY.txt says how to check by hand, with unzip, sha256sum and openssl. UNANCHORED, because no witness " +
		"and no time-stamping authority took part in this demo.")
	return nil
}
