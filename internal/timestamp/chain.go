package timestamp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ParsePins reads pinned certificates in PEM, one or more, for [Authority.Pins].
// Text between them is allowed, other PEM blocks are not.
func ParsePins(text []byte) ([]*x509.Certificate, error) {
	var pins []*x509.Certificate
	begun := bytes.Count(text, []byte("-----BEGIN "))
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("pinned certificates: block %d is a %s", len(pins)+1, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("pinned certificate %d: %w", len(pins)+1, err)
		}
		pins = append(pins, c)
	}
	if begun != len(pins) { // encoding/pem skips what is damaged
		return nil, fmt.Errorf("pinned certificates: %d of %d blocks are damaged", begun-len(pins), begun)
	}
	if len(pins) == 0 {
		return nil, errors.New("pinned certificates: there is none; want PEM")
	}
	return pins, nil
}

// checkLeaf checks that a certificate is one of a time-stamping authority and of
// nothing else (RFC 3161 § 2.3), at the time of a token.
func checkLeaf(c *x509.Certificate, at time.Time) error {
	if c.IsCA {
		return refuse(CheckCA, "the signer's certificate is one of a certification authority")
	}
	if err := checkExtendedKeyUsage(c); err != nil {
		return err
	}
	// Key usage may be absent. What is there must be about signing content.
	const content = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if extension(c, oidKeyUsage) != nil && (c.KeyUsage&content == 0 || c.KeyUsage&^content != 0) {
		return refuse(CheckKeyUsage, "the signer's key is not, or not only, for signatures over content")
	}
	if at.Before(c.NotBefore) || at.After(c.NotAfter) {
		return refuse(CheckValidity, "the signer's certificate is valid from %s to %s, the token is of %s",
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), at.Format(time.RFC3339Nano))
	}
	return nil
}

// checkExtendedKeyUsage checks that the extension is there once (crypto/x509
// refuses a second one), critical, and holds timeStamping alone. Purposes that
// nobody knows count, too.
func checkExtendedKeyUsage(c *x509.Certificate) error {
	if e := extension(c, oidExtendedKeyUsage); e == nil || !e.Critical {
		return refuse(CheckExtendedKeyUsage, "the extension is missing or not critical")
	}
	if len(c.UnknownExtKeyUsage) > 0 || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}) {
		return refuse(CheckExtendedKeyUsage, "the signer's certificate is not for time stamps alone")
	}
	return nil
}

func extension(c *x509.Certificate, id asn1.ObjectIdentifier) *pkix.Extension {
	for i := range c.Extensions {
		if c.Extensions[i].Id.Equal(id) {
			return &c.Extensions[i]
		}
	}
	return nil
}

// findChain finds certificates from the signer's to a pinned one that were all
// valid at a time, may issue one another down to a time-stamping authority, and
// have keys that are strong enough. That they are not signed over MD5 or SHA-1
// is something that crypto/x509 sees to.
func findChain(leaf *x509.Certificate, others, pins []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	options := x509.VerifyOptions{
		Roots:         x509.NewCertPool(), // never the system's
		Intermediates: x509.NewCertPool(),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	}
	for _, c := range pins {
		options.Roots.AddCert(c)
	}
	for _, c := range others {
		if usableKey(c.PublicKey) {
			options.Intermediates.AddCert(c)
		}
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil, refuse(CheckChain, "no chain of certificates that were valid at the token's time leads from the signer to a pinned one")
	}
	for _, chain := range chains {
		if !slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return !usableKey(c.PublicKey) }) {
			return chain, nil
		}
	}
	return nil, refuse(CheckAlgorithm, "a key in the signer's chain is too weak, too large or of an unknown kind")
}
