package ledger

import (
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestVerifierKeyPublished(t *testing.T) {
	for _, vkey := range []string{exampleNoteKey, neumannKey} {
		k, err := ParseVerifierKey(vkey)
		if err != nil {
			t.Fatal(err)
		}
		if k.Type != KeyTypeEd25519 || len(k.Key) != 32 || k.String() != vkey {
			t.Errorf("%s: type %d, %d bytes, %s", vkey, k.Type, len(k.Key), k)
		}
	}
	k, err := ParseVerifierKey(exampleNoteKey)
	if err != nil || k.Name != "example.com/foo" || k.ID() != 0x530d903a {
		t.Errorf("name %q, id %08x, %v", k.Name, k.ID(), err)
	}
}

func TestParseVerifierKeyRefuses(t *testing.T) {
	mldsa := signerForTest(t, "log.example", 1).Keys().MLDSA44
	text := func(k VerifierKey) string { return k.String() }
	tests := []struct{ name, vkey, want string }{
		{"empty", "", "form"},
		{"name only", "example.com/foo", "form"},
		{"no key", "example.com/foo+530d903a", "form"},
		{"empty key", "example.com/foo+530d903a+", "empty"},
		{"empty name", strings.TrimPrefix(exampleNoteKey, "example.com/foo"), "name is empty"},
		{"space in name", strings.Replace(exampleNoteKey, "foo", "f o", 1), "space"},
		{"newline in name", strings.Replace(exampleNoteKey, "foo", "f\no", 1), "control character"},
		{"name not UTF-8", "\xff" + exampleNoteKey, "UTF-8"},
		{"another name", strings.Replace(exampleNoteKey, "foo", "fop", 1), "key id"},
		{"another id", strings.Replace(exampleNoteKey, "530d903a", "530d903b", 1), "key id"},
		{"id in upper case", strings.Replace(exampleNoteKey, "530d903a", "530D903A", 1), "key id"},
		{"id too short", strings.Replace(exampleNoteKey, "530d903a", "30d903a", 1), "key id"},
		{"another key", strings.Replace(exampleNoteKey, "AekyeR", "AekzeR", 1), "key id"},
		{"newline in base64", strings.Replace(exampleNoteKey, "AekyeR", "Aeky\neR", 1), "base64"},
		{"trailing newline", exampleNoteKey + "\n", "base64"},
		{"trailing field", exampleNoteKey + "+", "base64"},
		{"key too short", text(VerifierKey{Name: "a", Type: 1, Key: make([]byte, 31)}), "want 32"},
		{"key too long", text(VerifierKey{Name: "a", Type: 4, Key: make([]byte, 33)}), "want 32"},
		{"ML-DSA-44 key too short", text(VerifierKey{Name: "a", Type: 6, Key: mldsa.Key[1:]}), "want 1312"},
		{"Ed25519 key as ML-DSA-44", text(VerifierKey{Name: "a", Type: 6, Key: make([]byte, 32)}), "want 1312"},
		{"ECDSA", text(VerifierKey{Name: "a", Type: 2, Key: make([]byte, 91)}), "type is 0x02"},
		{"RFC 6962", text(VerifierKey{Name: "a", Type: 5, Key: make([]byte, 32)}), "type is 0x05"},
		{"own type", text(VerifierKey{Name: "a", Type: 0xff, Key: make([]byte, 32)}), "type is 0xff"},
		{"name too long", text(VerifierKey{Name: strings.Repeat("a", 256), Type: 1, Key: make([]byte, 32)}), "more than 255"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseVerifierKey(test.vkey)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseKeyPair(t *testing.T) {
	one, two := signerForTest(t, "log.example", 1).Keys(), signerForTest(t, "log.example/b", 2).Keys()
	got, err := ParseKeyPair(one.Ed25519.String(), one.MLDSA44.String())
	if err != nil || got.Ed25519.String() != one.Ed25519.String() || got.MLDSA44.String() != one.MLDSA44.String() {
		t.Fatalf("%v, %v", got, err)
	}
	cosigner := one.Ed25519
	cosigner.Type = KeyTypeCosignatureEd25519
	upper := VerifierKey{Name: "LOG.example", Type: 1, Key: one.Ed25519.Key}
	upperPQ := VerifierKey{Name: "LOG.example", Type: 6, Key: one.MLDSA44.Key}
	tests := []struct{ name, ed, mldsa, want string }{
		{"two logs", one.Ed25519.String(), two.MLDSA44.String(), "two names"},
		{"swapped", one.MLDSA44.String(), one.Ed25519.String(), "type"},
		{"twice Ed25519", one.Ed25519.String(), one.Ed25519.String(), "type"},
		{"cosigner", cosigner.String(), one.MLDSA44.String(), "type 0x04"},
		{"no origin", upper.String(), upperPQ.String(), "lower case"},
		{"broken first", "", one.MLDSA44.String(), "Ed25519 verifier key"},
		{"broken second", one.Ed25519.String(), "", "ML-DSA-44 verifier key"},
	}
	for _, test := range tests {
		if _, err := ParseKeyPair(test.ed, test.mldsa); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want one with %q", test.name, err, test.want)
		}
	}
}

func TestValidOrigin(t *testing.T) {
	good := []string{"a", "localhost:8080", "ledger.example.com", "ledger.example.com/shop", "example.com/behind-the-sofa",
		"xn--bcher-kva.example/a_b/c.d", "consent-ledger", "consent-ledger.example/x", strings.Repeat("a", MaxOrigin)}
	for _, origin := range good {
		if err := ValidOrigin(origin); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
	bad := []string{"", "Example.com", "example.com/", "/example.com", ".example.com", "example.com.", "example.com/a.",
		"https://example.com", "example.com:", "example.com:a", "example.com//a", "example.com a", "example.com\n", "example.com+a",
		"bücher.example", "example.com/../a", "example.com/./a", "example.com/..", "user@example.com", "example.com/a?b",
		"consent-ledger/rotation/v1", "consent-ledger/a", strings.Repeat("a", MaxOrigin+1)}
	for _, origin := range bad {
		if ValidOrigin(origin) == nil {
			t.Errorf("%q is accepted", origin)
		}
	}
}

func FuzzParseVerifierKey(f *testing.F) {
	f.Add(exampleNoteKey)
	f.Add(neumannKey)
	f.Add(VerifierKey{Name: "w", Type: 4, Key: make([]byte, 32)}.String())
	f.Fuzz(func(t *testing.T, vkey string) {
		k, err := ParseVerifierKey(vkey)
		if err != nil {
			// With the key id put right, a key is refused for its form only.
			name, rest, _ := strings.Cut(vkey, "+")
			_, text, _ := strings.Cut(rest, "+")
			blob, err := base64.StdEncoding.DecodeString(text)
			if err != nil || len(blob) == 0 {
				return
			}
			vkey = VerifierKey{Name: name, Type: blob[0], Key: blob[1:]}.String()
			if k, err = ParseVerifierKey(vkey); err != nil {
				return
			}
		}
		if k.String() != vkey {
			t.Fatalf("%q re-encodes to %q", vkey, k)
		}
		if k.Type != KeyTypeEd25519 {
			return
		}
		if v, err := note.NewVerifier(vkey); err != nil || v.KeyHash() != k.ID() || v.Name() != k.Name {
			t.Fatalf("x/mod reads %q differently: %v", vkey, err)
		}
	})
}
