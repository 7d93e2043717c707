package evidence

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// A consent receipt as ISO/IEC TS 27560:2023 structures it, in words of the W3C Data
// Privacy Vocabulary (DPV 2), as the community group's guide says how: Consent Records
// and Receipts as per ISO/IEC TS 27560:2023 using DPV, https://w3id.org/dpv/guides/consent-27560.
// The fields that the guide says must be present are in testdata/dpv-27560-fields.txt,
// and every receipt is tested against them.
//
// It wraps one record. What identifies both is derived from the log: a record is named
// by the leaf hash of the entry that opened it, as a URI of RFC 6920, a receipt by that
// and the newest entry about it. So is the person, who has another pseudonym in every
// receipt. No personal value is in it, only which kinds of them are kept.
//
// All states are listed, the first first: a receipt that told the newest only would
// hide when there was consent (w3c/dpv#243).
//
// Limits. Where data are stored, the ledger does not know but of processors; a receipt
// repeats what the notice says of third countries. The jurisdiction is the European
// Union's, for whose law the ledger is made. Two states have no DPV status of their own
// and are told as not valid for processing: lapsed and objected.

// notRecorded stands where the notices give no fact that must be present.
const notRecorded = "not recorded; the controller answers"

// node is a JSON-LD node.
type node map[string]any

// receiptContext gives the prefixes, and which values are IRIs.
var receiptContext = func() node {
	c := node{
		"dpv": "https://w3id.org/dpv#", "pd": "https://w3id.org/dpv/pd#", "loc": "https://w3id.org/dpv/loc#",
		"eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#", "dct": "http://purl.org/dc/terms/", "schema": "https://schema.org/",
		"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "skos": "http://www.w3.org/2004/02/skos/core#",
	}
	for _, property := range []string{"dct:conformsTo", "dct:publisher", "schema:recipient", "skos:broader", "dpv:hasNecessity", "dpv:hasProcessing",
		"dpv:hasLegalBasis", "dpv:hasDataController", "dpv:hasDataProcessor", "dpv:hasRecipient", "dpv:hasJurisdiction", "dpv:hasApplicableLaw",
		"dpv:hasLocation", "dpv:isIndicatedBy"} {
		c[property] = node{"@id": property, "@type": "@id"}
	}
	return c
}()

// ConsentReceipt gives the receipt as JSON-LD, application/ld+json. It is the same
// text as long as nothing happens to the record, its purpose, its notices and the
// processors that cover it.
func ConsentReceipt(f *service.ReceiptFacts) ([]byte, error) {
	r := &receipt{f: f, record: "ni:///sha-256;" + base64.RawURLEncoding.EncodeToString(f.Leaf[:])}
	id := fmt.Sprintf("%s#receipt-%d", r.record, f.Newest)
	return encode(node{
		"@context": receiptContext, "@id": id, "@type": "dpv:ConsentReceipt", "dct:identifier": id, "dpv:hasIdentifier": id,
		"dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#receipt", "dct:created": stamp(f.Changed), "dct:publisher": r.controller(),
		"dct:source":       fmt.Sprintf("%s, record %d", f.Origin, f.Consent.ID),
		"schema:recipient": "dpv:DataSubject", "dpv:hasRecordOfActivity": r.node(),
	})
}

type receipt struct {
	f      *service.ReceiptFacts
	record string // its IRI
}

func (r *receipt) controller() string { return r.record + "#controller" }
func (r *receipt) principal() string  { return r.record + "#principal" }

func (r *receipt) processor(id string) string { return r.record + "#processor-" + id }

// fact gives the first fact of a kind that a notice gives, notRecorded if none does.
func (r *receipt) fact(of func(service.NoticeFacts) string) string {
	for _, n := range r.f.Notices {
		if text := of(n.Facts); text != "" {
			return text
		}
	}
	return notRecorded
}

func (r *receipt) node() node {
	f := r.f
	record := node{
		"@id": r.record, "@type": "dpv:ConsentRecord", "dct:identifier": r.record, "dpv:hasIdentifier": r.record,
		"dct:conformsTo": "https://w3id.org/dpv/schema/dpv-27560#record", "dct:source": fmt.Sprintf("%s, entry %d", f.Origin, f.Consent.ID),
		"dpv:hasDataSubject": r.person(), "dpv:hasNotice": r.notices(), "dpv:hasProcess": []node{r.process()},
		"dpv:hasDataController": r.controller(), "dpv:hasEntity": r.entities(), "dpv:hasConsentStatus": r.states(),
		"dpv:hasJurisdiction": "loc:EU", "dpv:hasApplicableLaw": "eu-gdpr:GDPR", "dpv:hasLegalBasis": r.basis(),
		"dpv:hasConsentControl": node{"@type": "dpv:WithdrawConsent", "dct:description": r.fact(func(f service.NoticeFacts) string { return f.Rights })},
		"dpv:hasRight":          r.rights(),
	}
	if len(f.Processors) > 0 {
		var list []string
		for _, p := range f.Processors {
			list = append(list, r.processor(p.ID))
		}
		record["dpv:hasDataProcessor"] = list
	}
	return record
}

func (r *receipt) person() node {
	n := node{"@id": r.principal(), "@type": "dpv:DataSubject", "dct:identifier": r.principal()}
	if r.f.Child {
		n["@type"] = []string{"dpv:DataSubject", "dpv:Child"}
	}
	return n
}

func (r *receipt) notices() (list []node) {
	for _, n := range r.f.Notices {
		kind := "dpv:ConsentNotice"
		if n.Use == "privacy" {
			kind = "dpv:PrivacyNotice"
		}
		list = append(list, node{"@id": noticeIRI(n.SHA256), "@type": kind, "dct:identifier": n.Name, "dct:language": n.Language})
	}
	if list == nil {
		// Of what was imported nobody may know which words had been shown.
		list = append(list, node{"@type": "dpv:ConsentNotice", "dct:identifier": notRecorded, "dct:language": notRecorded})
	}
	return list
}

func noticeIRI(sum ledger.Hash) string {
	return "ni:///sha-256;" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// dataWords are the categories of DPV for claims; any other claim is personal data of
// no category.
var dataWords = map[string]string{
	"email": "pd:EmailAddress", "phone": "pd:TelephoneNumber", "external_id": "pd:UID", "typed": "pd:Contact", "name": "pd:Name",
	"guardian": "pd:Relationship", "ip": "pd:IPAddress", "user_agent": "pd:DeviceSoftware", "page_url": "pd:BrowsingBehavior",
	"referrer": "pd:BrowsingReferral", "language": "pd:Language", "message": "pd:EmailContent", "signal": "pd:PrivacyPreference",
	"address": "pd:PhysicalAddress",
}

func (r *receipt) process() node {
	purpose := node{"@type": "dpv:Purpose", "dct:identifier": r.f.Consent.Purpose, "dct:description": words(channelWords, r.f.Consent.Channel)}
	if p := r.f.Purpose; p != nil {
		purpose["dct:title"] = p.Title
		if p.Marketing {
			purpose["skos:broader"] = "dpv:DirectMarketing"
		}
	}
	var data []node
	for _, name := range r.f.Claims {
		category := dataWords[name]
		if category == "" {
			category = "dpv:PersonalData"
		}
		necessity := "dpv:Optional"
		if ledger.IsIdentifierClaim(name) {
			necessity = "dpv:Required"
		}
		data = append(data, node{"@type": "dpv:PersonalData", "skos:broader": category, "dct:identifier": name, "dpv:hasNecessity": necessity})
	}
	recipients := []string{r.controller()}
	for _, p := range r.f.Processors {
		recipients = append(recipients, r.processor(p.ID))
	}
	return node{"@type": "dpv:Process", "dpv:hasPurpose": purpose, "dpv:hasPersonalData": data,
		"dpv:hasProcessing": []string{"dpv:Collect", "dpv:Store", "dpv:Use"}, "dpv:hasDataSource": node{"@type": "dpv:DataSubjectDataSource"},
		"dpv:hasStorageCondition": r.storage(), "dpv:hasDataController": r.controller(), "dpv:hasRecipient": recipients}
}

// storage says where and for how long.
func (r *receipt) storage() []node {
	place := node{"@type": "dpv:StorageLocation", "dct:description": "third countries: " + r.fact(func(f service.NoticeFacts) string {
		return strings.Join(f.ThirdCountries, "; ")
	})}
	countries := []string{"loc:EU"}
	for _, p := range r.f.Processors {
		if place := "loc:" + p.Country; p.Country != "" && !slices.Contains(countries, place) {
			countries = append(countries, place)
		}
	}
	place["dpv:hasLocation"] = countries
	until := node{"@type": "dpv:UntilEventDuration", "rdf:value": "the consent has ended"}
	if !r.f.ValidUntil.IsZero() {
		until = node{"@type": "dpv:UntilTimeDuration", "rdf:value": stamp(r.f.ValidUntil)}
	}
	deletion := node{"@type": "dpv:StorageDeletion", "dct:description": r.fact(func(f service.NoticeFacts) string { return f.Retention })}
	if p := r.f.Purpose; p != nil {
		deletion["dpv:hasDuration"] = fmt.Sprintf("P%dD", p.LockDays)
	}
	return []node{place, {"@type": "dpv:StorageDuration", "dpv:hasDuration": until}, deletion}
}

// basis gives the types of consent.
func (r *receipt) basis() []string {
	if r.f.Explicit {
		return []string{"eu-gdpr:A9-2-a", "dpv:ExplicitlyExpressedConsent"}
	}
	return []string{"eu-gdpr:A6-1-a", "dpv:ExpressedConsent"}
}

func (r *receipt) entities() []node {
	who := r.fact(func(f service.NoticeFacts) string { return f.Controller })
	list := []node{{"@id": r.controller(), "@type": []string{"dpv:LegalEntity", "dpv:DataController"}, "dct:identifier": r.f.Controller,
		"dpv:hasIdentifier": r.f.Controller, "dpv:hasName": r.f.Controller,
		"schema:address":      node{"@type": "schema:PostalAddress", "schema:streetAddress": who},
		"schema:contactPoint": node{"@type": "schema:ContactPoint", "schema:description": r.fact(func(f service.NoticeFacts) string { return f.Contact })}}}
	for _, p := range r.f.Processors {
		address := p.Claims["address"]
		if address == "" {
			address = notRecorded
		}
		list = append(list, node{"@id": r.processor(p.ID), "@type": []string{"dpv:LegalEntity", "dpv:DataProcessor", "dpv:Recipient"}, "dct:identifier": p.ID,
			"dpv:hasIdentifier": p.ID, "dpv:hasName": p.Title, "schema:address": node{"@type": "schema:PostalAddress", "schema:streetAddress": address},
			"schema:contactPoint": node{"@type": "schema:ContactPoint", "schema:description": "by way of the controller"}})
	}
	return append(list, node{"@id": r.principal(), "@type": "dpv:DataSubject"})
}

func (r *receipt) rights() (list []node) {
	where := r.fact(func(f service.NoticeFacts) string { return f.Contact })
	for _, right := range []struct{ term, title string }{
		{"A7-3", "Right to withdraw consent"}, {"A15", "Right of access"}, {"A16", "Right to rectification"}, {"A17", "Right to erasure"},
		{"A18", "Right to restriction of processing"}, {"A20", "Right to data portability"}, {"A77", "Right to lodge a complaint"},
	} {
		list = append(list, node{"@type": []string{"dpv:DataSubjectRight", "eu-gdpr:" + right.term}, "dct:title": right.title, "dct:description": where})
	}
	return list
}

// states gives every state that the record was in.
func (r *receipt) states() (list []node) {
	for i, s := range r.f.States {
		status := s.State.DPV()
		if status == "" {
			status = "ConsentStatusInvalidForProcessing"
		}
		types := []string{"dpv:" + status}
		if s.State.Allows() {
			types = append(types, r.basis()[1])
		}
		n := node{"@type": types, "dct:identifier": fmt.Sprintf("entry %d", s.Index), "dct:description": words(stateWords, s.State.String()),
			"dpv:isIndicatedBy": r.by(s), "dpv:isIndicatedAtTime": stamp(s.At), "dpv:hasDuration": r.lasts(i)}
		if s.Method != "" {
			n["dpv:hasIndicationMethod"] = words(methodWords, s.Method)
		}
		for _, shown := range r.f.Notices {
			if shown.Name == s.Notice {
				n["dpv:hasNotice"] = node{"@id": noticeIRI(shown.SHA256)}
			}
		}
		list = append(list, n)
	}
	return list
}

// by says who said what led to a state: the person, with a guardian where one was
// recorded, or the controller.
func (r *receipt) by(s service.ReceiptState) any {
	switch s.State {
	case ledger.Confirmed, ledger.Given, ledger.Renewed:
		if r.f.Guardian {
			return []string{"dpv:DataSubject", "dpv:GuardianOfDataSubject"}
		}
		return "dpv:DataSubject"
	case ledger.Refused, ledger.Withdrawn, ledger.Objected:
		return "dpv:DataSubject"
	case ledger.Lapsed:
		if s.Kind == ledger.ConfirmationRejected {
			return "dpv:DataSubject"
		}
	}
	return r.controller()
}

// lasts says how long state i lasts: until the next one, or until its own end.
func (r *receipt) lasts(i int) node {
	until := func(t time.Time) node { return node{"@type": "dpv:UntilTimeDuration", "rdf:value": stamp(t)} }
	s := r.f.States[i]
	switch {
	case i+1 < len(r.f.States):
		return until(r.f.States[i+1].At)
	case s.State == ledger.Requested:
		return until(s.Expires)
	case s.State.Allows() && !r.f.ValidUntil.IsZero():
		return until(r.f.ValidUntil)
	case s.State.Allows():
		return node{"@type": "dpv:UntilEventDuration", "rdf:value": "withdrawal"}
	}
	return node{"@type": "dpv:EndlessDuration"}
}
