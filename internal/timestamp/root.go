package timestamp

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"
)

// Root gives the certificate at the end of the signer's chain, as far as the token
// itself holds the chain: of a token that went through [Token.Complete] the pinned
// one. It is nil if the token lacks the signer's certificate. Nothing about it was
// verified: it is for whoever wants to look at it or compare it with a trusted list.
func (t *Token) Root() *x509.Certificate {
	id := t.signer.ID
	left := slices.Clone(t.certificates)
	take := func(is func(*x509.Certificate) bool) *x509.Certificate {
		i := slices.IndexFunc(left, is)
		if i < 0 {
			return nil
		}
		c := left[i]
		left = slices.Delete(left, i, i+1) // so that issuers in a circle come to an end
		return c
	}
	last := take(func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawIssuer, id.Issuer.FullBytes) && c.SerialNumber.Cmp(id.Serial) == 0
	})
	for last != nil {
		of := last
		issuer := take(func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, of.RawIssuer) && of.CheckSignatureFrom(c) == nil
		})
		if issuer == nil {
			break
		}
		last = issuer
	}
	return last
}

// Time is the token's genTime in UTC, as it says: nothing was verified.
func (t *Token) Time() time.Time { return t.time }
