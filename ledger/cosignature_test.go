package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// cosign04 makes the key and the line of a witness of type 04, written out by
// hand from c2sp.org/tlog-cosignature.
func cosign04(name string, seed byte, text string, unixSeconds uint64) (VerifierKey, SignatureLine) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	k := VerifierKey{Name: name, Type: KeyTypeCosignatureEd25519, Key: private.Public().(ed25519.PublicKey)}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n", unixSeconds) + text
	return k, SignatureLine{name, k.ID(), stampSignature(unixSeconds, ed25519.Sign(private, []byte(message)))}
}

// cosign06 makes the key and the line of a witness of type 06.
func cosign06(t testing.TB, name string, seed byte, c Checkpoint, unixSeconds uint64) (VerifierKey, SignatureLine) {
	s := signerForTest(t, name, seed)
	k := s.Keys().MLDSA44
	return k, SignatureLine{name, k.ID(), stampSignature(unixSeconds, s.signMLDSA44(cosignedMessage(name, unixSeconds, c)))}
}

func TestOpenCheckpointWithWitnesses(t *testing.T) {
	s, _, signed := hybridForTest(t)
	c := checkpointForTest(t, s.Origin(), 5)
	n, err := ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	k1, w1 := cosign04("w1.example", 11, c.Text(), 1_700_000_001)
	k2, w2 := cosign06(t, "w2.example", 12, c, 1_700_000_002)
	text := fmt.Sprintf("log %s\nwitness pq %s\nwitness w-one %s\nwitness a-two %s https://w2.example/\ngroup both all pq w-one\ngroup one any both a-two\n",
		s.Keys().Ed25519, s.Keys().MLDSA44, k1, k2)
	flip := func(l SignatureLine, i int) SignatureLine {
		l.Signature = bytes.Clone(l.Signature)
		l.Signature[i] ^= 1
		return l
	}
	late := func(l SignatureLine) SignatureLine {
		l.Signature = bytes.Clone(l.Signature)
		l.Signature[0] = 0x80
		return l
	}
	_, foreign := cosign06(t, "w2.example", 12, checkpointForTest(t, s.Origin(), 6), 1_700_000_002)
	tests := []struct {
		name, quorum string
		extra        []SignatureLine
		verdict      Verdict
		want         string // in the error, or the witnesses
	}{
		{"none wanted", "none", nil, Verified, "pq"},
		{"own key wanted", "pq", nil, Verified, "pq"},
		{"one wanted and given", "w-one", []SignatureLine{w1}, Verified, "pq w-one"},
		{"one wanted, another given", "w-one", []SignatureLine{w2}, CannotTell, `quorum "w-one" is not reached: no cosignature by ["w-one"]`},
		{"group lacks one", "both", []SignatureLine{w2}, CannotTell, `["w-one"]`},
		{"group complete", "both", []SignatureLine{w1}, Verified, "pq w-one"},
		{"nested, by witness", "one", []SignatureLine{w2}, Verified, "a-two pq"},
		{"nested, by group", "one", []SignatureLine{w1}, Verified, "pq w-one"},
		{"nested, neither", "one", nil, CannotTell, `["w-one" "a-two"]`},
		{"all, sorted", "one", []SignatureLine{w1, w2}, Verified, "a-two pq w-one"},
		{"broken 04 line", "pq", []SignatureLine{flip(w1, 71)}, Invalid, "does not verify"},
		{"broken 06 line", "pq", []SignatureLine{flip(w2, 2427)}, Invalid, "does not verify"},
		{"time of 04 line", "pq", []SignatureLine{flip(w1, 7)}, Invalid, "does not verify"},
		{"time of 06 line", "pq", []SignatureLine{flip(w2, 7)}, Invalid, "does not verify"},
		{"time of 04 line beyond 2^63-1", "pq", []SignatureLine{late(w1)}, Invalid, "2^63-1"},
		{"time of 06 line beyond 2^63-1", "pq", []SignatureLine{late(w2)}, Invalid, "2^63-1"},
		{"06 line for another checkpoint", "pq", []SignatureLine{foreign}, Invalid, "does not verify"},
		{"04 line without time", "pq", []SignatureLine{{w1.Name, w1.KeyID, w1.Signature[8:]}}, Invalid, "64 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := ParsePolicy([]byte(text + "quorum " + test.quorum + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			o, err := OpenCheckpoint((&SignedNote{n.Text, append(slices.Clone(n.Lines), test.extra...)}).Bytes(), p)
			if VerdictOf(err) != test.verdict {
				t.Fatalf("verdict %v, want %v: %v", VerdictOf(err), test.verdict, err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("error is %q, want one with %q", err, test.want)
				}
				if errors.Is(err, ErrPolicy) != (test.verdict == CannotTell) {
					t.Errorf("wraps ErrPolicy: %v", err)
				}
				return
			}
			if got := strings.Join(o.Witnesses, " "); got != test.want {
				t.Errorf("witnesses %q, want %q", got, test.want)
			}
		})
	}
}

// The message written out by hand from c2sp.org/tlog-cosignature; a name of 30
// bytes that is also the origin gives 130 bytes.
func TestCosignedMessage(t *testing.T) {
	name := strings.Repeat("a", 30)
	c := Checkpoint{Origin: name, Size: 0x0102, Root: Hash{31: 0xff}}
	got := cosignedMessage(name, 0x0304, c)
	want := "subtree/v1\n\x00" + "\x1e" + name + "\x00\x00\x00\x00\x00\x00\x03\x04" + "\x1e" + name +
		"\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x01\x02" + strings.Repeat("\x00", 31) + "\xff"
	if len(got) != 130 || string(got) != want {
		t.Errorf("message is %q, want %q", got, want)
	}
}
