package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// story is a log that a test writes, and the case that is made of it.
type story struct {
	testing.TB
	c    Case
	prev ledger.Hash
	next ledger.Index
	now  time.Time
}

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func newStory(t testing.TB) *story {
	s := &story{TB: t, now: time.Date(2026, 11, 21, 22, 36, 11, 123456000, time.UTC), next: 1040}
	s.c = Case{Origin: "ledger.example.com/shop", Controller: "shop.example.com", Company: "Müller & Söhne GmbH, Königstraße 1, 80331 München", Zone: berlin(t),
		Purposes: map[string]string{"newsletter": "Newsletter mit Angeboten"}, Processors: map[string]string{"mailer": "Versandhaus Größe AG"}, Trust: []string{"STAMPED_QUALIFIED", "WITNESSED 2"},
		Custody: Custody{Made: s.now.AddDate(0, 6, 0), Exporter: "legal-desk", Recipient: "Landgericht Köln, Az. 31 O 12/27", Reason: "Klage wegen unerlaubter Werbung (§ 7 UWG)", Tool: "ledgerd 0.7"}}
	return s
}

// add appends an entry; the values of its claims are those given, name by name, and
// disclosed is how many of them are.
func (s *story) add(e ledger.Entry, disclosed int, claims ...string) ledger.Index {
	s.Helper()
	e.Index, e.Prev, e.Time = s.next, s.prev, s.now
	if e.Source == "" {
		e.Source = "shop-frontend"
	}
	var of Entry
	for i := 0; i < len(claims); i += 2 {
		d := ledger.Disclosure{Salt: sha256.Sum256([]byte(claims[i] + number(s.next))), Claim: claims[i], Value: claims[i+1]}
		e.Commits = append(e.Commits, ledger.Commitment{Claim: claims[i], Digest: d.Digest()})
		if i/2 < disclosed {
			of.Disclosed = append(of.Disclosed, d)
		}
	}
	b, err := e.Encode()
	if err != nil {
		s.Fatal(err)
	}
	of.Text = b
	s.c.Entries = append(s.c.Entries, of)
	s.prev, s.next = ledger.LeafHash(b), s.next+1
	s.c.Size = ledger.Size(s.next)
	s.c.Root = sha256.Sum256(b) // the report prints it and does not look at it
	s.now = s.now.Add(2*time.Minute + 7*time.Second)
	return e.Index
}

func (s *story) file(name, mediaType, content string) (value string) {
	sum := sha256.Sum256([]byte(content))
	s.c.Files = append(s.c.Files, File{sum, int64(len(content)), []byte(content[:min(len(content), FileHead)])})
	return `{"name":"` + name + `","media_type":"` + mediaType + `","sha256":"` + hex.EncodeToString(sum[:]) + `"}`
}

const wording = `
Ja, ich möchte den Newsletter der Müller & Söhne GmbH („Größe zählt“) mit Angeboten zu Möbeln für höchstens 12 € Porto per E-Mail erhalten.

Ich kann meine Einwilligung jederzeit widerrufen, zum Beispiel über den Link am Ende jeder E-Mail oder formlos an datenschutz@shop.example.com.
Rechtsbehelfsbelehrungsdonaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftsverordnungsanlage gilt.`

func (s *story) notice(id, text string) ledger.NoticeRef {
	n := ledger.NoticeRef{ID: id, Version: 3, SHA256: ledger.TextHash([]byte(text))}
	s.c.Notices = append(s.c.Notices, Notice{NoticeRef: n, Language: "de", Text: []byte(text),
		Facts: []byte(`{"controller":"Müller & Söhne GmbH, Königstraße 1, 80331 München","recipients":["Versandhaus Größe AG"],"retention":"bis zum Widerruf, danach drei Jahre zum Nachweis"}`)})
	return n
}

// newsletter writes a double opt-in that is used, withdrawn, and the withdrawal
// effected; the question is asked while it stood.
func (s *story) newsletter() ledger.ConsentID {
	n := s.notice("newsletter-de", wording)
	form := s.file("formular.html", "text/html", "<form><label><input type=checkbox> Ja, ich möchte den Newsletter …</label></form>\n")
	mail := s.file("doi.eml", "message/rfc822", "From: shop@example.com\r\nTo: erika@example.com\r\nSubject: Bitte bestätigen\r\n\r\nBitte klicken Sie hier, um den Newsletter zu bestätigen.\r\n")
	request := s.next
	id := ledger.ConsentID(request)
	lock := ledger.Lock("7nq0vYQ0m3v2s8bqVtQ1nq6k0Yy1mXr8nqv7m2c9xLs")
	s.add(ledger.Entry{Kind: ledger.ConsentRequested, Purpose: "newsletter", Channel: "email", Notice: n, Method: "web_form", Lock: lock,
		Expires: s.now.AddDate(0, 0, 7).Truncate(time.Second), IPPolicy: "full", Occurred: s.now.Truncate(time.Second)}, 3,
		"email", "erika.mustermann@example.com", "form_snapshot", form, "ip", "2001:db8::1", "user_agent", "Mozilla/5.0")
	s.add(ledger.Entry{Kind: ledger.ConfirmationSent, Mail: "kept", About: []ledger.ConsentID{id}}, 1, "message", mail, "mta_response", "250 OK")
	s.add(ledger.Entry{Kind: ledger.ConfirmationOpened, About: []ledger.ConsentID{id}}, 0)
	confirm := s.add(ledger.Entry{Kind: ledger.ConsentConfirmed, Consents: []ledger.Link{{Consent: id, After: request}}, Click: "button",
		Token: "7nq0vYQ0m3v2s8bqVtQ1nq6k0Yy1mXr8nqv7m2c9xLs"}, 1, "ip", "2001:db8::1")
	stamp := func(at time.Time) *ledger.Anchored {
		return &ledger.Anchored{Time: at, Authority: "Qualifizierter Dienst A", Qualified: true}
	}
	s.c.Entries[len(s.c.Entries)-1].Interval = ledger.Interval{NotInLogAt: stamp(s.now.Add(-time.Hour)), InLogAt: stamp(s.now.Add(time.Hour))}
	s.now = s.now.AddDate(0, 1, 3)
	s.add(ledger.Entry{Kind: ledger.ConsentUsed, About: []ledger.ConsentID{id}, Processor: "mailer"}, 1, "reference", "Kampagne Dezember")
	s.c.Questions = append(s.c.Questions, Question{Purpose: "newsletter", Channel: "email", At: s.now.AddDate(0, 0, 1).Truncate(time.Second), Reason: "confirmed", Consent: id})
	s.now = s.now.AddDate(0, 2, 0)
	s.add(ledger.Entry{Kind: ledger.ConsentWithdrawn, Consents: []ledger.Link{{Consent: id, After: confirm}}, Method: "one_click"}, 0)
	s.add(ledger.Entry{Kind: ledger.WithdrawalEffected, About: []ledger.ConsentID{id}, System: "mailer"}, 0)
	s.now = s.now.AddDate(0, 0, 9)
	s.add(ledger.Entry{Kind: ledger.ConsentUsed, About: []ledger.ConsentID{id}, Processor: "mailer"}, 0)
	s.c.Entries[len(s.c.Entries)-1].Irregular = []string{"consent.used.withdrawn"}
	s.c.Consents = append(s.c.Consents, Consent{ID: id, Proven: s.next})
	s.add(ledger.Entry{Kind: ledger.StateCommitted, Source: "ledger", StateRoot: sha256.Sum256([]byte("state"))}, 0)
	s.c.Custody.Export = s.add(ledger.Entry{Kind: ledger.EvidenceDisclosed, Source: "legal-desk", Occasion: "bundle", Shown: []string{"email", "message"}, About: []ledger.ConsentID{id}}, 1,
		"recipient", "Landgericht Köln, Az. 31 O 12/27")
	return id
}

// made writes a report.
func made(t testing.TB, write func(w *bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (s *story) html(l Language) string {
	return string(made(s, func(w *bytes.Buffer) error { return HTML(w, &s.c, l) }))
}

func (s *story) pdf(l Language) []byte {
	return made(s, func(w *bytes.Buffer) error { return PDF(w, &s.c, l) })
}
