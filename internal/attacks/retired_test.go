package attacks

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// retiredKeys are attacks on a ledger that serves, by somebody who copied its signing
// keys before they were rotated.
var retiredKeys = []attack{
	{by: "a thief of retired keys", does: "shows a witness a forged history before the ledger shows it its own",
		not: "a witness that was given the newest keys", ends: "the witness answers 403, recording goes on",
		fools: "a new witness that was given the first keys: it then cosigns nothing of the true log", try: poisonedWitness},
	{by: "a thief of retired keys", does: "lets a witness show a forged history as a proof that the ledger was set back",
		not: "the ledger, which has been at work since", ends: "its status is inconsistent, what others cosign is published, recording goes on", try: retiredProof},
}

// stolenKeys gives the signer that somebody has who copied the ledger's directory.
func (l *testLedger) stolenKeys() *ledger.Signer {
	l.Helper()
	lines := strings.Split(string(l.read(filepath.Join(l.dir, "signing.keys"))), "\n")
	if len(lines) != 5 {
		l.Fatalf("the file of the signing keys has %d lines", len(lines))
	}
	ed, err1 := ledger.ParseHash(lines[2])
	ml, err2 := ledger.ParseHash(lines[3])
	s, err := ledger.NewSigner(lines[1], ed, ml)
	if err1 != nil || err2 != nil || err != nil {
		l.Fatalf("the stolen keys: %v, %v, %v", err1, err2, err)
	}
	if own := l.keys(); s.Keys().Ed25519.String() != own.Ed25519.String() {
		l.Fatal("the stolen keys are others")
	}
	return s
}

// rotated gives a ledger that serves, whose keys were stolen and then rotated, with
// the thief's signer.
func (t *trial) rotated() (*testLedger, *ledger.Signer) {
	t.Helper()
	l := t.ledger()
	thief := l.stolenKeys()
	l.serve()
	l.record(3, http.StatusOK)
	if code, answer := l.post("RotateKey", "{}"); code != http.StatusOK {
		t.Fatalf("rotating the keys is answered with %d %s", code, answer)
	}
	l.record(3, http.StatusOK)
	l.stop()
	return l, thief
}

func (l *testLedger) newest() ledger.KeyPair {
	l.Helper()
	ring, err := ledger.ParseKeyRing(l.read(filepath.Join(l.dir, "trust.keys")))
	if err != nil {
		l.Fatal(err)
	}
	entries := ring.Entries()
	return entries[len(entries)-1].Keys
}

// forge signs a checkpoint of a history that never was.
func (t *trial) forge(by *ledger.Signer, size ledger.Size) []byte {
	t.Helper()
	signed, err := by.SignCheckpoint(ledger.Checkpoint{Origin: by.Origin(), Size: size, Root: ledger.Hash{1}}, time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func poisonedWitness(t *trial) {
	l, thief := t.rotated()
	t.witness("poisoned.example", thief.Keys()).cosigns(200, 0, t.forge(thief, 3))
	t.fooled = true
	w := t.rotatedWitness("witness.example", l)
	w.cosigns(403, 0, t.forge(thief, 3))
	t.ends("the witness answers 403")
	l.serve("--witness-policy", t.policy(l.newest(), w.lines, w.name))
	l.cosigned()
	l.record(3, http.StatusOK)
	l.cosigned()
	t.ends("recording goes on")
}

func retiredProof(t *trial) {
	l, thief := t.rotated()
	forged := t.forge(thief, 3)
	var lies atomic.Bool
	bad := t.rotatedWitness("bad.example", l, once(&lies, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				out.Write(forged)
				return
			}
			answering(422, "text/plain", "no\n")(nil).ServeHTTP(out, r)
		})
	}))
	good := t.rotatedWitness("good.example", l)
	l.serve("--witness-policy", t.policy(l.newest(), bad.lines+good.lines+"group two any bad.example good.example\n", "two"))
	l.until("the liar has cosigned", func(s *status) bool { return bad.size() > 0 && s.CosignedSize == s.Size })
	lies.Store(true)
	l.record(3, http.StatusOK)
	l.fails("inconsistent")
	l.goesOn()
}
