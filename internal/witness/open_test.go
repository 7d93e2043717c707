package witness

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

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
