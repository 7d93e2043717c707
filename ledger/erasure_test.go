package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// erasureForTest is a log in which the consents of two people were erased in one
// list of two parts, with the indexes of the entries that record it.
type erasureForTest struct {
	*logForTest
	parts               [2]Index
	contents, existence Index
	consents            []ConsentID
	due                 time.Time
}

func erasedLog(t testing.TB) *erasureForTest {
	l := newLogForTest(t)
	ref := l.prelude()
	x := &erasureForTest{logForTest: l, consents: []ConsentID{l.request(1, ref), l.request(2, ref), l.request(3, ref)}}
	x.parts[0], x.parts[1] = x.erase(x.consents[:2], x.consents[2:])
	x.due = l.now.Add(72 * time.Hour).Truncate(time.Second)
	x.contents = x.shred(x.parts[:]...)
	l.request(4, ref)
	x.existence = x.forget(x.parts[:]...)
	if l.replay == nil {
		t.Fatal("the log breaks a rule")
	}
	return x
}

// erase records the erasure of consents in two parts.
func (x *erasureForTest) erase(first, second []ConsentID) (a, b Index) {
	one, two := x.changed(SubjectErased, first...), x.changed(SubjectErased, second...)
	one.Part, one.Parts, one.Time = 1, 2, x.now
	two.Part, two.Parts, two.Time = 2, 2, x.now
	return x.add(one), x.add(two)
}

// shred records that contents are destroyed, forget that existence is.
func (x *erasureForTest) shred(refers ...Index) Index {
	return x.add(&Entry{Kind: EvidenceShredded, Source: SourceLedger, Refers: refers, Generation: 2, Medium: "file",
		Contents: x.now.Truncate(time.Second), ExistenceDue: x.due})
}

func (x *erasureForTest) forget(refers ...Index) Index {
	return x.add(&Entry{Kind: EvidenceShredded, Source: SourceLedger, Refers: refers, Generation: 3, Medium: "file",
		Existence: x.now.Truncate(time.Second)})
}

// sections gives the sections of these entries, proven in the log as it stands.
func (x *erasureForTest) sections(indexes ...Index) (list []ErasureSection) {
	for _, i := range indexes {
		r, err := ParseReceipt(x.receipt(i))
		if err != nil {
			x.Fatal(err)
		}
		list = append(list, ErasureSection{x.texts[i], *r})
	}
	return list
}

// all gives the sections of the whole erasure.
func (x *erasureForTest) all() []ErasureSection {
	return x.sections(x.parts[0], x.parts[1], x.contents, x.existence)
}

func erasureText(sections ...ErasureSection) []byte { return ErasureReceipt{sections}.Text() }

// TestErasureReceiptGolden holds the format to the bytes that were written once.
func TestErasureReceiptGolden(t *testing.T) {
	x := erasedLog(t)
	files := filesForTest{
		"erasure-receipt.txt":         erasureText(x.all()...),
		"erasure-receipt-pending.txt": erasureText(x.all()[:3]...),
		"trust.policy":                NewPolicy(x.signer.Keys()),
	}
	checkFiles(t, "testdata/erasure", files)
	policy := x.policy()
	for name, text := range files {
		if name == "trust.policy" {
			continue
		}
		r, err := ParseErasureReceipt(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(r.Text(), text) || !IsErasureReceipt(text) {
			t.Errorf("%s is not its own spelling", name)
		}
		rep, err := VerifyErasureReceipt(text, policy, x.texts[0])
		if err != nil || rep.Verdict != "VERIFIED" || rep.Reason != "" {
			t.Errorf("%s: %v, %+v", name, err, rep)
		}
	}
}

func TestParseErasureReceiptRefuses(t *testing.T) {
	x := erasedLog(t)
	good := string(erasureText(x.sections(x.parts[0], x.parts[1])...))
	entryLines := 1 + strings.Count(string(x.texts[x.parts[0]]), "\n") + 1 // magic, blank line, entry
	replace := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	tests := []struct{ name, text, want string }{
		{"empty", "", "line 1: not an erasure receipt"},
		{"a receipt", string(x.receipt(3)), "line 1: not an erasure receipt"},
		{"version 0", replace("receipt/v1", "receipt/v0"), "line 1: not an erasure receipt"},
		{"version 01", replace("receipt/v1", "receipt/v01"), "line 1: not an erasure receipt"},
		{"byte order mark", "\ufeff" + good, "line 1: not an erasure receipt"},
		{"magic alone", erasureMagic + "\n", "line 2: want a blank line and an entry"},
		{"magic without an end", erasureMagic, "line 2: want a blank line"},
		{"magic and blank line", erasureMagic + "\n\n", "line 3: entry: not a consent ledger entry"},
		{"no blank line after the magic", replace("v1\n\n", "v1\n"), "line 2: want a blank line"},
		{"a line after the magic", replace("v1\n\n", "v1\nx\n\n"), "line 2: want a blank line"},
		{"two blank lines after the magic", replace("v1\n\n", "v1\n\n\n"), "line 3: entry: not a consent ledger entry"},
		{"carriage returns", strings.ReplaceAll(good, "\n", "\r\n"), "line 1: not an erasure receipt"},
		{"an entry that does not parse", replace("\nsource ", "\nsaucer "), "line 8: entry: want a line \"source\""},
		{"the entry alone", erasureMagic + "\n\n" + string(x.texts[x.parts[0]]), fmt.Sprintf("line %d: want a blank line and the entry's receipt", entryLines+1)},
		{"two entries", erasureMagic + "\n\n" + string(x.texts[10]) + "\n" + string(x.texts[11]) + "\n" + string(x.receipt(11)),
			fmt.Sprintf("line %d: receipt: not a tlog-proof", entryLines+2)},
		{"a receipt that does not parse", replace("\nindex 10\n", "\nindex 010\n"), "line 4: entry: index"},
		{"a receipt of another spelling", replace("proof@v1\nindex 10\n", "proof@v1\nindex 010\n"),
			fmt.Sprintf("line %d: receipt: not in its one spelling", entryLines+2)},
		{"extra bytes", replace("proof@v1\n", "proof@v1\nextra aGVsbG8=\n"), fmt.Sprintf("line %d: receipt: extra bytes", entryLines+3)},
		{"no checkpoint", good[:strings.LastIndex(good, "\n\n"+originForLog)+1], "receipt: checkpoint: "},
		{"no signatures", good[:strings.LastIndex(good, "\n\n")+1], "receipt: checkpoint: "},
		{"no line feed at the end", good[:len(good)-1], "does not end with a signature line and a newline"},
		{"a blank line at the end", good + "\n", "entry: not a consent ledger entry"},
		{"a line at the end", good + "x\n", "signature line 3"},
		{"too long", erasureMagic + "\n\n" + strings.Repeat("x", MaxErasureReceiptSize), "more than 1048576"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseErasureReceipt([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || VerdictOf(err) != Invalid {
				t.Errorf("error is %v, want INVALID with %q", err, test.want)
			}
		})
	}
	for _, text := range []string{replace("receipt/v1", "receipt/v2"), replace("receipt/v1", "receipt/v17"), replace("proof@v1", "proof@v2")} {
		if _, err := ParseErasureReceipt([]byte(text)); !errors.Is(err, ErrNewer) {
			t.Errorf("%.40q: error is %v, want ErrNewer", text, err)
		}
	}
}

// TestErasureReceiptLimit: a receipt of the largest size parses.
func TestErasureReceiptLimit(t *testing.T) {
	x := erasedLog(t)
	section := x.sections(x.contents)
	one := len(erasureText(section...)) - len(erasureText())
	r := ErasureReceipt{slices.Repeat(section, (MaxErasureReceiptSize-len(erasureText()))/one)}
	if _, err := ParseErasureReceipt(r.Text()); err != nil {
		t.Error(err)
	}
	r.Sections = append(r.Sections, section...)
	if _, err := ParseErasureReceipt(r.Text()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error is %v", err)
	}
}

func FuzzParseErasureReceipt(f *testing.F) {
	x := erasedLog(f)
	// Short checkpoints leave the fuzzer more to try in the same time.
	section := func(i Index) ErasureSection {
		return ErasureSection{x.texts[i], Receipt{Index: i, Proof: []Hash{{0x81}}, Checkpoint: []byte(exampleNote)}}
	}
	f.Add(erasureText(section(x.parts[0]), section(x.parts[1]), section(x.contents), section(x.existence)))
	f.Add(erasureText(section(3)))
	policy := x.policy()
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseErasureReceipt(b)
		if err != nil {
			return
		}
		if got := r.Text(); !bytes.Equal(got, b) {
			t.Fatalf("%q re-encodes to %q", b, got)
		}
		if len(r.Sections) == 0 {
			t.Fatalf("%q has no sections", b)
		}
		if rep, err := VerifyErasureReceipt(b, policy, nil); (err == nil) != (rep.Verdict == Verified.String()) {
			t.Fatalf("%q: %v, %s", b, err, rep.Verdict)
		}
	})
}
