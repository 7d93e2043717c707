package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// policyKeys are the keys that the policies of these tests are made of.
type policyKeys struct {
	log, pq, log2, pq2, w1, w2, w3 string
}

func keysForPolicy(t testing.TB) policyKeys {
	one, two := signerForTest(t, "log.example", 1).Keys(), signerForTest(t, "log.example", 2).Keys()
	witness := func(seed byte) string {
		k, _ := cosign04(fmt.Sprintf("w%d.example", seed), seed, "", 1)
		return k.String()
	}
	return policyKeys{one.Ed25519.String(), one.MLDSA44.String(), two.Ed25519.String(), two.MLDSA44.String(), witness(1), witness(2), witness(3)}
}

// expand replaces {log}, {pq}, … by keys.
func (k policyKeys) expand(text string) []byte {
	return []byte(strings.NewReplacer("{log}", k.log, "{pq}", k.pq, "{log2}", k.log2, "{pq2}", k.pq2,
		"{w1}", k.w1, "{w2}", k.w2, "{w3}", k.w3).Replace(text))
}

func TestNewPolicy(t *testing.T) {
	keys := signerForTest(t, "log.example/shop", 1).Keys()
	text := NewPolicy(keys)
	p, err := ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	if p.Origin() != "log.example/shop" || p.LogWitness() != "self-pq" {
		t.Errorf("origin %q, log witness %q", p.Origin(), p.LogWitness())
	}
	if p.Keys().Ed25519.String() != keys.Ed25519.String() || p.Keys().MLDSA44.String() != keys.MLDSA44.String() {
		t.Error("keys are not those given")
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line != "\n" && line[0] != '#' {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	want := []string{"log " + keys.Ed25519.String(), "witness self-pq " + keys.MLDSA44.String(), "group hybrid all self-pq", "quorum hybrid"}
	if !slices.Equal(lines, want) {
		t.Errorf("lines are %q, want %q", lines, want)
	}
	if missing := p.missing(nil); !slices.Equal(missing, []string{"self-pq"}) {
		t.Errorf("missing %q", missing)
	}
}

func TestParsePolicyAccepts(t *testing.T) {
	k := keysForPolicy(t)
	tests := []struct{ name, text string }{
		{"smallest", "log {log}\nwitness pq {pq}\nquorum none\n"},
		{"log last", "witness pq {pq}\nquorum pq\nlog {log}\n"},
		{"URLs", "log {log} https://log.example/\nwitness pq {pq} https://log.example/w/\nquorum pq\n"},
		{"white space and comments", "\n \t\n# a\n\t # b\n log\t{log}  \nwitness\tpq {pq}\t\nquorum   pq\n"},
		{"names that look like words", "log {log}\nwitness all {pq}\nwitness 2 {w1}\ngroup any 2 2 all\nquorum any\n"},
		{"octets beyond ASCII", "# \xff\xfe\nlog {log}\nwitness \xff\u00a0\u2003 {pq} https://bücher.example\nquorum \xff\u00a0\u2003\n"},
		{"nested groups", "log {log}\nwitness pq {pq}\nwitness a {w1}\nwitness b {w2}\ngroup g 1 a b\ngroup h all g pq\nquorum h\n"},
		{"own key not wanted", "log {log}\nwitness pq {pq}\nwitness a {w1}\nquorum a\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := ParsePolicy(k.expand(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if p.Origin() != "log.example" || p.Keys().Ed25519.String() != k.log || p.Keys().MLDSA44.String() != k.pq {
				t.Errorf("origin %q, keys %v", p.Origin(), p.Keys())
			}
		})
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	k := keysForPolicy(t)
	wk, _ := cosign04("log.example", 4, "", 1)
	logAsWitness, err := ParseVerifierKey(k.log)
	if err != nil {
		t.Fatal(err)
	}
	logAsWitness.Type = KeyTypeCosignatureEd25519
	logAsWitness.Name = "w.example"
	const head = "log {log}\nwitness pq {pq}\nwitness a {w1}\nwitness b {w2}\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "without a quorum line"},
		{"no quorum", head, "without a quorum line"},
		{"two quorum lines", head + "quorum a\nquorum none\n", "line 6: second quorum, after line 5"},
		{"quorum without name", head + "quorum\n", "line 5: want quorum"},
		{"quorum of two", head + "quorum a b\n", "line 5: want quorum"},
		{"comment at the end of a line", head + "quorum a # b\n", "line 5: want quorum"},
		{"quorum not defined", head + "quorum c\n", `line 5: quorum "c" is not defined before`},
		{"quorum defined later", head + "quorum c\nwitness c {w3}\n", `line 5: quorum "c" is not defined before`},
		{"no log", "witness pq {pq}\nquorum pq\n", "names no log"},
		{"two keys of a log", head + "log {log2}\nquorum a\n", "line 5: second log, after line 1"},
		{"same log twice", head + "log {log}\nquorum a\n", "line 5: second log, after line 1"},
		{"log with ML-DSA-44 key", "log {pq}\nquorum none\n", "line 1: the log's key is of type 0x06"},
		{"log with cosigner's key", "log {w1}\nquorum none\n", "line 1: the log's key is of type 0x04"},
		{"log of no origin", "log " + neumannKey + "\nquorum none\n", "line 1: origin"},
		{"log without key", "log\nquorum none\n", "line 1: want log"},
		{"log with two URLs", "log {log} a b\nquorum none\n", "line 1: want log"},
		{"log with a broken key", "log {log}A\nquorum none\n", "line 1: verifier key"},
		{"no ML-DSA-44 key", "log {log}\nwitness a {w1}\nquorum a\n", `no ML-DSA-44 key for the log "log.example"`},
		{"only a cosigner of the log's name", "log {log}\nwitness a " + wk.String() + "\nquorum a\n", "no ML-DSA-44 key"},
		{"two ML-DSA-44 keys", head + "witness pq2 {pq2}\nquorum a\n", "line 5: second ML-DSA-44 key for the log \"log.example\", after line 2"},
		{"witness is the log's Ed25519 key", head + "witness c " + logAsWitness.String() + "\nquorum c\n", "line 5: same public key as the log of line 1"},
		{"witness without key", head + "witness c\nquorum a\n", "line 5: want witness"},
		{"witness with two URLs", head + "witness c {w3} a b\nquorum a\n", "line 5: want witness"},
		{"witness with a broken key", head + "witness c {w3}A\nquorum a\n", "line 5: verifier key"},
		{"witness with a log's key", head + "witness c {log2}\nquorum a\n", "line 5: the witness's key is of type 0x01"},
		{"witness twice", head + "witness c {w1}\nquorum a\n", "line 5: same public key as the witness of line 3"},
		{"name twice", head + "witness a {w3}\nquorum a\n", `line 5: name "a" is defined in line 3`},
		{"name of a group", head + "group g any a\nwitness g {w3}\nquorum a\n", `line 6: name "g" is defined in line 5`},
		{"witness none", head + "witness none {w3}\nquorum a\n", "line 5: the name none is reserved"},
		{"group none", head + "group none all a\nquorum a\n", "line 5: the name none is reserved"},
		{"group without members", head + "group g all\nquorum g\n", "line 5: want group"},
		{"group of unknown", head + "group g all c\nquorum g\n", `line 5: group "g": member "c" is not defined`},
		{"group of itself", head + "group g all g\nquorum g\n", `line 5: group "g": member "g" is not defined`},
		{"group of none", head + "group g all none\nquorum g\n", `member "none" is not defined`},
		{"member twice", head + "group g all a a\nquorum g\n", `line 5: group "g": "a" is a member of the group of line 5`},
		{"member of two groups", head + "group g all a\ngroup h any a b\nquorum h\n", `line 6: group "h": "a" is a member of the group of line 5`},
		{"k of 0", head + "group g 0 a\nquorum g\n", "line 5: group \"g\": 0 of 1"},
		{"k too large", head + "group g 3 a b\nquorum g\n", "3 of 2 members"},
		{"k negative", head + "group g -1 a b\nquorum g\n", "-1 of 2 members"},
		{"k with zero", head + "group g 01 a b\nquorum g\n", `"01" is not all, any or a decimal number`},
		{"k with sign", head + "group g +1 a b\nquorum g\n", "is not all, any"},
		{"k too long", head + "group g 99999999999999999999 a b\nquorum g\n", "is not all, any"},
		{"k in upper case", head + "group g ALL a b\nquorum g\n", "is not all, any"},
		{"unknown line", head + "quorums a\n", `line 5: "quorums" is not log`},
		{"carriage returns", strings.ReplaceAll(head, "\n", "\r\n"), "line 1: control character 0x0d"},
		{"control character in a comment", head + "# \x1b[2J\nquorum a\n", "line 5: control character 0x1b"},
		{"DEL", head + "# \x7f\nquorum a\n", "line 5: control character 0x7f"},
		{"no last newline", head + "quorum a", "line 5: does not end with a newline"},
		{"Unicode space separates nothing", head + "quorum\u00a0a\n", "line 5: \"quorum\\u00a0a\" is not log"},
		{"too long", head + "quorum a\n#" + strings.Repeat("x", MaxPolicySize) + "\n", "more than 262144"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParsePolicy(k.expand(test.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %q, want one with %q", err, test.want)
			}
			if VerdictOf(err) != CannotTell {
				t.Errorf("verdict %v, want CANNOT TELL", VerdictOf(err))
			}
		})
	}
}

// Every subset of witnesses against a quorum that is evaluated by hand.
func TestQuorum(t *testing.T) {
	k := keysForPolicy(t)
	p, err := ParsePolicy(k.expand("log {log}\nwitness pq {pq}\nwitness a {w1}\nwitness b {w2}\nwitness c {w3}\n" +
		"group two 2 a b c\ngroup both all pq two\nquorum both\n"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"pq", "a", "b", "c"}
	for subset := range 1 << len(names) {
		var verified []string
		abc := 0
		for i, name := range names {
			if subset>>i&1 == 1 {
				verified = append(verified, name)
				if name != "pq" {
					abc++
				}
			}
		}
		reached := slices.Contains(verified, "pq") && abc >= 2
		missing := p.missing(verified)
		if reached != (len(missing) == 0) {
			t.Errorf("%q: missing %q, reached should be %v", verified, missing, reached)
		}
		for _, name := range missing {
			if slices.Contains(verified, name) || abc >= 2 && name != "pq" {
				t.Errorf("%q: %q is called missing", verified, name)
			}
		}
	}
}

// There is no one spelling of a policy, so accepted ones are written again from
// what was understood, which must be understood in the same way.
func FuzzParsePolicy(f *testing.F) {
	k := keysForPolicy(f)
	for _, text := range []string{
		"log {log}\nwitness pq {pq}\nquorum none\n",
		"log {log}\nwitness pq {pq}\nwitness a {w1}\nwitness b {w2}\ngroup g 1 a b\ngroup h all g pq\nquorum h\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy(k.expand(text))
		if err != nil {
			if VerdictOf(err) != CannotTell {
				t.Fatalf("verdict %v: %v", VerdictOf(err), err)
			}
			return
		}
		again := p.textForTest()
		q, err := ParsePolicy(again)
		if err != nil {
			t.Fatalf("%q is refused: %v", again, err)
		}
		if !bytes.Equal(q.textForTest(), again) {
			t.Fatalf("%q re-encodes to %q", again, q.textForTest())
		}
	})
}

// textForTest writes what was understood of a policy.
func (p *Policy) textForTest() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "log %s\n", p.keys.Ed25519)
	for _, w := range p.witnesses {
		fmt.Fprintf(&b, "witness %s %s\n", w.name, w.key)
	}
	var group func(*policyNode)
	group = func(n *policyNode) {
		names := ""
		for _, m := range n.members {
			group(m)
			names += " " + m.name
		}
		if names != "" {
			fmt.Fprintf(&b, "group %s %d%s\n", n.name, n.need, names)
		}
	}
	if p.quorum == nil {
		b.WriteString("quorum none\n")
	} else {
		group(p.quorum)
		fmt.Fprintf(&b, "quorum %s\n", p.quorum.name)
	}
	return b.Bytes()
}
