package ledger

import (
	"strings"
	"testing"
)

// lineOf gives the one-line form of a checkpoint, edited.
func lineOf(signed func(*logForTest) []byte, edit func(line string) string) func(*logForTest) []byte {
	return func(l *logForTest) []byte {
		line, err := CheckpointLine(signed(l))
		if err != nil {
			l.Fatal(err)
		}
		if edit != nil {
			before := line
			if line = edit(line); line == before {
				l.Fatalf("%q was not changed", line)
			}
		}
		return []byte(line)
	}
}

// signedOther gives a checkpoint of the size and another root.
func signedOther(size Size) func(*logForTest) []byte {
	return func(l *logForTest) []byte {
		f := filesForTest{}
		signWith(l.first, Checkpoint{Size: size, Root: Hash{1}})(l, f)
		return f["checkpoint"]
	}
}

// editWord changes one of the words of a line.
func editWord(n int, edit func(string) string) func(string) string {
	return func(line string) string {
		words := strings.Split(line, " ")
		words[n] = edit(words[n])
		return strings.Join(words, " ")
	}
}

func bitInSignature(word string) string {
	if word[30] == 'A' {
		return word[:30] + "B" + word[31:]
	}
	return word[:30] + "A" + word[31:]
}

// keptLogs are held to a checkpoint in one line, as a mail's header carries it.
var keptLogs = []logVector{
	{name: "since-line", build: preludeLog, since: lineOf((*logForTest).sign, nil), verdict: Verified, mention: "contains the checkpoint you hold, of 7 entries", reason: "the line of a mail's header"},
	{name: "since-line-not-checked", build: preludeLog, since: lineOf((*logForTest).sign, nil), verdict: Verified, mention: "the ML-DSA-44 signature of the checkpoint you hold: its one-line form has none",
		reason: "what a line does not hold is named"},
	{name: "since-line-header", build: preludeLog, since: lineOf((*logForTest).sign, func(s string) string {
		return "consent-ledger-CHECKPOINT: " + strings.ReplaceAll(s, " ", "\r\n\t ") + "\r\n"
	}), verdict: Verified, mention: "contains the checkpoint you hold, of 7 entries", reason: "with the header's name, in any case, and folded as mail does"},
	{name: "since-line-between-rotations", build: rotatedLog, shipped: true, since: lineOf(signedAtSize(9, "second "), nil), verdict: Verified,
		mention: "contains the checkpoint you hold, of 9 entries", reason: "the pair in force at that size signed it"},
	{name: "since-line-by-retired", build: rotatedLog, shipped: true, since: lineOf(signedAtSize(9, ""), nil), verdict: CannotTell, err: "missing part: the checkpoint you hold: signed by another key",
		reason: "a line proves nothing by a pair that was not in force at its size"},
	{name: "since-line-by-other-keys", build: preludeLog, since: lineOf(func(l *logForTest) []byte {
		f := filesForTest{}
		signWith(otherSigner(l), Checkpoint{Size: -1})(l, f)
		return f["checkpoint"]
	}, nil), verdict: CannotTell, err: "missing part: the checkpoint you hold: signed by another key", reason: "nothing is known of the key"},
	{name: "since-line-forked", build: preludeLog, since: lineOf(signedOther(5), nil), verdict: Diverged, err: "diverged: at 5 entries the root is ", reason: "another history"},
	{name: "since-line-larger", build: preludeLog, since: lineOf(signedOther(8), nil), verdict: Diverged, err: "diverged: the log has 7 entries, the checkpoint you hold has 8", reason: "an older copy"},
	{name: "since-line-flipped", build: preludeLog, since: lineOf((*logForTest).sign, editWord(3, bitInSignature)), verdict: CannotTell, err: "missing part: the checkpoint you hold: ",
		reason: "a signature that does not verify"},
	{name: "since-line-other-size", build: preludeLog, since: lineOf((*logForTest).sign, editWord(1, func(string) string { return "6" })), verdict: CannotTell, err: "does not verify",
		reason: "a size that nobody signed"},
	{name: "since-line-leading-zero", build: preludeLog, since: lineOf((*logForTest).sign, editWord(1, func(s string) string { return "0" + s })), verdict: CannotTell,
		err: "missing part: the checkpoint you hold: ", reason: "one spelling"},
	{name: "since-line-other-origin", build: preludeLog, since: lineOf(func(l *logForTest) []byte {
		f := filesForTest{}
		signWith(strangerSigner(l), Checkpoint{Size: -1})(l, f)
		return f["checkpoint"]
	}, nil), verdict: CannotTell, err: `origin is "ledger.example.org"`, reason: "another log's"},
	{name: "since-line-three-words", build: preludeLog, since: lineOf((*logForTest).sign, func(s string) string {
		return strings.Join(strings.Split(s, " ")[:3], " ")
	}), verdict: CannotTell, err: "neither a signed note nor a line", reason: "the signature is missing"},
	{name: "since-line-half-a-signature", build: preludeLog, since: lineOf((*logForTest).sign, func(s string) string { return s[:strings.LastIndex(s, " ")] }), verdict: CannotTell,
		err: "missing part: the checkpoint you hold: ", reason: "the second half of the signature is missing"},
	{name: "since-line-more-words", build: preludeLog, since: lineOf((*logForTest).sign, func(s string) string { return s + " x" }), verdict: CannotTell,
		err: "missing part: the checkpoint you hold: ", reason: "nothing follows the signature"},
	{name: "since-line-signature-in-one", build: preludeLog, since: lineOf((*logForTest).sign, func(s string) string {
		cut := strings.LastIndex(s, " ")
		return s[:cut] + s[cut+1:]
	}), verdict: Verified, mention: "contains the checkpoint you hold, of 7 entries", reason: "as it stands in the note"},
	{name: "since-line-signature-in-many", build: preludeLog, since: lineOf((*logForTest).sign, editWord(3, func(s string) string { return s[:1] + " " + s[1:20] + "\t" + s[20:] })),
		verdict: Verified, mention: "contains the checkpoint you hold, of 7 entries", reason: "a signature may be cut anywhere"},
	{name: "since-line-ml-dsa", build: preludeLog, since: func(l *logForTest) []byte {
		_, ml, _ := strings.Cut(strings.TrimSpace(string(l.sign())), "\n\n")
		lines := strings.Fields(ml)
		return []byte(strings.Join(append(strings.Fields(l.checkpoint().Text()), lines[len(lines)-1]), " "))
	}, verdict: CannotTell, err: "missing part: the checkpoint you hold: ", reason: "a line carries the Ed25519 signature, no other"},
	{name: "since-without-quorum", build: preludeLog, edit: cosigned, policy: "witnessed.policy", since: (*logForTest).sign, verdict: Verified,
		mention: "contains the checkpoint you hold, of 7 entries", reason: "what the log is held to needs no witness"},
}

// FuzzParseKept: what parses has one meaning, and its line leads back to it.
func FuzzParseKept(f *testing.F) {
	l := newLogForTest(f)
	l.prelude()
	for _, v := range keptLogs {
		f.Add(v.since(l))
	}
	f.Add([]byte(CheckpointHeader + ":"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKept(text)
		if err != nil {
			return
		}
		line, err := CheckpointLine(k.note.Bytes())
		if err != nil {
			if k.Line {
				t.Fatalf("%q has no line: %v", text, err)
			}
			return
		}
		again, err := ParseKept([]byte(line))
		if err != nil || !again.Line || again.Checkpoint != k.Checkpoint {
			t.Fatalf("%q gives %q, which gives %+v, %v", text, line, again, err)
		}
		if k.Line && string(again.note.Bytes()) != string(k.note.Bytes()) {
			t.Fatalf("%q has another signature than its line %q", text, line)
		}
	})
}
