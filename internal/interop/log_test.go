package interop

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"github.com/consentledger/consentledger/internal/testledger"
	"github.com/consentledger/consentledger/internal/tlog"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// programs is the directory of what tests build.
var programs string

// TestMain makes it, and silences what Tessera logs of every check.
func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	var err error
	if programs, err = os.MkdirTemp("", "interop-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(programs)
	os.Exit(code)
}

// log is a log of ours, served live, and what others need to read it.
type log struct {
	*testing.T
	store  *store.Store
	base   string                         // URL of the live log, with a slash at its end
	http   *http.Client                   // fails the test when something is not there
	live   *client.HTTPFetcher            // of Tessera, over http
	fetch  *torchwood.TileFetcher         // of torchwood, over http
	ed     note.Verifier                  // of x/mod, for the 0x01 line
	pq     *torchwood.CosignatureVerifier // for the 0x06 line
	policy torchwood.Policy               // parsed by torchwood from our trust.policy
	ours   *ledger.Policy

	// What others make of the log, entry by entry.
	leaves [][]byte
	roots  [][]byte // by size; the first is the empty tree's
	tree   *compact.Range
	mine   *ledger.Tree // the same by our code, from their leaf hashes
}

// newLog serves a log that holds its entry 0.
func newLog(t *testing.T) *log {
	s := testledger.New(t)
	server := httptest.NewServer(tlog.New(s, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	l := &log{T: t, store: s, base: server.URL + tlog.Prefix, mine: new(ledger.Tree),
		tree:  (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0),
		roots: [][]byte{rfc6962.DefaultHasher.EmptyRoot()}}
	l.http = &http.Client{Transport: complete{t, server.Client().Transport}}
	var err error
	l.live = fetcher(t, l.base, l.http)
	l.fetch, err = torchwood.NewTileFetcher(l.base, torchwood.WithHTTPClient(l.http))
	l.must(err)
	l.trust(testledger.Signer(t).Keys())
	l.learn()
	return l
}

// trust lets everybody trust a pair of keys.
func (l *log) trust(keys ledger.KeyPair) {
	l.Helper()
	var err error
	l.ed, err = note.NewVerifier(keys.Ed25519.String())
	l.must(err)
	l.pq, err = torchwood.NewCosignatureVerifier(keys.MLDSA44.String())
	l.must(err)
	l.policy, err = torchwood.ParsePolicy(ledger.NewPolicy(keys))
	l.must(err)
	l.ours, err = ledger.ParsePolicy(ledger.NewPolicy(keys))
	l.must(err)
}

func (l *log) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// complete notices what a client that verified a checkpoint does not find: the
// clients of others fall back on the full tile, and would hide it.
type complete struct {
	*testing.T
	next http.RoundTripper
}

func (c complete) RoundTrip(r *http.Request) (*http.Response, error) {
	rsp, err := c.next.RoundTrip(r)
	if err != nil || rsp.StatusCode != http.StatusOK {
		c.Errorf("%s: %v %v", r.URL.Path, rsp, err)
	}
	return rsp, err
}

// fetcher is Tessera's client of the log at a URL.
func fetcher(t *testing.T, base string, c *http.Client) *client.HTTPFetcher {
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.NewHTTPFetcher(u, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (l *log) size() int64 { return int64(len(l.leaves)) }

// grow appends n entries to the log, as one group, and lets others read them.
func (l *log) grow(n int) {
	testledger.Fill(l, l.store, n)
	l.learn()
}

// learn hashes the entries that are new, with the code of others, from the entry
// bundles that they fetch.
func (l *log) learn() {
	_, newest := l.store.Checkpoint()
	size := uint64(newest)
	for n := uint64(len(l.leaves)) / 256; n*256 < size; n++ {
		bundle, err := client.GetEntryBundle(l.Context(), l.live.ReadEntryBundle, n, size)
		l.must(err)
		for _, entry := range bundle.Entries[uint64(len(l.leaves))-n*256:] {
			leaf := rfc6962.DefaultHasher.HashLeaf(entry)
			l.must(l.tree.Append(leaf, nil))
			l.mine.Append(ledger.Hash(leaf), nil)
			root, err := l.tree.GetRootHash(nil)
			l.must(err)
			l.leaves, l.roots = append(l.leaves, leaf), append(l.roots, root)
			if mine := l.mine.Root(); !bytes.Equal(mine[:], root) {
				l.Fatalf("the root of %d leaves: ours %s, theirs %x", len(l.leaves), mine, root)
			}
		}
	}
	if uint64(len(l.leaves)) != size {
		l.Fatalf("others read %d of %d entries", len(l.leaves), size)
	}
}

// fsck lets Tessera re-derive every tile and the root from the entries.
func (l *log) fsck(f fsck.Fetcher) error {
	return fsck.New(testledger.Origin, l.ed, f, bundleHashes, fsck.Opts{N: 2}).Check(l.Context())
}

// bundleHashes gives the leaf hashes of an entry bundle.
func bundleHashes(b []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(b); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

// seeds of the keys of testledger's signer.
var (
	seedEd = sha256.Sum256([]byte("test ed25519"))
	seedPQ = sha256.Sum256([]byte("test ml-dsa-44"))
)

// secret gives a key of the log as the text in which others keep secret keys.
func secret(k ledger.VerifierKey, seed [32]byte) string {
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", k.Name, k.ID(), base64.StdEncoding.EncodeToString(append([]byte{k.Type}, seed[:]...)))
}
