package report

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/ledger"
)

// Token is a time-stamp token in the bundle, by the names of its files.
type Token struct {
	Checkpoint string    // what is stamped, as in evidence/checkpoints/1000.note
	Token      string    // DER, as in evidence/checkpoints/1000.1.tst
	Authority  string    // PEM, as in trust/tsa/1.pem
	At         time.Time // as the token says
}

// Instructions writes docs/VERIFY.txt: how to do one check of each sort by hand, with
// what it must print for this bundle and what that shows, English first. Where the
// bundle has nothing for a check, it says so. The commands are of a POSIX shell, with
// unzip, coreutils and openssl; a line that begins with "=" is the output.
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
		b.WriteString(c.instructions(l, all, tokens))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// steps are numbered steps with their commands.
type steps struct {
	strings.Builder
	l Language
	n int
}

func (s *steps) add(about text, commands ...string) {
	s.n++
	fmt.Fprintf(s, "\n%d. %s\n", s.n, about.in(s.l))
	for _, line := range commands {
		s.WriteString("\n    " + line)
	}
	if len(commands) > 0 {
		s.WriteString("\n")
	}
}

func (c *Case) instructions(l Language, all []*held, tokens []Token) string {
	s := &steps{l: l}
	s.WriteString(manual.Title.in(l) + "\n\n" + manual.Intro.in(l) + "\n")
	s.add(manual.Unpack, "unzip -q FILE.asice -d bundle", "cd bundle")
	c.entryByHand(s, all)
	valueByHand(s, all)
	c.wordsByHand(s, all)
	if len(tokens) > 0 {
		t := tokens[0]
		s.add(manual.Stamp, fmt.Sprintf("openssl ts -verify -data %s -in %s -token_in -CAfile %s -partial_chain -attime %d", t.Checkpoint, t.Token, t.Authority, t.At.Unix()), "= Verification: OK")
	} else {
		s.add(manual.NoStamp)
	}
	s.add(manual.Whole, "verify bundle FILE.asice --policy trust.policy", "verify bundle FILE.asice --policy trust.policy --explain")
	s.WriteString("\n" + manual.Not.in(l) + "\n")
	for _, x := range c.limits(l) {
		s.WriteString("\n- " + x)
	}
	s.WriteString("\n")
	return s.String()
}

// digest is the command that prints a file's SHA-256 in base64, and what it prints.
func digest(file string, sum ledger.Hash) []string {
	return []string{"openssl dgst -sha256 -binary " + file + " | base64", "= " + sum.String()}
}

// entryByHand checks the entry that the bundle is about first: that the manifest lists
// its bytes, and its place in the tree.
func (c *Case) entryByHand(s *steps, all []*held) {
	if len(all) == 0 {
		s.add(manual.NoEntry)
		return
	}
	i := slices.IndexFunc(all, func(e *held) bool {
		return c.Range != nil && c.Range.has(e.Index) || len(c.Consents) > 0 && e.Index == ledger.Index(c.Consents[0].ID)
	})
	e := all[max(i, 0)]
	file, sum := bundle.EntryPath(e.Index), ledger.Hash(sha256.Sum256(e.of.Text))
	s.add(manual.Manifest, append(digest(file, sum), `grep -c 'URI="`+file+`".*>`+sum.String()+`<' `+string(bundle.KindManifest), "= 1")...)
	s.add(manual.Entry, leafByHand(e.Index), "= "+hash(e.leaf)+"  -")
}

// valueByHand opens a commitment.
func valueByHand(s *steps, all []*held) {
	i := slices.IndexFunc(all, func(e *held) bool { return len(e.of.Disclosed) > 0 })
	if i < 0 {
		s.add(manual.NoValue)
		return
	}
	e, x := all[i], all[i].of.Disclosed[0]
	file := bundle.DisclosurePath(e.Index, x.Claim)
	s.add(manual.Value, append(digest(file, x.Digest()),
		"grep '^commit "+x.Claim+" ' "+bundle.EntryPath(e.Index), "= commit "+x.Claim+" "+x.Digest().String(),
		"{ tr _- /+ < "+file+"; printf %s '"+strings.Repeat("=", (4-len(x.Text())%4)%4)+"'; } | base64 -d")...)
}

// wordsByHand compares the words that were shown with what the entry says.
func (c *Case) wordsByHand(s *steps, all []*held) {
	for _, n := range c.Notices {
		i := slices.IndexFunc(all, func(e *held) bool { return e.Entry.Notice == n.NoticeRef && e.Kind != ledger.NoticePublished })
		if i < 0 {
			continue
		}
		s.add(manual.Words, append(digest(bundle.NoticePath(n.SHA256), n.SHA256),
			"grep '^notice ' "+bundle.EntryPath(all[i].Index), "= notice "+n.Name()+" "+n.SHA256.String())...)
		return
	}
	s.add(manual.NoWords)
}

// manual are the words of the instructions.
var manual = struct{ Title, Intro, Unpack, Manifest, Entry, NoEntry, Value, NoValue, Words, NoWords, Stamp, NoStamp, Whole, Not text }{
	Title: text{"SO WIRD DIESES PAKET GEPRÜFT", "HOW TO CHECK THIS BUNDLE"},
	Intro: text{"Eine Zeile, die mit „=“ beginnt, ist das Ergebnis, das der Befehl davor ausgeben muss. Jeder Befehl prüft ein\nBeispiel seiner Art; das Prüfprogramm (am Ende) prüft alle.",
		"A line that begins with “=” is what the command before it must print. Each command checks one example of its kind;\nthe verifier (at the end) checks all of them."},
	Unpack: text{"Das Paket ist eine Zip-Datei. FILE.asice ist ihr Name.", "The bundle is a zip file. FILE.asice is its name."},
	Manifest: text{"Jede Datei steht mit ihrer Prüfsumme in einem Verzeichnis, das die Schlüssel des Protokolls unterschrieben haben\n   (META-INF/manifest.sig). So auch dieser Eintrag.",
		"Every file stands with its digest in a manifest that the log's keys have signed (META-INF/manifest.sig). So does\n   this entry."},
	Entry: text{"Der Eintrag hat diesen Blattwert. Von ihm führt evidence/proofs/ zur Wurzel des Baums; die Zeile „prev“ des\n   nächsten Eintrags enthält denselben Wert in Base64.",
		"The entry has this leaf hash. From it, evidence/proofs/ leads to the root of the tree; the line “prev” of the next\n   entry holds the same value in base64."},
	NoEntry: text{"Dieses Paket enthält keine Einträge.", "This bundle has no entries."},
	Value: text{"Eine offengelegte Angabe ist die, auf die sich der Eintrag festlegte. Der letzte Befehl zeigt sie: Zufallswert,\n   Name, Wert.",
		"A disclosed value is the one to which the entry committed. The last command shows it: random salt, name, value."},
	NoValue: text{"Dieses Paket legt keine persönlichen Angaben offen.", "This bundle discloses no personal values."},
	Words:   text{"Der gezeigte Text ist der, den der Eintrag nennt.", "The text that was shown is the one that the entry names."},
	NoWords: text{"Kein Eintrag dieses Pakets nennt einen Text, der gezeigt wurde.", "No entry of this bundle names a text that was shown."},
	Stamp: text{"Ein Zeitstempeldienst hat diesen Stand des Protokolls gestempelt. Das Zertifikat muss aus anderer Quelle\n   bestätigt werden, etwa aus der Vertrauensliste; das im Paket dient nur der Bequemlichkeit.",
		"A time-stamp authority has stamped this state of the log. The certificate must be confirmed from elsewhere, such as\n   the trusted list; the one in the bundle is for convenience only."},
	NoStamp: text{"Dieses Paket enthält keinen Zeitstempel eines Dritten, der sich hiermit prüfen ließe.", "This bundle has no time stamp of a third party that could be checked with this."},
	Whole: text{"Alles auf einmal, mit dem Prüfprogramm, ohne Netz. Die Datei trust.policy nennt die Schlüssel des Protokolls und\n   muss aus anderer Quelle kommen als dieses Paket. --explain sagt, was von Hand zu prüfen ist.",
		"Everything at once, with the verifier, offline. The file trust.policy names the keys of the log and must come from\n   elsewhere than this bundle. --explain says what to check by hand."},
	Not: text{"WAS DAMIT NICHT BEWIESEN IST", "WHAT THIS DOES NOT PROVE"},
}
