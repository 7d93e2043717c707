package timestamp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// malformed are tokens that say nothing that could be verified, each a change of
// a good one.
var malformed = []struct {
	name   string
	change func(*testing.T, *forger)
}{
	{"TSTInfo of version 2", func(_ *testing.T, f *forger) { f.info.Version = 2 }},
	{"a member behind the last one of TSTInfo", content(func(der []byte) []byte { return append(der, 5, 0) })},
	{"ordering spelled out although it is the default", func(_ *testing.T, f *forger) {
		f.info.Ordering = true
		f.content = func(der []byte) []byte {
			return bytes.Replace(der, []byte{1, 1, 0xff}, []byte{1, 1, 0}, 1)
		}
	}},
	{"ordering that is neither true nor false", func(_ *testing.T, f *forger) {
		f.info.Ordering = true
		f.content = func(der []byte) []byte { return bytes.Replace(der, []byte{1, 1, 0xff}, []byte{1, 1, 1}, 1) }
	}},
	{"a number with a leading zero", content(func(der []byte) []byte {
		return bytes.Replace(der, []byte{2, 2, 0x12, 0x67}, []byte{2, 3, 0, 0x12, 0x67}, 1)
	})},
	{"a length longer than needed", func(_ *testing.T, f *forger) {
		f.content = func(der []byte) []byte { return append([]byte{0x30, 0x81, der[1]}, der[2:]...) }
	}},
	{"an indefinite length", func(_ *testing.T, f *forger) {
		f.content = func(der []byte) []byte { return append(append([]byte{0x30, 0x80}, der[2:]...), 0, 0) }
	}},
	{"bytes behind TSTInfo", func(_ *testing.T, f *forger) { f.content = func(der []byte) []byte { return append(der, 0) } }},
	{"a negative serial number", func(_ *testing.T, f *forger) { f.info.Serial = big.NewInt(-1) }},
	{"a serial number of 161 bits", func(_ *testing.T, f *forger) { f.info.Serial = new(big.Int).Lsh(big.NewInt(1), 160) }},
	{"accuracy of no milliseconds", func(_ *testing.T, f *forger) { f.info.Accuracy.Millis = big.NewInt(0) }},
	{"accuracy of 1000 microseconds", func(_ *testing.T, f *forger) { f.info.Accuracy.Micros = big.NewInt(1000) }},
	{"accuracy below zero", func(_ *testing.T, f *forger) { f.info.Accuracy.Seconds = big.NewInt(-1) }},
	{"accuracy of more than a day", func(_ *testing.T, f *forger) { f.info.Accuracy.Seconds = big.NewInt(86401) }},
	{"accuracy that does not fit", func(_ *testing.T, f *forger) { f.info.Accuracy.Seconds = new(big.Int).Lsh(big.NewInt(1), 64) }},
	{"genTime as UTCTime", func(_ *testing.T, f *forger) { f.info.Time.Tag = asn1.TagUTCTime }},
	{"genTime of another class", func(_ *testing.T, f *forger) { f.info.Time.Class = asn1.ClassContextSpecific }},
	{"genTime constructed", func(_ *testing.T, f *forger) { f.info.Time.IsCompound = true }},
	{"genTime with a zero behind the fraction", genTime("20200601120000.250Z")},
	{"genTime with an empty fraction", genTime("20200601120000.Z")},
	{"genTime with a fraction of ten digits", genTime("20200601120000.1234567891Z")},
	{"genTime with a comma", genTime("20200601120000,25Z")},
	{"genTime with a time zone", genTime("20200601120000+0100")},
	{"genTime without its Z", genTime("20200601120000")},
	{"genTime without seconds", genTime("202006011200Z")},
	{"genTime with a leap second", genTime("20161231235960Z")},
	{"genTime on a day that is none", genTime("20210229120000Z")},
	{"genTime in the year 1", genTime("00010101000000Z")},
	{"SignedData of version 1", after(func(c *contentInfo) { c.Content.Version = 1 })},
	{"another content type outside", after(func(c *contentInfo) { c.Type = oidTSTInfo })},
	{"another content type inside", after(func(c *contentInfo) { c.Content.Encapsulated.Type = oidSignedData })},
	{"the digest algorithm is not listed", after(func(c *contentInfo) { c.Content.DigestAlgorithms[0] = algorithmID(oidSHA512) })},
	{"signers as a SEQUENCE", after(func(c *contentInfo) { c.Content.Signers = retag(c.Content.Signers.FullBytes, 0x30) })},
	{"signers of another class", after(func(c *contentInfo) { c.Content.Signers = retag(c.Content.Signers.FullBytes, 0xb1) })},
	{"signers not constructed", after(func(c *contentInfo) { c.Content.Signers = retag(c.Content.Signers.FullBytes, 0x11) })},
	{"certificates not constructed", after(func(c *contentInfo) { c.Content.Certificates = retag(c.Content.Certificates.FullBytes, 0x80) })},
	{"a certificate that is none", after(func(c *contentInfo) {
		c.Content.Certificates = set(0xa0, asn1.RawValue{FullBytes: []byte{0x30, 0}})
	})},
	{"17 certificates", func(_ *testing.T, f *forger) {
		for len(f.certificates) < 17 {
			f.certificates = append(f.certificates, f.certificates[0])
		}
	}},
	{"SignerInfo of version 3", signer(func(s *signerInfo) { s.Version = 3 })},
	{"signed attributes not constructed", signer(func(s *signerInfo) { s.SignedAttributes = retag(s.SignedAttributes.FullBytes, 0x80) })},
	{"no signed attributes", signer(func(s *signerInfo) { s.SignedAttributes = retag([]byte{5, 0}, 5) })},
	{"signed attributes in another order", signer(func(s *signerInfo) {
		all, _ := elements(s.SignedAttributes)
		all[0], all[1] = all[1], all[0]
		s.SignedAttributes = set(0xa0, all...)
	})},
}

func content(change func(members []byte) []byte) func(*testing.T, *forger) {
	return func(t *testing.T, f *forger) {
		f.content = func(der []byte) []byte {
			var v asn1.RawValue
			if _, err := asn1.Unmarshal(der, &v); err != nil {
				t.Fatal(err)
			}
			changed := encode(t, asn1.RawValue{Tag: v.Tag, IsCompound: true, Bytes: change(bytes.Clone(v.Bytes))})
			if bytes.Equal(changed, der) {
				t.Fatal("nothing was changed")
			}
			return changed
		}
	}
}

func genTime(s string) func(*testing.T, *forger) {
	return func(_ *testing.T, f *forger) { f.info.Time = generalizedTime(s) }
}

func after(change func(*contentInfo)) func(*testing.T, *forger) {
	return func(_ *testing.T, f *forger) { f.after = change }
}

func signer(change func(*signerInfo)) func(*testing.T, *forger) {
	return func(t *testing.T, f *forger) {
		f.signers = func(right asn1.RawValue) []asn1.RawValue {
			var s signerInfo
			if _, err := asn1.Unmarshal(right.FullBytes, &s); err != nil {
				t.Fatal(err)
			}
			change(&s)
			return []asn1.RawValue{{FullBytes: encode(t, s)}}
		}
	}
}

func TestMalformed(t *testing.T) {
	p := newPKI(t)
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			f := p.forger()
			c.change(t, f)
			token, err := ParseToken(f.token(t))
			if token != nil {
				t.Error("there is a token")
			}
			wantCheck(t, err, CheckEncoding)
		})
	}
}

// TestTime: what a genTime and an accuracy may say.
func TestTime(t *testing.T) {
	p := newPKI(t)
	for s, want := range map[string]time.Time{
		"20200601120000Z":           time.Date(2020, 6, 1, 12, 0, 0, 0, time.UTC),
		"20200601120000.5Z":         time.Date(2020, 6, 1, 12, 0, 0, 500_000_000, time.UTC),
		"20200229235959.123456789Z": time.Date(2020, 2, 29, 23, 59, 59, 123456789, time.UTC),
	} {
		f := p.forger()
		f.info.Time = generalizedTime(s)
		f.info.Accuracy = accuracy{Seconds: big.NewInt(0), Micros: big.NewInt(999)}
		token, err := ParseToken(f.token(t))
		if err != nil {
			t.Fatal(s, err)
		}
		stamp, err := Verify(token, imprint, p.authority(), nil)
		if err != nil || stamp.Time != want || stamp.Accuracy != 999*time.Microsecond {
			t.Errorf("%s is read as %+v, %v", s, stamp, err)
		}
	}
}

func TestResponse(t *testing.T) {
	p := newPKI(t)
	token := asn1.RawValue{FullBytes: p.forger().token(t)}
	for _, c := range []struct {
		name string
		resp timeStampResp
		want Check
		says string
	}{
		{"granted", timeStampResp{Token: token}, "", ""},
		{"granted with words", timeStampResp{Status: statusInfo{Text: []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte("gern")}}}, Token: token}, "", ""},
		{"granted without a token", timeStampResp{}, CheckEncoding, "without a token"},
		{"granted with modifications", timeStampResp{Status: statusInfo{Status: 1}, Token: token}, CheckStatus, "granted with modifications"},
		{"rejected, with a token all the same", timeStampResp{Status: statusInfo{Status: 2}, Token: token}, CheckStatus, "rejection"},
		{"rejected with words", timeStampResp{Status: statusInfo{Status: 2,
			Text:    []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte("geheim")}},
			Failure: asn1.BitString{Bytes: []byte{0, 2, 0, 0x40}, BitLength: 26}}}, CheckStatus, "rejection, timeNotAvailable, systemFailure"},
		{"a status that nobody knows", timeStampResp{Status: statusInfo{Status: -7}}, CheckStatus, "status -7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseResponse(encode(t, c.resp))
			if c.want == "" {
				if err != nil || !bytes.Equal(got.Bytes(), token.FullBytes) {
					t.Errorf("got %v", err)
				}
				return
			}
			wantCheck(t, err, c.want)
			if !strings.HasSuffix(err.Error(), c.says) {
				t.Errorf("says %q", err)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	_, err := ParseToken(make([]byte, MaxTokenSize+1))
	wantCheck(t, err, CheckEncoding)
	if !strings.HasSuffix(err.Error(), "a token of 262145 bytes, at most 262144 are read") {
		t.Error(err)
	}
	_, err = ParseResponse(make([]byte, MaxResponseSize+1))
	wantCheck(t, err, CheckEncoding)
	if !strings.HasSuffix(err.Error(), "a response of 266241 bytes, at most 266240 are read") {
		t.Error(err)
	}
	p := newPKI(t)
	f := p.forger()
	f.info.Extensions = []pkix.Extension{{Id: unknownUsage, Value: make([]byte, MaxTokenSize-4096)}}
	if token, err := ParseToken(f.token(t)); err != nil {
		t.Error(err)
	} else if _, err := Verify(token, imprint, p.authority(), nil); err != nil {
		t.Error(err)
	}
}

// TestLongErrors: an error does not repeat what somebody wrote into a token at
// length.
func TestLongErrors(t *testing.T) {
	p := newPKI(t)
	f := p.forger()
	f.info.Extensions = []pkix.Extension{{Id: append(asn1.ObjectIdentifier{2, 999}, make([]int, 10_000)...), Critical: true}}
	token, err := ParseToken(f.token(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Verify(token, imprint, p.authority(), nil)
	wantCheck(t, err, CheckExtension)
	if len(err.Error()) > 400 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// TestDirectoryName: what is spelled like one in another form of name is none.
func TestDirectoryName(t *testing.T) {
	name := []byte{0x30, 0}
	for _, v := range []asn1.RawValue{
		{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: name},
		{Class: asn1.ClassContextSpecific, Tag: 4, Bytes: name},
		{Class: asn1.ClassUniversal, Tag: 4, IsCompound: true, Bytes: name},
	} {
		if directoryName(v) != nil {
			t.Errorf("%+v is taken for one", v)
		}
	}
}

// TestPins: what a file of pinned certificates may be.
func TestPins(t *testing.T) {
	p := newPKI(t)
	one, two := pemOf(p.root.cert), pemOf(p.root.cert, p.ca.cert)
	for _, c := range []struct {
		name string
		text []byte
		want []*x509.Certificate
	}{
		{"one", one, []*x509.Certificate{p.root.cert}},
		{"two, with text", append([]byte("trusted list of 2026\n"), two...), []*x509.Certificate{p.root.cert, p.ca.cert}},
		{"nothing", nil, nil},
		{"text", []byte("no certificate"), nil},
		{"DER", p.root.cert.Raw, nil},
		{"a key", []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), nil},
		{"a certificate that calls itself something else", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: p.root.cert.Raw}), nil},
		{"the second is cut off", two[:len(two)-30], nil},
		{"the first is cut off", slices.Concat(one[:len(one)-30], []byte("\n"), one), nil},
		{"the second is none", append(bytes.Clone(one), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParsePins(c.text)
			if (err == nil) != (c.want != nil) || len(got) != len(c.want) {
				t.Fatalf("got %d, %v", len(got), err)
			}
			for i := range got {
				if !got[i].Equal(c.want[i]) {
					t.Errorf("certificate %d is another one", i+1)
				}
			}
		})
	}
}
