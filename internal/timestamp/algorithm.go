package timestamp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for digest
	_ "crypto/sha512" // for digest
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
)

var (
	oidSignedData           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo              = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidKeyUsage             = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtendedKeyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}

	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidRSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1} // in CMS the digest algorithm completes it
)

// algorithms is everything that is strong enough: a hash, the signatures over
// it, and what CMS and X.509 call them.
var algorithms = []struct {
	hash       crypto.Hash
	oid        asn1.ObjectIdentifier
	rsaOID     asn1.ObjectIdentifier
	ecdsaOID   asn1.ObjectIdentifier
	rsa, ecdsa x509.SignatureAlgorithm
}{
	{crypto.SHA256, oidSHA256, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2},
		x509.SHA256WithRSA, x509.ECDSAWithSHA256},
	{crypto.SHA384, oidSHA384, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3},
		x509.SHA384WithRSA, x509.ECDSAWithSHA384},
	{crypto.SHA512, oidSHA512, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4},
		x509.SHA512WithRSA, x509.ECDSAWithSHA512},
}

// plain reports whether an algorithm has no parameters: none, or NULL, which
// both occur (RFC 5754 § 2).
func plain(a pkix.AlgorithmIdentifier) bool {
	return len(a.Parameters.FullBytes) == 0 || string(a.Parameters.FullBytes) == string(asn1.NullBytes)
}

// hashOf gives the hash function that is meant, if it is strong enough.
func hashOf(a pkix.AlgorithmIdentifier) (crypto.Hash, error) {
	for _, known := range algorithms {
		if known.oid.Equal(a.Algorithm) && plain(a) {
			return known.hash, nil
		}
	}
	return 0, refuse(CheckAlgorithm, "%v is no hash function that is strong enough", a.Algorithm)
}

// digest hashes with a function that hashOf gave.
func digest(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// signatureAlgorithm gives the signature that is meant. It must be made over the
// same hash as the messageDigest: two of different strength are as strong as the
// weaker one, and an attacker would choose.
func signatureAlgorithm(a pkix.AlgorithmIdentifier, hash crypto.Hash) (x509.SignatureAlgorithm, error) {
	for _, known := range algorithms {
		if known.hash != hash || !plain(a) {
			continue
		}
		switch {
		case a.Algorithm.Equal(oidRSA), a.Algorithm.Equal(known.rsaOID):
			return known.rsa, nil
		case a.Algorithm.Equal(known.ecdsaOID):
			return known.ecdsa, nil
		}
	}
	return 0, refuse(CheckAlgorithm, "%v is no signature that is strong enough, or not over the same hash as the content", a.Algorithm)
}

// usableKey reports whether a public key is strong enough, and not so large that
// it is there to waste time.
func usableKey(public any) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, k.Curve)
	}
	return false
}
