package evidence

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

var (
	ctx   = context.Background()
	shop  = service.Source{Name: "shop", Role: "app"}
	admin = service.Source{Name: "admin", Role: "admin"}
	legal = service.Source{Name: "counsel", Role: "legal"}
)

// fixture is a ledger with purposes, notices and a processor. It is verified when the
// test ends.
type fixture struct {
	t *testing.T
	s *service.Service

	mu     sync.Mutex
	offset time.Duration
}

const wording = "newsletter-de@1"

// facts are those of the wording.
var facts = service.NoticeFacts{Controller: "Shop GmbH, Hauptstr. 1, 10115 Berlin", Contact: "datenschutz@shop.example",
	Recipients: []string{"Mail House GmbH"}, ThirdCountries: []string{"none"}, Retention: "until you withdraw, then three years",
	Rights: "Withdraw by the link in every mail or at https://shop.example/abmelden", Authority: "BlnBDI", Companies: []string{"Shop GmbH"}}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t}
	dir := filepath.Join(t.TempDir(), "data")
	if err := service.Create(dir, "ledger.example.com/test", "shop.example.com", nil); err != nil {
		t.Fatal(err)
	}
	opt := service.Options{Dir: dir, Memory: service.MinMemory}
	opt.ReplaceClock(f.now)
	s, err := service.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	f.s = s
	t.Cleanup(func() {
		testledger.Verify(t, s.Log())
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, d := range []service.PurposeDefinition{
		{ID: "newsletter", Title: "Newsletter", Marketing: true, DoubleOptIn: true, ValidityDays: 400},
		{ID: "health", Title: "Health tips", Explicit: true, MinimumAge: 16},
		{ID: "invoices", Title: "Invoices", Bases: []string{"contract"}},
	} {
		_, _, err := s.DefinePurpose(ctx, admin, d)
		f.must(err)
	}
	_, _, err = s.PublishNotice(ctx, admin, service.NoticePublication{ID: "newsletter-de", Language: "de", Text: "Ja, ich möchte den Newsletter.\n",
		Purposes: []string{"newsletter", "health", "invoices"}, Facts: facts})
	f.must(err)
	_, _, err = s.PublishNotice(ctx, admin, service.NoticePublication{ID: "privacy-de", Language: "de", Text: "Datenschutz.\n", Use: "privacy", Purposes: []string{"newsletter"}})
	f.must(err)
	_, _, err = s.EngageProcessor(ctx, admin, service.ProcessorEngagement{ID: "mailhouse", Title: "Mail House GmbH", Country: "FR", Purposes: []string{"newsletter"},
		Agreement: &service.Attachment{MediaType: "text/plain", Bytes: []byte("on your instructions")}, Claims: map[string]string{"address": "Rue 1, Paris"}})
	f.must(err)
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Add(f.offset)
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offset += d
}

func email(address string) service.Subject { return service.Subject{Email: address} }

// request asks for consent to the newsletter, with planted values.
func (f *fixture) request(address string) *service.Requested {
	f.t.Helper()
	r, err := f.s.RequestConsent(ctx, shop, service.ConsentRequest{Subject: email(address), Purposes: []string{"newsletter"}, Channel: "email",
		Notice: wording, Method: "web_form", Claims: map[string]string{"name": "Erika Mustermann", "ip": "203.0.113.77", "user_agent": "Mozilla/5.0 (Erika)"},
		Attachments: []service.Attachment{{Claim: "form_snapshot", FileName: "erika.html", MediaType: "text/html", Bytes: []byte("<form>Erika</form>")}}})
	f.must(err)
	return r
}

// confirmed is such a request with a click.
func (f *fixture) confirmed(address string) ledger.ConsentID {
	f.t.Helper()
	r := f.request(address)
	_, err := f.s.ConfirmConsent(ctx, shop, service.Click{Token: r.Token, Click: "button"})
	f.must(err)
	return r.Consents[0].ID
}

// report gives somebody's dossier, after their identity was verified.
func (f *fixture) report(address string) *service.Dossier {
	f.t.Helper()
	_, err := f.s.VerifyIdentity(ctx, legal, service.IdentityCheck{Subject: email(address), Means: "mailbox"})
	f.must(err)
	d, err := f.s.AccessReport(ctx, legal, service.AccessRequest{Subject: email(address)})
	f.must(err)
	return d
}
