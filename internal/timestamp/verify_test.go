package timestamp

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// answered is the request that forged tokens answer.
func answered() *Request {
	return &Request{Imprint: imprint, Nonce: big.NewInt(0x0123456789abcdef)}
}

// forgery has the issuer's name and the number of the signer's certificate.
func forgery(t *testing.T, p pki) *x509.Certificate {
	tmpl := tsaTemplate("forgery")
	tmpl.SerialNumber = p.tsa.cert.SerialNumber
	return issue(t, issue(t, nil, caTemplate("ca")), tmpl).cert
}

func digestSHA1(b []byte) []byte {
	sum := sha1.Sum(b)
	return sum[:]
}

// named is the member tsa with a directory name.
func named(name []byte) asn1.RawValue {
	return set(0xa0, set(0xa4, asn1.RawValue{FullBytes: name}))
}

// leaf changes the signer's certificate.
func leaf(change func(*x509.Certificate)) func(*testing.T, pki, *attempt) {
	return func(t *testing.T, p pki, a *attempt) {
		tmpl := tsaTemplate("tsa")
		tmpl.NotBefore, tmpl.NotAfter = stampTime.AddDate(-1, 0, 0), stampTime.AddDate(1, 0, 0)
		change(&tmpl.Certificate)
		a.sign(issue(t, p.ca, tmpl))
	}
}

// extension1 replaces the one extension of the signer's certificate.
func extension1(e pkix.Extension) func(*testing.T, pki, *attempt) {
	return leaf(func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{e} })
}

// drop leaves an attribute out.
func drop(is asn1.ObjectIdentifier) func(*testing.T, pki, *attempt) {
	return func(_ *testing.T, _ pki, a *attempt) {
		a.attributes = func(right []attribute) []attribute {
			return slices.DeleteFunc(right, func(x attribute) bool { return x.Type.Equal(is) })
		}
	}
}

// replace puts an attribute in the place of the one of its type, or of
// signingCertificateV2.
func (a *attempt) replace(by attribute) {
	a.attributes = func(right []attribute) []attribute {
		i := slices.IndexFunc(right, func(x attribute) bool { return x.Type.Equal(by.Type) })
		if i < 0 {
			i = 2
		}
		right[i] = by
		return right
	}
}

func (a *attempt) bind(t *testing.T, certificates ...essCertIDv2) {
	a.replace(newAttribute(t, oidSigningCertificateV2, signingCertificateV2{Certificates: certificates}))
}

// sign lets another authority sign, with its certificate in the token.
func (a *attempt) sign(tsa *party) {
	a.tsa = tsa
	a.certificates[0] = tsa.cert
}

func (a *attempt) issuedBy(t *testing.T, root *party, change func(*x509.Certificate)) *x509.Certificate {
	tmpl := caTemplate("ca")
	tmpl.NotBefore, tmpl.NotAfter = stampTime.AddDate(-1, 0, 0), stampTime.AddDate(1, 0, 0)
	change(&tmpl.Certificate)
	ca := issue(t, root, tmpl)
	a.sign(issue(t, ca, tsaTemplate("tsa")))
	a.certificates[1] = ca.cert
	return ca.cert
}

var rsaKeys = map[int]*rsa.PrivateKey{} // by size; making one takes a while

func (a *attempt) signRSA(t *testing.T, p pki, bits int, hash crypto.Hash) {
	if rsaKeys[bits] == nil {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		rsaKeys[bits] = key
	}
	tmpl := tsaTemplate("tsa rsa")
	tmpl.key = rsaKeys[bits]
	a.sign(issue(t, p.ca, tmpl))
	a.digest = hash
}

// TestVerify: every case ends as it should, every check is one that some case
// fails, and what is accepted says what was stamped.
func TestVerify(t *testing.T) {
	p := newPKI(t)
	failed := map[Check]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := &attempt{forger: p.forger(), by: p.authority(), imprint: imprint, root: p.root.cert, others: []*x509.Certificate{p.ca.cert}}
			c.change(t, p, a)
			der := a.token(t)
			stamp, err := judge(der, a)
			var refused *Error
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (!errors.As(err, &refused) || refused.Check != c.want):
				t.Fatalf("got %v, want %s", err, c.want)
			case c.want != "":
				failed[c.want] = true
				return
			}
			checkStamp(t, stamp, a)
			checkOpenSSL(t, der, a)
		})
	}
	for _, check := range []Check{CheckSigners, CheckImprintAlgorithm, CheckImprint, CheckPolicy, CheckNonce, CheckExtension, CheckSigner,
		CheckSigningCertificate, CheckSignedAttributes, CheckAlgorithm, CheckSignature, CheckExtendedKeyUsage, CheckKeyUsage, CheckCA,
		CheckValidity, CheckChain, CheckName} {
		if !failed[check] {
			t.Errorf("no case fails %s", check)
		}
	}
}

func judge(der []byte, a *attempt) (*Stamp, error) {
	token, err := ParseToken(der)
	if err != nil {
		return nil, err
	}
	return Verify(token, a.imprint, a.by, a.request)
}

func checkStamp(t *testing.T, s *Stamp, a *attempt) {
	t.Helper()
	if !s.Time.Equal(stampTime) || s.Time.Location() != time.UTC || s.Accuracy != 0 || !s.Policy.Equal(policy) || s.Serial.Int64() != 4711 || s.Qualified {
		t.Errorf("the token says %+v", s)
	}
	if !strings.Contains(s.TSA, "O=Zeitstempel GmbH") {
		t.Errorf("the signer is %q", s.TSA)
	}
	last := s.Chain[len(s.Chain)-1]
	if !s.Chain[0].Equal(a.tsa.cert) || !slices.ContainsFunc(a.by.Pins, last.Equal) {
		t.Errorf("the chain of %d does not lead from the signer to a pinned certificate", len(s.Chain))
	}
}

// TestVerifySays: what configuration and token say reaches the result.
func TestVerifySays(t *testing.T) {
	p := newPKI(t)
	f := p.forger()
	f.info.Accuracy = accuracy{Seconds: big.NewInt(1), Millis: big.NewInt(500), Micros: big.NewInt(100)}
	by := p.authority()
	by.Qualified = true
	token, err := ParseToken(f.token(t))
	if err != nil {
		t.Fatal(err)
	}
	first, err := Verify(token, imprint, by, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.Accuracy != 1500100*time.Microsecond || !first.Qualified || len(first.Chain) != 3 {
		t.Errorf("the stamp says %+v", first)
	}
	again, err := Verify(token, imprint, by, nil)
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("verified again it says %+v, %v", again, err)
	}
}

// TestVerifyWideKey: a CA's key that is there to waste time is not used.
func TestVerifyWideKey(t *testing.T) {
	wide := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}
	if usableKey(wide) {
		t.Error("a key of 8193 bits is used")
	}
	if usableKey(ed25519.PublicKey{}) {
		t.Error("a key of an unknown kind is used")
	}
}

// TestOtherHash: SHA-512 of the same bytes is not what was asked for.
func TestOtherHash(t *testing.T) {
	p := newPKI(t)
	f := p.forger()
	f.info.Imprint = messageImprint{algorithmID(oidSHA512), digest(crypto.SHA512, stamped)}
	token, err := ParseToken(f.token(t))
	if err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if _, err := Verify(token, sha256.Sum256(stamped), p.authority(), nil); !errors.As(err, &refused) || refused.Check != CheckImprintAlgorithm {
		t.Errorf("got %v", err)
	}
}
