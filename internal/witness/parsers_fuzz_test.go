package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// cosignerForFuzz is the same in every process: what one has found, others try.
func cosignerForFuzz(f *testing.F) *ledger.Cosigner {
	c, err := ledger.NewCosigner("witness.example/dpo", [32]byte{3}, [32]byte{4})
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// FuzzState: a record of what was cosigned has one spelling, and nothing counts that
// the witness did not sign.
func FuzzState(f *testing.F) {
	w := cosignerForFuzz(f)
	latest := map[string]*record{}
	for i, origin := range []string{"log.example/a", "log.example/b"} {
		l := newTestLog(f, origin).grow(4+i, "entry")
		signed := l.checkpoint(4 + i)
		n := must(ledger.ParseSignedNote(signed))
		c := must(ledger.ParseCheckpoint(n.Text))
		lines := must(w.Cosign(c, 1_790_000_000))
		n.Lines = append(n.Lines, lines...)
		latest[origin] = &record{c, 1_790_000_000, lines, n.Bytes()}
	}
	good := encodeState(w.Name(), latest)
	f.Add(good)
	f.Add(encodeState(w.Name(), nil))
	f.Add(encodeState("witness.example/other", latest))
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		// With the checksum put right, the rest is looked at.
		head, body, ok := bytes.Cut(b, []byte("=\n"))
		if lines := bytes.Split(head, []byte("\n")); ok && len(lines) == 3 {
			sum := ledger.Hash(sha256.Sum256(body))
			checkState(t, append([]byte(stateMagic+"\n"+string(lines[1])+"\n"+sum.String()+"\n"), body...), w)
		}
		checkState(t, b, w)
	})
}

func checkState(t *testing.T, b []byte, w *ledger.Cosigner) {
	latest, err := parseState(b, w.Keys())
	if err != nil {
		return
	}
	if again := encodeState(w.Name(), latest); !bytes.Equal(again, b) {
		t.Errorf("%q is written as %q", b, again)
	}
	for origin, r := range latest {
		if r.checkpoint.Origin != origin || r.stamp < 1 || len(r.lines) != 2 {
			t.Errorf("%q: %+v", origin, r)
		}
	}
}

// FuzzKeys: a file of keys is the one spelling of its pair, and no error holds any of
// it.
func FuzzKeys(f *testing.F) {
	good, err := os.ReadFile(filepath.Join(makeWitness(f), keysName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(bytes.Clone(good), '\n'))
	f.Add(bytes.Replace(good, []byte("witness.example/dpo"), []byte("-"), 1))
	f.Add([]byte(keysMagic + "\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := os.WriteFile(filepath.Join(dir, keysName), file, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := readKeys(dir)
		lines := strings.Split(string(file), "\n")
		if err != nil {
			for _, line := range lines[min(2, len(lines)):] {
				if len(line) > 8 && strings.Contains(err.Error(), line) {
					t.Errorf("the error holds a seed: %v", err)
				}
			}
			return
		}
		if len(lines) != 5 || lines[0] != keysMagic || w.Name() != lines[1] || lines[4] != "" {
			t.Errorf("%q is the file of %q", file, w.Name())
		}
		for i, text := range lines[2:4] {
			if h, err := ledger.ParseHash(text); err != nil || h.String() != text {
				t.Errorf("seed %d has the spelling %q", i, text)
			}
		}
	})
}

// FuzzCalls: whatever is sent to a witness, it cosigns only what its log signed and
// what extends what it has cosigned, answers with a status of tlog-witness, and shows
// monitors nothing else.
func FuzzCalls(f *testing.F) {
	l := newTestLog(f, testOrigin).grow(9, "entry")
	fork := l.fork(3, 9)
	w := open(f, makeWitness(f), l)
	add(f, w, l.request(0, 5))
	stands := ledger.Size(5)
	sum := sha256.Sum256([]byte(testOrigin))
	own := "/" + hex.EncodeToString(sum[:]) + "/checkpoint"
	f.Add("POST", "/add-checkpoint", l.request(5, 7))
	f.Add("POST", "/add-checkpoint", l.request(0, 9))
	f.Add("POST", "/add-checkpoint", fork.request(5, 9))
	f.Add("POST", "/add-checkpoint", l.request(9, 7))
	f.Add("GET", "/add-checkpoint", []byte(nil))
	f.Add("GET", own, []byte(nil))
	f.Add("GET", strings.ToUpper(own), []byte(nil))
	f.Add("GET", "/%2e%2e"+own, []byte(nil))
	handler := w.Handler()
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		req, err := http.NewRequest(method, "http://witness.example"+path, bytes.NewReader(body))
		if err != nil {
			return
		}
		out := httptest.NewRecorder()
		handler.ServeHTTP(out, req)
		asked := req.Method == http.MethodPost && req.URL.Path == "/add-checkpoint"
		switch status := out.Code; {
		case status == http.StatusOK && asked:
			c := cosigned(t, w.cosigner.Keys(), body, out.Body.Bytes())
			if c.Origin != testOrigin || c.Size < stands || !bytes.Contains(body, []byte("old "+strconv.Itoa(int(stands))+"\n")) {
				t.Errorf("%d entries of %q were cosigned after %d", c.Size, c.Origin, stands)
			}
			stands = c.Size
		case status == http.StatusOK:
			n, err := ledger.ParseSignedNote(out.Body.Bytes())
			if err != nil || !strings.HasPrefix(n.Text, testOrigin+"\n"+strconv.Itoa(int(stands))+"\n") {
				t.Errorf("monitors are shown %q, %v", out.Body, err)
			}
		case status == http.StatusConflict && asked:
			if out.Body.String() != strconv.Itoa(int(stands))+"\n" {
				t.Errorf("the witness stands at %d and says %q", stands, out.Body)
			}
		case status < 300 || status >= 500:
			t.Errorf("status %d: %q", status, out.Body)
		}
	})
}
