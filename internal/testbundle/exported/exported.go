// Package exported gives tests proof bundles as a real ledger exports them, and what its
// operator holds besides: its keys, and a copy of its log.
//
// Start with [New] for a ledger, [Tell] for its story, and [Ledger.Export]. Package
// testbundle takes such a bundle apart and forges it.
package exported

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/evidence"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
)

// Origin is the name of every log of this package.
const Origin = "ledger.example.com/shop"

// The keys by which entries are recorded.
var (
	Shop  = service.Source{Name: "shop", Role: "app"}
	Admin = service.Source{Name: "admin", Role: "admin"}
	Legal = service.Source{Name: "counsel", Role: "legal"}
)

// Ledger is a ledger in a directory of its own, with purposes, a notice, a processor and
// an authority for time stamps. Its log is verified when the test ends.
type Ledger struct {
	testing.TB
	Service   *service.Service
	Authority *testauthority.Authority
	// Signer has the keys with which the ledger began.
	Signer *ledger.Signer
	// Policy trusts them.
	Policy []byte

	dir string
}

// Wording is the notice, and Words is its text.
const (
	Wording = "newsletter-de@1"
	Words   = "Ja, ich möchte den Newsletter der Shop GmbH. Abmelden geht jederzeit.\n"
)

// New makes a ledger. Tests are skipped where openssl is missing.
func New(t testing.TB) *Ledger {
	t.Helper()
	l := &Ledger{TB: t, Authority: testauthority.New(t, testauthority.Options{}), dir: filepath.Join(t.TempDir(), "data")}
	l.must(service.Create(l.dir, Origin, "shop.example", nil))
	l.Signer, l.Policy = signer(t, l.dir), l.read(filepath.Join(l.dir, "trust.policy"))
	l.open()
	var err error
	for _, p := range []service.PurposeDefinition{{ID: "newsletter", Title: "Newsletter", Marketing: true, DoubleOptIn: true, ValidityDays: 400}, {ID: "tips", Title: "Tipps", DoubleOptIn: true}} {
		_, _, err := l.Service.DefinePurpose(l.Context(), Admin, p)
		l.must(err)
	}
	_, _, err = l.Service.PublishNotice(l.Context(), Admin, service.NoticePublication{ID: "newsletter-de", Language: "de", Text: Words, Purposes: []string{"newsletter", "tips"},
		Facts: service.NoticeFacts{Controller: "Shop GmbH, Hauptstr. 1, 10115 Berlin", Contact: "datenschutz@shop.example", Rights: "abmelden unter https://shop.example/ab"}})
	l.must(err)
	_, _, err = l.Service.EngageProcessor(l.Context(), Admin, service.ProcessorEngagement{ID: "mailhouse", Title: "Mail House GmbH", Country: "FR", Purposes: []string{"newsletter"},
		Agreement: &service.Attachment{MediaType: "text/plain", Bytes: []byte("auf Weisung")}, Claims: map[string]string{"address": "Rue 1, Paris"}})
	l.must(err)
	return l
}

func (l *Ledger) open() {
	l.Helper()
	s, err := service.Open(service.Options{Dir: l.dir})
	l.must(err)
	l.Service = s
	l.Cleanup(func() {
		if l.Service == s {
			testledger.Verify(l, s.Log())
			l.must(s.Close())
		}
	})
}

// Fork gives another ledger with the same keys and the same history so far, as a copy of
// the directory is.
func (l *Ledger) Fork() *Ledger {
	l.Helper()
	l.must(l.Service.Close())
	l.Service = nil
	fork := *l
	// Both go on in copies: where the directory was, a program that was just started may
	// still hold the lock.
	for _, x := range []*Ledger{l, &fork} {
		before := x.dir
		x.dir = filepath.Join(l.TempDir(), "data")
		l.must(os.CopyFS(x.dir, os.DirFS(before)))
		for _, secret := range []string{"signing.keys", "root.key"} {
			l.must(os.Chmod(filepath.Join(x.dir, secret), 0o600))
		}
		x.open()
	}
	return &fork
}

// Context is that of the ledger. Not the test's: that is canceled before its cleanups run.
func (l *Ledger) Context() context.Context { return context.Background() }

func (l *Ledger) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *Ledger) read(path string) []byte {
	l.Helper()
	b, err := os.ReadFile(path)
	l.must(err)
	return b
}

// signer reads the log's keys as nobody but its operator can.
func signer(t testing.TB, dir string) *ledger.Signer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "signing.keys"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	var seeds [2]ledger.Hash
	for i := range seeds {
		if seeds[i], err = ledger.ParseHash(lines[2+i]); err != nil {
			t.Fatal("a seed is none")
		}
	}
	s, err := ledger.NewSigner(lines[1], seeds[0], seeds[1])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Person is somebody of whom a test tells.
type Person struct {
	Email, Name, IP, Agent string
}

// The people of the story.
var (
	Erika = Person{"erika.mustermann@example.com", "Erika Mustermann", "203.0.113.77", "Mozilla/5.0 (Erika)"}
	Otto  = Person{"otto.normalverbraucher@example.com", "Otto Normalverbraucher", "198.51.100.23", "Mozilla/5.0 (Otto)"}
)

// Subject is how the service knows them.
func (p Person) Subject() service.Subject { return service.Subject{Email: p.Email} }

// Form is what they filled in.
func (p Person) Form() []byte { return []byte("<form>" + p.Name + "</form>\n") }

// Mail is what they were sent.
func (p Person) Mail() []byte {
	return []byte("From: news@shop.example\r\nTo: " + p.Email + "\r\nSubject: Bitte bestätigen\r\n\r\nLiebe(r) " + p.Name + ", ein Klick genügt.\r\n")
}

// Values are all that the ledger is told of them and keeps.
func (p Person) Values() []string {
	return []string{p.Email, p.Name, p.IP, p.Agent, string(p.Form()), string(p.Mail())}
}

// Request asks for consent to a purpose, and sends the mail.
func (l *Ledger) Request(p Person, purpose string) *service.Requested {
	l.Helper()
	r, err := l.Service.RequestConsent(l.Context(), Shop, service.ConsentRequest{Subject: p.Subject(), Purposes: []string{purpose}, Channel: "email", Notice: Wording, Method: "web_form",
		Claims:      map[string]string{"name": p.Name, "ip": p.IP, "user_agent": p.Agent},
		Attachments: []service.Attachment{{Claim: "form_snapshot", FileName: "form.html", MediaType: "text/html", Bytes: p.Form()}}})
	l.must(err)
	_, _, err = l.Service.RecordConfirmationSent(l.Context(), Shop, service.SentMail{ConsentIDs: []ledger.ConsentID{r.Consents[0].ID}, SHA256: ledger.TextHash(p.Mail()), Message: p.Mail()})
	l.must(err)
	return r
}

// Confirm is the click. It gives the consent.
func (l *Ledger) Confirm(p Person, r *service.Requested) ledger.ConsentID {
	l.Helper()
	_, err := l.Service.ConfirmConsent(l.Context(), Shop, service.Click{Token: r.Token, Click: "button", Claims: map[string]string{"ip": p.IP}})
	l.must(err)
	return r.Consents[0].ID
}

// Use records a mailing to consents.
func (l *Ledger) Use(ids ...ledger.ConsentID) {
	l.Helper()
	_, _, err := l.Service.RecordUses(l.Context(), Shop, service.Uses{ConsentIDs: ids, Reference: "Rundbrief 48", Processor: "mailhouse"})
	l.must(err)
}

// Withdraw withdraws a consent.
func (l *Ledger) Withdraw(id ledger.ConsentID) {
	l.Helper()
	_, err := l.Service.WithdrawConsent(l.Context(), Shop, service.Withdrawal{ConsentIDs: []ledger.ConsentID{id}, Method: "link"})
	l.must(err)
}

// Anchor has the log as it stands stamped.
func (l *Ledger) Anchor() {
	l.Helper()
	signed, size := l.Service.Log().Checkpoint()
	token := l.token(ledger.TextHash(signed))
	_, err := l.Service.RecordAnchor(l.Context(), tlog.Anchor{Size: size, Checkpoint: signed, Token: token.Bytes(), Stamped: token.Time()})
	l.must(err)
}

func (l *Ledger) token(imprint ledger.Hash) *timestamp.Token {
	l.Helper()
	query, err := timestamp.NewRequest(imprint, nil).Marshal()
	l.must(err)
	token, err := timestamp.ParseResponse(l.Authority.Answer(query))
	l.must(err)
	return token
}

// Export makes a bundle, as `ledgerd bundle` does, with a time stamp over the manifest.
func (l *Ledger) Export(r service.BundleRequest) []byte {
	l.Helper()
	if r.Reason == "" {
		r.Reason, r.Recipient = "Klage wegen unerlaubter Werbung (§ 7 UWG)", "Landgericht Köln, Az. 31 O 12/27"
	}
	b, err := l.Service.ExportBundle(l.Context(), Legal, r)
	l.must(err)
	return l.Write(b)
}

// Write writes what was exported.
func (l *Ledger) Write(b *service.Bundle) []byte {
	l.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	l.must(err)
	var file bytes.Buffer
	l.must(evidence.WriteBundle(&file, b, evidence.BundleOptions{Zone: zone, Tool: "ledgerd test",
		Stamp: func(manifest ledger.Hash) ([]byte, error) { return l.token(manifest).Bytes(), nil }}))
	return file.Bytes()
}

// Copy gives a directory with a copy of the log as it stands, as `ledgerd export` makes it.
func (l *Ledger) Copy() string {
	l.Helper()
	dir := filepath.Join(l.TempDir(), "log")
	snap := l.Service.Log().Snapshot()
	defer snap.Release()
	l.must(snap.Export(dir))
	return dir
}

// Story is what happened to Erika and Otto: she consented to the newsletter, was written
// to and withdrew; then she consented to tips. He consented to the newsletter, and got
// the same mailing.
type Story struct {
	*Ledger
	Newsletter, Tips, Ottos ledger.ConsentID // hers, hers, his
	Withdrawn               ledger.Index     // the entry
	// Early is a bundle of her newsletter before she withdrew.
	Early []byte
}

// Disclosed are the claims that bundles of the story disclose.
var Disclosed = []string{"email", "form_snapshot", "message"}

// Tell makes a ledger with the story.
func Tell(t testing.TB) *Story {
	t.Helper()
	s := Begin(t)
	s.End()
	return s
}

// Begin tells the story until she withdraws.
func Begin(t testing.TB) *Story {
	t.Helper()
	s := &Story{Ledger: New(t)}
	r := s.Request(Erika, "newsletter")
	s.Ottos = s.Confirm(Otto, s.Request(Otto, "newsletter"))
	s.Newsletter = s.Confirm(Erika, r)
	s.Anchor()
	s.Use(s.Newsletter, s.Ottos)
	s.Early = s.Export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{s.Newsletter}, Disclose: Disclosed})
	return s
}

// End tells the rest.
func (s *Story) End() {
	s.Helper()
	s.Withdraw(s.Newsletter)
	snap := s.Service.Log().Snapshot()
	s.Withdrawn = ledger.Index(snap.Size()) - 1
	snap.Release()
	_, err := s.Service.RecordWithdrawalEffected(s.Context(), Shop, service.Effected{ConsentIDs: []ledger.ConsentID{s.Newsletter}, System: "mailhouse"})
	s.must(err)
	s.Anchor()
	s.Tips = s.Confirm(Erika, s.Request(Erika, "tips"))
	s.Anchor()
}

// Case exports the bundle of all her records.
func (s *Story) Case() []byte {
	s.Helper()
	return s.Export(service.BundleRequest{Subject: Erika.Subject(), Disclose: Disclosed})
}

// Lawsuit exports the bundle of her newsletter alone, from which she withdrew.
func (s *Story) Lawsuit() []byte {
	s.Helper()
	return s.Export(service.BundleRequest{ConsentIDs: []ledger.ConsentID{s.Newsletter}, Disclose: Disclosed})
}
