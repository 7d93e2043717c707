package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// sayings say what an entry shows, in one sentence without personal data, for every kind
// that an answer rests on.
var sayings = map[ledger.Kind]func(e *ledger.Entry) string{
	ledger.PurposeDefined: func(e *ledger.Entry) string {
		demand := "without demanding a confirmation by a link"
		if e.DoubleOptIn == "yes" {
			demand = "demanding a confirmation by a link"
		}
		return fmt.Sprintf("Purpose %s was defined (version %d), %s.", e.Purpose, e.Version, demand)
	},
	ledger.NoticePublished: func(e *ledger.Entry) string {
		return fmt.Sprintf("The words of notice %s were published; they are in the bundle.", e.Notice.Name())
	},
	ledger.ConsentRequested: func(e *ledger.Entry) string {
		return fmt.Sprintf("Consent to %s on %s was asked for by %s under notice %s; it waited for a token, of which the entry holds the hash, until %s.",
			e.Purpose, e.Channel, e.Method, e.Notice.Name(), e.Expires.Format(time.RFC3339))
	},
	ledger.ConfirmationSent: func(e *ledger.Entry) string {
		if e.Mail != "" {
			return "A mail with the link was recorded as sent, and was kept as it was sent."
		}
		return "A mail with the link was recorded as sent."
	},
	ledger.ConfirmationAttached: func(*ledger.Entry) string { return "The mail with the link was kept as it was sent." },
	ledger.ConfirmationResent: func(e *ledger.Entry) string {
		if e.Expires.IsZero() {
			return "The mail with the link was recorded as sent again."
		}
		return fmt.Sprintf("The mail was recorded as sent again, with the link of another token, good until %s.", e.Expires.Format(time.RFC3339))
	},
	ledger.ConfirmationFailed: func(e *ledger.Entry) string {
		return fmt.Sprintf("The mail could not be delivered (%s).", e.Failure)
	},
	ledger.ConfirmationOpened:   func(*ledger.Entry) string { return "The page behind the link was opened, which grants nothing." },
	ledger.ConfirmationRejected: func(*ledger.Entry) string { return "The request was rejected with the token that it waited for." },
	ledger.RequestExpired:       func(*ledger.Entry) string { return "The request expired without having been confirmed." },
	ledger.ConsentConfirmed: func(e *ledger.Entry) string {
		return "The token that the request waited for was revealed, " + clicked[e.Click] + ": whoever did it had the link."
	},
	ledger.ConsentGiven: func(e *ledger.Entry) string {
		return fmt.Sprintf("It was recorded that consent to %s on %s was given by %s under notice %s.", e.Purpose, e.Channel, e.Method, e.Notice.Name())
	},
	ledger.ConsentRenewed: func(e *ledger.Entry) string {
		return fmt.Sprintf("It was recorded that the person renewed the consent by %s.", e.Method)
	},
	ledger.ConsentImported: func(e *ledger.Entry) string {
		return fmt.Sprintf("The consent was taken over from another system, which grades its proof %s.", e.Grade)
	},
	ledger.ConsentRefused: func(e *ledger.Entry) string {
		return fmt.Sprintf("It was recorded that consent to %s on %s was refused.", e.Purpose, e.Channel)
	},
	ledger.BasisAsserted: func(e *ledger.Entry) string {
		return fmt.Sprintf("The operator asserted that %s on %s rests on %s, not on consent.", e.Purpose, e.Channel, e.Basis)
	},
	ledger.GuardianAuthorised: func(*ledger.Entry) string {
		return "It was recorded that somebody with parental responsibility agreed."
	},
	ledger.ConsentExpired:   func(*ledger.Entry) string { return "The consent expired." },
	ledger.ConsentWithdrawn: func(*ledger.Entry) string { return "The consent was withdrawn." },
	ledger.ConsentRevoked:   func(e *ledger.Entry) string { return "The operator revoked the consent (" + e.Cause + ")." },
	ledger.ConsentInvalidated: func(e *ledger.Entry) string {
		return "The consent was found to be invalid from the beginning (" + e.Cause + ")."
	},
	ledger.ObjectionRecorded: func(*ledger.Entry) string { return "An objection was recorded." },
	ledger.RestrictionSet:    func(e *ledger.Entry) string { return "The processing was restricted (" + e.Ground + ")." },
	ledger.RestrictionLifted: func(*ledger.Entry) string { return "The restriction was lifted." },
	ledger.TrackingChanged:   func(e *ledger.Entry) string { return "The person set how far they may be tracked (" + e.Mode + ")." },
	ledger.SignalReceived: func(e *ledger.Entry) string {
		return fmt.Sprintf("A browser or an app sent the signal %s, which says %s to being tracked.", e.Signal, e.Says)
	},
	ledger.ConsentUsed:      func(*ledger.Entry) string { return "A use was recorded." },
	ledger.SubjectLocked:    func(*ledger.Entry) string { return "The record was locked: it is kept for legal claims alone." },
	ledger.SubjectErased:    func(*ledger.Entry) string { return "The person's data were erased." },
	ledger.EvidenceShredded: func(*ledger.Entry) string { return "The operator recorded that keys to erased data were destroyed." },
}

func says(e *ledger.Entry) string { return sayings[e.Kind](e) }

// clicked says how, by the line `click`.
var clicked = map[string]string{
	"":       "how is not recorded",
	"button": "by pressing a visible button",
	"link":   "by opening the link alone",
	"script": "by a script of the page",
	"event":  "as another system reported",
}

// weak says what is missing where evidence of a sort is not there.
type weak struct {
	of    ledger.Evidence // what has to be there for this to be asked
	lacks ledger.Evidence
	says  string
}

var weaknesses = []weak{
	{ledger.EvConfirmed, ledger.EvForm, "The form as it was shown with the request was not kept."},
	{ledger.EvConfirmed, ledger.EvTrace, "Neither an address nor a browser was recorded with the request."},
	{ledger.EvConfirmed, ledger.EvSent, "No entry before the click records that the mail with the link was sent."},
	{ledger.EvConfirmed | ledger.EvSent, ledger.EvMail, "The mail with the link was not kept as it was sent: what it said is not shown."},
	{ledger.EvConfirmed, ledger.EvClickTrace, "Neither an address nor a browser was recorded with the click."},
	{ledger.EvGiven, ledger.EvGivenDocument, "No document and no recording was kept of how the consent was given."},
	{ledger.EvGiven, ledger.EvGivenForm, "The form as it was shown when the consent was given was not kept."},
	{ledger.EvGiven, ledger.EvGivenTrace, "Neither an address nor a browser was recorded when the consent was given."},
}

// pressed says what a click that was not on a button shows less.
var pressed = map[string]string{
	"":       "How the click was made was not recorded: a program that follows links may have made it.",
	"link":   "To open the link was enough: programs that look at mail for others do that, too.",
	"script": "A script of the page made the click: nobody need have pressed anything.",
	"event":  "The click is another system's word: no page of the operator's own recorded it.",
}

// missing says in whole sentences what would make an answer stronger and is not here: of
// the record that decided, as it was then, and of the entries that the answer rests on.
func (v *verifier) missing(c ledger.Consent, list []*entry) (out []string) {
	for _, w := range weaknesses {
		if c.Evidence&w.of == w.of && c.Evidence&w.lacks == 0 {
			out = append(out, w.says)
		}
	}
	if c.Evidence&ledger.EvImported != 0 {
		out = append(out, "The consent was taken over from another system: how it came about is that system's word.")
	}
	if c.Evidence&ledger.EvScanner != 0 {
		out = append(out, "Signs were recorded that a machine made the click.")
	}
	identified := c.ID == 0
	var undated, never []ledger.Index
	for _, e := range list {
		if e.Kind == ledger.ConsentConfirmed && pressed[e.Click] != "" {
			out = append(out, pressed[e.Click])
		}
		identified = identified || slices.ContainsFunc(e.disclosed, ledger.IsIdentifierClaim)
		if bounds := v.stamps.Interval(e.Index); bounds.InLogAt == nil {
			undated = append(undated, e.Index)
		} else if bounds.NotInLogAt == nil {
			never = append(never, e.Index)
		}
	}
	if !identified {
		out = append(out, "Whose record it is the bundle does not show: no address, number or other identifier is disclosed.")
	}
	for _, e := range list {
		var closed []string
		for _, c := range e.Commits {
			if len(e.owners) > 0 && !slices.Contains(e.disclosed, c.Claim) {
				closed = append(closed, c.Claim)
			}
		}
		if len(closed) > 0 {
			out = append(out, fmt.Sprintf("Entry %d commits to values that the bundle does not disclose: %s.", e.Index, strings.Join(closed, ", ")))
		}
	}
	if len(undated) > 0 {
		before := ""
		if m := v.rep.ManifestStamp; m != nil && m.NotCounted == "" {
			before = " before the bundle was stamped on " + m.Time.Format(time.RFC3339)
		} else if len(v.rep.Cosigned) > 0 {
			before = " before the witnesses signed, as they say on " + v.rep.Cosigned[0].Time.Format(time.RFC3339)
		}
		out = append(out, fmt.Sprintf("No time stamp shows that %s there%s: the times are the operator's clock.", entriesWere(undated), before))
	}
	if len(never) > 0 {
		out = append(out, fmt.Sprintf("No time stamp shows that %s not there before: they may be older than they say.", entriesWere(never)))
	}
	return out
}

func entriesWere(list []ledger.Index) string {
	if len(list) == 1 {
		return fmt.Sprintf("entry %d was", list[0])
	}
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = fmt.Sprint(n)
	}
	return "entries " + strings.Join(texts, ", ") + " were"
}
