package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// checkpointForTest gives the checkpoint of a tree whose entries are numbers.
func checkpointForTest(t testing.TB, origin string, size int) Checkpoint {
	t.Helper()
	var tree Tree
	for i := range size {
		tree.Append(LeafHash(fmt.Appendf(nil, "entry %d", i)), nil)
	}
	return Checkpoint{Origin: origin, Size: tree.Size(), Root: tree.Root()}
}

// hybridForTest gives a signer, the policy that NewPolicy writes for it, and a
// checkpoint that it signed.
func hybridForTest(t testing.TB) (*Signer, *Policy, []byte) {
	t.Helper()
	s := signerForTest(t, "log.example", 1)
	p, err := ParsePolicy(NewPolicy(s.Keys()))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.SignCheckpoint(checkpointForTest(t, s.Origin(), 5), 1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return s, p, signed
}

const (
	// c2sp.org/tlog-checkpoint, its example.
	sofaText = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
	// c2sp.org/tlog-checkpoint, the root of the empty tree.
	emptyText = "log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
)

func TestParseCheckpoint(t *testing.T) {
	for _, text := range []string{sofaText, emptyText} {
		c, err := ParseCheckpoint(text)
		if err != nil || c.Text() != text {
			t.Errorf("%q: %q, %v", text, c.Text(), err)
		}
	}
	c, err := ParseCheckpoint(sofaText)
	if err != nil || c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || c.Root[0] != 0x0a {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	const root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	tests := []struct{ name, text, want string }{
		{"empty", "", "three lines"},
		{"two lines", "log.example\n1\n", "three lines"},
		{"no last newline", "log.example\n1\n" + root, "three lines"},
		{"extension line", "log.example\n1\n" + root + "\nmore\n", "three lines"},
		{"empty line", "log.example\n1\n" + root + "\n\n", "three lines"},
		{"empty origin", "\n1\n" + root + "\n", "origin is empty"},
		{"origin in upper case", "Log.example\n1\n" + root + "\n", "lower case"},
		{"key text", "consent-ledger/rotation\n1\n" + root + "\n", "reserved"},
		{"size empty", "log.example\n\n" + root + "\n", "decimal"},
		{"size negative", "log.example\n-1\n" + root + "\n", "size is -1"},
		{"size minus zero", "log.example\n-0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", "spelling"},
		{"size with sign", "log.example\n+1\n" + root + "\n", "spelling"},
		{"size with zero", "log.example\n01\n" + root + "\n", "spelling"},
		{"size with space", "log.example\n1 \n" + root + "\n", "decimal"},
		{"size in hex", "log.example\n0x1\n" + root + "\n", "decimal"},
		{"size 2^63", "log.example\n9223372036854775808\n" + root + "\n", "decimal"},
		{"root short", "log.example\n1\nCsUY\n", "32 bytes"},
		{"root not padded", "log.example\n1\n" + root[:43] + "\n", "32 bytes"},
		{"another last character", "log.example\n1\n" + root[:42] + "J=\n", "spelling"},
		{"empty tree with a root", "log.example\n0\n" + root + "\n", "empty tree"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseCheckpoint(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestOpenCheckpoint(t *testing.T) {
	s, p, signed := hybridForTest(t)
	o, err := OpenCheckpoint(signed, p)
	if err != nil {
		t.Fatal(err)
	}
	if o.Checkpoint != checkpointForTest(t, s.Origin(), 5) || !bytes.Equal(o.Signed, signed) {
		t.Errorf("opened %+v", o)
	}
	if !slices.Equal(o.Witnesses, []string{"self-pq"}) || o.Unchecked != nil {
		t.Errorf("witnesses %q, unchecked %q", o.Witnesses, o.Unchecked)
	}
	n, err := ParseSignedNote(signed)
	if err != nil || len(n.Lines) != 2 || n.Lines[0].KeyID != s.Keys().Ed25519.ID() || n.Lines[1].KeyID != s.Keys().MLDSA44.ID() {
		t.Errorf("want the Ed25519 line, then the ML-DSA-44 line: %v", err)
	}
}

// Whoever knows nothing of ML-DSA-44 must be able to open the note.
func TestCheckpointOpensWithXMod(t *testing.T) {
	s, _, signed := hybridForTest(t)
	verifier, err := note.NewVerifier(s.Keys().Ed25519.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Fatalf("%+v, %v", n, err)
	}
	if c, err := ParseCheckpoint(n.Text); err != nil || c != checkpointForTest(t, s.Origin(), 5) {
		t.Errorf("%+v, %v", c, err)
	}
}

// The bytes of a deterministic checkpoint and of a key never change. These were
// verified, both lines, by filippo.io/torchwood v0.9.1-0.20260706112420 with
// filippo.io/mldsa v1.0.0.
func TestCheckpointGolden(t *testing.T) {
	s, _, signed := hybridForTest(t)
	if got, want := fmt.Sprintf("%x", sha256.Sum256(signed)), "1fa7967b2818d223ce36e1b3ed91469a8810d83f1810436887aec786047e5196"; got != want {
		t.Errorf("SHA-256 of the signed checkpoint is %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%x", sha256.Sum256([]byte(s.Keys().MLDSA44.String()))), "342ce4647e8ce2ec97f8f66a87f3f9eb245ce8405ae821a7fd572f12d41ef901"; got != want {
		t.Errorf("SHA-256 of the ML-DSA-44 vkey is %s, want %s", got, want)
	}
}

func TestSignCheckpointRefuses(t *testing.T) {
	s := signerForTest(t, "log.example", 1)
	good := checkpointForTest(t, "log.example", 5)
	tests := []struct {
		name string
		c    Checkpoint
		time int64
	}{
		{"other origin", Checkpoint{"other.example", good.Size, good.Root}, 1},
		{"negative size", Checkpoint{"log.example", -1, good.Root}, 1},
		{"empty tree with a root", Checkpoint{"log.example", 0, good.Root}, 1},
		{"time zero", good, 0},
		{"time before 1970", good, -1},
	}
	for _, test := range tests {
		if _, err := s.SignCheckpoint(test.c, test.time); err == nil {
			t.Errorf("%s: signed", test.name)
		}
	}
}

// The note has no byte that is not the text or one of the log's two lines, so
// this is every bit of both, but for the middle of the longer one: see [toFlip].
func TestOpenCheckpointRefusesEveryFlippedBit(t *testing.T) {
	_, p, signed := hybridForTest(t)
	for _, i := range toFlip(signed) {
		for bit := range 8 {
			changed := bytes.Clone(signed)
			changed[i] ^= 1 << bit
			_, err := OpenCheckpoint(changed, p)
			if err == nil {
				t.Fatalf("opens with bit %d of byte %d flipped: %q for %q", bit, i, changed[i], signed[i])
			}
			if VerdictOf(err) != Invalid {
				t.Fatalf("bit %d of byte %d flipped: verdict %v, want INVALID", bit, i, VerdictOf(err))
			}
		}
	}
}

// Lines of the log that are changed as somebody would who can forge one of the
// two algorithms.
func TestOpenCheckpointRefusesLines(t *testing.T) {
	_, p, signed := hybridForTest(t)
	n, err := ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	ed, pq := n.Lines[0], n.Lines[1]
	other := signerForTest(t, "log.example", 2)
	otherSigned, err := other.SignCheckpoint(checkpointForTest(t, "log.example", 5), 1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	on, err := ParseSignedNote(otherSigned)
	if err != nil {
		t.Fatal(err)
	}
	resized := func(l SignatureLine, size int) SignatureLine {
		l.Signature = append(bytes.Clone(l.Signature), 0)[:size]
		return l
	}
	laterPQ := pq
	laterPQ.Signature = bytes.Clone(pq.Signature)
	laterPQ.Signature[7]++
	edAsPQ := SignatureLine{pq.Name, pq.KeyID, ed.Signature}
	tests := []struct {
		name  string
		lines []SignatureLine
		want  string
	}{
		{"Ed25519 line stripped", []SignatureLine{pq}, "no signature by the log's key"},
		{"ML-DSA-44 line stripped", []SignatureLine{ed}, "no signature by the log's key"},
		{"one line by another key", on.Lines[:1], "no signature by the log's key"},
		{"ML-DSA-44 line by another key", []SignatureLine{ed, on.Lines[1]}, "no signature by the log's key"},
		{"ML-DSA-44 signature by another key", []SignatureLine{ed, {pq.Name, pq.KeyID, on.Lines[1].Signature}}, "does not verify"},
		{"Ed25519 signature by another key", []SignatureLine{{ed.Name, ed.KeyID, on.Lines[0].Signature}, pq}, "does not verify"},
		{"Ed25519 signature in the ML-DSA-44 line", []SignatureLine{ed, edAsPQ}, "64 bytes"},
		{"Ed25519 line twice", []SignatureLine{ed, ed, pq}, "second line"},
		{"ML-DSA-44 line twice", []SignatureLine{ed, pq, pq}, "second line"},
		{"another time", []SignatureLine{ed, laterPQ}, "does not verify"},
		{"Ed25519 signature too short", []SignatureLine{resized(ed, 63), pq}, "does not verify"},
		{"Ed25519 signature too long", []SignatureLine{resized(ed, 65), pq}, "does not verify"},
		{"ML-DSA-44 signature too short", []SignatureLine{ed, resized(pq, 2427)}, "2427 bytes"},
		{"ML-DSA-44 signature too long", []SignatureLine{ed, resized(pq, 2429)}, "2429 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := OpenCheckpoint((&SignedNote{n.Text, test.lines}).Bytes(), p)
			if err == nil || !strings.Contains(err.Error(), test.want) || VerdictOf(err) != Invalid {
				t.Errorf("error is %v (%v), want INVALID with %q", err, VerdictOf(err), test.want)
			}
		})
	}
	t.Run("only lines by other keys", func(t *testing.T) {
		_, err := OpenCheckpoint((&SignedNote{n.Text, on.Lines}).Bytes(), p)
		if VerdictOf(err) != CannotTell || !strings.Contains(err.Error(), "by two others of its name") || !strings.Contains(err.Error(), "(trust.keys)") {
			t.Errorf("error is %v, want CANNOT TELL and what to do", err)
		}
	})
	t.Run("other order", func(t *testing.T) {
		if _, err := OpenCheckpoint((&SignedNote{n.Text, []SignatureLine{pq, ed}}).Bytes(), p); err != nil {
			t.Error(err)
		}
	})
	t.Run("unknown lines", func(t *testing.T) {
		stranger := SignatureLine{"w.example", 1, []byte("grease")}
		o, err := OpenCheckpoint((&SignedNote{n.Text, []SignatureLine{stranger, ed, on.Lines[0], pq}}).Bytes(), p)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"w.example+00000001", fmt.Sprintf("log.example+%08x", other.Keys().Ed25519.ID())}
		if !slices.Equal(o.Unchecked, want) {
			t.Errorf("unchecked %q, want %q", o.Unchecked, want)
		}
	})
	t.Run("other log", func(t *testing.T) {
		p2, err := ParsePolicy(NewPolicy(signerForTest(t, "log2.example", 1).Keys()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenCheckpoint(signed, p2); err == nil || !strings.Contains(err.Error(), `origin is "log.example"`) {
			t.Errorf("error is %v", err)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(sofaText)
	f.Add(emptyText)
	f.Add("log.example\n-0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			return
		}
		if c.Text() != text {
			t.Fatalf("%q re-encodes to %q", text, c.Text())
		}
		if err := c.check(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// What opens is what the log signed, plus at most lines that are not the log's.
func FuzzOpenCheckpoint(f *testing.F) {
	_, p, signed := hybridForTest(f)
	want, err := ParseSignedNote(signed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(append(bytes.Clone(signed), "— w AAAAAAA=\n"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := OpenCheckpoint(b, p)
		if err != nil {
			return
		}
		if o.Text() != want.Text || !bytes.Contains(b, []byte(want.Lines[0].String())) || !bytes.Contains(b, []byte(want.Lines[1].String())) {
			t.Fatalf("opened %q", b)
		}
	})
}
