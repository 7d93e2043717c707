package wire_test

import (
	"slices"
	"strings"
)

// Rows that several RPCs share.

// badSubject: ways of not naming one person.
func badSubject(prefix string) []row {
	return append(badPerson(prefix+"subject"),
		bad("no subject", "invalid_argument", prefix+"subject", drop("subject")),
		bad("null subject", "invalid_argument", prefix+"subject", set("subject", nil)))
}

// badPerson: ways of naming one person badly, in a field that may be left out.
func badPerson(field string) []row {
	at := func(inner string) string { return field + inner }
	return []row{
		bad("empty subject", "invalid_argument", at(""), set(field, object{})),
		bad("empty identifier", "invalid_argument", at(""), set(field, object{"email": ""})),
		bad("two identifiers", "invalid_argument", at(""), set(field, object{"email": canary + "@example.org", "external_id": canary})),
		bad("three identifiers", "invalid_argument", at(""), set(field, object{"email": canary + "@example.org", "external_id": canary, "phone": "+4915112345678"})),
		bad("no address", "invalid_argument", at(".email"), set(field, object{"email": canary})),
		bad("address with a name", "invalid_argument", at(".email"), set(field, object{"email": "Anna <" + canary + "@example.org>"})),
		bad("address with a blank", "invalid_argument", at(".email"), set(field, object{"email": " " + canary + "@example.org"})),
		bad("address with a line end", "invalid_argument", at(".email"), set(field, object{"email": canary + "@example.org\n"})),
		bad("address with a zero byte", "invalid_argument", at(".email"), set(field, object{"email": canary + "\x00@example.org"})),
		bad("address without a domain", "invalid_argument", at(".email"), set(field, object{"email": canary + "@"})),
		bad("long address", "invalid_argument", at(".email"), set(field, object{"email": strings.Repeat(canary, 30) + "@example.org"})),
		bad("national number", "invalid_argument", at(".phone"), set(field, object{"phone": "030 1234567"})),
		bad("no number", "invalid_argument", at(".phone"), set(field, object{"phone": "+49" + canary})),
		bad("id with a blank", "invalid_argument", at(".external_id"), set(field, object{"external_id": canary + " 1"})),
		bad("id with control characters", "invalid_argument", at(".external_id"), set(field, object{"external_id": canary + "\u0007"})),
		bad("long id", "invalid_argument", at(".external_id"), set(field, object{"external_id": strings.Repeat(canary, 15)})),
	}
}

// badWrite: the fields that everything that writes has.
func badWrite() []row {
	return []row{
		bad("unknown proof", "invalid_argument", "proof", set("proof", canary)),
		bad("proof in capitals", "invalid_argument", "proof", set("proof", "LOG")),
	}
}

// badKey: idempotency keys. "used" came with another request.
func badKey() []row {
	return []row{
		bad("long idempotency key", "invalid_argument", "idempotency_key", set("idempotency_key", strings.Repeat("k", 256))),
		bad("used idempotency key", "failed_precondition", "idempotency_key", set("idempotency_key", "used")),
	}
}

// badTime: what cannot be when something happened.
func badTime(future bool) []row { return badTimeIn("occurred_at", future) }

// badTimeIn is badTime of another field.
func badTimeIn(field string, future bool) []row {
	rows := []row{
		bad("year 1900", "invalid_argument", field, set(field, "1900-01-01T00:00:00Z")),
		bad("year 1", "invalid_argument", field, set(field, "0001-01-01T00:00:00Z")),
		bad("before 2000", "invalid_argument", field, set(field, "1999-12-31T23:59:59Z")),
	}
	if future {
		rows = append(rows,
			bad("ten minutes ahead", "invalid_argument", field, set(field, inTenMinutes())),
			bad("year 9999", "invalid_argument", field, set(field, "9999-12-31T23:59:59Z")))
	}
	return rows
}

// badClaims: personal values that are none.
func badClaims() []row {
	many := object{}
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFG" {
		many[canary+string(c)] = "1"
	}
	return []row{
		bad("unknown claim", "invalid_argument", "claims", set("claims", object{canary: "1"})),
		bad("an identifier as a claim", "invalid_argument", "claims", set("claims", object{"email": canary + "@example.org"})),
		bad("the mail as a claim", "invalid_argument", "claims", set("claims", object{"message": canary})),
		bad("a title as a claim", "invalid_argument", "claims", set("claims", object{"title": canary})),
		bad("a verdict as a claim", "invalid_argument", "claims", set("claims", object{"scanner": "honeypot"})),
		bad("what was typed as a claim", "invalid_argument", "claims", set("claims", object{"typed": canary})),
		bad("a browser's signal as a claim", "invalid_argument", "claims", set("claims", object{"signal": "1"})),
		bad("a claim that nobody declared", "invalid_argument", "claims", set("claims", object{"x." + canary: "1"})),
		bad("too many claims", "invalid_argument", "claims", set("claims", many)),
		bad("no address", "invalid_argument", "claims.ip", set("claims", object{"ip": canary})),
		bad("an address with a port", "invalid_argument", "claims.ip", set("claims", object{"ip": "192.0.2.1:443"})),
		bad("a network", "invalid_argument", "claims.ip", set("claims", object{"ip": "192.0.2.0/24"})),
		bad("leading zeros", "invalid_argument", "claims.ip", set("claims", object{"ip": "192.000.002.001"})),
		bad("oversized claim", "invalid_argument", "claims.user_agent", set("claims", object{"user_agent": strings.Repeat(canary, 7282)})),
		bad("empty claim", "invalid_argument", "claims.name", set("claims", object{"name": ""})),
		bad("control characters", "invalid_argument", "claims.name", set("claims", object{"name": canary + "\u001b[2J"})),
	}
}

// badPurposes: lists of purposes, where they name what must exist.
func badPurposes(required bool) []row {
	thousand := make([]string, 1000)
	for i := range thousand {
		thousand[i] = "newsletter"
	}
	rows := []row{
		bad("1000 purposes", "invalid_argument", "purposes", set("purposes", thousand)),
		bad("33 purposes", "invalid_argument", "purposes", set("purposes", thousand[:33])),
		bad("a purpose twice", "invalid_argument", "purposes[1]", set("purposes", []string{"newsletter", "newsletter"})),
		bad("a purpose in capitals", "invalid_argument", "purposes[0]", set("purposes", []string{"Newsletter"})),
		bad("an empty purpose", "invalid_argument", "purposes[1]", set("purposes", []string{"newsletter", ""})),
		bad("the reserved purpose", "invalid_argument", "purposes[0]", set("purposes", []string{"all-marketing"})),
		bad("an unknown purpose", "invalid_argument", "purposes[1]", set("purposes", []string{"newsletter", canary})),
	}
	if required {
		rows = append(rows,
			bad("no purposes", "invalid_argument", "purposes", drop("purposes")),
			bad("an empty list of purposes", "invalid_argument", "purposes", set("purposes", []string{})))
	}
	return rows
}

// badIDs: lists of consent ids. most is how many there may be.
func badIDs(most int) []row {
	many := make([]int, most+1)
	for i := range many {
		many[i] = i + 1
	}
	return []row{
		bad("id 0", "invalid_argument", "consent_ids[0]", set("consent_ids", []int{0})),
		bad("a negative id", "invalid_argument", "consent_ids[0]", set("consent_ids", []int{-1})),
		bad("the lowest id", "invalid_argument", "consent_ids[0]", set("consent_ids", []string{"-9223372036854775808"})),
		bad("the highest id", "not_found", "consent_ids[0]", set("consent_ids", []string{"9223372036854775807"})),
		bad("an entry that opened nothing", "not_found", "consent_ids[0]", set("consent_ids", []int{1})),
		bad("too many ids", "invalid_argument", "consent_ids", set("consent_ids", many)),
		bad("an id twice", "invalid_argument", "consent_ids[1]", set("consent_ids", []int{7, 7})),
	}
}

// badChannel: where somebody is to be reached.
func badChannel() []row {
	return []row{
		bad("no channel", "invalid_argument", "channel", drop("channel")),
		bad("unknown channel", "invalid_argument", "channel", set("channel", canary)),
		bad("the objections' channel", "invalid_argument", "channel", set("channel", "any")),
	}
}

// badMethod: how somebody said something.
func badMethod(required bool) []row {
	rows := []row{bad("unknown method", "invalid_argument", "method", set("method", canary))}
	if required {
		rows = append(rows, bad("no method", "invalid_argument", "method", drop("method")))
	}
	return rows
}

// badPersonal: methods by which nobody says yes.
func badPersonal() []row {
	return append(badMethod(true),
		bad("another system says so", "failed_precondition", "method", set("method", "api")),
		bad("it was imported", "failed_precondition", "method", set("method", "import")))
}

// badNotice: notices that nobody can have seen, or that ask for no consent.
func badNotice(required bool) []row {
	rows := badVersion("notice")
	rows = append(rows, bad("a mail template", "failed_precondition", "notice_use", set("notice", "confirm-de@1")))
	if required {
		rows = append(rows, bad("no notice", "invalid_argument", "notice", drop("notice")))
	}
	return rows
}

// badVersion: names of notices that were never published.
func badVersion(field string) []row {
	return []row{
		bad("notice without version", "invalid_argument", field, set(field, "newsletter-de")),
		bad("version 0", "invalid_argument", field, set(field, "newsletter-de@0")),
		bad("version 01", "invalid_argument", field, set(field, "newsletter-de@01")),
		bad("a negative version", "invalid_argument", field, set(field, "newsletter-de@-1")),
		bad("a version too large", "invalid_argument", field, set(field, "newsletter-de@99999999999999999999")),
		bad("no notice's id", "invalid_argument", field, set(field, strings.ToUpper(canary)+"@1")),
		bad("unknown version", "invalid_argument", field, set(field, "newsletter-de@2")),
		bad("unknown notice", "invalid_argument", field, set(field, canary+"@1")),
	}
}

// badDemands: what purposes demand and a request does not say.
func badDemands() []row {
	of := func(purpose string, change func(object)) []func(object) {
		return []func(object){set("purposes", []string{purpose}), set("notice", "more-de@1"), change}
	}
	return []row{
		bad("unknown age", "invalid_argument", "age", set("age", canary)),
		bad("an age in years", "invalid_argument", "age", set("age", "17")),
		bad("not explicitly", "failed_precondition", "explicit", of("health", drop("explicit"))...),
		bad("of no age", "failed_precondition", "age", of("kids", drop("age"))...),
	}
}

// badStranger: persons about whom nothing is held.
func badStranger() []row {
	return []row{
		bad("a stranger", "not_found", "subject", set("subject", object{"email": canary + ".stranger@example.org"})),
		bad("a stranger by telephone", "not_found", "subject", set("subject", object{"phone": "+4915100000000"})),
	}
}

// first makes changes before those of each row.
func first(rows []row, changes ...func(object)) []row {
	list := make([]row, len(rows))
	for i, r := range rows {
		list[i] = bad(r.name, r.code, r.at, append(slices.Clone(changes), r.change)...)
	}
	return list
}

func join(lists ...[]row) []row {
	var all []row
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
