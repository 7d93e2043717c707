package evidence

import (
	"fmt"
	"strings"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger"
)

// teller says in plain words what the entries of a dossier record. It tells what was
// recorded, not that it is true.
type teller struct {
	titles map[string]string // of purposes and processors, by their ids
}

func newTeller(d *service.Dossier) *teller {
	t := &teller{map[string]string{ledger.AllMarketing: "all marketing"}}
	for _, p := range d.Purposes { // the newest version is the last
		t.titles[p.ID] = p.Title
	}
	for _, p := range d.Processors {
		t.titles["processor "+p.ID] = p.Title
	}
	return t
}

func (t *teller) purpose(id string) string {
	if title := t.titles[id]; title != "" {
		return "“" + title + "”"
	}
	return id
}

func (t *teller) processor(id string) string {
	if title := t.titles["processor "+id]; title != "" {
		return title + " (" + id + ")"
	}
	return id
}

// sentence says what an entry records, and when.
func (t *teller) sentence(e *service.HeldEntry) string {
	s := moment(e.Time) + ": " + t.what(e)
	if !e.Occurred.IsZero() {
		s += fmt.Sprintf(" %s dates this to %s.", e.Source, moment(e.Occurred))
	}
	return s
}

// what says it by the kind of the entry.
func (t *teller) what(e *service.HeldEntry) string {
	if e.Part == 1 && len(e.About)+len(e.Consents) == 0 {
		return "The first part of a list that names you in a later part; what is said of all of them stands here."
	}
	switch e.Kind {
	case ledger.ConsentRequested, ledger.ConsentGiven, ledger.ConsentRefused, ledger.ConsentImported, ledger.BasisAsserted:
		return t.opening(e)
	case ledger.ConfirmationSent, ledger.ConfirmationResent, ledger.ConfirmationFailed, ledger.ConfirmationOpened, ledger.ConfirmationAttached,
		ledger.ConsentConfirmed, ledger.ConfirmationRejected, ledger.RequestExpired:
		return t.confirmation(e)
	case ledger.ConsentRenewed, ledger.ConsentExpired, ledger.ConsentWithdrawn, ledger.ConsentRevoked, ledger.ConsentInvalidated, ledger.ObjectionRecorded:
		return t.change(e)
	case ledger.RestrictionSet, ledger.RestrictionLifted, ledger.SubjectLocked, ledger.SubjectErased, ledger.SubjectRectified,
		ledger.HoldSet, ledger.HoldLifted, ledger.RetentionApplied:
		return t.keeping(e)
	case ledger.RequestReceived, ledger.RequestExtended, ledger.RequestAnswered, ledger.RequestRefused, ledger.IdentityVerified:
		return t.right(e)
	}
	return t.fact(e)
}

// shown names the notice that an entry says was shown.
func shown(e *service.HeldEntry) string {
	if e.Notice.ID == "" {
		return ""
	}
	return ", with the notice " + e.Notice.Name()
}

func (t *teller) opening(e *service.HeldEntry) string {
	what := t.purpose(e.Purpose) + " " + words(channelWords, e.Channel)
	how := words(methodWords, e.Method)
	switch e.Kind {
	case ledger.ConsentRequested:
		return fmt.Sprintf("You were asked, %s, for your consent to %s%s. The link to confirm it was good until %s.", how, what, shown(e), moment(e.Expires))
	case ledger.ConsentGiven:
		return fmt.Sprintf("You gave your consent to %s, %s%s.", what, how, shown(e))
	case ledger.ConsentRefused:
		return fmt.Sprintf("You refused %s, %s%s.", what, how, shown(e))
	case ledger.ConsentImported:
		return fmt.Sprintf("Your consent to %s was taken over from another system, which says that you gave it %s%s (grade %s).", what, how, shown(e), e.Grade)
	}
	return fmt.Sprintf("The controller stated that it uses your data for %s without your consent%s, because of %s.", what, shown(e), words(basisWords, e.Basis))
}

func (t *teller) confirmation(e *service.HeldEntry) string {
	switch e.Kind {
	case ledger.ConfirmationSent:
		return "A mail with the link to confirm was sent to you" + shown(e) + "."
	case ledger.ConfirmationResent:
		return "The link to confirm was to be sent to you again."
	case ledger.ConfirmationFailed:
		return "A mail with the link to confirm did not reach you (" + e.Failure + ")."
	case ledger.ConfirmationOpened:
		return "The page behind the link to confirm was opened."
	case ledger.ConfirmationAttached:
		return "The mail with the link was kept as it had been sent."
	case ledger.ConsentConfirmed:
		how := ""
		if e.Click != "" {
			how = ": " + words(clickWords, e.Click)
		}
		return "The consent was confirmed by the link" + how + "."
	case ledger.ConfirmationRejected:
		return "The link was used to say no."
	}
	return "The link ended without having been used; the request lapsed."
}

func (t *teller) change(e *service.HeldEntry) string {
	how := ""
	if e.Method != "" {
		how = " " + words(methodWords, e.Method)
	}
	switch e.Kind {
	case ledger.ConsentRenewed:
		return "You renewed your consent" + how + shown(e) + "."
	case ledger.ConsentExpired:
		return "The consent expired by the terms of its purpose."
	case ledger.ConsentWithdrawn:
		return "You withdrew" + how + "."
	case ledger.ConsentRevoked:
		return "The controller ended it; the reason: " + words(causeWords, e.Cause) + "."
	case ledger.ConsentInvalidated:
		return "It was found never to have been valid; the reason: " + words(causeWords, e.Cause) + "."
	}
	against := ""
	if e.Purpose != "" {
		against = " to " + t.purpose(e.Purpose) + " " + words(channelWords, e.Channel)
	}
	if e.Article != "" {
		against += ", to decisions that a machine alone makes (Art. 22 GDPR)"
	}
	return "You objected" + against + how + "."
}

func (t *teller) keeping(e *service.HeldEntry) string {
	switch e.Kind {
	case ledger.RestrictionSet:
		return "The use of your data was restricted: " + words(groundWords, e.Ground) + "."
	case ledger.RestrictionLifted:
		return fmt.Sprintf("The restriction was lifted, after you had been told on %s.", moment(e.Informed))
	case ledger.SubjectLocked:
		return fmt.Sprintf("It was locked: until %s it is kept for legal claims and for nothing else. The reason: %s.", moment(e.Until), words(eraseWords, e.Reason))
	case ledger.SubjectErased:
		return "Records were erased; the reason: " + words(eraseWords, e.Reason) + "."
	case ledger.SubjectRectified:
		return "How you are known was corrected: an identifier was " + e.Change + "."
	case ledger.HoldSet:
		return "The evidence was put on hold: it must not be destroyed while a legal claim is pursued or defended."
	case ledger.HoldLifted:
		return "The hold was lifted."
	}
	return fmt.Sprintf("A record %s, because %s.", words(measureWords, e.Measure), words(ruleWords, e.Rule))
}

func (t *teller) right(e *service.HeldEntry) string {
	switch e.Kind {
	case ledger.RequestReceived:
		return fmt.Sprintf("You asked for %s. The answer was due by %s.", words(articleWords, e.Article), moment(e.Due))
	case ledger.RequestExtended:
		return fmt.Sprintf("More time was taken to answer the request of entry %d: until %s.", e.Refers[0], moment(e.Due))
	case ledger.RequestAnswered:
		return fmt.Sprintf("The request of entry %d was answered.", e.Refers[0])
	case ledger.RequestRefused:
		return fmt.Sprintf("The request of entry %d was refused: %s.", e.Refers[0], words(refusalWords, e.Refusal))
	}
	return "It was verified " + words(meansWords, e.Means) + " who you are."
}

func (t *teller) fact(e *service.HeldEntry) string {
	switch e.Kind {
	case ledger.ConsentUsed:
		return phrase("Your data were used for this purpose", t.passedTo(e)) + "."
	case ledger.TrackingChanged:
		return fmt.Sprintf("How far you are tracked for %s was set: %s.", t.purpose(e.Purpose), words(modeWords, e.Mode))
	case ledger.GuardianAuthorised:
		return "Somebody with parental responsibility agreed, " + words(methodWords, e.Method) + "."
	case ledger.SignalReceived:
		return fmt.Sprintf("Your browser or app sent the signal %s, which says %s to being tracked.", e.Signal, e.Says)
	case ledger.WithdrawalEffected:
		return "The end took effect in the system " + e.System + "."
	case ledger.RecipientNotified:
		return phrase("A recipient of your data was told of entry", fmt.Sprint(e.Refers[0]), t.told(e)) + "."
	case ledger.RecipientAcknowledged:
		return fmt.Sprintf("The recipient who was told by entry %d answered.", e.Refers[0])
	case ledger.EntryCorrected:
		return "It was noted that " + refersTo(e) + " is wrong by mistake. It stays on record as it is."
	case ledger.EvidenceDisclosed:
		return t.disclosed(e)
	}
	return "An entry of the kind " + string(e.Kind) + " was recorded about you."
}

// refersTo names the entries to which an entry refers.
func refersTo(e *service.HeldEntry) string {
	list := make([]string, len(e.Refers))
	for i, r := range e.Refers {
		list[i] = fmt.Sprint(r)
	}
	return "entry " + strings.Join(list, ", ")
}

// passedTo says to whom a use passed data on.
func (t *teller) passedTo(e *service.HeldEntry) string {
	to := ""
	if e.Processor != "" {
		to = "and passed to the processor " + t.processor(e.Processor)
	}
	if r := claim(e, "recipient"); r != "" && to == "" {
		to = "and passed to " + r
	} else if r != "" {
		to += ", " + r
	}
	return to
}

func (t *teller) told(e *service.HeldEntry) string {
	if e.Processor != "" {
		return "(the processor " + t.processor(e.Processor) + ")"
	}
	if r := claim(e, "recipient"); r != "" {
		return "(" + r + ")"
	}
	return ""
}

func (t *teller) disclosed(e *service.HeldEntry) string {
	var what string
	switch e.Occasion {
	case "access_report":
		what = "Everything that is held about you was put together for you"
	case "bundle":
		what = "Evidence about you was exported, with these of your data: " + strings.Join(e.Shown, ", ")
	default:
		what = "These of your data were shown: " + strings.Join(e.Shown, ", ")
	}
	if r := claim(e, "recipient"); r != "" {
		what += "; to: " + r
	}
	if r := claim(e, "reason"); r != "" {
		what += "; the reason: " + r
	}
	return what + "."
}

// claim gives the value of a claim of an entry, "" if it has none.
func claim(e *service.HeldEntry, name string) string {
	for _, c := range e.Claims {
		if c.Claim == name {
			return c.Value
		}
	}
	return ""
}
