package report

import (
	"io"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// Token is a time-stamp token in the bundle, by the names of its files.
type Token struct {
	Checkpoint string // what is stamped, as in evidence/checkpoints/1000.note
	Token      string // DER, as in evidence/checkpoints/1000.1.tst
	Authority  string // PEM, as in trust/tsa/1.pem
}

// Instructions writes docs/VERIFY.txt: how to do one check of each sort by hand, with
// what it must print for this bundle and what that shows, English first. Where the
// bundle has nothing for a check, it says so. The commands run in the directory into
// which the bundle was unpacked.
func Instructions(w io.Writer, c *Case, tokens []Token) error {
	all, err := c.read()
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, l := range []Language{English, German} {
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(instructions(l, all, tokens))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func instructions(l Language, all []*held, tokens []Token) string {
	var b strings.Builder
	step := func(n string, about text, commands ...string) {
		b.WriteString("\n" + n + ". " + about.in(l) + "\n")
		for _, line := range commands {
			b.WriteString("\n    " + line)
		}
		if len(commands) > 0 {
			b.WriteString("\n")
		}
	}
	b.WriteString(manual.Title.in(l) + "\n\n" + manual.Intro.in(l) + "\n")
	if len(all) > 0 {
		n := number(all[0].Index)
		step("1", manual.Entry, `{ printf '\000'; cat evidence/entries/`+n+`.txt; } | sha256sum`, "= "+hash(all[0].leaf)+"  -")
	} else {
		step("1", manual.NoEntry)
	}
	if i := slices.IndexFunc(all, func(e *held) bool { return len(e.of.Disclosed) > 0 }); i >= 0 {
		x := all[i].of.Disclosed[0]
		file := "evidence/disclosures/" + number(all[i].Index) + "." + x.Claim + ".txt"
		step("2", manual.Value, "openssl dgst -sha256 -binary "+file+" | base64", "= "+ledger.Hash(x.Digest()).String(),
			"grep '^commit "+x.Claim+" ' evidence/entries/"+number(all[i].Index)+".txt", "= commit "+x.Claim+" "+x.Digest().String(),
			"{ tr _- /+ < "+file+"; printf %s '"+strings.Repeat("=", (4-len(x.Text())%4)%4)+"'; } | base64 -d")
	} else {
		step("2", manual.NoValue)
	}
	if len(tokens) > 0 {
		t := tokens[0]
		step("3", manual.Stamp, "openssl ts -verify -data "+t.Checkpoint+" -in "+t.Token+" -token_in -CAfile "+t.Authority, "= Verification: OK")
	} else {
		step("3", manual.NoStamp)
	}
	step("4", manual.Whole, "verify bundle FILE.asice --policy trust.policy", "verify bundle FILE.asice --policy trust.policy --explain")
	b.WriteString("\n" + manual.Not.in(l) + "\n")
	for _, x := range limits {
		b.WriteString("\n- " + x.in(l))
	}
	b.WriteString("\n")
	return b.String()
}

// manual are the words of the instructions.
var manual = struct{ Title, Intro, Entry, NoEntry, Value, NoValue, Stamp, NoStamp, Whole, Not text }{
	Title: text{"SO WIRD DIESES PAKET GEPRÜFT", "HOW TO CHECK THIS BUNDLE"},
	Intro: text{"Entpacken Sie es (unzip) in ein leeres Verzeichnis und wechseln Sie dorthin. Eine Zeile, die mit „=“ beginnt,\nist das Ergebnis, das der Befehl davor ausgeben muss. Jeder Befehl prüft ein Beispiel seiner Art.",
		"Unpack it (unzip) into an empty directory and go there. A line that begins with “=” is what the command before it\nmust print. Each command checks one example of its kind."},
	Entry: text{"Ein Eintrag hat diesen Blattwert. Von ihm führt evidence/proofs/ zur Wurzel des Baums; die Zeile „prev“ des\n   nächsten Eintrags enthält denselben Wert in Base64.",
		"An entry has this leaf hash. From it, evidence/proofs/ leads to the root of the tree; the line “prev” of the next\n   entry holds the same value in base64."},
	NoEntry: text{"Dieses Paket enthält keine Einträge.", "This bundle has no entries."},
	Value: text{"Eine offengelegte Angabe ist die, auf die sich der Eintrag festlegte. Der letzte Befehl zeigt sie: Zufallswert,\n   Name, Wert.",
		"A disclosed value is the one to which the entry committed. The last command shows it: random salt, name, value."},
	NoValue: text{"Dieses Paket legt keine persönlichen Angaben offen.", "This bundle discloses no personal values."},
	Stamp: text{"Ein Zeitstempeldienst hat diesen Stand des Protokolls gestempelt. Das Zertifikat muss aus anderer Quelle\n   bestätigt werden, etwa aus der Vertrauensliste; das im Paket dient nur der Bequemlichkeit.",
		"A time-stamp authority has stamped this state of the log. The certificate must be confirmed from elsewhere, such as\n   the trusted list; the one in the bundle is for convenience only."},
	NoStamp: text{"Dieses Paket enthält keinen Zeitstempel eines Dritten. Die Zeiten sind die Uhr des Verantwortlichen.", "This bundle has no time stamp of a third party. The times are the controller's clock."},
	Whole: text{"Alles auf einmal, mit dem Prüfprogramm, ohne Netz. Die Datei trust.policy nennt die Schlüssel des Protokolls und\n   muss aus anderer Quelle kommen als dieses Paket. --explain zeigt jeden Schritt.",
		"Everything at once, with the verifier, offline. The file trust.policy names the keys of the log and must come from\n   elsewhere than this bundle. --explain shows every step."},
	Not: text{"WAS DAMIT NICHT BEWIESEN IST", "WHAT THIS DOES NOT PROVE"},
}
