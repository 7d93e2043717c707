package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// steps are those that a cosignature takes, in their order.
var steps = []string{"write", "sync file", "rename", "sync directory", "answer"}

// A child process serves a witness and kills itself with SIGKILL at a step. It is
// this test binary, run again with these variables.
const (
	killDir  = "WITNESS_KILL_DIR"  // the witness's directory
	killAt   = "WITNESS_KILL_AT"   // the step's name; empty for never
	killKeys = "WITNESS_KILL_KEYS" // lines of the logs to witness
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		serveAndDie(dir)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveAndDie cosigns each request that comes on the standard input, a line of
// base64 each, and answers with a line each. The step kills it at the second
// request, after what had been cosigned.
func serveAndDie(dir string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
	logs, err := ledger.ParseLogs([]byte(os.Getenv(killKeys)))
	if err != nil {
		fail(err)
	}
	requests := 0
	w, err := Open(Options{Dir: dir, Logs: logs, Logger: discard(), testOnlyStep: func(step string) error {
		if requests > 1 && step == os.Getenv(killAt) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it takes effect
		}
		return nil
	}})
	if err != nil {
		fail(err)
	}
	for {
		var line string
		if _, err := fmt.Scanln(&line); err != nil {
			return
		}
		body, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			fail(err)
		}
		requests++
		lines, err := w.AddCheckpoint(body)
		if err != nil {
			fail(err)
		}
		fmt.Println(base64.StdEncoding.EncodeToString(lines))
	}
}

// child is such a process.
type child struct {
	cmd *exec.Cmd
	in  interface{ Write([]byte) (int, error) }
	out interface{ Read([]byte) (int, error) }
}

func startChild(t *testing.T, dir, at string, l *testLog) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, killAt+"="+at, killKeys+"="+string(ledger.NewPolicy(l.signer.Keys())))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) // it has ended, unless the test failed before
	return &child{cmd, in, out}
}

// ask gives the answer to a request, nil if the child died over it.
func (c *child) ask(t *testing.T, body []byte) []byte {
	t.Helper()
	if _, err := fmt.Fprintln(c.in, base64.StdEncoding.EncodeToString(body)); err != nil {
		return nil
	}
	var line string
	if _, err := fmt.Fscanln(c.out, &line); err != nil {
		return nil
	}
	lines, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestKilledAtEachStep kills the witness between every two steps of a cosignature.
// What it has answered it remembers; what it has not answered nobody was given; and
// the log's other face is refused wherever it would contradict what was answered.
func TestKilledAtEachStep(t *testing.T) {
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			l := newTestLog(t, testOrigin).grow(30, "entry")
			dir := makeWitness(t)
			c := startChild(t, dir, step, l)
			first := l.request(0, 10)
			if lines := c.ask(t, first); lines == nil {
				t.Fatal("it died too early")
			}
			if lines := c.ask(t, l.request(10, 20)); lines != nil {
				t.Fatalf("it answered %q", lines)
			}
			var exit *exec.ExitError
			if err := c.cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it ended with %v", err)
			}
			w := open(t, dir, l)
			size := w.latest[testOrigin].checkpoint.Size
			// Before the rename nothing has changed, after it everything has: a process
			// that is killed loses nothing that it gave the system.
			if want := map[bool]ledger.Size{true: 10, false: 20}[i <= 2]; size != want {
				t.Fatalf("killed at %q it remembers %d entries, want %d", step, size, want)
			}
			refused(t, w, l.fork(5, 20).request(int(size), max(int(size), 10)), Inconsistent)
			add(t, w, l.request(int(size), 30))
			if _, err := os.Stat(filepath.Join(dir, stateName+".next")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what a crash left is still there: %v", err)
			}
		})
	}
}

// TestKilledAnywhere kills a witness at random moments while a log grows: whatever
// was answered is remembered.
func TestKilledAnywhere(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	l := newTestLog(t, testOrigin).grow(4000, "entry")
	dir := makeWitness(t)
	answered := 0
	for round := range rounds {
		c := startChild(t, dir, "", l)
		at := remembered(t, l, dir)
		if at < answered {
			t.Fatalf("round %d: %d entries were cosigned, %d are remembered", round, answered, at)
		}
		// The moment is counted from an answer: a slow disk gives answers, too.
		var timer *time.Timer
		for next := at + 1; next < l.size && c.ask(t, l.request(at, next)) != nil; next++ {
			at, answered = next, next
			if timer == nil {
				timer = time.AfterFunc(time.Duration(7*round%40)*time.Millisecond, func() { c.cmd.Process.Kill() })
			}
		}
		if timer == nil {
			t.Fatalf("round %d: nothing was cosigned", round)
		}
		c.cmd.Wait()
	}
	size := remembered(t, l, dir)
	if size < answered {
		t.Errorf("%d entries were cosigned, %d are remembered", answered, size)
	}
	refused(t, open(t, dir, l), l.fork(0, size).request(size, size), Inconsistent)
}

// remembered reads the record of a witness that may be open elsewhere.
func remembered(t *testing.T, l *testLog, dir string) int {
	t.Helper()
	cosigner, err := readKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := readState(dir, cosigner.Keys())
	if err != nil {
		t.Fatal(err)
	}
	if r := latest[l.signer.Origin()]; r != nil {
		return int(r.checkpoint.Size)
	}
	return 0
}

// TestDiskFails lets each step fail, done or not done: the caller gets nothing, the
// witness says nothing more, and a start finds a record that can be gone on from.
func TestDiskFails(t *testing.T) {
	for _, step := range steps[:4] {
		t.Run(step, func(t *testing.T) {
			l := newTestLog(t, testOrigin).grow(30, "entry")
			dir := makeWitness(t)
			broken := false
			w, err := Open(Options{Dir: dir, Logs: []ledger.LogKeys{l.keys()}, Logger: discard(), testOnlyStep: func(at string) error {
				if broken && at == step {
					return errors.New("no space left on device")
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			s := serve(t, w)
			if got := s.post(l.request(0, 10)); got.status != 200 {
				t.Fatalf("%+v", got)
			}
			broken = true
			for range 2 {
				got := s.post(l.request(10, 20))
				if got.status != 503 || strings.Contains(got.body, "\u2014") || strings.Contains(got.body, "device") {
					t.Errorf("%+v", got)
				}
				broken = false // what was unclear stays unclear
			}
			if _, err := w.AddCheckpoint(l.request(10, 20)); err == nil || !strings.Contains(err.Error(), "start it again when the disk is sound") {
				t.Errorf("error is %v", err)
			}
			if c := mustCheckpoint(t, w.Checkpoint(originHash(testOrigin))); c.Size != 10 {
				t.Errorf("monitors are shown %d entries", c.Size)
			}
			w.Close()
			w = open(t, dir, l)
			size := int(w.latest[testOrigin].checkpoint.Size)
			if want := map[bool]int{true: 20, false: 10}[step == "sync directory"]; size != want {
				t.Errorf("after a start %d entries, want %d", size, want)
			}
			add(t, w, l.request(size, 30))
		})
	}
}

// TestEvidenceCannotBeKept checks that a fork is refused whether the proof can be
// kept or not.
func TestEvidenceCannotBeKept(t *testing.T) {
	l := newTestLog(t, testOrigin).grow(30, "entry")
	dir := makeWitness(t)
	w := open(t, dir, l)
	add(t, w, l.request(0, 10))
	if err := os.Remove(filepath.Join(dir, evidenceName)); err != nil {
		t.Fatal(err)
	}
	before := w.Checkpoint(originHash(testOrigin))
	refused(t, w, l.fork(5, 10).request(10, 10), Inconsistent)
	if !bytes.Equal(before, w.Checkpoint(originHash(testOrigin))) {
		t.Error("the fork was cosigned")
	}
	add(t, w, l.request(10, 30))
}
