package timestamp

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// TestTrustStamp: a token counts if one of the trusted authorities made it, says
// who that is, and of what does not count why.
func TestTrustStamp(t *testing.T) {
	p, q := newPKI(t), newPKI(t)
	ours, theirs := p.authority(), q.authority()
	qualified := ours
	qualified.Qualified = true
	other := imprint
	other[0] ^= 1
	for _, c := range []struct {
		name      string
		trust     Trust
		imprint   ledger.Hash
		change    func(*forger)
		qualified bool
		refused   Check // "" if it counts
		text      string
		invalid   bool // not merely not counted
	}{
		{name: "the one that is trusted", trust: Trust{ours}},
		{name: "the second of two", trust: Trust{theirs, ours}},
		{name: "the first of two", trust: Trust{ours, theirs}},
		{name: "a qualified one", trust: Trust{qualified}, qualified: true},
		{name: "trusted twice, first as qualified", trust: Trust{qualified, ours}, qualified: true},
		{name: "trusted twice, then as qualified", trust: Trust{ours, qualified}, qualified: true},
		{name: "nobody is trusted", refused: "none", text: "no authority is trusted"},
		{name: "somebody else is", trust: Trust{theirs}, refused: CheckChain},
		{name: "what is wrong with it, before that others did not make it", trust: Trust{theirs, ours, theirs}, refused: CheckSignature,
			change: func(f *forger) { f.tsa = &party{f.tsa.cert, q.tsa.key} }},
		{name: "another policy than the one that counts", trust: Trust{{Pins: ours.Pins, Policies: []asn1.ObjectIdentifier{{2, 999, 7}}}}, refused: CheckPolicy},
		{name: "the same, before that others did not make it", trust: Trust{{Pins: []*x509.Certificate{p.tsa.cert}, Policies: []asn1.ObjectIdentifier{{2, 999, 7}}}, theirs},
			refused: CheckPolicy, change: func(f *forger) { f.certificates = nil }},
		{name: "nobody knows its certificate", trust: Trust{theirs}, refused: CheckSigner, change: func(f *forger) { f.certificates = nil }},
		{name: "an imprint of another kind", trust: Trust{ours}, refused: CheckImprintAlgorithm,
			change: func(f *forger) { f.info.Imprint.Algorithm = algorithmID(oidSHA1) }},
		{name: "unreadable", trust: Trust{ours}, refused: CheckEncoding, change: func(f *forger) { f.info.Version = 2 }},
		{name: "unreadable, of other bytes", trust: Trust{ours}, imprint: other, refused: CheckEncoding, change: func(f *forger) { f.info.Version = 2 }},
		{name: "of other bytes", trust: Trust{ours}, imprint: other, refused: CheckImprint, invalid: true},
		{name: "of other bytes, nobody is trusted", imprint: other, refused: CheckImprint, invalid: true},
		{name: "of other bytes, somebody else is", trust: Trust{theirs}, imprint: other, refused: CheckImprint, invalid: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := p.forger()
			f.info.Accuracy = accuracy{Seconds: big.NewInt(1), Millis: big.NewInt(1)}
			if c.change != nil {
				c.change(f)
			}
			if c.imprint == (ledger.Hash{}) {
				c.imprint = imprint
			}
			stamp, err := c.trust.Stamp(f.token(t), c.imprint)
			if c.refused == "" {
				want := ledger.Stamp{Time: stampTime, Accuracy: 1001 * time.Millisecond, Authority: p.tsa.cert.Subject.String(), Qualified: c.qualified}
				if err != nil || stamp != want {
					t.Errorf("got %+v, %v, want %+v", stamp, err, want)
				}
				return
			}
			if err == nil || stamp != (ledger.Stamp{}) {
				t.Fatalf("got %+v, %v", stamp, err)
			}
			if c.refused != "none" {
				wantCheck(t, err, c.refused)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
			if counted := !errors.Is(err, ledger.ErrNotCounted); counted != c.invalid {
				t.Errorf("%v: speaks against whoever recorded it: %v, want %v", err, counted, c.invalid)
			}
		})
	}
}

// TestTrustStampKept: a token that openssl made, of an authority whose certificate
// has expired since.
func TestTrustStampKept(t *testing.T) {
	response, by := golden(t)
	token, err := ParseResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Trust{by}.Stamp(token.Bytes(), imprint)
	want := ledger.Stamp{Time: time.Date(2026, 11, 22, 10, 52, 31, 776_000_000, time.UTC), Accuracy: 1500100 * time.Microsecond,
		Authority: "CN=openssl,O=Zeitstempel GmbH", Qualified: true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := (Trust{by}).Stamp(response, imprint); !errors.Is(err, ledger.ErrNotCounted) {
		t.Errorf("a response instead of its token: %v", err)
	}
}
