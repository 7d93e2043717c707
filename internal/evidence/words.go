package evidence

import (
	"strings"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// The words of the log's vocabularies as a person reads them, in English. What is
// not in a table stands for itself.

var (
	methodWords = map[string]string{
		"web_form": "through a web form", "app": "in an app", "preference_centre": "in the preference centre", "link": "by a link",
		"one_click": "by unsubscribing with one click", "email_reply": "by answering a mail", "paper": "on paper", "oral": "orally",
		"phone": "by telephone", "in_person": "in person", "api": "through another system", "import": "in another system",
	}
	channelWords = map[string]string{
		"email": "by e-mail", "phone": "by telephone", "sms": "by text message", "messenger": "by messenger", "fax": "by fax",
		"post": "by post", "push": "by push message", "app": "in an app", "web": "on websites", ledger.AnyChannel: "on every channel",
	}
	basisWords = map[string]string{
		"consent": "your consent (Art. 6(1)(a) GDPR)", "contract": "a contract with you (Art. 6(1)(b) GDPR)",
		"legal_obligation": "a legal obligation (Art. 6(1)(c) GDPR)", "legitimate_interest": "a legitimate interest (Art. 6(1)(f) GDPR)",
		"existing_customer": "that you are a customer who may be written to about similar goods (§ 7(3) UWG)",
	}
	groundWords = map[string]string{
		"art18_1_a": "you contest that the data are correct (Art. 18(1)(a) GDPR)",
		"art18_1_b": "the use is unlawful and you do not want the data erased (Art. 18(1)(b) GDPR)",
		"art18_1_c": "you need the data for legal claims (Art. 18(1)(c) GDPR)",
		"art18_1_d": "you objected and the answer is still open (Art. 18(1)(d) GDPR)",
	}
	causeWords = map[string]string{
		"rectified": "the address for which it was given is not yours any more", "scanner": "a machine had clicked",
		"wording": "the words that were shown do not bear it", "authority": "a court or an authority said so",
		"error": "it was recorded by mistake", "other": "another reason",
	}
	eraseWords = map[string]string{
		"art17": "erasure was asked for (Art. 17 GDPR)", "consent_withdrawn": "the consent was withdrawn", "retention": "the period for which it is kept is over",
		"unlawful": "the use was unlawful", "objection": "you objected", "child": "the data are a child's", "other": "another reason",
	}
	articleWords = map[string]string{
		"art15": "access to your data (Art. 15 GDPR)", "art16": "correction (Art. 16 GDPR)", "art17": "erasure (Art. 17 GDPR)",
		"art18": "restriction (Art. 18 GDPR)", "art19": "who was told (Art. 19 GDPR)", "art20": "your data in a form that can be taken elsewhere (Art. 20 GDPR)",
		"art21": "an end to a use to which you object (Art. 21 GDPR)", "art22": "a human decision instead of a machine's (Art. 22 GDPR)",
	}
	refusalWords = map[string]string{
		"excessive": "the requests are excessive (Art. 12(5) GDPR)", "unfounded": "the request is manifestly unfounded (Art. 12(5) GDPR)",
		"unidentified": "it could not be established who asks (Art. 12(2) GDPR)", "legal_claims": "the data are needed for legal claims",
		"legal_obligation": "a legal obligation stands against it", "overriding_grounds": "compelling grounds override it (Art. 21(1) GDPR)",
		"not_applicable": "the right does not apply here", "other": "another reason",
	}
	meansWords = map[string]string{
		"document": "by a document", "eid": "by an electronic identity card", "login": "by a login", "mailbox": "by a mail to your address",
		"phone_call": "by a telephone call", "question": "by questions that only you can answer", "other": "in another way",
	}
	clickWords = map[string]string{
		"button": "the button on the page behind the link was pressed", "link": "the link was opened",
		"script": "the page behind the link pressed its button itself", "event": "another system reports it",
	}
	ruleWords = map[string]string{
		"withdrawn": "the consent had ended", "lapsed": "the request had lapsed", "unused": "the consent had not been used for long",
		"validity": "the consent counts for a limited time", "evidence": "the period for evidence was over",
	}
	measureWords = map[string]string{
		"lock": "was locked", "shred": "was to be destroyed", "expire": "expired", "warn": "was listed as unused", "block": "was blocked",
	}
	modeWords = map[string]string{
		"none": "not at all", "anonymous": "anonymously only", "pseudonymous": "under a pseudonym", "personal": "personally",
	}
	stateWords = map[string]string{
		"requested": "You were asked and have not confirmed.", "confirmed": "You confirmed it by a link.", "given": "You gave it.",
		"renewed": "You renewed it.", "imported": "It was taken over from another system.", "asserted": "The controller relies on it without your consent.",
		"lapsed": "The request was not confirmed.", "refused": "You refused.", "expired": "It has expired.", "withdrawn": "You withdrew it.",
		"objected": "You objected.", "revoked": "The controller ended it.", "invalidated": "It was found never to have been valid.",
	}
)

// words gives the words for a name of a vocabulary.
func words(table map[string]string, name string) string {
	if w, ok := table[name]; ok {
		return w
	}
	return name
}

// moment gives a time as a person reads it, to the second, by UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// phrase joins the parts of a sentence that are not empty.
func phrase(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, " ")
}
