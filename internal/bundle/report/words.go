package report

import (
	"slices"
	"strings"
	"time"
)

// text is the same in German and in English.
type text struct{ de, en string }

func (t text) in(l Language) string {
	if l == German {
		return t.de
	}
	return t.en
}

// fill puts values in the place of the words in braces: fill("{a} and {b}", "a", x,
// "b", y). It looks at the pattern once, so a value may hold braces.
func fill(pattern string, pairs ...string) string {
	return expand(pattern, func(name string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return "{" + name + "}"
	})
}

func expand(pattern string, value func(name string) string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(value(name))
		pattern = after
	}
}

// texts are the words of the report. A test demands both languages of each, and the
// same words in braces.
var texts = struct {
	Title, Subtitle, Page                                                                           text
	Controller, Log, State, Made, MadeBy, ForWhom, Why, Export, Zone, NotSaid, NotExported          text
	Question, NoQuestion, Yes, No, OtherBasis, NotUsable, Unknown, Recorded, HindsightNo            text
	Who, WhoHidden, WhoErased, What, When, How, Words, GradeIs, ByOthers, Since, Later, NoDate      text
	WordsSection, LaterNothing, LaterSame, Irregular, IrregularState, ReadFirst, Rest               text
	ErasedOf, ErasedHead, ErasedWaits, ErasedProof, SetAside                                        text
	ExtractTitle, ExtractSubtitle, ExtractIntro, ExtractOf, ExtractFirst, ExtractLast, ExtractKinds text
	ExtractSources, ExtractNotices, ExtractBeside                                                   text
	Consent, ConsentState, ConsentProven, ConsentUnproven, Erased, NoEvents, Uses, UsesAfter        text
	Course, CourseIntro, PictureAlt, PictureNote, PictureAsked, Column, ColumnWhat, ColumnRef       text
	Sources, Between, After, Before, OwnClock, Stamped, Qualified, Part, Dated                      text
	EntryRef, PageRef, FileRef, Hidden, FileNamed                                                   text
	Shown, ShownIntro, ShownNone, ShownAs, ShownFacts, ShownFingerprint, FileContent, FileCut       text
	FileBinary, FileSize, ValueCut                                                                  text
	Click, ClickIntro, ClickNone, Grade, GradeNone, Rule, Present, Absent, Gone, ChannelLimit       text
	Told, ToldNone, ToldStated                                                                      text
	Technique, TechniqueIntro, Trust, HowToCheck, Check1, Check2, Check3, Check4, NotQualified      text
	Limits, LimitsIntro                                                                             text
	Annex, AnnexIntro, AnnexRest, Fingerprint, ByHand, ByVerifier, Disclosed, Committed, BackToText text
	OptNotice, OptAge, OptAgeChild, OptExplicit, OptNewLock, OptClick, OptMethod, OptAgainst        text
	OptDecision, OptPassed, OptTold, OptTo, OptShown, OptCountry, OptPurposes, OptCheckbox          text
	OptBecause, OptContents, OptExistence                                                           text
	AllMarketing, AndWord                                                                           text
}{
	Title:       text{"Nachweis zu Einwilligungen", "Evidence of consent"},
	Subtitle:    text{"Bericht zu einem Beweispaket", "Report of a proof bundle"},
	Page:        text{"Seite {n} von {of}", "page {n} of {of}"},
	Controller:  text{"Verantwortlicher", "Controller"},
	Log:         text{"Protokoll", "Log"},
	State:       text{"Stand", "State"},
	Made:        text{"Erstellt am", "Made on"},
	MadeBy:      text{"Erstellt von", "Made by"},
	ForWhom:     text{"Für", "For"},
	Why:         text{"Anlass", "Reason"},
	Export:      text{"Im Protokoll als", "In the log as"},
	Zone:        text{"Zeiten", "Times"},
	NotSaid:     text{"nicht angegeben", "not said"},
	NotExported: text{"nicht festgehalten", "not recorded"},

	Question:    text{"Lag am {at} eine Einwilligung der Person für {purpose} {channel} vor?", "Was there consent of the person to {purpose} {channel} on {at}?"},
	NoQuestion:  text{"Es wurde keine Frage gestellt. Der Bericht gibt wieder, was festgehalten ist.", "No question was asked. The report gives what is recorded."},
	Yes:         text{"Ja", "Yes"},
	No:          text{"Nein", "No"},
	OtherBasis:  text{"Keine Einwilligung – eine andere Grundlage ist angegeben", "No consent – another basis is stated"},
	NotUsable:   text{"Nein – sie durfte nicht genutzt werden", "No – it could not be used"},
	Unknown:     text{"Das lässt sich nicht sagen", "This cannot be told"},
	Recorded:    text{"nach dem, was in diesem Protokoll bis zu diesem Zeitpunkt festgehalten war", "by what had been recorded in this log by that moment"},
	HindsightNo: text{"Aber: Nach dem, was später festgehalten wurde und auf diesen Zeitpunkt zurückwirkt, ist die Antwort Nein.", "But: by what was recorded later and bears on that moment, the answer is no."},

	Who:            text{"Wer", "Who"},
	WhoHidden:      text{"nicht offengelegt; die Einträge legen sich auf die Kennungen fest, ohne sie zu nennen", "not disclosed; the entries commit to the identifiers without naming them"},
	WhoErased:      text{"gelöscht; die Kennungen sind vernichtet", "erased; the identifiers are destroyed"},
	What:           text{"Wofür", "For what"},
	When:           text{"Wann", "When"},
	How:            text{"Wie", "How"},
	Words:          text{"Welche Worte", "Which words"},
	GradeIs:        text{"Beweisstufe", "Grade of evidence"},
	ByOthers:       text{"Wann, nach Dritten", "When, say others"},
	Since:          text{"Beendet", "Ended"},
	Later:          text{"Danach", "Afterwards"},
	NoDate:         text{"Kein Zeitpunkt ist von Dritten bezeugt; es gilt allein die Uhr des Protokolls.", "No moment is attested by a third party; there is the log's own clock alone."},
	WordsSection:   text{"{name}, im Wortlaut im Abschnitt „Was der Person gezeigt wurde“", "{name}, verbatim in the section “What was shown to the person”"},
	LaterNothing:   text{"Kein Ende ist festgehalten.", "No end is recorded."},
	LaterSame:      text{"Keine Änderung ist festgehalten.", "No change is recorded."},
	Irregular:      text{"Auffällig", "Irregular"},
	IrregularState: text{"geschah, obwohl der Vorgang im Zustand „{state}“ war", "happened though the state was “{state}”"},
	ReadFirst:      text{"Was dieser Bericht nicht beweisen kann, steht im Abschnitt „Was sich nicht beweisen lässt“. Er ist eine Darstellung des Verantwortlichen; beweisend sind die Einträge und ihre Prüfung.", "What this report cannot prove stands in the section “What cannot be proven”. It is the controller's rendering; the evidence are the entries and their check."},
	Rest:           text{"{n} weitere Fragen stehen auf den folgenden Seiten.", "{n} more questions stand on the following pages."},

	ErasedOf:    text{"Vorgang {list}", "Record {list}"},
	ErasedHead:  text{"Gelöscht – die Nachweise sind vernichtet", "Erased – the evidence is destroyed"},
	ErasedWaits: text{"Gelöscht – dass die Nachweise vernichtet sind, ist noch nicht festgehalten", "Erased – that the evidence is destroyed has not been recorded yet"},
	SetAside:    text{"Ein Vorgang dazu ({id}) war zu diesem Zeitpunkt gesperrt oder gelöscht und blieb außer Betracht.", "A record about this ({id}) was locked or erased at that moment and was left out of account."},
	ErasedProof: text{"Bewiesen ist, dass und wann dies festgehalten wurde. Was die Person angab, lässt sich nicht mehr öffnen; dieses Paket legt davon nichts offen.", "What is proven is that this was recorded, and when. What the person stated can no longer be opened; this bundle discloses none of it."},

	ExtractTitle:    text{"Auszug aus einem Protokoll", "Extract of a log"},
	ExtractSubtitle: text{"Bericht zu einem Paket ohne persönliche Angaben", "Report of a bundle without personal values"},
	ExtractIntro:    text{"Aufeinanderfolgende Einträge des Protokolls, keiner ausgelassen. Sie nennen keine Person; persönliche Angaben liegen nicht bei. Dieser Bericht ist eine Darstellung des Verantwortlichen; beweisend sind die Einträge und ihre Prüfung.", "Entries of the log that follow one another, none left out. They name nobody; personal values are not enclosed. This report is the controller's rendering; the evidence are the entries and their check."},
	ExtractOf:       text{"{first} bis {last} ({n})", "{first} to {last} ({n})"},
	ExtractFirst:    text{"Der erste", "The first"},
	ExtractLast:     text{"Der letzte", "The last"},
	ExtractKinds:    text{"Was sie festhalten", "What they record"},
	ExtractSources:  text{"Wer sie festhielt", "Who recorded them"},
	ExtractNotices:  text{"Texte, die beiliegen", "Notices that are enclosed"},
	ExtractBeside:   text{"{n} weitere Einträge liegen bei, weil die Prüfung sie braucht.", "{n} more entries are enclosed because the check needs them."},

	Consent:         text{"Vorgang {id}: {purpose} {channel}", "Record {id}: {purpose} {channel}"},
	ConsentState:    text{"Zustand am Ende der Einträge", "State at the end of the entries"},
	ConsentProven:   text{"Dass das Protokoll bis Eintrag {index} keine spätere Änderung dieses Vorgangs enthält, ist durch den Zustandsbaum bewiesen.", "That the log up to entry {index} has no later change of this record is proven by the state tree."},
	ConsentUnproven: text{"Dass das Protokoll keine spätere Änderung dieses Vorgangs enthält, ist hier nicht bewiesen.", "That the log has no later change of this record is not proven here."},
	Erased:          text{"Die Nachweise zu diesem Vorgang sind gelöscht. Zu sehen ist nur noch, dass und wann etwas festgehalten wurde.", "The evidence of this record is erased. What can be seen is only that something was recorded, and when."},
	NoEvents:        text{"Zu diesem Vorgang enthält das Paket keine Einträge.", "The bundle has no entries about this record."},
	Uses:            text{"Festgehaltene Nutzungen: {n}, die letzte am {last}.", "Uses recorded: {n}, the last on {last}."},
	UsesAfter:       text{"Festgehaltene Nutzungen, nachdem der Vorgang beendet war: {n}.", "Uses recorded after the record had ended: {n}."},

	Course:       text{"Was geschah", "What happened"},
	CourseIntro:  text{"Jeder Satz gibt einen Eintrag wieder. Er sagt, was festgehalten wurde, nicht, dass es wahr ist.", "Each sentence gives an entry. It tells what was recorded, not that it is true."},
	PictureAlt:   text{"Zeitleiste zu Vorgang {id}", "Timeline of record {id}"},
	PictureNote:  text{"Die Abstände sind nicht maßstäblich. Gefüllt: durfte genutzt werden; leer: durfte nicht genutzt werden. Die Nummern sind die der folgenden Liste.", "Not to scale. Filled: could be used; empty: could not be used. The numbers are those of the list below."},
	PictureAsked: text{"Frage {n}", "Question {n}"},
	Column:       text{"Wann (Uhr des Protokolls)", "When (the log's clock)"},
	ColumnWhat:   text{"Was festgehalten ist", "What is recorded"},
	ColumnRef:    text{"Beleg", "Source"},
	Sources:      text{"Quelle: {source}.", "Source: {source}."},
	Between:      text{"Durch Dritte eingegrenzt: nach {from} und spätestens {to}.", "Bounded by others: after {from} and not later than {to}."},
	After:        text{"Durch Dritte eingegrenzt: nach {from}; wie spät, ist nicht bezeugt.", "Bounded by others: after {from}; how late is not attested."},
	Before:       text{"Durch Dritte eingegrenzt: spätestens {to}; wie früh, ist nicht bezeugt.", "Bounded by others: not later than {to}; how early is not attested."},
	OwnClock:     text{"Kein Dritter bezeugt diese Zeit.", "No third party attests this time."},
	Stamped:      text{"{time} ({authority})", "{time} ({authority})"},
	Qualified:    text{"{time} ({authority}, als qualifiziert geführt)", "{time} ({authority}, listed as qualified)"},
	Part:         text{"Teil {n} von {of} einer Liste.", "Part {n} of {of} of a list."},
	Dated:        text{"Die Quelle {source} gibt als Zeitpunkt an: {time}.", "The source {source} dates this to {time}."},
	EntryRef:     text{"Eintrag {index}", "entry {index}"},
	FileRef:      text{"im Paket", "in the bundle"},
	PageRef:      text{"Seite {n}", "page {n}"},
	Hidden:       text{"nicht offengelegt", "not disclosed"},
	FileNamed:    text{"{name} ({type}), im Paket als {path}", "{name} ({type}), in the bundle as {path}"},

	Shown:            text{"Was der Person gezeigt wurde", "What was shown to the person"},
	ShownIntro:       text{"Der Wortlaut, auf den sich die Einträge festlegen. Seine Prüfsumme steht im Eintrag; wird ein Zeichen geändert, stimmt sie nicht mehr. Dass der Bildschirm der Person genau dies zeigte, belegt nur ein aufbewahrtes Formular.", "The words to which the entries commit. Their digest stands in the entry; if a character is changed it does not match. That the person's screen showed exactly this is shown only by a form that was kept."},
	ShownNone:        text{"Die Einträge nennen keinen Text, der gezeigt worden wäre.", "The entries name no text that was shown."},
	ShownAs:          text{"Text {name}", "Notice {name}"},
	ShownFacts:       text{"Dazu erklärt der Verantwortliche", "The controller states with it"},
	ShownFingerprint: text{"SHA-256 des Textes: {sum}", "SHA-256 of the text: {sum}"},
	FileContent:      text{"Datei zu Eintrag {index}: {claim}", "File of entry {index}: {claim}"},
	FileCut:          text{"[hier gekürzt; vollständig im Paket als {path}]", "[cut here; whole in the bundle as {path}]"},
	ValueCut:         text{"[gekürzt; vollständig im Anhang]", "[cut; whole in the annex]"},
	FileBinary:       text{"Diese Datei ist kein Text und wird hier nicht gezeigt.", "This file is not text and is not shown here."},
	FileSize:         text{"{n} Bytes, SHA-256 {sum}", "{n} bytes, SHA-256 {sum}"},

	Click:        text{"Wie die Einwilligung zustande kam und wie gut das belegt ist", "How consent was given, and how well that is proven"},
	ClickIntro:   text{"Die Beweisstufe A (beste) bis E folgt aus den Einträgen nach einer festen Regel. Server und Prüfprogramm rechnen sie gleich.", "The grade, A (best) to E, follows from the entries by a fixed rule. Server and verifier compute it alike."},
	ClickNone:    text{"Keine Einwilligung wurde erteilt; es gibt keine Beweisstufe.", "No consent was given; there is no grade."},
	Grade:        text{"Vorgang {id}: Beweisstufe {grade}", "Record {id}: grade {grade}"},
	GradeNone:    text{"Vorgang {id}: keine Beweisstufe", "Record {id}: no grade"},
	Rule:         text{"Regel", "Rule"},
	Present:      text{"vorhanden", "there"},
	Absent:       text{"nicht vorhanden", "not there"},
	Gone:         text{"war festgehalten, ist gelöscht", "had been recorded, is erased"},
	ChannelLimit: text{"Ein Klick in einer E-Mail belegt den Zugang zum Postfach. Für Telefonwerbung beweist er nichts (BGH, 10.02.2011, I ZR 164/09).", "A click in a mail shows access to the mailbox. For advertising by telephone it proves nothing (BGH, 10 Feb 2011, I ZR 164/09)."},

	Told:       text{"Wer davon erfuhr", "Who was told"},
	ToldNone:   text{"Die Einträge nennen keine Empfänger.", "The entries name no recipients."},
	ToldStated: text{"Der gezeigte Text nennt als Empfänger: {list}", "The notice shown names as recipients: {list}"},

	Technique:      text{"Technik", "Technique"},
	TechniqueIntro: text{"Das Protokoll ist eine Kette kurzer Texte. Jeder enthält die Prüfsumme des vorigen; alle zusammen bilden einen Hashbaum (RFC 6962), dessen Wurzel mit zwei Verfahren unterschrieben wird (Ed25519 und ML-DSA-44). Für jeden Eintrag liegt ein Beweis bei, dass er in dem Baum mit {size} Einträgen und dieser Wurzel steht: {root}. Persönliche Angaben stehen nicht im Protokoll; es enthält nur Festlegungen (SHA-256 mit 256 Bit Zufall), die sich mit den beigelegten Angaben öffnen lassen.", "The log is a chain of short texts. Each has the digest of the one before; all of them form a hash tree (RFC 6962) whose root is signed in two ways (Ed25519 and ML-DSA-44). For each entry there is a proof that it stands in the tree with {size} entries and this root: {root}. Personal values do not stand in the log; it has commitments (SHA-256 with 256 random bits) that the enclosed values open."},
	Trust:          text{"Worauf das beruht", "What this rests on"},
	HowToCheck:     text{"So wird geprüft", "How to check"},
	Check1:         text{"Alles auf einmal, ohne Netz: verify bundle DATEI.asice --policy trust.policy. Die Datei trust.policy muss aus anderer Quelle kommen als dieses Paket.", "Everything at once, offline: verify bundle FILE.asice --policy trust.policy. The file trust.policy must come from elsewhere than this bundle."},
	Check2:         text{"Ein Eintrag: verify receipt {proof} --entry {entry} --policy trust.policy, nach dem Entpacken.", "One entry: verify receipt {proof} --entry {entry} --policy trust.policy, after unpacking."},
	Check3:         text{"Eine offengelegte Angabe: openssl dgst -sha256 -binary {disclosure} | base64 gibt die Festlegung, die in Zeile „commit NAME“ von Eintrag N steht.", "A disclosed value: openssl dgst -sha256 -binary {disclosure} | base64 gives the commitment in the line “commit NAME” of entry N."},
	Check4:         text{"Vollständigkeit: verify bundle DATEI.asice --policy trust.policy --log KOPIE prüft gegen eine ganze Kopie des Protokolls, dass nichts weggelassen wurde.", "Completeness: verify bundle FILE.asice --policy trust.policy --log COPY checks against a whole copy of the log that nothing was left out."},
	NotQualified:   text{"Es handelt sich um ein nicht qualifiziertes elektronisches Journal im Sinne von Art. 45k der Verordnung (EU) Nr. 910/2014; ihm darf die Zulässigkeit als Beweismittel nicht allein deshalb abgesprochen werden.", "This is a non-qualified electronic ledger under Art. 45k of Regulation (EU) No 910/2014; it may not be denied admissibility as evidence for that reason alone."},

	Limits:      text{"Was sich nicht beweisen lässt", "What cannot be proven"},
	LimitsIntro: text{"Auch wenn jede Prüfung gelingt, bleibt offen:", "Even if every check succeeds, this stays open:"},

	Annex:       text{"Anhang: die Einträge im Wortlaut", "Annex: the entries verbatim"},
	AnnexIntro:  text{"Gedruckt ist jedes Byte. Eine Zeile, die nicht in die Breite passt, läuft in der nächsten weiter, die dann mit ↳ beginnt.", "Every byte is printed. A line that does not fit goes on in the next, which begins with ↳."},
	AnnexRest:   text{"{n} weitere Einträge sind hier nicht gedruckt; sie liegen im Paket als {files}.", "{n} more entries are not printed here; they are in the bundle as {files}."},
	Fingerprint: text{"Blattwert", "leaf hash"},
	ByHand:      text{"Von Hand", "By hand"},
	ByVerifier:  text{"Beweis", "Proof"},
	Disclosed:   text{"offengelegt", "disclosed"},
	Committed:   text{"Angaben zu diesem Eintrag", "Values of this entry"},
	BackToText:  text{"Besagt", "Says"},

	OptNotice:    text{", mit dem Text {name}", ", with the notice {name}"},
	OptAge:       text{", nach Angabe alt genug dafür", ", said to be old enough for it"},
	OptAgeChild:  text{", nach Angabe ein Kind", ", said to be a child"},
	OptExplicit:  text{", ausdrücklich (Art. 9 DSGVO)", ", explicitly (Art. 9 GDPR)"},
	OptNewLock:   text{", mit neuem Geheimnis, gut bis {until}", ", with a new secret, good until {until}"},
	OptClick:     text{": {how}", ": {how}"},
	OptMethod:    text{", {how}", ", {how}"},
	OptAgainst:   text{" gegen {purpose} {channel}", " to {purpose} {channel}"},
	OptDecision:  text{" gegen Entscheidungen allein durch Maschinen (Art. 22 DSGVO)", " to decisions that a machine alone makes (Art. 22 GDPR)"},
	OptPassed:    text{" und weitergegeben an {to}", " and passed to {to}"},
	OptTold:      text{" ({to})", " ({to})"},
	OptTo:        text{"; an: {to}", "; to: {to}"},
	OptShown:     text{"; gezeigt: {list}", "; shown: {list}"},
	OptCountry:   text{" (Land: {country})", " (country: {country})"},
	OptPurposes:  text{", für {list}", ", for {list}"},
	OptBecause:   text{"; Anlass: {why}", "; the reason: {why}"},
	OptContents:  text{"; seit {time} kann niemand mehr lesen, was gelöscht ist; bis {due} soll auch nicht mehr zu finden sein, dass es etwas gab", "; since {time} nobody can read what was erased; by {due} nobody shall find that there was anything"},
	OptExistence: text{"; seit {time} ist auch nicht mehr zu finden, dass es etwas gab", "; since {time} nobody can find that there was anything"},
	OptCheckbox:  text{"; das Kästchen: {how}", "; the checkbox: {how}"},
	AllMarketing: text{"alle Werbung", "all marketing"},
	AndWord:      text{" und ", " and "},
}

// limits is what no check can show: the list that every report prints.
var limits = []text{
	{"Dass ein Mensch gehandelt hat, und welcher. Belegt ist die Verfügung über ein Postfach oder ein Gerät zu einer Zeit; auch Angehörige, Kollegen oder ein Programm können sie gehabt haben.", "That a human being acted, and which one. What is shown is control of a mailbox or a device at a time; relatives, colleagues or a program may have had it."},
	{"Dass die Einwilligung informiert und freiwillig war. Belegt ist nur, welcher Text und welches Formular eingesetzt waren.", "That consent was informed and free. What is shown is only which text and which form were in use."},
	{"Dass es kein zweites, verborgenes Protokoll und keinen zweiten Vorgang zu derselben Person gibt. Zeugen belegen eine Geschichte je Protokoll.", "That there is no second, secret log and no second record about the same person. Witnesses show one history for each log."},
	{"Dass etwas geschah, was der Verantwortliche nicht festgehalten hat, etwa ein Widerruf. Das belegt nur eine Quittung in der Hand der Person.", "That something happened which the controller did not record, such as a withdrawal. Only a receipt in the person's hands shows that."},
	{"Dass der Verantwortliche keine Einträge zur selben Zeit erfunden hat. Rückdatieren verhindern Zeitstempel und Zeugen; Erfinden im Augenblick verhindern sie nicht.", "That the controller did not make up entries at the time. Time stamps and witnesses prevent dating back; they do not prevent making up in the moment."},
	{"Dass das Geheimnis im Link nur der Person bekannt war. Betreibt dieselbe Firma Protokoll und Versand, belegt es Reihenfolge und einmaligen Gebrauch, nicht, wer klickte.", "That the secret in the link was known to the person alone. Where one company runs both the log and the mailer, it shows order and single use, not who clicked."},
	{"Dass ein Schlüssel überall vernichtet ist. Belegt ist nur, dass dieses System damit nichts mehr öffnet.", "That a key has been destroyed everywhere. What is shown is only that this system can open nothing with it any more."},
	{"Eine Uhrzeit an sich. Belegt ist nur, zwischen welchen zwei von Dritten bezeugten Ständen ein Eintrag entstand; fehlen sie, gilt allein die Uhr des Verantwortlichen.", "Absolute time. What is shown is only between which two states attested by others an entry was made; where there are none, there is the controller's clock alone."},
	{"Eine Person anhand einer IP-Adresse. Sie ist ein schwaches Anzeichen; Gerichte halten sie allein für unergiebig.", "A person by an IP address. It is a weak sign; courts find it unproductive by itself."},
}

// recordLimits are those of a report about records besides.
var recordLimits = []text{
	{"Dass alle Einträge beiliegen, die einen Vorgang nur erwähnen, etwa jede Nutzung. Bewiesen ist, dass keine Änderung fehlt; das Übrige zeigt der Vergleich mit einer ganzen Kopie des Protokolls.", "That all entries are enclosed that merely mention a record, such as each use. What is proven is that no change is missing; the rest is shown by a comparison with a whole copy of the log."},
	{"Dass eine Adresse nicht auf der Sperrliste stand. Die Liste ist kein Teil dieses Pakets; die Antworten berücksichtigen sie nicht.", "That an address was not on the suppression list. The list is no part of this bundle; the answers do not take it into account."},
}

// limits gives what is printed in a language.
func (c *Case) limits(l Language) (list []string) {
	all := limits
	if c.Range == nil {
		all = slices.Concat(limits, recordLimits)
	}
	for _, x := range all {
		list = append(list, x.in(l))
	}
	return list
}

// clock gives times in one language and zone.
type clock struct {
	l    Language
	zone *time.Location
}

var months = [...]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

func (c clock) date(t time.Time) string {
	t = t.In(c.zone)
	if c.l == German {
		return t.Format("02.01.2006")
	}
	return t.Format("2 ") + months[t.Month()-1] + t.Format(" 2006")
}

func (c clock) time(t time.Time) string { return t.In(c.zone).Format("15:04:05") }

// local gives a time in the controller's zone, with its distance from UTC.
func (c clock) local(t time.Time) string {
	return c.date(t) + ", " + c.time(t) + " UTC" + strings.Replace(t.In(c.zone).Format("-07:00"), "-", "−", 1)
}

// utc gives it as the log has it.
func (c clock) utc(t time.Time) string {
	if t.Nanosecond() != 0 {
		return t.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// both gives both.
func (c clock) both(t time.Time) string { return c.local(t) + " [" + c.utc(t) + "]" }
