// Package secondreader holds a second verifier, verify.py, which was written from ledger/FORMAT.md alone, and this test, which has the
// two verifiers judge the same bytes. Where they disagree, the page is unclear or one of them is wrong.
package secondreader

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const vectors = "../../testdata/vectors"

var verdicts = []string{"VERIFIED", "INVALID", "CANNOT TELL", "DIVERGED"}

// reader is a running verify.py, which judges one call per line: starting Python for each would take most of the test's time.
type reader struct {
	t      *testing.T
	stdin  *json.Encoder
	stdout *bufio.Scanner
}

// startReader skips the test without a Python, except where the tests must be complete.
func startReader(t *testing.T) *reader {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err == nil {
		err = exec.Command(python, "-c", "import sys; sys.exit(sys.version_info < (3, 9))").Run()
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no python3 of version 3.9 or newer: %v", err)
		}
		t.Skipf("the second verifier needs python3, version 3.9 or newer, on PATH: %v", err)
	}
	cmd := exec.Command(python, "verify.py", "batch")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("verify.py batch: %v", err)
		}
	})
	scanner := bufio.NewScanner(stdout)
	scanner.Buffer(nil, 1<<20)
	return &reader{t, json.NewEncoder(stdin), scanner}
}

// run is verify.py with these arguments: its exit code and what it says.
func (r *reader) run(args ...string) (int, string) {
	r.t.Helper()
	if err := r.stdin.Encode(args); err != nil {
		r.t.Fatal(err)
	}
	if !r.stdout.Scan() {
		r.t.Fatalf("verify.py ended: %v", r.stdout.Err())
	}
	var answer struct {
		Code int    `json:"code"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(r.stdout.Bytes(), &answer); err != nil {
		r.t.Fatalf("verify.py says %q: %v", r.stdout.Text(), err)
	}
	if strings.HasPrefix(answer.Text, "this verifier failed") {
		r.t.Errorf("verify.py %q: %s", args, answer.Text)
	}
	return answer.Code, answer.Text
}

type vector struct {
	Name, Policy, Keys, Since, TSA, Verdict, Mention, Reason string
	Files                                                    []string
}

// tokens are the vectors that are bad by what a time-stamp token says, which the second verifier does not read.
var tokens = []string{"anchored-other-imprint", "anchored-stamped-differs"}

func readVectors(t *testing.T, dir string) []vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectors, dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatalf("no vectors in %s", dir)
	}
	return list
}

// TestVectors has the second verifier judge every golden entry, receipt, log and state proof.
func TestVectors(t *testing.T) {
	r := startReader(t)
	for _, dir := range []string{"entries", "receipts", "logs", "states"} {
		for _, v := range readVectors(t, dir) {
			file := func(name string) string { return filepath.Join(vectors, dir, name) }
			var args []string
			switch dir {
			case "entries":
				args = []string{"entry", file(v.Files[0])}
			case "receipts":
				args = []string{"receipt", file(v.Files[0]), "--entry", file(v.Files[1]), "--policy", file(v.Policy)}
			case "states":
				args = []string{"state", file(v.Files[0]), "--entry", file(v.Files[1])}
			case "logs":
				args = []string{"log", untar(t, file(v.Files[0])), "--policy", file(v.Policy)}
			}
			if v.Keys != "" {
				args = append(args, "--keys", file(v.Keys))
			}
			if v.Since != "" {
				args = append(args, "--since", file(v.Since))
			}
			code, text := r.run(args...)
			if v.TSA != "" {
				v.Mention = ""
			}
			if slices.Contains(tokens, v.Name) {
				v.Verdict = verdicts[0]
			}
			if verdicts[code] != v.Verdict {
				t.Errorf("%s/%s (%s): %s (%s), want %s", dir, v.Name, v.Reason, verdicts[code], text, v.Verdict)
			}
			// Other mentions are the other verifier's own words; these two shapes are counts and keys, which have one spelling.
			if (strings.HasPrefix(v.Mention, `"`) || strings.HasSuffix(v.Mention, "+")) && !strings.Contains(text, v.Mention) {
				t.Errorf("%s/%s: says %s, want it to mention %s", dir, v.Name, text, v.Mention)
			}
		}
	}
	example := filepath.Join(vectors, "example")
	if code, text := r.run("log", example, "--policy", filepath.Join(example, "trust.policy")); code != 0 {
		t.Errorf("the worked example: exit code %d: %s", code, text)
	}
}

func untar(t *testing.T, name string) string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dir := t.TempDir()
	archive := tar.NewReader(file)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			write(t, filepath.Join(dir, filepath.FromSlash(header.Name)), data)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// build compiles a program of this module.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	return program
}

// exitCode runs the first verifier.
func exitCode(t *testing.T, program string, args ...string) (int, string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		return exit.ExitCode(), first
	}
	return 0, ""
}

// newRandom repeats itself, unless SECONDREADER_SEED asks for another sequence: a search for disagreements is not for everybody's build.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv("SECONDREADER_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return rand.New(rand.NewPCG(seed, 0))
}

// TestDemo has both verifiers judge a log that the real program has just written, and then the same with one bit changed, 200 times.
func TestDemo(t *testing.T) {
	r := startReader(t)
	verify, dir := build(t, "verify"), filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command(build(t, "ledgerd"), "demo", "--dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("ledgerd demo: %v\n%s", err, out)
	}
	policy, export := filepath.Join(dir, "trust.policy"), filepath.Join(dir, "export")
	agree := func(what, log string) int {
		t.Helper()
		args := []string{"log", log, "--policy", policy}
		first, said := exitCode(t, verify, args...)
		second, text := r.run(args...)
		if first != second {
			t.Errorf("%s: cmd/verify %s (%s), verify.py %s (%s)", what, verdicts[first], said, verdicts[second], text)
		}
		return second
	}
	if code := agree("export", export); code != 0 {
		t.Errorf("export: exit code %d, want 0", code)
	}
	if code := agree("tampered", filepath.Join(dir, "tampered")); code != 1 {
		t.Errorf("tampered: exit code %d, want 1", code)
	}

	var files []string
	err := filepath.WalkDir(export, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	random := newRandom(t)
	for range 200 {
		// A file first, then a byte of it: most bytes are signatures, but most of what there is to know is not.
		path := files[random.IntN(len(files))]
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad, at, bit := bytes.Clone(good), random.IntN(len(good)), random.IntN(8)
		bad[at] ^= 1 << bit
		write(t, path, bad)
		what := fmt.Sprintf("%s with bit %d of byte %d flipped", strings.TrimPrefix(path, export), bit, at)
		if code := agree(what, export); code != 1 {
			t.Errorf("%s: exit code %d, want 1", what, code)
		}
		write(t, path, good)
	}
}

// TestSignedAnew has both verifiers judge logs whose operator lies: entries are changed, moved and lost, and then chained and signed
// again with the keys of the vectors, so that only the rules can tell. A flipped byte never comes as far as these.
func TestSignedAnew(t *testing.T) {
	r := startReader(t)
	verify := build(t, "verify")
	policy := filepath.Join(vectors, "logs", "trust.policy")
	var logs [][]string
	beside := map[string][]byte{} // notices, and what was stamped
	for _, name := range []string{"story", "split-lists", "some-confirmed", "used-after-erasure", "overlay-set-twice", "request-of-33", "request-expired",
		"locked", "erased-under-restriction", "held-by-the-second-hold", "hold-in-parts", "existence-overdue", "grades", "resent-both-confirm",
		"resent-newest-expires", "renewed-again", "facts-not-json", "parent-of-parent", "tracking-after-erasure", "rotated", "anchored"} {
		dir := untar(t, filepath.Join(vectors, "logs", name+".tar"))
		logs = append(logs, readEntries(t, dir))
		for _, kind := range []string{"notices", "anchors"} {
			texts, err := filepath.Glob(filepath.Join(dir, kind, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts {
				if beside[kind+"/"+filepath.Base(text)], err = os.ReadFile(text); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	values := map[string][]string{}
	for _, line := range strings.Split(strings.Join(slices.Concat(logs...), ""), "\n") {
		name, _, _ := strings.Cut(line, " ")
		values[name] = append(values[name], line)
	}

	rounds := 250
	if testing.Short() {
		rounds = 40
	}
	random := newRandom(t)
	seen := map[int]int{}
	for range rounds {
		entries := slices.Clone(logs[random.IntN(len(logs))])
		for range 1 + random.IntN(2) {
			entries = change(random, entries, values)
		}
		dir := t.TempDir()
		entries = chain(entries, random.IntN(8) > 0)
		writeLog(t, dir, entries, rotations(entries), beside)
		args := []string{"log", dir, "--policy", policy}
		first, said := exitCode(t, verify, args...)
		second, text := r.run(args...)
		seen[second]++
		if first != second {
			t.Errorf("cmd/verify %s (%s), verify.py %s (%s); the entries:\n%s", verdicts[first], said, verdicts[second], text,
				strings.Join(entries, "\n"))
		}
	}
	t.Logf("exit codes and how often: %v", seen)
	if seen[0] == 0 || seen[1] == 0 {
		t.Errorf("the changes are too mild or too coarse: exit codes and how often: %v", seen)
	}
}

func readEntries(t *testing.T, dir string) []string {
	t.Helper()
	bundles, err := filepath.Glob(filepath.Join(dir, "tile", "entries", "000.p", "*"))
	if err != nil || len(bundles) != 1 {
		t.Fatalf("bundles of %s: %v, %v", dir, bundles, err)
	}
	data, err := os.ReadFile(bundles[0])
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for len(data) > 0 {
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries = append(entries, string(data[2:end]))
		data = data[end:]
	}
	return entries
}

// change makes one change behind entry 0, whose own signatures would give every change away. (Those of a rotation are made anew.)
func change(random *rand.Rand, entries []string, values map[string][]string) []string {
	at := 1 + random.IntN(len(entries)-1)
	lines := strings.SplitAfter(entries[at], "\n")
	lines = lines[:len(lines)-1]
	line := 3 + random.IntN(max(1, len(lines)-3))
	if line >= len(lines) {
		return entries
	}
	name, _, _ := strings.Cut(lines[line], " ")
	switch random.IntN(8) {
	case 0, 1, 2: // another value of the same line
		lines[line] = values[name][random.IntN(len(values[name]))] + "\n"
	case 3: // a line less
		lines = slices.Delete(lines, line, line+1)
	case 4: // an entry less
		if len(entries) > 2 {
			return slices.Delete(entries, at, at+1)
		}
	case 5: // an entry twice
		return slices.Insert(entries, at, entries[at])
	case 6: // the log ends earlier
		return entries[:at+1]
	case 7: // an entry changes places with another, but not the times
		other := 1 + random.IntN(len(entries)-1)
		a, b := strings.SplitAfterN(entries[at], "\n", 5), strings.SplitAfterN(entries[other], "\n", 5)
		if len(a) == 5 && len(b) == 5 {
			a[4], b[4] = b[4], a[4]
			entries[at], entries[other] = strings.Join(a, ""), strings.Join(b, "")
		}
		return entries
	}
	entries[at] = strings.Join(lines, "")
	return entries
}

// chain gives the entries their indexes and the hashes of those before them, and rotations the signatures of the keys that they name.
func chain(entries []string, sign bool) []string {
	out, prev := make([]string, len(entries)), make([]byte, sha256.Size)
	for i, entry := range entries {
		lines := strings.SplitAfterN(entry, "\n", 4)
		if len(lines) == 4 {
			lines[1] = fmt.Sprintf("index %d\n", i)
			lines[2] = "prev " + base64.StdEncoding.EncodeToString(prev) + "\n"
		}
		out[i] = strings.Join(lines, "")
		if sign && strings.Contains(out[i], "\nkind key.rotated\n") {
			out[i] = signRotation(out[i])
		}
		hash := leafHash(out[i])
		prev = hash[:]
	}
	return out
}

func leafHash(entry string) [32]byte {
	return sha256.Sum256(append([]byte{0}, entry...))
}

// root is the definition of RFC 6962, § 2.1, word for word.
func root(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := root(leaves[:k]), root(leaves[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// rotations are the entries that name a pair, entry 0 first.
func rotations(entries []string) (ring []string) {
	for i, entry := range entries {
		if i == 0 || strings.Contains(entry, "\nkind key.rotated\n") {
			ring = append(ring, entry)
		}
	}
	return ring
}

// writeLog writes an export of at most 256 entries, with these key entries in its trust.keys, and signed by the pair that the newest
// of them names.
func writeLog(t *testing.T, dir string, entries, ring []string, beside map[string][]byte) {
	t.Helper()
	var tile, bundle []byte
	for _, entry := range entries {
		hash := leafHash(entry)
		tile = append(tile, hash[:]...)
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(entry))), entry...)
	}
	write(t, filepath.Join(dir, "tile", "0", "000.p", fmt.Sprint(len(entries))), tile)
	write(t, filepath.Join(dir, "tile", "entries", "000.p", fmt.Sprint(len(entries))), bundle)
	for path, text := range beside {
		write(t, filepath.Join(dir, filepath.FromSlash(path)), text)
	}
	write(t, filepath.Join(dir, "trust.keys"), []byte(strings.Join(ring, "")))
	in := pairs[0]
	if added := linesOf(ring[len(ring)-1], "add"); len(added) > 0 {
		in = pairOf(added[0])
	}
	write(t, filepath.Join(dir, "checkpoint"), in.checkpoint(entries))
}
