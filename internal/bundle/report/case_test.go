package report

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// A case that contradicts itself gives no report: what the entries do not bear is not
// printed.
func TestContradictions(t *testing.T) {
	no := false
	for name, change := range map[string]func(c *Case){
		"an entry is not one":             func(c *Case) { c.Entries[0].Text = append(c.Entries[0].Text, '\n') },
		"an entry twice":                  func(c *Case) { c.Entries[1] = c.Entries[0] },
		"entries in another order":        func(c *Case) { c.Entries[0], c.Entries[1] = c.Entries[1], c.Entries[0] },
		"an entry beyond the checkpoint":  func(c *Case) { c.Size-- },
		"a disclosure of another value":   func(c *Case) { c.Entries[0].Disclosed[0].Value = "otto@example.com" },
		"a disclosure of another entry":   func(c *Case) { c.Entries[3].Disclosed = c.Entries[0].Disclosed[:1] },
		"a notice with another text":      func(c *Case) { c.Notices[0].Text = append(c.Notices[0].Text, ' ') },
		"a notice that no entry names":    func(c *Case) { c.Notices[0].Version++ },
		"a record without its opening":    func(c *Case) { c.Entries = c.Entries[1:] },
		"a record that is another entry":  func(c *Case) { c.Consents[0].ID++; c.Questions = nil },
		"an answer without a reason":      func(c *Case) { c.Questions[0].Reason = "" },
		"an answer of no vocabulary":      func(c *Case) { c.Questions[0].Reason = "because" },
		"an answer by no record":          func(c *Case) { c.Questions[0].Consent = 0 },
		"an answer by a record not there": func(c *Case) { c.Questions[0].Consent++ },
		"yes before the confirmation":     func(c *Case) { c.Questions[0].At = time.Date(2026, 11, 21, 22, 40, 0, 0, time.UTC) },
		"yes after the withdrawal":        func(c *Case) { c.Questions[0].At = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC) },
		"a question without a moment":     func(c *Case) { c.Questions[0].At = time.Time{} },
	} {
		s := newStory(t)
		s.newsletter()
		s.c.Questions[0].Hindsight = &no
		if err := HTML(io.Discard, &s.c, German); err != nil {
			t.Fatal(err)
		}
		change(&s.c)
		for _, write := range []func(io.Writer, *Case, Language) error{HTML, PDF} {
			var b bytes.Buffer
			if err := write(&b, &s.c, German); !errors.Is(err, ErrCase) || b.Len() > 0 {
				t.Errorf("%s: %v, %d bytes", name, err, b.Len())
			}
		}
	}
	s := newStory(t)
	s.newsletter()
	s.add(ledger.Entry{Kind: ledger.ConsentGiven, Purpose: "newsletter", Channel: "post", Notice: ledger.NoticeRef{ID: "n", Version: 1}, Method: "paper", IPPolicy: "none"}, 0,
		"email", "erika@example.com")
	id := ledger.ConsentID(s.next - 1)
	s.c.Consents = append(s.c.Consents, Consent{ID: id})
	s.c.Questions = []Question{{Purpose: "newsletter", Channel: "post", At: s.now, Reason: "given", Consent: id}}
	s.html(English)
	s.add(ledger.Entry{Kind: ledger.RestrictionSet, Consents: []ledger.Link{{Consent: id, After: ledger.Index(id)}}, Ground: "art18_1_a"}, 0)
	if err := HTML(io.Discard, &s.c, English); !errors.Is(err, ErrCase) {
		t.Errorf("yes while restricted: %v", err)
	}
	if err := HTML(io.Discard, &Case{}, "fr"); !errors.Is(err, ErrCase) {
		t.Error(err)
	}
}

// says demands that the page of a case says something, as text.
func (s *story) says(l Language, want ...string) {
	s.Helper()
	var all strings.Builder
	for _, n := range nodes(s, s.html(l)) {
		if n.Data == "body" {
			all.WriteString(inside(n))
		}
	}
	for _, w := range want {
		if !strings.Contains(all.String(), w) {
			s.Errorf("%s: the report does not say %q", l, w)
		}
	}
}

func (s *story) saysNot(l Language, not ...string) {
	s.Helper()
	for _, w := range not {
		if page := s.html(l); strings.Contains(page, escape(w)) {
			s.Errorf("%s: the report says %q", l, w)
		}
	}
}

func TestStory(t *testing.T) {
	s := newStory(t)
	s.newsletter()
	s.says(English,
		"Was there consent of the person to “Newsletter mit Angeboten” by e-mail on 25 Dec 2026, 23:46:46 UTC+01:00 [2026-12-25T22:46:46Z]?",
		"Yes – by what had been recorded in this log by that moment.",
		"e-mail address erika.mustermann@example.com",
		"The consent was confirmed with the secret from the link: the button on the page behind the link was pressed. (entry 1043)",
		"A: Confirmed by a button, nothing tells of a machine;",
		"after 21 Nov 2026, 22:44:39 UTC+01:00 [2026-11-21T21:44:39.123456Z] (Qualifizierter Dienst A, listed as qualified)",
		"The person withdrew, by unsubscribing with one click. (entry 1045) That the log up to entry 1048 has no later change of this record is proven by the state tree.",
		"entry 1047: happened though the state was “withdrawn” (consent.used.withdrawn)",
		"Uses recorded after the record had ended: 1.",
		"browser (user agent): not disclosed", "answer of the mail server: not disclosed",
		"Bitte klicken Sie hier, um den Newsletter zu bestätigen.",
		"The data were used for this purpose and passed to Versandhaus Größe AG (mailer).",
		"STAMPED_QUALIFIED: ", "WITNESSED 2: Independent witnesses", "✗ signs that a machine clicked", "✓ a click on a visible button")
	if n := strings.Count(s.html(English), "(entry 1045)"); n != 1 {
		t.Errorf("the first page tells of the withdrawal %d times, want once, as what came afterwards", n)
	}
	s.says(German, "Ja – nach dem, was in diesem Protokoll", "Die Person widerrief, durch Abmelden mit einem Klick.", "23:46:46 UTC+01:00 [2026-12-25T22:46:46Z]")
	s.saysNot(English, "Mozilla", "250 OK")
	no := false
	s.c.Questions[0].Hindsight = &no
	s.says(English, "But: by what was recorded later and bears on that moment, the answer is no.")
	s.c.Entries[0].Disclosed, s.c.Zone = nil, nil
	s.says(English, "not disclosed; the entries commit to the identifiers", "on 25 Dec 2026, 22:46:46 UTC+00:00 [2026-12-25T22:46:46Z]")
	s.saysNot(English, "erika.mustermann")
	s.c.Consents[0].Proven = 0
	s.says(English, "That the log has no later change of this record is not proven here.")
}

// The other answers.
func TestAnswers(t *testing.T) {
	s := newStory(t)
	id := s.newsletter()
	for reason, want := range map[string]string{
		"withdrawn": "No – by what", "existing_customer": "No consent – another basis is stated", "restricted": "No – it could not be used", "unknown_subject": "This cannot be told",
	} {
		s.c.Questions = []Question{{Purpose: "newsletter", Channel: "email", At: s.now, Reason: reason, Consent: id}}
		s.says(English, want)
	}
	s.says(English, "No change is recorded. That the log")
	s.saysNot(English, "No end is recorded")
	s.c.Questions[0].Reason, s.c.Questions[0].Consent = "no_consent", 0
	s.says(English, "No – by what", "No consent of the person had been recorded")
	s.c.Questions = nil
	s.says(English, "No question was asked.")
	s.c.Questions = []Question{{Purpose: "newsletter", Channel: "email", At: s.now, Reason: "unknown_subject"}}
	s.saysNot(English, "was left out of account")
	s.add(ledger.Entry{Kind: ledger.SubjectLocked, Source: "ledger", Consents: []ledger.Link{{Consent: id, After: 1045}}, Reason: "art17", Until: s.now.AddDate(3, 0, 0).Truncate(time.Second)}, 0)
	s.says(English, "A record about this (1040) was locked or erased at that moment")
	s.c.Questions[0].Purpose = "other"
	s.saysNot(English, "was left out of account")
}

// After an erasure the report says on its first page that the evidence was destroyed,
// and by which entries; it shows that something was recorded, and no value.
func TestErased(t *testing.T) {
	s := newStory(t)
	id := s.newsletter()
	erased := s.add(ledger.Entry{Kind: ledger.SubjectErased, Consents: []ledger.Link{{Consent: id, After: 1045}}, Reason: "art17"}, 0)
	for i := range s.c.Entries {
		s.c.Entries[i].Disclosed = nil
	}
	s.c.Files = nil
	s.c.Questions = []Question{{Purpose: "newsletter", Channel: "email", At: s.now, Reason: "unknown_subject", Consent: id}}
	s.says(English, "Erased – that the evidence is destroyed has not been recorded yet")
	contents := s.now.Truncate(time.Second)
	s.add(ledger.Entry{Kind: ledger.EvidenceShredded, Source: "ledger", Refers: []ledger.Index{3, erased}, Generation: 4, Medium: "file", Contents: contents, ExistenceDue: contents.Add(72 * time.Hour)}, 0)
	s.add(ledger.Entry{Kind: ledger.EvidenceShredded, Source: "ledger", Refers: []ledger.Index{3, erased}, Generation: 5, Medium: "file", Existence: contents.Add(70 * time.Hour)}, 0)
	s.says(English, "erased; the identifiers are destroyed", "The evidence of this record is erased.", "This cannot be told", "Erased – the evidence is destroyed",
		"The data were erased; the reason: erasure was asked for (Art. 17 GDPR). What was kept as evidence is destroyed with them. (entry 1050)",
		"nobody can read what was erased", "nobody can find that there was anything. (entry 1052)", "withdrawn; erased, evidence destroyed")
	s.says(German, "Gelöscht – die Nachweise sind vernichtet", "dieses Paket legt davon nichts offen", "Z] kann niemand mehr lesen, was gelöscht ist; bis")
	s.saysNot(English, "erika", "2001:db8", "Landgericht Köln, Az. 31 O 12/27; to")
	s.saysNot(German, "noch nicht festgehalten")
	s.says(German, "das Formular, wie es bei der Anfrage gezeigt wurde – war festgehalten, ist gelöscht", "ein Klick auf eine sichtbare Schaltfläche – vorhanden")
	if page := s.html(English); strings.Index(page, "Erased – the evidence") > strings.Index(page, texts.Course.en) {
		t.Error("the first page does not say that the evidence is destroyed")
	}
}

// Entries that name nobody and refer to one about a record are told with the record.
func TestReferring(t *testing.T) {
	s := newStory(t)
	id := s.newsletter()
	told := s.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{1045}, Processor: "mailer"}, 0)
	s.add(ledger.Entry{Kind: ledger.RecipientAcknowledged, Refers: []ledger.Index{told}}, 0)
	s.add(ledger.Entry{Kind: ledger.RecipientNotified, Refers: []ledger.Index{7}}, 0) // of others
	s.add(ledger.Entry{Kind: ledger.EntryCorrected, About: []ledger.ConsentID{7}, Refers: []ledger.Index{1045}}, 0)
	d, err := newDocument(&s.c, English)
	if err != nil {
		t.Fatal(err)
	}
	h := d.histories[0]
	var last []ledger.Index
	for _, x := range h.steps[len(h.steps)-2:] {
		last = append(last, x.Index)
	}
	if h.ID != id || !slices.Equal(last, []ledger.Index{told, told + 1}) || h.last().State != ledger.Withdrawn {
		t.Errorf("record %d ends with %v and is %v", h.ID, last, h.last().State)
	}
}

// An auditor's bundle is told on one page: what there is, by whom, and no person.
func TestExtract(t *testing.T) {
	s := newStory(t)
	s.add(ledger.Entry{Kind: ledger.SourceDeclared, Source: "ledger", Name: "shop-frontend", Role: "app"}, 0)
	s.newsletter()
	s.c.Questions, s.c.Consents, s.c.Files = nil, nil, nil
	for i := range s.c.Entries {
		s.c.Entries[i].Disclosed = nil
	}
	s.c.Range = &Range{1044, 1049}
	s.c.Trust = []string{"UNANCHORED"}
	s.says(English, "Extract of a log", "1044 to 1048 (5)", "6 more entries are enclosed", "1consent.confirmed", "2consent.used", "5shop-frontend (application)",
		"newsletter-de@3 (de): evidence/notices/", "(Qualifizierter Dienst A, listed as qualified)", "UNANCHORED: ", "What cannot be proven")
	s.says(German, "Auszug aus einem Protokoll", "Sie nennen keine Person", "Eintrag 1048: ")
	s.saysNot(English, "evidence/disclosures", "consent-ledger/entry/v1", wording[:20], "Landgericht")
	if pages := plain(t, s.pdf(German)); len(pages) > 4 {
		t.Errorf("the report has %d pages", len(pages))
	}
	for name, r := range map[string]Range{"an entry that is not there": {1042, 1060}, "one before": {1039, 1042}, "none": {1042, 1042}, "none, backwards": {1043, 1042}} {
		s.c.Range = &r
		if err := HTML(io.Discard, &s.c, English); !errors.Is(err, ErrCase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.c.Range = &Range{1044, 1049}
	s.saysNot(English, "suppression list", "merely mention")
	s.c.Entries = slices.Delete(s.c.Entries, 6, 7)
	if err := Instructions(io.Discard, &s.c, nil); !errors.Is(err, ErrCase) {
		t.Errorf("an entry of the range is missing: %v", err)
	}
}

// A bundle without personal data and without records is a report, too.
func TestEmpty(t *testing.T) {
	for _, l := range Languages() {
		s := newStory(t)
		checkPage(t, s.html(l))
		s.pdf(l)
	}
	s := newStory(t)
	s.add(ledger.Entry{Kind: ledger.SourceDeclared, Source: "ledger", Name: "shop", Role: "app"}, 0)
	s.says(English, "The source shop was admitted (role: application).", "The entries name no text that was shown.", "The entries name no recipients.")
}

// What is too long is cut where it is told, and stands whole in the annex; a file is
// cut at its limit, and never inside a letter.
func TestLongValues(t *testing.T) {
	s := newStory(t)
	long := strings.Repeat("lang ", 200) + "ENDE"
	big := strings.Repeat("ü", maxFileShown)
	s.add(ledger.Entry{Kind: ledger.ConsentGiven, Purpose: "newsletter", Channel: "email", Notice: ledger.NoticeRef{ID: "n", Version: 1}, Method: "paper", IPPolicy: "full"}, 3,
		"document", s.file("scan.txt", "text/plain", "x"+big), "email", "a@example.com", "name", long, "recording", s.file("a.wav", "audio/wav", "RIFF\x00"))
	s.c.Consents = []Consent{{ID: 1040}}
	s.says(English, "[cut; whole in the annex]", "name: "+long, "[cut here; whole in the bundle as evidence/files/")
	s.saysNot(English, "\ufffd", "not text")
	s.c.Questions = []Question{{Purpose: "newsletter", Channel: "email", At: s.now, Reason: "given", Consent: 1040}}
	s.c.Custody.Reason, s.c.Custody.Recipient = long, long
	if n := strings.Count(s.html(English), long); n != 1 {
		t.Errorf("a long value is printed whole %d times, want once, in the annex", n)
	}
	s = newStory(t)
	s.add(ledger.Entry{Kind: ledger.ConsentGiven, Purpose: "newsletter", Channel: "email", Notice: ledger.NoticeRef{ID: "n", Version: 1}, Method: "phone", IPPolicy: "full"}, 2,
		"email", "a@example.com", "recording", s.file("a.wav", "audio/wav", "RIFF\x00"))
	s.c.Consents = []Consent{{ID: 1040}}
	s.says(English, "This file is not text and is not shown here.", "5 bytes, SHA-256 ", "Record 1040: grade B", "Given; a document or a recording was kept.")
	s.c.Files = nil // only its hash is known
	s.saysNot(English, "This file is not text")
	s.says(English, "a.wav (audio/wav), in the bundle as evidence/files/")
}

// Of very many entries the annex prints the first; the list says where the others are.
func TestLongAnnex(t *testing.T) {
	s := newStory(t)
	s.add(ledger.Entry{Kind: ledger.ConsentGiven, Purpose: "newsletter", Channel: "post", Notice: ledger.NoticeRef{ID: "n", Version: 1}, Method: "paper", IPPolicy: "none"}, 1,
		"email", "erika@example.com")
	s.c.Consents = []Consent{{ID: 1040}}
	for range maxAnnex {
		s.add(ledger.Entry{Kind: ledger.ConsentUsed, About: []ledger.ConsentID{1040}}, 0)
	}
	s.says(English, "entry 3040 (in the bundle)", "1 more entries are not printed here")
	page := s.html(English)
	checkPage(t, page)
	if strings.Count(page, "<h3 id=") != maxAnnex {
		t.Errorf("%d entries are printed", strings.Count(page, "<h3 id="))
	}
	s.pdf(English)
}
