package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
)

// FuzzIdentifiers: of all spellings of an identifier one is kept, it is its own, and
// what is wrong with another is said without it.
func FuzzIdentifiers(f *testing.F) {
	for _, s := range []string{"erika@example.org", "Erika.MUSTERMANN+news@Example.ORG", "MU\u0308LLER@M\u00dcNCHEN.de", "a@XN--MNCHEN-3YA.de",
		"\u0130@example.org", "a@1.2.3.4", "a@b@c.de", "erika;@example.org", "\u037e@example.org", "a@\u2488.de", "a@b..de", "\"a b\"@c.de",
		"+49 (89) 123-456/7", "+49 (0)89 1234567", "+1234567", "+123456789012345", "+\u0661234567", "0049891234567", "customer-4711", "a b", "~"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, normalise := range map[string]func(string) (string, error){
			"email": NormaliseEmail, "phone": NormalisePhone, "external_id": NormaliseExternalID,
		} {
			got, err := normalise(s)
			if err != nil {
				if got != "" {
					t.Errorf("%s: %q beside an error", name, got)
				}
				if len(s) > 6 && strings.Contains(err.Error(), s) && !strings.Contains("has nothing after before the is not valid UTF-8 domain longer than bytes digits", s) {
					t.Errorf("%s: the reason %q has all of %q", name, err, s)
				}
				continue
			}
			if again, err := normalise(got); err != nil || again != got {
				t.Errorf("%s: %q becomes %q, and that %q, %v", name, s, got, again, err)
			}
			if !utf8.ValidString(got) || len(got) > 254 {
				t.Errorf("%s: %q becomes %q", name, s, got)
			}
			if name != "email" {
				continue
			}
			// The standard library knows the same address, unless it is of a kind
			// that RFC 5322 knows and RFC 5321 does not deliver to.
			if a, err := mail.ParseAddress(got); err != nil || a.Address != got || a.Name != "" {
				t.Errorf("%q becomes %q, which net/mail reads as %v, %v", s, got, a, err)
			}
		}
		if subject := (Subject{Email: s}); s != "" {
			id, err := subject.normalise("subject")
			if want, wantErr := NormaliseEmail(s); (err == nil) != (wantErr == nil) || err == nil && (id != Identifier{Email, want}) {
				t.Errorf("as a subject: %v, %v", id, err)
			}
		}
	})
}

// FuzzClaimValues: a claim is kept as it came or refused with its field's path, and a
// mask hides what it must.
func FuzzClaimValues(f *testing.F) {
	for name, value := range map[string]string{"name": "Erika Mustermann", "ip": "2001:db8::1%eth0", "user_agent": "Mozilla/5.0", "page_url": "https://erika:secret@shop.example/erika?x=1",
		"language": "de-AT", "x.ticket": "4711", "form_snapshot": `{"name":"form.html","media_type":"text/html","sha256":"` + strings.Repeat("0a", 32) + `"}`,
		"origin": "shop", "email": "erika@example.org", "typed": "+49 89 1234567", "": "x", "operator": "a\x00b"} {
		f.Add(name, value)
	}
	f.Add("ip", "::ffff:192.0.2.1")
	f.Add("ip", "192.0.2.0/24")
	f.Fuzz(func(t *testing.T, name, value string) {
		list, addr, err := splitClaims(map[string]string{name: value})
		var no *refusal.Error
		switch {
		case err != nil && (!errors.As(err, &no) || !strings.HasPrefix(err.Error(), "claims")):
			t.Errorf("refused as %v", err)
		case err != nil && len(value) > 20 && strings.Contains(err.Error(), value):
			t.Errorf("the reason has the value: %v", err)
		case err == nil && name == "ip":
			for _, policy := range ledger.IPPolicies() {
				for _, c := range ipClaim(policy, addr) {
					kept := c.disclosure.Value
					p, err := netip.ParsePrefix(kept)
					a, addrErr := netip.ParseAddr(kept)
					if strings.Contains(kept, "%") || (err != nil || p != p.Masked()) == (addrErr != nil) || addrErr == nil && a.Is4In6() {
						t.Errorf("of %q %q is kept under the policy %s", value, kept, policy)
					}
					if network := networkOf(kept); network != ipClaim(ledger.DefaultIPPolicy, addr)[0].disclosure.Value {
						t.Errorf("the network of %q is %q", kept, network)
					}
				}
			}
		case err == nil && (len(list) != 1 || list[0].disclosure.Claim != name || list[0].disclosure.Value != value || list[0].digest != list[0].disclosure.Digest()):
			t.Errorf("%q=%q is kept as %+v", name, value, list)
		}
		if file, ok := parseFile(value); ok {
			if c := fileClaim(name, file); c.disclosure.Value != value {
				t.Errorf("%q is written as %q", value, c.disclosure.Value)
			}
		}
		if !utf8.ValidString(value) {
			return // no claim has such a value
		}
		masked := maskedValue(name, value, &vault.BlobRef{Size: 7})
		if !utf8.ValidString(masked) {
			t.Errorf("%s %q is shown as %q", name, value, masked)
		}
		switch name {
		case "scanner", "language", "checkbox_state", "captcha":
		default:
			if len(value) > 0 && strings.Contains(masked, value) {
				t.Errorf("%s %q is shown as %q", name, value, masked)
			}
		}
	})
}

// FuzzNoticeFacts: what is read of the facts of a notice, and can be given, is written
// as one document, which is read as the same.
func FuzzNoticeFacts(f *testing.F) {
	free := true
	for _, facts := range []NoticeFacts{{}, {Controller: "Shop GmbH <&>\u2028", Recipients: []string{"none"}, AdvertisingFree: &free}, {Products: []string{"books", "news"}}} {
		f.Add(facts.document())
	}
	f.Add([]byte(`{"controller":"a","Controller":"b","unknown":1}`))
	f.Add([]byte(`{"recipients":[null]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, document []byte) {
		facts, err := parseFacts(document)
		if err != nil {
			return
		}
		written := facts.document()
		if err := facts.check(); err != nil || written == nil {
			return
		}
		again, err := parseFacts(written)
		if err != nil || !bytes.Equal(again.document(), written) || !json.Valid(written) {
			t.Errorf("%s is written as %s, and that as %s, %v", document, written, again.document(), err)
		}
		given := 0
		for range again.All() {
			given++
		}
		if len(again.missing())+given == 0 {
			t.Errorf("%s: nothing is given and nothing is missing", written)
		}
	})
}

// FuzzSigningKeys: a file of signing keys is the one spelling of its pair, and no error
// holds any of it.
func FuzzSigningKeys(f *testing.F) {
	_, good, err := newSigner("shop.example.com/log")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), '\n'))
	f.Add([]byte(seedsMagic + "\nshop.example.com\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	f.Add([]byte("consent-ledger/signing-keys/v2\n"))
	path := filepath.Join(f.TempDir(), "signing.keys")
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		signer, err := readSigner(path)
		lines := strings.Split(string(file), "\n")
		if err != nil {
			for _, line := range lines[min(2, len(lines)):] {
				if len(line) > 8 && strings.Contains(err.Error(), line) {
					t.Errorf("the error holds a seed: %v", err)
				}
			}
			return
		}
		if len(lines) != 5 || signer.Origin() != lines[1] {
			t.Fatalf("%q is the file of %q", file, signer.Origin())
		}
		for i, text := range lines[2:4] {
			if h, err := ledger.ParseHash(text); err != nil || h.String() != text {
				t.Errorf("seed %d has the spelling %q", i, text)
			}
		}
		c := ledger.Checkpoint{Origin: signer.Origin(), Size: 1}
		signed, err := signer.SignCheckpoint(c, 1_700_000_000)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ledger.ParsePolicy(ledger.NewPolicy(signer.Keys()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.OpenCheckpoint(signed, p); err != nil {
			t.Errorf("what the pair signs does not verify: %v", err)
		}
	})
}

// FuzzCompanion: what the log repeats of the vault's newest group is read as it was
// written, and so is the name of a notice in a request.
func FuzzCompanion(f *testing.F) {
	record, err := json.Marshal(vault.GroupRecord{Seq: 3, Base: 7, Count: 2, Leaf: ledger.Hash{1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add([]byte("{}"))
	f.Add([]byte("newsletter-de@3"))
	f.Add([]byte("newsletter-de@03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil {
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := decodeRecord(text); err != nil || again != r {
				t.Errorf("%s is written as %s, which is read as %+v, %v", b, text, again, err)
			}
		}
		ref, err := parseNotice(string(b))
		var no *refusal.Error
		if err == nil && ref.Name() != string(b) || err != nil && !errors.As(err, &no) {
			t.Errorf("the notice %q is %q, %v", b, ref.Name(), err)
		}
	})
}
