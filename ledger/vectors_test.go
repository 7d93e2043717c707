package ledger

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const vectorsDir = "../testdata/vectors"

// vector is one row of a family's index: what a verifier must say of some files.
type vector struct {
	Name    string   `json:"name"`
	Files   []string `json:"files"`             // relative to the index
	Policy  string   `json:"policy,omitempty"`  // of a log or a receipt
	Since   string   `json:"since,omitempty"`   // of a log: the checkpoint that the caller holds
	Keys    string   `json:"keys,omitempty"`    // of a log or a receipt: the keys file
	TSA     string   `json:"tsa,omitempty"`     // of a log: the authority whose time stamps count
	Verdict string   `json:"verdict"`           // VERIFIED, INVALID, CANNOT TELL or DIVERGED
	Error   string   `json:"error,omitempty"`   // must stand in this package's error
	Mention string   `json:"mention,omitempty"` // must stand in the report
	Reason  string   `json:"reason"`            // why, for people
}

// checkFamily compares the files of a family of vectors with what the
// generators give (or writes them), and gives the index.
func checkFamily(t *testing.T, family string, index []vector, files filesForTest) {
	t.Helper()
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	all := maps.Clone(files)
	all["index.json"] = append(text, '\n')
	checkFiles(t, filepath.Join(vectorsDir, family), all)
	listed := map[string]bool{"index.json": true}
	names := map[string]bool{}
	for _, v := range index {
		if names[v.Name] {
			t.Errorf("%s: two vectors are named %s", family, v.Name)
		}
		names[v.Name] = true
		if v.Reason == "" || (v.Error == "") != (v.Verdict == Verified.String()) {
			t.Errorf("%s: %s: lacks a reason, or an error where there must be one", family, v.Name)
		}
		for _, f := range append(v.Files, v.Policy, v.Since, v.Keys, v.TSA) {
			listed[f] = true
		}
	}
	for path := range all {
		if !listed[path] {
			t.Errorf("%s: no vector uses %s", family, path)
		}
	}
}

// checkFiles demands that a directory holds exactly these files; with -update
// it is made so.
func checkFiles(t *testing.T, dir string, files filesForTest) {
	t.Helper()
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range files {
		name := filepath.Join(dir, filepath.FromSlash(path))
		if *update {
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, text, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, text) {
			t.Errorf("%s is not what the generator gives; run go test ./ledger -update if the format was meant to change", name)
		}
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if _, ok := files[filepath.ToSlash(rel)]; err == nil && !ok {
			t.Errorf("%s is left over", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// readFamily gives the index of a family as it stands on disk, and a reader of
// its files.
func readFamily(t *testing.T, family string) ([]vector, func(path string) []byte) {
	t.Helper()
	read := func(path string) []byte {
		b, err := os.ReadFile(filepath.Join(vectorsDir, family, filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var index []vector
	if err := json.Unmarshal(read("index.json"), &index); err != nil {
		t.Fatal(err)
	}
	if len(index) == 0 {
		t.Fatalf("family %s holds no vectors", family)
	}
	return index, read
}

// check compares an outcome with what the vector demands.
func (v vector) check(t *testing.T, err error, report any) {
	t.Helper()
	if got := VerdictOf(err).String(); got != v.Verdict {
		t.Fatalf("%s: verdict %s (%v), want %s: %s", v.Name, got, err, v.Verdict, v.Reason)
	}
	if err != nil && !strings.Contains(err.Error(), v.Error) {
		t.Errorf("%s: error is\n%v\nwant it to contain\n%s", v.Name, err, v.Error)
	}
	if v.Mention == "" {
		return
	}
	text, jsonErr := json.Marshal(report)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	if !strings.Contains(string(text), v.Mention) {
		t.Errorf("%s: the report does not mention %s:\n%s", v.Name, v.Mention, text)
	}
}

// pack writes files as a tar archive, the same files always as the same bytes.
func pack(t *testing.T, files filesForTest) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: path, Mode: 0o644, Size: int64(len(files[path])), Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[path]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(t *testing.T, b []byte) filesForTest {
	files := filesForTest{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decodeForExample(t testing.TB, text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectorsExample checks the files of the worked example of FORMAT.md.
func TestVectorsExample(t *testing.T) {
	files := exampleFiles(t)
	checkFiles(t, filepath.Join(vectorsDir, "example"), files)
	policy, err := ParsePolicy(files["trust.policy"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyLog(t.Context(), files, VerifyOptions{Policy: policy, Keys: files["trust.keys"]}); err != nil {
		t.Error(err)
	}
	if _, err := VerifyReceipt(files["entry-6.tlog-proof"], files["entry-6.txt"], policy, files["trust.keys"]); err != nil {
		t.Error(err)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
