package timestamp

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// golden is what openssl answered once, in testdata: 3.0.19 with the
// configuration in openssl_test.go, signer_digest and ess_cert_id_alg sha256,
// keys on P-256, and a certificate of two days, so that it has expired.
func golden(t testing.TB) (response []byte, by Authority) {
	t.Helper()
	pins, err := ParsePins(read(t, "testdata", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, "testdata", "answer.tsr"), Authority{Pins: pins, Qualified: true}
}

// said is what of a stamp can be compared.
type said struct {
	Time      time.Time
	Accuracy  time.Duration
	Policy    string
	Serial    string
	TSA       string
	Chain     []string
	Qualified bool
}

func says(s *Stamp) said {
	v := said{s.Time, s.Accuracy, s.Policy.String(), s.Serial.String(), s.TSA, nil, s.Qualified}
	for _, c := range s.Chain {
		v.Chain = append(v.Chain, string(c.Raw))
	}
	return v
}

func TestGolden(t *testing.T) {
	response, by := golden(t)
	token, err := ParseResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	clear(response) // the token keeps a copy
	stamp, err := Verify(token, imprint, by, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := said{time.Date(2026, 11, 22, 10, 52, 31, 776_000_000, time.UTC), 1500100 * time.Microsecond, "2.999.1", "1311768467294899696",
		"CN=openssl,O=Zeitstempel GmbH", []string{string(stamp.Chain[0].Raw), string(by.Pins[0].Raw)}, true}
	if got := says(stamp); !reflect.DeepEqual(got, want) {
		t.Errorf("it says %+v", got)
	}
}

// TestTruncated: a response or token that lacks its end, or has something behind
// it, is refused at every length.
func TestTruncated(t *testing.T) {
	response, _ := golden(t)
	whole, err := ParseResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		der   []byte
		parse func([]byte) (*Token, error)
	}{{response, ParseResponse}, {whole.Bytes(), ParseToken}} {
		for n := range c.der {
			_, err := c.parse(c.der[:n])
			wantCheck(t, err, CheckEncoding)
		}
		for _, more := range [][]byte{{0}, {0x30, 0}, c.der} {
			_, err := c.parse(append(bytes.Clone(c.der), more...))
			wantCheck(t, err, CheckEncoding)
			if !strings.HasSuffix(err.Error(), fmt.Sprintf(": %d bytes behind it", len(more))) {
				t.Error(err)
			}
		}
	}
}

// TestFlipped: whichever bit is turned, the response is refused, or says exactly
// what it said: some bits are part of nothing that is signed or read.
func TestFlipped(t *testing.T) {
	response, by := golden(t)
	whole, err := ParseResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := Verify(whole, imprint, by, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, indifferent := says(stamp), 0
	for i := range 8 * len(response) {
		damaged := bytes.Clone(response)
		damaged[i/8] ^= 1 << (i % 8)
		token, err := ParseResponse(damaged)
		if err != nil {
			continue
		}
		if _, err := Verify(token, sha256.Sum256(nil), by, nil); err == nil {
			t.Fatalf("bit %d turned: it is about other bytes", i)
		}
		if stamp, err = Verify(token, imprint, by, nil); err != nil {
			continue
		}
		if indifferent++; !reflect.DeepEqual(says(stamp), want) {
			t.Errorf("bit %d turned: it says %+v", i, stamp)
		}
	}
	t.Logf("%d of %d bits change nothing", indifferent, 8*len(response))
}

// FuzzToken: nothing makes the parsers panic, and whatever verifies is what the
// authority signed.
func FuzzToken(f *testing.F) {
	response, by := golden(f)
	whole, err := ParseResponse(response)
	if err != nil {
		f.Fatal(err)
	}
	stamp, err := Verify(whole, imprint, by, nil)
	if err != nil {
		f.Fatal(err)
	}
	want := says(stamp)
	f.Add(response)
	f.Add(whole.Bytes())
	f.Add([]byte{0x30, 5, 0x30, 3, 2, 1, 2})
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, parse := range []func([]byte) (*Token, error){ParseResponse, ParseToken} {
			token, err := parse(der)
			if (token == nil) != (err != nil) {
				t.Fatal("neither a token nor an error, or both")
			}
			if err != nil {
				continue
			}
			if _, err := Verify(token, sha256.Sum256(nil), by, nil); err == nil {
				t.Fatal("it is about other bytes")
			}
			if stamp, err := Verify(token, imprint, by, nil); err == nil && !reflect.DeepEqual(says(stamp), want) {
				t.Fatalf("it says %+v", stamp)
			}
		}
	})
}
