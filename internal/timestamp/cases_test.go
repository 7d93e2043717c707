package timestamp

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// attempt is a token with those who judge it.
type attempt struct {
	*forger
	by      Authority
	imprint [32]byte
	request *Request
	root    *x509.Certificate   // what openssl is told to trust
	others  []*x509.Certificate // and to know
}

// cases are all the ways in which tokens are good or bad, each a change of a
// good one. want is the check that fails, "" if none does.
var cases = []struct {
	name   string
	want   Check
	change func(*testing.T, pki, *attempt)
}{
	{"good; its certificates expired since", "", func(*testing.T, pki, *attempt) {}},
	{"good, pinned is the issuing CA", "", func(_ *testing.T, p pki, a *attempt) { a.by.Pins = []*x509.Certificate{p.ca.cert} }},
	{"good, pinned is the signer", "", func(_ *testing.T, p pki, a *attempt) { a.by.Pins = []*x509.Certificate{p.tsa.cert} }},
	{"good, one of two pins", "", func(t *testing.T, p pki, a *attempt) {
		a.by.Pins = []*x509.Certificate{newPKI(t).root.cert, p.root.cert}
	}},
	{"good, without certificates, pinned is the signer", "", func(_ *testing.T, p pki, a *attempt) {
		a.certificates, a.by.Pins = nil, []*x509.Certificate{p.tsa.cert}
	}},
	{"good, without a nonce, no request at hand", "", func(_ *testing.T, _ pki, a *attempt) { a.info.Nonce = nil }},
	{"good, answers the request", "", func(_ *testing.T, _ pki, a *attempt) { a.request = answered() }},
	{"good, the policy asked for", "", func(_ *testing.T, _ pki, a *attempt) {
		a.request = answered()
		a.request.Policy = policy
	}},
	{"good, one of two policies", "", func(_ *testing.T, _ pki, a *attempt) {
		a.by.Policies = []asn1.ObjectIdentifier{{2, 999}, policy}
	}},
	{"good, ordered", "", func(_ *testing.T, _ pki, a *attempt) { a.info.Ordering = true }},
	{"good, names its authority", "", func(_ *testing.T, p pki, a *attempt) { a.info.TSA = named(p.tsa.cert.RawSubject) }},
	{"good, an unknown extension that is not critical", "", func(_ *testing.T, _ pki, a *attempt) {
		a.info.Extensions = []pkix.Extension{{Id: unknownUsage, Value: []byte{5, 0}}}
	}},
	{"good, SHA-384 on P-384", "", func(t *testing.T, p pki, a *attempt) {
		tmpl := tsaTemplate("tsa 384")
		tmpl.key = newKey(t, elliptic.P384())
		a.sign(issue(t, p.ca, tmpl))
		a.digest, a.signature.Algorithm = crypto.SHA384, algorithms[1].ecdsaOID
	}},
	{"good, RSA with SHA-512", "", func(t *testing.T, p pki, a *attempt) {
		a.signRSA(t, p, 2048, crypto.SHA512)
		a.signature = algorithmID(algorithms[2].rsaOID)
	}},
	{"good, RSA that leaves the hash to the digest algorithm", "", func(t *testing.T, p pki, a *attempt) {
		a.signRSA(t, p, 2048, crypto.SHA256)
		a.signature = algorithmID(oidRSA)
	}},
	{"good, the bound certificate also by issuer and number", "", func(t *testing.T, p pki, a *attempt) {
		a.bind(t, essCertIDv2{Algorithm: algorithmID(oidSHA512), Hash: digest(crypto.SHA512, p.tsa.cert.Raw), IssuerSerial: issuerSerial{
			Issuer: []asn1.RawValue{set(0xa4, asn1.RawValue{FullBytes: p.tsa.cert.RawIssuer})}, Serial: p.tsa.cert.SerialNumber}})
	}},
	{"good, a forgery of the signer's certificate behind it", "", func(t *testing.T, p pki, a *attempt) {
		a.certificates = append(a.certificates, forgery(t, p))
	}},
	{"good, the signer's certificate behind another by the same issuer", "", func(t *testing.T, p pki, a *attempt) {
		a.certificates = append([]*x509.Certificate{issue(t, p.ca, tsaTemplate("other")).cert}, a.certificates...)
	}},
	{"good, the signer's certificate behind another with its number", "", func(t *testing.T, p pki, a *attempt) {
		tmpl := tsaTemplate("other")
		tmpl.SerialNumber = p.tsa.cert.SerialNumber
		a.certificates = append([]*x509.Certificate{issue(t, p.root, tmpl).cert}, a.certificates...)
	}},
	{"good, no key usage", "", leaf(func(c *x509.Certificate) { c.KeyUsage = 0 })},
	{"good, at the last second of its certificate", "", leaf(func(c *x509.Certificate) { c.NotAfter = stampTime.Add(750 * time.Millisecond) })},

	{"of other bytes", CheckImprint, func(_ *testing.T, _ pki, a *attempt) { a.imprint[31] ^= 1 }},
	{"imprint by SHA-1", CheckImprintAlgorithm, func(_ *testing.T, _ pki, a *attempt) {
		sum := sha1.Sum(stamped)
		a.info.Imprint = messageImprint{algorithmID(oidSHA1), sum[:]}
	}},
	{"imprint by what calls itself SHA-1", CheckImprintAlgorithm, func(_ *testing.T, _ pki, a *attempt) { a.info.Imprint.Algorithm = algorithmID(oidSHA1) }},
	{"imprint with parameters", CheckImprintAlgorithm, func(_ *testing.T, _ pki, a *attempt) {
		a.info.Imprint.Algorithm = parameters(oidSHA256)
	}},
	{"imprint cut off", CheckImprint, func(_ *testing.T, _ pki, a *attempt) { a.info.Imprint.Digest = imprint[:31] }},
	{"another policy", CheckPolicy, func(_ *testing.T, _ pki, a *attempt) { a.by.Policies = []asn1.ObjectIdentifier{{2, 999}} }},
	{"not the policy asked for", CheckPolicy, func(_ *testing.T, _ pki, a *attempt) {
		a.request = answered()
		a.request.Policy = asn1.ObjectIdentifier{2, 999}
	}},
	{"another nonce", CheckNonce, func(_ *testing.T, _ pki, a *attempt) { a.request = NewRequest(imprint, nil) }},
	{"no nonce", CheckNonce, func(_ *testing.T, _ pki, a *attempt) { a.request, a.info.Nonce = answered(), nil }},
	{"the request was about other bytes", CheckImprint, func(_ *testing.T, _ pki, a *attempt) {
		a.request = answered()
		a.request.Imprint[0] ^= 1
	}},
	{"the certificate asked for is missing", CheckSigner, func(_ *testing.T, p pki, a *attempt) {
		a.request, a.certificates, a.by.Pins = answered(), nil, []*x509.Certificate{p.tsa.cert}
	}},
	{"a critical extension", CheckExtension, func(_ *testing.T, _ pki, a *attempt) {
		a.info.Extensions = []pkix.Extension{{Id: unknownUsage, Critical: true, Value: []byte{5, 0}}}
	}},
	{"names another authority", CheckName, func(_ *testing.T, p pki, a *attempt) { a.info.TSA = named(p.ca.cert.RawSubject) }},
	{"names two authorities", CheckName, func(_ *testing.T, p pki, a *attempt) {
		name := set(0xa4, asn1.RawValue{FullBytes: p.tsa.cert.RawSubject})
		a.info.TSA = set(0xa0, name, name)
	}},
	{"names nobody", CheckName, func(_ *testing.T, _ pki, a *attempt) { a.info.TSA = asn1.RawValue{FullBytes: []byte{0xa0, 0}} }},
	{"names its authority by mail address", CheckName, func(_ *testing.T, _ pki, a *attempt) {
		a.info.TSA = set(0xa0, set(0x81, asn1.RawValue{FullBytes: []byte("tsa@example.org")}))
	}},

	{"two signers", CheckSigners, func(_ *testing.T, _ pki, a *attempt) {
		a.signers = func(s asn1.RawValue) []asn1.RawValue { return []asn1.RawValue{s, s} }
	}},
	{"no signer", CheckSigners, func(_ *testing.T, _ pki, a *attempt) {
		a.signers = func(asn1.RawValue) []asn1.RawValue { return nil }
	}},
	{"the signer's certificate is nowhere", CheckSigner, func(_ *testing.T, p pki, a *attempt) { a.certificates = []*x509.Certificate{p.ca.cert} }},
	{"no signing certificate attribute", CheckSigningCertificate, drop(oidSigningCertificateV2)},
	{"signing certificate by SHA-1", CheckSigningCertificate, func(t *testing.T, p pki, a *attempt) {
		a.replace(newAttribute(t, oidSigningCertificate, struct{ Certs []struct{ Hash []byte } }{[]struct{ Hash []byte }{{digestSHA1(p.tsa.cert.Raw)}}}))
	}},
	{"signing certificate V2 by SHA-256 with parameters", CheckAlgorithm, func(t *testing.T, p pki, a *attempt) {
		a.bind(t, essCertIDv2{Algorithm: parameters(oidSHA256), Hash: digest(crypto.SHA256, p.tsa.cert.Raw)})
	}},
	{"signing certificate V2 by SHA-1", CheckAlgorithm, func(t *testing.T, p pki, a *attempt) {
		a.bind(t, essCertIDv2{Algorithm: algorithmID(oidSHA1), Hash: digestSHA1(p.tsa.cert.Raw)})
	}},
	{"another certificate bound", CheckSigningCertificate, func(t *testing.T, p pki, a *attempt) {
		a.bind(t, essCertIDv2{Hash: digest(crypto.SHA256, issue(t, p.ca, tsaTemplate("other")).cert.Raw)})
	}},
	{"another issuer bound", CheckSigningCertificate, func(t *testing.T, p pki, a *attempt) {
		a.bind(t, essCertIDv2{Hash: digest(crypto.SHA256, p.tsa.cert.Raw), IssuerSerial: issuerSerial{
			Issuer: []asn1.RawValue{set(0xa4, asn1.RawValue{FullBytes: p.root.cert.RawSubject})}, Serial: p.tsa.cert.SerialNumber}})
	}},
	{"no issuer bound", CheckSigningCertificate, func(t *testing.T, p pki, a *attempt) {
		a.bind(t, essCertIDv2{Hash: digest(crypto.SHA256, p.tsa.cert.Raw), IssuerSerial: issuerSerial{Serial: p.tsa.cert.SerialNumber}})
	}},
	{"another number bound", CheckSigningCertificate, func(t *testing.T, p pki, a *attempt) {
		a.bind(t, essCertIDv2{Hash: digest(crypto.SHA256, p.tsa.cert.Raw), IssuerSerial: issuerSerial{
			Issuer: []asn1.RawValue{set(0xa4, asn1.RawValue{FullBytes: p.tsa.cert.RawIssuer})}, Serial: big.NewInt(1)}})
	}},
	{"a forgery of the signer's certificate before it", CheckSigningCertificate, func(t *testing.T, p pki, a *attempt) {
		a.certificates = append([]*x509.Certificate{forgery(t, p)}, a.certificates...)
	}},
	{"no certificate bound", CheckSigningCertificate, func(t *testing.T, _ pki, a *attempt) { a.bind(t) }},
	{"signing certificate attribute twice", CheckSignedAttributes, func(_ *testing.T, _ pki, a *attempt) {
		a.attributes = func(right []attribute) []attribute { return append(right, right[2]) }
	}},
	{"signing certificate attribute with two values", CheckSignedAttributes, func(_ *testing.T, _ pki, a *attempt) {
		a.attributes = func(right []attribute) []attribute {
			right[2].Values = append(right[2].Values, right[2].Values[0])
			return right
		}
	}},
	{"no content type", CheckSignedAttributes, drop(oidContentType)},
	{"content type of data", CheckSignedAttributes, func(t *testing.T, _ pki, a *attempt) {
		a.replace(newAttribute(t, oidContentType, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}))
	}},
	{"no message digest", CheckSignedAttributes, drop(oidMessageDigest)},
	{"message digest of other content", CheckSignedAttributes, func(t *testing.T, _ pki, a *attempt) {
		a.replace(newAttribute(t, oidMessageDigest, digest(crypto.SHA256, []byte("other"))))
	}},
	{"content changed after signing", CheckSignedAttributes, func(t *testing.T, _ pki, a *attempt) {
		a.after = func(c *contentInfo) {
			earlier := a.info
			earlier.Time = generalizedTime("20200601115959.25Z")
			c.Content.Encapsulated.Content = encode(t, earlier)
		}
	}},
	{"digest by SHA-1", CheckAlgorithm, func(t *testing.T, p pki, a *attempt) {
		a.signRSA(t, p, 2048, crypto.SHA1)
		a.signature = algorithmID(oidRSA)
	}},
	{"signature over another hash than the digest", CheckAlgorithm, func(_ *testing.T, _ pki, a *attempt) {
		a.signature.Algorithm = algorithms[1].ecdsaOID
	}},
	{"signature with parameters", CheckAlgorithm, func(_ *testing.T, _ pki, a *attempt) { a.signature = parameters(a.signature.Algorithm) }},
	{"signature of another kind than the key", CheckSignature, func(_ *testing.T, _ pki, a *attempt) { a.signature = algorithmID(oidRSA) }},
	{"signature by another key", CheckSignature, func(t *testing.T, p pki, a *attempt) {
		a.tsa = &party{p.tsa.cert, newKey(t, elliptic.P256())}
	}},
	{"PSS", CheckAlgorithm, func(t *testing.T, p pki, a *attempt) {
		a.signRSA(t, p, 2048, crypto.SHA256)
		a.options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		a.signature = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}}
	}},
	{"RSA of 1024 bits", CheckAlgorithm, func(t *testing.T, p pki, a *attempt) {
		a.signRSA(t, p, 1024, crypto.SHA256)
		a.signature = algorithmID(oidRSA)
	}},
	{"ECDSA on P-224", CheckAlgorithm, func(t *testing.T, p pki, a *attempt) {
		tmpl := tsaTemplate("small")
		tmpl.key = newKey(t, elliptic.P224())
		a.sign(issue(t, p.ca, tmpl))
	}},

	{"another purpose", CheckExtendedKeyUsage, extension1(purposes(true, codeSigning))},
	{"an additional purpose", CheckExtendedKeyUsage, extension1(purposes(true, timeStamping, codeSigning))},
	{"an additional purpose that nobody knows", CheckExtendedKeyUsage, extension1(purposes(true, timeStamping, unknownUsage))},
	{"its purpose twice", CheckExtendedKeyUsage, extension1(purposes(true, timeStamping, timeStamping))},
	{"any purpose", CheckExtendedKeyUsage, extension1(purposes(true, asn1.ObjectIdentifier{2, 5, 29, 37, 0}))},
	{"purpose not critical", CheckExtendedKeyUsage, extension1(purposes(false, timeStamping))},
	{"no purpose", CheckExtendedKeyUsage, leaf(func(c *x509.Certificate) { c.ExtraExtensions = nil })},
	{"a CA as signer", CheckCA, leaf(func(c *x509.Certificate) { c.IsCA = true })},
	{"key usage: signs certificates, too", CheckKeyUsage, leaf(func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign })},
	{"key usage: only for encryption", CheckKeyUsage, leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
	{"key usage: for nothing", CheckKeyUsage, leaf(func(c *x509.Certificate) {
		c.KeyUsage = 0
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidKeyUsage, Critical: true, Value: []byte{3, 1, 0}})
	})},
	{"certificate expired before", CheckValidity, leaf(func(c *x509.Certificate) { c.NotAfter = stampTime.Add(-time.Second) })},
	{"certificate not yet valid", CheckValidity, leaf(func(c *x509.Certificate) { c.NotBefore = stampTime.Add(time.Second) })},
	{"certificate valid only now", CheckValidity, leaf(func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})},
	{"a critical extension of the certificate", CheckChain, leaf(func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: unknownUsage, Critical: true, Value: []byte{5, 0}})
	})},
	{"unknown issuer", CheckChain, func(t *testing.T, _ pki, a *attempt) {
		a.root = newPKI(t).root.cert
		a.by.Pins = []*x509.Certificate{a.root}
	}},
	{"nothing pinned", CheckChain, func(_ *testing.T, _ pki, a *attempt) { a.by.Pins = nil }},
	{"a certificate of the chain is missing", CheckChain, func(_ *testing.T, p pki, a *attempt) { a.certificates = []*x509.Certificate{p.tsa.cert} }},
	{"issued by somebody with the CA's name", CheckChain, func(t *testing.T, _ pki, a *attempt) {
		a.sign(issue(t, issue(t, nil, caTemplate("ca")), tsaTemplate("tsa")))
	}},
	{"issued by a time-stamping authority, which is pinned", CheckChain, func(t *testing.T, p pki, a *attempt) {
		a.sign(issue(t, p.tsa, tsaTemplate("child")))
		a.by.Pins = []*x509.Certificate{p.tsa.cert}
	}},
	{"the CA expired before", CheckChain, func(t *testing.T, p pki, a *attempt) {
		a.issuedBy(t, p.root, func(c *x509.Certificate) { c.NotAfter = stampTime.Add(-time.Second) })
	}},
	{"the CA is for something else", CheckChain, func(t *testing.T, p pki, a *attempt) {
		a.issuedBy(t, p.root, func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{purposes(false, codeSigning)} })
	}},
	{"the CA may not issue", CheckChain, func(t *testing.T, p pki, a *attempt) {
		a.issuedBy(t, p.root, func(c *x509.Certificate) { c.IsCA = false })
	}},
	{"the pinned CA expired before", CheckChain, func(t *testing.T, p pki, a *attempt) {
		ca := a.issuedBy(t, p.root, func(c *x509.Certificate) { c.NotAfter = stampTime.Add(-time.Second) })
		a.by.Pins = []*x509.Certificate{ca}
	}},
	{"a certificate of the chain is signed over SHA-1", CheckChain, func(t *testing.T, p pki, a *attempt) {
		a.issuedBy(t, p.root, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	}},
	{"the CA's key is weak", CheckChain, func(t *testing.T, p pki, a *attempt) {
		weak := caTemplate("weak")
		weak.key = newKey(t, elliptic.P224())
		ca := issue(t, p.root, weak)
		a.sign(issue(t, ca, tsaTemplate("tsa")))
		a.certificates = append(a.certificates, ca.cert)
	}},
	{"the pinned CA's key is weak", CheckAlgorithm, func(t *testing.T, _ pki, a *attempt) {
		weak := caTemplate("weak")
		weak.key = newKey(t, elliptic.P224())
		ca := issue(t, nil, weak)
		a.sign(issue(t, ca, tsaTemplate("tsa")))
		a.by.Pins, a.root = []*x509.Certificate{ca.cert}, ca.cert
	}},
}
