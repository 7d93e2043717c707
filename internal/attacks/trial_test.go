package attacks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// trial is one row being tried.
type trial struct {
	*testing.T
	dir    string
	found  []string // how it ended, in the order in which it was found
	fooled bool
	files  int
}

// ends takes down how it ended, once.
func (t *trial) ends(how string) {
	if !slices.Contains(t.found, how) {
		t.found = append(t.found, how)
	}
}

// file writes a file of the trial and gives its path.
func (t *trial) file(name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (t *trial) read(path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify runs the verifier, demands the exit code and, in what it prints, a text; and
// takes down which of its commands it was, with the flags that matter.
func (t *trial) verify(code int, want string, args ...string) string {
	t.Helper()
	got, out := t.verdict(args...)
	if got != code || !strings.Contains(out, want) {
		t.Fatalf("verify %s exits with %d, want %d, and %q in\n%s", strings.Join(args, " "), got, code, want, out)
	}
	shown := "`verify " + args[0]
	for _, a := range args[1:] {
		if strings.HasPrefix(a, "--") && a != "--policy" && a != "--entry" && a != "--json" {
			shown += " " + a
		}
	}
	t.ends(fmt.Sprint(shown, "` ", code))
	return out
}

// fools demands that the verifier finds nothing.
func (t *trial) fools(args ...string) {
	t.Helper()
	if code, out := t.verdict(args...); code != 0 {
		t.Fatalf("verify %s exits with %d, so that nobody is fooled:\n%s", strings.Join(args, " "), code, out)
	}
	t.fooled = true
}

// sound demands that the verifier finds nothing where there is nothing to be found:
// else the trial would show nothing.
func (t *trial) sound(args ...string) string {
	t.Helper()
	code, out := t.verdict(args...)
	if code != 0 {
		t.Fatalf("verify %s exits with %d before anything is wrong:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (t *trial) verdict(args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "verify"), args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// policy writes a policy that demands the log's two keys and these witnesses.
func (t *trial) policy(keys ledger.KeyPair, lines string, demanded ...string) string {
	t.Helper()
	text := ledger.NewPolicy(keys)
	if len(demanded) > 0 {
		text = bytes.Replace(text, []byte("group hybrid all self-pq"), []byte(lines+"group hybrid all self-pq "+strings.Join(demanded, " ")), 1)
	}
	t.files++
	return t.file(fmt.Sprint("policy.", t.files), text)
}

// only leaves, of a signed note, the lines for which keep gives true.
func (t *trial) only(signed []byte, keep func(line int, l ledger.SignatureLine) bool) []byte {
	t.Helper()
	n, err := ledger.ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	lines := n.Lines
	n.Lines = nil
	for i, l := range lines {
		if keep(i, l) {
			n.Lines = append(n.Lines, l)
		}
	}
	return n.Bytes()
}
