package attacks

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/witness"
	"github.com/consentledger/consentledger/ledger"
)

// testWitness is a real witness behind a listener.
type testWitness struct {
	*trial
	name, dir, url string
	lines          string // for policies
	real           *witness.Witness
}

// witness makes a witness of a log and starts it. between, if any, stands between it
// and its callers.
func (t *trial) witness(name string, keys ledger.KeyPair, between ...between) *testWitness {
	t.Helper()
	return t.witnessOf(name, ledger.LogKeys{Ed25519: keys.Ed25519, MLDSA44: keys.MLDSA44}, between...)
}

// rotatedWitness makes a witness that was given the newest keys of a ledger, and all
// of its key entries.
func (t *trial) rotatedWitness(name string, l *testLedger, between ...between) *testWitness {
	t.Helper()
	newest := l.newest()
	keys, err := ledger.LogKeys{Ed25519: newest.Ed25519, MLDSA44: newest.MLDSA44}.WithKeys(l.read(filepath.Join(l.dir, "trust.keys")))
	if err != nil {
		t.Fatal(err)
	}
	return t.witnessOf(name, keys, between...)
}

func (t *trial) witnessOf(name string, keys ledger.LogKeys, between ...between) *testWitness {
	t.Helper()
	w := &testWitness{trial: t, name: name, dir: t.newDir("witness")}
	var handler http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { handler.ServeHTTP(out, r) }))
	t.Cleanup(srv.Close)
	w.url = srv.URL
	lines, err := witness.Create(w.dir, name, w.url)
	if err != nil {
		t.Fatal(err)
	}
	w.lines = string(lines)
	w.real, err = witness.Open(witness.Options{Dir: w.dir, Logs: []ledger.LogKeys{keys},
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	handler = w.real.Handler()
	for _, f := range between {
		handler = f(handler)
	}
	return w
}

// cosigns brings a checkpoint to the witness, says that it had cosigned old entries,
// and gives the answer. No proof goes with it.
func (w *testWitness) cosigns(status int, old ledger.Size, signed []byte) []byte {
	w.Helper()
	request := ledger.AddCheckpoint{Old: old, Checkpoint: signed}.Text()
	rsp, err := http.Post(w.url+"/add-checkpoint", "text/plain", bytes.NewReader(request))
	if err != nil {
		w.Fatal(err)
	}
	defer rsp.Body.Close()
	answer, err := io.ReadAll(rsp.Body)
	if err != nil || rsp.StatusCode != status {
		w.Fatalf("the witness answers %d %s, want %d: %v", rsp.StatusCode, answer, status, err)
	}
	return answer
}

// size gives how many entries the witness has cosigned.
func (w *testWitness) size() ledger.Size {
	w.Helper()
	logs := w.real.Logs()
	if len(logs) != 1 {
		w.Fatalf("the witness has %d logs", len(logs))
	}
	return logs[0].Size
}

// evidence gives the one proof that the witness keeps.
func (w *testWitness) evidence() string {
	w.Helper()
	proofs, err := filepath.Glob(filepath.Join(w.dir, "forks", "*"))
	if err != nil || len(proofs) != 1 {
		w.Fatalf("the witness keeps %q: %v", proofs, err)
	}
	return proofs[0]
}

// cosigner gives the keys of a witness, in the hands of whoever wants them.
func (t *trial) cosigner(name string) *ledger.Cosigner { return t.cosignerOf(name, name) }

func (t *trial) cosignerOf(name, seed string) *ledger.Cosigner {
	t.Helper()
	c, err := ledger.NewCosigner(name, ledger.TextHash([]byte(seed+" ed25519")), ledger.TextHash([]byte(seed+" ml-dsa-44")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cosign adds a witness's lines to a signed checkpoint.
func (t *trial) cosign(signed []byte, by *ledger.Cosigner, at time.Time) []byte {
	t.Helper()
	return append(bytes.Clone(signed), t.cosignature(signed, by, at)...)
}

func (t *trial) cosignature(signed []byte, by *ledger.Cosigner, at time.Time) string {
	t.Helper()
	n, err := ledger.ParseSignedNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ledger.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := by.Cosign(c, at.Unix())
	if err != nil {
		t.Fatal(err)
	}
	return text(lines...)
}
