package timestamp

import (
	"crypto/x509"
	"testing"
)

// TestRoot: the end of the chain that a token holds, whatever stands beside it and in
// whatever order.
func TestRoot(t *testing.T) {
	p := newPKI(t)
	stranger := issue(t, nil, caTemplate("root")) // of the same name, with another key
	for name, c := range map[string]struct {
		held []*x509.Certificate
		want *x509.Certificate
	}{
		"the whole chain, in another order": {[]*x509.Certificate{p.root.cert, stranger.cert, p.tsa.cert, p.ca.cert}, p.root.cert},
		"as authorities send it":            {[]*x509.Certificate{p.tsa.cert, p.ca.cert}, p.ca.cert},
		"the signer's alone":                {[]*x509.Certificate{p.tsa.cert}, p.tsa.cert},
		"a stranger of the root's name":     {[]*x509.Certificate{p.tsa.cert, p.ca.cert, stranger.cert}, p.ca.cert},
		"without the signer's":              {[]*x509.Certificate{p.ca.cert, p.root.cert}, nil},
	} {
		token, err := ParseToken(p.forger().token(t))
		if err != nil {
			t.Fatal(err)
		}
		token.certificates = c.held
		if got := token.Root(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if len(token.certificates) != len(c.held) || token.Time().IsZero() {
			t.Errorf("%s: the token changed", name)
		}
	}
}
