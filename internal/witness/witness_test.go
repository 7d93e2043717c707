package witness

import (
	"bytes"
	"context"
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
