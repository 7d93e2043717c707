package attacks

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// mistakes look like a fraud to everybody else.
var mistakes = []attack{
	{by: "the operator, by mistake", does: "serves an old copy of the directory, as after a restore",
		not:  "the ledger, if a witness, its directory or a checkpoint that was kept tells",
		ends: "it records nothing, it does not start, `verify log --since` 3", fools: "the ledger, if nobody else holds anything newer", try: restored},
	{by: "the operator, by mistake", does: "serves two copies of the directory at once",
		not: "the copy whose checkpoint comes second to a witness", ends: "it records nothing", try: twoCopies},
}

// another gives the ledger on a copy of its directory as it is now.
func (l *testLedger) another() *testLedger {
	l.Helper()
	c := &testLedger{trial: l.trial, dir: l.newDir("ledger"), key: l.key, purposes: l.purposes}
	if out, err := exec.Command("cp", "-a", l.dir, c.dir).CombinedOutput(); err != nil {
		l.Fatalf("copying the ledger: %v\n%s", err, out)
	}
	return c
}

// refuses demands that nothing is recorded, and that the log can still be read.
func (l *testLedger) refuses(why string) {
	l.Helper()
	answer := l.record(1, http.StatusServiceUnavailable)
	// A witness's word is enough at first; its proof comes a moment later.
	for wait := time.Now().Add(10 * time.Second); !strings.Contains(l.status().Fault, why) && time.Now().Before(wait); {
		time.Sleep(20 * time.Millisecond)
	}
	if s := l.status(); s.Recording || !strings.Contains(s.Fault, why) || bytes.Contains(answer, []byte("http")) {
		l.Fatalf("the answer is %s, and the status %+v", answer, s)
	}
	l.sound("log", l.url+"/log", "--policy", filepath.Join(l.dir, "trust.policy"))
	l.ends("it records nothing")
}

func restored(t *trial) {
	l := t.ledger()
	w := t.witness("witness.example", l.keys())
	policy := t.policy(l.keys(), w.lines, w.name)
	l.serve("--witness-policy", policy)
	l.record(3, http.StatusOK)
	l.cosigned()
	l.stop()
	old, alone, kept := l.another(), l.another(), l.another()
	l.serve("--witness-policy", policy)
	l.record(3, http.StatusOK)
	l.cosigned()
	l.stop()
	newest := filepath.Join(l.dir, "cosigned.checkpoint")

	old.serve("--witness-policy", policy)
	old.refuses("proves it: the log has signed 8 entries and holds 5")
	old.stop()
	t.file(filepath.Base(kept.dir)+"/cosigned.checkpoint", t.read(newest))
	kept.serve()
	kept.refuses("the checkpoint in cosigned.checkpoint proves it")
	kept.stop()
	for _, held := range [][]byte{t.read(newest), t.line(t.read(newest))} {
		out, err := old.try("serve", "--data", old.dir, "--listen", "127.0.0.1:0", "--since", t.file("held", held))
		if err == nil || !strings.Contains(out, "the log has signed 8 entries and holds 5") {
			t.Fatalf("an old copy starts: %v\n%s", err, out)
		}
	}
	t.ends("it does not start")

	// Nothing newer lies in its directory, and nobody is asked.
	if err := os.Remove(filepath.Join(alone.dir, "cosigned.checkpoint")); err != nil {
		t.Fatal(err)
	}
	alone.serve()
	for range 6 {
		alone.purposes++ // other entries than the lost ones
		alone.record(1, http.StatusOK)
	}
	t.fooled = true
	t.verify(3, "DIVERGED", "log", alone.url+"/log", "--policy", filepath.Join(l.dir, "trust.policy"), "--since", newest)
}

func twoCopies(t *trial) {
	l := t.ledger()
	w := t.witness("witness.example", l.keys())
	policy := t.policy(l.keys(), w.lines, w.name)
	l.serve("--witness-policy", policy)
	l.record(3, http.StatusOK)
	l.cosigned()
	l.stop()
	other := l.another()
	l.serve("--witness-policy", policy)
	l.cosigned()
	other.serve("--witness-policy", policy)
	other.cosigned()
	l.record(1, http.StatusOK)
	l.cosigned()
	other.purposes = 10
	other.record(1, http.StatusOK) // nobody can know yet
	other.until("it is found out", func(s *status) bool { return !s.Recording })
	other.refuses("proves it: the log has signed two histories")
	l.record(3, http.StatusOK)
	l.cosigned()
}
