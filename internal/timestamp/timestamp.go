// Package timestamp asks for, reads and verifies the tokens of time-stamping
// authorities (RFC 3161): somebody else's word that certain bytes existed at a
// time. Start with [NewRequest] to ask, and with [ParseResponse] or [ParseToken]
// and [Verify] to judge what came back.
//
// Verification never asks what time it is: everything is judged at the token's
// own time, so that a token verifies as long as its algorithms hold, whether or
// not its certificates have expired since. It opens no network either.
//
// What is accepted is narrow on purpose, because a token is kept as evidence for
// years and an authority that sends something else can be replaced today:
//   - DER, each value in its only spelling; no bytes behind it; one signer.
//   - An imprint by SHA-256, which is what [Request] asks for. Elsewhere SHA-256,
//     SHA-384 and SHA-512; RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 and
//     P-521. PSS only in certificates: openssl ts, which must be able to verify
//     the same token, cannot.
//   - The signer's certificate bound by signingCertificateV2 (RFC 5816). The
//     older signingCertificate names it by SHA-1 and is refused where it stands
//     alone, although RFC 3161 allows it: whoever finds a second certificate with
//     the same SHA-1 could make a token say another signer. Beside the newer
//     attribute it adds nothing and is not read. (Authorities that run openssl
//     3.0 or older send the older one unless ess_cert_id_alg says sha256.)
//
// The parser is our own because the libraries that there are accept BER, skip
// what follows a value, verify any one of several signers, or judge certificates
// now; encoding/asn1 and a comparison with what it would have written itself do
// what is needed in little code.
//
// # Limits
//
// Whether a certificate had been revoked is not checked: that needs statements
// by its issuer which most tokens do not carry. Certificates that crypto/x509
// cannot read (attribute certificates, Brainpool curves, Ed448) and Ed25519
// signers are refused, and so are tokens in BER.
package timestamp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"
)

// Authority is a time-stamping authority that somebody decided to believe.
type Authority struct {
	// Pins are certificates of which one must stand at the end of the signer's
	// chain: of the CA that issued its certificate, or that certificate itself.
	// None: nothing verifies. See [ParsePins].
	Pins []*x509.Certificate
	// Policies are the only policies under which tokens count; none: any.
	Policies []asn1.ObjectIdentifier
	// Qualified says that this is a qualified trust service (eIDAS Art. 42), so
	// that the time of its tokens is presumed to be right (Art. 41(2)). Only the
	// trusted lists of the member states tell; what a token says of itself does
	// not count.
	Qualified bool
}

// Stamp is what a verified token says.
type Stamp struct {
	// Time is the token's genTime in UTC: the bytes existed then.
	Time time.Time
	// Accuracy is how far Time may be off, before and after. Zero if the token
	// does not say; then the authority's policy does.
	Accuracy time.Duration
	// Policy is the authority's policy under which it was issued.
	Policy asn1.ObjectIdentifier
	// Serial is the token's number, unique for this authority; at most 160 bits.
	Serial *big.Int
	// TSA is the name of the signer: the subject of its certificate (RFC 2253).
	TSA string
	// Chain are the certificates from the signer's to the pinned one, both
	// included; they may be one and the same.
	Chain []*x509.Certificate
	// Qualified repeats [Authority.Qualified].
	Qualified bool
}

// Verify checks that a token was issued by an authority over the bytes with this
// SHA-256. With the request at hand it is checked to be the answer to it;
// without one (nil), as for a token that was kept, its nonce is not looked at.
// Whether the authority has ordered its tokens is of no interest.
//
// Every error is an [*Error] that names the check that failed first.
func Verify(t *Token, imprint [sha256.Size]byte, by Authority, request *Request) (*Stamp, error) {
	if err := t.checkImprint(imprint); err != nil {
		return nil, err
	}
	if err := t.checkPolicy(by.Policies); err != nil {
		return nil, err
	}
	if request != nil {
		if err := t.checkRequest(request); err != nil {
			return nil, err
		}
	}
	for _, e := range t.info.Extensions {
		if e.Critical {
			return nil, refuse(CheckExtension, "a critical extension %v, which is not known", e.Id)
		}
	}
	leaf, err := t.signerCertificate(by.Pins)
	if err != nil {
		return nil, err
	}
	if request != nil && !slices.ContainsFunc(t.certificates, leaf.Equal) {
		return nil, refuse(CheckSigner, "the request asked for the signer's certificate, the token lacks it")
	}
	if err := checkLeaf(leaf, t.time); err != nil {
		return nil, err
	}
	chain, err := findChain(leaf, t.certificates, by.Pins, t.time)
	if err != nil {
		return nil, err
	}
	if err := t.checkSignature(leaf); err != nil { // with a key of which findChain knows the size
		return nil, err
	}
	if err := t.checkName(leaf); err != nil {
		return nil, err
	}
	return &Stamp{
		Time:      t.time,
		Accuracy:  t.accuracy,
		Policy:    t.info.Policy,
		Serial:    t.info.Serial,
		TSA:       leaf.Subject.String(),
		Chain:     chain,
		Qualified: by.Qualified,
	}, nil
}

func (t *Token) checkImprint(imprint [sha256.Size]byte) error {
	got := t.info.Imprint
	if !got.Algorithm.Algorithm.Equal(oidSHA256) || !plain(got.Algorithm) {
		return refuse(CheckImprintAlgorithm, "the imprint is made by %v, want SHA-256 without parameters", got.Algorithm.Algorithm)
	}
	if !bytes.Equal(got.Digest, imprint[:]) {
		return refuse(CheckImprint, "the token is about other bytes")
	}
	return nil
}

func (t *Token) checkPolicy(allowed []asn1.ObjectIdentifier) error {
	if len(allowed) > 0 && !slices.ContainsFunc(allowed, t.info.Policy.Equal) {
		return refuse(CheckPolicy, "issued under %v, which is not among the policies of this authority", t.info.Policy)
	}
	return nil
}

// checkRequest checks what RFC 3161 § 2.4.2 says a requester must, beside the
// imprint. Verify is given the imprint, because tokens outlive requests.
func (t *Token) checkRequest(r *Request) error {
	if t.info.Nonce == nil || r.Nonce == nil || t.info.Nonce.Cmp(r.Nonce) != 0 {
		return refuse(CheckNonce, "the token does not answer this request")
	}
	if !bytes.Equal(t.info.Imprint.Digest, r.Imprint[:]) {
		return refuse(CheckImprint, "the request was about other bytes")
	}
	if r.Policy != nil && !r.Policy.Equal(t.info.Policy) {
		return refuse(CheckPolicy, "issued under %v, asked for was %v", t.info.Policy, r.Policy)
	}
	return nil
}

// checkName checks that an authority that names itself in the token (tsa, RFC
// 3161 § 2.4.2) is the one whose certificate signed. A name is a directory name,
// spelled as in the certificate.
func (t *Token) checkName(leaf *x509.Certificate) error {
	if len(t.info.TSA.FullBytes) == 0 {
		return nil
	}
	name, err := elements(t.info.TSA)
	if err != nil || len(name) != 1 || !bytes.Equal(directoryName(name[0]), leaf.RawSubject) {
		return refuse(CheckName, "the token names another authority than the signer's certificate")
	}
	return nil
}
