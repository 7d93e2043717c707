package ledger

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func cosignerForTest(t testing.TB, name string, n byte) *Cosigner {
	t.Helper()
	var ed [32]byte
	copy(ed[:], bytes.Repeat([]byte{n}, 32))
	s, err := NewCosigner(name, ed, [32]byte{n, 2})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCosign compares the lines with those written out by hand, and with what the
// lines for others' policies make of them.
func TestCosign(t *testing.T) {
	s, _, signed := hybridForTest(t)
	c := checkpointForTest(t, s.Origin(), 5)
	w := cosignerForTest(t, "witness.example/dpo", 11)
	lines, err := w.Cosign(c, 1_700_000_001)
	if err != nil {
		t.Fatal(err)
	}
	k1, l1 := cosign04("witness.example/dpo", 11, c.Text(), 1_700_000_001)
	if len(lines) != 2 || lines[0].String() != l1.String() || w.Keys().Ed25519.String() != k1.String() {
		t.Errorf("Ed25519 line %v, want %v", lines, l1)
	}
	k2, _ := cosign06(t, "witness.example/dpo", 11, c, 1_700_000_001)
	if lines[1].KeyID != k2.ID() || w.Keys().MLDSA44.String() != k2.String() || w.Name() != k2.Name {
		t.Errorf("ML-DSA-44 key %v, want %v", w.Keys().MLDSA44, k2)
	}
	n, err := ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	both := &SignedNote{n.Text, append(slices.Clone(n.Lines), lines...)}
	for _, url := range []string{"", "https://witness.example/dpo"} {
		text := "log " + s.Keys().Ed25519.String() + "\nwitness self-pq " + s.Keys().MLDSA44.String() + "\n" + string(w.Keys().PolicyLines(url)) +
			"group hybrid all self-pq witness.example/dpo\nquorum hybrid\n"
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if o, err := OpenCheckpoint(both.Bytes(), p); err != nil || strings.Join(o.Witnesses, " ") != "self-pq witness.example/dpo/ed25519 witness.example/dpo/ml-dsa-44" {
			t.Errorf("opened %v, %v", o, err)
		} else if got := p.Anchors(p.independent(o.Witnesses), nil); got != "WITNESSED 1" {
			t.Errorf("one witness with two keys is counted as %q", got)
		}
		for i := range lines {
			one := &SignedNote{n.Text, append(slices.Clone(n.Lines), lines[i])}
			if _, err := OpenCheckpoint(one.Bytes(), p); VerdictOf(err) != CannotTell {
				t.Errorf("with line %d alone: %v", i, err)
			}
		}
	}
	found, stamp, err := w.Keys().Verify(c, both)
	if err != nil || stamp != 1_700_000_001 || len(found) != 2 || found[1].String() != lines[1].String() {
		t.Errorf("verify: %v, %d, %v", found, stamp, err)
	}
}

func TestCosignerKeysVerify(t *testing.T) {
	w := cosignerForTest(t, "witness.example", 11)
	c := checkpointForTest(t, "log.example", 5)
	now, err := w.Cosign(c, 1_700_000_001)
	if err != nil {
		t.Fatal(err)
	}
	later, err := w.Cosign(c, 1_700_000_002)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := slices.Clone(now)
	spoilt[1].Signature = bytes.Clone(spoilt[1].Signature)
	spoilt[1].Signature[100] ^= 1
	tests := []struct {
		name  string
		c     Checkpoint
		lines []SignatureLine
		want  string
	}{
		{"two times", c, []SignatureLine{now[0], later[1]}, "two times"},
		{"Ed25519 alone", c, now[:1], "no signature"},
		{"ML-DSA-44 alone", c, now[1:], "no signature"},
		{"spoilt", c, spoilt, "does not verify"},
		{"of another checkpoint", checkpointForTest(t, "log.example", 6), now, "does not verify"},
		{"of another log", checkpointForTest(t, "other.example", 5), now, "does not verify"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := w.Keys().Verify(test.c, &SignedNote{test.c.Text(), test.lines})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestCosignerRefuses(t *testing.T) {
	if _, err := NewCosigner("Witness of mine", [32]byte{1}, [32]byte{2}); err == nil {
		t.Error("a name with spaces was accepted")
	}
	if _, err := NewCosigner("witness.example", [32]byte{1}, [32]byte{1}); err == nil {
		t.Error("two equal seeds were accepted")
	}
	w := cosignerForTest(t, "witness.example", 1)
	if _, err := w.Cosign(checkpointForTest(t, "log.example", 5), 0); err == nil {
		t.Error("the time 0, which says that nothing is said about time, was accepted")
	}
	if _, err := w.Cosign(Checkpoint{"log.example", 0, Hash{}}, 1); err == nil {
		t.Error("a wrong root of the empty log was accepted")
	}
}
