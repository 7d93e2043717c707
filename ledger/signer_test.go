package ledger

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// signerForTest gives the deterministic signer of a log whose seeds begin with n.
func signerForTest(t testing.TB, origin string, n byte) *Signer {
	t.Helper()
	s, err := NewSigner(origin, [32]byte{n, 1}, [32]byte{n, 2})
	if err != nil {
		t.Fatal(err)
	}
	return s.Deterministic()
}

func TestKeyText(t *testing.T) {
	s := signerForTest(t, "log.example", 1)
	text := []byte("consent-ledger/rotation/v1\nlog.example\n0\n")
	ed, pq := s.SignKeyText(text)
	if err := s.Keys().VerifyKeyText(text, ed, pq); err != nil {
		t.Fatal(err)
	}
	other := signerForTest(t, "log.example", 2)
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
	tests := []struct {
		name   string
		keys   KeyPair
		text   []byte
		ed, pq []byte
	}{
		{"other text", s.Keys(), append(bytes.Clone(text), '\n'), ed, pq},
		{"text of another kind", s.Keys(), []byte("log.example\n"), ed, pq},
		{"other keys", other.Keys(), text, ed, pq},
		{"other Ed25519 key", KeyPair{other.Keys().Ed25519, s.Keys().MLDSA44}, text, ed, pq},
		{"other ML-DSA-44 key", KeyPair{s.Keys().Ed25519, other.Keys().MLDSA44}, text, ed, pq},
		{"Ed25519 flipped", s.Keys(), text, flip(ed, 0), pq},
		{"ML-DSA-44 flipped", s.Keys(), text, ed, flip(pq, 2419)},
		{"no Ed25519", s.Keys(), text, nil, pq},
		{"no ML-DSA-44", s.Keys(), text, ed, nil},
		{"ML-DSA-44 too long", s.Keys(), text, ed, append(bytes.Clone(pq), 0)},
		{"keys of no length", KeyPair{}, text, ed, pq},
	}
	for _, test := range tests {
		if test.keys.VerifyKeyText(test.text, test.ed, test.pq) == nil {
			t.Errorf("%s: verifies", test.name)
		}
	}
}

// A signature over any other text could be a checkpoint's.
func TestSignKeyTextPanicsOverOtherText(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("signed")
		}
	}()
	c := checkpointForTest(t, "log.example", 3)
	signerForTest(t, "log.example", 1).SignKeyText([]byte(c.Text()))
}

// The checkpoint of C2SP issue 99, made with the seed 11 00 … 00.
func TestSignerPublished(t *testing.T) {
	const origin = "sigsum.org/v1/tree/e796172b92befd62d9dc67e41c2f5bc9d3100a3023b20b1ca40288dd1c679e69"
	const published = origin + "\n10\nHA5HAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u2014 " + origin +
		" gJ2ho0n8F8olcerUF1FFdv235A/5as/coWrpLrtE7ovMeP5whgwouYExowG/lTznxu6OUGjjt5yJQ6bXtTcf718MqAQ=\n"
	s, err := NewSigner(origin, [32]byte{0x11}, [32]byte{0x22})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.SignCheckpoint(Checkpoint{Origin: origin, Size: 10, Root: Hash{0x1c, 0x0e, 0x47}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(signed), published) {
		t.Errorf("signed %q…", signed[:len(published)])
	}
	k := s.Keys().Ed25519
	if got, want := k.ID(), uint32(0x809da1a3); got != want {
		t.Errorf("key id is %08x, want %08x", got, want)
	}
	if _, err := note.NewVerifier(k.String()); err != nil {
		t.Errorf("x/mod refuses %s: %v", k, err)
	}
	private := ed25519.NewKeyFromSeed(append([]byte{0x11}, make([]byte, 31)...))
	want, err := note.NewEd25519VerifierKey(s.Origin(), private.Public().(ed25519.PublicKey))
	if err != nil || k.String() != want {
		t.Errorf("key is %s, x/mod gives %s, %v", k, want, err)
	}
}

func TestNewSignerRefuses(t *testing.T) {
	if _, err := NewSigner("Log.example", [32]byte{1}, [32]byte{2}); err == nil {
		t.Error("accepted an origin in upper case")
	}
	if _, err := NewSigner("log.example", [32]byte{1}, [32]byte{1}); err == nil {
		t.Error("accepted one seed for both keys")
	}
}

func TestHedgedSignaturesDiffer(t *testing.T) {
	s, err := NewSigner("log.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("consent-ledger/rotation/v1\n")
	ed1, pq1 := s.SignKeyText(text)
	ed2, pq2 := s.SignKeyText(text)
	if !bytes.Equal(ed1, ed2) || bytes.Equal(pq1, pq2) {
		t.Error("want equal Ed25519 and different ML-DSA-44 signatures")
	}
	_, pq3 := s.Deterministic().SignKeyText(text)
	_, pq4 := s.Deterministic().SignKeyText(text)
	if !bytes.Equal(pq3, pq4) {
		t.Error("deterministic signatures differ")
	}
	for _, pq := range [][]byte{pq1, pq2, pq3} {
		if err := s.Keys().VerifyKeyText(text, ed1, pq); err != nil {
			t.Error(err)
		}
	}
}
