package timestamp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
)

// attribute is what a signer signed beside the content (RFC 5652 § 5.3).
type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// signingCertificateV2 names the signer's certificate by its hash (RFC 5035 § 3,
// RFC 5816). Its further members name more of the chain or its policies: the
// pinned certificate decides which chain counts.
type signingCertificateV2 struct {
	Certificates []essCertIDv2
	Policies     []asn1.RawValue `asn1:"optional"`
}

type essCertIDv2 struct {
	Algorithm    pkix.AlgorithmIdentifier `asn1:"optional"` // absent: SHA-256
	Hash         []byte
	IssuerSerial issuerSerial `asn1:"optional"`
}

type issuerSerial struct {
	Issuer []asn1.RawValue // general names
	Serial *big.Int
}

// signedBytes gives what the signature is over: the signed attributes as a SET
// OF (RFC 5652 § 5.4).
func (s *signerInfo) signedBytes() []byte {
	set := bytes.Clone(s.SignedAttributes.FullBytes)
	set[0] = asn1.TagSet | 0x20
	return set
}

// attribute gives the one value of a signed attribute, nil if there is none.
func (t *Token) attribute(is asn1.ObjectIdentifier) ([]byte, error) {
	var value []byte
	for _, a := range t.attributes {
		if !a.Type.Equal(is) {
			continue
		}
		if value != nil || len(a.Values) != 1 {
			return nil, refuse(CheckSignedAttributes, "attribute %v has several values or none", is)
		}
		value = a.Values[0].FullBytes
	}
	return value, nil
}

// signerCertificate finds the certificate that the signer names, in the token
// or else among the pinned ones, and checks that the signed attribute
// signingCertificateV2 binds it: name and number alone can be forged.
func (t *Token) signerCertificate(pins []*x509.Certificate) (*x509.Certificate, error) {
	bound, err := t.boundCertificate()
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Concat(t.certificates, pins) {
		if !bytes.Equal(c.RawIssuer, t.signer.ID.Issuer.FullBytes) || c.SerialNumber.Cmp(t.signer.ID.Serial) != 0 {
			continue
		}
		if !bound.is(c) {
			return nil, refuse(CheckSigningCertificate, "the attribute binds another certificate than the signer's")
		}
		return c, nil
	}
	return nil, refuse(CheckSigner, "the signer's certificate is neither in the token nor pinned")
}

// boundCertificate reads the attribute signingCertificateV2, of which the first
// certificate is the signer's.
func (t *Token) boundCertificate() (*essCertIDv2, error) {
	der, err := t.attribute(oidSigningCertificateV2)
	if err != nil {
		return nil, err
	}
	if der == nil {
		if old, err := t.attribute(oidSigningCertificate); err != nil || old != nil {
			return nil, refuse(CheckSigningCertificate, "only signingCertificate is there, which binds by SHA-1; want signingCertificateV2")
		}
		return nil, refuse(CheckSigningCertificate, "the attribute signingCertificateV2 is missing")
	}
	var value signingCertificateV2
	if err := strict(der, &value); err != nil {
		return nil, refuse(CheckSigningCertificate, "reading signingCertificateV2: %v", err)
	}
	if len(value.Certificates) == 0 {
		return nil, refuse(CheckSigningCertificate, "signingCertificateV2 binds no certificate")
	}
	first := value.Certificates[0]
	if len(first.Algorithm.Algorithm) == 0 {
		first.Algorithm.Algorithm = oidSHA256
	}
	if _, err := hashOf(first.Algorithm); err != nil {
		return nil, err
	}
	return &first, nil
}

// is reports whether this names a certificate.
func (e *essCertIDv2) is(c *x509.Certificate) bool {
	hash, err := hashOf(e.Algorithm)
	if err != nil || !bytes.Equal(digest(hash, c.Raw), e.Hash) {
		return false
	}
	if e.IssuerSerial.Serial == nil { // the hash says it all
		return true
	}
	names := e.IssuerSerial.Issuer
	return len(names) == 1 && bytes.Equal(directoryName(names[0]), c.RawIssuer) && e.IssuerSerial.Serial.Cmp(c.SerialNumber) == 0
}

// directoryName gives the Name in a GeneralName, nil if it is of another form.
func directoryName(v asn1.RawValue) []byte {
	if v.Class != asn1.ClassContextSpecific || v.Tag != 4 || !v.IsCompound {
		return nil
	}
	return v.Bytes
}

// checkSignature checks the signed attributes, which stand for the content, and
// the signature over them.
func (t *Token) checkSignature(leaf *x509.Certificate) error {
	hash, err := hashOf(t.signer.DigestAlgorithm)
	if err != nil {
		return err
	}
	for _, want := range []struct {
		name  string
		is    asn1.ObjectIdentifier
		value any
	}{
		{"contentType", oidContentType, oidTSTInfo},
		{"messageDigest", oidMessageDigest, digest(hash, t.content)},
	} {
		der, err := asn1.Marshal(want.value)
		if err != nil {
			return refuse(CheckSignedAttributes, "encoding %s: %v", want.name, err)
		}
		got, err := t.attribute(want.is)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, der) {
			return refuse(CheckSignedAttributes, "%s is missing or not that of the content", want.name)
		}
	}
	algorithm, err := signatureAlgorithm(t.signer.SignatureAlgorithm, hash)
	if err != nil {
		return err
	}
	if leaf.CheckSignature(algorithm, t.signer.signedBytes(), t.signer.Signature) != nil {
		return refuse(CheckSignature, "the signature does not verify with the signer's certificate")
	}
	return nil
}
