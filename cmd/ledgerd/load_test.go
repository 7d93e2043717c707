package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
	appv1 "github.com/consentledger/consentledger/proto/consent/app/v1"
	"github.com/consentledger/consentledger/proto/consent/app/v1/appv1connect"
)

// newLedger makes a ledger with a purpose, a notice and a key of role app.
func newLedger(t *testing.T) (dir, key string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	if _, err := createLedger(dir, testledger.Origin, ""); err != nil {
		t.Fatal(err)
	}
	key, err := authn.Add(apiKeys(dir), "shop", authn.App, authn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opened(t, dir, func(s *service.Service) {
		admin := service.Source{Name: "admin", Role: "admin"}
		_, _, err1 := s.DefinePurpose(t.Context(), admin, service.PurposeDefinition{ID: "newsletter", Title: "Newsletter", Marketing: true, DoubleOptIn: true})
		_, _, err2 := s.PublishNotice(t.Context(), admin, service.NoticePublication{ID: "newsletter-de", Language: "de",
			Text: testledger.NoticeText, Purposes: []string{"newsletter"}})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
	})
	return dir, key
}

// opened opens a ledger that no process has open, for use.
func opened(t *testing.T, dir string, use func(*service.Service)) {
	t.Helper()
	s, err := service.Open(service.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	use(s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// shop calls a server that may die at any moment and come back at another
// address.
type shop struct {
	url  atomic.Pointer[string] // where the server is, or was last
	http *http.Client
}

func newShop(key string) *shop {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	return &shop{http: &http.Client{Timeout: 20 * time.Second, Transport: withKey{key, transport}}}
}

func (s *shop) client() appv1connect.ConsentServiceClient {
	return appv1connect.NewConsentServiceClient(s.http, *s.url.Load())
}

// withKey sends an API key with every request.
type withKey struct {
	key  string
	next http.RoundTripper
}

func (w withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.key)
	return w.next.RoundTrip(r)
}

// unanswered reports whether an error leaves open what became of the request:
// the server died or was shutting down. Codes that come from the server are told
// from those that the client makes of a broken connection.
func unanswered(err error) bool {
	return !connect.IsWireError(err) || connect.CodeOf(err) == connect.CodeUnavailable
}

func subject(email string) *appv1.Subject { return &appv1.Subject{Email: email} }

func request(email, key string) *appv1.RequestConsentRequest {
	return &appv1.RequestConsentRequest{Subject: subject(email), Purposes: []string{"newsletter"}, Channel: "email",
		Notice: "newsletter-de@1", Method: "web_form", Claims: map[string]string{"ip": "203.0.113.42"}, IdempotencyKey: key}
}

// acknowledged is what a caller was told about one consent.
type acknowledged struct {
	consent int64
	kind    ledger.Kind // of the entry
	state   string
	index   int64
	leaf    ledger.Hash
}

func acknowledge(kind ledger.Kind, consents []*appv1.Consent) (acknowledged, error) {
	if len(consents) != 1 || len(consents[0].GetEntry().GetLeafHash()) != len(ledger.Hash{}) {
		return acknowledged{}, fmt.Errorf("%s: answered with %d consents, want one with its entry", kind, len(consents))
	}
	c := consents[0]
	return acknowledged{c.ConsentId, kind, c.State, c.Entry.Index, ledger.Hash(c.Entry.LeafHash)}, nil
}

// compare checks what callers were told against the log.
func compare(t *testing.T, s *service.Service, told []acknowledged) {
	t.Helper()
	snap := s.Log().Snapshot()
	defer snap.Release()
	for _, a := range told {
		text, err := snap.Entry(ledger.Index(a.index))
		if err != nil {
			t.Fatalf("acknowledged as %s in entry %d, lost: %v", a.kind, a.index, err)
		}
		e, err := ledger.ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		concerns := ledger.ConsentID(e.Index)
		if len(e.Consents) == 1 {
			concerns = e.Consents[0].Consent
		}
		if ledger.LeafHash(text) != a.leaf || e.Kind != a.kind || concerns != ledger.ConsentID(a.consent) {
			t.Errorf("acknowledged as %s of consent %d with leaf hash %v, entry %d is now:\n%s", a.kind, a.consent, a.leaf, a.index, text)
		}
	}
}

// sound runs the check and verifies an export.
func sound(t *testing.T, s *service.Service) *service.CheckReport {
	t.Helper()
	report, err := s.Check(nil)
	if err != nil {
		t.Fatal(err)
	}
	testledger.Verify(t, s.Log())
	return report
}
