package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// witnessed gives a policy with two witnesses, of which one says where it is.
func witnessed(t *testing.T, near, far *Cosigner) *Policy {
	t.Helper()
	text := strings.NewReplacer("group hybrid all self-pq", string(near.Keys().PolicyLines("https://near.example/w"))+
		string(far.Keys().PolicyLines(""))+"group others any near.example far.example\ngroup hybrid all self-pq others").
		Replace(string(NewPolicy(signerForTest(t, "log.example", 9).Keys())))
	p, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func twoWitnesses(t *testing.T) (near, far *Cosigner) {
	t.Helper()
	near, err := NewCosigner("near.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	if far, err = NewCosigner("far.example", [32]byte{3}, [32]byte{4}); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func TestPolicyWitnesses(t *testing.T) {
	near, far := twoWitnesses(t)
	p := witnessed(t, near, far)
	var got []string
	for _, w := range p.Witnesses() {
		got = append(got, w.Name+" "+w.Key.String()+" "+w.URL)
	}
	want := []string{
		"near.example/ed25519 " + near.Keys().Ed25519.String() + " https://near.example/w",
		"near.example/ml-dsa-44 " + near.Keys().MLDSA44.String() + " https://near.example/w",
		"far.example/ed25519 " + far.Keys().Ed25519.String() + " ",
		"far.example/ml-dsa-44 " + far.Keys().MLDSA44.String() + " ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("witnesses are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, c := range []struct {
		cosigned string
		missing  int
	}{
		{"", 4},
		{"near.example/ed25519", 3},
		{"near.example/ed25519 far.example/ml-dsa-44", 2}, // halves of two witnesses are not one
		{"near.example/ed25519 near.example/ml-dsa-44", 0},
		{"far.example/ed25519 far.example/ml-dsa-44", 0},
	} {
		if missing := p.Missing(strings.Fields(c.cosigned)); len(missing) != c.missing {
			t.Errorf("with %q, %q are missing, want %d", c.cosigned, missing, c.missing)
		}
	}
}

func TestVerifyCosignature(t *testing.T) {
	near, far := twoWitnesses(t)
	c := Checkpoint{Origin: "log.example", Size: 7, Root: Hash{7}}
	const now = 1_790_000_000
	lines, err := near.Cosign(c, now)
	if err != nil {
		t.Fatal(err)
	}
	zero := []SignatureLine{ // which a Cosigner refuses to make
		{near.Name(), near.Keys().Ed25519.ID(), stampSignature(0, ed25519.Sign(near.ed25519Key, []byte(cosignedText(0, c))))},
		{near.Name(), near.Keys().MLDSA44.ID(), stampSignature(0, near.mldsa44Key.Sign(cosignedMessage(near.Name(), 0, c), true))},
	}
	other := c
	other.Root[31] = 1
	for i, key := range []VerifierKey{near.Keys().Ed25519, near.Keys().MLDSA44} {
		if stamp, err := key.VerifyCosignature(c, lines[i]); err != nil || stamp != now {
			t.Errorf("type 0x%02x: %v, %v", key.Type, stamp, err)
		}
		if _, err := key.VerifyCosignature(other, lines[i]); err == nil {
			t.Errorf("type 0x%02x: verifies over another root", key.Type)
		}
		if _, err := key.VerifyCosignature(c, zero[i]); err == nil || !strings.Contains(err.Error(), "time 0") {
			t.Errorf("type 0x%02x: time 0: %v", key.Type, err)
		}
		if _, err := key.VerifyCosignature(c, lines[1-i]); err == nil {
			t.Errorf("type 0x%02x: takes the line of the other key", key.Type)
		}
		later := lines[i]
		later.Signature = slices.Clone(later.Signature)
		binary.BigEndian.PutUint64(later.Signature, now+1)
		if _, err := key.VerifyCosignature(c, later); err == nil {
			t.Errorf("type 0x%02x: verifies with another time", key.Type)
		}
	}
	for _, key := range []VerifierKey{far.Keys().Ed25519, signerForTest(t, "log.example", 9).Keys().Ed25519} {
		if _, err := key.VerifyCosignature(c, lines[0]); err == nil {
			t.Errorf("key %q verifies the line of %q", key.Name, near.Name())
		}
	}
}
