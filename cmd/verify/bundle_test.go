package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/ledger"
)

// fieldsOf lists the fields of a type as JSON names them, with those above them. Those
// of types that were met before are not listed again.
func fieldsOf(t reflect.Type, above string, met map[reflect.Type]bool) (list []string) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || met[t] {
		return nil
	}
	met[t] = true
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		list = append(append(list, above+name), fieldsOf(f.Type, above+name+".", met)...)
	}
	return list
}

// TestReportIsDocumented: every field of the report is documented, and none else.
func TestReportIsDocumented(t *testing.T) {
	text, err := os.ReadFile("BUNDLE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\n## `"+verdict.Format+"`\n") {
		t.Errorf("BUNDLE.md is not about %s", verdict.Format)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	want := fieldsOf(reflect.TypeFor[verdict.Report](), "", map[reflect.Type]bool{reflect.TypeFor[ledger.LogReport](): true, reflect.TypeFor[time.Time](): true})
	if !slices.Equal(documented, want) {
		t.Errorf("BUNDLE.md documents\n%s\nthe report has\n%s", strings.Join(documented, "\n"), strings.Join(want, "\n"))
	}
}

// scriptBundles writes:
//
//	case.asice       about a record that is confirmed, with the address disclosed; stamped as a whole, and between two stamps
//	withdrawn.asice  about the same when it is withdrawn, with nothing disclosed
//	erased.asice     about the same when it is erased
//	range.asice      an auditor's, of the entries 6 to 11
//	case.policy, told, told.short   the log's keys, the log, and a copy that ends before case.asice
//	rotated.asice, rotated.told     of the log whose keys were rotated since, so that others signed it
//	bare.asice       of a log without stamps; bare.told the log, cosigned.told with a checkpoint that a witness cosigned
//	cosigned.asice   the same, cosigned by the witness whom witness.policy demands; other.policy is of somebody's keys
//	plain.pem, qualified.pem, other.pem     the authorities' certificates, and that of a third
//	hindsight.asice  about a moment at which a record was confirmed that was invalidated since
//	lies.asice       says that there was no consent
//	newer.policy     of the keys that replaced those of case.policy
//	split.told       another history of the same keys, from before case.asice on, and split.asice of it; split.keys another's key entries
func scriptBundles(ts *testscript.TestScript, neg bool, args []string) {
	t, ok := ts.Value("t").(testing.TB)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: bundles")
	}
	plain, qualified, other := newStamper(t), newStamper(t), newStamper(t)
	begin := time.Now().UTC().Add(-10 * time.Minute).Truncate(time.Second)
	write := func(name string, b []byte) { writeFile(t, ts.MkAbs(name), b) }
	begun := func() (*bundleLog, ledger.ConsentID) {
		l := newBundleLog(t, begin)
		l.anchor(plain, len(l.texts), nil)
		id := l.subscribe()
		l.fill(20)
		l.anchor(qualified, len(l.texts), nil)
		return l, id
	}
	l, id := begun()
	write("case.policy", ledger.NewPolicy(l.signer.Keys()))
	l.export(ts.MkAbs("told.short"), len(l.texts))
	c := l.bundleOf(id, "confirmed", "email")
	c.Stamp = func(manifest ledger.Hash) ([]byte, error) {
		token, _ := plain.stamp(manifest)
		return token, nil
	}
	write("case.asice", l.packed(c))
	l.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn, Method: "link"}, id)
	l.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{id}})
	write("withdrawn.asice", l.packed(l.bundleOf(id, "withdrawn")))
	l.erase(id)
	write("erased.asice", l.packed(l.bundleOf(id, "unknown_subject")))
	write("range.asice", l.packed(l.bundleOfRange(6, 12)))
	l.export(ts.MkAbs("told"), len(l.texts))
	l.rotate()
	write("newer.policy", ledger.NewPolicy(l.signer.Keys()))
	write("rotated.asice", l.packed(l.bundleOf(l.subscribe(), "confirmed", "email", "name")))
	l.export(ts.MkAbs("rotated.told"), len(l.texts))
	write("plain.pem", readFile(t, plain.CAFile))
	write("qualified.pem", readFile(t, qualified.CAFile))
	write("other.pem", readFile(t, other.CAFile))
	bare := newBundleLog(t, begin)
	c = bare.bundleOf(bare.subscribe(), "confirmed")
	write("bare.asice", bare.packed(c))
	bare.export(ts.MkAbs("bare.told"), len(bare.texts))
	bare.export(ts.MkAbs("cosigned.told"), len(bare.texts))
	write("cosigned.told/checkpoint", cosign(t, c.Checkpoint))
	c.Checkpoint = cosign(t, c.Checkpoint)
	write("cosigned.asice", bare.packed(c))
	write("witness.policy", bare.witnessPolicy())
	write("other.policy", ledger.NewPolicy(newSigner(t, 9).Keys()))
	write("split.keys", newTestLogAt(t, begin.Add(time.Second)).keys(1))
	past, id := newBundleLog(t, begin), ledger.ConsentID(0)
	id = past.subscribe()
	past.now = past.now.Truncate(time.Second).Add(time.Second)
	at := past.now
	past.changeBy("legal", &ledger.Entry{Kind: ledger.ConsentInvalidated, Cause: "wording"}, id)
	c = past.bundleOf(id, "confirmed")
	c.Index.Questions[0].At, c.Index.Questions[0].Hindsight, c.Case.Questions[0].At = at, false, at
	write("hindsight.asice", past.packed(c))
	c.Index.Questions[0].Reason, c.Index.Questions[0].Allowed = "withdrawn", false
	write("lies.asice", past.packed(c))
	split, id := begun()
	split.fill(30)
	split.export(ts.MkAbs("split.told"), 30)
	write("split.asice", split.packed(split.bundleOf(id, "confirmed")))
}

// TestBundleInterrupted: an interrupt is not taken for a finding, and a report that
// nobody could read is none.
func TestBundleInterrupted(t *testing.T) {
	l := newBundleLog(t, time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	dir := t.TempDir()
	args := []string{"bundle", filepath.Join(dir, "case.asice"), "--policy", filepath.Join(dir, "policy")}
	writeFile(t, args[1], l.packed(l.bundleOf(l.subscribe(), "confirmed", "email")))
	writeFile(t, args[3], ledger.NewPolicy(l.signer.Keys()))
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, nil, fullDisk{}, &errs); code != 2 || !strings.Contains(errs.String(), "disk full") {
		t.Errorf("exit code %d, want 2: %s", code, &errs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, args, nil, &out, &errs); code != 2 || !strings.HasPrefix(out.String(), "CANNOT TELL: missing part: interrupted") {
		t.Errorf("exit code %d, want 2\n%s%s", code, &out, &errs)
	}
}

// erase records that a person was erased.
func (l *bundleLog) erase(id ledger.ConsentID) {
	clear(l.disclosures)
	erased := l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, id)
	l.add(&ledger.Entry{Kind: ledger.EvidenceShredded, Refers: []ledger.Index{erased}, Generation: 2, Medium: "file",
		Contents: l.now, ExistenceDue: l.now.Add(72 * time.Hour)})
}

// scriptByHand runs what the last standard output prints under “By hand”, in a shell,
// and demands that it prints what stands there: byhand COMMANDS
func scriptByHand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: byhand COMMANDS")
	}
	_, text, ok := strings.Cut(ts.ReadFile("stdout"), "\nBy hand, ")
	if !ok {
		ts.Fatalf("nothing is to be done by hand")
	}
	var commands, prints []string
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
		if want, result := strings.CutPrefix(line, "= "); ok && result {
			prints[len(prints)-1] = want
		} else if ok {
			commands, prints = append(commands, line), append(prints, "")
		}
	}
	for i, command := range commands {
		ts.Check(ts.Exec("sh", "-c", command))
		if got := strings.TrimSuffix(ts.ReadFile("stdout"), "\n"); got != prints[i] {
			ts.Fatalf("%s\nprints %q, want %q", command, got, prints[i])
		}
	}
	if got := fmt.Sprint(len(commands)); got != args[0] {
		ts.Fatalf("%s commands were run", got)
	}
}
