package ledger

import (
	"fmt"
	"strings"
)

// The good entries of what the story tells of rights, besides the first of a kind.
const (
	definedEffect   Kind = PurposeDefined + "/effect_hours"
	usedProcessor   Kind = ConsentUsed + "/processor"
	objectedArticle Kind = ObjectionRecorded + "/article"
)

// badRights are bad in the lines of rights, processors, signals and corrections.
var badRights = []badEntry{
	{"effect-hours-0", definedEffect, "effect_hours 48", "effect_hours 0", "line 12: effect_hours: want at least 1", "hours count from 1"},
	{"effect-hours-unit", definedEffect, "effect_hours 48", "effect_hours 48h", "line 12: effect_hours: want a decimal number", "numbers are decimal"},
	{"effect-hours-before-lifetime", definedEffect, "token_lifetime 60\neffect_hours 48\n", "effect_hours 48\ntoken_lifetime 60\n", `line 11: want a line "token_lifetime"`, "the lines are in another order"},
	{"effect-hours-before-mode", definedMode, "tracking_mode anonymous\n", "effect_hours 48\ntracking_mode anonymous\n", "line 13: unexpected line", "the lines are in another order"},

	{"restriction-lifted-without-informed", RestrictionLifted, "informed *\n", "", `line 8: want a line "informed"`, "Art. 18(3) GDPR: the person is told before"},
	{"informed-micros", RestrictionLifted, "informed *\n", "informed 2026-11-21T22:36:23.000000Z\n", "line 8: informed: want a time like", "the line has no decimals"},
	{"informed-twice", RestrictionLifted, "informed *\n", "informed 2026-11-21T22:36:23Z\ninformed 2026-11-21T22:36:23Z\n", "line 9: unexpected line", "the line stands twice"},
	{"used-processor-upper-case", usedProcessor, "processor mail-house", "processor Mail-House", "line 8: processor: not an identifier", "identifiers are lower case"},
	{"used-processor-twice", usedProcessor, "processor mail-house\n", "processor mail-house\nprocessor printer\n", "line 9: unexpected line", "one entry is about one processor"},
	{"used-with-system", ConsentUsed, "about 7\nabout 8\n", "about 7\nsystem mail-house\n", "line 8: unexpected line", "only ends of consent take effect"},
	{"objection-article-21", objectedArticle, "article art22", "article art21", "line 8: article: want art22, or no line", "an objection is one under Art. 21 anyway"},
	{"objection-article-before-method", objectedArticle, "article art22\n", "article art22\nmethod link\n", "line 9: unexpected line", "the lines are in another order"},
	{"disclosed-occasion-unknown", EvidenceDisclosed, "occasion claims", "occasion curiosity", "line 8: occasion: not an occasion", "not a word of the vocabulary"},
	{"disclosed-without-occasion", EvidenceDisclosed, "occasion claims\n", "", `line 8: want a line "occasion"`, "the line is missing"},
	{"shown-unknown", EvidenceDisclosed, "shown email", "shown shoe_size", "line 9: shown: not a claim", "neither a reserved claim nor x."},
	{"shown-not-ascending", EvidenceDisclosed, "shown email\n", "shown phone\nshown email\n", "line 10: shown: not ascending", "the lines are ascending"},
	{"shown-twice", EvidenceDisclosed, "shown email\n", "shown email\nshown email\n", "line 10: shown: not ascending", "the lines are strictly ascending"},
	{"shown-before-occasion", EvidenceDisclosed, "occasion claims\nshown email\n", "shown email\noccasion claims\n", `line 8: want a line "occasion"`, "the lines are in another order"},
	{"shown-65", EvidenceDisclosed, "shown email\n", manyShown(65), "line 73: unexpected line", "one entry shows at most 64 claims"},

	{"claim-declared-reserved", ClaimDeclared, "claim x.ticket", "claim email", "line 7: claim: want x. and an identifier", "what is reserved needs no declaration"},
	{"claim-declared-empty", ClaimDeclared, "claim x.ticket", "claim x.", "line 7: claim: want x. and an identifier", "x. needs a name"},
	{"claim-declared-65-characters", ClaimDeclared, "claim x.ticket", "claim x." + strings.Repeat("a", 63), "line 7: claim: want x. and an identifier", "a claim has at most 64 characters"},
	{"claim-declared-with-occurred", ClaimDeclared, "source admin\n", "source admin\noccurred 2028-11-21T22:37:19Z\n", "line 7: occurred: claim.declared has no such line", "it happens when it is recorded"},
	{"claim-declared-about", ClaimDeclared, "source admin\n", "source admin\nabout 7\n", "line 7: about: this kind mentions no consent", "a declaration is about nobody"},
	{"engaged-without-processor", ProcessorEngaged, "processor mail-house\n", "", `line 7: want a line "processor"`, "the line is missing"},
	{"engaged-address", ProcessorEngaged, "processor mail-house", "processor info@mail-house.example", "line 7: processor: not an identifier", "an address is no identifier"},
	{"country-lower-case", ProcessorEngaged, "country DE", "country de", "line 8: country: want two upper-case letters", "countries are upper case"},
	{"country-three-letters", ProcessorEngaged, "country DE", "country DEU", "line 8: country: want two upper-case letters", "ISO 3166-1 alpha-2"},
	{"country-before-processor", ProcessorEngaged, "processor mail-house\ncountry DE\n", "country DE\nprocessor mail-house\n", `line 7: want a line "processor"`, "the lines are in another order"},
	{"engaged-covers-not-ascending", ProcessorEngaged, "covers newsletter\ncovers survey\n", "covers survey\ncovers newsletter\n", "line 10: covers: not ascending", "the lines are ascending"},
	{"engaged-covers-33", ProcessorEngaged, "covers newsletter\ncovers survey\n", manyCovers(33), "line 41: unexpected line", "an engagement names at most 32 purposes"},
	{"ended-with-country", ProcessorEnded, "processor mail-house\n", "processor mail-house\ncountry DE\n", "line 9: unexpected line", "an end has no terms"},

	{"guardian-without-method", GuardianAuthorised, "method paper\n", "", `line 9: want a line "method"`, "the line is missing"},
	{"guardian-of-nobody", GuardianAuthorised, "about 83\nabout 84\n", "", `line 7: want a line "about"`, "the kind mentions at least one consent"},
	{"signal-unknown", SignalReceived, "signal gpc", "signal dnt", "line 8: signal: not a signal", "not a word of the vocabulary"},
	{"signal-says-1", SignalReceived, "says no", "says 1", "line 9: says: want yes or no", "yes or no"},
	{"signal-without-says", SignalReceived, "says no\n", "", `line 9: want a line "says"`, "the line is missing"},
	{"signal-of-nobody", SignalReceived, "about 84\n", "", `line 7: want a line "about"`, "the kind mentions at least one consent"},
	{"signal-with-consent", SignalReceived, "about 84\n", "consent 84 after 84\n", "line 7: consent: this kind changes no consent", "a signal grants nothing and ends nothing"},
	{"effected-without-system", WithdrawalEffected, "system mail-house\n", "", `line 9: want a line "system"`, "the line is missing"},
	{"effected-system-with-space", WithdrawalEffected, "system mail-house", "system mail house", "line 9: system: not an identifier", "identifiers have no spaces"},
	{"verified-means-unknown", IdentityVerified, "means login", "means passport", "line 9: means: not a way of verifying who somebody is", "not a word of the vocabulary"},
	{"verified-nobody", IdentityVerified, "about 83\nabout 84\n", "", `line 7: want a line "about"`, "the kind mentions at least one consent"},
	{"received-article-14", RequestReceived, "article art15", "article art14", "line 9: article: not an article that gives a right to ask", "nobody has to ask for what Art. 14 gives"},
	{"received-without-article", RequestReceived, "article art15\n", "", `line 9: want a line "article"`, "the line is missing"},
	{"received-without-due", RequestReceived, "due *\n", "", `line 10: want a line "due"`, "the line is missing"},
	{"received-due-a-day", RequestReceived, "due *\n", "due 2028-12-21\n", "line 10: due: want a time like", "a second, not a day"},
	{"received-due-before-article", RequestReceived, "article art15\ndue 2028-12-21T23:59:59Z\n", "due 2028-12-21T23:59:59Z\narticle art15\n", `line 9: want a line "article"`, "the lines are in another order"},
	{"received-with-consent", RequestReceived, "about 83\nabout 84\n", "consent 83 after 88\n", "line 7: consent: this kind changes no consent", "asking changes nothing"},
	{"received-about-not-ascending", RequestReceived, "about 83\nabout 84\n", "about 84\nabout 83\n", "line 8: about: ids are not ascending", "ids are ascending"},
	{"received-part-of-nothing", RequestReceived, "about 83\nabout 84\n", "part 1 of 2\n", "line 7: part: there is no list", "what has no list is not split"},
	{"extended-without-refers", RequestExtended, "refers 95\n", "", `line 9: want a line "refers"`, "the line is missing"},
	{"extended-two-requests", RequestExtended, "refers 95\n", "refers 94\nrefers 95\n", `line 10: want a line "due"`, "one request is extended by one entry"},
	{"extended-itself", RequestExtended, "refers 95\n", "refers 96\n", "line 9: refers: not an earlier entry", "only earlier entries can be referred to"},
	{"extended-without-due", RequestExtended, "due *\n", "", `line 10: want a line "due"`, "the line is missing"},
	{"answered-with-due", RequestAnswered, "refers 95\n", "refers 95\ndue 2028-12-21T23:59:59Z\n", "line 10: unexpected line", "an answer is due no more"},
	{"refused-without-refusal", RequestRefused, "refusal excessive\n", "", `line 9: want a line "refusal"`, "Art. 12(4) GDPR: the person is told why"},
	{"refused-refusal-unknown", RequestRefused, "refusal excessive", "refusal expensive", "line 9: refusal: not a reason to refuse", "not a word of the vocabulary"},
	{"notified-without-refers", RecipientNotified, "refers 88\n", "", `line 7: want a line "refers"`, "of something they are told"},
	{"notified-about", RecipientNotified, "source legal-desk\n", "source legal-desk\nabout 83\n", "line 7: about: this kind mentions no consent", "whom it is about, the entry says that it refers to"},
	{"notified-processor-first", RecipientNotified, "refers 88\nprocessor mail-house\n", "processor mail-house\nrefers 88\n", `line 7: want a line "refers"`, "the lines are in another order"},
	{"acknowledged-two", RecipientAcknowledged, "refers 90\n", "refers 90\nrefers 91\n", "line 8: unexpected line", "each answers for itself"},
	{"acknowledged-with-processor", RecipientAcknowledged, "refers 90\n", "refers 90\nprocessor mail-house\n", "line 8: unexpected line", "who was notified, the notification says"},
	{"corrected-nothing", EntryCorrected, "refers 90\nrefers 95\n", "", `line 8: want a line "refers"`, "a correction refers to at least one entry"},
	{"corrected-not-ascending", EntryCorrected, "refers 90\nrefers 95\n", "refers 95\nrefers 90\n", "line 9: refers: not ascending", "the lines are ascending"},
	{"corrected-with-occurred", EntryCorrected, "about 83\n", "about 83\noccurred 2028-12-24T22:37:43Z\n", "line 8: occurred: entry.corrected has no such line", "it is corrected when it is recorded"},
	{"corrected-with-consent", EntryCorrected, "about 83\n", "consent 83 after 88\n", "line 7: consent: this kind changes no consent", "a correction changes nothing"},
}

func manyShown(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "shown x.c%02d\n", i)
	}
	return b.String()
}
