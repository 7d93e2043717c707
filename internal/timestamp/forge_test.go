package timestamp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"testing"
	"time"
)

// What forged tokens are about, and when they are from: long ago, so that a
// certificate that was good then has expired.
var (
	stamped   = []byte("log.example/consent\n1044\nroot\n")
	imprint   = sha256.Sum256(stamped)
	stampTime = time.Date(2020, 6, 1, 12, 0, 0, 250_000_000, time.UTC)
	policy    = asn1.ObjectIdentifier{2, 999, 1}
)

// party is a certificate with its key.
type party struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// template describes a certificate that forge_test issues.
type template struct {
	x509.Certificate
	key crypto.Signer // nil: a fresh one on P-256
}

var serials struct {
	sync.Mutex
	last int64
}

// issue makes a certificate, signed by its issuer, or by itself if that is nil.
func issue(t testing.TB, issuer *party, tmpl template) *party {
	t.Helper()
	if tmpl.key == nil {
		tmpl.key = newKey(t, elliptic.P256())
	}
	serials.Lock()
	serials.last++
	if tmpl.SerialNumber == nil {
		tmpl.SerialNumber = big.NewInt(serials.last)
	}
	serials.Unlock()
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = stampTime.AddDate(-1, 0, 0), stampTime.AddDate(1, 0, 0)
	}
	parent := &tmpl.Certificate
	signer := tmpl.key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl.Certificate, parent, tmpl.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &party{cert, tmpl.key}
}

func newKey(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// caTemplate is a certification authority.
func caTemplate(name string) template {
	return template{Certificate: x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}}
}

// tsaTemplate is the certificate of a time-stamping authority.
func tsaTemplate(name string) template {
	return template{Certificate: x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Zeitstempel GmbH"}},
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtraExtensions:       []pkix.Extension{purposes(true, timeStamping)},
	}}
}

var (
	timeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	codeSigning  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
	unknownUsage = asn1.ObjectIdentifier{2, 999, 9}
)

// purposes is the extension extendedKeyUsage.
func purposes(critical bool, of ...asn1.ObjectIdentifier) pkix.Extension {
	der, err := asn1.Marshal(of)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: oidExtendedKeyUsage, Critical: critical, Value: der}
}

// forger makes tokens, right ones unless a field is changed.
type forger struct {
	tsa          *party
	certificates []*x509.Certificate // in the token
	info         tstInfo
	digest       crypto.Hash
	signature    pkix.AlgorithmIdentifier
	options      crypto.SignerOpts                         // of the signature; nil: digest
	attributes   func(right []attribute) []attribute       // changes them before they are signed
	signers      func(right asn1.RawValue) []asn1.RawValue // changes the set
	content      func(right []byte) []byte                 // changes the encoded TSTInfo before it is signed
	after        func(*contentInfo)                        // changes what is not signed
}

// newForger gives one whose token answers a request.
func newForger(tsa *party, certificates ...*x509.Certificate) *forger {
	return &forger{
		tsa:          tsa,
		certificates: append([]*x509.Certificate{tsa.cert}, certificates...),
		info: tstInfo{
			Version: 1,
			Policy:  policy,
			Imprint: messageImprint{Algorithm: algorithmID(oidSHA256), Digest: imprint[:]},
			Serial:  big.NewInt(4711),
			Time:    generalizedTime("20200601120000.25Z"),
			Nonce:   big.NewInt(0x0123456789abcdef),
		},
		digest:    crypto.SHA256,
		signature: pkix.AlgorithmIdentifier{Algorithm: algorithms[0].ecdsaOID},
	}
}

func algorithmID(oid asn1.ObjectIdentifier) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}
}

// parameters gives an algorithm parameters that it does not have.
func parameters(oid asn1.ObjectIdentifier) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: []byte{2, 1, 0}}}
}

func generalizedTime(s string) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(s)}
}

// token gives the token in DER.
func (f *forger) token(t testing.TB) []byte {
	t.Helper()
	content := encode(t, f.info)
	if f.content != nil {
		content = f.content(content)
	}
	var hashOID asn1.ObjectIdentifier
	switch f.digest {
	case crypto.SHA1:
		hashOID = oidSHA1
	default:
		for _, a := range algorithms {
			if a.hash == f.digest {
				hashOID = a.oid
			}
		}
	}
	certHash := sha256.Sum256(f.tsa.cert.Raw)
	attributes := []attribute{
		newAttribute(t, oidContentType, oidTSTInfo),
		newAttribute(t, oidMessageDigest, digest(f.digest, content)),
		newAttribute(t, oidSigningCertificateV2, signingCertificateV2{Certificates: []essCertIDv2{{Hash: certHash[:]}}}),
	}
	if f.attributes != nil {
		attributes = f.attributes(attributes)
	}
	signed, err := asn1.MarshalWithParams(attributes, "set")
	if err != nil {
		t.Fatal(err)
	}
	options := f.options
	if options == nil {
		options = f.digest
	}
	signature, err := f.tsa.key.Sign(rand.Reader, digest(f.digest, signed), options)
	if err != nil {
		t.Fatal(err)
	}
	signer := signerInfo{
		Version:            1,
		ID:                 issuerAndSerial{asn1.RawValue{FullBytes: f.tsa.cert.RawIssuer}, f.tsa.cert.SerialNumber},
		DigestAlgorithm:    algorithmID(hashOID),
		SignedAttributes:   retag(signed, 0xa0),
		SignatureAlgorithm: f.signature,
		Signature:          signature,
	}
	signers := []asn1.RawValue{{FullBytes: encode(t, signer)}}
	if f.signers != nil {
		signers = f.signers(signers[0])
	}
	outer := contentInfo{Type: oidSignedData, Content: signedData{
		Version:          3,
		DigestAlgorithms: []pkix.AlgorithmIdentifier{algorithmID(hashOID)},
		Encapsulated:     encapsulated{Type: oidTSTInfo, Content: content},
		Certificates:     set(0xa0, raws(f.certificates)...),
		Signers:          set(0x31, signers...),
	}}
	if f.after != nil {
		f.after(&outer)
	}
	return encode(t, outer)
}

var oidSHA1 = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}

func newAttribute(t testing.TB, is asn1.ObjectIdentifier, value any) attribute {
	return attribute{Type: is, Values: []asn1.RawValue{{FullBytes: encode(t, value)}}}
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// retag gives a value with another first byte.
func retag(der []byte, tag byte) asn1.RawValue {
	der = bytes.Clone(der)
	der[0] = tag
	return asn1.RawValue{FullBytes: der}
}

// set puts values into a constructed one, in this order; none: leaves it out.
func set(tag byte, values ...asn1.RawValue) asn1.RawValue {
	var content []byte
	for _, v := range values {
		content = append(content, v.FullBytes...)
	}
	if len(content) == 0 && tag == 0xa0 {
		return asn1.RawValue{}
	}
	v := asn1.RawValue{Class: int(tag >> 6), Tag: int(tag & 0x1f), IsCompound: true, Bytes: content}
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return asn1.RawValue{FullBytes: der}
}

func raws(certificates []*x509.Certificate) []asn1.RawValue {
	var all []asn1.RawValue
	for _, c := range certificates {
		all = append(all, asn1.RawValue{FullBytes: c.Raw})
	}
	return all
}

// pki is a root, a CA below it that issues time-stamping authorities, and one of
// them. All have expired by now.
type pki struct{ root, ca, tsa *party }

func newPKI(t testing.TB) pki {
	root := issue(t, nil, caTemplate("root"))
	ca := issue(t, root, caTemplate("ca"))
	return pki{root, ca, issue(t, ca, tsaTemplate("tsa"))}
}

// forger gives one whose tokens carry what is needed below the root.
func (p pki) forger() *forger { return newForger(p.tsa, p.ca.cert) }

// authority trusts the root.
func (p pki) authority() Authority { return Authority{Pins: []*x509.Certificate{p.root.cert}} }
