package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/consentledger/consentledger/ledger"
)

// commands are what the test binary can be run as.
var commands = map[string]func(){"verify": main}

func TestMain(m *testing.M) { testscript.Main(m, commands) }

// fullSize is the size of the log in the scripts: two full tiles, a partial one
// and a tile of level 1; keptSize is that of the checkpoint kept from before.
const (
	fullSize = 600
	keptSize = 300
)

// TestScripts runs the command as a process of its own; every script begins
// with the files that setUp writes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setUp,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   scriptExits,
			"flip":    scriptFlip,
			"json":    scriptJSON,
			"fill":    scriptFill,
			"stamps":  scriptStamps,
			"bundles": scriptBundles,
			"byhand":  scriptByHand,
		},
	})
}

// setUp writes, into the script's directory:
//
//	log       a good log                     short   its first entries, as many as kept.checkpoint has
//	fork      another history of the same keys, of the same size
//	policy    of the log's keys              policy.nopq without the ML-DSA-44 key
//	kept.checkpoint                          an earlier checkpoint of the log
//	fork.checkpoint                          one of fork, of the same size; fork.proof holds both
//	kept.line, fork.line, kept.header        these in one line, and as a mail carries it
//	policy.witness                           demands a witness that never signed
//	entry, receipt, other.entry              entry 7 and its receipt, entry 8
//	rotated   a log whose keys were rotated twice, at rotatedAt
//	rotated.policy, rotated.policy.2         of its first and its third keys
//	rotated.keys.1                           its key entries before the second rotation
//	rotated.0, rotated.1, rotated.2          its checkpoints by each pair
//	rotated.1st, rotated.forged              one of 1 entry, and another by somebody who has the first keys
//	rotated.forged.receipt, rotated.forged.entry    a receipt by that
//	rotated.receipt.0, rotated.receipt.1, rotated.receipt.2, rotated.entry    entry 3, proven by each pair
//	erasure, erasure.done, erasure.half      an erasure receipt; one of later, with the existence destroyed; one that proves nothing
//
// and serves log at $URL/open, $URL/closed (with the key clk_auditor) and
// $URL/moved (a redirect to another host, which fails the test).
func setUp(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("not in a test")
	}
	env.Values["t"] = t
	work := func(name string) string { return filepath.Join(env.WorkDir, name) }
	l := newTestLog(t)
	l.fill(20)
	l.asked()
	l.fill(fullSize - 9)
	l.story()
	l.export(work("log"), fullSize)
	l.export(work("short"), keptSize-1)
	fork := newTestLog(t)
	fork.request() // whose person never confirms
	fork.fill(fullSize)
	fork.export(work("fork"), fullSize)
	policy := ledger.NewPolicy(l.signer.Keys())
	writeFile(t, work("policy"), policy)
	writeFile(t, work("policy.nopq"), []byte("log "+l.signer.Keys().Ed25519.String()+"\nquorum none\n"))
	writeFile(t, work("kept.checkpoint"), l.checkpoint(keptSize))
	writeFile(t, work("fork.checkpoint"), fork.checkpoint(keptSize))
	writeFile(t, work("fork.proof"), ledger.ForkProof{First: l.checkpoint(keptSize), Second: fork.checkpoint(keptSize)}.Text())
	for name, signed := range map[string][]byte{"kept.line": l.checkpoint(keptSize), "fork.line": fork.checkpoint(keptSize)} {
		line, err := ledger.CheckpointLine(signed)
		if err != nil {
			return err
		}
		writeFile(t, work(name), []byte(line+"\n"))
		writeFile(t, work(strings.Replace(name, "line", "header", 1)),
			[]byte(ledger.CheckpointHeader+": "+strings.ReplaceAll(line, " ", "\r\n ")+"\r\n"))
	}
	cosigner, err := ledger.NewCosigner("witness.example", [32]byte{1}, [32]byte{2})
	if err != nil {
		return err
	}
	writeFile(t, work("policy.witness"), []byte(strings.Replace(strings.Replace(string(policy), "group hybrid", string(cosigner.Keys().PolicyLines(""))+"group hybrid", 1),
		"all self-pq\n", "all self-pq witness.example\n", 1)))
	writeFile(t, work("entry"), l.texts[7])
	writeFile(t, work("other.entry"), l.texts[8])
	writeFile(t, work("receipt"), l.receipt(7, fullSize))
	writeFile(t, work("foreign.line"), []byte(foreignLine()))
	erased := erasureIndex(fullSize)
	writeFile(t, work("erasure"), l.erasureReceipt(fullSize, erased, erased+1))
	writeFile(t, work("erasure.half"), l.erasureReceipt(fullSize, erased))
	done := int(l.add(&ledger.Entry{Kind: ledger.EvidenceShredded, Refers: []ledger.Index{ledger.Index(erased)}, Generation: 3,
		Medium: "file", Existence: l.now}))
	writeFile(t, work("erasure.done"), l.erasureReceipt(fullSize+1, erased, erased+1, done))
	rotatedLog(t, work)
	serve(t, env, work("log"))
	return nil
}

// rotatedAt are the entries with which the keys of the log rotated follow each
// other; rotatedSize is how many it has.
var rotatedAt = []int{30, 40}

const rotatedSize = 300

func rotatedLog(t testing.TB, work func(string) string) {
	l := newTestLog(t)
	policy := ledger.NewPolicy(l.signer.Keys())
	for _, at := range rotatedAt {
		l.fill(at)
		l.rotate()
	}
	l.fill(rotatedSize)
	l.export(work("rotated"), rotatedSize)
	writeFile(t, work("rotated.policy"), policy)
	writeFile(t, work("rotated.policy.2"), ledger.NewPolicy(l.signer.Keys()))
	writeFile(t, work("rotated.keys.1"), l.keys(rotatedAt[1]))
	writeFile(t, work("rotated.entry"), l.texts[3])
	thief := newTestLogAt(t, l.now) // who has the first keys
	writeFile(t, work("rotated.forged"), thief.checkpoint(1))
	writeFile(t, work("rotated.forged.receipt"), thief.receipt(0, 1))
	writeFile(t, work("rotated.forged.entry"), thief.texts[0])
	writeFile(t, work("rotated.1st"), l.checkpoint(1))
	for i, size := range []int{rotatedAt[0], rotatedAt[1], rotatedAt[1] + 1} {
		writeFile(t, work(fmt.Sprint("rotated.", i)), l.checkpoint(size))
		writeFile(t, work(fmt.Sprint("rotated.receipt.", i)), l.receipt(3, size))
	}
}

func serve(t testing.TB, env *testscript.Env, dir string) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	files := http.FileServer(http.Dir(dir))
	mux := http.NewServeMux()
	mux.Handle("/open/", http.StripPrefix("/open", files))
	mux.Handle("/closed/", http.StripPrefix("/closed", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer clk_auditor":
			files.ServeHTTP(w, r)
		case "":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})))
	mux.Handle("/moved/", http.RedirectHandler(other.URL+"/checkpoint", http.StatusFound))
	mux.HandleFunc("/broken/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/endless/", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	env.Setenv("URL", server.URL)
	env.Defer(func() {
		server.Close()
		other.Close()
		if n := elsewhere.Load(); n != 0 {
			t.Errorf("%d requests followed a redirect to another host", n)
		}
	})
}

// scriptExits runs a command and demands its exit code: exits CODE COMMAND…
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code is %d, want %d", got, want)
	}
}

// scriptFlip flips the lowest bit of one byte: flip FILE OFFSET
func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	offset, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b[offset] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o666))
}

// scriptFill makes a file of so many zero bytes, or so many empty files in a
// directory: fill FILE|DIR/ NUMBER
func scriptFill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE|DIR/ NUMBER")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	name := ts.MkAbs(args[0])
	if !strings.HasSuffix(args[0], "/") {
		ts.Check(os.WriteFile(name, make([]byte, n), 0o666))
		return
	}
	ts.Check(os.MkdirAll(name, 0o777))
	for i := range n {
		ts.Check(os.WriteFile(filepath.Join(name, fmt.Sprintf("extra-%03d", i)), nil, 0o666))
	}
}

// scriptJSON demands that the last standard output is one JSON object whose
// field has this value: json FIELD VALUE
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json FIELD VALUE")
	}
	var report map[string]any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber()
	ts.Check(dec.Decode(&report))
	if dec.More() {
		ts.Fatalf("more than one JSON value")
	}
	if got := fmt.Sprint(report[args[0]]); got != args[1] {
		ts.Fatalf("%s is %q, want %q", args[0], got, args[1])
	}
}

// TestEveryFlippedByte flips, one after the other, the bytes of a small export:
// each makes it invalid. With -short, only every 17th.
func TestEveryFlippedByte(t *testing.T) {
	l := newTestLog(t)
	l.story()
	step := 1
	if testing.Short() {
		step = 17
	}
	flipBytes(t, l, step)
}

// TestFlippedBytesRotated does the same with every 29th byte of a log with
// everything that outlives its keys and its operator's clock: rotations, and a
// checkpoint that was stamped. Nobody can follow damaged key entries to the keys
// that signed, so of those there may be no verdict.
func TestFlippedBytesRotated(t *testing.T) {
	l := newTestLog(t)
	l.rotate()
	l.record(len(l.texts), l.checkpoint(len(l.texts)), []byte("a token that nobody reads"), l.now)
	l.rotate()
	flipBytes(t, l, 29, "/trust.keys")
}

// flipBytes flips bytes of a log's export, so many after each other. Each makes it
// invalid, but for files of which there may be no verdict.
func flipBytes(t *testing.T, l *testLog, step int, noVerdict ...string) {
	dir := filepath.Join(t.TempDir(), "log")
	l.export(dir, len(l.texts))
	policy := filepath.Join(t.TempDir(), "policy")
	writeFile(t, policy, ledger.NewPolicy(l.signerAt(1).Keys()))
	verify := func() (int, string) {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"log", dir, "--policy", policy}, strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	if code, text := verify(); code != 0 {
		t.Fatalf("the log as it was written: exit code %d\n%s", code, text)
	}
	flipped := 0
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		good, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(name, dir)
		for i := 0; i < len(good); i += step {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			writeFile(t, name, bad)
			if code, text := verify(); code != 1 && (code != 2 || !slices.Contains(noVerdict, path)) {
				t.Errorf("%s, byte %d flipped: exit code %d\n%s", path, i, code, text)
			}
			flipped++
		}
		writeFile(t, name, good)
		return nil
	})
	if err != nil || flipped == 0 {
		t.Fatalf("%d bytes flipped: %v", flipped, err)
	}
}

// TestInterrupted checks that an interrupt is not taken for a finding.
func TestInterrupted(t *testing.T) {
	l := newTestLog(t)
	dir := t.TempDir()
	l.export(filepath.Join(dir, "log"), len(l.texts))
	writeFile(t, filepath.Join(dir, "policy"), ledger.NewPolicy(l.signer.Keys()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"log", filepath.Join(dir, "log"), "--policy", filepath.Join(dir, "policy")}, nil, &out, &errs)
	if code != 2 || !strings.Contains(out.String(), "CANNOT TELL: missing part: interrupted") {
		t.Errorf("exit code %d, want 2\n%s%s", code, &out, &errs)
	}
}

// TestUnwritableReport checks that a report which cannot be written does not
// count as verified.
func TestUnwritableReport(t *testing.T) {
	l := newTestLog(t)
	dir := t.TempDir()
	l.export(filepath.Join(dir, "log"), len(l.texts))
	writeFile(t, filepath.Join(dir, "policy"), ledger.NewPolicy(l.signer.Keys()))
	for _, more := range [][]string{nil, {"--json"}} {
		var errs bytes.Buffer
		args := append([]string{"log", filepath.Join(dir, "log"), "--policy", filepath.Join(dir, "policy")}, more...)
		if code := run(t.Context(), args, nil, fullDisk{}, &errs); code != 2 || !strings.Contains(errs.String(), "disk full") {
			t.Errorf("%v: exit code %d, want 2: %s", more, code, &errs)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// BenchmarkLog verifies a log of 200,000 entries from a directory; a million
// take five times as long.
func BenchmarkLog(b *testing.B) {
	const size = 200_000
	l := newTestLog(b)
	l.fill(size)
	dir := b.TempDir()
	l.export(filepath.Join(dir, "log"), size)
	writeFile(b, filepath.Join(dir, "policy"), ledger.NewPolicy(l.signer.Keys()))
	args := []string{"log", filepath.Join(dir, "log"), "--policy", filepath.Join(dir, "policy")}
	for b.Loop() {
		var out, errs bytes.Buffer
		if code := run(b.Context(), args, nil, &out, &errs); code != 0 {
			b.Fatalf("exit code %d: %s%s", code, &out, &errs)
		}
	}
	b.ReportMetric(size*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
