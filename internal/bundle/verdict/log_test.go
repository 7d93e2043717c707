package verdict

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consentledger/consentledger/ledger"
)

const testOrigin = "ledger.example.com/shop"

// testLog is a log as anybody who has its keys can write it: no rule is checked.
type testLog struct {
	testing.TB
	signers  []*ledger.Signer // the last one signs
	rotated  []ledger.Index   // where each but the first came
	now      time.Time
	texts    [][]byte
	entries  []*ledger.Entry
	hashes   []ledger.Hash // as tlog.StoredHashes orders them
	consents map[ledger.ConsentID]ledger.Consent
	opened   map[ledger.Index][]ledger.Disclosure
	files    map[string][]byte // of the log, by path: notices and anchors
	kept     map[string][]byte // what claims name, by the hex of its SHA-256
	states   map[ledger.Index]*committed
	later    func() // if set, what happens between an export and its checkpoint
}

// committed is the state that a state.committed committed.
type committed struct {
	*ledger.CommittedState
	consents map[ledger.ConsentID]ledger.Consent
}

func newSigner(t testing.TB, name string) *ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(testOrigin, sha256.Sum256([]byte("ed25519 "+name)), sha256.Sum256([]byte("ml-dsa-44 "+name)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Deterministic()
}

// The entries with which every test's log begins.
const (
	sourceAdmin ledger.Index = 1 + iota
	sourceShop
	sourceCounsel
	purposeNews
	purposeTracking
	noticeNews
)

const (
	noticeText  = "Ja, ich möchte den Newsletter erhalten.\n"
	noticeFacts = `{"controller":"Shop GmbH"}`
)

func newLog(t testing.TB) *testLog {
	t.Helper()
	l := &testLog{TB: t, signers: []*ledger.Signer{newSigner(t, "first")}, now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		consents: map[ledger.ConsentID]ledger.Consent{}, opened: map[ledger.Index][]ledger.Disclosure{}, files: map[string][]byte{},
		kept: map[string][]byte{}, states: map[ledger.Index]*committed{}}
	created, err := ledger.NewLedger(l.signers[0], "shop.example", l.now)
	if err != nil {
		t.Fatal(err)
	}
	l.add(created)
	l.add(&ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "admin", Role: "admin"})
	l.add(&ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "shop", Role: "app"})
	l.add(&ledger.Entry{Kind: ledger.SourceDeclared, Source: ledger.SourceLedger, Name: "counsel", Role: "legal"})
	l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "newsletter", Version: 1, Marketing: "yes", DoubleOptIn: "yes", Lifetime: 86400})
	l.add(&ledger.Entry{Kind: ledger.PurposeDefined, Source: "admin", Purpose: "email.open_tracking", Version: 1, Marketing: "no", DoubleOptIn: "yes", Lifetime: 86400})
	l.add(&ledger.Entry{Kind: ledger.NoticePublished, Source: "admin", Notice: l.notice(), Language: "de",
		Covers: []string{"email.open_tracking", "newsletter"}, Facts: l.document(noticeFacts)})
	return l
}

// document publishes a text.
func (l *testLog) document(text string) ledger.Hash {
	sum := ledger.TextHash([]byte(text))
	l.files["notices/"+hex.EncodeToString(sum[:])] = []byte(text)
	return sum
}

func (l *testLog) notice() ledger.NoticeRef {
	return ledger.NoticeRef{ID: "newsletter-de", Version: 1, SHA256: l.document(noticeText)}
}

// add records an entry that commits to these claims and values, a second later.
func (l *testLog) add(e *ledger.Entry, claims ...string) ledger.Index {
	l.Helper()
	if e.Part < 2 { // all parts of a list have one time
		l.now = l.now.Add(time.Second)
	}
	e.Index = ledger.Index(len(l.texts))
	if e.Kind != ledger.LedgerCreated && e.Kind != ledger.KeyRotated { // they are signed
		if e.Time = l.now; e.Index > 0 {
			e.Prev = ledger.LeafHash(l.texts[e.Index-1])
		}
	} else if e.Kind == ledger.KeyRotated {
		e.Time = l.now
	}
	for i := 0; i < len(claims); i += 2 {
		d := ledger.Disclosure{Salt: sha256.Sum256(fmt.Append(nil, e.Index, claims[i])), Claim: claims[i], Value: claims[i+1]}
		l.opened[e.Index] = append(l.opened[e.Index], d)
		e.Commits = append(e.Commits, ledger.Commitment{Claim: d.Claim, Digest: d.Digest()})
	}
	slices.SortFunc(e.Commits, func(a, b ledger.Commitment) int { return strings.Compare(a.Claim, b.Claim) })
	text, err := e.Encode()
	if err != nil {
		l.Fatalf("entry %d: %v", e.Index, err)
	}
	if e.Purpose != "" && e.Channel != "" && len(e.Consents) == 0 {
		id := ledger.ConsentID(e.Index)
		l.consents[id] = ledger.Apply(ledger.Consent{ID: id, Purpose: e.Purpose, Channel: e.Channel, Request: id}, e)
	}
	for _, id := range concerns(e) {
		l.consents[id] = ledger.Apply(l.consents[id], e)
	}
	return l.addText(e, text)
}

// addText records an entry of these bytes.
func (l *testLog) addText(e *ledger.Entry, text []byte) ledger.Index {
	l.Helper()
	hashes, err := tlog.StoredHashesForRecordHash(int64(len(l.texts)), ledger.LeafHash(text), l)
	if err != nil {
		l.Fatal(err)
	}
	l.texts, l.entries, l.hashes = append(l.texts, text), append(l.entries, e), append(l.hashes, hashes...)
	return ledger.Index(len(l.texts) - 1)
}

// ReadHashes implements tlog.HashReader.
func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		hashes[i] = l.hashes[n]
	}
	return hashes, nil
}

func testToken(i ledger.Index) string {
	sum := sha256.Sum256(fmt.Append(nil, "token", i))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// requested gives the request that the next entry opens, on the lock of an entry.
func (l *testLog) requested(purpose string, lock ledger.Index, expires time.Time) *ledger.Entry {
	return &ledger.Entry{Kind: ledger.ConsentRequested, Source: "shop", Purpose: purpose, Channel: "email", Notice: l.notice(), Method: "web_form",
		Lock: ledger.Lock(testToken(lock)), Expires: expires, IPPolicy: "truncated"}
}

// next is where the next entry will stand.
func (l *testLog) next() ledger.Index { return ledger.Index(len(l.texts)) }

// ask opens one request, one consent for each purpose.
func (l *testLog) ask(purposes ...string) (ids []ledger.ConsentID) {
	l.Helper()
	lock, expires := l.next(), l.now.Add(24*time.Hour).Truncate(time.Second)
	for _, p := range purposes {
		i := l.add(l.requested(p, lock, expires), "email", "erika@example.com", "ip", "203.0.113.7", "form_snapshot", "<form>")
		ids = append(ids, ledger.ConsentID(i))
	}
	return ids
}

// change records an entry that changes consents.
func (l *testLog) change(e *ledger.Entry, ids []ledger.ConsentID, claims ...string) ledger.Index {
	l.Helper()
	if e.Source == "" {
		e.Source = "shop"
	}
	for _, id := range ids {
		e.Consents = append(e.Consents, ledger.Link{Consent: id, After: l.consents[id].Last})
	}
	return l.add(e, claims...)
}

func (l *testLog) confirm(ids ...ledger.ConsentID) ledger.Index {
	l.Helper()
	return l.change(&ledger.Entry{Kind: ledger.ConsentConfirmed, Token: testToken(ledger.Index(ids[0])), Click: "button"}, ids, "ip", "203.0.113.7")
}

// mail keeps a mail and gives the value that names it.
func (l *testLog) mail(text string) string {
	sum := sha256.Sum256([]byte(text))
	name := hex.EncodeToString(sum[:])
	l.kept[name] = []byte(text)
	return `{"name":"doi.eml","media_type":"message/rfc822","sha256":"` + name + `"}`
}

// commitState commits the state of all consents.
func (l *testLog) commitState() ledger.Index {
	l.Helper()
	c := &committed{consents: maps.Clone(l.consents)}
	var err error
	if c.CommittedState, err = new(ledger.StateTree).Commit(ledger.Size(l.next()), c.each); err != nil {
		l.Fatal(err)
	}
	i := l.add(&ledger.Entry{Kind: ledger.StateCommitted, Source: ledger.SourceLedger, StateRoot: c.Root()})
	l.states[i] = c
	return i
}

func (c *committed) each(from, to ledger.ConsentID, yield func(ledger.Consent)) error {
	for _, id := range slices.Sorted(maps.Keys(c.consents)) {
		if from <= id && id < to {
			yield(c.consents[id])
		}
	}
	return nil
}

func (c *committed) proof(t testing.TB, id ledger.ConsentID) []byte {
	t.Helper()
	p, err := c.Prove(id, c.each)
	if err != nil {
		t.Fatal(err)
	}
	return p.Text()
}

// anchor lets the authority of these tests stamp the log as it stands, by a clock that
// is ahead of the log's. Then it says what went wrong, if anything.
func (l *testLog) anchor(ahead time.Duration, mark string) ledger.Index {
	l.Helper()
	size := ledger.Size(l.next())
	note := l.checkpoint(size)
	return l.anchored(size, note, token(l.now.Add(ahead), ledger.TextHash(note), mark), l.now.Add(ahead))
}

func (l *testLog) anchored(size ledger.Size, note, token []byte, at time.Time) ledger.Index {
	l.Helper()
	e := &ledger.Entry{Kind: ledger.CheckpointAnchored, Source: ledger.SourceLedger, Size: size, Checkpoint: ledger.TextHash(note), Stamp: ledger.TextHash(token), Stamped: at}
	l.files[ledger.AnchorPath(e.Checkpoint)], l.files[ledger.AnchorPath(e.Stamp)] = note, token
	return l.add(e)
}

// token is what the authority of these tests gives.
func token(at time.Time, imprint ledger.Hash, mark string) []byte {
	return fmt.Appendf(nil, "%s %v %s", at.UTC().Format(time.RFC3339Nano), imprint, mark)
}

// stamps believes the authority of these tests.
func stamps(token []byte, imprint ledger.Hash) (ledger.Stamp, error) {
	words := strings.Split(string(token), " ")
	at, err := time.Parse(time.RFC3339Nano, words[0])
	switch {
	case err != nil:
		return ledger.Stamp{}, fmt.Errorf("%w: %w", ledger.ErrNotCounted, err)
	case words[1] != imprint.String():
		return ledger.Stamp{}, fmt.Errorf("the token is about other bytes")
	case words[2] == "stranger":
		return ledger.Stamp{}, fmt.Errorf("%w: by a stranger", ledger.ErrNotCounted)
	}
	return ledger.Stamp{Time: at, Authority: "authority", Qualified: words[2] == "qualified"}, nil
}

// rotate lets another pair of keys sign from here on.
func (l *testLog) rotate(name string) {
	l.Helper()
	before, at, next := ledger.Index(0), l.next(), newSigner(l, name)
	if n := len(l.rotated); n > 0 {
		before = l.rotated[n-1]
	}
	e, err := ledger.Rotate(l.signers[len(l.signers)-1], next, before, at, ledger.LeafHash(l.texts[at-1]))
	if err != nil {
		l.Fatal(err)
	}
	e.Source = "admin"
	l.add(e)
	l.signers, l.rotated = append(l.signers, next), append(l.rotated, at)
}

// signer gives the pair in force at a size.
func (l *testLog) signer(size ledger.Size) *ledger.Signer {
	n := 0
	for n < len(l.rotated) && ledger.Size(l.rotated[n]) < size {
		n++
	}
	return l.signers[n]
}

// keys gives the key entries below a size.
func (l *testLog) keys(size ledger.Size) []byte {
	file := bytes.Clone(l.texts[0])
	for _, at := range l.rotated {
		if ledger.Size(at) < size {
			file = append(file, l.texts[at]...)
		}
	}
	return file
}

func (l *testLog) head(size ledger.Size) ledger.Checkpoint {
	l.Helper()
	root, err := tlog.TreeHash(int64(size), l)
	if err != nil {
		l.Fatal(err)
	}
	return ledger.Checkpoint{Origin: testOrigin, Size: size, Root: root}
}

// checkpoint signs the first entries.
func (l *testLog) checkpoint(size ledger.Size) []byte {
	l.Helper()
	signed, err := l.signer(size).SignCheckpoint(l.head(size), l.now.Unix())
	if err != nil {
		l.Fatal(err)
	}
	return signed
}

// receipt proves an entry in the tree of a checkpoint.
func (l *testLog) receipt(i ledger.Index, size ledger.Size, checkpoint []byte) *ledger.Receipt {
	l.Helper()
	proof, err := tlog.ProveRecord(int64(size), int64(i), l)
	if err != nil {
		l.Fatal(err)
	}
	return &ledger.Receipt{Index: i, Proof: proof, Checkpoint: checkpoint}
}

func (l *testLog) consistency(from, to ledger.Size) []byte {
	l.Helper()
	proof, err := tlog.ProveTree(int64(to), int64(from), l)
	if err != nil {
		l.Fatal(err)
	}
	var b bytes.Buffer
	for _, h := range proof {
		fmt.Fprintln(&b, h)
	}
	return b.Bytes()
}

// policy trusts the first pair of keys.
func (l *testLog) policy() *ledger.Policy {
	l.Helper()
	return policyOf(l, ledger.NewPolicy(newSigner(l, "first").Keys()))
}

func policyOf(t testing.TB, text []byte) *ledger.Policy {
	t.Helper()
	p, err := ledger.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// copyOf is a copy of the log as of a size, under a checkpoint.
type copyOf struct {
	*testLog
	size       ledger.Size
	checkpoint []byte
}

// whole is a copy of the log as it stands.
func (l *testLog) whole() copyOf {
	l.Helper()
	size := ledger.Size(l.next())
	return copyOf{l, size, l.checkpoint(size)}
}

// verify is an [Options.Verify].
func (c copyOf) verify(ctx context.Context, opt ledger.VerifyOptions) (*ledger.LogReport, error) {
	return ledger.VerifyLog(ctx, c, opt)
}

// ReadPath implements [ledger.LogReader].
func (c copyOf) ReadPath(_ context.Context, path string) ([]byte, error) {
	switch b, ok := c.files[path]; {
	case ok:
		return b, nil
	case path == "checkpoint":
		return c.checkpoint, nil
	case path == "trust.keys":
		return c.keys(c.size), nil
	}
	for level := 0; ; level++ {
		full, partial := ledger.TileRange(c.size, level)
		if full == 0 && partial == 0 {
			return nil, fmt.Errorf("%w: %s", ledger.ErrMissing, path)
		}
		for n := range full + 1 {
			width := ledger.TileWidth
			if n == full {
				width = partial
			}
			tile, entries := []byte{}, []byte{}
			for i := n * ledger.TileWidth; i < n*ledger.TileWidth+int64(width); i++ {
				h := c.hashes[tlog.StoredHashIndex(level*ledger.TileHeight, i)]
				if tile = append(tile, h[:]...); level == 0 {
					entries, _ = ledger.AppendBundle(entries, c.texts[i])
				}
			}
			switch {
			case width > 0 && path == ledger.TilePath(level, n, width):
				return tile, nil
			case width > 0 && level == 0 && path == ledger.EntriesPath(n, width):
				return entries, nil
			}
		}
	}
}
