package interop

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/torchwood"
	formatslog "github.com/transparency-dev/formats/log"
	formats "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/ledger"
)

// TestLogKeys: others make of the log's two verifier keys what we make of them,
// and of the two seeds the same keys.
func TestLogKeys(t *testing.T) {
	keys := testledger.Signer(t).Keys()
	private, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), seedPQ[:])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(private.PublicKey().Bytes(), keys.MLDSA44.Key) {
		t.Error("filippo.io/mldsa makes another public key of the seed")
	}
	theirs, err := torchwood.NewCosignatureVerifierFromKey(testledger.Origin, private.PublicKey())
	if err != nil || theirs.String() != keys.MLDSA44.String() {
		t.Errorf("torchwood writes the key as %v, %v; we as %s", theirs, err, keys.MLDSA44)
	}
	signer, err := note.NewSigner(secret(keys.Ed25519, seedEd))
	if err != nil || signer.KeyHash() != keys.Ed25519.ID() {
		t.Errorf("x/mod makes another key of the seed: %v", err)
	}
	for _, key := range []ledger.VerifierKey{keys.Ed25519, keys.MLDSA44} {
		v, err := formats.NewVerifier(key.String())
		if err != nil || v.Name() != key.Name || v.KeyHash() != key.ID() {
			t.Errorf("formats reads %s as %v, %v", key, v, err)
		}
	}
}

// TestEmptyLog: no ledger is ever empty, but the tree and its checkpoint have to
// be everybody's.
func TestEmptyLog(t *testing.T) {
	l := newLog(t)
	var empty ledger.Tree
	root := empty.Root()
	if !bytes.Equal(root[:], l.roots[0]) {
		t.Errorf("the root of the empty tree is %s, merkle's %x", root, l.roots[0])
	}
	if theirs, err := tlog.TreeHash(0, nil); err != nil || theirs != root {
		t.Errorf("the root of the empty tree is %s, x/mod's %s, %v", root, theirs, err)
	}
	signed, err := testledger.Signer(t).SignCheckpoint(ledger.Checkpoint{Origin: testledger.Origin, Root: root}, 1)
	l.must(err)
	c, _, err := torchwood.VerifyCheckpoint(signed, l.policy)
	if err != nil || c.N != 0 || c.Hash != root {
		t.Errorf("torchwood reads the empty log's checkpoint as %v, %v", c, err)
	}
	head, _, _, err := formatslog.ParseCheckpoint(signed, testledger.Origin, l.ed, l.pq)
	if err != nil || head.Size != 0 {
		t.Errorf("formats reads the empty log's checkpoint as %v, %v", head, err)
	}
	if mine, err := ledger.ParseCheckpoint(c.String()); err != nil || mine.Size != 0 {
		t.Errorf("we read torchwood's as %v, %v", mine, err)
	}
}

// TestCheckpointSignatures: three foreign implementations verify both lines of
// the log, each of the two is missed, and nothing but ours is accepted.
func TestCheckpointSignatures(t *testing.T) {
	l := newLog(t)
	l.grow(20)
	signed, _ := l.store.Checkpoint()
	pq, err := formats.NewMLDSAVerifier(testledger.Signer(t).Keys().MLDSA44.String())
	l.must(err)
	for name, others := range map[string][]note.Verifier{"torchwood": {l.ed, l.pq}, "formats": {l.ed, pq}} {
		n, err := note.Open(signed, note.VerifierList(others...))
		if err != nil || len(n.Sigs) != 2 || len(n.UnverifiedSigs) != 0 {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	parsed, err := ledger.ParseSignedNote(signed)
	l.must(err)
	l.directly(parsed)
	for i := range parsed.Lines {
		stripped := *parsed
		stripped.Lines = slices.Delete(slices.Clone(parsed.Lines), i, i+1)
		if _, _, err := torchwood.VerifyCheckpoint(stripped.Bytes(), l.policy); err == nil {
			t.Errorf("torchwood takes a checkpoint without line %d", i+1)
		}
	}
	for i := range parsed.Lines {
		for _, bit := range []int{0, 9, 70, 8*len(parsed.Lines[i].Signature) - 1} {
			forged := *parsed
			forged.Lines = slices.Clone(parsed.Lines)
			forged.Lines[i].Signature = slices.Clone(parsed.Lines[i].Signature)
			forged.Lines[i].Signature[bit/8] ^= 1 << (bit % 8)
			_, _, theirs := torchwood.VerifyCheckpoint(forged.Bytes(), l.policy)
			_, ours := ledger.OpenCheckpoint(forged.Bytes(), l.ours)
			if theirs == nil || ours == nil {
				t.Errorf("line %d with bit %d flipped: torchwood says %v, we %v", i+1, bit, theirs, ours)
			}
		}
	}
}

// directly verifies the 0x06 line with filippo.io/mldsa over a message that is
// put together here, as the C2SP page lays it out.
func (l *log) directly(n *ledger.SignedNote) {
	keys := testledger.Signer(l).Keys()
	public, err := mldsa.NewPublicKey(mldsa.MLDSA44(), keys.MLDSA44.Key)
	l.must(err)
	i := slices.IndexFunc(n.Lines, func(line ledger.SignatureLine) bool { return line.KeyID == keys.MLDSA44.ID() })
	stamp, signature := n.Lines[i].Signature[:8], n.Lines[i].Signature[8:]
	message := func(start uint64) []byte {
		m := append([]byte("subtree/v1\n\x00"), byte(len(testledger.Origin)))
		m = append(append(m, testledger.Origin...), stamp...)
		m = append(append(m, byte(len(testledger.Origin))), testledger.Origin...)
		m = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(m, start), uint64(l.size()))
		return append(m, l.roots[l.size()]...)
	}
	if err := mldsa.Verify(public, message(0), signature, nil); err != nil {
		l.Errorf("the 0x06 line: %v", err)
	}
	if mldsa.Verify(public, message(1), signature, nil) == nil || mldsa.Verify(public, message(0), signature, &mldsa.Options{Context: "x"}) == nil {
		l.Error("the 0x06 line verifies over what was not signed")
	}
}

// TestSignedByOthers: we open a checkpoint that foreign code signed with the
// log's keys, and, without its hedging, sign the same bytes.
func TestSignedByOthers(t *testing.T) {
	l := newLog(t)
	keys := testledger.Signer(t).Keys()
	private, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), seedPQ[:])
	l.must(err)
	ed, err := note.NewSigner(secret(keys.Ed25519, seedEd))
	l.must(err)
	torch, err := torchwood.NewCosignatureSigner(testledger.Origin, private)
	l.must(err)
	format, err := formats.NewMLDSASigner(secret(keys.MLDSA44, seedPQ))
	l.must(err)
	c := ledger.Checkpoint{Origin: testledger.Origin, Size: 1, Root: ledger.Hash(l.roots[1])}
	for name, pq := range map[string]note.Signer{"torchwood": torch, "formats": format} {
		signed, err := note.Sign(&note.Note{Text: c.Text()}, ed, pq)
		l.must(err)
		if opened, err := ledger.OpenCheckpoint(signed, l.ours); err != nil || opened.Checkpoint != c {
			t.Errorf("signed by %s: %v, %v", name, opened, err)
		}
	}
	signed, err := testledger.Signer(t).Deterministic().SignCheckpoint(c, 1)
	l.must(err)
	n, err := ledger.ParseSignedNote(signed)
	l.must(err)
	message := []byte("subtree/v1\n\x00" + string(rune(len(c.Origin))) + c.Origin + "\x00\x00\x00\x00\x00\x00\x00\x01" + string(rune(len(c.Origin))) + c.Origin +
		strings.Repeat("\x00", 15) + "\x01" + string(c.Root[:]))
	same, err := private.SignDeterministic(message, nil)
	if err != nil || !bytes.Equal(same, n.Lines[1].Signature[8:]) {
		t.Errorf("filippo.io/mldsa signs otherwise, %v", err)
	}
}

// TestCosignatures: witnesses of two foreign makes, of both types, cosign our
// checkpoint; we count them as torchwood does, under the same policy file.
func TestCosignatures(t *testing.T) {
	l := newLog(t)
	signed, _ := l.store.Checkpoint()
	const edName, pqName = "ed.example.org/witness", "pq.example.org"
	edSeed, pqSeed := [32]byte{4}, [32]byte{6}
	pqKey, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), pqSeed[:])
	l.must(err)
	ed, err := torchwood.NewCosignatureSigner(edName, ed25519.NewKeyFromSeed(edSeed[:]))
	l.must(err)
	pq, err := torchwood.NewCosignatureSigner(pqName, pqKey)
	l.must(err)
	keys := testledger.Signer(t).Keys()
	text := []byte("log " + keys.Ed25519.String() + "\nwitness self-pq " + keys.MLDSA44.String() +
		"\nwitness ed " + ed.Verifier().String() + "\nwitness pq " + pq.Verifier().String() +
		"\ngroup two 2 ed pq\ngroup hybrid all self-pq two\nquorum hybrid\n")
	ours, err := ledger.ParsePolicy(text)
	l.must(err)
	theirs, err := torchwood.ParsePolicy(text)
	l.must(err)
	edKey, err := ledger.ParseVerifierKey(ed.Verifier().String())
	l.must(err)
	formatsEd, err := formats.NewSignerForCosignatureV1(secret(edKey, edSeed))
	l.must(err)
	pqVerifier, err := ledger.ParseVerifierKey(pq.Verifier().String())
	l.must(err)
	formatsPQ, err := formats.NewMLDSASigner(secret(pqVerifier, pqSeed))
	l.must(err)
	for _, cosigners := range [][]note.Signer{nil, {ed}, {pq}, {formatsEd}, {formatsPQ}, {ed, pq}, {formatsPQ, formatsEd}, {ed, formatsPQ}, {formatsEd, pq}} {
		n, err := note.Open(signed, note.VerifierList(l.ed, l.pq))
		l.must(err)
		cosigned, err := note.Sign(n, cosigners...)
		l.must(err)
		opened, mine := ledger.OpenCheckpoint(cosigned, ours)
		_, _, other := torchwood.VerifyCheckpoint(cosigned, theirs)
		if want := len(cosigners) == 2; (mine == nil) != want || (other == nil) != want {
			t.Errorf("%T: we say %v, torchwood %v", cosigners, mine, other)
		} else if want && !slices.Equal(opened.Witnesses, []string{"ed", "pq", "self-pq"}) {
			t.Errorf("%T: we count %q", cosigners, opened.Witnesses)
		}
	}
}

// TestReceiptsOfFormats: formats takes our receipts apart into the same parts, and
// writes them as we do.
func TestReceiptsOfFormats(t *testing.T) {
	l := newLog(t)
	l.grow(299)
	for i := range l.leaves {
		receipt, leaf, err := l.store.Receipt(ledger.Index(i), ledger.Size(l.size()))
		l.must(err)
		if !bytes.Equal(leaf[:], l.leaves[i]) {
			t.Errorf("leaf %d is %s, want %x", i, leaf, l.leaves[i])
		}
		var theirs proof.TLogProof
		l.must(theirs.Unmarshal(receipt.Text()))
		equal := slices.EqualFunc(theirs.Hashes, receipt.Proof, func(a [32]byte, b ledger.Hash) bool { return a == b })
		if theirs.Index != uint64(i) || !equal || !bytes.Equal(theirs.Checkpoint, receipt.Checkpoint) || !bytes.Equal(theirs.Marshal(), receipt.Text()) {
			t.Errorf("formats reads the receipt of leaf %d as %+v", i, theirs)
		}
		if i%50 > 0 {
			continue
		}
		theirs.ExtraData = []byte("not signed")
		mine, err := ledger.ParseReceipt(theirs.Marshal())
		l.must(err)
		extra, err := torchwood.ProofExtraData(mine.Text())
		if err != nil || string(extra) != "not signed" || torchwood.VerifyProof(l.policy, tlog.Hash(leaf), mine.Text()) != nil {
			t.Errorf("the receipt of leaf %d with extra data: %q, %v", i, extra, err)
		}
		for _, other := range []int{i + 1, len(l.leaves)} {
			mine.Index = ledger.Index(other)
			if torchwood.VerifyProof(l.policy, tlog.Hash(leaf), mine.Text()) == nil {
				t.Errorf("the receipt of leaf %d verifies at %d", i, other)
			}
		}
	}
}
