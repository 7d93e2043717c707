package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/internal/testledger"
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
