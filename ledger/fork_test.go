package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// twoSided is a log that shows two histories, which part after `common` entries.
type twoSided struct {
	t           testing.TB
	signer      *Signer
	policy      *Policy
	left, right *growingTree
}

func newTwoSided(t testing.TB, common, size int) *twoSided {
	s := signerForTest(t, "log.example", 1)
	w := cosignerForTest(t, "w.example", 7)
	text := "log " + s.Keys().Ed25519.String() + "\nwitness self-pq " + s.Keys().MLDSA44.String() + "\n" + string(w.Keys().PolicyLines("")) +
		"group hybrid all self-pq w.example\nquorum hybrid\n"
	p, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l := &twoSided{t, s, p, growTo(t, size), growTo(t, common)}
	for i := common; i < size; i++ {
		l.right.add(t, fmt.Sprintf("another entry %d", i))
	}
	return l
}

// sign signs one side at a size, as if at that many seconds after another moment.
func (l *twoSided) sign(side *growingTree, size int, second int64) []byte {
	l.t.Helper()
	signed, err := l.signer.SignCheckpoint(side.checkpoint(l.t, "log.example", size), 1_700_000_000+second)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// files are a log's checkpoint and hash tiles.
type files map[string][]byte

// ReadPath implements [LogReader].
func (f files) ReadPath(_ context.Context, path string) ([]byte, error) {
	if b, ok := f[path]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%w: %w", ErrMissing, fs.ErrNotExist)
}

// export gives the files of one side.
func (l *twoSided) export(side *growingTree, size int) files {
	f := files{"checkpoint": l.sign(side, size, int64(size))}
	for level := 0; ; level++ {
		full, partial := TileRange(Size(size), level)
		if full == 0 && partial == 0 {
			return f
		}
		for n := range full + 1 {
			width := TileWidth
			if n == full {
				width = partial
			}
			var tile []byte
			for i := range int64(width) {
				h := side.hashes[tlog.StoredHashIndex(level*TileHeight, n*TileWidth+i)]
				tile = append(tile, h[:]...)
			}
			f[TilePath(level, n, width)] = tile
		}
	}
}

func TestVerifyFork(t *testing.T) {
	const common, size = 280, 600
	l := newTwoSided(t, common, size)
	left := func(n int) []byte { return l.sign(l.left, n, int64(n)) }
	right := func(n int) []byte { return l.sign(l.right, n, int64(n)) }
	log, otherLog, short := l.export(l.left, size), l.export(l.right, size), l.export(l.left, 290)
	// changed gives the log with one file changed.
	changed := func(path string, change func([]byte) []byte) files {
		f := files{}
		for name, b := range log {
			f[name] = b
		}
		f[path] = change(bytes.Clone(f[path]))
		return f
	}
	flip := func(b []byte) []byte { b[40] ^= 1; return b }
	foreign := signerForTest(t, "log.example", 2)
	byOther, err := foreign.SignCheckpoint(l.right.checkpoint(t, "log.example", 300), 1)
	if err != nil {
		t.Fatal(err)
	}
	// What the log's keys sign under another name is no checkpoint of this log.
	elsewhere := l.right.checkpoint(t, "elsewhere.example", 300)
	asOther := &SignedNote{elsewhere.Text(), []SignatureLine{
		{"log.example", l.signer.Keys().Ed25519.ID(), ed25519.Sign(l.signer.ed25519Key, []byte(elsewhere.Text()))},
		{"log.example", l.signer.Keys().MLDSA44.ID(), stampSignature(1, l.signer.signMLDSA44(cosignedMessage("log.example", 1, elsewhere)))},
	}}
	stripped, err := ParseSignedNote(right(300))
	if err != nil {
		t.Fatal(err)
	}
	stripped.Lines = stripped.Lines[:1]
	tests := []struct {
		name    string
		a, b    []byte
		log     LogReader
		verdict Verdict
		reason  string // in the error
		meaning string // in the explanation
	}{
		{"fork", left(300), right(300), nil, Diverged, "the log signed two histories: at 300 entries", "This is a fork."},
		{"fork at the first entry apart", left(common + 1), right(common + 1), nil, Diverged, "two histories", "This is a fork."},
		{"same file", left(300), left(300), nil, Verified, "", "Both say the same"},
		{"same, signed at another time", left(300), l.sign(l.left, 300, 9), nil, Verified, "", "Both say the same"},
		{"same before they part", left(common), right(common), nil, Verified, "", "Both say the same"},
		{"empty and large", l.sign(l.left, 0, 1), left(300), nil, Verified, "", "Every log begins empty"},
		{"two sizes", left(300), right(400), nil, CannotTell, "missing part: a copy of the log that holds 400 entries", "give it as --log"},
		{"smaller one signed later", left(400), l.sign(l.left, 300, 500), nil, CannotTell, "400 entries", "signed the smaller one after the larger one"},
		{"two sizes of one history", left(300), left(400), log, Verified, "", "Both belong to the one history of the log of 600 entries."},
		{"the log's own size", left(256), left(size), log, Verified, "", "Both belong"},
		{"empty with the log", l.sign(l.left, 0, 1), left(300), log, Verified, "", "Both belong"},
		{"before they part, with the log", left(100), right(200), log, Verified, "", "Both belong"},
		{"larger without consistency", left(300), right(400), log, Diverged, "the log of 600 entries has at 400 entries the root", "The copy of the log belongs to the proof"},
		{"the same, seen from the other side", left(300), right(400), otherLog, Diverged, "at 300 entries", "This is a fork."},
		{"same two of one side, copy of the other", left(300), left(300), otherLog, Diverged, "at 300 entries", "This is a fork."},
		{"copy too short", left(100), left(400), short, CannotTell, "a copy of the log that holds 400 entries; this one has 290", "Take a newer copy."},
		{"copy too short, but it shows a fork", right(290), left(400), short, Diverged, "at 290 entries", "This is a fork."},
		{"copy damaged", left(300), left(400), changed("tile/0/001", flip), CannotTell, "the copy of the log cannot be used", ""},
		{"copy's tile cut", left(300), left(400), changed("tile/0/001", func(b []byte) []byte { return b[:100] }), CannotTell, "100 bytes, want 8192", ""},
		{"copy's checkpoint damaged", left(300), left(400), changed("checkpoint", flip), CannotTell, "cannot be used", ""},
		{"no copy there", left(300), left(400), files{}, CannotTell, "cannot be used", ""},
		{"signed by another pair", left(300), byOther, nil, CannotTell, "give its newest key entries (trust.keys)", ""},
		{"signed by one key alone", stripped.Bytes(), left(300), nil, Invalid, "the first checkpoint: no signature by the log's key", ""},
		{"changed", left(300), bytes.Replace(left(300), []byte("\n300\n"), []byte("\n301\n"), 1), nil, Invalid, "does not verify", ""},
		{"of another origin", left(300), asOther.Bytes(), nil, Invalid, `origin is "elsewhere.example", the policy's is "log.example"`, ""},
		{"no checkpoint", []byte("hello"), left(300), nil, Invalid, "the first checkpoint: signed note", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rep, err := VerifyFork(t.Context(), ForkProof{test.a, test.b}, l.policy, test.log)
			if VerdictOf(err) != test.verdict || rep.Verdict != test.verdict.String() {
				t.Fatalf("verdict %s, want %v: %v", rep.Verdict, test.verdict, err)
			}
			if err != nil && !strings.Contains(err.Error(), test.reason) {
				t.Errorf("reason is %q, want one with %q", err, test.reason)
			}
			if text := strings.Join(rep.Meaning, "\n"); !strings.Contains(text, test.meaning) || test.meaning == "" && text != "" {
				t.Errorf("meaning is %q, want one with %q", text, test.meaning)
			}
			if strings.Contains(strings.Join(rep.Meaning, "\n"), "This is a fork.") != (test.verdict == Diverged) {
				t.Errorf("a fork is called so under verdict %v: %q", test.verdict, rep.Meaning)
			}
		})
	}
}

// TestForkWithOtherLines checks that nobody can take a fork back by what they add
// to it, and what is said of witnesses.
func TestForkWithOtherLines(t *testing.T) {
	l := newTwoSided(t, 3, 8)
	c := l.left.checkpoint(t, "log.example", 8)
	w := cosignerForTest(t, "w.example", 7)
	cosigned, err := w.Cosign(c, 1_700_000_100)
	if err != nil {
		t.Fatal(err)
	}
	add := func(signed []byte, lines ...SignatureLine) []byte {
		n, err := ParseSignedNote(signed)
		if err != nil {
			t.Fatal(err)
		}
		n.Lines = append(n.Lines, lines...)
		return n.Bytes()
	}
	spoilt := cosigned[1]
	spoilt.Signature = bytes.Clone(spoilt.Signature)
	spoilt.Signature[99] ^= 1
	_, stranger := cosign04("stranger.example", 5, c.Text(), 1)
	a := add(l.sign(l.left, 8, 1), cosigned[0], spoilt, stranger)
	rep, err := VerifyFork(t.Context(), ForkProof{a, l.sign(l.right, 8, 1<<62)}, l.policy, nil)
	if VerdictOf(err) != Diverged {
		t.Fatal(err)
	}
	if !slices.Equal(rep.First.Witnesses, []string{"w.example/ed25519"}) || rep.Second.Witnesses != nil {
		t.Errorf("witnesses are %q and %q", rep.First.Witnesses, rep.Second.Witnesses)
	}
	text := strings.Join(rep.NotChecked, "\n")
	if !strings.Contains(text, `the line of the witness "w.example/ml-dsa-44", which does not verify`) || !strings.Contains(text, "stranger.example+") {
		t.Errorf("not checked: %q", text)
	}
	// A time that RFC 3339 cannot write must not keep the finding from being printed.
	if b, err := json.Marshal(rep); err != nil || !rep.Second.Signed.IsZero() || !bytes.Contains(b, []byte(`"verdict":"DIVERGED"`)) {
		t.Errorf("as JSON: %s, %v", b, err)
	}
}

func TestForkProof(t *testing.T) {
	l := newTwoSided(t, 3, 8)
	pair := ForkProof{l.sign(l.left, 8, 1), l.sign(l.right, 8, 1)}
	text := pair.Text()
	if !IsForkProof(text) || IsForkProof(pair.First) || !strings.HasPrefix(string(text), "consent-ledger/fork/v1\n\nlog.example\n8\n") {
		t.Errorf("text begins %q", text[:60])
	}
	got, err := ParseForkProof(text)
	if err != nil || !bytes.Equal(got.First, pair.First) || !bytes.Equal(got.Second, pair.Second) {
		t.Fatalf("parsed %v, %v", got, err)
	}
	tests := []struct{ name, text, want string }{
		{"empty", "", "not a fork proof"},
		{"a checkpoint", string(pair.First), "not a fork proof"},
		{"later version", strings.Replace(string(text), "/v1", "/v2", 1), "needs a newer verifier"},
		{"head alone", "consent-ledger/fork/v1\n", "0 checkpoints, want 2"},
		{"one checkpoint", string(JoinNotes([]byte(forkMagic+"\n"), pair.First)), "1 checkpoints, want 2"},
		{"three", string(JoinNotes(text, pair.First)), "3 checkpoints, want 2"},
		{"no blank line", strings.Replace(string(text), "v1\n\n", "v1\n", 1), "no blank line before it"},
		{"two blank lines", strings.Replace(string(text), "v1\n\n", "v1\n\n\n", 1), "note 1"},
		{"end cut", string(text[:len(text)-1]), "note 2"},
		{"line after it", string(text) + "\n", "note"},
		{"too long", string(text) + strings.Repeat("x", MaxForkProofSize), "are more than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseForkProof([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
	// Every flipped bit is found: it is no such file, or no longer signed by the log.
	for i := 0; i < len(text); i += 7 {
		bad := bytes.Clone(text)
		bad[i] ^= 1 << (i % 8)
		got, err := ParseForkProof(bad)
		if err == nil {
			_, err = VerifyFork(t.Context(), *got, l.policy, nil)
		}
		if v := VerdictOf(err); v == Diverged || v == Verified {
			t.Fatalf("byte %d flipped: %v", i, v)
		}
	}
}

// FuzzParseForkProof checks that what parses has one spelling.
func FuzzParseForkProof(f *testing.F) {
	l := newTwoSided(f, 1, 2)
	f.Add(ForkProof{l.sign(l.left, 2, 1), l.sign(l.right, 2, 1)}.Text())
	f.Add([]byte("consent-ledger/fork/v1\n\nx\n\n— x AAAAAAAA\n\ny\n\n— y AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParseForkProof(b); err == nil && !bytes.Equal(p.Text(), b) {
			t.Errorf("%q has another spelling", b)
		}
	})
}
