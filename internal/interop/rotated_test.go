package interop

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"
	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// TestRotated: when the log's keys are replaced, twice, others who trust the new pair
// read all of the log, its beginning too; what the old pair signed stays what it was;
// the tree goes on; and the key entry is signed by all four keys.
func TestRotated(t *testing.T) {
	l := newLog(t)
	l.grow(20)
	for n := 1; n <= 2; n++ {
		old := *l
		before, size := l.store.Checkpoint()
		receipt, _, err := l.store.Receipt(3, size)
		l.must(err)
		entry := l.rotate(n)
		l.fourSignatures(string(entry))
		l.grow(300)

		l.must(l.fsck(l.live))
		l.must(l.fsck(client.FileFetcher{Root: l.export()}))
		if read, err := l.allEntries(l.fetch); err != nil || read != l.size() {
			t.Errorf("torchwood reads %d of %d entries, %v", read, l.size(), err)
		}
		if err := old.fsck(l.live); err == nil {
			t.Error("Tessera takes the new checkpoint under the old key")
		}
		after, _ := l.store.Checkpoint()
		l.signedBy(before, &old, l)
		l.signedBy(after, l, &old)
		fresh, _, err := l.store.Receipt(3, ledger.Size(l.size()))
		l.must(err)
		l.proves(receipt.Text(), &old, l)
		l.proves(fresh.Text(), l, &old)
		l.continues(int64(size))
		l.followed(before, after, &old)
	}
}

// rotate replaces the keys and lets everybody trust the new ones; it gives the entry.
func (l *log) rotate(n int) []byte {
	l.Helper()
	next, err := ledger.NewSigner(testledger.Origin, sha256.Sum256(fmt.Append(nil, "ed", n)), sha256.Sum256(fmt.Append(nil, "pq", n)))
	l.must(err)
	g, err := l.store.Begin()
	l.must(err)
	_, err = g.Rotate(g.Last().Add(time.Second), "admin", next)
	l.must(err)
	l.must(g.Commit(nil))
	l.trust(next.Keys())
	l.learn()
	return l.entry(l.size() - 1)
}

// signedBy lets others open a checkpoint with the keys of one pair and of the other.
func (l *log) signedBy(signed []byte, right, wrong *log) {
	l.Helper()
	pq, err := formats.NewMLDSAVerifier(right.ours.Keys().MLDSA44.String())
	l.must(err)
	for name, verifiers := range map[string][]note.Verifier{"torchwood": {right.ed, right.pq}, "formats": {right.ed, pq}} {
		n, err := note.Open(signed, note.VerifierList(verifiers...))
		if err != nil || len(n.Sigs) != 2 || len(n.UnverifiedSigs) != 0 {
			l.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	if n, err := note.Open(signed, note.VerifierList(wrong.ed, wrong.pq)); err == nil {
		l.Errorf("x/mod opens what the other keys signed: %+v", n)
	}
	if _, _, err := torchwood.VerifyCheckpoint(signed, right.policy); err != nil {
		l.Errorf("torchwood: %v", err)
	}
	if _, _, err := torchwood.VerifyCheckpoint(signed, wrong.policy); err == nil {
		l.Error("torchwood takes a checkpoint that the other keys signed")
	}
	line, err := ledger.CheckpointLine(signed)
	l.must(err)
	for ed, want := range map[note.Verifier]bool{right.ed: true, wrong.ed: false} {
		if _, err := note.Open(noteOf(line), note.VerifierList(ed)); (err == nil) != want {
			l.Errorf("x/mod says of the one-line form %v, want %t", err, want)
		}
	}
}

// proves lets torchwood verify a receipt of entry 3 under one policy and the other.
func (l *log) proves(receipt []byte, right, wrong *log) {
	l.Helper()
	if err := torchwood.VerifyProof(right.policy, tlog.Hash(l.leaves[3]), receipt); err != nil {
		l.Errorf("torchwood: %v", err)
	}
	if torchwood.VerifyProof(wrong.policy, tlog.Hash(l.leaves[3]), receipt) == nil {
		l.Error("torchwood takes a receipt that the other keys signed")
	}
}

// continues lets others prove and check that the log now continues that of a size
// before its keys were replaced.
func (l *log) continues(size int64) {
	l.Helper()
	builder, err := client.NewProofBuilder(l.Context(), uint64(l.size()), l.live.ReadTile)
	l.must(err)
	theirs, err := builder.ConsistencyProof(l.Context(), uint64(size), uint64(l.size()))
	l.must(err)
	l.must(proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(size), uint64(l.size()), theirs, l.roots[size], l.roots[l.size()]))
	var hashes []ledger.Hash
	for _, h := range theirs {
		hashes = append(hashes, ledger.Hash(h))
	}
	later := ledger.Checkpoint{Origin: testledger.Origin, Size: ledger.Size(l.size()), Root: ledger.Hash(l.roots[l.size()])}
	l.must(ledger.VerifyConsistency(ledger.Size(size), ledger.Hash(l.roots[size]), later, hashes))
}

// followed: with the log's key entries our policy of the old pair takes what either
// signed; that of the new pair holds the log to the old checkpoint, and counts nothing
// by keys that were retired before.
func (l *log) followed(before, after []byte, old *log) {
	l.Helper()
	keys, err := l.store.Keys()
	l.must(err)
	kept, err := ledger.ParseKept(before)
	l.must(err)
	for _, c := range []struct {
		policy   *ledger.Policy
		own      []byte // what it takes without the key entries
		another  []byte
		followed bool // with them it takes the other, too
	}{{old.ours, before, after, true}, {l.ours, after, before, false}} {
		_, err := ledger.OpenCheckpoint(c.own, c.policy)
		l.must(err)
		if _, err := ledger.OpenCheckpoint(c.another, c.policy); !errors.Is(err, ledger.ErrPolicy) {
			l.Errorf("without the key entries: %v", err)
		}
		with, err := c.policy.WithKeys(keys)
		l.must(err)
		_, err = ledger.OpenCheckpoint(c.own, with)
		l.must(err)
		if _, err := ledger.OpenCheckpoint(c.another, with); (err == nil) != c.followed || err != nil && !errors.Is(err, ledger.ErrPolicy) {
			l.Errorf("with the key entries: %v", err)
		}
		l.must(kept.Verify(with))
	}
}

// fourSignatures verifies the signatures of a key.rotated with crypto/ed25519 and
// filippo.io/mldsa, over a text that is put together here from the entry's lines.
func (l *log) fourSignatures(entry string) {
	l.Helper()
	var add, retire, sign []string
	for text := range strings.Lines(entry) {
		name, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		switch name {
		case "add":
			add = append(add, value)
		case "retire":
			retire = append(retire, value)
		case "sign":
			sign = append(sign, value)
		}
	}
	if len(add) != 2 || len(retire) != 2 || len(sign) != 4 {
		l.Fatalf("not a rotation:\n%s", entry)
	}
	text := fmt.Appendf(nil, "consent-ledger/rotation/v1\n%s\n%s\n%s\nadd %s\nadd %s\nretire %s\nretire %s\n", testledger.Origin,
		line(l.T, entry, "index"), line(l.T, entry, "prev"), add[0], add[1], retire[0], retire[1])
	for i, vkey := range append(retire, add...) {
		f := strings.SplitN(vkey, "+", 3)
		key, err := base64.StdEncoding.DecodeString(f[2])
		l.must(err)
		id, encoded, _ := strings.Cut(sign[i], " ")
		signature, err := base64.StdEncoding.DecodeString(encoded)
		l.must(err)
		verify := func(text []byte) bool { return ed25519.Verify(key[1:], text, signature) }
		if i%2 == 1 {
			public, err := mldsa.NewPublicKey(mldsa.MLDSA44(), key[1:])
			l.must(err)
			verify = func(text []byte) bool { return mldsa.Verify(public, text, signature, nil) == nil }
		}
		if f[0] != testledger.Origin || id != f[1] || !verify(text) || verify(bytes.ToUpper(text)) {
			l.Errorf("signature %d of the rotation, by %s, does not verify", i+1, id)
		}
	}
}
