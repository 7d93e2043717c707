package wire_test

import "strings"

// badBundles: what proves consents to others.
var badBundles = map[string]badInput{
	evidence + "ExportBundle": {good: proves, rows: badProof},
	evidence + "GetBundle":    {good: proves, rows: badProof},
}

func proves(w *world) object {
	return object{"subject": w.asker.who, "purposes": []string{"newsletter"}, "disclose": []string{"email"}, "recipient": canary, "reason": canary}
}

func badProof(w *world) []row {
	many := strings.Split(strings.Repeat("email ", 33)[:33*6-1], " ")
	byID := []func(object){drop("purposes"), set("consent_ids", []string{w.asker.id}), drop("subject")}
	return join(badSubject(""), badStranger(), first(badIDs(5000), byID...), badText("recipient"), badText("reason"), badTimeIn("at", true), badKey(), []row{
		bad("a person and ids", "invalid_argument", "consent_ids", set("consent_ids", []string{w.asker.id})),
		bad("an empty person and ids", "invalid_argument", "subject", append(byID[:2:2], set("subject", object{}))...),
		bad("purposes of ids", "invalid_argument", "purposes", append(byID, set("purposes", []string{"newsletter"}))...),
		bad("33 purposes", "invalid_argument", "purposes", set("purposes", many)),
		bad("a purpose twice", "invalid_argument", "purposes[1]", set("purposes", []string{"newsletter", "newsletter"})),
		bad("a purpose in capitals", "invalid_argument", "purposes[0]", set("purposes", []string{"Newsletter"})),
		bad("an empty purpose", "invalid_argument", "purposes[1]", set("purposes", []string{"newsletter", ""})),
		bad("an unknown purpose", "not_found", "purposes[1]", set("purposes", []string{"newsletter", canary})),
		bad("a purpose that they have no record of", "not_found", "purposes[0]", set("purposes", []string{"kids"})),
		bad("too many claims", "invalid_argument", "disclose", set("disclose", many)),
		bad("a claim twice", "invalid_argument", "disclose[1]", set("disclose", many[:2])),
		bad("an unknown claim", "invalid_argument", "disclose[1]", set("disclose", []string{"email", canary})),
		bad("no claim", "invalid_argument", "disclose[0]", set("disclose", []string{""})),
		bad("a claim that is not there", "not_found", "disclose[1]", set("disclose", []string{"email", "recording"})),
		bad("two people", "invalid_argument", "consent_ids[1]", append(byID, set("consent_ids", []string{w.asker.id, w.held.id}))...),
	})
}
