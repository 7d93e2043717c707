package ledger

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestAddCheckpointRoundTrip(t *testing.T) {
	_, _, signed := hybridForTest(t)
	tests := []struct {
		name string
		r    AddCheckpoint
		head string
	}{
		{"first", AddCheckpoint{0, nil, signed}, "old 0\n\nlog.example\n"},
		{"grown", AddCheckpoint{20852014, []Hash{{0x81}, {}}, signed},
			"old 20852014\ngQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nlog.example\n"},
		{"largest", AddCheckpoint{1<<63 - 1, make([]Hash, MaxProofHashes), signed}, "old 9223372036854775807\nAAAA"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := test.r.Text()
			if !strings.HasPrefix(string(text), test.head) {
				t.Errorf("text is %q…", text[:60])
			}
			r, n, err := ParseAddCheckpoint(text)
			if err != nil {
				t.Fatal(err)
			}
			if r.Old != test.r.Old || len(r.Proof) != len(test.r.Proof) || !bytes.Equal(r.Checkpoint, signed) || !bytes.Equal(n.Bytes(), signed) {
				t.Errorf("parsed %+v", r)
			}
		})
	}
}

func TestParseAddCheckpointRefuses(t *testing.T) {
	_, _, signed := hybridForTest(t)
	good := string(AddCheckpoint{7, []Hash{{1}}, signed}.Text())
	tests := []struct{ name, text, want string }{
		{"empty", "", "no blank line"},
		{"only a checkpoint", string(signed), "does not begin with the old size"},
		{"no blank line", "old 7\n", "no blank line"},
		{"leading zero", strings.Replace(good, "old 7", "old 07", 1), "one spelling"},
		{"plus", strings.Replace(good, "old 7", "old +7", 1), "one spelling"},
		{"negative", strings.Replace(good, "old 7", "old -7", 1), "not a decimal number"},
		{"too large", strings.Replace(good, "old 7", "old 9223372036854775808", 1), "not a decimal number"},
		{"two spaces", strings.Replace(good, "old 7", "old  7", 1), "not a decimal number"},
		{"carriage return", strings.Replace(good, "old 7\n", "old 7\r\n", 1), "not a decimal number"},
		{"short hash", strings.Replace(good, "AAA=\n", "AA==\n", 1), "hash 1"},
		{"64 hashes", string(AddCheckpoint{7, make([]Hash, 64), signed}.Text()), "64 hashes are more than 63"},
		{"no checkpoint", "old 7\n\n", "checkpoint"},
		{"line after it", good + "\n", "checkpoint"},
		{"too long", good + strings.Repeat("x", MaxAddCheckpointSize), "are more than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := ParseAddCheckpoint([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestLogKeysVerify demands all of a log's keys.
func TestLogKeysVerify(t *testing.T) {
	s, _, signed := hybridForTest(t)
	c := checkpointForTest(t, s.Origin(), 5)
	n, err := ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	pair := LogKeys{Ed25519: s.Keys().Ed25519, MLDSA44: s.Keys().MLDSA44}
	_, stranger := cosign04("w.example", 9, c.Text(), 1)
	more := &SignedNote{n.Text, append(slices.Clone(n.Lines), stranger)}
	if lines, err := pair.Verify(c, more); err != nil || len(lines) != 2 || lines[0].String() != n.Lines[0].String() || lines[1].String() != n.Lines[1].String() {
		t.Errorf("both keys: %v, %v", lines, err)
	}
	classic := LogKeys{Ed25519: s.Keys().Ed25519}
	if lines, err := classic.Verify(c, &SignedNote{n.Text, n.Lines[:1]}); err != nil || len(lines) != 1 {
		t.Errorf("one key: %v, %v", lines, err)
	}
	if _, err := pair.Verify(c, &SignedNote{n.Text, n.Lines[:1]}); err == nil || !strings.Contains(err.Error(), "no signature") {
		t.Errorf("stripped: %v", err)
	}
	if _, err := classic.Verify(checkpointForTest(t, s.Origin(), 6), n); err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("of another checkpoint: %v", err)
	}
}

func TestParseLogs(t *testing.T) {
	k := keysForPolicy(t)
	other := signerForTest(t, "other.example/shop", 3).Keys()
	text := func(s string) []byte {
		s = strings.NewReplacer("{other}", other.Ed25519.String(), "{otherpq}", other.MLDSA44.String()).Replace(s)
		return k.expand(s)
	}
	tests := []struct{ name, text, want string }{
		{"trust.policy", string(NewPolicy(signerForTest(t, "log.example", 1).Keys())), "log.example hybrid"},
		{"bare lines", "log {log}\nwitness self-pq {pq}", "log.example hybrid"},
		{"Ed25519 alone", "log {log}\n", "log.example"},
		{"two logs", "witness a {otherpq}\nwitness w {w1}\nlog {log} https://log.example\nwitness b {pq}\nlog {other}\ngroup g any a b\nquorum g\n",
			"log.example hybrid, other.example/shop hybrid"},
		{"one of each", "log {log}\nlog {other}\nwitness b {otherpq}\nquorum none\n", "log.example, other.example/shop hybrid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			logs, err := ParseLogs(text(test.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range logs {
				name := l.Origin()
				if l.MLDSA44.Name != "" {
					name += " hybrid"
				}
				got = append(got, name)
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("logs are %q, want %q", got, test.want)
			}
		})
	}
	bad := []struct{ name, text, want string }{
		{"empty", "", "names no log"},
		{"no log", "witness pq {pq}\nquorum pq\n", "names no log"},
		{"twice", "log {log}\nlog {log}\n", "policy line 2: the log \"log.example\" or its key stands in a line before"},
		{"two keys", "log {log}\nlog {log2}\n", "policy line 2"},
		{"two ML-DSA-44 keys", "log {log}\nwitness a {pq}\nwitness b {pq2}\n", "policy line 3: second ML-DSA-44 key"},
		{"no origin", "log " + neumannKey + "\n", "policy line 1: origin"},
		{"of another type", "log {pq}\n", "policy line 1: the log's key is of type 0x06"},
		{"nonsense", "log {log}\nlogs\n", "policy line 2"},
		{"too long", strings.Repeat("#", MaxPolicySize+1), "are more than"},
	}
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseLogs(text(test.text)); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}

// FuzzParseAddCheckpoint checks that what parses has one spelling.
func FuzzParseAddCheckpoint(f *testing.F) {
	_, _, signed := hybridForTest(f)
	f.Add(AddCheckpoint{0, nil, signed}.Text())
	f.Add(AddCheckpoint{12, []Hash{{1}, {2}}, signed}.Text())
	f.Add([]byte("old 0\n\nx\n\n— x AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := ParseAddCheckpoint(b)
		if err == nil && (!bytes.Equal(r.Text(), b) || !bytes.Equal(n.Bytes(), r.Checkpoint)) {
			t.Errorf("%q has another spelling", b)
		}
	})
}

// TestLogKeysRotated: a witness that has the log's key entries takes the pair in force
// at a checkpoint's size, and no other.
func TestLogKeysRotated(t *testing.T) {
	l, first, signed, at := rotatedForTest(t)
	file := trustKeys(l, at[:]...)
	keys := LogKeys{Ed25519: first.Keys().Ed25519, MLDSA44: first.Keys().MLDSA44}
	followed, err := keys.WithKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(k LogKeys, note []byte) error {
		kept, err := ParseKept(note)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := k.Verify(kept.Checkpoint, kept.note)
		if err == nil && len(lines) != 2 {
			t.Errorf("%d lines", len(lines))
		}
		return err
	}
	for n, note := range signed {
		if err := verify(followed, note); err != nil {
			t.Errorf("checkpoint %d: %v", n, err)
		}
		if err := verify(keys, note); (err == nil) != (n == 0) {
			t.Errorf("checkpoint %d, without the key entries: %v", n, err)
		}
	}
	newest, err := LogKeys{Ed25519: l.signer.Keys().Ed25519, MLDSA44: l.signer.Keys().MLDSA44}.WithKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	for n, note := range signed {
		if err := verify(newest, note); (err == nil) != (n == 2) {
			t.Errorf("checkpoint %d, known by the newest keys: %v", n, err)
		}
	}
	stolen, err := newLogForTest(t).signer.SignCheckpoint(l.checkpoint(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(followed, stolen); err == nil {
		t.Error("a retired pair signs on")
	}
	for name, v := range map[string]struct {
		keys LogKeys
		file []byte
	}{
		"of another log":                {LogKeys{Ed25519: nextSigner(t, 9).Keys().Ed25519, MLDSA44: nextSigner(t, 9).Keys().MLDSA44}, file},
		"that signs with Ed25519 alone": {LogKeys{Ed25519: first.Keys().Ed25519}, file},
		"with half a file":              {keys, file[:len(file)/2]},
		"with an empty file":            {keys, nil},
	} {
		if _, err := v.keys.WithKeys(v.file); !errors.Is(err, ErrPolicy) {
			t.Errorf("a log %s: %v", name, err)
		}
	}
}
