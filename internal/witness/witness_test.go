package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
)

const testOrigin = "log.example/shop"

// testLog is a log that can show any number of histories.
type testLog struct {
	t      testing.TB
	signer *ledger.Signer
	hashes []tlog.Hash
	size   int
}

func newTestLog(t testing.TB, origin string) *testLog {
	t.Helper()
	s, err := ledger.NewSigner(origin, [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{t: t, signer: s.Deterministic()}
}

// ReadHashes implements [tlog.HashReader].
func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		found[i] = l.hashes[n]
	}
	return found, nil
}

// grow appends entries until the log has this size; word makes them another
// history's.
func (l *testLog) grow(size int, word string) *testLog {
	l.t.Helper()
	for ; l.size < size; l.size++ {
		more, err := tlog.StoredHashes(int64(l.size), fmt.Appendf(nil, "%s %d", word, l.size), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes = append(l.hashes, more...)
	}
	return l
}

// fork gives a log with the same keys and the first entries, and then others.
func (l *testLog) fork(common, size int) *testLog {
	other := &testLog{t: l.t, signer: l.signer}
	return other.grow(common, "entry").grow(size, "other")
}

func (l *testLog) keys() ledger.LogKeys {
	return ledger.LogKeys{Ed25519: l.signer.Keys().Ed25519, MLDSA44: l.signer.Keys().MLDSA44}
}

func (l *testLog) policy(more string) *ledger.Policy {
	l.t.Helper()
	p, err := ledger.ParsePolicy([]byte(strings.Replace(string(ledger.NewPolicy(l.signer.Keys())), "group hybrid", more+"group hybrid", 1)))
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// checkpoint signs the first size entries.
func (l *testLog) checkpoint(size int) []byte {
	l.t.Helper()
	root := new(ledger.Tree).Root()
	if size > 0 {
		var err error
		if root, err = tlog.TreeHash(int64(size), l); err != nil {
			l.t.Fatal(err)
		}
	}
	signed, err := l.signer.SignCheckpoint(ledger.Checkpoint{Origin: l.signer.Origin(), Size: ledger.Size(size), Root: root}, 1_790_000_000)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// request asks to cosign size, after old.
func (l *testLog) request(old, size int) []byte {
	l.t.Helper()
	var proof []ledger.Hash
	if old > 0 && old <= size {
		var err error
		if proof, err = tlog.ProveTree(int64(size), int64(old), l); err != nil {
			l.t.Fatal(err)
		}
	}
	return ledger.AddCheckpoint{Old: ledger.Size(old), Proof: proof, Checkpoint: l.checkpoint(size)}.Text()
}

// makeWitness makes a witness in a new directory.
func makeWitness(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "witness")
	if _, err := Create(dir, "witness.example/dpo", ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open opens the witness of a log until the test ends or it is closed.
func open(t testing.TB, dir string, logs ...*testLog) *Witness {
	t.Helper()
	opt := Options{Dir: dir, Logger: discard()}
	for _, l := range logs {
		opt.Logs = append(opt.Logs, l.keys())
	}
	w, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() }) // closed twice where a test opens it again
	return w
}

// add has a checkpoint cosigned, and checks the cosignatures as a log would.
func add(t testing.TB, w *Witness, body []byte) ledger.Checkpoint {
	t.Helper()
	lines, err := w.AddCheckpoint(body)
	if err != nil {
		t.Fatal(err)
	}
	return cosigned(t, w.cosigner.Keys(), body, lines)
}

// cosigned checks an answer: put under the checkpoint's lines, it satisfies a
// policy that demands the witness.
func cosigned(t testing.TB, keys ledger.CosignerKeys, body, lines []byte) ledger.Checkpoint {
	t.Helper()
	_, checkpoint, _ := bytes.Cut(body, []byte("\n\n"))
	n, err := ledger.ParseSignedNote(append(bytes.Clone(checkpoint), lines...))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ledger.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	_, stamp, err := keys.Verify(c, n)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(time.Unix(stamp, 0)); age < -time.Hour || age > time.Hour {
		t.Errorf("cosigned %v ago", age)
	}
	return c
}

// refused demands that a request is refused with this status.
func refused(t testing.TB, w *Witness, body []byte, why Why) *Refusal {
	t.Helper()
	lines, err := w.AddCheckpoint(body)
	var no *Refusal
	if !errors.As(err, &no) || no.Why != why || lines != nil {
		t.Fatalf("answer %q, %v; want the refusal %d", lines, err, why)
	}
	return no
}

// evidence gives the names of the fork proofs that were kept.
func evidence(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, evidenceName, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestGrowth follows a log through sizes small and large.
func TestGrowth(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(600, "entry")
	dir := makeWitness(t)
	w := open(t, dir, l)
	if s := w.Logs(); len(s) != 1 || s[0].Size != 0 || !s[0].Cosigned.IsZero() {
		t.Errorf("before the first: %+v", s)
	}
	old := 0
	for _, size := range []int{0, 0, 1, 2, 3, 3, 255, 256, 257, 511, 512, 600} {
		if c := add(t, w, l.request(old, size)); c.Size != ledger.Size(size) {
			t.Fatalf("cosigned %d, want %d", c.Size, size)
		}
		old = size
	}
	if s := w.Logs(); s[0].Size != 600 || time.Since(s[0].Cosigned) > time.Minute {
		t.Errorf("after the last: %+v", s)
	}
	note := w.Checkpoint(originHash(testOrigin))
	p := l.policy(string(w.cosigner.Keys().PolicyLines("")) + "group all-of-them all witness.example/dpo\n")
	o, err := ledger.OpenCheckpoint(note, p)
	if err != nil || o.Size != 600 || len(o.Witnesses) != 3 || len(o.Unchecked) != 0 {
		t.Errorf("for monitors: %+v, %v", o, err)
	}
	if got := evidence(t, dir); len(got) != 0 {
		t.Errorf("evidence against an honest log: %q", got)
	}
}

// TestRestart checks that what was cosigned is remembered, whether the witness was
// closed or not.
func TestRestart(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(20, "entry")
	second := newTestLog(t, "log.example/second").grow(9, "entry")
	dir := makeWitness(t)
	w := open(t, dir, l, second)
	add(t, w, l.request(0, 5))
	add(t, w, second.request(0, 7))
	add(t, w, l.request(5, 12))
	note := w.Checkpoint(originHash(testOrigin))
	w.Close()

	w = open(t, dir, l) // the second log is not witnessed any more, and not forgotten
	if got := w.Checkpoint(originHash(testOrigin)); !bytes.Equal(got, note) {
		t.Errorf("after a restart %q, before %q", got, note)
	}
	refused(t, w, second.request(7, 9), UnknownLog)
	if no := refused(t, w, l.request(0, 20), Conflict); no.Size != 12 {
		t.Errorf("size %d", no.Size)
	}
	refused(t, w, l.fork(10, 12).request(12, 12), Inconsistent)
	add(t, w, l.request(12, 20))
	w.Close()

	w = open(t, dir, l, second)
	refused(t, w, second.fork(2, 9).request(7, 9), Inconsistent)
	add(t, w, second.request(7, 9))
}

// TestLyingLog is a log that shows others another history: it is refused, the proof
// is kept, and convinces whoever has the policy.
func TestLyingLog(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(40, "entry")
	liar := l.fork(10, 60)
	dir := makeWitness(t)
	w := open(t, dir, l)
	add(t, w, l.request(0, 30))

	// A rollback: smaller, then grown again with other entries.
	if no := refused(t, w, l.request(20, 25), Conflict); no.Size != 30 {
		t.Errorf("size %d", no.Size)
	}
	if got := evidence(t, dir); len(got) != 0 {
		t.Fatalf("an old checkpoint was kept as evidence: %q", got)
	}
	// The same size with another root, however it is asked for.
	refused(t, w, liar.request(30, 30), Inconsistent)
	refused(t, w, liar.request(20, 30), Conflict)
	refused(t, w, liar.request(0, 30), Conflict)
	// A larger one, with a proof that is right in the other history.
	refused(t, w, liar.request(30, 50), Inconsistent)

	var proven, suspected []byte
	for _, name := range evidence(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		switch sort, _, _ := strings.Cut(filepath.Base(name), "-"); {
		case sort == forkProven && proven == nil:
			proven = b
		case sort == forkSuspected && suspected == nil:
			suspected = b
		default:
			t.Errorf("unexpected or second file %s", name)
		}
	}
	// What others add to its witnesses' names makes no difference to the proof.
	p := l.policy(string(w.cosigner.Keys().PolicyLines("")))
	rep := judge(t, proven, p, nil, ledger.Diverged)
	if rep.First.Size != 30 || rep.Second.Size != 30 || rep.First.Root == rep.Second.Root || len(rep.First.Witnesses) != 2 {
		t.Errorf("report %+v", rep)
	}
	judge(t, suspected, p, nil, ledger.CannotTell)
	judge(t, suspected, p, tiles(l.grow(60, "entry")), ledger.Diverged)
	judge(t, suspected, p, tiles(liar), ledger.Diverged)

	// The true history goes on.
	add(t, w, l.request(30, 40))
}

// TestWrongProofIsNoEvidence is a stranger who sends an honest log's checkpoint with
// a proof that is nonsense: it is refused, and a copy of the log clears the log.
func TestWrongProofIsNoEvidence(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(100, "entry")
	dir := makeWitness(t)
	w := open(t, dir, l)
	add(t, w, l.request(0, 30))
	for size := 31; size < 31+2*maxEvidence; size++ {
		refused(t, w, ledger.AddCheckpoint{Old: 30, Proof: []ledger.Hash{{1}}, Checkpoint: l.checkpoint(size)}.Text(), Inconsistent)
	}
	files := evidence(t, dir)
	if len(files) != maxEvidence {
		t.Fatalf("%d files are kept, want %d", len(files), maxEvidence)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	judge(t, b, l.policy(""), tiles(l), ledger.Verified)
	w.Close()
	w = open(t, dir, l) // a restart does not forget how many there are
	refused(t, w, ledger.AddCheckpoint{Old: 30, Proof: []ledger.Hash{{1}}, Checkpoint: l.checkpoint(90)}.Text(), Inconsistent)
	if got := len(evidence(t, dir)); got != maxEvidence {
		t.Errorf("%d files after a restart, want %d", got, maxEvidence)
	}
	add(t, w, l.request(30, 100))
}

// judge judges a fork proof as `verify fork` does.
func judge(t *testing.T, file []byte, p *ledger.Policy, log ledger.LogReader, want ledger.Verdict) *ledger.ForkReport {
	t.Helper()
	pair, err := ledger.ParseForkProof(file)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := ledger.VerifyFork(t.Context(), *pair, p, log)
	if ledger.VerdictOf(err) != want {
		t.Fatalf("verdict %s, want %v: %v", rep.Verdict, want, err)
	}
	return rep
}

// tileFiles are the files of a log.
type tileFiles struct{ l *testLog }

func tiles(l *testLog) ledger.LogReader { return tileFiles{l} }

// ReadPath implements [ledger.LogReader].
func (f tileFiles) ReadPath(_ context.Context, path string) ([]byte, error) {
	if path == "checkpoint" {
		return f.l.checkpoint(f.l.size), nil
	}
	level, n, width, err := ledger.ParseTilePath(path)
	if err != nil || level < 0 {
		return nil, ledger.ErrMissing
	}
	var b []byte
	for i := range int64(width) {
		h := f.l.hashes[tlog.StoredHashIndex(level*ledger.TileHeight, n*ledger.TileWidth+i)]
		b = append(b, h[:]...)
	}
	return b, nil
}

// TestOpenRefuses damages a witness in every way that a start must notice.
func TestOpenRefuses(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(9, "entry")
	file := func(dir, name string) string { return filepath.Join(dir, name) }
	rewrite := func(name string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			b, err := os.ReadFile(file(dir, name))
			if err == nil {
				err = os.WriteFile(file(dir, name), change(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		damage func(*testing.T, string)
		want   string
	}{
		{"nothing there", func(t *testing.T, dir string) { os.Remove(file(dir, keysName)) }, "make one with `ledgerd witness init`"},
		{"keys that others may read", func(t *testing.T, dir string) { os.Chmod(file(dir, keysName), 0o640) }, "run `chmod 600"},
		{"keys cut", rewrite(keysName, func(b []byte) []byte { return b[:len(b)-9] }), "is damaged"},
		{"keys of a log", rewrite(keysName, func(b []byte) []byte { return bytes.Replace(b, []byte("witness-keys"), []byte("signing-keys"), 1) }), "not a file of a witness's keys"},
		{"other keys", rewrite(keysName, func([]byte) []byte { return must(os.ReadFile(file(makeWitness(t), keysName))) }), "make a new witness"},
		{"record gone", func(t *testing.T, dir string) { os.Remove(file(dir, stateName)) }, "must not sign again"},
		{"record empty", rewrite(stateName, func([]byte) []byte { return nil }), "must not sign again"},
		{"record cut at a note's end", rewrite(stateName, func(b []byte) []byte { return b[:bytes.Index(b, []byte("\n\n"))+1] }), "must not sign again"},
		{"record of another version", rewrite(stateName, func(b []byte) []byte { return bytes.Replace(b, []byte("/v1"), []byte("/v2"), 1) }), "of this version"},
		{"record of another witness", rewrite(stateName, func(b []byte) []byte { return bytes.Replace(b, []byte("/dpo"), []byte("/spo"), 1) }), "the keys are those of"},
		{"forks gone", func(t *testing.T, dir string) { os.Remove(file(dir, evidenceName)) }, "listing the fork proofs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := makeWitness(t)
			w := open(t, dir, l)
			add(t, w, l.request(0, 9))
			w.Close()
			test.damage(t, dir)
			w, err := Open(Options{Dir: dir, Logs: []ledger.LogKeys{l.keys()}, Logger: discard()})
			if err == nil {
				w.Close()
				t.Fatal("it opens")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "%!") {
				t.Errorf("error is %q, want one with %q", err, test.want)
			}
		})
	}
}

func flipIn(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

// TestEveryFlippedByte flips the bytes of the record, one after the other.
func TestEveryFlippedByte(t *testing.T) {
	l, second := newTestLog(t, testOrigin).grow(9, "entry"), newTestLog(t, "log.example/a").grow(3, "entry")
	dir := makeWitness(t)
	w := open(t, dir, l, second)
	add(t, w, l.request(0, 9))
	add(t, w, second.request(0, 3))
	good, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		t.Fatal(err)
	}
	keys := w.cosigner.Keys()
	if found, err := parseState(good, keys); err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	for i := range good {
		if _, err := parseState(flipIn(good, i), keys); err == nil {
			t.Fatalf("byte %d flipped: accepted", i)
		}
		if _, err := parseState(good[:i], keys); err == nil {
			t.Fatalf("cut to %d bytes: accepted", i)
		}
	}
}

func TestWhichLogs(t *testing.T) {
	l := newTestLog(t, testOrigin)
	other, err := ledger.NewSigner(testOrigin, [32]byte{8}, [32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	own := newTestLog(t, "witness.example/dpo")
	tests := []struct {
		name string
		logs []ledger.LogKeys
		want string
	}{
		{"none", nil, "0 logs to witness"},
		{"same twice", []ledger.LogKeys{l.keys(), l.keys()}, ""},
		{"two keys", []ledger.LogKeys{l.keys(), {Ed25519: other.Keys().Ed25519, MLDSA44: other.Keys().MLDSA44}}, "given twice, with other keys"},
		{"its own name", []ledger.LogKeys{own.keys()}, "has the name of the log"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, err := Open(Options{Dir: makeWitness(t), Logs: test.logs, Logger: discard()})
			if err == nil {
				w.Close()
			}
			if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
	t.Run("opened twice", func(t *testing.T) {
		dir := makeWitness(t)
		open(t, dir, l)
		if _, err := Open(Options{Dir: dir, Logs: []ledger.LogKeys{l.keys()}, Logger: discard()}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestCreate(t *testing.T) {
	dir := t.TempDir() // empty, and stays if something goes wrong
	if _, err := Create(dir, "My Witness", ""); err == nil || len(must(os.ReadDir(dir))) != 0 {
		t.Errorf("a bad name: %v, %v", err, must(os.ReadDir(dir)))
	}
	if _, err := Create(dir, "witness.example", "https://witness.example/a b"); err == nil {
		t.Error("a URL with a space was accepted")
	}
	if _, err := Create(filepath.Join(dir, "new"), "Bad", ""); err == nil || len(must(os.ReadDir(dir))) != 0 {
		t.Errorf("a bad name left %v", must(os.ReadDir(dir)))
	}
	policy, err := Create(dir, "witness.example", "https://witness.example/w")
	if err != nil {
		t.Fatal(err)
	}
	if b := must(os.ReadFile(filepath.Join(dir, policyName))); !bytes.Equal(b, policy) || bytes.Count(b, []byte(" https://witness.example/w\n")) != 2 {
		t.Errorf("lines for others: %s", b)
	}
	if mode := must(os.Stat(filepath.Join(dir, keysName))).Mode().Perm(); mode != 0o600 {
		t.Errorf("keys are %v", mode)
	}
	before := must(os.ReadFile(filepath.Join(dir, keysName)))
	if _, err := Create(dir, "witness.example", ""); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a second witness in the same place: %v", err)
	}
	if !bytes.Equal(before, must(os.ReadFile(filepath.Join(dir, keysName)))) {
		t.Error("the keys were touched")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestSetBack puts an older record back: the witness notices when it is shown what
// it does not remember, and says nothing more.
func TestSetBack(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(40, "entry")
	dir := makeWitness(t)
	w := open(t, dir, l)
	add(t, w, l.request(0, 10))
	old := must(os.ReadFile(filepath.Join(dir, stateName)))
	body := l.request(10, 30)
	lines, err := w.AddCheckpoint(body)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := os.WriteFile(filepath.Join(dir, stateName), old, 0o600); err != nil {
		t.Fatal(err)
	}
	w = open(t, dir, l)
	var no *Refusal
	if _, err := w.AddCheckpoint(append(body, lines...)); err == nil || errors.As(err, &no) || !strings.Contains(err.Error(), "does not remember") {
		t.Fatalf("shown its own cosignature: %v", err)
	}
	if _, err := w.AddCheckpoint(l.request(10, 40)); err == nil || errors.As(err, &no) {
		t.Errorf("afterwards: %v", err)
	}
	w.Close()
	// What it remembers is no reason to stop.
	w = open(t, dir, l)
	body = l.request(10, 20)
	lines = must(w.AddCheckpoint(body))
	must(w.AddCheckpoint(append(l.request(20, 20), lines...)))
	add(t, w, l.request(20, 30))
	if _, err := w.AddCheckpoint(append(l.request(20, 20), lines...)); !errors.As(err, &no) || no.Why != Conflict {
		t.Errorf("an older cosigned checkpoint: %v", err)
	}
}

// TestServedTwice lets a copy of the directory cosign the log's other face: shown
// that, the witness stops.
func TestServedTwice(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(20, "entry")
	dir := makeWitness(t)
	w := open(t, dir, l)
	add(t, w, l.request(0, 10))
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(copied, keysName), 0o600); err != nil {
		t.Fatal(err)
	}
	liar := l.fork(10, 20)
	body := liar.request(10, 20)
	lines := must(open(t, copied, l).AddCheckpoint(body))
	add(t, w, l.request(10, 20))
	var no *Refusal
	if _, err := w.AddCheckpoint(append(body, lines...)); err == nil || errors.As(err, &no) || !strings.Contains(err.Error(), "does not remember") {
		t.Errorf("shown what its copy cosigned: %v", err)
	}
}

// TestLogLines checks what the operator reads.
func TestLogLines(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(40, "entry")
	dir := makeWitness(t)
	var out bytes.Buffer
	w, err := Open(Options{Dir: dir, Logs: []ledger.LogKeys{l.keys()}, Logger: slog.New(slog.NewJSONHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	add(t, w, l.request(0, 30))
	refused(t, w, l.fork(3, 30).request(30, 30), Inconsistent)
	refused(t, w, l.fork(3, 30).request(30, 30), Inconsistent)
	text := must(io.ReadAll(&out))
	for _, want := range []string{`"msg":"cosigned","origin":"log.example/shop","size":30}`, `"level":"ERROR","msg":"the log has signed two histories"`, `"file":"forks/fork-`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if n := strings.Count(string(text), "two histories"); n != 2 {
		t.Errorf("told %d times of the fork, want 2", n)
	}
}
