package timestamp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Limits of what is read. Tokens of today's authorities have 1 to 10 KiB; those
// that carry revocation lists are larger.
const (
	MaxTokenSize    = 256 << 10            // bytes of a token
	MaxResponseSize = MaxTokenSize + 4<<10 // bytes of a response with a token in it
	maxCertificates = 16                   // in a token
	maxSerialBits   = 160                  // RFC 3161 § 2.4.2
	maxAccuracy     = 24 * time.Hour       // what is less certain than a day is no time stamp
)

// Token is a token that was taken apart. Nothing that it says may be believed
// before [Verify]. It never changes and is safe for concurrent use.
type Token struct {
	raw          []byte
	content      []byte // the encoded info: what the signer's messageDigest is about
	info         tstInfo
	time         time.Time
	accuracy     time.Duration
	certificates []*x509.Certificate
	signer       signerInfo
	attributes   []attribute // of the signer, signed
}

// Bytes gives the token in DER, to be stored; it is not to be changed. Such a
// file has the name extension .tst, and openssl reads it with -token_in.
func (t *Token) Bytes() []byte { return t.raw }

// The structures of RFC 3161 and RFC 5652, where a field that is not looked
// into is kept as it is.
type (
	timeStampResp struct {
		Status statusInfo
		Token  asn1.RawValue `asn1:"optional"`
	}
	statusInfo struct {
		Status  int
		Text    []asn1.RawValue `asn1:"optional"`
		Failure asn1.BitString  `asn1:"optional"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content signedData `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version          int
		DigestAlgorithms []pkix.AlgorithmIdentifier `asn1:"set"`
		Encapsulated     encapsulated
		Certificates     asn1.RawValue `asn1:"optional,tag:0"` // authorities do not sort this set
		CRLs             asn1.RawValue `asn1:"optional,tag:1"`
		Signers          asn1.RawValue
	}
	encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	signerInfo struct {
		Version            int
		ID                 issuerAndSerial
		DigestAlgorithm    pkix.AlgorithmIdentifier
		SignedAttributes   asn1.RawValue `asn1:"tag:0"`
		SignatureAlgorithm pkix.AlgorithmIdentifier
		Signature          []byte
		UnsignedAttributes asn1.RawValue `asn1:"optional,tag:1"`
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	tstInfo struct {
		Version    int
		Policy     asn1.ObjectIdentifier
		Imprint    messageImprint
		Serial     *big.Int
		Time       asn1.RawValue    // encoding/asn1 would allow time zones and lose fractions
		Accuracy   accuracy         `asn1:"optional"`
		Ordering   bool             `asn1:"optional"`
		Nonce      *big.Int         `asn1:"optional"`
		TSA        asn1.RawValue    `asn1:"optional,tag:0"`
		Extensions []pkix.Extension `asn1:"optional,tag:1"`
	}
	messageImprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	accuracy struct { // pointers tell zero from absent
		Seconds *big.Int `asn1:"optional"`
		Millis  *big.Int `asn1:"optional,tag:0"`
		Micros  *big.Int `asn1:"optional,tag:1"`
	}
)

// ParseResponse takes a TimeStampResp apart, what an authority answers over HTTP
// with the media type application/timestamp-reply: at most [MaxResponseSize]
// bytes of DER. Only the status granted will do: a request that leaves an
// authority nothing to modify needs no modification. Every error is an [*Error].
func ParseResponse(der []byte) (*Token, error) {
	if len(der) > MaxResponseSize {
		return nil, refuse(CheckEncoding, "a response of %d bytes, at most %d are read", len(der), MaxResponseSize)
	}
	var resp timeStampResp
	if err := strict(der, &resp); err != nil {
		return nil, refuse(CheckEncoding, "reading TimeStampResp: %v", err)
	}
	if resp.Status.Status != 0 {
		return nil, refuse(CheckStatus, "%s", resp.Status)
	}
	if len(resp.Token.FullBytes) == 0 {
		return nil, refuse(CheckEncoding, "granted, but without a token")
	}
	return ParseToken(resp.Token.FullBytes)
}

// String names what stands in RFC 3161 § 2.4.2, and leaves the authority's own
// words out.
func (s statusInfo) String() string {
	statuses := []string{"granted", "granted with modifications", "rejection", "waiting", "revocation warning", "revocation notification"}
	text := fmt.Sprintf("status %d", s.Status)
	if s.Status >= 0 && s.Status < len(statuses) {
		text = statuses[s.Status]
	}
	failures := []struct {
		bit  int
		name string
	}{{0, "badAlg"}, {2, "badRequest"}, {5, "badDataFormat"}, {14, "timeNotAvailable"}, {15, "unacceptedPolicy"},
		{16, "unacceptedExtension"}, {17, "addInfoNotAvailable"}, {25, "systemFailure"}}
	for _, f := range failures {
		if s.Failure.At(f.bit) == 1 {
			text += ", " + f.name
		}
	}
	return text
}

// ParseToken takes a TimeStampToken apart: at most [MaxTokenSize] bytes of DER.
// The token keeps a copy of them. Every error is an [*Error].
func ParseToken(der []byte) (*Token, error) {
	if len(der) > MaxTokenSize {
		return nil, refuse(CheckEncoding, "a token of %d bytes, at most %d are read", len(der), MaxTokenSize)
	}
	t := &Token{raw: bytes.Clone(der)}
	var outer contentInfo
	if err := strict(t.raw, &outer); err != nil {
		return nil, refuse(CheckEncoding, "reading ContentInfo: %v", err)
	}
	signed := outer.Content
	if !outer.Type.Equal(oidSignedData) || signed.Version != 3 || !signed.Encapsulated.Type.Equal(oidTSTInfo) {
		return nil, refuse(CheckEncoding, "not a SignedData of version 3 with a TSTInfo in it")
	}
	t.content = signed.Encapsulated.Content
	if err := t.parseInfo(); err != nil {
		return nil, err
	}
	if err := t.parseSigner(signed); err != nil {
		return nil, err
	}
	if err := t.parseCertificates(signed.Certificates); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Token) parseInfo() error {
	if err := strict(t.content, &t.info); err != nil {
		return refuse(CheckEncoding, "reading TSTInfo: %v", err)
	}
	if t.info.Version != 1 {
		return refuse(CheckEncoding, "a TSTInfo of version %d, want 1", t.info.Version)
	}
	if s := t.info.Serial; s.Sign() < 0 || s.BitLen() > maxSerialBits {
		return refuse(CheckEncoding, "a serial number that is negative or has more than %d bits", maxSerialBits)
	}
	var err error
	if t.time, err = parseTime(t.info.Time); err != nil {
		return err
	}
	t.accuracy, err = t.info.Accuracy.duration()
	return err
}

// parseTime reads a genTime as RFC 3161 § 2.4.2 wants it: UTC, seconds, and a
// fraction without trailing zeros; at most nine digits of it.
func parseTime(v asn1.RawValue) (time.Time, error) {
	if v.Class != asn1.ClassUniversal || v.Tag != asn1.TagGeneralizedTime || v.IsCompound {
		return time.Time{}, refuse(CheckEncoding, "genTime is no GeneralizedTime")
	}
	at, err := time.Parse("20060102150405Z", string(v.Bytes))
	if err != nil || at.Format("20060102150405.999999999Z") != string(v.Bytes) {
		return time.Time{}, refuse(CheckEncoding, "genTime is not spelled YYYYMMDDhhmmss[.s…]Z")
	}
	if at.Year() < 1970 { // the year 1 would mean now to crypto/x509
		return time.Time{}, refuse(CheckEncoding, "genTime is before 1970")
	}
	return at, nil
}

func (a accuracy) duration() (time.Duration, error) {
	var sum time.Duration
	for _, part := range []struct {
		n        *big.Int
		unit     time.Duration
		min, max int64
	}{
		{a.Seconds, time.Second, 0, int64(maxAccuracy / time.Second)},
		{a.Millis, time.Millisecond, 1, 999},
		{a.Micros, time.Microsecond, 1, 999},
	} {
		if part.n == nil {
			continue
		}
		if !part.n.IsInt64() || part.n.Int64() < part.min || part.n.Int64() > part.max {
			return 0, refuse(CheckEncoding, "an accuracy out of its range")
		}
		sum += time.Duration(part.n.Int64()) * part.unit
	}
	return sum, nil
}

func (t *Token) parseSigner(signed signedData) error {
	set := signed.Signers
	if set.Class != asn1.ClassUniversal || set.Tag != asn1.TagSet {
		return refuse(CheckEncoding, "signerInfos is no SET")
	}
	signers, err := elements(set)
	if err != nil {
		return refuse(CheckEncoding, "reading signerInfos: %v", err)
	}
	if len(signers) != 1 {
		return refuse(CheckSigners, "%d signers, want exactly one", len(signers))
	}
	if err := strict(signers[0].FullBytes, &t.signer); err != nil {
		return refuse(CheckEncoding, "reading SignerInfo: %v", err)
	}
	if t.signer.Version != 1 {
		return refuse(CheckEncoding, "a SignerInfo of version %d, want 1", t.signer.Version)
	}
	listed := func(a pkix.AlgorithmIdentifier) bool { return a.Algorithm.Equal(t.signer.DigestAlgorithm.Algorithm) }
	if !slices.ContainsFunc(signed.DigestAlgorithms, listed) {
		return refuse(CheckEncoding, "the signer's digest algorithm is not listed in SignedData")
	}
	if !t.signer.SignedAttributes.IsCompound {
		return refuse(CheckEncoding, "the signed attributes are not constructed")
	}
	if err := strictAs(t.signer.signedBytes(), &t.attributes, "set"); err != nil {
		return refuse(CheckEncoding, "reading the signed attributes: %v", err)
	}
	return nil
}

func (t *Token) parseCertificates(set asn1.RawValue) error {
	if len(set.FullBytes) == 0 {
		return nil
	}
	all, err := elements(set)
	if err != nil {
		return refuse(CheckEncoding, "reading the certificates: %v", err)
	}
	if len(all) > maxCertificates {
		return refuse(CheckEncoding, "%d certificates, at most %d are read", len(all), maxCertificates)
	}
	for i, der := range all {
		c, err := x509.ParseCertificate(der.FullBytes)
		if err != nil {
			return refuse(CheckEncoding, "certificate %d of %d cannot be read", i+1, len(all))
		}
		t.certificates = append(t.certificates, c)
	}
	return nil
}

// strict reads DER that is one value and nothing behind it, and refuses what
// encoding/asn1 lets pass: members behind the known ones, values that equal
// their default, unsorted sets.
func strict[T any](der []byte, to *T) error { return strictAs(der, to, "") }

// strictAs is strict for what a field's parameters change, as in "set".
func strictAs[T any](der []byte, to *T, params string) error {
	rest, err := asn1.UnmarshalWithParams(der, to, params)
	if err != nil {
		return errors.New("it is of another structure, cut off, or no DER") // err would print Go's types
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes behind it", len(rest))
	}
	again, err := asn1.MarshalWithParams(*to, params)
	if err != nil || !bytes.Equal(again, der) {
		return errors.New("it is not spelled in the one way that DER allows")
	}
	return nil
}

// elements gives what a constructed value consists of.
func elements(v asn1.RawValue) ([]asn1.RawValue, error) {
	if !v.IsCompound {
		return nil, errors.New("it is not constructed")
	}
	var all []asn1.RawValue
	for rest := v.Bytes; len(rest) > 0; {
		var e asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}
