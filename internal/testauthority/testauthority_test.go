package testauthority_test

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/timestamp"
)

// TestAuthority: what the authority of the tests gives verifies, and what it gives
// when it lies fails for that reason alone.
func TestAuthority(t *testing.T) {
	past := time.Now().AddDate(-3, 0, 0)
	for _, c := range []struct {
		name string
		opt  testauthority.Options
		want timestamp.Check
	}{
		{"good", testauthority.Options{}, ""},
		{"good, signed again", testauthority.Options{Signer: func(*x509.Certificate) {}}, ""},
		{"good, of another time", testauthority.Options{Time: time.Now().Add(-time.Hour)}, ""},
		{"not issued yet", testauthority.Options{Time: past}, timestamp.CheckValidity},
		{"expired", testauthority.Options{Signer: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }}, timestamp.CheckValidity},
		{"a CA", testauthority.Options{Signer: func(c *x509.Certificate) { c.IsCA = true }}, timestamp.CheckCA},
		{"for code", testauthority.Options{Signer: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{testauthority.Purposes(true, testauthority.CodeSigning)}
		}}, timestamp.CheckExtendedKeyUsage},
		{"by another CA", testauthority.Options{Unknown: true}, timestamp.CheckChain},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := testauthority.New(t, c.opt)
			request := timestamp.NewRequest(sha256.Sum256([]byte("log")), nil)
			query, err := request.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			token, err := timestamp.ParseResponse(a.Answer(query))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(a.CAFile)
			if err != nil {
				t.Fatal(err)
			}
			pins, err := timestamp.ParsePins(text)
			if err != nil {
				t.Fatal(err)
			}
			_, err = timestamp.Verify(token, request.Imprint, timestamp.Authority{Pins: pins}, request)
			var refused *timestamp.Error
			if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &refused) || refused.Check != c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
