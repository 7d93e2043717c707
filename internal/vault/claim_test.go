package vault

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// A claim is found by the entry that commits to it, also when the decision wrote
// several entries, had more claims than a row takes, and others came before and after.
func TestClaimsOfManyDecisions(t *testing.T) {
	v := newVault(t, testOptions(t))
	p := addPeople(t, v, 1, 5)[0]
	k := p.keys[5]
	const decisions, entries = 20, 3
	added := make(map[ledger.Index][]Claim)
	for i := range decisions {
		since, size, n := ledger.Index(10+i*entries), 1, 1+i%3
		if i == 7 {
			size, n = 55_000, 6
		}
		for j := range n {
			added[since] = append(added[since], Claim{Disclosure: ledger.NewDisclosure("reason", strings.Repeat(fmt.Sprint(j), size))})
		}
		inGroup(t, v, func(d *Draft) {
			// A decision may add them in several calls.
			check(t, d.AddClaims(k, since, added[since][:1]...))
			check(t, d.AddClaims(k, since, added[since][1:]...))
		})
	}
	w := v.view()
	defer w.release()
	if rows, err := w.claims(k, func(Claim) {}); err != nil || rows < decisions+2 {
		t.Errorf("%d rows, %v", rows, err)
	}
	for since, claims := range added {
		for _, c := range claims {
			digest := c.Disclosure.Digest()
			for at := since; at < since+entries; at++ {
				if d, _, ok, err := w.OpenClaim(k, at, digest); err != nil || !ok || d != c.Disclosure {
					t.Errorf("a claim of the decision at %d, by entry %d: %v, %v", since, at, ok, err)
				}
			}
			for _, at := range []ledger.Index{since - 1, since + entries} {
				if _, _, ok, err := w.OpenClaim(k, at, digest); at < 10+decisions*entries && (ok || err != nil) {
					t.Errorf("a claim of the decision at %d is found by entry %d: %v", since, at, err)
				}
			}
		}
	}
	p.verify(t, v)
}

func TestMACs(t *testing.T) {
	k := newSecret()
	for n := range 200 {
		message := bytes.Repeat([]byte{byte(n)}, n)
		h := hmac.New(sha256.New, k[:])
		h.Write(message)
		if got := macOf(k, message); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("the HMAC of %d bytes is another than crypto/hmac's", n)
		}
		info := labelPrefix + "label\x00" + string(message)
		want, err := hkdf.Expand(sha256.New, k[:], info, 32)
		check(t, err)
		if got := derive(k, "label", string(message)); !bytes.Equal(got[:], want) {
			t.Errorf("the key derived with %d bytes is another than crypto/hkdf's", n)
		}
	}
}
