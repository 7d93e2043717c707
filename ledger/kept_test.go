package ledger

import (
	"errors"
	"strings"
	"testing"
)

// keptForTest gives a log, its signed checkpoint and the one-line form of that.
func keptForTest(t *testing.T) (l *logForTest, signed []byte, line string) {
	t.Helper()
	l = newLogForTest(t)
	l.prelude()
	signed = l.sign()
	line, err := CheckpointLine(signed)
	if err != nil {
		t.Fatal(err)
	}
	return l, signed, line
}

// TestKept takes a checkpoint in every form in which somebody may have kept it.
func TestKept(t *testing.T) {
	l, signed, line := keptForTest(t)
	words := strings.Split(line, " ")
	for _, v := range []struct {
		name, text string
		line       bool
	}{
		{"signed note", string(signed), false},
		{"with a line by a key that nobody knows", string(signed) + "— other.example AAAAAQI=\n", false},
		{"line", line, true},
		{"ended line", line + "\n", true},
		{"line before an empty one", line + "\n\n", true},
		{"header", CheckpointHeader + ": " + line, true},
		{"header in lower case, without a space", strings.ToLower(CheckpointHeader) + ":" + line + "\r\n", true},
		{"folded header", CheckpointHeader + ":\r\n " + words[0] + " " + words[1] + "\r\n\t" + words[2] + "\r\n " + words[3] + "\r\n " + words[4] + "\r\n", true},
		{"signature in one word", strings.Join(words[:4], " ") + words[4], true},
	} {
		k, err := ParseKept([]byte(v.text))
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if k.Line != v.line || k.Checkpoint != l.checkpoint() {
			t.Errorf("%s: it says %+v, in one line: %t", v.name, k.Checkpoint, k.Line)
		}
		if err := k.Verify(l.policy()); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		rep, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy(), Since: []byte(v.text)})
		if err != nil || rep.Since == "" {
			t.Errorf("%s: verify log --since: %v", v.name, err)
		}
	}
	for _, word := range words {
		if len(word) > 76 || len(line) > 300 {
			t.Errorf("a word of %d bytes, a line of %d", len(word), len(line))
		}
	}
}

// TestKeptRefuses has what is no checkpoint, and what the log did not sign.
func TestKeptRefuses(t *testing.T) {
	l, signed, line := keptForTest(t)
	words := strings.Split(line, " ")
	with := func(i int, word string) string {
		changed := append([]string(nil), words...)
		changed[i] = word
		return strings.Join(changed, " ")
	}
	for _, v := range []struct{ name, text, parse, verify string }{
		{"nothing", "", "neither a signed note nor a line", ""},
		{"three words", strings.Join(words[:3], " "), "neither a signed note nor a line", ""},
		{"a word more", line + " x", "base64", ""},
		{"another header", "X-Checkpoint: " + line, "size is not", ""},
		{"a header twice", CheckpointHeader + ": " + CheckpointHeader + ": " + line, "size is not", ""},
		{"another space", strings.Replace(line, " ", "\u00a0", 1), "size is not", ""},
		{"too long", line + strings.Repeat(" ", maxKeptLine), "more than 4096", ""},
		{"size with a zero before it", with(1, "0"+words[1]), "one spelling", ""},
		{"no root", with(2, "AAAA"), "root", ""},
		{"half a signature", strings.Join(words[:4], " "), "base64", ""},
		{"a piece less", with(4, words[4][4:]), "65 bytes, want 68", ""},
		{"not base64", with(3, "!"+words[3][1:]), "base64", ""},
		{"other root", with(2, Hash{1}.String()), "", "does not verify"},
		{"other size", with(1, "4"), "", "does not verify"},
		{"other origin", with(0, "ledger.example.com/other"), "", "origin is"},
		{"signature of another key", with(3, "A"+words[3][1:]), "", "trust.keys"},
		{"a note without its ML-DSA-44 line", string(signed[:strings.LastIndex(string(signed), "— ")]), "", "no signature by the log's key"},
	} {
		k, err := ParseKept([]byte(v.text))
		if v.parse != "" {
			if err == nil || !strings.Contains(err.Error(), v.parse) {
				t.Errorf("%s: parsing gives %v, want %q", v.name, err, v.parse)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if err := k.Verify(l.policy()); err == nil || !strings.Contains(err.Error(), v.verify) {
			t.Errorf("%s: verifying gives %v, want %q", v.name, err, v.verify)
		}
		_, err = VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy(), Since: []byte(v.text)})
		if VerdictOf(err) != CannotTell {
			t.Errorf("%s: verify log --since: %v, want CANNOT TELL", v.name, err)
		}
	}
	if _, err := CheckpointLine([]byte(line)); err == nil {
		t.Error("a line has a line")
	}
}

// TestKeptDiverged holds a log to a line from another history, and to one of more
// entries than it has.
func TestKeptDiverged(t *testing.T) {
	l, _, _ := keptForTest(t)
	other := newLogForTest(t)
	other.prelude()
	other.source("another", "app")
	line, err := CheckpointLine(other.sign())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy(), Since: []byte(line)}); !errors.Is(err, ErrDiverged) {
		t.Errorf("a log that was set back: %v", err)
	}
	l.source("yet-another", "app")
	if _, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy(), Since: []byte(line)}); !errors.Is(err, ErrDiverged) {
		t.Errorf("a log with another history: %v", err)
	}
}
