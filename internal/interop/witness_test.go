package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/witness"
	"github.com/consentledger/consentledger/ledger"
)

const witnessName = "witness.example.org/dpo"

// newWitness serves a witness of ours for the logs of a policy file; lines are those
// that others add to their policies.
func newWitness(t *testing.T, logs string) (server *httptest.Server, lines string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "witness")
	policy, err := witness.Create(dir, witnessName, "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.ParseLogs([]byte(logs))
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Options{Dir: dir, Logs: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewServer(w.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, string(policy)
}

// witnessKeys gives the two verifier keys in a witness's lines, 0x04 and 0x06.
func witnessKeys(t *testing.T, lines string) (ed, pq string) {
	t.Helper()
	fields := strings.Fields(lines)
	if len(fields) < 6 || fields[0] != "witness" || fields[3] != "witness" {
		t.Fatalf("a witness's lines are %q", lines)
	}
	return fields[2], fields[5]
}

// TestWitness: what our witness answers is opened by x/mod with the verifiers of
// torchwood and of formats, and satisfies torchwood's reading of the policy.
func TestWitness(t *testing.T) {
	l := newLog(t)
	trust := string(ledger.NewPolicy(testledger.Signer(t).Keys()))
	server, lines := newWitness(t, trust)
	ed, pq := witnessKeys(t, lines)
	torch04, err := torchwood.NewCosignatureVerifier(ed)
	l.must(err)
	torch06, err := torchwood.NewCosignatureVerifier(pq)
	l.must(err)
	formats04, err := formats.NewVerifierForCosignatureV1(ed)
	l.must(err)
	formats06, err := formats.NewMLDSAVerifier(pq)
	l.must(err)
	trust = strings.Replace(trust, "group hybrid all self-pq", lines+"group hybrid all self-pq "+witnessName, 1)
	theirs, err := torchwood.ParsePolicy([]byte(trust))
	l.must(err)

	old := ledger.Size(0)
	for _, more := range []int{0, 1, 5, 300, 0, 40} {
		if more > 0 {
			l.grow(more)
		}
		signed, size := l.store.Checkpoint()
		// Put together as the C2SP page says, not by our code.
		body := fmt.Sprintf("old %d\n", old)
		if old > 0 {
			proof, err := l.store.ConsistencyProof(old, size)
			l.must(err)
			for _, h := range proof {
				body += h.String() + "\n"
			}
		}
		rsp, err := http.Post(server.URL+"/add-checkpoint", "", strings.NewReader(body+"\n"+string(signed)))
		l.must(err)
		answer, err := io.ReadAll(rsp.Body)
		rsp.Body.Close()
		if err != nil || rsp.StatusCode != http.StatusOK {
			t.Fatalf("size %d after %d: %s %s, %v", size, old, rsp.Status, answer, err)
		}
		old = size
		cosigned := append(bytes.Clone(signed), answer...)
		for name, verifiers := range map[string][]note.Verifier{"torchwood": {l.ed, l.pq, torch04, torch06}, "formats": {l.ed, l.pq, formats04, formats06}} {
			n, err := note.Open(cosigned, note.VerifierList(verifiers...))
			if err != nil || len(n.Sigs) != 4 || len(n.UnverifiedSigs) != 0 {
				t.Fatalf("%s: size %d: %+v, %v", name, size, n, err)
			}
			for _, sig := range n.Sigs[2:] {
				stamp, err := torchwood.CosignatureTimestamp(sig)
				if err != nil || time.Since(time.Unix(stamp, 0)) > time.Minute {
					t.Errorf("%s: cosigned at %d, %v", name, stamp, err)
				}
			}
		}
		if c, _, err := torchwood.VerifyCheckpoint(cosigned, theirs); err != nil || c.N != int64(size) {
			t.Errorf("torchwood under the policy: %v, %v", c, err)
		}
		if _, _, err := torchwood.VerifyCheckpoint(signed, theirs); err == nil {
			t.Error("torchwood takes a checkpoint without the witness's lines")
		}
	}
}

// TestWitnessOfTessera: a log that others wrote asks our witness by its own client,
// publishes only what it cosigned, and goes on where it stood after a restart.
func TestWitnessOfTessera(t *testing.T) {
	const origin = "tessera.example.org/log"
	secretKey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secretKey)
	if err != nil {
		t.Fatal(err)
	}
	server, lines := newWitness(t, "log "+vkey+"\n")
	ed, _ := witnessKeys(t, lines)
	root, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := tessera.NewWitness(ed, root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for start := range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		driver, err := posix.New(ctx, posix.Config{Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
			WithCheckpointSigner(signer).WithCheckpointInterval(100*time.Millisecond).WithBatching(16, 50*time.Millisecond).
			WithWitnesses(tessera.NewWitnessGroup(1, theirs), &tessera.WitnessOptions{Timeout: 5 * time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		awaiter := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 50*time.Millisecond)
		for i := range 40 {
			if _, checkpoint, err := awaiter.Await(ctx, appender.Add(ctx, tessera.NewEntry(fmt.Appendf(nil, "entry %d of start %d", i, start)))); err != nil {
				t.Fatal(err)
			} else if !theirs.Satisfied(checkpoint) {
				t.Fatalf("published without the witness:\n%s", checkpoint)
			}
		}
		if err := shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
