package wire_test

import "fmt"

// badErasures: what administrators say about forgetting.
var badErasures = map[string]badInput{
	admin + "AddSuppression": {
		good: func(*world) object { return object{"subject": object{"email": canary + ".never@example.org"}} },
		rows: func(*world) []row { return badSuppression() },
	},
	admin + "RemoveSuppression": {
		good: func(w *world) object { return object{"subject": w.suppressed} },
		rows: func(*world) []row { return badSuppression() },
	},
	admin + "RunRetention": {
		good: func(*world) object { return object{"mode": "dry_run", "ahead": "2592000s"} },
		rows: func(*world) []row {
			return []row{
				bad("no mode", "invalid_argument", "mode", drop("mode")),
				bad("unknown mode", "invalid_argument", "mode", set("mode", canary)),
				bad("mode in capitals", "invalid_argument", "mode", set("mode", "DRY_RUN")),
				bad("now, looking ahead", "invalid_argument", "ahead", set("mode", "now")),
				bad("a look back", "invalid_argument", "ahead", set("ahead", "-1s")),
				bad("more than 3,660 days", "invalid_argument", "ahead", set("ahead", "316224001s")),
				bad("10,000 years", "invalid_argument", "ahead", set("ahead", "315576000000s")),
			}
		},
	},
	admin + "GetErasureStatus": {good: nothing},
	admin + "RekeyIndex":       {good: nothing},
	admin + "Backup":           {good: func(*world) object { return object{"full": true} }, rows: func(*world) []row { return nil }},
	admin + "BackupKeys":       {good: nothing},
	admin + "AnchorCheckpoint": {good: nothing},
	admin + "RotateKey":        {good: nothing, rows: func(*world) []row { return join(badWrite(), badKey()) }},
}

func badSuppression() []row {
	return join(badSubject(""), badWrite(), badKey(), []row{
		bad("an unknown purpose", "invalid_argument", "purpose", set("purpose", canary)),
		bad("no id of a purpose", "invalid_argument", "purpose", set("purpose", canary+" ")),
		bad("the reserved purpose", "invalid_argument", "purpose", set("purpose", "all-marketing")),
		bad("a purpose that is no marketing", "invalid_argument", "purpose", set("purpose", "invoice")),
	})
}

// badTerms: terms of retention that are none.
func badTerms() []row {
	rows := []row{
		bad("unknown measure", "invalid_argument", "unused_measure", set("unused_measure", canary)),
		bad("measure in capitals", "invalid_argument", "unused_measure", set("unused_measure", "WARN")),
		bad("a measure that retention has, but not here", "invalid_argument", "unused_measure", set("unused_measure", "shred")),
		bad("measure of nothing", "invalid_argument", "unused_measure", drop("unused_days"), drop("unused_warn_days")),
	}
	for _, field := range []string{"lock_days", "lapsed_days", "unused_days", "evidence_days", "validity_days", "unused_warn_days"} {
		for _, days := range []string{"0", "-1", "36501", "9223372036854775807"} {
			rows = append(rows, bad(fmt.Sprint(field, " of ", days), "invalid_argument", field, set(field, days)))
		}
	}
	return rows
}
