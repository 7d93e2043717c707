package wire_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/consentledger/consentledger/internal/service"
)

// verify makes sure who asks.
func (g *garden) verify(who object, claims []string) {
	method := "EvidenceService/VerifyIdentity"
	req := object{"subject": who, "means": "document", "claims": g.claims(method, claims), "idempotency_key": g.key(method), "proof": "log"}
	g.grow(method, req)
	g.grow(method, req)
}

// demand is what happens when somebody demands their rights: requests with their
// answers, a restriction, a correction, recipients who are told.
func (g *garden) demand(who object, claims []string) {
	g.requests(who, claims)
	set, lift := "EvidenceService/SetRestriction", "EvidenceService/LiftRestriction"
	g.grow(set, object{"subject": who, "ground": "art18_1_a", "claims": g.claims(set, claims), "idempotency_key": g.key(set), "proof": "log"})
	g.grow(lift, object{"subject": who, "informed_at": ahead(-1), "claims": g.claims(lift, claims),
		"idempotency_key": g.key(lift), "proof": "log"})

	consent := g.do("EvidenceService/ListConsents", object{"subject": who})["records"].([]any)[0].(object)["consent"].(object)
	index := consent["entry"].(object)["index"]
	correct, notify, acknowledge := "EvidenceService/CorrectEntry", "EvidenceService/NotifyRecipient", "EvidenceService/AcknowledgeRecipient"
	g.grow(correct, g.letter(correct, object{"index": index}, claims))
	recipient := func(method string) map[string]string {
		return map[string]string{"recipient": g.plant("name", method+" claims.recipient").text, "reference": g.plant("customer", method+" claims.reference").text}
	}
	told := g.grow(notify, object{"index": index, "claims": recipient(notify), "idempotency_key": g.key(notify), "proof": "log"})
	g.grow(acknowledge, object{"notification_id": told["notification_id"], "claims": recipient(acknowledge), "idempotency_key": g.key(acknowledge), "proof": "log"})
	g.grow("EvidenceService/ListRecipients", object{"index": index})
	g.grow("EvidenceService/GetConsentHistory", object{"consent_id": consent["consent_id"]})
	g.grow("EvidenceService/ListConsents", object{"subject": who})
}

// requests opens a request and answers it after an extension, and opens one that is
// refused.
func (g *garden) requests(who object, claims []string) {
	open, extend, answer, refuse := "EvidenceService/OpenRequest", "EvidenceService/ExtendRequest", "EvidenceService/AnswerRequest", "EvidenceService/RefuseRequest"
	opened := func() any {
		return g.grow(open, g.letter(open, object{"subject": who, "article": "art15"}, claims))["request_id"]
	}
	id := opened()
	g.grow(extend, g.letter(extend, object{"request_id": id}, claims))
	g.grow(answer, g.letter(answer, object{"request_id": id}, claims))
	g.grow(refuse, g.letter(refuse, object{"request_id": opened(), "refusal": "unfounded"}, claims))
	stranger := object{"email": g.plant("address", open+" subject.email of a stranger").text}
	g.grow(open, object{"subject": stranger, "article": "art15", "claims": map[string]string{"reference": g.plant("name", open+" claims.reference").text}})
	g.do("EvidenceService/ListRequests", object{})
}

// letter adds claims, a letter and what else a request of the legal role has.
func (g *garden) letter(method string, req object, claims []string) object {
	req["claims"], req["idempotency_key"], req["proof"] = g.claims(method, claims), g.key(method), "log"
	g.attachFiles(method, req, "document", "reference")
	return req
}

// report hands out everything held about a person, in both ways and formats. What others
// sent before must not be in it: of the canaries, the first so many, but for those of the person.
func (g *garden) report(who object, before int) {
	var others []*planted
	for _, p := range g.canaries[:before] {
		_, err := netip.ParseAddr(p.text) // many share one network
		if err != nil && !p.shown && !slices.ContainsFunc([]any{who["email"], who["phone"], who["external_id"]}, func(own any) bool { return own == p.text }) {
			others = append(others, p)
		}
	}
	s := newSearch(others)
	for _, format := range []string{"json", "csv"} {
		for _, procedure := range reports {
			method := shortName(procedure)
			req := object{"subject": who, "format": format, "recipient": g.plant("name", method+" recipient").text, "idempotency_key": g.key(method)}
			g.grow(method, req)
			for _, other := range reports {
				text := g.r.fileOf(other, req)
				for _, leak := range s.leaks([]place{{fmt.Sprint("the report about ", who), text, nil}}) {
					g.t.Error(leak)
				}
				if !bytes.Contains(text, []byte(g.known(who))) {
					g.t.Errorf("the report about %v does not name them:\n%.2000s", who, text)
				}
			}
		}
	}
}

// known gives how the ledger writes a person's identifier.
func (g *garden) known(who object) string {
	text, _ := who["external_id"].(string)
	if mail, ok := who["email"].(string); ok {
		text, _ = service.NormaliseEmail(mail)
	} else if number, ok := who["phone"].(string); ok {
		text, _ = service.NormalisePhone(number)
	}
	return text
}

// reports are the methods that hand out everything held about a person.
var reports = []string{evidence + "ExportAccessReport", evidence + "GetAccessReport"}

// masking are the methods that show personal values masked.
var masking = []string{evidence + "GetConsentHistory", evidence + "ListConsents"}

// mayBeMasked says what of personal values a mask leaves to be found: the domain of an
// address, and the media type of bytes.
func mayBeMasked(n needle) bool {
	if strings.Contains(n.of.what, "media_type,") {
		return true
	}
	if strings.Contains(n.of.what, "claims") {
		return false
	}
	normal, _ := service.NormaliseEmail(n.of.text)
	for _, address := range []string{n.of.text, normal} {
		_, domain, found := strings.Cut(address, "@")
		if found && strings.EqualFold(norm.NFC.String(string(n.bytes)), domain) {
			return true
		}
	}
	return false
}

// controlMasks is the control of mayBeMasked: it lets nothing through
// that leads to somebody.
func (g *garden) controlMasks() {
	p := g.plant("address", "RequestConsent subject.email")
	_, domain, _ := strings.Cut(p.text, "@")
	local, _, _ := strings.Cut(p.text, "@")
	sent := base64.StdEncoding.EncodeToString([]byte(p.text))
	for text, allowed := range map[string]bool{"J•••@" + domain: true, p.text: false, local: false, strings.ToUpper(local): false, sent: false} {
		leaks := newSearch([]*planted{p}).leaks([]place{{"a masked answer", []byte(text), mayBeMasked}})
		if (len(leaks) == 0) != allowed {
			g.t.Errorf("%s: %v", text, leaks)
		}
	}
}
