package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
)

const testOrigin = "ledger.example.com/shop"

// testLog writes a log with the functions of package ledger alone, so that a
// test does not depend on the server.
type testLog struct {
	t       testing.TB
	signer  *ledger.Signer // of what is signed now
	before  []*ledger.Signer
	rotated []ledger.Index // where each of before was replaced
	replay  *ledger.Replay
	now     time.Time
	step    time.Duration // from one entry to the next
	texts   [][]byte
	hashes  []ledger.Hash // as tlog.StoredHashes orders them
	notices map[string][]byte
	anchors map[string][]byte // by path: checkpoints that were stamped, and their tokens
	people  int
}

// newTestLog gives a log with its keys, sources, a purpose and a notice.
func newTestLog(t testing.TB) *testLog {
	t.Helper()
	return newTestLogAt(t, time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
}

// newTestLogAt gives the same, begun at a time.
func newTestLogAt(t testing.TB, at time.Time) *testLog {
	t.Helper()
	l := &testLog{t: t, signer: newSigner(t, 0), replay: ledger.NewReplay(), now: at, step: time.Second, notices: map[string][]byte{}, anchors: map[string][]byte{}}
	created, err := ledger.NewLedger(l.signer, "shop.example", l.now)
	if err != nil {
		t.Fatal(err)
	}
	l.add(created)
	l.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: "admin", Role: "admin"})
	l.add(&ledger.Entry{Kind: ledger.SourceDeclared, Name: "shop", Role: "app"})
	l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 1,
		Marketing: "yes", DoubleOptIn: "yes", Lifetime: 86400})
	l.add(&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: l.notice(), Language: "en",
		Covers: []string{"newsletter"}})
	return l
}

// newSigner gives the pair of keys of this number.
func newSigner(t testing.TB, n byte) *ledger.Signer {
	t.Helper()
	signer, err := ledger.NewSigner(testOrigin, sha256.Sum256([]byte{'e', n}), sha256.Sum256([]byte{'m', n}))
	if err != nil {
		t.Fatal(err)
	}
	return signer.Deterministic()
}

// rotate lets the next pair of keys sign from here on.
func (l *testLog) rotate() {
	l.t.Helper()
	next := newSigner(l.t, byte(len(l.before)+1))
	before := ledger.Index(0)
	if n := len(l.rotated); n > 0 {
		before = l.rotated[n-1]
	}
	at := ledger.Index(len(l.texts))
	e, err := ledger.Rotate(l.signer, next, before, at, ledger.LeafHash(l.texts[at-1]))
	if err != nil {
		l.t.Fatal(err)
	}
	e.Source = "admin"
	l.add(e)
	l.before, l.rotated, l.signer = append(l.before, l.signer), append(l.rotated, at), next
}

// signerAt gives the pair that signs checkpoints of this size.
func (l *testLog) signerAt(size int) *ledger.Signer {
	for i, at := range l.rotated {
		if size <= int(at) {
			return l.before[i]
		}
	}
	return l.signer
}

// keys gives the key entries below a size: the file trust.keys.
func (l *testLog) keys(size int) []byte {
	file := bytes.Clone(l.texts[0])
	for _, at := range l.rotated {
		if int(at) < size {
			file = append(file, l.texts[at]...)
		}
	}
	return file
}

func (l *testLog) notice() ledger.NoticeRef {
	text := []byte("May we send you our newsletter?\n")
	sum := sha256.Sum256(text)
	l.notices[hex.EncodeToString(sum[:])] = text
	return ledger.NoticeRef{ID: "newsletter-en", Version: 1, SHA256: sum}
}

// add records an entry of the ledger itself, or of the source it names.
func (l *testLog) add(e *ledger.Entry) ledger.Index {
	l.t.Helper()
	l.now = l.now.Add(l.step)
	if e.Source == "" {
		e.Source = ledger.SourceLedger
	}
	if e.Kind != ledger.LedgerCreated { // its time is signed
		e.Time = l.now
	}
	l.replay.Chain().Link(e)
	text, err := e.Encode()
	if err != nil {
		l.t.Fatalf("entry %d: %v", e.Index, err)
	}
	leaf := ledger.LeafHash(text)
	if _, err := l.replay.Add(e, leaf); err != nil {
		l.t.Fatal(err)
	}
	hashes, err := tlog.StoredHashesForRecordHash(int64(e.Index), leaf, l)
	if err != nil {
		l.t.Fatal(err)
	}
	l.texts, l.hashes = append(l.texts, text), append(l.hashes, hashes...)
	return e.Index
}

// ReadHashes implements tlog.HashReader.
func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		hashes[i] = l.hashes[n]
	}
	return hashes, nil
}

// request opens a consent and gives it with the token that confirms it.
func (l *testLog) request() (ledger.ConsentID, string) {
	l.people++
	raw := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("token"), uint64(l.people)))
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	index := l.add(&ledger.Entry{Kind: ledger.ConsentRequested, Source: "shop", Purpose: "newsletter", Channel: "email",
		Notice: l.notice(), Method: "web_form", Lock: ledger.Lock(token), Expires: l.now.Add(24 * time.Hour), IPPolicy: "none",
		Commits: []ledger.Commitment{{Claim: "email", Digest: sha256.Sum256(raw[:])}}})
	return ledger.ConsentID(index), token
}

// asked records two requests of strangers, one of which should have been answered
// when the log began.
func (l *testLog) asked() {
	for _, received := range []time.Time{l.now, l.now.AddDate(0, -2, 0)} {
		l.add(&ledger.Entry{Kind: ledger.RequestReceived, Source: "shop", Article: "art15", Occurred: received, Due: ledger.AnswerDue(received, 1)})
	}
}

// change records an entry of the shop that changes one consent.
func (l *testLog) change(e *ledger.Entry, id ledger.ConsentID) ledger.Index {
	return l.changeBy("shop", e, id)
}

// changeBy records one of somebody else.
func (l *testLog) changeBy(source string, e *ledger.Entry, id ledger.ConsentID) ledger.Index {
	c, ok, err := l.replay.Consent(id)
	if !ok || err != nil {
		l.t.Fatalf("consent %d: %v", id, err)
	}
	e.Source, e.Consents = source, []ledger.Link{{Consent: id, After: c.Last}}
	return l.add(e)
}

// fill records requests, confirmations and uses until the log has this size.
func (l *testLog) fill(size int) {
	for len(l.texts) < size {
		id, token := l.request()
		if len(l.texts) < size {
			l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: token}, id)
		}
		if len(l.texts) < size {
			l.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{id}})
		}
	}
}

// erasureIndex is where the erasure of a story stands that ends the log of this
// size; the entry after it records that it is carried out.
func erasureIndex(size int) int { return size - 5 }

// story records what a reader of the report should hear of: a use after
// withdrawal, an erasure that was shredded and one that was not, a state tree.
func (l *testLog) story() {
	id, token := l.request()
	l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: token}, id)
	l.change(&ledger.Entry{Kind: ledger.ConsentWithdrawn, Method: "link"}, id)
	l.add(&ledger.Entry{Kind: ledger.ConsentUsed, Source: "shop", About: []ledger.ConsentID{id}})
	erased := l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, id)
	l.add(&ledger.Entry{Kind: ledger.EvidenceShredded, Refers: []ledger.Index{erased}, Generation: 2, Medium: "file",
		Contents: l.now, ExistenceDue: l.now.Add(72 * time.Hour)})
	id, _ = l.request()
	l.change(&ledger.Entry{Kind: ledger.SubjectErased, Reason: "art17"}, id)
	root, err := l.replay.StateRoot()
	if err != nil {
		l.t.Fatal(err)
	}
	l.add(&ledger.Entry{Kind: ledger.StateCommitted, StateRoot: root})
}

// checkpoint signs the first size entries.
func (l *testLog) checkpoint(size int) []byte {
	root, err := tlog.TreeHash(int64(size), l)
	if err != nil {
		l.t.Fatal(err)
	}
	signed, err := l.signerAt(size).SignCheckpoint(ledger.Checkpoint{Origin: testOrigin, Size: ledger.Size(size), Root: root}, l.now.Unix())
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// receipt proves the entry at index in the log of this size.
func (l *testLog) receipt(index, size int) []byte {
	proof, err := tlog.ProveRecord(int64(size), int64(index), l)
	if err != nil {
		l.t.Fatal(err)
	}
	return ledger.Receipt{Index: ledger.Index(index), Proof: proof, Checkpoint: l.checkpoint(size)}.Text()
}

// erasureReceipt proves the entries of an erasure in the log of this size.
func (l *testLog) erasureReceipt(size int, indexes ...int) []byte {
	var r ledger.ErasureReceipt
	for _, i := range indexes {
		receipt, err := ledger.ParseReceipt(l.receipt(i, size))
		if err != nil {
			l.t.Fatal(err)
		}
		r.Sections = append(r.Sections, ledger.ErasureSection{Entry: l.texts[i], Receipt: *receipt})
	}
	return r.Text()
}

// export writes the first size entries as an export directory.
func (l *testLog) export(dir string, size int) {
	l.t.Helper()
	write := func(path string, b []byte) {
		l.t.Helper()
		writeFile(l.t, filepath.Join(dir, filepath.FromSlash(path)), b)
	}
	write("checkpoint", l.checkpoint(size))
	write("trust.keys", l.keys(size))
	for sum, text := range l.notices {
		write("notices/"+sum, text)
	}
	for path, b := range l.anchors {
		write(path, b)
	}
	for level := 0; ; level++ {
		full, partial := ledger.TileRange(ledger.Size(size), level)
		if full == 0 && partial == 0 {
			return
		}
		for n := range full {
			l.exportTile(write, level, n, ledger.TileWidth)
		}
		if partial > 0 {
			l.exportTile(write, level, full, partial)
		}
	}
}

func (l *testLog) exportTile(write func(string, []byte), level int, n int64, width int) {
	var tile, bundle []byte
	for i := n * ledger.TileWidth; i < n*ledger.TileWidth+int64(width); i++ {
		h := l.hashes[tlog.StoredHashIndex(level*ledger.TileHeight, i)]
		tile = append(tile, h[:]...)
		if level == 0 {
			var err error
			if bundle, err = ledger.AppendBundle(bundle, l.texts[i]); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	write(ledger.TilePath(level, n, width), tile)
	if level == 0 {
		write(ledger.EntriesPath(n, width), bundle)
	}
}

func writeFile(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// foreignLine is a signature line by a key that no policy of these tests knows;
// its name tries to move the cursor.
func foreignLine() string {
	blob := append([]byte{0xde, 0xad, 0xbe, 0xef}, make([]byte, 64)...)
	return fmt.Sprintf("\u2014 stranger.example\u202e %s\n", base64.StdEncoding.EncodeToString(blob))
}
