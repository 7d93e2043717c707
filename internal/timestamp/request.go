package timestamp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// Request asks an authority for a token (RFC 3161 § 2.4.1).
type Request struct {
	// Imprint is the SHA-256 of the bytes to be stamped.
	Imprint [sha256.Size]byte
	// Nonce makes an old answer useless: 64 random bits.
	Nonce *big.Int
	// Policy is the authority's policy that is asked for; nil: its default.
	Policy asn1.ObjectIdentifier
}

// NewRequest gives a request with a fresh nonce.
func NewRequest(imprint [sha256.Size]byte, policy asn1.ObjectIdentifier) *Request {
	var nonce [8]byte
	rand.Read(nonce[:]) // never fails
	return &Request{Imprint: imprint, Nonce: new(big.Int).SetBytes(nonce[:]), Policy: policy}
}

// Marshal gives the TimeStampReq in DER, the body of an HTTP request with the
// media type application/timestamp-query (RFC 3161 § 3.4). It asks for the
// signer's certificate. It fails on a Policy that is no object identifier.
func (r *Request) Marshal() ([]byte, error) {
	der, err := asn1.Marshal(timeStampReq{
		Version: 1,
		Imprint: messageImprint{
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue},
			Digest:    r.Imprint[:],
		},
		Policy:  r.Policy,
		Nonce:   r.Nonce,
		CertReq: true,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding a time-stamp request: %w", err)
	}
	return der, nil
}

type timeStampReq struct {
	Version int
	Imprint messageImprint
	Policy  asn1.ObjectIdentifier `asn1:"optional"`
	Nonce   *big.Int              `asn1:"optional"`
	CertReq bool                  `asn1:"optional"`
}
