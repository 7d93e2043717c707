package wire_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

const (
	admin = "/consent.admin.v1.AdminService/"
	audit = "/consent.audit.v1.AuditService/"
)

func nothing(*world) object { return object{} }

var badAdmin = map[string]badInput{
	admin + "DefinePurpose": {
		good: func(*world) object {
			return object{"id": "birthday", "title": canary, "marketing": true, "double_opt_in": true,
				"double_opt_in_channels": []string{"email"}, "token_lifetime": "60s", "lock_days": 1, "lapsed_days": 2, "unused_days": 36500,
				"unused_measure": "expire", "evidence_days": 3, "validity_days": 4, "unused_warn_days": 5, "minimum_grade": "D", "minimum_age": 16,
				"ip_policy": "none", "effect_hours": 240, "parent": "newsletter", "bases": []string{"legitimate_interest", "consent"}}
		},
		rows: func(*world) []row {
			return join(badWrite(), badKey(), badID(), badTitle(), badTerms(), badPurposeDemands(), badBalancing(), []row{
				bad("reserved id", "invalid_argument", "id", set("id", "all-marketing")),
				bad("unknown channel", "invalid_argument", "double_opt_in_channels[1]", set("double_opt_in_channels", []string{"email", canary})),
				bad("the objections' channel", "invalid_argument", "double_opt_in_channels[0]", set("double_opt_in_channels", []string{"any"})),
				bad("a channel twice", "invalid_argument", "double_opt_in_channels[1]", set("double_opt_in_channels", []string{"email", "email"})),
				bad("channels of nothing", "invalid_argument", "double_opt_in_channels", drop("double_opt_in")),
				bad("no lifetime", "invalid_argument", "token_lifetime", set("token_lifetime", "0s")),
				bad("half a second", "invalid_argument", "token_lifetime", set("token_lifetime", "0.5s")),
				bad("a second and a half", "invalid_argument", "token_lifetime", set("token_lifetime", "1.5s")),
				bad("a negative lifetime", "invalid_argument", "token_lifetime", set("token_lifetime", "-60s")),
				bad("more than 90 days", "invalid_argument", "token_lifetime", set("token_lifetime", "7776001s")),
				bad("10,000 years", "invalid_argument", "token_lifetime", set("token_lifetime", "315576000000s")),
			})
		},
	},
	admin + "PublishNotice": {
		good: func(*world) object {
			return object{"id": "birthday-de", "language": "de", "text": canary, "purposes": []string{"newsletter"}, "use": "wording",
				"checkbox_default": "unticked", "conditional_on": "service", "facts": object{"controller": canary, "recipients": []string{"none"}}}
		},
		rows: func(*world) []row {
			return join(badWrite(), badKey(), badID(), badPurposes(true), badFacts(), []row{
				bad("unknown use", "invalid_argument", "use", set("use", canary)),
				bad("a box that is ticked beforehand", "invalid_argument", "checkbox_default", set("checkbox_default", "ticked")),
				bad("unknown box", "invalid_argument", "checkbox_default", set("checkbox_default", canary)),
				bad("the box of a mail", "invalid_argument", "checkbox_default", set("use", "mail")),
				bad("unknown tie", "invalid_argument", "conditional_on", set("conditional_on", canary)),
				bad("no language", "invalid_argument", "language", drop("language")),
				bad("language in capitals", "invalid_argument", "language", set("language", "DE")),
				bad("region with an underscore", "invalid_argument", "language", set("language", "de_AT")),
				bad("unknown language", "invalid_argument", "language", set("language", canary)),
				bad("no text", "invalid_argument", "text", drop("text")),
				bad("blank text", "invalid_argument", "text", set("text", " \n\t ")),
				bad("oversized text", "invalid_argument", "text", set("text", strings.Repeat("x", 256<<10+1))),
				bad("control characters", "invalid_argument", "text", set("text", canary+"\u0007")),
			})
		},
	},
	admin + "ListPurposes": {good: nothing},
	admin + "ListNotices":  {good: nothing},
	admin + "GetStatus":    {good: func(*world) object { return object{"refresh": true} }, rows: func(*world) []row { return nil }},
}

// badPurposeDemands: what a purpose cannot demand, or be.
func badPurposeDemands() []row {
	return []row{
		bad("a grade too many", "invalid_argument", "minimum_grade", set("minimum_grade", "F")),
		bad("a small grade", "invalid_argument", "minimum_grade", set("minimum_grade", "c")),
		bad("unknown grade", "invalid_argument", "minimum_grade", set("minimum_grade", canary)),
		bad("age 0", "invalid_argument", "minimum_age", set("minimum_age", 0)),
		bad("age -1", "invalid_argument", "minimum_age", set("minimum_age", -1)),
		bad("age 22", "invalid_argument", "minimum_age", set("minimum_age", 22)),
		bad("unknown policy", "invalid_argument", "ip_policy", set("ip_policy", canary)),
		bad("itself as parent", "invalid_argument", "parent", set("parent", "birthday")),
		bad("an unknown parent", "invalid_argument", "parent", set("parent", canary)),
		bad("no id of a parent", "invalid_argument", "parent", set("parent", canary+"@example.org")),
		bad("a parent that is no marketing", "failed_precondition", "parent", set("parent", "invoice")),
		bad("another parent than before", "failed_precondition", "parent", set("id", "sport"), drop("parent")),
		bad("unknown ground", "invalid_argument", "bases[1]", set("bases", []string{"consent", canary})),
		bad("a ground twice", "invalid_argument", "bases[1]", set("bases", []string{"consent", "consent"})),
		bad("customers of no marketing", "invalid_argument", "bases[0]", set("bases", []string{"existing_customer"}), set("marketing", false), drop("parent")),
		bad("explicit contract", "invalid_argument", "explicit", set("explicit", true), set("bases", []string{"contract"})),
		bad("the mode of no tracking", "invalid_argument", "tracking_mode", set("tracking_mode", "none")),
		bad("unknown mode", "invalid_argument", "tracking_mode", set("id", "web.tracking"), set("tracking_mode", canary)),
		bad("a warning of nothing", "invalid_argument", "unused_warn_days", set("unused_measure", "warn")),
		bad("a warning too late", "invalid_argument", "unused_warn_days", set("unused_days", 5)),
	}
}

// badFacts: facts that a notice cannot tell.
func badFacts() []row {
	many := make([]string, 65)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	return []row{
		bad("blank controller", "invalid_argument", "facts.controller", set("facts.controller", " ")),
		bad("long retention", "invalid_argument", "facts.retention", set("facts.retention", strings.Repeat(canary, 456))),
		bad("control characters", "invalid_argument", "facts.contents", set("facts.contents", canary+"\u0007")),
		bad("65 companies", "invalid_argument", "facts.companies", set("facts.companies", many)),
		bad("a product twice", "invalid_argument", "facts.products[1]", set("facts.products", []string{canary, canary})),
		bad("an empty recipient", "invalid_argument", "facts.recipients[1]", set("facts.recipients", []string{canary, ""})),
		bad("nobody and somebody", "invalid_argument", "facts.third_countries[1]", set("facts.third_countries", []string{canary, "none"})),
		bad("no companies", "invalid_argument", "facts.companies[0]", set("facts.companies", []string{"none"})),
		bad("all of it too long", "invalid_argument", "facts", set("facts.products", long(64, 1100))),
	}
}

// long gives so many texts of so many bytes each.
func long(n, bytes int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.Repeat(string(rune('0'+i)), bytes)
	}
	return list
}

func badID() []row {
	return []row{
		bad("no id", "invalid_argument", "id", drop("id")),
		bad("id in capitals", "invalid_argument", "id", set("id", strings.ToUpper(canary))),
		bad("id with a blank", "invalid_argument", "id", set("id", canary+" 1")),
		bad("id with an at sign", "invalid_argument", "id", set("id", canary+"@example.org")),
		bad("long id", "invalid_argument", "id", set("id", strings.Repeat("x", 65))),
		bad("id like a name", "invalid_argument", "id", set("id", "anna.muster")),
		bad("id like a number", "invalid_argument", "id", set("id", "0151-1234567")),
	}
}

var badAudit = map[string]badInput{
	audit + "GetCheckpoint": {good: nothing},
	audit + "ListEntries":   {good: nothing, rows: func(*world) []row { return badRange() }},
	audit + "BatchListEntries": {good: nothing, rows: func(*world) []row {
		return append(badRange(), bad("1001 entries", "invalid_argument", "limit", set("limit", 1001)))
	}},
	audit + "ExportRange": {good: aRange, rows: badExport},
	audit + "GetRange":    {good: aRange, rows: badExport},
	audit + "GetInclusionProof": {
		good: func(w *world) object { return object{"index": 3, "size": fmt.Sprint(w.r.size())} }, // of an older one the keys may have been rotated
		rows: func(*world) []row {
			return []row{
				bad("a negative index", "invalid_argument", "index", set("index", -1)),
				bad("an index to come", "not_found", "index", set("index", "9223372036854775807"), drop("size")),
				bad("size 0", "invalid_argument", "size", set("size", 0)),
				bad("a negative size", "invalid_argument", "size", set("size", -5)),
				bad("a size without the entry", "invalid_argument", "size", set("size", 3)),
				bad("a size to come", "not_found", "size", set("size", "9223372036854775807")),
			}
		},
	},
	audit + "GetConsistencyProof": {
		good: func(*world) object { return object{"old_size": 3, "new_size": 5} },
		rows: func(*world) []row {
			return []row{
				bad("size 0", "invalid_argument", "old_size", set("old_size", 0)),
				bad("no size", "invalid_argument", "old_size", drop("old_size")),
				bad("a negative size", "invalid_argument", "old_size", set("old_size", -1)),
				bad("no new size", "invalid_argument", "new_size", drop("new_size")),
				bad("backwards", "invalid_argument", "new_size", set("new_size", 2)),
				bad("a size to come", "not_found", "new_size", set("new_size", "9223372036854775807")),
			}
		},
	},
	audit + "CheckCheckpoint": {
		good: func(w *world) object {
			newest, _ := w.r.service.Log().Checkpoint()
			return object{"checkpoint": string(newest)}
		},
		rows: func(*world) []row {
			line := origin + " 3 " + ledger.Hash{1}.String() + " " + base64.StdEncoding.EncodeToString(make([]byte, 68))
			return []row{
				bad("nothing", "invalid_argument", "checkpoint", drop("checkpoint")),
				bad("no checkpoint", "invalid_argument", "checkpoint", set("checkpoint", canary)),
				bad("a line with a word more", "invalid_argument", "checkpoint", set("checkpoint", line+" "+canary)),
				bad("another log's", "invalid_argument", "checkpoint", set("checkpoint", canary+line)),
				bad("signed by others", "failed_precondition", "unknown_keys", set("checkpoint", line)),
			}
		},
	},
	audit + "GetConsentState": {
		good: func(w *world) object { return object{"consent_id": w.confirmed.id} },
		rows: func(w *world) []row {
			return []row{
				bad("a negative id", "invalid_argument", "consent_id", set("consent_id", -1)),
				bad("no id", "invalid_argument", "consent_id", drop("consent_id")),
				bad("an entry that opened nothing", "not_found", "consent_id", set("consent_id", w.engaged)),
				bad("an id to come", "not_found", "consent_id", set("consent_id", "9223372036854775807")),
				bad("a consent that is newer than the state", "failed_precondition", "not_committed", set("consent_id", w.newest)),
			}
		},
	},
	audit + "GetNotice": {
		good: func(*world) object {
			sum := sha256.Sum256([]byte("Ja, ich will."))
			return object{"sha256": sum[:]}
		},
		rows: func(*world) []row {
			sum := sha256.Sum256([]byte(canary))
			return []row{
				bad("no hash", "invalid_argument", "sha256", drop("sha256")),
				bad("31 bytes", "invalid_argument", "sha256", set("sha256", sum[:31])),
				bad("33 bytes", "invalid_argument", "sha256", set("sha256", append(sum[:], 0))),
				bad("hash in hex", "invalid_argument", "sha256", set("sha256", strings.Repeat("ab", 32))),
				bad("unknown hash", "not_found", "sha256", set("sha256", sum[:])),
			}
		},
	},
}

func aRange(*world) object { return object{"start": 3, "limit": 5} }

// badExport: runs of entries that no bundle is made of.
func badExport(w *world) []row {
	return join(badRange(), []row{
		bad("no limit", "invalid_argument", "limit", drop("limit")),
		bad("limit 0", "invalid_argument", "limit", set("limit", 0)),
		bad("5001 entries", "invalid_argument", "limit", set("limit", 5001)),
		bad("the highest limit", "invalid_argument", "limit", set("limit", "9223372036854775807")),
		bad("the lowest start", "invalid_argument", "start", set("start", "-9223372036854775808")),
		bad("a start to come", "not_found", "start", set("start", fmt.Sprint(w.r.size()))),
		bad("the highest start", "not_found", "start", set("start", "9223372036854775807")),
	})
}

func badRange() []row {
	return []row{
		bad("a negative start", "invalid_argument", "start", set("start", -1)),
		bad("a negative limit", "invalid_argument", "limit", set("limit", "-9223372036854775808")),
	}
}
