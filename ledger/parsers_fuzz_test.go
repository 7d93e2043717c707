package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// vectorsForFuzz adds the files of testdata/vectors that match a pattern, of which
// there must be some.
func vectorsForFuzz(f *testing.F, pattern string, add func([]byte)) {
	names, err := filepath.Glob("../testdata/vectors/" + pattern)
	if err != nil || len(names) == 0 {
		f.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(b)
	}
}

// FuzzValues: each parser of one value accepts one spelling of it, and reads it as
// the standard library does.
func FuzzValues(f *testing.F) {
	keys := signerForTest(f, "log.example", 1).Keys()
	ed, pq := keys.Ed25519.String(), keys.MLDSA44.String()
	if _, err := ParseKeyPair(ed, pq); err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"0", "01", "999999999999999999", "1000000000000000000", "-1", "+1", "1e3",
		"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
		"7nq0vYQ0m3v2s8bqVtQ1nq6k0Yy1mXr8nqv7m2c9xLs", "7nq0vYQ0m3v2s8bqVtQ1nq6k0Yy1mXr8nqv7m2c9xLt", "7nq0vYQ0m3v2s8bqVtQ1nq6k0Yy1mXr8nqv7m2c9x\r\n",
		"2026-11-21T22:36:11.123456Z", "2026-11-21T22:36:10Z", "2026-02-29T00:00:00Z", "2024-02-29T23:59:60Z", "1999-12-31T23:59:59Z", "2026-11-21T24:00:00Z", "2026-11-21T23:60:00Z", "2026-11-31T00:00:00Z",
		"newsletter-de@3", "newsletter-de@0", "newsletter-de@03", "A@1", "a@1@2", "A", "E", "F", "consent", "existing_customer", "personal", "none",
		ed, pq} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseNumber(s); err == nil && (strconv.FormatInt(n, 10) != s || n < 0) {
			t.Errorf("parseNumber(%q) = %d", s, n)
		}
		// The standard library reads other spellings, too.
		raw, stdErr := base64.StdEncoding.DecodeString(s)
		h, err := ParseHash(s)
		if ok := stdErr == nil && len(raw) == len(h) && base64.StdEncoding.EncodeToString(raw) == s; ok != (err == nil) || ok && Hash(raw) != h {
			t.Errorf("ParseHash(%q) = %v, %v; encoding/base64 gives %x, %v", s, h, err, raw, stdErr)
		}
		if b, err := base64.RawURLEncoding.DecodeString(s); IsToken(s) != (err == nil && len(b) == 32 && base64.RawURLEncoding.EncodeToString(b) == s) {
			t.Errorf("IsToken(%q) = %v", s, IsToken(s))
		}
		for layout, micros := range map[string]bool{"2006-01-02T15:04:05Z": false, "2006-01-02T15:04:05.000000Z": true} {
			at, err := parseTime(s, micros)
			want, wantErr := time.Parse(layout, s)
			// The standard library reads some times that have another spelling.
			if ok := wantErr == nil && want.Format(layout) == s && want.Year() >= 2000; ok != (err == nil) || ok && !at.Equal(want) {
				t.Errorf("parseTime(%q, %v) = %v, %v; time.Parse gives %v, %v", s, micros, at, err, want, wantErr)
			}
		}
		if id, version, err := ParseNoticeName(s); err == nil && (NoticeRef{ID: id, Version: version}).Name() != s {
			t.Errorf("ParseNoticeName(%q) = %q, %d", s, id, version)
		}
		if g, ok := ParseGrade(s); ok && g.String() != s {
			t.Errorf("ParseGrade(%q) = %v", s, g)
		}
		if b, ok := ParseBasis(s); ok && (b.String() != s || !slices.Contains(Bases(), s)) {
			t.Errorf("ParseBasis(%q) = %v", s, b)
		}
		if m, ok := ParseMode(s); ok && (m.String() != s || !slices.Contains(Modes(), s)) {
			t.Errorf("ParseMode(%q) = %v", s, m)
		}
		if _, err := ParseKeyPair(s, pq); err == nil && s != ed {
			// Any Ed25519 key of that name goes with the other.
			if k, err := ParseVerifierKey(s); err != nil || k.Type != KeyTypeEd25519 || k.Name != "log.example" {
				t.Errorf("ParseKeyPair accepts %q beside the ML-DSA-44 key", s)
			}
		}
		if _, err := ParseKeyPair(ed, s); err == nil && s != pq {
			if k, err := ParseVerifierKey(s); err != nil || k.Type != KeyTypeMLDSA44 || k.Name != "log.example" {
				t.Errorf("ParseKeyPair accepts %q beside the Ed25519 key", s)
			}
		}
	})
}

// FuzzSplitNotes: what is taken apart is put together to the same bytes.
func FuzzSplitNotes(f *testing.F) {
	f.Add(JoinNotes(nil, []byte(exampleNote)))
	f.Add(JoinNotes(nil, []byte(exampleNote), []byte(quasimodoNote), []byte(neumannNote)))
	f.Add([]byte("\na\n\n— a AAAAAAA=\n\n\nb\n\n— b AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		notes, err := SplitNotes(b)
		if err != nil {
			return
		}
		if !bytes.Equal(JoinNotes(nil, notes...), b) {
			t.Fatalf("%q is taken apart into %q", b, notes)
		}
		for _, n := range notes {
			if _, err := ParseSignedNote(n); err != nil {
				t.Errorf("%q is no note: %v", n, err)
			}
		}
	})
}

// FuzzParseLogs: a witness reads of a policy the log that everybody else reads.
func FuzzParseLogs(f *testing.F) {
	k := keysForPolicy(f)
	for _, text := range []string{
		"log {log}\nquorum none\n",
		"log {log}\nwitness pq {pq}\nquorum none\n",
		"log {log}\nwitness pq {pq}\nwitness a {w1}\nwitness b {w2}\ngroup g 1 a b\ngroup h all g pq\nquorum h\n",
		"log {log}\nlog {log}\n", "witness a {w1}\n",
	} {
		f.Add(text)
	}
	vectorsForFuzz(f, "example/trust.policy", func(b []byte) { f.Add(string(b)) })
	f.Fuzz(func(t *testing.T, text string) {
		expanded := k.expand(text)
		logs, err := ParseLogs(expanded)
		p, policyErr := ParsePolicy(expanded)
		switch {
		case err != nil && !errors.Is(err, ErrPolicy):
			t.Fatalf("it is no error of a policy: %v", err)
		case err != nil:
			return
		case len(logs) == 0:
			t.Fatal("no log and no error")
		}
		for i, l := range logs {
			if slices.ContainsFunc(logs[:i], func(o LogKeys) bool { return o.Origin() == l.Origin() }) {
				t.Errorf("%q is there twice", l.Origin())
			}
			for _, key := range []VerifierKey{l.Ed25519, l.MLDSA44} {
				if key.Name != "" && !bytes.Contains(expanded, []byte(key.String())) {
					t.Errorf("the key %v does not stand in the text", key)
				}
			}
		}
		if policyErr == nil && (len(logs) != 1 || logs[0].Ed25519.String() != p.KeysAt(0).Ed25519.String()) {
			t.Errorf("the policy's log is %q, the witness reads %d logs, the first %q", p.Origin(), len(logs), logs[0].Origin())
		}
	})
}

// FuzzCosignature: nothing but what the witness signed counts, and of that nothing
// for another checkpoint or another time.
func FuzzCosignature(f *testing.F) {
	w, err := NewCosigner("witness.example/w", seedForTest("fuzz witness"), seedForTest("fuzz witness 2"))
	if err != nil {
		f.Fatal(err)
	}
	const signed = 1_700_000_000
	c, other := checkpointForTest(f, "log.example", 5), checkpointForTest(f, "log.example", 6)
	lines, err := w.Cosign(c, signed)
	if err != nil {
		f.Fatal(err)
	}
	keys := w.Keys()
	for _, l := range [][]SignatureLine{lines, {lines[1], lines[0]}, {{lines[0].Name, lines[0].KeyID, lines[0].Signature[:71]}, lines[1]},
		{{lines[0].Name, lines[1].KeyID, lines[0].Signature}, lines[1]}} {
		f.Add((&SignedNote{c.Text(), l}).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseSignedNote(b)
		if err != nil {
			return
		}
		counted := 0
		for _, key := range []VerifierKey{keys.Ed25519, keys.MLDSA44} {
			for _, l := range n.Lines {
				if at, err := key.VerifyCosignature(c, l); err == nil {
					if counted++; at != signed {
						t.Errorf("%v counts as of the time %d", l, at)
					}
				}
				if _, err := key.VerifyCosignature(other, l); err == nil {
					t.Errorf("%v counts for another checkpoint", l)
				}
			}
		}
		if _, at, err := keys.Verify(c, n); (err == nil) != (counted == 2) || err == nil && at != signed {
			t.Errorf("%d lines count; together: %d, %v", counted, at, err)
		}
	})
}

// FuzzVerifyFork: nothing that somebody makes of one history is a fork of it, and a
// real fork is one whatever is added.
func FuzzVerifyFork(f *testing.F) {
	l := newTwoSided(f, 1, 2)
	left, right := l.sign(l.left, 2, 1), l.sign(l.right, 2, 1)
	policy := l.policy
	if _, err := VerifyFork(f.Context(), ForkProof{left, right}, policy, nil); VerdictOf(err) != Diverged {
		f.Fatal(err)
	}
	line, err := CheckpointLine(left)
	if err != nil {
		f.Fatal(err)
	}
	other, err := ParseSignedNote(right)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(left)
	f.Add(right)
	f.Add([]byte(line))
	f.Add(append(bytes.Clone(left), "— w AAAAAAA=\n"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := VerifyFork(t.Context(), ForkProof{left, b}, policy, nil); VerdictOf(err) == Diverged {
			// The other side's text under the other side's signature, in either form.
			k, err := ParseKept(b)
			if err != nil || k.Text() != other.Text {
				t.Errorf("a fork was made of %q", b)
			}
		}
		if _, err := VerifyFork(t.Context(), ForkProof{b, b}, policy, nil); VerdictOf(err) == Diverged {
			t.Errorf("%q is a fork of itself", b)
		}
	})
}

// FuzzVerifyReceipt: a receipt proves the entry for which it was made, and no other.
func FuzzVerifyReceipt(f *testing.F) {
	l := storyForTest(f)
	entry, policy, keys := l.texts[6], l.policy(), bytes.Join(l.keys, nil)
	receipt := l.receipt(6)
	if _, err := VerifyReceipt(receipt, entry, policy, keys); err != nil {
		f.Fatal(err)
	}
	f.Add(receipt, entry)
	f.Add(receipt, l.texts[7])
	f.Add(l.receipt(7), entry)
	f.Add(bytes.Replace(receipt, []byte("index 6\n"), []byte("index 7\n"), 1), entry)
	vectorsForFuzz(f, "receipts/*.tlog-proof", func(b []byte) { f.Add(b, entry) })
	f.Fuzz(func(t *testing.T, receipt, entry []byte) {
		rep, err := VerifyReceipt(receipt, entry, policy, keys)
		if rep == nil || rep.Verdict != VerdictOf(err).String() {
			t.Fatalf("report %+v, error %v", rep, err)
		}
		if err == nil && !slices.ContainsFunc(l.texts, func(text []byte) bool { return bytes.Equal(text, entry) }) {
			t.Errorf("an entry that is not in the log is proven: %q", entry)
		}
	})
}

// FuzzVerifyLog: a log of which one file says something else is not verified.
func FuzzVerifyLog(f *testing.F) {
	l, anchors := newLogForTest(f), filesForTest{}
	rotatedLog(l)
	anchor(l, anchors, l.sign(), l.now.Add(time.Second), "one", nil)
	l.commitState()
	good, policy := anchors.with(l), l.policy()
	names := slices.Sorted(maps.Keys(good))
	for n, name := range names {
		f.Add(n, good[name])
		f.Add(n, good[name][:len(good[name])-1])
		f.Add(n, good[names[(n+1)%len(names)]])
	}
	f.Fuzz(func(t *testing.T, n int, content []byte) {
		name := names[uint(n)%uint(len(names))]
		files := maps.Clone(good)
		files[name] = content
		rep, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: policy, Stamps: readStamp})
		if rep == nil {
			t.Fatal("no report")
		}
		if same := bytes.Equal(content, good[name]); same != (err == nil) {
			// A line by a stranger's key may stand under the checkpoint.
			if o, openErr := OpenCheckpoint(content, policy); name != "checkpoint" || openErr != nil || err != nil || o.Size != rep.Size {
				t.Errorf("%s as %q: %v", name, content, err)
			}
		}
		if VerdictOf(err) == Diverged {
			t.Errorf("%s contradicts a checkpoint that nobody gave: %v", name, err)
		}
	})
}

// FuzzStep: whatever parses as an entry is judged, in the state after a whole story,
// and what the rules accept, an encoder writes.
func FuzzStep(f *testing.F) {
	l := storyForTest(f)
	for _, text := range l.texts {
		f.Add(text)
	}
	vectorsForFuzz(f, "entries/good/*", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEntry(text)
		if err != nil {
			return
		}
		e.Index, e.Prev, e.Time = Index(len(l.texts)), l.prev, l.now
		eff, err := Step(e, l.replay)
		if (eff == nil) == (err == nil) {
			t.Fatalf("effects %v, error %v", eff, err)
		}
		if err == nil {
			err = CheckRefers(e, l.replay, eff)
		}
		if err != nil {
			if e.Index != Index(len(l.texts)) || err.Error() == "" {
				t.Fatalf("refused as %q", err)
			}
			return
		}
		if again, err := e.Encode(); err == nil {
			if _, err := ParseEntry(again); err != nil {
				t.Fatalf("the rules accept %q, and it does not parse: %v", again, err)
			}
		}
	})
}
