package witness

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
)

const testOrigin = "log.example/shop"

// testLog is a log that can show any number of histories.
type testLog struct {
	t      testing.TB
	signer *ledger.Signer
	hashes []tlog.Hash
	size   int
}

func newTestLog(t testing.TB, origin string) *testLog {
	t.Helper()
	s, err := ledger.NewSigner(origin, [32]byte{1}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{t: t, signer: s.Deterministic()}
}

// ReadHashes implements [tlog.HashReader].
func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		found[i] = l.hashes[n]
	}
	return found, nil
}

// grow appends entries until the log has this size; word makes them another
// history's.
func (l *testLog) grow(size int, word string) *testLog {
	l.t.Helper()
	for ; l.size < size; l.size++ {
		more, err := tlog.StoredHashes(int64(l.size), fmt.Appendf(nil, "%s %d", word, l.size), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes = append(l.hashes, more...)
	}
	return l
}

// fork gives a log with the same keys and the first entries, and then others.
func (l *testLog) fork(common, size int) *testLog {
	other := &testLog{t: l.t, signer: l.signer}
	return other.grow(common, "entry").grow(size, "other")
}

func (l *testLog) keys() ledger.LogKeys {
	return ledger.LogKeys{Ed25519: l.signer.Keys().Ed25519, MLDSA44: l.signer.Keys().MLDSA44}
}

func (l *testLog) policy(more string) *ledger.Policy {
	l.t.Helper()
	p, err := ledger.ParsePolicy([]byte(strings.Replace(string(ledger.NewPolicy(l.signer.Keys())), "group hybrid", more+"group hybrid", 1)))
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// checkpoint signs the first size entries.
func (l *testLog) checkpoint(size int) []byte {
	l.t.Helper()
	root := new(ledger.Tree).Root()
	if size > 0 {
		var err error
		if root, err = tlog.TreeHash(int64(size), l); err != nil {
			l.t.Fatal(err)
		}
	}
	signed, err := l.signer.SignCheckpoint(ledger.Checkpoint{Origin: l.signer.Origin(), Size: ledger.Size(size), Root: root}, 1_790_000_000)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// request asks to cosign size, after old.
func (l *testLog) request(old, size int) []byte {
	l.t.Helper()
	var proof []ledger.Hash
	if old > 0 && old <= size {
		var err error
		if proof, err = tlog.ProveTree(int64(size), int64(old), l); err != nil {
			l.t.Fatal(err)
		}
	}
	return ledger.AddCheckpoint{Old: ledger.Size(old), Proof: proof, Checkpoint: l.checkpoint(size)}.Text()
}

// makeWitness makes a witness in a new directory.
func makeWitness(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "witness")
	if _, err := Create(dir, "witness.example/dpo", ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open opens the witness of a log until the test ends or it is closed.
func open(t testing.TB, dir string, logs ...*testLog) *Witness {
	t.Helper()
	opt := Options{Dir: dir, Logger: discard()}
	for _, l := range logs {
		opt.Logs = append(opt.Logs, l.keys())
	}
	w, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() }) // closed twice where a test opens it again
	return w
}

// add has a checkpoint cosigned, and checks the cosignatures as a log would.
func add(t testing.TB, w *Witness, body []byte) ledger.Checkpoint {
	t.Helper()
	lines, err := w.AddCheckpoint(body)
	if err != nil {
		t.Fatal(err)
	}
	return cosigned(t, w.cosigner.Keys(), body, lines)
}

// cosigned checks an answer: put under the checkpoint's lines, it satisfies a
// policy that demands the witness.
func cosigned(t testing.TB, keys ledger.CosignerKeys, body, lines []byte) ledger.Checkpoint {
	t.Helper()
	_, checkpoint, _ := bytes.Cut(body, []byte("\n\n"))
	n, err := ledger.ParseSignedNote(append(bytes.Clone(checkpoint), lines...))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ledger.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	_, stamp, err := keys.Verify(c, n)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(time.Unix(stamp, 0)); age < -time.Hour || age > time.Hour {
		t.Errorf("cosigned %v ago", age)
	}
	return c
}

// refused demands that a request is refused with this status.
func refused(t testing.TB, w *Witness, body []byte, why Why) *Refusal {
	t.Helper()
	lines, err := w.AddCheckpoint(body)
	var no *Refusal
	if !errors.As(err, &no) || no.Why != why || lines != nil {
		t.Fatalf("answer %q, %v; want the refusal %d", lines, err, why)
	}
	return no
}

// evidence gives the names of the fork proofs that were kept.
func evidence(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, evidenceName, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
