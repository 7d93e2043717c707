package report

import "github.com/consentledger/consentledger/ledger"

// gradeRules are the sentences of the rule of [ledger.Evidence.Grade], by the way to
// the consent and the grade.
var gradeRules = map[string]map[string]text{
	"confirmed": {
		"A": {"Bestätigt mit einer Schaltfläche, ohne Anzeichen für eine Maschine; das Formular wurde aufbewahrt, die E-Mail ist festgehalten und so aufbewahrt, wie sie gesendet wurde, und bei Anfrage und Klick sind IP-Adresse oder Browser festgehalten.", "Confirmed by a button, nothing tells of a machine; the form was kept, the mail was recorded and kept as sent, and an address or a browser was recorded at the request and at the click."},
		"B": {"Bestätigt mit einer Schaltfläche, ohne Anzeichen für eine Maschine; Formular und Versand der E-Mail sind festgehalten. Zu A fehlt die E-Mail, wie sie gesendet wurde, oder IP-Adresse und Browser bei Anfrage oder Klick.", "Confirmed by a button, nothing tells of a machine; the form was kept and the sending of the mail recorded. For A the mail as sent is missing, or address and browser at the request or the click."},
		"C": {"Bestätigt durch einen Klick, ohne dass alles für B festgehalten wäre.", "Confirmed by a click, without all that B needs being recorded."},
		"D": {"Bestätigt durch einen Klick mit Anzeichen für eine Maschine und ohne Schaltfläche.", "Confirmed by a click with signs of a machine, and without a button."},
	},
	"given": {
		"B": {"Erteilt; ein Dokument oder eine Aufzeichnung wurde aufbewahrt.", "Given; a document or a recording was kept."},
		"C": {"Erteilt; das Formular wurde aufbewahrt, und IP-Adresse oder Browser sind festgehalten.", "Given; the form was kept, and an address or a browser was recorded."},
		"D": {"Erteilt; entweder das Formular wurde aufbewahrt, oder IP-Adresse oder Browser sind festgehalten.", "Given; either the form was kept, or an address or a browser was recorded."},
		"E": {"Erteilt nach bloßer Angabe; nichts wurde dazu aufbewahrt.", "Given by a mere claim; nothing was kept with it."},
	},
	"imported": {
		"C": {"Übernommen aus einem anderen System, das den Nachweis mit C bewertet.", "Taken over from another system, which grades it C."},
		"D": {"Übernommen aus einem anderen System, das den Nachweis mit D bewertet.", "Taken over from another system, which grades it D."},
		"E": {"Übernommen aus einem anderen System, nach bloßer Angabe.", "Taken over from another system, a claim only."},
	},
}

// ways are the bits of each way to a consent: those by which it is recognised, and
// those that the rule asks for.
var ways = []struct {
	name string
	by   ledger.Evidence
	all  ledger.Evidence // of the way
	asks []ledger.Evidence
}{
	{"confirmed", ledger.EvConfirmed,
		ledger.EvConfirmed | ledger.EvForm | ledger.EvTrace | ledger.EvSent | ledger.EvMail | ledger.EvButton | ledger.EvClickTrace | ledger.EvScanner,
		[]ledger.Evidence{ledger.EvForm, ledger.EvTrace, ledger.EvSent, ledger.EvMail, ledger.EvButton, ledger.EvClickTrace, ledger.EvScanner}},
	{"given", ledger.EvGiven, ledger.EvGiven | ledger.EvGivenDocument | ledger.EvGivenForm | ledger.EvGivenTrace,
		[]ledger.Evidence{ledger.EvGivenDocument, ledger.EvGivenForm, ledger.EvGivenTrace}},
	{"imported", ledger.EvImported, ledger.EvImported | ledger.EvImportC | ledger.EvImportD, nil},
}

// kept are the bits of what lies outside the log, so that an erasure destroys it.
const kept = ledger.EvForm | ledger.EvTrace | ledger.EvMail | ledger.EvClickTrace | ledger.EvGivenDocument | ledger.EvGivenForm | ledger.EvGivenTrace

// marks says what each bit means.
var marks = map[ledger.Evidence]text{
	ledger.EvForm:          {"das Formular, wie es bei der Anfrage gezeigt wurde", "the form as it was shown with the request"},
	ledger.EvTrace:         {"IP-Adresse oder Browser bei der Anfrage", "address or browser at the request"},
	ledger.EvSent:          {"der Versand der E-Mail mit dem Link, vor dem Klick", "the sending of the mail with the link, before the click"},
	ledger.EvMail:          {"die E-Mail, wie sie gesendet wurde", "the mail as sent"},
	ledger.EvButton:        {"ein Klick auf eine sichtbare Schaltfläche", "a click on a visible button"},
	ledger.EvClickTrace:    {"IP-Adresse oder Browser beim Klick", "address or browser at the click"},
	ledger.EvScanner:       {"Anzeichen, dass eine Maschine geklickt hat (spricht gegen die Einwilligung)", "signs that a machine clicked (speaks against the consent)"},
	ledger.EvGivenDocument: {"ein Dokument oder eine Aufzeichnung", "a document or a recording"},
	ledger.EvGivenForm:     {"das Formular, wie es gezeigt wurde", "the form as it was shown"},
	ledger.EvGivenTrace:    {"IP-Adresse oder Browser", "address or browser"},
}

// gradeRule gives the sentence of the rule by which the evidence has its grade.
func (t *teller) gradeRule(v ledger.Evidence) string {
	for _, w := range ways {
		if part := v & w.all; v&w.by != 0 && part.Grade() == v.Grade() {
			return gradeRules[w.name][v.Grade().String()].in(t.l)
		}
	}
	return ""
}

// evidence lists what was recorded and what was not, of the ways that were gone; erased
// says that it is not there any more.
func (t *teller) evidence(v ledger.Evidence, erased bool) (list ticks) {
	for _, w := range ways {
		if v&w.by == 0 {
			continue
		}
		for _, bit := range w.asks {
			list = append(list, tick{v&bit != 0, erased && bit&kept != 0, marks[bit].in(t.l)})
		}
	}
	return list
}
