package timestamp

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestComplete: a token that was completed holds its chain up to the pinned
// certificate, says what it said, and openssl verifies it.
func TestComplete(t *testing.T) {
	p := newPKI(t)
	token, err := ParseToken(p.forger().token(t))
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := Verify(token, imprint, p.authority(), nil)
	if err != nil {
		t.Fatal(err)
	}
	complete, err := token.Complete(stamp.Chain)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range stamp.Chain {
		if !slices.ContainsFunc(complete.certificates, c.Equal) {
			t.Errorf("it lacks %s", c.Subject)
		}
	}
	if n := len(token.certificates); len(complete.certificates) != n+1 {
		t.Errorf("%d certificates, before %d", len(complete.certificates), n)
	}
	if got, err := Verify(complete, imprint, p.authority(), nil); err != nil || !got.Time.Equal(stamp.Time) || got.Serial.Cmp(stamp.Serial) != 0 {
		t.Errorf("it says %+v, %v", got, err)
	}
	checkOpenSSL(t, complete.Bytes(), &attempt{by: p.authority(), imprint: imprint, root: p.root.cert})
	again, err := complete.Complete(stamp.Chain)
	if err != nil || !bytes.Equal(again.Bytes(), complete.Bytes()) {
		t.Errorf("completing it again changes it: %v", err)
	}
	var many []*x509.Certificate
	for i := range maxCertificates {
		many = append(many, issue(t, p.root, caTemplate(fmt.Sprint(i))).cert)
	}
	var refused *Error
	if _, err := token.Complete(many); !errors.As(err, &refused) {
		t.Errorf("more certificates than a token may hold: %v", err)
	}
}
